"""What a two-arm task brings to the world: objects, parameters, start, verdict, ground truth and its table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.log import TableSchema
from simloop.spec import Scenario
from simloop.world import RUNNING, Outcome, OutcomeState
from simloop_bimanual.conventions import CONTROL_PERIOD_NS
from simloop_bimanual.models.variation import SHARED
from simloop_bimanual.physics.start_check import check_overlaps

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel

FloatArray = npt.NDArray[np.float64]

COMMON_SCENE_KEYS = ("task", "success", "num_held_steps")
"""Keys of a scenario's ``scene`` that every task takes."""
SUCCESSES = ("held", "at_end", "once")
"""When the goal's condition is a success: in so many control periods in a row, at the time limit, or at once."""
START_OVERLAP_M = 0.008
"""What a task refuses unless it says otherwise. robosuite lays hammers down by their handle,
so that a thick head starts up to 4 mm inside the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a task makes of one instant.

    Attributes:
        row: Values of the ``task`` table without ``t_ns``, in the order of its columns.
        stage: Sub-task reached.
        is_goal_met: Whether the goal's condition holds now.
        failure: Why the episode has failed, or empty.
    """

    row: tuple[float, ...]
    stage: int
    is_goal_met: bool
    failure: str = ""


class Task(ABC):
    """One two-arm task in one model.

    The scene key ``success`` says what the goal's condition has to do for a success: ``held``, the default, hold at the
    ends of ``num_held_steps`` control periods in a row; ``at_end``, hold at the time limit; ``once``, hold at the end
    of any control period.

    Attributes:
        name: Name in scenarios, for example ``"two_arm_lift"``.
        stock_name: robosuite's environment.
        stock_module: Module that defines that environment, where it is not robosuite's own; imported after robosuite.
        stock_options: Arguments that robosuite's environment takes besides the world's own.
        has_grippers: Whether the arms carry grippers; without them actions have no ``grip`` entries.
        free_bodies: Body of every object that moves by itself, by the object's name; points of the ``motion`` table.
        object_prefixes: Object classes of the ``contacts`` table, by the prefix of their geoms' names.
        sampled_bodies: Bodies whose geometry the parameters change.
        allowed_contacts: Pairs of classes that the task asks for, besides a gripper's fingers on each other.
        parameters: Name, with unit, and bounds of each scenario parameter besides ``variation.SHARED``.
        flags: Names of the parameters that are true or false.
        defaults: Values of the parameters that a scenario leaves out.
        table: Schema of the ``task`` table.
        stages: What each stage means, from 0.
        object_state_size, object_state_layout: Shape and meaning of the sensor ``object_state``.
        front_camera_position_m, front_camera_target_m: Where the front camera stands and looks, world frame.
        camera_subject: What it sees besides the arms.
        scene_keys: Keys of ``scene`` besides ``COMMON_SCENE_KEYS``.
        start_overlap_m: Overlap of an object with anything else from which a start is refused.
        num_geometry_draws: Numbers that robosuite draws for the geometry before it draws the arms' noise.
        has_shipped_meshes: Whether every visible triangle of the scene ships with the package.
        only_robots: The robots, as world configs name them, that the scene is built for; empty for any pair.
        takes_two_arm_robots: Whether the scene has a place for one robot with two arms.
        is_driven: Whether ``drive`` is called before every physics step.
        base_joints: Names of the slide joints, at most two, on which the base of each arm is moved.
    """

    name: ClassVar[str]
    stock_name: ClassVar[str]
    stock_module: ClassVar[str] = ""
    stock_options: ClassVar[Mapping[str, Any]] = {}
    has_grippers: ClassVar[bool] = True
    free_bodies: ClassVar[Mapping[str, str]]
    object_prefixes: ClassVar[Mapping[str, str]]
    sampled_bodies: ClassVar[tuple[str, ...]] = ()
    allowed_contacts: ClassVar[frozenset[frozenset[str]]]
    parameters: ClassVar[Mapping[str, tuple[float, float]]]
    flags: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[Mapping[str, float]] = {}
    table: ClassVar[TableSchema]
    stages: ClassVar[tuple[str, ...]]
    object_state_size: ClassVar[int]
    object_state_layout: ClassVar[str]
    front_camera_position_m: ClassVar[tuple[float, float, float]] = (1.45, 0.0, 1.85)
    front_camera_target_m: ClassVar[tuple[float, float, float]] = (0.0, 0.0, 0.88)
    camera_subject: ClassVar[str]
    num_geometry_draws: ClassVar[int] = 0
    has_shipped_meshes: ClassVar[bool] = False
    only_robots: ClassVar[tuple[tuple[str, ...], ...]] = ()
    takes_two_arm_robots: ClassVar[bool] = False
    is_driven: ClassVar[bool] = False
    base_joints: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]] = ((), ())
    start_overlap_m: ClassVar[float] = START_OVERLAP_M
    scene_keys: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: TwoArmModel) -> None:
        self._model = model
        self._num_held_steps = 10
        self._num_held = 0
        self._first_success_ns = 0
        self._now_ns = 0
        self._outcome = RUNNING

    @property
    def outcome(self) -> Outcome:
        """The verdict at the last whole control period."""
        return self._outcome

    def read(self, scenario: Scenario) -> dict[str, float]:
        """Checks a scenario, takes over its ``scene`` block and returns a value for each parameter.

        Raises:
            ConfigurationError: A parameter or scene key is unknown, or a value has a wrong type or range.
        """
        where = f"scenario {scenario.family!r}"
        self._read_scene(scenario.scene, where)
        self._first_success_ns = (
            scenario.time_limit_ns if scenario.scene.get("success", "held") == "at_end" else 0
        )
        known = (*self.parameters, *self.flags, *SHARED)
        for name in scenario.parameters:
            if name not in known:
                raise UnknownNameError("parameter", name, known, where=where)
        values = {}
        bounds = {
            name: (low, high, self.defaults.get(name, 0.0)) for name, (low, high) in self.parameters.items()
        }
        for name, (low, high, default) in {**SHARED, **bounds}.items():
            value = scenario.parameters.get(name, default)
            if isinstance(value, (bool, str)) or not low - 1e-9 <= value <= high + 1e-9:
                raise ParameterError(
                    f"{where}: parameter {name!r} is {value!r}; allowed: a number from {low:.4g} to {high:.4g}."
                )
            values[name] = float(value)
        for name in self.flags:
            flag = scenario.parameters.get(name, False)
            if not isinstance(flag, bool):
                raise ParameterError(f"{where}: parameter {name!r} is {flag!r}; allowed: true or false.")
            values[name] = float(flag)
        self._num_held = 0
        self._now_ns = -CONTROL_PERIOD_NS
        self._outcome = RUNNING
        return values

    def _read_scene(self, scene: Mapping[str, Any], where: str) -> None:
        known = (*COMMON_SCENE_KEYS, *self.scene_keys)
        for key in scene:
            if key not in known:
                raise UnknownNameError("scene key", str(key), known, where=where)
        task = scene.get("task", self.name)
        if task != self.name:
            raise ConfigurationError(
                f"{where}: scene key 'task' is {task!r}; allowed: {self.name!r}, the task that this world was made "
                "for (world config key 'task')."
            )
        success = scene.get("success", "held")
        if success not in SUCCESSES:
            raise ParameterError(
                f"{where}: scene key 'success' is {success!r}; allowed: {', '.join(SUCCESSES)}."
            )
        if success != "held" and "num_held_steps" in scene:
            raise ConfigurationError(
                f"{where}: scene key 'num_held_steps' goes with 'success: held', and 'success' is {success!r}. Leave "
                "one of the two out."
            )
        held = scene.get("num_held_steps", 10 if success == "held" else 1)
        if isinstance(held, bool) or not isinstance(held, int) or not 1 <= held <= 1000:
            raise ParameterError(
                f"{where}: scene key 'num_held_steps' is {held!r}; allowed: a whole number, 1 to 1000."
            )
        self._num_held_steps = held

    def shape(self, values: Mapping[str, float]) -> None:
        """Gives the model the geometry of an episode."""

    @abstractmethod
    def place(self, values: Mapping[str, float], qpos: FloatArray) -> None:
        """Writes where the objects start."""

    def drive(self, data: Any, now_ns: int) -> None:
        """Writes what the scene moves by itself, such as a belt, as it is at an instant.

        Called before every physics step, and once at reset with 0, of tasks with ``is_driven``.
        """

    @abstractmethod
    def measure(self, data: Any) -> Judgement:
        """Looks at one instant; positions in ``data`` are fresh."""

    @abstractmethod
    def object_state(self, data: Any) -> FloatArray:
        """Returns the array of the sensor ``object_state``; positions in ``data`` are fresh."""

    def check_start(self, data: Any, where: str) -> None:
        """Refuses a start in which objects overlap something, or the goal is met already.

        Raises:
            ConfigurationError: Names the two things and how deep they overlap, or the task.
        """
        check_overlaps(
            self._model,
            data,
            objects=self.object_prefixes.values(),
            allowed_m=self.start_overlap_m,
            where=where,
        )
        if self.measure(data).is_goal_met:
            raise ConfigurationError(
                f"{where}: the goal of {self.name} is met at the start, so there is nothing to do. Change the "
                "parameters that place the objects."
            )

    def judge(self, data: Any) -> tuple[float, ...]:
        """Looks at one control period's end, updates the verdict and returns the row of the ``task`` table.

        Called at the start of an episode, after ``read``, and at the end of every control period.
        """
        seen = self.measure(data)
        self._now_ns += CONTROL_PERIOD_NS
        if self._outcome.state is OutcomeState.RUNNING:
            self._num_held = self._num_held + 1 if seen.is_goal_met else 0
            state, reason = OutcomeState.RUNNING, ""
            if self._num_held >= self._num_held_steps and self._now_ns >= self._first_success_ns:
                state, reason = OutcomeState.SUCCESS, "goal"
            elif seen.failure:
                state, reason = OutcomeState.FAIL, seen.failure
            self._outcome = Outcome(
                state=state, reason=reason, stage=seen.stage, is_goal_met=seen.is_goal_met
            )
        return seen.row

    def fail(self, reason: str) -> None:
        """Ends the episode with a failure that is not the task's own, unless it is over; the rest stays as judged."""
        if self._outcome.state is OutcomeState.RUNNING:
            self._outcome = replace(self._outcome, state=OutcomeState.FAIL, reason=reason)


def in_base(
    model: TwoArmModel, data: Any, arm: int, position_m: FloatArray, directions: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Returns a point (3,) and directions (3, n) of the world in the frame of an arm's base."""
    base = model.base_sites[arm]
    to_base = data.site_xmat[base].reshape(3, 3).T
    return to_base @ (position_m - data.site_xpos[base]), to_base @ directions
