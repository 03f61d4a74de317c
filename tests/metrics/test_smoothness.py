"""Smoothness metrics against closed forms and published reference values."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from simloop.log import MOTION, EpisodeLog
from simloop.metrics.jerk import (
    FilteredJerkRms,
    JerkRms,
    LogDimensionlessJerk,
    jerk_rms_mps3,
    log_dimensionless_jerk,
)
from simloop.metrics.path_length import PathLength, PathRatio
from simloop.metrics.reaches import ReachLogDimensionlessJerk, ReachSparc, reaches
from simloop.metrics.sparc import Sparc, spectral_arc_length

FloatArray = npt.NDArray[np.float64]


def minimum_jerk(rate_hz: int) -> tuple[FloatArray, FloatArray]:
    """Position and velocity of a 1 m, 1 s minimum-jerk reach, both ends included."""
    s = np.linspace(0.0, 1.0, rate_hz + 1)
    position = 10 * s**3 - 15 * s**4 + 6 * s**5
    velocity = 30 * s**2 - 60 * s**3 + 30 * s**4
    return position, velocity


def motion_log(period_ns: int, *points: tuple[FloatArray, FloatArray]) -> EpisodeLog:
    """Log of points that move along x, with rows interleaved as a world writes them."""
    count = len(points[0][0])
    t_ns = np.repeat(np.arange(count) * period_ns, len(points))
    index = np.tile(np.arange(len(points)), count)
    position = np.zeros((count * len(points), 3))
    velocity = np.zeros((count * len(points), 3))
    for i, (x, v) in enumerate(points):
        position[i :: len(points), 0] = x
        velocity[i :: len(points), 0] = v
    return EpisodeLog.from_columns(
        {"world.motion": MOTION},
        {"world.motion": {"t_ns": t_ns, "point": index, "position_m": position, "velocity_mps": velocity}},
        {"motion_points": [f"p{i}" for i in range(len(points))]},
    )


@pytest.mark.parametrize(("rate_hz", "expected"), [(20, -5.212), (50, -5.280), (100, -5.302), (500, -5.318)])
def test_ldlj_of_a_minimum_jerk_reach_matches_the_reference_program(rate_hz: int, expected: float) -> None:
    _, velocity = minimum_jerk(rate_hz)
    assert log_dimensionless_jerk(velocity[:, None], 1.0 / rate_hz) == pytest.approx(expected, abs=5e-4)


def test_ldlj_converges_to_the_closed_form() -> None:
    # Integral of squared jerk of a unit minimum-jerk reach is 720, the peak speed 1.875 (Flash and Hogan 1985).
    _, velocity = minimum_jerk(5000)
    exact = -math.log(720.0 / 1.875**2)
    assert exact == pytest.approx(-5.322, abs=5e-4)
    assert log_dimensionless_jerk(velocity[:, None], 1.0 / 5000) == pytest.approx(exact, abs=1e-3)


def test_ldlj_does_not_depend_on_amplitude_duration_or_direction() -> None:
    _, velocity = minimum_jerk(100)
    direction = np.array([0.6, 0.0, 0.8])
    slow_and_large = 7.0 * velocity[:, None] * direction
    assert log_dimensionless_jerk(slow_and_large, 0.05) == pytest.approx(
        log_dimensionless_jerk(velocity[:, None], 0.01), abs=1e-9
    )


@pytest.mark.parametrize("rate_hz", [50, 100, 500])
def test_sparc_of_a_minimum_jerk_reach(rate_hz: int) -> None:
    _, velocity = minimum_jerk(rate_hz)
    assert spectral_arc_length(velocity, float(rate_hz)) == pytest.approx(-1.40, abs=0.01)


def test_sparc_punishes_a_second_submovement() -> None:
    _, velocity = minimum_jerk(100)
    twice = np.concatenate([velocity, np.zeros(30), velocity])
    assert spectral_arc_length(twice, 100.0) < spectral_arc_length(velocity, 100.0) - 0.5


def test_sparc_of_a_rectangular_pulse_follows_its_sinc_spectrum() -> None:
    # |sinc| of a 1 s pulse, cut at the last lobe that reaches 0.05: from the closed form, not from an FFT;
    # the padded spectrum has a bin every 0.06 Hz, which rounds off the cusps between the lobes.
    rate_hz, duration_s = 500.0, 1.0
    frequency = np.linspace(0.0, 10.0, 200_001)
    spectrum = np.abs(np.sinc(frequency * duration_s))
    last = np.flatnonzero(spectrum >= 0.05)[-1]
    frequency, spectrum = frequency[: last + 1], spectrum[: last + 1]
    expected = -np.hypot(np.diff(frequency) / frequency[-1], np.diff(spectrum)).sum()
    assert spectral_arc_length(np.ones(int(rate_hz * duration_s)), rate_hz) == pytest.approx(
        expected, rel=0.04
    )


def test_jerk_rms_of_a_sine_is_its_amplitude_over_root_two() -> None:
    # x = A sin(wt): jerk amplitude A w^3, RMS over whole periods A w^3 / sqrt(2).
    omega, amplitude = 2.0 * math.pi, 0.3
    t = np.arange(0.0, 5.0, 1e-3)
    velocity = amplitude * omega * np.cos(omega * t)
    assert jerk_rms_mps3(velocity[:, None], 1e-3) == pytest.approx(
        amplitude * omega**3 / math.sqrt(2.0), rel=1e-3
    )


def test_a_ramp_of_velocity_has_no_jerk_and_a_ramp_of_acceleration_has_a_constant_one() -> None:
    t = np.arange(0.0, 2.0, 0.01)
    assert jerk_rms_mps3((3.0 * t)[:, None], 0.01) == pytest.approx(0.0, abs=1e-8)
    assert jerk_rms_mps3((0.5 * 4.0 * t**2)[:, None], 0.01) == pytest.approx(4.0, rel=1e-6)


def test_metrics_judge_the_worst_moving_point_and_average_the_paths() -> None:
    x, v = minimum_jerk(500)
    wobble_x = x + 0.01 * np.sin(40.0 * np.linspace(0.0, 1.0, 501))
    wobble_v = v + 0.4 * np.cos(40.0 * np.linspace(0.0, 1.0, 501))
    rest = (np.zeros(501), np.zeros(501))
    smooth = motion_log(2_000_000, (x, v), rest)
    rough = motion_log(2_000_000, (x, v), (wobble_x, wobble_v))
    assert LogDimensionlessJerk().evaluate(smooth).value == pytest.approx(-5.318, abs=5e-4)
    assert LogDimensionlessJerk().evaluate(rough).value < -6.0
    assert Sparc().evaluate(rough).value < Sparc().evaluate(smooth).value
    assert JerkRms().evaluate(smooth).value == pytest.approx(math.sqrt(720.0), rel=0.01)
    assert PathLength().evaluate(smooth).value == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize("metric", [LogDimensionlessJerk(), Sparc(), JerkRms()])
def test_what_cannot_be_judged_is_invalid_with_its_reason(
    metric: LogDimensionlessJerk | Sparc | JerkRms,
) -> None:
    x, v = minimum_jerk(500)
    uneven = motion_log(2_000_000, (x, v))
    uneven.tables["world.motion"]["t_ns"][7] += 1
    assert "not evenly sampled" in metric.evaluate(uneven).reason
    assert "4 are needed" in metric.evaluate(motion_log(2_000_000, (x[:3], v[:3]))).reason
    assert "no rows" in metric.evaluate(EpisodeLog.from_columns({"world.motion": MOTION}, {})).reason
    assert "no table world.motion" in metric.evaluate(EpisodeLog.from_columns({}, {})).reason


def test_points_at_rest_and_constant_velocities_have_no_smoothness() -> None:
    still = motion_log(10_000_000, (np.zeros(9), np.zeros(9)))
    steady = motion_log(10_000_000, (np.arange(9) * 0.01, np.ones(9)))
    assert LogDimensionlessJerk().evaluate(still).reason == "no motion point moves"
    assert Sparc().evaluate(still).reason == "no motion point moves"
    assert LogDimensionlessJerk().evaluate(steady).reason == "the velocity is constant"


def test_a_step_of_velocity_has_the_jerk_of_its_two_differences() -> None:
    # One step of height v: the second differences are v and -v, nothing else.
    rate_hz, num, height = 500.0, 1001, 0.4
    velocity = np.where(np.arange(num) < 500, 0.0, height)[:, None]
    expected = height * rate_hz**2 * math.sqrt(2.0 / (num - 2))
    assert jerk_rms_mps3(velocity, 1.0 / rate_hz) == pytest.approx(expected)
    assert log_dimensionless_jerk(velocity, 1.0 / rate_hz) == pytest.approx(-math.log(2.0 * num**3))


@pytest.mark.parametrize("rate_hz", [80, 100, 200, 500])
def test_filtered_jerk_weighs_frequencies_by_the_gain_of_its_filter(rate_hz: int) -> None:
    # At 30 m/s, 1 Hz movement and 30 Hz chatter: each adds its jerk times the gain, exp(-(f / 10 Hz)^2 ln 2 / 2).
    t = np.arange(0.0, 40.0, 1.0 / rate_hz)
    parts = ((1.0, 2.0), (30.0, 0.05))  # frequency, amplitude of the velocity
    velocity = 30.0 + np.sum([a * np.cos(2.0 * math.pi * f * t) for f, a in parts], axis=0)
    gain = {f: math.exp(-((f / 10.0) ** 2) * math.log(2.0) / 2.0) for f, _ in parts}
    squares = [(a * (2.0 * math.pi * f) ** 2 * gain[f]) ** 2 / 2.0 for f, a in parts]
    log = motion_log(round(1e9 / rate_hz), (np.zeros_like(t), velocity))
    assert FilteredJerkRms().evaluate(log).value == pytest.approx(math.sqrt(sum(squares)), rel=0.01)
    assert JerkRms().evaluate(log).value > 8.0 * math.sqrt(sum(squares))


def test_filtered_jerk_needs_more_samples_than_its_cutoff() -> None:
    for period_ms in (13.3, 14, 20, 50):
        log = motion_log(round(period_ms * 1e6), (np.arange(40.0), np.ones(40)))
        value = FilteredJerkRms().evaluate(log)
        assert not value.is_valid
        assert value.reason == (
            f"motion is sampled every {period_ms} ms; a low-pass of 10 Hz needs a sample every 13.2 ms or more often, "
            "as with world ticks of 10 ms (docs/metrics.md names the option)"
        )
    # What the reason asks for is enough.
    assert FilteredJerkRms().evaluate(motion_log(13_200_000, (np.arange(40.0), np.ones(40)))).is_valid


def _three_reaches(rate_hz: int) -> tuple[FloatArray, FloatArray]:
    position, velocity = minimum_jerk(rate_hz)
    rest = np.zeros(rate_hz // 2)
    positions = [np.concatenate([position + i, rest + i + 1.0]) for i in range(3)]
    return np.concatenate(positions), np.concatenate([velocity, rest] * 3)


def test_reaches_are_judged_one_by_one() -> None:
    # The part of a minimum-jerk reach above 5 % of its peak, from s0 to 1 - s0; jerk 60 - 360 s + 360 s^2.
    s0 = next(s for s in np.linspace(0.0, 0.2, 200_001) if 30 * s**2 - 60 * s**3 + 30 * s**4 > 0.05 * 1.875)
    s = np.linspace(s0, 1.0 - s0, 100_001)
    integral = float(((60.0 - 360.0 * s + 360.0 * s**2) ** 2).mean() * (1.0 - 2.0 * s0))
    expected = -math.log((1.0 - 2.0 * s0) ** 3 / 1.875**2 * integral)
    x, v = _three_reaches(500)
    log = motion_log(2_000_000, (x, v))
    assert len(reaches(v, 0.002)) == 3
    assert ReachLogDimensionlessJerk().evaluate(log).value == pytest.approx(expected, abs=0.02)
    assert ReachSparc().evaluate(log).value == pytest.approx(-1.40, abs=0.03)
    # As one movement the pauses count as roughness.
    assert Sparc().evaluate(log).value < ReachSparc().evaluate(log).value - 1.0
    assert LogDimensionlessJerk().evaluate(log).value < expected - 2.0


def test_twitches_and_rest_are_no_reaches() -> None:
    twitch = np.zeros(500)
    twitch[100:150] = 0.5  # 0.1 s
    log = motion_log(2_000_000, (np.cumsum(twitch) * 0.002, twitch), (np.zeros(500), np.zeros(500)))
    assert ReachSparc().evaluate(log).reason == "no motion point reaches anywhere"
    assert ReachLogDimensionlessJerk().evaluate(log).reason == "no motion point reaches anywhere"


def test_path_ratio_of_a_line_is_one_and_of_a_way_there_and_half_back_three() -> None:
    line = np.linspace(0.0, 1.0, 101)
    back = np.concatenate([line, np.linspace(1.0, 0.5, 51)[1:]])
    speed = np.full(101, 1.0)
    rest = (np.zeros(101), np.zeros(101))
    assert PathRatio().evaluate(motion_log(10_000_000, (line, speed), rest)).value == pytest.approx(1.0)
    assert PathRatio().evaluate(motion_log(10_000_000, (back, np.full(151, 1.0)))).value == pytest.approx(3.0)


def test_a_way_that_ends_where_it_began_has_no_ratio() -> None:
    loop = np.concatenate([np.linspace(0.0, 1.0, 51), np.linspace(1.0, 0.0, 51)])
    log = motion_log(10_000_000, (loop, np.ones(102)))
    assert "ended elsewhere" in PathRatio().evaluate(log).reason
