"""Metrics of contacts: who collides with what, how hard, and how deep bodies were in each other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.metric import MISSING_TABLE, MetricValue
from simloop.metrics.reduction import Reduction

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

TABLE = "world.contacts"
LIMITS = "force_limits"
"""Log attribute: the preset of the world config."""
_NO_COLLISION = "no collision"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contacts:
    """The contacts of an episode, (N,) each; those within one gripper are left out.

    Attributes:
        pairs: The two classes of each, for example ``("left_arm", "table")``.
        is_collision: Whether the task does not ask for it.
        duration_s: How long it lasted.
        peak_n: Largest normal force.
        impulse_newton_s: Integral of the normal force.
        depth_m: Largest penetration.
        limits: The log attribute ``force_limits``; empty without one.
    """

    pairs: list[tuple[str, ...]]
    is_collision: BoolArray
    duration_s: FloatArray
    peak_n: FloatArray
    impulse_newton_s: FloatArray
    depth_m: FloatArray
    limits: Mapping[str, float]

    def num_collisions(self, *sides: str) -> float:
        """Counts the collisions of two sides: ``left`` and ``right`` are all parts of an arm, others classes."""
        wanted = sorted(sides)
        found = [sorted(_side(name) for name in pair) == wanted for pair in self.pairs]
        return float(np.count_nonzero(np.array(found, dtype=bool) & self.is_collision))


def _side(name: str) -> str:
    side = name.split("_")[0]
    return side if side in ("left", "right") else name


def read_contacts(log: EpisodeLog) -> Contacts | MetricValue:
    """Returns the contacts of a log, or an invalid value if the world records no forces."""
    table = log.tables[TABLE]
    if "peak_normal_force_n" not in table:
        return MetricValue.invalid(f"{MISSING_TABLE} {TABLE} with forces")
    pairs = [tuple(str(pair).split("-")) for pair in table["class_pair"]]
    # The links of one gripper press on each other by their making.
    chosen = [i for i, (a, b) in enumerate(pairs) if a != b or not a.endswith("_gripper")]
    return Contacts(
        pairs=[pairs[i] for i in chosen],
        is_collision=table["is_collision"][chosen],
        duration_s=table["duration_s"][chosen],
        peak_n=table["peak_normal_force_n"][chosen],
        impulse_newton_s=table["impulse_newton_s"][chosen],
        depth_m=table["max_penetration_m"][chosen],
        limits=log.attributes.get(LIMITS, {}),
    )


class ContactMetric(Reduction):
    """A metric made of the contacts; all such metrics share one reading of a log."""

    tables = (TABLE,)
    higher_is_better = False
    read = staticmethod(read_contacts)

    def __init__(self) -> None:
        """Has its name, unit and description as class attributes."""

    def reduce(self, reading: Contacts | MetricValue) -> MetricValue:
        """Returns the value of what ``read_contacts`` returned."""
        if isinstance(reading, MetricValue):
            return reading
        value = self.value_of(reading)
        return value if isinstance(value, MetricValue) else MetricValue(value=value)

    @abstractmethod
    def value_of(self, contacts: Contacts) -> float | MetricValue:
        """Returns the metric's value for the contacts of an episode."""


class NumArmCollisions(ContactMetric):
    """Number of onsets of contact between a part of the left arm and a part of the right one."""

    name = "num_arm_collisions"
    description = "Number of times the two arms (or their grippers) hit each other."
    version = 2

    def value_of(self, contacts: Contacts) -> float:
        """Counts collisions of left and right parts."""
        return contacts.num_collisions("left", "right")


class NumTableCollisions(ContactMetric):
    """Number of onsets of contact between an arm or gripper and the table."""

    name = "num_arm_table_collisions"
    description = "Number of times an arm (or its gripper) hit the table."

    def value_of(self, contacts: Contacts) -> float:
        """Counts collisions of either arm's parts with the table."""
        return contacts.num_collisions("left", "table") + contacts.num_collisions("right", "table")


class NumSelfCollisions(ContactMetric):
    """Number of onsets of contact between two parts of one arm; parts of its gripper on each other do not count."""

    name = "num_self_collisions"
    description = "Number of times an arm hit itself; parts of its gripper on each other do not count."

    def value_of(self, contacts: Contacts) -> float:
        """Counts collisions of one arm's parts."""
        return contacts.num_collisions("left", "left") + contacts.num_collisions("right", "right")


class PeakContactForce(ContactMetric):
    """Largest normal force of any contact, wanted ones included."""

    name = "peak_contact_force_n"
    unit = "N"
    description = (
        "Largest normal force between two classes at 500 Hz, in contacts that the task asks for too."
    )

    def value_of(self, contacts: Contacts) -> float | MetricValue:
        """Takes the maximum over all contacts."""
        return float(contacts.peak_n.max()) if len(contacts.peak_n) else MetricValue.invalid("no contact")


class PeakCollisionForce(ContactMetric):
    """Largest normal force of a collision; not valid without one."""

    name = "peak_collision_force_n"
    unit = "N"
    description = "Largest normal force of a collision at 500 Hz."

    def value_of(self, contacts: Contacts) -> float | MetricValue:
        """Takes the maximum over the collisions."""
        peaks = contacts.peak_n[contacts.is_collision]
        return float(peaks.max()) if len(peaks) else MetricValue.invalid(_NO_COLLISION)


class CollisionImpulse(ContactMetric):
    """Impulse of all collisions together."""

    name = "collision_impulse_newton_s"
    unit = "N s"
    description = "Integral of the normal force over all collisions."

    def value_of(self, contacts: Contacts) -> float:
        """Adds the impulses; 0 without a collision."""
        return float(contacts.impulse_newton_s[contacts.is_collision].sum())


class MaxPenetration(ContactMetric):
    """Deepest penetration of any contact: large values mean that the solver, not the policy, is at its limit."""

    name = "max_penetration_m"
    unit = "m"
    description = "How deep two bodies were in each other at most, in any contact."

    def value_of(self, contacts: Contacts) -> float | MetricValue:
        """Takes the maximum over all contacts."""
        return float(contacts.depth_m.max()) if len(contacts.depth_m) else MetricValue.invalid("no contact")


class ForceLimitRatio(ContactMetric):
    """Largest normal force of a collision over the limit of the world config's preset."""

    name = "force_limit_ratio"
    description = (
        "Largest normal force of a collision over the limit of the preset force_limits; ranks policies, says nothing "
        "about the safety of a robot."
    )
    thresholds: ClassVar[Mapping[str, float]] = {"limit of the preset": 1.0}

    def value_of(self, contacts: Contacts) -> float | MetricValue:
        """Divides each collision's peak by the limit of a blow, if it was that short, or of a contact at rest."""
        if not contacts.limits:
            return MetricValue.invalid(f"the log has no attribute {LIMITS}")
        if not contacts.is_collision.any():
            return MetricValue.invalid(_NO_COLLISION)
        limits = contacts.limits
        is_blow = contacts.duration_s < limits["transient_s"]
        limit_n = limits["quasi_static_n"] * np.where(is_blow, limits["transient_ratio"], 1.0)
        return float((contacts.peak_n / limit_n)[contacts.is_collision].max())
