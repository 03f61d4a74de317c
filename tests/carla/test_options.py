"""Options of the CARLA world: values of another type or out of range are named, before any server is asked."""

from __future__ import annotations

import inspect
import math
import re
from typing import Any

import pytest

from simloop.errors import ConfigurationError
from simloop_carla.world.world import CarlaWorld

WRONG: tuple[tuple[str, Any, str], ...] = (
    *(("host", value, "a string such as '127.0.0.1'") for value in ("", " ", None, 5)),
    *(("port", value, "1 to 65535, a whole number, or null") for value in (0, 65536, "2000", "abc", 2000.5, True)),
    *(("patience_s", value, "a number above 0, to 600") for value in (0.0, 601, math.nan, "abc", True, None)),
    *(("recycle_after", value, "from 1, a whole number") for value in (0, "x", 1.5, True, None)),
    *(("recycle_above_mb", value, "a number above 0") for value in (0, math.nan, "2 GB", True, None, 10**400)),
    *(("fixed_delta_ms", value, "10, 50") for value in (20, "50", 50.0, True)),
    *(("background_vehicles", value, "0 to 200, a whole number") for value in (-1, 201, True, 2.5, 2.0, "2", None)),
    *(("traffic_manager_port", value, "1024 to 65535") for value in (80, "8000", 8000.0, True)),
    *(("vehicle_blueprint", value, "a string such as 'vehicle.") for value in (5, math.nan, "", [], {}, None, True)),
    *(("weather", value, "a preset's name, a mapping of parameters, or null") for value in (5, True, ["WetNoon"])),
)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "allowed"), WRONG, ids=[f"{key}-{value!s:.9}" for key, value, _ in WRONG]
)
def test_a_wrong_value_is_named_with_what_is_allowed(key: str, value: Any, allowed: str) -> None:
    message = f"World config key {key!r} is {value!r}; allowed: {allowed}"
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        CarlaWorld(**{key: value})


@pytest.mark.parametrize("key", ["vehicle", "foreseen_as"])
@pytest.mark.parametrize("value", ["lorry", 5, math.nan, [], {}, True])
def test_vehicles_that_are_none_are_named(key: str, value: Any) -> None:
    message = rf"Unknown vehicle '{re.escape(str(value))}'.* Available: .*midsize_saloon"
    with pytest.raises(ConfigurationError, match=message):
        CarlaWorld(**{key: value})


OPTIONS = sorted(inspect.signature(CarlaWorld).parameters)
TAKEN = {
    *(("port", repr(value)) for value in (5, None)),
    *((key, "5") for key in ("patience_s", "recycle_after", "recycle_above_mb", "background_vehicles")),
    *((key, "'x'") for key in ("host", "vehicle_blueprint")),
    *((key, "None") for key in ("foreseen_as", "traffic_manager_port", "weather")),
    *(("extra_sensors", value) for value in ("[]", "{}")),
    ("weather", "{}"),
}
"""Options and those of the values below that they take."""


@pytest.mark.parametrize("key", OPTIONS)
@pytest.mark.parametrize("value", [5, -1, math.nan, "x", [], {}, None, True], ids=lambda v: f"{v!r:.9}")
def test_every_option_refuses_values_of_other_types_as_a_wrong_configuration(key: str, value: Any) -> None:
    if (key, repr(value)) in TAKEN:
        CarlaWorld(**{key: value}).close()
        return
    with pytest.raises(ConfigurationError, match=r"(; allowed: |Available: )."):
        CarlaWorld(**{key: value})


@pytest.mark.parametrize(
    "options",
    [
        {"host": "localhost", "port": 1, "patience_s": 5, "recycle_after": 1, "recycle_above_mb": 1},
        {"port": 65535, "patience_s": 600.0, "recycle_above_mb": math.inf, "background_vehicles": 200},
        {"port": None, "traffic_manager_port": None, "weather": {}, "fixed_delta_ms": 10},
    ],
)
def test_values_at_their_bounds_are_taken(options: dict[str, Any]) -> None:
    CarlaWorld(**options).close()
