"""Suites: which episodes to run, as axes or a latency sweep in a YAML file, and the criteria to judge them by.

A block of axes may put a grid of scenario parameters through every seed (``simloop.parameter_grid``), and a suite may
name reference agents, which play every case once, so that failures can be labelled (``simloop.preventability``).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.parameter_grid import GRID_KEYS, ParameterGrid, fixed_grid, parse_grid
from simloop.scenario_files import PACKAGE, read_yaml_mapping
from simloop.spec import ParameterValue

_KEYS = ("suite", "description", "axes", "sweep", "criteria", "reference_agents", "heat_map", "repeats")
_AXES = ("scenario", "agent", "timing", "strategy", "seeds")
_REFERENCE_KEYS = ("agents", "timing", "strategy")
_HEAT_MAP_KEYS = ("x", "y", "panels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """A grid of episodes: every combination of the names, for every seed."""

    scenario: tuple[str, ...]
    agent: tuple[str, ...]
    timing: tuple[str, ...]
    strategy: tuple[str, ...]
    first_seed: int
    num_seeds: int
    grid: ParameterGrid | None = None

    @property
    def seeds(self) -> range:
        """The seeds."""
        return range(self.first_seed, self.first_seed + self.num_seeds)

    def cells(self) -> tuple[Mapping[str, ParameterValue], ...]:
        """Returns the parameter values of every cell of the grid; one cell without values if there is no grid."""
        return ({},) if self.grid is None else self.grid.cells()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The agents whose results say which failures were preventable, and how they play.

    Attributes:
        agents: Their names; each plays every case of the suite once.
        timing: Name of the timing that they play under; without latency unless the suite says otherwise.
        strategy: Name of their strategy.
    """

    agents: tuple[str, ...]
    timing: str = "zero"
    strategy: str = "naive_async"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What to run and how to judge it.

    Attributes:
        name: Name of the suite (the file's key ``suite``).
        description: One sentence for lists.
        axes: One or more grids; an episode that lies in two of them is run once. None in a sweep.
        sweep: The ``sweep`` block as read, or None (see ``simloop.sweep.definition``).
        criteria: The rules, as read (see ``simloop.criteria``).
        reference: The agents that failures are labelled by, or None.
        heat_map: Parameters on the axes of the report's heat maps: ``x``, ``y`` and ``panels``; empty if the report
            shall choose.
        repeats: How often each episode is played, to see how far it repeats itself (see ``simloop.repeats``).
        where: File that it was read from.
    """

    name: str
    axes: tuple[Axes, ...]
    description: str = ""
    criteria: tuple[Mapping[str, Any], ...] = ()
    sweep: Mapping[str, Any] | None = None
    reference: Reference | None = None
    heat_map: Mapping[str, str] = field(default_factory=dict)
    repeats: int = 1
    where: str = ""

    def replaced(self, words: SuiteWords) -> Suite:
        """Returns the suite as the command line asks.

        Raises:
            ConfigurationError: Cells are chosen of a suite without a grid, or a parameter's values are wrong.
        """
        has_grid = any(axes.grid is not None for axes in self.axes)
        if not has_grid and not (words.cells is None and words.cells_seed is None):
            raise ConfigurationError(
                f"cells chooses of a grid of parameters, and suite {self.name!r} has none; use seeds.count for more "
                "drawn cases, or add parameters to its axes."
            )
        grids = []
        for axes in self.axes:
            values: dict[str, Any] = dict(words.axes)
            values["first_seed"] = axes.first_seed if words.first_seed is None else words.first_seed
            values["num_seeds"] = axes.num_seeds if words.num_seeds is None else words.num_seeds
            if axes.grid is not None:
                values["grid"] = axes.grid.replaced(words.parameters, words.cells, words.cells_seed)
            elif words.parameters:
                values["grid"] = fixed_grid(words.parameters)
            grid = dataclasses.replace(axes, **values)
            if grid not in grids:
                grids.append(grid)
        reference = self.reference
        if words.reference_agents is not None:
            names = words.reference_agents
            reference = (
                dataclasses.replace(reference or Reference(agents=()), agents=names) if names else None
            )
        repeats = self.repeats if words.repeats is None else words.repeats
        return dataclasses.replace(self, axes=tuple(grids), reference=reference, repeats=repeats)

    def only(self, is_wanted: Callable[[str], bool]) -> Suite:
        """Returns the suite with those scenarios alone that are wanted.

        Raises:
            ConfigurationError: There are none.
        """
        kept = (
            dataclasses.replace(a, scenario=tuple(s for s in a.scenario if is_wanted(s))) for a in self.axes
        )
        axes = tuple(one for one in kept if one.scenario)
        if not axes:
            raise ConfigurationError(f"Suite {self.name!r} has no scenario that the chosen world plays.")
        return dataclasses.replace(self, axes=axes)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteWords:
    """What a command line replaces in a suite; None and empty leave it.

    Attributes:
        axes: Names by axis.
        first_seed, num_seeds: The seeds.
        parameters: Values by scenario parameter, as a suite's ``parameters`` holds them.
        cells: Size of the sample of a grid's cells, or ``all``.
        cells_seed: Seed of that sample.
        reference_agents: Names of the reference agents; an empty tuple for none.
        repeats: How often each episode is played.
    """

    axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    first_seed: int | None = None
    num_seeds: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cells: int | str | None = None
    cells_seed: int | None = None
    reference_agents: tuple[str, ...] | None = None
    repeats: int | None = None


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
    for key in ("reference_agents", "heat_map", "repeats"):
        if key in content and "sweep" in content:
            raise ConfigurationError(f"{where}: {key} goes with axes; a sweep has none.")
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
        reference=_reference(content.get("reference_agents"), f"{where}: reference_agents"),
        heat_map=_heat_map(content.get("heat_map", {}), f"{where}: heat_map"),
        repeats=whole_number(content.get("repeats", 1), f"{where}: repeats", low=1),
        where=where,
    )


def _reference(value: Any, where: str) -> Reference | None:
    if value is None:
        return None
    block = value if isinstance(value, dict) else {"agents": value}
    for key in block:
        if key not in _REFERENCE_KEYS:
            raise UnknownNameError("key", str(key), _REFERENCE_KEYS, where=where)
    if "agents" not in block:
        raise ConfigurationError(
            f"{where} is {value!r}; allowed: a list of names, or {{agents, timing, strategy}}."
        )
    single = {key: _names(block[key], f"{where}.{key}")[0] for key in ("timing", "strategy") if key in block}
    return Reference(agents=_names(block["agents"], where), **single)


def _heat_map(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not {"x", "y"} <= set(value or {"x", "y"}) <= set(_HEAT_MAP_KEYS):
        raise ConfigurationError(f"{where} is {value!r}; allowed: {{x: NAME, y: NAME, panels: NAME}}.")
    if any(not isinstance(name, str) or not name for name in value.values()):
        raise ParameterError(f"{where} is {value!r}; allowed: names of scenario parameters.")
    return dict(value)


def _axes(grid: Any, where: str) -> Axes:
    if not isinstance(grid, dict) or set(grid) - set(GRID_KEYS) != set(_AXES):
        got = sorted(map(str, grid)) if isinstance(grid, dict) else grid
        raise ConfigurationError(
            f"{where} has {got}; it must have the keys {', '.join(_AXES)}, and may have {', '.join(GRID_KEYS)}."
        )
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
        grid=parse_grid(grid, where),
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
