"""The stages' configuration, their draws, and the shipped presets' totals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from simloop.errors import ParameterError, UnknownNameError
from simloop.timing.distribution import Constant, ShiftedLognormal
from simloop.timing.stage_graph import (
    Assembly,
    FirstChunk,
    QueueRule,
    Stage,
    StageGraph,
    Timing,
    make_stage_graph,
    timing_from_config,
)
from simloop.world import SensorKind, SensorSpec


def _graph(timing: Timing, case_id: str = "case") -> StageGraph:
    return make_stage_graph(timing, case_id, control_period_ns=50_000_000)


def _sensor(name: str, kind: SensorKind = SensorKind.CAMERA) -> SensorSpec:
    return SensorSpec(
        name=name, kind=kind, shape=(1,), dtype="uint8", period_ns=50_000_000, payload_bytes=1_000
    )


JITTER = ShiftedLognormal(shift_ns=1e6, median_ns=5e6, sigma=0.5)


def test_every_key_of_a_configuration_arrives() -> None:
    constant = {"distribution": "constant", "value_ms": 3}
    timing = timing_from_config(
        name="n",
        source="s",
        transport={"camera": constant},
        preprocess=constant,
        inference=constant,
        assembly="latest",
        first_chunk="charged",
        servers=0,
        queue="fifo",
        seed=7,
    )
    assert timing == Timing(
        name="n",
        source="s",
        transport={SensorKind.CAMERA: Constant(3_000_000)},
        stages={Stage.PREPROCESS: Constant(3_000_000), Stage.INFERENCE: Constant(3_000_000)},
        assembly=Assembly.LATEST,
        first_chunk=FirstChunk.CHARGED,
        servers=0,
        queue=QueueRule.FIFO,
        seed=7,
    )
    assert timing.nominal_ns([SensorKind.PROPRIOCEPTION, SensorKind.CAMERA]) == 9e6
    assert timing.nominal_ns([SensorKind.PROPRIOCEPTION]) == timing.nominal_ns([]) == 6e6
    assert timing.stage(Stage.UPLINK).constant_ns == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"assembly": "first"}, r"timing\.assembly is 'first'; allowed: captured_since, latest, nearest"),
        ({"first_chunk": "no"}, r"timing\.first_chunk is 'no'; allowed: free, blocking, charged"),
        ({"queue": "lifo"}, r"timing\.queue is 'lifo'; allowed: latest_wins, fifo, drop_oldest"),
        ({"servers": -1}, r"timing\.servers is -1; allowed: a whole number >= 0"),
        ({"servers": 1.5}, r"timing\.servers is 1\.5"),
        ({"servers": "two"}, r"timing\.servers is 'two'"),
        ({"seed": 0.5}, r"timing\.seed is 0\.5"),
        (
            {"transport": {"lidar": None}},
            r"timing\.transport is 'lidar'; allowed: camera, proprioception, objects",
        ),
        ({"downlink": {"distribution": "constant"}}, r"timing\.downlink: value_ms is missing"),
        (
            {"transport": {"camera": {"distribution": "constant"}}},
            r"timing\.transport\.camera: value_ms is missing",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_key(change: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        timing_from_config(name="n", **change)


def test_an_unknown_distribution_is_named_with_its_stage() -> None:
    with pytest.raises(UnknownNameError, match=r"timing\.uplink"):
        timing_from_config(name="n", uplink={"distribution": "gauss"})


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


def test_a_frozen_world_keeps_only_the_actuation() -> None:
    timing = Timing(
        name="t",
        transport={SensorKind.CAMERA: JITTER},
        stages={Stage.INFERENCE: JITTER, Stage.ACTUATION: Constant(5)},
        first_chunk=FirstChunk.CHARGED,
        assembly=Assembly.LATEST,
        seed=3,
    )
    assert timing.frozen() == Timing(name="t", stages={Stage.ACTUATION: Constant(5)}, seed=3)


@pytest.mark.parametrize(
    ("name", "total_ms"),
    [
        # RTC paper (arXiv 2506.07339), latency table: 96.89 inference + 21.20 network + 11.22 resize + 9.67 other.
        ("pi05_4090_mobile", 138.98),
        # Xiaomi-Robotics-0 (arXiv 2602.12684) 80; RTC paper, static row: 1.44 resize + 3.00 other.
        ("xr0_4090", 84.44),
        ("zero", 0.0),
    ],
)
def test_the_presets_add_up_to_the_published_means(repository: Path, name: str, total_ms: float) -> None:
    config = yaml.safe_load((repository / "conf" / "timing" / f"{name}.yaml").read_text())
    assert config.pop("_target_") == "simloop.timing.stage_graph.timing_from_config"
    timing = timing_from_config(**config)
    assert timing.nominal_ns(SensorKind) * 1e-6 == pytest.approx(total_ms, abs=0.05)
    assert timing.source
