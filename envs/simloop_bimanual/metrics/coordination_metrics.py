"""Metrics of two arms that work together: nearness, height, turning of the hands, and what they hold between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.kinematics import MOTION_TABLE, MotionMetric, PointMotion
from simloop.metrics.metric import MISSING_TABLE, Metric, MetricValue
from simloop_bimanual.metrics.holding import (
    ARMS_TABLE,
    HANDS,
    Holding,
    HoldingMetric,
    angles_rad,
    inverse,
    product,
    turned,
)

FloatArray = npt.NDArray[np.float64]

OPENED_M = 0.0005
"""By how much a gripper has opened further when it lets go of something."""
LOOK_BACK = 3
"""Control periods over which that is looked at: contact ends up to 50 ms after the pads have left."""


class GripperHeightDifference(MotionMetric):
    """How unequally high the two grippers are."""

    name = "gripper_height_difference_m"
    unit = "m"
    description = "Mean difference of the heights of both grippers."
    min_samples = 1
    higher_is_better = False

    def value_of(self, motions: Sequence[PointMotion]) -> MetricValue:
        """Averages over time (RoboEval's ``bimanual_gripper_vertical_difference``)."""
        heights = {motion.name: motion.position_m[:, 2] for motion in motions}
        grippers = [heights.get(f"{hand}_gripper") for hand in HANDS]
        left, right = grippers
        if left is None or right is None:
            return MetricValue.invalid(f"{MISSING_TABLE} {MOTION_TABLE} of two grippers")
        return MetricValue(value=float(np.abs(left - right).mean()))


class MinArmDistance(Metric):
    """Least distance of the two arms."""

    name = "min_arm_distance_m"
    unit = "m"
    description = "Least distance of both arms' moving collision geometry, at the control rate, at most 1 m."
    tables = (ARMS_TABLE,)
    higher_is_better = True
    is_motion = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads the last row of ``world.arms.least_arm_distance_m``."""
        least = log.column(ARMS_TABLE, "least_arm_distance_m")
        return MetricValue(value=float(least[-1])) if len(least) else MetricValue.invalid("no control period")


class HandRotation(HoldingMetric):
    """How far the hands have turned, averaged over both."""

    name = "hand_rotation_rad"
    unit = "rad"
    description = (
        "Sum of the angles by which a hand turned between control periods, averaged over both hands."
    )
    higher_is_better: bool | None = None

    def value_of(self, holding: Holding) -> float:
        """Adds 2 acos |q_k . q_(k+1)| (RoboEval's orientation path)."""
        quaternion = holding.hand_quaternion
        return float(angles_rad(quaternion[:-1], quaternion[1:]).sum() / quaternion.shape[1])


_NO_CARRY = "no object was held by both hands"


class GraspPositionError(HoldingMetric):
    """How much the hands shift against each other while they hold one thing together."""

    name = "grasp_position_error_m"
    unit = "m"
    description = (
        "RMS change of the right hand's position in the left hand's frame since both took hold of one object."
    )

    def value_of(self, holding: Holding) -> float | MetricValue:
        """Compares with the first instant of each such time."""
        errors = []
        for first, last in holding.carries():
            position = holding.hand_position_m[first : last + 1]
            to_left = inverse(holding.hand_quaternion[first : last + 1, 0])
            relative = turned(to_left, position[:, 1] - position[:, 0])
            errors.append(np.linalg.norm(relative - relative[0], axis=1))
        return _rms(errors)


class GraspRotationError(HoldingMetric):
    """How much the hands turn against each other while they hold one thing together."""

    name = "grasp_rotation_error_rad"
    unit = "rad"
    description = "RMS change of the angle between both hands since both took hold of one object."

    def value_of(self, holding: Holding) -> float | MetricValue:
        """Compares with the first instant of each such time."""
        errors = []
        for first, last in holding.carries():
            hands = holding.hand_quaternion[first : last + 1]
            relative = product(inverse(hands[:, 0]), hands[:, 1])
            errors.append(angles_rad(np.broadcast_to(relative[0], relative.shape), relative))
        return _rms(errors)


def _rms(errors: list[FloatArray]) -> float | MetricValue:
    if not errors:
        return MetricValue.invalid(_NO_CARRY)
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


class MaxHeldTilt(HoldingMetric):
    """How far a held thing leans from how it stood or lay at the start."""

    name = "max_held_tilt_rad"
    unit = "rad"
    description = (
        "Largest angle from the vertical of what was an object's vertical at the start, while it is held."
    )

    def value_of(self, holding: Holding) -> float | MetricValue:
        """Takes the maximum over the objects that a hand holds, and time."""
        tilts = []
        for thing, quaternion in holding.object_quaternion.items():
            is_held = (holding.held == thing).any(axis=1)
            if is_held.any():
                since_start = product(quaternion[is_held], inverse(quaternion[0]))
                up = turned(since_start, np.broadcast_to([0.0, 0.0, 1.0], (int(is_held.sum()), 3)))
                tilts.append(float(np.arccos(np.clip(up[:, 2], -1.0, 1.0)).max()))
        return max(tilts) if tilts else MetricValue.invalid("no rigid object was held")


class NumSlips(HoldingMetric):
    """How often a hand lost what it held without opening."""

    name = "num_slips"
    description = "Number of times a hand lost what it held although its gripper had not opened further."

    def value_of(self, holding: Holding) -> float | MetricValue:
        """Counts ends of holds (after RoboEval's slip count); not valid if nothing was held."""
        found = [
            (hand, last)
            for hand in range(2)
            for thing in np.unique(holding.held[:, hand])
            if thing >= 0
            for _, last in holding.holds(hand, int(thing))
        ]
        if not found:
            return MetricValue.invalid("no object was held")
        slips = 0
        for hand, last in found:
            if last + 1 < len(holding.held):
                before = holding.opening_m[max(0, last + 1 - LOOK_BACK) : last + 1, hand]
                slips += bool(holding.opening_m[last + 1, hand] - before.min() < OPENED_M)
        return float(slips)


class HandOverGap(HoldingMetric):
    """Time from one hand's letting go of a thing to the other's taking hold of it."""

    name = "hand_over_gap_s"
    unit = "s"
    description = (
        "Time from one hand's release of an object to the other's hold of it, largest of the episode, to a control "
        "period; negative while both held it together."
    )
    higher_is_better: bool | None = None

    def value_of(self, holding: Holding) -> float | MetricValue:
        """Takes the maximum over the times at which an object changed hands."""
        gaps = []
        for thing in np.unique(holding.held[holding.held >= 0]):
            for taker in range(2):
                given = holding.holds(1 - taker, int(thing))
                for first, last in holding.holds(taker, int(thing)):
                    ends = [end for start, end in given if start < first and end < last]
                    if ends:
                        gaps.append(float(holding.t_s[first] - holding.t_s[ends[-1] + 1]))
        return max(gaps) if gaps else MetricValue.invalid("no object changed hands")
