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
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simloop.errors import SimloopError
from simloop_carla.server.library.blueprints import EMBEDDED_VEHICLE, OUTER_SIZE, Body
from simloop_carla.server.library.descriptions import SpawnError
from simloop_carla.wire.structs import ActorDescription
from simloop_driving.dynamics.vehicle import VehicleParameters, load_vehicle

FloatArray = npt.NDArray[np.float64]

MAX_STEER_RAD = math.radians(70.0)
"""CARLA's default ``max_steer_angle`` of front wheels."""
STEER_RATE_PER_S = 2.5
"""Of the full angle: Unreal's default ``SteeringInputRate`` of wheeled vehicles."""
STEER_LAG_S = 0.03
TYRE_FRICTION, REAR_RESERVE = 3.5, 1.1
"""CARLA's default ``tire_friction``, and how much better the rear axle holds, so that vehicles understeer."""
GRIP_OF_TYRE = 1.2 / TYRE_FRICTION
"""Coefficient of friction of a tyre's ``tire_friction`` of 1: CARLA's vehicles hold the road better than real ones."""
MAX_BRAKE_MPS2, BRAKE_LAG_S = 11.5, 0.06
CURVE_KMH = np.arange(0.0, 121.0, 20.0)
"""Speeds at which the share of the full steering angle is kept; linear between them."""
CURVE_POINTS = ((0.0, 1.0), (20.0, 0.9), (60.0, 0.8), (120.0, 0.7))
"""CARLA's default ``steering_curve``: speed in km/h, share."""
FLAT_CURVE: FloatArray = np.ones(len(CURVE_KMH))


class _Class(NamedTuple):
    """What vehicles of a ``base_type`` have in common; typical of the class.

    Attributes:
        drive_mps2, power_w_per_kg: Largest acceleration, and power per mass.
        front_axle, rear_axle: Distances of the axles from the middle, as shares of the length. The rear one of long
            vehicles counts as if its wheels were steered, too: a traffic manager leads the middle of a vehicle along
            its lane, and the front of one that turned about its rear axle would reach far into the next lane.
    """

    drive_mps2: float
    power_w_per_kg: float
    front_axle: float
    rear_axle: float


_CLASSES = {
    "car": _Class(4.0, 70.0, 0.234, 0.336),
    "van": _Class(3.0, 45.0, 0.28, 0.24),
    "truck": _Class(2.2, 20.0, 0.30, 0.04),
    "bus": _Class(2.2, 20.0, 0.28, 0.04),
    "motorcycle": _Class(4.5, 120.0, 0.33, 0.33),
    "bicycle": _Class(1.5, 5.0, 0.30, 0.30),
}
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
    base, own_class = load_vehicle("midsize_saloon"), _CLASSES.get(body.base_type, _CLASSES["car"])
    heavier = body.mass_kg / base.mass_kg
    front_m, rear_m = own_class.front_axle * body.length_m, own_class.rear_axle * body.length_m
    longer = (front_m + rear_m) / (base.front_axle_m + base.rear_axle_m)
    # Tyres grow with the load that they carry, so that every vehicle understeers like the saloon.
    front_load = rear_m / (front_m + rear_m) / (base.rear_axle_m / (base.front_axle_m + base.rear_axle_m))
    rear_load = front_m / (front_m + rear_m) / (base.front_axle_m / (base.front_axle_m + base.rear_axle_m))
    parameters = dataclasses.replace(
        base,
        name=description.id,
        length_m=body.length_m,
        width_m=body.width_m,
        height_m=body.height_m,
        mass_kg=body.mass_kg,
        yaw_inertia_kgm2=base.yaw_inertia_kgm2 * heavier * longer**2,
        front_axle_m=front_m,
        rear_axle_m=rear_m,
        front_axle_stiffness_nprad=base.front_axle_stiffness_nprad * heavier * front_load,
        rear_axle_stiffness_nprad=base.rear_axle_stiffness_nprad * heavier * rear_load,
        friction_ratio=GRIP_OF_TYRE * TYRE_FRICTION,
        rear_friction_ratio=GRIP_OF_TYRE * TYRE_FRICTION * REAR_RESERVE,
        max_brake_deceleration_mps2=MAX_BRAKE_MPS2,
        brake_lag_s=BRAKE_LAG_S,
        max_steer_rad=MAX_STEER_RAD,
        max_steer_rate_radps=STEER_RATE_PER_S * MAX_STEER_RAD,
        steer_lag_s=STEER_LAG_S,
        max_drive_acceleration_mps2=own_class.drive_mps2,
        max_drive_power_w=own_class.power_w_per_kg * body.mass_kg,
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
