"""Which logs are kept where an episode is played several times: enough to set its plays against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simloop.store.row import REPEAT

PLAYED_COLUMNS = ("case_id", "agent", "timing", "strategy")
"""Row columns that the plays of one episode share."""


def played(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns what the plays of one case share: its id, agent, timing and strategy."""
    return tuple(str(row[column]) for column in PLAYED_COLUMNS)


@dataclass(slots=True, kw_only=True)
class _Kept:
    """The kept logs of one episode's plays: their statuses, the hash of the first, and whether one has another hash."""

    statuses: set[str] = field(default_factory=set)
    first_hash: str | None = None
    has_other: bool = False


class PlayLogs:
    """Remembers the kept logs of repeated episodes: one a status, and one that took another course than the first."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], _Kept] = {}

    def wants(self, row: Mapping[str, Any]) -> bool:
        """Whether the log of this play is to be kept; never where episodes are played once."""
        if row.get(REPEAT) is None:
            return False
        kept = self._kept.get(played(row))
        if kept is None or row["status"] not in kept.statuses:
            return True
        return not kept.has_other and _differs(kept.first_hash, row["episode_hash"])

    def note(self, row: Mapping[str, Any]) -> None:
        """Remembers that the log of this row's episode is kept."""
        if row.get(REPEAT) is None:
            return
        kept = self._kept.setdefault(played(row), _Kept())
        kept.statuses.add(str(row["status"]))
        if kept.first_hash is None:
            kept.first_hash = row["episode_hash"]
        kept.has_other = kept.has_other or _differs(kept.first_hash, row["episode_hash"])


def _differs(first: str | None, second: str | None) -> bool:
    return first is not None and second is not None and first != second
