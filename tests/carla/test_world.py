"""``CarlaWorld`` against the server: the same course as the embedded world, and what happens when something fails."""

from __future__ import annotations

import os
import signal
import socket
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import simloop_driving  # noqa: F401 - registers the ids
from simloop.agent import Call, InferenceRequest
from simloop.compose import component, make_agent
from simloop.errors import WorldError
from simloop.scenario_files import load_family
from simloop.world import OutcomeState, World
from simloop_carla.world.world import CarlaWorld
from simloop_driving.world import DrivingWorld

REPLAN_TICKS = 8
TICK_NS = 50_000_000


def play(world: World, family: str, seed: int, num_ticks: int) -> tuple[np.ndarray[Any, Any], str]:
    """Plays the expert, who replans every 8 ticks; returns (n, 4) poses and the verdict."""
    scenario = load_family(family).scenario(seed)
    world.reset(scenario, seed)
    agent = make_agent(component("agent", "expert"))
    spec = world.spec
    embodiment = next(e for e in agent.spec.embodiments if e.action_space == spec.action.name)
    there = {sensor.name for sensor in spec.sensors}
    names = [*embodiment.observations, *(n for n in embodiment.optional_observations if n in there)]
    poses: list[Any] = []
    chunk = np.empty((0, 0))
    for tick in range(num_ticks):
        if tick % REPLAN_TICKS == 0:
            anchor = world.anchor()
            request = InferenceRequest(
                episode_id="one",
                call=Call.POLICY,
                embodiment=spec.action.name,
                observation={name: world.capture(name, tick).array for name in names},
                age_ns=dict.fromkeys(names, 0),
                instruction="",
                anchor=anchor,
                observation_tick=tick,
                predicted_delay_ticks=0,
                draw_key=(0, 0),
            )
            actions = agent.infer([request])[0].actions
            assert actions is not None
            chunk = spec.action.to_world(actions, anchor)
        world.actuate(chunk[tick % REPLAN_TICKS])
        world.advance((tick + 1) * TICK_NS)
        poses.append(world.anchor().pose.copy())
        if world.outcome().state is not OutcomeState.RUNNING:
            break
    return np.array(poses), world.outcome().reason


@pytest.fixture(scope="module")
def carla_world() -> Iterator[CarlaWorld]:
    """A world with a server of its own."""
    world = CarlaWorld()
    yield world
    world.close()


@pytest.mark.parametrize(("family", "fixed_delta_ms"), [("cut_in", 50), ("pedestrian_crossing", 10)])
def test_the_course_is_that_of_the_embedded_world(server: Any, family: str, fixed_delta_ms: int) -> None:
    config = {**load_family(family).world_config, "vehicle": "midsize_saloon"}
    wanted, verdict = play(DrivingWorld(**config), family, 3, 200)
    world = CarlaWorld(port=server.port, fixed_delta_ms=fixed_delta_ms, **config)
    got, got_verdict = play(world, family, 3, 200)
    assert got_verdict == verdict
    count = min(len(wanted), len(got))
    assert abs(len(wanted) - len(got)) <= 1
    # Controls are held for a tick in place of 10 ms, and everything travels as 32-bit numbers.
    assert np.hypot(*(wanted[:count, :2] - got[:count, :2]).T).max() < 0.05
    rows = world.drain()
    assert len(rows["motion"]["t_ns"]) == len(got) * 50 // fixed_delta_ms + 1
    assert np.max(rows["tracking"]["position_error_m"]) < 0.02
    world.close()


def test_pictures_are_the_servers(carla_world: CarlaWorld) -> None:
    embedded = DrivingWorld()
    scenario = load_family("cut_in").scenario(1)
    images = []
    for world in (embedded, carla_world):
        world.reset(scenario, 1)
        first = world.capture("front_camera", 0).array
        world.actuate(np.array([*world.anchor().pose[:3], 20.0]))
        world.advance(TICK_NS)
        images.append(
            (first, world.capture("front_camera", 1).array, world.capture("front_camera_past", 1).array)
        )
    for drawn, served in zip(*images, strict=True):
        assert served.shape == drawn.shape
        assert np.abs(served.astype(int) - drawn.astype(int)).mean() < 3.0


def test_a_server_that_is_killed_is_replaced(carla_world: CarlaWorld) -> None:
    scenario = load_family("cut_in").scenario(0)
    carla_world.reset(scenario, 0)
    own = carla_world._connection.own
    assert own is not None
    os.kill(own.pid, signal.SIGKILL)
    with pytest.raises(WorldError, match=r"The CARLA server at 127\.0\.0\.1:\d+ failed at a tick"):
        carla_world.advance(3 * TICK_NS)
    carla_world.reset(scenario, 0)
    carla_world.advance(TICK_NS)
    assert carla_world.outcome().state is OutcomeState.RUNNING


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_without_a_server_the_error_says_what_to_do() -> None:
    world = CarlaWorld(port=_closed_port())
    with pytest.raises(WorldError, match=r"No CARLA server listens at .*simloop carla-server --port"):
        world.reset(load_family("cut_in").scenario(0), 0)
    world.close()


def test_settings_and_actors_are_left_as_they_were_found(server: Any, world: Any) -> None:
    before = {actor.id for actor in world.get_actors()}
    settings = world.get_settings()
    own = CarlaWorld(port=server.port, vehicle_blueprint="vehicle.lincoln.mkz_2020")
    own.reset(load_family("signal_left").scenario(0), 0)
    own.advance(TICK_NS)
    own.close()
    after = server.client().get_world()
    after.tick()
    assert {
        a.type_id for a in after.get_actors() if a.type_id.startswith(("vehicle", "sensor", "walker"))
    } == set()
    assert after.get_settings() == settings
    assert before


def test_another_blueprint_is_itself_and_is_steered_as_its_physics_want(server: Any) -> None:
    world = CarlaWorld(port=server.port, vehicle_blueprint="vehicle.tesla.model3")
    play(world, "roundabout", 3, 300)
    played = world._connection.episode
    assert played is not None
    ego = played.ego.actor
    assert ego.type_id == "vehicle.tesla.model3"
    assert world._vehicle.length_m == pytest.approx(2.0 * ego.bounding_box.extent.x, abs=1e-4)
    # Its wheels turn twice as far as those of the vehicle that foresees it, whose shares would put it 12 mm off.
    assert np.max(world.drain()["tracking"]["position_error_m"]) < 0.006
    world.close()


def test_unknown_blueprints_are_named(server: Any) -> None:
    own = CarlaWorld(port=server.port, vehicle_blueprint="vehicle.nobody.nothing")
    with pytest.raises(WorldError, match=r"no blueprint 'vehicle\.nobody\.nothing' for the ego"):
        own.reset(load_family("cut_in").scenario(0), 0)
    own.close()


def test_the_gymnasium_view_is_sound(server: Any) -> None:
    env = gymnasium.make(
        "simloop/CutIn-v0", world="carla", port=server.port, sensors=("ego_state", "objects")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)
    env.close()
