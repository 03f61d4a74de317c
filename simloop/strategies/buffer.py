"""The action buffer: world-frame actions by absolute control tick, each with its chunk and row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

NO_REQUEST = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrivedChunk:
    """A chunk that has arrived, ready to be installed.

    Attributes:
        request: Number of the request that it answers.
        observation_tick: Control tick k of the observation; row i was planned for tick k + i.
        install_tick: First control tick at which it is usable.
        actions: (H, A) in the world frame.
    """

    request: int
    observation_tick: int
    install_tick: int
    actions: FloatArray

    @property
    def delay_ticks(self) -> int:
        """Realised delay d, counted: install tick minus observation tick."""
        return self.install_tick - self.observation_tick


class ActionBuffer:
    """Actions by absolute control tick; past ticks keep what was planned for them.

    Args:
        action_size: Entries A of one action.
    """

    __slots__ = ("_actions", "_end", "_gapless_from", "_requests", "_rows")

    def __init__(self, action_size: int) -> None:
        capacity = 512
        self._actions: FloatArray = np.zeros((capacity, action_size))
        self._requests = [NO_REQUEST] * capacity
        self._rows = [NO_REQUEST] * capacity
        self._end = 0
        self._gapless_from = 0

    @property
    def end(self) -> int:
        """First tick behind the last planned action."""
        return self._end

    def _grow(self, length: int) -> None:
        while length > len(self._requests):
            self._actions = np.concatenate([self._actions, np.zeros_like(self._actions)])
            blank = [NO_REQUEST] * len(self._requests)
            self._requests += blank
            self._rows += blank

    def write(self, chunk: ArrivedChunk, *, first_tick: int, first_row: int, num_rows: int) -> None:
        """Replaces everything planned from ``first_tick`` on by ``num_rows`` rows of a chunk.

        Args:
            chunk: The chunk.
            first_tick: Tick at which its row ``first_row`` acts.
            first_row: First row that is used.
            num_rows: How many rows are used; fewer if the chunk ends before.
        """
        rows = chunk.actions[first_row : first_row + max(num_rows, 0)]
        last = first_tick + len(rows)
        self._grow(last)
        if len(rows) and first_tick > self._end:
            self._gapless_from = first_tick
        self._requests[last : self._end] = [NO_REQUEST] * max(self._end - last, 0)
        self._actions[first_tick:last] = rows
        self._requests[first_tick:last] = [chunk.request] * len(rows)
        self._rows[first_tick:last] = range(first_row, first_row + len(rows))
        self._end = last if len(rows) else min(self._end, first_tick)

    def action(self, tick: int) -> FloatArray:
        """Returns a copy of the (A,) action planned for ``tick``."""
        planned: FloatArray = self._actions[tick].copy()
        return planned

    def provenance(self, tick: int) -> tuple[int, int]:
        """Returns (request, row) of the action planned for ``tick``, or (NO_REQUEST, NO_REQUEST) if there is none."""
        if tick >= self._end or self._requests[tick] == NO_REQUEST:
            return NO_REQUEST, NO_REQUEST
        return self._requests[tick], self._rows[tick]

    def is_planned_by(self, request: int, tick: int) -> bool:
        """Whether the action planned for ``tick`` comes from the chunk of ``request``."""
        return tick < self._end and self._requests[tick] == request

    def committed(self, first_tick: int, count: int) -> FloatArray:
        """Returns the actions planned for ``first_tick`` on, at most ``count``, up to the first gap: (n, A)."""
        stop = min(first_tick + count, self._end)
        requests = self._requests[first_tick:stop]
        if NO_REQUEST in requests:
            stop = first_tick + requests.index(NO_REQUEST)
        return self._actions[first_tick : max(stop, first_tick)].copy()

    def remaining(self, tick: int) -> int:
        """Number of actions planned without a gap from ``tick`` on."""
        if tick >= self._gapless_from:
            return max(self._end - tick, 0)
        return len(self.committed(tick, self._end - tick))
