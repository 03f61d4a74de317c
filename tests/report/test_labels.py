"""Labels in the summary, the Markdown, the JUnit file and the CSV file; distributions and traces in the page."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simloop.errors import LogError, PluginError
from simloop.preventability import ArmLabels, label_rows
from simloop.report.build import build_report
from simloop.report.criticality import criticality_panels
from simloop.report.episode_view import MAX_TRACE_POINTS, episode_view
from simloop.report.labels import impact_text, label_lines, label_text, labels_csv, preventable_fails
from simloop.report.labels import labels_by_episode as by_episode
from simloop.report.ticks import round_ticks
from simloop.store.row import EpisodeStatus
from simloop.traces import Trace, read_traces

REFERENCE = {"agents": ["careful"], "timing": "zero", "strategy": "paused"}


def row(agent: str, seed: int, impact_mps: float | None, status: str = "") -> dict[str, Any]:
    return {
        "episode_id": f"{agent}{seed}",
        "case_id": f"case{seed}",
        "scenario": "cut_in",
        "world": "driving",
        "agent": agent,
        "timing": "zero",
        "strategy": "paused",
        "seed": seed,
        "status": status or ("success" if impact_mps is None else "fail"),
        "reason": "" if impact_mps is None else "collision",
        "collision": impact_mps is not None,
        "impact_speed_mps": impact_mps,
        "parameters": json.dumps({"gap_m": 10.0 + seed, "side": "left"}),
    }


ROWS = [
    row("mine", 0, None), row("mine", 1, 4.0), row("mine", 2, 6.0), row("mine", 3, 2.0),
    row("mine", 4, None, "timeout"), row("careful", 0, None),
    row("careful", 1, None), row("careful", 2, None), row("careful", 3, 3.5),
    row("careful", 4, None), row("mine", 5, None, "fail") | {"reason": "off_road"}, row("careful", 5, None),
    row("mine", 6, None, "fail") | {"reason": "off_road"}, row("careful", 6, 2.0),
]  # fmt: skip


@pytest.fixture
def arm() -> ArmLabels:
    (found,) = label_rows(ROWS, REFERENCE)
    return found


def test_labels_in_a_line_with_their_grade(arm: ArmLabels) -> None:
    grade = "impact 1.50 m/s below that of the best reference agent (median of 1)"
    assert impact_text(arm) == grade
    assert label_text(arm) == f"1 pass, 3 preventable fail, 1 unpreventable, 2 without a label; {grade}"
    (none,) = label_rows(ROWS[:1] + ROWS[5:6], REFERENCE)
    assert label_text(none) == "1 pass, 0 preventable fail, 0 unpreventable"


def test_the_csv_file_has_a_line_a_case(arm: ArmLabels) -> None:
    lines = list(csv.DictReader(io.StringIO(labels_csv(ROWS, [arm]))))
    assert [(x["case_id"], x["label"], x["avoided_by"], x["impact_reduction_mps"]) for x in lines] == [
        ("case0", "pass", "careful", ""),
        ("case1", "preventable_fail", "careful", ""),
        ("case2", "preventable_fail", "careful", ""),
        ("case3", "unpreventable", "", "1.5000"),
        ("case5", "preventable_fail", "careful", ""),
    ]
    assert json.loads(lines[3]["parameters"]) == {"gap_m": 13.0, "side": "left"}


def test_preventable_fails_begin_with_the_hardest(arm: ArmLabels) -> None:
    found = preventable_fails(ROWS, by_episode(ROWS, [arm]))
    assert [(f["id"], f["reason"], f["impact"], f["avoided_by"], f["parameters"]) for f in found] == [
        ("mine2", "collision", 6.0, "careful", "gap_m 12, side left"),
        ("mine1", "collision", 4.0, "careful", "gap_m 11, side left"),
        ("mine5", "off_road", None, "careful", "gap_m 15, side left"),
    ]


@pytest.fixture(scope="module")
def judged_run(tmp_path_factory: pytest.TempPathFactory, make_run: Callable[..., Path]) -> Path:
    """20 cases that the unlearnt agent and the expert play; the expert judges."""
    return make_run(
        tmp_path_factory.mktemp("results") / "judged",
        seeds=20,
        scenarios=(("cut_in", "driving"),),
        agents=("expert", "unified_scratch"),
        strategies=("paused",),
        statuses=dict.fromkeys((0, 1, 60, 62, 63), (EpisodeStatus.FAIL, "collision"))
        | dict.fromkeys((2, 3, 61), (EpisodeStatus.SUCCESS, "goal_held")),
        parameters=lambda seed: {"gap_m": 10.0 + seed % 5, "speed_mps": 5.0 * (seed // 5)},
        criteria=({"preventable_fails": {"agent": "unified_scratch", "at_most": 0}},),
        reference={"agents": ["expert"], "timing": "zero", "strategy": "paused"},
        metric_thresholds={
            "jerk_rms_mps3": {"limits": {"comfort": 2.0}, "higher_is_better": False},
            "no_such_metric": {"limits": {"x": 1.0}, "higher_is_better": True},
        },
    )


def test_every_file_of_a_judged_run_has_the_labels(judged_run: Path) -> None:
    files = build_report(judged_run)
    assert files.verdict.exit_code == 1
    summary = json.loads(files.summary_json.read_text())["preventability"]
    assert summary["reference"]["agents"] == ["expert"]
    slow, fast = (
        next(a for a in summary["arms"] if (a["agent"], a["timing"]) == key)
        for key in (("expert", "xr0_4090"), ("unified_scratch", "zero"))
    )
    assert slow["num_labelled"] == 0 and slow["num_unlabelled"] == 20  # the expert does not judge itself
    (line,) = [
        x for x in label_lines(json.loads(files.summary_json.read_text())) if "unified_scratch / zero" in x
    ]
    assert line.startswith(f"cut_in / unified_scratch / zero / paused: {fast['num_pass']} pass, ")
    labels = list(csv.DictReader((judged_run / "labels.csv").open()))
    mine = {x["seed"]: x for x in labels if (x["agent"], x["timing"]) == ("unified_scratch", "zero")}
    assert fast["num_labelled"] == len(mine) == 20
    assert fast["num_avoidable"] == sum(bool(x["avoided_by"]) for x in mine.values()) < 20
    assert [mine[str(seed)]["label"] for seed in (0, 1, 2)] == ["unpreventable", "pass", "preventable_fail"]
    assert fast["num_unpreventable"] == sum(x["label"] == "unpreventable" for x in mine.values())
    text = files.summary_md.read_text()
    assert "## Preventability (judged by expert)" in text
    assert (
        f"| cut_in | unified_scratch | zero | paused | {fast['num_pass']} | {fast['num_preventable_fail']} |"
        in text
    )
    cases = ET.parse(files.junit_xml).getroot().iter("testcase")
    out = {c.get("name"): c.findtext("system-out") or "" for c in cases}
    assert (
        f"labels: {fast['num_pass']} pass, {fast['num_preventable_fail']} preventable fail"
        in (out["unified_scratch / zero / paused"])
    )
    assert "labels" not in out["expert / zero / paused"]
    page = files.report_html.read_text()
    assert "Would a competent driver have avoided it?" in page and "Verdicts over the parameters" in page
    assert "jerk_rms_mps3, cut_in" in page and "comfort: 2" in page
    assert len(list(judged_run.glob("heat_map_*.svg"))) == page.count('class="heat-map"') - 1


def test_distributions_end_at_their_thresholds_and_say_the_shares() -> None:
    values = np.linspace(0.0, 5.0, 101)
    rows = [
        {"scenario": "a", "agent": agent, "status": "success", "min_ttc_s": float(v + shift)}
        for agent, shift in (("mine", 0.0), ("other", 1.0))
        for v in values
    ]
    rows += [row | {"scenario": "flat", "min_ttc_s": 10.0} for row in rows]
    low = {"min_ttc_s": {"limits": {"serious": 1.5, "near": 3.0}, "higher_is_better": True}}
    (panel,) = criticality_panels(rows, low | {"pet_s": low["min_ttc_s"]}, ["mine", "other"])
    assert panel.title == "min_ttc_s, a"
    assert panel.shares == ("mine: 29.7% below 1.5, 59.4% below 3", "other: 9.9% below 1.5, 39.6% below 3")
    root = ET.fromstring(panel.svg)
    lines = [x for x in root.iter("{http://www.w3.org/2000/svg}line") if x.get("class") == "limit"]
    # The axis ends at the 99 % quantile, 5.9 s.
    span = 290 / float(np.percentile([r["min_ttc_s"] for r in rows if r["scenario"] == "a"], 99))
    assert [float(x.get("x1") or 0) for x in lines] == pytest.approx(
        [38 + 3.0 * span, 38 + 1.5 * span], abs=0.1
    )
    high = {"min_ttc_s": low["min_ttc_s"] | {"higher_is_better": False}}
    assert criticality_panels(rows, high, ["mine"])[0].shares == ("mine: 69.3% above 1.5, 39.6% above 3",)
    assert criticality_panels(rows[:4], low, ["mine"]) == []


@pytest.mark.parametrize(
    ("low", "high", "num", "expected"),
    [
        (0.0, 10.0, 5, [0, 2, 4, 6, 8, 10]),
        (0.5, 119.5, 5, [25, 50, 75, 100]),
        (-0.05, 1.75, 5, [0, 0.5, 1, 1.5]),
        (3.0, 3.0, 5, [3]),
        (-0.03, 0.03, 4, [-0.02, 0, 0.02]),
    ],
)
def test_ticks_are_round(low: float, high: float, num: int, expected: list[float]) -> None:
    assert round_ticks(low, high, num) == pytest.approx(expected)


def test_traces_are_thinned_and_keep_their_lowest_points(judged_run: Path) -> None:
    from simloop.store.run_store import RunStore

    store = RunStore.open_read_only(judged_run)
    row_ = next(r for r in store.read_rows().to_pylist() if r["has_log"])
    log = store.read_episode_log(row_["episode_id"])
    values = 3.0 + np.sin(np.arange(2000) / 50.0)
    values[777], values[100:120] = 0.123456, np.inf

    def traces(_: Any) -> list[Trace]:
        return [
            Trace(
                name="TTC",
                unit="s",
                t_ns=np.arange(2000) * 10_000_000,
                values=values,
                thresholds={"x": 1.5},
                ceiling=9.0,
            )
        ]

    (view,) = episode_view(log, {"driving": traces})["traces"]
    assert (view["name"], view["unit"], view["thresholds"], view["ceiling"]) == ("TTC", "s", {"x": 1.5}, 9.0)
    assert len(view["v"]) == len(view["t"]) <= MAX_TRACE_POINTS
    assert view["v"][view["t"].index(7770.0)] == 0.1235
    assert None in view["v"] and view["t"] == sorted(view["t"])
    assert episode_view(log)["traces"] == []


def test_what_is_no_trace_is_refused() -> None:
    bad = Trace(name="x", unit="s", t_ns=np.zeros(3, dtype=np.int64), values=np.zeros(2))
    for wrong in ("TTC", bad):
        with pytest.raises(
            PluginError, match=r"simloop.traces entry 'mine' returned .*; it must return Trace objects"
        ):
            read_traces(None, {"mine": lambda _, wrong=wrong: [wrong]})  # type: ignore[arg-type, misc]


def test_a_log_of_an_older_layout_has_no_traces(caplog: pytest.LogCaptureFixture) -> None:
    def old(_: Any) -> list[Trace]:
        raise LogError("Table 'world.actors' has no column 'station_m'")

    new = Trace(name="x", unit="s", t_ns=np.zeros(2, dtype=np.int64), values=np.zeros(2))
    assert read_traces(None, {"old": old, "new": lambda _: [new]}) == (new,)  # type: ignore[arg-type]
    assert "no traces of old: Table 'world.actors' has no column" in caplog.text
