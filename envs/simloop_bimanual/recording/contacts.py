"""Who touches whom, how hard and for how long, seen at every physics substep."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import WorldError
from simloop.log import CONTACTS, Column, Columns, TableSchema
from simloop_bimanual.models.two_arm_model import TwoArmModel, geom_class_name
from simloop_bimanual.physics.grasps import pad_geom_names
from simloop_bimanual.recording.contact_kernel import (
    CAPACITY,
    close_contact,
    forget,
    make_state,
)
from simloop_bimanual.robosuite_import import load_mujoco
from simloop_bimanual.tasks import TASKS

HYSTERESIS_NS = 50_000_000
"""Touches of a pair less than this apart are one contact."""

CONTACTS_WITH_FORCES = TableSchema(
    columns=(
        *CONTACTS.columns,
        Column(
            name="peak_normal_force_n",
            description="largest normal force in one substep, summed over the points of contact",
        ),
        Column(
            name="impulse_newton_s", description="integral of that force over the contact, newton seconds"
        ),
        Column(name="max_penetration_m", description="how deep the two were in each other at most"),
    ),
    description=CONTACTS.description,
)
"""The shared ``contacts`` table and what MuJoCo's solver knows besides: forces and depths."""

_WITHIN_GRIPPER = ("left_gripper-left_gripper", "right_gripper-right_gripper")


class _Classes:
    """The classes of what can touch: names, pairs of them, and what the task allows.

    Args:
        model: The physics model.
        allowed: Pairs of classes that the task asks for; parts of one gripper may touch each other in every task.
    """

    def __init__(self, model: TwoArmModel, allowed: frozenset[frozenset[str]]) -> None:
        names = self._names = model.class_names
        pairs = [(i, j) for i in range(len(names)) for j in range(i, len(names))]
        number = np.zeros((len(names),) * 2, dtype=np.int64)
        for pair, (i, j) in enumerate(pairs):
            number[i, j] = number[j, i] = pair
        self.of_things = np.concatenate([model.geom_class, _flex_classes(model)])
        self.pair_of = number[np.ix_(self.of_things, self.of_things)]
        self.labels = [self._label(names[i], names[j]) for i, j in pairs]
        self.is_allowed = np.array(
            [
                frozenset({names[i], names[j]}) in allowed or self.labels[pair] in _WITHIN_GRIPPER
                for pair, (i, j) in enumerate(pairs)
            ]
        )

    def _label(self, *groups: str) -> str:
        """Names of two classes in the model's order; fingers count as their gripper."""
        return "-".join(
            sorted((group.replace("_fingers", "_gripper") for group in groups), key=self._names.index)
        )


def _flex_classes(model: TwoArmModel) -> npt.NDArray[np.int64]:
    """Classes of the model's deformable bodies, by their names as those of geoms."""
    prefixes = TASKS[model.task].object_prefixes
    mujoco = load_mujoco()
    names = [
        mujoco.mj_id2name(model.mj_model, mujoco.mjtObj.mjOBJ_FLEX, i) for i in range(model.mj_model.nflex)
    ]
    return np.array(
        [model.class_names.index(geom_class_name(name, prefixes)) for name in names], dtype=np.int64
    )


class ContactRecorder:
    """Collects the rows of the ``contacts`` table of one episode.

    Args:
        model: The physics model.
        allowed: Pairs of ``model.class_names`` whose contact the task asks for; every other one is a collision.
        physics_period_ns: Length of a substep.

    Attributes:
        state: What ``contact_kernel.observe`` works in.
        object_names: Classes of the task's objects, as the table ``arms`` numbers them.
    """

    def __init__(
        self, model: TwoArmModel, allowed: frozenset[frozenset[str]], physics_period_ns: int
    ) -> None:
        classes = self._classes = _Classes(model, allowed)
        self.object_names = tuple(dict.fromkeys(TASKS[model.task].object_prefixes.values()))
        self._period_ns = physics_period_ns
        self.state = make_state(classes.pair_of, len(classes.labels), len(self.object_names))
        record = self._record = self.state.record[0]
        record["num_geoms"] = len(model.geom_class)
        record["is_pyramidal"] = model.mj_model.opt.cone == load_mujoco().mjtCone.mjCONE_PYRAMIDAL
        record["gap"] = HYSTERESIS_NS // physics_period_ns
        for pad, names in enumerate(pad_geom_names()):
            for name in names:
                if name in model.geom_names:
                    self.state.pad_of[model.geom_names.index(name)] = pad
        for number, name in enumerate(self.object_names):
            self.state.object_of[classes.of_things == model.class_names.index(name)] = number
        self._ended: list[npt.NDArray[Any]] = []
        self._marked = (self.state.pairs.copy(), self.state.pad_touch.copy())
        self._marked_count = 0

    def mark(self) -> None:
        """Remembers the contacts as they are; called after ``collect``."""
        for kept, now in zip(self._marked, (self.state.pairs, self.state.pad_touch), strict=True):
            kept[...] = now
        self._marked_count = len(self._ended)

    def back_to_mark(self) -> None:
        """Forgets what has touched since the mark."""
        for kept, now in zip(self._marked, (self.state.pairs, self.state.pad_touch), strict=True):
            now[...] = kept
        self._record["num_ended"] = 0
        del self._ended[self._marked_count :]

    def clear(self) -> None:
        """Forgets everything, for the next episode."""
        forget(self.state)
        self._ended.clear()

    def collect(self) -> None:
        """Makes room for more contacts to end; called whenever few of them can have ended since the last time.

        Raises:
            WorldError: Too many have.
        """
        count = int(self._record["num_ended"])
        if count > CAPACITY:
            raise WorldError(
                f"{count} contacts ended between two collections; there is room for {CAPACITY}. Advance in steps of a "
                "control period."
            )
        if count:
            self._ended.append(self.state.ended[:count].copy())
            self._record["num_ended"] = 0

    def drain(self, substep: int, *, is_over: bool) -> Columns:
        """Returns and forgets the contacts that have ended by ``substep``, and all of them if the episode is over."""
        pairs = self.state.pairs
        for pair in np.flatnonzero(
            pairs["is_open"] & (is_over | (substep - pairs["last"] > self._record["gap"]))
        ):
            close_contact(self.state, pair)
        self.collect()
        rows = np.concatenate(self._ended) if self._ended else self.state.ended[:0]
        self._ended.clear()
        rows = rows[np.lexsort((rows["pair"], rows["start"]))]
        numbers, period_s = rows["pair"], self._period_ns * 1e-9
        is_collision = ~self._classes.is_allowed[numbers]
        return {
            "t_ns": rows["start"] * self._period_ns,
            "class_pair": [self._classes.labels[number] for number in numbers],
            "is_collision": is_collision,
            "impact_speed_mps": rows["impact_speed_mps"],
            "is_at_fault": is_collision,
            "duration_s": (rows["last"] - rows["start"] + 1) * period_s,
            "peak_normal_force_n": rows["peak_n"],
            "impulse_newton_s": rows["force_sum_n"] * period_s,
            "max_penetration_m": rows["depth_m"],
        }
