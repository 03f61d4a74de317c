"""What enters an identity and what does not; what a family allows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simloop.errors import ConfigurationError, ParameterError
from simloop.spec import (
    Case,
    Component,
    EpisodeSpec,
    ParameterRange,
    Scenario,
    ScenarioFamily,
    canonical_json,
    digest,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SCENARIO = Scenario(family="f", world="w", parameters={"gap_m": 1.5, "side": "left"}, scene={"map": "m"})
CASE = Case(scenario=SCENARIO, seed=3, world_config={"action": "waypoints"})


def _component(group: str, **config: Any) -> Component:
    return Component(group=group, name=f"a_{group}", config=config)


SPEC = EpisodeSpec(
    case=CASE,
    agent=_component("agent", width=4),
    timing=_component("timing", value_ms=80),
    strategy=_component("strategy", s=8),
    agent_digest="d1",
    versions={"sim": "1"},
)
FAMILY = ScenarioFamily(
    name="cut_in",
    world="driving",
    parameters={
        "gap_m": ParameterRange(low=5, high=50),
        "headway_s": ParameterRange(low=0.1, high=10, distribution="log_uniform"),
        "side": ParameterRange(choices=("left", "right", "both")),
    },
    world_config={"action": "waypoints"},
    where="scenarios/cut_in.yaml",
)


@given(PLAIN)
def test_the_canonical_form_is_json_of_the_same_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


def test_equal_values_have_one_form_whatever_their_order_and_kind_of_mapping() -> None:
    one = {"b": [1, 2.0, "é"], "a": {"y": None, "x": True}}
    other = MappingProxyType({"a": MappingProxyType({"x": True, "y": None}), "b": [1, 2.0, "é"]})
    assert canonical_json(one) == canonical_json(other)
    assert " " not in canonical_json(one)
    assert canonical_json({3, 1, 2}) == "[1,2,3]"
    assert digest(one) == digest(other)
    assert len(digest(one)) == 32


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": object()}, b"bytes", {"a": np.zeros(2)}])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"Not a plain value: .* Allowed: text, numbers, lists, mappings"
    ):
        canonical_json(value)


@pytest.mark.parametrize(
    "change",
    [
        {"family": "g"},
        {"world": "v"},
        {"parameters": {"gap_m": 1.5000001, "side": "left"}},
        {"parameters": {"gap_m": 1.5}},
        {"scene": {"map": "n"}},
        {"instruction": "stop"},
        {"time_limit_ns": 1},
    ],
)
def test_what_the_world_is_put_through_enters_the_case(change: Mapping[str, Any]) -> None:
    changed = dataclasses.replace(CASE, scenario=dataclasses.replace(SCENARIO, **change))
    assert changed.case_id != CASE.case_id


def test_seed_and_world_config_enter_the_case_and_tags_do_not() -> None:
    others = [
        dataclasses.replace(CASE, seed=4),
        dataclasses.replace(CASE, world_config={"action": "control"}),
        dataclasses.replace(CASE, world_config={}),
    ]
    assert len({CASE.case_id, *(c.case_id for c in others)}) == 4
    tagged = dataclasses.replace(SCENARIO, tags={"iso34502": "cut_in"})
    assert dataclasses.replace(CASE, scenario=tagged).case_id == CASE.case_id
    reordered = dataclasses.replace(SCENARIO, parameters={"side": "left", "gap_m": 1.5})
    assert dataclasses.replace(CASE, scenario=reordered).case_id == CASE.case_id


def test_the_content_of_a_map_that_a_scene_names_enters_the_case(tmp_path: Path) -> None:
    file = tmp_path / "mine.xodr"

    def case_id() -> str:
        scenario = dataclasses.replace(SCENARIO, scene={"map": str(file)})
        return Case(scenario=scenario, seed=3).case_id

    absent = case_id()
    file.write_text("one map", encoding="utf-8")
    first = case_id()
    file.write_text("another map", encoding="utf-8")
    assert len({absent, first, case_id()}) == 3
    file.write_text("one map", encoding="utf-8")
    assert case_id() == first


@pytest.mark.parametrize(
    ("change", "is_new_episode"),
    [
        ({"case": dataclasses.replace(CASE, seed=4)}, True),
        ({"agent_digest": "d2"}, True),
        ({"agent": Component(group="agent", name="b", config={"width": 4})}, True),
        ({"timing": _component("timing", value_ms=81)}, True),
        ({"strategy": _component("strategy", s=7)}, True),
        ({"versions": {"sim": "2"}}, True),
        # What an agent is, is in its digest; a name of a preset is a label.
        ({"agent": Component(group="agent", name="a_agent", config={"cache": "/tmp"})}, False),
        ({"timing": Component(group="timing", name="renamed", config={"value_ms": 80})}, False),
    ],
)
def test_who_acts_enters_the_episode_and_never_the_case(
    change: Mapping[str, Any], is_new_episode: bool
) -> None:
    changed = dataclasses.replace(SPEC, **change)
    assert (changed.episode_id != SPEC.episode_id) is is_new_episode
    if "case" not in change:
        assert changed.case.case_id == SPEC.case.case_id


def test_draws_follow_the_named_distributions() -> None:
    scenarios = [FAMILY.scenario(seed) for seed in range(600)]
    gaps = [s.parameters["gap_m"] for s in scenarios]
    headways = [s.parameters["headway_s"] for s in scenarios]
    sides = [s.parameters["side"] for s in scenarios]
    assert stats.kstest(gaps, stats.uniform(5, 45).cdf).pvalue > 1e-3
    assert stats.kstest(headways, stats.loguniform(0.1, 10).cdf).pvalue > 1e-3
    assert stats.chisquare([sides.count(s) for s in ("left", "right", "both")]).pvalue > 1e-3


def test_fixing_a_parameter_does_not_move_the_others() -> None:
    free = FAMILY.scenario(7)
    fixed = FAMILY.scenario(7, {"gap_m": 20.0})
    assert fixed.parameters == {**free.parameters, "gap_m": 20.0}
    assert FAMILY.scenario(7) == free
    assert FAMILY.scenario(8).parameters != free.parameters
    assert FAMILY.case(7).world_config == {"action": "waypoints"}
    assert FAMILY.case(7).seed == 7


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"gap": 1}, r"cut_in\.yaml: unknown parameter 'gap'; cut_in has: gap_m, headway_s, side"),
        ({"gap_m": 4.9}, r"parameter 'gap_m' is 4\.9; allowed: a number from 5 to 50"),
        ({"gap_m": "5"}, r"parameter 'gap_m' is '5'; allowed: a number"),
        ({"gap_m": True}, r"parameter 'gap_m' is True; allowed: a number"),
        ({"gap_m": float("nan")}, r"parameter 'gap_m' is nan; allowed: a number"),
        ({"side": "up"}, r"parameter 'side' is 'up'; allowed: 'left', 'right', 'both'"),
    ],
)
def test_a_fixed_value_outside_the_range_is_refused(fixed: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        FAMILY.scenario(0, fixed)


def test_the_bounds_themselves_are_allowed() -> None:
    assert FAMILY.scenario(0, {"gap_m": 5}).parameters["gap_m"] == 5
    assert FAMILY.scenario(0, {"gap_m": 50.0}).parameters["gap_m"] == 50.0
    choices = ParameterRange(choices=(1, 2, 3))
    assert [choices.sample(u) for u in (0.0, 0.34, 0.999999, 1.0)] == [1, 2, 3, 3]


def test_the_number_of_a_play_tells_plays_apart_and_leaves_the_first_as_it_was() -> None:
    plays = [dataclasses.replace(SPEC, repeat=number) for number in range(4)]
    assert plays[0].episode_id == plays[1].episode_id == SPEC.episode_id
    assert len({play.episode_id for play in plays}) == 3
    assert {play.case.case_id for play in plays} == {SPEC.case.case_id}
    # What an id is made of without repeats: any change here makes every run start anew.
    parts = (
        SPEC.case.case_id, "a_agent", "d1", SPEC.timing.config_digest, SPEC.strategy.config_digest,
        digest([["sim", "1"]]),
    )  # fmt: skip
    assert SPEC.episode_id == hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
