"""Taking two handle bars with two grippers while the bars move: the first part of several tasks.

A gripper turns and moves above its bar, descends, and closes when both grippers are in place. The bars' velocities are
fed forward, so that a gripper keeps up with what it follows.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from simloop_agents.experts.two_arm.geometry import predict_opening, rotation_error, top_down_grasp

BAR_OFFSET_M = 0.005
"""A handle's site lies this far inside of the middle of its bar (robosuite ``PotWithHandlesObject``)."""
BAR_M = 0.02
HELD_BELOW_M = 0.0235
MISSED_BELOW_M = 0.012
"""Fingers nearer to each other than this have nothing between them."""
LEAD_S = 0.2
"""A gripper that follows a goal at a constant offset e ends up at e / ``LEAD_S`` (``geometry.coast``, its gain of
0.9 included): the way to aim ahead of what moves."""
_HOVER_M = 0.065
_ACROSS_M, _ALONG_M, _HEIGHT_M, _ALIGNED_RAD = 0.010, 0.022, 0.010, 0.12
"""How near a gripper has to be to its grasp, across and along the bar, before the fingers close."""
_SLACK = 1.6
_HOVER_BY_OFFSET, _HOVER_BY_ANGLE_M = 6.0, 0.5
"""How high a gripper stays over its bar: metres per metre and per radian that it is still off."""
_UPSET_RAD = 0.15
"""What stands on a support and tilts more than this is let go of."""


@numba.njit(cache=True)
def grasp_bars(
    position: Any,
    rotation: Any,
    opening: Any,
    handle: Any,
    bar: Any,
    velocity: Any,
    tilt: float,
    latitude: float,
    offsets: Any,
    turns: Any,
) -> tuple[bool, bool]:
    """Writes how each gripper should move to take its bar.

    Args:
        position, handle, bar, velocity: (2, 3) of the grip sites, the handles' sites, unit vectors along the bars and
            the handles' velocities, each arm's in the frame of its own base.
        rotation: (2, 3, 3) of the grippers.
        opening: (2,) metres.
        tilt: Of what the bars belong to, radians.
        latitude: How much further off than usual a gripper may be when its fingers close; 1 is as usual.
        offsets: (2, 3) metres, written.
        turns: (2, 3) rotation vectors, written.

    Returns:
        Whether the fingers should close, and whether both bars are held.
    """
    goal = np.empty((3, 3))
    ready = True
    held = True
    for arm in range(2):
        sign = 1.0 if bar[arm, 1] >= 0.0 else -1.0
        norm = math.sqrt(bar[arm, 0] ** 2 + bar[arm, 1] ** 2)
        ux, uy = sign * bar[arm, 0] / norm, sign * bar[arm, 1] / norm
        top_down_grasp(ux, uy, goal)
        angle = rotation_error(goal, rotation[arm], turns[arm])
        offsets[arm, 0] = handle[arm, 0] - uy * BAR_OFFSET_M - position[arm, 0]
        offsets[arm, 1] = handle[arm, 1] + ux * BAR_OFFSET_M - position[arm, 1]
        offsets[arm, 2] = handle[arm, 2] - position[arm, 2]
        along = offsets[arm, 0] * ux + offsets[arm, 1] * uy
        across = offsets[arm, 1] * ux - offsets[arm, 0] * uy
        # Once the fingers close, the gripper may be a little further off without being sent back.
        slack = latitude * (1.0 if opening[arm] > 0.065 else _SLACK)
        ready = ready and abs(across) < _ACROSS_M * slack and abs(along) < _ALONG_M * slack
        ready = ready and abs(offsets[arm, 2]) < _HEIGHT_M * slack
        ready = ready and angle < _ALIGNED_RAD * slack and opening[arm] > MISSED_BELOW_M
        held = held and opening[arm] < HELD_BELOW_M
        hover = _HOVER_BY_OFFSET * max(0.0, max(abs(across), 0.6 * abs(along)) - 0.8 * latitude * _ACROSS_M)
        hover += _HOVER_BY_ANGLE_M * max(0.0, angle - 0.8 * latitude * _ALIGNED_RAD)
        if opening[arm] <= MISSED_BELOW_M or tilt > _UPSET_RAD:
            hover = _HOVER_M
        offsets[arm, 2] += min(hover, _HOVER_M)
        for i in range(3):
            offsets[arm, i] += LEAD_S * velocity[arm, i]
    return ready, held and ready


@numba.njit(cache=True)
def predict_fingers(position: Any, handle: Any, grip: float, opening: float) -> float:
    """Returns a gripper's opening (m) one row later; a bar near the grip site stops its fingers.

    Args:
        position, handle: (3,) of the grip site and of the handle's site, metres.
        grip: The action's entry.
        opening: Metres.
    """
    away = 0.0
    for i in range(3):
        away += (handle[i] - position[i]) ** 2
    later: float = predict_opening(opening, grip, BAR_M if away < 0.03**2 else 0.0)
    return later
