"""The closed loop's rules, one by one, in toy worlds."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.agent import AgentSpec, Capability, Embodiment, InferenceReply, InferenceRequest
from simloop.errors import AgentError, ConfigurationError, IncompatibleAgentError
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop, matching_embodiment
from simloop.spec import Scenario
from simloop.strategies.blocking import Blocking
from simloop.strategies.naive_async import NaiveAsync
from simloop.strategies.prefix import Prefix
from simloop.strategies.strategy import Strategy
from simloop.testing import BrakingWall, DelayedIntegrator, ScriptedAgent, play, toy_case
from simloop.timing.distribution import Constant, Distribution, ShiftedLognormal
from simloop.timing.settings import Capture
from simloop.timing.stage_graph import Assembly, FirstChunk, QueueRule, Stage, Timing
from simloop.world import ActionDimension, ActionSpec, Anchor, SensorKind, SensorSpec, WorldSpec

PERIOD_NS = 50_000_000
HORIZON = 16
FloatArray = npt.NDArray[np.float64]


class Scripted(Distribution):
    """Durations that a test writes down: one for each event, the last one for all later ones."""

    def __init__(self, *durations_ms: float) -> None:
        self.durations_ns = [ms * 1e6 for ms in durations_ms]

    @property
    def mean_ns(self) -> float:
        return self.durations_ns[0]

    def draw(self, generator: np.random.Generator, count: int) -> FloatArray:
        tail = [self.durations_ns[-1]] * (count - len(self.durations_ns))
        return np.array([*self.durations_ns, *tail][:count])


class WithCamera(DelayedIntegrator):
    """The delayed integrator with a second sensor of another kind and period."""

    def __init__(self, *, camera_period_ns: int = PERIOD_NS, initial: float | None = 1.0) -> None:
        super().__init__(initial=initial)
        fields = {name: getattr(self._spec, name) for name in WorldSpec.__dataclass_fields__}
        camera = SensorSpec(
            name="camera",
            kind=SensorKind.CAMERA,
            shape=(1,),
            dtype="float64",
            period_ns=camera_period_ns,
            payload_bytes=8,
        )
        self._spec = WorldSpec(**{**fields, "sensors": (camera, *self._spec.sensors)})


def _agent(world: Any, horizon: int = HORIZON) -> ScriptedAgent:
    return ScriptedAgent(
        world.spec, lambda r: 100.0 * r.observation_tick + np.arange(horizon)[:, None], horizon=horizon
    )


def _roll(
    timing: Timing, strategy: Strategy, *, world: Any = None, num_ticks: int = 30, horizon: int = HORIZON
) -> EpisodeLog:
    world = DelayedIntegrator() if world is None else world
    case = toy_case(time_limit_s=num_ticks * 0.05)
    return play(world, _agent(world, horizon), case=case, timing=timing, strategy=strategy)


def _rows(log: EpisodeLog, table: str, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(log.column(table, n).tolist() for n in names), strict=True))


# --- reset -----------------------------------------------------------------------------------------------------


class Told(WithCamera):
    """Keeps the order in which it was told what will be captured, and reset."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def expect_captures(self, sensors: Collection[str]) -> None:
        self.told.append(tuple(sensors))

    def reset(self, scenario: Scenario, seed: int) -> None:
        self.told.append("reset")
        super().reset(scenario, seed)


def test_a_world_is_told_before_its_reset_what_will_be_captured() -> None:
    world = Told()
    late = Timing(name="t", capture={SensorKind.CAMERA: Capture(phase_ns=2 * PERIOD_NS)})
    log = _roll(late, NaiveAsync(), world=world)
    camera = log.column("captures", "sensor") == "camera"
    assert log.column("captures", "t_ns")[camera][0] == 2 * PERIOD_NS
    assert world.told == [("state", "camera"), "reset"]


# --- first chunk -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [NaiveAsync(), Prefix(), Blocking()], ids=lambda s: s.name)
def test_a_free_first_chunk_is_there_at_tick_0_whatever_the_stages(strategy: Strategy) -> None:
    slow = Constant(3 * PERIOD_NS)
    timing = Timing(name="t", transport={SensorKind.PROPRIOCEPTION: slow}, stages={Stage.INFERENCE: slow})
    log = _roll(timing, strategy)
    assert log.column("ticks", "action")[:6, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert _rows(log, "inferences", "request", "observation_tick", "deliver_ns", "predicted_delay_ticks")[
        0
    ] == (0, 0, 0, 0)
    is_free = log.column("inferences", "is_free").tolist()
    assert is_free == [True] + [False] * (len(is_free) - 1)
    # Asynchronous strategies ask for tick 0 again, at cost.
    second = 0 if strategy.is_asynchronous else 8
    assert log.column("inferences", "observation_tick")[1] == second


@pytest.mark.parametrize("strategy", [NaiveAsync(), Prefix(), Blocking()], ids=lambda s: s.name)
def test_a_charged_first_chunk_costs_what_every_chunk_costs(strategy: Strategy) -> None:
    timing = Timing(
        name="t", stages={Stage.INFERENCE: Constant(3 * PERIOD_NS)}, first_chunk=FirstChunk.CHARGED
    )
    log = _roll(timing, strategy)
    assert log.column("ticks", "is_hold")[:5].tolist() == [True, True, True, False, False]
    assert log.column("inferences", "realised_delay_ticks")[0] == 3
    assert not log.column("inferences", "is_free").any()


# --- assembly --------------------------------------------------------------------------------------------------


def test_a_slow_camera_is_paired_with_the_pose_of_its_own_tick() -> None:
    timing = Timing(
        name="t",
        transport={SensorKind.CAMERA: Constant(120_000_000), SensorKind.PROPRIOCEPTION: Constant(1_000_000)},
        first_chunk=FirstChunk.CHARGED,
    )
    log = _roll(timing, NaiveAsync(execution_horizon=1), world=WithCamera())
    requests = _rows(log, "inferences", "observation_tick", "trigger_ns", "realised_delay_ticks")
    arrived = [r for r in requests if r[1] + PERIOD_NS < 30 * PERIOD_NS]
    assert arrived[:5] == [(k, k * PERIOD_NS + 120_000_000, 3) for k in range(5)]
    assert [r[0] for r in arrived] == list(range(len(arrived)))
    items = _rows(log, "consumed", "request", "sensor", "index", "age_ns")
    assert items[:4] == [
        (0, "camera", 0, 120_000_000),
        (0, "state", 0, 120_000_000),
        (1, "camera", 1, 120_000_000),
        (1, "state", 1, 120_000_000),
    ]


def test_latest_takes_every_sensor_of_its_instant() -> None:
    """The camera comes first among the sensors: its capture alone must not fire the trigger."""
    log = _roll(
        Timing(name="t", assembly=Assembly.LATEST), NaiveAsync(execution_horizon=1), world=WithCamera()
    )
    assert set(log.column("consumed", "age_ns").tolist()) == {0}
    assert log.column("inferences", "observation_tick").tolist() == [0, *range(30)]


def test_latest_takes_items_of_different_ages() -> None:
    timing = Timing(
        name="t",
        transport={SensorKind.CAMERA: Constant(120_000_000), SensorKind.PROPRIOCEPTION: Constant(1_000_000)},
        assembly=Assembly.LATEST,
        first_chunk=FirstChunk.CHARGED,
    )
    log = _roll(timing, NaiveAsync(execution_horizon=1), world=WithCamera())
    # Until a first camera frame has arrived the first request waits; from then on a tick takes what is there.
    assert _rows(log, "inferences", "trigger_ns", "observation_tick")[:3] == [
        (120_000_000, 2),
        (200_000_000, 3),
        (250_000_000, 4),
    ]
    assert _rows(log, "consumed", "request", "sensor", "index")[2:4] == [(1, "camera", 1), (1, "state", 3)]


@pytest.mark.parametrize("execution_horizon", [1, 2, 3])
@pytest.mark.parametrize("assembly", list(Assembly))
def test_one_request_for_each_observation_tick(execution_horizon: int, assembly: Assembly) -> None:
    timing = Timing(name="t", assembly=assembly, first_chunk=FirstChunk.CHARGED)
    world = WithCamera(camera_period_ns=4 * PERIOD_NS)
    log = _roll(timing, NaiveAsync(execution_horizon=execution_horizon), world=world)
    ticks = log.column("inferences", "observation_tick").tolist()
    assert len(ticks) > 5
    assert all(a < b for a, b in itertools.pairwise(ticks))


# --- queue -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queue", "servers", "expected"),
    [
        # Inference takes 5 ticks and a request comes every 2: the newest waits, the others are dropped.
        (
            QueueRule.LATEST_WINS,
            1,
            [
                (0, 0, "installed"),
                (2, -1, "queue_dropped"),
                (4, 5, "installed"),
                (6, -1, "queue_dropped"),
                # Tick 10 asks at the very instant at which the server becomes free, and before it does.
                (8, -1, "queue_dropped"),
                (10, 10, "installed"),
            ],
        ),
        (
            QueueRule.FIFO,
            1,
            [(0, 0, "installed"), (2, 5, "installed"), (4, 10, "installed"), (6, 15, "elapsed")],
        ),
        (
            QueueRule.FIFO,
            2,
            [(0, 0, "installed"), (2, 2, "installed"), (4, 5, "installed"), (6, 7, "installed")],
        ),
        (
            QueueRule.FIFO,
            0,
            [(0, 0, "installed"), (2, 2, "installed"), (4, 4, "installed"), (6, 6, "installed")],
        ),
        (
            QueueRule.LATEST_WINS,
            3,
            [(0, 0, "installed"), (2, 2, "installed"), (4, 4, "installed"), (6, 6, "installed")],
        ),
    ],
)
def test_the_accelerators_queue(queue: QueueRule, servers: int, expected: list[tuple[int, int, str]]) -> None:
    timing = Timing(
        name="t",
        stages={Stage.INFERENCE: Constant(5 * PERIOD_NS)},
        queue=queue,
        servers=servers,
        first_chunk=FirstChunk.CHARGED,
    )
    log = _roll(
        timing, NaiveAsync(execution_horizon=2), horizon=14 if "elapsed" in str(expected) else HORIZON
    )
    started = [
        (k, t if t < 0 else t // PERIOD_NS, s)
        for k, t, s in _rows(log, "inferences", "observation_tick", "start_ns", "state")
    ]
    assert started[: len(expected)] == expected


def test_a_dropped_request_is_never_asked() -> None:
    asked: list[int] = []

    def plan(request: InferenceRequest) -> FloatArray:
        asked.append(request.observation_tick)
        return np.zeros((HORIZON, 1))

    world = DelayedIntegrator()
    agent = ScriptedAgent(world.spec, plan, horizon=HORIZON)
    timing = Timing(name="t", stages={Stage.INFERENCE: Constant(5 * PERIOD_NS)})
    log = play(world, agent, case=toy_case(), timing=timing, strategy=NaiveAsync(execution_horizon=2))
    rows = _rows(log, "inferences", "observation_tick", "start_ns", "state")
    assert asked == [k for k, start_ns, _ in rows if start_ns >= 0]
    assert any(state == "queue_dropped" for *_, state in rows)


# --- delivery --------------------------------------------------------------------------------------------------


def test_an_older_observation_never_replaces_a_newer_one() -> None:
    """Downlinks of 300 and 10 ms: the first chunk arrives after the second and is dropped."""
    timing = Timing(
        name="t", stages={Stage.DOWNLINK: Scripted(300, 0, 10)}, servers=0, first_chunk=FirstChunk.CHARGED
    )
    log = _roll(timing, NaiveAsync(execution_horizon=2))
    rows = _rows(log, "inferences", "observation_tick", "deliver_ns", "state")
    assert rows[:2] == [(0, 300_000_000, "stale_dropped"), (2, 110_000_000, "installed")]
    assert log.column("ticks", "request")[:5].tolist() == [-1, -1, -1, 1, 1]


def test_a_chunk_that_lands_at_a_trigger_is_installed_before_the_request_is_sealed() -> None:
    timing = Timing(name="t", stages={Stage.INFERENCE: Constant(4 * PERIOD_NS)})
    log = _roll(timing, Prefix(execution_horizon=4))
    chunks = log.tables["chunks"]
    for request in range(2, 6):
        prefix = chunks["action"][chunks["request"] == request, 0][:4]
        # Its rows 0..3 are those that the chunk before had planned for the same ticks.
        assert prefix.tolist() == chunks["action"][chunks["request"] == request - 1, 0][4:8].tolist()


def test_a_chunk_of_deltas_that_starts_late_counts_as_installed() -> None:
    """Blocking starts a chunk of deltas with row 0 however late it is, so it never elapses."""
    timing = Timing(name="t", stages={Stage.INFERENCE: Constant(20 * PERIOD_NS)})
    log = _roll(timing, Blocking(execution_horizon=4), num_ticks=60)
    assert log.column("inferences", "realised_delay_ticks").tolist()[:3] == [0, 20, 20]
    assert set(log.column("inferences", "state").tolist()[:3]) == {"installed"}
    assert log.column("ticks", "row")[24:28].tolist() == [0, 1, 2, 3]


# --- actuation -------------------------------------------------------------------------------------------------


def test_an_overtaken_action_is_ignored_and_says_so() -> None:
    """Dead times of 120 and 5 ms: the action of tick 0 would take effect after that of tick 1."""
    world = BrakingWall(speed_mps=10.0, gap_m=100.0, deceleration_mps2=5.0)
    timing = Timing(name="t", stages={Stage.ACTUATION: Scripted(120, 5)})
    agent = ScriptedAgent(world.spec, lambda r: np.array([[0.0], *[[5.0]] * 31]), horizon=32)
    log = play(
        world,
        agent,
        case=toy_case(time_limit_s=0.5),
        timing=timing,
        strategy=NaiveAsync(execution_horizon=32),
    )
    assert _rows(log, "ticks", "effect_ns", "quantisation_ns", "action_age_ns")[:3] == [
        (-1, -1, -1),
        (55_000_000, 0, 55_000_000),
        (105_000_000, 0, 105_000_000),
    ]
    t_ns, speed = log.column("world.state", "t_ns"), log.column("world.state", "speed_mps")
    braking_s = np.clip(t_ns * 1e-9 - 0.055, 0, None)
    assert speed == pytest.approx(10.0 - 5.0 * braking_s)
    executed_ticks = log.column("chunks", "tick")[log.column("chunks", "is_executed")]
    assert executed_ticks.tolist() == list(range(1, 10))


@pytest.mark.parametrize(("dead_ms", "num_executed"), [(0, 10), (49, 10), (50, 9), (120, 8), (500, 0)])
def test_an_action_that_the_episode_does_not_see_take_effect_is_not_executed(
    dead_ms: int, num_executed: int
) -> None:
    """Ten ticks of 50 ms: the action of tick k takes effect at 50 k + dead time, the end is at 500 ms."""
    timing = Timing(name="t", stages={Stage.ACTUATION: Constant(dead_ms * 1_000_000)})
    world = BrakingWall(speed_mps=10.0, gap_m=100.0, deceleration_mps2=5.0)
    agent = ScriptedAgent(world.spec, lambda r: np.zeros((32, 1)), horizon=32)
    log = play(world, agent, case=toy_case(time_limit_s=0.5), timing=timing, strategy=NaiveAsync())
    assert log.num_rows("ticks") == 10
    assert log.column("chunks", "is_executed").sum() == num_executed


def test_effects_wait_for_the_next_physics_instant_and_the_wait_is_logged() -> None:
    world = BrakingWall(physics_period_ns=10_000_000)
    agent = ScriptedAgent(world.spec, lambda r: np.full((32, 1), 1.0), horizon=32)
    timing = Timing(name="t", stages={Stage.ACTUATION: Constant(12_345_678)})
    log = play(world, agent, case=toy_case(time_limit_s=0.3), timing=timing, strategy=NaiveAsync())
    assert _rows(log, "ticks", "effect_ns", "quantisation_ns")[1] == (70_000_000, 7_654_322)


# --- the end ---------------------------------------------------------------------------------------------------


def test_the_time_limit_fails_the_episode_at_the_first_tick_at_or_after_it() -> None:
    world = DelayedIntegrator()
    log = play(
        world, _agent(world), case=toy_case(time_limit_s=0.51), timing=Timing(name="t"), strategy=NaiveAsync()
    )
    outcomes = _rows(log, "outcomes", "t_ns", "state", "reason")
    assert outcomes[-1] == (550_000_000, "fail", "time_limit")
    assert {(state, reason) for _, state, reason in outcomes[:-1]} == {("running", "")}
    assert log.num_rows("ticks") == 11


def test_what_is_under_way_at_the_end_is_logged_as_such() -> None:
    transport = {SensorKind.PROPRIOCEPTION: Constant(75_000_000)}
    timing = Timing(
        name="t", transport=transport, stages={Stage.INFERENCE: Constant(3 * PERIOD_NS)}, servers=0
    )
    log = _roll(timing, NaiveAsync(execution_horizon=1), num_ticks=10)
    captures = _rows(log, "captures", "t_ns", "delivered_at_ns")
    assert [d for _, d in captures] == [
        t + 75_000_000 if t + 75_000_000 < 500_000_000 else -1 for t, _ in captures
    ]
    states = log.column("inferences", "state").tolist()
    assert states.count("in_flight") == 3
    assert states[-3:] == ["in_flight"] * 3


# --- agents that do not fit, and bad replies -------------------------------------------------------------------

WORLD = DelayedIntegrator()
AGENT = _agent(WORLD).spec


@pytest.mark.parametrize(
    ("change", "strategy", "message"),
    [
        (
            {"embodiments": (Embodiment(action_space="waypoints", observations=()),)},
            NaiveAsync(),
            r"acts in waypoints; world 'delayed_integrator' takes actions in 'delayed_integrator_action'",
        ),
        (
            {
                "embodiments": (
                    Embodiment(action_space="delayed_integrator_action", observations=(), dimensions=("x",)),
                )
            },
            NaiveAsync(),
            r"answers \('x',\) in 'delayed_integrator_action'; world 'delayed_integrator' expects \('action',\)",
        ),
        (
            {"embodiments": (Embodiment(action_space="delayed_integrator_action", observations=("lidar",)),)},
            NaiveAsync(),
            r"reads lidar, which world 'delayed_integrator' does not have; it has: state",
        ),
        (
            {"action_period_ns": 1},
            NaiveAsync(),
            r"one action every 1 ns; world .* controlled every 50000000 ns",
        ),
        (
            {"horizon": 4},
            NaiveAsync(),
            r"chunks of 4 actions; strategy 'naive_async' executes 8 of each.*at most 4",
        ),
        (
            {"capabilities": frozenset()},
            Prefix(),
            r"'prefix' needs an agent with prefix; .* supports: plain chunks only",
        ),
        (
            {"capabilities": frozenset({Capability.GUIDANCE})},
            Prefix(),
            r"needs an agent with prefix; agent 'scripted' supports: guidance",
        ),
    ],
)
def test_an_agent_that_does_not_fit_is_refused_before_the_first_episode(
    change: Mapping[str, Any], strategy: Strategy, message: str
) -> None:
    agent: AgentSpec = dataclasses.replace(AGENT, **change)
    with pytest.raises(IncompatibleAgentError, match=message):
        matching_embodiment(agent, WORLD.spec, strategy)
    with pytest.raises(IncompatibleAgentError, match=message):
        ClosedLoop(world=WORLD, case=toy_case(), agent=agent, timing=Timing(name="t"), strategy=strategy)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (InferenceReply(actions=None), r"replied with no actions; a chunk .* has shape \(16, 1\)"),
        (InferenceReply(actions=np.zeros((15, 1))), r"replied with shape \(15, 1\)"),
        (InferenceReply(actions=np.zeros((16, 2))), r"replied with shape \(16, 2\)"),
        (InferenceReply(actions=np.zeros(16)), r"replied with shape \(16,\)"),
        (
            InferenceReply(actions=np.array([[0.0]] * 15 + [[np.nan]])),
            r"replied with nan in row 15, entry 'action'",
        ),
        (InferenceReply(actions=np.array([[0.0], [-np.inf]] + [[0.0]] * 14)), r"replied with -inf in row 1"),
    ],
)
def test_a_bad_reply_is_an_agent_error_and_the_log_survives(reply: InferenceReply, message: str) -> None:
    world = DelayedIntegrator()
    loop = ClosedLoop(
        world=world, case=toy_case(), agent=AGENT, timing=Timing(name="t"), strategy=NaiveAsync()
    )
    episode = loop.run()
    next(episode)
    episode.send(InferenceReply(actions=np.zeros((16, 1))))
    episode.send(InferenceReply(actions=np.zeros((16, 1))))
    with pytest.raises(AgentError, match=message):
        episode.send(reply)
    log = loop.log()
    assert log.num_rows("ticks") == 8
    assert log.num_rows("world.state") == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"control_period_ns": 75_000_000},
            r"control period 75000000 ns is not a whole multiple of the physics period",
        ),
        ({"sensors": ()}, r"no proprioception sensor, which anchors actions"),
    ],
)
def test_a_world_that_cannot_be_looped(change: Mapping[str, Any], message: str) -> None:
    world = DelayedIntegrator()
    agent = dataclasses.replace(
        AGENT,
        embodiments=(Embodiment(action_space="delayed_integrator_action", observations=()),),
        action_period_ns=75_000_000,
    )
    fields = {name: getattr(world.spec, name) for name in WorldSpec.__dataclass_fields__}
    world._spec = WorldSpec(**{**fields, **change})
    agent = dataclasses.replace(agent, action_period_ns=world.spec.control_period_ns)
    with pytest.raises(ConfigurationError, match=message):
        ClosedLoop(world=world, case=toy_case(), agent=agent, timing=Timing(name="t"), strategy=NaiveAsync())


# --- relative actions ------------------------------------------------------------------------------------------


class RelativeAction(ActionSpec):
    """Targets relative to the state at the anchor."""

    def to_world(self, actions: FloatArray, anchor: Anchor) -> FloatArray:
        return actions + anchor.pose

    def from_world(self, actions: FloatArray, anchor: Anchor) -> FloatArray:
        return actions - anchor.pose


class RelativeTarget(DelayedIntegrator):
    """A state that goes to an absolute target, commanded relative to the state at the capture."""

    def __init__(self) -> None:
        super().__init__()
        fields = {name: getattr(self._spec, name) for name in WorldSpec.__dataclass_fields__}
        dimension = ActionDimension(name="x", unit="m", low=-1e3, high=1e3)
        action = RelativeAction(
            name="relative",
            dimensions=(dimension,),
            hold=self._spec.action.hold,
            null_action=(0.0,),
            anchor_layout=("x",),
        )
        self._spec = WorldSpec(**{**fields, "action": action})

    def anchor(self) -> Anchor:
        return Anchor(captured_at_ns=self._now_ns, pose=self._state.copy())

    def next_state(self, period_s: float) -> FloatArray:
        return np.array([self._action])


def test_the_buffer_holds_world_actions_and_the_prefix_is_in_the_new_frame() -> None:
    world = RelativeTarget()
    handed: list[tuple[int, FloatArray, FloatArray]] = []

    def plan(request: InferenceRequest) -> FloatArray:
        if request.conditioning is not None and request.conditioning.num_committed:
            count = request.conditioning.num_committed
            handed.append(
                (request.observation_tick, request.conditioning.actions[:count, 0], request.anchor.pose)
            )
        return 0.5 * np.arange(1, HORIZON + 1)[:, None]

    agent = ScriptedAgent(world.spec, plan, horizon=HORIZON)
    timing = Timing(name="t", stages={Stage.INFERENCE: Constant(2 * PERIOD_NS)})
    log = play(
        world, agent, case=toy_case(time_limit_s=2.0), timing=timing, strategy=Prefix(execution_horizon=5)
    )
    x = log.column("world.state", "x")
    applied = log.column("ticks", "action")[:, 0]
    assert x[1:].tolist() == applied.tolist()
    assert len(handed) == 8
    for tick, prefix, pose in handed:
        assert pose.tolist() == [x[tick]]
        assert prefix.tolist() == (applied[tick : tick + 2] - x[tick]).tolist()


# --- identity of draws -----------------------------------------------------------------------------------------


def test_requests_carry_what_the_design_says() -> None:
    world = DelayedIntegrator(initial=4.0)
    seen: list[InferenceRequest] = []
    agent = ScriptedAgent(world.spec, lambda r: seen.append(r) or np.zeros((HORIZON, 1)), horizon=HORIZON)  # type: ignore[func-returns-value]
    jitter = ShiftedLognormal(shift_ns=1e6, median_ns=9e6, sigma=0.3)
    timing = Timing(
        name="t",
        transport={SensorKind.PROPRIOCEPTION: jitter},
        stages={Stage.INFERENCE: Constant(80_000_000)},
    )
    log = play(world, agent, case=toy_case(), timing=timing, strategy=NaiveAsync())
    assert [r.observation_tick for r in seen] == log.column("inferences", "observation_tick").tolist()
    assert all(r.observation["state"].tolist() == [4.0] for r in seen)
    assert all(not r.observation["state"].flags.writeable for r in seen)
    for request, trigger_ns in zip(seen, log.column("inferences", "trigger_ns").tolist(), strict=True):
        assert request.age_ns == {"state": trigger_ns - request.observation_tick * PERIOD_NS}
        assert request.embodiment == "delayed_integrator_action"
    # The key of an agent's draws goes by the observation, so the free and the charged first chunk are the same one.
    assert seen[0].draw_key == seen[1].draw_key
    assert len({r.draw_key for r in seen[1:]}) == len(seen) - 1
    again: list[tuple[int, int]] = []
    other = ScriptedAgent(
        world.spec, lambda r: again.append(r.draw_key) or np.zeros((HORIZON, 1)), horizon=HORIZON
    )  # type: ignore[func-returns-value]
    play(world, other, case=toy_case(), timing=timing, strategy=NaiveAsync())
    assert again == [r.draw_key for r in seen]
