"""A draw depends on which event it is for and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simloop.randomness import BLOCK_SIZE, FloatArray, IndexedStream, PrefixedKeys, generator, stream_key


def _normal(g: np.random.Generator, count: int) -> FloatArray:
    return g.standard_normal(count)


def _wasteful(g: np.random.Generator, count: int) -> FloatArray:
    """Draws that leave half a 32-bit word and a part of the buffer behind."""
    g.integers(0, 3, size=5, dtype=np.uint32)
    return g.random(count)


@pytest.mark.parametrize("draw", [_normal, _wasteful])
@given(indices=st.lists(st.integers(0, 5 * BLOCK_SIZE), max_size=30))
def test_draws_do_not_depend_on_the_order_of_access(draw: object, indices: list[int]) -> None:
    assert callable(draw)
    key = stream_key(3, "case", "latency", "inference")
    in_order = IndexedStream(key, draw)
    reference = [in_order[i] for i in range(5 * BLOCK_SIZE + 1)]
    other = IndexedStream(key, draw)
    assert [other[i] for i in indices] == [reference[i] for i in indices]


def test_a_block_is_what_the_keyed_generator_draws() -> None:
    key = stream_key("a", 1)
    stream = IndexedStream(key, _normal)
    for number in (2, 0, 7, 0):
        expected = generator(key, number).standard_normal(BLOCK_SIZE)
        assert [stream[number * BLOCK_SIZE + i] for i in range(BLOCK_SIZE)] == expected.tolist()


def test_the_generator_is_numpys_philox_with_that_key_and_counter() -> None:
    key = stream_key("x")
    bits = np.random.Philox(key=np.array(key, dtype=np.uint64), counter=5 << 192)
    assert (
        generator(key, 5).integers(2**63, size=8).tolist()
        == np.random.Generator(bits).integers(2**63, size=8).tolist()
    )


def test_streams_of_different_names_are_independent() -> None:
    columns = []
    for name in ("a", "b", "ab"):
        stream = IndexedStream(stream_key(0, "case", name), _normal)
        columns.append([stream[i] for i in range(4000)])
    for values in columns:
        assert stats.kstest(values, "norm").pvalue > 1e-3
    correlation = np.corrcoef(columns)
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 0.06


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc"), ("ab", "c")),
        ((1, 2), (12,)),
        ((1, "a"), (2, "a")),
        (("a", ""), ("a",)),
        (("x", 1), (1, "x")),
    ],
)
def test_different_parts_give_different_keys(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert stream_key(*one) != stream_key(*other)
    assert stream_key(*one) == stream_key(*one)
    assert all(0 <= word < 2**64 for word in stream_key(*one))


def test_events_are_numbered_from_zero() -> None:
    with pytest.raises(IndexError, match="numbered from 0; got -1"):
        IndexedStream(stream_key("a"), _normal)[-1]


@pytest.mark.parametrize("parts", [(0, "case", "agent"), ("",), (-7, "a\x1fb", 2.5)])
@pytest.mark.parametrize("last", [0, 1, 12345, "name", ""])
def test_prefixed_keys_are_the_keys_of_all_parts(parts: tuple[object, ...], last: object) -> None:
    assert PrefixedKeys(*parts)[last] == stream_key(*parts, last)
