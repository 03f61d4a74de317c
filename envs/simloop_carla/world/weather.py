"""The weather on the server: one of the client library's presets, or values for some of its parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from simloop.errors import ParameterError, UnknownNameError
from simloop_carla.world.session import Session, load_client, server_faults

Weather = str | Mapping[str, float] | None


def check_weather(weather: Weather) -> Any:
    """Returns the ``carla.WeatherParameters`` of the world config's ``weather``, None where it asks for none.

    Args:
        weather: Name of a preset such as ``HardRainNoon``; or parameters by name, where ``preset`` names the preset
            that has the others (``ClearNoon`` unless given); None leaves the server's weather.

    Raises:
        UnknownNameError: There is no such preset or parameter.
        ParameterError: A value is not a finite number.
    """
    if weather is None:
        return None
    kind = load_client().WeatherParameters
    presets = {name: value for name, value in vars(kind).items() if isinstance(value, kind)}
    names = {name for name, value in vars(kind).items() if isinstance(value, property)}
    values = {"preset": weather} if isinstance(weather, str) else dict(weather)
    preset = values.pop("preset", "ClearNoon")
    if preset not in presets:
        raise UnknownNameError("weather preset", str(preset), presets, where="World config key 'weather'")
    result = kind(**{name: getattr(presets[preset], name) for name in names})
    for name, value in values.items():
        if name not in names:
            raise UnknownNameError("weather parameter", str(name), names, where="World config key 'weather'")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ParameterError(
                f"World config key 'weather.{name}' is {value!r}; allowed: a finite number (ranges: WeatherParameters "
                "in CARLA's Python API reference)."
            )
        setattr(result, name, float(value))
    return result


class ServerWeather:
    """The weather of a session: set after each change of the map, and given back when the session ends.

    Args:
        session: The connection.
        wanted: ``carla.WeatherParameters``.
    """

    def __init__(self, session: Session, wanted: Any) -> None:
        self._wanted = wanted
        self._client = session.client
        with server_faults(session.address, "reading its weather"):
            self._found = session.world.get_weather()
        session.at_end("weather", self._give_back)

    def show(self, session: Session) -> None:
        """Sets the weather, unless the present episode of the server has it already.

        Raises:
            WorldError: The server fails.
        """
        with server_faults(session.address, "setting the weather"):
            if session.world.get_weather() != self._wanted:
                session.world.set_weather(self._wanted)

    def _give_back(self) -> None:
        self._client.get_world().set_weather(self._found)
