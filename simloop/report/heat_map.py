"""Where in its parameters a scenario was passed: verdicts counted in the cells of two parameters, panels of a third."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.preventability import ArmLabels, Preventability
from simloop.report.cells import Rows, is_judged, is_success
from simloop.report.parameter_names import span_text, value_text
from simloop.store.row import CELL_COLUMNS, PARAMETER_PREFIX

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MIN_EPISODES = 12
"""Fewer episodes of one arm make no map."""
MAX_MAPS = 24
MAX_PANELS = 15
MAX_IDS = 4
"""Episodes that a cell names."""
_MAX_BINS = 60
_MAX_LATTICE = 500
_EPISODES_PER_CELL = 1.5
_MIN_CELLS = 36
_ASPECT = 5.0 / 3.0
_QUARTERS = 4

LABELLED = ("pass", "preventable fail", "unpreventable", "no label")
"""Categories of an arm that reference agents judge."""
UNLABELLED = ("success", "no success")
"""Categories of any other arm."""
WORST_FIRST = (1, 3, 2, 0)
"""Numbers of the categories, of which an arm that nobody judges has the first two."""
_OF_LABEL = {Preventability.PASS: 0, Preventability.PREVENTABLE_FAIL: 1, Preventability.UNPREVENTABLE: 2}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Axis:
    """Bins of one parameter.

    Attributes:
        name: The parameter.
        edges: (N + 1,) edges of the bins, in its unit.
        labels: What each bin holds: its value, or its first and last.
    """

    name: str
    edges: FloatArray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def bin_of(self, values: FloatArray) -> IntArray:
        """Returns the number of each value's bin."""
        return np.clip(np.searchsorted(self.edges, values, side="right") - 1, 0, len(self) - 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """One map of two parameters.

    Attributes:
        title: Value of the third; empty if there is none.
        counts: (len(y), len(x), len(categories)) episodes.
        episodes: Ids by (y, x), of the worst category first, at most ``MAX_IDS`` each.
    """

    title: str
    counts: IntArray
    episodes: Mapping[tuple[int, int], Sequence[str]]

    @property
    def totals(self) -> list[int]:
        """Episodes by category."""
        totals: list[int] = self.counts.sum(axis=(0, 1)).tolist()
        return totals


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeatMap:
    """The maps of one arm in one scenario.

    Attributes:
        title: Scenario, agent, timing and strategy.
        categories: ``LABELLED`` or ``UNLABELLED``.
        x, y: The axes, which all panels share.
        panels: The panels, in the order of the third parameter.
        is_reference: Whether the arm is one of the reference agents that judge the others.
    """

    title: str
    categories: tuple[str, ...]
    x: Axis
    y: Axis
    panels: tuple[Panel, ...]
    is_reference: bool = False

    @property
    def totals(self) -> list[int]:
        """Episodes by category."""
        return [sum(counts) for counts in zip(*(p.totals for p in self.panels), strict=True)]


def heat_maps(
    rows: Rows, labels: Sequence[ArmLabels], reference: Mapping[str, Any], wanted: Mapping[str, str]
) -> list[HeatMap]:
    """Returns a map for each arm of each scenario of which two numeric parameters vary; judged arms come first.

    Args:
        rows: Rows of a run.
        labels: Their labels, see ``label_rows``.
        reference: ``Manifest.reference``.
        wanted: ``x``, ``y`` and ``panels``: the parameters to show. Empty: ``x`` and ``y`` are those of most distinct
            values, ``panels`` the next.
    """
    by_arm = {tuple(arm.key[c] for c in CELL_COLUMNS): arm for arm in labels}
    judges = {(name, reference["timing"], reference["strategy"]) for name in reference.get("agents", ())}
    scenarios: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if is_judged(row):
            scenarios.setdefault(str(row["scenario"]), []).append(row)
    maps: list[HeatMap] = []
    for members in scenarios.values():
        arms: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for row in members:
            arms.setdefault(tuple(str(row[c]) for c in CELL_COLUMNS), []).append(row)
        names = _choose(members, wanted)
        if names is None or max(map(len, arms.values())) < MIN_EPISODES:
            continue
        facets = _facets(members, names[2])
        largest = max(Counter(map(facets.number, members)).values()) / len(arms)
        axes = _axes(members, names[:2], largest)
        for key, arm_rows in arms.items():
            if len(arm_rows) >= MIN_EPISODES:
                found = _map(key, arm_rows, axes, facets, by_arm.get(key))
                maps.append(dataclasses.replace(found, is_reference=key[1:] in judges))
    return sorted(maps, key=lambda m: m.is_reference)[:MAX_MAPS]


def _value(row: Mapping[str, Any], name: str) -> Any:
    return row.get(PARAMETER_PREFIX + name)


def _choose(rows: Rows, wanted: Mapping[str, str]) -> tuple[str, str, str | None] | None:
    """Returns the parameters on the axes and that of the panels, or None if no two vary."""
    names = [c.removeprefix(PARAMETER_PREFIX) for c in rows[0] if c.startswith(PARAMETER_PREFIX)]
    distinct = {name: {_value(row, name) for row in rows} for name in names}
    numeric = [
        n for n in names if all(isinstance(v, (int, float)) for v in distinct[n]) and len(distinct[n]) > 1
    ]
    numeric.sort(key=lambda n: -len(distinct[n]))
    if {wanted.get("x"), wanted.get("y")} <= set(numeric):
        third = wanted.get("panels")
        return wanted["x"], wanted["y"], third if third in distinct and len(distinct[third]) > 1 else None
    if len(numeric) < 2:
        return None
    texts = [n for n in names if n not in numeric and 1 < len(distinct[n]) <= MAX_PANELS]
    return numeric[0], numeric[1], next(iter([*numeric[2:], *texts]), None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Facets:
    """Which panel a row belongs to.

    Attributes:
        name: The parameter, or None for one panel of all.
        titles: Title of each panel.
        values: The parameter's values, one a panel; empty if ``edges`` separate the panels.
        edges: Values from which on a row belongs to the next panel.
    """

    name: str | None
    titles: tuple[str, ...]
    values: tuple[Any, ...] = ()
    edges: FloatArray = field(default_factory=lambda: np.empty(0))

    def number(self, row: Mapping[str, Any]) -> int:
        """Returns the number of a row's panel."""
        if self.name is None:
            return 0
        value = _value(row, self.name)
        return (
            self.values.index(value) if self.values else int(np.searchsorted(self.edges, value, side="right"))
        )


def _facets(rows: Rows, name: str | None) -> _Facets:
    if name is None:
        return _Facets(name=None, titles=("",))
    values = sorted({_value(row, name) for row in rows}, key=lambda v: (isinstance(v, str), v))
    if len(values) <= MAX_PANELS:
        return _Facets(name=name, titles=tuple(value_text(name, v) for v in values), values=tuple(values))
    edges = np.quantile([float(_value(row, name)) for row in rows], np.linspace(0.0, 1.0, _QUARTERS + 1))
    spans = itertools.pairwise(edges.tolist())
    titles = tuple(span_text(name, low, high) for low, high in spans)
    return _Facets(name=name, titles=titles, edges=edges[1:-1])


def _axes(rows: Rows, names: Sequence[str], largest: float) -> tuple[Axis, Axis]:
    """Returns the axes.

    A bin holds one value where the episodes of the ``largest`` panel suffice for a whole grid; otherwise there are
    bins for about ``_EPISODES_PER_CELL`` of them a cell.
    """
    x_values, y_values = (np.array([float(_value(row, n)) for row in rows]) for n in names[:2])
    num_x, num_y = len(np.unique(x_values)), len(np.unique(y_values))
    if num_x * num_y > largest:  # not a whole grid
        num_cells = max(_MIN_CELLS, largest / _EPISODES_PER_CELL)
        num_y = min(num_y, max(round(math.sqrt(num_cells / _ASPECT)), 3))
        num_x = min(num_x, max(round(num_cells / num_y), 3))
    return make_axis(names[0], x_values, min(num_x, _MAX_BINS)), make_axis(
        names[1], y_values, min(num_y, _MAX_BINS)
    )


def make_axis(name: str, values: FloatArray, num_bins: int) -> Axis:
    """Returns at most ``num_bins`` bins.

    Values on a lattice (first, first + step, ..) get a bin each, or so many to a bin that the bins suffice; other
    values get bins of equal width.
    """
    found = np.unique(values)
    low, high = float(found[0]), float(found[-1])
    step = float(np.min(np.diff(found))) if len(found) > 1 else 1.0
    places = (found - low) / step
    num_places = round((high - low) / step) + 1
    if num_places <= _MAX_LATTICE and np.allclose(places, np.round(places), atol=1e-6):
        width = math.ceil(num_places / num_bins)
        count = math.ceil(num_places / width)
        edges = low + (np.arange(count + 1) * width - 0.5) * step
        firsts = low + np.arange(count) * width * step
        lasts = np.minimum(firsts + (width - 1) * step, high)
        return Axis(name=name, edges=edges, labels=tuple(map(_span_text, firsts.tolist(), lasts.tolist())))
    edges = np.linspace(low, high, num_bins + 1)
    return Axis(
        name=name, edges=edges, labels=tuple(map(_span_text, edges[:-1].tolist(), edges[1:].tolist()))
    )


def _span_text(first: float, last: float) -> str:
    low, high = f"{first:.4g}", f"{last:.4g}"
    return low if low == high else f"{low} to {high}"


def _map(
    key: tuple[str, ...], rows: Rows, axes: tuple[Axis, Axis], facets: _Facets, arm: ArmLabels | None
) -> HeatMap:
    x, y = axes
    categories = UNLABELLED if arm is None else LABELLED
    members: list[list[Mapping[str, Any]]] = [[] for _ in facets.titles]
    for row in rows:
        members[facets.number(row)].append(row)
    panels = tuple(
        _panel(title, part, x, y, [_category(row, arm) for row in part], len(categories))
        for title, part in zip(facets.titles, members, strict=True)
        if part
    )
    return HeatMap(title=" / ".join(key), categories=categories, x=x, y=y, panels=panels)


def _category(row: Mapping[str, Any], arm: ArmLabels | None) -> int:
    if arm is None:
        return 0 if is_success(row) else 1
    label = arm.label_of(row)
    return len(LABELLED) - 1 if label is None else _OF_LABEL[label.label]


def _panel(title: str, rows: Rows, x: Axis, y: Axis, categories: list[int], num_categories: int) -> Panel:
    columns = x.bin_of(np.array([float(_value(row, x.name)) for row in rows])).tolist()
    lines = y.bin_of(np.array([float(_value(row, y.name)) for row in rows])).tolist()
    counts = np.zeros((len(y), len(x), num_categories), dtype=np.int64)
    named: dict[tuple[int, int], list[tuple[int, str]]] = {}
    for row, line, column, category in zip(rows, lines, columns, categories, strict=True):
        counts[line, column, category] += 1
        named.setdefault((line, column), []).append((category, str(row["episode_id"])))
    episodes = {
        cell: [i for _, i in sorted(ids, key=lambda item: (WORST_FIRST.index(item[0]), item[1]))][:MAX_IDS]
        for cell, ids in named.items()
    }
    return Panel(title=title, counts=counts, episodes=episodes)
