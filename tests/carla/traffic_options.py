"""A client script: what the traffic manager's options do on this server; prints one JSON line of what was measured.

Run by ``test_traffic`` as ``traffic_options.py PORT TRAFFIC_PORT TRAFFIC_PORT``: a traffic manager keeps the map of its
first world, so each map has its own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import carla
import numpy as np

CAR = "vehicle.tesla.model3"


class Drive:
    """A world in synchronous mode with a traffic manager.

    Args:
        client: The client.
        map_name: Map that is loaded unless it is there.
        traffic_port: Port of the traffic manager.
    """

    def __init__(self, client: Any, map_name: str, traffic_port: int) -> None:
        world = client.get_world()
        if not world.get_map().name.endswith(f"/{map_name}"):
            world = client.load_world(map_name)
        settings = world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
        world.apply_settings(settings)
        self.client, self.world, self.map, self.port = client, world, world.get_map(), traffic_port
        self.points = self.map.get_spawn_points()
        self.manager = client.get_trafficmanager(traffic_port)
        self.manager.set_synchronous_mode(True)
        self.manager.set_random_device_seed(5)

    @contextmanager
    def cars(self, *places: int, first_role: str = "autopilot") -> Iterator[list[Any]]:
        """Spawns cars on autopilot and destroys them afterwards."""
        riders = []
        for number, place in enumerate(places):
            blueprint = self.world.get_blueprint_library().find(CAR)
            blueprint.set_attribute("role_name", first_role if number == 0 else "autopilot")
            riders.append(self.world.spawn_actor(blueprint, self.points[place]))
        self.world.tick()
        for rider in riders:
            rider.set_autopilot(True, self.port)
        yield riders
        for rider in riders:
            rider.set_autopilot(False, self.port)
        self.tick(2)
        self.client.apply_batch_sync([carla.command.DestroyActor(rider) for rider in riders], True)
        self.tick(2)

    def tick(self, number: int) -> None:
        """Ticks."""
        for _ in range(number):
            self.world.tick()

    def lane(self, rider: Any) -> int:
        """Returns the lane that a car is on."""
        return int(self.map.get_waypoint(rider.get_location()).lane_id)


def top_speeds_kmh(drive: Drive) -> list[float]:
    """Speed limit 50: 20 % slower, 20 % faster, 25 km/h whatever the limit."""
    with drive.cars(0, 24, 48) as riders:
        drive.manager.global_percentage_speed_difference(20.0)
        drive.manager.vehicle_percentage_speed_difference(riders[1], -20.0)
        drive.manager.set_desired_speed(riders[2], 25.0)
        for rider in riders:
            drive.manager.ignore_lights_percentage(rider, 100.0)
            drive.manager.ignore_signs_percentage(rider, 100.0)
        top = [0.0] * 3
        for _ in range(240):
            drive.tick(1)
            top = [
                max(was, 3.6 * rider.get_velocity().length()) for was, rider in zip(top, riders, strict=True)
            ]
        drive.manager.global_percentage_speed_difference(0.0)
        return top


def waits_at_red(drive: Drive) -> dict[str, Any]:
    """Puts cars before red lights; every second one is told to ignore them."""
    world = drive.world
    lights = list(world.get_actors().filter("traffic.traffic_light*"))
    for light in lights:
        light.set_state(carla.TrafficLightState.Red)
    world.freeze_all_traffic_lights(True)
    ends = [
        place
        for place, point in enumerate(drive.points)
        for light in lights
        for stop in light.get_stop_waypoints()
        if 8.0 < stop.transform.location.distance(point.location) < 25.0
        and drive.map.get_waypoint(point.location).lane_id == stop.lane_id
        and drive.map.get_waypoint(point.location).road_id == stop.road_id
    ][:6]
    with drive.cars(*ends) as riders:
        for rider in riders[::2]:
            drive.manager.ignore_lights_percentage(rider, 100.0)
        drive.tick(240)
        told = [
            (rider.is_at_traffic_light(), str(rider.get_traffic_light_state()), rider.get_velocity().length())
            for rider in riders
        ]
        owners = [rider.get_traffic_light() for rider in riders[1::2]]
        found = {
            "cars": len(riders),
            "waiting": sum(at and state == "Red" and speed < 0.1 for at, state, speed in told[1::2]),
            "owned": sum(light is not None and light.type_id == "traffic.traffic_light" for light in owners),
            "driving": sum(speed > 1.0 or not at for at, _, speed in told[::2]),
        }
    world.freeze_all_traffic_lights(False)
    world.reset_all_traffic_lights()
    return found


def hybrid_ways(drive: Drive) -> dict[str, float]:
    """A hero with physics and others far from it without: they go on, along their lanes."""
    drive.manager.set_hybrid_physics_mode(True)
    drive.manager.set_hybrid_physics_radius(30.0)
    with drive.cars(0, 30, 60, 90, first_role="hero") as riders:
        ways, off_lane_m = [0.0] * len(riders), 0.0
        last = [rider.get_location() for rider in riders]
        for _ in range(200):
            drive.tick(1)
            for number, rider in enumerate(riders):
                at = rider.get_location()
                ways[number] += at.distance(last[number])
                last[number] = at
                lane = drive.map.get_waypoint(at).transform.location
                off_lane_m = max(off_lane_m, float(np.hypot(lane.x - at.x, lane.y - at.y)))
        drive.manager.set_hybrid_physics_mode(False)
        drive.tick(40)
        return {"hero_m": ways[0], "shortest_m": min(ways[1:]), "off_lane_m": off_lane_m}


def highway(drive: Drive) -> dict[str, Any]:
    """A slow car and a fast one behind it: the distance that is kept, and a lane change to the left."""
    places = sorted(
        (point.location.x, place)
        for place, point in enumerate(drive.points)
        if drive.map.get_waypoint(point.location).lane_id == -3
    )
    with drive.cars(places[3][1], places[1][1]) as (ahead, behind):
        length_m = 2.0 * ahead.bounding_box.extent.x
        for rider, speed_kmh in ((ahead, 30.0), (behind, 80.0)):
            drive.manager.auto_lane_change(rider, False)
            drive.manager.set_desired_speed(rider, speed_kmh)
        drive.manager.distance_to_leading_vehicle(behind, 12.0)
        drive.tick(400)
        found: dict[str, Any] = {
            "gap_m": ahead.get_location().distance(behind.get_location()) - length_m,
            "kept_lane": drive.lane(behind),
        }
        drive.manager.force_lane_change(behind, False)
        drive.tick(200)
        found["left_lane"] = drive.lane(behind)
        found["passed_m"] = behind.get_location().x - ahead.get_location().x
        return found


def main(port: int, traffic_port: int, highway_port: int) -> dict[str, Any]:
    """Measures everything."""
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(60.0)
    drive = Drive(client, "town", traffic_port)
    found: dict[str, Any] = {
        "top_speeds_kmh": top_speeds_kmh(drive),
        "lights": waits_at_red(drive),
        "hybrid": hybrid_ways(drive),
    }
    drive.manager.set_synchronous_mode(False)
    found["highway"] = highway(Drive(client, "highway", highway_port))
    return found


if __name__ == "__main__":
    outcome = main(*(int(word) for word in sys.argv[1:]))
    sys.stdout.write(json.dumps(outcome) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the traffic manager's threads do not end in an orderly way, here as with CARLA's server
