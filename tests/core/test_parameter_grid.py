"""Grids of parameters: every combination, dependent values, samples, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from simloop.errors import ConfigurationError, SimloopError
from simloop.formula import evaluate_formula
from simloop.parameter_grid import ParameterGrid, fixed_grid, parse_grid

LOW = """
variables: {ego_kmh: {first: 10, last: 60, step: 10}, other_kmh: {first: 10, last: 50, step: 10}}
where: other_kmh < ego_kmh
parameters:
  speed_mps: {formula: ego_kmh / 3.6}
  ratio: {formula: other_kmh / ego_kmh}
  gap_m: {first: 1, last: 59, step: 1}
  lateral_mps: {first: 0.0, last: 1.7, step: 0.1}
  side: left
cells: {count: 40, seed: 3}
"""


def grid_of(text: str) -> ParameterGrid:
    grid = parse_grid(yaml.safe_load(text), "suite.yaml: axes[0]")
    assert grid is not None
    return grid


def test_every_combination_that_the_condition_leaves() -> None:
    cells = grid_of(LOW).replaced({}, "all", None).cells()
    # 1 + 2 + 3 + 4 + 5 pairs of speeds, 59 gaps, 18 lateral speeds.
    assert len(cells) == 15 * 59 * 18
    assert cells[0] == {"speed_mps": 20 / 3.6, "ratio": 0.5, "gap_m": 1, "lateral_mps": 0.0, "side": "left"}
    assert cells[1]["lateral_mps"] == 0.1 and cells[3]["lateral_mps"] == 0.3
    assert cells[-1] == {
        "speed_mps": 60 / 3.6,
        "ratio": 50 / 60,
        "gap_m": 59,
        "lateral_mps": 1.7,
        "side": "left",
    }
    assert len({tuple(cell.values()) for cell in cells}) == len(cells)


def test_a_sample_is_part_of_the_grid_and_of_a_larger_sample() -> None:
    grid = grid_of(LOW)
    every = [tuple(c.values()) for c in grid.replaced({}, "all", None).cells()]
    few = [tuple(c.values()) for c in grid.cells()]
    more = [tuple(c.values()) for c in grid.replaced({}, 400, None).cells()]
    assert (len(few), len(more)) == (40, 400)
    assert set(few) < set(more) < set(every)
    assert [every.index(c) for c in few] == sorted(every.index(c) for c in few)
    assert few == [tuple(c.values()) for c in grid_of(LOW).cells()]
    assert set(few) != {tuple(c.values()) for c in grid.replaced({}, 40, 4).cells()}
    assert np.mean([c["gap_m"] for c in grid.replaced({}, 400, None).cells()]) == pytest.approx(
        30.0, abs=2.5
    )  # 59 gaps, 400 draws: 2.9 standard errors


def test_values_of_the_command_line_replace_those_of_the_file() -> None:
    grid = grid_of(LOW).replaced({"gap_m": [5, 7], "other_kmh": 20, "side": ["left", "right"]}, "all", None)
    cells = grid.cells()
    assert len(cells) == 4 * 2 * 18 * 2
    assert {c["gap_m"] for c in cells} == {5, 7}
    assert {round(float(c["ratio"]) * float(c["speed_mps"]) * 3.6) for c in cells} == {20}
    fixed = grid_of(LOW).replaced(
        {"ratio": 0.5, "lateral_mps": {"first": 0.5, "last": 1.5, "step": 0.5}}, "all", None
    )
    assert {c["ratio"] for c in fixed.cells()} == {0.5} and len(fixed.cells()) == 5 * 59 * 3
    without = grid_of(LOW).replaced({"speed_mps": 5.0, "ratio": [0.2, 0.4]}, "all", None).cells()
    assert len(without) == 2 * 59 * 18  # the condition needs both variables, and the cells are the same
    alone = grid_of("variables: {g: [0.1, 0.2]}\nparameters: {a: {formula: 9.81 * g}, b: [1, 2]}")
    assert alone.replaced({"a": 6.0}, None, None).cells() == ({"b": 1, "a": 6.0}, {"b": 2, "a": 6.0})
    assert fixed_grid({"gap_m": [1.0, 2.0], "side": "left"}).cells() == (
        {"gap_m": 1.0, "side": "left"}, {"gap_m": 2.0, "side": "left"},
    )  # fmt: skip


WRONG = [
    ("parameters: {a: {first: 1, last: 0, step: 1}}", "step > 0, first <= last"),
    ("parameters: {a: {first: 1, last: 2}}", "allowed: {first, last, step}, three numbers"),
    ("parameters: {a: {first: 1, last: 2, stpe: 1}}", "Unknown key 'stpe'.*Did you mean 'step'"),
    ("parameters: {a: []}", "allowed: a value, a list of values"),
    ("parameters: {a: .nan}", "parameters.a is nan; allowed: a value"),
    ("parameters: {a: [1, [2]]}", "allowed: a value, a list of values"),
    ("variables: {a: 1}", "has variables but no parameters"),
    ("variables: {a: 1}\nparameters: {b: 2}", "variables.a is used by no formula and not by where"),
    ("parameters: {a: 1}\nvariables: {a: 1}", "'a' is a variable and a parameter"),
    ("parameters: [1]", "must be a mapping from names"),
    ("parameters: {a: {formula: b + 1}}", "Unknown name 'b' in suite.yaml: axes.0..parameters.a"),
    ("parameters: {b: [0, 2], a: {formula: 1 / b}}", "is inf for b 0; it must be a finite number"),
    ("parameters: {b: 2, a: {formula: __import__('os')}}", "uses .__import__.*; allowed: numbers, names"),
    ("parameters: {b: 2, a: {formula: b.real}}", "uses 'b.real'; allowed"),
    ("parameters: {b: 2, a: {formula: b ** 99}}", "a power over 8"),
    ("parameters: {b: 2, a: {formula: 'b +'}}", "which is no formula"),
    ("parameters: {b: 2, a: {formula: 3}}", "must be {formula: TEXT}"),
    ("parameters: {a: left, b: 1}\nwhere: a > 1", "Unknown name 'a'"),
    ("parameters: {a: [1, 2]}\nwhere: a > 2", "no cell satisfies it"),
    ("parameters: {a: [1, 2]}\nwhere: a", "it must compare"),
    ("parameters: {a: 1}\ncells: 5", "allowed: all, or {count: N, seed: N}"),
    ("parameters: {a: 1}\ncells: {count: 0}", "a count >= 1 and a seed >= 0"),
    ("cells: all\nx: &v {first: 1, last: 2000, step: 1}\nparameters: {a: *v, b: *v}", "4000000 combinations"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[message[:34] for _, message in WRONG])
def test_what_is_no_grid_is_refused(text: str, message: str) -> None:
    with pytest.raises(SimloopError, match=message):
        grid_of(text)


def test_formulas_are_arithmetic() -> None:
    columns = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([2.0, 2.0, 2.0])}

    def value(text: str) -> Any:
        return evaluate_formula(text, columns, "here").tolist()

    assert value("-a * (b + 1) ** 2 / 3 - 0.5") == [-3.5, -6.5, -9.5]
    assert value("max(a, b, 2.5)") == [2.5, 2.5, 3.0] and value("min(abs(-a), b)") == [1.0, 2.0, 2.0]
    assert value("1 < a <= b") == [False, True, False]
    assert value("not (a == b) and a != 3 or a >= 3") == [True, False, True]
    assert value("7") == [7.0, 7.0, 7.0]
    with pytest.raises(ConfigurationError, match="has 402 characters"):
        value("a" + "+" * 401)
