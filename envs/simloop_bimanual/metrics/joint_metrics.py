"""Metrics of the joints, read from ``world.joints`` at the physics rate: smoothness, effort, and nearness to limits."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.jerk import MIN_SAMPLES, jerk_rms_mps3
from simloop.metrics.metric import MetricValue
from simloop.metrics.path_length import path_length_m
from simloop.metrics.reduction import Reduction

FloatArray = npt.NDArray[np.float64]

TABLE = "world.joints"
SATURATED_RATIO = 0.99
"""Share of a limit from which a joint counts as saturated."""
IDLE_RADPS = 0.05
"""Norm of an arm's joint velocities below which the arm stands still."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointMotion:
    """The joints of an episode; J joints, arm after arm.

    Attributes:
        sample_period_s: Time between two samples.
        arms: Joints of each arm, by the arm's name.
        position_rad: (N, J).
        velocity_radps: (N, J).
        torque_nm: (N, J).
        low_rad, high_rad: (J,) range of each joint; equal where it has none.
        velocity_limit_radps: (J,), or None if the robot's limits are not known.
        torque_limit_nm: (J,).
    """

    sample_period_s: float
    arms: dict[str, slice]
    position_rad: FloatArray
    velocity_radps: FloatArray
    torque_nm: FloatArray
    low_rad: FloatArray
    high_rad: FloatArray
    velocity_limit_radps: FloatArray | None
    torque_limit_nm: FloatArray

    def speeds_radps(self) -> list[FloatArray]:
        """Returns the norm of each arm's joint velocities, (N,) an arm."""
        return [np.linalg.norm(self.velocity_radps[:, part], axis=1) for part in self.arms.values()]


def read_joints(log: EpisodeLog) -> JointMotion | MetricValue:
    """Returns the joints of a log, or an invalid value that says why it cannot."""
    position = log.column(TABLE, "joint_position_rad")
    num_joints = position.shape[1]
    names = [str(name) for name in log.attributes.get("joint_arms", ())]
    limits = {
        key: np.array(log.attributes.get(key, ()), dtype=np.float64)
        for key in ("joint_low_rad", "joint_high_rad", "torque_limit_nm", "joint_velocity_limit_radps")
    }
    has_velocity_limit = len(limits["joint_velocity_limit_radps"]) == num_joints
    if len(names) != num_joints or any(
        len(value) != num_joints for key, value in limits.items() if key != "joint_velocity_limit_radps"
    ):
        return MetricValue.invalid("the log's attributes do not give the arm and the limits of each joint")
    if len(position) < MIN_SAMPLES:
        return MetricValue.invalid(f"{len(position)} samples of the joints; {MIN_SAMPLES} are needed")
    steps = np.diff(log.column(TABLE, "t_ns"))
    if steps.min() <= 0 or steps.min() != steps.max():
        return MetricValue.invalid(f"joints are not evenly sampled: {steps.min()} to {steps.max()} ns")
    return JointMotion(
        sample_period_s=float(steps[0]) * 1e-9,
        arms={
            arm: slice(names.index(arm), names.index(arm) + names.count(arm)) for arm in dict.fromkeys(names)
        },
        position_rad=position,
        velocity_radps=log.column(TABLE, "joint_velocity_radps"),
        torque_nm=log.column(TABLE, "joint_torque_nm"),
        low_rad=limits["joint_low_rad"],
        high_rad=limits["joint_high_rad"],
        velocity_limit_radps=limits["joint_velocity_limit_radps"] if has_velocity_limit else None,
        torque_limit_nm=limits["torque_limit_nm"],
    )


class JointMetric(Reduction):
    """A metric made of the joints; all such metrics share one reading of a log."""

    tables = (TABLE,)
    read = staticmethod(read_joints)

    def __init__(self) -> None:
        """Has its name, unit and description as class attributes."""

    def reduce(self, reading: JointMotion | MetricValue) -> MetricValue:
        """Returns the value of what ``read_joints`` returned."""
        if isinstance(reading, MetricValue):
            return reading
        value = self.value_of(reading)
        return value if isinstance(value, MetricValue) else MetricValue(value=value)

    @abstractmethod
    def value_of(self, joints: JointMotion) -> float | MetricValue:
        """Returns the metric's value for the joints of an episode."""


class JointJerkRms(JointMetric):
    """RMS jerk of the joints of the worse arm."""

    name = "joint_jerk_rms_radps3"
    unit = "rad/s^3"
    description = "RMS of the norm of an arm's joint jerks at the physics rate, unfiltered, of the worse arm."
    higher_is_better = False

    def value_of(self, joints: JointMotion) -> float:
        """Takes the maximum over the arms."""
        return max(
            jerk_rms_mps3(joints.velocity_radps[:, part], joints.sample_period_s)
            for part in joints.arms.values()
        )


class JointPath(JointMetric):
    """Way in joint space, averaged over the arms."""

    name = "joint_path_rad"
    unit = "rad"
    description = "Length of the way in joint space, averaged over the arms."

    def value_of(self, joints: JointMotion) -> float:
        """Takes the mean over the arms."""
        return float(np.mean([path_length_m(joints.position_rad[:, part]) for part in joints.arms.values()]))


class JointLimitMargin(JointMetric):
    """Least distance of a joint from an end of its range, as a share of the range."""

    name = "joint_limit_margin_ratio"
    description = "Least distance of any joint from an end of its range over the range; 0.5 is the middle."
    higher_is_better = True

    def value_of(self, joints: JointMotion) -> float | MetricValue:
        """Takes the minimum over joints and time; negative beyond a limit."""
        has_range = joints.high_rad > joints.low_rad
        if not has_range.any():
            return MetricValue.invalid("no joint has a limited range")
        position, low, high = (
            joints.position_rad[:, has_range],
            joints.low_rad[has_range],
            joints.high_rad[has_range],
        )
        return float((np.minimum(position - low, high - position) / (high - low)).min())


class MaxJointVelocityRatio(JointMetric):
    """Largest joint velocity over the robot's limit."""

    name = "max_joint_velocity_ratio"
    description = "Largest velocity of a joint over the limit of the robot's joint."
    higher_is_better = False

    def value_of(self, joints: JointMotion) -> float | MetricValue:
        """Takes the maximum over joints and time."""
        if joints.velocity_limit_radps is None:
            return MetricValue.invalid("the velocity limits of the robot's joints are not known")
        return float((np.abs(joints.velocity_radps) / joints.velocity_limit_radps).max())


class VelocitySaturation(JointMetric):
    """Share of the time in which a joint is at its velocity limit."""

    name = "velocity_saturation_ratio"
    description = (
        "Share of the time in which any joint moves at 99 % of the robot's velocity limit or faster."
    )
    higher_is_better = False

    def value_of(self, joints: JointMotion) -> float | MetricValue:
        """Counts samples."""
        if joints.velocity_limit_radps is None:
            return MetricValue.invalid("the velocity limits of the robot's joints are not known")
        return _saturated_share(joints.velocity_radps, joints.velocity_limit_radps)


class TorqueSaturation(JointMetric):
    """Share of the time in which a joint is at its torque limit."""

    name = "torque_saturation_ratio"
    description = "Share of the time in which the torque of any joint is 99 % of the model's limit or more."
    higher_is_better = False

    def value_of(self, joints: JointMotion) -> float | MetricValue:
        """Counts samples."""
        if not (joints.torque_limit_nm > 0.0).any():
            return MetricValue.invalid("no joint has a limited torque")
        return _saturated_share(joints.torque_nm, joints.torque_limit_nm)


def _saturated_share(values: FloatArray, limits: FloatArray) -> float:
    is_limited = limits > 0.0
    is_saturated = np.abs(values[:, is_limited]) >= SATURATED_RATIO * limits[is_limited]
    return float(is_saturated.any(axis=1).mean())


class ArmVelocityDifference(JointMetric):
    """How unequally fast the two arms move."""

    name = "arm_velocity_difference_radps"
    unit = "rad/s"
    description = "Mean difference of the norms of both arms' joint velocities."
    higher_is_better = False

    def value_of(self, joints: JointMotion) -> float | MetricValue:
        """Averages over time (RoboEval's ``bimanual_arm_velocity_difference``)."""
        speeds = joints.speeds_radps()
        if len(speeds) != 2:
            return MetricValue.invalid(f"there are {len(speeds)} arms; two are needed")
        return float(np.abs(speeds[0] - speeds[1]).mean())


class IdleArm(JointMetric):
    """Share of the time in which the arm that moves less stands still."""

    name = "idle_arm_ratio"
    description = (
        "Share of the time in which the less busy arm stands still (joint velocities below 0.05 rad/s)."
    )

    def value_of(self, joints: JointMotion) -> float:
        """Takes the maximum over the arms."""
        return max(float((speed < IDLE_RADPS).mean()) for speed in joints.speeds_radps())
