"""All sensors at once in the closed loop: each at its own rate, aged, late, and the same bytes every time."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.agent import InferenceRequest
from simloop.scenario_files import load_family
from simloop.strategies.naive_async import NaiveAsync
from simloop.testing.checks import check_world
from simloop.testing.rollout import play
from simloop.testing.scripted_agent import ScriptedAgent
from simloop.timing.distribution import Constant
from simloop.timing.stage_graph import Assembly, Stage, Timing
from simloop_driving import sensors
from simloop_driving.world import DrivingWorld

HORIZON = 16
SMALL: dict[str, Any] = {
    **dict.fromkeys(sensors.EXTRA_SENSORS),
    "lidar": {"channels": 4, "azimuths": 60, "drop_out_ratio": 0.1, "age_ms": 40},
    "imu": {"period_ms": 10},
    "radar": {"age_ms": 70},
    "old_fixes": {"type": "gnss", "period_ms": 200, "age_ms": 300},
}


@pytest.mark.parametrize("family", ["cut_in", "signal_left"])
def test_a_world_with_all_sensors_keeps_the_contract(family: str) -> None:
    case = load_family(family).case(4)
    check_world(lambda: DrivingWorld(extra_sensors=SMALL), case)


@pytest.mark.parametrize("assembly", [Assembly.LATEST, Assembly.NEAREST])
def test_an_agent_that_reads_everything_sees_the_same_twice(assembly: Assembly) -> None:
    case = load_family("cut_in").case(2)
    digests = []
    for _ in range(2):
        world = DrivingWorld(extra_sensors=SMALL)
        seen = hashlib.blake2b()
        ages_ms: dict[str, list[float]] = {}

        def plan(
            request: InferenceRequest, seen: Any = seen, ages_ms: dict[str, list[float]] = ages_ms
        ) -> npt.NDArray[np.float64]:
            for name in sorted(request.observation):
                seen.update(request.observation[name].tobytes())
                ages_ms.setdefault(name, []).append(request.age_ns[name] / 1e6)
            speed_mps = float(request.observation["ego_state"][0])
            way_m = speed_mps * 0.05 * np.arange(1, HORIZON + 1)
            return np.stack([way_m, 0.0 * way_m, 0.0 * way_m, np.full(HORIZON, speed_mps)], axis=1)

        agent = ScriptedAgent(world.spec, plan, horizon=HORIZON)
        stages = {Stage.INFERENCE: Constant(70_000_000)}
        timing = Timing(name="t", assembly=assembly, stages=stages)
        log = play(world, agent, case=case, timing=timing, strategy=NaiveAsync(execution_horizon=4))
        digests.append((seen.hexdigest(), log.episode_hash))
        assert set(ages_ms) == {sensor.name for sensor in world.spec.sensors}
        if assembly is not Assembly.LATEST:  # the others choose captures that go together
            continue
        later = {name: ages[5:] for name, ages in ages_ms.items()}  # the first captures show the first state
        assert min(later["ego_state"]) == min(later["imu"]) == 0.0
        assert (
            min(later["lidar"]) == 40.0 and min(later["radar"]) == 70.0 and min(later["old_fixes"]) == 300.0
        )
        assert max(later["old_fixes"]) <= 500.0 and max(later["lidar"]) <= 140.0
    assert digests[0] == digests[1]
