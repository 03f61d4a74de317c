"""The exact tests of the timing model, through the real loop, against arithmetic that is written out here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop import wall_clock
from simloop.agent import InferenceRequest
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop
from simloop.strategies.blocking import Blocking
from simloop.strategies.naive_async import NaiveAsync
from simloop.strategies.paused import Paused
from simloop.strategies.prefix import Prefix
from simloop.strategies.strategy import Strategy
from simloop.testing import BrakingWall, DelayedIntegrator, ScriptedAgent, play, toy_case
from simloop.timing.distribution import Constant, Distribution, ShiftedLognormal
from simloop.timing.stage_graph import Assembly, FirstChunk, QueueRule, Stage, Timing
from simloop.world import SensorKind

PERIOD_NS = 50_000_000
HORIZON = 8
STRATEGIES: dict[str, type[Strategy]] = {
    "paused": Paused,
    "blocking": Blocking,
    "naive_async": NaiveAsync,
    "prefix": Prefix,
}


def _inference(delay_ns: int, **settings: Any) -> Timing:
    return Timing(name="test", stages={Stage.INFERENCE: Constant(delay_ns)}, **settings)


def _jittered(**settings: Any) -> Timing:
    def lognormal(shift_ms: float, median_ms: float) -> Distribution:
        return ShiftedLognormal(shift_ns=shift_ms * 1e6, median_ns=median_ms * 1e6, sigma=0.6)

    return Timing(
        name="jittered",
        transport={SensorKind.PROPRIOCEPTION: lognormal(2, 8)},
        stages={
            Stage.PREPROCESS: lognormal(1, 5),
            Stage.UPLINK: lognormal(3, 10),
            Stage.INFERENCE: lognormal(70, 15),
            Stage.DOWNLINK: lognormal(3, 10),
            Stage.ACTUATION: lognormal(0, 30),
        },
        **settings,
    )


def _labels(request: InferenceRequest, horizon: int) -> npt.NDArray[np.float64]:
    """A chunk that tells where each action comes from: 100 * observation tick + row."""
    return 100.0 * request.observation_tick + np.arange(horizon, dtype=np.float64)[:, None]


def _label_agent(world: DelayedIntegrator, horizon: int = HORIZON) -> ScriptedAgent:
    return ScriptedAgent(world.spec, lambda request: _labels(request, horizon), horizon=horizon)


def _roll(
    timing: Timing, strategy: Strategy, *, num_ticks: int = 40, horizon: int = HORIZON, seed: int = 0
) -> EpisodeLog:
    world = DelayedIntegrator()
    case = toy_case(time_limit_s=num_ticks * 0.05, seed=seed)
    return play(world, _label_agent(world, horizon), case=case, timing=timing, strategy=strategy)


def _actions(log: EpisodeLog) -> npt.NDArray[np.float64]:
    actions: npt.NDArray[np.float64] = log.column("ticks", "action")[:, 0]
    return actions


# --- 1: no latency, no difference ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["blocking", "naive_async", "prefix"])
@pytest.mark.parametrize("execution_horizon", [1, 3, 8])
def test_zero_latency_equals_paused_action_for_action(name: str, execution_horizon: int) -> None:
    paused = _roll(_inference(0), Paused(execution_horizon=execution_horizon))
    other = _roll(_inference(0), STRATEGIES[name](execution_horizon=execution_horizon))
    assert np.array_equal(_actions(paused), _actions(other))
    assert np.array_equal(paused.column("world.state", "x"), other.column("world.state", "x"))
    expected = [100.0 * (k - k % execution_horizon) + k % execution_horizon for k in range(40)]
    assert _actions(paused).tolist() == expected
    assert not other.column("ticks", "is_hold").any()


# --- 2: constant latency is array arithmetic -------------------------------------------------------------------

DELAYS_AND_HORIZONS = [(d, s) for d in range(5) for s in range(max(1, d), 8 - d + 1)]


def _array_arithmetic(
    policy: Callable[[int, npt.NDArray[np.float64]], npt.NDArray[np.float64]], d: int, s: int, num_ticks: int
) -> tuple[list[float], list[list[float]]]:
    """Executed actions and the prefix of each inference, by slicing alone.

    One chunk is there at the start. Every s ticks: new = policy(observation, previous[:d]), where row i of ``new`` and
    of ``previous`` belong to the same tick; d actions of the previous chunk are executed while ``new`` is computed,
    then new[d:s]; what is left of the new chunk is the next previous one.
    """
    previous = policy(0, np.zeros(0))
    executed: list[float] = []
    prefixes: list[list[float]] = []
    tick = 0
    while len(executed) < num_ticks:
        prefixes.append(previous[:d].tolist())
        new = policy(tick, previous[:d])
        executed.extend(np.concatenate([previous[:d], new[d:s]]).tolist())
        previous = new[s:]
        tick += s
    return executed[:num_ticks], prefixes


@pytest.mark.parametrize(("d", "s"), DELAYS_AND_HORIZONS)
def test_constant_latency_is_array_arithmetic(d: int, s: int) -> None:
    def policy(tick: int, prefix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return 100.0 * tick + np.arange(HORIZON)

    log = _roll(_inference(d * PERIOD_NS), NaiveAsync(execution_horizon=s))
    expected, _ = _array_arithmetic(policy, d, s, 40)
    assert _actions(log).tolist() == expected
    installed = log.column("inferences", "state") == "installed"
    assert set(log.column("inferences", "realised_delay_ticks")[installed][1:].tolist()) == {d}
    assert not log.column("ticks", "is_hold").any()


@pytest.mark.parametrize(("d", "s"), DELAYS_AND_HORIZONS)
def test_the_prefix_is_what_will_be_executed(d: int, s: int) -> None:
    """The committed rows handed over are the actions played until the chunk arrives, also when d equals s."""

    def policy(tick: int, prefix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        # The free rows depend on the prefix: one wrong prefix spoils every later action.
        chunk = 100.0 * tick + np.arange(HORIZON) + 0.125 * prefix.sum()
        chunk[: len(prefix)] = prefix
        return chunk

    handed: list[tuple[int, list[float], npt.NDArray[np.float64]]] = []

    def plan(request: InferenceRequest) -> npt.NDArray[np.float64]:
        conditioning = request.conditioning
        count = 0 if conditioning is None else conditioning.num_committed
        prefix = np.zeros(0) if conditioning is None else conditioning.actions[:count, 0]
        if conditioning is not None:
            assert not conditioning.actions[count:].any()
            assert set(conditioning.weights[count:].tolist()) <= {0.0}
        handed.append((request.observation_tick, prefix.tolist(), prefix))
        return policy(request.observation_tick, prefix)[:, None]

    world = DelayedIntegrator()
    agent = ScriptedAgent(world.spec, plan, horizon=HORIZON)
    log = play(
        world,
        agent,
        case=toy_case(time_limit_s=2.0),
        timing=_inference(d * PERIOD_NS),
        strategy=Prefix(execution_horizon=s),
    )
    executed, prefixes = _array_arithmetic(policy, d, s, 40)
    actions = _actions(log)
    assert actions.tolist() == executed
    charged = handed[1:]
    assert [prefix for _, prefix, _ in charged] == prefixes[: len(charged)]
    assert len(charged) >= 40 // s
    for tick, prefix, _ in charged:
        played = actions[tick : tick + d].tolist()
        assert prefix[: len(played)] == played
    # 13(a): every committed row comes back bit for bit and is logged as committed.
    chunks = log.tables["chunks"]
    for request, (_, prefix, _) in enumerate(handed):
        assert log.column("inferences", "num_committed")[request] == len(prefix)
        rows = chunks["action"][chunks["request"] == request, 0]
        if len(rows):
            assert rows[: len(prefix)].tobytes() == np.array(prefix).tobytes()


# --- 3: the stability bound of a delayed integrator ------------------------------------------------------------


def _is_stable(gain: float, d: int, *, num_ticks: int) -> bool:
    """Whether the loop's trajectory shrinks: its envelope late against its envelope half way."""
    world = DelayedIntegrator()
    agent = ScriptedAgent(
        world.spec, lambda r: np.full((d + 1, 1), -gain * r.observation["state"][0]), horizon=d + 1
    )
    log = play(
        world,
        agent,
        case=toy_case(time_limit_s=num_ticks * 0.05),
        timing=Timing(name="pipelined", transport={SensorKind.PROPRIOCEPTION: Constant(d * PERIOD_NS)}),
        strategy=NaiveAsync(execution_horizon=1),
    )
    delays = log.column("inferences", "realised_delay_ticks")
    is_installed = log.column("inferences", "state") == "installed"
    assert set(delays[is_installed][1:].tolist()) == {d}
    x = np.abs(log.column("world.state", "x"))
    middle, end = len(x) // 2, len(x)
    window = 6 * (2 * d + 1)
    return bool(x[end - window :].max() < x[middle - window : middle].max())


@pytest.mark.parametrize("d", range(9))
def test_a_delayed_integrator_is_stable_up_to_the_closed_form_bound(d: int) -> None:
    """x[k+1] = x[k] - a x[k-d] is stable iff 0 < a < 2 cos(d pi / (2d + 1)) (Levin and May 1976)."""
    bound = 2 * math.cos(d * math.pi / (2 * d + 1))
    # The root nearest the unit circle leaves it at a rate ~ 1e-3 * bound a tick: long enough to see it.
    num_ticks = 1500 + 500 * d
    assert _is_stable(bound * 0.999, d, num_ticks=num_ticks)
    assert not _is_stable(bound * 1.001, d, num_ticks=num_ticks)


@pytest.mark.parametrize("d", [0, 1, 3, 8])
def test_the_pipelined_loop_is_the_difference_equation_bit_for_bit(d: int) -> None:
    gain = 0.1
    world = DelayedIntegrator()
    agent = ScriptedAgent(
        world.spec, lambda r: np.full((d + 1, 1), -gain * r.observation["state"][0]), horizon=d + 1
    )
    log = play(
        world,
        agent,
        case=toy_case(time_limit_s=3.0),
        timing=Timing(name="pipelined", transport={SensorKind.PROPRIOCEPTION: Constant(d * PERIOD_NS)}),
        strategy=NaiveAsync(execution_horizon=1),
    )
    x = [1.0]
    for k in range(60):
        x.append(x[k] + -gain * x[max(k - d, 0)])
    assert log.column("world.state", "x").tolist() == x


# --- 5: the braking wall ---------------------------------------------------------------------------------------


def _hits(world: BrakingWall, inference_ns: int, actuation_ns: int = 0) -> bool:
    agent = ScriptedAgent(world.spec, lambda r: np.full((64, 1), 99.0), horizon=64)
    log = play(
        world,
        agent,
        case=toy_case(time_limit_s=20.0),
        timing=Timing(
            name="wall",
            stages={Stage.INFERENCE: Constant(inference_ns), Stage.ACTUATION: Constant(actuation_ns)},
            first_chunk=FirstChunk.CHARGED,
        ),
        strategy=NaiveAsync(execution_horizon=8),
    )
    reason = str(log.column("outcomes", "reason")[-1])
    assert reason in ("collision", "goal")
    return reason == "collision"


def _critical_ns(hits: Callable[[int], bool], high_ns: int) -> int:
    """The largest latency without a hit, to the nanosecond."""
    low = 0
    assert not hits(low)
    assert hits(high_ns)
    while high_ns - low > 1:
        middle = (low + high_ns) // 2
        low, high_ns = (low, middle) if hits(middle) else (middle, high_ns)
    return low


@pytest.mark.parametrize(
    ("speed_mps", "gap_m", "deceleration_mps2"), [(20.0, 45.0, 6.0), (15.0, 30.0, 8.0), (10.0, 20.03, 4.0)]
)
def test_the_critical_latency_of_the_braking_wall(
    speed_mps: float, gap_m: float, deceleration_mps2: float
) -> None:
    world = BrakingWall(speed_mps=speed_mps, gap_m=gap_m, deceleration_mps2=deceleration_mps2)
    critical_s = (gap_m - speed_mps**2 / (2 * deceleration_mps2)) / speed_mps
    measured_ns = _critical_ns(lambda ns: _hits(world, ns), 3_000_000_000)
    # The chunk acts at the first control tick at or after its arrival.
    assert measured_ns == math.floor(critical_s / 0.05 + 1e-9) * PERIOD_NS


def test_the_actuation_dead_time_is_finer_than_a_tick() -> None:
    world = BrakingWall(speed_mps=20.0, gap_m=45.0, deceleration_mps2=6.0)
    critical_s = (45.0 - 20.0**2 / 12) / 20.0
    measured_ns = _critical_ns(lambda ns: _hits(world, 0, actuation_ns=ns), 3_000_000_000)
    # Effects take place at the first physics instant (1 ms) at or after they are due.
    assert measured_ns == math.floor(critical_s * 1000) * 1_000_000


# --- 6: what must not change the hash --------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_zero_length_and_unused_stages_do_not_change_the_hash(name: str) -> None:
    def timing(**more: Distribution) -> Timing:
        base = {
            Stage.INFERENCE: ShiftedLognormal(shift_ns=6e7, median_ns=3e7, sigma=0.5),
            Stage.UPLINK: ShiftedLognormal(shift_ns=0, median_ns=2e7, sigma=0.5),
        }
        return Timing(name="t", stages={**base, **{Stage(k): v for k, v in more.items()}})

    def roll(chosen: Timing) -> str:
        return _roll(chosen, STRATEGIES[name](execution_horizon=4)).episode_hash

    reference = roll(timing())
    assert roll(timing(preprocess=Constant(0))) == reference
    assert roll(timing(preprocess=Constant(0), downlink=Constant(0), actuation=Constant(0))) == reference
    assert roll(timing(downlink=ShiftedLognormal(shift_ns=0, median_ns=0, sigma=0.5))) == reference
    with_camera = Timing(
        name="u",
        stages=timing().stages,
        transport={SensorKind.CAMERA: ShiftedLognormal(shift_ns=1e8, median_ns=1e7, sigma=1)},
    )
    # The kind is not among the world's sensors: nothing is drawn, and the first d-hat does not know of it.
    assert roll(with_camera) == reference
    if name != "paused":
        assert roll(timing(preprocess=Constant(1_000_000))) != reference


def test_sleeps_in_the_agent_do_not_change_the_hash() -> None:
    def roll(sleep_s: float) -> str:
        world = DelayedIntegrator()

        def plan(request: InferenceRequest) -> npt.NDArray[np.float64]:
            wall_clock.sleep_s(sleep_s)
            return _labels(request, HORIZON)

        agent = ScriptedAgent(world.spec, plan, horizon=HORIZON)
        return play(
            world, agent, case=toy_case(), timing=_jittered(), strategy=NaiveAsync(execution_horizon=4)
        ).episode_hash

    assert roll(0.002) == roll(0.0)


def test_interleaved_episodes_have_the_hashes_of_lonely_ones() -> None:
    def start(seed: int) -> tuple[ClosedLoop, ScriptedAgent]:
        world = DelayedIntegrator(initial=None)
        agent = ScriptedAgent(
            world.spec, lambda r: r.observation["state"][0] + _labels(r, HORIZON), horizon=HORIZON
        )
        loop = ClosedLoop(
            world=world,
            case=toy_case(seed=seed),
            agent=agent.spec,
            timing=_jittered(),
            strategy=NaiveAsync(execution_horizon=4),
        )
        return loop, agent

    def finish(seed: int) -> str:
        loop, agent = start(seed)
        return play(
            loop._world,
            agent,
            case=toy_case(seed=seed),
            timing=_jittered(),
            strategy=NaiveAsync(execution_horizon=4),
        ).episode_hash

    alone = [finish(seed) for seed in range(5)]
    assert len(set(alone)) == 5
    running: dict[int, tuple[Any, InferenceRequest]] = {}
    hashes: dict[int, str] = {}
    _, agent = start(0)
    for seed in range(5):
        episode = start(seed)[0].run()
        running[seed] = (episode, next(episode))
    turn = 0
    while running:
        # One batch over all episodes in one order, then in the other.
        order = sorted(running, reverse=bool(turn % 2))
        turn += 1
        replies = agent.infer([running[seed][1] for seed in order])
        for seed, reply in zip(order, replies, strict=True):
            episode = running[seed][0]
            try:
                running[seed] = (episode, episode.send(reply))
            except StopIteration as stop:
                hashes[seed] = stop.value.episode_hash
                del running[seed]
    assert [hashes[seed] for seed in range(5)] == alone


# --- 7: a strategy moves no draw -------------------------------------------------------------------------------


def _draws(log: EpisodeLog) -> dict[str, dict[int, int]]:
    """Every stage's drawn duration by event: capture number, observation tick, control tick."""
    captures, inferences, ticks = (log.tables[name] for name in ("captures", "inferences", "ticks"))
    found: dict[str, dict[int, int]] = {
        name: {} for name in ("transport", "to_start", "inference", "downlink", "actuation")
    }
    for index, t_ns, delivered_ns in zip(
        captures["index"], captures["t_ns"], captures["delivered_at_ns"], strict=True
    ):
        if delivered_ns >= 0:
            found["transport"][int(index)] = int(delivered_ns - t_ns)
    for row in np.flatnonzero(~inferences["is_free"]).tolist():
        tick = int(inferences["observation_tick"][row])
        trigger, start, done, deliver = (
            int(inferences[name][row]) for name in ("trigger_ns", "start_ns", "done_ns", "deliver_ns")
        )
        if start >= 0:
            found["to_start"][tick] = start - trigger
        if done >= 0:
            found["inference"][tick] = done - start
        if deliver >= 0:
            found["downlink"][tick] = deliver - done
    for tick, t_ns, effect_ns, quantisation_ns in zip(
        ticks["tick"], ticks["t_ns"], ticks["effect_ns"], ticks["quantisation_ns"], strict=True
    ):
        if effect_ns >= 0:
            found["actuation"][int(tick)] = int(effect_ns - quantisation_ns - t_ns)
    return found


@pytest.mark.parametrize(
    "other",
    [
        Blocking(execution_horizon=2),
        Prefix(execution_horizon=3),
        NaiveAsync(execution_horizon=1),
        NaiveAsync(),
    ],
    ids=["blocking", "prefix", "every_tick", "every_8"],
)
def test_changing_the_strategy_moves_no_draw(other: Strategy) -> None:
    timing = _jittered(servers=0)
    reference = _draws(_roll(timing, NaiveAsync(execution_horizon=2), num_ticks=200))
    compared = _draws(_roll(timing, other, num_ticks=200))
    for stage, draws in reference.items():
        common = sorted(set(draws) & set(compared[stage]))
        assert len(common) >= 15, stage
        assert [draws[i] for i in common] == [compared[stage][i] for i in common], stage
        assert len({draws[i] for i in common}) > 10, f"{stage} does not vary"
    assert set(reference["transport"]) == set(compared["transport"])


def test_changing_the_case_or_the_timing_seed_moves_every_draw() -> None:
    reference = _draws(_roll(_jittered(), NaiveAsync(execution_horizon=2)))
    for changed in (
        _roll(_jittered(), NaiveAsync(execution_horizon=2), seed=1),
        _roll(_jittered(seed=1), NaiveAsync(execution_horizon=2)),
    ):
        draws = _draws(changed)
        for stage in ("transport", "inference", "downlink"):
            common = set(reference[stage]) & set(draws[stage])
            assert common
            assert all(reference[stage][i] != draws[stage][i] for i in common)


# --- 9: the rounding rule --------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", range(5))
@pytest.mark.parametrize(
    "stage", [Stage.PREPROCESS, Stage.UPLINK, Stage.INFERENCE, Stage.DOWNLINK, "transport"]
)
@pytest.mark.parametrize(("extra_ns", "more_ticks"), [(0, 0), (1, 1), (PERIOD_NS - 1, 1)])
def test_a_chunk_is_usable_at_the_first_tick_at_or_after_its_arrival(
    d: int, stage: Stage | str, extra_ns: int, more_ticks: int
) -> None:
    delay = Constant(d * PERIOD_NS + extra_ns)
    stages: Mapping[Stage, Distribution] = {stage: delay} if isinstance(stage, Stage) else {}
    transport = {} if isinstance(stage, Stage) else {SensorKind.PROPRIOCEPTION: delay}
    timing = Timing(name="t", transport=transport, stages=stages, first_chunk=FirstChunk.CHARGED)
    log = _roll(timing, NaiveAsync(execution_horizon=8))
    inferences = log.tables["inferences"]
    assert inferences["deliver_ns"][0] == d * PERIOD_NS + extra_ns
    assert inferences["realised_delay_ticks"][0] == d + more_ticks
    assert log.column("ticks", "is_hold")[: d + more_ticks].all()
    assert _actions(log)[d + more_ticks] == d + more_ticks
    assert not log.column("ticks", "is_hold")[d + more_ticks]


def test_a_latency_under_a_tick_costs_exactly_one_tick() -> None:
    log = _roll(_inference(1), NaiveAsync(execution_horizon=1))
    installed = log.column("inferences", "state") == "installed"
    assert set(log.column("inferences", "realised_delay_ticks")[installed][1:].tolist()) == {1}


# --- 10: conservation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("queue", list(QueueRule))
@pytest.mark.parametrize("servers", [1, 2, 0])
@pytest.mark.parametrize("assembly", list(Assembly))
def test_nothing_is_lost_and_nothing_appears(
    name: str, queue: QueueRule, servers: int, assembly: Assembly
) -> None:
    strategy = STRATEGIES[name](execution_horizon=2)
    timing = _jittered(queue=queue, servers=servers, assembly=assembly)
    log = _roll(timing, strategy, num_ticks=61)
    captures, inferences, ticks, chunks = (
        log.tables[n] for n in ("captures", "inferences", "ticks", "chunks")
    )
    num_ticks = len(ticks["tick"])
    assert num_ticks == 61
    # Sensor items: one a period; each was consumed, or arrived for nothing, or is under way.
    arrived = captures["delivered_at_ns"] >= 0
    assert len(arrived) == num_ticks
    first = captures["index"] == 0
    assert not (captures["is_consumed"] & ~arrived & ~first).any()
    carried = set(log.column("consumed", "index").tolist())
    started = inferences["start_ns"] >= 0
    asked = set(inferences["request"][started].tolist())
    rendered = {
        int(i)
        for q, i in zip(log.column("consumed", "request"), log.column("consumed", "index"), strict=True)
        if int(q) in asked
    }
    assert rendered == set(captures["index"][captures["is_consumed"]].tolist())
    assert rendered <= carried
    # Requests: every one ends in exactly one state, which its instants bear out.
    state = inferences["state"]
    counted = {s: int((state == s).sum()) for s in sorted(set(state.tolist()))}
    assert set(counted) <= {"installed", "elapsed", "stale_dropped", "queue_dropped", "in_flight"}
    assert sum(counted.values()) == len(state)
    delivered = np.isin(state, ["installed", "elapsed", "stale_dropped"])
    assert (inferences["deliver_ns"][delivered] >= 0).all()
    assert (inferences["deliver_ns"][~delivered] == -1).all()
    assert (inferences["start_ns"][state == "queue_dropped"] == -1).all()
    if queue is QueueRule.FIFO or servers == 0:
        assert "queue_dropped" not in counted
    # Actions: rows = executed + overtaken + under way + discarded + pending, each counted by a rule of its own.
    handed = np.isin(state, ["installed", "elapsed"])
    assert len(chunks["row"]) == HORIZON * int(handed.sum())
    acting = {(int(q), int(r)) for q, r in zip(ticks["request"], ticks["row"], strict=True) if q >= 0}
    assert len(acting) == int((~ticks["is_hold"]).sum())
    effect_ns, end_ns = ticks["effect_ns"], int(log.column("outcomes", "t_ns")[-1])
    overtaken, under_way = effect_ns == -1, effect_ns >= end_ns
    executed = {
        (int(q), int(r))
        for q, r, e in zip(ticks["request"], ticks["row"], effect_ns, strict=True)
        if q >= 0 and 0 <= e < end_ns
    }
    marked = chunks["is_executed"]
    assert executed == {
        (int(q), int(r)) for q, r in zip(chunks["request"][marked], chunks["row"][marked], strict=True)
    }
    assert len(acting - executed) == int(((overtaken | under_way) & ~ticks["is_hold"]).sum())
    # What took effect did so in the order of the ticks.
    assert (np.diff(effect_ns[~overtaken & ~under_way]) >= 0).all()
    order = sorted(
        np.flatnonzero(handed).tolist(),
        key=lambda i: (int(inferences["deliver_ns"][i]), int(inferences["request"][i])),
    )
    plan: dict[int, tuple[int, int]] = {}
    for i in order:
        install, d = int(inferences["install_tick"][i]), int(inferences["realised_delay_ticks"][i])
        first_row = 0 if name == "blocking" else d
        rows = range(first_row, min(first_row + 2, HORIZON) if name == "blocking" else HORIZON)
        if len(rows):
            plan = {tick: v for tick, v in plan.items() if tick < install}
            plan |= {install + n: (int(inferences["request"][i]), row) for n, row in enumerate(rows)}
    pending = {v for tick, v in plan.items() if tick >= num_ticks}
    assert {v for tick, v in plan.items() if tick < num_ticks} == acting
    assert not pending & acting
    discarded = len(chunks["row"]) - len(acting) - len(pending)
    assert discarded >= 0
    if name == "naive_async":
        assert counted["installed"] > 3


# --- 11: more delay than the chunk can cover -------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("d", [3, 5, 6, 7, 8, 9, 30, 100])
@pytest.mark.parametrize("execution_horizon", [4, 8])
def test_starvation_is_counted_and_the_hold_acts(name: str, d: int, execution_horizon: int) -> None:
    strategy = STRATEGIES[name](execution_horizon=execution_horizon)
    log = _roll(_inference(d * PERIOD_NS), strategy, num_ticks=80)
    is_hold = log.column("ticks", "is_hold")
    assert len(is_hold) == 80
    # The toy world's hold is the null action.
    assert (_actions(log)[is_hold] == 0.0).all()
    assert (log.column("ticks", "request")[is_hold] == -1).all()
    if name == "paused":
        assert not is_hold.any()
    elif name == "blocking":
        # s actions, then d ticks of waiting, again and again.
        cycle = [False] * execution_horizon + [True] * d
        assert is_hold.tolist() == (cycle * 80)[:80]
    elif d >= HORIZON:
        # Nothing that arrives is of use: after the free chunk there is only the hold.
        assert not is_hold[:HORIZON].any()
        assert is_hold[HORIZON:].all()
        assert "installed" not in log.column("inferences", "state")[1:].tolist()
    else:
        # One server: chunks arrive every max(d, s) ticks and cover H - d of them (d > s: the next one waits).
        assert is_hold.any() == (d > HORIZON - max(d, execution_horizon))
