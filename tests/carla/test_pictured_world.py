"""The front camera on the server: when it is there, whose pictures it shows, and that it changes nothing else."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest

from simloop.agent import InferenceRequest
from simloop.errors import WorldError
from simloop.scenario_files import load_family
from simloop.spec import Case
from simloop.strategies.naive_async import NaiveAsync
from simloop.testing import ScriptedAgent, play
from simloop.timing.timing_config import timing_from_config
from simloop.world import World
from simloop_carla.world.pictures import ServerCamera
from simloop_carla.world.world import CarlaWorld
from simloop_driving.world import DrivingWorld

TICK_NS = 50_000_000


def course(
    world: World, family: str, seed: int, sensors: tuple[str, ...], num_ticks: int = 12
) -> dict[str, bytes]:
    """Plays a slight left turn; returns the bytes of what is seen, by sensor, and of the way."""
    world.reset(load_family(family).scenario(seed), seed)
    seen = dict.fromkeys(sensors, b"")
    for tick in range(num_ticks):
        for name in sensors:
            seen[name] += np.ascontiguousarray(world.capture(name, tick).array).tobytes()
        x_m, y_m, yaw_rad, speed_mps = world.anchor().pose
        action = (x_m + 0.5 * math.cos(yaw_rad), y_m + 0.5 * math.sin(yaw_rad), yaw_rad + 0.01, speed_mps)
        world.actuate(np.array(action))
        world.advance((tick + 1) * TICK_NS)
    rows = world.drain()
    tables = {name: rows[name] for name in ("motion", "actors", "tracking")}
    return {**seen, **{n: b"".join(np.asarray(v).tobytes() for v in t.values()) for n, t in tables.items()}}


STATE = ("ego_state", "objects")
WITH_CAMERA = (*STATE, "front_camera", "front_camera_past")


@pytest.mark.parametrize(
    ("family", "seed", "fixed_delta_ms"), [("cut_in", 1, 50), ("signal_left", 3, 50), ("cut_in", 2, 10)]
)
def test_an_episode_is_the_same_whatever_was_played_before_it_and_who_looks_at_it(
    server: Any, carla_world: CarlaWorld, family: str, seed: int, fixed_delta_ms: int
) -> None:
    first, second = (CarlaWorld(port=server.port, fixed_delta_ms=fixed_delta_ms) for _ in range(2))
    wanted = course(first, family, seed, WITH_CAMERA)
    plays = [course(first, family, seed, sensors) for sensors in (WITH_CAMERA, STATE, WITH_CAMERA)]
    first.close()
    plays += [
        course(second, family, seed, sensors) for sensors in (STATE, WITH_CAMERA)
    ]  # the camera comes later
    second.close()
    if fixed_delta_ms == 50:
        plays.append(course(carla_world, family, seed, WITH_CAMERA))  # another server
    for played in plays:
        assert played == {name: wanted[name] for name in played}


def test_who_looks_first_when_the_episode_is_under_way_is_told_to_look_at_its_start(server: Any) -> None:
    world = CarlaWorld(port=server.port)
    scenario = load_family("cut_in").scenario(1)
    world.reset(scenario, 1)
    world.advance(TICK_NS)
    for _ in range(2):
        with pytest.raises(
            WorldError,
            match=r"first looked at 0\.05 s into an episode .* next reset on .* expect_captures .* right after",
        ):
            world.capture("front_camera", 1)
    world.reset(scenario, 1)
    world.advance(TICK_NS)
    assert world.capture("front_camera", 1).array.shape == (96, 160, 3)
    world.close()


def test_a_gym_environment_keeps_a_camera_that_it_does_not_observe_once_somebody_has_looked(
    server: Any,
) -> None:
    env: Any = gymnasium.make("simloop/CutIn-v0", world="carla", sensors=("ego_state",), port=server.port)
    world = env.unwrapped.world
    env.reset(seed=1)
    env.step(np.zeros(4, dtype=np.float32))
    with pytest.raises(WorldError, match=r"From the next reset on it is there"):
        world.capture("front_camera", 1)
    seen = []
    for _ in range(2):
        observation, _ = env.reset(seed=1)
        assert list(observation) == ["agent_pos"]
        env.step(np.zeros(4, dtype=np.float32))
        seen.append(world.capture("front_camera", 1).array)
    assert np.array_equal(*seen)
    assert len(np.unique(seen[0])) > 20
    env.close()


@pytest.mark.parametrize(
    ("fixed_delta_ms", "phase_ms", "first_ns"), [(10, 20, 20_000_000), (50, 62.5, 50_000_000)]
)
def test_a_camera_that_is_first_captured_after_the_start_is_there_in_the_first_episode(
    server: Any, fixed_delta_ms: int, phase_ms: float, first_ns: int
) -> None:
    world = CarlaWorld(port=server.port, fixed_delta_ms=fixed_delta_ms)
    case = Case(scenario=load_family("cut_in").scenario(1), seed=1)
    timing = timing_from_config(name="late", capture={"camera": {"phase_ms": phase_ms}})
    seen: list[bytes] = []

    def plan(request: InferenceRequest) -> np.ndarray[Any, Any]:
        seen.append(np.array(request.observation["front_camera"]).tobytes())
        return np.linspace((0.4, 0.0, 0.0, 8.0), (12.8, 0.0, 0.0, 8.0), 32)

    agent, strategy = ScriptedAgent(world.spec, plan, horizon=32), NaiveAsync()
    first, again = (play(world, agent, case=case, timing=timing, strategy=strategy) for _ in range(2))
    captures = [first.column("captures", name) for name in ("sensor", "index", "captured_at_ns")]
    cameras = [row for row in zip(*captures, strict=True) if row[0] == "front_camera"]
    assert cameras[0] == ("front_camera", 0, first_ns)
    assert len(set(seen)) > 20
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]
    assert np.array_equal(
        first.column("world.motion", "position_m"), again.column("world.motion", "position_m")
    )
    world.close()


def test_there_is_no_camera_where_nobody_is_going_to_look(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawned: list[str] = []

    class Noted(ServerCamera):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            spawned.append(self.actor.type_id)

    monkeypatch.setattr("simloop_carla.world.server_episode.ServerCamera", Noted)
    world = CarlaWorld(port=server.port)
    for sensors, count in (
        (("ego_state", "front_camera"), 1),
        (("ego_state",), 1),
        (("front_camera_past",), 2),
    ):
        world.expect_captures(sensors)
        world.reset(load_family("cut_in").scenario(1), 1)
        world.advance(TICK_NS)
        assert spawned == ["sensor.camera.rgb"] * count, sensors
    world.close()


def test_pictures_between_control_ticks_and_old_ones_are_the_servers_too(server: Any) -> None:
    world = CarlaWorld(port=server.port, fixed_delta_ms=10)
    world.reset(load_family("cut_in").scenario(1), 1)
    start = world.capture("front_camera", 0)
    drawn = []
    for step in range(1, 50):  # longer than a past camera needs
        world.advance(step * TICK_NS // 5)
        drawn.append(world.capture("front_camera", step).array.copy())
        past = world.capture("front_camera_past", step).array
    assert np.array_equal(past, drawn[4])  # of the tick at 0.05 s, seen from 0.49 s
    assert not np.array_equal(start.array, drawn[0])
    embedded = DrivingWorld()
    embedded.reset(load_family("cut_in").scenario(1), 1)
    embedded.advance(TICK_NS // 5)
    # The server takes one sample a pixel where the embedded camera takes four.
    own = embedded.capture("front_camera", 1).array
    assert 0.0 < np.abs(own.astype(int) - drawn[0].astype(int)).mean() < 3.0
    world.close()
