"""Actors that another simulator moves: where it says they are, and an obstacle and a partner for everybody else."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.spec import Scenario
from simloop_driving.dynamics.single_track import NUM_EGO_ENTRIES, VX_MPS, X_M, Y_M, YAW_RAD
from simloop_driving.periods import STEP_S
from simloop_driving.roads.route import pose_at
from simloop_driving.scenario import actor_state
from simloop_driving.scenario.initial_state import InitialState
from simloop_driving.scenario.scene import Scene
from simloop_driving.step_kernel import NUM_MOVED_ENTRIES
from simloop_driving.world import DrivingWorld

TICK_NS = 50_000_000
STATION_M = 200.0
EGO_MPS = 10.0
FloatArray = npt.NDArray[np.float64]


class MovedElsewhere(DrivingWorld):
    """Moves the ego itself, and one actor at a place along the ego's route.

    Args:
        ahead_m: The actor's centre ahead of the ego's start.
        actor_mps: Its speed along the route.
        ego_mps: The ego's.
    """

    def __init__(self, ahead_m: float, actor_mps: float, ego_mps: float) -> None:
        super().__init__()
        self.ahead_m, self.actor_mps, self.ego_mps = ahead_m, actor_mps, ego_mps

    def _initial_state(self, scene: Scene, family: str, seed: int) -> InitialState:
        state = super()._initial_state(scene, family, seed)
        column = np.zeros((actor_state.NUM_ROWS, 1))
        column[[actor_state.LENGTH_M, actor_state.WIDTH_M, actor_state.HEIGHT_M], 0] = (4.5, 1.8, 1.5)
        column[actor_state.PATH] = actor_state.ELSEWHERE
        place = pose_at(state.route.samples, state.route.step_m, STATION_M + self.ahead_m, 0.0)
        column[[actor_state.X_M, actor_state.Y_M, actor_state.YAW_RAD], 0] = place
        return dataclasses.replace(state, actors=np.ascontiguousarray(np.hstack([state.actors, column])))

    def _run(self, num_steps: int, state: InitialState) -> None:
        moved = np.zeros((num_steps, NUM_EGO_ENTRIES + NUM_MOVED_ENTRIES))
        for step in range(num_steps):
            time_s = (self._step + step + 1) * STEP_S
            moved[step, [X_M, Y_M, YAW_RAD]] = self.place(self.ego_mps * time_s)
            moved[step, VX_MPS] = self.ego_mps
            moved[step, NUM_EGO_ENTRIES:] = (
                *self.place(self.ahead_m + self.actor_mps * time_s),
                self.actor_mps,
                0.5,
            )
        self._run_kernel(num_steps, moved)
        self._step += num_steps
        self._snapshot = None

    def place(self, way_m: float) -> tuple[float, float, float]:
        """Returns the pose on the route that far after the ego's start."""
        route = self._started().route
        x_m, y_m, yaw_rad = pose_at(route.samples, route.step_m, STATION_M + way_m, 0.0)
        return x_m, y_m, yaw_rad


def scenario(**actors: dict[str, Any]) -> Scenario:
    """Returns a straight road with the ego in the middle lane."""
    return Scenario(
        family="elsewhere",
        world="driving",
        parameters={},
        instruction="",
        time_limit_ns=20_000_000_000,
        scene={
            "map": "straight_track",
            "ego": {"lane": -3, "station_m": STATION_M, "initial_speed_mps": EGO_MPS},
            "actors": actors,
            "criteria": {"goal_time_s": 15.0, "min_progress_ratio": 0.0},
        },
    )


def test_it_is_where_the_other_simulator_says_and_everybody_sees_it() -> None:
    world = MovedElsewhere(30.0, 12.0, EGO_MPS)
    world.reset(scenario(beside={"lane": "left", "gap_m": 5.0}), 0)
    for tick in range(20):
        world.advance((tick + 1) * TICK_NS)
    place = world.place(30.0 + 12.0)
    rows = world.drain()["actors"]
    last = {name: np.asarray(rows[name])[np.asarray(rows["actor"]) == 2][-1] for name in rows}
    assert (last["x_m"], last["y_m"], last["yaw_rad"]) == place
    assert (last["speed_mps"], last["acceleration_mps2"]) == (12.0, 0.5)
    assert math.isclose(last["station_m"], STATION_M + 42.0, abs_tol=1e-6)
    assert math.isclose(last["route_speed_mps"], 12.0, abs_tol=1e-6)
    assert last["lane"] == world._started().route.lane
    seen = world.capture("objects", 20).array
    assert seen[1, 1] == pytest.approx(32.0, abs=1e-6)
    assert seen[:, 0].sum() == 2.0


def test_the_ego_collides_with_it() -> None:
    world = MovedElsewhere(30.0, 0.0, EGO_MPS)
    world.reset(scenario(), 0)
    world.advance(60 * TICK_NS)
    assert world.outcome().reason == "collision"
    rows = world.drain()
    assert list(rows["collisions"]["actor"]) == [1]
    assert math.isclose(rows["collisions"]["impact_speed_mps"][0], EGO_MPS, abs_tol=1e-9)
    touched_s = rows["contacts"]["t_ns"][0] / 1e9
    gap_m = 30.0 - 0.5 * (4.5 + float(world._started().actors[actor_state.LENGTH_M, 0]))
    assert gap_m / EGO_MPS <= touched_s <= gap_m / EGO_MPS + STEP_S + 1e-9


def test_traffic_stops_behind_it() -> None:
    follower = {"lane": "ego", "gap_m": 25.0, "speed_mps": 12.0, "behaviour": "idm"}
    speeds = []
    for ahead_m in (120.0, -150.0):  # it stands before the follower, or far behind it
        world = MovedElsewhere(ahead_m, 0.0, 1.0)
        world.reset(scenario(follower=follower), 0)
        world.advance(280 * TICK_NS)
        actors = world._started().actors
        speeds.append(float(actors[actor_state.SPEED_MPS, 1]))
        assert not len(world.drain()["actor_contacts"]["t_ns"])
    assert speeds[0] < 0.3
    assert speeds[1] > 10.0
