"""The action buffer against a plain dictionary of tick to (request, row)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simloop.strategies.buffer import NO_REQUEST, ActionBuffer, ArrivedChunk


def _chunk(
    request: int, *, length: int = 6, observation_tick: int = 0, install_tick: int = 0
) -> ArrivedChunk:
    actions = 100.0 * request + np.arange(length)[:, None] * np.ones((1, 2))
    return ArrivedChunk(
        request=request, observation_tick=observation_tick, install_tick=install_tick, actions=actions
    )


def test_the_delay_is_counted() -> None:
    assert _chunk(0, observation_tick=3, install_tick=8).delay_ticks == 5


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8), st.integers(-1, 8)), min_size=1, max_size=12)
)
def test_writes_replace_everything_from_their_tick_on(writes: list[tuple[int, int, int]]) -> None:
    buffer = ActionBuffer(2)
    plan: dict[int, tuple[int, int]] = {}
    for request, (first_tick, first_row, num_rows) in enumerate(writes):
        buffer.write(_chunk(request), first_tick=first_tick, first_row=first_row, num_rows=num_rows)
        rows = list(range(6))[first_row : first_row + max(num_rows, 0)]
        plan = {tick: planned for tick, planned in plan.items() if tick < first_tick}
        plan |= {first_tick + n: (request, row) for n, row in enumerate(rows)}
    assert buffer.end == max(buffer.end, max(plan, default=-1) + 1)
    for tick in range(45):
        request, row = plan.get(tick, (NO_REQUEST, NO_REQUEST))
        assert buffer.provenance(tick) == (request, row)
        assert buffer.is_planned_by(7, tick) == (request == 7)
        remaining = 0
        while tick + remaining in plan:
            remaining += 1
        assert buffer.remaining(tick) == remaining
        for count in (0, 1, 4, 100):
            committed = buffer.committed(tick, count)
            expected = [100.0 * plan[tick + n][0] + plan[tick + n][1] for n in range(min(count, remaining))]
            assert committed[:, 0].tolist() == expected
        if tick in plan:
            assert buffer.action(tick).tolist() == [100.0 * request + row] * 2


def test_what_is_handed_out_is_a_copy() -> None:
    buffer = ActionBuffer(2)
    chunk = _chunk(1)
    buffer.write(chunk, first_tick=0, first_row=0, num_rows=6)
    buffer.action(0)[:] = -1
    buffer.committed(0, 3)[:] = -1
    chunk.actions[:] = -1
    assert buffer.committed(0, 6)[:, 0].tolist() == [100.0, 101.0, 102.0, 103.0, 104.0, 105.0]


@pytest.mark.parametrize("tick", [511, 512, 513, 5000])
def test_it_grows(tick: int) -> None:
    buffer = ActionBuffer(2)
    buffer.write(_chunk(0), first_tick=0, first_row=0, num_rows=6)
    buffer.write(_chunk(1), first_tick=tick, first_row=2, num_rows=3)
    assert buffer.provenance(2) == (0, 2)
    assert [buffer.provenance(t) for t in range(tick, tick + 4)] == [
        (1, 2),
        (1, 3),
        (1, 4),
        (NO_REQUEST, NO_REQUEST),
    ]
    assert buffer.end == tick + 3
