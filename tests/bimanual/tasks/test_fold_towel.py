"""The towel: its mechanics, what counts as folded, what the sensors say of it, and what is refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import pytest

from simloop.errors import ConfigurationError, ParameterError
from simloop.scenario_files import load_family
from simloop.world import OutcomeState
from simloop_bimanual.rendering.views import SEMANTICS, two_arm_view
from simloop_bimanual.scenes.towel import BOARD_TOP_M, TOWEL
from simloop_bimanual.world import BimanualWorld

FloatArray = npt.NDArray[np.float64]

NAME = "two_arm_fold_towel"
PERIOD_NS = 50_000_000
N = TOWEL.num_side


@pytest.fixture(scope="module")
def towel_world() -> BimanualWorld:
    """One world; tests reset it themselves."""
    return BimanualWorld(**load_family(NAME).world_config)


def _reset(world: BimanualWorld, **parameters: float) -> Any:
    """Resets to the parameters given, which may leave the family's ranges; the others are neutral."""
    world.reset(dataclasses.replace(load_family(NAME).scenario(0), parameters=parameters), 0)
    return world._data


def _put(world: BimanualWorld, vertices_m: FloatArray) -> None:
    """Puts the towel's vertices (N, N, 3) somewhere."""
    model, data = world._model.mj_model, world._data
    for body, position in zip(TOWEL.bodies(), vertices_m.reshape(-1, 3), strict=True):
        address = int(model.jnt_qposadr[model.body(body).jntadr[0]])
        data.qpos[address : address + 3] = position - model.body(body).pos
    mujoco.mj_forward(model, data)


def _folded(gap_m: float = 0.012) -> FloatArray:
    """The towel folded at its middle row, the carried half upon the other one."""
    flat = np.zeros((N, N, 3))
    flat[..., :2] = TOWEL.rest_m().reshape(N, N, 2)
    flat[..., 2] = BOARD_TOP_M + TOWEL.radius_m
    out = flat.copy()
    out[N // 2 + 1 :, :, 0] = flat[: N // 2, :, 0][::-1]
    out[N // 2 + 1 :, :, 2] += gap_m
    return out


def test_the_flat_towel_is_at_rest_however_it_lies(towel_world: BimanualWorld) -> None:
    """A rigid motion stores no elastic energy; pulling one corner by a centimetre does."""
    data = _reset(towel_world, board_yaw_rad=0.25, board_x_m=0.03, towel_yaw_rad=-0.05)
    assert np.abs(data.qfrc_spring).max() < 1e-9
    vertices = _folded()
    vertices[..., :2] = TOWEL.rest_m().reshape(N, N, 2)
    vertices[..., 2] = 1.2
    vertices[0, 0, 0] -= 0.01
    _put(towel_world, vertices)
    assert np.abs(data.qfrc_spring).max() > 0.1
    model = towel_world._model.mj_model
    dofs = [int(model.body(name).dofadr[0]) for name in TOWEL.bodies()]
    forces = data.qfrc_spring[np.array(dofs)[:, None] + np.arange(3)]
    assert np.abs(forces.sum(axis=0)).max() < 1e-9  # inner forces cancel


def test_the_board_carries_the_towels_weight(towel_world: BimanualWorld) -> None:
    data, model = _reset(towel_world), towel_world._model
    towel_world.advance(30 * PERIOD_NS)
    towel, carried, force = model.class_names.index("towel"), 0.0, np.empty(6)
    for number in range(data.ncon):
        contact = data.contact[number]
        if towel in model.geom_class[contact.geom]:
            mujoco.mj_contactForce(model.mj_model, data, number, force)
            upwards = contact.frame.reshape(3, 3).T @ force[:3]
            carried += float(upwards[2]) * (1.0 if model.geom_class[contact.geom2] == towel else -1.0)
    assert carried == pytest.approx(TOWEL.mass_kg * 9.81, rel=0.05)


def test_stiffness_and_friction_follow_the_parameters(towel_world: BimanualWorld) -> None:
    _reset(towel_world, towel_stiffness_ratio=1.0, towel_friction_ratio=1.0)
    model = towel_world._model.mj_model
    stretch, bend = model.flex_stiffness.copy(), model.flex_bending.copy()
    _reset(towel_world, towel_stiffness_ratio=0.5, towel_friction_ratio=1.2)
    assert np.allclose(model.flex_stiffness, 0.5 * stretch) and np.abs(stretch).max() > 0
    assert np.allclose(model.flex_bending, 0.5 * bend) and np.abs(bend).max() > 0
    point = model.geom(TOWEL.geom(TOWEL.body(0, 0)))
    assert point.friction[0] == pytest.approx(1.2 * TOWEL.sliding_friction)


@pytest.mark.parametrize(
    ("shift_m", "lift_m", "stage", "is_met"),
    [(0.0, 0.012, 4, True), (0.025, 0.012, 4, True), (0.04, 0.012, 0, False), (0.0, 0.08, 3, False)],
    ids=["edge on edge", "within the tolerance", "beyond the tolerance", "not flat yet"],
)
def test_folded_means_edge_on_edge_and_flat(
    towel_world: BimanualWorld, shift_m: float, lift_m: float, stage: int, is_met: bool
) -> None:
    _reset(towel_world)
    vertices = _folded(lift_m)
    vertices[N // 2 + 1 :, :, 1] += shift_m
    _put(towel_world, vertices)
    seen = towel_world._task.measure(towel_world._data)
    assert (seen.stage, seen.is_goal_met) == (stage, is_met)
    assert seen.row[4] == pytest.approx(shift_m, abs=1e-9)


def test_a_crumpled_towel_is_not_folded(towel_world: BimanualWorld) -> None:
    """Edge lies on edge, but so does everything else."""
    _reset(towel_world)
    vertices = _folded()
    vertices[..., 0] *= 0.3
    _put(towel_world, vertices)
    assert not towel_world._task.measure(towel_world._data).is_goal_met


def test_a_towel_on_the_floor_is_a_failure(towel_world: BimanualWorld) -> None:
    _reset(towel_world)
    vertices = _folded()
    vertices[..., 2] -= 0.06
    _put(towel_world, vertices)
    assert towel_world._task.measure(towel_world._data).failure == "towel_dropped"


def test_object_state_tells_where_the_corners_are(towel_world: BimanualWorld) -> None:
    yaw, x_m = 0.2, 0.03
    _reset(towel_world, board_yaw_rad=yaw, board_x_m=x_m)
    state = towel_world.capture("object_state", 0).array
    half = (N - 1) / 2 * TOWEL.spacing_m
    corners = {}
    for name, (x, y) in {"left": (half, -half), "right": (half, half), "target": (-half, -half)}.items():
        corners[name] = np.array(
            [math.cos(yaw) * x - math.sin(yaw) * y + x_m, math.sin(yaw) * x + math.cos(yaw) * y]
        )
    points = state[:27].reshape(3, 3, 3)
    assert points[2, 0, :2] == pytest.approx(corners["left"])
    assert points[2, 2, :2] == pytest.approx(corners["right"])
    assert points[0, 0, :2] == pytest.approx(corners["target"])
    # The left arm faces +y: its x axis is the world's y, its y axis the world's -x.
    model = towel_world._model
    base = towel_world._data.site_xpos[model.base_sites[0]]
    left = state[27:39]
    assert left[:3] == pytest.approx(
        [corners["left"][1] - base[1], base[0] - corners["left"][0], BOARD_TOP_M + TOWEL.radius_m - base[2]]
    )
    assert left[3:6] == pytest.approx([math.cos(yaw), math.sin(yaw), 0.0])
    assert left[6:8] == pytest.approx([corners["target"][1] - base[1], base[0] - corners["target"][0]])
    assert not left[9:12].any()


def _cloth_pixels(world: BimanualWorld) -> int:
    data = world._data
    view: Any = two_arm_view(world._model)
    seen = view.draw("front_camera", data.xpos, data.xmat, height_px=96, width_px=128)
    return int((seen.semantic == SEMANTICS.index("cloth")).sum())


def test_the_towel_is_seen_as_it_was_when_the_picture_was_taken(towel_world: BimanualWorld) -> None:
    _reset(towel_world)
    flat, flat_pixels = towel_world.capture("front_camera", 0), _cloth_pixels(towel_world)
    _put(towel_world, _folded())
    folded, folded_pixels = towel_world.capture("front_camera", 1), _cloth_pixels(towel_world)
    assert 100 < folded_pixels < 0.75 * flat_pixels
    _reset(towel_world)
    again = towel_world.capture("front_camera", 2).array
    assert np.array_equal(flat.array, again)  # it is drawn only now, from the vertices of then
    assert not np.array_equal(folded.array, again)


@pytest.mark.parametrize(
    ("scene", "parameters", "error", "match"),
    [
        ({"edge_tolerance_m": 0.5}, {}, ParameterError, "'edge_tolerance_m' is 0.5; allowed: above 0 and up"),
        (
            {},
            {"towel_stiffness_ratio": 9.0},
            ParameterError,
            "'towel_stiffness_ratio' is 9.0; allowed: a number",
        ),
        (
            {},
            {"object_mass_ratio": 0.5, "towel_stiffness_ratio": 0.8},
            ParameterError,
            "'object_mass_ratio' is 0.5 and parameter 'towel_stiffness_ratio' is 0.8; allowed: a stiffness of at most "
            "1.5 times the mass.*Set object_mass_ratio to 0.5334 or more, or towel_stiffness_ratio .* 0.5 to 0.75",
        ),
        ({"task": "two_arm_lift"}, {}, ConfigurationError, "allowed: 'two_arm_fold_towel'"),
    ],
)
def test_what_does_not_fit_is_refused(
    towel_world: BimanualWorld,
    scene: dict[str, Any],
    parameters: dict[str, float],
    error: type[Exception],
    match: str,
) -> None:
    scenario = load_family(NAME).scenario(0)
    bad = dataclasses.replace(
        scenario,
        scene={**scenario.scene, **scene},
        parameters={**scenario.parameters, **parameters},
    )
    with pytest.raises(error, match=match):
        towel_world.reset(bad, 0)
    towel_world.reset(scenario, 0)
    towel_world.advance(PERIOD_NS)
    assert towel_world.outcome().state is OutcomeState.RUNNING


def test_light_cloth_names_the_stiffness_that_nobody_gave_and_what_is_advised_is_allowed(
    towel_world: BimanualWorld,
) -> None:
    def reset(**parameters: float) -> None:
        towel_world.reset(dataclasses.replace(load_family(NAME).scenario(0), parameters=parameters), 0)

    with pytest.raises(
        ParameterError,
        match=r"'object_mass_ratio' is 0\.5 and parameter 'towel_stiffness_ratio' is 1, its default; .* "
        r"Set object_mass_ratio to 0\.6667 or more, or towel_stiffness_ratio to a number from 0\.5 to 0\.75",
    ):
        reset(object_mass_ratio=0.5)
    for advised in ({"object_mass_ratio": 0.6667}, {"object_mass_ratio": 0.5, "towel_stiffness_ratio": 0.75}):
        reset(**advised)
        assert towel_world.outcome().state is OutcomeState.RUNNING
    # No stiffness goes with this mass.
    with pytest.raises(ParameterError, match=r"Set object_mass_ratio to 0\.6667 or more\.$"):
        reset(object_mass_ratio=0.2)
