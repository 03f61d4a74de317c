"""Vehicle parameters, read from YAML, and their packing into the array that the kernels read."""

from __future__ import annotations

import functools
import importlib.resources
import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import yaml

from simloop.errors import ConfigurationError, UnknownNameError

FloatArray = npt.NDArray[np.float64]

GRAVITY_MPS2 = 9.81
AIR_DENSITY_KGPM3 = 1.2

# Entries of the packed array.
FRONT_AXLE_M = 0
REAR_AXLE_M = 1
YAW_RADIUS_SQUARED_M2 = 2  # yaw inertia / mass
FRONT_STIFFNESS = 3  # axle cornering stiffness / mass, m/s2 per rad
REAR_STIFFNESS = 4
FRICTION = 5
MAX_STEER_RAD = 6
MAX_STEER_STEP_RAD = 7  # in one physics step
STEER_BLEND = 8  # share of the remaining way that a first-order lag goes in one physics step
DRIVE_BLEND = 9
BRAKE_BLEND = 10
MAX_DRIVE_MPS2 = 11
MAX_DRIVE_POWER_PER_MASS = 12
MAX_BRAKE_MPS2 = 13
ROLLING_MPS2 = 14
DRAG_PER_M = 15  # deceleration by air / speed squared
REAR_FRICTION = 16
NUM_ENTRIES = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleParameters:
    """A vehicle of the single-track model.

    Attributes:
        name: Name of the vehicle.
        length_m, width_m, height_m: Outer size; the footprint is centred on the centre of gravity.
        mass_kg, yaw_inertia_kgm2: Inertia.
        front_axle_m, rear_axle_m: Distance of the axles from the centre of gravity.
        front_axle_stiffness_nprad, rear_axle_stiffness_nprad: Cornering stiffness of both tyres of an axle.
        friction_ratio: Coefficient of friction of the front axle and in braking; an axle's force stays within
            friction times static load.
        rear_friction_ratio: Coefficient of friction of the rear axle, sideways; at least the front's.
        max_steer_rad, max_steer_rate_radps, steer_lag_s: Road-wheel angle: limits and first-order lag.
        max_drive_acceleration_mps2, max_drive_power_w, drive_lag_s: Drive: limits and first-order lag.
        max_brake_deceleration_mps2, brake_lag_s: Brake: limit (before friction's) and first-order lag.
        rolling_resistance_ratio, drag_area_m2: Rolling resistance and drag coefficient times frontal area.
    """

    name: str
    length_m: float
    width_m: float
    height_m: float
    mass_kg: float
    yaw_inertia_kgm2: float
    front_axle_m: float
    rear_axle_m: float
    front_axle_stiffness_nprad: float
    rear_axle_stiffness_nprad: float
    friction_ratio: float
    rear_friction_ratio: float
    max_steer_rad: float
    max_steer_rate_radps: float
    steer_lag_s: float
    max_drive_acceleration_mps2: float
    max_drive_power_w: float
    drive_lag_s: float
    max_brake_deceleration_mps2: float
    brake_lag_s: float
    rolling_resistance_ratio: float
    drag_area_m2: float

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name != "name" and not (
                isinstance(value, (int, float)) and math.isfinite(value) and value > 0
            ):
                raise ConfigurationError(
                    f"Vehicle {self.name!r}: {item.name} is {value!r}; allowed: a number above 0."
                )
        if self.rear_friction_ratio < self.friction_ratio:
            raise ConfigurationError(
                f"Vehicle {self.name!r}: rear_friction_ratio is {self.rear_friction_ratio:g}; allowed: at least "
                f"friction_ratio, {self.friction_ratio:g} (a car that oversteers at the limit cannot be controlled)."
            )

    def packed(self, step_s: float) -> FloatArray:
        """Returns the (NUM_ENTRIES,) float64 array that the kernels read, for physics steps of ``step_s``."""
        out = np.empty(NUM_ENTRIES)
        out[FRONT_AXLE_M] = self.front_axle_m
        out[REAR_AXLE_M] = self.rear_axle_m
        out[YAW_RADIUS_SQUARED_M2] = self.yaw_inertia_kgm2 / self.mass_kg
        out[FRONT_STIFFNESS] = self.front_axle_stiffness_nprad / self.mass_kg
        out[REAR_STIFFNESS] = self.rear_axle_stiffness_nprad / self.mass_kg
        out[FRICTION] = self.friction_ratio
        out[REAR_FRICTION] = self.rear_friction_ratio
        out[MAX_STEER_RAD] = self.max_steer_rad
        out[MAX_STEER_STEP_RAD] = self.max_steer_rate_radps * step_s
        out[STEER_BLEND] = 1.0 - math.exp(-step_s / self.steer_lag_s)
        out[DRIVE_BLEND] = 1.0 - math.exp(-step_s / self.drive_lag_s)
        out[BRAKE_BLEND] = 1.0 - math.exp(-step_s / self.brake_lag_s)
        out[MAX_DRIVE_MPS2] = self.max_drive_acceleration_mps2
        out[MAX_DRIVE_POWER_PER_MASS] = self.max_drive_power_w / self.mass_kg
        out[MAX_BRAKE_MPS2] = self.max_brake_deceleration_mps2
        out[ROLLING_MPS2] = self.rolling_resistance_ratio * GRAVITY_MPS2
        out[DRAG_PER_M] = 0.5 * AIR_DENSITY_KGPM3 * self.drag_area_m2 / self.mass_kg
        return out


@functools.lru_cache(maxsize=16)
def load_vehicle(name: str) -> VehicleParameters:
    """Reads a shipped vehicle.

    Raises:
        UnknownNameError: No vehicle of that name is shipped.
        ConfigurationError: Its file has unknown or missing keys, or a value out of range.
    """
    folder = importlib.resources.files("simloop_driving.dynamics")
    names = [item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")]
    if name not in names:
        raise UnknownNameError("vehicle", str(name), names)
    values = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    known = {item.name for item in fields(VehicleParameters)}
    if set(values) != known:
        raise ConfigurationError(
            f"{name}.yaml: unknown keys {sorted(set(values) - known)}, missing keys {sorted(known - set(values))}."
        )
    return VehicleParameters(**values)
