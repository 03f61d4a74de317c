"""Compiled substeps against MuJoCo's own Python calls, and physics that diverges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from simloop.errors import MissingDependencyError, WorldError
from simloop.scenario_files import load_family
from simloop.world import OutcomeState
from simloop_bimanual.physics import native
from simloop_bimanual.physics.kernel import substep
from simloop_bimanual.recording.contact_kernel import NEVER
from simloop_bimanual.world import BimanualWorld

PERIOD_NS = 50_000_000


def test_compiled_substeps_are_mujocos_steps_with_the_controller_between_to_the_bit(
    world: BimanualWorld,
) -> None:
    scenario = load_family("two_arm_lift").scenario(4)
    actions = np.random.default_rng(4).uniform(-0.4, 0.4, (20, 14))
    actions[:, [2, 9]] -= 0.6  # down to the pot and the table
    world.reset(scenario, 4)
    for tick, action in enumerate(actions):
        world.actuate(action)
        world.advance((tick + 1) * PERIOD_NS)
    state, torques = world._data.qpos.copy(), world._data.ctrl.copy()
    touched = world._contacts.state.pairs["last"].copy()
    compiled = world.drain()

    world.reset(scenario, 4)
    model, data = world._model.mj_model, world._data
    positions, velocities = np.zeros((500, 3, 3)), np.zeros((500, 3, 3))
    last = np.full_like(touched, NEVER)
    for number in range(500):
        mujoco.mj_step1(model, data)
        substep(
            world._record, actions[number // 25], number % 25 == 0, *world._stepper._views, positions[number],
            velocities[number],
        )  # fmt: skip
        mujoco.mj_step2(model, data)
        for contact in data.contact:
            if contact.efc_address >= 0:
                last[world._contacts.state.pair_of[tuple(contact.geom)]] = number
    assert np.array_equal(data.qpos, state)
    assert np.array_equal(data.ctrl, torques)
    assert np.array_equal(compiled["motion"]["position_m"], positions.reshape(-1, 3))
    assert np.array_equal(compiled["motion"]["velocity_mps"], velocities.reshape(-1, 3))
    assert np.array_equal(last, touched)
    assert (touched >= 0).sum() >= 2  # the pot on the table is not all


def test_cutting_a_period_anywhere_leaves_the_record_as_it_is(world: BimanualWorld) -> None:
    scenario = load_family("two_arm_lift").scenario(4)
    tables = []
    for cuts in ([PERIOD_NS], [2_000_000, 18_000_000, 20_000_000, PERIOD_NS]):
        world.reset(scenario, 4)
        world.actuate(np.full(14, 0.5))
        for until_ns in cuts:
            world.advance(until_ns)
        tables.append(world.drain())
    for name in ("motion", "joints"):
        for column, values in tables[0][name].items():
            assert np.array_equal(values, tables[1][name][column]), (name, column)
    assert len(tables[0]["joints"]["t_ns"]) == 25


@pytest.mark.parametrize("action", ["delta", "absolute"])
def test_physics_that_diverges_by_itself_is_the_scenarios_error(
    action: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also while the hold repeats the start action, which is no zeros where actions are poses."""
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warning to a file there
    world = BimanualWorld(action=action)
    for seed in (1, 0):  # other poses, so that the start action is that of the episode
        world.reset(load_family("two_arm_lift").scenario(seed), seed)
    start = world.spec.action.start_action(world.anchor())
    assert start.any() == (action == "absolute")
    world.actuate(start)
    world.advance(PERIOD_NS)
    world.actuate(start)
    world._data.qvel[world._model.objects["pot"].dof] = np.inf
    with pytest.raises(
        WorldError, match="two_arm_lift diverged by 100000000 ns, before any action that asks for motion"
    ):
        world.advance(2 * PERIOD_NS)

    world.reset(load_family("two_arm_lift").scenario(0), 0)
    world.actuate(start + 0.01)
    world._data.qvel[world._model.objects["pot"].dof] = np.inf
    world.advance(PERIOD_NS)
    assert world.outcome().reason == "physics_diverged"
    world.reset(load_family("two_arm_lift").scenario(0), 0)
    world.advance(PERIOD_NS)
    assert np.isfinite(world._data.qpos).all()


@pytest.mark.parametrize("drained_at_ns", [None, PERIOD_NS // 5])
def test_actions_that_drive_the_physics_apart_fail_and_leave_what_was_before(
    world: BimanualWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, drained_at_ns: int | None
) -> None:
    """Against an episode that ends with the last whole control period, or the last drain."""
    monkeypatch.chdir(tmp_path)
    scenario, down = load_family("two_arm_lift").scenario(4), np.full(14, -0.6)
    ended: list[tuple[Any, ...]] = []
    for diverges in (False, True):
        world.reset(scenario, 4)
        world.actuate(down)
        world.advance(20 * PERIOD_NS)
        if drained_at_ns is not None:
            world.advance(20 * PERIOD_NS + drained_at_ns)
            world.drain()
        if diverges:
            world.advance(20 * PERIOD_NS + 24_000_000)
            world._data.qvel[world._model.objects["pot"].dof] = 1e12
            world.advance(21 * PERIOD_NS)
            outcome = world.outcome()
            assert (outcome.state, outcome.reason) == (OutcomeState.FAIL, "physics_diverged")
            world.actuate(down)
            world.advance(23 * PERIOD_NS)
            assert world.outcome() == outcome
        frames = [world.capture(name, 0).array for name in ("robot_state", "object_state")]
        ended.append((world._data.qpos.copy(), world._data.qvel.copy(), *frames, world.drain()))
    assert np.isfinite(ended[1][0]).all()
    for before, after in zip(ended[0][:-1], ended[1][:-1], strict=True):
        assert np.array_equal(before, after)
    for name in ("motion", "joints", "links", "arms", "task"):
        for column, values in ended[0][-1][name].items():
            assert np.array_equal(values, ended[1][-1][name][column]), (name, column)
    told, still_open = (ended[number][-1]["contacts"] for number in (1, 0))
    assert len(told["t_ns"]) >= len(
        still_open["t_ns"]
    )  # the episode is over: contacts that go on are told too
    assert all(np.isfinite(told["peak_normal_force_n"])) and max(told["t_ns"], default=0) < 21 * PERIOD_NS
    world.reset(scenario, 4)
    assert world.outcome().state is OutcomeState.RUNNING


def test_the_places_of_mujocos_fields_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(native.data_offsets()) == len(native.FIELDS)
    monkeypatch.setitem(native._SIZES, "int", 8)
    with pytest.raises(MissingDependencyError, match="does not lay out mjData as it says"):
        native.data_offsets.__wrapped__()


def test_a_mujoco_that_describes_other_types_or_lacks_a_function_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(native._SIZES, "mjtNum")
    with pytest.raises(MissingDependencyError, match=r"C type 'mjtNum'.*known are .*pip install \"mujoco"):
        native.data_offsets.__wrapped__()
    with pytest.raises(MissingDependencyError, match=r"no function 'mj_step3'.*pip install"):
        native.function_address("mj_step3")
