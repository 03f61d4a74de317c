"""The privileged sensor ``conflicts``: actors whose ways cross or join the ego's route, and who goes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numba
import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_driving.roads.conflicts import (
    A_IN_M,
    A_OUT_M,
    ALONG,
    B_IN_M,
    B_OUT_M,
    MERGING,
    PATH_A,
    PATH_B,
    RELATION,
)
from simloop_driving.scenario.actor_state import (
    ACCELERATION_MPS2,
    EGO,
    IS_ABSENT,
    LENGTH_M,
    PATH,
    PATH_S_M,
    S_M,
    SPEED_MPS,
)
from simloop_driving.sensors.options import ExtraSensor
from simloop_driving.sensors.snapshot import Snapshot

FloatArray = npt.NDArray[np.float64]

NUM_CONFLICTS = 24
CONFLICT_COLUMNS = (
    "is_present",
    "ego_entry_m",
    "ego_exit_m",
    "actor_entry_m",
    "actor_exit_m",
    "actor_speed_mps",
    "has_priority",
    "is_merge",
    "actor_acceleration_mps2",
)
"""Columns of ``conflicts``: ways along their own paths from the centres of ego and actor to where the zone that both
need begins and ends (negative: behind); the actor's speed; 1 if the ego has the right of way, -1 if the actor has it,
0 if signals alone decide; 1 if the paths go on together. A row stays while any part of either may be in or before the
zone. Sorted by the ego's way to the zone, then the actor's; rows without a conflict are zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts(ExtraSensor):
    """Actors on paths that cross or join the ego's route."""

    type_name: ClassVar[str] = "conflicts"

    @property
    def spec(self) -> SensorSpec:
        """Layout: (24, 9), see ``CONFLICT_COLUMNS``."""
        return self.make_spec(
            SensorKind.OBJECTS,
            (NUM_CONFLICTS, len(CONFLICT_COLUMNS)),
            "actors whose paths cross or join the route; columns: " + ", ".join(CONFLICT_COLUMNS),
            is_privileged=True,
        )

    def read(self, snapshot: Snapshot, index: int) -> FloatArray:
        """Returns the (24, 9) array."""
        start = snapshot.episode.start
        rows = conflict_rows(start.zones, start.priorities, snapshot.actors)
        order = np.lexsort((rows[:, 3], rows[:, 1]))[:NUM_CONFLICTS]
        out = np.zeros((NUM_CONFLICTS, len(CONFLICT_COLUMNS)))
        out[: len(order)] = rows[order]
        return out


@numba.njit(cache=True)
def conflict_rows(zones: FloatArray, priorities: npt.NDArray[np.int64], actors: FloatArray) -> FloatArray:
    """Returns the (n, 9) rows of all conflicts, unsorted.

    Args:
        zones: (C, 7) of ``roads.conflicts.conflict_zones``.
        priorities: (C,) of ``roads.priority.priorities``.
        actors: (actor_state.NUM_ROWS, N) actor table.
    """
    num_actors = actors.shape[1]
    rows = np.empty((len(zones) * num_actors, 9))
    num = 0
    for zone in range(len(zones)):
        is_ego_a = zones[zone, PATH_A] == 0.0
        if zones[zone, RELATION] == ALONG or not (is_ego_a or zones[zone, PATH_B] == 0.0):
            continue
        path = zones[zone, PATH_B] if is_ego_a else zones[zone, PATH_A]
        ego_in = zones[zone, A_IN_M if is_ego_a else B_IN_M] - actors[S_M, EGO]
        ego_out = zones[zone, A_OUT_M if is_ego_a else B_OUT_M] - actors[S_M, EGO]
        if ego_out < -0.5 * actors[LENGTH_M, EGO]:
            continue
        for actor in range(1, num_actors):
            if actors[PATH, actor] != path or actors[IS_ABSENT, actor] > 0.0:
                continue
            actor_in = zones[zone, B_IN_M if is_ego_a else A_IN_M] - actors[PATH_S_M, actor]
            actor_out = zones[zone, B_OUT_M if is_ego_a else A_OUT_M] - actors[PATH_S_M, actor]
            if actor_out < -0.5 * actors[LENGTH_M, actor]:
                continue
            rows[num, 0] = 1.0
            rows[num, 1] = ego_in
            rows[num, 2] = ego_out
            rows[num, 3] = actor_in
            rows[num, 4] = actor_out
            rows[num, 5] = actors[SPEED_MPS, actor]
            rows[num, 6] = priorities[zone] if is_ego_a else -priorities[zone]
            rows[num, 7] = 1.0 if zones[zone, RELATION] == MERGING else 0.0
            rows[num, 8] = actors[ACCELERATION_MPS2, actor]
            num += 1
    return rows[:num]
