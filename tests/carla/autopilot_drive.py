"""A client script: traffic manager, synchronous mode, prints one JSON line of what happened. Run by ``test_traffic``.

It is a process of its own because the library's traffic manager ends the process when a call of its threads fails.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import carla
import numpy as np

DELTA_S = 0.05
CARS = (
    "vehicle.tesla.model3",
    "vehicle.audi.tt",
    "vehicle.nissan.micra",
    "vehicle.toyota.prius",
    "vehicle.lincoln.mkz_2020",
)


def stop_lines(world: Any) -> list[tuple[Any, np.ndarray[Any, Any], np.ndarray[Any, Any], float]]:
    """Returns the light, middle (2,), direction (2,) and half width of each line at which a light stops a lane."""
    lines = []
    for light in world.get_actors().filter("traffic.traffic_light*"):
        for waypoint in light.get_stop_waypoints():
            at, ahead = waypoint.transform.location, waypoint.transform.get_forward_vector()
            half_m = 0.5 * waypoint.lane_width
            lines.append((light, np.array([at.x, at.y]), np.array([ahead.x, ahead.y]), half_m))
    return lines


def main(port: int, traffic_port: int, num_vehicles: int, num_ticks: int, seed: int) -> dict[str, Any]:
    """Drives ``num_vehicles`` for ``num_ticks``; who leaves the town is replaced at a free spawn point."""
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(60.0)
    world = client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, DELTA_S
    world.apply_settings(settings)
    traffic = client.get_trafficmanager(traffic_port)
    traffic.set_synchronous_mode(True)
    traffic.set_random_device_seed(seed)
    traffic.global_percentage_speed_difference(40.0)  # 30 km/h, the limit of CARLA's own towns
    library, points = world.get_blueprint_library(), world.get_map().get_spawn_points()
    cars = [library.find(name) for name in CARS]
    draws = np.random.default_rng(seed)
    hits: list[Any] = []
    riders: dict[int, tuple[Any, Any]] = {}

    def enter() -> None:
        blueprint = cars[int(draws.integers(len(cars)))]
        for point in draws.permutation(len(points)).tolist():
            there = points[point].location
            if any(there.distance(other.get_location()) < 25.0 for other, _ in riders.values()):
                continue
            vehicle = world.try_spawn_actor(blueprint, points[point])
            if vehicle is not None:
                break
        else:
            raise RuntimeError("There is no free spawn point.")
        world.tick()
        sensor = world.spawn_actor(
            library.find("sensor.other.collision"), carla.Transform(), attach_to=vehicle
        )
        sensor.listen(lambda event: hits.append((event.frame, event.actor.id, event.other_actor.type_id)))
        vehicle.set_autopilot(True, traffic_port)
        riders[vehicle.id] = vehicle, sensor

    for _ in range(num_vehicles):
        enter()
    lines = stop_lines(world)
    last: dict[int, np.ndarray[Any, Any]] = {}
    way_m, stood_at_red, red_crossings, num_left, at_green = 0.0, 0, [], 0, 0
    for tick in range(num_ticks):
        world.tick()
        for number, (vehicle, sensor) in list(riders.items()):
            if not vehicle.is_alive:  # taken out by the traffic manager: its lane ends at the edge of the map
                sensor.stop()
                sensor.destroy()
                del riders[number]
                last.pop(number, None)
                num_left += 1
                enter()
                continue
            pose = vehicle.get_transform()
            ahead = pose.get_forward_vector()
            nose = pose.location + vehicle_length(vehicle) * ahead
            now = np.array([nose.x, nose.y])
            before = last.get(number)
            last[number] = now
            if (
                vehicle.is_at_traffic_light()
                and vehicle.get_traffic_light_state() == carla.TrafficLightState.Red
            ):
                stood_at_red += vehicle.get_velocity().length() < 0.1
            if before is None:
                continue
            way_m += float(np.hypot(*(now - before)))
            for light, middle, direction, half_m in lines:
                if np.hypot(*(now - middle)) > 6.0:
                    continue
                crossed = (before - middle) @ direction < 0.0 <= (now - middle) @ direction
                beside = abs((now - middle) @ np.array([-direction[1], direction[0]]))
                if crossed and beside < half_m and np.array([ahead.x, ahead.y]) @ direction > 0.7:
                    if light.get_state() == carla.TrafficLightState.Red:
                        red_crossings.append((tick, number, light.id))
                    else:
                        at_green += 1
    return {
        "hits": hits,
        "red_crossings": red_crossings,
        "crossings": at_green,
        "stood_at_red": int(stood_at_red),
        "way_m": way_m,
        "left": num_left,
        "vehicles": len(riders),
        "lines": len(lines),
    }


LENGTHS_M: dict[int, float] = {}


def vehicle_length(vehicle: Any) -> float:
    """Returns half the length; ``bounding_box`` is a remote call, so each is asked for once."""
    if vehicle.id not in LENGTHS_M:
        LENGTHS_M[vehicle.id] = float(vehicle.bounding_box.extent.x)
    return LENGTHS_M[vehicle.id]


if __name__ == "__main__":
    outcome = main(*(int(word) for word in sys.argv[1:]))
    sys.stdout.write(json.dumps(outcome) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the traffic manager's threads do not end in an orderly way, here as with CARLA's server
