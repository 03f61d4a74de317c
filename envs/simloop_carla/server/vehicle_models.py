"""How a body of the server is built and drives.

CARLA's blueprints answer to throttle, brake and steer as CARLA's vehicles do, so that controllers that were made for
those (the traffic manager's, the agents' of its examples) hold their lane: front wheels turn up to 70 degrees, less
the faster the vehicle is (the default ``steering_curve``), at the rate of Unreal's wheeled vehicles. What the wheels
then do is the single-track model's. The blueprint attribute ``simloop_vehicle`` takes a vehicle of the embedded world
instead, ``simloop_size_m`` another outer size.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from simloop.errors import SimloopError
from simloop_carla.server.blueprints import EMBEDDED_VEHICLE, OUTER_SIZE, Body
from simloop_carla.server.descriptions import SpawnError
from simloop_carla.wire.structs import ActorDescription
from simloop_driving.dynamics.vehicle import VehicleParameters, load_vehicle

FloatArray = npt.NDArray[np.float64]

MAX_STEER_RAD = math.radians(70.0)
"""CARLA's default ``max_steer_angle`` of front wheels."""
STEER_RATE_PER_S = 2.5
"""Of the full angle: Unreal's default ``SteeringInputRate`` of wheeled vehicles."""
STEER_LAG_S = 0.03
CURVE_KMH = np.arange(0.0, 121.0, 20.0)
"""Speeds at which the share of the full steering angle is kept; linear between them."""
CURVE_POINTS = ((0.0, 1.0), (20.0, 0.9), (60.0, 0.8), (120.0, 0.7))
"""CARLA's default ``steering_curve``: speed in km/h, share."""
FLAT_CURVE: FloatArray = np.ones(len(CURVE_KMH))
_DRIVES = {
    "car": (4.0, 70.0),
    "van": (3.0, 45.0),
    "truck": (2.2, 20.0),
    "bus": (2.2, 20.0),
    "motorcycle": (4.5, 120.0),
    "bicycle": (1.5, 5.0),
}
"""Largest acceleration in m/s2 and power in W/kg of each ``base_type``; typical of the class."""
_LARGEST_M = 100.0


def body_of(description: ActorDescription, body: Body) -> Body:
    """Returns a blueprint's body with the outer size that its attributes ask for.

    Raises:
        SpawnError: An attribute is malformed, or names no vehicle of the embedded world.
    """
    embedded, size = description.value(EMBEDDED_VEHICLE, ""), description.value(OUTER_SIZE, "")
    if embedded:
        own = _embedded(embedded)
        body = dataclasses.replace(
            body, length_m=own.length_m, width_m=own.width_m, height_m=own.height_m, mass_kg=own.mass_kg
        )
    if size:
        try:
            length_m, width_m, height_m = (float(word) for word in size.split(","))
        except ValueError:
            length_m = width_m = height_m = math.nan
        if not all(0.0 < side_m <= _LARGEST_M for side_m in (length_m, width_m, height_m)):
            raise SpawnError(
                f"attribute '{OUTER_SIZE}' is '{size[:40]}'; allowed: length,width,height in metres, each up to "
                f"{_LARGEST_M:g}"
            )
        body = dataclasses.replace(body, length_m=length_m, width_m=width_m, height_m=height_m)
    return body


def parameters_of(description: ActorDescription, body: Body) -> tuple[VehicleParameters, FloatArray]:
    """Returns the dynamics of a body and its (7,) shares of the full steering angle at ``CURVE_KMH``.

    Args:
        description: What was spawned.
        body: Its body, see ``body_of``.

    Raises:
        SpawnError: The embedded world has no vehicle of that name.
    """
    embedded = description.value(EMBEDDED_VEHICLE, "")
    if embedded:
        own = _embedded(embedded)
        resized = dataclasses.replace(
            own, length_m=body.length_m, width_m=body.width_m, height_m=body.height_m
        )
        return resized, FLAT_CURVE
    base = load_vehicle("midsize_saloon")
    heavier, longer = body.mass_kg / base.mass_kg, body.length_m / base.length_m
    drive_mps2, power_w_per_kg = _DRIVES.get(body.base_type, _DRIVES["car"])
    parameters = dataclasses.replace(
        base,
        name=description.id,
        length_m=body.length_m,
        width_m=body.width_m,
        height_m=body.height_m,
        mass_kg=body.mass_kg,
        yaw_inertia_kgm2=base.yaw_inertia_kgm2 * heavier * longer**2,
        front_axle_m=base.front_axle_m * longer,
        rear_axle_m=base.rear_axle_m * longer,
        front_axle_stiffness_nprad=base.front_axle_stiffness_nprad * heavier,
        rear_axle_stiffness_nprad=base.rear_axle_stiffness_nprad * heavier,
        max_steer_rad=MAX_STEER_RAD,
        max_steer_rate_radps=STEER_RATE_PER_S * MAX_STEER_RAD,
        steer_lag_s=STEER_LAG_S,
        max_drive_acceleration_mps2=drive_mps2,
        max_drive_power_w=power_w_per_kg * body.mass_kg,
    )
    return parameters, curve_of(list(CURVE_POINTS))


def with_mass(own: VehicleParameters, mass_kg: float) -> dict[str, float]:
    """Returns what changes with a vehicle's mass: forces grow with it."""
    heavier = mass_kg / own.mass_kg
    return {
        "mass_kg": mass_kg,
        "yaw_inertia_kgm2": own.yaw_inertia_kgm2 * heavier,
        "front_axle_stiffness_nprad": own.front_axle_stiffness_nprad * heavier,
        "rear_axle_stiffness_nprad": own.rear_axle_stiffness_nprad * heavier,
        "max_drive_power_w": own.max_drive_power_w * heavier,
    }


def curve_of(points: list[tuple[float, float]]) -> FloatArray:
    """Returns the (7,) shares at ``CURVE_KMH`` of a steering curve of (km/h, share) points; flat without any."""
    if not points:
        return FLAT_CURVE
    speeds_kmh, shares = zip(*sorted(points), strict=True)
    return np.clip(np.interp(CURVE_KMH, speeds_kmh, shares), 0.0, 1.0)


def _embedded(name: str) -> VehicleParameters:
    try:
        return load_vehicle(name)
    except SimloopError as error:
        raise SpawnError(f"attribute '{EMBEDDED_VEHICLE}': {error}") from error
