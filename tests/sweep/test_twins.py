"""Counterfactual twins: the same draws without the event, and the reaction read off the two logs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simloop.compose import make_world, world_component
from simloop.errors import ConfigurationError
from simloop.log import MOTION, EpisodeLog
from simloop.loop_tables import loop_schemas
from simloop.scenario_files import load_family
from simloop.spec import ParameterRange, ScenarioFamily
from simloop.sweep.twins import event_instant_ns, reaction
from simloop.world import OutcomeState

FAMILY = ScenarioFamily(
    name="f",
    world="w",
    parameters={"gap_m": ParameterRange(low=5, high=50)},
    scene={"manoeuvres": [{"actor": "a", "trigger": {"time_s": 3}}, {"actor": "b"}]},
    twin={"scene.manoeuvres.0.trigger": {"time_s": 500}, "parameters.gap_m": 90.0},
    where="f.yaml",
)


def test_a_twin_changes_what_it_says_and_shares_the_draws() -> None:
    case = FAMILY.case(3)
    twin = FAMILY.twin_case(case)
    assert twin.scenario.scene == {"manoeuvres": [{"actor": "a", "trigger": {"time_s": 500}}, {"actor": "b"}]}
    assert twin.scenario.parameters == {"gap_m": 90.0}
    assert case.scenario.scene["manoeuvres"][0]["trigger"] == {"time_s": 3}
    assert (twin.draw_id, twin.seed) == (case.case_id, case.seed)
    assert twin.case_id != case.case_id
    assert case.draw_id == case.case_id


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "scene.manoeuvres.7.trigger",
            "f.yaml: twin.scene.manoeuvres.7.trigger leads nowhere: there is no '7'",
        ),
        ("scene.actors.x", "there is no 'actors' in"),
        ("speed", "there is no 'speed' in"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, message: str) -> None:
    family = ScenarioFamily(
        name="f", world="w", parameters={}, scene=FAMILY.scene, twin={path: 1}, where="f.yaml"
    )
    with pytest.raises(ConfigurationError, match=message):
        family.twin_case(family.case(0))


def log(actions: list[float], position_m: list[float]) -> EpisodeLog:
    ticks = np.arange(len(actions))
    schemas = {"ticks": loop_schemas(1)["ticks"], "world.motion": MOTION}
    columns: dict[str, Any] = {}
    for column in schemas["ticks"].columns:
        shape = (len(ticks), column.width) if column.width else (len(ticks),)
        columns[column.name] = np.zeros(shape, dtype={"text": object}.get(column.dtype, column.dtype))
    columns |= {"tick": ticks, "effect_ns": ticks * 50_000_000, "action": np.array(actions).reshape(-1, 1)}
    t_ns = np.arange(len(position_m)) * 10_000_000
    position = np.zeros((len(t_ns), 3))
    position[:, 0] = position_m
    motion = {
        "t_ns": t_ns,
        "point": 0 * t_ns,
        "position_m": position,
        "velocity_mps": np.zeros((len(t_ns), 3)),
    }
    return EpisodeLog.from_columns(
        schemas,
        {"ticks": columns, "world.motion": motion},
        {"action_low": [-1.0], "action_high": [1.0]},
    )


def test_the_reaction_counts_from_the_first_difference_of_the_worlds() -> None:
    twin = log([0.0] * 6, [0.0] * 30)
    seen = log([0.0, 0.0, 0.0, 0.01, 0.5, 0.5], [0.0] * 7 + [0.1] * 23)
    assert event_instant_ns(seen, twin) == 70_000_000
    found = reaction(seen, twin, 0.02)
    assert (found["state"], found["event_ms"]) == ("reacted", pytest.approx(70.0))
    assert found["reaction_ms"] == pytest.approx(200.0 - 70.0)  # 0.01 is less than 2 % of the range of 2
    assert reaction(seen, twin, 0.001)["reaction_ms"] == pytest.approx(150.0 - 70.0)


def test_what_is_no_reaction_says_why() -> None:
    twin = log([0.0] * 6, [0.0] * 30)
    assert reaction(twin, twin, 0.02)["state"] == "no_event"
    assert reaction(log([0.0] * 6, [0.0] * 9 + [1.0] * 21), twin, 0.02)["state"] == "no_reaction"
    assert reaction(log([0.0] * 3, [0.0] * 9 + [1.0] * 6), twin, 0.02)["state"] == "ended_first"


@pytest.mark.parametrize("name", ["cut_in", "lead_deceleration"])
def test_shipped_driving_scenarios_have_twins_that_their_world_takes(name: str) -> None:
    family = load_family(name)
    world = make_world(world_component(family.world, family.world_config))
    world.reset(family.twin_case(family.case(0)).scenario, 0)
    world.advance(1_000_000_000)
    assert world.outcome().state is OutcomeState.RUNNING
