"""The action buffer against a plain dictionary of tick to (request, row)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simloop.strategies.buffer import NO_REQUEST, ActionBuffer, ArrivedChunk, PlacedRows


def _placed(request: int, first_tick: int, first_row: int = 0, num_rows: int = 6) -> PlacedRows:
    """Rows of a chunk of six; row i of request r is 100 r + i in both entries."""
    rows = range(6)[first_row : first_row + max(num_rows, 0)]
    actions = 100.0 * request + np.array(rows, dtype=np.float64)[:, None] * np.ones((1, 2))
    return PlacedRows(first_tick, actions, rows)


def test_the_delay_is_counted() -> None:
    chunk = ArrivedChunk(request=0, observation_tick=3, install_tick=8, actions=np.zeros((6, 2)))
    assert chunk.delay_ticks == 5


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8), st.integers(-1, 8)), min_size=1, max_size=12)
)
def test_writes_replace_everything_from_their_tick_on(writes: list[tuple[int, int, int]]) -> None:
    buffer = ActionBuffer(2)
    plan: dict[int, tuple[int, int]] = {}
    for request, (first_tick, first_row, num_rows) in enumerate(writes):
        buffer.write(request, _placed(request, first_tick, first_row, num_rows))
        rows = list(range(6))[first_row : first_row + max(num_rows, 0)]
        plan = {tick: planned for tick, planned in plan.items() if tick < first_tick}
        plan |= {first_tick + n: (request, row) for n, row in enumerate(rows)}
    assert buffer.end == max(buffer.end, max(plan, default=-1) + 1)
    for tick in range(45):
        request, row = plan.get(tick, (NO_REQUEST, NO_REQUEST))
        assert buffer.provenance(tick) == (request, row)
        assert buffer.is_planned_by(7, tick) == any(plan[t][0] == 7 for t in plan if t >= tick)
        assert buffer.num_blended(tick) == (tick in plan)
        remaining = 0
        while tick + remaining in plan:
            remaining += 1
        assert buffer.remaining(tick) == remaining
        for count in (0, 1, 4, 100):
            committed = buffer.committed(tick, count)
            expected = [100.0 * plan[tick + n][0] + plan[tick + n][1] for n in range(min(count, remaining))]
            assert committed[:, 0].tolist() == expected
        acting = buffer.acting(tick)
        assert (acting is None) == (tick not in plan)
        if acting is not None:
            assert buffer.action(tick).tolist() == [100.0 * request + row] * 2
            assert acting[:4] == (request, row, NO_REQUEST, 1)
            assert acting[4].tolist() == [100.0 * request + row] * 2


def test_what_is_handed_out_is_a_copy() -> None:
    buffer = ActionBuffer(2)
    placed = _placed(1, 0)
    buffer.write(1, placed)
    buffer.correct(2, _placed(2, 0, num_rows=1), 1)
    buffer.action(0)[:] = -1
    buffer.action(1)[:] = -1
    for tick, expected in ((0, (1, 0, 2, 1)), (1, (1, 1, NO_REQUEST, 1))):
        acting = buffer.acting(tick)
        assert acting is not None
        assert acting[:4] == expected
        acting[4][:] = -1
    buffer.committed(0, 3)[:] = -1
    buffer.base(0, 3)[:] = -1
    buffer.blended_counts(0, 3)[:] = -1
    placed.actions[:] = -1
    assert buffer.base(0, 6)[:, 0].tolist() == [100.0, 101.0, 102.0, 103.0, 104.0, 105.0]
    assert buffer.committed(0, 2)[:, 0].tolist() == [200.0, 101.0]
    assert buffer.blended_counts(0, 3).tolist() == [1, 1, 1]


@pytest.mark.parametrize("tick", [511, 512, 513, 5000])
def test_it_grows(tick: int) -> None:
    buffer = ActionBuffer(2)
    buffer.write(0, _placed(0, 0))
    buffer.correct(3, _placed(3, 1, num_rows=1), 0)
    buffer.write(1, _placed(1, tick, 2, 3), num_blended=np.array([3, 2, 1]))
    buffer.correct(4, _placed(4, tick, num_rows=2), 1)
    assert buffer.provenance(2) == (0, 2)
    assert [buffer.provenance(t) for t in range(tick, tick + 4)] == [
        (1, 2),
        (1, 3),
        (1, 4),
        (NO_REQUEST, NO_REQUEST),
    ]
    assert [buffer.num_blended(t) for t in range(tick, tick + 4)] == [3, 2, 1, 0]
    assert [buffer.correction(t) for t in (0, 1, tick, tick + 1, tick + 2)] == [-1, 3, 4, 4, -1]
    assert [buffer.action(t)[0] for t in (0, 1, tick, tick + 2)] == [0.0, 300.0, 400.0, 104.0]
    assert buffer.end == tick + 3


def test_a_correction_lies_only_over_the_chunk_that_it_corrects() -> None:
    buffer = ActionBuffer(2)
    buffer.write(0, _placed(0, 0))
    buffer.write(1, _placed(1, 4, 1))  # ticks 0-3: request 0; 4-8: request 1
    buffer.correct(2, _placed(2, 2), 0)
    buffer.correct(3, _placed(3, 3), 9)
    assert [buffer.correction(t) for t in range(10)] == [-1, -1, 2] + [-1] * 7
    buffer.correct(4, _placed(4, 2), 1)
    assert [buffer.correction(t) for t in range(10)] == [-1] * 4 + [4] * 4 + [-1] * 2
    assert [buffer.action(t)[0] for t in range(3, 9)] == [3.0, 402.0, 403.0, 404.0, 405.0, 105.0]
    assert [buffer.provenance(t)[0] for t in range(3, 6)] == [0, 1, 1]
    assert buffer.base(3, 3)[:, 0].tolist() == [3.0, 101.0, 102.0]
    assert buffer.committed(3, 3)[:, 0].tolist() == [3.0, 402.0, 403.0]
    assert buffer.is_planned_by(4, 7)
    assert not buffer.is_planned_by(4, 8)


def test_a_new_chunk_takes_the_corrections_of_its_ticks_away() -> None:
    buffer = ActionBuffer(2)
    buffer.write(0, _placed(0, 0))
    buffer.correct(1, _placed(1, 0), 0)
    buffer.write(2, _placed(2, 3))
    assert [buffer.correction(t) for t in range(6)] == [1, 1, 1, -1, -1, -1]
    assert [buffer.action(t)[0] for t in range(5)] == [100.0, 101.0, 102.0, 200.0, 201.0]
