"""A new family is one YAML file: a motorcycle that cuts in; a left turn past a light runner, a door, a walker."""

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


JUNCTION_FAMILY = """
family: left_past_everybody
world: driving
world_config: {action: waypoints, extra_sensors: [road_ahead, controls, conflicts]}
instruction: Turn left at the traffic light.
time_limit_s: 100
parameters:
  cycle_offset_s: {choices: [0.0, 20.0, 40.0]}
  oncoming_after_s: {low: -1.0, high: 1.0}
  approach_sway_m: {choices: [-0.4, 0.4]}
scene:
  map: town
  ego: {road: 111, lane: -1, station_m: 5, to: {road: 212, lane: -1}, initial_speed_mps: 8, set_speed_mps: 11}
  actors:
    oncoming:
      path: {road: 112, lane: 1, to: {road: 111, lane: 1}}
      arrives_with_ego_s: $oncoming_after_s
      speed_mps: 8
      behaviour: idm
    parked: {lane: parking, gap_m: 40}
    leaver: {lane: parking, gap_m: 60, behaviour: idm}
    walker: {class: pedestrian, lane: kerb, gap_m: 75}
    cyclist: {class: bicycle, lane: ego, gap_m: 20, speed_mps: 5, lateral_offset_m: -1.2}
  manoeuvres:
    - {actor: oncoming, trigger: {time_to_arrival_s: 6}, ignore_right_of_way: true}
    - {actor: oncoming, trigger: {any: [{signal: {state: amber}}, {signal: {state: green}}]}, run_red_light: true}
    - {actor: parked, name: door, trigger: {time_to_arrival_s: 4}, open_door: {width_m: 0.6, time_s: 1.0}}
    - {actor: leaver, trigger: {after: door, delay_s: 1}, pull_out: {to: ego, end_speed_mps: 9}}
    - actor: walker
      trigger: {all: [{after: door}, {any: [{distance_m: 20}, {station_m: 60, of: ego}]}], latest_s: 60}
      cross: {to: left_kerb, speed_mps: 1.8}
    - {actor: cyclist, trigger: {time_s: 1}, swerve: {amplitude_m: $approach_sway_m, period_s: 4.5, count: 2}}
  background:
    - path: {road: 211, lane: -1, station_m: 0, to: {road: 212, lane: -1}}
      num_actors: 3
      headway_range_s: [2, 6]
      speed_range_mps: [8, 12]
      behaviour: mobil
  signals: {green_s: 18, offset_s: $cycle_offset_s}
  criteria: {goal_station_m: 190}
"""


def test_a_junction_with_every_manoeuvre_is_one_file_too(tmp_path: Path) -> None:
    path = tmp_path / "left_past_everybody.yaml"
    path.write_text(JUNCTION_FAMILY, encoding="utf-8")
    family = load_family(str(path))
    world = DrivingWorld(**family.world_config)
    timing, strategy = (
        make_timing(component("timing", "zero")),
        make_strategy(component("strategy", "naive_async")),
    )
    seen: set[str] = set()
    for seed in range(4):
        log = play(world, ExpertAgent(), case=family.case(seed), timing=timing, strategy=strategy)
        seen |= set(log.column("world.manoeuvres", "kind"))
        assert world.outcome().reason != "time_limit"
        assert not np.asarray(log.column("world.collisions", "is_at_fault")).any()
    assert seen >= {"open_door", "pull_out", "cross", "swerve", "run_red_light", "ignore_right_of_way"}
