"""The compiled pass over MuJoCo's contacts of one physics substep, and the memory that it works in.

The pass comes after ``mj_step2``: the list of contacts is the one of ``mj_step1``'s pose, the state at the substep's
start, and their forces are known then. A substep without contacts needs no call.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np

from simloop_bimanual.grasps import NUM_PADS
from simloop_bimanual.native import ONE_CONTACT
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


def state_dtype(num_things: int, num_pairs: int, num_objects: int) -> np.dtype[Any]:
    """Layout of the record that ``observe`` works in.

    Args:
        num_things: Geoms of the model, and after them its flexes.
        num_pairs: Pairs of classes.
        num_objects: Classes of objects that can be held, at least 1.
    """
    f, i = np.float64, np.int64
    ended = np.dtype(
        [
            ("pair", i),
            ("start", i),
            ("last", i),
            ("impact_speed_mps", f),
            ("peak_n", f),
            ("force_sum_n", f),
            ("depth_m", f),
        ]
    )
    return np.dtype(
        [
            ("num_geoms", i),
            ("is_pyramidal", i),
            ("gap", i),
            ("pair_of", i, (num_things, num_things)),
            ("pad_of", i, (num_things,)),
            ("object_of", i, (num_things,)),
            # the contact of each pair that is going on
            ("is_open", i, (num_pairs,)),
            ("start", i, (num_pairs,)),
            ("last", i, (num_pairs,)),
            ("impact_speed_mps", f, (num_pairs,)),
            ("force_n", f, (num_pairs,)),
            ("peak_n", f, (num_pairs,)),
            ("force_sum_n", f, (num_pairs,)),
            ("depth_m", f, (num_pairs,)),
            # last substep at which each pad touched each object
            ("pad_touch", i, (NUM_PADS, num_objects)),
            ("num_ended", i),
            ("ended", ended, (CAPACITY,)),
        ],
        align=True,
    )


@numba.njit(cache=True, error_model="numpy")
def close_contact(state: Any, pair: int) -> None:
    """Moves the contact of a pair to the ended ones."""
    s = state[0]
    if s.num_ended < CAPACITY:
        row = s.ended[s.num_ended]
        row.pair = pair
        row.start = s.start[pair]
        row.last = s.last[pair]
        row.impact_speed_mps = s.impact_speed_mps[pair]
        row.peak_n = s.peak_n[pair]
        row.force_sum_n = s.force_sum_n[pair]
        row.depth_m = s.depth_m[pair]
    s.num_ended += 1
    s.is_open[pair] = 0


@numba.njit(cache=True, error_model="numpy")
def observe(state: Any, contacts: Any, efc_force: Any, efc_vel: Any, substep: int) -> None:
    """Takes in the contacts of one substep, after ``mj_step2``.

    A pair of classes that has not touched for more than ``gap`` substeps begins a new contact. Its force is the sum of
    the normal forces at its points.

    Args:
        state: (1,) array of ``state_dtype``.
        contacts: (N,) array of ``contact_dtype``.
        efc_force: (C,) forces of the constraints, newtons.
        efc_vel: (C,) velocities of the constraints before the step, m/s; negative while bodies approach each other.
        substep: Number of the substep.
    """
    s = state[0]
    for i in range(contacts.shape[0]):
        contact = contacts[i]
        address = contact.efc_address
        if address < 0:
            continue  # within a margin but without a constraint
        a, b = contact.geom[0], contact.geom[1]
        if a < 0:
            a = s.num_geoms + contact.flex[0]
        if b < 0:
            b = s.num_geoms + contact.flex[1]
        force, velocity = efc_force[address], efc_vel[address]
        if s.is_pyramidal == 1 and contact.dim > 1:
            # Each edge of the pyramid is the normal and a tangent to it, one edge to either side.
            num_edges = 2 * (contact.dim - 1)
            for edge in range(1, num_edges):
                force += efc_force[address + edge]
                velocity += efc_vel[address + edge]
            velocity /= num_edges
        pair = s.pair_of[a, b]
        if s.last[pair] != substep:
            if substep - s.last[pair] > s.gap:
                if s.is_open[pair] == 1:
                    close_contact(state, pair)
                s.is_open[pair] = 1
                s.start[pair] = substep
                s.impact_speed_mps[pair] = 0.0
                s.peak_n[pair] = 0.0
                s.force_sum_n[pair] = 0.0
                s.depth_m[pair] = 0.0
            s.last[pair] = substep
            s.force_n[pair] = 0.0
        if s.start[pair] == substep:
            s.impact_speed_mps[pair] = max(s.impact_speed_mps[pair], -velocity)
        s.force_n[pair] += force
        s.force_sum_n[pair] += force
        s.peak_n[pair] = max(s.peak_n[pair], s.force_n[pair])
        s.depth_m[pair] = max(s.depth_m[pair], -contact.dist)
        if s.pad_of[a] >= 0 and s.object_of[b] >= 0:
            s.pad_touch[s.pad_of[a], s.object_of[b]] = substep
        elif s.pad_of[b] >= 0 and s.object_of[a] >= 0:
            s.pad_touch[s.pad_of[b], s.object_of[a]] = substep
