"""Dynamic single-track model of the ego with a friction limit per axle and actuator lags.

Tyres follow the brush model in Fiala's form with static axle loads ("load-independent"): E. Fiala, VDI-Zeitschrift
96 (1954); the notation is that of R. Y. Hindiyeh and J. C. Gerdes, J. Dyn. Sys. Meas. Control 136 (2014). Traction
and braking are shared between the axles in proportion to their load and take their part of the friction circle.
Below ``KINEMATIC_BELOW_MPS`` slip angles lose their meaning and the kinematic single-track model takes over.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.dynamics.vehicle import (
    BRAKE_BLEND,
    DRAG_PER_M,
    DRIVE_BLEND,
    FRICTION,
    FRONT_AXLE_M,
    FRONT_STIFFNESS,
    GRAVITY_MPS2,
    MAX_BRAKE_MPS2,
    MAX_DRIVE_MPS2,
    MAX_DRIVE_POWER_PER_MASS,
    MAX_STEER_RAD,
    MAX_STEER_STEP_RAD,
    REAR_AXLE_M,
    REAR_FRICTION,
    REAR_STIFFNESS,
    ROLLING_MPS2,
    STEER_BLEND,
    YAW_RADIUS_SQUARED_M2,
)

FloatArray = npt.NDArray[np.float64]

KINEMATIC_BELOW_MPS = 2.0

# Entries of the ego's state array.
X_M = 0
Y_M = 1
YAW_RAD = 2
VX_MPS = 3  # along the body
VY_MPS = 4  # to the body's left
YAW_RATE_RADPS = 5
STEER_RAD = 6  # road-wheel angle, positive to the left
DRIVE_MPS2 = 7  # acceleration by the drive, >= 0
BRAKE_MPS2 = 8  # deceleration by the brake, >= 0
ACCELERATION_MPS2 = 9  # rate of change of VX over the last step
TICK_STATION_M = 10  # along the route at the last control tick; where projections start, so that they do not
# depend on how finely time is cut
NUM_EGO_ENTRIES = 11


@numba.njit(cache=True)
def tyre_force(slip_tangent: float, stiffness: float, limit: float) -> float:
    """Returns the lateral axle force of the brush model, opposite to the slip.

    Args:
        slip_tangent: Tangent of the slip angle.
        stiffness: Cornering stiffness, in units of ``limit`` per radian.
        limit: Largest lateral force that friction leaves.
    """
    if limit <= 0.0:
        return 0.0
    ratio = stiffness * abs(slip_tangent) / (3.0 * limit)
    if ratio >= 1.0:
        force = limit
    else:
        force = 3.0 * limit * ratio * (1.0 - ratio + ratio * ratio / 3.0)
    return -force if slip_tangent > 0.0 else force


@numba.njit(cache=True)
def resistance(speed_mps: float, vehicle: FloatArray) -> float:
    """Returns the deceleration by rolling and air resistance."""
    if speed_mps <= 0.0:
        return 0.0
    return float(vehicle[ROLLING_MPS2] + vehicle[DRAG_PER_M] * speed_mps * speed_mps)


@numba.njit(cache=True)
def steer_for_curvature(curvature_per_m: float, speed_mps: float, vehicle: FloatArray) -> float:
    """Returns the road-wheel angle that holds a curvature in steady state, understeer included."""
    front, rear = vehicle[FRONT_AXLE_M], vehicle[REAR_AXLE_M]
    wheelbase = front + rear
    understeer = (rear / vehicle[FRONT_STIFFNESS] - front / vehicle[REAR_STIFFNESS]) / wheelbase
    steer = math.atan(wheelbase * curvature_per_m)
    if speed_mps >= KINEMATIC_BELOW_MPS:
        steer += understeer * speed_mps * speed_mps * curvature_per_m
    return float(steer)


@numba.njit(cache=True)
def _rates(
    vx: float, vy: float, yaw_rate: float, steer: float, traction: float, vehicle: FloatArray
) -> tuple[float, float, float]:
    """Returns the rates of vx, vy and yaw rate; ``traction`` is the longitudinal tyre force over mass."""
    front, rear = vehicle[FRONT_AXLE_M], vehicle[REAR_AXLE_M]
    wheelbase = front + rear
    front_share, rear_share = rear / wheelbase, front / wheelbase
    grip = vehicle[FRICTION] * GRAVITY_MPS2
    rear_grip = vehicle[REAR_FRICTION] * GRAVITY_MPS2
    front_limit = front_share * math.sqrt(max(grip * grip - traction * traction, 0.0))
    rear_limit = rear_share * math.sqrt(max(rear_grip * rear_grip - traction * traction, 0.0))
    tan_steer = math.tan(steer)
    cos_steer = 1.0 / math.sqrt(1.0 + tan_steer * tan_steer)
    sin_steer = tan_steer * cos_steer
    front_flow = (vy + front * yaw_rate) / vx
    front_slip = (front_flow - tan_steer) / (1.0 + front_flow * tan_steer)
    rear_slip = (vy - rear * yaw_rate) / vx
    front_lateral = tyre_force(front_slip, vehicle[FRONT_STIFFNESS], front_limit)
    rear_lateral = tyre_force(rear_slip, vehicle[REAR_STIFFNESS], rear_limit)
    front_x = front_share * traction * cos_steer - front_lateral * sin_steer
    front_y = front_share * traction * sin_steer + front_lateral * cos_steer
    return (
        front_x + rear_share * traction - resistance(vx, vehicle) + vy * yaw_rate,
        front_y + rear_lateral - vx * yaw_rate,
        (front * front_y - rear * rear_lateral) / vehicle[YAW_RADIUS_SQUARED_M2],
    )


@numba.njit(cache=True)
def move_actuators(
    ego: FloatArray, vehicle: FloatArray, steer_rad: float, drive: float, brake: float
) -> None:
    """Moves steer, drive and brake by one physics step towards what is commanded, in place."""
    limit = vehicle[MAX_STEER_RAD]
    wanted = min(max(steer_rad, -limit), limit)
    step = (wanted - ego[STEER_RAD]) * vehicle[STEER_BLEND]
    largest = vehicle[MAX_STEER_STEP_RAD]
    ego[STEER_RAD] += min(max(step, -largest), largest)
    ego[DRIVE_MPS2] += (min(max(drive, 0.0), vehicle[MAX_DRIVE_MPS2]) - ego[DRIVE_MPS2]) * vehicle[
        DRIVE_BLEND
    ]
    ego[BRAKE_MPS2] += (min(max(brake, 0.0), vehicle[MAX_BRAKE_MPS2]) - ego[BRAKE_MPS2]) * vehicle[
        BRAKE_BLEND
    ]


@numba.njit(cache=True)
def step_single_track(
    ego: FloatArray,
    vehicle: FloatArray,
    steer_rad: float,
    drive_mps2: float,
    brake_mps2: float,
    step_s: float,
) -> None:
    """Moves the ego by one physics step (midpoint rule), in place.

    Args:
        ego: (NUM_EGO_ENTRIES,) state.
        vehicle: Packed parameters, see ``VehicleParameters.packed``.
        steer_rad: Commanded road-wheel angle, positive to the left.
        drive_mps2: Commanded acceleration by the drive, >= 0.
        brake_mps2: Commanded deceleration by the brake, >= 0.
        step_s: Physics step.
    """
    move_actuators(ego, vehicle, steer_rad, drive_mps2, brake_mps2)
    vx, vy, yaw_rate, yaw, steer = ego[VX_MPS], ego[VY_MPS], ego[YAW_RATE_RADPS], ego[YAW_RAD], ego[STEER_RAD]
    drive = min(ego[DRIVE_MPS2], vehicle[MAX_DRIVE_POWER_PER_MASS] / max(vx, 1.0))
    grip = vehicle[FRICTION] * GRAVITY_MPS2
    traction = min(max(drive - ego[BRAKE_MPS2], -grip), grip)

    if vx < KINEMATIC_BELOW_MPS:
        wheelbase = vehicle[FRONT_AXLE_M] + vehicle[REAR_AXLE_M]
        new_vx = max(0.0, vx + step_s * (traction - resistance(vx, vehicle)))
        mid_vx = 0.5 * (vx + new_vx)
        per_metre = math.tan(steer) / wheelbase
        mid_rate = mid_vx * per_metre
        mid_yaw = yaw + 0.5 * step_s * mid_rate
        mid_vy = mid_rate * vehicle[REAR_AXLE_M]
        new_rate = new_vx * per_metre
        new_vy = new_rate * vehicle[REAR_AXLE_M]
    else:
        vx_rate, vy_rate, yaw_acceleration = _rates(vx, vy, yaw_rate, steer, traction, vehicle)
        half = 0.5 * step_s
        mid_vx = max(vx + half * vx_rate, 0.5 * KINEMATIC_BELOW_MPS)
        mid_vy = vy + half * vy_rate
        mid_rate = yaw_rate + half * yaw_acceleration
        mid_yaw = yaw + half * yaw_rate
        vx_rate, vy_rate, yaw_acceleration = _rates(mid_vx, mid_vy, mid_rate, steer, traction, vehicle)
        new_vx = max(0.0, vx + step_s * vx_rate)
        new_vy = vy + step_s * vy_rate
        new_rate = yaw_rate + step_s * yaw_acceleration

    cos_yaw, sin_yaw = math.cos(mid_yaw), math.sin(mid_yaw)
    ego[X_M] += step_s * (mid_vx * cos_yaw - mid_vy * sin_yaw)
    ego[Y_M] += step_s * (mid_vx * sin_yaw + mid_vy * cos_yaw)
    ego[YAW_RAD] = yaw + step_s * mid_rate
    ego[VX_MPS] = new_vx
    ego[VY_MPS] = new_vy
    ego[YAW_RATE_RADPS] = new_rate
    ego[ACCELERATION_MPS2] = (new_vx - vx) / step_s
