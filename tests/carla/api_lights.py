"""What each call of traffic lights and signs is to give; ``test_api`` drives the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import carla

Check = Callable[[Any], object]


def _light_goes(s: Any, state: Any) -> bool:
    s.light.set_state(state)
    s.light.freeze(True)
    s.tick()
    seen = s.light.get_state(), s.light.state, s.light.is_frozen()
    s.light.freeze(False)
    s.tick()
    return seen == (state, state, True)


def _lasts(s: Any, colour: str) -> bool:
    getattr(s.light, f"set_{colour}_time")(4.5)
    s.tick()
    told = getattr(s.light, f"get_{colour}_time")()
    getattr(s.light, f"set_{colour}_time")({"green": 10.0, "yellow": 3.0, "red": 2.0}[colour])
    s.tick()
    return bool(told == 4.5)


def _restarts(s: Any) -> bool:
    s.tick(5)
    s.light.reset_group()
    s.tick()
    return any(str(light.get_state()) == "Green" for light in s.light.get_group_traffic_lights())


LIGHT: dict[str, Check] = {
    "freeze": lambda s: _light_goes(s, carla.TrafficLightState.Yellow),
    "get_affected_lane_waypoints": lambda s: (
        s.lane_of_the_light in [w.lane_id for w in s.light.get_affected_lane_waypoints()]
    ),
    "get_elapsed_time": lambda s: s.tick() > 0 and s.light.get_elapsed_time() >= 0.0,
    **{f"get_{colour}_time": lambda s, c=colour: _lasts(s, c) for colour in ("green", "yellow", "red")},
    **{f"set_{colour}_time": lambda s, c=colour: _lasts(s, c) for colour in ("green", "yellow", "red")},
    "get_group_traffic_lights": lambda s: (
        s.light.id in [one.id for one in s.light.get_group_traffic_lights()]
    ),
    "get_light_boxes": lambda s: 2.9 < s.light.get_light_boxes()[0].location.z < 8.0,
    "get_opendrive_id": lambda s: s.light.get_opendrive_id() == s.landmark.id,
    "get_pole_index": lambda s: s.light.get_pole_index() >= 0,
    "get_state": lambda s: _light_goes(s, carla.TrafficLightState.Red),
    "get_stop_waypoints": lambda s: s.light.get_stop_waypoints()[0].lane_id == s.lane_of_the_light,
    "is_frozen": lambda s: _light_goes(s, carla.TrafficLightState.Green),
    "reset_group": _restarts,
    "set_state": lambda s: _light_goes(s, carla.TrafficLightState.Off),
    "state": lambda s: _light_goes(s, carla.TrafficLightState.Green),
}
SIGN: dict[str, Check] = {"trigger_volume": lambda s: s.light.trigger_volume.extent.x > 1.0}
