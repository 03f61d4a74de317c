"""What only the map can tell: scenes that do not fit on it are refused at the reset, with the file, the key and why."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from simloop.errors import ConfigurationError
from simloop.scenario_files import load_family, shipped_families
from simloop_driving.world import DrivingWorld

ON = {"road": 112, "lane": 1, "to": {"road": 111, "lane": 1}}
CAR = {"lane": "ego", "gap_m": 30.0}


@pytest.fixture(scope="module")
def world() -> DrivingWorld:
    return DrivingWorld()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map": "moon"}, r"Unknown map 'moon' in FILE: scene\.map\. Available: highway"),
        ({"ego.to": {"road": 999, "lane": 1}}, r"FILE: scene\.ego\.to: Map 'town' has no lane 999/1; driving lanes"),
        ({"ego.to": {"road": 111, "lane": -3}}, r"FILE: scene\.ego\.to\.lane -3 of map 'town' is not a driving lane"),
        ({"map": "rural", "ego": {"road": 1, "lane": -1, "to": {"road": 1, "lane": 1}}},
         r"FILE: scene\.ego: .*1/1.*1/-1"),
        ({"ego.station_m": 150.0}, r"FILE: scene\.ego\.station_m is 150; lane -1 of map 'town' is 121 m long"),
        ({"criteria": {"goal_station_m": 900.0}}, r"FILE: scene\.criteria: the goal is at station 900; .* 268 m long"),
        ({"actors.x": CAR | {"gap_m": 0.0}, "actors.y": CAR | {"gap_m": 1.0}},
         r"FILE: scene\.actors\.y starts in x: centres 1\.00 m apart"),
        ({"actors.x": {"path": ON | {"station_m": 20.0}}, "actors.y": {"path": ON | {"station_m": 21.0}}},
         r"FILE: scene\.actors\.y starts in x"),
        ({"actors.x": {"path": {"road": 101, "lane": -1, "station_m": 3.0, "to": {"road": 102, "lane": -1}},
                       "arrives_with_ego_s": 0.0}},
         r"Unknown key 'station_m' in FILE: scene\.actors\.x\.path"),
        ({"actors.x": {"path": {"road": 101, "lane": -1, "to": {"road": 102, "lane": -1}}, "arrives_with_ego_s": 0.0}},
         r"FILE: scene\.actors\.x\.arrives_with_ego_s: its path does not meet the ego's route"),
        ({"actors.x": {"path": ON, "arrives_with_ego_s": 50.0, "speed_mps": 10.0}},
         r"x\.arrives_with_ego_s: it would have to start .* m before its path begins"),
        ({"actors.x": {"lane": "left", "gap_m": 9.0}}, r"FILE: scene\.actors\.x\.lane: there is no lane to the left"),
        ({"actors.x": CAR, "manoeuvres": [{"actor": "x", "trigger": {"time_s": 1.0},
                                           "change_lane": {"to": "left", "lateral_speed_mps": 1.0}}]},
         r"FILE: scene\.manoeuvres\[0\]\.change_lane\.to: there is no lane to the left"),
        ({"actors.x": CAR, "manoeuvres": [{"actor": "x", "trigger": {"signal": {"id": 1, "state": "red"}},
                                           "change_speed": {"rate_mps2": 1.0, "end_speed_mps": 0.0}}]},
         r"Unknown traffic light '1' in FILE: scene\.manoeuvres\[0\]"),
        ({"actors.x": {"path": {"road": 121, "lane": -1, "station_m": 3.0}, "behaviour": "idm"},
          "manoeuvres": [{"actor": "x", "trigger": {"time_s": 1.0}, "ignore_right_of_way": True}]},
         r"the path of x does not meet the ego's route"),
        ({"actors.x": {"path": {"road": 112, "lane": 1, "station_m": 3.0}, "behaviour": "idm"},
          "manoeuvres": [{"actor": "x", "trigger": {"station_m": 900.0}, "run_red_light": True}]},
         r"station_m can never hold: station 900 is beyond the end of the path of x"),
    ],
)  # fmt: skip
def test_what_the_map_does_not_hold(
    world: DrivingWorld, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    content = yaml.safe_load(shipped_families()["signal_left"].read_text(encoding="utf-8"))
    scene = copy.deepcopy(content["scene"]) | {"actors": {}, "background": []}
    scene["ego"] = scene["ego"] | {"station_m": 20.0, "initial_speed_mps": 8.0, "set_speed_mps": 12.0}
    scene["signals"]["offset_s"] = 0.0
    for path, value in changes.items():
        *blocks, key = path.split(".")
        block = scene
        for name in blocks:
            block = block[name]
        is_update = isinstance(value, dict) and key == "ego"
        block[key] = block[key] | value if is_update else value
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(content | {"scene": scene, "parameters": {}}), encoding="utf-8")
    family = load_family(str(file))
    with pytest.raises(ConfigurationError, match=message.replace("FILE", re.escape(str(file)))):
        world.reset(family.scenario(0), 0)
