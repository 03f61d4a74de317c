"""Forces of contacts against mechanics and MuJoCo's own account, and touches that a control-rate log would miss."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simloop.scenario_files import load_family
from simloop_bimanual.models.two_arm_model import two_arm_model
from simloop_bimanual.physics.loop import observe_contacts
from simloop_bimanual.physics.native import data_offsets
from simloop_bimanual.recording.contact_kernel import contact_dtype, observe
from simloop_bimanual.recording.contacts import ContactRecorder
from simloop_bimanual.robosuite_import import load_mujoco
from simloop_bimanual.tasks.lift import LiftTask
from simloop_bimanual.world import BimanualWorld

PHYSICS_S = 0.002
GRAVITY_MPS2 = 9.81
NUM_SUBSTEPS = 25
"""Physics steps of a control period."""

_CUBE = """
<mujoco><option timestep="0.002" cone="{cone}" impratio="20"/><worldbody>
<geom name="table" type="box" size="1 1 0.1" pos="0 0 -0.1"/>
<geom name="finger" type="box" size="0.01 0.1 0.01" pos="{fork} 1.5 -0.01"/>
<geom name="other_finger" type="box" size="0.01 0.1 0.01" pos="-{fork} 1.5 -0.01"/>
<body name="cube" pos="0 {y} {z}"><freejoint/>
<geom name="cube" type="box" size="0.05 0.05 0.05" mass="1" condim="4"/></body>
</worldbody></mujoco>"""


class _Cube:
    """A cube of 1 kg over a table, or over the two fingers of a fork, judged by a recorder as the world has it."""

    def __init__(self, cone: str, height_m: float, *, is_on_fork: bool = False) -> None:
        mujoco = self._mujoco = load_mujoco()
        text = _CUBE.format(cone=cone, fork=0.03, y=1.5 if is_on_fork else 0.0, z=0.05 + height_m)
        self.model = mujoco.MjModel.from_xml_string(text)
        self.data = mujoco.MjData(self.model)
        stock = two_arm_model("two_arm_lift")
        names = stock.class_names
        classes = [names.index(name) for name in ("table", "left_fingers", "left_fingers", "pot")]
        self.recorder = ContactRecorder(
            dataclasses.replace(
                stock,
                mj_model=self.model,
                geom_class=np.array(classes),
                geom_names=("table", "finger", "other_finger", "cube"),
            ),
            LiftTask.allowed_contacts,
            2_000_000,
        )
        self.number = 0

    def step(self) -> None:
        self._mujoco.mj_step1(self.model, self.data)
        self._mujoco.mj_step2(self.model, self.data)
        no_contacts = np.empty(0, dtype=contact_dtype())
        observe_contacts(self.data._address, data_offsets(), self.recorder.state, no_contacts, self.number)
        self.number += 1

    def rows(self) -> Any:
        return self.recorder.drain(self.number, is_over=True)


@pytest.mark.parametrize("cone", ["elliptic", "pyramidal"])
def test_the_impulse_of_a_dropped_cube_is_its_change_of_momentum(cone: str) -> None:
    cube = _Cube(cone, 0.2)
    while cube.data.qvel[2] <= 0.0:  # until the blow has taken all speed
        cube.step()
    rows = cube.rows()
    assert list(rows["class_pair"]) == ["pot-table"]
    speed = math.sqrt(2.0 * GRAVITY_MPS2 * 0.2)
    assert rows["impact_speed_mps"][0] == pytest.approx(speed, rel=0.01)
    momentum = 1.0 * (speed + cube.data.qvel[2])
    weight = 1.0 * GRAVITY_MPS2 * rows["duration_s"][0]
    assert rows["impulse_newton_s"][0] == pytest.approx(momentum + weight, rel=0.05)
    # The blow ends within its duration at no more than its peak, and the cube sinks in while it is stopped.
    assert rows["peak_normal_force_n"][0] > rows["impulse_newton_s"][0] / rows["duration_s"][0]
    assert 0.0 < rows["max_penetration_m"][0] < speed * rows["duration_s"][0]


@pytest.mark.parametrize("cone", ["elliptic", "pyramidal"])
@pytest.mark.parametrize(("is_on_fork", "pair"), [(False, "pot-table"), (True, "left_gripper-pot")])
def test_the_force_under_a_cube_that_is_held_still_is_its_weight(
    cone: str, is_on_fork: bool, pair: str
) -> None:
    cube = _Cube(cone, 0.0, is_on_fork=is_on_fork)
    for _ in range(500):
        cube.step()
    cube.recorder.clear()
    for _ in range(500):
        cube.step()
    rows = cube.rows()
    assert list(rows["class_pair"]) == [pair]
    assert rows["duration_s"][0] == pytest.approx(1.0)
    assert rows["peak_normal_force_n"][0] == pytest.approx(GRAVITY_MPS2, rel=0.02)
    assert rows["impulse_newton_s"][0] == pytest.approx(GRAVITY_MPS2 * 1.0, rel=0.02)


def test_the_pot_presses_on_the_table_with_its_weight(world: BimanualWorld) -> None:
    world.reset(load_family("two_arm_lift").scenario(0), 0)
    world.advance(10_000_000_000)
    contacts = world.drain()["contacts"]
    mass = world._model.mj_model.body_subtreemass[world._model.objects["pot"].body]
    mean_n = contacts["impulse_newton_s"][0] / contacts["duration_s"][0]
    assert mean_n == pytest.approx(mass * GRAVITY_MPS2, rel=0.02)


_CLOTH = """
<mujoco><option timestep="0.002" cone="elliptic" solver="CG"/><worldbody>
<geom name="table" type="box" size="1 1 0.1" pos="0 0 -0.1"/>
<flexcomp name="pot_cloth" type="grid" count="4 4 1" spacing="0.05 0.05 0.05" pos="0 0 0.01" radius="0.005"
 mass="0.2" dim="2">
<edge equality="true"/><contact selfcollide="none"/></flexcomp>
</worldbody></mujoco>"""


def test_a_deformable_body_has_the_class_that_its_name_begins_with() -> None:
    mujoco = load_mujoco()
    model = mujoco.MjModel.from_xml_string(_CLOTH)
    data = mujoco.MjData(model)
    stock = two_arm_model("two_arm_lift")
    classes = np.array([stock.class_names.index("table")])
    tiny = dataclasses.replace(stock, mj_model=model, geom_class=classes, geom_names=("table",))
    recorder = ContactRecorder(tiny, LiftTask.allowed_contacts, 2_000_000)
    for number in range(1500):
        if number == 1000:
            recorder.clear()
        mujoco.mj_step(model, data)
        observe_contacts(
            data._address, data_offsets(), recorder.state, np.empty(0, dtype=contact_dtype()), number
        )
    rows: Any = recorder.drain(1500, is_over=True)
    assert list(rows["class_pair"]) == ["pot-table"]
    assert rows["impulse_newton_s"][0] == pytest.approx(0.2 * GRAVITY_MPS2 * 1.0, rel=0.02)


Touches = tuple[list[int], Any, dict[str, float], dict[str, float]]


def _play(world: BimanualWorld, script: Callable[[int], Any], num_ticks: int, *groups: str) -> Touches:
    """Plays a script; returns the substeps at which two groups of geoms touch by MuJoCo's own list, the rows of
    ``contacts``, and by class pair the impulse and the peak of ``mj_contactForce``."""
    scenario = load_family("two_arm_lift").scenario(0, {"pot_x_m": 0.0, "pot_y_m": 0.0, "pot_yaw_rad": 0.0})
    world.reset(scenario, 0)
    model, data = world._model, world._data
    force, touching = np.zeros(6), []
    impulse: defaultdict[str, float] = defaultdict(float)
    peak: dict[str, float] = {}
    for number in range(num_ticks * NUM_SUBSTEPS):
        if number % NUM_SUBSTEPS == 0:
            world.actuate(script(number // NUM_SUBSTEPS))
        world.advance((number + 1) * 2_000_000)
        now: defaultdict[str, float] = defaultdict(float)
        for i, geoms in enumerate(data.contact.geom):
            names = sorted((_class(model.geom_names[g]) for g in geoms), key=_ORDER.index)
            load_mujoco().mj_contactForce(model.mj_model, data, i, force)
            now["-".join(names)] += force[0]
        for classes, newtons in now.items():
            pair = classes.replace("fingers", "gripper")
            impulse[pair] += newtons * PHYSICS_S
            peak[pair] = max(peak.get(pair, 0.0), newtons)
        if any({name.split("_")[0] for name in pair.split("-")} == set(groups) for pair in now):
            touching.append(number)
    world.advance(10_000_000_000)
    return touching, world.drain()["contacts"], dict(impulse), peak


_ORDER = [
    *(
        "left_arm",
        "right_arm",
        "left_gripper",
        "left_fingers",
        "right_gripper",
        "right_fingers",
        "pot",
        "table",
    )
]


def _class(name: str) -> str:
    for index, side in enumerate(("left", "right")):
        if name.startswith(f"gripper{index}_"):
            return f"{side}_fingers" if "finger" in name else f"{side}_gripper"
        if name.startswith((f"robot{index}_", f"fixed_mount{index}_")):
            return f"{side}_arm"
    return "table" if name.startswith("table") else "pot"


def _arms_touch(tick: int) -> Any:
    """Both grippers go up, then towards each other, and turn back in time for no more than a touch."""
    action = np.zeros(14)
    if tick < 12:
        action[[2, 9]] = 0.6
    else:
        action[[0, 7]] = 0.76 if tick < 22 else -1.0
    return action


def _scrape(tick: int) -> Any:
    """The left gripper leaves the pot, goes down sideways, scrapes the table and goes up again."""
    action = np.zeros(14)
    if tick < 16:
        action[0] = -1.0
    else:
        action[1], action[2] = 0.5, -0.698 if tick < 43 else 1.0
    return action


@pytest.mark.parametrize(
    ("script", "num_ticks", "groups", "expected"),
    [
        (_arms_touch, 30, ("left", "right"), "left_arm-right_arm"),
        (_scrape, 51, ("left", "table"), "left_gripper-table"),
    ],
)
def test_a_scripted_touch_is_counted_once_and_a_control_rate_log_misses_it(
    world: BimanualWorld, script: Callable[[int], Any], num_ticks: int, groups: tuple[str, str], expected: str
) -> None:
    touching, contacts, impulse, peak = _play(world, script, num_ticks, *groups)
    assert touching, "the script did not bring them together"
    assert not [number for number in touching if number % NUM_SUBSTEPS == 0], "seen at 20 Hz"
    assert Counter(contacts["class_pair"]) == {"pot-table": 1, expected: 1}
    row = contacts["class_pair"].index(expected)
    assert contacts["is_collision"][row]
    assert contacts["t_ns"][row] == touching[0] * 2_000_000
    assert contacts["duration_s"][row] == pytest.approx((touching[-1] - touching[0] + 1) * PHYSICS_S)
    assert contacts["impulse_newton_s"][row] == pytest.approx(impulse[expected], rel=1e-9)
    assert contacts["peak_normal_force_n"][row] == pytest.approx(peak[expected], rel=1e-9)


def test_forces_of_every_pair_are_those_of_mujoco(world: BimanualWorld) -> None:
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (60, 14))
    actions[:40, [2, 9]] -= 0.4
    actions[40:, [2, 9]], actions[40:, [6, 13]] = (
        1.0,
        -1.0,
    )  # let go in the end, so that every contact has ended
    actions = actions.clip(-1.0, 1.0)
    _, contacts, impulse, peak = _play(world, lambda tick: actions[tick], 60, "left", "right")
    pairs, peaks = np.array(contacts["class_pair"]), contacts["peak_normal_force_n"]
    of_arms = [pair for pair in peak if pair != "pot-table"]  # the pot goes on lying there after the script
    assert len(of_arms) >= 2
    for pair in of_arms:
        assert peaks[pairs == pair].max() == pytest.approx(peak[pair], rel=1e-9), pair
        total = contacts["impulse_newton_s"][pairs == pair].sum()
        assert total == pytest.approx(impulse[pair], rel=1e-9), pair


@pytest.mark.parametrize(
    ("touches", "starts", "durations", "impulses"),
    [
        ([0, 1, 2], [0], [3], [3.0]),
        ([0, 25], [0], [26], [2.0]),  # 48 ms without touch: one contact
        ([0, 26], [0, 26], [1, 1], [1.0, 1.0]),  # 50 ms: two
        ([5, 29, 53, 90], [5, 90], [49, 1], [3.0, 1.0]),
        ([], [], [], []),
    ],
)
def test_touches_less_than_50_ms_apart_are_one_contact(
    touches: list[int], starts: list[int], durations: list[int], impulses: list[float]
) -> None:
    cube = _Cube("elliptic", 0.0)
    contacts = np.zeros(1, dtype=contact_dtype())
    contacts["geom"], contacts["dim"], contacts["dist"] = (0, 3), 3, -0.001
    force, velocity = np.array([500.0, 9.0, 9.0]), np.array([-0.3, 9.0, 9.0])
    for substep in touches:
        observe(cube.recorder.state, contacts, force, velocity, substep)
    rows: Any = cube.recorder.drain(100, is_over=True)
    assert list(rows["t_ns"]) == [start * 2_000_000 for start in starts]
    assert rows["duration_s"] == pytest.approx([number * PHYSICS_S for number in durations])
    assert rows["impulse_newton_s"] == pytest.approx(impulses)  # 500 N for 2 ms are 1 N s
    assert rows["impact_speed_mps"] == pytest.approx([0.3] * len(starts))
    assert rows["max_penetration_m"] == pytest.approx([0.001] * len(starts))


def test_a_contact_without_a_constraint_is_none() -> None:
    cube = _Cube("elliptic", 0.0)
    contacts = np.zeros(1, dtype=contact_dtype())
    contacts["geom"], contacts["efc_address"] = (0, 3), -1
    observe(cube.recorder.state, contacts, np.zeros(0), np.zeros(0), 3)
    assert not list(cube.recorder.drain(100, is_over=True)["class_pair"])
