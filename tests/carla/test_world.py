"""``CarlaWorld`` against the server: the same course as the embedded world, and what happens when something fails."""

from __future__ import annotations

import importlib.resources
import os
import re
import signal
import warnings
from types import SimpleNamespace
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
from simloop_carla.world.link.client import Address
from simloop_carla.world.maps import LOADING_PATIENCE_S, use_map
from simloop_carla.world.world import CarlaWorld
from simloop_driving.world import DrivingWorld
from tests.carla.ports import free_port

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


def test_without_a_server_the_error_says_what_to_do() -> None:
    world = CarlaWorld(port=free_port())
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


@pytest.mark.parametrize(
    "name",
    [
        "vehicle.nobody.nothing",
        "vehicle.*",
        "*",
        "walker.pedestrian.0001",
        "sensor.camera.rgb",
        "static.prop.trafficcone01",
    ],
)
def test_blueprints_of_no_vehicle_are_named(server: Any, name: str) -> None:
    own = CarlaWorld(port=server.port, vehicle_blueprint=name)
    said = rf"no blueprint '{re.escape(name)}' of a vehicle for the ego.* such as vehicle\..*, vehicle\."
    with pytest.raises(WorldError, match=said):
        own.reset(load_family("cut_in").scenario(0), 0)
    own.close()


@pytest.mark.parametrize(("is_frozen", "is_killed"), [(True, False), (False, False), (True, True)])
def test_lights_show_again_what_they_showed(server: Any, is_frozen: bool, is_killed: bool) -> None:
    scenario = load_family("signal_left").scenario(3)
    own = CarlaWorld(port=server.port)
    own.reset(scenario, 3)
    own.close()  # the map stays
    there = server.client().get_world()
    settings = there.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    there.apply_settings(settings)
    there.tick()
    lights = there.get_actors().filter("traffic.traffic_light*")
    assert len(lights) > 1
    off = type(lights[0].get_state()).Off
    for light in lights:
        light.set_state(off)
    lights[0].freeze(is_frozen)
    own = CarlaWorld(port=server.port)
    for _ in range(2):  # the second one finds what the first one shows
        own.reset(scenario, 3)
        own.advance(TICK_NS)
    assert all(light.is_frozen() for light in lights)
    assert any(light.get_state() != off for light in lights)
    if is_killed:  # its caretaker is left alone
        session = own._connection._session
        assert session is not None and session._caretaker is not None
        session._caretaker.dismiss(is_done=False)
        session._caretaker.await_end(60.0)
    else:
        own.close()
    there.tick()
    assert {light.is_frozen() for light in lights} == {is_frozen}
    assert {light.get_state() for light in lights} == {off}
    own.close()
    lights[0].freeze(False)
    there.reset_all_traffic_lights()
    settings.synchronous_mode, settings.fixed_delta_seconds = False, None
    there.apply_settings(settings)


def test_weather_that_a_new_map_brings_is_not_taken_for_what_was_found(server: Any) -> None:
    there = server.client().get_world()
    before = there.get_weather()
    found = type(before).HardRainSunset
    there.set_weather(found)
    own = CarlaWorld(port=server.port, weather="ClearNoon")
    for family in ("cut_in", "cyclist_crossing"):  # on two maps
        own.reset(load_family(family).scenario(0), 0)
    own.close()
    there = server.client().get_world()
    assert there.get_weather() == found
    there.set_weather(before)


@pytest.mark.parametrize("is_town", [True, False])
def test_maps_have_the_time_that_a_large_one_takes(is_town: bool) -> None:
    allowed_s: list[float] = []
    document = (importlib.resources.files("simloop_scenarios") / "maps" / "straight_track.xodr").read_text()
    client = SimpleNamespace(set_timeout=allowed_s.append, get_available_maps=lambda: ["/Game/Maps/here"])
    during_s: list[float] = []
    session: Any = SimpleNamespace(
        client=client,
        address=Address(host="localhost", port=2000, patience_s=5.0),
        use_map=lambda name, opendrive: during_s.append(allowed_s[-1]),
        world=SimpleNamespace(get_map=lambda: SimpleNamespace(to_opendrive=lambda: document)),
    )
    scene: Any = SimpleNamespace(
        is_map_of_server=is_town, map_name="here" if is_town else "straight_track", where="here.yaml: scene"
    )
    assert (use_map(session, scene) is not None) == is_town
    assert during_s == [LOADING_PATIENCE_S]
    assert allowed_s == [LOADING_PATIENCE_S, 5.0]


def test_the_gymnasium_view_is_sound(server: Any) -> None:
    env = gymnasium.make(
        "simloop/CutIn-v0", world="carla", port=server.port, sensors=("ego_state", "objects")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)
    env.close()
