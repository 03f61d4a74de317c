"""The verdict of a run, its summaries and its JUnit file."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from simloop.errors import ResultsError
from simloop.report.cells import cells
from simloop.report.junit import build_junit
from simloop.report.summary import build_markdown, build_summary, metric_names
from simloop.report.verdict import RunState, judge
from simloop.store.manifest import Manifest


def manifest(*criteria: dict[str, Any], num_planned: int = 0) -> Manifest:
    return Manifest(
        run_id="r1",
        suite="smoke",
        suite_digest="s",
        agents={"a": "1", "b": "2"},
        criteria=criteria,
        num_planned=num_planned,
        platform={},
        machine={},
    )


def rows(agent: str, text: str, **columns: Any) -> list[dict[str, Any]]:
    """One row a letter: s success, f fail, e agent_error, i infra_error, t timeout."""
    names = {"s": "success", "f": "fail", "e": "agent_error", "i": "infra_error", "t": "timeout"}
    return [
        {
            "episode_id": f"{agent}{i}",
            "case_id": f"case{i}",
            "status": names[letter],
            "reason": {"f": "collision", "e": "NaN action"}.get(letter, ""),
            "scenario": "cut_in",
            "world": "driving",
            "agent": agent,
            "timing": "zero",
            "strategy": "paused",
            "error_trace": "Traceback </failure>\x00" if letter in "ei" else "",
            "wall_s_wall": 0.5,
            "jerk_rms_mps3": None if letter in "eit" else float(i),
        }
        | columns
        for i, letter in enumerate(text)
    ]


ENDED = {"all_episodes_ended": True}
AT_LEAST = {"metric": "success", "agent": "a", "at_least": 0.75}
COMPARE = {"compare": ["a", "b"], "metric": "success", "test": "greater"}


@pytest.mark.parametrize(
    ("criteria", "episodes", "planned", "states", "exit_code"),
    [
        ([ENDED, AT_LEAST], rows("a", "sssf"), 4, ["pass", "pass"], 0),
        ([ENDED, AT_LEAST], rows("a", "ssff"), 4, ["pass", "fail"], 1),
        ([ENDED, AT_LEAST], rows("a", "ssse"), 4, ["fail", "pass"], 1),
        ([ENDED, AT_LEAST], rows("a", "sssi"), 4, ["fail", "pass"], 4),
        ([AT_LEAST], rows("a", "ssst"), 4, ["pass"], 4),
        ([ENDED, AT_LEAST], rows("a", "sss"), 4, ["fail", "pass"], 4),
        ([AT_LEAST], rows("b", "sss"), 3, ["not judged"], 4),
        ([COMPARE], rows("a", "ssssss") + rows("b", "ffffff"), 12, ["pass"], 0),
        ([COMPARE], rows("a", "ssss") + rows("b", "ffff"), 8, ["fail"], 1),
        ([COMPARE], rows("a", "sss"), 3, ["not judged"], 4),
        (
            [{"metric": "jerk_rms_mps3", "statistic": "max", "at_most": 2.0}],
            rows("a", "ssse"),
            4,
            ["pass"],
            0,
        ),
        (
            [{"metric": "jerk_rms_mps3", "statistic": "median", "at_most": 0.5}],
            rows("a", "sss"),
            3,
            ["fail"],
            1,
        ),
        ([], rows("a", "ff"), 2, [], 0),
    ],
)
def test_exit_code(
    criteria: list[dict[str, Any]],
    episodes: list[dict[str, Any]],
    planned: int,
    states: list[str],
    exit_code: int,
) -> None:
    verdict = judge(episodes, manifest(*criteria, num_planned=planned))
    assert [c.state.value for c in verdict.criteria] == states
    assert verdict.exit_code == exit_code
    assert verdict.num_recorded == len(episodes)


def test_the_numbers_behind_a_criterion_are_printed() -> None:
    got = judge(rows("a", "sssfi"), manifest(ENDED, AT_LEAST, num_planned=6))
    assert got.state is RunState.INCOMPLETE
    assert got.headline == (
        "1 planned episode not recorded; 1 episode lost to infrastructure; 1 of 2 criteria not passed."
    )
    assert got.criteria[0].detail == "1 infra_error, 1 not recorded"
    assert got.criteria[1].detail == "75.0 % (3/4, 95 % interval 30.1-95.4 %), 1 without a value"
    comparison = judge(rows("a", "ssssss") + rows("b", "ffffff"), manifest(COMPARE)).criteria[0]
    assert "6 against 0 discordant, exact McNemar p = 0.016" in comparison.detail


def test_per_scenario_one_bad_scenario_fails_the_criterion() -> None:
    episodes = rows("a", "ssss") + rows("a", "ffff", scenario="lead_deceleration")
    got = judge(episodes, manifest({**AT_LEAST, "at_least": 0.5, "per": "scenario"})).criteria[0]
    assert got.state.value == "fail"
    assert got.detail.startswith("cut_in: 100.0 %") and "lead_deceleration: 0.0 %" in got.detail
    assert judge(episodes, manifest({**AT_LEAST, "at_least": 0.5})).criteria[0].state.value == "pass"


def test_a_run_that_was_narrowed_is_not_held_to_what_it_left_out() -> None:
    narrowed = dataclasses.replace(manifest(ENDED, COMPARE), axes={"agent": ["a"], "timing": ["zero"]})
    got = judge(rows("a", "sf"), narrowed)
    assert [c.state.value for c in got.criteria] == ["pass", "not applicable"]
    assert got.criteria[1].detail == "this run has no agent b"
    assert got.headline == "The criterion passed; 1 more not applicable to this run."
    assert got.exit_code == 0
    assert b'<skipped message="this run has no agent b" />' in build_junit(rows("a", "sf"), narrowed, got)
    only = dataclasses.replace(narrowed, criteria=(COMPARE,))
    assert judge(rows("a", "sf"), only).headline == "None of the suite's criteria applies to this run."


def test_criteria_that_the_results_cannot_answer_are_errors() -> None:
    with pytest.raises(ResultsError, match="have no metric 'smoothness'"):
        judge(rows("a", "s"), manifest({"metric": "smoothness", "at_least": 0}))
    with pytest.raises(ResultsError, match="needs a metric of 0 and 1"):
        judge(rows("a", "sss"), manifest({"compare": ["a", "b"], "metric": "jerk_rms_mps3"}))
    with pytest.raises(ResultsError, match="a has two episodes of case case0"):
        judge(rows("a", "s") + rows("a", "f"), manifest(COMPARE))


def test_infrastructure_leaves_the_rate_but_not_the_text() -> None:
    (cell,) = cells(rows("a", "sssfii"), ("scenario", "agent"))
    assert cell.rate is not None and (cell.rate.successes, cell.rate.n, cell.num_unjudged) == (3, 4, 2)
    assert cell.rate_text().endswith("2 more not judged (infrastructure), 50.0 % of all 6")
    assert cells(rows("a", "ii"), ("agent",))[0].rate_text() == "no judged episode (2 infrastructure)"
    assert cell.reasons == {"collision": 1}


def test_summary_has_every_cell_and_no_episode_identity() -> None:
    episodes = rows("a", "ssf") + rows("b", "ffi")
    verdict = judge(episodes, manifest(AT_LEAST))
    text = json.dumps(build_summary(episodes, manifest(AT_LEAST), verdict), allow_nan=False)
    summary = json.loads(text)
    assert "episode_id" not in text and "episode_hash" not in text
    assert summary["verdict"]["state"] == "incomplete" and summary["verdict"]["exit_code"] == 4
    assert [(c["agent"], c["num_successes"], c["num_judged"]) for c in summary["cells"]] == [
        ("a", 2, 3),
        ("b", 0, 2),
    ]
    assert summary["cells"][0]["metrics"]["jerk_rms_mps3"] == {"mean": 1.0, "median": 1.0, "n": 3}
    assert metric_names(episodes) == ["jerk_rms_mps3"]


def test_markdown_escapes_names() -> None:
    episodes = rows("a", "sf", scenario="x|y<img>`")
    text = build_markdown(episodes, manifest(AT_LEAST), judge(episodes, manifest(AT_LEAST)))
    assert text.startswith("# smoke: FAIL\n")
    assert "x\\|y&lt;img>\\`" in text and "<img>" not in text
    assert "50.0 % (1/2, 95 % interval 9.5-90.5 %) | 1 collision |" in text


def test_junit_counts_cells_criteria_and_errors() -> None:
    episodes = rows("a", "ssf") + rows("b", "fei")
    root = ET.fromstring(build_junit(episodes, manifest(AT_LEAST), judge(episodes, manifest(AT_LEAST))))
    cell_suite, criteria_suite = root.findall("testsuite")
    assert (cell_suite.get("tests"), cell_suite.get("failures"), cell_suite.get("errors")) == ("2", "0", "1")
    assert (criteria_suite.get("tests"), criteria_suite.get("failures"), criteria_suite.get("errors")) == (
        "2",
        "1",
        "1",
    )
    first, second = cell_suite.findall("testcase")
    assert (first.get("classname"), first.get("name"), first.get("time")) == (
        "cut_in",
        "a / zero / paused",
        "1.500",
    )
    assert "66.7 % (2/3, 95 % interval 20.8-93.9 %)" in (first.findtext("system-out") or "")
    error = second.find("error")
    assert error is not None and error.get("message") == "2 of 3 episodes: agent_error: NaN action"
    assert (error.text or "").startswith("Traceback </failure>")


NO_PREVENTABLE = {"preventable_fails": {"agent": "a", "at_most": 0}}
REFERENCE = {"agents": ["b"], "timing": "zero", "strategy": "paused"}
_LABELLED_3 = "avoidable cases (3 labelled), judged by b"


def crash(agent: str, text: str) -> list[dict[str, Any]]:
    return [
        row | {"collision": row["status"] == "fail", "impact_speed_mps": 5.0} for row in rows(agent, text)
    ]


@pytest.mark.parametrize(
    ("mine", "judge_", "bound", "state", "detail"),
    [
        (
            "ssff",
            "ssff",
            {"at_most": 0},
            "pass",
            "0 preventable of 2 avoidable cases (4 labelled), judged by b",
        ),
        (
            "ssff",
            "sssf",
            {"at_most": 0},
            "fail",
            "1 preventable of 3 avoidable cases (4 labelled), judged by b",
        ),
        ("ssff", "sssf", {"at_most": 1}, "pass", "1 preventable of 3"),
        # The share is of what the judge avoids: 1 of 3, not of the 4 labelled cases.
        ("ssff", "sssf", {"at_most_ratio": 0.34}, "pass", "1 preventable of 3"),
        ("ssff", "sssf", {"at_most_ratio": 0.33}, "fail", "1 preventable of 3"),
        ("sfff", "fsff", {"at_most_ratio": 0.5}, "fail", "1 preventable of 1"),
        (
            "sff",
            "fff",
            {"at_most_ratio": 0.5},
            "not judged",
            "0 preventable of 0 avoidable cases (3 labelled)",
        ),
        ("sff", "fff", {"at_most": 0}, "pass", "0 preventable of 0"),
        ("ssft", "ssf", {"at_most": 0}, "pass", f"0 preventable of 2 {_LABELLED_3}, 1 without a label"),
        ("ssff", "ssfe", {"at_most": 0}, "pass", f"0 preventable of 2 {_LABELLED_3}, 1 without a label"),
        ("ssfe", "ssf", {"at_most": 0}, "fail", f"0 preventable of 2 {_LABELLED_3}, and 1 agent errors"),
        ("ssfe", "ssf", {"at_most_ratio": 0.34}, "pass", "0 preventable of 2"),
        ("ssfe", "ssf", {"at_most_ratio": 0.33}, "fail", "0 preventable of 2"),
        ("eei", "sss", {"at_most": 0}, "not judged", "no case that it and one of b have a result for"),
    ],
)
def test_preventable_fails_are_bounded(
    mine: str, judge_: str, bound: dict[str, Any], state: str, detail: str
) -> None:
    criterion = {"preventable_fails": {"agent": "a"} | bound}
    run = dataclasses.replace(manifest(criterion), reference=REFERENCE)
    (result,) = judge(crash("a", mine) + crash("b", judge_), run).criteria
    assert result.state.value == state
    assert result.detail.startswith(detail)


def test_without_reference_agents_preventable_fails_do_not_apply() -> None:
    (result,) = judge(crash("a", "sf"), manifest(NO_PREVENTABLE)).criteria
    assert (result.state.value, result.detail) == ("not applicable", "this run has no reference agents")


def _plays(agent: str, *texts: str) -> list[dict[str, Any]]:
    """One play of each case a text."""
    return [
        {**row, "repeat": number, "episode_id": f"{row['episode_id']}/{number}"}
        for number, text in enumerate(texts, 1)
        for row in rows(agent, text)
    ]


@pytest.mark.parametrize("num_plays", [1, 6])
def test_copies_of_a_play_move_no_bound_and_no_p_value(num_plays: int) -> None:
    played = [*_plays("a", *["ssssssff"] * num_plays), *_plays("b", *["sfffffff"] * num_plays)]
    threshold, comparison = judge(played, manifest(AT_LEAST, COMPARE)).criteria
    count = f"{6 * num_plays}/{8 * num_plays}" + (" plays of 8 cases" if num_plays > 1 else "")
    assert threshold.detail == f"75.0 % ({count}, 95 % interval 40.9-92.9 %)"
    once = judge([*rows("a", "ssssssff"), *rows("b", "sfffffff")], manifest(COMPARE)).criteria[0].detail
    assert comparison.detail.startswith("+62.5 points (95 % interval +13.9 to +83.1, n = 8 ")
    assert comparison.detail.partition(", n = ")[0] == once.partition(", n = ")[0]
    # One-sided, 5 discordant cases: 2**-5.
    assert "p = 0.031), needed p < 0.05" in comparison.detail


def test_a_mean_of_plays_says_of_how_many_cases_it_is() -> None:
    at_most = {"metric": "jerk_rms_mps3", "agent": "a", "at_most": 1.5}
    once, played = (
        judge(found, manifest(at_most)).criteria[0]
        for found in (rows("a", "ssss"), _plays("a", "ssss", "ssss"))
    )
    assert once.detail == "mean 1.5 (n = 4)"
    assert played.detail == "mean 1.5 (n = 8 plays of 4 cases)"


def test_the_same_play_twice_is_still_refused() -> None:
    with pytest.raises(ResultsError, match="a has two episodes of case case0"):
        judge([*_plays("a", "s"), *_plays("a", "s"), *_plays("b", "s")], manifest(COMPARE))
