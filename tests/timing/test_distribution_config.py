"""What the configuration of a duration allows, and how it names what it does not allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simloop.errors import ParameterError, TraceError, UnknownNameError
from simloop.timing.compound import (
    Empirical,
    Mixture,
    RowCost,
    SceneDependent,
    SequentialEmpirical,
    TwoStateMarkov,
)
from simloop.timing.distribution import (
    ZERO,
    Constant,
    ShiftedGamma,
    ShiftedLognormal,
    TruncatedNormal,
    Uniform,
)
from simloop.timing.distribution_config import distribution_from_config
from simloop.timing.jitter import Jitter, JitterShape

WHERE = "timing.inference"
CONSTANT = {"distribution": "constant", "value_ms": 3}


def test_values_are_milliseconds_and_bounds_go_with_all() -> None:
    bounds = {"floor_ms": 1, "ceiling_ms": 60, "performance_factor": 0.5}
    made_of: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
        "uniform": ({"low_ms": 1, "high_ms": 2}, Uniform, {"low_ns": 1e6, "high_ns": 2e6}),
        "truncated_normal": (
            {"mean_ms": 5, "sd_ms": 2, "high_ms": 9},
            TruncatedNormal,
            {"normal_mean_ns": 5e6, "normal_sd_ns": 2e6, "low_ns": 0.0, "high_ns": 9e6},
        ),
        "shifted_lognormal": (
            {"shift_ms": 2, "median_ms": 3.5, "sigma": 0.4},
            ShiftedLognormal,
            {"shift_ns": 2e6, "median_ns": 3.5e6, "sigma": 0.4},
        ),
        "shifted_gamma": (
            {"shape": 2, "scale_ms": 3},
            ShiftedGamma,
            {"shift_ns": 0.0, "shape": 2.0, "scale_ns": 3e6},
        ),
        "mixture": (
            {"components": [{"weight": 2, **CONSTANT}]},
            Mixture,
            {"components": ((2.0, Constant(3_000_000)),)},
        ),
        "markov": (
            {"calm": CONSTANT, "busy": CONSTANT, "enter_probability": 0.1, "leave_probability": 1},
            TwoStateMarkov,
            {
                "calm": Constant(3_000_000),
                "busy": Constant(3_000_000),
                "enter_probability": 0.1,
                "leave_probability": 1.0,
            },
        ),
    }
    for name, (keys, kind, fields) in made_of.items():
        made = distribution_from_config({"distribution": name, **keys, **bounds}, WHERE)
        assert made == kind(**fields, floor_ns=1e6, ceiling_ns=60e6, performance_factor=0.5)

    jitter = distribution_from_config(
        {"distribution": "jitter", "delay_ms": 20, "jitter_ms": 5, "correlation": 0.25, "shape": "pareto"},
        WHERE,
    )
    assert isinstance(jitter, Jitter)
    assert (jitter.delay_ns, jitter.jitter_ns, jitter.correlation) == (20e6, 5e6, 0.25)
    assert jitter.shape is JitterShape.PARETO


def test_a_constant_is_whole_and_bounded() -> None:
    assert distribution_from_config(None, WHERE) == ZERO
    constant = distribution_from_config(
        {"distribution": "constant", "value_ms": 96.89, "performance_factor": 2}, WHERE
    )
    assert constant == Constant(193_780_000)
    floored = distribution_from_config({"distribution": "constant", "value_ms": 1, "floor_ms": 4}, WHERE)
    assert floored == Constant(4_000_000)


def test_samples_come_from_a_list_or_a_trace(tmp_path: Path) -> None:
    listed = distribution_from_config({"distribution": "empirical", "samples_ms": [1, 2.5]}, WHERE)
    assert isinstance(listed, Empirical)
    assert listed.samples_ns.tolist() == [1e6, 2.5e6]
    ordered = distribution_from_config(
        {"distribution": "empirical", "samples_ms": [1, 2.5], "order": "sequential", "events_per_sample": 8},
        WHERE,
    )
    assert isinstance(ordered, SequentialEmpirical)
    assert ordered.events_per_sample == 8
    with pytest.raises(TraceError, match=r"timing\.inference: .*missing\.jsonl"):
        distribution_from_config(
            {"distribution": "empirical", "file": str(tmp_path / "missing.jsonl")}, WHERE
        )


def test_a_scene_costs_by_the_rows_of_a_sensor() -> None:
    scene = distribution_from_config(
        {
            "distribution": "scene_dependent",
            "base": CONSTANT,
            "sensor": "objects",
            "per_row_ms": 2,
            "column": 0,
            "expected_rows": 1.5,
        },
        WHERE,
        may_observe=True,
    )
    assert isinstance(scene, SceneDependent)
    assert scene.cost == RowCost(sensor="objects", per_row_ns=2e6, column=0)
    assert scene.mean_ns == 6e6
    objects = np.array([[1.0, 5.0], [0.0, 3.0], [1.0, 0.0], [0.0, 0.0]])
    assert scene.extra_ns({"objects": objects}) == 4e6
    assert RowCost(sensor="objects", per_row_ns=2e6)({"objects": objects}) == 6e6
    with pytest.raises(ParameterError, match="sensor is 'objects'; the agent observes: camera"):
        scene.extra_ns({"camera": objects})
    with pytest.raises(
        ParameterError, match=r"sensor 'objects' has shape \(4,\), column is 0; allowed: a table"
    ):
        scene.extra_ns({"objects": objects[:, 0]})
    with pytest.raises(ParameterError, match=r"column is 2"):
        RowCost(sensor="objects", per_row_ns=1, column=2)({"objects": objects})


INVALID: list[tuple[Any, str]] = [
    ({"distribution": "markov", "calm": CONSTANT}, r"inference\.busy is missing; allowed: a distribution"),
    ({"distribution": "scene_dependent", "sensor": "x", "per_row_ms": 1}, r"inference\.base is missing"),
    ({"distribution": "constant"}, r"timing\.inference: value_ms is missing; it takes a number >= 0"),
    ({"distribution": "constant", "value_ms": -1}, r"inference\.value_ms is -1; allowed: a number >= 0"),
    ({"distribution": "constant", "value_ms": "80"}, r"timing\.inference\.value_ms is '80'"),
    ({"distribution": "constant", "value_ms": True}, r"timing\.inference\.value_ms is True"),
    ({"distribution": "constant", "value_ms": math.nan}, r"timing\.inference\.value_ms is nan"),
    ({"distribution": "constant", "value_ms": math.inf}, r"timing\.inference\.value_ms is inf"),
    (
        {"distribution": "constant", "value_s": 1, "value_ms": 1},
        r"unknown keys \['value_s'\]; constant takes: cei",
    ),
    ({**CONSTANT, "performance_factor": 0}, r"performance_factor is 0; allowed: a number > 0"),
    ({"distribution": "uniform", "low_ms": 2}, r"high_ms is missing"),
    ({"distribution": "uniform", "low_ms": 2, "high_ms": 1}, r"high_ms is 1; allowed: at least low_ms = 2"),
    ({"distribution": "truncated_normal", "mean_ms": 1, "sd_ms": 0}, r"sd_ms is 0; allowed: a number > 0"),
    (
        {"distribution": "truncated_normal", "mean_ms": 1, "sd_ms": 1, "low_ms": 3, "high_ms": 3},
        r"high_ms is 3; allowed: more than low_ms = 3",
    ),
    (
        {"distribution": "truncated_normal", "mean_ms": 1, "sd_ms": 1, "low_ms": 30},
        r"low_ms is 30 and high_ms is inf; allowed: an interval that holds",
    ),
    ({"distribution": "shifted_lognormal", "sigma": 1}, r"median_ms is missing"),
    ({"distribution": "shifted_lognormal", "median_ms": 1}, r"sigma is missing"),
    ({"distribution": "shifted_lognormal", "median_ms": 1, "sigma": -0.1}, r"\.sigma is -0\.1; allowed"),
    ({"distribution": "shifted_lognormal", "median_ms": 1, "sigma": 11}, r"\.sigma is 11; .*>= 0 and <= 10"),
    (
        {"distribution": "shifted_lognormal", "median_ms": 1, "sigma": 1, "floor_ms": 5, "ceiling_ms": 4},
        r"timing\.inference\.ceiling_ms is 4; allowed: at least floor_ms = 5",
    ),
    ({"distribution": "shifted_gamma", "shape": 0, "scale_ms": 1}, r"shape is 0; allowed: a number > 0"),
    ({"distribution": "mixture"}, r"components is None; allowed: a list of distributions"),
    ({"distribution": "mixture", "components": []}, r"components is \[\]"),
    (
        {"distribution": "mixture", "components": [3]},
        r"components\.0 is 3; allowed: a distribution with a weight",
    ),
    ({"distribution": "mixture", "components": [CONSTANT]}, r"components\.0: weight is missing"),
    (
        {"distribution": "mixture", "components": [{**CONSTANT, "weight": 0}]},
        r"components\.0\.weight is 0; allowed: a number > 0",
    ),
    (
        {
            "distribution": "mixture",
            "components": [
                {"weight": 1, "distribution": "jitter", "delay_ms": 1, "jitter_ms": 1, "correlation": 0.5}
            ],
        },
        r"components\.0\.distribution is 'jitter'; allowed inside another distribution: constant, empirical",
    ),
    ({"distribution": "empirical"}, r"takes samples_ms .* or file .*; it has neither"),
    ({"distribution": "empirical", "samples_ms": [1], "file": "x"}, r"it has both"),
    ({"distribution": "empirical", "samples_ms": []}, r"samples_ms is \[\]; allowed: a list of one or more"),
    ({"distribution": "empirical", "samples_ms": [1, -2]}, r"samples_ms is -2; allowed: a number >= 0"),
    (
        {"distribution": "empirical", "samples_ms": [1], "events_per_sample": 2},
        r"events_per_sample is allowed with order: sequential only",
    ),
    (
        {"distribution": "empirical", "samples_ms": [1], "order": "sequential", "events_per_sample": 0},
        r"events_per_sample is 0; allowed: a whole number >= 1",
    ),
    ({"distribution": "jitter", "delay_ms": 1}, r"jitter_ms is missing"),
    (
        {"distribution": "jitter", "delay_ms": 1, "jitter_ms": 1, "correlation": 1},
        r"correlation is 1; allowed: a number >= 0 and <= 0\.9999",
    ),
    (
        {"distribution": "jitter", "delay_ms": 1, "jitter_ms": 1, "shape": "gauss"},
        r"shape is 'gauss'; allowed: uniform, normal, pareto, paretonormal",
    ),
    (
        {"distribution": "markov", "calm": CONSTANT, "busy": CONSTANT, "enter_probability": 1.5},
        r"enter_probability is 1\.5; allowed: a number >= 0 and <= 1",
    ),
    (
        {"distribution": "markov", "calm": CONSTANT, "busy": CONSTANT, "enter_probability": 0.5},
        r"leave_probability is missing",
    ),
    (
        {"distribution": "scene_dependent", "base": CONSTANT, "per_row_ms": 1},
        r"sensor is None; allowed: the name of a sensor",
    ),
    (
        {
            "distribution": "scene_dependent",
            "base": CONSTANT,
            "sensor": "objects",
            "per_row_ms": 1,
            "column": -1,
        },
        r"column is -1; allowed: a whole number >= 0",
    ),
    (80, r"timing\.inference is 80; allowed: a mapping with the key distribution"),
]


@pytest.mark.parametrize(("config", "message"), INVALID)
def test_a_wrong_value_is_named_with_its_key(config: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        distribution_from_config(config, WHERE, may_observe=True)


@pytest.mark.parametrize("config", [{"distribution": "constnat", "value_ms": 1}, {"value_ms": 1}])
def test_an_unknown_distribution_is_named_with_the_known_ones(config: Mapping[str, Any]) -> None:
    with pytest.raises(
        UnknownNameError, match=r"Unknown distribution .* in timing\.inference.*constant, empirical"
    ):
        distribution_from_config(config, WHERE)


def test_an_unknown_order_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown order 'backwards'.*random, sequential"):
        distribution_from_config(
            {"distribution": "empirical", "samples_ms": [1], "order": "backwards"}, WHERE
        )
