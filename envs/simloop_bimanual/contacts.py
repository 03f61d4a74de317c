"""Who touches whom, seen at every physics substep: onsets of contact between classes of geoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simloop.log import Columns
from simloop_bimanual.model import TwoArmModel
from simloop_bimanual.robosuite_import import load_mujoco

CLASSES = ("left_arm", "right_arm", "left_gripper", "right_gripper", "pot", "table", "floor")
"""Classes that the ``contacts`` table names. An arm includes its mount, a gripper its hand and fingers."""

HYSTERESIS_NS = 50_000_000
"""Touches of a pair less than this apart are one contact."""

# The fingers are told apart from the hand, because only they may touch the pot.
_GROUPS = (*CLASSES, "left_fingers", "right_fingers")
_NUM_GROUPS = len(_GROUPS)
_NEVER = np.int64(-(2**40))


def _class_pair(groups: tuple[str, str]) -> str:
    """Names of two groups' classes, in the order of ``CLASSES``."""
    return "-".join(sorted((group.replace("_fingers", "_gripper") for group in groups), key=CLASSES.index))


def _is_allowed(a: str, b: str) -> bool:
    """Contacts that the task asks for: fingers on the pot, the pot on the table, a gripper's fingers on each other."""
    if "pot" in (a, b):
        other = b if a == "pot" else a
        return other in ("left_fingers", "right_fingers", "table")
    return a == b and a.endswith("_fingers")


def _pairs() -> tuple[tuple[str, str], ...]:
    return tuple((_GROUPS[i], _GROUPS[j]) for i in range(_NUM_GROUPS) for j in range(i, _NUM_GROUPS))


_PAIRS = _pairs()


def geom_group(name: str) -> str:
    """Returns the group of a geom of the TwoArmLift model by its name."""
    for index, side in enumerate(("left", "right")):
        if name.startswith(f"gripper{index}_"):
            return f"{side}_fingers" if "finger" in name else f"{side}_gripper"
        if name.startswith((f"robot{index}_", f"fixed_mount{index}_")):
            return f"{side}_arm"
    if name.startswith("pot_"):
        return "pot"
    if name.startswith("table"):
        return "table"
    return "floor"


@numba.njit(cache=True)
def _touching_pairs(
    contact_geoms: Any, pair_of_geoms: Any, substep: int, gap: int, last: Any, before: Any, started: Any
) -> int:
    """Updates the last touch of every pair, and writes the pairs whose contact starts; returns how many."""
    count = 0
    for i in range(contact_geoms.shape[0]):
        pair = pair_of_geoms[contact_geoms[i, 0], contact_geoms[i, 1]]
        previous = last[pair]
        if previous == substep:
            continue
        last[pair] = substep
        if substep - previous > gap:
            before[pair] = previous
            started[count] = pair
            count += 1
    return count


@numba.njit(cache=True)
def touches_both_fingers(contact_geoms: Any, role: Any, out: Any) -> None:
    """Writes for each arm whether both of its finger pads touch the pot's handle.

    Args:
        contact_geoms: (num_contacts, 2) geom ids.
        role: (num_geoms,) 1..4 for the pads (left arm's two, right arm's two), 5 and 6 for the geoms of the handle
            meant for the left and the right arm, else 0.
        out: (2,) bool, written.
    """
    seen = 0
    for i in range(contact_geoms.shape[0]):
        a, b = role[contact_geoms[i, 0]], role[contact_geoms[i, 1]]
        if a > b:
            a, b = b, a
        if 1 <= a <= 4 and ((b == 5 and a <= 2) or (b == 6 and a >= 3)):
            seen |= 1 << a
    out[0] = seen & 6 == 6
    out[1] = seen & 24 == 24


def grasp_roles(model: TwoArmModel) -> npt.NDArray[np.int64]:
    """Returns the ``role`` argument of ``touches_both_fingers`` for a model."""
    role = np.zeros(len(model.geom_names), dtype=np.int64)
    for geom, name in enumerate(model.geom_names):
        for arm in range(2):
            for finger in range(2):
                if name == f"gripper{arm}_right_finger{finger + 1}_pad_collision":
                    role[geom] = 1 + 2 * arm + finger
            if name.startswith(f"pot_handle{arm}_"):
                role[geom] = 5 + arm
    return role


@dataclass(slots=True, kw_only=True)
class _Contact:
    pair: int
    start: int
    last: int
    impact_speed_mps: float


class ContactRecorder:
    """Collects the rows of the ``contacts`` table of one episode.

    Args:
        model: The physics model.
        physics_period_ns: Length of a substep.
    """

    def __init__(self, model: TwoArmModel, physics_period_ns: int) -> None:
        groups = [_GROUPS.index(geom_group(name)) for name in model.geom_names]
        index = {}
        for number, (a, b) in enumerate(_PAIRS):
            index[_GROUPS.index(a), _GROUPS.index(b)] = index[_GROUPS.index(b), _GROUPS.index(a)] = number
        self._pair_of_geoms = np.array([[index[a, b] for b in groups] for a in groups], dtype=np.int64)
        self._period_ns = physics_period_ns
        self._gap = HYSTERESIS_NS // physics_period_ns
        self._mj_model = model.mj_model
        self._mujoco = load_mujoco()
        self._started = np.zeros(len(_PAIRS), dtype=np.int64)
        self._last = np.full(len(_PAIRS), _NEVER)
        self._before = np.full(len(_PAIRS), _NEVER)
        self._open: dict[int, _Contact] = {}
        self._rows: list[_Contact] = []

    def clear(self) -> None:
        """Forgets everything, for the next episode."""
        self._last[:] = _NEVER
        self._open.clear()
        self._rows.clear()

    def observe(self, data: Any, substep: int) -> None:
        """Looks at the contacts of one substep, between ``mj_step1`` and ``mj_step2``."""
        geoms = data.contact.geom
        if not len(geoms):
            return
        count = _touching_pairs(
            geoms, self._pair_of_geoms, substep, self._gap, self._last, self._before, self._started
        )
        for pair in self._started[:count]:
            self._start(int(pair), data, substep)

    def _start(self, pair: int, data: Any, substep: int) -> None:
        ended = self._open.pop(pair, None)
        if ended is not None:
            ended.last = int(self._before[pair])
            self._rows.append(ended)
        contacts = [i for i, (a, b) in enumerate(data.contact.geom) if self._pair_of_geoms[a, b] == pair]
        closing = max(_closing_speed(self._mujoco, self._mj_model, data, i) for i in contacts)
        self._open[pair] = _Contact(pair=pair, start=substep, last=substep, impact_speed_mps=closing)

    def drain(self, substep: int, *, is_over: bool) -> Columns:
        """Returns and forgets the contacts that have ended by ``substep``, and all of them if the episode is over."""
        rows, self._rows = self._rows, []
        for pair, contact in list(self._open.items()):
            contact.last = int(self._last[pair])
            if is_over or substep - contact.last > self._gap:
                rows.append(self._open.pop(pair))
        rows.sort(key=lambda contact: (contact.start, contact.pair))
        names = [_PAIRS[contact.pair] for contact in rows]
        allowed = [_is_allowed(a, b) for a, b in names]
        return {
            "t_ns": np.array([contact.start * self._period_ns for contact in rows], dtype=np.int64),
            "class_pair": [_class_pair(groups) for groups in names],
            "is_collision": np.array([not one for one in allowed], dtype=bool),
            "impact_speed_mps": np.array([contact.impact_speed_mps for contact in rows], dtype=np.float64),
            "is_at_fault": np.array([not one for one in allowed], dtype=bool),
            "duration_s": np.array([(c.last - c.start + 1) * self._period_ns * 1e-9 for c in rows]),
        }


def _closing_speed(mujoco: Any, model: Any, data: Any, index: int) -> float:
    """Speed at which the two bodies of a contact approach each other along its normal, m/s, never negative."""
    contact = data.contact[index]
    jacobian = np.zeros((3, model.nv))
    speed = 0.0
    for geom, sign in ((contact.geom1, 1.0), (contact.geom2, -1.0)):
        mujoco.mj_jac(model, data, jacobian, None, contact.pos, model.geom_bodyid[geom])
        speed += sign * float(np.dot(contact.frame[:3], jacobian @ data.qvel))
    return max(speed, 0.0)
