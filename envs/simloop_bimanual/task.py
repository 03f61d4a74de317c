"""The lifting task: how far it is, and when it has succeeded or failed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.world import Outcome, OutcomeState
from simloop_bimanual.contacts import grasp_roles, touches_both_fingers
from simloop_bimanual.model import POT_HALF_HEIGHT_M, TABLE_TOP_M, TwoArmModel

REACH_M = 0.04
"""A gripper is at its handle when its grip site is this near to the handle's site."""
LIFT_M = 0.10
"""Clearance over the table that counts as lifted (robosuite ``TwoArmLift._check_success``)."""
TIPPED_RAD = math.radians(75.0)
"""Tilt from which two top-down grippers cannot take the pot any more."""
LOST_M = -0.05
"""Clearance (negative: below the table top) from which the pot has left the table."""

PARAMETERS: Mapping[str, tuple[float, float]] = {
    "pot_x_m": (-0.03, 0.03),
    "pot_y_m": (-0.03, 0.03),
    "pot_yaw_rad": (-math.pi / 3, math.pi / 3),
}
"""Where the pot starts: offset from the table's centre, and turn from the pose in which each handle faces its arm.
The bounds are those of robosuite's own placement sampler for TwoArmLift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftCriteria:
    """The ``scene`` block of a TwoArmLift scenario.

    Attributes:
        task: Name of the task; only ``"two_arm_lift"``.
        num_held_steps: Control periods in a row for which the goal has to hold.
        tilt_limit_rad: Largest tilt of the pot that counts as lifted; robosuite's own reward asks for 30 degrees.
    """

    task: str = "two_arm_lift"
    num_held_steps: int = 10
    tilt_limit_rad: float = math.pi / 6

    @classmethod
    def from_scene(cls, scene: Mapping[str, Any], where: str) -> LiftCriteria:
        """Reads and checks a scene block.

        Raises:
            ConfigurationError: A key is unknown, or a value has a wrong type or range.
        """
        allowed = ("task", "num_held_steps", "tilt_limit_rad")
        for key in scene:
            if key not in allowed:
                raise UnknownNameError("scene key", str(key), allowed, where=where)
        task = scene.get("task", "two_arm_lift")
        if task != "two_arm_lift":
            raise ConfigurationError(f"{where}: scene key 'task' is {task!r}; allowed: 'two_arm_lift'.")
        held = scene.get("num_held_steps", 10)
        if isinstance(held, bool) or not isinstance(held, int) or not 1 <= held <= 1000:
            raise ParameterError(
                f"{where}: scene key 'num_held_steps' is {held!r}; allowed: a whole number, 1 to 1000."
            )
        tilt = scene.get("tilt_limit_rad", math.pi / 6)
        if isinstance(tilt, (bool, str)) or not 0.0 < float(tilt) <= TIPPED_RAD:
            raise ParameterError(
                f"{where}: scene key 'tilt_limit_rad' is {tilt!r}; allowed: above 0 and up to {TIPPED_RAD:.3f} rad."
            )
        return cls(num_held_steps=held, tilt_limit_rad=float(tilt))


def pot_placement(parameters: Mapping[str, Any], where: str) -> tuple[float, float, float]:
    """Returns the pot's x, y offset (m) and turn (rad); parameters that are left out are zero.

    Raises:
        ParameterError: A parameter is unknown, not a number or out of range.
    """
    for name in parameters:
        if name not in PARAMETERS:
            raise UnknownNameError("parameter", name, PARAMETERS, where=where)
    values = []
    for name, (low, high) in PARAMETERS.items():
        value = parameters.get(name, 0.0)
        if isinstance(value, (bool, str)) or not low - 1e-9 <= value <= high + 1e-9:
            raise ParameterError(
                f"{where}: parameter {name!r} is {value!r}; allowed: a number from {low:.4g} to {high:.4g}."
            )
        values.append(float(value))
    return values[0], values[1], values[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the lift is at one instant; the fields are the columns of the ``task`` table."""

    handle_distance_m: tuple[float, float]
    is_grasped: tuple[bool, bool]
    pot_clearance_m: float
    pot_tilt_rad: float
    is_goal_met: bool
    stage: int


class LiftTask:
    """Judges the lift at every control period.

    Args:
        model: The physics model.
    """

    def __init__(self, model: TwoArmModel) -> None:
        self._model = model
        self._roles = grasp_roles(model)
        self._grasped = np.zeros(2, dtype=bool)
        self._criteria = LiftCriteria()
        self._num_held = 0
        self._outcome = Outcome(state=OutcomeState.RUNNING)

    @property
    def outcome(self) -> Outcome:
        """The verdict at the last ``judge``; once it is success or fail, it stays."""
        return self._outcome

    def reset(self, criteria: LiftCriteria) -> None:
        """Starts a new episode."""
        self._criteria = criteria
        self._num_held = 0
        self._outcome = Outcome(state=OutcomeState.RUNNING)

    def judge(self, data: Any) -> Progress:
        """Looks at the state (positions and contacts of ``data`` are up to date) and updates the verdict."""
        progress = self._progress(data)
        if self._outcome.state is not OutcomeState.RUNNING:
            return progress
        self._num_held = self._num_held + 1 if progress.is_goal_met else 0
        state, reason = OutcomeState.RUNNING, ""
        if self._num_held >= self._criteria.num_held_steps:
            state, reason = OutcomeState.SUCCESS, "goal"
        elif progress.pot_clearance_m < LOST_M:
            state, reason = OutcomeState.FAIL, "pot_dropped"
        elif progress.pot_tilt_rad > TIPPED_RAD:
            state, reason = OutcomeState.FAIL, "pot_tipped"
        self._outcome = Outcome(
            state=state, reason=reason, stage=progress.stage, is_goal_met=progress.is_goal_met
        )
        return progress

    def _progress(self, data: Any) -> Progress:
        model = self._model
        distances = [
            float(
                np.linalg.norm(
                    data.site_xpos[model.grip_sites[arm]] - data.site_xpos[model.handle_sites[arm]]
                )
            )
            for arm in range(2)
        ]
        touches_both_fingers(data.contact.geom, self._roles, self._grasped)
        grasped = (bool(self._grasped[0]), bool(self._grasped[1]))
        clearance = float(data.xpos[model.pot_body, 2]) - POT_HALF_HEIGHT_M - TABLE_TOP_M
        tilt = math.acos(min(max(float(data.xmat[model.pot_body, 8]), -1.0), 1.0))
        is_goal_met = clearance > LIFT_M and tilt <= self._criteria.tilt_limit_rad
        is_reached = max(distances) <= REACH_M
        stage = 0
        if is_reached:
            stage = 1
            if all(grasped):
                stage = 3 if is_goal_met else 2
        return Progress(
            handle_distance_m=(distances[0], distances[1]),
            is_grasped=grasped,
            pot_clearance_m=clearance,
            pot_tilt_rad=tilt,
            is_goal_met=is_goal_met,
            stage=stage,
        )
