"""The compiled pass over MuJoCo's contacts of one physics substep, and the memory that it works in.

The pass comes after ``mj_step2``: the list of contacts is the one of ``mj_step1``'s pose, the state at the substep's
start, and their forces are known then. A substep without contacts needs no call.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from simloop_bimanual.physics.grasps import NUM_PADS
from simloop_bimanual.physics.native import ONE_CONTACT
from simloop_bimanual.robosuite_import import load_mujoco

NEVER = -(2**40)
"""Substep of a touch that has not been."""
CAPACITY = 4096
"""Contacts that may end between two collections."""
_FIELDS = {
    "dist": (np.float64, ()),
    "geom": (np.int32, (2,)),
    "flex": (np.int32, (2,)),
    "dim": (np.int32, ()),
    "efc_address": (np.int32, ()),
}


@functools.cache
def contact_dtype() -> np.dtype[Any]:
    """Returns the layout of MuJoCo's ``mjContact`` as far as ``observe`` reads it, measured in the installed MuJoCo."""
    mujoco = load_mujoco()
    model = mujoco.MjModel.from_xml_string(ONE_CONTACT)
    data = mujoco.MjData(model)
    mujoco.mj_step1(model, data)
    address = {name: getattr(data.contact, name).__array_interface__["data"][0] for name in _FIELDS}
    return np.dtype(
        {
            "names": list(_FIELDS),
            "formats": [(dtype, shape) for dtype, shape in _FIELDS.values()],
            "offsets": [address[name] - address["dist"] for name in _FIELDS],
            "itemsize": data.contact.dist.strides[0],  # "dist" is the first field
        }
    )


_RECORD = np.dtype(
    [("num_geoms", np.int64), ("is_pyramidal", np.int64), ("gap", np.int64), ("num_ended", np.int64)]
)
_GOING_ON = np.dtype(
    [
        ("is_open", np.int64),
        ("start", np.int64),
        ("last", np.int64),
        ("impact_speed_mps", np.float64),
        ("force_n", np.float64),
        ("peak_n", np.float64),
        ("force_sum_n", np.float64),
        ("depth_m", np.float64),
    ]
)
_ENDED = np.dtype(
    [
        ("pair", np.int64),
        ("start", np.int64),
        ("last", np.int64),
        ("impact_speed_mps", np.float64),
        ("peak_n", np.float64),
        ("force_sum_n", np.float64),
        ("depth_m", np.float64),
    ]
)


class ContactState(NamedTuple):
    """What ``observe`` works in: arrays whose types are the same for all models, so that it is compiled once.

    Attributes:
        record: (1,) numbers of the model (``num_geoms``, ``is_pyramidal``), the most substeps between touches of one
            contact (``gap``) and the count of ``ended``.
        pair_of: (T, T) pair of classes of two of the T things that touch: the model's geoms, and after them its flexes.
        pad_of: (T,) finger pad that each is, or -1.
        object_of: (T,) object that each is, or -1.
        pairs: (P,) the contact of each pair of classes that is going on or was the last.
        pad_touch: (NUM_PADS, O) last substep at which each pad touched each object.
        ended: (CAPACITY,) contacts that have ended.
    """

    record: Any
    pair_of: Any
    pad_of: Any
    object_of: Any
    pairs: Any
    pad_touch: Any
    ended: Any


def make_state(pair_of: npt.NDArray[np.int64], num_pairs: int, num_objects: int) -> ContactState:
    """Returns a state in which nothing is a pad or an object and nothing has touched.

    Args:
        pair_of: See ``ContactState``.
        num_pairs: Pairs of classes.
        num_objects: Classes of objects that can be held.
    """
    state = ContactState(
        record=np.zeros(1, dtype=_RECORD),
        pair_of=np.ascontiguousarray(pair_of),
        pad_of=np.full(len(pair_of), -1),
        object_of=np.full(len(pair_of), -1),
        pairs=np.zeros(num_pairs, dtype=_GOING_ON),
        pad_touch=np.zeros((NUM_PADS, num_objects), dtype=np.int64),
        ended=np.zeros(CAPACITY, dtype=_ENDED),
    )
    forget(state)
    return state


def forget(state: ContactState) -> None:
    """Forgets all contacts."""
    state.pairs["is_open"], state.pairs["last"], state.pad_touch[:] = 0, NEVER, NEVER
    state.record["num_ended"] = 0


@numba.njit(cache=True, error_model="numpy")
def close_contact(state: Any, pair: int) -> None:
    """Moves the contact of a pair to the ended ones."""
    record, contact = state.record[0], state.pairs[pair]
    if record.num_ended < CAPACITY:
        row = state.ended[record.num_ended]
        row.pair = pair
        row.start = contact.start
        row.last = contact.last
        row.impact_speed_mps = contact.impact_speed_mps
        row.peak_n = contact.peak_n
        row.force_sum_n = contact.force_sum_n
        row.depth_m = contact.depth_m
    record.num_ended += 1
    contact.is_open = 0


@numba.njit(cache=True, error_model="numpy")
def observe(state: Any, contacts: Any, efc_force: Any, efc_vel: Any, substep: int) -> None:
    """Takes in the contacts of one substep, after ``mj_step2``.

    A pair of classes that has not touched for more than ``gap`` substeps begins a new contact. Its force is the sum of
    the normal forces at its points.

    Args:
        state: A ``ContactState``.
        contacts: (N,) array of ``contact_dtype``.
        efc_force: (C,) forces of the constraints, newtons.
        efc_vel: (C,) velocities of the constraints before the step, m/s; negative while bodies approach each other.
        substep: Number of the substep.
    """
    record = state.record[0]
    for i in range(contacts.shape[0]):
        contact = contacts[i]
        address = contact.efc_address
        if address < 0:
            continue  # within a margin but without a constraint
        a, b = contact.geom[0], contact.geom[1]
        if a < 0:
            a = record.num_geoms + contact.flex[0]
        if b < 0:
            b = record.num_geoms + contact.flex[1]
        force, velocity = efc_force[address], efc_vel[address]
        if record.is_pyramidal == 1 and contact.dim > 1:
            # Each edge of the pyramid is the normal and a tangent to it, one edge to either side.
            num_edges = 2 * (contact.dim - 1)
            for edge in range(1, num_edges):
                force += efc_force[address + edge]
                velocity += efc_vel[address + edge]
            velocity /= num_edges
        number = state.pair_of[a, b]
        pair = state.pairs[number]
        if pair.last != substep:
            if substep - pair.last > record.gap:
                if pair.is_open == 1:
                    close_contact(state, number)
                pair.is_open = 1
                pair.start = substep
                pair.impact_speed_mps = 0.0
                pair.peak_n = 0.0
                pair.force_sum_n = 0.0
                pair.depth_m = 0.0
            pair.last = substep
            pair.force_n = 0.0
        if pair.start == substep:
            pair.impact_speed_mps = max(pair.impact_speed_mps, -velocity)
        pair.force_n += force
        pair.force_sum_n += force
        pair.peak_n = max(pair.peak_n, pair.force_n)
        pair.depth_m = max(pair.depth_m, -contact.dist)
        if state.pad_of[a] >= 0 and state.object_of[b] >= 0:
            state.pad_touch[state.pad_of[a], state.object_of[b]] = substep
        elif state.pad_of[b] >= 0 and state.object_of[a] >= 0:
            state.pad_touch[state.pad_of[b], state.object_of[a]] = substep
