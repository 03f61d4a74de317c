"""Would a competent driver have avoided it? Joins episodes of an agent with those of reference agents by case.

The idea is that of UN R157 and ISO 34502: a system has to avoid what a competent and careful driver avoids. It needs
no domain: rows with the columns ``case_id``, ``agent``, ``timing``, ``strategy`` and ``status`` can be joined. Only
``success`` passes and only ``success`` avoids; a fail without a collision (off the road, no progress, out of time) is
a fail, and a reference agent that ends so has not shown that the crash could be avoided. ``collision`` says which
fails were crashes, and ``impact_speed_mps``, where there is one, grades those that nobody could avoid. Where episodes
are played several times, each play of an agent has a label, and the reference agents' first play judges it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simloop.repeats import by_play, case_name

Arm = tuple[str, str, str]
"""Agent, timing and strategy: who plays, and how."""


class Preventability(enum.Enum):
    """Verdict of one case."""

    PASS = "pass"
    """The agent succeeded."""
    PREVENTABLE_FAIL = "preventable_fail"
    """The agent failed, by a collision or otherwise; at least one reference agent succeeded."""
    UNPREVENTABLE = "unpreventable"
    """The agent collided, and so did every reference agent."""


class _Ending(enum.Enum):
    """What an episode says about its case."""

    SUCCESS = enum.auto()
    COLLISION = enum.auto()
    OTHER_FAIL = enum.auto()
    """Failed without a collision, or it is not known whether there was one."""
    NONE = enum.auto()
    """It did not end: an error, a limit of wall time, or not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLabel:
    """What the reference agents say about one case of an agent.

    Attributes:
        case_id: The case.
        label: The verdict.
        avoided_by: Reference agents that succeeded, in the order in which they are named.
        impact_reduction_mps: For unpreventable cases: by how much the agent's impact speed was below the lowest of
            the reference agents (negative: above); NaN otherwise.
    """

    case_id: str
    label: Preventability
    avoided_by: tuple[str, ...]
    impact_reduction_mps: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmLabels:
    """The labels of one arm in one scenario family.

    Attributes:
        scenario, world: Names of the family and of its world.
        agent, timing, strategy: The arm.
        labels: The labels by ``simloop.repeats.case_name``, in the order of the rows.
        num_unlabelled: Episodes without a label: they did not end, no reference agent has a result of their case, or
            they failed, nobody avoids it, and not everybody is known to have collided.
    """

    scenario: str
    world: str
    agent: str
    timing: str
    strategy: str
    labels: Mapping[str, CaseLabel]
    num_unlabelled: int

    @property
    def key(self) -> dict[str, str]:
        """The row columns that the arm's episodes share."""
        names = ("scenario", "world", "agent", "timing", "strategy")
        return {name: getattr(self, name) for name in names}

    def label_of(self, row: Mapping[str, Any]) -> CaseLabel | None:
        """Returns the label of one of the arm's episodes; None if it has none."""
        return self.labels.get(case_name(row))

    def count(self, label: Preventability) -> int:
        """Returns the number of episodes with a label."""
        return sum(case.label is label for case in self.labels.values())

    def cases(self, label: Preventability) -> set[tuple[str, ...]]:
        """Returns the episodes (``simloop.store.play_logs.played``) that have a label in at least one play."""
        arm = (self.agent, self.timing, self.strategy)
        return {(case.case_id, *arm) for case in self.labels.values() if case.label is label}

    @property
    def num_avoidable(self) -> int:
        """Number of labelled episodes whose case at least one reference agent avoided: what the agent must avoid."""
        return sum(bool(case.avoided_by) for case in self.labels.values())

    def impact_reductions_mps(self) -> list[float]:
        """Returns by how much the impact was slower than a reference agent's, of each unpreventable case with both."""
        values = [case.impact_reduction_mps for case in self.labels.values()]
        return [value for value in values if math.isfinite(value)]


def label_rows(rows: Iterable[Mapping[str, Any]], reference: Mapping[str, Any]) -> tuple[ArmLabels, ...]:
    """Labels the rows of a whole run, arm by arm, in the order in which the arms occur.

    Args:
        rows: The rows.
        reference: ``Manifest.reference``: names of the reference ``agents``, their ``timing`` and ``strategy``. Empty:
            nothing is labelled. The arms that judge are not labelled; a reference agent under another timing or
            strategy is, by the others.
    """
    if not reference:
        return ()
    judges: dict[Arm, str] = {
        (str(name), str(reference["timing"]), str(reference["strategy"])): str(name)
        for name in reference["agents"]
    }
    judged: dict[str, dict[str, Mapping[str, Any]]] = {}
    arms: dict[tuple[str, Arm], list[Mapping[str, Any]]] = {}
    for row in by_play(rows):
        arm = (str(row["agent"]), str(row["timing"]), str(row["strategy"]))
        if arm in judges:
            judged.setdefault(str(row["case_id"]), {}).setdefault(judges[arm], row)
        else:
            arms.setdefault((str(row["scenario"]), arm), []).append(row)
    found = []
    for (scenario, arm), members in arms.items():
        names = [name for name in judges.values() if name != arm[0]]
        labels: dict[str, CaseLabel] = {}
        for row in members:
            references = judged.get(str(row["case_id"]), {})
            label = _label(row, {name: references.get(name) for name in names})
            if label is not None:
                labels[case_name(row)] = label
        found.append(
            ArmLabels(
                scenario=scenario,
                world=str(members[0]["world"]),
                agent=arm[0],
                timing=arm[1],
                strategy=arm[2],
                labels=labels,
                num_unlabelled=len(members) - len(labels),
            )
        )
    return tuple(found)


def _ending(row: Mapping[str, Any] | None) -> _Ending:
    if row is None or row["status"] not in ("success", "fail"):
        return _Ending.NONE
    if row["status"] == "success":
        return _Ending.SUCCESS
    return _Ending.COLLISION if row.get("collision") == 1 else _Ending.OTHER_FAIL


def _label(row: Mapping[str, Any], references: Mapping[str, Mapping[str, Any] | None]) -> CaseLabel | None:
    """Labels one episode by the rows of all its judges (None: not recorded); None if nothing can be said."""
    case_id, ending = str(row["case_id"]), _ending(row)
    judgements = {name: _ending(reference) for name, reference in references.items()}
    if ending is _Ending.NONE or all(judgement is _Ending.NONE for judgement in judgements.values()):
        return None
    avoided_by = tuple(name for name, judgement in judgements.items() if judgement is _Ending.SUCCESS)
    if ending is _Ending.SUCCESS:
        return CaseLabel(case_id=case_id, label=Preventability.PASS, avoided_by=avoided_by)
    if avoided_by:
        return CaseLabel(case_id=case_id, label=Preventability.PREVENTABLE_FAIL, avoided_by=avoided_by)
    if {ending, *judgements.values()} != {_Ending.COLLISION}:
        return None
    impacts_mps = [_impact_mps(reference) for reference in references.values() if reference is not None]
    known_mps = [value for value in impacts_mps if not math.isnan(value)]
    return CaseLabel(
        case_id=case_id,
        label=Preventability.UNPREVENTABLE,
        avoided_by=(),
        impact_reduction_mps=min(known_mps) - _impact_mps(row) if known_mps else math.nan,
    )


def _impact_mps(row: Mapping[str, Any]) -> float:
    impact_mps = row.get("impact_speed_mps")
    return math.nan if impact_mps is None else float(impact_mps)
