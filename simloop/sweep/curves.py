"""Success-versus-level curves of a sweep, from its rows: rates, paired comparisons, area, L95 and slope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from simloop.stats.holm import holm
from simloop.stats.latency_area import mean_success, normalised_area
from simloop.stats.latency_slope import LatencySlope, latency_slope
from simloop.stats.paired import (
    Alternative,
    PairedComparison,
    compare_paired,
    exact_mcnemar,
    pair_outcomes,
)
from simloop.stats.rate import Rate, wilson
from simloop.stats.tolerated_latency import (
    ToleratedLatency,
    conservative_tolerated_latency,
    tolerated_latency,
)
from simloop.store.row import EpisodeStatus
from simloop.sweep.axis import SweepAxis, sweep_axis

if TYPE_CHECKING:
    import pandas as pd

SIGNIFICANCE = 0.05
PAUSED = "paused"
_KEY = ["scenario", "agent", "strategy", "timing"]
_JUDGED = [s.value for s in EpisodeStatus if s.is_judged]

Outcomes = Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One arm of a sweep.

    Attributes:
        level: Latency in ms that was added, or level of the key that was varied.
        latency_ticks: The added latency in control periods, rounded up.
        execution_horizon: s.
        rate: Success of the judged episodes with its Wilson interval; None if there is none.
        num_lost: Episodes that infrastructure kept from being judged.
        num_missing: Episodes that are not recorded yet.
        to_first: Paired comparison with the first strategy at the same level; None for the first itself.
        p_holm: p-value of that comparison, adjusted over all comparisons of the scenario and agent.
        to_start: Paired comparison with the same strategy at the first level; None there.
        metrics: Mean over the episodes that have a value, by metric.
        delay_ticks: Realised delays d: median over episodes of each one's median, of each one's 95 % quantile, and the
            largest of all; None without a chunk.
    """

    level: float
    latency_ticks: int
    execution_horizon: int
    rate: Rate | None
    num_lost: int
    num_missing: int
    to_first: PairedComparison | None
    p_holm: float | None
    to_start: PairedComparison | None
    metrics: Mapping[str, float]
    delay_ticks: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """A place where a curve rises by more than chance explains; with latency usually a mistake in a set-up."""

    start: float
    end: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Success of one scenario, agent and strategy over the levels.

    Attributes:
        scenario, agent, strategy: What the curve is of.
        points: By rising level.
        reference_rate: S_ref: success of the paused world at the first latency, or of the first strategy there if the
            sweep has no ``paused``; None if the sweep does not begin without latency.
        mean_success: Mean success over the range of latencies (raw area); None while a point is missing, and unless
            levels are latencies.
        area: The same as a share of S_ref.
        l95: Largest latency with at least 95 % of the curve's own first success, by linear interpolation.
        l95_conservative: The same by the lower bound of the paired difference.
        slope: Points per 100 ms of the isotonic fit. Area, L95 and slope are None where the mean is.
        rises: Where the curve is not monotone.
    """

    scenario: str
    agent: str
    strategy: str
    points: tuple[CurvePoint, ...]
    reference_rate: float | None
    mean_success: float | None
    area: float | None
    l95: ToleratedLatency | None
    l95_conservative: ToleratedLatency | None
    slope: LatencySlope | None
    rises: tuple[Rise, ...]


@dataclass(slots=True, kw_only=True)
class _Cell:
    """The episodes of one arm: outcome by case, counts and metric means."""

    outcomes: dict[str, bool] = field(default_factory=dict)
    num_lost: int = 0
    num_recorded: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    delay_ticks: tuple[float, float, float] | None = None

    @property
    def rate(self) -> Rate | None:
        return wilson(sum(self.outcomes.values()), len(self.outcomes)) if self.outcomes else None


def curve_columns(metrics: Sequence[str]) -> tuple[str, ...]:
    """Returns the row columns that curves are made of."""
    return (*_KEY, "case_id", "status", *metrics)


def build_curves(rows: pa.Table, sweep: Mapping[str, Any]) -> list[Curve]:
    """Builds the curves of a sweep.

    Args:
        rows: Rows of the run with ``curve_columns``; episodes beyond the grid are left out by their names.
        sweep: The manifest's ``config["sweep"]``.
    """
    definition, arms = sweep["definition"], sweep["arms"]
    axis = sweep_axis(definition)
    cells = _cells(rows, [str(m) for m in definition["metrics"]])
    groups: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {}
    for arm in arms:
        group = groups.setdefault((arm["scenario"], arm["agent"]), {})
        group.setdefault(arm["strategy"], []).append(arm)
    curves: list[Curve] = []
    for strategies in groups.values():
        curves += _group(strategies, cells, int(definition["num_seeds"]), axis)
    return curves


def _cells(rows: pa.Table, metrics: Sequence[str]) -> dict[tuple[str, ...], _Cell]:
    frame = rows.to_pandas()
    cells: dict[tuple[str, ...], _Cell] = {}
    for key, members in frame.groupby(_KEY, sort=False):
        judged = members[members["status"].isin(_JUDGED)]
        is_success = judged["status"].to_numpy() == EpisodeStatus.SUCCESS.value
        means = {}
        for name in metrics:
            values = _values(judged, name)
            if len(values):
                means[name] = float(values.mean())
        cells[tuple(str(k) for k in key)] = _Cell(
            outcomes=dict(zip(judged["case_id"], is_success.tolist(), strict=True)),
            num_lost=len(members) - len(judged),
            num_recorded=len(members),
            metrics=means,
            delay_ticks=_delays(judged),
        )
    return cells


def _values(rows: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    if name not in rows.columns:
        return np.zeros(0)
    values: npt.NDArray[np.float64] = rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.extract(~np.isnan(values), values)


def _delays(rows: pd.DataFrame) -> tuple[float, float, float] | None:
    middle, p95, largest = (_values(rows, f"realised_delay_{n}_ticks") for n in ("p50", "p95", "max"))
    if not (len(middle) and len(p95) and len(largest)):
        return None
    return float(np.median(middle)), float(np.median(p95)), float(largest.max())


def _group(
    strategies: Mapping[str, Sequence[Mapping[str, Any]]],
    cells: Mapping[tuple[str, ...], _Cell],
    num_cases: int,
    axis: SweepAxis,
) -> list[Curve]:
    """Builds the curves of one scenario and agent; the first strategy is the one to compare with."""
    ordered = {name: sorted(arms, key=lambda a: float(a[axis.column])) for name, arms in strategies.items()}
    first_name = next(iter(ordered))
    first = {float(arm[axis.column]): _cell(cells, arm).outcomes for arm in ordered[first_name]}
    comparisons: dict[tuple[str, float], PairedComparison] = {}
    for name, arms in ordered.items():
        for arm in arms if name != first_name else ():
            found = _compare(_cell(cells, arm).outcomes, first.get(float(arm[axis.column]), {}))
            if found is not None:
                comparisons[name, float(arm[axis.column])] = found
    adjusted = dict(zip(comparisons, holm([c.p_value for c in comparisons.values()]), strict=True))
    reference = _reference_rate(ordered, cells, first_name, axis)
    return [
        _curve(name, arms, cells, num_cases, comparisons, adjusted, reference, axis)
        for name, arms in ordered.items()
    ]


def _cell(cells: Mapping[tuple[str, ...], _Cell], arm: Mapping[str, Any]) -> _Cell:
    return cells.get(tuple(str(arm[k]) for k in _KEY), _Cell())


def _compare(new: Outcomes, old: Outcomes) -> PairedComparison | None:
    return compare_paired(pair_outcomes(new, old)) if new.keys() & old.keys() else None


def _reference_rate(
    ordered: Mapping[str, Sequence[Mapping[str, Any]]],
    cells: Mapping[tuple[str, ...], _Cell],
    first_name: str,
    axis: SweepAxis,
) -> float | None:
    arm = ordered[PAUSED if PAUSED in ordered else first_name][0]
    rate = _cell(cells, arm).rate
    is_without_latency = axis.is_latency and (PAUSED in ordered or float(arm[axis.column]) == 0.0)
    return rate.rate if rate is not None and is_without_latency else None


def _curve(
    name: str,
    arms: Sequence[Mapping[str, Any]],
    cells: Mapping[tuple[str, ...], _Cell],
    num_cases: int,
    comparisons: Mapping[tuple[str, float], PairedComparison],
    adjusted: Mapping[tuple[str, float], float],
    reference: float | None,
    axis: SweepAxis,
) -> Curve:
    members = [_cell(cells, arm) for arm in arms]
    levels = [float(arm[axis.column]) for arm in arms]
    to_start = [None, *(_compare(cell.outcomes, members[0].outcomes) for cell in members[1:])]
    points = tuple(
        CurvePoint(
            level=level,
            latency_ticks=int(arm["latency_ticks"]),
            execution_horizon=int(arm["execution_horizon"]),
            rate=cell.rate,
            num_lost=cell.num_lost,
            num_missing=num_cases - cell.num_recorded,
            to_first=comparisons.get((name, level)),
            p_holm=adjusted.get((name, level)),
            to_start=difference,
            metrics=cell.metrics,
            delay_ticks=cell.delay_ticks,
        )
        for level, arm, cell, difference in zip(levels, arms, members, to_start, strict=True)
    )
    rates = [p.rate.rate for p in points if p.rate is not None]
    lower = [0.0, *(c.low for c in to_start[1:] if c is not None)]
    is_latency = axis.is_latency and len(rates) == len(lower) == len(points)
    return Curve(
        scenario=str(arms[0]["scenario"]),
        agent=str(arms[0]["agent"]),
        strategy=name,
        points=points,
        reference_rate=reference,
        mean_success=mean_success(levels, rates) if is_latency else None,
        area=normalised_area(levels, rates, reference) if is_latency and reference is not None else None,
        l95=tolerated_latency(levels, rates) if is_latency else None,
        l95_conservative=conservative_tolerated_latency(levels, rates[0], lower) if is_latency else None,
        slope=latency_slope(levels, rates, [len(c.outcomes) for c in members]) if is_latency else None,
        rises=_rises(levels, members),
    )


def _rises(levels: Sequence[float], members: Sequence[_Cell]) -> tuple[Rise, ...]:
    """Finds neighbours of which the later is better: one-sided exact McNemar, Holm over all neighbours."""
    pairs = [
        (a, pair_outcomes(members[a + 1].outcomes, members[a].outcomes))
        for a in range(len(members) - 1)
        if members[a + 1].outcomes.keys() & members[a].outcomes.keys()
    ]
    adjusted = holm([exact_mcnemar(counts, Alternative.GREATER) for _, counts in pairs])
    return tuple(
        Rise(start=levels[a], end=levels[a + 1], p_value=p)
        for (a, _), p in zip(pairs, adjusted, strict=True)
        if p < SIGNIFICANCE
    )
