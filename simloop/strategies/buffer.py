"""The action buffer: world-frame actions by absolute control tick, each with its chunk and row.

It has two layers. The base layer holds what chunks plan; a blending strategy mixes the rows of several chunks in it.
The overlay holds corrections of the base layer, which act in its stead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simloop.agent import Call

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NO_REQUEST = -1


@dataclass(slots=True, kw_only=True, eq=False)
class ArrivedChunk:
    """A chunk that has arrived, ready to be installed; a value, not frozen because that would double its cost.

    Attributes:
        request: Number of the request that it answers.
        observation_tick: Control tick k of the observation.
        install_tick: First control tick at which it is usable.
        actions: (m, A) in the world frame; row i was planned for tick k + ``first_row`` + i.
        call: The call that it answers.
        first_row: Chunk row of ``actions[0]``; positive if the agent rolled its state over committed actions.
        predicted_delay_ticks: d-hat when it was asked for.
        arrival_ns: Instant of its arrival.
        observation_ns: Instant of the anchor item's capture.
        action_period_ns: Time between two rows.
        control_period_ns: Time between two control ticks.
        base_request: Request whose chunk a correction corrects; ``NO_REQUEST`` for other calls.
    """

    request: int
    observation_tick: int
    install_tick: int
    actions: FloatArray
    call: Call = Call.POLICY
    first_row: int = 0
    predicted_delay_ticks: int = 0
    arrival_ns: int = 0
    observation_ns: int = 0
    action_period_ns: int = 1
    control_period_ns: int = 1
    base_request: int = NO_REQUEST

    @property
    def delay_ticks(self) -> int:
        """Realised delay d, counted: install tick minus observation tick."""
        return self.install_tick - self.observation_tick


class PlacedRows(NamedTuple):
    """Actions for consecutive control ticks.

    Attributes:
        first_tick: Tick of the first one.
        actions: (n, A) in the world frame, one a tick.
        rows: Row of the chunk that each stands for; of interpolated ones the earlier of the two.
    """

    first_tick: int
    actions: FloatArray
    rows: Sequence[int]


class ActionBuffer:
    """Actions by absolute control tick; past ticks keep what was planned for them.

    Args:
        action_size: Entries A of one action.
    """

    __slots__ = (
        "_actions",
        "_blended",
        "_corrections",
        "_corrections_end",
        "_end",
        "_gapless_from",
        "_overlay",
        "_requests",
        "_rows",
        "live",
    )

    def __init__(self, action_size: int) -> None:
        capacity = 512
        self._actions: FloatArray = np.zeros((capacity, action_size))
        self._blended: IntArray = np.zeros(capacity, dtype=np.int64)
        self._requests = [NO_REQUEST] * capacity
        self._rows = [NO_REQUEST] * capacity
        self._overlay: FloatArray | None = None
        self._corrections: list[int] = []
        self._corrections_end = 0
        self._end = 0
        self._gapless_from = 0
        self.live: list[ArrivedChunk] = []
        """Chunks that a blending strategy keeps, oldest observation first."""

    @property
    def end(self) -> int:
        """First tick behind the last planned action."""
        return self._end

    def _grow(self, length: int) -> None:
        while length > len(self._requests):
            self._actions = np.concatenate([self._actions, np.zeros_like(self._actions)])
            self._blended = np.concatenate([self._blended, np.zeros_like(self._blended)])
            blank = [NO_REQUEST] * len(self._requests)
            self._requests += blank
            self._rows += blank
            if self._overlay is not None:
                self._overlay = np.concatenate([self._overlay, np.zeros_like(self._overlay)])
                self._corrections += blank

    # --- writing ---------------------------------------------------------------------------------------------

    def write(self, request: int, placed: PlacedRows, *, num_blended: IntArray | int = 1) -> None:
        """Replaces everything planned from ``placed.first_tick`` on.

        Args:
            request: Request whose chunk the actions come from.
            placed: The actions; without any, what was planned is only cut off.
            num_blended: How many chunks each action is made of, (n,) or one number for all.
        """
        first_tick, actions, rows = placed
        count = len(actions)
        last = first_tick + count
        if last > len(self._requests):
            self._grow(last)
        if count and first_tick > self._end:
            self._gapless_from = first_tick
        if last < self._end:
            self._requests[last : self._end] = [NO_REQUEST] * (self._end - last)
        self._actions[first_tick:last] = actions
        self._blended[first_tick:last] = num_blended
        self._requests[first_tick:last] = [request] * count
        self._rows[first_tick:last] = rows
        self._end = last if count else min(self._end, first_tick)
        if self._corrections_end > first_tick:
            self._drop_corrections(first_tick)

    def correct(self, request: int, placed: PlacedRows, base_request: int) -> None:
        """Lays corrections over the base layer, where that still comes from the chunk that was corrected.

        Args:
            request: Request that the corrections answer.
            placed: The corrected actions; earlier corrections from their first tick on are dropped.
            base_request: Request whose chunk was corrected.
        """
        self._drop_corrections(placed.first_tick)
        planned = self._requests[placed.first_tick : min(placed.first_tick + len(placed.actions), self._end)]
        count = planned.count(base_request)
        if not count:
            return
        # What one chunk plans is contiguous, for a write replaces everything from its first tick on.
        skipped = planned.index(base_request)
        first_tick, last = placed.first_tick + skipped, placed.first_tick + skipped + count
        if self._overlay is None:
            self._overlay = np.zeros_like(self._actions)
            self._corrections = [NO_REQUEST] * len(self._requests)
        self._overlay[first_tick:last] = placed.actions[skipped : skipped + count]
        self._corrections[first_tick:last] = [request] * count
        self._corrections_end = last

    def _drop_corrections(self, first_tick: int) -> None:
        count = self._corrections_end - first_tick
        if count > 0:
            self._corrections[first_tick : self._corrections_end] = [NO_REQUEST] * count
            self._corrections_end = first_tick

    # --- reading ---------------------------------------------------------------------------------------------

    def action(self, tick: int) -> FloatArray:
        """Returns a copy of the (A,) action that acts at ``tick``: the correction if there is one."""
        if tick < self._corrections_end and self._overlay is not None and self._corrections[tick] >= 0:
            corrected: FloatArray = self._overlay[tick].copy()
            return corrected
        planned: FloatArray = self._actions[tick].copy()
        return planned

    def provenance(self, tick: int) -> tuple[int, int]:
        """Returns (request, row) of the base action of ``tick``, or (NO_REQUEST, NO_REQUEST) if there is none.

        Of a blended action it is the chunk that was blended in last.
        """
        if tick >= self._end or self._requests[tick] == NO_REQUEST:
            return NO_REQUEST, NO_REQUEST
        return self._requests[tick], self._rows[tick]

    def correction(self, tick: int) -> int:
        """Returns the request whose correction acts at ``tick``, or NO_REQUEST."""
        return self._corrections[tick] if tick < self._corrections_end else NO_REQUEST

    def num_blended(self, tick: int) -> int:
        """Returns how many chunks the base action of ``tick`` is made of; 0 if there is none."""
        if tick >= self._end or self._requests[tick] == NO_REQUEST:
            return 0
        return int(self._blended[tick])

    def acting(self, tick: int) -> tuple[int, int, int, int, FloatArray] | None:
        """Returns what acts at ``tick``: request, row, correction, number of blended chunks and a copy of the action.

        They are those of ``provenance``, ``correction``, ``num_blended`` and ``action``, at less than half the cost;
        None if nothing is planned.
        """
        if tick >= self._end:
            return None
        request = self._requests[tick]
        if request == NO_REQUEST:
            return None
        correction = NO_REQUEST
        actions = self._actions
        if tick < self._corrections_end and self._overlay is not None:
            correction = self._corrections[tick]
            if correction != NO_REQUEST:
                actions = self._overlay
        return request, self._rows[tick], correction, self._blended.item(tick), actions[tick].copy()

    def blended_counts(self, first_tick: int, count: int) -> IntArray:
        """Returns ``num_blended`` of ``count`` planned ticks, (count,) int64."""
        return self._blended[first_tick : first_tick + count].copy()

    def is_planned_by(self, request: int, tick: int) -> bool:
        """Whether an action that acts at ``tick`` or later comes from the chunk of ``request``."""
        # What was just installed is what is planned last: no need to look through the rest.
        if self._end > tick and self._requests[self._end - 1] == request:
            return True
        return request in self._requests[tick : self._end] or (
            tick < self._corrections_end and request in self._corrections[tick : self._corrections_end]
        )

    def committed(self, first_tick: int, count: int) -> FloatArray:
        """Returns the actions that act from ``first_tick`` on, at most ``count``, up to the first gap: (n, A)."""
        planned = self.base(first_tick, count)
        if first_tick < self._corrections_end and self._overlay is not None:
            stop = min(first_tick + len(planned), self._corrections_end)
            is_corrected = np.array(self._corrections[first_tick:stop], dtype=np.int64) >= 0
            planned[: len(is_corrected)][is_corrected] = self._overlay[first_tick:stop][is_corrected]
        return planned

    def base(self, first_tick: int, count: int) -> FloatArray:
        """Returns the uncorrected actions from ``first_tick`` on, at most ``count``, up to the first gap: (n, A)."""
        stop = min(first_tick + count, self._end)
        requests = self._requests[first_tick:stop]
        if NO_REQUEST in requests:
            stop = first_tick + requests.index(NO_REQUEST)
        return self._actions[first_tick : max(stop, first_tick)].copy()

    def remaining(self, tick: int) -> int:
        """Number of actions planned without a gap from ``tick`` on."""
        if tick >= self._gapless_from:
            return max(self._end - tick, 0)
        return len(self.base(tick, self._end - tick))
