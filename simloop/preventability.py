"""Would a competent driver have avoided it? Joins episodes of an agent with those of reference agents by case.

The idea is that of UN R157 and ISO 34502: a system has to avoid what a competent and careful driver avoids. It needs
no domain: rows with the columns ``case_id``, ``agent``, ``timing``, ``strategy``, ``status`` and ``collision`` can be
joined, and ``impact_speed_mps``, where there is one, grades what nobody could avoid.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Arm = tuple[str, str, str]
"""Agent, timing and strategy: who plays, and how."""

_ENDED = ("success", "fail")
_AVOIDED = -1.0


class Preventability(enum.Enum):
    """Verdict of one case."""

    PASS = "pass"
    """The agent did not collide."""
    PREVENTABLE_FAIL = "preventable_fail"
    """The agent collided; at least one reference agent did not."""
    UNPREVENTABLE = "unpreventable"
    """The agent collided, and so did every reference agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLabel:
    """What the reference agents say about one case of an agent.

    Attributes:
        case_id: The case.
        label: The verdict.
        avoided_by: Reference agents that did not collide, in the order in which they are named.
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
        labels: The labels by case id, in the order of the rows.
        num_unlabelled: Episodes without a label: they did not end, or no reference agent has a result of their case.
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

    def count(self, label: Preventability) -> int:
        """Returns the number of cases with a label."""
        return sum(case.label is label for case in self.labels.values())

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
    judged: dict[str, dict[str, float]] = {}
    arms: dict[tuple[str, Arm], list[Mapping[str, Any]]] = {}
    for row in rows:
        arm = (str(row["agent"]), str(row["timing"]), str(row["strategy"]))
        if arm not in judges:
            arms.setdefault((str(row["scenario"]), arm), []).append(row)
            continue
        impact_mps = _impact_mps(row)
        if impact_mps is not None:
            judged.setdefault(str(row["case_id"]), {})[judges[arm]] = impact_mps
    found = []
    for (scenario, arm), members in arms.items():
        labels: dict[str, CaseLabel] = {}
        for row in members:
            case_id, impact_mps = str(row["case_id"]), _impact_mps(row)
            references = judged.get(case_id, {})
            references = {
                name: references[name] for name in judges.values() if name in references and name != arm[0]
            }
            if impact_mps is not None and references:
                labels[case_id] = _label(case_id, impact_mps, references)
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


def _impact_mps(row: Mapping[str, Any]) -> float | None:
    """Returns the impact speed (NaN if unknown), ``_AVOIDED`` without a collision, None if the episode says neither."""
    if row["status"] not in _ENDED or row.get("collision") is None:
        return None
    if not row["collision"]:
        return _AVOIDED
    impact_mps = row.get("impact_speed_mps")
    return math.nan if impact_mps is None else float(impact_mps)


def _label(case_id: str, impact_mps: float, references: Mapping[str, float]) -> CaseLabel:
    avoided_by = tuple(name for name, value in references.items() if value == _AVOIDED)
    if impact_mps == _AVOIDED:
        return CaseLabel(case_id=case_id, label=Preventability.PASS, avoided_by=avoided_by)
    if avoided_by:
        return CaseLabel(case_id=case_id, label=Preventability.PREVENTABLE_FAIL, avoided_by=avoided_by)
    known = [value for value in references.values() if not math.isnan(value)]
    return CaseLabel(
        case_id=case_id,
        label=Preventability.UNPREVENTABLE,
        avoided_by=(),
        impact_reduction_mps=min(known) - impact_mps if known else math.nan,
    )
