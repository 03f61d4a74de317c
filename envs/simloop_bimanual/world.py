"""Two arms and a task: robosuite's two-arm environments as a simloop world."""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError, WorldError
from simloop.log import Columns
from simloop.source_digest import source_digest
from simloop.spec import Scenario
from simloop.world import (
    Anchor,
    Frame,
    Outcome,
    OutcomeState,
    World,
    WorldSpec,
)
from simloop_bimanual.action_spaces import AbsolutePoses, action_space, present_poses
from simloop_bimanual.conventions import CONTROL_PERIOD_NS, PHYSICS_PERIOD_NS
from simloop_bimanual.force_limits import read_force_limits
from simloop_bimanual.models.arms import DEFAULT_ROBOTS, checked_robots
from simloop_bimanual.models.two_arm_model import two_arm_model
from simloop_bimanual.models.variation import Physics, Variation
from simloop_bimanual.physics.reset import StartState
from simloop_bimanual.physics.stepping import Stepper
from simloop_bimanual.recording.arm_recording import ArmRecorder
from simloop_bimanual.recording.contacts import ContactRecorder
from simloop_bimanual.recording.links import LINKS, LinkRecorder
from simloop_bimanual.recording.tables import TABLES, Rows, joints_table, motion_columns
from simloop_bimanual.rendering import looks
from simloop_bimanual.rendering.render_options import checked_rendering
from simloop_bimanual.robosuite_import import load_mujoco
from simloop_bimanual.sensors import CAMERAS, robot_state, sensor_specs
from simloop_bimanual.tasks import TASKS

if TYPE_CHECKING:
    from simloop_bimanual.physics.stock_controller import StockController
    from simloop_bimanual.rendering.views import View

FloatArray = npt.NDArray[np.float64]

CONTROLLERS = ("fast", "stock")
DIVERGED = "physics_diverged"
"""Reason of a failure: the actions drove the physics to where MuJoCo's numbers have no bounds."""


class BimanualWorld(World):
    """Two arms and a task's objects, physics every 2 ms, control every 50 ms.

    Args:
        task: Name of the task, one of ``tasks.TASKS``.
        action: ``"two_arm_delta"`` (``"two_arm_pose_delta"`` where arms have no grippers) or ``"absolute"``; see
            ``simloop_bimanual.action_spaces``.
        controller: ``"fast"`` for the compiled controller, ``"stock"`` for robosuite's own in Python, several times
            slower.
        robots: robosuite's names: two of ``arms.PAIRED_ROBOTS``, or one of ``arms.TWO_ARM_ROBOTS``.
        render: ``"software"``, or ``"gl"`` (MuJoCo's own renderer by OpenGL, without reflections, shadows and
            multisampling) or ``"gl_full"`` (with them).
        appearance: What the software renderer draws: ``"plain"`` (flat colours under one light, for the lift with
            Pandas only), ``"detailed"`` (materials, textures and lights of robosuite's scene), or ``"auto"``: plain
            where there is such a picture, detailed otherwise.
        camera_height_px: Height of the images of all cameras.
        camera_width_px: Width of the images of all cameras.
        force_limits: Preset that the metric ``force_limit_ratio`` compares collisions with: a name in
            ``conf/force_limits`` or the path of a YAML file.

    Raises:
        ConfigurationError: The task, a robot, the controller or the way to draw is unknown, the robots do not go
            together or with the task, the task has no such action space, or an image size is out of range.
        MissingDependencyError: robosuite or a MuJoCo that it runs on is not installed, or OpenGL is asked for and its
            library is not there.
    """

    def __init__(
        self,
        *,
        task: str = "two_arm_lift",
        action: str = "two_arm_delta",
        controller: str = "fast",
        robots: Sequence[str] | str = DEFAULT_ROBOTS,
        render: str = "software",
        appearance: str = "auto",
        camera_height_px: int = 96,
        camera_width_px: int = 128,
        force_limits: str = "iso15066_like",
    ) -> None:
        if task not in TASKS:
            raise UnknownNameError("task", str(task), TASKS, where="world config of the bimanual world")
        chosen = TASKS[task]
        space = action_space(chosen, action)
        names = checked_robots(robots, chosen)
        if controller not in CONTROLLERS:
            raise UnknownNameError(
                "controller", str(controller), CONTROLLERS, where="world config of the bimanual world"
            )
        for key, value in (("camera_height_px", camera_height_px), ("camera_width_px", camera_width_px)):
            if not 8 <= value <= 2048:
                raise ParameterError(f"World config key {key!r} is {value!r}; allowed: 8 to 2048.")
        self._force_limits = read_force_limits(force_limits)
        self._mujoco = load_mujoco()
        self._model = two_arm_model(task, names)
        if controller == "fast" and self._model.compiled_obstacle:
            raise ConfigurationError(
                f"World config key 'controller' is 'fast', the compiled controller, which does not fit the robots "
                f"{list(names)}: {self._model.compiled_obstacle}. Set world.controller=stock (robosuite's own, several "
                "times slower), or choose other robots."
            )
        self._task_class, self._robots, self._controller = chosen, names, controller
        self._render = render
        self._appearance = checked_rendering(task, names, render, appearance)
        self._is_absolute = isinstance(space, AbsolutePoses)
        self._spec = WorldSpec(
            name="bimanual",
            physics_period_ns=PHYSICS_PERIOD_NS,
            control_period_ns=CONTROL_PERIOD_NS,
            action=space,
            sensors=sensor_specs(
                chosen,
                camera_height_px=camera_height_px,
                camera_width_px=camera_width_px,
                period_ns=CONTROL_PERIOD_NS,
            ),
            tables={
                **TABLES,
                "joints": joints_table(self._model.num_joints),
                "links": LINKS,
                "task": chosen.table,
            },
            motion_points=("left_gripper", "right_gripper", *chosen.free_bodies),
            max_interleaved=4,
            versions=_versions(),
        )
        self._motion_start_ns = 0
        self._action = np.zeros(space.size)
        self._start_action = np.zeros(space.size)
        self._is_new_action = False
        self._has_fresh_kinematics = False
        self._now_ns = 0
        self._time_limit_ns = 0
        self._is_reset = self._has_acted = self._has_diverged = False
        self._view: View | None = None
        self._look: Mapping[str, float] = {}
        self._assemble(Physics.ORIGINAL)

    def _assemble(self, physics: Physics) -> None:
        """Builds what belongs to one physics model: state, recorders, task and stepper."""
        self._physics, task = physics, self._task_class
        has_distractors = physics is Physics.WITH_DISTRACTORS
        model = two_arm_model(task.name, self._robots, has_distractors=has_distractors)
        is_own = physics is not Physics.ORIGINAL
        if is_own or task.sampled_bodies:  # a world that changes masses or geometry changes those of a copy
            model = dataclasses.replace(model, mj_model=copy.copy(model.mj_model))
        self._model = model
        self._data = self._mujoco.MjData(model.mj_model)
        self._record = model.controller.copy()
        self._record["is_absolute"] = self._is_absolute
        self._task = task(model)
        self._contacts = ContactRecorder(model, task.allowed_contacts, PHYSICS_PERIOD_NS)
        self._links = LinkRecorder(model)
        self._arms = ArmRecorder(model, self._data, self._contacts, task.stages)
        self._start = StartState(model, self._task, Variation(model) if is_own else None)
        self._stock: StockController | None = None
        if self._controller == "stock":
            from simloop_bimanual.physics.stock_controller import StockController

            self._stock = StockController(model, self._data, is_absolute=self._is_absolute)
        self._stepper = Stepper(
            model=model,
            data=self._data,
            record=self._record,
            task=self._task,
            contacts=self._contacts,
            physics_period_ns=PHYSICS_PERIOD_NS,
            stock=self._stock,
        )
        self._progress = Rows((len(task.table.columns),), 256)

    @property
    def spec(self) -> WorldSpec:
        """The world's fixed properties."""
        return self._spec

    def reset(self, scenario: Scenario, seed: int) -> None:
        """Places arms and objects.

        Args:
            scenario: Parameters and ``scene`` keys are those of the task.
            seed: Seed of the noise on the arms' start position, drawn as robosuite draws it.

        Raises:
            ConfigurationError: A parameter or scene key is unknown or out of range, objects overlap something, or the
                goal is met already.
        """
        self._is_reset = self._has_acted = self._has_diverged = False
        self._view = None
        where = f"scenario {scenario.family!r}"
        values = self._task.read(scenario)
        physics = Physics.of(values)
        if physics is not self._physics:
            self._assemble(physics)
            values = self._task.read(scenario)
        self._look = {name: values[name] for name in looks.PARAMETERS}
        self._start.apply(self._data, self._record, seed=seed, values=values, where=where)
        if self._stock is not None:
            self._stock.reset(self._start.noise_generator(seed))
            self._start.apply(self._data, self._record, seed=seed, values=values, where=where)
        self._task.check_start(self._data, where)
        self._action[:] = 0.0
        self._is_new_action = False
        self._now_ns = self._motion_start_ns = 0
        self._time_limit_ns = scenario.time_limit_ns
        self._has_fresh_kinematics = False
        self._is_reset = True
        self._contacts.clear()
        self._links.clear()
        self._arms.clear()
        self._stepper.clear()
        self._progress.take()
        self._judge()
        self._start_action = self._spec.action.start_action(self.anchor())

    def advance(self, until_ns: int) -> None:
        """Steps the physics; at every whole control period the task is judged.

        If the physics diverges, the episode has failed (``DIVERGED``): everything stands still as it was when the
        control period began, and nothing is recorded from there on.

        Raises:
            ValueError: The instant is past or not a multiple of the physics period.
            WorldError: The world was not reset, or its physics diverged before any action but the start action, which
                asks for no motion.
        """
        if not self._is_reset:
            raise WorldError("advance was called before reset; call reset(scenario, seed) first.")
        if until_ns % PHYSICS_PERIOD_NS or until_ns < self._now_ns:
            raise ValueError(
                f"advance to {until_ns} ns from {self._now_ns} ns: allowed are later multiples of {PHYSICS_PERIOD_NS}."
            )
        while self._now_ns < until_ns:
            next_period_ns = (self._now_ns // CONTROL_PERIOD_NS + 1) * CONTROL_PERIOD_NS
            self._step(min(until_ns, next_period_ns))
            if self._now_ns == next_period_ns and not self._has_diverged:
                self._judge()

    def _step(self, until_ns: int) -> None:
        count = (until_ns - self._now_ns) // PHYSICS_PERIOD_NS
        if count == 0 or self._has_diverged:
            self._now_ns = until_ns
            return
        first, is_new_action = self._now_ns // PHYSICS_PERIOD_NS, self._is_new_action
        self._is_new_action, self._has_fresh_kinematics = False, False
        if not self._stepper.run(self._action, is_new_action=is_new_action, first=first, count=count):
            self._end_diverged(until_ns)
        self._now_ns = until_ns

    def _end_diverged(self, until_ns: int) -> None:
        if not self._has_acted:
            raise WorldError(
                f"The physics of {self._task.name} diverged by {until_ns} ns, before any action that asks for "
                "motion (MuJoCo warns of positions, velocities or accelerations without bounds). So it is the "
                "scenario's: narrow its parameters that make bodies light, materials stiff or friction large, such as "
                "'object_mass_ratio'."
            )
        self._stepper.back_to_mark()
        self._task.fail(DIVERGED)
        self._has_diverged = True

    def _refresh(self) -> None:
        """Brings positions and Jacobians up to the present instant; the next physics step computes the same again."""
        if not self._has_fresh_kinematics:
            self._stepper.refresh()
            self._has_fresh_kinematics = True

    def _judge(self) -> None:
        self._refresh()
        self._progress.append((self._now_ns, *self._task.judge(self._data)))
        self._links.record(self._data, self._now_ns)
        self._arms.record(self._now_ns, self._now_ns // PHYSICS_PERIOD_NS)
        self._stepper.mark()

    def capture(self, sensor: str, index: int) -> Frame:
        """Freezes what ``sensor`` sees now; KeyError if there is no such sensor."""
        spec = self._spec.sensor(sensor)
        self._refresh()
        if sensor in CAMERAS:
            if self._view is None:
                from simloop_bimanual.rendering.views import two_arm_view

                # Other masses look the same: their worlds share the views of the original model.
                is_alike = self._physics is Physics.VARIED and not self._task.sampled_bodies
                seen = two_arm_model(self._task.name, self._robots) if is_alike else self._model
                self._view = two_arm_view(seen, self._render, self._appearance)
            render: Callable[[], npt.NDArray[Any]] = self._view.freeze(
                sensor, self._data, height_px=spec.shape[0], width_px=spec.shape[1], look=self._look
            )
        else:
            array = (
                robot_state(self._record, self._data)
                if sensor == "robot_state"
                else self._task.object_state(self._data)
            )
            render = functools.partial(_same, array)
        return Frame(sensor=sensor, index=index, captured_at_ns=self._now_ns, render=render)

    def anchor(self) -> Anchor:
        """Returns the poses of both grippers where actions are absolute.

        Deltas refer to the pose at the instant at which they take effect: theirs is empty.
        """
        pose = np.empty(0)
        if self._is_absolute:
            self._refresh()
            model = self._model
            pose = present_poses(self._data, model.base_sites, model.grip_sites, self._spec.action.size)
        return Anchor(captured_at_ns=self._now_ns, pose=pose)

    def actuate(self, action: FloatArray) -> None:
        """Sets new goals at the next physics step; they stay until the next action.

        Raises:
            ValueError: The action has not the size of the action space or is not finite.
        """
        values = np.asarray(action, dtype=np.float64)
        if values.shape != self._action.shape or not np.isfinite(values).all():
            got = f"has shape {values.shape}"
            if values.shape == self._action.shape:
                got = f"is not finite in its entries {np.flatnonzero(~np.isfinite(values)).tolist()}"
            space = self._spec.action
            names = ", ".join(entry.name for entry in space.dimensions)
            raise ValueError(
                f"The action {got}; expected {len(self._action)} numbers, all finite, those of the action space "
                f"{space.name!r} ({names}). Give one row of a chunk in this space, or choose another space by the "
                "world config key 'action'."
            )
        self._action[:] = values
        self._is_new_action = True
        self._has_acted = self._has_acted or not np.array_equal(values, self._start_action)

    def outcome(self) -> Outcome:
        """The verdict at the last whole control period."""
        return self._task.outcome

    def drain(self) -> Mapping[str, Columns]:
        """Returns and forgets the rows of ``motion``, ``contacts``, ``joints``, ``links``, ``arms`` and ``task``."""
        positions, velocities = self._stepper.positions.take(), self._stepper.velocities.take()
        t_ns = self._motion_start_ns + PHYSICS_PERIOD_NS * np.arange(len(positions), dtype=np.int64)
        self._motion_start_ns = self._now_ns
        is_over = self._task.outcome.state is not OutcomeState.RUNNING or self._now_ns >= self._time_limit_ns
        joints, task = self._stepper.joints.take(), self._progress.take()
        num_joints = self._model.num_joints
        contacts = self._contacts.drain(self._now_ns // PHYSICS_PERIOD_NS, is_over=is_over)
        self._stepper.mark()
        return {
            "motion": motion_columns(t_ns, positions, velocities),
            "contacts": contacts,
            "joints": {
                "t_ns": t_ns,
                "joint_position_rad": joints[:, :num_joints],
                "joint_velocity_radps": joints[:, num_joints : 2 * num_joints],
                "joint_torque_nm": joints[:, 2 * num_joints :],
            },
            "links": self._links.drain(),
            "arms": self._arms.drain(),
            "task": {
                column.name: task[:, number].astype(column.dtype)
                for number, column in enumerate(self._spec.tables["task"].columns)
            },
        }

    def log_attributes(self) -> Mapping[str, Any]:
        """Returns what the table ``links`` is drawn with, and what metrics of the arms need besides tables."""
        return {**self._links.attributes(), **self._arms.attributes(), "force_limits": self._force_limits}


def _same(array: FloatArray) -> FloatArray:
    return array


@functools.cache
def _versions() -> Mapping[str, str]:
    installed = {name: importlib.metadata.version(name) for name in ("mujoco", "robosuite")}
    return {**installed, "simloop_bimanual": source_digest("simloop_bimanual")}
