"""The sensors that a world has on demand, by type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simloop.errors import ConfigurationError, UnknownNameError
from simloop_driving.sensors.birds_eye import BirdsEye
from simloop_driving.sensors.conflicts import Conflicts
from simloop_driving.sensors.controls import Controls
from simloop_driving.sensors.gnss import Gnss
from simloop_driving.sensors.history import History
from simloop_driving.sensors.imu import Imu
from simloop_driving.sensors.lidar import Lidar
from simloop_driving.sensors.mounted_cameras import DepthCamera, RgbCamera, SemanticCamera
from simloop_driving.sensors.noisy_objects import NoisyObjects
from simloop_driving.sensors.options import ExtraSensor, sensor_from_options
from simloop_driving.sensors.radar import Radar
from simloop_driving.sensors.road_ahead import RoadAhead
from simloop_driving.sensors.standard import STATE_SENSORS

_TYPES: tuple[type[ExtraSensor], ...] = (
    History,
    RoadAhead,
    Controls,
    Conflicts,
    NoisyObjects,
    Lidar,
    Radar,
    Imu,
    Gnss,
    BirdsEye,
    RgbCamera,
    SemanticCamera,
    DepthCamera,
)
EXTRA_SENSORS = {sensor.type_name: sensor for sensor in _TYPES}
"""Class by type."""
STANDARD_SENSORS = ("front_camera", "front_camera_past", *(sensor.name for sensor in STATE_SENSORS))
"""Names of the sensors that every world has."""


def extra_sensors(chosen: Sequence[str] | Mapping[str, Mapping[str, Any] | None]) -> tuple[ExtraSensor, ...]:
    """Makes the chosen sensors.

    Args:
        chosen: Types, or options by name. A name is a type, or any word if the option ``type`` tells the type, so that
            there may be several of one type; None and an empty mapping take the defaults.

    Raises:
        UnknownNameError: There is no such type.
        ConfigurationError: A sensor is chosen twice, a name is one of a standard sensor, or an option does not fit.
    """
    if isinstance(chosen, str) or not isinstance(chosen, Sequence | Mapping):
        raise ConfigurationError(
            f"extra_sensors is {chosen!r}; allowed: a list of types, or a mapping from names to options; types: "
            f"{', '.join(EXTRA_SENSORS)}."
        )
    options_by_name = (
        {str(k): v for k, v in chosen.items()}
        if isinstance(chosen, Mapping)
        else dict.fromkeys(map(str, chosen))
    )
    if len(options_by_name) != len(chosen):
        raise ConfigurationError(f"extra_sensors names a sensor twice: {', '.join(map(str, chosen))}.")
    return tuple(_sensor(name, options) for name, options in options_by_name.items())


def _sensor(name: str, options: Mapping[str, Any] | None) -> ExtraSensor:
    where = f"extra_sensors.{name}"
    if options is not None and not isinstance(options, Mapping):
        raise ConfigurationError(f"{where} is {options!r}; allowed: a mapping from options to values.")
    if name in STANDARD_SENSORS:
        raise ConfigurationError(f"{where}: {name!r} is a sensor that every world has; choose another name.")
    given = dict(options or {})
    type_name = str(given.pop("type", name))
    if type_name not in EXTRA_SENSORS:
        raise UnknownNameError("sensor type", type_name, EXTRA_SENSORS)
    return sensor_from_options(EXTRA_SENSORS[type_name], name, given, where)
