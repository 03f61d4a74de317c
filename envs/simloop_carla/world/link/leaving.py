"""The end of a session: what was spawned is destroyed, and the server has the settings and the weather that it had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simloop_carla.world.link.call_lane import CallLane
from simloop_carla.world.link.caretaker import Caretaker

LEAVING_PATIENCE_S = 2.0
SETTINGS_PATIENCE_S = 10.0
"""A server that stays synchronous stands still for everybody, so that one that is slow is waited for."""
GONE_PATIENCE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a server has when a session begins.

    Attributes:
        settings: ``carla.WorldSettings``.
        weather: ``carla.WeatherParameters``; a map that is loaded may bring others.
    """

    settings: Any
    weather: Any


def leave(
    lane: CallLane,
    client: Any,
    patience_s: float,
    found: Found,
    spawned: set[int],
    undone: dict[str, Callable[[], object]],
    caretaker: Caretaker | None,
) -> None:
    """Leaves a server as it was found; one that is gone needs nothing, and what fails is left to the caretaker.

    Args:
        lane: Makes the calls; it is closed.
        client: The ``carla.Client``.
        patience_s: How long a call may take.
        found: What to restore.
        spawned: Actors to destroy.
        undone: What to call before, the last one first.
        caretaker: Is told that all is done, or ends what is left.
    """
    import carla

    def restore_weather() -> None:
        client.get_world().set_weather(found.weather)

    def restore_settings() -> None:
        client.set_timeout(min(SETTINGS_PATIENCE_S, patience_s))
        client.get_world().apply_settings(found.settings)

    def destroy() -> None:
        client.set_timeout(LEAVING_PATIENCE_S)
        commands = [carla.command.DestroyActor(actor_id) for actor_id in sorted(spawned, reverse=True)]
        client.apply_batch_sync(commands, False)

    is_done, on_server = True, (restore_weather, restore_settings, destroy)
    for undo in (*reversed(undone.values()), *on_server):
        is_gone = lane.is_gone()  # what ends another process is undone even then
        client.set_timeout(GONE_PATIENCE_S if is_gone else LEAVING_PATIENCE_S)
        try:
            if not is_gone:
                lane.run(undo)
            elif undo not in on_server:
                undo()
        except RuntimeError:
            is_done = False
    if caretaker is not None:
        caretaker.dismiss(is_done=is_done or lane.is_gone())
    lane.close()
