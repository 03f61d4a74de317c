"""The ego's dynamics against closed forms and an independent integrator."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from simloop.errors import ConfigurationError, UnknownNameError
from simloop_driving.dynamics import single_track
from simloop_driving.dynamics.single_track import (
    NUM_EGO_ENTRIES,
    STEER_RAD,
    VX_MPS,
    VY_MPS,
    X_M,
    Y_M,
    YAW_RAD,
    YAW_RATE_RADPS,
    resistance,
    steer_for_curvature,
    step_single_track,
    tyre_force,
)
from simloop_driving.dynamics.vehicle import GRAVITY_MPS2, VehicleParameters, load_vehicle

STEP_S = 0.01
VEHICLE = load_vehicle("midsize_saloon")
PACKED = VEHICLE.packed(STEP_S)


def _drive(speed_mps: float, steer_rad: float, duration_s: float) -> np.ndarray:
    """Drives at a held speed, with a steer that is ramped up over 5 s; returns the states after each step."""
    ego = np.zeros(NUM_EGO_ENTRIES)
    ego[VX_MPS] = speed_mps
    states = []
    for _ in range(round(duration_s / STEP_S)):
        force = 2.0 * (speed_mps - ego[VX_MPS]) + resistance(ego[VX_MPS], PACKED)
        ramp = min(len(states) * STEP_S / 5.0, 1.0)
        step_single_track(ego, PACKED, ramp * steer_rad, max(force, 0.0), max(-force, 0.0), STEP_S)
        states.append(ego.copy())
    return np.array(states)


@pytest.mark.parametrize("speed_mps", [20.0, 30.0])
def test_circle_at_the_friction_limit_reaches_mu_g(speed_mps: float) -> None:
    states = _drive(speed_mps, 0.15, 15.0)[-100:]
    lateral_mps2 = states[:, VX_MPS] * states[:, YAW_RATE_RADPS]
    assert lateral_mps2 == pytest.approx(VEHICLE.friction_ratio * GRAVITY_MPS2, rel=0.005)


def test_low_speed_circle_has_the_kinematic_radius() -> None:
    steer_rad = 0.3
    states = _drive(1.5, steer_rad, 60.0)
    wheelbase = VEHICLE.front_axle_m + VEHICLE.rear_axle_m
    expected_m = math.hypot(wheelbase / math.tan(steer_rad), VEHICLE.rear_axle_m)
    path = states[500:, [X_M, Y_M]]
    centre = 0.5 * (path.max(axis=0) + path.min(axis=0))
    assert np.hypot(*(path - centre).T) == pytest.approx(expected_m, rel=0.005)


@pytest.mark.parametrize(("speed_mps", "curvature_per_m"), [(5.0, 0.05), (15.0, 0.01), (30.0, -0.002)])
def test_steady_circle_has_the_curvature_that_was_asked_for(speed_mps: float, curvature_per_m: float) -> None:
    steer = steer_for_curvature(curvature_per_m, speed_mps, PACKED)
    last = _drive(speed_mps, steer, 8.0)[-1]
    assert last[YAW_RATE_RADPS] / last[VX_MPS] == pytest.approx(curvature_per_m, rel=0.05)


def test_dynamics_agree_with_an_adaptive_integrator() -> None:
    speed, steer = 18.0, 0.02
    ego = np.zeros(NUM_EGO_ENTRIES)
    ego[VX_MPS], ego[STEER_RAD] = speed, steer
    coasting = ego.copy()
    for _ in range(100):
        step_single_track(coasting, PACKED, steer, 0.0, 0.0, STEP_S)

    def rates(_: float, state: np.ndarray) -> list[float]:
        yaw, vx, vy, yaw_rate = state[2:]
        vx_rate, vy_rate, yaw_acceleration = single_track._rates(vx, vy, yaw_rate, steer, 0.0, PACKED)
        cos_yaw, sin_yaw = math.cos(yaw), math.sin(yaw)
        return [
            vx * cos_yaw - vy * sin_yaw,
            vx * sin_yaw + vy * cos_yaw,
            yaw_rate,
            vx_rate,
            vy_rate,
            yaw_acceleration,
        ]

    exact = solve_ivp(rates, (0.0, 1.0), ego[:6], rtol=1e-10, atol=1e-12).y[:, -1]
    assert coasting[:6] == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("slip", [-0.4, -0.02, 0.0, 0.001, 0.05, 0.3])
def test_tyre_is_linear_for_small_slip_and_saturates_at_the_limit(slip: float) -> None:
    force = tyre_force(slip, 100.0, 4.0)
    assert abs(force) <= 4.0
    assert force * slip <= 0.0
    if abs(slip) < 0.002:
        assert force == pytest.approx(-100.0 * slip, rel=0.03)
    if abs(slip) > 0.12:
        assert abs(force) == 4.0


def test_full_braking_stops_at_the_friction_limit_and_stays_at_rest() -> None:
    ego = np.zeros(NUM_EGO_ENTRIES)
    ego[VX_MPS] = 20.0
    for step in range(400):
        if step == 100:
            assert ego[single_track.ACCELERATION_MPS2] == pytest.approx(
                -VEHICLE.friction_ratio * GRAVITY_MPS2, abs=0.4
            )
        step_single_track(ego, PACKED, 0.0, 0.0, 10.0, STEP_S)
    assert ego[VX_MPS] == 0.0
    grip = VEHICLE.friction_ratio * GRAVITY_MPS2
    shortest_m = 20.0**2 / (2.0 * (grip + resistance(20.0, PACKED)))
    assert shortest_m < ego[X_M] < 20.0**2 / (2.0 * grip) + 20.0 * VEHICLE.brake_lag_s


def test_mirrored_steer_gives_the_mirrored_path() -> None:
    left, right = _drive(25.0, 0.03, 3.0), _drive(25.0, -0.03, 3.0)
    mirror = np.ones(NUM_EGO_ENTRIES)
    mirror[[Y_M, YAW_RAD, VY_MPS, YAW_RATE_RADPS, STEER_RAD]] = -1.0
    np.testing.assert_array_equal(left, right * mirror)


def test_unknown_vehicle_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown vehicle 'lorry'.*midsize_saloon"):
        load_vehicle("lorry")


def test_vehicle_parameters_must_be_positive() -> None:
    values = {name: getattr(VEHICLE, name) for name in VehicleParameters.__dataclass_fields__}
    with pytest.raises(ConfigurationError, match=r"mass_kg is -1\.0; allowed: a number above 0"):
        VehicleParameters(**{**values, "mass_kg": -1.0})
    with pytest.raises(
        ConfigurationError, match=r"rear_friction_ratio is 0\.8; allowed: at least friction_ratio, 0\.9"
    ):
        VehicleParameters(**{**values, "rear_friction_ratio": 0.8})
