"""Metrics of the loop's own tables and of contacts, on logs small enough to check by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from simloop.errors import ConfigurationError
from simloop.log import EpisodeLog
from simloop.loop_tables import loop_schemas
from simloop.metrics.core_metrics import core_metrics
from simloop.metrics.evaluate import check_unique, evaluate, metric_versions, unevaluated
from simloop.metrics.metric import Metric, MetricValue
from simloop.metrics.starvation import longest_streak

TICK_NS = 50_000_000
Values = Any


def table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {name: [row[i] for row in rows] for i, name in enumerate(columns)}


def outcomes(*states: tuple[str, bool]) -> dict[str, list[Any]]:
    return table(
        ("tick", "t_ns", "state", "reason", "stage", "is_goal_met"),
        [(i, (i + 1) * TICK_NS, state, "", 0, met) for i, (state, met) in enumerate(states)],
    )


def ticks(rows: list[tuple[int, tuple[float, float], int]]) -> dict[str, list[Any]]:
    """Rows of (request or -1 for a hold, action, action age in ms)."""
    instants = [i * TICK_NS for i in range(len(rows))]
    return {
        "t_ns": instants,
        "effect_ns": instants,
        "request": [request for request, _, _ in rows],
        "row": [i if request >= 0 else -1 for i, (request, _, _) in enumerate(rows)],
        "is_hold": [request < 0 for request, _, _ in rows],
        "action": [action for _, action, _ in rows],
        "action_age_ns": [age_ms * 1_000_000 if request >= 0 else -1 for request, _, age_ms in rows],
    }


def inferences(rows: list[tuple[int, int, int, str]], *, num_free: int = 0) -> dict[str, list[Any]]:
    """Rows of (start_ns, realised or -1, predicted, state); the first ``num_free`` cost nothing."""
    return {
        "start_ns": [r[0] for r in rows],
        "realised_delay_ticks": [r[1] for r in rows],
        "predicted_delay_ticks": [r[2] for r in rows],
        "deliver_ns": [r[0] + r[1] * TICK_NS if r[1] >= 0 else -1 for r in rows],
        "is_free": [i < num_free for i in range(len(rows))],
        "state": [r[3] for r in rows],
    }


def chunks(executed: list[bool]) -> dict[str, list[Any]]:
    names = ("request", "row", "tick", "action", "is_executed")
    return table(names, [(0, i, i, (0.0, 0.0), flag) for i, flag in enumerate(executed)])


def contacts(*rows: tuple[str, bool, float]) -> dict[str, list[Any]]:
    names = ("t_ns", "class_pair", "is_collision", "impact_speed_mps", "is_at_fault", "duration_s")
    return table(names, [(i, pair, flag, value, flag, 0.1) for i, (pair, flag, value) in enumerate(rows)])


@pytest.mark.parametrize(
    ("states", "once", "at_end", "held"),
    [
        ([("running", False), ("running", True), ("success", True)], 1.0, 1.0, 1.0),
        ([("running", True), ("fail", False)], 1.0, 0.0, 0.0),
        ([("running", False), ("fail", True)], 1.0, 1.0, 0.0),
        ([("running", False), ("fail", False)], 0.0, 0.0, 0.0),
    ],
)
def test_three_meanings_of_success(
    values: Values, states: Any, once: float, at_end: float, held: float
) -> None:
    got, _ = values(outcomes=outcomes(*states))
    assert (got["success_once"], got["success_at_end"], got["success_held"]) == (once, at_end, held)
    assert got["episode_length_s"] == pytest.approx(len(states) * 0.05)


def test_collisions_leave_out_allowed_contacts(values: Values) -> None:
    got, _ = values(
        contacts=contacts(("pot-table", False, 9.0), ("ego-car", True, 3.0), ("ego-car", True, 5.0))
    )
    assert (got["collision"], got["num_collisions"], got["impact_speed_mps"]) == (1.0, 2.0, 5.0)
    got, why = values(contacts=contacts(("pot-table", False, 9.0)))
    assert (got["collision"], got["num_collisions"], got["impact_speed_mps"]) == (0.0, 0.0, None)
    assert why["impact_speed_mps"] == "no collision"


def test_boundary_jump_is_scaled_by_the_range_and_wraps_angles(values: Values) -> None:
    # Steps by hand: hold; 0.1/2 within; seam of 0.8/2; 0.1/2 within; seam of 2 pi - 6.2 in yaw over 6.
    rows = [
        (-1, (9.0, 0.0), 0),
        (0, (0.0, 3.1), 0),
        (0, (0.1, 3.1), 0),
        (1, (0.9, 3.1), 0),
        (1, (1.0, 3.1), 0),
        (2, (1.0, -3.1), 0),
    ]
    got, _ = values(ticks=ticks(rows))
    wrapped = (2.0 * np.pi - 6.2) / 6.0
    assert got["boundary_jump"] == pytest.approx((0.4 + wrapped) / 2.0)
    assert got["boundary_jump_max"] == pytest.approx(0.4)
    assert got["boundary_jump_ratio"] == pytest.approx((0.4 + wrapped) / 2.0 / 0.05)
    # Steps to a hold count nowhere: four steps remain.
    assert got["action_variation_within"] == pytest.approx((0.05 + 0.05) / 4)
    assert got["action_variation_seam"] == pytest.approx((0.4 + wrapped) / 4)


def test_action_variation_adds_the_entries(values: Values) -> None:
    got, why = values(ticks=ticks([(0, (0.0, 0.0), 0), (0, (0.5, -1.5), 0)]))
    assert got["action_variation_within"] == pytest.approx(0.5 / 2.0 + 1.5 / 6.0)
    assert got["action_variation_seam"] == 0.0
    _, why = values(ticks=ticks([(-1, (0.0, 0.0), 0), (-1, (0.5, 0.0), 0)]))
    assert "no chunk acted" in why["action_variation_within"]


def test_boundary_jump_says_why_it_is_missing(values: Values) -> None:
    one_chunk = ticks([(0, (0.0, 0.0), 0), (0, (0.1, 0.0), 0)])
    assert values(ticks=one_chunk)[1]["boundary_jump"] == "no chunk took over from another"
    assert "bounds" in values({}, ticks=one_chunk)[1]["boundary_jump"]
    still = ticks([(0, (0.0, 0.0), 0), (0, (0.0, 0.0), 0), (1, (1.0, 0.0), 0)])
    assert "does not change" in values(ticks=still)[1]["boundary_jump_ratio"]


def test_starvation_and_action_age(values: Values) -> None:
    rows = [(-1, (0.0, 0.0), 0)] * 3 + [(0, (0.0, 0.0), 100), (-1, (0.0, 0.0), 0), (1, (0.0, 0.0), 200)]
    got, _ = values(ticks=ticks(rows))
    assert got["starvation_s"] == pytest.approx(4 * 0.05)
    assert got["starvation_longest_s"] == pytest.approx(3 * 0.05)
    assert got["action_age_mean_ms"] == pytest.approx(150.0)
    assert got["action_age_p95_ms"] == pytest.approx(195.0)
    assert got["action_age_max_ms"] == pytest.approx(200.0)


@pytest.mark.parametrize(
    ("flags", "expected"), [([], 0), ([0, 0], 0), ([1], 1), ([1, 1, 0, 1], 2), ([0, 1, 1, 1], 3)]
)
def test_longest_streak(flags: list[int], expected: int) -> None:
    assert longest_streak(np.array(flags, dtype=bool)) == expected


def test_delays_count_every_delivered_chunk_but_the_free_one(values: Values) -> None:
    rows = [
        (0, 0, 0, "installed"),
        (0, 2, 2, "installed"),
        (1, 4, 2, "installed"),
        (2, 9, 1, "stale_dropped"),
        (3, 41, 3, "elapsed"),
        (-1, -1, 2, "queue_dropped"),
        (4, -1, 2, "in_flight"),
    ]
    got, _ = values(inferences=inferences(rows, num_free=1))
    # d: 2, 4, 9, 41; error: 0, 2, 8, 38. The 95th percentile lies 0.85 of the way from the third to the fourth.
    assert (got["realised_delay_mean_ticks"], got["realised_delay_max_ticks"]) == (14.0, 41.0)
    assert got["realised_delay_p95_ticks"] == pytest.approx(9 + 0.85 * 32)
    assert (got["delay_error_mean_ticks"], got["delay_overrun_ratio"]) == (12.0, 0.75)
    assert got["delay_error_p95_ticks"] == pytest.approx(8 + 0.85 * 30)
    assert (got["num_inferences"], got["num_dropped_observations"], got["num_discarded_chunks"]) == (
        6.0,
        1.0,
        2.0,
    )


def test_a_free_chunk_alone_has_no_delay(values: Values) -> None:
    _, why = values(inferences=inferences([(0, 0, 0, "installed"), (1, -1, 2, "in_flight")], num_free=1))
    expected = "no chunk was delivered, the free first one aside"
    assert (why["realised_delay_mean_ticks"], why["latency_p50_ms"]) == (expected, expected)


def test_latency_percentiles_of_a_ramp_and_of_an_exponential(values: Values) -> None:
    """A ramp of 0, 1, ..., 100 ms has percentile p at p ms; exponential quantiles lie at -ln(1 - p) of the mean."""

    def percentiles(latency_ns: np.ndarray[Any, Any]) -> list[Any]:
        count = len(latency_ns)
        columns = inferences(
            [(0, 0, 0, "installed")] * count + [(0, 7, 0, "installed"), (0, -1, 0, "in_flight")]
        )
        # Behind them a free chunk, and one that never arrives.
        captured_ns = np.arange(count) * TICK_NS
        columns["anchor_captured_at_ns"] = [*captured_ns.tolist(), 0, 0]
        columns["deliver_ns"] = [*(captured_ns + latency_ns).tolist(), 900 * TICK_NS, -1]
        columns["is_free"] = [False] * count + [True, False]
        got, _ = values(inferences=columns)
        return [got[f"latency_p{p}_ms"] for p in (50, 95, 99)]

    ramp_ns = np.random.default_rng(1).permutation(101) * 1_000_000
    assert percentiles(ramp_ns) == pytest.approx([50.0, 95.0, 99.0])
    share = (np.arange(20_000) + 0.5) / 20_000
    exponential_ns = np.round(-np.log1p(-share) * 80e6).astype(np.int64)
    expected_ms = [80 * np.log(2), 80 * np.log(20), 80 * np.log(100)]
    assert percentiles(exponential_ns) == pytest.approx(expected_ms, rel=1e-3)


def test_wasted_actions(values: Values) -> None:
    assert values(chunks=chunks([True, True, True, False]))[0]["wasted_action_ratio"] == pytest.approx(0.25)
    assert values()[1]["wasted_action_ratio"] == "no chunk was predicted"


def test_every_metric_of_an_empty_log_has_a_value_or_a_reason() -> None:
    log = EpisodeLog.from_columns({}, {})
    result = evaluate(core_metrics(), log)
    assert set(result.values) == {m.name for m in core_metrics()}
    assert all((result.values[n] is None) == (n in result.reasons) for n in result.values)
    assert json.loads(str(result.columns()["invalid_metrics"])) == result.reasons


class _Broken(Metric):
    name = "broken"
    description = "Always raises."
    version = 3

    def compute(self, log: EpisodeLog) -> MetricValue:
        raise ZeroDivisionError("by hand")


def test_a_metric_that_raises_is_recorded_and_the_others_are_computed() -> None:
    log = EpisodeLog.from_columns(loop_schemas(2), {"outcomes": outcomes(("success", True))})
    result = evaluate((*core_metrics(), _Broken()), log)
    assert result.values["broken"] is None
    assert result.reasons["broken"].startswith(
        "the metric raised ZeroDivisionError: by hand (test_loop_metrics.py:"
    )
    assert result.values["success_held"] == 1.0


def test_names_are_unique_and_versions_enter_the_text() -> None:
    with pytest.raises(ConfigurationError, match="Two metrics are named 'broken'"):
        check_unique([_Broken(), _Broken()])
    assert metric_versions([_Broken(), core_metrics()[0]]) == "broken:3,success_once:1"
    assert unevaluated([_Broken()], "the world raised").columns()["broken"] is None
