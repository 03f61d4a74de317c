"""A metric without a value is said to have none, with every reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simloop.log import MOTION, EpisodeLog
from simloop.metrics.evaluate import evaluate
from simloop.metrics.metric import Metric, MetricValue
from simloop.plugins import load_metrics
from simloop.report.metric_gaps import metric_gaps, reasons_of
from simloop.report.verdict import judge
from tests.report.test_verdict import manifest, rows

JERK = "jerk_rms_mps3"
COARSE = "motion is sampled every 50 ms"
OTHER_WORLD = {"joint_path_rad": "the log has no table world.joints"}


def _without_jerk(text: str, why: str = COARSE, **reasons: str) -> list[dict[str, Any]]:
    return rows("a", text, jerk_rms_mps3=None, invalid_metrics=json.dumps({JERK: why, **reasons}))


class Divides(Metric):
    name = "divides"
    description = "Cannot be computed."

    def compute(self, log: EpisodeLog) -> MetricValue:
        return MetricValue(value=1.0 / 0.0)


def test_every_reason_is_listed_that_of_most_episodes_first() -> None:
    episodes = [
        *rows("a", "ss", invalid_metrics=json.dumps({"min_thw_s": "nobody ahead"})),
        *_without_jerk("sf", **OTHER_WORLD, min_thw_s="the ego stood"),
        *_without_jerk("i", min_thw_s="lost"),
        *_without_jerk("s"),
        *rows("a", "s"),
    ]
    assert [(gap.metric, gap.reason, gap.num_episodes) for gap in metric_gaps(episodes)] == [
        (JERK, COARSE, 3),
        ("min_thw_s", "nobody ahead", 2),
        ("min_thw_s", "the ego stood", 2),
    ]


def test_a_metric_that_raised_comes_before_harmless_reasons() -> None:
    raised = evaluate([Divides()], EpisodeLog.from_columns({}, {})).reasons["divides"]
    episodes = [
        *rows("a", "s" * 9, invalid_metrics=json.dumps({"divides": "no collision"})),
        *rows("a", "s", invalid_metrics=json.dumps({"divides": raised})),
    ]
    gaps = metric_gaps(episodes)
    assert [(gap.num_episodes, gap.is_error) for gap in gaps] == [(1, True), (9, False)]
    assert "ZeroDivisionError" in gaps[0].reason


def test_metrics_of_the_two_arm_world_are_no_gaps_of_a_log_of_another() -> None:
    columns = {
        "t_ns": [i * 10_000_000 for i in range(40)],
        "point": [0] * 40,
        "position_m": [(0.1 * i, 0.0, 0.0) for i in range(40)],
        "velocity_mps": [(10.0, 0.0, 0.0)] * 40,
    }
    log = EpisodeLog.from_columns(
        {"world.motion": MOTION}, {"world.motion": columns}, {"motion_points": ["ego"]}
    )
    metrics = [m for m in load_metrics() if type(m).__module__.startswith("simloop_bimanual")]
    found = evaluate(metrics, log)
    assert {"gripper_height_difference_m", "joint_path_rad"} <= found.reasons.keys()
    assert reasons_of(found.columns()) == {}


@pytest.mark.parametrize(
    ("episodes", "detail"),
    [
        (_without_jerk("sss"), f"no value of {JERK} in 3 episodes: {COARSE}"),
        (
            _without_jerk("ss", why="the log has no table world.motion"),
            f"no value of {JERK} in 2 episodes: the log has no table world.motion",
        ),
        (
            [*_without_jerk("ss"), *_without_jerk("s", why="the metric raised ValueError: no (jerk.py:1)")],
            f"no value of {JERK} in 3 episodes: the metric raised ValueError: no (jerk.py:1) (1); {COARSE} (2)",
        ),
        (
            [episode for n in range(5) for episode in _without_jerk("s", why=f"{n} samples")],
            f"no value of {JERK} in 5 episodes: 0 samples (1); 1 samples (1); 2 samples (1); and 2 other reasons",
        ),
        (_without_jerk("i"), f"no value of {JERK} in 1 episodes"),
    ],
)
def test_a_criterion_of_a_metric_without_a_value_is_not_judged_and_says_why(
    episodes: list[dict[str, Any]], detail: str
) -> None:
    verdict = judge(episodes, manifest({"metric": JERK, "statistic": "max", "at_most": 2.0}))
    assert [(c.state.value, c.detail) for c in verdict.criteria] == [("not judged", detail)]
    assert verdict.exit_code == 4
