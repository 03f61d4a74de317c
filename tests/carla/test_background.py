"""Background traffic by TrafficManager beside a scenario: seen, logged, collided with, and gone afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from simloop.errors import WorldError
from simloop.scenario_files import load_family
from simloop.world import OutcomeState
from simloop_carla.world.background.places import AROUND_M
from simloop_carla.world.world import CarlaWorld
from simloop_driving.scenario.actor_state import ELSEWHERE, IS_ABSENT, PATH
from tests.carla.patience import until
from tests.carla.processes import runs

carla: Any = pytest.importorskip(
    "carla", reason="needs the carla client, which has no wheel for this platform"
)

TICK_NS = 50_000_000
NUM_VEHICLES = 6
HOLDER = """
import sys
from simloop.scenario_files import load_family
from simloop_carla.world.world import CarlaWorld
world = CarlaWorld(port=int(sys.argv[1]), background_vehicles=3, weather="HardRainNoon")
world.reset(load_family("signal_left").scenario(3), 3)
world.advance(100_000_000)
print(world._background._link._process.pid, flush=True)
sys.stdin.read()  # it ends with who started it
"""


def follow(world: CarlaWorld, num_ticks: int, speed_mps: float = 8.0) -> None:
    """Drives straight on at a speed until the episode ends."""
    world.reset(load_family("signal_left").scenario(3), 3)
    for tick in range(num_ticks):
        x_m, y_m, yaw_rad, _ = world.anchor().pose
        way_m = 0.05 * speed_mps
        world.actuate(
            np.array([x_m + way_m * np.cos(yaw_rad), y_m + way_m * np.sin(yaw_rad), yaw_rad, speed_mps])
        )
        world.advance((tick + 1) * TICK_NS)
        if world.outcome().state is not OutcomeState.RUNNING:
            break


@pytest.fixture(scope="module")
def busy_world(server: Any) -> Iterator[CarlaWorld]:
    """A world with background traffic on the shared server."""
    world = CarlaWorld(port=server.port, background_vehicles=NUM_VEHICLES)
    yield world
    world.close()


def _everybody(client: Any) -> list[Any]:
    """Returns the vehicles, people, things and sensors that are on a client's server."""
    world = client.get_world()
    until(lambda: world.get_snapshot().frame > 0)  # a new client knows of nobody before its first one
    return [actor for actor in world.get_actors() if not actor.type_id.startswith(("traffic.", "spectator"))]


def _background(client: Any) -> list[Any]:
    """Returns the vehicles of the background that are on a client's server."""
    return [actor for actor in _everybody(client) if actor.attributes.get("role_name") == "background"]


def test_it_drives_is_seen_and_is_logged_and_a_seed_repeats_it(busy_world: CarlaWorld) -> None:
    plays = []
    for _ in range(2):
        follow(busy_world, 60)
        start = busy_world._started()
        elsewhere = np.flatnonzero(start.actors[PATH] == ELSEWHERE)
        assert elsewhere.tolist() == list(range(start.actors.shape[1] - NUM_VEHICLES, start.actors.shape[1]))
        numbers = [vehicle["actor"] for vehicle in busy_world.log_attributes()["background"]]
        assert numbers == elsewhere.tolist()
        seen = busy_world.capture("objects", 60).array
        assert np.count_nonzero(seen[:, 0]) == np.count_nonzero(start.actors[IS_ABSENT] == 0.0) - 1
        plays.append(dict(busy_world.drain()))
    rows, again = plays
    table, actors = rows["background"], rows["actors"]
    assert len(table["t_ns"]) == 60 * NUM_VEHICLES
    for number in numbers:
        own, other = table["actor"] == number, actors["actor"] == number
        places = np.stack([actors["x_m"], actors["y_m"]], axis=1)
        away = np.hypot(*(places[actors["actor"] == 0][0] - places[other][0]))
        assert away > AROUND_M
        # From the first tick on both tables say the same.
        for name in ("x_m", "y_m", "yaw_rad", "speed_mps"):
            assert np.allclose(table[name][own], actors[name][other][1:], atol=1e-9), name
    moved = np.asarray(table["speed_mps"])[-NUM_VEHICLES:]
    assert np.count_nonzero(moved > 2.0) >= NUM_VEHICLES // 2
    for name in ("x_m", "y_m", "yaw_rad", "speed_mps"):
        assert np.array_equal(table[name], again["background"][name]), name


def test_other_seeds_put_it_elsewhere(busy_world: CarlaWorld) -> None:
    places = []
    for seed in (3, 4):
        busy_world.reset(load_family("signal_left").scenario(3), seed)
        places.append(busy_world._background._now[:, :2].copy())  # type: ignore[union-attr]
    assert not np.allclose(places[0], places[1])


def test_a_collision_with_it_ends_the_episode_and_is_recorded(busy_world: CarlaWorld, server: Any) -> None:
    busy_world.reset(load_family("signal_left").scenario(3), 3)
    background = busy_world._background
    assert background is not None
    x_m, y_m, yaw_rad, speed_mps = busy_world.anchor().pose
    ahead = carla.Location(x_m + 9.0 * np.cos(yaw_rad), -(y_m + 9.0 * np.sin(yaw_rad)), 0.3)
    victim = background._vehicles[0].actor
    victim.set_transform(carla.Transform(ahead, carla.Rotation(0.0, -np.degrees(yaw_rad) + 90.0, 0.0)))
    victim.set_simulate_physics(False)
    for tick in range(40):
        pose = busy_world.anchor().pose
        way_m = 0.05 * speed_mps
        x_m, y_m = pose[0] + way_m * np.cos(yaw_rad), pose[1] + way_m * np.sin(yaw_rad)
        busy_world.actuate(np.array([x_m, y_m, yaw_rad, speed_mps]))
        busy_world.advance((tick + 1) * TICK_NS)
        if busy_world.outcome().state is not OutcomeState.RUNNING:
            break
    assert busy_world.outcome().reason == "collision"
    collisions = busy_world.drain()["collisions"]
    assert list(collisions["actor"]) == [busy_world.log_attributes()["background"][0]["actor"]]
    assert collisions["impact_speed_mps"][0] > 1.0


def test_a_collision_that_only_the_server_saw_is_recorded(busy_world: CarlaWorld) -> None:
    busy_world.reset(load_family("signal_left").scenario(3), 3)
    background, state = busy_world._background, busy_world._started()
    assert background is not None
    vehicle = background._vehicles[2]

    class Event:
        other_actor = vehicle.actor

    contacts = np.zeros_like(busy_world._contacts)
    contacts[0] = -1.0
    background.note_hit(Event(), state, busy_world._ego, contacts, 7)
    column = background._first_column + 2
    assert np.flatnonzero(contacts[0] >= 0.0).tolist() == [column]
    assert contacts[0, column] == 7.0


def test_nothing_of_it_is_left(busy_world: CarlaWorld, server: Any) -> None:
    busy_world.close()
    settings = server.client().get_world().get_settings()
    own = CarlaWorld(port=server.port, background_vehicles=4)
    own.reset(load_family("signal_left").scenario(3), 3)
    own.advance(2 * TICK_NS)
    assert len(_background(server.client())) == 4
    link = own._background._link  # type: ignore[union-attr]
    assert link is not None
    own.close()
    assert _background(server.client()) == []
    assert not runs(link._process.pid)
    socket.create_server(("127.0.0.1", link.port)).close()
    assert server.client().get_world().get_settings() == settings


def test_a_manager_that_dies_is_replaced(busy_world: CarlaWorld, server: Any) -> None:
    scenario = load_family("signal_left").scenario(3)
    busy_world.reset(scenario, 3)
    link = busy_world._background._link  # type: ignore[union-attr]
    assert link is not None
    os.kill(link._process.pid, signal.SIGKILL)
    with pytest.raises(WorldError, match=r"The TrafficManager \(port \d+\) .* failed at 'tick'"):
        busy_world.advance(2 * TICK_NS)
    assert _background(server.client()) == []
    busy_world.reset(scenario, 3)
    busy_world.advance(2 * TICK_NS)
    assert len(_background(server.client())) == NUM_VEHICLES


def test_a_client_that_is_killed_leaves_the_server_as_it_was(busy_world: CarlaWorld, server: Any) -> None:
    busy_world.close()
    assert _everybody(server.client()) == []
    found = server.client().get_world()
    settings, weather = found.get_settings(), found.get_weather()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(server.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    manager = int(holder.stdout.readline())
    assert len(_background(server.client())) == 3
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    until(lambda: not runs(manager))
    client = server.client()
    until(lambda: _everybody(client) == [])
    until(lambda: client.get_world().get_settings() == settings)
    assert client.get_world().get_weather() == weather


def test_a_server_that_dies_takes_the_manager_along() -> None:
    world = CarlaWorld(background_vehicles=2, patience_s=10.0)
    scenario = load_family("signal_left").scenario(3)
    world.reset(scenario, 3)
    world.advance(TICK_NS)
    own, link = world._connection.own, world._background._link  # type: ignore[union-attr]
    assert own is not None
    assert link is not None
    os.kill(own.pid, signal.SIGKILL)
    with pytest.raises(WorldError, match=r"The CARLA server at 127\.0\.0\.1:\d+ "):
        world.advance(3 * TICK_NS)
    assert not runs(link._process.pid)
    world.reset(scenario, 3)
    world.advance(TICK_NS)
    world.close()


def test_a_map_without_room_for_it_is_named(server: Any) -> None:
    own = CarlaWorld(port=server.port, background_vehicles=200)
    with pytest.raises(WorldError, match=r"has room for \d+ of 200 background vehicles .*Ask for fewer"):
        own.reset(load_family("roundabout").scenario(0), 0)
    own.close()


def test_a_port_in_use_is_named(server: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        own = CarlaWorld(port=server.port, background_vehicles=1, traffic_manager_port=port)
        with pytest.raises(WorldError, match=rf"cannot have the port {port} \(world\.traffic_manager_port\)"):
            own.reset(load_family("signal_left").scenario(3), 3)
        own.close()
