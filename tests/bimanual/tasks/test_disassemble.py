"""The snap fit against forces put on the bricks by hand, and the task's verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import pytest

from simloop.errors import ParameterError
from simloop.scenario_files import load_family
from simloop.world import OutcomeState
from simloop_bimanual.world import BimanualWorld

TASK = "two_arm_disassemble"
PERIOD_NS = 50_000_000
RETENTION_N = 20.0


@pytest.fixture(scope="module")
def bricks(world_of: Callable[[str], BimanualWorld]) -> BimanualWorld:
    return world_of(TASK)


def _reset(world: BimanualWorld, yaw_rad: float = 0.3) -> tuple[Any, Any]:
    """Starts with both bricks on the table; returns their bodies and the stud's direction."""
    scenario = load_family(TASK).scenario(1)
    chosen = {"retention_force_n": RETENTION_N, "stack_yaw_rad": yaw_rad}
    world.reset(dataclasses.replace(scenario, parameters={**scenario.parameters, **chosen}), 1)
    world._data.xfrc_applied[:] = 0.0
    bodies = [world._model.objects[name].body for name in ("stud_brick", "socket_brick")]
    return bodies, world._data.xmat[bodies[0]].reshape(3, 3)[:, 1].copy()


def _is_closed(world: BimanualWorld) -> bool:
    return bool(world._task._snap.is_closed(world._data))  # type: ignore[attr-defined]


def _pull(world: BimanualWorld, forces_n: tuple[Any, Any], num_ticks: int = 6) -> float:
    """Pulls both bricks with constant forces (3,), world frame; returns the largest pull that the fit saw."""
    bodies = [world._model.objects[name].body for name in ("stud_brick", "socket_brick")]
    for body, force in zip(bodies, forces_n, strict=True):
        world._data.xfrc_applied[body, :3] = force
    start_ns, largest = world._now_ns, 0.0
    for number in range(25 * num_ticks):
        world.advance(start_ns + (number + 1) * 2_000_000)
        largest = max(largest, world._task._snap.pull_n)  # type: ignore[attr-defined]
    world._data.xfrc_applied[:] = 0.0
    return largest


@pytest.mark.parametrize(("force_n", "opens"), [(0.7 * RETENTION_N, False), (1.15 * RETENTION_N, True)])
def test_the_fit_opens_at_its_force(bricks: BimanualWorld, force_n: float, opens: bool) -> None:
    _, along = _reset(bricks)
    # Ramped in six steps, so that nothing swings: the pull is the force itself.
    seen = [
        _pull(bricks, (-along * part * force_n, along * part * force_n), 2) for part in np.linspace(0.2, 1, 6)
    ]
    assert _is_closed(bricks) is not opens
    if not opens:
        assert max(seen) == pytest.approx(force_n, rel=0.1)


def test_the_fit_opens_between_grippers_whose_fingers_are_coupled_by_constraints(
    bricks: BimanualWorld,
) -> None:
    """The fingers of two Jacos bring equality constraints of their own, which come before the fit's."""
    jacos = BimanualWorld(**{**load_family(TASK).world_config, "robots": ["Jaco", "Jaco"]})
    assert jacos._model.mj_model.neq > bricks._model.mj_model.neq == 1
    _, along = _reset(jacos)
    assert _pull(jacos, (-10.0 * along, 10.0 * along), 6) > 0.0
    assert jacos._task._snap.pull_n == pytest.approx(10.0, rel=0.05)  # type: ignore[attr-defined]
    assert _is_closed(jacos)
    _pull(jacos, (-1.5 * RETENTION_N * along, 1.5 * RETENTION_N * along), 2)
    assert not _is_closed(jacos)


def test_a_held_pull_is_what_the_fit_feels(bricks: BimanualWorld) -> None:
    _, along = _reset(bricks)
    _pull(bricks, (-along * 10.0, along * 10.0), 6)
    for body, sign in zip(_reset(bricks)[0], (-1.0, 1.0), strict=True):
        bricks._data.xfrc_applied[body, :3] = sign * 10.0 * along
    bricks.advance(500_000_000)
    assert bricks._task._snap.pull_n == pytest.approx(10.0, rel=0.02)  # type: ignore[attr-defined]
    assert bricks.drain()["task"]["gap_m"][-1] < 0.002
    bricks._data.xfrc_applied[:] = 0.0


@pytest.mark.parametrize("kind", ["pressed", "sideways", "lifted"])
def test_other_forces_do_not_open_it(bricks: BimanualWorld, kind: str) -> None:
    _, along = _reset(bricks)
    across = np.array([-along[1], along[0], 0.0])
    force = {"pressed": 60.0 * along, "sideways": 2.0 * across, "lifted": np.array([0.0, 0.0, 2.0])}[kind]
    _pull(bricks, (force, -force if kind == "pressed" else 0.0 * force), 2)
    assert _is_closed(bricks)


def test_one_arm_alone_drags_both_bricks_along(bricks: BimanualWorld) -> None:
    """Half of a pull on one brick moves the other one: twice the fit's force would be needed."""
    bodies, along = _reset(bricks)
    before = bricks._data.xpos[bodies].copy()
    seen = _pull(bricks, (0.0 * along, 1.2 * RETENTION_N * along), 3)
    moved = (bricks._data.xpos[bodies] - before) @ along
    assert _is_closed(bricks)
    assert seen < RETENTION_N
    assert moved.min() > 0.05 and np.ptp(moved) < 0.002


def test_bricks_weigh_what_their_size_says(bricks: BimanualWorld) -> None:
    """Of 400 kg/m3, the socket 16.5 mm deep with 1 mm of clearance around a stud of 18 x 16 x 20 mm."""
    model = bricks._model.mj_model
    bodies, _ = _reset(bricks)
    block, stud, hole = 0.036 * 0.14 * 0.04, 0.018 * 0.016 * 0.02, 0.020 * 0.022 * 0.017
    assert model.body_mass[bodies] == pytest.approx([400 * (block + stud), 400 * (block - hole)], rel=1e-3)


def test_a_fit_that_has_opened_is_closed_at_the_next_start(bricks: BimanualWorld) -> None:
    _, along = _reset(bricks)
    _pull(bricks, (-2 * RETENTION_N * along, 2 * RETENTION_N * along), 2)
    assert not _is_closed(bricks)
    assert bricks.capture("object_state", 0).array[44] == 0.0
    _reset(bricks)
    assert _is_closed(bricks)
    assert bricks.capture("object_state", 0).array[44] == 1.0


def _put(world: BimanualWorld, brick: str, position_m: Any) -> None:
    first = world._model.objects[brick].qpos
    world._data.qpos[first : first + 7] = (*position_m, 1.0, 0.0, 0.0, 0.0)


def _judge(world: BimanualWorld) -> Any:
    mujoco.mj_forward(world._model.mj_model, world._data)
    return world._task.measure(world._data)


def test_verdicts(bricks: BimanualWorld) -> None:
    _reset(bricks)
    data = bricks._data
    assert _judge(bricks).stage == 0
    data.eq_active[0] = 0
    lying = 0.8199  # a tenth of a millimetre into the table: in contact
    _put(bricks, "stud_brick", (0.0, -0.2, lying))
    _put(bricks, "socket_brick", (0.0, 0.0, lying))
    apart = _judge(bricks)
    assert apart.is_goal_met and apart.stage == 4
    assert apart.row[6] == pytest.approx(0.06)
    data.eq_active[0] = 1  # bricks that are still one are not apart, however far they are stretched
    assert not _judge(bricks).is_goal_met
    data.eq_active[0] = 0
    _put(bricks, "socket_brick", (0.0, -0.02, lying))
    near = _judge(bricks)
    assert not near.is_goal_met and near.stage == 3
    _put(bricks, "socket_brick", (0.2, 0.1, 0.95))  # thrown: neither held nor down
    assert not _judge(bricks).is_goal_met
    _put(bricks, "socket_brick", (0.9, 0.1, 0.4))
    assert _judge(bricks).failure == "brick_dropped"


def test_a_brick_on_the_floor_ends_the_episode(bricks: BimanualWorld) -> None:
    _reset(bricks)
    bricks._data.eq_active[0] = 0
    _put(bricks, "socket_brick", (0.9, 0.3, 0.3))
    bricks.advance(PERIOD_NS)
    assert bricks.outcome().state is OutcomeState.FAIL
    assert bricks.outcome().reason == "brick_dropped"


def test_a_force_out_of_range_is_refused(bricks: BimanualWorld) -> None:
    scenario = load_family(TASK).scenario(0)
    with pytest.raises(
        ParameterError, match=r"'retention_force_n' is 0\.0; allowed: a number from 0\.5 to 60"
    ):
        bricks.reset(
            dataclasses.replace(scenario, parameters={**scenario.parameters, "retention_force_n": 0.0}), 0
        )
