"""Batches of commands: what of them may fail, and a server that is slow to take one."""

from __future__ import annotations

from typing import Any

from simloop_carla.world.link.call_lane import CallLane

TIME_OUT = "time-out of"
"""How the library begins when an answer does not come."""
BATCH_PATIENCE_S = 1.0


def apply_batch(lane: CallLane, client: Any, commands: list[Any], patience_s: float, num_needed: int) -> None:
    """Sends a batch; this one call keeps the interpreter's lock, so that nobody sees a server end while it waits.

    Args:
        lane: Knows whether the server is there.
        client: The ``carla.Client``.
        commands: The commands.
        patience_s: How long other calls may take.
        num_needed: How many commands, from the first on, must not fail.

    Raises:
        RuntimeError: The server is gone or refuses the batch, or a needed command failed.
    """
    client.set_timeout(min(BATCH_PATIENCE_S, patience_s))
    try:
        answers = client.apply_batch_sync(commands, False)
    except RuntimeError as error:
        if lane.is_gone() or not str(error).startswith(TIME_OUT):
            raise
        return  # it has the batch and is slow: the next call comes after it, and is waited for with the whole patience
    finally:
        client.set_timeout(patience_s)
    for answer in answers[:num_needed]:
        if answer.has_error():
            raise RuntimeError(answer.error)
