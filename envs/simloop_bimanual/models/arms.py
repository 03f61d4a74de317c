"""The robots of the two-arm world: which ones there are, and what robosuite says of their arms and grippers.

``left`` is the arm at y < 0, on the left of the front camera's picture, ``right`` the one at y > 0. A pair of robots
faces each other across the table. A robot with two arms stands behind it and faces the camera, so that its own right
arm is the one called ``left`` here; it is the first one of robosuite's order too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, UnknownNameError
from simloop_bimanual.physics.grasps import pad_geom_names
from simloop_bimanual.physics.kernel import DAMPING_PER_S, GAIN_PER_S2, NUM_JOINTS
from simloop_bimanual.tasks import Task

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PAIRED_ROBOTS = ("Panda", "Sawyer", "IIWA", "UR5e", "Kinova3", "Jaco")
"""Robots with one arm; two of them make a pair, of one kind or of two."""
TWO_ARM_ROBOTS = ("Baxter",)
"""Robots with two arms."""
DEFAULT_ROBOTS = ("Panda", "Panda")

_EXPECTED: Mapping[str, Any] = {
    "name": "OSC_POSE",
    "input_type": "delta",
    "input_ref_frame": "base",
    "impedance_mode": "fixed",
    "uncoupling": True,
    "interpolator_pos": None,
    "interpolator_ori": None,
}
_SLIDE = 2
"""MuJoCo's number of a sliding joint (``mjJNT_SLIDE``)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gripper:
    """What the controller needs to know of a gripper.

    Attributes:
        qpos: Addresses of its joints in qpos.
        rest_qpos: Where they start, metres or radians.
        actuators: Ids, up to ``kernel.MAX_FINGERS``.
        step: Change of each actuator's command, of its range -1..1, by an action that closes.
        sliding_qpos: Two addresses whose values' difference is the opening, or empty.
        pad_geoms: Ids of a geom of either pad, whose distance is the opening of other grippers.
    """

    qpos: IntArray
    rest_qpos: FloatArray
    actuators: IntArray
    step: FloatArray
    sliding_qpos: tuple[int, ...]
    pad_geoms: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arm:
    """Where one arm is in a model.

    Attributes:
        qpos, dofs, actuators: Addresses in qpos and qvel, and ids, of its joints.
        rest_qpos: Position around which episodes start, radians.
        base_site, grip_site: Ids.
        camera: Name of the camera at the wrist in robosuite's complete model.
        gripper: The gripper, or None.
    """

    qpos: IntArray
    dofs: IntArray
    actuators: IntArray
    rest_qpos: FloatArray
    base_site: int
    grip_site: int
    camera: str
    gripper: Gripper | None


def checked_robots(robots: Sequence[str] | str, task: type[Task]) -> tuple[str, ...]:
    """Returns the names of the robots that a world config asks for.

    Raises:
        UnknownNameError: A robot is unknown.
        ConfigurationError: There are too many or too few of them, or the task's scene does not take them.
    """
    names = (robots,) if isinstance(robots, str) else tuple(robots)
    known = (*PAIRED_ROBOTS, *TWO_ARM_ROBOTS)
    where = "world config key 'robots' of the bimanual world"
    for name in names:
        if name not in known:
            raise UnknownNameError("robot", str(name), known, where=where)
    is_pair = len(names) == len(DEFAULT_ROBOTS) and all(name in PAIRED_ROBOTS for name in names)
    if not is_pair and not (len(names) == 1 and names[0] in TWO_ARM_ROBOTS):
        raise ConfigurationError(
            f"World config key 'robots' is {list(names)}; allowed: two of {', '.join(PAIRED_ROBOTS)}, or one of "
            f"{', '.join(TWO_ARM_ROBOTS)} alone."
        )
    if task.only_robots and names not in task.only_robots:
        allowed = " or ".join(str(list(pair)) for pair in task.only_robots)
        raise ConfigurationError(
            f"World config key 'robots' is {list(names)}; the scene of {task.name!r} is built for {allowed}."
        )
    if names[0] in TWO_ARM_ROBOTS and not task.takes_two_arm_robots:
        raise ConfigurationError(
            f"World config key 'robots' is {list(names)}; the scene of {task.name!r} has places for two robots: name "
            f"two of {', '.join(PAIRED_ROBOTS)}."
        )
    return names


def robot_parts(env: Any) -> Iterator[tuple[Any, str]]:
    """Yields robosuite's robot and its name of the arm, for either arm of an environment, ``left`` first."""
    for robot in env.robots:
        for part in robot.arms:
            yield robot, part


def compiled_obstacle(env: Any, model: Any, base_joints: Sequence[Sequence[str]]) -> str:
    """Returns why the compiled controller does not compute what robosuite does with an environment's arms, or nothing.

    Args:
        env: robosuite's environment.
        model: The physics model.
        base_joints: Names of the joints by which each arm's base slides.
    """
    for (robot, part), slides in zip(robot_parts(env), base_joints, strict=True):
        controller = robot.part_controllers[part]
        for key, value in _EXPECTED.items():
            found = getattr(controller, key, None)
            if found != value:
                return (
                    f"robosuite's controller of {robot.name} has {key}={found!r}, it computes {value!r} only"
                )
        if not (np.allclose(controller.kp, GAIN_PER_S2) and np.allclose(controller.kd, DAMPING_PER_S)):
            return (
                f"robosuite's gains of {robot.name} are kp={controller.kp}, kd={controller.kd}, its own "
                f"kp={GAIN_PER_S2}, kd={DAMPING_PER_S:.4f}"
            )
        if len(controller.qpos_index) > NUM_JOINTS:
            return f"{robot.name} has {len(controller.qpos_index)} joints an arm, it takes up to {NUM_JOINTS}"
        base = model.site(f"{controller.naming_prefix}{part}_center").bodyid[0]
        carrier = model.joint(slides[0]).bodyid[0] if slides else 0
        if model.body_weldid[base] != model.body_weldid[carrier]:
            return (
                f"the frame that robosuite gives the actions of {robot.name} turns with the arm's first joint"
            )
    return ""


def describe_arms(env: Any, model: Any, *, has_grippers: bool) -> tuple[Arm, Arm]:
    """Reads both arms off a robosuite environment.

    Args:
        env: The environment.
        model: The physics model, whose ids are given.
        has_grippers: Whether the arms carry grippers.
    """
    left, right = (_arm(robot, part, model, has_grippers=has_grippers) for robot, part in robot_parts(env))
    return left, right


def _arm(robot: Any, part: str, model: Any, *, has_grippers: bool) -> Arm:
    controller = robot.part_controllers[part]
    is_alone = len(robot.arms) == 1
    count = len(controller.qpos_index)
    # A robot with two arms lists their positions in the order of its arms.
    first = robot.arms.index(part) * count
    return Arm(
        qpos=np.array(controller.qpos_index),
        dofs=np.array(controller.qvel_index),
        actuators=np.array(robot._ref_actuators_indexes_dict[part]),
        rest_qpos=np.array(robot.init_qpos[first : first + count], dtype=np.float64),
        base_site=model.site(f"{controller.naming_prefix}{part}_center").id,
        grip_site=model.site(controller.ref_name).id,
        camera=f"{controller.naming_prefix}{'' if is_alone else part + '_'}eye_in_hand",
        gripper=_gripper(robot, part, model) if has_grippers else None,
    )


def inertia_addresses(model: Any, arm: Arm) -> IntArray:
    """Returns where MuJoCo keeps the inertia of each pair of an arm's joints, -1 where it leaves one out.

    A row has the entries of a degree of freedom, of the one that carries it, and so on down to the first.
    """
    addresses = np.full((len(arm.dofs),) * 2, -1)
    number_of = {int(dof): number for number, dof in enumerate(arm.dofs)}
    for dof, number in number_of.items():
        address, other = int(model.dof_Madr[dof]), dof
        while other >= 0:
            if other in number_of:
                addresses[number, number_of[other]] = addresses[number_of[other], number] = address
            address, other = address + 1, int(model.dof_parentid[other])
    return addresses


def _gripper(robot: Any, part: str, model: Any) -> Gripper:
    gripper = robot.gripper[part]
    actuators = np.array(robot._ref_actuators_indexes_dict[f"{part}_gripper"])
    joints = [model.joint(name) for name in robot.gripper_joints[part]]
    before = np.array(gripper.current_action)
    gripper.current_action = np.zeros_like(before)
    step = np.broadcast_to(np.asarray(gripper.format_action(np.ones(1)), dtype=np.float64), actuators.shape)
    gripper.current_action = before
    sliding = _sliding_qpos(model, joints)
    names = {model.geom(geom).name: geom for geom in range(model.ngeom)}
    of_gripper = [
        pads for pads in pad_geom_names() if any(name.startswith(gripper.naming_prefix) for name in pads)
    ]
    pads = [
        next(names[name] for name in pad if name in names and name.startswith(gripper.naming_prefix))
        for pad in of_gripper
    ]
    return Gripper(
        qpos=np.array([joint.qposadr[0] for joint in joints]),
        rest_qpos=np.array(gripper.init_qpos, dtype=np.float64),
        actuators=actuators,
        step=np.array(step),
        sliding_qpos=sliding,
        pad_geoms=() if sliding else tuple(pads),
    )


def _sliding_qpos(model: Any, joints: Sequence[Any]) -> tuple[int, ...]:
    """Returns the addresses of two sliding fingers that touch at zero, the one that opens upwards first, else none."""
    if len(joints) != 2 or any(joint.type[0] != _SLIDE for joint in joints):
        return ()
    ranges = [model.jnt_range[joint.id] for joint in joints]
    upward = [joint for joint, (low, _) in zip(joints, ranges, strict=True) if low == 0.0]
    downward = [joint for joint, (_, high) in zip(joints, ranges, strict=True) if high == 0.0]
    return tuple(int(joint.qposadr[0]) for joint in (*upward, *downward)) if upward and downward else ()
