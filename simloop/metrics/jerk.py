"""Jerk of the recorded points: RMS and the log dimensionless jerk.

Jerk is the second forward difference of the recorded velocity vector at the log's own (physics) rate, unfiltered unless
a metric names its filter. Values from different rates or filters are not comparable; the control rate would mostly show
aliasing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simloop.metrics.kinematics import FloatArray, MotionMetric, PointMotion
from simloop.metrics.metric import MetricValue

MIN_SAMPLES = 4
FILTER_CUTOFF_HZ = 10.0
"""Where the filter of the filtered jerk has half the power, as SPARC's band ends there (``sparc.CUTOFF_HZ``)."""
FILTER_DEVIATION_S = math.sqrt(math.log(2.0)) / (2.0 * math.pi * FILTER_CUTOFF_HZ)
"""Standard deviation of the filter's Gaussian: 13.25 ms."""
FILTER_MIN_SAMPLES = 32


def jerk_mps3(velocity_mps: FloatArray, sample_period_s: float) -> FloatArray:
    """Returns the (N - 2, D) jerk of an evenly sampled (N, D) velocity."""
    jerk: FloatArray = np.diff(velocity_mps, n=2, axis=0) / sample_period_s**2
    return jerk


def jerk_rms_mps3(velocity_mps: FloatArray, sample_period_s: float) -> float:
    """Returns sqrt(mean |jerk|^2) of an evenly sampled (N, D) velocity, N >= 3."""
    return float(np.sqrt((jerk_mps3(velocity_mps, sample_period_s) ** 2).sum(axis=1).mean()))


def filtered_jerk_mps3(velocity_mps: FloatArray, sample_period_s: float) -> FloatArray:
    """Returns the (N, D) jerk of an evenly sampled (N, D) velocity after a Gaussian low-pass of 10 Hz.

    The filter has no phase shift and a gain of exp(-(f / 10 Hz)^2 ln 2 / 2); its second derivative is taken with it.
    Samples must not be further apart than ``FILTER_DEVIATION_S``: the second derivative of a Gaussian that is
    sampled more coarsely does not sum to zero, so that a steady speed would have a jerk.
    """
    import scipy.ndimage  # not everybody who reads a log needs it

    jerk: FloatArray = scipy.ndimage.gaussian_filter1d(
        velocity_mps, FILTER_DEVIATION_S / sample_period_s, axis=0, order=2, mode="nearest", truncate=6.0
    )
    return jerk / sample_period_s**2


def log_dimensionless_jerk(velocity_mps: FloatArray, sample_period_s: float) -> float:
    """Returns LDLJ = -ln(T^3 / v_peak^2 * integral of |jerk|^2 dt) of an evenly sampled (N, D) velocity.

    Formula: Balasubramanian, Melendez-Calderon, Roby-Brami, Burdet: On the analysis of movement smoothness,
    J. NeuroEng. Rehabil. 12:112 (2015), with the norm of the vector jerk; T = N samples, the integral is a sum over
    forward differences (the discretisation of the authors' published program; a minimum-jerk reach has -5.322 in
    the limit of fine sampling and -5.212 at 20 Hz). More negative is less smooth; a constant velocity gives +inf.
    """
    duration_s = len(velocity_mps) * sample_period_s
    peak_mps = float(np.linalg.norm(velocity_mps, axis=1).max())
    integral = float((jerk_mps3(velocity_mps, sample_period_s) ** 2).sum()) * sample_period_s
    return -math.log(duration_s**3 / peak_mps**2 * integral) if integral > 0.0 else math.inf


class JerkRms(MotionMetric):
    """RMS jerk of the worst motion point."""

    name = "jerk_rms_mps3"
    unit = "m/s^3"
    description = "RMS jerk at the physics rate, unfiltered, of the motion point where it is largest."
    min_samples = MIN_SAMPLES
    higher_is_better = False

    def value_of(self, motions: Sequence[PointMotion]) -> MetricValue:
        """Takes the maximum over the points."""
        return MetricValue(value=max(jerk_rms_mps3(m.velocity_mps, m.sample_period_s) for m in motions))


class FilteredJerkRms(MotionMetric):
    """RMS jerk below 10 Hz of the worst motion point: hardly depends on the physics rate."""

    name = "jerk_rms_10hz_mps3"
    version = 2
    unit = "m/s^3"
    description = (
        "RMS jerk at the physics rate after a Gaussian low-pass of 10 Hz, of the point where it is largest."
    )
    min_samples = FILTER_MIN_SAMPLES
    higher_is_better = False

    def value_of(self, motions: Sequence[PointMotion]) -> MetricValue:
        """Takes the maximum over the points."""
        period_s = motions[0].sample_period_s
        if period_s > FILTER_DEVIATION_S:
            return MetricValue.invalid(
                f"motion is sampled every {1e3 * period_s:g} ms; a low-pass of {FILTER_CUTOFF_HZ:g} Hz needs a sample "
                f"every {math.floor(1e4 * FILTER_DEVIATION_S) / 10.0:g} ms or more often, as with world ticks of 10 ms "
                "(docs/metrics.md names the option)"
            )
        squares = [(filtered_jerk_mps3(m.velocity_mps, period_s) ** 2).sum(axis=1).mean() for m in motions]
        return MetricValue(value=math.sqrt(max(squares)))


class LogDimensionlessJerk(MotionMetric):
    """Log dimensionless jerk of the worst motion point that moves."""

    name = "ldlj"
    description = "Log dimensionless jerk of the least smooth moving point; nearer to zero is smoother."
    min_samples = MIN_SAMPLES
    higher_is_better = True

    def value_of(self, motions: Sequence[PointMotion]) -> MetricValue:
        """Takes the minimum over the points that move."""
        values = [log_dimensionless_jerk(m.velocity_mps, m.sample_period_s) for m in motions if m.is_moving]
        if not values:
            return MetricValue.invalid("no motion point moves")
        worst = min(values)
        return (
            MetricValue(value=worst)
            if math.isfinite(worst)
            else MetricValue.invalid("the velocity is constant")
        )
