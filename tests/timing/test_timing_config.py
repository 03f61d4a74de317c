"""Every key of a timing: where it arrives, and how a value that is not allowed is named."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytest

from simloop.agent import Call
from simloop.errors import ParameterError, UnknownNameError
from simloop.timing.distribution import Constant
from simloop.timing.link import PacketLink
from simloop.timing.loss import Bernoulli, GilbertElliott
from simloop.timing.mahimahi import MahimahiLink
from simloop.timing.rules import Assembly, ControlClock, FirstChunk, Mode, QueueRule, Stage, Stamp
from simloop.timing.settings import Batching, Capture, Timing, Transport
from simloop.timing.timing_config import timing_from_config
from simloop.world import SensorKind

MS = 1_000_000


def _constant(value_ms: float) -> dict[str, Any]:
    return {"distribution": "constant", "value_ms": value_ms}


EVERYTHING: dict[str, Any] = {
    "name": "n",
    "source": "s",
    "capture": {
        "camera": {
            "period_ms": 40,
            "phase_ms": 10,
            "exposure_ms": 8,
            "readout_ms": 3,
            "stamp": "end",
            "drop": {"gemodel": {"p": 0.1, "r": 0.2}},
        },
        "objects": None,
    },
    "transport": {"camera": {**_constant(3), "rate_mbps": 8, "loss": 0.1}, "proprioception": _constant(1)},
    "preprocess": _constant(4),
    "uplink": {"netem": "delay 20ms loss 10%"},
    "inference": _constant(5),
    "context_inference": _constant(6),
    "expert_inference": _constant(7),
    "corrector_inference": _constant(8),
    "cold_start": _constant(9),
    "downlink": {"mahimahi": [1, 2]},
    "actuation": _constant(10),
    "performance_factor": 2,
    "strategy_cost": {"rtc": 1.5},
    "added_inference_ms": 100,
    "losses": False,
    "servers": 3,
    "context_servers": "pipelined",
    "expert_servers": 2,
    "corrector_servers": 4,
    "queue": "drop_oldest",
    "queue_size": 5,
    "batching": {"max_batch": 8, "base_ms": 60, "per_item_ms": 5},
    "assembly": "wait_all",
    "assembly_timeout_ms": 40,
    "first_chunk": "blocking",
    "control": {"clock": "restart_on_arrival", "jitter": _constant(2)},
    "mode": "replay",
    "trace": "x.jsonl",
    "measured_factor": 0.5,
    "seed": 7,
}


def test_every_key_arrives() -> None:
    assert set(EVERYTHING) == set(inspect.signature(timing_from_config).parameters)
    timing = timing_from_config(**EVERYTHING)
    assert timing == Timing(
        name="n",
        source="s",
        capture={
            SensorKind.CAMERA: Capture(
                period_ns=40 * MS,
                phase_ns=10 * MS,
                exposure_ns=8 * MS,
                readout_ns=3 * MS,
                stamp=Stamp.END,
                drop=GilbertElliott(p=0.1, r=0.2),
            ),
            SensorKind.OBJECTS: Capture(),
        },
        transport={
            SensorKind.CAMERA: Transport(
                delay=Constant(3 * MS), rate_bps=8e6, loss=Bernoulli(probability=0.1)
            ),
            SensorKind.PROPRIOCEPTION: Constant(1 * MS),
        },
        stages={
            Stage.PREPROCESS: Constant(4 * MS),
            Stage.INFERENCE: Constant(5 * MS),
            Stage.CONTEXT_INFERENCE: Constant(6 * MS),
            Stage.EXPERT_INFERENCE: Constant(7 * MS),
            Stage.CORRECTOR_INFERENCE: Constant(8 * MS),
            Stage.COLD_START: Constant(9 * MS),
            Stage.ACTUATION: Constant(10 * MS),
            Stage.CONTROL_JITTER: Constant(2 * MS),
        },
        links={
            Stage.UPLINK: PacketLink(delay=Constant(20 * MS), loss=Bernoulli(probability=0.1)),
            Stage.DOWNLINK: MahimahiLink(opportunities_ms=(1, 2)),
        },
        performance_factor=2.0,
        strategy_cost={"rtc": 1.5},
        added_inference_ns=100 * MS,
        losses=False,
        servers={Call.POLICY: 3, Call.CONTEXT: 0, Call.EXPERT: 2, Call.CORRECTOR: 4},
        queue=QueueRule.DROP_OLDEST,
        queue_size=5,
        batching=Batching(max_batch=8, base_ns=60 * MS, per_item_ns=5 * MS),
        assembly=Assembly.WAIT_ALL,
        assembly_timeout_ns=40 * MS,
        first_chunk=FirstChunk.BLOCKING,
        control_clock=ControlClock.RESTART_ON_ARRIVAL,
        mode=Mode.REPLAY,
        trace="x.jsonl",
        measured_factor=0.5,
        seed=7,
    )
    assert [timing.num_servers(call) for call in Call] == [3, 0, 2, 4]
    assert dict(timing.config) == {k: v for k, v in EVERYTHING.items() if k != "measured_factor" or v != 1}


def test_what_is_left_out_is_plain() -> None:
    timing = timing_from_config(name="n")
    assert timing == Timing(name="n")
    assert dict(timing.config) == {"name": "n"}
    assert [timing.num_servers(call) for call in Call] == [1, 1, 1, 1]
    piped = timing_from_config(name="n", servers="pipelined")
    assert piped.servers == 0
    assert [piped.num_servers(call) for call in Call] == [0, 1, 1, 1]
    assert timing_from_config(name="n", uplink=_constant(3)).stages == {Stage.UPLINK: Constant(3 * MS)}
    assert timing_from_config(name="n", transport={"camera": {"loss": 0.5}}).transport == {
        SensorKind.CAMERA: Transport(loss=Bernoulli(probability=0.5))
    }


SCENE = {"distribution": "scene_dependent", "base": _constant(1), "sensor": "objects", "per_row_ms": 1}
INVALID: list[tuple[Mapping[str, Any], str]] = [
    (
        {"capture": 5},
        r"timing\.capture is 5; allowed: a mapping by sensor kind: camera, proprioception, objects",
    ),
    ({"capture": {"lidar": {}}}, r"timing\.capture is 'lidar'; allowed: camera, proprioception, objects"),
    (
        {"capture": {"camera": {"period_ms": 0}}},
        r"timing\.capture\.camera\.period_ms is 0; allowed: a number > 0",
    ),
    (
        {"capture": {"camera": {"phase_ms": -1}}},
        r"timing\.capture\.camera\.phase_ms is -1; allowed: a number >= 0",
    ),
    ({"capture": {"camera": {"exposure_ms": -1}}}, r"capture\.camera\.exposure_ms is -1"),
    (
        {"capture": {"camera": {"exposure_ms": 60, "period_ms": 50}}},
        r"timing\.capture\.camera\.exposure_ms is 60; allowed: at most period_ms = 50",
    ),
    ({"capture": {"camera": {"readout_ms": "5"}}}, r"capture\.camera\.readout_ms is '5'"),
    (
        {"capture": {"camera": {"stamp": "late"}}},
        r"capture\.camera\.stamp is 'late'; allowed: start, mid, end",
    ),
    (
        {"capture": {"camera": {"drop": 1.5}}},
        r"capture\.camera\.drop is 1\.5; allowed: a probability from 0 to 1",
    ),
    (
        {"capture": {"camera": {"speed": 1}}},
        r"timing\.capture\.camera: unknown keys \['speed'\]; it takes: drop, exp",
    ),
    (
        {"transport": {"lidar": None}},
        r"timing\.transport is 'lidar'; allowed: camera, proprioception, objects",
    ),
    ({"transport": {"camera": 5}}, r"timing\.transport\.camera is 5; allowed: a mapping"),
    (
        {"transport": {"camera": {"distribution": "constant"}}},
        r"timing\.transport\.camera: value_ms is missing",
    ),
    (
        {"transport": {"camera": {"rate_mbps": 0}}},
        r"timing\.transport\.camera\.rate_mbps is 0; allowed: a number > 0",
    ),
    ({"transport": {"camera": {"loss": 2}}}, r"timing\.transport\.camera\.loss is 2; allowed: a probability"),
    ({"preprocess": _constant(-4)}, r"timing\.preprocess\.value_ms is -4; allowed: a number >= 0"),
    (
        {"preprocess": SCENE},
        r"timing\.preprocess\.distribution is 'scene_dependent'; allowed in inference, context",
    ),
    (
        {"transport": {"camera": SCENE}},
        r"timing\.transport\.camera\.distribution is 'scene_dependent'; allowed in",
    ),
    ({"uplink": {"delay": SCENE}}, r"timing\.uplink\.delay\.distribution is 'scene_dependent'; allowed in"),
    ({"uplink": {"loss": 1.01}}, r"timing\.uplink\.loss is 1\.01; allowed: a probability from 0 to 1"),
    (
        {"uplink": {"netem": "dealy 20ms"}},
        r"timing\.uplink\.netem: unknown word 'dealy'; allowed: limit, delay",
    ),
    ({"downlink": {"distribution": "constant"}}, r"timing\.downlink: value_ms is missing"),
    ({"downlink": SCENE}, r"timing\.downlink\.distribution is 'scene_dependent'; allowed in"),
    ({"inference": _constant(-1)}, r"timing\.inference\.value_ms is -1"),
    ({"context_inference": _constant(-1)}, r"timing\.context_inference\.value_ms is -1"),
    ({"expert_inference": _constant(-1)}, r"timing\.expert_inference\.value_ms is -1"),
    ({"corrector_inference": _constant(-1)}, r"timing\.corrector_inference\.value_ms is -1"),
    ({"cold_start": _constant(-1)}, r"timing\.cold_start\.value_ms is -1"),
    ({"actuation": _constant(-1)}, r"timing\.actuation\.value_ms is -1"),
    ({"performance_factor": 0}, r"timing\.performance_factor is 0; allowed: a number > 0"),
    ({"measured_factor": -1}, r"timing\.measured_factor is -1; allowed: a number > 0"),
    ({"added_inference_ms": -100}, r"timing\.added_inference_ms is -100; allowed: a number >= 0"),
    ({"strategy_cost": 2}, r"timing\.strategy_cost is 2; allowed: a mapping from strategies to factors > 0"),
    ({"strategy_cost": {"rtc": 0}}, r"timing\.strategy_cost\.rtc is 0; allowed: a number > 0"),
    ({"losses": "no"}, r"timing\.losses is 'no'; allowed: true or false"),
    (
        {"servers": -1},
        r"timing\.servers is -1; allowed: a whole number >= 0 \(0 = without bound\) or pipelined",
    ),
    ({"servers": 1.5}, r"timing\.servers is 1\.5"),
    ({"servers": "two"}, r"timing\.servers is 'two'"),
    ({"servers": True}, r"timing\.servers is True"),
    ({"context_servers": -1}, r"timing\.context_servers is -1"),
    ({"expert_servers": -1}, r"timing\.expert_servers is -1"),
    ({"corrector_servers": -1}, r"timing\.corrector_servers is -1"),
    ({"queue": "lifo"}, r"timing\.queue is 'lifo'; allowed: latest_wins, fifo, drop_oldest, drop_newest"),
    (
        {"queue_size": 2},
        r"timing\.queue_size is 2 with queue latest_wins; allowed: with drop_oldest and drop_newest",
    ),
    ({"queue": "drop_oldest", "queue_size": 0}, r"timing\.queue_size is 0; allowed: a whole number >= 1"),
    (
        {"batching": {"max_batch": 0, "base_ms": 1, "per_item_ms": 1}},
        r"timing\.batching\.max_batch is 0; allowed",
    ),
    ({"batching": {"max_batch": 2, "base_ms": -1, "per_item_ms": 1}}, r"timing\.batching\.base_ms is -1"),
    ({"batching": {"max_batch": 2, "base_ms": 1}}, r"timing\.batching: per_item_ms is missing"),
    (
        {"batching": 8},
        r"timing\.batching is 8; allowed: a mapping with the keys base_ms, max_batch, per_item_ms",
    ),
    (
        {"servers": 0, "batching": {"max_batch": 2, "base_ms": 1, "per_item_ms": 1}},
        r"timing\.batching is given with servers = 0; allowed",
    ),
    (
        {"mode": "measured", "batching": {"max_batch": 2, "base_ms": 1, "per_item_ms": 1}},
        r"timing\.batching is given with mode measured; allowed: with mode modelled",
    ),
    (
        {"assembly": "first"},
        r"timing\.assembly is 'first'; allowed: captured_since, latest, nearest, wait_all",
    ),
    ({"assembly": "wait_all"}, r"timing: assembly_timeout_ms is missing; it takes a number > 0"),
    (
        {"assembly": "wait_all", "assembly_timeout_ms": 0},
        r"timing\.assembly_timeout_ms is 0; allowed: a number > 0",
    ),
    (
        {"assembly_timeout_ms": 5},
        r"timing\.assembly_timeout_ms is 5 with assembly captured_since; allowed: with assembly wait_all only",
    ),
    ({"first_chunk": "no"}, r"timing\.first_chunk is 'no'; allowed: free, blocking, charged"),
    (
        {"control": {"clock": "free"}},
        r"timing\.control\.clock is 'free'; allowed: tick_locked, restart_on_arrival",
    ),
    ({"control": {"jitter": _constant(-1)}}, r"timing\.control\.jitter\.value_ms is -1"),
    ({"control": {"period": 1}}, r"timing\.control: unknown keys \['period'\]; it takes: clock, jitter"),
    (
        {"control": {"jitter": SCENE}},
        r"timing\.control\.jitter\.distribution is 'scene_dependent'; allowed in",
    ),
    ({"mode": "live"}, r"timing\.mode is 'live'; allowed: modelled, measured, replay"),
    ({"mode": "replay"}, r"timing\.trace is '' with mode replay; allowed: the path of a trace"),
    ({"trace": "x.jsonl"}, r"timing\.trace is 'x\.jsonl' with mode modelled; allowed"),
    ({"seed": 0.5}, r"timing\.seed is 0\.5; allowed: a whole number"),
]


@pytest.mark.parametrize(("change", "message"), INVALID)
def test_a_wrong_value_is_named_with_its_key_and_what_is_allowed(
    change: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        timing_from_config(name="n", **change)


def test_every_key_has_a_wrong_value_above() -> None:
    tried = {key for change, _ in INVALID for key in change}
    assert tried == set(EVERYTHING) - {"name", "source"}


def test_unknown_names_are_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown distribution 'gauss' in timing\.uplink"):
        timing_from_config(name="n", uplink={"distribution": "gauss"})
    with pytest.raises(UnknownNameError, match=r"Unknown strategy 'rct' in timing\.strategy_cost.*'rtc'"):
        timing_from_config(name="n", strategy_cost={"rct": 1.2})


def test_a_link_and_a_duration_exclude_each_other() -> None:
    with pytest.raises(ParameterError, match="uplink is given both as a link and a duration"):
        Timing(name="n", stages={Stage.UPLINK: Constant(1)}, links={Stage.UPLINK: PacketLink()})
