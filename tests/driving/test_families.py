"""The shipped driving families: every seed can start, and who does not react comes to harm or breaks a rule."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from simloop.scenario_files import load_family, shipped_families
from simloop.world import OutcomeState
from simloop_driving.periods import CONTROL_PERIOD_NS, TICK_S
from simloop_driving.world import DrivingWorld

FAMILIES = sorted(
    name
    for name in shipped_families()
    if load_family(name).world == "driving" and not name.startswith("r157_")
)
WITHOUT_CONFLICT = {"free_drive", "side_vehicle", "u_turn_bend"}
"""Families that ask for keeping a lane or a speed."""
SCHEMES = {"iso34502", "euroncap", "nhtsa", "carla44", "unece_r157", "group"}
CURVE_ACCELERATION_MPS2 = 2.5


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    family = load_family(name)
    assert family.name == name
    assert family.description.endswith(".")
    assert family.instruction.endswith(".")
    assert len(family.provenance) > 40
    assert family.tags
    assert set(family.tags) <= SCHEMES
    world = DrivingWorld(**family.world_config)
    for seed in range(100, 112):
        world.reset(family.scenario(seed), seed)
        assert world.outcome().state is OutcomeState.RUNNING


def _next_pose(route: npt.NDArray[np.float64], ego: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns where along its route, at the set speed, an ego without eyes is a tick later (world frame)."""
    speed_mps = min(
        route[0, 7], float(np.sqrt(CURVE_ACCELERATION_MPS2 / max(np.abs(route[:3, 3]).max(), 1e-4)))
    )
    share = speed_mps * TICK_S / 4.0
    x_m, y_m, turn_rad = route[0, :3] + share * (route[1, :3] - route[0, :3])
    cos, sin = np.cos(ego[2]), np.sin(ego[2])
    return np.array(
        [ego[0] + cos * x_m - sin * y_m, ego[1] + sin * x_m + cos * y_m, ego[2] + turn_rad, speed_mps]
    )


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - WITHOUT_CONFLICT))
def test_who_does_not_react_fails_often(name: str) -> None:
    family = load_family(name)
    world = DrivingWorld(**{**family.world_config, "action": "waypoints"})
    reasons: list[str] = []
    for seed in range(40):
        scenario = family.scenario(seed)
        world.reset(scenario, seed)
        for tick in range(scenario.time_limit_ns // CONTROL_PERIOD_NS):
            route = np.asarray(world.capture("route", tick).array, dtype=np.float64)
            world.actuate(_next_pose(route, world.anchor().pose))
            world.advance((tick + 1) * CONTROL_PERIOD_NS)
            if world.outcome().state is not OutcomeState.RUNNING:
                break
        reasons.append(world.outcome().reason)
        if sum(reason in ("collision", "red_light", "stop_sign") for reason in reasons) == 4:
            return
    pytest.fail(f"Who does not react gets through {name} nearly always: {reasons}")
