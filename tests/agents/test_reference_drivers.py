"""The reference drivers against the public UN R157 study's table of crashes and against values worked by hand."""

from __future__ import annotations

import functools
import itertools
import logging
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from simloop.errors import ParameterError, UnknownNameError
from simloop_agents.experts import reference_models as models
from simloop_agents.experts.reference_drivers import (
    REFERENCE_MODELS,
    point_mass_cut_in,
    point_mass_cut_in_impacts,
)
from simloop_driving.scenario.r157_grids import cut_in_grid

FloatArray = npt.NDArray[np.float64]

_log = logging.getLogger(__name__)
TABLE = Path(__file__).resolve().parents[1] / "golden" / "r157_cut_in_high.csv.gz"
"""Crashes in the Joint Research Centre's point-mass study of UN R157 safety models, high-speed cut-in grid: speeds in
km/h, gap in m, lateral speed in m/s, and for each model 1 = crash."""


@functools.cache
def _table() -> tuple[
    tuple[FloatArray, FloatArray, FloatArray, FloatArray], dict[str, npt.NDArray[np.bool_]]
]:
    values = np.loadtxt(TABLE, delimiter=",", skiprows=1)
    cells = (values[:, 0] / 3.6, values[:, 1] / 3.6, values[:, 2], values[:, 3])
    return cells, {
        name: values[:, 4 + i] == 1.0 for i, name in enumerate(("cc_human_driver", "fsm", "rss", "reg157"))
    }


@pytest.mark.parametrize("model", REFERENCE_MODELS)
def test_crashes_are_those_of_the_public_study(model: str, repository: Path) -> None:
    cells, crashes = _table()
    ours = np.isfinite(point_mass_cut_in_impacts(model, *cells))
    assert len(ours) == 14_040
    share = float(np.mean(ours == crashes[model]))
    _log.info("%s gives the study's verdict in %.2f %% of %d cells", model, 100.0 * share, len(ours))
    assert share >= 0.995
    assert f"{100.0 * share:.2f} % (`{model}`)" in (repository / "docs" / "r157.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("model", REFERENCE_MODELS)
def test_one_cell_is_the_batch_of_one_and_a_batch_is_fast(model: str) -> None:
    cells, _ = _table()
    impacts = point_mass_cut_in_impacts(model, *cells)
    for i in range(0, len(impacts), 701):
        cell = [float(values[i]) for values in cells]
        assert point_mass_cut_in(model, *cell) == bool(np.isfinite(impacts[i]))
    start_s = time.thread_time()
    point_mass_cut_in_impacts(model, *cells)
    cells_per_s = len(impacts) / (time.thread_time() - start_s)
    _log.info("%s does %.0f cells a second", model, cells_per_s)
    assert cells_per_s >= 10_000


@pytest.mark.parametrize("grid_name", ["high", "low"])
@pytest.mark.parametrize("model", REFERENCE_MODELS)
def test_added_latency_costs_crashes_as_the_figure_shows(
    model: str, grid_name: str, repository: Path
) -> None:
    grid = cut_in_grid(grid_name)
    cells = (grid.ego_speed_mps, grid.cut_in_speed_mps, grid.gap_m, grid.lateral_speed_mps)
    crashes = [
        int(np.isfinite(point_mass_cut_in_impacts(model, *cells, added_latency_s=latency)).sum())
        for latency in (0.0, 0.1, 0.2, 0.4)
    ]
    assert all(less < more for less, more in itertools.pairwise(crashes)), crashes
    drawn = (repository / "docs" / "images" / "r157_latency.csv").read_text(encoding="utf-8")
    assert f"{grid_name},{model},{','.join(map(str, crashes))}" in drawn.splitlines()


@pytest.mark.parametrize("model", REFERENCE_MODELS)
def test_nobody_is_hit_who_stays_in_his_lane_or_drives_away(model: str) -> None:
    gap_m = np.arange(1.0, 60.0)
    assert np.isnan(point_mass_cut_in_impacts(model, 30.0, 10.0, gap_m, 0.0)).all()
    assert np.isnan(point_mass_cut_in_impacts(model, 20.0, 21.0, gap_m, 1.0)).all()


def test_impact_speed_of_the_human_driver_is_the_closed_form() -> None:
    # 10 m/s faster, 1 m gap, 1.6 m to the side in one second at 1.6 m/s: the front bumper is level with the other's
    # rear after 0.1 s, so the other has not come over yet and the ego passes. With a gap of 11 m it is hit.
    assert np.isnan(point_mass_cut_in_impacts("cc_human_driver", 20.0, 10.0, 1.0, 0.5))
    impact_mps = float(point_mass_cut_in_impacts("cc_human_driver", 20.0, 10.0, 11.0, 1.6))
    # Overlap is seen 1.0..1.1 s after the nominal start, 0.9..1.0 m apart: 1 step of rolling out at 0.4 m/s2.
    assert impact_mps == pytest.approx(10.0 - 0.04, abs=0.041)


@pytest.mark.parametrize(
    ("model", "reaction_steps", "first_mps2", "second_mps2", "held_mps2"),
    [
        ("cc_human_driver", 8, 0.4, 1.665, 7.59294),
        ("rss", 8, 0.0, 1.265, 7.59294),
        ("fsm", 8, 0.0, 1.265, 7.59294),
        ("reg157", 4, 0.0, 6.0, 6.0),
    ],
)
def test_braking_comes_after_the_reaction_time_and_grows_by_its_jerk(
    model: str, reaction_steps: int, first_mps2: float, second_mps2: float, held_mps2: float
) -> None:
    code = models.model_code(model)
    driver = np.empty(models.NUM_DRIVER_ENTRIES)
    models.start_driver(driver, code, 0.0)
    course = [models.brake(driver, code, models.FULL_BRAKING_MPS2, 0.1) for _ in range(20)]
    assert course[:reaction_steps] == [first_mps2] * reaction_steps
    assert course[reaction_steps] == pytest.approx(second_mps2)
    assert course[-1] == pytest.approx(held_mps2)
    models.start_driver(driver, code, 0.2)
    late = [models.brake(driver, code, models.FULL_BRAKING_MPS2, 0.1) for _ in range(20)]
    assert late == [0.0, 0.0, *course[:18]]


# Ego 20 m/s, other 10 m/s ahead in the ego's lane, mean length 4.3 m, sides overlap.
@pytest.mark.parametrize(
    ("model", "edge_m"),
    [
        # TTC 2.0 s.
        ("cc_human_driver", 20.0),
        # TTC 10/12 + 0.35 + 0.1 s.
        ("reg157", 10.0 * (10.0 / 12.0 + 0.45)),
        # 20 * 0.75 + 3 * 0.75^2 / 2 + 22.25^2 / 12 - 10^2 / 12.
        ("rss", 15.0 + 0.84375 + 22.25**2 / 12.0 - 100.0 / 12.0),
        # PFS starts below 20 * 0.75 + 400 / 8 - 100 / 14 + 2, measured to 2 m behind the other.
        ("fsm", 15.0 + 50.0 - 100.0 / 14.0 + 4.0),
    ],
)
def test_danger_begins_at_the_published_distance(model: str, edge_m: float) -> None:
    code = models.model_code(model)

    def verdict(gap_m: float) -> int:
        return models.judge_conflict(code, 20.0, 0.0, 10.0, gap_m + 4.3, 4.3, -0.5, 0.0)[0]

    assert verdict(edge_m - 0.01) == models.UNSAFE
    assert verdict(edge_m + 0.01) == (models.OVER if model == "cc_human_driver" else models.SAFE)


@pytest.mark.parametrize(
    ("model", "approach_mps", "edge_m"),
    [
        ("cc_human_driver", 1.0, 0.0),
        ("reg157", 1.0, 0.5),
        # mu + (2 u + c r) r / 2 + (u + c r)^2 / (2 c) with u = 1, c = 1, r = 0.75.
        ("rss", 1.0, 0.3 + 2.75 * 0.375 + 1.75**2 / 2.0),
        # The other needs longer to come over than the ego to pass: (2 + 4.3 + 4.3) / 10 + 0.1 s.
        ("fsm", 1.0, 1.16),
    ],
)
def test_danger_begins_at_the_published_side_distance(model: str, approach_mps: float, edge_m: float) -> None:
    code = models.model_code(model)

    def verdict(lateral_gap_m: float) -> int:
        return models.judge_conflict(code, 20.0, 0.0, 10.0, 6.3, 4.3, lateral_gap_m, approach_mps)[0]

    assert verdict(edge_m - 0.01) == models.UNSAFE
    assert verdict(edge_m + 0.01) == models.SAFE


def test_fuzzy_metrics_between_their_edges() -> None:
    # PFS, ego 20, other 10, gap less 2 m of 50 m: safe 59.857, unsafe 41.19.
    safe_m, unsafe_m = 15.0 + 50.0 - 100.0 / 14.0 + 2.0, 15.0 + 400.0 / 12.0 - 100.0 / 14.0
    expected = (50.0 - safe_m) / (unsafe_m - safe_m)
    assert models.proactive_fuzzy_metric(20.0, 10.0, 52.0) == pytest.approx(expected)
    # CFS without acceleration: 7.5 m in the reaction time, then 100 / 8 or 100 / 12 m.
    assert models.critical_fuzzy_metric(20.0, 0.0, 10.0, 18.0) == pytest.approx(
        (18.0 - 20.0) / (15.8333333 - 20.0)
    )
    assert models.critical_fuzzy_metric(10.0, 0.0, 10.0, 1.0) == 0.0
    # Braking at 4 m/s2 ends below the other's speed within the reaction time: only the way to equal speed counts.
    assert models.critical_fuzzy_metric(12.0, -4.0, 10.0, 0.49) == 1.0
    assert models.critical_fuzzy_metric(12.0, -4.0, 10.0, 0.51) == 0.0


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UnknownNameError, match="reference driver"):
        point_mass_cut_in("robot", 20.0, 10.0, 10.0, 1.0)
    with pytest.raises(ParameterError, match=r"gap_m is -1\.0"):
        point_mass_cut_in("rss", 20.0, 10.0, -1.0, 1.0)
    with pytest.raises(ParameterError, match="added_latency_s is inf"):
        point_mass_cut_in("rss", 20.0, 10.0, 1.0, 1.0, added_latency_s=float("inf"))
