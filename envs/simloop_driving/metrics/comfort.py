"""Comfort of the ego's ride: accelerations, jerks and turning, and three tiers of bounds that are never one number.

Derivatives are taken once, by a Savitzky-Golay filter of second order with the derivative that is wanted, from speed
and heading themselves: published scripts differentiate signals that were smoothed before, or take a filter's value
for its derivative. Windows are 0.8 s for first and 1.5 s for second derivatives (nuPlan's, in seconds).
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import Reduction
from simloop_driving.metrics.traffic_grid import TABLE

FloatArray = npt.NDArray[np.float64]

FIRST_WINDOW_S = 0.8
SECOND_WINDOW_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RideSignals:
    """What passengers feel, one value a tick.

    Attributes:
        speed_mps: (T,) speed along the heading.
        longitudinal_mps2: (T,) acceleration along the heading.
        lateral_mps2: (T,) speed times yaw rate.
        longitudinal_jerk_mps3: (T,).
        jerk_mps3: (T,) norm of longitudinal and lateral jerk.
        yaw_rate_radps: (T,).
        yaw_acceleration_radps2: (T,).
    """

    speed_mps: FloatArray
    longitudinal_mps2: FloatArray
    lateral_mps2: FloatArray
    longitudinal_jerk_mps3: FloatArray
    jerk_mps3: FloatArray
    yaw_rate_radps: FloatArray
    yaw_acceleration_radps2: FloatArray


def ride_signals(speed_mps: FloatArray, yaw_rad: FloatArray, period_s: float) -> RideSignals:
    """Returns the signals of a ride.

    Args:
        speed_mps: (T,) speed along the heading, T at least the window of second derivatives.
        yaw_rad: (T,) heading; jumps by full turns are taken out.
        period_s: Time between two ticks.
    """
    first, second = _window(FIRST_WINDOW_S, period_s), _window(SECOND_WINDOW_S, period_s)

    yaw = np.unwrap(yaw_rad)
    acceleration = _derivative(speed_mps, 1, first, period_s)
    jerk = _derivative(speed_mps, 2, second, period_s)
    yaw_rate = _derivative(yaw, 1, first, period_s)
    yaw_acceleration = _derivative(yaw, 2, second, period_s)
    return RideSignals(
        speed_mps=speed_mps,
        longitudinal_mps2=acceleration,
        lateral_mps2=speed_mps * yaw_rate,
        longitudinal_jerk_mps3=jerk,
        jerk_mps3=np.hypot(jerk, acceleration * yaw_rate + speed_mps * yaw_acceleration),
        yaw_rate_radps=yaw_rate,
        yaw_acceleration_radps2=yaw_acceleration,
    )


@functools.lru_cache(maxsize=16)
def _weights(window: int, order: int, period_s: float) -> FloatArray:
    """Returns (window, window): row k weighs a window's samples to the derivative of their parabola at sample k."""
    at = np.arange(window) - window // 2
    fit: FloatArray = np.linalg.pinv(np.vander(at, 3, increasing=True))
    if order == 1:
        return np.asarray((fit[1] + 2.0 * at[:, None] * fit[2]) / period_s)
    return np.tile(2.0 * fit[2] / period_s**2, (window, 1))


def _derivative(values: FloatArray, order: int, window: int, period_s: float) -> FloatArray:
    """Returns the first or second derivative by Savitzky-Golay; parabolas of the outermost windows give the ends."""
    weights, half = _weights(window, order, period_s), window // 2
    return np.concatenate(
        (
            weights[:half] @ values[:window],
            np.correlate(values, weights[half]),
            weights[half + 1 :] @ values[-window:],
        )
    )


def _window(duration_s: float, period_s: float) -> int:
    """Returns the odd number of samples nearest to a duration, at least 3."""
    return max(2 * round(0.5 * duration_s / period_s) + 1, 3)


def _by_speed(speed_mps: FloatArray, below_5_mps: float, above_20_mps: float) -> FloatArray:
    """Returns a bound that falls linearly between 5 and 20 m/s."""
    return np.interp(speed_mps, [5.0, 20.0], [below_5_mps, above_20_mps])


def is_strict(ride: RideSignals) -> npt.NDArray[np.bool_]:
    """Returns (T,) whether a ride suits passengers: I. Bae et al., arXiv 1909.00553, as SMARTS bounds it."""
    return (
        (np.abs(ride.longitudinal_mps2) <= 2.0)
        & (np.abs(ride.lateral_mps2) <= 1.47)
        & (np.abs(ride.longitudinal_jerk_mps3) <= 0.9)
    )


def is_standard(ride: RideSignals) -> npt.NDArray[np.bool_]:
    """Returns (T,) whether a ride is like that of usual driver assistance, which may do more when it is slow."""
    return (
        (ride.longitudinal_mps2 <= _by_speed(ride.speed_mps, 4.0, 2.0))
        & (-ride.longitudinal_mps2 <= _by_speed(ride.speed_mps, 5.0, 3.5))
        & (np.abs(ride.lateral_mps2) <= 3.0)
        & (np.abs(ride.longitudinal_jerk_mps3) <= _by_speed(ride.speed_mps, 5.0, 2.5))
    )


def is_permissive(ride: RideSignals) -> npt.NDArray[np.bool_]:
    """Returns (T,) whether a ride stays within what human experts do: the bounds of nuPlan's comfort metric."""
    return (
        (ride.longitudinal_mps2 <= 2.40)
        & (ride.longitudinal_mps2 >= -4.05)
        & (np.abs(ride.lateral_mps2) <= 4.89)
        & (np.abs(ride.longitudinal_jerk_mps3) <= 4.13)
        & (ride.jerk_mps3 <= 8.37)
        & (np.abs(ride.yaw_rate_radps) <= 0.95)
        & (np.abs(ride.yaw_acceleration_radps2) <= 1.93)
    )


def read_ride(log: EpisodeLog) -> RideSignals | MetricValue:
    """Returns the signals of the ego's ride, or an invalid value if the log is too short for them."""
    is_ego = np.asarray(log.column(TABLE, "actor")) == 0
    t_ns = np.asarray(log.column(TABLE, "t_ns"), dtype=np.float64)[is_ego]
    if len(t_ns) < 2:
        return MetricValue.invalid(f"{TABLE} has fewer than two rows of the ego (actor 0)")
    period_s = float(t_ns[1] - t_ns[0]) * 1e-9
    if len(t_ns) < _window(SECOND_WINDOW_S, period_s):
        return MetricValue.invalid(f"the episode is shorter than {SECOND_WINDOW_S:g} s")
    speed_mps = np.asarray(log.column(TABLE, "speed_mps"), dtype=np.float64)[is_ego]
    yaw_rad = np.asarray(log.column(TABLE, "yaw_rad"), dtype=np.float64)[is_ego]
    return ride_signals(speed_mps, yaw_rad, period_s)


class RideMetric(Reduction):
    """A metric made of ``RideSignals``; all such metrics share one reading of a log."""

    tables = (TABLE,)
    read = staticmethod(read_ride)

    def __init__(self) -> None:
        """Has its name, unit and description as class attributes."""

    def reduce(self, reading: RideSignals | MetricValue) -> MetricValue:
        """Returns the value of what ``read_ride`` returned."""
        return reading if isinstance(reading, MetricValue) else MetricValue(value=self.value_of(reading))

    @abstractmethod
    def value_of(self, ride: RideSignals) -> float:
        """Returns the metric's value for a ride."""


class ComfortStrict(RideMetric):
    """Share of the time within the strict tier (``is_strict``)."""

    name = "comfort_strict_ratio"
    description = (
        "Share of the time within the strict comfort bounds (acceleration 2.0, lateral 1.47, jerk 0.9)."
    )
    higher_is_better = True

    def value_of(self, ride: RideSignals) -> float:
        """Returns the share of ticks."""
        return float(is_strict(ride).mean())


class ComfortStandard(RideMetric):
    """Share of the time within the standard tier (``is_standard``)."""

    name = "comfort_standard_ratio"
    description = "Share of the time within the bounds of usual driver assistance, which depend on speed."
    higher_is_better = True

    def value_of(self, ride: RideSignals) -> float:
        """Returns the share of ticks."""
        return float(is_standard(ride).mean())


class ComfortPermissive(RideMetric):
    """Share of the time within the permissive tier (``is_permissive``)."""

    name = "comfort_permissive_ratio"
    description = "Share of the time within nuPlan's comfort bounds, which only extreme driving exceeds."
    higher_is_better = True

    def value_of(self, ride: RideSignals) -> float:
        """Returns the share of ticks."""
        return float(is_permissive(ride).mean())


class MaxLateralAcceleration(RideMetric):
    """Largest lateral acceleration to either side."""

    name = "max_lateral_acceleration_mps2"
    unit = "m/s^2"
    description = "Largest lateral acceleration of the ego (speed times yaw rate), to either side."
    higher_is_better = False

    def value_of(self, ride: RideSignals) -> float:
        """Returns the largest absolute value."""
        return float(np.abs(ride.lateral_mps2).max())


class MaxLongitudinalJerk(RideMetric):
    """Largest jerk along the heading, up or down."""

    name = "max_longitudinal_jerk_mps3"
    unit = "m/s^3"
    description = "Largest jerk of the ego along its heading, up or down."
    higher_is_better = False

    def value_of(self, ride: RideSignals) -> float:
        """Returns the largest absolute value."""
        return float(np.abs(ride.longitudinal_jerk_mps3).max())
