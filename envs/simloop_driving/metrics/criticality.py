"""Surrogate measures of safety: how near an episode came to a collision, tick by tick.

Symbols as in the survey of L. Westhofen et al., "Criticality Metrics for Automated Driving", Arch. Comput. Methods
Eng. 30 (2023). One-dimensional measures are along the ego's route and refer to the leader: the nearest actor ahead
whose side overlaps the ego's path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.log import EpisodeLog
from simloop_driving.collisions.footprints import footprints_overlap
from simloop_driving.metrics.actor_rows import TABLE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FULL_BRAKING_MPS2 = 0.774 * 9.81
"""Full braking of the competent driver of UN R157, annex 4, appendix 3."""
REACTION_S = 1.0
"""Perception and reaction time of MDRAC, as SUMO's device of safety measures takes it."""
INTRUSION_M = 0.3
"""UN R157, 5.2.5.2: a vehicle cuts in when it is this far inside the lane."""

# Columns of ``leader_series``.
GAP_M = 0
THW_S = 1
TTC_S = 2
DRAC_MPS2 = 3
MDRAC_MPS2 = 4
REQUIRED_MPS2 = 5
BTN = 6
NUM_MEASURES = 7


@njit(cache=True)
def time_headway_s(gap_m: float, speed_mps: float) -> float:
    """Returns the time until the ego's front is where the leader's rear is now (THW)."""
    return gap_m / speed_mps if speed_mps > 0.0 else math.inf


@njit(cache=True)
def time_to_collision_s(gap_m: float, closing_mps: float) -> float:
    """Returns the time to collision at constant speeds (Hayward 1972), infinity if the gap does not shrink."""
    return gap_m / closing_mps if closing_mps > 0.0 else math.inf


@njit(cache=True)
def deceleration_to_avoid_mps2(gap_m: float, closing_mps: float) -> float:
    """Returns the constant deceleration that avoids the crash into a leader of constant speed (DRAC)."""
    return closing_mps * closing_mps / (2.0 * gap_m) if closing_mps > 0.0 else 0.0


@njit(cache=True)
def modified_deceleration_to_avoid_mps2(gap_m: float, closing_mps: float, reaction_s: float) -> float:
    """Returns DRAC of what a reaction time leaves of the time to collision (MDRAC); infinity if nothing is left."""
    if closing_mps <= 0.0:
        return 0.0
    left_s = gap_m / closing_mps - reaction_s
    return closing_mps / (2.0 * left_s) if left_s > 0.0 else math.inf


@njit(cache=True)
def required_acceleration_mps2(gap_m: float, closing_mps: float, leader_mps2: float) -> float:
    """Returns the acceleration, <= 0, that makes the speeds equal at contact (Jansson 2005, 5.3.5)."""
    if closing_mps <= 0.0:
        return 0.0
    return min(leader_mps2 - closing_mps * closing_mps / (2.0 * gap_m), 0.0)


@njit(cache=True)
def time_exposed_s(ttc_s: FloatArray, threshold_s: float, period_s: float) -> float:
    """Returns the time spent below a time to collision (TET, Minderhoud and Bovy 2001)."""
    total = 0.0
    for value in ttc_s:
        if value < threshold_s:
            total += period_s
    return total


@njit(cache=True)
def time_integrated_s2(ttc_s: FloatArray, threshold_s: float, period_s: float) -> float:
    """Returns the area between a threshold and the time to collision below it (TIT, Minderhoud and Bovy 2001)."""
    total = 0.0
    for value in ttc_s:
        if value < threshold_s:
            total += (threshold_s - value) * period_s
    return total


@njit(cache=True)
def point_to_rectangle_m(x_m: float, y_m: float, pose: FloatArray, size_m: FloatArray) -> float:
    """Returns the distance from a point to a rectangle (x_m, y_m, yaw_rad and length, width); 0 inside."""
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    dx, dy = x_m - pose[0], y_m - pose[1]
    ahead = max(abs(dx * cos + dy * sin) - 0.5 * size_m[0], 0.0)
    aside = max(abs(dy * cos - dx * sin) - 0.5 * size_m[1], 0.0)
    return math.hypot(ahead, aside)


@njit(cache=True)
def rectangle_distance_m(
    pose: FloatArray, size_m: FloatArray, other: FloatArray, other_size_m: FloatArray
) -> float:
    """Returns the distance of two rectangles, 0 if they overlap; else a corner of one is nearest to the other."""
    if footprints_overlap(
        pose[0],
        pose[1],
        pose[2],
        size_m[0],
        size_m[1],
        other[0],
        other[1],
        other[2],
        other_size_m[0],
        other_size_m[1],
    ):
        return 0.0
    least = math.inf
    for turn in range(2):
        here, here_size = (pose, size_m) if turn == 0 else (other, other_size_m)
        there, there_size = (other, other_size_m) if turn == 0 else (pose, size_m)
        cos, sin = math.cos(here[2]), math.sin(here[2])
        for corner in range(4):
            a = 0.5 * here_size[0] * (1.0 if corner < 2 else -1.0)
            b = 0.5 * here_size[1] * (1.0 if corner % 2 == 0 else -1.0)
            x, y = here[0] + a * cos - b * sin, here[1] + a * sin + b * cos
            least = min(least, point_to_rectangle_m(x, y, there, there_size))
    return least


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrafficGrid:
    """``world.actors`` as arrays of ticks by actors; actor 0 is the ego.

    Attributes:
        period_s: Time between two ticks.
        pose: (T, N, 3) x_m, y_m, yaw_rad of the footprints' centres, world frame.
        along_m: (T, N) along the ego's route.
        across_m: (T, N) across it, positive to the left.
        speed_mps: (T, N).
        acceleration_mps2: (T, N).
        size_m: (N, 2) length and width.
        actor_class: (N,) index into ``ACTOR_CLASSES``.
    """

    period_s: float
    pose: FloatArray
    along_m: FloatArray
    across_m: FloatArray
    speed_mps: FloatArray
    acceleration_mps2: FloatArray
    size_m: FloatArray
    actor_class: IntArray

    @classmethod
    def from_log(cls, log: EpisodeLog) -> TrafficGrid:
        """Reads the table of a log in which every actor is there at every tick.

        Raises:
            LogError: The log has no such table, or the table lacks a column.
        """
        num = int(np.max(log.column(TABLE, "actor"), initial=0)) + 1

        def grid(name: str) -> FloatArray:
            return np.asarray(log.column(TABLE, name), dtype=np.float64).reshape(-1, num)

        t_ns = grid("t_ns")[:, 0]
        return cls(
            period_s=float(t_ns[1] - t_ns[0]) * 1e-9 if len(t_ns) > 1 else 0.0,
            pose=np.stack([grid("x_m"), grid("y_m"), grid("yaw_rad")], axis=2),
            along_m=grid("station_m"),
            across_m=grid("lateral_offset_m"),
            speed_mps=grid("speed_mps"),
            acceleration_mps2=grid("acceleration_mps2"),
            size_m=np.column_stack([grid("length_m")[:1].T, grid("width_m")[:1].T]),
            actor_class=grid("actor_class")[0].astype(np.int64),
        )

    def leader_series(self) -> FloatArray:
        """Returns (T, NUM_MEASURES) measures against the leader; see the column constants. No leader: no danger."""
        series: FloatArray = _leader_series(
            self.along_m, self.across_m, self.speed_mps, self.acceleration_mps2, self.size_m
        )
        return series

    def min_distance_m(self) -> float:
        """Returns the least distance of the ego's footprint to another, infinity if it is alone."""
        return float(_min_distance_m(self.pose, self.size_m))

    def intrusion_ttc_s(self, lane_width_m: float) -> FloatArray:
        """Returns the times to collision at which actors ahead came ``INTRUSION_M`` inside the route's lane."""
        found: FloatArray = _intrusion_ttc_s(
            self.along_m, self.across_m, self.speed_mps, self.size_m, lane_width_m
        )
        return found


@njit(cache=True)
def _leader_series(
    along: FloatArray, across: FloatArray, speed: FloatArray, acceleration: FloatArray, size: FloatArray
) -> FloatArray:
    num_ticks, num_actors = along.shape
    out = np.empty((num_ticks, NUM_MEASURES))
    for tick in range(num_ticks):
        leader, gap = -1, math.inf
        for other in range(1, num_actors):
            ahead = along[tick, other] - along[tick, 0]
            if ahead <= 0.0 or abs(across[tick, other] - across[tick, 0]) >= 0.5 * (
                size[other, 1] + size[0, 1]
            ):
                continue
            free = ahead - 0.5 * (size[other, 0] + size[0, 0])
            if free < gap:
                leader, gap = other, free
        out[tick, :DRAC_MPS2] = math.inf
        out[tick, DRAC_MPS2:] = 0.0
        if leader < 0:
            continue
        room = max(gap, 1e-3)  # in touch, the measures of braking lose their meaning
        closing = speed[tick, 0] - speed[tick, leader]
        required = required_acceleration_mps2(room, closing, acceleration[tick, leader])
        out[tick, GAP_M] = max(gap, 0.0)
        out[tick, THW_S] = time_headway_s(max(gap, 0.0), speed[tick, 0])
        out[tick, TTC_S] = time_to_collision_s(max(gap, 0.0), closing)
        if gap > 0.0:
            out[tick, DRAC_MPS2] = deceleration_to_avoid_mps2(room, closing)
            out[tick, MDRAC_MPS2] = modified_deceleration_to_avoid_mps2(room, closing, REACTION_S)
            out[tick, REQUIRED_MPS2] = required
            out[tick, BTN] = -required / FULL_BRAKING_MPS2
    return out


@njit(cache=True)
def _min_distance_m(pose: FloatArray, size: FloatArray) -> float:
    least = math.inf
    radius = 0.5 * np.sqrt(size[:, 0] ** 2 + size[:, 1] ** 2)
    for tick in range(len(pose)):
        for other in range(1, len(size)):
            apart = math.hypot(
                pose[tick, other, 0] - pose[tick, 0, 0], pose[tick, other, 1] - pose[tick, 0, 1]
            )
            if apart - radius[0] - radius[other] < least:
                distance = rectangle_distance_m(pose[tick, 0], size[0], pose[tick, other], size[other])
                least = min(least, distance)
    return least


@njit(cache=True)
def _intrusion_ttc_s(
    along: FloatArray, across: FloatArray, speed: FloatArray, size: FloatArray, lane_width: float
) -> FloatArray:
    num_ticks, num_actors = along.shape
    found = np.empty(num_actors)
    num = 0
    for other in range(1, num_actors):
        reach = 0.5 * lane_width - INTRUSION_M + 0.5 * size[other, 1]
        for tick in range(1, num_ticks):
            gap = along[tick, other] - along[tick, 0] - 0.5 * (size[other, 0] + size[0, 0])
            if abs(across[tick - 1, other]) >= reach > abs(across[tick, other]) and gap > 0.0:
                found[num] = time_to_collision_s(gap, speed[tick, 0] - speed[tick, other])
                num += 1
                break
    return found[:num]
