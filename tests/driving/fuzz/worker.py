"""Plays mutated files one after the other and writes what came of each; a process of its own, which may crash or hang.

Usage: ``python worker.py FOLDER KIND FIRST LAST CASE_LIMIT_S``. One JSON line a case, before it (``{"begins": n}``)
and after it. A case that takes longer than its limit ends the process with exit code 1 and its stack on stderr.
"""

from __future__ import annotations

import faulthandler
import json
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mutations import STARTS, Mutator

from simloop.compose import make_world, world_component
from simloop.errors import SimloopError
from simloop.log import EpisodeLog
from simloop.scenario_files import load_family
from simloop.spec import ScenarioFamily
from simloop.world import OutcomeState, World

NUM_TICKS = 6
UNREADABLE = re.compile(
    r"object is not|object has no|not supported between|unhashable type|Traceback|must be .*, not "
)
_WORLDS: dict[str, World] = {}

MAP_FAMILY = """
family: on_a_map
world: driving
world_config: {{action: acceleration}}
time_limit_s: 5.0
parameters: {{}}
scene:
  map: {path}
  ego: {{road: {road}, lane: {lane}, station_m: 20.0, initial_speed_mps: 8.0}}
  actors:
    lead: {{lane: ego, gap_m: 15.0, speed_mps: 5.0}}
  criteria: {{goal_time_s: 4.0, min_progress_ratio: 0.0}}
"""


def play(family: ScenarioFamily) -> str:
    """Plays a few ticks of a family's first case, and its twin; returns the last verdict's word."""
    chosen = world_component(family.world, family.world_config)
    world = _WORLDS.setdefault(chosen.key, None) or make_world(chosen)
    _WORLDS[chosen.key] = world
    cases = [family.case(0)]
    if family.twin:
        cases.append(family.twin_case(cases[0]))
    word = ""
    for case in cases:
        assert case.case_id
        world.reset(case.scenario, case.seed)
        for tick in range(NUM_TICKS):
            for sensor in world.spec.sensors:
                frame = world.capture(sensor.name, tick)
                if len(sensor.shape) < 3:
                    assert np.isfinite(np.asarray(frame.array, dtype=np.float64)).all(), (
                        f"{sensor.name} is not finite"
                    )
            if world.outcome().state is not OutcomeState.RUNNING:
                break
            world.actuate(world.spec.action.start_action(world.anchor()))
            world.advance((tick + 1) * world.spec.control_period_ns)
        world.log_attributes()
        log = EpisodeLog.from_columns(dict(world.spec.tables), world.drain())
        for name in ("x_m", "y_m", "yaw_rad", "speed_mps"):
            assert np.isfinite(log.column("actors", name)).all(), f"{name} of an actor is not finite"
        word = world.outcome().reason or "running"
    return word


def write_scenario(folder: Path, mutator: Mutator) -> None:
    """Writes a mutated scenario file."""
    (folder / "case.yaml").write_text(mutator.scenario(), encoding="utf-8", errors="surrogateescape")


def write_map(folder: Path, mutator: Mutator) -> None:
    """Writes a mutated map and a scenario on it."""
    name, content = mutator.road_map()
    (folder / "case.xodr").write_bytes(content)
    road, lane = STARTS[name]
    text = MAP_FAMILY.format(path=folder / "case.xodr", road=road, lane=lane)
    (folder / "case.yaml").write_text(text, encoding="utf-8")


WRITERS = {"scenario": write_scenario, "map": write_map}


def try_case(folder: Path, write_case: Callable[[Path, Mutator], None], number: int) -> dict[str, Any]:
    """Writes the file of a case, plays it, and returns what came of it."""
    file = folder / "case.yaml"
    write_case(folder, Mutator(number))
    try:
        return {"number": number, "outcome": "played", "message": play(load_family(str(file)))}
    except SimloopError as error:
        message = str(error)
        # A refusal is for people: not the text of a Python error, not pages of a file's content.
        is_readable = 20 <= len(message) <= 3000 and not UNREADABLE.search(message)
        return {"number": number, "outcome": "refused" if is_readable else "unreadable", "message": message}
    except Exception:  # noqa: BLE001 - what the fuzz test looks for
        return {"number": number, "outcome": "raised", "message": traceback.format_exc(limit=-6)}


def main() -> None:
    """Plays the cases that the command line names."""
    folder, kind, first, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    limit_s = float(sys.argv[5])
    write_case = WRITERS[kind]
    for number in range(first, last):
        sys.stdout.write(json.dumps({"begins": number}) + "\n")
        sys.stdout.flush()
        faulthandler.dump_traceback_later(
            limit_s, exit=True
        )  # watches from C: also while a kernel holds the lock
        result = try_case(folder, write_case, number)
        faulthandler.cancel_dump_traceback_later()
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
