"""A client script: what the traffic manager's options do on this server; prints one JSON line of what was measured.

Run by ``test_traffic`` as ``traffic_options.py PORT TRAFFIC_PORT MAP``. A traffic manager keeps the map of its first
world and minds vehicles that are destroyed, so each map has its own process, and cars stay until the next test.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import carla
import numpy as np

CAR = "vehicle.tesla.model3"
STALLED_AFTER_S = 20
"""A call that takes so long waits for ever: SIGALRM ends the process then, and the test tries once more."""


class Drive:
    """A world in synchronous mode with a traffic manager.

    Args:
        client: The client.
        map_name: Map that is loaded.
        traffic_port: Port of the traffic manager.
    """

    def __init__(self, client: Any, map_name: str, traffic_port: int) -> None:
        world = client.load_world(map_name)
        settings = world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
        world.apply_settings(settings)
        self.client, self.world, self.map, self.port = client, world, world.get_map(), traffic_port
        self.points = self.map.get_spawn_points()
        self.manager = client.get_trafficmanager(traffic_port)
        self.manager.set_synchronous_mode(True)
        self.manager.set_random_device_seed(5)

    def cars(self, *places: int, role: str = "autopilot") -> list[Any]:
        """Spawns cars on autopilot."""
        blueprint = self.world.get_blueprint_library().find(CAR)
        blueprint.set_attribute("role_name", role)
        riders = [self.world.spawn_actor(blueprint, self.points[place]) for place in places]
        self.tick(1)
        for rider in riders:
            rider.set_autopilot(True, self.port)
        return riders

    def tick(self, number: int) -> None:
        """Ticks."""
        for _ in range(number):
            signal.alarm(STALLED_AFTER_S)
            self.world.tick()

    def lane(self, rider: Any) -> int:
        """Returns the lane that a car is on."""
        return int(self.map.get_waypoint(rider.get_location()).lane_id)


def town(drive: Drive) -> dict[str, Any]:
    """Speeds where the limit is 50, cars before red lights, and cars without physics far from a hero."""
    world, manager = drive.world, drive.manager
    lights = list(world.get_actors().filter("traffic.traffic_light*"))
    for light in lights:
        light.set_state(carla.TrafficLightState.Red)
    world.freeze_all_traffic_lights(True)
    stops = [stop for light in lights for stop in light.get_stop_waypoints()]
    lanes = [drive.map.get_waypoint(point.location) for point in drive.points]
    before_lights = [
        place
        for place, lane in enumerate(lanes)
        for stop in stops
        if (lane.road_id, lane.lane_id) == (stop.road_id, stop.lane_id)
        and 8.0 < stop.transform.location.distance(lane.transform.location) < 25.0
    ][:6]
    elsewhere = [
        place
        for place, lane in enumerate(lanes)
        if lane.road_id not in {stop.road_id for stop in stops} and lane.s > 60.0
    ]
    hero, quick, steady = (
        drive.cars(elsewhere[at], role=role)[0] for at, role in ((0, "hero"), (9, "a"), (18, "a"))
    )
    waiting = drive.cars(*before_lights)
    manager.global_percentage_speed_difference(20.0)
    manager.vehicle_percentage_speed_difference(quick, -20.0)
    manager.set_desired_speed(steady, 25.0)
    for rider in (hero, quick, steady, *waiting[::2]):
        manager.ignore_lights_percentage(rider, 100.0)
        manager.ignore_signs_percentage(rider, 100.0)
    speeds = np.zeros((240, 3))
    for row in speeds:
        drive.tick(1)
        row[:] = [3.6 * rider.get_velocity().length() for rider in (hero, quick, steady)]
    owners = [rider.get_traffic_light() for rider in waiting[1::2]]
    found: dict[str, Any] = {
        "top_speeds_kmh": speeds.max(axis=0).tolist(),
        "waiting": [
            rider.is_at_traffic_light()
            and rider.get_traffic_light_state() == carla.TrafficLightState.Red
            and rider.get_velocity().length() < 0.1
            for rider in waiting
        ],
        "held_by_lights": [
            light is not None and light.type_id == "traffic.traffic_light" for light in owners
        ],
    }
    for rider in waiting:
        manager.ignore_lights_percentage(rider, 100.0)
    manager.set_hybrid_physics_mode(True)
    manager.set_hybrid_physics_radius(20.0)
    riders = [hero, quick, steady, *waiting]
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
    # Who has no physics stands still for the server, which moves it by transforms.
    found["moved_without_physics"] = sum(
        way > 30.0 and rider.get_velocity().length() == 0.0
        for way, rider in zip(ways[1:], riders[1:], strict=True)
    )
    found["hybrid"] = {"hero_m": ways[0], "shortest_m": min(ways[1:]), "off_lane_m": off_lane_m}
    world.freeze_all_traffic_lights(False)
    world.reset_all_traffic_lights()
    drive.tick(1)
    return found


def highway(drive: Drive) -> dict[str, Any]:
    """A slow car and a fast one behind it: the distance that is kept, and a lane change to the left."""
    places = sorted(
        (point.location.x, place)
        for place, point in enumerate(drive.points)
        if drive.map.get_waypoint(point.location).lane_id == -3
    )
    ahead, behind = drive.cars(places[3][1], places[1][1])
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


def main(port: int, traffic_port: int, map_name: str) -> dict[str, Any]:
    """Measures what a map is good for."""
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(60.0)
    drive = Drive(client, map_name, traffic_port)
    return town(drive) if map_name == "town" else highway(drive)


if __name__ == "__main__":
    outcome = main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    sys.stdout.write(json.dumps(outcome) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the traffic manager's threads do not end in an orderly way, here as with CARLA's server
