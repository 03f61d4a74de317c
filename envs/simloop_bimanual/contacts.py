"""Who touches whom, seen at every physics substep: onsets of contact between classes of geoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from simloop.log import Columns
from simloop_bimanual.model import TwoArmModel
from simloop_bimanual.robosuite_import import load_mujoco

HYSTERESIS_NS = 50_000_000
"""Touches of a pair less than this apart are one contact."""

_NEVER = np.int64(-(2**40))


class _ClassPairs:
    """The pairs of classes of a model's geoms: what a pair is called, and whether the task asks for it.

    Args:
        model: The physics model.
        allowed: Pairs of classes that the task asks for; a gripper's fingers may touch each other in every task.
    """

    def __init__(self, model: TwoArmModel, allowed: frozenset[frozenset[str]]) -> None:
        names = model.class_names
        self._names = names
        pairs = [(i, j) for i in range(len(names)) for j in range(i, len(names))]
        number = np.zeros((len(names),) * 2, dtype=np.int64)
        for pair, (i, j) in enumerate(pairs):
            number[i, j] = number[j, i] = pair
        self.of_geoms = number[np.ix_(model.geom_class, model.geom_class)]
        self.labels = [self._label(names[i], names[j]) for i, j in pairs]
        self.is_allowed = [
            frozenset({names[i], names[j]}) in allowed or (i == j and names[i].endswith("_fingers"))
            for i, j in pairs
        ]

    def _label(self, *groups: str) -> str:
        """Names of two classes in the model's order; fingers count as their gripper."""
        return "-".join(
            sorted((group.replace("_fingers", "_gripper") for group in groups), key=self._names.index)
        )


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
        allowed: Pairs of ``model.class_names`` whose contact the task asks for; every other one is a collision.
        physics_period_ns: Length of a substep.
    """

    def __init__(
        self, model: TwoArmModel, allowed: frozenset[frozenset[str]], physics_period_ns: int
    ) -> None:
        self._pairs = _ClassPairs(model, allowed)
        self._pair_of_geoms = self._pairs.of_geoms
        num_pairs = len(self._pairs.labels)
        self._period_ns = physics_period_ns
        self._gap = HYSTERESIS_NS // physics_period_ns
        self._mj_model = model.mj_model
        self._mujoco = load_mujoco()
        self._started = np.zeros(num_pairs, dtype=np.int64)
        self._last = np.full(num_pairs, _NEVER)
        self._before = np.full(num_pairs, _NEVER)
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
        allowed = [self._pairs.is_allowed[contact.pair] for contact in rows]
        return {
            "t_ns": np.array([contact.start * self._period_ns for contact in rows], dtype=np.int64),
            "class_pair": [self._pairs.labels[contact.pair] for contact in rows],
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
