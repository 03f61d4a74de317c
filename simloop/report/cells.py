"""Groups a run's rows into cells and gives each its rate, its bounds, and what never became a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from simloop.stats.rate import Rate, rate_of
from simloop.store.play_logs import played
from simloop.store.row import EpisodeStatus

Rows = Sequence[Mapping[str, Any]]
_JUDGED = frozenset(s.value for s in EpisodeStatus if s.is_judged)


def shared_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Returns the rows of a table as mappings; equal texts of a column are one object, of which many rows need few."""
    columns = []
    for column in table.columns:
        if pa.types.is_string(column.type):
            encoded = column.combine_chunks().dictionary_encode()
            words = [*encoded.dictionary.to_pylist(), None]
            columns.append([words[i] for i in encoded.indices.fill_null(len(words) - 1).to_pylist()])
        else:
            columns.append(column.to_pylist())
    names = table.column_names
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def is_judged(row: Mapping[str, Any]) -> bool:
    """Whether the episode says something about the agent."""
    return row["status"] in _JUDGED


def is_success(row: Mapping[str, Any]) -> bool:
    """Whether the episode's verdict is success."""
    return bool(row["status"] == EpisodeStatus.SUCCESS.value)


def success_rate(rows: Rows) -> Rate | None:
    """Returns the rate of success among the judged rows; plays of one episode count as one case."""
    judged = [row for row in rows if is_judged(row)]
    return rate_of(map(is_success, judged), map(played, judged))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The episodes that share some columns.

    Attributes:
        key: Value by column that they share.
        counts: Number of episodes by status.
        rate: Success among the judged episodes, or None if there is none; plays of one episode count as one case.
        reasons: Number of not successful, judged episodes by reason, most frequent first.
        lost_reasons: Number of episodes that were not judged by reason, most frequent first.
    """

    key: Mapping[str, str]
    counts: Mapping[str, int]
    rate: Rate | None
    reasons: Mapping[str, int]
    lost_reasons: Mapping[str, int]

    @property
    def num_episodes(self) -> int:
        """Number of recorded episodes."""
        return sum(self.counts.values())

    @property
    def num_unjudged(self) -> int:
        """Number of episodes that infrastructure kept from becoming a result."""
        return self.num_episodes - (self.rate.n if self.rate else 0)

    @property
    def name(self) -> str:
        """The shared values, joined."""
        return " / ".join(self.key.values())

    def rate_text(self) -> str:
        """Returns the rate with n and bounds, and the rate over all episodes where some were not judged."""
        if self.rate is None:
            return f"no judged episode ({self.num_unjudged} infrastructure)"
        if not self.num_unjudged:
            return str(self.rate)
        of_all = 100.0 * self.rate.successes / self.num_episodes
        return (
            f"{self.rate}; {self.num_unjudged} more not judged (infrastructure), "
            f"{of_all:.1f} % of all {self.num_episodes}"
        )


def cells(rows: Rows, columns: Sequence[str]) -> list[Cell]:
    """Returns one cell for each combination of values of ``columns`` that occurs, in the order of first occurrence."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[c]) for c in columns), []).append(row)
    return [_cell(dict(zip(columns, key, strict=True)), members) for key, members in groups.items()]


def _cell(key: Mapping[str, str], rows: Rows) -> Cell:
    judged = [r for r in rows if is_judged(r)]
    reasons = Counter(str(r["reason"] or r["status"]) for r in judged if not is_success(r))
    lost = Counter(str(r["reason"] or r["status"]) for r in rows if not is_judged(r))
    return Cell(
        key=key,
        counts=dict(Counter(str(r["status"]) for r in rows)),
        rate=success_rate(rows),
        reasons=dict(reasons.most_common()),
        lost_reasons=dict(lost.most_common()),
    )
