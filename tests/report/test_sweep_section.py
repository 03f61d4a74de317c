"""The section of a sweep in the page: curves that a keyboard reaches, conditions, escaped names, no network."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from simloop.report.sweep_charts import curve_svg
from simloop.report.sweep_tables import sweep_groups
from simloop.stats.latency_slope import latency_slope
from simloop.stats.median import median
from simloop.stats.rate import wilson
from simloop.stats.tolerated_latency import tolerated_latency
from simloop.sweep.axis import LATENCY
from simloop.sweep.curves import Curve, CurvePoint, Rise
from simloop.sweep.results import CauseSummary, CriticalSummary, ReactionSummary, SweepResult

HOSTILE = '<script>alert("x")</script>'
LATENCIES = (0.0, 100.0, 200.0)


def curve(strategy: str, successes: tuple[int, ...]) -> Curve:
    points = tuple(
        CurvePoint(
            level=ms,
            latency_ticks=int(ms // 50),
            execution_horizon=4,
            rate=wilson(count, 20) if count >= 0 else None,
            num_lost=0,
            num_missing=0 if count >= 0 else 20,
            to_first=None,
            p_holm=None,
            to_start=None,
            metrics={},
            delay_ticks=(2.0, 3.0, 5.0) if count >= 0 else None,
        )
        for ms, count in zip(LATENCIES, successes, strict=True)
    )
    rates = [p.rate.rate for p in points if p.rate]
    is_whole = len(rates) == len(points)
    return Curve(
        scenario="fork",
        agent=HOSTILE,
        strategy=strategy,
        points=points,
        reference_rate=1.0,
        mean_success=0.5,
        area=0.5,
        l95=tolerated_latency(LATENCIES, rates) if is_whole else None,
        l95_conservative=None,
        slope=latency_slope(LATENCIES, rates, [20] * 3) if is_whole else None,
        rises=(Rise(start=0.0, end=100.0, p_value=0.001),),
    )


@pytest.fixture
def result() -> SweepResult:
    key = ("fork", HOSTILE, "naive")
    return SweepResult(
        definition={
            "timing": "zero",
            "overrides": [["timing.servers", "0"]],
            "execution_horizon": "max(d,1)",
            "first_seed": 0,
            "num_seeds": 20,
            "metrics": [],
            "critical_tolerance_ms": 10.0,
            "num_causes": 4,
            "twin_tolerance_ratio": 0.02,
        },
        facts=[
            {
                "scenario": "fork",
                "agent": HOSTILE,
                "horizon": 8,
                "control_period_ms": 50.0,
                "hold": "null",
                "first_chunk": "free",
            }
        ],
        curves=[curve("naive", (20, 15, 4)), curve("open", (20, -1, -1))],
        critical=[CriticalSummary(curve=key, median=median([120.0, float("inf")]), counts={"found": 1, "censored": 1})],
        causes=[CauseSummary(curve=key, level=100.0, counts={"starved": 3, "stale": 1})],
        reactions=[
            ReactionSummary(curve=key, level=100.0, reactions_ms=(1.0, 2.0, 3.0, 4.0), counts={"reacted": 4})
        ],
        critical_cases=[],
        cause_cases=[],
        reaction_cases=[],
    )  # fmt: skip


def test_every_curve_is_printed_with_its_conditions(result: SweepResult) -> None:
    (group,) = sweep_groups(result)
    for words in (
        "timing zero, timing.servers = 0",
        "H = 8",
        "s = max(d,1)",
        "hold null",
        "first chunk free",
    ):
        assert words in group.conditions
    assert group.overview.body[0][:4] == ("naive", "100.0", "75.0", "20.0")
    assert "rises 0 to 100 ms (p = 0.001)" in group.overview.body[0]
    assert group.overview.body[1][2] == "-"
    assert group.points.body[1][:4] == ("naive", "100", "4", "2 / 3 / 5")
    titles = [t.title for t in group.further]
    assert [t.split(" (")[0] for t in titles] == [
        "Critical latency",
        "First cause of failure",
        "Behavioural reaction time",
    ]
    assert group.further[0].body[0][1] == "never failed [-, never failed]"


def test_the_chart_is_escaped_and_reached_by_keyboard(result: SweepResult) -> None:
    svg = curve_svg(f"fork / {HOSTILE}", result.curves, LATENCY)
    assert "<script" not in svg
    assert svg.count('tabindex="0"') == 4  # points with a rate
    assert "naive, 100 ms, s = 4, d p50 2, p95 3, max 5 ticks: 75.0 % (15/20" in svg
    assert re.findall(r'class="series s(\d)"', svg) == ["0", "1"]


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.regions: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        self.links += [v for k, v in given.items() if k in ("src", "href") and v]
        if given.get("role") == "region":
            self.regions.append(given["aria-label"])


def test_the_page_of_a_sweep_has_its_section_and_needs_no_network(wall_run: Any) -> None:
    page = Page()
    text = wall_run.report_html.read_text()
    page.feed(text)
    assert [link for link in page.links if not link.startswith(("#", "data:"))] == []
    assert "Success versus latency" in text
    assert "Success (%) at each latency, and what the curve comes to" in page.regions
    assert "Success by strategy and latency" not in text


@pytest.fixture
def wall_run(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    from simloop.report.build import build_report
    from simloop.runner.run import execute
    from simloop.sweep.planning import plan_sweep

    monkeypatch.chdir(tmp_path)
    (tmp_path / "wall.yaml").write_text(
        "family: wall\nworld: braking_wall\nworld_config: {physics_period_ns: 10_000_000}\ntime_limit_s: 8\n"
        "parameters: {lane_id: {choices: [1]}}\n"
    )
    plan = plan_sweep(
        ["scenario=wall.yaml", "agent=simloop.testing.brake_agent:BrakeAgent", "strategy=naive_async,paused",
         "latency_ms=0,300", "seeds.count=2", "runner=in_process", "run_id=x"]
    )  # fmt: skip
    execute(plan, lambda row: None)
    return build_report(plan.folder)
