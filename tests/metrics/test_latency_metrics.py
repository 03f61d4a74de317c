"""Metrics of delay, age, loss and load, on logs small enough to check by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simloop.errors import LogError
from simloop.metrics.behavioural_reaction import behavioural_reaction_ms
from simloop.metrics.information_age import age_of_information_ms
from simloop.metrics.metric import MetricValue
from simloop.metrics.reaction import ReactionProfile, reaction_ms, reaction_profile
from simloop.metrics.reduction import percentile

MS = 1_000_000
TICK_NS = 50 * MS
Values = Any
LogOf = Any


def ended(at_ms: int) -> dict[str, list[Any]]:
    return {"t_ns": [at_ms * MS], "state": ["fail"]}


def acted(captures_and_effects_ms: list[tuple[int, int]]) -> dict[str, list[Any]]:
    """Control ticks by (capture of the anchor item, effect) in ms; a negative capture is a hold."""
    return {
        "effect_ns": [e * MS for _, e in captures_and_effects_ms],
        "action_age_ns": [(e - c) * MS if c >= 0 else -1 for c, e in captures_and_effects_ms],
        "is_hold": [c < 0 for c, _ in captures_and_effects_ms],
        "t_ns": [e * MS for _, e in captures_and_effects_ms],
    }


@pytest.mark.parametrize("percent", [0.0, 37.0, 50.0, 95.0, 99.0, 100.0])
@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_percentiles_are_numpys(size: int, percent: float) -> None:
    sample = np.random.default_rng(size).standard_normal(size)
    assert percentile(sample, percent) == np.percentile(sample, percent)


def test_reaction_by_hand(log_of: LogOf) -> None:
    # Captures at 0, 100, 300 ms take effect from 50, 250, 320 ms on; an event in (0, 100] is answered at 250.
    log = log_of(
        ticks=acted([(0, 50), (-1, 100), (0, 200), (100, 250), (300, 320), (100, 330)]), inferences=ONE
    )
    assert [reaction_ms(log, e * MS) for e in (0, 1, 100, 101, 300)] == pytest.approx([50, 249, 150, 219, 20])
    assert reaction_ms(log, 301 * MS) is None
    profile = reaction_profile(log)
    assert isinstance(profile, ReactionProfile)
    # 100 ms of events with 150..250 and 200 ms with 20..220: mean (100 * 200 + 200 * 120) / 300.
    assert profile.mean_ms() == pytest.approx(44_000 / 300)
    # Densities: 1 on 20..150, 2 on 150..220, 1 on 220..250; 130, 270, 300 ms of events lie below their ends.
    expected = {0.0: 20.0, 0.1: 50.0, 130 / 300: 150.0, 0.5: 160.0, 0.9: 220.0, 0.95: 235.0, 1.0: 250.0}
    assert {q: profile.quantile_ms(q) for q in expected} == pytest.approx(expected)


ONE = {"anchor_captured_at_ns": [0]}


def test_reaction_agrees_with_sampled_events(log_of: LogOf, values: Values) -> None:
    generator = np.random.default_rng(4)
    captures = np.sort(generator.integers(0, 5_000, 60))
    ticks = acted(
        [(int(c), int(c) + int(d)) for c, d in zip(captures, generator.integers(30, 400, 60), strict=True)]
    )
    log = log_of(ticks=ticks, inferences=ONE)
    events = generator.uniform(captures[0], captures[-1], 20_000)
    sampled = np.array([reaction_ms(log, int(e * MS)) for e in events])
    got, _ = values(ticks=ticks, inferences=ONE)
    error = 4 * sampled.std() / np.sqrt(len(sampled))
    assert got["reaction_mean_ms"] == pytest.approx(sampled.mean(), abs=error)
    for percent in (50, 95, 99):
        assert got[f"reaction_p{percent}_ms"] == pytest.approx(np.percentile(sampled, percent), rel=0.03)


def test_a_correction_reacts_by_its_own_observation(log_of: LogOf) -> None:
    ticks = acted([(0, 50), (0, 100), (0, 150)]) | {"correction": [-1, 1, 2]}
    log = log_of(ticks=ticks, inferences={"anchor_captured_at_ns": [0, 90 * MS, 130 * MS]})
    assert [reaction_ms(log, e * MS) for e in (0, 90, 91)] == pytest.approx([50, 10, 59])


def test_reaction_says_why_it_is_missing(values: Values) -> None:
    _, why = values(ticks=acted([(0, 50), (0, 100)]), inferences=ONE)
    assert why["reaction_mean_ms"] == why["reaction_p99_ms"] == "fewer than two observations were acted upon"
    assert why["event_reaction_ms"] == "the world names no event"


def test_what_takes_effect_after_the_end_answers_nothing(log_of: LogOf) -> None:
    log = log_of(ticks=acted([(0, 50), (100, 150), (200, 250)]), inferences=ONE, outcomes=ended(200))
    assert reaction_ms(log, 100 * MS) == pytest.approx(50)
    assert reaction_ms(log, 101 * MS) is None


def test_events_that_the_world_names(values: Values) -> None:
    ticks = acted([(0, 50), (100, 150), (200, 250)])
    got, _ = values({"event_ns": [0, 150 * MS]}, ticks=ticks, inferences=ONE)
    assert got["event_reaction_ms"] == pytest.approx((50 + 100) / 2)
    assert values({"event_ns": 10 * MS}, ticks=ticks, inferences=ONE)[0][
        "event_reaction_ms"
    ] == pytest.approx(140)
    _, why = values({"event_ns": [0, 201 * MS]}, ticks=ticks, inferences=ONE)
    assert why["event_reaction_ms"] == "1 of 2 events unanswered"


def test_behavioural_reaction_is_the_first_difference_from_the_twin(log_of: LogOf) -> None:
    effects = {"effect_ns": [0, 50 * MS, 100 * MS, 150 * MS]}
    twin = log_of(ticks=effects | {"action": [(0.0, 0.0)] * 4})
    log = log_of(ticks=effects | {"action": [(0.0, 0.0), (0.001, 0.0), (0.5, 0.0), (0.9, 0.0)]})
    assert behavioural_reaction_ms(log, twin, 20 * MS) == pytest.approx(30)
    assert behavioural_reaction_ms(log, twin, 20 * MS, tolerance=0.01) == pytest.approx(80)
    assert behavioural_reaction_ms(log, twin, 120 * MS) == pytest.approx(30)
    assert behavioural_reaction_ms(twin, twin, 0) is None
    with pytest.raises(LogError, match="with bounds for 0 entries"):
        behavioural_reaction_ms(log_of({}, ticks=effects), twin, 0)


def test_age_of_information_of_a_regular_sensor() -> None:
    """Items every T that take D have a mean age of D + T / 2 and a peak of D + T (Kaul et al., INFOCOM 2012)."""
    captured = np.arange(40) * 20 * MS
    mean, peak = age_of_information_ms(captured, captured + 65 * MS, int(captured[-1]) + 85 * MS)
    assert (mean, peak) == pytest.approx((65 + 10, 65 + 20))


def test_age_of_information_ignores_what_was_overtaken(values: Values) -> None:
    sensors = {
        "sensor_kinds": {"front": "camera", "rear": "camera", "state": "proprioception", "ground": "objects"}
    }
    rows = [
        ("front", 0, 10),
        ("front", 20, 80),
        ("front", 40, 60),
        ("front", 90, -1),
        ("rear", 0, 0),
        ("state", 0, 0),
        ("state", 50, 100),
    ]
    got, why = values(
        sensors,
        captures={
            "sensor": [r[0] for r in rows],
            "captured_at_ns": [r[1] * MS for r in rows],
            "delivered_at_ns": [r[2] * MS if r[2] >= 0 else -1 for r in rows],
        },
        outcomes=ended(100),
    )
    # Rear: age t over 0..100. Front: 10..60 at 10..60, 20..60 after; the item of 20 ms arrived behind that of 40 ms.
    assert got["information_age_camera_mean_ms"] == pytest.approx(50)
    assert got["information_age_camera_peak_ms"] == pytest.approx(100)
    # An item that arrives at the very end does not count.
    assert got["information_age_proprioception_peak_ms"] == pytest.approx(100)
    assert why["information_age_objects_mean_ms"] == "no sensor of kind objects delivered an item"
    front = np.array([[0, 10], [20, 80], [40, 60]]) * MS
    mean, peak = age_of_information_ms(front[:, 0], front[:, 1], 100 * MS)
    assert (mean, peak) == pytest.approx(((50 * 35 + 40 * 40) / 90, 60))


def test_holds_before_the_first_plan_and_after_an_elapsed_one_are_told_apart(values: Values) -> None:
    holds = [True, True, False, True, False, False, True, True, False, False]
    got, _ = values(ticks={"is_hold": holds})
    names = ("stale_action_ratio", "stale_unplanned_ratio", "stale_elapsed_ratio")
    assert [got[n] for n in names] == pytest.approx([0.5, 0.2, 0.3])
    got, _ = values(ticks={"is_hold": [True] * 4})
    assert [got[n] for n in names] == [1.0, 1.0, 0.0]
    assert values()[1]["stale_action_ratio"] == "no control tick"


def test_deadline_misses_are_chunks_after_a_starved_tick(values: Values) -> None:
    holds = [True, True, False, False, True, True, False, True, False, False]
    ticks = {"is_hold": holds, "t_ns": [i * TICK_NS for i in range(10)]}
    # The first chunk has no deadline. Arrivals just before tick 6 and exactly at tick 8 miss theirs; the one exactly
    # at tick 4 meets its own.
    delivered = [2 * TICK_NS - 1, 4 * TICK_NS, 6 * TICK_NS - 1, 8 * TICK_NS, 9 * TICK_NS]
    rows = {"deliver_ns": [*delivered, -1], "is_free": [False] * 6}
    got, _ = values(ticks=ticks, inferences=rows)
    assert (got["deadline_miss_ratio"], got["deadline_miss_longest"]) == (0.4, 2.0)
    contexts = rows | {"call": ["context"] * 6}
    assert values(ticks=ticks, inferences=contexts)[1]["deadline_miss_ratio"].startswith(
        "no chunk was delivered"
    )


def test_mode_switches_are_jumps_above_what_a_chunk_does_itself(values: Values) -> None:
    gain = np.concatenate([np.arange(50) * 0.01, 0.8 + np.arange(50) * 0.01, 1.30 + np.arange(50) * 0.01])
    request = np.repeat([0, 1, 2], 50)
    got, _ = values(
        ticks={"action": np.stack([gain, 0 * gain], axis=1), "request": request, "is_hold": [False] * 150}
    )
    # Steps within: 0.01 each; the seams jump by 0.31 and 0.01 (up to rounding).
    assert got["mode_switch_ratio"] == 0.5
    lone = {"action": [(0.0, 0.0), (0.1, 0.0)], "request": [0, 1], "is_hold": [False] * 2}
    assert "two control ticks in a row" in values(ticks=lone)[1]["mode_switch_ratio"]


def test_accelerator_load(values: Values) -> None:
    # Busy 0..40, 20..60 (both at once) and 90..100 (under way at the end): 70 of 100 ms, 90 server ms.
    rows = {
        "start_ns": [20 * MS, 0, 90 * MS, -1],
        "done_ns": [60 * MS, 40 * MS, -1, -1],
        "arrived_ns": [5 * MS, 0, 90 * MS, 95 * MS],
    }
    got, why = values(inferences=rows, outcomes=ended(100))
    assert got["accelerator_utilisation"] == pytest.approx(0.7)
    assert got["mean_running_inferences"] == pytest.approx(0.9)
    assert [got[f"queue_wait_{k}_ms"] for k in ("mean", "max")] == pytest.approx([5, 15])
    assert got["inference_hz"] == pytest.approx(2 / 0.1)
    idle, why = values(inferences={"start_ns": [-1], "arrived_ns": [-1]}, outcomes=ended(100))
    assert (idle["accelerator_utilisation"], idle["mean_running_inferences"]) == (0.0, 0.0)
    assert why["queue_wait_mean_ms"] == "no request waited for an accelerator, the free first one aside"


def test_utilisation_agrees_with_a_fine_grid(values: Values) -> None:
    generator = np.random.default_rng(2)
    start = generator.integers(0, 950, 30)
    done = start + generator.integers(1, 60, 30)
    grid = np.zeros(1000, dtype=bool)
    for begin, end in zip(start, done, strict=True):
        grid[begin:end] = True
    rows = {"start_ns": start * MS, "done_ns": done * MS, "arrived_ns": start * MS}
    assert values(inferences=rows, outcomes=ended(1000))[0]["accelerator_utilisation"] == pytest.approx(
        grid.mean()
    )


def test_losses_and_drops(values: Values) -> None:
    captures = {"is_dropped": [True, False, False, True], "is_lost": [False, True, False, False]}
    states = ["uplink_lost", "downlink_lost", "downlink_lost", "installed", "queue_dropped", "in_flight"]
    got, _ = values(
        captures=captures, inferences={"state": states, "sent_ns": [0, 0, 0, 0, 0, -1], "start_ns": [-1] * 6}
    )
    names = ("num_dropped_captures", "num_lost_captures", "num_uplink_lost", "num_downlink_lost")
    assert [got[n] for n in names] == [2.0, 1.0, 1.0, 2.0]
    assert got["num_dropped_observations"] == 1.0
    assert got["link_loss_ratio"] == pytest.approx(3 / 5)
    assert values(inferences={"sent_ns": [-1]})[1]["link_loss_ratio"] == "no request was sent"


def test_discarded_and_lost_chunks_waste_what_they_predicted(values: Values) -> None:
    states = [
        "installed",
        "stale_dropped",
        "overrun_discarded",
        "too_old",
        "downlink_lost",
        "in_flight",
        "delivered",
    ]
    calls = ["policy"] * 6 + ["context"]
    rows = {"state": states, "done_ns": [1, 1, 1, 1, 1, -1, 1], "call": calls}
    played = {"request": [0] * 8, "row": list(range(8)), "is_executed": [True] * 6 + [False] * 2}
    got, _ = values(inferences=rows, chunks=played)
    # Four finished chunks of 8 actions never came to be played.
    assert got["wasted_action_ratio"] == pytest.approx(1 - 6 / (8 + 4 * 8))
    assert got["num_discarded_chunks"] == 3.0


def test_control_rate_and_jitter(values: Values) -> None:
    ticks = {"action_age_ns": [5, -1, 5, 5], "late_ns": [0, 2 * MS, 0, 4 * MS], "effect_ns": [0, -1, 0, 0]}
    got, _ = values(ticks=ticks, outcomes=ended(200))
    assert got["effective_control_hz"] == pytest.approx(15.0)
    assert (got["control_lateness_mean_ms"], got["control_lateness_max_ms"]) == pytest.approx((1.5, 4.0))


def test_quantisation(values: Values) -> None:
    got, _ = values(
        ticks={"quantisation_ns": [0, 3 * MS, -1]},
        captures={"t_ns": [10 * MS, 25 * MS], "captured_at_ns": [10 * MS, 20 * MS]},
    )
    names = [f"{what}_quantisation_{kind}_ms" for what in ("effect", "capture") for kind in ("mean", "max")]
    assert [got[n] for n in names] == pytest.approx([1.5, 3.0, 2.5, 5.0])


def test_context_age(values: Values) -> None:
    got, why = values(inferences={"context_age_ns": [-1, 100 * MS, 300 * MS]})
    assert (got["context_age_mean_ms"], got["context_age_max_ms"]) == pytest.approx((200, 300))
    assert why.get("context_age_mean_ms") is None
    assert (
        values(inferences={"context_age_ns": [-1]})[1]["context_age_mean_ms"]
        == "no request carried a context"
    )


def test_a_profile_of_nothing_is_invalid(log_of: LogOf) -> None:
    assert isinstance(reaction_profile(log_of(ticks={"action_age_ns": [-1]}, inferences=ONE)), MetricValue)
