"""The sensors that a world has on demand, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simloop.errors import ConfigurationError, UnknownNameError
from simloop_driving.sensors.history import History
from simloop_driving.sensors.options import ExtraSensor, sensor_from_options

EXTRA_SENSORS: dict[str, type[ExtraSensor]] = {sensor.name: sensor for sensor in (History,)}
"""Class by name."""


def extra_sensors(chosen: Sequence[str] | Mapping[str, Mapping[str, Any] | None]) -> tuple[ExtraSensor, ...]:
    """Makes the chosen sensors.

    Args:
        chosen: Names, or options by name; None and an empty mapping take the defaults.

    Raises:
        UnknownNameError: There is no such sensor.
        ConfigurationError: A sensor is chosen twice, or an option does not fit.
    """
    if isinstance(chosen, str) or not isinstance(chosen, Sequence | Mapping):
        raise ConfigurationError(
            f"extra_sensors is {chosen!r}; allowed: a list of names, or a mapping from names to options, of: "
            f"{', '.join(EXTRA_SENSORS)}."
        )
    options_by_name = dict(chosen) if isinstance(chosen, Mapping) else dict.fromkeys(chosen)
    if len(options_by_name) != len(chosen):
        raise ConfigurationError(f"extra_sensors names a sensor twice: {', '.join(chosen)}.")
    sensors = []
    for name, options in options_by_name.items():
        if name not in EXTRA_SENSORS:
            raise UnknownNameError("extra sensor", name, EXTRA_SENSORS)
        where = f"extra_sensors.{name}"
        if options is not None and not isinstance(options, Mapping):
            raise ConfigurationError(f"{where} is {options!r}; allowed: a mapping from options to values.")
        sensors.append(sensor_from_options(EXTRA_SENSORS[name], options or {}, where))
    return tuple(sensors)
