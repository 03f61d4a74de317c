"""The client library's traffic manager drives on the server, with its defaults and with its options."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.carla.ports import free_port

HERE = Path(__file__).parent
SECOND_TICKS = 20
NUM_VEHICLES = 20


TRIES = 4
"""``TrafficManagerLocal::SynchronousTick`` of the client library can wait for ever for a thread that waits for it."""


def _on_one_core() -> None:
    """Makes lost wake-ups rare: the thread that sends one hardly runs beside the one that waits."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _said(script: str | Path, *words: object, patience_s: float = 600.0) -> dict[str, Any]:
    """Runs a client script, which loads its map anew, and returns the JSON line that it prints last.

    One whose alarm went off, as a tick never came back, is run again; nothing else is forgiven.
    """
    command = [sys.executable, str(HERE / script), *(str(word) for word in words)]
    for _ in range(TRIES):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
            preexec_fn=_on_one_core,
        )
        if done.returncode != -signal.SIGALRM:
            break
    assert done.returncode == 0, f"the client ended with {done.returncode}: {done.stderr[-2000:]}"
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


SCRIPT = """
import os, pathlib, signal, sys
tries = pathlib.Path(sys.argv[1])
number = int(tries.read_text()) + 1 if tries.exists() else 1
tries.write_text(str(number))
if number <= int(sys.argv[2]):
    os.kill(os.getpid(), int(sys.argv[3]))
print('{"number": %d}' % number)
"""


@pytest.mark.parametrize(
    ("num_deaths", "cause", "num_tries"),
    [(0, signal.SIGALRM, 1), (3, signal.SIGALRM, 4), (4, signal.SIGALRM, 4), (1, signal.SIGABRT, 1)],
)
def test_only_a_script_that_waits_for_ever_is_run_again(
    tmp_path: Path, num_deaths: int, cause: signal.Signals, num_tries: int
) -> None:
    script, tries = tmp_path / "script.py", tmp_path / "tries"
    script.write_text(SCRIPT)
    if num_deaths < num_tries:
        assert _said(script, tries, num_deaths, int(cause)) == {"number": num_tries}
    else:
        with pytest.raises(AssertionError, match=f"the client ended with -{int(cause)}"):
            _said(script, tries, num_deaths, int(cause))
    assert tries.read_text() == str(num_tries)


def _drive(server: Any, seconds: int, seed: int, names: str = "vehicle.*") -> dict[str, Any]:
    words = (server.port, free_port(), NUM_VEHICLES, seconds * SECOND_TICKS, seed, names)
    return _said("autopilot_drive.py", *words, patience_s=600.0 + 10.0 * seconds)


def _is_good(seen: dict[str, Any], seconds: int) -> None:
    """Nobody hit anybody, by the sensors and by the boxes; nobody ran a red light or left a lane; all are there."""
    assert seen["hits"] == []
    assert seen["overlaps"] == []
    assert seen["red_crossings"] == []
    assert seen["vehicles"] == NUM_VEHICLES
    assert seen["off_lane_m"] < 1.6
    # The limit is 50 km/h; they wait at lights and signs.
    assert seen["way_m"] > NUM_VEHICLES * seconds * 5.0
    assert seen["shortest_way_m"] > seconds * 2.0


@pytest.mark.usefixtures("world")
def test_twenty_random_vehicles_drive_a_minute_and_obey_the_lights(server: Any) -> None:
    seen = _drive(server, 60, seed=101)
    _is_good(seen, 60)
    assert set(seen["kinds"]) >= {"car", "van", "truck", "motorcycle", "bicycle"}
    assert seen["lines"] == 12
    assert seen["crossings"] >= 5
    assert seen["stood_at_red"] > 200


@pytest.mark.nightly
@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("seed", range(102, 112))
def test_whoever_drives_wherever_it_goes_well(server: Any, seed: int) -> None:
    _is_good(_drive(server, 60, seed), 60)


@pytest.mark.nightly
@pytest.mark.usefixtures("world")
def test_five_minutes_go_well(server: Any) -> None:
    seen = _drive(server, 300, seed=21)
    _is_good(seen, 300)
    assert seen["crossings"] >= 50


@pytest.fixture
def brings_the_town_back(town_client: Any) -> Iterator[None]:
    """For scripts that load other maps."""
    yield
    town_client.load_world("town")


@pytest.mark.usefixtures("world")
def test_speeds_lights_and_hybrid_physics_are_as_the_client_sets_them(server: Any) -> None:
    said = _said("traffic_options.py", server.port, free_port(), "town")
    assert said["top_speeds_kmh"] == pytest.approx([40.0, 60.0, 25.0], abs=1.5)
    assert said["waiting"] == [False, True] * 3  # every second one ignores the lights
    assert said["held_by_lights"] == [True] * 3
    assert said["moved_without_physics"] >= 6
    assert said["hybrid"]["hero_m"] > 20.0
    assert said["hybrid"]["shortest_m"] > 30.0
    assert said["hybrid"]["off_lane_m"] < 1.0


@pytest.mark.usefixtures("world", "brings_the_town_back")
def test_distances_and_lanes_are_as_the_client_sets_them(server: Any) -> None:
    said = _said("traffic_options.py", server.port, free_port(), "highway")
    assert 12.0 <= said["gap_m"] < 16.0
    assert (said["kept_lane"], said["left_lane"]) == (-3, -2)
    assert said["passed_m"] > 10.0
