"""Event order and rounding, against a plain sort and against fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simloop.clock import EventQueue, Phase, ceil_to

EVENTS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(list(Phase)), st.integers(0, 2)), max_size=40)


@given(EVENTS)
def test_events_come_by_instant_phase_stream_and_then_in_the_order_they_were_made(
    events: list[tuple[int, Phase, int]],
) -> None:
    queue = EventQueue()
    for number, (t_ns, phase, stream) in enumerate(events):
        queue.schedule(t_ns, phase, stream, number)
    assert len(queue) == len(events)
    popped = [queue.pop() for _ in events]
    expected = sorted((t, int(p), s, n) for n, (t, p, s) in enumerate(events))
    assert [(t, p, s, payload) for t, p, s, _, payload in popped] == expected
    assert len(queue) == 0


def test_the_phases_are_in_the_published_order() -> None:
    published = (
        "PHYSICS_DONE < CAPTURE < TRANSPORT_DONE < TRIGGER < PREPROCESS_DONE < UPLINK_DONE < INFERENCE_DONE < DELIVER "
        "< CONTROL_TICK < ACTUATION_EFFECT < PHYSICS_START"
    )
    assert [phase.name for phase in sorted(Phase)] == published.split(" < ")


@pytest.mark.parametrize(
    ("t_ns", "phase"),
    [
        (99, Phase.PHYSICS_START),
        (100, Phase.CAPTURE),
        (100, Phase.TRIGGER),
        (0, Phase.PHYSICS_DONE),
        (-1, Phase.DELIVER),
    ],
)
def test_nothing_is_scheduled_in_the_past_or_in_the_same_phase(t_ns: int, phase: Phase) -> None:
    queue = EventQueue()
    queue.schedule(100, Phase.TRIGGER, 0)
    queue.pop()
    with pytest.raises(
        ValueError, match=rf"event at {t_ns} ns in phase {int(phase)} is not after the present \(100 ns"
    ):
        queue.schedule(t_ns, phase, 0)
    queue.schedule(100, Phase.PREPROCESS_DONE, 0)
    queue.schedule(101, Phase.PHYSICS_DONE, 0)
    assert [queue.pop()[0] for _ in range(2)] == [100, 101]


def test_an_empty_queue_has_nothing_to_pop() -> None:
    with pytest.raises(IndexError, match="index out of range"):
        EventQueue().pop()


@given(st.integers(-(10**18), 10**18), st.integers(1, 10**10))
def test_rounding_is_exact_in_whole_nanoseconds(t_ns: int, period_ns: int) -> None:
    ratio = Fraction(t_ns, period_ns)
    assert ceil_to(t_ns, period_ns) == math.ceil(ratio) * period_ns
