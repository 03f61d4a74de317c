"""Where background traffic may start: spawn points of the map that are in nobody's way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop_carla.world.ego import SETTLING_S
from simloop_driving.roads.route import X_M, Y_M, Route, pose_at
from simloop_driving.scenario.actor_state import EGO, IS_ABSENT, PATH, PATH_D_M, PATH_S_M, SPEED_MPS
from simloop_driving.scenario.initial_state import InitialState

FloatArray = npt.NDArray[np.float64]

AROUND_M = 20.0
"""No vehicle of the background starts nearer to anybody than this."""
BESIDE_M = 5.0
"""Nor nearer than this to anybody's way, as far as that one needs to stop: the background starts from a stand."""
BRAKING_MPS2 = 3.0
REACTION_S = 1.5


def free_places(points: Sequence[Any], state: InitialState) -> list[Any]:
    """Returns the spawn points that are away from everybody's start and from the first stretch of everybody's way.

    Args:
        points: ``carla.Transform`` of the map.
        state: Start of the scenario.
    """
    taken = np.concatenate([_taken(state, actor) for actor in range(state.actors.shape[1])])
    kept = []
    for point in points:
        x_m, y_m = float(point.location.x), -float(point.location.y)
        away_m = np.hypot(taken[:, 0] - x_m, taken[:, 1] - y_m)
        if (away_m > taken[:, 2]).all():
            kept.append(point)
    return kept


def _taken(state: InitialState, actor: int) -> FloatArray:
    """Returns (n, 3) x, y and radius of the discs that nobody else may start in."""
    column = state.actors[:, actor]
    if column[IS_ABSENT]:
        return np.empty((0, 3))
    route: Route = state.network.paths.routes[int(column[PATH])]
    x_m, y_m, yaw_rad = pose_at(route.samples, route.step_m, column[PATH_S_M], column[PATH_D_M])
    speed_mps = float(column[SPEED_MPS])
    way_m = speed_mps * REACTION_S + speed_mps**2 / (2.0 * BRAKING_MPS2) + AROUND_M
    first, last = (int(station / route.step_m) for station in (column[PATH_S_M], column[PATH_S_M] + way_m))
    ahead = route.samples[[X_M, Y_M], first : last + 1].T
    discs = [np.array([[x_m, y_m, AROUND_M]]), np.column_stack([ahead, np.full(len(ahead), BESIDE_M)])]
    if actor == EGO:  # it goes straight on while its drive settles
        on_m = np.arange(0.0, speed_mps * SETTLING_S + AROUND_M, BESIDE_M)
        straight = np.array([x_m, y_m]) + on_m[:, None] * np.array([np.cos(yaw_rad), np.sin(yaw_rad)])
        discs.append(np.column_stack([straight, np.full(len(on_m), 2.0 * BESIDE_M)]))
    return np.concatenate(discs)
