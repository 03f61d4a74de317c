"""The stages of an episode: what each takes for which event, and that nobody's asking moves a draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simloop.agent import Call
from simloop.errors import ConfigurationError
from simloop.strategies.naive_async import NaiveAsync
from simloop.testing import DelayedIntegrator, ScriptedAgent, play, toy_case
from simloop.timing.compound import RowCost, SceneDependent
from simloop.timing.distribution import Constant, Distribution, ShiftedLognormal
from simloop.timing.jitter import Jitter
from simloop.timing.link import PacketLink
from simloop.timing.loss import Bernoulli, GilbertElliott
from simloop.timing.rules import Assembly, Stamp
from simloop.timing.settings import Batching, Capture, Transport
from simloop.timing.stage_graph import FirstChunk, Mode, Stage, StageGraph, Timing, make_stage_graph
from simloop.world import SensorKind, SensorSpec

MS = 1_000_000
PERIOD_NS = 50 * MS
JITTER = ShiftedLognormal(shift_ns=1e6, median_ns=5e6, sigma=0.5)
SLOW = ShiftedLognormal(shift_ns=80e6, median_ns=5e6, sigma=0.5)


def _graph(timing: Timing, case_id: str = "case", strategy_name: str = "") -> StageGraph:
    return make_stage_graph(timing, case_id, control_period_ns=PERIOD_NS, strategy_name=strategy_name)


def _sensor(name: str, kind: SensorKind = SensorKind.CAMERA, payload_bytes: int = 1_000) -> SensorSpec:
    return SensorSpec(
        name=name, kind=kind, shape=(1,), dtype="uint8", period_ns=PERIOD_NS, payload_bytes=payload_bytes
    )


def _inference(timing: Timing, call: Call = Call.POLICY, strategy_name: str = "", **more: Any) -> list[int]:
    duration = _graph(timing, strategy_name=strategy_name).inference(call)
    given = {"is_first": False, "batch": 1, "observation": None, **more}
    return [duration.ns(tick, 0, **given) for tick in range(50)]


# --- draws -------------------------------------------------------------------------------------------------------


def test_a_stage_draws_by_event_whatever_else_there_is() -> None:
    alone = _graph(Timing(name="a", stages={Stage.PREPROCESS: JITTER})).preprocess
    crowd = Timing(
        name="b", stages=dict.fromkeys(Stage, JITTER), transport={SensorKind.CAMERA: JITTER}, servers=0
    )
    graph = _graph(crowd)
    other, actuation = graph.preprocess, graph.actuation
    events = list(range(200))
    expected = [alone.ns(i, 0) for i in events]
    assert [(actuation.ns(i, 0), other.ns(i, 0))[1] for i in reversed(events)] == expected[::-1]
    assert [actuation.ns(i, 0) for i in events] != expected
    assert all(isinstance(ns, int) for ns in expected)
    jitters = [graph.control_jitter.ns(i, 0) for i in events]
    assert jitters not in ([0] * len(events), expected)


def test_sensors_of_one_kind_draw_apart_and_cases_and_seeds_too() -> None:
    def draws(sensor: str, case: str, seed: int) -> tuple[int, ...]:
        timing = Timing(name="t", transport={SensorKind.CAMERA: JITTER}, seed=seed)
        path = _graph(timing, case).sensor(_sensor(sensor))
        return tuple(path.arrival_ns(i, 0, 0) for i in range(10))

    every = [draws("front", "a", 0), draws("rear", "a", 0), draws("front", "b", 0), draws("front", "a", 1)]
    assert len(set(every)) == 4
    assert draws("front", "a", 0) == every[0]
    timing = Timing(name="t", transport={SensorKind.CAMERA: JITTER})
    assert _graph(timing).sensor(_sensor("joints", SensorKind.PROPRIOCEPTION)).arrival_ns(3, 7, 0) == 7


def test_sparse_asking_moves_no_draw_of_a_process() -> None:
    correlated = Jitter(delay_ns=20e6, jitter_ns=5e6, correlation=0.9)
    timing = Timing(
        name="t",
        stages={Stage.PREPROCESS: correlated, Stage.INFERENCE: correlated},
        links={Stage.UPLINK: PacketLink(delay=correlated, loss=GilbertElliott(p=0.1, r=0.2))},
    )
    dense, sparse = _graph(timing), _graph(timing)
    every = [(dense.preprocess.ns(k, 0), dense.uplink.arrivals(k, 0, 0)) for k in range(160)]
    few = [(sparse.preprocess.ns(k, 0), sparse.uplink.arrivals(k, 0, 0)) for k in range(0, 160, 8)]
    assert few == every[::8]
    assert any(not arrivals for _, arrivals in every)


def test_constant_stages_draw_nothing_and_say_so() -> None:
    timing = Timing(name="t", stages={Stage.INFERENCE: Constant(80 * MS), Stage.ACTUATION: Constant(5)})
    graph = _graph(timing)
    assert (graph.preprocess.constant_ns, graph.actuation.constant_ns) == (0, 5)
    assert (graph.uplink.constant_ns, graph.uplink.has_memory) == (0, False)
    assert graph.sensor(_sensor("front")).constant_delay_ns == 0
    assert graph.inference(Call.POLICY).constant_ns == 80 * MS
    assert graph.inference(Call.EXPERT).constant_ns == graph.inference(Call.CORRECTOR).constant_ns == 0


# --- sensors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stamp", "offset_ms"), [(Stamp.START, -4), (Stamp.MID, 0), (Stamp.END, 4)])
def test_a_capture_shows_the_middle_of_its_exposure(stamp: Stamp, offset_ms: int) -> None:
    capture = Capture(period_ns=40 * MS, phase_ns=7 * MS, exposure_ns=8 * MS, readout_ns=3 * MS, stamp=stamp)
    timing = Timing(
        name="t", capture={SensorKind.CAMERA: capture}, transport={SensorKind.CAMERA: Constant(2 * MS)}
    )
    path = _graph(timing).sensor(_sensor("front"))
    assert (path.period_ns, path.phase_ns) == (40 * MS, 7 * MS)
    assert path.stamp_offset_ns == offset_ms * MS
    assert path.constant_delay_ns == (4 + 3 + 2) * MS
    assert path.arrival_ns(0, 7 * MS, 1_000) == 16 * MS
    other = _graph(timing).sensor(_sensor("joints", SensorKind.PROPRIOCEPTION))
    assert (other.period_ns, other.phase_ns, other.stamp_offset_ns) == (PERIOD_NS, 0, 0)


def test_a_rate_makes_the_size_of_a_frame_matter() -> None:
    def path(delay: Distribution) -> Any:
        transport = {SensorKind.CAMERA: Transport(delay=delay, rate_bps=8e6)}
        return _graph(Timing(name="t", transport=transport)).sensor(_sensor("front", payload_bytes=5_000))

    # 8 Mbit/s carry one byte in a microsecond.
    assert path(Constant(2 * MS)).constant_delay_ns == 7 * MS
    assert path(Constant(2 * MS)).arrival_ns(0, 0, 5_000) == 7 * MS
    timing = Timing(name="t", transport={SensorKind.CAMERA: JITTER})
    plain = _graph(timing).sensor(_sensor("front"))
    assert [path(JITTER).arrival_ns(i, 0, 5_000) for i in range(9)] == [
        plain.arrival_ns(i, 0, 0) + 5 * MS for i in range(9)
    ]


def test_captures_are_dropped_and_items_lost_in_the_bursts_of_a_tick() -> None:
    burst = GilbertElliott(p=0.1, r=0.2)
    timing = Timing(
        name="t",
        capture={SensorKind.CAMERA: Capture(period_ns=10 * MS, drop=burst)},
        transport={SensorKind.CAMERA: Transport(delay=Constant(3), loss=Bernoulli(probability=0.25))},
    )
    path = _graph(timing).sensor(_sensor("front"))
    assert path.constant_delay_ns is None
    dropped = [path.is_dropped(i) for i in range(5_000)]
    # Five captures fall into one control tick; they meet the same state.
    assert all(len(set(dropped[i : i + 5])) == 1 for i in range(0, 5_000, 5))
    assert np.mean(dropped) == pytest.approx(1 / 3, abs=0.1)
    arrivals = [path.arrival_ns(i, 10 * MS * i, 9) - 10 * MS * i for i in range(4_000)]
    assert {a for a in arrivals if a > 0} == {3}
    assert np.mean([path.arrival_ns(i, 0, 9) == -1 for i in range(4_000)]) == pytest.approx(0.25, abs=0.04)

    lossless = Timing(name="t", capture=timing.capture, transport=timing.transport, losses=False)
    kept = _graph(lossless).sensor(_sensor("front"))
    assert kept.constant_delay_ns == 3
    assert not any(kept.is_dropped(i) for i in range(500))
    assert all(kept.arrival_ns(i, 0, 9) == 3 for i in range(500))


# --- accelerator -------------------------------------------------------------------------------------------------


def test_factors_and_the_added_latency_of_an_inference() -> None:
    stages = {
        Stage.INFERENCE: SLOW,
        Stage.EXPERT_INFERENCE: Constant(10 * MS),
        Stage.CORRECTOR_INFERENCE: Constant(7 * MS),
    }
    plain = Timing(name="t", stages=stages)
    scaled = Timing(
        name="t",
        stages=stages,
        performance_factor=2.0,
        strategy_cost={"rtc": 1.5},
        added_inference_ns=100 * MS,
    )
    base = np.array(_inference(plain))
    assert _inference(scaled, strategy_name="prefix") == pytest.approx(2.0 * base + 100 * MS, abs=1)
    assert _inference(scaled, strategy_name="rtc") == pytest.approx(3.0 * base + 100 * MS, abs=2)
    assert set(_inference(scaled, Call.EXPERT, "rtc")) == {30 * MS}
    assert set(_inference(scaled, Call.CORRECTOR, "rtc")) == {14 * MS}
    assert _graph(scaled, strategy_name="rtc").inference(Call.EXPERT).constant_ns == 30 * MS


def test_a_context_takes_what_a_policy_takes_unless_it_is_given() -> None:
    plain = Timing(name="t", stages={Stage.INFERENCE: Constant(80 * MS)}, added_inference_ns=5)
    assert set(_inference(plain, Call.CONTEXT)) == {80 * MS + 5}
    own = Timing(
        name="t", stages={Stage.INFERENCE: Constant(80 * MS), Stage.CONTEXT_INFERENCE: Constant(200 * MS)}
    )
    assert set(_inference(own, Call.CONTEXT)) == {200 * MS}
    # Each call has a stream of its own.
    drawn = Timing(name="t", stages={Stage.INFERENCE: SLOW})
    assert _inference(drawn, Call.CONTEXT) != _inference(drawn)


@pytest.mark.parametrize("first_chunk", list(FirstChunk))
def test_a_cold_start_is_charged_once_and_only_if_the_first_chunk_is(first_chunk: FirstChunk) -> None:
    timing = Timing(
        name="t",
        stages={Stage.INFERENCE: Constant(80 * MS), Stage.COLD_START: Constant(400 * MS)},
        performance_factor=2.0,
        first_chunk=first_chunk,
    )
    is_charged = first_chunk is FirstChunk.CHARGED
    assert set(_inference(timing, is_first=True)) == {960 * MS if is_charged else 160 * MS}
    assert set(_inference(timing)) == {160 * MS}
    assert _graph(timing).inference(Call.POLICY).constant_ns == (None if is_charged else 160 * MS)


def test_a_batch_costs_a_plus_b_n() -> None:
    batching = Batching(max_batch=8, base_ns=60 * MS, per_item_ns=5 * MS)
    timing = Timing(
        name="t",
        stages={Stage.INFERENCE: SLOW},
        batching=batching,
        performance_factor=2.0,
        added_inference_ns=1,
    )
    assert [set(_inference(timing, batch=n)) for n in (1, 2, 8)] == [
        {130 * MS + 1},
        {140 * MS + 1},
        {200 * MS + 1},
    ]
    assert timing.inference_mean_ns(Call.POLICY) == 130 * MS + 1


def test_an_inference_can_depend_on_what_is_seen() -> None:
    scene = SceneDependent(base=Constant(60 * MS), cost=lambda o: 2e6 * len(o["objects"]))
    timing = Timing(name="t", stages={Stage.INFERENCE: scene}, performance_factor=2.0)
    duration = _graph(timing).inference(Call.POLICY)
    assert duration.needs_observation
    assert duration.constant_ns is None
    assert set(_inference(timing, observation={"objects": np.zeros((5, 2))})) == {140 * MS}
    assert not _graph(Timing(name="t")).inference(Call.POLICY).needs_observation


# --- the whole ---------------------------------------------------------------------------------------------------


def test_the_nominal_latency_is_the_sum_of_the_means_on_the_way() -> None:
    timing = Timing(
        name="t",
        capture={SensorKind.CAMERA: Capture(exposure_ns=8 * MS, readout_ns=3 * MS)},
        transport={SensorKind.CAMERA: Constant(2 * MS), SensorKind.PROPRIOCEPTION: Constant(1 * MS)},
        stages={
            Stage.PREPROCESS: Constant(4 * MS),
            Stage.INFERENCE: Constant(80 * MS),
            Stage.EXPERT_INFERENCE: Constant(10 * MS),
            Stage.DOWNLINK: Constant(6 * MS),
            Stage.COLD_START: Constant(400 * MS),
            Stage.ACTUATION: Constant(30 * MS),
        },
        links={Stage.UPLINK: PacketLink(delay=Constant(20 * MS), rate_bps=8e6)},
        strategy_cost={"rtc": 1.5},
    )
    camera, joints = SensorKind.CAMERA, SensorKind.PROPRIOCEPTION
    assert timing.nominal_ns([joints, camera]) == (9 + 4 + 20 + 80 + 6) * MS
    assert timing.nominal_ns([joints]) == (1 + 4 + 20 + 80 + 6) * MS
    assert timing.nominal_ns([]) == (4 + 20 + 80 + 6) * MS
    assert timing.nominal_ns([], Call.EXPERT) == (4 + 10) * MS
    assert timing.nominal_ns([], Call.CONTEXT) == (4 + 20 + 80 + 6) * MS
    graph = _graph(timing, strategy_name="rtc")
    sensors = [_sensor("front", payload_bytes=5_000), _sensor("joints", joints)]
    assert graph.nominal_ns(sensors) == (9 + 4 + 20 + 6 + 120 + 6) * MS
    bus = Timing(name="t", transport={camera: Transport(delay=Constant(2 * MS), rate_bps=8e6)})
    assert _graph(bus).nominal_ns(sensors) == (2 + 5) * MS


def test_a_frozen_world_keeps_only_the_actuation() -> None:
    timing = Timing(
        name="t",
        transport={SensorKind.CAMERA: JITTER},
        stages={Stage.INFERENCE: JITTER, Stage.ACTUATION: Constant(5)},
        first_chunk=FirstChunk.CHARGED,
        assembly=Assembly.LATEST,
        mode=Mode.MEASURED,
        seed=3,
        config={"name": "t"},
    )
    frozen = timing.frozen()
    assert frozen == Timing(name="t", stages={Stage.ACTUATION: Constant(5)}, seed=3)
    assert frozen.config == {"name": "t"}


def test_a_scene_that_the_agent_does_not_observe_is_refused_before_the_episode() -> None:
    world = DelayedIntegrator()
    agent = ScriptedAgent(world.spec, lambda request: np.zeros((12, 1)), horizon=12)
    scene = SceneDependent(base=Constant(60 * MS), cost=RowCost(sensor="objects", per_row_ns=1e6))
    timing = Timing(name="t", stages={Stage.INFERENCE: scene})
    with pytest.raises(
        ConfigurationError,
        match=r"timing\.inference: scene_dependent looks at sensor 'objects'; the agent .*: state",
    ):
        play(world, agent, case=toy_case(), timing=timing, strategy=NaiveAsync())
    own = SceneDependent(base=Constant(60 * MS), cost=lambda o: 5e6 * float(len(o["state"])))
    log = play(
        world,
        agent,
        case=toy_case(time_limit_s=1.0),
        timing=Timing(name="t", stages={Stage.INFERENCE: own}),
        strategy=NaiveAsync(),
    )
    done, start = log.column("inferences", "done_ns"), log.column("inferences", "start_ns")
    assert set((done - start)[log.column("inferences", "done_ns") > start].tolist()) == {65 * MS}
