"""Bounding boxes of the server's actors: scenarios place and measure a box's middle, the server an actor's origin.

The middle's pose is in the world frame of ``simloop_driving`` (right-handed, metres, radians), the origin's in CARLA's
(left-handed, metres, degrees).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The box of one actor.

    Attributes:
        size_m: Length, width and height.
        middle_m: Its middle in the actor's frame, forward and to the right of the origin.
    """

    size_m: tuple[float, float, float]
    middle_m: tuple[float, float]

    def origin(self, x_m: float, y_m: float, yaw_rad: float) -> tuple[float, float, float]:
        """Returns x and y in metres and yaw in degrees of the origin, in CARLA's frame, for a pose of the middle."""
        forward_m, right_m = self.middle_m
        cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
        x_m -= forward_m * cos + right_m * sin
        y_m -= forward_m * sin - right_m * cos
        return x_m, -y_m, -math.degrees(yaw_rad)

    def pose(self, transform: Any, near_yaw_rad: float) -> tuple[float, float, float]:
        """Returns x, y and yaw of the middle.

        Args:
            transform: ``carla.Transform`` of the actor.
            near_yaw_rad: The yaw is the one nearest to this, without a jump at half a turn.
        """
        forward_m, right_m = self.middle_m
        yaw_rad = -math.radians(transform.rotation.yaw)
        yaw_rad += 2.0 * math.pi * round((near_yaw_rad - yaw_rad) / (2.0 * math.pi))
        cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
        at = transform.location
        return at.x + forward_m * cos + right_m * sin, -at.y + forward_m * sin - right_m * cos, yaw_rad


def box_of(actor: Any) -> Box:
    """Asks the server for the box of a ``carla.Actor``."""
    found = actor.bounding_box
    extent, middle = found.extent, found.location
    return Box(
        size_m=(2.0 * float(extent.x), 2.0 * float(extent.y), 2.0 * float(extent.z)),
        middle_m=(float(middle.x), float(middle.y)),
    )
