"""The physics model of two Pandas and a task's objects, built once per process and task.

robosuite composes the model; everything that only rendering needs (visual geoms and their meshes, materials,
textures, cameras, lights) and the sensors are left out of the copy that is simulated: 6 MB in place of 109 MB, with
the same masses, inertias and contacts. What the controller needs to know is read from robosuite's own objects.
"""

from __future__ import annotations

import functools
import gc
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import WorldError
from simloop_bimanual.kernel import DAMPING_PER_S, GAIN_PER_S2, NUM_JOINTS, state_dtype
from simloop_bimanual.robosuite_import import load_mujoco, load_robosuite
from simloop_bimanual.sampled_geometry import lone_body
from simloop_bimanual.scene_meshes import Scenery, scenery
from simloop_bimanual.tasks import TASKS, Task

FloatArray = npt.NDArray[np.float64]

ARM_NAMES = ("left", "right")
"""Names of the arms: ``left`` is robosuite's robot0 at y < 0, ``right`` is robot1 at y > 0."""
JOINT_NOISE_RAD = 0.02
"""Standard deviation of the arms' start position (robosuite's default ``initialization_noise``)."""


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
        arm_rest_qpos: (2, 7) joint positions around which episodes start, radians.
        finger_rest_qpos: (2, 2) finger positions at the start, metres.
        objects: The objects that move by themselves, by name.
        base_sites, grip_sites: Ids; arms in the order of ``ARM_NAMES``.
        geom_names, body_names: Names by id, for contact classes and rendering.
        class_names: Classes of geoms: arms, grippers without their fingers, the task's objects, table, floor, fingers.
        geom_class: (num_geoms,) indices into ``class_names``.
        wrist_cameras: One camera an arm.
        object_bodies: Bodies of the task's objects, by name, held ones too.
        scenery: What is seen besides the arms.
        lone_bodies: ``MjSpec`` of each body whose geometry the task samples, by its name.
    """

    task: str
    robots: tuple[str, ...]
    mj_model: Any
    controller: npt.NDArray[Any]
    arm_rest_qpos: FloatArray
    finger_rest_qpos: FloatArray
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
    lone_bodies: Mapping[str, Any]


def make_stock_env(seed: int | None = None, task: str = "two_arm_lift", **options: Any) -> Any:
    """Builds robosuite's own environment of a task with two Pandas at 20 Hz, no renderer and no cameras."""
    robosuite = load_robosuite()
    settings: dict[str, Any] = {
        "robots": ["Panda", "Panda"],
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


@functools.cache
def two_arm_model(task: str) -> TwoArmModel:
    """Returns the process's model of a task with two Pandas.

    Args:
        task: A name in ``tasks.TASKS``.

    Raises:
        MissingDependencyError: robosuite or MuJoCo does not import.
        WorldError: robosuite's default controllers are not the ones that the kernel computes.
    """
    env = make_stock_env(seed=0, task=task)
    _check_controllers(env)
    full = env.sim.model._model
    spec = physics_spec(env)
    model = spec.compile()
    for name in ("nq", "nv", "nu", "nbody"):
        if getattr(model, name) != getattr(full, name):
            raise WorldError(
                f"The physics copy has {name} {getattr(model, name)}, robosuite's {getattr(full, name)}."
            )
    lone = {body: lone_body(spec, body) for body in TASKS[task].sampled_bodies}
    description = _describe(env, model, TASKS[task], lone)
    del env, full, spec
    gc.collect()  # robosuite's environment refers to itself; with its meshes it holds some 200 MB
    return description


def physics_spec(env: Any) -> Any:
    """Returns the spec of robosuite's model without visual geoms, their assets, cameras, lights and sensors."""
    spec = load_mujoco().MjSpec.from_string(env.edit_model_xml(env.model.get_xml()))
    _drop_visuals(spec)
    return spec


def geom_class_name(geom: str, object_prefixes: Mapping[str, str]) -> str:
    """Returns the class of a geom by its name; of several matching prefixes of objects the longest counts."""
    for index, side in enumerate(ARM_NAMES):
        if geom.startswith(f"gripper{index}_"):
            return f"{side}_fingers" if "finger" in geom else f"{side}_gripper"
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


def _check_controllers(env: Any) -> None:
    for robot in env.robots:
        _check_controller(robot.part_controllers["right"])


def _check_controller(controller: Any) -> None:
    expected: Mapping[str, Any] = {
        "name": "OSC_POSE",
        "input_type": "delta",
        "input_ref_frame": "base",
        "impedance_mode": "fixed",
        "uncoupling": True,
        "interpolator_pos": None,
        "interpolator_ori": None,
    }
    for key, value in expected.items():
        if getattr(controller, key) != value:
            raise WorldError(
                f"robosuite's default Panda controller has {key}={getattr(controller, key)!r}; the compiled "
                f"controller computes {value!r} only. Install robosuite 1.5.2."
            )
    if not (np.allclose(controller.kp, GAIN_PER_S2) and np.allclose(controller.kd, DAMPING_PER_S)):
        raise WorldError(
            f"robosuite's default Panda gains are kp={controller.kp}, kd={controller.kd}; the compiled controller has "
            f"kp={GAIN_PER_S2}, kd={DAMPING_PER_S:.4f}. Install robosuite 1.5.2."
        )


def _describe(env: Any, model: Any, task: type[Task], lone_bodies: Mapping[str, Any]) -> TwoArmModel:
    controller = np.zeros(1, dtype=state_dtype(model.nv, max(1, len(task.free_bodies))))
    c = controller[0]
    c["dof_to_joint"] = c["base_dof"] = -1
    c["dof_inertia"] = model.dof_Madr
    c["dof_parent"] = model.dof_parentid
    rest, fingers, cameras = np.zeros((2, NUM_JOINTS)), np.zeros((2, 2)), []
    for arm, robot in enumerate(env.robots):
        part = robot.part_controllers["right"]
        c["arm_qpos"][arm] = part.qpos_index
        c["arm_dof"][arm] = part.qvel_index
        c["arm_actuator"][arm] = robot._ref_actuators_indexes_dict["right"]
        if task.has_grippers:
            joints = [model.joint(name) for name in robot.gripper_joints["right"]]
            c["finger_actuator"][arm] = robot._ref_actuators_indexes_dict["right_gripper"]
            c["finger_qpos"][arm] = [joint.qposadr[0] for joint in joints]
            fingers[arm] = robot.gripper["right"].init_qpos
        for kind in ("arm", "finger") if task.has_grippers else ("arm",):
            limits = model.actuator_ctrlrange[c[f"{kind}_actuator"][arm]]
            c[f"{kind}_low"][arm], c[f"{kind}_high"][arm] = limits[:, 0], limits[:, 1]
        c["grip_site"][arm] = model.site(part.ref_name).id
        c["grip_root"][arm] = model.body_rootid[model.site_bodyid[c["grip_site"][arm]]]
        c["base_site"][arm] = model.site(f"{part.naming_prefix}right_center").id
        slides = [model.joint(name).dofadr[0] for name in task.base_joints[arm]]
        c["base_dof"][arm, : len(slides)] = slides
        c["dof_to_joint"][arm, c["arm_dof"][arm]] = np.arange(NUM_JOINTS)
        rest[arm] = robot.init_qpos
        cameras.append(_wrist_camera(env, f"robot{arm}_eye_in_hand"))
    objects = {}
    for number, (name, body) in enumerate(task.free_bodies.items()):
        joint = model.joint(model.body(body).jntadr[0])
        objects[name] = FreeObject(
            body=model.body(body).id, qpos=int(joint.qposadr[0]), dof=int(joint.dofadr[0])
        )
        c["object_body"][number], c["object_dof"][number] = objects[name].body, objects[name].dof
    c["num_objects"], c["num_fingers"] = len(objects), 2 if task.has_grippers else 0
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
    )
    geom_classes = np.array([classes.index(geom_class_name(name, task.object_prefixes)) for name in names])
    is_object = np.isin(geom_classes, [classes.index(name) for name in task.object_prefixes.values()])
    bodies = {
        model.body(model.geom_bodyid[g]).name: int(model.geom_bodyid[g]) for g in np.flatnonzero(is_object)
    }
    return TwoArmModel(
        task=task.name,
        robots=tuple(robot.name for robot in env.robots),
        mj_model=model,
        controller=controller,
        arm_rest_qpos=rest,
        finger_rest_qpos=fingers,
        objects=objects,
        base_sites=(int(c["base_site"][0]), int(c["base_site"][1])),
        grip_sites=(int(c["grip_site"][0]), int(c["grip_site"][1])),
        geom_names=names,
        body_names=tuple(model.body(i).name for i in range(model.nbody)),
        class_names=classes,
        geom_class=geom_classes,
        wrist_cameras=(cameras[0], cameras[1]),
        object_bodies=bodies,
        scenery=scenery(env.sim.model._model, model, [robot.name for robot in env.robots]),
        lone_bodies=lone_bodies,
    )


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
