"""Would a competent driver have avoided it? Joins episodes of an agent with those of reference drivers by case.

The idea is that of UN R157 and ISO 34502: a system has to avoid what a competent and careful driver avoids.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simloop.errors import ResultsError

REFERENCE_AGENTS = ("cc_human_driver", "fsm", "rss", "reg157")
"""Names of the agents that count as reference drivers."""


class Preventability(enum.Enum):
    """Verdict of one case."""

    PASS = "pass"
    """The agent did not collide."""
    PREVENTABLE_FAIL = "preventable_fail"
    """The agent collided; at least one reference driver did not."""
    UNPREVENTABLE = "unpreventable"
    """The agent collided, and so did every reference driver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLabel:
    """What the reference drivers say about one case of an agent.

    Attributes:
        case_id: The case.
        label: The verdict.
        avoided_by: Reference drivers that did not collide, in the order of ``REFERENCE_AGENTS``.
        impact_reduction_mps: For unpreventable cases: by how much the agent's impact speed was below the lowest of
            the reference drivers (negative: above); NaN otherwise.
    """

    case_id: str
    label: Preventability
    avoided_by: tuple[str, ...]
    impact_reduction_mps: float = math.nan


def label_cases(rows: Iterable[Mapping[str, Any]], agent: str) -> tuple[CaseLabel, ...]:
    """Returns a label for each case that an agent and at least one reference driver have played.

    Args:
        rows: Rows of episodes with the columns ``case_id``, ``agent``, ``status``, ``collision`` and
            ``impact_speed_mps``, of one timing and strategy for each agent; episodes that did not end are left out.
        agent: Name of the agent; it may be a reference driver itself, which then does not judge itself.

    Raises:
        ResultsError: There is no case to label, or an agent has two episodes of one case.
    """
    impacts: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["status"] not in ("success", "fail"):
            continue
        played = impacts.setdefault(str(row["case_id"]), {})
        name = str(row["agent"])
        if name in played:
            raise ResultsError(
                f"{name} has two episodes of case {row['case_id']}; give the rows of one timing and strategy."
            )
        impact_mps = row["impact_speed_mps"]
        played[name] = (math.nan if impact_mps is None else float(impact_mps)) if row["collision"] else -1.0
    labels = [
        _label(case_id, played, agent)
        for case_id, played in sorted(impacts.items())
        if agent in played and any(name in played for name in REFERENCE_AGENTS if name != agent)
    ]
    if not labels:
        raise ResultsError(
            f"No case was played by {agent!r} and by one of {', '.join(REFERENCE_AGENTS)}; run both on the same cases."
        )
    return tuple(labels)


def _label(case_id: str, played: Mapping[str, float], agent: str) -> CaseLabel:
    """``played`` holds the impact speed by agent, -1 without a collision."""
    references = [name for name in REFERENCE_AGENTS if name in played and name != agent]
    avoided_by = tuple(name for name in references if played[name] == -1.0)
    if played[agent] == -1.0:
        return CaseLabel(case_id=case_id, label=Preventability.PASS, avoided_by=avoided_by)
    if avoided_by:
        return CaseLabel(case_id=case_id, label=Preventability.PREVENTABLE_FAIL, avoided_by=avoided_by)
    return CaseLabel(
        case_id=case_id,
        label=Preventability.UNPREVENTABLE,
        avoided_by=(),
        impact_reduction_mps=min(played[name] for name in references) - played[agent],
    )
