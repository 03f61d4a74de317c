"""Suites: which episodes to run, as axes or a latency sweep in a YAML file, and the criteria to judge them by."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.scenario_files import PACKAGE, read_yaml_mapping

_KEYS = ("suite", "description", "axes", "sweep", "criteria")
_AXES = ("scenario", "agent", "timing", "strategy", "seeds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """A grid of episodes: every combination of the names, for every seed."""

    scenario: tuple[str, ...]
    agent: tuple[str, ...]
    timing: tuple[str, ...]
    strategy: tuple[str, ...]
    first_seed: int
    num_seeds: int

    @property
    def seeds(self) -> range:
        """The seeds."""
        return range(self.first_seed, self.first_seed + self.num_seeds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What to run and how to judge it.

    Attributes:
        name: Name of the suite (the file's key ``suite``).
        description: One sentence for lists.
        axes: One or more grids; an episode that lies in two of them is run once. None in a sweep.
        sweep: The ``sweep`` block as read, or None (see ``simloop.sweep.definition``).
        criteria: The rules, as read (see ``simloop.criteria``).
        where: File that it was read from.
    """

    name: str
    axes: tuple[Axes, ...]
    description: str = ""
    criteria: tuple[Mapping[str, Any], ...] = ()
    sweep: Mapping[str, Any] | None = None
    where: str = ""

    def replaced(
        self, replacements: Mapping[str, tuple[str, ...]], *, first: int | None, count: int | None
    ) -> Suite:
        """Returns the suite with whole axes replaced, as the command line asks (``agent=a,b``)."""
        grids = []
        for axes in self.axes:
            values: dict[str, Any] = dict(replacements)
            values["first_seed"] = axes.first_seed if first is None else first
            values["num_seeds"] = axes.num_seeds if count is None else count
            grid = dataclasses.replace(axes, **values)
            if grid not in grids:
                grids.append(grid)
        return dataclasses.replace(self, axes=tuple(grids))


@functools.cache
def shipped_suites() -> Mapping[str, Traversable]:
    """Returns the file of every shipped suite by name."""
    folder = importlib.resources.files(PACKAGE) / "suites"
    return {
        f.name.removesuffix(".yaml"): f
        for f in sorted(folder.iterdir(), key=lambda f: f.name)
        if f.name.endswith(".yaml")
    }


def load_suite(name_or_path: str) -> Suite:
    """Reads a suite by name, or from a path that ends in .yaml.

    Raises:
        UnknownNameError: There is no suite of that name, or a key is unknown.
        ConfigurationError: The file does not describe a suite; the message names file, key, got, allowed.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return _suite_of(Path(name_or_path))
    if name_or_path not in shipped_suites():
        raise UnknownNameError("suite", name_or_path, shipped_suites())
    return _suite_of(shipped_suites()[name_or_path])


def _suite_of(file: Traversable | Path) -> Suite:
    content = read_yaml_mapping(file)
    where = str(file)
    for key in content:
        if key not in _KEYS:
            raise UnknownNameError("key", str(key), _KEYS, where=where)
    if "suite" not in content or ("axes" in content) == ("sweep" in content):
        raise ConfigurationError(f"{where}: the keys suite and either axes or sweep are required.")
    grids: Any = content.get("axes", [])
    grids = grids if isinstance(grids, list) else [grids]
    criteria = content.get("criteria") or []
    if not isinstance(criteria, list) or any(not isinstance(c, dict) for c in criteria):
        raise ConfigurationError(f"{where}: criteria must be a list of mappings.")
    return Suite(
        name=str(content["suite"]),
        description=str(content.get("description", "")),
        axes=tuple(_axes(grid, f"{where}: axes[{n}]") for n, grid in enumerate(grids)),
        criteria=tuple(criteria),
        sweep=content.get("sweep"),
        where=where,
    )


def _axes(grid: Any, where: str) -> Axes:
    if not isinstance(grid, dict) or set(grid) != set(_AXES):
        got = sorted(grid) if isinstance(grid, dict) else grid
        raise ConfigurationError(f"{where} has {got}; it must have exactly the keys: {', '.join(_AXES)}.")
    seeds = grid["seeds"]
    if not isinstance(seeds, dict) or set(seeds) != {"first", "count"}:
        raise ConfigurationError(f"{where}.seeds is {seeds!r}; it must be {{first: N, count: N}}.")
    return Axes(
        scenario=_names(grid["scenario"], f"{where}.scenario"),
        agent=_names(grid["agent"], f"{where}.agent"),
        timing=_names(grid["timing"], f"{where}.timing"),
        strategy=_names(grid["strategy"], f"{where}.strategy"),
        first_seed=whole_number(seeds["first"], f"{where}.seeds.first", low=0),
        num_seeds=whole_number(seeds["count"], f"{where}.seeds.count", low=1),
    )


def _names(value: Any, where: str) -> tuple[str, ...]:
    names: Sequence[Any] = value if isinstance(value, list) else [value]
    if not names or any(not isinstance(n, str) or not n for n in names):
        raise ParameterError(f"{where} is {value!r}; it must be a name or a list of names.")
    return tuple(dict.fromkeys(names))


def whole_number(value: Any, where: str, *, low: int) -> int:
    """Returns ``value`` as an int; ParameterError unless it is a whole number >= ``low``."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise ParameterError(f"{where} is {value!r}; allowed: a whole number >= {low}.") from None
    if isinstance(value, (bool, float)) or number < low:
        raise ParameterError(f"{where} is {value!r}; allowed: a whole number >= {low}.")
    return number
