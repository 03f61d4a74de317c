"""A new family is one YAML file: a motorcycle overtakes on the right and cuts in, then brakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simloop.compose import component, make_strategy, make_timing
from simloop.scenario_files import load_family
from simloop.testing.rollout import play
from simloop_agents.experts.expert import ExpertAgent
from simloop_driving.scenario.actor_state import ACTOR_CLASSES
from simloop_driving.world import DrivingWorld

FAMILY = """
family: motorcycle_overtakes
world: driving
world_config: {action: waypoints}
instruction: Keep your lane.
time_limit_s: 12
parameters:
  ego_speed_mps: {low: 18, high: 25}
  lateral_speed_mps: {choices: [1.0, 2.0]}
scene:
  map: highway
  ego: {lane: -3, station_m: 300, initial_speed_mps: $ego_speed_mps}
  actors:
    rider: {class: motorcycle, lane: right, gap_m: 2.0, relative_speed_mps: 5.0}
  manoeuvres:
    - actor: rider
      trigger: {distance_m: 0.5, latest_s: 2.0}
      change_lane: {to: ego, lateral_speed_mps: $lateral_speed_mps}
    - {actor: rider, trigger: {time_s: 5.0}, change_speed: {rate_mps2: 3.0, end_speed_ratio: 0.6}}
  criteria: {goal_time_s: 11, min_progress_ratio: 0.7}
tags: {iso34502: cut_in}
"""


def test_a_family_from_a_file_of_ones_own_is_played(tmp_path: Path) -> None:
    path = tmp_path / "motorcycle_overtakes.yaml"
    path.write_text(FAMILY, encoding="utf-8")
    family = load_family(str(path))
    world = DrivingWorld(**family.world_config)
    timing, strategy = (
        make_timing(component("timing", "zero")),
        make_strategy(component("strategy", "naive_async")),
    )
    for seed in range(3):
        log = play(world, ExpertAgent(), case=family.case(seed), timing=timing, strategy=strategy)
        assert world.outcome().reason == "goal"
        assert list(log.column("world.manoeuvres", "kind")) == ["change_lane", "change_speed"]
        rider = np.asarray(log.column("world.actors", "actor")) == 1
        assert np.all(
            np.asarray(log.column("world.actors", "actor_class"))[rider] == ACTOR_CLASSES.index("motorcycle")
        )
        assert abs(np.asarray(log.column("world.actors", "lateral_offset_m"))[rider][-1]) < 0.01
        speed_mps = np.asarray(log.column("world.actors", "speed_mps"))[rider]
        assert speed_mps[-1] == pytest.approx(speed_mps[0] * 0.6)
