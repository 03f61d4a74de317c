"""The weather on the server: one of the client library's presets, or values for some of its parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from simloop.errors import ParameterError, UnknownNameError
from simloop_carla.world.link.session import Session, load_client, server_faults
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
    names = {name for name, value in vars(kind).items() if isinstance(value, property)}
    values: dict[str, Any] = {"preset": weather} if isinstance(weather, str) else dict(weather)
    preset = str(values.pop("preset", "ClearNoon"))
    if preset not in presets:
        raise UnknownNameError("weather preset", preset, presets, where="World config key 'weather'")
    result = kind(**{name: getattr(presets[preset], name) for name in names})
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


class WeatherOption:
    """The weather that a world asks for: set on its server; what was there before is given back when a session ends.

    Args:
        weather: As in ``check_weather``.

    Raises:
        ConfigurationError: As ``check_weather``.
    """

    def __init__(self, weather: Weather) -> None:
        self._wanted = check_weather(weather)
        self._session: Session | None = None

    def note(self, session: Session) -> None:
        """Notes the weather of a new session, before it loads a map, which may bring a weather of its own.

        Raises:
            WorldError: The server fails.
        """
        if session is self._session:
            return
        client = session.client
        found = session.call("reading the weather", session.world.get_weather)
        self._session = session
        session.at_end("weather", lambda: client.get_world().set_weather(found))

    def show(self, session: Session) -> None:
        """Sets the weather, unless the present episode of the server has it already.

        Raises:
            WorldError: The server fails.
        """
        if self._wanted is None:
            return
        with server_faults(session.address, "setting the weather"):
            if session.world.get_weather() != self._wanted:
                session.world.set_weather(self._wanted)
