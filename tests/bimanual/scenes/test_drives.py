"""What moves by itself: the belt and the pot on it, gusts and the ball; and how the two tasks end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import pytest

from simloop.scenario_files import load_family
from simloop.spec import ParameterValue
from simloop.world import OutcomeState
from simloop_bimanual.conventions import PHYSICS_PERIOD_NS, PHYSICS_PERIOD_S
from simloop_bimanual.scenes.drives import (
    BALL_RADIUS_M,
    BELT_ACCELERATION_MPS2,
    BELT_TOP_M,
    BeltDrive,
    GustDrive,
)
from simloop_bimanual.tasks.tray_balance import GOAL_HEIGHT_M
from simloop_bimanual.world import BimanualWorld

TRAY, CONVEYOR = "two_arm_tray_balance", "two_arm_conveyor_lift"
PERIOD_NS = 50_000_000
GRAVITY_MPS2 = 9.81

Worlds = Callable[[str], BimanualWorld]


def _reset(world: BimanualWorld, name: str, values: dict[str, ParameterValue], seed: int = 0) -> None:
    scenario = load_family(name).scenario(seed)
    world.reset(dataclasses.replace(scenario, parameters={**scenario.parameters, **values}), seed)


def _speeds(course_id: float, change_ratio: float = 0.8) -> np.ndarray[Any, Any]:
    belt = BeltDrive(0, 0)
    belt.start(speed_mps=0.08, change_ratio=change_ratio, course_id=course_id)
    return np.array([belt.speed_mps(number * PHYSICS_PERIOD_NS) for number in range(10_000)])


def test_a_belts_course_is_that_of_its_id_and_keeps_its_limits() -> None:
    first = _speeds(17.0)
    assert np.array_equal(first, _speeds(17.9))  # the whole part counts
    assert not np.array_equal(first, _speeds(18.0))
    assert first[0] == 0.08
    assert 0.016 - 1e-12 <= first.min() < 0.05 and 0.11 < first.max() <= 0.144 + 1e-12
    assert np.abs(np.diff(first)).max() <= BELT_ACCELERATION_MPS2 * PHYSICS_PERIOD_S + 1e-12
    assert (_speeds(17.0, change_ratio=0.0) == 0.08).all()


def test_the_pot_rides_on_the_belt_and_does_not_slow_it(world_of: Worlds) -> None:
    world = world_of(CONVEYOR)
    _reset(world, CONVEYOR, {"belt_speed_mps": 0.1, "belt_speed_change_ratio": 0.0, "pot_x_m": -0.25})
    belt = int(world._model.mj_model.joint("belt_slide").dofadr[0])
    world.advance(10 * PERIOD_NS)
    start_m = world.capture("object_state", 0).array[0]
    world.advance(30 * PERIOD_NS)
    pot = world.capture("object_state", 1).array
    assert pot[7] == pytest.approx(0.1, rel=0.02)
    assert pot[0] - start_m == pytest.approx(0.1 * 1.0, rel=0.02)
    assert pot[13] == pytest.approx(0.0, abs=1e-3)  # on the belt
    assert world._data.qvel[belt] == pytest.approx(0.1, rel=1e-3)
    columns: Any = world.drain()["task"]
    assert columns["belt_speed_mps"][1:] == pytest.approx(0.1, rel=1e-3)
    assert columns["way_left_m"][-1] == pytest.approx(0.3 - pot[0], abs=1e-9)


def test_a_pot_that_nobody_takes_is_missed(world_of: Worlds) -> None:
    world = world_of(CONVEYOR)
    _reset(world, CONVEYOR, {"belt_speed_mps": 0.3, "belt_speed_change_ratio": 0.0, "pot_x_m": 0.0})
    world.advance(40 * PERIOD_NS)
    outcome = world.outcome()
    assert (outcome.state, outcome.reason) == (OutcomeState.FAIL, "pot_missed")


def test_a_pot_in_the_air_is_lifted_when_it_stays_there_for_the_held_steps(world_of: Worlds) -> None:
    world = world_of(CONVEYOR)
    _reset(world, CONVEYOR, {})
    pot, data = world._model.objects["pot"], world._data
    for tick in range(20):
        assert world.outcome().state is OutcomeState.RUNNING
        data.qpos[pot.qpos + 2] = BELT_TOP_M + 0.07 + 0.15
        data.qvel[pot.dof : pot.dof + 6] = 0.0
        world.advance((tick + 1) * PERIOD_NS)
    assert world.outcome().state is OutcomeState.SUCCESS


def test_a_gust_carries_the_impulse_that_its_speed_says() -> None:
    data = mujoco.MjData(mujoco.MjModel.from_xml_string("<mujoco><worldbody><body><freejoint/>"
        "<geom size='0.1'/></body></worldbody></mujoco>"))  # fmt: skip
    gusts = GustDrive(0, mass_kg=0.07)
    gusts.start(gust_mps=0.12, start_s=0.5, course_id=3.0)
    forces = []
    for number in range(3000):
        gusts.apply(data, number * PHYSICS_PERIOD_NS, is_blowing=number >= 500)
        forces.append(data.qfrc_applied[:2].copy())
    strengths = np.hypot(*np.transpose(forces))
    assert (strengths[: 500 + 250] == 0.0).all()  # 0.5 s after the lift at 1 s
    assert strengths[750] > 0.0
    starts = np.flatnonzero(np.diff((strengths > 0.0).astype(int)) == 1) + 1
    assert len(starts) >= 5
    for start in starts[:-1]:
        gained_mps = strengths[start : start + 60].sum() * PHYSICS_PERIOD_S / 0.07
        assert 0.06 - 1e-9 <= gained_mps <= 0.12 + 1e-9


@pytest.mark.parametrize("friction_m", [2e-4, 8e-4])
def test_rolling_friction_brakes_the_ball_as_the_closed_form_says(
    friction_m: float, world_of: Worlds
) -> None:
    """A solid sphere with the rolling resistance b slows down by 5/7 g b / r."""
    world = world_of(TRAY)
    values: dict[str, ParameterValue] = {"ball_x_m": 0.0, "ball_y_m": 0.0, "ball_heading_rad": 0.0}
    _reset(world, TRAY, {**values, "ball_rolling_friction_m": friction_m, "ball_speed_mps": 0.15})
    speeds = []
    for tick in range(2, 8):
        world.advance(tick * PERIOD_NS)
        # Turned by half a turn, the tray has its x axis against the world's.
        speeds.append(-float(world.capture("object_state", tick).array[16]))
    braking = (speeds[0] - speeds[-1]) / (5 * PERIOD_NS * 1e-9)
    assert speeds[0] < 0.15  # it starts to slide, and rolls soon
    assert braking == pytest.approx(5 / 7 * GRAVITY_MPS2 * friction_m / BALL_RADIUS_M, rel=0.15)


def test_gusts_wait_for_the_tray_to_be_lifted(world_of: Worlds) -> None:
    world = world_of(TRAY)
    _reset(world, TRAY, {"gust_start_s": 0.0, "gust_mps": 0.3})
    ball, tray, data = world._model.objects["ball"], world._model.objects["tray"], world._data
    world.advance(40 * PERIOD_NS)
    assert (data.qfrc_applied == 0.0).all()
    data.qpos[[tray.qpos + 2, ball.qpos + 2]] += 0.05
    world.advance(40 * PERIOD_NS + PHYSICS_PERIOD_NS)
    assert np.hypot(*data.qfrc_applied[ball.dof : ball.dof + 2]) > 0.0
    _reset(world, TRAY, {"gust_start_s": 0.0, "gust_mps": 0.3})
    world.advance(40 * PERIOD_NS)
    assert (data.qfrc_applied == 0.0).all()


@pytest.mark.parametrize(
    ("ball_m", "tray_off_m", "is_goal_met", "failure"),
    [
        ((0.0, 0.0), 0.0, True, ""),
        ((0.12, -0.1), 0.02, True, ""),
        ((0.0, 0.0), 0.04, False, ""),
        ((0.14, 0.0), 0.0, False, ""),  # beyond the edge, and falling
        ((0.2, 0.0), 0.0, False, "ball_lost"),
    ],
)
def test_a_tray_at_the_goal_counts_with_its_ball_only(
    ball_m: tuple[float, float], tray_off_m: float, is_goal_met: bool, failure: str, world_of: Worlds
) -> None:
    world = world_of(TRAY)
    _reset(world, TRAY, {"goal_distance_m": 0.1, "goal_bearing_rad": 1.0})
    tray, ball, data = world._model.objects["tray"], world._model.objects["ball"], world._data
    at = (0.1 * np.cos(1.0) + tray_off_m, 0.1 * np.sin(1.0), GOAL_HEIGHT_M)
    data.qpos[tray.qpos : tray.qpos + 3] = at
    data.qpos[ball.qpos : ball.qpos + 3] = (at[0] + ball_m[0], at[1] + ball_m[1], at[2] + 0.025)
    mujoco.mj_forward(world._model.mj_model, data)
    seen = world._task.measure(data)
    assert (seen.is_goal_met, seen.failure) == (is_goal_met, failure)


def test_the_mark_shows_the_goal(world_of: Worlds) -> None:
    world = world_of(TRAY)
    _reset(world, TRAY, {"goal_distance_m": 0.15, "goal_bearing_rad": 0.7})
    world.advance(PERIOD_NS)
    mark = world._data.xpos[world._model.mj_model.body("goal_root").id]
    state: Any = world.capture("object_state", 0).array
    assert mark[:2] == pytest.approx(state[0:2] + state[19:21], abs=1e-9)
    assert np.hypot(*mark[:2]) == pytest.approx(0.15, abs=1e-9)


@pytest.mark.parametrize("ratio", [0.5, 3.0])
def test_gusts_push_a_heavier_ball_harder(ratio: float) -> None:
    """A gust is told by the speed that it gives, whatever ``object_mass_ratio`` makes of the ball."""
    world = BimanualWorld(**load_family(TRAY).world_config)
    pushes = []
    for value in (1.0, ratio, 1.0):
        _reset(world, TRAY, {"gust_start_s": 0.0, "gust_mps": 0.3, "object_mass_ratio": value})
        ball, tray = world._model.objects["ball"], world._model.objects["tray"]
        world._data.qpos[[tray.qpos + 2, ball.qpos + 2]] += 0.05
        world.advance(2 * PHYSICS_PERIOD_NS)
        pushes.append(float(np.hypot(*world._data.qfrc_applied[ball.dof : ball.dof + 2])))
    assert pushes[0] > 0.0
    assert pushes[1] == pytest.approx(ratio * pushes[0], rel=1e-12)
    assert pushes[2] == pushes[0]
