"""Any world as a Gymnasium environment."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from simloop.errors import ConfigurationError
from simloop.gym_env import WorldEnv
from simloop.spec import ParameterRange, Scenario, ScenarioFamily
from simloop.testing import BrakingWall, DelayedIntegrator
from simloop.world import Frame, SensorKind, SensorSpec, WorldSpec

FAMILY = ScenarioFamily(
    name="toy",
    world="toy",
    parameters={"start_m": ParameterRange(low=0, high=1)},
    instruction="Do it.",
    time_limit_ns=500_000_000,
)
ENV_ID = "simloop/TestToy-v0"


class Seen(DelayedIntegrator):
    """The delayed integrator, started at a scenario parameter, with two cameras and an object list."""

    def __init__(self, *, brightness: int = 1) -> None:
        super().__init__()
        self._brightness = brightness
        fields = {name: getattr(self._spec, name) for name in WorldSpec.__dataclass_fields__}
        cameras = tuple(
            SensorSpec(
                name=name,
                kind=SensorKind.CAMERA,
                shape=(4, 6, 3),
                dtype="uint8",
                period_ns=50_000_000,
                payload_bytes=72,
            )
            for name in ("front_camera", "rear_camera")
        )
        objects = SensorSpec(
            name="objects",
            kind=SensorKind.OBJECTS,
            shape=(2, 3),
            dtype="float32",
            period_ns=50_000_000,
            payload_bytes=24,
        )
        self._spec = WorldSpec(**{**fields, "sensors": (*self._spec.sensors, *cameras, objects)})

    expected: tuple[str, ...] = ()

    def expect_captures(self, sensors: Collection[str]) -> None:
        self.expected = tuple(sensors)

    def initial_state(self, scenario: Scenario, seed: int) -> Any:
        return np.array([float(scenario.parameters["start_m"])])

    def capture(self, sensor: str, index: int) -> Frame:
        spec = self._spec.sensor(sensor)
        if sensor == "state":
            return super().capture(sensor, index)
        value = self._brightness * (index + 1)
        now_ns = self._now_ns
        return Frame(
            sensor=sensor,
            index=index,
            captured_at_ns=now_ns,
            render=lambda: np.full(spec.shape, value, dtype=spec.dtype),
        )


@pytest.fixture
def env_id() -> Iterator[str]:
    def make(**settings: Any) -> WorldEnv:
        return WorldEnv(Seen, FAMILY, **settings)

    gymnasium.register(ENV_ID, entry_point=make)
    yield ENV_ID
    del gymnasium.registry[ENV_ID]


@pytest.mark.parametrize("make", [Seen, DelayedIntegrator, BrakingWall])
def test_gymnasiums_checker_has_nothing_to_warn_of(make: Any, env_id: str) -> None:
    gymnasium.registry[env_id].entry_point = lambda **settings: WorldEnv(make, FAMILY, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(env_id, disable_env_checker=True)
        check_env(env.unwrapped)
        env.close()


def test_four_copies_step_as_one(env_id: str) -> None:
    single = gymnasium.make(env_id)
    expected, _ = single.reset(seed=5)
    many = gymnasium.make_vec(env_id, num_envs=4)
    observation, _ = many.reset(seed=5)
    assert observation["agent_pos"].shape == (4, 1)
    assert observation["pixels"]["front_camera"].shape == (4, 4, 6, 3)
    assert observation["agent_pos"][0] == expected["agent_pos"]
    assert len(np.unique(observation["agent_pos"])) == 4
    steps = [many.step(many.action_space.sample() * 0) for _ in range(3)]
    observation, reward, terminated, truncated, _ = steps[-1]
    assert observation["environment_state"].tolist() == np.full((4, 2, 3), 4.0).tolist()
    assert not reward.any()
    assert not terminated.any()
    assert not truncated.any()
    single.close()
    many.close()


def test_the_time_limit_truncates_and_the_verdict_terminates() -> None:
    env = WorldEnv(Seen, FAMILY)
    _, info = env.reset(seed=1)
    assert info["is_success"] is False
    assert info["simloop"]["family"] == "toy"
    ends = [env.step(np.zeros(1, dtype=np.float32))[2:4] for _ in range(10)]
    assert ends == [(False, False)] * 9 + [(False, True)]
    wall = WorldEnv(
        BrakingWall, FAMILY, world_config={"speed_mps": 2.0, "gap_m": 20.0, "deceleration_mps2": 10.0}
    )
    wall.reset(seed=0)
    steps = [wall.step(np.ones(1, dtype=np.float32)) for _ in range(4)]
    # 2 m/s at 10 m/s2: standstill after 0.2 s.
    assert [s[2] for s in steps] == [False, False, False, True]
    assert [s[1] for s in steps] == [0.0, 0.0, 0.0, 1.0]
    assert steps[-1][4]["is_success"] is True
    assert steps[-1][4]["simloop"]["reason"] == "goal"


def test_actions_are_scaled_to_the_bounds_unless_the_worlds_units_are_asked_for() -> None:
    def moved(action: float, **settings: Any) -> float:
        env = WorldEnv(DelayedIntegrator, FAMILY, **settings)
        before, _ = env.reset(seed=0)
        after, *_ = env.step(np.array([action], dtype=np.float32))
        return float((after["agent_pos"] - before["agent_pos"])[0])

    assert moved(0.5) == 0.5e6
    assert moved(-1.0) == -1e6
    assert moved(0.5, normalise_actions=False) == 0.5
    raw = WorldEnv(DelayedIntegrator, FAMILY, normalise_actions=False).action_space
    assert isinstance(raw, gymnasium.spaces.Box)
    assert (raw.low[0], raw.high[0]) == (-1e6, 1e6)


def test_parameters_can_be_fixed_and_seeds_repeat() -> None:
    env = WorldEnv(Seen, FAMILY)
    observation, info = env.reset(seed=3, options={"parameters": {"start_m": 0.25}})
    assert observation["agent_pos"] == [0.25]
    assert info["simloop"]["parameters"] == {"start_m": 0.25}
    drawn = [env.reset(seed=3)[0]["agent_pos"], env.reset()[0]["agent_pos"], env.reset()[0]["agent_pos"]]
    again = [env.reset(seed=3)[0]["agent_pos"], env.reset()[0]["agent_pos"], env.reset()[0]["agent_pos"]]
    assert np.array_equal(drawn, again)
    assert len(np.unique(drawn)) == 3
    with pytest.raises(ConfigurationError, match=r"unknown parameter 'x'; toy has: start_m"):
        env.reset(options={"parameters": {"x": 1}})


def test_sensors_can_be_chosen_and_the_first_camera_renders() -> None:
    env = WorldEnv(
        Seen, FAMILY, sensors=("rear_camera",), render_mode="rgb_array", world_config={"brightness": 9}
    )
    observation, _ = env.reset(seed=0)
    assert list(observation) == ["pixels"]
    assert env.observation_space.contains(observation)
    picture = env.render()
    assert picture is not None
    assert picture.shape == (4, 6, 3)
    assert picture.dtype == np.uint8
    assert set(picture.ravel().tolist()) == {9}
    assert env.metadata == {"render_modes": ["rgb_array"], "render_fps": 20}
    assert WorldEnv(Seen, FAMILY).render() is None
    assert [list(env.drain()), env.task, env.task_description] == [["state"], "toy", "Do it."]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"sensors": ("state", "objects")}, ("state", "objects")),
        ({"sensors": ("state",), "render_mode": "rgb_array"}, ("state", "front_camera")),
    ],
)
def test_the_world_is_told_what_will_be_captured_pictures_that_are_rendered_later_too(
    settings: dict[str, Any], expected: tuple[str, ...]
) -> None:
    env = WorldEnv(Seen, FAMILY, **settings)
    env.reset(seed=0)
    assert isinstance(env.world, Seen)
    assert env.world.expected == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sensors": ("lidar",)}, r"Unknown sensors \['lidar'\]; delayed_integrator has: state"),
        ({"render_mode": "human"}, r"render_mode is 'human'; delayed_integrator allows: \[None\]"),
        ({"render_mode": "rgb_array"}, r"render_mode is 'rgb_array'; delayed_integrator allows: \[None\]"),
    ],
)
def test_what_the_world_does_not_have(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        WorldEnv(DelayedIntegrator, FAMILY, **settings)


def test_a_step_needs_a_reset() -> None:
    with pytest.raises(gymnasium.error.ResetNeeded, match="Call reset before step"):
        WorldEnv(Seen, FAMILY).step(np.zeros(1, dtype=np.float32))
