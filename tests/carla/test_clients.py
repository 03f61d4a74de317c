"""Scripts as users of CARLA write them run on the server: agents, loops with sensors, walkers, asynchronous clients."""

from __future__ import annotations

import itertools
import json
import math
import queue
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.carla.patience import PATIENCE_S

from .conftest import carla

CAR = "vehicle.tesla.model3"
DELTA_S = 0.05


class WaypointFollower:
    """An agent as in CARLA's examples: proportional steering to a waypoint ahead, PI speed, stops at red lights.

    Args:
        vehicle: What it drives.
        town: The client's map.
        speed_mps: Speed that it holds.
    """

    def __init__(self, vehicle: Any, town: Any, speed_mps: float) -> None:
        self.vehicle, self.town, self.speed_mps, self.sum_m = vehicle, town, speed_mps, 0.0

    def control(self) -> Any:
        """Returns the controls of the next tick."""
        pose, speed = self.vehicle.get_transform(), self.vehicle.get_velocity().length()
        target = self.town.get_waypoint(pose.location).next(max(3.0, 0.6 * speed))[0].transform.location
        to_target = math.atan2(target.y - pose.location.y, target.x - pose.location.x)
        off = math.remainder(to_target - math.radians(pose.rotation.yaw), math.tau)
        light = self.vehicle.get_traffic_light()
        is_held = (
            self.vehicle.is_at_traffic_light()
            and light is not None
            and light.get_state() == carla.TrafficLightState.Red
        )
        error = (0.0 if is_held else self.speed_mps) - speed
        self.sum_m = 0.0 if is_held else min(max(self.sum_m + error * DELTA_S, -2.0), 2.0)
        push = 0.4 * error + 0.2 * self.sum_m
        return carla.VehicleControl(
            throttle=min(max(push, 0.0), 0.75),
            brake=1.0 if is_held else min(max(-push, 0.0), 1.0),
            steer=min(max(1.2 * off, -0.8), 0.8),
        )


def _approach(world: Any, town: Any) -> tuple[Any, Any, Any]:
    """Returns a light, a waypoint at which it stops a lane, and a pose 60 m before that."""
    for light in world.get_actors().filter("traffic.traffic_light"):
        for stop in light.get_stop_waypoints():
            before = stop.previous(60.0)
            if before and not before[0].is_junction and before[0].road_id == stop.road_id:
                pose = before[0].transform
                pose.location.z += 0.3
                return light, stop, pose
    raise AssertionError("no light has 60 m of road before it")


def test_an_agent_follows_waypoints_and_waits_at_red(world: Any, spawn: Callable[..., Any]) -> None:
    town = world.get_map()
    light, stop, start = _approach(world, town)
    world.freeze_all_traffic_lights(True)
    light.set_state(carla.TrafficLightState.Red)
    car = spawn(CAR, start)
    agent = WaypointFollower(car, town, 10.0)
    nose_m, off_lane_m, top_mps = car.bounding_box.extent.x, 0.0, 0.0

    def drive(ticks: int) -> None:
        nonlocal off_lane_m, top_mps
        for _ in range(ticks):
            car.apply_control(agent.control())
            world.tick()
            lane = town.get_waypoint(car.get_location()).transform.location
            at = car.get_location()
            off_lane_m = max(off_lane_m, math.hypot(lane.x - at.x, lane.y - at.y))
            top_mps = max(top_mps, car.get_velocity().length())

    drive(240)
    ahead = stop.transform.get_forward_vector()
    gap = stop.transform.location - car.get_location()
    to_line_m = gap.x * ahead.x + gap.y * ahead.y - nose_m
    assert car.get_velocity().length() < 0.01
    assert 0.0 < to_line_m < 6.0
    assert car.get_traffic_light().id == light.id
    assert car.get_traffic_light_state() == carla.TrafficLightState.Red
    light.set_state(carla.TrafficLightState.Green)
    drive(300)
    assert car.get_location().distance(stop.transform.location) > 30.0
    assert not car.is_at_traffic_light()
    assert off_lane_m < 0.8
    assert top_mps == pytest.approx(10.0, abs=1.0)
    assert car.get_speed_limit() in (20.0, 50.0)
    world.freeze_all_traffic_lights(False)
    world.reset_all_traffic_lights()


SENSORS: dict[str, dict[str, str]] = {
    "sensor.camera.rgb": {"image_size_x": "160", "image_size_y": "90"},
    "sensor.camera.depth": {"image_size_x": "160", "image_size_y": "90"},
    "sensor.camera.semantic_segmentation": {"image_size_x": "160", "image_size_y": "90"},
    "sensor.lidar.ray_cast": {"points_per_second": "20000", "rotation_frequency": "20"},
    "sensor.other.radar": {},
    "sensor.other.imu": {},
    "sensor.other.gnss": {},
}


def test_a_manual_loop_gets_every_sensor_of_every_tick(world: Any, spawn: Callable[..., Any]) -> None:
    car = spawn(CAR)
    mount = carla.Transform(carla.Location(x=1.5, z=2.0))
    inboxes: dict[str, queue.Queue[Any]] = {}
    sensors = []
    for name, attributes in SENSORS.items():
        sensors.append(spawn(name, mount, parent=car, **attributes))
        inboxes[name] = queue.Queue()
    for sensor in sensors:  # only now: spawning ticks
        sensor.listen(inboxes[sensor.type_id].put)
    keys = [(0.6, 0.0, 0.0)] * 30 + [(0.4, 0.2, 0.0)] * 10 + [(0.0, 0.0, 1.0)] * 15
    positions = []
    for throttle, steer, brake in keys:
        car.apply_control(carla.VehicleControl(throttle=throttle, steer=steer, brake=brake))
        frame = world.tick()
        for name, inbox in inboxes.items():
            data = inbox.get(timeout=PATIENCE_S)
            assert data.frame == frame, name
        snapshot = world.get_snapshot()
        assert snapshot.frame == frame
        positions.append(car.get_location())
        assert car.get_control().throttle == pytest.approx(throttle)
    for sensor in sensors:
        sensor.stop()
    world.tick()
    assert positions[-1].distance(positions[0]) > 2.0
    assert car.get_transform().location.z == pytest.approx(0.0, abs=0.05)
    assert car.get_velocity().length() < 0.5


def test_a_data_provider_reads_the_world_from_snapshots(world: Any, spawn: Callable[..., Any]) -> None:
    cars = [spawn(CAR, place) for place in (0, 12, 24)]
    for number, car in enumerate(cars):
        car.apply_control(carla.VehicleControl(throttle=0.3 + 0.2 * number))
    speeds: dict[int, list[float]] = {car.id: [] for car in cars}
    poses: dict[int, list[Any]] = {car.id: [] for car in cars}
    for _ in range(20):
        world.tick()
        snapshot = world.get_snapshot()
        assert snapshot.timestamp.delta_seconds == pytest.approx(DELTA_S)
        for car in cars:
            assert snapshot.has_actor(car.id)
            own = snapshot.find(car.id)
            speeds[car.id].append(own.get_velocity().length())
            poses[car.id].append(own.get_transform().location)
    for car in cars:
        told, at = speeds[car.id], poses[car.id]
        moved = [after.distance(before) / DELTA_S for before, after in itertools.pairwise(at)]
        # A tick's way is between the speeds at its ends; a velocity that belongs to another tick would not fit.
        assert all(
            min(a, b) - 0.02 <= way <= max(a, b) + 0.02
            for (a, b), way in zip(itertools.pairwise(told), moved, strict=True)
        )
    assert speeds[cars[2].id][-1] > speeds[cars[1].id][-1] > speeds[cars[0].id][-1] > 0.2
    found = [actor for actor in world.get_actors() if actor.attributes.get("role_name") == "autopilot"]
    assert {actor.id for actor in found} == {car.id for car in cars}


def test_walkers_walk_by_control_and_by_their_own_head(world: Any, town_client: Any) -> None:
    library = world.get_blueprint_library()
    batch = []
    for blueprint in list(library.filter("walker.pedestrian.*"))[:8]:
        place = world.get_random_location_from_navigation()
        assert place is not None
        batch.append(carla.command.SpawnActor(blueprint, carla.Transform(place)))
    ids = [answer.actor_id for answer in town_client.apply_batch_sync(batch, True) if not answer.has_error()]
    assert len(ids) >= 6
    brain = library.find("controller.ai.walker")
    spawns = [carla.command.SpawnActor(brain, carla.Transform(), one) for one in ids[1:]]
    controllers = [answer.actor_id for answer in town_client.apply_batch_sync(spawns, True)]
    minds = world.get_actors(controllers)
    world.tick()
    for mind in minds:
        mind.start()
        mind.go_to_location(world.get_random_location_from_navigation())
        mind.set_max_speed(1.4)
    by_hand = world.get_actor(ids[0])
    by_hand.apply_control(carla.WalkerControl(carla.Vector3D(1.0, 0.0, 0.0), 1.5))
    walkers = world.get_actors(ids)
    world.tick()
    before = {walker.id: walker.get_location() for walker in walkers}
    for _ in range(100):
        world.tick()
    ways = {walker.id: walker.get_location().distance(before[walker.id]) for walker in walkers}
    assert ways[by_hand.id] == pytest.approx(100 * DELTA_S * 1.5, abs=0.2)
    assert sum(2.0 < ways[one] < 8.0 for one in ids[1:]) >= len(ids) - 3
    for mind in minds:
        mind.stop()


ASYNCHRONOUS = """
import json, sys, time
import carla
client = carla.Client("127.0.0.1", int(sys.argv[1]))
client.set_timeout(60.0)
world = client.get_world()
settings = world.get_settings()
before, began = world.tick(), time.monotonic()
settings.synchronous_mode, settings.fixed_delta_seconds = False, None
world.apply_settings(settings)
car = world.spawn_actor(world.get_blueprint_library().find("vehicle.audi.tt"), world.get_map().get_spawn_points()[0])
first = world.wait_for_tick()
car.apply_control(carla.VehicleControl(throttle=0.5))
for _ in range(30):
    world.wait_for_tick()
last = world.get_snapshot()
told = {
    "ticks": last.frame - first.frame,
    "simulated_s": last.timestamp.elapsed_seconds - first.timestamp.elapsed_seconds,
    "ticks_of_the_clock": last.frame - before,
    "wall_s": time.monotonic() - began,
    "speed_mps": car.get_velocity().length(),
}
car.destroy()
print(json.dumps(told))
"""


def test_asynchronous_clients_see_time_pass_by_itself(server: Any, world: Any) -> None:
    assert world.get_settings().synchronous_mode
    done = subprocess.run(
        [sys.executable, "-c", ASYNCHRONOUS, str(server.port)],
        capture_output=True,
        text=True,
        timeout=300.0,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["ticks"] >= 30
    assert told["simulated_s"] == pytest.approx(told["ticks"] * DELTA_S, rel=1e-3)
    # The server's clock is the wall's; on a busy machine it may fall behind, never run ahead. All of these ticks
    # passed within that time, however late the client heard of them.
    assert told["wall_s"] > told["ticks_of_the_clock"] * DELTA_S - 0.15
    assert told["speed_mps"] > 1.0
    time.sleep(0.1)
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, DELTA_S
    world.apply_settings(settings)
    frame = world.tick()
    time.sleep(0.3)
    assert world.tick() == frame + 1  # nobody else ticks any more
