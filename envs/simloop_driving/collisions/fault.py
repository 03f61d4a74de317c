"""Kind of a collision and whether the ego is at fault, after nuPlan's no-at-fault metric.

Kinds, in the order in which they are tried (nuplan-devkit, ``no_ego_at_fault_collisions``): the ego stands; the
other stands; the other comes from behind; the ego's front bumper touches the other; the rest is lateral. The ego is
at fault when the other stood, when its front touched, and laterally when it straddled lanes or had left the road.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from simloop_driving.collisions.footprints import footprints_overlap

STOPPED_BELOW_MPS = 0.05
"""nuPlan's ``stopped_speed_threshold``."""
_BEHIND_BEYOND_RAD = math.radians(150.0)
"""An object is behind when the line to it is more than 150 degrees off the ego's heading (nuPlan)."""
_BUMPER_DEPTH_M = 1e-3


class CollisionKind(enum.Enum):
    """nuPlan's collision types."""

    STOPPED_EGO = "stopped_ego"
    STOPPED_TRACK = "stopped_track"
    ACTIVE_REAR = "active_rear"
    ACTIVE_FRONT = "active_front"
    ACTIVE_LATERAL = "active_lateral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A footprint in motion at the instant of contact, world frame."""

    x_m: float
    y_m: float
    yaw_rad: float
    speed_mps: float
    length_m: float
    width_m: float


def classify_collision(ego: Body, other: Body) -> CollisionKind:
    """Returns the kind of a collision of the ego with another body."""
    if abs(ego.speed_mps) <= STOPPED_BELOW_MPS:
        return CollisionKind.STOPPED_EGO
    if abs(other.speed_mps) <= STOPPED_BELOW_MPS:
        return CollisionKind.STOPPED_TRACK
    bearing = math.atan2(other.y_m - ego.y_m, other.x_m - ego.x_m) - ego.yaw_rad
    if abs(math.remainder(bearing, 2.0 * math.pi)) > _BEHIND_BEYOND_RAD:
        return CollisionKind.ACTIVE_REAR
    forward = 0.5 * ego.length_m
    if footprints_overlap(
        ego.x_m + forward * math.cos(ego.yaw_rad),
        ego.y_m + forward * math.sin(ego.yaw_rad),
        ego.yaw_rad,
        _BUMPER_DEPTH_M,
        ego.width_m,
        other.x_m,
        other.y_m,
        other.yaw_rad,
        other.length_m,
        other.width_m,
    ):
        return CollisionKind.ACTIVE_FRONT
    return CollisionKind.ACTIVE_LATERAL


def is_ego_at_fault(kind: CollisionKind, *, is_straddling_lanes: bool) -> bool:
    """Returns whether the ego is to blame; a lateral touch is its fault when it straddles lanes or left the road."""
    if kind is CollisionKind.ACTIVE_LATERAL:
        return is_straddling_lanes
    return kind in (CollisionKind.STOPPED_TRACK, CollisionKind.ACTIVE_FRONT)
