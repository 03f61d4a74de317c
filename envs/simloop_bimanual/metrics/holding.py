"""What the hands hold and how they lie to each other, read from ``world.arms`` and ``world.links``."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import Reduction

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ARMS_TABLE = "world.arms"
LINKS_TABLE = "world.links"
HANDS = ("left", "right")
MIN_HOLD = 2
"""Control periods that a hold lasts at least."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holding:
    """What the hands hold, at N control periods.

    Attributes:
        t_s: (N,) instants.
        opening_m: (N, 2) gripper openings.
        held: (N, 2) what each hand holds; -1 for nothing.
        hand_position_m: (N, 2, 3) world frame.
        hand_quaternion: (N, 2, 4) world from hand, w x y z.
        object_quaternion: (N, 4) by number in ``held``; only rigid objects that move.
    """

    t_s: FloatArray
    opening_m: FloatArray
    held: IntArray
    hand_position_m: FloatArray
    hand_quaternion: FloatArray
    object_quaternion: dict[int, FloatArray]

    def holds(self, hand: int, thing: int) -> list[tuple[int, int]]:
        """Returns first and last row of each time for which a hand holds a thing, ``MIN_HOLD`` rows or more."""
        return _stretches(self.held[:, hand] == thing, MIN_HOLD)

    def carries(self) -> list[tuple[int, int]]:
        """Returns first and last row of each time for which both hands hold the same thing."""
        together = (self.held[:, 0] >= 0) & (self.held[:, 0] == self.held[:, 1])
        return _stretches(together, MIN_HOLD)


def _stretches(flags: npt.NDArray[np.bool_], least: int) -> list[tuple[int, int]]:
    padded = np.concatenate([[False], flags, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1]).tolist()
    return [(a, b - 1) for a, b in list(pairwise(edges))[::2] if b - a >= least]


def read_holding(log: EpisodeLog) -> Holding | MetricValue:
    """Returns what the hands hold, or an invalid value that says why it cannot."""
    held = log.column(ARMS_TABLE, "held_object")
    if not len(held):
        return MetricValue.invalid("no control period")
    links = log.attributes.get("links", ())
    groups = [str(link["group"]) for link in links]
    poses = {
        key: log.column(LINKS_TABLE, key).reshape(len(held), len(links), -1) if links else None
        for key in ("position_m", "quaternion")
    }
    position, quaternion = poses["position_m"], poses["quaternion"]
    if position is None or quaternion is None or any(f"{hand}_arm" not in groups for hand in HANDS):
        return MetricValue.invalid("the log's attribute links names no arms")
    hands = [max(i for i, group in enumerate(groups) if group == f"{hand}_arm") for hand in HANDS]
    classes = [str(name) for name in log.attributes.get("object_classes", ())]
    return Holding(
        t_s=log.column(ARMS_TABLE, "t_ns") * 1e-9,
        opening_m=log.column(ARMS_TABLE, "gripper_opening_m"),
        held=held,
        hand_position_m=position[:, hands],
        hand_quaternion=quaternion[:, hands],
        object_quaternion={
            number: quaternion[:, groups.index(name)]
            for number, name in enumerate(classes)
            if groups.count(name) == 1
        },
    )


class HoldingMetric(Reduction):
    """A metric made of what the hands hold; all such metrics share one reading of a log."""

    tables = (ARMS_TABLE, LINKS_TABLE)
    higher_is_better: bool | None = False
    read = staticmethod(read_holding)

    def __init__(self) -> None:
        """Has its name, unit and description as class attributes."""

    def reduce(self, reading: Holding | MetricValue) -> MetricValue:
        """Returns the value of what ``read_holding`` returned."""
        if isinstance(reading, MetricValue):
            return reading
        value = self.value_of(reading)
        return value if isinstance(value, MetricValue) else MetricValue(value=value)

    @abstractmethod
    def value_of(self, holding: Holding) -> float | MetricValue:
        """Returns the metric's value for an episode."""


def product(a: FloatArray, b: FloatArray) -> FloatArray:
    """Returns products of (..., 4) quaternions, w x y z."""
    w1, x1, y1, z1 = np.moveaxis(a, -1, 0)
    w2, x2, y2, z2 = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        axis=-1,
    )


def inverse(quaternion: FloatArray) -> FloatArray:
    """Returns inverses of (..., 4) quaternions of length 1."""
    conjugate: FloatArray = quaternion * np.array([1.0, -1.0, -1.0, -1.0])
    return conjugate


def turned(quaternion: FloatArray, vectors: FloatArray) -> FloatArray:
    """Returns (..., 3) vectors turned by (..., 4) quaternions."""
    as_quaternions = np.concatenate([np.zeros((*vectors.shape[:-1], 1)), vectors], axis=-1)
    return product(product(quaternion, as_quaternions), inverse(quaternion))[..., 1:]


def angles_rad(a: FloatArray, b: FloatArray) -> FloatArray:
    """Returns the angles between (..., 4) orientations."""
    difference = product(inverse(a), b)
    sine: FloatArray = np.linalg.norm(difference[..., 1:], axis=-1)
    return 2.0 * np.arctan2(sine, np.abs(difference[..., 0]))
