"""docs/metrics.md lists every registered metric, with its unit and direction."""

from __future__ import annotations

import re
from pathlib import Path

from simloop.plugins import load_metrics

ARROWS = {"↑": True, "↓": False, "": None}


def test_the_page_is_the_registry(repository: Path) -> None:
    page = (repository / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ?([↑↓]?) \| (.*) \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) == len({name for name, *_ in rows})
    listed = {name: ("" if unit == "-" else unit, ARROWS[arrow]) for name, unit, arrow, _, _ in rows}
    registered = {m.name: (m.unit, m.higher_is_better) for m in load_metrics()}
    assert listed == registered
    assert all(formula.strip() for *_, formula, _ in rows)


def test_units_are_the_suffixes_of_the_names() -> None:
    suffixes = {
        "ms": "_ms",
        "s": "_s",
        "ticks": "_ticks",
        "Hz": "_hz",
        "m": "_m",
        "m/s": "_mps",
        "rad": "_rad",
    }
    for metric in load_metrics():
        if metric.unit in suffixes:
            assert metric.name.endswith(suffixes[metric.unit]), metric.name
