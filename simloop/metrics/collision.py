"""Collisions: onsets of contact between two classes that the task does not allow to touch."""

from __future__ import annotations

from collections import Counter

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue

CONTACTS_TABLE = "world.contacts"


def collision_classes(log: EpisodeLog) -> dict[str, int]:
    """Counts the collisions of each class pair, in name order; empty when there were none or no contact table."""
    if not log.has(CONTACTS_TABLE):
        return {}
    pairs = log.column(CONTACTS_TABLE, "class_pair")[log.column(CONTACTS_TABLE, "is_collision")]
    return dict(sorted(Counter(str(p) for p in pairs).items()))


class Collision(Metric):
    """1 if there was a collision, else 0."""

    name = "collision"
    description = "There was at least one collision."
    tables = (CONTACTS_TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``world.contacts.is_collision``."""
        return MetricValue(value=float(log.column(CONTACTS_TABLE, "is_collision").any()))


class NumCollisions(Metric):
    """Number of collision onsets."""

    name = "num_collisions"
    description = "Number of collision onsets."
    tables = (CONTACTS_TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Counts the rows of ``world.contacts`` that are collisions."""
        return MetricValue(value=float(log.column(CONTACTS_TABLE, "is_collision").sum()))


class ImpactSpeed(Metric):
    """Highest closing speed at the onset of a collision; not valid without one."""

    name = "impact_speed_mps"
    unit = "m/s"
    description = "Highest closing speed at the onset of a collision."
    tables = (CONTACTS_TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Takes the maximum of ``world.contacts.impact_speed_mps`` over the collisions."""
        impacts = log.column(CONTACTS_TABLE, "impact_speed_mps")[log.column(CONTACTS_TABLE, "is_collision")]
        return (
            MetricValue(value=float(impacts.max())) if len(impacts) else MetricValue.invalid("no collision")
        )
