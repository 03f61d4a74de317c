"""The physics model of two Pandas and a task's objects, built once per process and task.

robosuite composes the model; everything that only rendering needs (visual geoms and their meshes, materials,
textures, cameras, lights) and the sensors are left out of the copy that is simulated: 6 MB in place of 109 MB, with
the same masses, inertias and contacts. What the controller needs to know is read from robosuite's own objects.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import WorldError
from simloop_bimanual.models.arms import (
    DEFAULT_ROBOTS,
    Arm,
    compiled_obstacle,
    describe_arms,
    inertia_addresses,
)
from simloop_bimanual.models.sampled_geometry import lone_body
from simloop_bimanual.models.variation import DISTRACTOR, add_distractors
from simloop_bimanual.physics.kernel import state_dtype
from simloop_bimanual.physics.native import give_memory_back
from simloop_bimanual.rendering.scene_meshes import Scenery, scenery
from simloop_bimanual.robosuite_import import load_mujoco, load_robosuite
from simloop_bimanual.tasks import TASKS, Task

FloatArray = npt.NDArray[np.float64]

ARM_NAMES = ("left", "right")
"""Names of the arms: ``left`` is robosuite's robot0 at y < 0, ``right`` is robot1 at y > 0."""
TORSO = "torso"
"""Class of the geoms of a robot with two arms that belong to neither."""
JOINT_NOISE_RAD = 0.02
"""Standard deviation of the arms' start position (robosuite's default ``initialization_noise``)."""


_FINGERS = ("finger", "index_", "thumb_", "pinky_")
"""What robosuite's grippers call the geoms of their fingers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WristCamera:
    """A camera fixed to a body of the model: pose in that body, and vertical field of view."""

    body: int
    position_camera_in_body_m: FloatArray
    rotation_camera_in_body: FloatArray
    vertical_fov_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeObject:
    """A body with a free joint: its id, and the first addresses of the joint in qpos and qvel."""

    body: int
    qpos: int
    dof: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwoArmModel:
    """A compiled physics model and where things are in it.

    Attributes:
        task: Name of the task.
        robots: robosuite's names of the robots.
        mj_model: The ``mujoco.MjModel`` without anything visual. Where a task samples geometry, every world has a copy
            of its own.
        controller: (1,) array of ``kernel.state_dtype`` with the constants filled in.
        arms: Where joints, fingers and sites of each arm are, in the order of ``ARM_NAMES``.
        objects: The objects that move by themselves, by name.
        base_sites, grip_sites: Ids; arms in the order of ``ARM_NAMES``.
        geom_names, body_names: Names by id, for contact classes and rendering.
        class_names: Classes of geoms: arms, grippers without their fingers, the task's objects, table, floor, fingers.
        geom_class: (num_geoms,) indices into ``class_names``.
        wrist_cameras: One camera an arm.
        object_bodies: Bodies of the task's objects, by name, held ones too.
        scenery: What is seen besides the arms.
        compiled_obstacle: Why the compiled controller does not compute what robosuite's do with these robots, or empty.
        lone_bodies: ``MjSpec`` of each body whose geometry the task samples, by its name.
    """

    task: str
    robots: tuple[str, ...]
    mj_model: Any
    controller: npt.NDArray[Any]
    arms: tuple[Arm, Arm]
    objects: Mapping[str, FreeObject]
    base_sites: tuple[int, int]
    grip_sites: tuple[int, int]
    geom_names: tuple[str, ...]
    body_names: tuple[str, ...]
    class_names: tuple[str, ...]
    geom_class: npt.NDArray[np.int64]
    wrist_cameras: tuple[WristCamera, WristCamera]
    object_bodies: Mapping[str, int]
    scenery: Scenery
    compiled_obstacle: str
    lone_bodies: Mapping[str, Any]

    @property
    def num_joints(self) -> int:
        """Joints of both arms together."""
        return sum(len(arm.qpos) for arm in self.arms)


def make_stock_env(
    seed: int | None = None,
    task: str = "two_arm_lift",
    robots: tuple[str, ...] = DEFAULT_ROBOTS,
    **options: Any,
) -> Any:
    """Builds robosuite's own environment of a task at 20 Hz, no renderer and no cameras."""
    robosuite = load_robosuite()
    settings: dict[str, Any] = {
        "robots": list(robots),
        "has_renderer": False,
        "has_offscreen_renderer": False,
        "use_camera_obs": False,
        "control_freq": 20,
        "ignore_done": True,
        "seed": seed,
    }
    chosen = TASKS[task]
    if chosen.stock_module:
        importlib.import_module(
            chosen.stock_module
        )  # robosuite registers environments as their classes are made
    return robosuite.make(chosen.stock_name, **(settings | dict(chosen.stock_options) | options))


def two_arm_model(
    task: str, robots: tuple[str, ...] = DEFAULT_ROBOTS, *, has_distractors: bool = False
) -> TwoArmModel:
    """Returns the process's model of a task with two arms.

    Args:
        task: A name in ``tasks.TASKS``.
        robots: robosuite's names of the robots.
        has_distractors: Whether it has the bodies of ``variation.add_distractors``.

    Raises:
        MissingDependencyError: robosuite or MuJoCo does not import.
        WorldError: The physics model is not robosuite's.
    """
    return _built(task, robots, has_distractors)


@functools.cache
def _built(task: str, robots: tuple[str, ...], has_distractors: bool) -> TwoArmModel:  # noqa: FBT001, a cache's key
    env = make_stock_env(seed=0, task=task, robots=robots)
    full = env.sim.model._model
    spec = physics_spec(env)
    if has_distractors:
        complete = load_mujoco().MjSpec.from_string(env.edit_model_xml(env.model.get_xml()))
        for scene in (spec, complete):
            add_distractors(scene)
        full = complete.compile()
    model = spec.compile()
    for name in ("nq", "nv", "nu", "nbody"):
        if getattr(model, name) != getattr(full, name):
            raise WorldError(
                f"The physics copy has {name} {getattr(model, name)}, robosuite's {getattr(full, name)}. Install "
                "robosuite 1.5.2 and a MuJoCo from 3.6 to 3.9."
            )
    lone = {body: lone_body(spec, body) for body in TASKS[task].sampled_bodies}
    description = _describe(env, model, full, TASKS[task], lone)
    del env, full, spec
    give_memory_back()
    return description


def physics_spec(env: Any) -> Any:
    """Returns the spec of robosuite's model without visual geoms, their assets, cameras, lights and sensors."""
    spec = load_mujoco().MjSpec.from_string(env.edit_model_xml(env.model.get_xml()))
    _drop_visuals(spec)
    return spec


def geom_class_name(geom: str, object_prefixes: Mapping[str, str]) -> str:
    """Returns the class of a geom by its name; of several matching prefixes of objects the longest counts."""
    if geom.startswith(("gripper0_left_", "robot0_left_")):  # the second arm of a robot with two
        geom = geom.replace("0_left_", "1_", 1)
    for index, side in enumerate(ARM_NAMES):
        if geom.startswith(f"gripper{index}_"):
            return f"{side}_fingers" if any(word in geom for word in _FINGERS) else f"{side}_gripper"
        if geom.startswith((f"robot{index}_", f"fixed_mount{index}_")):
            return f"{side}_arm"
    for prefix in sorted(object_prefixes, key=len, reverse=True):
        if geom.startswith(prefix):
            return object_prefixes[prefix]
    return "table" if geom.startswith("table") else "floor"


def _drop_visuals(spec: Any) -> None:
    used = set()
    for geom in list(spec.geoms):
        if geom.contype == 0 and geom.conaffinity == 0:
            spec.delete(geom)
        else:
            geom.material = ""
            used.add(geom.meshname)
    for site in spec.sites:
        site.material = ""
    for mesh in list(spec.meshes):
        if mesh.name not in used:
            spec.delete(mesh)
    for kind in ("sensors", "cameras", "lights", "materials", "textures"):
        for element in list(getattr(spec, kind)):
            spec.delete(element)


def _describe(
    env: Any, model: Any, full: Any, task: type[Task], lone_bodies: Mapping[str, Any]
) -> TwoArmModel:
    controller = np.zeros(1, dtype=state_dtype())
    c = controller[0]
    c["inertia_address"] = c["base_dof"] = -1
    arms = describe_arms(env, model, has_grippers=task.has_grippers)
    for number, arm in enumerate(arms):
        _write_arm(model, c, number, arm)
        slides = [model.joint(name).dofadr[0] for name in task.base_joints[number]]
        c["base_dof"][number, : len(slides)] = slides
    objects = {}
    for number, (name, body) in enumerate(task.free_bodies.items()):
        joint = model.joint(model.body(body).jntadr[0])
        objects[name] = FreeObject(
            body=model.body(body).id, qpos=int(joint.qposadr[0]), dof=int(joint.dofadr[0])
        )
        c["object_body"][number], c["object_dof"][number] = objects[name].body, objects[name].dof
    c["num_objects"], c["has_grippers"] = len(objects), task.has_grippers
    names = tuple(model.geom(i).name for i in range(model.ngeom))
    classes = (
        "left_arm",
        "right_arm",
        "left_gripper",
        "right_gripper",
        *dict.fromkeys(task.object_prefixes.values()),
        "table",
        "floor",
        "left_fingers",
        "right_fingers",
        *(() if len(env.robots) == len(ARM_NAMES) else (TORSO,)),
        *((DISTRACTOR,) if any(name.startswith(DISTRACTOR) for name in names) else ()),
    )
    prefixes = {**task.object_prefixes, DISTRACTOR: DISTRACTOR}
    geom_classes = np.array([classes.index(geom_class_name(name, prefixes)) for name in names])
    if TORSO in classes:
        geom_classes[_torso_geoms(model, geom_classes, classes)] = classes.index(TORSO)
    is_object = np.isin(geom_classes, [classes.index(name) for name in task.object_prefixes.values()])
    bodies = {
        model.body(model.geom_bodyid[g]).name: int(model.geom_bodyid[g]) for g in np.flatnonzero(is_object)
    }
    return TwoArmModel(
        task=task.name,
        robots=tuple(robot.name for robot in env.robots),
        mj_model=model,
        controller=controller,
        arms=arms,
        objects=objects,
        base_sites=(int(c["base_site"][0]), int(c["base_site"][1])),
        grip_sites=(int(c["grip_site"][0]), int(c["grip_site"][1])),
        geom_names=names,
        body_names=tuple(model.body(i).name for i in range(model.nbody)),
        class_names=classes,
        geom_class=geom_classes,
        wrist_cameras=(_wrist_camera(env, arms[0].camera), _wrist_camera(env, arms[1].camera)),
        object_bodies=bodies,
        scenery=scenery(full, model, [robot.name for robot in env.robots]),
        compiled_obstacle=compiled_obstacle(env, model, task.base_joints),
        lone_bodies=lone_bodies,
    )


def _write_arm(model: Any, c: Any, number: int, arm: Arm) -> None:
    """Fills an arm's constants into the controller record."""
    joints = slice(len(arm.qpos))
    c["num_joints"][number] = len(arm.qpos)
    c["arm_qpos"][number, joints], c["arm_dof"][number, joints] = arm.qpos, arm.dofs
    c["arm_actuator"][number, joints] = arm.actuators
    limits = model.actuator_ctrlrange[arm.actuators]
    c["arm_low"][number, joints], c["arm_high"][number, joints] = limits[:, 0], limits[:, 1]
    c["grip_site"][number], c["base_site"][number] = arm.grip_site, arm.base_site
    c["grip_root"][number] = model.body_rootid[model.site_bodyid[arm.grip_site]]
    c["inertia_address"][number, joints, joints] = inertia_addresses(model, arm)
    c["opening_qpos"][number], c["opening_geom"][number] = -1, -1
    gripper = arm.gripper
    if gripper is not None:
        fingers = slice(len(gripper.actuators))
        c["num_fingers"][number] = len(gripper.actuators)
        c["finger_actuator"][number, fingers], c["finger_step"][number, fingers] = (
            gripper.actuators,
            gripper.step,
        )
        limits = model.actuator_ctrlrange[gripper.actuators]
        c["finger_low"][number, fingers], c["finger_high"][number, fingers] = limits[:, 0], limits[:, 1]
        if gripper.sliding_qpos:
            c["opening_qpos"][number] = gripper.sliding_qpos
        else:
            c["opening_geom"][number] = gripper.pad_geoms


def _torso_geoms(
    model: Any, geom_classes: npt.NDArray[np.int64], classes: tuple[str, ...]
) -> npt.NDArray[np.bool_]:
    """Returns which geoms of a robot with two arms belong to neither: they stand still."""
    is_robot = np.isin(geom_classes, [classes.index(f"{side}_arm") for side in ARM_NAMES])
    is_still: npt.NDArray[np.bool_] = model.body_weldid[model.geom_bodyid] == 0
    return is_robot & is_still


def _wrist_camera(env: Any, name: str) -> WristCamera:
    full = env.sim.model._model
    camera = full.camera(name)
    rotation = np.empty(9)
    load_mujoco().mju_quat2Mat(rotation, full.cam_quat[camera.id])
    return WristCamera(
        body=int(full.cam_bodyid[camera.id]),
        position_camera_in_body_m=np.array(full.cam_pos[camera.id]),
        rotation_camera_in_body=rotation.reshape(3, 3),
        vertical_fov_rad=float(np.radians(full.cam_fovy[camera.id])),
    )
