"""The same episodes on the embedded world and on the server: verdicts, ends, positions and every metric."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from simloop.errors import WorldError
from simloop.scenario_files import load_family
from simloop.world import Determinism, OutcomeState
from simloop_carla.world.ego_plan import plan_tick
from simloop_carla.world.pictures import CAMERAS
from simloop_carla.world.world import CarlaWorld
from simloop_driving.periods import STEP_S, STEPS_PER_TICK
from simloop_driving.scenario.initial_state import InitialState
from simloop_driving.sensors.extra import EXTRA_SENSORS
from simloop_driving.world import DrivingWorld
from tests.carla.episode_comparison import SAME_COLUMNS, compare, differences, distances, results, wrong

TICK_MS = 50
DELAYED = ("suite=driving_core", "timing=constant", "timing.inference.value_ms=100")


@pytest.mark.parametrize(
    ("words", "tick_ms"),
    [
        (("suite=driving_core", "scenario=cut_in,opening_door,r157_cut_in,signal_right", "seeds.count=1"), 50),
        (("suite=driving_core", "scenario=cut_in", "seeds.count=1"), 10),
        ((*DELAYED, "scenario=lead_deceleration", "strategy=prefix", "seeds.count=1"), 50),
    ],
    ids=["zero-50", "zero-10", "prefix-50"],
)  # fmt: skip
def test_families_end_as_on_the_embedded_world(words: Sequence[str], tick_ms: int, server: Any) -> None:
    assert wrong(compare(words, tick_ms, server.port)) == {}


def _hold_controls(world: DrivingWorld, num_steps: int, state: InitialState) -> None:
    """Runs the embedded world as a server does: one control a tick, with no server and in 64 bits."""
    for _ in range(num_steps // STEPS_PER_TICK):
        states = plan_tick(world._control, world._ego, world._vehicle_entries, STEPS_PER_TICK, STEP_S)[0]
        world._run_kernel(STEPS_PER_TICK, states)
        world._step += STEPS_PER_TICK
    world._snapshot = None


@pytest.mark.parametrize(
    ("scenario", "seed"),
    [
        ("unsignalised_right", 2),
        pytest.param("parked_obstacle", 1, marks=pytest.mark.nightly),
        pytest.param("parked_obstacle", 2, marks=pytest.mark.nightly),
    ],
)
def test_controls_that_are_held_for_a_tick_are_all_that_parts_the_worlds(
    scenario: str, seed: int, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of all episodes of the suite these part most from the embedded world: one tick, up to 0.62 m. Against an embedded
    # world that holds its controls as well, 0.1 to 1.2 mm are left, as at 10 ms: the 32 bits of the wire.
    words = ("suite=driving_core", f"scenario={scenario}", f"seeds.first={seed}", "seeds.count=1")
    (served,) = results((*words, "world=carla", f"world.port={server.port}"))
    monkeypatch.setattr(DrivingWorld, "_run", _hold_controls)
    (holding,) = results((*words, "world=driving"))
    assert served.log is not None and holding.log is not None
    for column in ("reason", "num_ticks", "collision_classes"):
        assert served.row[column] == holding.row[column]
    there, here = (np.asarray(log.column("world.motion", "position_m")) for log in (served.log, holding.log))
    ends = here[::STEPS_PER_TICK]
    assert len(ends) == len(there)
    assert np.abs(there - ends).max() < 2e-3


def test_one_metric_needs_ticks_of_10_ms_and_says_so(server: Any) -> None:
    words = ("suite=driving_core", "scenario=cut_in", "seeds.count=1")
    on_server = (*words, "world=carla", f"world.port={server.port}")
    (embedded,) = results((*words, "world=driving"))
    (fast,), (slow,) = (results((*on_server, f"world.fixed_delta_ms={ms}")) for ms in (10, TICK_MS))
    fine, coarse, missing = fast.row, slow.row, json.loads(embedded.row["invalid_metrics"])
    assert json.loads(fine["invalid_metrics"]) == missing
    assert set(json.loads(coarse["invalid_metrics"])) == {*missing, "jerk_rms_10hz_mps3"}
    assert coarse["jerk_rms_10hz_mps3"] is None
    assert "as with world ticks of 10 ms" in json.loads(coarse["invalid_metrics"])["jerk_rms_10hz_mps3"]
    assert fine["jerk_rms_10hz_mps3"] == pytest.approx(embedded.row["jerk_rms_10hz_mps3"], abs=1e-3)


def _observations(world: DrivingWorld, num_ticks: int) -> dict[tuple[str, int], tuple[Any, int]]:
    """Drives straight on and returns what each sensor shows every 8 ticks, and the instant of what it shows."""
    world.reset(load_family("signal_left").scenario(1), 1)
    out = {}
    for tick in range(num_ticks):
        if tick % 8 == 0:
            for sensor in world.spec.sensors:
                frame = world.capture(sensor.name, tick)
                out[sensor.name, tick] = (np.array(frame.array, dtype=np.float64), frame.captured_at_ns)
        world.actuate(np.array([*world.anchor().pose[:3], 8.0]))
        world.advance((tick + 1) * TICK_MS * 1_000_000)
    return out


def test_every_sensor_shows_what_it_shows_on_the_embedded_world(server: Any) -> None:
    extra = {**dict.fromkeys(EXTRA_SENSORS), "lidar": {"age_ms": 50}, "radar": {"age_ms": 20}}
    wanted = _observations(DrivingWorld(extra_sensors=extra), 17)
    world = CarlaWorld(port=server.port, fixed_delta_ms=10, extra_sensors=extra)
    got = _observations(world, 17)
    world.close()
    assert set(got) == set(wanted)
    for (name, tick), (array, captured_at_ns) in got.items():
        there, there_at_ns = wanted[name, tick]
        assert captured_at_ns == there_at_ns, name
        if name in CAMERAS:  # the server's own pictures: its renderer takes one sample a pixel
            assert np.abs(array - there).mean() < 3.0, name
        else:
            # Accelerations are differences over 10 ms of velocities in 32 bits, which resolve 1e-6 m/s at 10 m/s.
            np.testing.assert_allclose(array, there, atol=2e-4, err_msg=f"{name} at tick {tick}")


def test_a_sensor_whose_age_is_no_multiple_of_the_tick_shows_the_tick_before(server: Any) -> None:
    world = CarlaWorld(port=server.port, extra_sensors={"radar": {"age_ms": 20}, "lidar": {"age_ms": 70}})
    shown = _observations(world, 9)
    world.close()
    assert shown["radar", 8][1] == 7 * TICK_MS * 1_000_000
    assert shown["lidar", 8][1] == 6 * TICK_MS * 1_000_000
    assert shown["radar", 0][1] == 0


def test_worlds_of_a_process_take_turns_on_a_server(server: Any) -> None:
    scenario = load_family("cut_in").scenario(0)
    first, second = CarlaWorld(port=server.port), CarlaWorld(port=server.port)
    first.reset(scenario, 0)
    second.reset(scenario, 0)
    with pytest.raises(
        WorldError, match=r"another world of this process plays on that server now\. Call reset first"
    ):
        first.advance(TICK_MS * 1_000_000)
    second.advance(3 * TICK_MS * 1_000_000)  # nothing of the first is in the way
    assert second.outcome().state is OutcomeState.RUNNING
    world = server.client().get_world()
    world.tick()  # brings a new client its first snapshot
    there = world.get_actors().filter("vehicle.*")
    assert len([actor for actor in there if actor.attributes["role_name"] == "hero"]) == 1
    first.close()
    second.close()


@pytest.mark.nightly
def test_an_episode_repeats_itself_to_the_bit_on_servers_of_ones_own() -> None:
    words = ["suite=driving_core", "scenario=cut_in,r157_cut_in,roundabout", "seeds.count=1", "world=carla"]
    plays = [[result.row["episode_hash"] for result in results(words)] for _ in range(2)]
    assert all(plays[0])
    assert plays[0] == plays[1]
    assert CarlaWorld().spec.determinism is Determinism.BIT_EXACT


@pytest.mark.parametrize("options", [{"port": 2000}, {"background_vehicles": 2}])
def test_repeats_are_not_promised_of_servers_that_others_may_use_nor_of_background_traffic(
    options: dict[str, Any],
) -> None:
    assert CarlaWorld(**options).spec.determinism is Determinism.STATISTICAL


@pytest.mark.nightly
@pytest.mark.parametrize(("tick_ms", "num_seeds"), [(50, 3), (10, 1)])
def test_all_of_driving_core_ends_as_on_the_embedded_world(tick_ms: int, num_seeds: int, server: Any) -> None:
    assert wrong(compare(["suite=driving_core", f"seeds.count={num_seeds}"], tick_ms, server.port)) == {}


HUMAN = ("suite=r157_cut_in", "agent=cc_human_driver")
CLOSE = ("scenario.parameters.gap_m=4,8,12,16", "scenario.parameters.lateral_speed_mps=1.5")
"""Half of such cut-ins end in a collision with the regulation's human driver."""


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("suite=r157_cut_in", "cells=1", "scenario.parameters.gap_m=20"), {"goal": 2}),
        (("suite=r157_cut_out", "cells=1"), {"goal": 1}),
        (("suite=r157_deceleration", "cells=1"), {"goal": 1}),
        (
            (*HUMAN, "cells=1", "scenario.parameters.gap_m=4", "scenario.parameters.lateral_speed_mps=1.5"),
            {"goal": 1, "collision": 1},
        ),
    ],
    ids=["cut_in", "cut_out", "deceleration", "human"],
)  # fmt: skip
def test_some_cells_of_un_r157_end_as_on_the_embedded_world(
    words: Sequence[str], wanted: dict[str, int], server: Any
) -> None:
    ended: Counter[str] = Counter()
    assert wrong(compare(words, 50, server.port, ended)) == {}
    assert ended == wanted


@pytest.mark.nightly
@pytest.mark.parametrize(
    "words",
    [
        ("suite=r157_cut_in", "cells=40"),
        ("suite=r157_cut_out", "cells=40"),
        ("suite=r157_deceleration", "cells=40"),
        (*HUMAN, "cells=25", *CLOSE),
    ],
    ids=["cut_in", "cut_out", "deceleration", "human"],
)
def test_cells_of_un_r157_end_as_on_the_embedded_world(words: Sequence[str], server: Any) -> None:
    assert wrong(compare(words, 50, server.port)) == {}


@pytest.mark.parametrize(
    ("scenario", "changes", "wanted"),
    [
        ("cut_in", {}, []),
        ("cut_in", {"num_ticks": 201}, ["num_ticks: 200 and 201"]),
        ("cut_in", {"path_length_m": 100.06}, ["path_length_m: 100 and 100.06, allowed 0.05"]),
        ("cut_in", {"reason": "collision"}, ["reason: goal and collision"]),
        ("parked_obstacle", {"num_ticks": 201, "path_length_m": 100.9}, []),
        ("parked_obstacle", {"num_ticks": 202}, ["num_ticks: 200 and 202"]),
        ("parked_obstacle", {"path_length_m": 101.1}, ["path_length_m: 100 and 101.1, allowed 1"]),
        ("parked_obstacle", {"reason": "collision"}, ["reason: goal and collision"]),
    ],
)
def test_only_who_waits_for_a_gap_may_be_a_tick_off(
    scenario: str, changes: dict[str, Any], wanted: list[str]
) -> None:
    row: dict[str, Any] = dict.fromkeys(SAME_COLUMNS, "") | {"num_ticks": 200, "path_length_m": 100.0}
    row |= {"scenario": scenario, "reason": "goal"}
    assert differences(row, {**row, **changes}, TICK_MS) == wanted


@pytest.mark.parametrize(
    ("has_gap", "off_m", "at_s", "num_found"),
    [(False, 0.04, 15, 0), (False, 0.06, 15, 1), (True, 0.06, 5, 1), (True, 0.9, 15, 0), (True, 1.1, 15, 1)],
)
def test_paths_are_compared_to_their_ends(has_gap: bool, off_m: float, at_s: float, num_found: int) -> None:
    path = np.zeros((20 * 1000 // TICK_MS, 2))
    other = path.copy()
    other[int(at_s * 1000) // TICK_MS, 1] = off_m
    assert len(distances(path, other, has_gap, TICK_MS)) == num_found
