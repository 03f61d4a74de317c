"""What the latency wrapper does inside a step, what it counts, and what it refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
import pytest

from simloop import LatencyWrapper
from simloop.errors import ConfigurationError, ParameterError
from simloop.gym_env import WorldEnv
from simloop.spec import ScenarioFamily
from simloop.testing import BrakingWall, DelayedIntegrator
from simloop.timing.compound import SceneDependent
from simloop.timing.distribution import Constant
from simloop.timing.stage_graph import FirstChunk, Stage, Timing, timing_from_config
from simloop.world import ActionSpec, Anchor, SensorKind

MS = 1_000_000
PERIOD_NS = 50 * MS
FAMILY = ScenarioFamily(name="toy", world="toy", parameters={}, time_limit_ns=2_000 * MS)
JITTER = {
    "distribution": "shifted_lognormal",
    "shift_ms": 20,
    "median_ms": 40,
    "sigma": 0.8,
    "ceiling_ms": 400,
}


def constant(value_ms: float) -> dict[str, Any]:
    return {"distribution": "constant", "value_ms": value_ms}


def effects_of(env: gymnasium.Env[Any, Any]) -> list[tuple[int, float]]:
    inner: Any = env.unwrapped
    effects: list[tuple[int, float]] = inner.world.effects
    return effects


def test_a_reset_cancels_what_is_under_way(recorded_clock: Any) -> None:
    env = LatencyWrapper(
        WorldEnv(recorded_clock, FAMILY, normalise_actions=False),
        timing={"inference": constant(120), "servers": 0, "first_chunk": "charged"},
        augment_actions=True,
    )
    env.reset(seed=1)
    for _ in range(5):
        env.step(np.array([9.0]))
    observation, info = env.reset(seed=1)
    effects_of(env).clear()
    assert info["latency"]["age_ns"] == {"state": 0}
    assert not observation["submitted_actions"].any()
    infos = [env.step(np.array([1.0]))[4]["latency"] for _ in range(4)]
    assert [i["acting_step"] for i in infos] == [-1, -1, -1, 0]
    assert [a for _, a in effects_of(env)] == [0.0, 0.0, 0.0, 1.0]


# --- what happens inside a step ------------------------------------------------------------------------------


def test_effects_and_captures_lie_inside_the_period_only_over_a_world(recorded_clock: Any) -> None:
    """7 ms of dead time: the world waits 7 ms, any other environment a whole step."""
    timing = {"actuation": constant(7), "capture": {"proprioception": {"period_ms": 20}}}
    env = LatencyWrapper(WorldEnv(recorded_clock, FAMILY, normalise_actions=False), timing=timing)
    env.reset(seed=0)
    infos = [env.step(np.array([float(k)]))[4]["latency"] for k in range(5)]
    assert effects_of(env) == [(k * PERIOD_NS + 7 * MS, float(k)) for k in range(5)]
    # Captures at 0, 20, 40, ...: at 50 ms the newest is 10 ms old, at 100 ms it is new.
    assert [i["age_ns"]["state"] // MS for i in infos] == [10, 0, 10, 0, 10]
    assert [i["observation_tick"] for i in infos] == [0, 2, 2, 4, 4]
    assert not infos[0]["is_quantised"]

    applied = _Applied()
    env = LatencyWrapper(applied, timing=timing, control_period_ns=PERIOD_NS)
    env.reset(seed=0)
    infos = [env.step(np.array([float(k + 1)], dtype=np.float32))[4]["latency"] for k in range(5)]
    assert applied.actions == [0.0, 1.0, 2.0, 3.0, 4.0]
    # What is due between two steps shows the state of the earlier one.
    assert [i["age_ns"]["observation"] // MS for i in infos] == [50, 0, 50, 0, 50]
    assert infos[0]["is_quantised"]


class _Applied(gymnasium.Env[Any, Any]):
    """Notes the actions; observes their number as a camera and as proprioception."""

    observation_space: Any = gymnasium.spaces.Box(0, 1e3, (1,))
    action_space: Any = gymnasium.spaces.Box(-10, 10, (1,))

    def __init__(self) -> None:
        self.actions: list[float] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.actions.clear()
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        self.actions.append(float(action[0]))
        return self._observe(), 0.0, False, False, {}

    def _observe(self) -> Any:
        return np.array([len(self.actions)], dtype=np.float32)


class _TwoSensors(_Applied):
    observation_space = gymnasium.spaces.Dict(
        {"eye": gymnasium.spaces.Box(0, 1e3, (1,)), "joints": gymnasium.spaces.Box(0, 1e3, (1,))}
    )

    def _observe(self) -> Any:
        return {"eye": super()._observe(), "joints": super()._observe()}


def test_the_parts_of_an_observation_have_ages_of_their_own() -> None:
    env = LatencyWrapper(
        _TwoSensors(),
        timing={"transport": {"camera": constant(100), "proprioception": constant(10)}},
        control_period_ns=PERIOD_NS,
        sensor_kinds={"eye": "camera"},
    )
    env.reset(seed=0)
    for _ in range(6):
        observation, *_, info = env.step(np.zeros(1, np.float32))
    assert (observation["eye"][0], observation["joints"][0]) == (4, 5)
    assert info["latency"]["age_ns"] == {"eye": 100 * MS, "joints": 50 * MS}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Relative(ActionSpec):
    """An offset from the state at the anchor's instant."""

    def to_world(self, actions: Any, anchor: Anchor) -> Any:
        return actions + anchor.pose[0]


class _Moving(DelayedIntegrator):
    """A clock in seconds, whose time is the pose that actions refer to, seen by a camera too."""

    def __init__(self) -> None:
        super().__init__(initial=0.0)
        camera = dataclasses.replace(self._spec.sensors[0], name="eye", kind=SensorKind.CAMERA)
        fields = {f.name: getattr(self._spec.action, f.name) for f in dataclasses.fields(ActionSpec)}
        self._spec = dataclasses.replace(
            self._spec, sensors=(camera, *self._spec.sensors), action=_Relative(**fields)
        )
        self.effects: list[tuple[int, float]] = []

    def next_state(self, period_s: float) -> Any:
        return self._state + period_s

    def anchor(self) -> Anchor:
        return Anchor(captured_at_ns=self._now_ns, pose=self._state.copy())

    def actuate(self, action: Any) -> None:
        self.effects.append((self._now_ns, float(action[0])))


def test_actions_are_relative_to_the_pose_of_the_observation_that_they_were_decided_on() -> None:
    """Also if the observation leaves the proprioception out, whose capture freezes the pose."""
    env = LatencyWrapper(
        WorldEnv(_Moving, FAMILY, normalise_actions=False, sensors=("eye",)),
        timing={"transport": {"proprioception": constant(100)}},
    )
    env.reset(seed=0)
    for _ in range(5):
        env.step(np.array([1.0]))
    assert [a for _, a in effects_of(env)] == pytest.approx([1.0, 1.0, 1.0, 1.05, 1.1])


@pytest.mark.parametrize(
    ("hold", "expected"),
    [("repeat", [0, 0, 0, 1, 1, 1, 3, 3, 3, 6]), ("null", [0, 0, 0, 1, 0, 0, 3, 0, 0, 6])],
)
def test_a_busy_server_drops_actions_and_the_hold_acts(hold: str, expected: list[int]) -> None:
    """140 ms on one server: submitted in steps 0, 2 and 5, started at 0, 140 and 280 ms, there at 140, 280, 420."""
    applied = _Applied()
    timing = {"inference": constant(140), "first_chunk": "charged"}
    env = LatencyWrapper(applied, timing=timing, control_period_ns=PERIOD_NS, hold=hold)
    env.reset(seed=0)
    infos = [env.step(np.array([float(k + 1)], dtype=np.float32))[4]["latency"] for k in range(10)]
    assert applied.actions == expected
    assert [i["acting_step"] for i in infos] == [-1, -1, -1, 0, -1, -1, 2, -1, -1, 5]
    assert [i["delay_ticks"] for i in infos] == [-1, -1, -1, 3, -1, -1, 4, -1, -1, 4]
    assert [i["num_dropped_actions"] for i in infos] == [0, 0, 1, 0, 1, 1, 0, 1, 1, 0]


def test_over_a_world_its_own_hold_acts_by_default(recorded_clock: Any) -> None:
    timing = {"inference": constant(140), "first_chunk": "charged"}
    found = []
    for hold in (None, "repeat"):
        env = LatencyWrapper(
            WorldEnv(recorded_clock, FAMILY, normalise_actions=False), timing=timing, hold=hold
        )
        env.reset(seed=0)
        for k in range(7):
            env.step(np.array([float(k + 1)]))
        found.append([a for _, a in effects_of(env)])
    # The integrator's hold is the null action.
    assert found == [[0, 0, 0, 1, 0, 0, 3], [0, 0, 0, 1, 1, 1, 3]]


def test_losses_and_overtaking_are_counted() -> None:
    timing = timing_from_config(
        name="lossy",
        capture={"proprioception": {"drop": 0.2}},
        transport={"proprioception": {**constant(0), "loss": 0.3}},
        uplink={"netem": "delay 10ms loss 30%"},
        inference=JITTER,
        servers=0,
    )
    env = LatencyWrapper(_Applied(), timing=timing, control_period_ns=PERIOD_NS)
    env.reset(seed=0)
    infos = [env.step(np.zeros(1, np.float32))[4]["latency"] for _ in range(2000)]
    names = ("num_dropped_captures", "num_lost_captures", "num_lost_actions", "num_dropped_actions")
    shares = [np.mean([i[name] for i in infos]) for name in names]
    assert shares == pytest.approx([0.2, 0.8 * 0.3, 0.3, 0.0], abs=0.04)
    acting = [i["acting_step"] for i in infos if i["acting_step"] >= 0]
    assert acting == sorted(acting)
    num_stale = sum(i["num_stale_actions"] for i in infos)
    num_lost = sum(i["num_lost_actions"] for i in infos)
    assert num_stale > 50
    # Of those that were neither lost nor overtaken some share a tick with a newer one.
    assert len(acting) <= 2000 - num_lost - num_stale


def test_the_first_action_is_free_unless_it_is_charged() -> None:
    for first_chunk, expected in (("free", 0), ("blocking", -1), ("charged", -1)):
        env = LatencyWrapper(
            _Applied(),
            timing={"inference": constant(60), "servers": 0, "first_chunk": first_chunk},
            control_period_ns=PERIOD_NS,
        )
        env.reset(seed=0)
        assert env.step(np.zeros(1, np.float32))[4]["latency"]["acting_step"] == expected


@pytest.mark.parametrize(
    ("first_chunk", "expected", "num_stale"),
    [("charged", [-1, -1, -1, 1, 2, 3], 1), ("blocking", [-1, -1, 0, 1, 2, 3], 0)],
)
def test_every_charged_start_pays_a_cold_start(first_chunk: str, expected: list[int], num_stale: int) -> None:
    """60 ms, and 100 ms more for the first: it is there at 160 ms, behind the second, which is there at 110 ms."""
    timing = {
        "inference": constant(60),
        "cold_start": constant(100),
        "servers": "pipelined",
        "first_chunk": first_chunk,
    }
    env = LatencyWrapper(_Applied(), timing=timing, control_period_ns=PERIOD_NS)
    for _ in range(2):
        env.reset(seed=0)
        infos = [env.step(np.zeros(1, np.float32))[4]["latency"] for _ in range(6)]
        assert [i["acting_step"] for i in infos] == expected
        assert sum(i["num_stale_actions"] for i in infos) == num_stale


def test_an_inference_may_depend_on_what_is_observed() -> None:
    """60 ms plus 50 ms for each step that the observation counts, over a world and over anything else."""

    def cost(observation: Any) -> float:
        # The world counts seconds, the other environment steps.
        count = observation["state"][0] / 0.05 if "state" in observation else observation["observation"][0]
        return 50e6 * round(float(count))

    scene = SceneDependent(base=Constant(60 * MS), cost=cost)
    timing = Timing(name="scene", stages={Stage.INFERENCE: scene}, servers=0, first_chunk=FirstChunk.CHARGED)
    step = LatencyWrapper(_Applied(), timing=timing, control_period_ns=PERIOD_NS)
    world = LatencyWrapper(WorldEnv(_Moving, FAMILY, normalise_actions=False), timing=timing)
    for env in (step, world):
        env.reset(seed=0)
        infos = [env.step(np.zeros(1, np.float32))[4]["latency"] for _ in range(9)]
        # Step k is answered at 60 + 100 k ms.
        assert [i["acting_step"] for i in infos] == [-1, -1, 0, -1, 1, -1, 2, -1, 3]


def test_a_batch_is_answered_together() -> None:
    """One server, 100 ms + 20 ms a request, up to three at once: 0 at 120 ms; 1 and 2 at 260 ms; 3, 4, 5 at 420 ms."""
    applied = _Applied()
    timing = {
        "queue": "fifo",
        "batching": {"max_batch": 3, "base_ms": 100, "per_item_ms": 20},
        "first_chunk": "charged",
    }
    env = LatencyWrapper(applied, timing=timing, control_period_ns=PERIOD_NS)
    env.reset(seed=0)
    infos = [env.step(np.zeros(1, np.float32))[4]["latency"] for _ in range(10)]
    assert [i["acting_step"] for i in infos] == [-1, -1, -1, 0, -1, -1, 2, -1, -1, 5]


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"control_period_ns is None; .* does not say how much virtual time a step takes"),
        ({"control_period_ns": 0}, r"control_period_ns is 0"),
        ({"hold": "coast"}, r"hold is 'coast'; allowed: repeat, null"),
        (
            {"sensor_kinds": {"eyes": "camera"}},
            r"sensor_kinds holds \{'eyes': 'camera'\}; allowed: one of camera, ",
        ),
        ({"sensor_kinds": "lidar"}, r"sensor_kinds holds \{'observation': 'lidar'\}"),
        ({"augment_actions": True, "num_actions": 0}, r"num_actions is 0; allowed: a whole number >= 1"),
        (
            {"timing": {"control": {"clock": "restart_on_arrival"}}},
            r"clock is 'restart_on_arrival'; .* tick_locked",
        ),
        ({"timing": {"mode": "measured"}}, r"timing.mode is 'measured'; steps allow: modelled"),
        (
            {"timing": {"uplink": {"netem": "delay 5ms 2ms"}}, "augment_actions": True},
            r"num_actions is missing",
        ),
        ({"timing": "4g"}, r"4g"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], message: str) -> None:
    given = {"timing": {}, "control_period_ns": PERIOD_NS if settings else None, **settings}
    with pytest.raises((ConfigurationError, ParameterError), match=message):
        LatencyWrapper(_Applied(), **given)


def test_a_world_has_a_period_and_one_wrapper() -> None:
    with pytest.raises(
        ConfigurationError, match=r"control_period_ns is 1; the world 'braking_wall' has its own"
    ):
        LatencyWrapper(WorldEnv(BrakingWall, FAMILY), timing={}, control_period_ns=1)
    wrapped = LatencyWrapper(WorldEnv(BrakingWall, FAMILY), timing={})
    with pytest.raises(
        ConfigurationError, match=r"has a period player already .*; wrap the environment once"
    ):
        LatencyWrapper(wrapped, timing={})
    with pytest.raises(gymnasium.error.ResetNeeded, match="Call reset before step"):
        LatencyWrapper(_Applied(), timing={}, control_period_ns=1).step(np.zeros(1))
    twice = LatencyWrapper(_Applied(), timing={}, control_period_ns=1, augment_actions=True)
    with pytest.raises(ConfigurationError, match=r"has keys \['delay_ticks', 'submitted_actions'\] already"):
        LatencyWrapper(twice, timing={}, control_period_ns=1, augment_actions=True)
