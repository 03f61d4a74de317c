"""Action spaces of the driving world."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.errors import UnknownNameError
from simloop.world import ActionDimension, ActionSpec, Anchor, Hold

FloatArray = npt.NDArray[np.float64]

ANCHOR_LAYOUT = ("x_m", "y_m", "yaw_rad", "speed_mps")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaypointSpec(ActionSpec):
    """Waypoints (x_m, y_m, yaw_rad, speed_mps): the pose wanted at the end of a control tick.

    The agent writes them in the ego's frame at the anchor (x forward, y left); the world tracks them in its own.
    """

    def to_world(self, actions: FloatArray, anchor: Anchor) -> FloatArray:
        """Turns and moves (N, 4) waypoints from the anchor's frame to the world's; the speed stays."""
        out = np.array(actions, dtype=np.float64)
        x_m, y_m, yaw_rad = (float(v) for v in anchor.pose[:3])
        cos_yaw, sin_yaw = math.cos(yaw_rad), math.sin(yaw_rad)
        ahead, left = out[:, 0].copy(), out[:, 1].copy()
        out[:, 0] = x_m + ahead * cos_yaw - left * sin_yaw
        out[:, 1] = y_m + ahead * sin_yaw + left * cos_yaw
        out[:, 2] += yaw_rad
        return out

    def from_world(self, actions: FloatArray, anchor: Anchor) -> FloatArray:
        """Expresses (N, 4) world-frame waypoints in the anchor's frame, headings in [-pi, pi)."""
        out = np.array(actions, dtype=np.float64)
        x_m, y_m, yaw_rad = (float(v) for v in anchor.pose[:3])
        cos_yaw, sin_yaw = math.cos(yaw_rad), math.sin(yaw_rad)
        dx, dy = out[:, 0] - x_m, out[:, 1] - y_m
        out[:, 0] = dx * cos_yaw + dy * sin_yaw
        out[:, 1] = dy * cos_yaw - dx * sin_yaw
        turn = out[:, 2] - yaw_rad
        out[:, 2] = turn - 2.0 * math.pi * np.floor((turn + math.pi) / (2.0 * math.pi))
        return out

    def start_action(self, anchor: Anchor) -> FloatArray:
        """Returns the (4,) world-frame waypoint that is in force before the first chunk: where the ego is."""
        return np.array(anchor.pose, dtype=np.float64)


_WAYPOINTS = WaypointSpec(
    name="waypoints",
    dimensions=(
        ActionDimension(name="x_m", unit="m", low=-20.0, high=150.0),
        ActionDimension(name="y_m", unit="m", low=-50.0, high=50.0),
        ActionDimension(name="yaw_rad", unit="rad", low=-math.pi, high=math.pi),
        ActionDimension(name="speed_mps", unit="m/s", low=0.0, high=70.0),
    ),
    hold=Hold.PLAN_THEN_STOP,
    null_action=(0.0, 0.0, 0.0, 0.0),
    anchor_layout=ANCHOR_LAYOUT,
)
_ACCELERATION = ActionSpec(
    name="acceleration",
    dimensions=(
        ActionDimension(name="acceleration_mps2", unit="m/s2", low=-9.0, high=4.0),
        ActionDimension(name="curvature_per_m", unit="1/m", low=-0.2, high=0.2),
    ),
    hold=Hold.NULL,
    null_action=(0.0, 0.0),
    anchor_layout=ANCHOR_LAYOUT,
)
_CONTROL = ActionSpec(
    name="control",
    dimensions=(
        ActionDimension(
            name="steer_ratio", unit="", low=-1.0, high=1.0
        ),  # of the largest angle; positive is left
        ActionDimension(name="throttle_ratio", unit="", low=0.0, high=1.0),
        ActionDimension(name="brake_ratio", unit="", low=0.0, high=1.0),
    ),
    hold=Hold.NULL,
    null_action=(0.0, 0.0, 0.0),
    anchor_layout=ANCHOR_LAYOUT,
)
ACTION_SPECS: dict[str, ActionSpec] = {spec.name: spec for spec in (_WAYPOINTS, _ACCELERATION, _CONTROL)}


def action_spec(name: str) -> ActionSpec:
    """Returns an action space by name.

    Raises:
        UnknownNameError: The driving world has no such action space.
    """
    if name not in ACTION_SPECS:
        raise UnknownNameError("driving action space", name, ACTION_SPECS)
    return ACTION_SPECS[name]
