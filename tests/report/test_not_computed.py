"""A metric without a value is said to have none, with the reason."""

from __future__ import annotations

import json
from typing import Any

from simloop.report.not_computed import not_computed
from simloop.report.verdict import judge
from tests.report.test_verdict import manifest, rows

JERK = "jerk_rms_mps3"
COARSE = "motion is sampled every 50 ms"


def _without_jerk(text: str, **reasons: str) -> list[dict[str, Any]]:
    return rows("a", text, jerk_rms_mps3=None, invalid_metrics=json.dumps({JERK: COARSE, **reasons}))


def test_metrics_are_listed_with_their_most_frequent_reason() -> None:
    of_other_worlds = {"joint_path_rad": "the log has no table world.joints"}
    episodes = [
        *rows("a", "ss", invalid_metrics=json.dumps({"min_thw_s": "nobody ahead"})),
        *_without_jerk("sf", **of_other_worlds, min_thw_s="the ego stood"),
        *_without_jerk("i", min_thw_s="lost"),
        *rows("a", "s"),
    ]
    listed = [(m.metric, m.num_episodes, m.reason, m.num_reasons) for m in not_computed(episodes)]
    assert listed == [("min_thw_s", 4, "nobody ahead", 2), (JERK, 2, COARSE, 1)]


def test_a_criterion_of_a_metric_without_a_value_is_not_judged_and_says_why() -> None:
    verdict = judge(_without_jerk("sss"), manifest({"metric": JERK, "statistic": "max", "at_most": 2.0}))
    assert [c.state.value for c in verdict.criteria] == ["not judged"]
    assert verdict.criteria[0].detail == f"no value of {JERK} in 3 episodes: not computed, {COARSE}"
    assert verdict.exit_code == 4
