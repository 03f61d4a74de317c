"""The server through the unmodified client: connecting, actors, maps, lights, weather, batches."""

from __future__ import annotations

import math
import socket
import struct
from typing import TYPE_CHECKING, Any

import carla
import msgpack
import numpy as np
import pytest

from tests.carla.patience import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL3 = "vehicle.tesla.model3"


def test_the_client_connects_and_sees_the_map(world: Any, server: Any) -> None:
    client = server.client()
    assert client.get_server_version() == client.get_client_version() == "0.9.16"
    own = world.get_map()
    assert own.name == "Carla/Maps/town"
    assert len(own.get_spawn_points()) > 50
    for point in own.get_spawn_points()[::20]:
        lane = own.get_waypoint(point.location)
        assert lane.transform.location.distance(point.location) < 0.5
        assert abs(math.remainder(lane.transform.rotation.yaw - point.rotation.yaw, 360.0)) < 2.0


def test_a_vehicle_drives_as_its_controls_say(world: Any, spawn: Callable[..., Any]) -> None:
    car = spawn(MODEL3)
    start = car.get_transform()
    assert start.location.z == 0.0
    car.apply_control(carla.VehicleControl(throttle=0.6, steer=0.2))
    for _ in range(60):
        world.tick()
    turned = math.remainder(car.get_transform().rotation.yaw - start.rotation.yaw, 360.0)
    assert turned > 1.0  # steering to the right raises the yaw
    velocity = car.get_velocity()
    assert velocity.length() > 3.0
    heading = car.get_transform().get_forward_vector()
    assert (velocity.x * heading.x + velocity.y * heading.y) / velocity.length() > 0.95
    car.apply_control(carla.VehicleControl(brake=1.0))
    for _ in range(60):
        world.tick()
    assert car.get_velocity().length() < 0.01
    car.apply_control(carla.VehicleControl(throttle=0.5, reverse=True))
    before = car.get_transform()
    for _ in range(40):
        world.tick()
    way = car.get_transform().location - before.location
    assert way.x * before.get_forward_vector().x + way.y * before.get_forward_vector().y < -0.5


def test_two_runs_give_the_same_snapshots(server: Any) -> None:
    def trace() -> list[tuple[float, ...]]:
        world = server.client().load_world("town")
        settings = world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
        world.apply_settings(settings)
        points = world.get_map().get_spawn_points()
        blueprint = world.get_blueprint_library().find(MODEL3)
        cars = [world.spawn_actor(blueprint, point) for point in points[::11]]
        seen = []
        for tick in range(200):
            for number, car in enumerate(cars):
                control = carla.VehicleControl(
                    throttle=0.1 * (number % 7), steer=0.05 * math.sin(tick + number)
                )
                car.apply_control(control)
            world.tick()
            seen += [
                (p.location.x, p.location.y, p.rotation.yaw) for p in (car.get_transform() for car in cars)
            ]
        settings.synchronous_mode, settings.fixed_delta_seconds = False, None
        world.apply_settings(settings)
        return seen

    assert trace() == trace()


def test_what_cannot_be_spawned_says_why(world: Any, spawn: Callable[..., Any]) -> None:
    spawn(MODEL3)
    point = world.get_map().get_spawn_points()[0]
    library = world.get_blueprint_library()
    with pytest.raises(RuntimeError, match="Spawn failed because of collision at spawn position"):
        world.spawn_actor(library.find(MODEL3), point)
    assert world.try_spawn_actor(library.find(MODEL3), point) is None


def test_an_actor_that_is_destroyed_is_gone(world: Any, spawn: Callable[..., Any]) -> None:
    car = spawn(MODEL3)
    assert world.get_actors().find(car.id) is not None
    assert car.destroy()
    world.tick()
    assert world.get_actors().find(car.id) is None


def test_a_batch_spawns_and_drives(world: Any, server: Any) -> None:
    client = server.client()
    client.get_world()
    points = world.get_map().get_spawn_points()
    blueprint = world.get_blueprint_library().find(MODEL3)
    control = carla.VehicleControl(throttle=0.5)
    batch = [
        carla.command.SpawnActor(blueprint, point).then(
            carla.command.ApplyVehicleControl(carla.command.FutureActor, control)
        )
        for point in (points[0], points[0], points[20])
    ]
    replies = client.apply_batch_sync(batch, True)
    assert [bool(reply.error) for reply in replies] == [False, True, False]
    assert "collision" in replies[1].error
    for _ in range(20):
        world.tick()
    cars = world.get_actors([replies[0].actor_id, replies[2].actor_id])
    assert all(car.get_velocity().length() > 0.5 for car in cars)
    assert client.apply_batch_sync([carla.command.DestroyActor(10**6)], False)[0].error


def test_maps_load_and_documents_are_hosted(world: Any, server: Any) -> None:
    client = server.client()
    before = client.get_world().id
    car = client.get_world().spawn_actor(
        world.get_blueprint_library().find(MODEL3), world.get_map().get_spawn_points()[0]
    )
    other = client.load_world("highway")
    asked = [0, 7, "get_actor_bounding_box", [[False], car.id]]
    assert _call(server.port, msgpack.packb(asked))[0][3][0][0] == 1  # what threads of clients still ask for
    assert other.id != before
    assert other.get_map().name == "Carla/Maps/highway"
    with pytest.raises(RuntimeError, match="Map 'nowhere' not found"):
        client.load_world("nowhere")
    document = other.get_map().to_opendrive()
    hosted = client.generate_opendrive_world(document)
    assert hosted.get_map().name == "Carla/Maps/OpenDriveMap"
    assert hosted.get_map().to_opendrive() == document
    with pytest.raises(RuntimeError, match="opendrive could not be correctly parsed"):
        client.generate_opendrive_world("<OpenDRIVE></OpenDRIVE>")
    client.load_world("town")


def test_two_clients_see_the_same(world: Any, server: Any, spawn: Callable[..., Any]) -> None:
    car = spawn(MODEL3)
    other = server.client().get_world()
    world.tick()  # in synchronous mode the second client does not wait for its first snapshot by itself
    until(lambda: other.get_actors().find(car.id) is not None)
    seen = other.get_actors().find(car.id)
    assert seen.get_transform().location == car.get_transform().location
    assert other.tick() > world.get_snapshot().frame - 1


def test_lights_turn_and_obey(world: Any) -> None:
    lights = list(world.get_actors().filter("traffic.traffic_light*"))
    assert lights
    assert all(1 <= len(light.get_group_traffic_lights()) <= len(lights) for light in lights)
    states = set()
    for _ in range(400):
        world.tick()
        states.add(tuple(str(light.get_state()) for light in lights))
    assert len(states) > 2
    lights[0].freeze(True)
    lights[0].set_state(carla.TrafficLightState.Green)
    world.tick()
    assert lights[0].get_state() == carla.TrafficLightState.Green
    for light in lights:
        for waypoint in light.get_stop_waypoints():
            assert waypoint.transform.location.distance(light.get_location()) < 40.0


def test_walkers_walk(world: Any, spawn: Callable[..., Any]) -> None:
    walker = spawn("walker.pedestrian.0001")
    start = walker.get_location()
    walker.apply_control(carla.WalkerControl(carla.Vector3D(0.0, 1.0, 0.0), 1.5))
    for _ in range(40):
        world.tick()
    assert walker.get_location().y - start.y == pytest.approx(3.0, abs=0.1)


def test_weather_and_settings_come_back(world: Any) -> None:
    world.set_weather(carla.WeatherParameters.HardRainNoon)
    assert world.get_weather().precipitation == carla.WeatherParameters.HardRainNoon.precipitation
    assert world.get_settings().fixed_delta_seconds == pytest.approx(0.05)


def test_physics_can_be_described_and_changed(world: Any, spawn: Callable[..., Any]) -> None:
    car = spawn(MODEL3)
    physics = car.get_physics_control()
    assert physics.mass == pytest.approx(1850.0)
    physics.mass = 2500.0
    car.apply_physics_control(physics)
    world.tick()
    assert car.get_physics_control().mass == pytest.approx(2500.0)


def _call(port: int, *messages: bytes) -> list[Any]:
    unpacker = msgpack.Unpacker(raw=False)
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        for message in messages:
            connection.sendall(message)
        connection.settimeout(PATIENCE_S)
        answers: list[Any] = []
        while len(answers) < len(messages):
            data = connection.recv(65536)
            if not data:
                break
            unpacker.feed(data)
            answers += list(unpacker)
    return answers


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("fly", [[False]], "could not find function 'fly' with argument count 1"),
        ("tick_cue", [], "could not find function 'tick_cue' with argument count 0"),
        ("set_actor_location", [[True], 1, [1.0, 2.0]], "expected Vector3: an array of 3"),
        ("set_actor_location", [[True], 1, [1.0, math.nan, 2.0]], "expected a finite number"),
        ("get_actors_by_id", [[False], [-1]], "expected a whole number from 0 to 4294967295"),
        ("set_actor_simulate_physics", [[False], 1, 1], "expected true or false"),
    ],
)
def test_a_wrong_call_is_refused_with_a_reason(
    server: Any, name: str, arguments: list[Any], reason: str
) -> None:
    answer = _call(server.port, msgpack.packb([0, 7, name, arguments]))[0]
    assert answer[:2] == [1, 7]
    assert reason in answer[2]


def test_bytes_that_are_no_messages_end_only_their_connection(server: Any) -> None:
    draws = np.random.default_rng(5)
    for _ in range(300):
        noise = draws.bytes(int(draws.integers(1, 60)))
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as connection:
            connection.sendall(noise)
        with socket.create_connection(("127.0.0.1", server.stream_port), PATIENCE_S) as connection:
            connection.sendall(noise)
    with socket.create_connection(("127.0.0.1", server.stream_port), PATIENCE_S) as connection:
        connection.sendall(struct.pack("<I", 987654))  # a stream that does not exist stays open and silent
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError, match="timed out"):
            connection.recv(1)
    assert server.client().get_server_version() == "0.9.16"
