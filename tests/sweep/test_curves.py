"""Curves from made-up rows whose figures were worked by hand, and their files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from simloop.sweep.curves import Curve, build_curves

METRICS = ["realised_delay_p50_ticks", "realised_delay_p95_ticks", "realised_delay_max_ticks", "starvation_s"]
# Successes out of 20 by strategy and latency; the first so many cases succeed.
SUCCESSES = {
    "naive_async": {0: 20, 100: 15, 200: 4},
    "rtc": {0: 20, 100: 18, 200: 15},
    "odd": {0: 8, 100: 18, 200: 18},
}


def arms() -> list[dict[str, Any]]:
    return [
        {
            "scenario": "fork",
            "agent": "toy",
            "strategy": strategy,
            "timing": f"zero+{latency}ms",
            "latency_ms": float(latency),
            "latency_ticks": latency // 100,
            "execution_horizon": max(1, latency // 100),
        }
        for strategy, by_latency in SUCCESSES.items()
        for latency in by_latency
    ]


def rows() -> pa.Table:
    out = []
    for arm in arms():
        count = SUCCESSES[arm["strategy"]][int(arm["latency_ms"])]
        for case in range(20):
            out.append(
                {
                    **{k: arm[k] for k in ("scenario", "agent", "strategy", "timing")},
                    "case_id": f"case{case:02d}",
                    "status": "success" if case < count else "fail",
                    "realised_delay_p50_ticks": float(arm["latency_ticks"]),
                    "realised_delay_p95_ticks": arm["latency_ticks"] + (1.0 if case > 12 else 0.0),
                    "realised_delay_max_ticks": arm["latency_ticks"] + 2.0,
                    "starvation_s": None if case else 0.5,
                }
            )
    out.append({**out[0], "timing": "zero+bisection", "status": "fail", "case_id": "case00"})
    out.append({**out[0], "case_id": "case20", "status": "infra_error"})
    return pa.Table.from_pylist(out)


@pytest.fixture(scope="module")
def curves() -> dict[str, Curve]:
    sweep = {"definition": {"metrics": METRICS, "num_seeds": 21}, "arms": arms()}
    return {c.strategy: c for c in build_curves(rows(), sweep)}


def test_points_hold_rates_lost_and_missing_episodes(curves: dict[str, Curve]) -> None:
    start, middle, _ = curves["naive_async"].points
    assert start.rate is not None and middle.rate is not None
    assert (start.rate.successes, start.rate.n, start.num_lost, start.num_missing) == (20, 20, 1, 0)
    assert (middle.rate.successes, middle.rate.n, middle.num_lost, middle.num_missing) == (15, 20, 0, 1)
    assert middle.delay_ticks == (1.0, 1.0, 3.0)
    assert middle.metrics["starvation_s"] == 0.5


def test_pairs_are_compared_with_the_first_strategy_and_the_own_start(curves: dict[str, Curve]) -> None:
    last = curves["rtc"].points[2]
    assert last.to_first is not None and last.to_start is not None
    counts = last.to_first.counts
    assert (counts.both, counts.only_first, counts.only_second, counts.neither) == (4, 11, 0, 5)
    assert last.to_first.p_value == pytest.approx(stats.binomtest(11, 11, 0.5).pvalue)
    assert last.to_first.difference == pytest.approx(0.55)
    assert last.to_start.difference == pytest.approx(-0.25)
    assert curves["naive_async"].points[2].to_first is None
    # Holm over the six comparisons of two strategies at three latencies.
    p_values = sorted(
        stats.binomtest(a, a + b, 0.5).pvalue if a + b else 1.0
        for a, b in ((0, 0), (3, 0), (11, 0), (0, 12), (3, 0), (14, 0))
    )
    assert last.p_holm == pytest.approx(p_values[2] * 4)


def test_the_curve_comes_to_area_l95_and_slope(curves: dict[str, Curve]) -> None:
    naive = curves["naive_async"]
    # (1 + 0.75)/2 and (0.75 + 0.2)/2 over two equal steps.
    assert naive.mean_success == pytest.approx(0.675)
    assert (naive.reference_rate, naive.area) == (1.0, pytest.approx(0.675))
    assert naive.l95 is not None and naive.l95_conservative is not None and naive.slope is not None
    assert naive.l95.latency_ms == pytest.approx(20.0)  # 1.0 falls to 0.75 over 100 ms, 0.95 lies at a fifth
    assert naive.l95_conservative.latency_ms < naive.l95.latency_ms
    assert naive.slope.mean_points_per_100_ms == pytest.approx(-40.0)
    assert naive.slope.steepest_points_per_100_ms == pytest.approx(-55.0)
    assert naive.rises == ()


def test_a_curve_that_rises_is_flagged(curves: dict[str, Curve]) -> None:
    (rise,) = curves["odd"].rises
    assert (rise.start, rise.end) == (0.0, 100.0)
    assert rise.p_value == pytest.approx(2 * 0.5**10)
    assert curves["odd"].l95 is not None and curves["odd"].l95.is_censored


def test_without_zero_latency_or_paused_there_is_no_reference() -> None:
    later = [a for a in arms() if a["latency_ms"] > 0]
    sweep = {"definition": {"metrics": METRICS, "num_seeds": 20}, "arms": later}
    built = build_curves(rows(), sweep)
    assert {(c.reference_rate, c.area) for c in built} == {(None, None)}
    assert all(c.mean_success is not None for c in built)


def test_a_point_without_rows_leaves_the_curve_open() -> None:
    sweep = {
        "definition": {"metrics": METRICS, "num_seeds": 20},
        "arms": [*arms(), {**arms()[0], "timing": "zero+900ms", "latency_ms": 900.0}],
    }
    naive = build_curves(rows(), sweep)[0]
    assert naive.points[-1].rate is None
    assert (naive.mean_success, naive.l95, naive.slope) == (None, None, None)


def test_files_of_a_sweep_agree(wall_sweep: Any) -> None:
    from simloop.report.build import build_report

    plan, _ = wall_sweep.run(
        "strategy=naive_async,paused", "latency_ms=0,100,350", "critical.cases=1", "causes=1", "seeds.count=3"
    )
    files = build_report(plan.folder)
    table = pq.read_table(plan.folder / "sweep.parquet").to_pylist()
    with (plan.folder / "sweep.csv").open(newline="") as stream:
        text = list(csv.DictReader(stream))
    assert [(r["strategy"], float(r["latency_ms"])) for r in text] == [
        (s, ms) for s in ("naive_async", "paused") for ms in (0.0, 100.0, 350.0)
    ]
    for written, row in zip(text, table, strict=True):
        assert {k: v or None for k, v in written.items()} == {
            k: None if v is None else str(v) for k, v in row.items()
        }
    assert {Path(p).name for p in plan.folder.glob("*.csv")} >= {"sweep.csv", "critical.csv"}
    markdown = files.summary_md.read_text()
    for words in ("first chunk blocking", "hold null", "s = 1", "L95", "McNemar", "Critical latency"):
        assert words in markdown
