"""The driving expert: follows its route by the rules of the road, with ground truth.

It reads ``objects``, ``route`` and ``ego_state`` as the driving world lays them out, and where the world has them
``road_ahead`` (edges and speed limits), ``controls`` (stop lines and lights) and ``conflicts`` (who crosses or joins);
it answers in ``waypoints``. The plan itself is in ``driving_plan``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.agent import InferenceRequest
from simloop_agents.experts.driving_actors import make_tracks
from simloop_agents.experts.driving_geometry import (
    CAP_MPS,
    IS_JUNCTION,
    LEFT_M,
    MAX_LATERAL_MPS2,
    NUM_ROAD_COLUMNS,
    OWN_LEFT_M,
    OWN_RIGHT_M,
    RIGHT_M,
    locate_on_route,
    refine_route,
    slow_down_in_time,
)
from simloop_agents.experts.driving_plan import STEP_S, Surroundings, roll_out

FloatArray = npt.NDArray[np.float64]

EGO_SIZE_M = (4.70, 1.85)
"""Length and width of the driving world's default ego, a mid-size saloon."""
REAR_AXLE_M = 1.58
"""Distance of its rear axle behind the centre of gravity."""
REAR_COMPLIANCE_S2PM = 1573.0 * 1.10 / (2.68 * 160000.0)
"""Slip angle of its rear axle per lateral acceleration: mass x front axle distance / (wheelbase x stiffness)."""

# Columns of the world's ``objects`` sensor.
_IS_PRESENT, _X_M, _Y_M, _HEADING_RAD, _SPEED_MPS, _ACCELERATION_MPS2, _LENGTH_M, _WIDTH_M = range(8)
# Columns of its ``route`` sensor.
_ROUTE_X_M, _ROUTE_Y_M, _ROUTE_HEADING_RAD, _CURVATURE_PER_M, _SET_SPEED_MPS = 0, 1, 2, 3, 7
# Columns of its ``road_ahead`` sensor.
_LEFT_EDGE_M, _RIGHT_EDGE_M, _OWN_LEFT_EDGE_M, _OWN_RIGHT_EDGE_M, _SPEED_LIMIT_MPS, _IN_JUNCTION = range(6)
# Entries of its ``ego_state`` sensor.
_EGO_SPEED_MPS, _EGO_ACCELERATION_MPS2, _EGO_YAW_RATE_RADPS = 0, 1, 2

OPTIONAL_SENSORS = ("road_ahead", "controls", "conflicts")
"""Sensors that are read where the world has them."""
_ABSENT = {"road_ahead": np.zeros((0, 6)), "controls": np.zeros((0, 6)), "conflicts": np.zeros((0, 9))}
_LAGGING = ("objects", "route", "controls", "conflicts")


@njit(cache=True)
def _motion_since(speed_mps: float, yaw_rate_radps: float, lag_s: float) -> tuple[float, float, float]:
    """Returns the pose (x, y, yaw) after driving an arc for ``lag_s``, in the frame of its start."""
    turn = yaw_rate_radps * lag_s
    way = speed_mps * lag_s
    return way * math.cos(0.5 * turn), way * math.sin(0.5 * turn), turn


@njit(cache=True)
def _side_slip_rad(ego_state: FloatArray) -> float:
    """Returns the angle from heading to course in steady cornering (Rajamani 2012, single-track model, ch. 3).

    A plan that started along the heading would leave the centre line a little in every bend.
    """
    speed, yaw_rate = ego_state[_EGO_SPEED_MPS], ego_state[_EGO_YAW_RATE_RADPS]
    return math.atan(yaw_rate * (REAR_AXLE_M / max(speed, 1.0) - REAR_COMPLIANCE_S2PM * speed))


@njit(cache=True)
def route_in_anchor_frame(route: FloatArray, ego_state: FloatArray, lag_s: float) -> FloatArray:
    """Returns (M, 4) x, y, continuous heading and arc length of a route that was captured ``lag_s`` earlier."""
    out = np.empty((len(route), 4))
    x0, y0, turn = _motion_since(ego_state[_EGO_SPEED_MPS], ego_state[_EGO_YAW_RATE_RADPS], lag_s)
    cos, sin = math.cos(turn), math.sin(turn)
    for index in range(len(route)):
        dx, dy = route[index, _ROUTE_X_M] - x0, route[index, _ROUTE_Y_M] - y0
        out[index, 0] = dx * cos + dy * sin
        out[index, 1] = dy * cos - dx * sin
        heading = route[index, _ROUTE_HEADING_RAD] - turn
        if index == 0:
            out[index, 2], out[index, 3] = heading, 0.0
            continue
        change = heading - out[index - 1, 2]
        change -= 2.0 * math.pi * math.floor((change + math.pi) / (2.0 * math.pi))
        out[index, 2] = out[index - 1, 2] + change
        step = math.hypot(out[index, 0] - out[index - 1, 0], out[index, 1] - out[index - 1, 1])
        out[index, 3] = out[index - 1, 3] + step
    return out


@njit(cache=True)
def actors_in_anchor_frame(objects: FloatArray, ego_state: FloatArray, lag_s: float) -> FloatArray:
    """Returns the (N, 8) table of ``make_tracks`` of the actors that are there; they moved on for ``lag_s``."""
    num = 0
    for index in range(len(objects)):
        if objects[index, _IS_PRESENT] > 0.5:
            num += 1
    out = np.empty((num, 8))
    x0, y0, turn = _motion_since(ego_state[_EGO_SPEED_MPS], ego_state[_EGO_YAW_RATE_RADPS], lag_s)
    cos, sin = math.cos(turn), math.sin(turn)
    row = 0
    for index in range(len(objects)):
        if objects[index, _IS_PRESENT] <= 0.5:
            continue
        heading, speed = objects[index, _HEADING_RAD], objects[index, _SPEED_MPS]
        vx, vy = speed * math.cos(heading), speed * math.sin(heading)
        dx = objects[index, _X_M] + vx * lag_s - x0
        dy = objects[index, _Y_M] + vy * lag_s - y0
        out[row, 0] = dx * cos + dy * sin
        out[row, 1] = dy * cos - dx * sin
        out[row, 2] = vx * cos + vy * sin
        out[row, 3] = vy * cos - vx * sin
        out[row, 4] = objects[index, _ACCELERATION_MPS2]
        out[row, 5] = objects[index, _LENGTH_M]
        out[row, 6] = objects[index, _WIDTH_M]
        out[row, 7] = heading - turn
        row += 1
    return out


@njit(cache=True)
def road_in_arrays(route: FloatArray, road_ahead: FloatArray) -> FloatArray:
    """Returns (M, NUM_ROAD_COLUMNS): caps by bends and limits, edges, junctions; without a map nothing to move into."""
    road = np.empty((len(route), NUM_ROAD_COLUMNS))
    for index in range(len(route)):
        curvature = abs(route[index, _CURVATURE_PER_M])
        road[index, CAP_MPS] = math.sqrt(MAX_LATERAL_MPS2 / curvature) if curvature > 1e-6 else math.inf
        if index < len(road_ahead):
            road[index, CAP_MPS] = min(road[index, CAP_MPS], road_ahead[index, _SPEED_LIMIT_MPS])
            road[index, LEFT_M] = road_ahead[index, _LEFT_EDGE_M]
            road[index, RIGHT_M] = road_ahead[index, _RIGHT_EDGE_M]
            road[index, OWN_LEFT_M] = road_ahead[index, _OWN_LEFT_EDGE_M]
            road[index, OWN_RIGHT_M] = road_ahead[index, _OWN_RIGHT_EDGE_M]
            road[index, IS_JUNCTION] = road_ahead[index, _IN_JUNCTION]
        else:
            road[index, LEFT_M] = road[index, OWN_LEFT_M] = -math.inf
            road[index, RIGHT_M] = road[index, OWN_RIGHT_M] = math.inf
            road[index, IS_JUNCTION] = 0.0
    return road


@njit(cache=True)
def plan_chunk(
    objects: FloatArray,
    route: FloatArray,
    ego_state: FloatArray,
    road_ahead: FloatArray,
    controls: FloatArray,
    conflicts: FloatArray,
    lags_s: FloatArray,
    committed: FloatArray,
    num_committed: int,
    ego_size_m: FloatArray,
    chunk: FloatArray,
) -> None:
    """Fills a (H, 4) chunk of waypoints in the anchor's frame; committed rows are copied, the rest continues them.

    Args:
        objects: (N, 8) as the world's sensor.
        route: (M, 8) as the world's sensor.
        ego_state: (4,) as the world's sensor, captured with the anchor.
        road_ahead: (M, 6) as the world's sensor, captured with ``route``; (0, 6) without.
        controls: (K, 6) as the world's sensor; (0, 6) without.
        conflicts: (C, 9) as the world's sensor; (0, 9) without.
        lags_s: (4,) how much older objects, route, controls and conflicts are than the anchor.
        committed: (H, 4) committed rows, only the first ``num_committed`` are read.
        num_committed: Number of committed rows.
        ego_size_m: (2,) length and width of the ego.
        chunk: (H, 4) result.
    """
    start = np.zeros(4)
    start[2] = _side_slip_rad(ego_state)
    start[3] = ego_state[_EGO_SPEED_MPS]
    acceleration = ego_state[_EGO_ACCELERATION_MPS2]
    for row in range(num_committed):
        chunk[row] = committed[row]
        acceleration = (committed[row, 3] - start[3]) / STEP_S
        start[:] = committed[row]
    centre_line = route_in_anchor_frame(route, ego_state, lags_s[1])
    centre_line, road = refine_route(centre_line, road_in_arrays(route, road_ahead))
    slow_down_in_time(centre_line, road)
    anchor_s_m, _, _ = locate_on_route(centre_line, 0.0, 0.0)
    speed_mps = ego_state[_EGO_SPEED_MPS]
    lines, zones = controls.copy(), conflicts.copy()
    for column in (1, 5):
        lines[:, column] -= speed_mps * lags_s[2]
    for column in (1, 2):
        zones[:, column] -= speed_mps * lags_s[3]
    around = Surroundings(
        route=centre_line,
        road=road,
        tracks=make_tracks(centre_line, actors_in_anchor_frame(objects, ego_state, lags_s[0])),
        controls=lines,
        conflicts=zones,
        anchor_s_m=anchor_s_m,
        lag_s=lags_s[3],
        ego_size_m=ego_size_m,
        desired_speed_mps=max(route[0, _SET_SPEED_MPS], 0.1),
    )
    roll_out(chunk, num_committed, start, acceleration, around)


class DrivingExpert:
    """Plans chunks for ``waypoints`` from ``objects``, ``route``, ``ego_state`` and ``OPTIONAL_SENSORS``.

    Args:
        horizon: Rows H of a chunk.
        ego_size_m: Length and width of the ego.
    """

    def __init__(self, *, horizon: int, ego_size_m: tuple[float, float] = EGO_SIZE_M) -> None:
        self._horizon = horizon
        self._ego_size_m = np.array(ego_size_m)
        self._nothing_committed = np.zeros((0, 4))

    def chunk(self, request: InferenceRequest) -> FloatArray:
        """Returns the (H, 4) chunk for a request; rows committed by its conditioning come back bit for bit."""
        observation, age_ns = request.observation, request.age_ns
        committed, num_committed = self._nothing_committed, 0
        if request.conditioning is not None:
            committed = np.ascontiguousarray(request.conditioning.actions, dtype=np.float64)
            num_committed = min(request.conditioning.num_committed, self._horizon)
        chunk = np.empty((self._horizon, 4))
        extra = {
            name: np.array(observation[name], dtype=np.float64) if name in observation else absent
            for name, absent in _ABSENT.items()
        }
        now_ns = age_ns["ego_state"]
        lags_s = [(age_ns.get(name, now_ns) - now_ns) * 1e-9 for name in _LAGGING]
        plan_chunk(
            np.array(observation["objects"], dtype=np.float64),
            np.array(observation["route"], dtype=np.float64),
            np.array(observation["ego_state"], dtype=np.float64),
            extra["road_ahead"],
            extra["controls"],
            extra["conflicts"],
            np.array(lags_s),
            committed,
            num_committed,
            self._ego_size_m,
            chunk,
        )
        return chunk
