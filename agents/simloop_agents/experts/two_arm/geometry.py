"""What every two-arm expert needs: rotations, reading ``robot_state``, writing actions, predicting the arms.

The prediction is the closed form of what the arms' controllers do with a goal at offset e: ``v' = kp e - kd v`` with
kp = 150 and critical damping, in translation and rotation. Everything here is compiled and meant to be called from
compiled code. The layouts are those of the bimanual world's sensors and action spaces: each arm's quantities are in the
frame of its own base (z up, x from the base towards the table), arm 0 is the left one, arm 1 the right one.

The grip site's axes: z points out of the hand, the fingers open and close along x.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

ARM_SIZE = 16
"""Entries of one arm in ``robot_state``."""
STEP_S = 0.05
"""One row of a chunk."""
POSITION_STEP_M, ROTATION_STEP_RAD = 0.05, 0.5
"""Goal offset that an entry of 1 asks for."""
OPEN_M = 0.08
"""Opening of a gripper whose fingers are apart."""
OPENING_STEP_M = 0.008
"""Change of the opening in one step: 0.2 of a command range of 2, of two fingers with 4 cm each."""

_RATE_PER_S = math.sqrt(150.0)
_DECAY = math.exp(-_RATE_PER_S * STEP_S)

# How much of a goal's offset the arms make good, measured on the simulated Panda: the controller leaves the coupling of
# translation and rotation out.
_POSITION_GAIN, _TILT_GAIN, _TURN_GAIN = 0.9, 0.93, 0.75
LARGEST_TURN = 0.7
"""Largest rotation to ask for, of full scale; beyond it the last joint's torque saturates and drags the hand."""


@numba.njit(cache=True)
def rotation_matrix(vector: Any, out: Any) -> None:
    """Writes the (3, 3) rotation matrix of a rotation vector (Rodrigues)."""
    angle = math.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    for i in range(3):
        for j in range(3):
            out[i, j] = 1.0 if i == j else 0.0
    if angle < 1e-12:
        return
    x, y, z = vector[0] / angle, vector[1] / angle, vector[2] / angle
    s, c = math.sin(angle), 1.0 - math.cos(angle)
    out[0, 0] += c * (x * x - 1.0)
    out[1, 1] += c * (y * y - 1.0)
    out[2, 2] += c * (z * z - 1.0)
    out[0, 1] += c * x * y - s * z
    out[1, 0] += c * x * y + s * z
    out[0, 2] += c * x * z + s * y
    out[2, 0] += c * x * z - s * y
    out[1, 2] += c * y * z - s * x
    out[2, 1] += c * y * z + s * x


@numba.njit(cache=True)
def rotation_error(target: Any, current: Any, out: Any) -> float:
    """Writes the (3,) rotation vector from ``current`` to ``target`` and returns its angle, below pi."""
    sine = 0.0
    trace = 0.0
    for i in range(3):
        a, b = (i + 1) % 3, (i + 2) % 3
        total = 0.0
        for k in range(3):
            total += target[b, k] * current[a, k] - target[a, k] * current[b, k]
            trace += target[i, k] * current[i, k]
        out[i] = 0.5 * total
        sine += out[i] ** 2
    sine = math.sqrt(sine)
    angle = math.atan2(sine, 0.5 * (trace - 1.0))
    scale = angle / sine if sine > 1e-9 else 0.0
    for i in range(3):
        out[i] *= scale
    return angle


@numba.njit(cache=True)
def limit_length(vector: Any, limit: float) -> None:
    """Shortens a (3,) vector to at most ``limit``, keeping its direction."""
    norm = math.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    if norm > limit:
        for i in range(3):
            vector[i] *= limit / norm


@numba.njit(cache=True)
def top_down_grasp(bar_x: float, bar_y: float, out: Any) -> None:
    """Writes the (3, 3) rotation of a gripper that points down and closes across a horizontal bar.

    Args:
        bar_x, bar_y: Unit vector along the bar. Its negative stands for the other of the two ways to take the bar.
        out: (3, 3), written.
    """
    for i in range(3):
        for j in range(3):
            out[i, j] = 0.0
    out[0, 0], out[1, 0] = -bar_y, bar_x
    out[0, 1], out[1, 1] = bar_x, bar_y
    out[2, 2] = -1.0


@numba.njit(cache=True)
def leaning_grasp(heading: float, lean: float, out: Any) -> None:
    """Writes the (3, 3) rotation of a gripper that leans forward from pointing down.

    Args:
        heading: Direction of the lean and of the site's y axis in the horizontal plane, radians from the base's x.
        lean: Angle between the hand's direction and straight down, radians; 0 is a top-down grasp.
        out: (3, 3), written.
    """
    c, s, up, down = math.cos(heading), math.sin(heading), math.sin(lean), -math.cos(lean)
    out[0, 0], out[1, 0], out[2, 0] = -s, c, 0.0
    out[0, 1], out[1, 1], out[2, 1] = -c * down, -s * down, up
    out[0, 2], out[1, 2], out[2, 2] = c * up, s * up, down


@numba.njit(cache=True)
def read_arms(robot: Any, position: Any, rotation: Any, linear: Any, angular: Any, opening: Any) -> None:
    """Takes ``robot_state`` (32,) apart.

    Args:
        robot: (32,), read.
        position: (2, 3) of the grip sites, metres; written, as are all below.
        rotation: (2, 3, 3) of the grip sites.
        linear: (2, 3), m/s.
        angular: (2, 3), rad/s.
        opening: (2,) metres.
    """
    for arm in range(2):
        part = robot[ARM_SIZE * arm : ARM_SIZE * (arm + 1)]
        for i in range(3):
            position[arm, i] = part[i]
            linear[arm, i] = part[9 + i]
            angular[arm, i] = part[12 + i]
            a, b = (i + 1) % 3, (i + 2) % 3
            rotation[arm, i, 0] = part[3 + i]
            rotation[arm, i, 1] = part[6 + i]
            rotation[arm, i, 2] = part[3 + a] * part[6 + b] - part[3 + b] * part[6 + a]
        opening[arm] = part[15]


@numba.njit(cache=True)
def write_pose_delta(offset: Any, turn: Any, out: Any) -> None:
    """Writes the first six entries of one arm's action; ``offset`` and ``turn`` are shortened to what is allowed.

    Args:
        offset: (3,) way to go, metres.
        turn: (3,) rotation vector to go, radians.
        out: Written; ``action[7 * arm :]``, or ``action[6 * arm :]`` without grippers.
    """
    limit_length(offset, POSITION_STEP_M)
    limit_length(turn, LARGEST_TURN * ROTATION_STEP_RAD)
    for i in range(3):
        out[i] = offset[i] / POSITION_STEP_M
        out[3 + i] = turn[i] / ROTATION_STEP_RAD


@numba.njit(cache=True)
def coast(offset: float, velocity: float) -> tuple[float, float]:
    """Critically damped step towards a goal at ``offset``: returns the way gone and the new velocity."""
    slope = -velocity + _RATE_PER_S * offset
    left = (offset + slope * STEP_S) * _DECAY
    rate = (slope - _RATE_PER_S * (offset + slope * STEP_S)) * _DECAY
    return offset - left, -rate


@numba.njit(cache=True)
def predict_arm(pose_delta: Any, position: Any, rotation: Any, linear: Any, angular: Any, gone: Any) -> None:
    """Moves one arm's predicted state on by one row.

    Args:
        pose_delta: The first six entries of the arm's action, read and clipped to [-1, 1].
        position: (3,), metres; updated, as are all below.
        rotation: (3, 3).
        linear: (3,), m/s.
        angular: (3,), rad/s.
        gone: (3,) way that the grip site went, metres; written. What a gripper holds goes along.
    """
    turn, spin = np.empty(3), np.empty((3, 3))
    for i in range(3):
        wanted = min(max(pose_delta[i], -1.0), 1.0) * POSITION_STEP_M
        gone[i], linear[i] = coast(_POSITION_GAIN * wanted, linear[i])
        position[i] += gone[i]
        wanted = min(max(pose_delta[3 + i], -1.0), 1.0) * ROTATION_STEP_RAD
        gain = _TILT_GAIN if i < 2 else _TURN_GAIN
        turn[i], angular[i] = coast(gain * wanted, angular[i])
    rotation_matrix(turn, spin)
    rotation[:] = spin @ rotation.copy()


@numba.njit(cache=True)
def predict_opening(opening: float, grip: float, narrowest: float) -> float:
    """Returns a gripper's opening (m) one row later.

    Args:
        opening: Metres.
        grip: The action's entry: positive closes, negative opens, 0 leaves it.
        narrowest: Opening at which something stops the fingers, 0 if there is nothing between them, metres.
    """
    change = OPENING_STEP_M if grip < 0.0 else (-OPENING_STEP_M if grip > 0.0 else 0.0)
    return min(max(opening + change, narrowest), OPEN_M)


@numba.njit(cache=True)
def keep_committed(row: int, committed: Any, num_committed: int, action: Any) -> None:
    """Overwrites ``action`` (A,) by the committed one where this row is committed."""
    if row < num_committed:
        for i in range(len(action)):
            action[i] = committed[row, i]


@numba.njit(cache=True)
def turn_between_bases(first: Any, second: Any, other_first: Any, other_second: Any) -> tuple[float, float]:
    """Returns cosine and sine of the turn about z that takes directions from one base's frame to another's.

    Both bases stand upright; two directions given in both frames tell how they are turned to each other.

    Args:
        first, second: (3,) unit vectors in the one frame; at least one of them is not vertical.
        other_first, other_second: The same two in the other frame.
    """
    cosine, sine = 0.0, 0.0
    for i in range(2):
        here, there = (first, other_first) if i == 0 else (second, other_second)
        cosine += here[0] * there[0] + here[1] * there[1]
        sine += here[0] * there[1] - here[1] * there[0]
    norm = math.sqrt(cosine**2 + sine**2)
    return (1.0, 0.0) if norm < 1e-9 else (cosine / norm, sine / norm)


@numba.njit(cache=True)
def carry_direction(direction: Any, rotation: Any, turned: Any) -> None:
    """Turns a direction (3,), in place, that is fixed to a hand which turned from (3, 3) ``rotation`` to ``turned``."""
    x, y, z = direction[0], direction[1], direction[2]
    a = rotation[0, 0] * x + rotation[1, 0] * y + rotation[2, 0] * z
    b = rotation[0, 1] * x + rotation[1, 1] * y + rotation[2, 1] * z
    c = rotation[0, 2] * x + rotation[1, 2] * y + rotation[2, 2] * z
    for i in range(3):
        direction[i] = turned[i, 0] * a + turned[i, 1] * b + turned[i, 2] * c


@numba.njit(cache=True)
def carry_point(point: Any, position: Any, rotation: Any, moved: Any, turned: Any) -> None:
    """Moves a point (3,), in place, that is fixed to a hand which went from ``position`` (3,) to ``moved`` (3,)."""
    for i in range(3):
        point[i] -= position[i]
    carry_direction(point, rotation, turned)
    for i in range(3):
        point[i] += moved[i]
