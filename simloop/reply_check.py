"""Checks what an agent replied before it is put to use."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simloop.agent import AgentSpec, Call, InferenceReply
from simloop.errors import AgentError
from simloop.flight import Flight
from simloop.world import ActionSpec

FloatArray = npt.NDArray[np.float64]


def checked_actions(
    reply: InferenceReply, flight: Flight, agent: AgentSpec, action: ActionSpec
) -> FloatArray:
    """Returns a reply's actions as float64: (H, A), (m, A) of a correction, or (0, A) of a context.

    Raises:
        AgentError: The reply has no actions (or context) where it should, a wrong shape or first index, or an action
            that is not finite.
    """
    call = flight.channel.call
    if call is Call.CONTEXT:
        if reply.context is None:
            raise AgentError(
                f"Agent {agent.name!r} replied to a context call without a context; anything but None will do."
            )
        return np.zeros((0, action.size))
    try:
        actions = None if reply.actions is None else np.asarray(reply.actions, np.float64)
    except (TypeError, ValueError) as error:
        raise AgentError(
            f"Agent {agent.name!r} replied with actions that are not numbers: {error}."
        ) from error
    rolled = 0 if flight.rolled_actions is None else len(flight.rolled_actions)
    if reply.first_index != rolled:
        raise AgentError(
            f"Agent {agent.name!r} replied with first_index {reply.first_index}; expected {rolled}, the number of "
            "actions that it was handed to roll its state over."
        )
    expected = (agent.horizon, action.size)
    if call is Call.CORRECTOR:
        if (
            actions is None
            or actions.ndim != 2
            or actions.shape[1] != action.size
            or not (1 <= len(actions) <= agent.horizon)
        ):
            raise AgentError(
                f"Agent {agent.name!r} replied to a correction with {_got(actions)}; it has shape (m, {action.size}), "
                f"1 <= m <= {agent.horizon} (rows from the observation tick on, action entries)."
            )
    elif actions is None or actions.shape != expected:
        raise AgentError(
            f"Agent {agent.name!r} replied with {_got(actions)}; a chunk for {action.name!r} has shape "
            f"{expected} (horizon, action entries)."
        )
    # A sum of squares is finite only if all are: the cheap test for the usual case.
    flat = actions.ravel()
    if not math.isfinite(flat.dot(flat)) and not np.isfinite(flat).all():
        row, column = (int(v) for v in np.argwhere(~np.isfinite(actions))[0])
        raise AgentError(
            f"Agent {agent.name!r} replied with {actions[row, column]} in row {row}, entry "
            f"{action.dimensions[column].name!r}; actions must be finite."
        )
    return actions


def _got(actions: FloatArray | None) -> str:
    return "no actions" if actions is None else f"shape {actions.shape}"
