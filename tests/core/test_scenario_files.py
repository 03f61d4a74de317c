"""Scenario files: what is read, and what each mistake says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.scenario_files import load_family, read_yaml_mapping, shipped_families
from simloop.spec import ParameterRange

GOOD: dict[str, Any] = {
    "family": "cut_in",
    "description": "An actor cuts in.",
    "world": "driving",
    "world_config": {"action": "waypoints"},
    "instruction": "Keep the lane.",
    "time_limit_s": 12.5,
    "parameters": {
        "gap_m": {"low": 5, "high": 40},
        "headway_s": {"low": 0.5, "high": 5, "distribution": "log_uniform"},
        "side": {"choices": ["left", "right"]},
        "lane_count": {"choices": [2, 3]},
    },
    "scene": {"map": "highway"},
    "tags": {"iso34502": "cut_in"},
    "provenance": "UN R157",
}


def _write(tmp_path: Path, **changed: Any) -> str:
    content = {k: v for k, v in {**GOOD, **changed}.items() if v is not ...}
    path = tmp_path / "family.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def test_every_key_arrives(tmp_path: Path) -> None:
    family = load_family(_write(tmp_path))
    assert family.name == "cut_in"
    assert family.world == "driving"
    assert family.description == "An actor cuts in."
    assert family.world_config == {"action": "waypoints"}
    assert family.instruction == "Keep the lane."
    assert family.time_limit_ns == 12_500_000_000
    assert family.parameters == {
        "gap_m": ParameterRange(low=5.0, high=40.0),
        "headway_s": ParameterRange(low=0.5, high=5.0, distribution="log_uniform"),
        "side": ParameterRange(choices=("left", "right")),
        "lane_count": ParameterRange(choices=(2, 3)),
    }
    assert family.scene == {"map": "highway"}
    assert family.tags == {"iso34502": "cut_in"}
    assert family.provenance == "UN R157"
    assert family.where.endswith("family.yaml")


def test_optional_keys_may_be_left_out(tmp_path: Path) -> None:
    optional = dict.fromkeys(
        ("description", "world_config", "instruction", "scene", "tags", "provenance"), ...
    )
    family = load_family(_write(tmp_path, **optional, parameters={}))
    assert family.world_config == family.scene == family.tags == family.parameters == {}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"famly": "x"}, UnknownNameError, r"Unknown key 'famly' in .*family\.yaml\. Did you mean 'family'"),
        (
            {"family": ...},
            ConfigurationError,
            r"family\.yaml: the key 'family' is missing; required: family, world",
        ),
        ({"parameters": ...}, ConfigurationError, r"the key 'parameters' is missing"),
        (
            {"time_limit_s": 0},
            ParameterError,
            r"family\.yaml: time_limit_s is 0; allowed: a number over 0, at most 3600",
        ),
        ({"time_limit_s": 3601}, ParameterError, r"time_limit_s is 3601"),
        ({"time_limit_s": "10"}, ParameterError, r"time_limit_s is '10'"),
        ({"time_limit_s": True}, ParameterError, r"time_limit_s is True"),
        ({"time_limit_s": float("nan")}, ParameterError, r"time_limit_s is nan"),
        ({"parameters": [1]}, ConfigurationError, r"family\.yaml: parameters is \[1\]; it must be a mapping"),
        ({"scene": "x"}, ConfigurationError, r"family\.yaml: scene is 'x'; it must be a mapping"),
        ({"world_config": 3}, ConfigurationError, r"world_config is 3; it must be a mapping"),
        ({"tags": ["a"]}, ConfigurationError, r"tags is \['a'\]; it must be a mapping"),
    ],
)
def test_a_mistake_is_named_with_file_and_key(
    tmp_path: Path, changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_family(_write(tmp_path, **changed))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("gap_m", 5, r"parameters\.gap_m is 5; allowed: \{low, high\} or \{choices: \[\.\.\.\]\}"),
        (
            "gap_m",
            {"low": 5},
            r"parameters\.gap_m has keys \['low'\]; allowed: low, high and optionally distribution",
        ),
        ("gap_m", {"low": 5, "high": 6, "step": 1}, r"has keys \['high', 'low', 'step'\]"),
        ("gap_m", {"low": 6, "high": 5}, r"low is 6, high is 5; both must be numbers, low <= high"),
        ("gap_m", {"low": "5", "high": 6}, r"low is '5', high is 6; both must be numbers"),
        ("gap_m", {"low": True, "high": 6}, r"low is True"),
        ("gap_m", {"low": float("inf"), "high": 6}, r"parameters\.gap_m: inf is not a finite number"),
        ("gap_m", {"low": None, "high": 6}, r"parameters\.gap_m: None is not a finite number"),
        ("gap_m", {"low": 0, "high": 6, "distribution": "log_uniform"}, r"log_uniform needs low > 0; got 0"),
        (
            "gap_m",
            {"low": 0, "high": 6, "distribution": "normal"},
            r"Unknown distribution 'normal' in .*gap_m.*log_uni",
        ),
        (
            "gap_m",
            {"choices": []},
            r"parameters\.gap_m must hold only a list 'choices' with at least one value",
        ),
        ("gap_m", {"choices": 3}, r"must hold only a list 'choices'"),
        ("gap_m", {"choices": [1], "low": 0}, r"must hold only a list 'choices'"),
        (
            "gap_m",
            {"choices": [[1]]},
            r"parameters\.gap_m: \[1\] is not a finite number, a text or true/false",
        ),
        (
            "gap",
            {"low": 5, "high": 6},
            r"parameters\.gap: the name carries no known unit; end it in one of: _m, _mps",
        ),
        ("gap_km", {"low": 5, "high": 6}, r"parameters\.gap_km: the name carries no known unit"),
        ("lanes", {"choices": [2, 3]}, r"parameters\.lanes: the name carries no known unit"),
    ],
)
def test_a_wrong_parameter_is_named_with_file_and_key(
    tmp_path: Path, name: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_family(_write(tmp_path, parameters={name: value}))
    assert "family.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", r"cannot be read as YAML"),
        (b"\xff\xfe\xff", r"cannot be read as YAML"),
        (b"- 1\n", r"holds list; it must hold a mapping of keys"),
        (b"", r"holds NoneType; it must hold a mapping"),
        (b"a: !!python/object/apply:os.getcwd []\n", r"cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_mapping(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"odd\.yaml.* {message}|odd\.yaml {message}"):
        read_yaml_mapping(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no file .*none\.yaml"):
        load_family(str(tmp_path / "none.yaml"))


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    shipped = shipped_families()
    assert {"cut_in", "lead_deceleration"} <= set(shipped)
    with pytest.raises(
        UnknownNameError, match=r"Unknown scenario 'cut_inn'\. Did you mean 'cut_in'\? Available: .*cut_in"
    ):
        load_family("cut_inn")


def test_every_shipped_family_is_named_as_its_file_and_draws_a_case() -> None:
    for name in shipped_families():
        family = load_family(name)
        assert family.name == name
        assert family.description
        case = family.case(0)
        assert set(case.scenario.parameters) == set(family.parameters)
        assert case.case_id == load_family(name).case(0).case_id
