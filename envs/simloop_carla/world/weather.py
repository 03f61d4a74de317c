"""The weather on the server: one of the client library's presets, or values for some of its parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from simloop.errors import ParameterError, UnknownNameError
from simloop_carla.world.link.client import load_client, server_faults
from simloop_carla.world.link.plain_values import value_names, values_of
from simloop_carla.world.link.session import Session
from simloop_carla.world.options import is_number

Weather = str | Mapping[str, str | float] | None


def check_weather(weather: Weather) -> Any:
    """Returns the ``carla.WeatherParameters`` of the world config's ``weather``, None where it asks for none.

    Args:
        weather: Name of a preset such as ``HardRainNoon``; or parameters by name, where ``preset`` names the preset
            that has the others (``ClearNoon`` unless given); None leaves the server's weather.

    Raises:
        UnknownNameError: There is no such preset or parameter.
        ParameterError: It is neither a name nor a mapping, or a value is not a finite number.
    """
    if weather is None:
        return None
    if not isinstance(weather, (str, Mapping)):
        raise ParameterError(
            f"World config key 'weather' is {weather!r}; allowed: a preset's name, a mapping of parameters, or null."
        )
    kind = load_client().WeatherParameters
    presets = {name: value for name, value in vars(kind).items() if isinstance(value, kind)}
    names = value_names(kind)
    values: dict[str, Any] = {"preset": weather} if isinstance(weather, str) else dict(weather)
    preset = str(values.pop("preset", "ClearNoon"))
    if preset not in presets:
        raise UnknownNameError("weather preset", preset, presets, where="World config key 'weather'")
    result = kind(**values_of(presets[preset]))
    for name, value in values.items():
        if name not in names:
            raise UnknownNameError("weather parameter", str(name), names, where="World config key 'weather'")
        if not is_number(value) or not math.isfinite(value):
            raise ParameterError(
                f"World config key 'weather.{name}' is {value!r}; allowed: a finite number (ranges: WeatherParameters "
                "in CARLA's Python API reference)."
            )
        setattr(result, name, float(value))
    return result


def show_weather(session: Session, wanted: Any) -> None:
    """Sets the weather, unless the present episode of the server has it already.

    What was there before is given back when the session ends.

    Args:
        session: The connection.
        wanted: ``carla.WeatherParameters``; None leaves the server's weather.

    Raises:
        WorldError: The server fails.
    """
    if wanted is None:
        return
    with server_faults(session.address, "setting the weather"):
        if session.world.get_weather() != wanted:
            session.world.set_weather(wanted)
