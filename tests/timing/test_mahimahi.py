"""Mahimahi links against arithmetic done by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from simloop.errors import ParameterError
from simloop.timing.distribution import Constant
from simloop.timing.link import Link
from simloop.timing.link_config import link_from_config
from simloop.timing.mahimahi import MahimahiLink

MS = 1_000_000
KEY = (0, "case", "latency", "uplink")


def _link(*opportunities_ms: int, delay_ns: int = 0) -> Link:
    return MahimahiLink(opportunities_ms=opportunities_ms, delay=Constant(delay_ns)).make(KEY, 50 * MS)


@pytest.mark.parametrize(
    ("sent_ms", "payload_bytes", "arrives_ms"),
    [
        # Opportunities at 0, 5, 5, 10, then 10, 15, 15, 20, then 20, 25, ...
        (0, 1_500, 0),
        (0, 1_501, 5),
        (0, 4_500, 5),
        (0, 4_501, 10),
        (0, 6_001, 10),  # the last of the first round and the first of the second are both at 10
        (0, 7_501, 15),
        (1, 1, 5),
        (5, 3_000, 5),
        (5, 3_001, 10),
        (6, 3_000, 10),
        (6, 3_001, 15),
        (10, 3_000, 10),
        (10, 3_001, 15),
        (11, 1, 15),
        (1_000, 3_000, 1_000),  # 100 rounds later: the end of one and the beginning of the next
        (
            1_001,
            46_080,
            1_080,
        ),  # a camera frame needs 31: two at 1,005, four in each 10 ms from 1,010 on, 2 + 7 x 4 + 1
    ],
)
def test_a_message_arrives_with_its_last_byte(sent_ms: int, payload_bytes: int, arrives_ms: int) -> None:
    assert _link(0, 5, 5, 10).arrivals(0, sent_ms * MS, payload_bytes) == (arrives_ms * MS,)


def test_what_one_message_leaves_of_an_opportunity_is_the_next_ones() -> None:
    queue = _link(2, 4)
    assert queue.arrivals(0, 1 * MS, 1_000) == (2 * MS,)
    assert queue.arrivals(1, 2 * MS, 500) == (2 * MS,)  # the 500 bytes that were left, at the same instant
    assert queue.arrivals(2, 2 * MS, 1_600) == (6 * MS,)  # behind both: 1,500 at 4 ms, 100 at 6 ms
    assert queue.arrivals(3, 5 * MS, 1_400) == (6 * MS,)
    assert queue.arrivals(4, 5 * MS, 1) == (8 * MS,)
    assert queue.arrivals(5, 20 * MS, 1) == (20 * MS,)  # what was left before is wasted


def test_a_fixed_rate_is_one_line() -> None:
    link = _link(1)
    arrivals = [link.arrivals(k, k * 100 * MS, 15_000)[0] - k * 100 * MS for k in range(1, 5)]
    # Ten opportunities, the first at the instant of sending.
    assert arrivals == [9 * MS] * 4
    model = MahimahiLink(opportunities_ms=(1,))
    assert model.rate_bps == 12e6
    assert model.mean_ns(15_000) == 9.5 * MS
    assert link.has_memory
    assert link.constant_ns is None
    assert model.without_losses() is model


def test_a_propagation_delay_comes_on_top() -> None:
    assert _link(0, 5, 5, 10, delay_ns=7 * MS + 1).arrivals(0, 6 * MS, 1_500) == (17 * MS + 1,)


def test_a_random_phase_moves_the_start_and_nothing_else() -> None:
    trace = (0, 5, 5, 10)
    model = MahimahiLink(opportunities_ms=trace, random_phase=True)
    firsts = []
    for case in range(40):
        link = model.make((0, case, "uplink"), 50 * MS)
        instants = [link.arrivals(k, k * 100 * MS, 1)[0] for k in range(20)]
        phase = instants[0]
        assert 0 <= phase < 5 * MS
        assert all(t - k * 100 * MS == phase for k, t in enumerate(instants))
        firsts.append(phase)
        again = model.make((0, case, "uplink"), 50 * MS)
        assert again.arrivals(0, 0, 1) == (phase,)
    assert len(set(firsts)) == 40


def test_a_trace_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "cell.up"
    file.write_text("0\n5\n5\n10\n")
    assert link_from_config({"mahimahi": str(file)}, "x") == MahimahiLink(opportunities_ms=(0, 5, 5, 10))


@pytest.mark.parametrize("opportunities", [(), (0,), (0, 0), (-1, 5), (5, 3)])
def test_a_trace_ascends_and_ends_after_zero(opportunities: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match=r"allowed: ascending milliseconds >= 0, the last one > 0"):
        MahimahiLink(opportunities_ms=opportunities)
