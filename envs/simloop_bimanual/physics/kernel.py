"""Operational-space control of two arms, compiled: one call a physics substep on MuJoCo's own arrays.

It computes what robosuite 1.5.2 computes with the default controllers of its fixed arms (``OSC_POSE`` with deltas in
the base frame, or with absolute poses, and the position-controlled gripper) in Python at every substep. The law is
Khatib's operational-space formulation (Khatib 1987, IEEE J. Robotics and Automation 3(1)): with end-effector Jacobian
J, joint-space inertia M and A = J M^-1 J^T,

    tau = J^T (w - A^-1 J u) + M u + bias,   w = [A_pp^-1 F; A_rr^-1 T],
    F = kp (p_goal - p) - kd v,   T = kp e - kd omega,   u = 10 (q_0 - q) - 2 sqrt(10) q'.

``tests/bimanual/physics/test_kernel.py`` compares torques and trajectories with robosuite itself.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

GAIN_PER_S2 = 150.0
"""kp of robosuite's default arm controllers."""
DAMPING_PER_S = 2.0 * math.sqrt(GAIN_PER_S2)
"""kd of robosuite's default arm controllers: damping ratio 1."""
POSITION_STEP_M = 0.05
"""Goal offset of a full-scale translation entry (robosuite ``output_max``)."""
ROTATION_STEP_RAD = 0.5
"""Goal offset of a full-scale rotation entry (robosuite ``output_max``)."""
NUM_ARMS = 2
NUM_JOINTS = 7
"""Joints of an arm at most. An arm with fewer goes through the same sums with joints that move nothing."""
MAX_FINGERS = 3
"""Actuators of a gripper at most."""
MAX_OBJECTS = 8
"""Objects that move by themselves at most."""


def state_dtype() -> np.dtype[Any]:
    """Layout of the controller record: constants of the model, then state, then work space.

    It is the same for all models, so that the functions here are compiled once for all of them.
    """
    f, i, n, a = np.float64, np.int64, NUM_JOINTS, NUM_ARMS
    return np.dtype(
        [
            ("arm_qpos", i, (a, n)),
            ("arm_dof", i, (a, n)),
            ("arm_actuator", i, (a, n)),
            ("arm_low", f, (a, n)),
            ("arm_high", f, (a, n)),
            ("num_joints", i, (a,)),
            ("num_fingers", i, (a,)),
            ("finger_actuator", i, (a, MAX_FINGERS)),
            ("finger_low", f, (a, MAX_FINGERS)),
            ("finger_high", f, (a, MAX_FINGERS)),
            ("finger_step", f, (a, MAX_FINGERS)),
            ("opening_qpos", i, (a, 2)),
            ("opening_geom", i, (a, 2)),
            ("grip_site", i, (a,)),
            ("grip_root", i, (a,)),
            ("base_site", i, (a,)),
            ("base_dof", i, (a, 2)),
            ("inertia_address", i, (a, n, n)),
            ("has_grippers", i),
            ("is_absolute", i),
            ("num_objects", i),
            ("object_body", i, (MAX_OBJECTS,)),
            ("object_dof", i, (MAX_OBJECTS,)),
            # state
            ("goal_position", f, (a, 3)),
            ("goal_rotation", f, (a, 3, 3)),
            ("goal_in_base", f, (a, 3)),
            ("turn_in_base", f, (a, 3, 3)),
            ("gripper_command", f, (a, MAX_FINGERS)),
            ("rest_qpos", f, (a, n)),
            ("first_inertia", f, (a, n, n)),
            ("is_first", i),
            # work space
            ("jacobian", f, (a, 6, n)),
            ("inertia", f, (a, n, n)),
            ("velocity", f, (a, 6)),
            ("lower", f, (n, n)),
            ("solved", f, (n, 6)),
            ("mobility", f, (6, 6)),
            ("block", f, (3, 3)),
            ("task", f, (6,)),
            ("wrench", f, (6,)),
            ("rest", f, (6,)),
            ("posture", f, (n,)),
            ("vector", f, (n,)),
        ],
        align=True,
    )


@numba.njit(cache=True, error_model="numpy")
def _cholesky(matrix: Any, size: int, lower: Any) -> bool:
    for i in range(size):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i == j:
                if total <= 0.0:
                    return False
                lower[i, i] = math.sqrt(total)
            else:
                lower[i, j] = total / lower[j, j]
    return True


@numba.njit(cache=True, error_model="numpy")
def _substitute(lower: Any, size: int, right: Any, out: Any) -> None:
    for i in range(size):
        total = right[i]
        for k in range(i):
            total -= lower[i, k] * out[k]
        out[i] = total / lower[i, i]
    for i in range(size - 1, -1, -1):
        total = out[i]
        for k in range(i + 1, size):
            total -= lower[k, i] * out[k]
        out[i] = total / lower[i, i]


@numba.njit(cache=True, error_model="numpy")
def _substitute_rows(lower: Any, right: Any, out: Any) -> None:
    """Solves for all rows of ``right`` (6, 7) at once, side by side, as columns of ``out`` (7, 6)."""
    for i in range(NUM_JOINTS):
        for row in range(6):
            out[i, row] = right[row, i]
        for k in range(i):
            for row in range(6):
                out[i, row] -= lower[i, k] * out[k, row]
        for row in range(6):
            out[i, row] /= lower[i, i]
    for i in range(NUM_JOINTS - 1, -1, -1):
        for k in range(i + 1, NUM_JOINTS):
            for row in range(6):
                out[i, row] -= lower[k, i] * out[k, row]
        for row in range(6):
            out[i, row] /= lower[i, i]


@numba.njit(cache=True, error_model="numpy")
def _solve(matrix: Any, size: int, lower: Any, right: Any, out: Any) -> None:
    """Solves a symmetric positive system; the pseudo-inverse answers where it is singular, as robosuite's does."""
    if _cholesky(matrix, size, lower):
        _substitute(lower, size, right, out)
        return
    copy = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            copy[i, j] = matrix[i, j]
    inverse = np.linalg.pinv(copy)
    for i in range(size):
        total = 0.0
        for j in range(size):
            total += inverse[i, j] * right[j]
        out[i] = total


@numba.njit(cache=True, error_model="numpy")
def _solve_rows(matrix: Any, lower: Any, right: Any, out: Any) -> None:
    """Solves for all rows of ``right`` (6, 7), as columns of ``out`` (7, 6), as ``_solve`` does for one."""
    if _cholesky(matrix, NUM_JOINTS, lower):
        _substitute_rows(lower, right, out)
        return
    copy = np.empty((NUM_JOINTS, NUM_JOINTS))
    for i in range(NUM_JOINTS):
        for j in range(NUM_JOINTS):
            copy[i, j] = matrix[i, j]
    inverse = np.linalg.pinv(copy)
    for i in range(NUM_JOINTS):
        for row in range(6):
            total = 0.0
            for j in range(NUM_JOINTS):
                total += inverse[i, j] * right[row, j]
            out[i, row] = total


@numba.njit(cache=True, error_model="numpy")
def gripper_jacobians(c: Any, site_xpos: Any, cdof: Any, subtree_com: Any, qvel: Any) -> None:
    """Writes each gripper's Jacobian (6, 7) and velocity (linear, angular), along the world's axes.

    The velocity is the one that the arm's own joints give, relative to a base that slides. robosuite's controller
    subtracts the base's velocity from the gripper's, which is the same.
    """
    for arm in range(NUM_ARMS):
        site, root = c.grip_site[arm], c.grip_root[arm]
        rx = site_xpos[site, 0] - subtree_com[root, 0]
        ry = site_xpos[site, 1] - subtree_com[root, 1]
        rz = site_xpos[site, 2] - subtree_com[root, 2]
        for row in range(6):
            c.velocity[arm, row] = 0.0
        for j in range(c.num_joints[arm]):
            dof = c.arm_dof[arm, j]
            ax, ay, az = cdof[dof, 0], cdof[dof, 1], cdof[dof, 2]
            c.jacobian[arm, 0, j] = cdof[dof, 3] + (ay * rz - az * ry)
            c.jacobian[arm, 1, j] = cdof[dof, 4] + (az * rx - ax * rz)
            c.jacobian[arm, 2, j] = cdof[dof, 5] + (ax * ry - ay * rx)
            c.jacobian[arm, 3, j] = ax
            c.jacobian[arm, 4, j] = ay
            c.jacobian[arm, 5, j] = az
            for row in range(6):
                c.velocity[arm, row] += c.jacobian[arm, row, j] * qvel[dof]


@numba.njit(cache=True, error_model="numpy")
def arm_inertias(c: Any, packed_inertia: Any, out: Any) -> None:
    """Unpacks each arm's (7, 7) block of MuJoCo's sparse inertia matrix; joints that an arm has not are ones."""
    for arm in range(NUM_ARMS):
        for j in range(NUM_JOINTS):
            for k in range(NUM_JOINTS):
                address = c.inertia_address[arm, j, k]
                if address >= 0:
                    out[arm, j, k] = packed_inertia[address]
                else:
                    out[arm, j, k] = 1.0 if j == k else 0.0


@numba.njit(cache=True, error_model="numpy")
def _rotation_of(x: float, y: float, z: float, out: Any) -> None:
    """Rotation matrix of a rotation vector, with robosuite's single-precision quaternion (``quat2mat``)."""
    angle = math.sqrt(x * x + y * y + z * z)
    q = np.zeros(4, dtype=np.float32)
    if angle == 0.0:
        q[0] = np.float32(1.0)
    else:
        s = math.sin(angle / 2.0)
        q[0] = np.float32(math.cos(angle / 2.0))
        q[1] = np.float32(x / angle * s)
        q[2] = np.float32(y / angle * s)
        q[3] = np.float32(z / angle * s)
    total: Any = 0.0
    for i in range(4):
        total += np.float64(np.float32(q[i] * q[i]))
    scale = math.sqrt(2.0 / np.float64(np.float32(total)))
    for i in range(4):
        q[i] = np.float32(np.float64(q[i]) * scale)
    out[0, 0] = 1.0 - np.float64(np.float32(q[2] * q[2])) - np.float64(np.float32(q[3] * q[3]))
    out[1, 1] = 1.0 - np.float64(np.float32(q[1] * q[1])) - np.float64(np.float32(q[3] * q[3]))
    out[2, 2] = 1.0 - np.float64(np.float32(q[1] * q[1])) - np.float64(np.float32(q[2] * q[2]))
    out[0, 1] = np.float32(np.float32(q[1] * q[2]) - np.float32(q[3] * q[0]))
    out[0, 2] = np.float32(np.float32(q[1] * q[3]) + np.float32(q[2] * q[0]))
    out[1, 0] = np.float32(np.float32(q[1] * q[2]) + np.float32(q[3] * q[0]))
    out[1, 2] = np.float32(np.float32(q[2] * q[3]) - np.float32(q[1] * q[0]))
    out[2, 0] = np.float32(np.float32(q[1] * q[3]) - np.float32(q[2] * q[0]))
    out[2, 1] = np.float32(np.float32(q[2] * q[3]) + np.float32(q[1] * q[0]))


@numba.njit(cache=True, error_model="numpy")
def _exact_rotation_of(x: float, y: float, z: float, out: Any) -> None:
    """Rotation matrix of a rotation vector (Rodrigues), in double precision."""
    angle = math.sqrt(x * x + y * y + z * z)
    sine, rest = 1.0, 0.5  # their limits
    if angle > 1e-9:
        sine, rest = math.sin(angle) / angle, (1.0 - math.cos(angle)) / (angle * angle)
    v = (x, y, z)
    for i in range(3):
        for j in range(3):
            out[i, j] = rest * v[i] * v[j]
        out[i, i] += math.cos(angle)
    out[0, 1] -= sine * z
    out[1, 0] += sine * z
    out[0, 2] += sine * y
    out[2, 0] -= sine * y
    out[1, 2] -= sine * x
    out[2, 1] += sine * x


@numba.njit(cache=True, error_model="numpy")
def goal_to_world(c: Any, arm: int, site_xpos: Any, site_xmat: Any) -> None:
    """Places an arm's goal, kept in the frame of its base, where the base is now."""
    base = c.base_site[arm]
    for i in range(3):
        total = 0.0
        for k in range(3):
            total += site_xmat[base, 3 * i + k] * c.goal_in_base[arm, k]
        c.goal_position[arm, i] = site_xpos[base, i] + total
        for j in range(3):
            total = 0.0
            for k in range(3):
                total += site_xmat[base, 3 * i + k] * c.turn_in_base[arm, k, j]
            c.goal_rotation[arm, i, j] = total


@numba.njit(cache=True, error_model="numpy")
def set_goal(c: Any, action: Any, site_xpos: Any, site_xmat: Any) -> None:
    """Turns an action into goals: poses in the bases' frames, or offsets of the poses that the grippers have now.

    Args:
        c: The controller record.
        action: (14,), or (12,) of arms without grippers.
        site_xpos, site_xmat: Views of MjData.
    """
    turn = np.empty((3, 3))
    for arm in range(NUM_ARMS):
        first = 7 * arm if c.has_grippers > 0 else 6 * arm
        if c.is_absolute > 0:
            for i in range(3):
                c.goal_in_base[arm, i] = action[first + i]
            _exact_rotation_of(action[first + 3], action[first + 4], action[first + 5], turn)
            for i in range(3):
                for j in range(3):
                    c.turn_in_base[arm, i, j] = turn[i, j]
        else:
            _offset_goal(c, arm, action, first, site_xpos, site_xmat, turn)
        goal_to_world(c, arm, site_xpos, site_xmat)
        grip = action[first + 6] if c.has_grippers > 0 else 0.0
        sign = 1.0 if grip > 0.0 else (-1.0 if grip < 0.0 else 0.0)
        for finger in range(c.num_fingers[arm]):
            wanted = c.gripper_command[arm, finger] + c.finger_step[arm, finger] * sign
            c.gripper_command[arm, finger] = min(max(wanted, -1.0), 1.0)


@numba.njit(cache=True, error_model="numpy")
def _offset_goal(
    c: Any, arm: int, action: Any, first: int, site_xpos: Any, site_xmat: Any, delta: Any
) -> None:
    """Writes the goal in the base frame that lies off the gripper's present pose by entries of an action."""
    s = np.empty(6)
    for i in range(6):
        scale = POSITION_STEP_M if i < 3 else ROTATION_STEP_RAD
        s[i] = min(max(action[first + i], -1.0), 1.0) * scale
    site, base = c.grip_site[arm], c.base_site[arm]
    for i in range(3):
        total = 0.0
        for k in range(3):
            total += site_xmat[base, 3 * k + i] * (site_xpos[site, k] - site_xpos[base, k])
        c.goal_in_base[arm, i] = total + s[i]
    _rotation_of(s[3], s[4], s[5], delta)
    in_base = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            total = 0.0
            for k in range(3):
                total += site_xmat[base, 3 * k + i] * site_xmat[site, 3 * k + j]
            in_base[i, j] = total
    turned = delta @ in_base
    for i in range(3):
        for j in range(3):
            c.turn_in_base[arm, i, j] = turned[i, j]


@numba.njit(cache=True, error_model="numpy")
def control(
    c: Any,
    qpos: Any,
    qvel: Any,
    site_xpos: Any,
    site_xmat: Any,
    packed_inertia: Any,
    bias: Any,
    ctrl: Any,
) -> None:
    """Writes the torques of both arms and the positions of all fingers; ``gripper_jacobians`` has been called."""
    if c.is_first == 1:
        # robosuite's controllers take their first inertia when they are built, before the fingers are placed.
        for arm in range(NUM_ARMS):
            for j in range(NUM_JOINTS):
                for k in range(NUM_JOINTS):
                    c.inertia[arm, j, k] = c.first_inertia[arm, j, k]
        c.is_first = 0
    else:
        arm_inertias(c, packed_inertia, c.inertia)
    for arm in range(NUM_ARMS):
        site = c.grip_site[arm]
        jacobian, inertia = c.jacobian[arm], c.inertia[arm]
        for i in range(3):
            error = 0.0
            a, b = (i + 1) % 3, (i + 2) % 3
            for col in range(3):
                error += (
                    site_xmat[site, 3 * a + col] * c.goal_rotation[arm, b, col]
                    - site_xmat[site, 3 * b + col] * c.goal_rotation[arm, a, col]
                )
            offset = c.goal_position[arm, i] - site_xpos[site, i]
            c.task[i] = GAIN_PER_S2 * offset - DAMPING_PER_S * c.velocity[arm, i]
            c.task[3 + i] = GAIN_PER_S2 * 0.5 * error - DAMPING_PER_S * c.velocity[arm, 3 + i]
        _solve_rows(inertia, c.lower, jacobian, c.solved)
        for i in range(6):
            for j in range(6):
                c.mobility[i, j] = 0.0
            for k in range(NUM_JOINTS):
                for j in range(6):
                    c.mobility[i, j] += jacobian[i, k] * c.solved[k, j]
        for half in range(2):
            for i in range(3):
                for j in range(3):
                    c.block[i, j] = c.mobility[3 * half + i, 3 * half + j]
            _solve(c.block, 3, c.lower, c.task[3 * half : 3 * half + 3], c.wrench[3 * half : 3 * half + 3])
        for j in range(c.num_joints[arm], NUM_JOINTS):
            c.posture[j] = 0.0
        for j in range(c.num_joints[arm]):
            c.posture[j] = (
                10.0 * (c.rest_qpos[arm, j] - qpos[c.arm_qpos[arm, j]])
                - 2.0 * math.sqrt(10.0) * (qvel[c.arm_dof[arm, j]])
            )
        for i in range(6):
            total = 0.0
            for j in range(NUM_JOINTS):
                total += jacobian[i, j] * c.posture[j]
            c.rest[i] = total
        _solve(c.mobility, 6, c.lower, c.rest, c.vector)
        for j in range(c.num_joints[arm]):
            torque = bias[c.arm_dof[arm, j]]
            for i in range(6):
                torque += jacobian[i, j] * (c.wrench[i] - c.vector[i])
            for k in range(NUM_JOINTS):
                torque += inertia[j, k] * c.posture[k]
            ctrl[c.arm_actuator[arm, j]] = min(max(torque, c.arm_low[arm, j]), c.arm_high[arm, j])
        for finger in range(c.num_fingers[arm]):
            low, high = c.finger_low[arm, finger], c.finger_high[arm, finger]
            wanted = 0.5 * (high + low) + 0.5 * (high - low) * c.gripper_command[arm, finger]
            ctrl[c.finger_actuator[arm, finger]] = min(max(wanted, low), high)


@numba.njit(cache=True, error_model="numpy")
def gripper_opening(c: Any, arm: int, qpos: Any, geom_xpos: Any) -> float:
    """Returns how far an arm's fingers are apart, m, 0 without a gripper.

    Two fingers that slide and touch at zero tell by their joints; of others it is the distance of two pads' middles.
    """
    first, second = c.opening_qpos[arm, 0], c.opening_qpos[arm, 1]
    if first >= 0:
        return float(qpos[first] - qpos[second])
    a, b = c.opening_geom[arm, 0], c.opening_geom[arm, 1]
    if a < 0:
        return 0.0
    total = 0.0
    for i in range(3):
        total += (geom_xpos[a, i] - geom_xpos[b, i]) ** 2
    return math.sqrt(total)


@numba.njit(cache=True, error_model="numpy")
def substep(
    record: Any,
    action: Any,
    is_new_action: bool,
    qpos: Any,
    qvel: Any,
    site_xpos: Any,
    site_xmat: Any,
    cdof: Any,
    subtree_com: Any,
    packed_inertia: Any,
    bias: Any,
    ctrl: Any,
    xpos: Any,
    positions: Any,
    velocities: Any,
) -> None:
    """One substep between ``mj_step1`` and ``mj_step2``: goals if the action is new, torques, kinematics.

    Args:
        record: (1,) array of ``state_dtype``.
        action: (14,) or (12,) action in the world's action space.
        is_new_action: Whether ``action`` sets new goals at this substep.
        qpos, qvel, site_xpos, site_xmat, cdof, subtree_com, packed_inertia, bias, ctrl, xpos: Views of MjData.
        positions: (P, 3) row of the motion buffer: left gripper, right gripper, objects; metres, world frame.
        velocities: (P, 3) row of the motion buffer, metres a second.
    """
    c = record[0]
    gripper_jacobians(c, site_xpos, cdof, subtree_com, qvel)
    if is_new_action:
        set_goal(c, action, site_xpos, site_xmat)
    else:
        for arm in range(NUM_ARMS):
            if c.base_dof[arm, 0] >= 0:
                goal_to_world(c, arm, site_xpos, site_xmat)
    control(c, qpos, qvel, site_xpos, site_xmat, packed_inertia, bias, ctrl)
    for i in range(3):
        for arm in range(NUM_ARMS):
            positions[arm, i] = site_xpos[c.grip_site[arm], i]
            velocities[arm, i] = c.velocity[arm, i]
            for dof in c.base_dof[arm]:
                if dof >= 0:
                    velocities[arm, i] += cdof[dof, 3 + i] * qvel[dof]
        for number in range(c.num_objects):
            positions[2 + number, i] = xpos[c.object_body[number], i]
            velocities[2 + number, i] = qvel[c.object_dof[number] + i]
