"""Whole grids of scenario parameters: every combination of listed values, dependent ones, and a sample of them.

The keys that a block of a suite's ``axes`` may have for it::

    variables: {ego_kmh: {first: 10, last: 60, step: 10}, other_kmh: [10, 20, 30]}   # names of the grid's own
    where: other_kmh < ego_kmh                                                       # keeps these cells
    parameters:
      ego_speed_mps: {formula: ego_kmh / 3.6}
      gap_m: {first: 1, last: 59, step: 1}
      cut_in_side: left
    cells: {count: 200, seed: 0}                                                     # or all
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.formula import evaluate_formula, formula_names
from simloop.randomness import generator, stream_key
from simloop.spec import ParameterValue

GRID_KEYS = ("parameters", "variables", "where", "cells")
MAX_CELLS = 2_000_000
_DECIMALS = 9
"""Values of a range are rounded to so many decimals: 0.3 and not 0.30000000000000004."""
_EVERY = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGrid:
    """A grid of parameter values for one or more scenario families.

    Attributes:
        variables: Values by name of the grid's own; formulas may use them.
        parameters: Values by scenario parameter.
        formulas: Formula by scenario parameter that follows from the others.
        condition: Formula of the cells that there are; empty for all.
        num_cells: Size of the sample, or None for every cell.
        sample_seed: Seed of the sample. A larger sample of one seed holds the smaller one.
        where: File and key that it was read from, for messages.
    """

    variables: Mapping[str, tuple[ParameterValue, ...]]
    parameters: Mapping[str, tuple[ParameterValue, ...]]
    formulas: Mapping[str, str]
    condition: str = ""
    num_cells: int | None = None
    sample_seed: int = 0
    where: str = ""

    def replaced(
        self, parameters: Mapping[str, Any], num_cells: int | str | None, sample_seed: int | None
    ) -> ParameterGrid:
        """Returns the grid with other values (as a file gives them) and another sample; None leaves it.

        Raises:
            ConfigurationError: A value is not what ``parameters`` may hold.
        """
        variables, values, formulas = dict(self.variables), dict(self.parameters), dict(self.formulas)
        for name, given in parameters.items():
            where = f"scenario.parameters.{name}"
            if name in variables:
                variables[name] = _values(given, where)
                continue
            values.pop(name, None)
            formulas.pop(name, None)
            if _is_formula(given):
                formulas[name] = _formula(given, where)
            else:
                values[name] = _values(given, where)
        used = _used_names(formulas, self.condition, self.where)
        variables = {name: v for name, v in variables.items() if name in used or name in parameters}
        count = self.num_cells if num_cells is None else None if num_cells == _EVERY else int(num_cells)
        return dataclasses.replace(
            self,
            variables=variables,
            parameters=values,
            formulas=formulas,
            num_cells=count,
            sample_seed=self.sample_seed if sample_seed is None else sample_seed,
        )

    def cells(self) -> tuple[Mapping[str, ParameterValue], ...]:
        """Returns the parameter values of every cell (of the sample), in grid order: the first name varies slowest.

        Raises:
            ConfigurationError: There are too many cells or none, or a formula does not work.
        """
        axes = {**self.variables, **self.parameters}
        total = math.prod(len(values) for values in axes.values())
        if total > MAX_CELLS:
            raise ConfigurationError(f"{self.where} has {total} combinations; allowed: at most {MAX_CELLS}.")
        index = np.indices([len(values) for values in axes.values()]).reshape(len(axes), total)
        columns = self._numbers(axes, index)
        chosen = np.arange(total)
        if self.condition:
            holds = evaluate_formula(self.condition, columns, f"{self.where}.where")
            if holds.dtype != np.bool_:
                raise ConfigurationError(
                    f"{self.where}.where is {self.condition!r}; it must compare, for example a < b."
                )
            chosen = np.flatnonzero(holds)
        if not len(chosen):
            raise ConfigurationError(f"{self.where}.where is {self.condition!r}; no cell satisfies it.")
        columns = {name: column[chosen] for name, column in columns.items()}
        values: dict[str, list[ParameterValue]] = {
            name: [axes[name][i] for i in index[row, chosen].tolist()]
            for row, name in enumerate(axes)
            if name in self.parameters
        }
        for name, text in self.formulas.items():
            found = evaluate_formula(text, columns, f"{self.where}.parameters.{name}")
            values[name] = found.astype(np.float64).tolist()
        # Variables that differ may come to the same cell.
        rows = list(dict.fromkeys(zip(*values.values(), strict=True)))
        return tuple(dict(zip(values, rows[i], strict=True)) for i in self._sample(len(rows)))

    def _numbers(
        self, axes: Mapping[str, tuple[ParameterValue, ...]], index: npt.NDArray[np.int64]
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Returns the columns that formulas may use: those that hold numbers only."""
        return {
            name: np.array(values, dtype=np.float64)[index[row]]
            for row, (name, values) in enumerate(axes.items())
            if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        }

    def _sample(self, count: int) -> Sequence[int]:
        if self.num_cells is None or self.num_cells >= count:
            return range(count)
        order = np.argsort(generator(stream_key("cells", self.sample_seed)).random(count), kind="stable")
        picked: list[int] = np.sort(order[: self.num_cells]).tolist()
        return picked


def fixed_grid(parameters: Mapping[str, Any]) -> ParameterGrid:
    """Returns the grid of values that a command line gives to a suite without one."""
    empty = ParameterGrid(variables={}, parameters={}, formulas={}, where="the command line")
    return empty.replaced(parameters, None, None)


def parse_grid(block: Mapping[str, Any], where: str) -> ParameterGrid | None:
    """Reads the keys ``GRID_KEYS`` of a block; None if it has none of them.

    Raises:
        ConfigurationError: A key holds something else than it may; the message names file, key, got, allowed.
    """
    if not any(key in block for key in GRID_KEYS):
        return None
    variables = {n: _values(v, f"{where}.variables.{n}") for n, v in _names(block, "variables", where)}
    given = dict(_names(block, "parameters", where))
    if not given:
        raise ConfigurationError(
            f"{where} has {', '.join(k for k in GRID_KEYS if k in block)} but no parameters."
        )
    for name in variables:
        if name in given:
            raise ConfigurationError(f"{where}: {name!r} is a variable and a parameter; give it once.")
    formulas = {n: _formula(v, f"{where}.parameters.{n}") for n, v in given.items() if _is_formula(v)}
    condition = str(block.get("where", ""))
    for name in variables.keys() - _used_names(formulas, condition, where):
        raise ConfigurationError(f"{where}.variables.{name} is used by no formula and not by where; drop it.")
    count, seed = _cells(block.get("cells", _EVERY), f"{where}.cells")
    grid = ParameterGrid(
        variables=variables,
        parameters={n: _values(v, f"{where}.parameters.{n}") for n, v in given.items() if not _is_formula(v)},
        formulas=formulas,
        condition=condition,
        num_cells=count,
        sample_seed=seed,
        where=where,
    )
    grid.cells()
    return grid


def _used_names(formulas: Mapping[str, str], condition: str, where: str) -> frozenset[str]:
    texts = {f"{where}.parameters.{name}": text for name, text in formulas.items()}
    if condition:
        texts[f"{where}.where"] = condition
    return frozenset().union(*(formula_names(text, place) for place, text in texts.items()))


def _names(block: Mapping[str, Any], key: str, where: str) -> list[tuple[str, Any]]:
    value = block.get(key, {})
    if not isinstance(value, dict) or any(not isinstance(name, str) for name in value):
        raise ConfigurationError(f"{where}.{key} is {value!r}; it must be a mapping from names to values.")
    return list(value.items())


def _is_formula(value: Any) -> bool:
    return isinstance(value, dict) and "formula" in value


def _formula(value: Mapping[str, Any], where: str) -> str:
    if set(value) != {"formula"} or not isinstance(value["formula"], str):
        raise ConfigurationError(f"{where} is {value!r}; it must be {{formula: TEXT}}.")
    text: str = value["formula"]
    return text


def _values(value: Any, where: str) -> tuple[ParameterValue, ...]:
    """Reads a value, a list of values, or ``{first, last, step}``."""
    if isinstance(value, dict):
        return _range(value, where)
    values: Sequence[Any] = value if isinstance(value, list) else [value]
    if not values or any(not _is_plain(v) for v in values):
        raise ParameterError(
            f"{where} is {value!r}; allowed: a value, a list of values, {{first, last, step}} or {{formula: TEXT}}."
        )
    return tuple(dict.fromkeys(values))


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))


def _range(value: Mapping[str, Any], where: str) -> tuple[ParameterValue, ...]:
    keys = ("first", "last", "step")
    for key in value:
        if key not in keys:
            raise UnknownNameError("key", str(key), (*keys, "formula"), where=where)
    numbers = [value.get(key) for key in keys]
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) or not math.isfinite(n) for n in numbers):
        raise ParameterError(f"{where} is {dict(value)!r}; allowed: {{first, last, step}}, three numbers.")
    first, last, step = (n for n in numbers if isinstance(n, (int, float)))
    if step <= 0 or last < first or (last - first) / step > MAX_CELLS:
        raise ParameterError(
            f"{where}: first {first!r}, last {last!r}, step {step!r}; allowed: step > 0, first <= last."
        )
    count = int((last - first) / step + 1e-9) + 1
    is_whole = all(isinstance(n, int) for n in (first, step))
    return tuple(first + i * step if is_whole else round(first + i * step, _DECIMALS) for i in range(count))


def _cells(value: Any, where: str) -> tuple[int | None, int]:
    if value == _EVERY:
        return None, 0
    if not isinstance(value, dict) or not {"count"} <= set(value) <= {"count", "seed"}:
        raise ConfigurationError(f"{where} is {value!r}; allowed: all, or {{count: N, seed: N}}.")
    count, seed = value["count"], value.get("seed", 0)
    if any(isinstance(n, bool) or not isinstance(n, int) for n in (count, seed)) or count < 1 or seed < 0:
        raise ParameterError(f"{where} is {value!r}; allowed: a count >= 1 and a seed >= 0, whole numbers.")
    return count, seed
