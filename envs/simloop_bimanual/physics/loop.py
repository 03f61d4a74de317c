"""Several physics substeps in one compiled call: MuJoCo's two half steps, control between them, contacts after them.

Python takes part once a control period instead of several times a substep. MuJoCo's functions are called by their
addresses, which come in as integers, so that the compiled code can be kept on disk for later processes.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simloop_bimanual.physics.kernel import NUM_ARMS, gripper_jacobians, substep
from simloop_bimanual.recording.contact_kernel import observe


def _typed_call(typing_context: Any, function: Any, model: Any, data: Any) -> Any:
    """Calls a C function ``void (void*, void*)`` at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, pointer])
        address, *arguments = values
        target = builder.inttoptr(address, kind.as_pointer())
        builder.call(target, [builder.inttoptr(value, pointer) for value in arguments])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


_call: Any = intrinsic(_typed_call)


def _typed_pointer(typing_context: Any, address: Any) -> Any:
    """Makes a pointer of an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate


_pointer: Any = intrinsic(_typed_pointer)
_array_at: Any = vars(numba)["carray"]


@numba.njit(cache=True, error_model="numpy")
def observe_contacts(data: int, offsets: Any, touches: Any, contacts: Any, number: int) -> None:
    """Takes in the contacts of one substep, after ``mj_step2``; arguments as in ``run_substeps``."""
    count = _array_at(_pointer(data + offsets[0]), (1,), np.int32)[0]
    if count == 0:
        return
    num_constraints = _array_at(_pointer(data + offsets[1]), (1,), np.int32)[0]
    first = _array_at(_pointer(data + offsets[2]), (1,), np.int64)[0]
    force = _array_at(_pointer(data + offsets[3]), (1,), np.int64)[0]
    velocity = _array_at(_pointer(data + offsets[4]), (1,), np.int64)[0]
    observe(
        touches,
        _array_at(_pointer(first), (count,), contacts.dtype),
        _array_at(_pointer(force), (num_constraints,), np.float64),
        _array_at(_pointer(velocity), (num_constraints,), np.float64),
        number,
    )


@numba.njit(cache=True, error_model="numpy")
def write_joints(c: Any, qpos: Any, qvel: Any, ctrl: Any, row: Any) -> None:
    """Writes a row of joints, between ``mj_step1`` and ``mj_step2``, once the torques are there."""
    width, at = c.num_joints[0] + c.num_joints[1], 0
    for arm in range(NUM_ARMS):
        for j in range(c.num_joints[arm]):
            row[at] = qpos[c.arm_qpos[arm, j]]
            row[width + at] = qvel[c.arm_dof[arm, j]]
            row[2 * width + at] = ctrl[c.arm_actuator[arm, j]]
            at += 1


@numba.njit(cache=True, error_model="numpy")
def refresh(model: int, data: int, kinematics: int, centres: int, record: Any, views: Any) -> None:
    """Brings positions, Jacobians and gripper velocities up to the present state.

    Args:
        model, data: Addresses of MjModel and MjData.
        kinematics, centres: Addresses of ``mj_kinematics`` and ``mj_comPos``.
        record: (1,) array of ``kernel.state_dtype``.
        views: As in ``run_substeps``.
    """
    _call(kinematics, model, data)
    _call(centres, model, data)
    gripper_jacobians(record[0], views[2], views[4], views[5], views[1])


@numba.njit(cache=True, error_model="numpy")
def run_substeps(
    count: int,
    number: int,
    at: int,
    is_new_action: bool,  # noqa: FBT001, compiled functions take no keywords
    model: int,
    data: int,
    step1: int,
    step2: int,
    offsets: Any,
    record: Any,
    action: Any,
    views: Any,
    positions: Any,
    velocities: Any,
    joints: Any,
    touches: Any,
    contacts: Any,
) -> None:
    """Takes ``count`` physics substeps.

    Args:
        count: How many.
        number: Number of the first of them in the episode.
        at: First row of ``positions``, ``velocities`` and ``joints`` to be written.
        is_new_action: Whether ``action`` sets new goals at the first of them.
        model, data: Addresses of MjModel and MjData.
        step1, step2: Addresses of MuJoCo's half steps (``native.step_addresses``).
        offsets: Where ``native.FIELDS`` lie in ``mjData``.
        record: (1,) array of ``kernel.state_dtype``.
        action: (A,) action.
        views: The views of MjData that ``kernel.substep`` takes, ``qpos`` to ``xpos``, as a tuple.
        positions, velocities: (n, P, 3) blocks of motion.
        joints: (n, 3 J) block of joints: positions, velocities, torques; each left arm first.
        touches: A ``contact_kernel.ContactState``.
        contacts: An empty array of ``contact_kernel.contact_dtype``.
    """
    qpos, qvel, site_xpos, site_xmat, cdof, subtree_com, packed_inertia, bias, ctrl, xpos = views
    for i in range(count):
        _call(step1, model, data)
        substep(
            record, action, is_new_action and i == 0, qpos, qvel, site_xpos, site_xmat, cdof, subtree_com,
            packed_inertia, bias, ctrl, xpos, positions[at + i], velocities[at + i],
        )  # fmt: skip
        write_joints(record[0], qpos, qvel, ctrl, joints[at + i])
        _call(step2, model, data)
        observe_contacts(data, offsets, touches, contacts, number + i)
