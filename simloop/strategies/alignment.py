"""Which row of a chunk acts at which control tick."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simloop.strategies.buffer import ArrivedChunk, PlacedRows
from simloop.strategies.rules import Align
from simloop.world import ActionSpec, Hold

FloatArray = npt.NDArray[np.float64]


def angle_entries(action: ActionSpec) -> list[int]:
    """Returns the entries of an action that are angles (unit rad) and go round a circle."""
    return [number for number, dimension in enumerate(action.dimensions) if dimension.unit == "rad"]


def shortest_change(change: FloatArray, angles: Sequence[int]) -> FloatArray:
    """Returns (n, A) differences with those of angles brought into [-pi, pi); changes the array in place."""
    for entry in angles:
        change[:, entry] = (change[:, entry] + np.pi) % (2.0 * np.pi) - np.pi
    return change


def place(chunk: ArrivedChunk, align: Align, action: ActionSpec) -> PlacedRows:
    """Returns the actions of a chunk that can still act, by the rule ``align``.

    ``by_tick``: row i acts at tick k + ``first_row`` + i; rows whose tick has passed are left out. ``by_time``: the
    action of a tick is the chunk's value at the tick's instant, linear between rows, angles the short way round; row
    i stands for the instant (``first_row`` + i) action periods after the observation. A row of waypoints is the pose
    at its period's *end*, so there the tick's end counts, and up to one period ahead of row 0 the line through the
    first two rows is continued. ``restart``: row 0 acts on arrival.
    """
    if align is Align.BY_TIME:
        return _by_time(chunk, action)
    if align is Align.RESTART:
        return PlacedRows(chunk.install_tick, chunk.actions, range(len(chunk.actions)))
    skipped = max(chunk.delay_ticks - chunk.first_row, 0)
    first_tick = chunk.observation_tick + chunk.first_row + skipped
    return PlacedRows(first_tick, chunk.actions[skipped:], range(skipped, len(chunk.actions)))


def _by_time(chunk: ArrivedChunk, action: ActionSpec) -> PlacedRows:
    control_ns, action_ns = chunk.control_period_ns, chunk.action_period_ns
    count = len(chunk.actions)
    is_end_meant = action.hold is Hold.PLAN_THEN_STOP and count > 1
    # Instant, after the observation, at which the action of tick 0 is meant, and of row 0.
    tick_offset_ns = (control_ns if is_end_meant else 0) - chunk.observation_ns
    row_offset_ns = (chunk.first_row + (1 if is_end_meant else 0)) * action_ns
    earliest_ns = row_offset_ns - (action_ns - 1 if is_end_meant else 0)
    last_ns = row_offset_ns + (count - 1) * action_ns
    first_tick = max(chunk.install_tick, -((tick_offset_ns - earliest_ns) // control_ns))
    last_tick = (last_ns - tick_offset_ns) // control_ns
    ticks = np.arange(first_tick, last_tick + 1, dtype=np.int64)
    since_row_0_ns = ticks * control_ns + (tick_offset_ns - row_offset_ns)
    lower = np.clip(since_row_0_ns // action_ns, 0, max(count - 2, 0))
    fraction = (since_row_0_ns - lower * action_ns) / action_ns
    before = chunk.actions[lower]
    change = shortest_change(chunk.actions[np.minimum(lower + 1, count - 1)] - before, angle_entries(action))
    rows = np.minimum(lower + (fraction >= 1.0), count - 1)
    actions = before + fraction[:, None] * change
    # A tick that falls on a row takes that row's value as it is.
    is_exact = (fraction == 0.0) | (fraction == 1.0)
    actions[is_exact] = chunk.actions[rows[is_exact]]
    return PlacedRows(first_tick, actions, rows.tolist())
