"""A scripted expert for lifting a pot with two arms, closed loop from ground truth, planning whole action chunks.

One decision rule maps the state of arms and pot to an action: turn and move above the handle, descend, close when
both grippers are in place, lift level. A chunk is that rule applied again and again to a predicted state. The
prediction is the closed form of what the arms' controllers do with a goal at offset e: ``v' = kp e - kd v`` with
kp = 150 and critical damping, in translation and rotation, so a chunk stays meaningful when it arrives late. There is
no memory between calls: which part of the task is on follows from the state alone.

The layouts of ``robot_state`` and ``object_state`` are those of the bimanual world's sensors.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simloop.agent import InferenceRequest
from simloop.errors import AgentError

FloatArray = npt.NDArray[np.float64]

ACTION_SPACE = "two_arm_delta"
OBSERVATIONS = ("robot_state", "object_state")
HORIZON = 32

_ARM_SIZE = 16
_OBJECT_OFFSET, _OBJECT_ARM_SIZE = 14, 9
_CLEARANCE = 13
_LIFT_SIZE = _OBJECT_OFFSET + 2 * _OBJECT_ARM_SIZE

_STEP_S = 0.05
_RATE_PER_S = math.sqrt(150.0)
_DECAY = math.exp(-_RATE_PER_S * _STEP_S)
_POSITION_STEP_M, _ROTATION_STEP_RAD = 0.05, 0.5

# How much of a goal's offset the arms make good, measured on the simulated Panda: the controller leaves the coupling of
# translation and rotation out.
_POSITION_GAIN, _TILT_GAIN, _TURN_GAIN = 0.9, 0.93, 0.75
_LARGEST_TURN = 0.7
"""Largest rotation that is asked for, of full scale; beyond it the last joint's torque saturates and drags the hand."""

_BAR_OFFSET_M = 0.005
"""The handle's site lies this far inside of the middle of its bar (robosuite ``PotWithHandlesObject``)."""
_OPEN_M, _BAR_M = 0.08, 0.02
_OPENING_STEP_M = 0.008
"""Change of the opening in one step: 0.2 of a command range of 2, of two fingers with 4 cm each."""
_HELD_BELOW_M = 0.0235
_MISSED_BELOW_M = 0.012
"""Fingers nearer to each other than this have nothing between them."""
_HOVER_M = 0.065
_NEAR_M, _ALIGNED_RAD = 0.010, 0.10
"""How near a gripper has to be to its grasp before the fingers close."""
_SLACK = 1.6
_HOVER_BY_OFFSET, _HOVER_BY_ANGLE_M = 6.0, 0.5
"""How high a gripper stays over its handle: metres per metre and per radian that it is still off."""
_UPSET_RAD = 0.15
"""A pot on the table that tilts more than this is let go of."""
_LIFT_M = 0.14


@numba.njit(cache=True)
def _rotation(vector: Any, out: Any) -> None:
    """Rotation matrix of a rotation vector (Rodrigues)."""
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
def _rotation_error(target: Any, current: Any, out: Any) -> float:
    """Writes the rotation vector from ``current`` to ``target`` and returns its angle, below pi."""
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
def _limited(vector: Any, limit: float) -> None:
    """Shortens a vector to at most ``limit``, keeping its direction."""
    norm = math.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    if norm > limit:
        for i in range(3):
            vector[i] *= limit / norm


@numba.njit(cache=True)
def _decide(
    position: Any,
    rotation: Any,
    opening: Any,
    handle: Any,
    bar: Any,
    clearance: float,
    tilt: float,
    action: Any,
) -> bool:
    """Writes the (14,) action for a state and returns whether both handles are held.

    Args:
        position, handle, bar: (2, 3), each arm's in the frame of its own base.
        rotation: (2, 3, 3) of the grippers.
        opening: (2,) metres.
        clearance: Of the pot's bottom over the table, metres.
        tilt: Of the pot, radians.
        action: (14,), written.
    """
    targets = np.empty((2, 3))
    offsets = np.empty((2, 3))
    turns = np.empty((2, 3))
    goal = np.zeros((3, 3))
    ready = True
    held = True
    for arm in range(2):
        sign = 1.0 if bar[arm, 1] >= 0.0 else -1.0
        norm = math.sqrt(bar[arm, 0] ** 2 + bar[arm, 1] ** 2)
        ux, uy = sign * bar[arm, 0] / norm, sign * bar[arm, 1] / norm
        # Fingers close across the bar, the gripper points down.
        goal[0, 0], goal[1, 0] = -uy, ux
        goal[0, 1], goal[1, 1] = ux, uy
        goal[2, 2] = -1.0
        angle = _rotation_error(goal, rotation[arm], turns[arm])
        targets[arm, 0] = handle[arm, 0] - uy * _BAR_OFFSET_M
        targets[arm, 1] = handle[arm, 1] + ux * _BAR_OFFSET_M
        targets[arm, 2] = handle[arm, 2]
        for i in range(3):
            offsets[arm, i] = targets[arm, i] - position[arm, i]
        across = math.sqrt(offsets[arm, 0] ** 2 + offsets[arm, 1] ** 2)
        # Once the fingers close, the gripper may be a little further off without being sent back.
        slack = 1.0 if opening[arm] > 0.065 else _SLACK
        ready = ready and across < _NEAR_M * slack and abs(offsets[arm, 2]) < _NEAR_M * slack
        ready = ready and angle < _ALIGNED_RAD * slack and opening[arm] > _MISSED_BELOW_M
        held = held and opening[arm] < _HELD_BELOW_M
        hover = _HOVER_BY_OFFSET * max(0.0, across - 0.8 * _NEAR_M)
        hover += _HOVER_BY_ANGLE_M * max(0.0, angle - 0.8 * _ALIGNED_RAD)
        if opening[arm] <= _MISSED_BELOW_M or tilt > _UPSET_RAD:
            hover = _HOVER_M
        offsets[arm, 2] += min(hover, _HOVER_M)
    held = held and ready
    if held:
        # Lift level: both grippers follow one height.
        low = 0.5 * (position[0, 2] + position[1, 2])
        step = min(_LIFT_M - clearance, 0.04)
        for arm in range(2):
            offsets[arm, 0] = 0.0
            offsets[arm, 1] = 0.0
            offsets[arm, 2] = low + step - position[arm, 2]
    for arm in range(2):
        _limited(offsets[arm], _POSITION_STEP_M)
        _limited(turns[arm], _LARGEST_TURN * _ROTATION_STEP_RAD)
        for i in range(3):
            action[7 * arm + i] = offsets[arm, i] / _POSITION_STEP_M
            action[7 * arm + 3 + i] = turns[arm, i] / _ROTATION_STEP_RAD
        action[7 * arm + 6] = 1.0 if ready else -1.0
    return held


@numba.njit(cache=True)
def _coast(offset: float, velocity: float) -> tuple[float, float]:
    """Critically damped step towards a goal at ``offset``: returns the way gone and the new velocity."""
    slope = -velocity + _RATE_PER_S * offset
    left = (offset + slope * _STEP_S) * _DECAY
    rate = (slope - _RATE_PER_S * (offset + slope * _STEP_S)) * _DECAY
    return offset - left, -rate


@numba.njit(cache=True)
def _plan(robot: Any, objects: Any, committed: Any, num_committed: int, out: Any) -> None:
    """Fills the (H, 14) chunk ``out``: committed rows as they are, then the rule on the predicted state."""
    position, rotation = np.empty((2, 3)), np.empty((2, 3, 3))
    linear, angular = np.empty((2, 3)), np.empty((2, 3))
    opening, handle, bar = np.empty(2), np.empty((2, 3)), np.empty((2, 3))
    for arm in range(2):
        part = robot[_ARM_SIZE * arm : _ARM_SIZE * (arm + 1)]
        where = objects[_OBJECT_OFFSET + _OBJECT_ARM_SIZE * arm :]
        for i in range(3):
            position[arm, i] = part[i]
            linear[arm, i] = part[9 + i]
            angular[arm, i] = part[12 + i]
            handle[arm, i] = where[i]
            bar[arm, i] = where[3 + i]
            a, b = (i + 1) % 3, (i + 2) % 3
            rotation[arm, i, 0] = part[3 + i]
            rotation[arm, i, 1] = part[6 + i]
            rotation[arm, i, 2] = part[3 + a] * part[6 + b] - part[3 + b] * part[6 + a]
        opening[arm] = part[15]
    clearance = objects[_CLEARANCE]
    tilt = math.acos(min(max(objects[_OBJECT_OFFSET + 8], -1.0), 1.0))
    action, turn, spin = np.empty(14), np.empty(3), np.empty((3, 3))
    for row in range(len(out)):
        held = _decide(position, rotation, opening, handle, bar, clearance, tilt, action)
        if row < num_committed:
            for i in range(14):
                action[i] = committed[row, i]
        for i in range(14):
            out[row, i] = action[i]
        rise = 0.0
        for arm in range(2):
            for i in range(3):
                wanted = min(max(action[7 * arm + i], -1.0), 1.0) * _POSITION_STEP_M
                gone, linear[arm, i] = _coast(_POSITION_GAIN * wanted, linear[arm, i])
                position[arm, i] += gone
                if held:
                    handle[arm, i] += gone
                    rise += 0.5 * gone if i == 2 else 0.0
                wanted = min(max(action[7 * arm + 3 + i], -1.0), 1.0) * _ROTATION_STEP_RAD
                gain = _TILT_GAIN if i < 2 else _TURN_GAIN
                turn[i], angular[arm, i] = _coast(gain * wanted, angular[arm, i])
            _rotation(turn, spin)
            rotation[arm] = spin @ rotation[arm].copy()
            grip = action[7 * arm + 6]
            change = _OPENING_STEP_M if grip < 0.0 else (-_OPENING_STEP_M if grip > 0.0 else 0.0)
            away = 0.0
            for i in range(3):
                away += (handle[arm, i] - position[arm, i]) ** 2
            narrowest = _BAR_M if away < 0.03**2 else 0.0
            opening[arm] = min(max(opening[arm] + change, narrowest), _OPEN_M)
        clearance += rise


class BimanualExpert:
    """Plans chunks for ``two_arm_delta`` from ``robot_state`` and ``object_state``.

    Args:
        horizon: Rows H of a chunk.
    """

    def __init__(self, horizon: int = HORIZON) -> None:
        self._horizon = horizon

    def chunk(self, request: InferenceRequest) -> FloatArray:
        """Returns the (H, 14) chunk for a request; rows committed by its conditioning come back bit for bit.

        Raises:
            AgentError: ``object_state`` is not that of a lift.
        """
        committed, count = np.zeros((0, 14)), 0
        if request.conditioning is not None:
            committed = np.ascontiguousarray(request.conditioning.actions, dtype=np.float64)
            count = request.conditioning.num_committed
        out = np.empty((self._horizon, 14))
        robot = np.array(request.observation["robot_state"], dtype=np.float64)
        objects = np.array(request.observation["object_state"], dtype=np.float64)
        if objects.shape != (_LIFT_SIZE,):
            raise AgentError(
                f"The two-arm expert lifts pots: its object_state has {_LIFT_SIZE} entries, got shape {objects.shape}. "
                "Play the family two_arm_lift, or choose another agent."
            )
        _plan(robot, objects, committed, min(count, self._horizon), out)
        return out
