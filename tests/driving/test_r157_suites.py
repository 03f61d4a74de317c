"""The suites of UN R157 are the grids of the study, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest

from simloop.criteria import parse_criteria
from simloop.criterion import PreventableCriterion
from simloop.scenario_files import load_family
from simloop.suites import Axes, SuiteWords, load_suite
from simloop_driving.scenario.r157_grids import cut_in_grid


def _whole(name: str) -> tuple[Axes, ...]:
    return load_suite(name).replaced(SuiteWords(cells="all")).axes


def test_the_cut_in_suite_is_both_grids() -> None:
    for axes, name in zip(_whole("r157_cut_in"), ("low", "high"), strict=True):
        grid, cells = cut_in_grid(name), axes.cells()
        assert len(cells) == len(grid)
        for parameter, expected in (
            ("ego_speed_mps", grid.ego_speed_mps),
            ("cut_in_speed_ratio", grid.cut_in_speed_mps / grid.ego_speed_mps),
            ("gap_m", grid.gap_m),
            ("lateral_speed_mps", grid.lateral_speed_mps),
        ):
            found = np.array([cell[parameter] for cell in cells], dtype=np.float64)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "num_cells", "spans"),
    [
        ("r157_cut_out", 13 * 30 * 15, {"blocker_gap_m": (2.0, 147.0), "lateral_speed_mps": (0.1, 2.9)}),
        (
            "r157_deceleration",
            59 * 19,
            {
                "ego_speed_mps": (12 / 3.6, 128 / 3.6),
                "deceleration_mps2": (0.4905, 9.3195),
                "headway_s": (1.12, 2.0),
            },
        ),
    ],
)
def test_the_other_suites_span_their_grids(
    name: str, num_cells: int, spans: dict[str, tuple[float, float]]
) -> None:
    (axes,) = _whole(name)
    cells = axes.cells()
    assert len(cells) == num_cells
    for parameter, span in spans.items():
        values = [float(cell[parameter]) for cell in cells]
        assert (min(values), max(values)) == pytest.approx(span)


@pytest.mark.parametrize("name", ["r157_cut_in", "r157_cut_out", "r157_deceleration"])
def test_a_sample_is_played_by_default_and_judged(name: str) -> None:
    suite = load_suite(name)
    assert suite.reference is not None and "cc_human_driver" in suite.reference.agents
    (criterion,) = (
        c for c in parse_criteria(suite.criteria, suite.where) if isinstance(c, PreventableCriterion)
    )
    bounds = (0.01, None) if name == "r157_cut_in" else (None, 0)
    assert (criterion.at_most_ratio, criterion.at_most) == bounds
    for axes, whole in zip(suite.axes, _whole(name), strict=True):
        (scenario,) = axes.scenario
        family, cells = load_family(scenario), axes.cells()
        every = {tuple(sorted(cell.items())) for cell in whole.cells()}
        assert 100 < len(cells) < len(every)
        assert {tuple(sorted(cell.items())) for cell in cells} < every
        assert len({family.case(0, cell).case_id for cell in cells}) == len(cells)  # each is within its range
        assert {suite.heat_map["x"], suite.heat_map["y"]} <= set(cells[0])
