"""Every key of a timing can be set on every preset, as on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from simloop.compose import component, make_timing
from simloop.errors import ConfigurationError, ParameterError
from simloop.timing.distribution import Constant, Uniform
from simloop.timing.link import PacketLink
from simloop.timing.loss import GilbertElliott
from simloop.timing.stage_graph import FirstChunk, Stage, Timing


def _timing(name: str, **overrides: str) -> Timing:
    return make_timing(component("timing", name, {k.replace("__", "."): v for k, v in overrides.items()}))


def test_keys_that_a_preset_does_not_list_can_be_set() -> None:
    timing = _timing(
        "zero", first_chunk="charged", uplink="{netem: 'delay 20ms loss gemodel 1% 10%'}", queue="fifo"
    )
    assert timing.first_chunk is FirstChunk.CHARGED
    assert timing.links == {
        Stage.UPLINK: PacketLink(delay=Constant(20_000_000), loss=GilbertElliott(p=0.01, r=0.1))
    }
    assert _timing("zero", inference__distribution="constant", inference__value_ms="7").stages == {
        Stage.INFERENCE: Constant(7_000_000)
    }


def test_a_part_is_set_in_place_and_a_mapping_replaces_the_old_one() -> None:
    assert _timing("constant", inference__value_ms="70").stages == {Stage.INFERENCE: Constant(70_000_000)}
    replaced = _timing("constant", inference="{distribution: uniform, low_ms: 1, high_ms: 2}")
    assert replaced.stages == {Stage.INFERENCE: Uniform(low_ns=1e6, high_ns=2e6)}
    chosen = component("timing", "constant", {"inference.value_ms": "70"})
    assert chosen.name == "constant[inference.value_ms=70]"


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (
            {"firstchunk": "free"},
            ConfigurationError,
            r"timing\.firstchunk=free does not fit.*first_chunk, control",
        ),
        (
            {"inference__mean_ms": "3"},
            ParameterError,
            r"timing\.inference: unknown keys \['mean_ms'\]; constant takes",
        ),
        ({"seed__x": "3"}, ParameterError, r"timing\.seed is \{'x': 3\}; allowed: a whole number"),
        (
            {"uplink": "{netem: 'delay -1ms'}"},
            ParameterError,
            r"timing\.uplink\.netem: delay is '-1ms'; allowed",
        ),
        ({"_target_": "os.system"}, ConfigurationError, r"keys that start with _ belong to conf/ alone"),
        (
            {"uplink": "{_target_: os.system}"},
            ConfigurationError,
            r"keys that start with _ belong to conf/ alone",
        ),
    ],
)
def test_what_does_not_fit_is_named(overrides: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _timing("constant", **overrides)
