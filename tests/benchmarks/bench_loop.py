"""What the loop itself costs a control tick, a request and an episode, in CPU time; world and agent are taken off."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from simloop import wall_clock
from simloop.agent import InferenceReply
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop
from simloop.strategies.naive_async import NaiveAsync
from simloop.strategies.prefix import Prefix
from simloop.strategies.strategy import Strategy
from simloop.testing import ScriptedAgent, toy_case
from simloop.testing.delayed_integrator import DelayedIntegrator
from simloop.timing.distribution import Constant, ShiftedLognormal
from simloop.timing.stage_graph import Stage, Timing
from simloop.world import SensorKind, SensorSpec, WorldSpec

NUM_TICKS = 1000
NUM_REPEATS = 10
HORIZON = 32
TARGET_US_PER_TICK = 20.0
"""On a core of its own; printed beside the reading."""
MAX_RATIO = 4.0
"""Times the cost of the bare stepping in the same run: the check, since other processes slow both sides alike."""
CHUNK = np.zeros((HORIZON, 1))
SHORT_TICKS = 51
TARGET_US_PER_REQUEST = 25.0
TARGET_US_PER_EPISODE = 400.0
MAX_REQUEST_RATIO = 30.0
MAX_EPISODE_RATIO = 300.0
"""The same checks for a request and an episode, in ticks of the bare world with one sensor."""


class ThreeSensors(DelayedIntegrator):
    """The delayed integrator seen by three sensors of two kinds."""

    def __init__(self) -> None:
        super().__init__()
        spec = self._spec
        (state,) = spec.sensors
        more = tuple(
            SensorSpec(
                name=name,
                kind=SensorKind.CAMERA,
                shape=state.shape,
                dtype=state.dtype,
                period_ns=state.period_ns,
                payload_bytes=8,
            )
            for name in ("front_camera", "rear_camera")
        )
        fields = {name: getattr(spec, name) for name in WorldSpec.__dataclass_fields__}
        self._spec = WorldSpec(**{**fields, "sensors": (state, *more)})


def _lognormal(shift_ms: float, median_ms: float) -> ShiftedLognormal:
    return ShiftedLognormal(shift_ns=shift_ms * 1e6, median_ns=median_ms * 1e6, sigma=0.4)


TIMING = Timing(
    name="stochastic",
    transport={SensorKind.PROPRIOCEPTION: _lognormal(1, 2), SensorKind.CAMERA: _lognormal(8, 10)},
    stages={
        Stage.PREPROCESS: _lognormal(2, 5),
        Stage.UPLINK: _lognormal(2, 8),
        Stage.INFERENCE: _lognormal(80, 2),
        Stage.DOWNLINK: _lognormal(2, 8),
        Stage.ACTUATION: _lognormal(5, 10),
    },
)


def _loop_s(strategy: Strategy) -> tuple[float, EpisodeLog]:
    world = ThreeSensors()
    agent = ScriptedAgent(world.spec, lambda request: CHUNK, horizon=HORIZON)
    case = toy_case(time_limit_s=NUM_TICKS * 0.05)
    reply = InferenceReply(actions=CHUNK)
    gc.collect()
    start_s = wall_clock.cpu_s()
    episode = ClosedLoop(world=world, case=case, agent=agent.spec, timing=TIMING, strategy=strategy).run()
    try:
        next(episode)
        while True:
            episode.send(reply)
    except StopIteration as stop:
        return wall_clock.cpu_s() - start_s, stop.value


def _world_s() -> float:
    """The same calls to the world, without a loop."""
    world = ThreeSensors()
    names = [s.name for s in world.spec.sensors]
    period_ns = world.spec.control_period_ns
    action = np.zeros(1)
    gc.collect()
    start_s = wall_clock.cpu_s()
    world.reset(toy_case().scenario, 0)
    for tick in range(NUM_TICKS):
        for name in names:
            frame = world.capture(name, tick)
            if not tick % 8:
                assert frame.array.shape == (1,)
        if not tick % 8:
            world.anchor()
        world.actuate(action)
        world.advance((tick + 1) * period_ns)
        world.outcome()
    world.drain()
    return wall_clock.cpu_s() - start_s


@pytest.mark.bench
@pytest.mark.parametrize("strategy", [NaiveAsync, Prefix])
def test_loop_cost_per_control_tick(strategy: type[Strategy]) -> None:
    # Taken in turns, and the least of each: other processes can only add to a reading.
    world_s, (loop_s, log) = _world_s(), _loop_s(strategy())
    for _ in range(NUM_REPEATS):
        world_s, loop_s = min(world_s, _world_s()), min(loop_s, _loop_s(strategy())[0])
    assert log.num_rows("ticks") == NUM_TICKS
    assert log.num_rows("captures") >= 3 * NUM_TICKS
    assert NUM_TICKS / 8 <= log.num_rows("inferences") <= NUM_TICKS / 8 + 2
    us_per_tick = (loop_s - world_s) / NUM_TICKS * 1e6
    print(
        f"\nloop, {strategy.name}: {us_per_tick:.1f} us of CPU a control tick (3 sensors, inference every 8 ticks, "
        f"stochastic stages), target {TARGET_US_PER_TICK:.0f}; {world_s / NUM_TICKS * 1e6:.1f} us of world taken off"
    )
    assert loop_s - world_s < MAX_RATIO * world_s, "the loop has become slower than its budget"


def _short_s(execution_horizon: int, num_ticks: int) -> tuple[float, int]:
    """CPU time of an episode with one sensor and a constant latency of one tick, hash included, and its requests."""
    world = DelayedIntegrator()
    agent = ScriptedAgent(world.spec, lambda request: CHUNK, horizon=HORIZON)
    timing = Timing(name="constant", stages={Stage.INFERENCE: Constant(50_000_000)})
    case = toy_case(time_limit_s=num_ticks * 0.05)
    reply = InferenceReply(actions=CHUNK)
    strategy = NaiveAsync(execution_horizon=execution_horizon)
    start_s = wall_clock.cpu_s()
    loop = ClosedLoop(world=world, case=case, agent=agent.spec, timing=timing, strategy=strategy)
    episode = loop.run()
    try:
        next(episode)
        while True:
            episode.send(reply)
    except StopIteration as stop:
        log: EpisodeLog = stop.value
    num_digits = len(log.episode_hash)
    cost_s = wall_clock.cpu_s() - start_s
    assert num_digits == 32
    return cost_s, log.num_rows("inferences")


def _bare_tick_s() -> float:
    world = DelayedIntegrator()
    action = np.zeros(1)
    start_s = wall_clock.cpu_s()
    world.reset(toy_case().scenario, 0)
    for tick in range(SHORT_TICKS):
        world.capture("state", tick)
        world.actuate(action)
        world.advance((tick + 1) * world.spec.control_period_ns)
        world.outcome()
    return (wall_clock.cpu_s() - start_s) / SHORT_TICKS


@pytest.mark.bench
def test_cost_of_a_request_and_of_an_episode() -> None:
    """Requests: an inference every tick against one every 8 ticks. Episode: what is left with one tick."""
    shapes = ((1, SHORT_TICKS), (8, SHORT_TICKS), (8, 1))
    least = [min(_short_s(*shape) for _ in range(30 * NUM_REPEATS)) for shape in shapes]
    (often_s, many), (seldom_s, few), (episode_s, _) = least
    bare_s = min(_bare_tick_s() for _ in range(30 * NUM_REPEATS))
    request_s = (often_s - seldom_s) / (many - few)
    fixed_s = episode_s - 2 * request_s
    print(
        f"\nloop: {request_s * 1e6:.1f} us of CPU a request, target {TARGET_US_PER_REQUEST:.0f}; "
        f"{fixed_s * 1e6:.0f} us an episode (log and hash included), target {TARGET_US_PER_EPISODE:.0f}"
    )
    assert request_s < MAX_REQUEST_RATIO * bare_s, "a request has become slower than its budget"
    assert fixed_s < MAX_EPISODE_RATIO * bare_s, "an episode has become slower than its budget"
