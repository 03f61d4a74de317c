"""Who touched whom, how often, how long and how hard: the contacts of a run by pair of classes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simloop.report.cells import Rows
from simloop.store.row import CELL_COLUMNS
from simloop.store.run_store import RunStore

CONTACTS_TABLE = "world.contacts"
CONTACTS_NAME = "contacts.csv"
MAX_LOGS = 2_000
FORCE_COLUMNS = ("peak_normal_force_n", "impulse_newton_s", "max_penetration_m")
"""Columns that not every world records; a pair without them has no such figures."""


@dataclass(slots=True, kw_only=True)
class ContactPair:
    """The contacts of one pair of classes in the kept logs of one cell.

    Attributes:
        key: Value by column of ``CELL_COLUMNS``.
        class_pair: The two classes.
        is_collision: Whether the task does not ask for the contact.
        num_contacts: Number of onsets.
        episodes: Episodes with at least one.
        duration_s: Sum of their durations.
        impact_speed_mps: Largest closing speed at an onset.
        peak_normal_force_n: Largest normal force, None where it is not recorded.
        impulse_newton_s: Sum of the normal impulses, None where it is not recorded.
        max_penetration_m: Deepest overlap, None where it is not recorded.
        hardest_episode: Episode of the largest force, or of the fastest onset where forces are not recorded.
    """

    key: Mapping[str, str]
    class_pair: str
    is_collision: bool
    num_contacts: int = 0
    episodes: set[str] = field(default_factory=set)
    duration_s: float = 0.0
    impact_speed_mps: float = 0.0
    peak_normal_force_n: float | None = None
    impulse_newton_s: float | None = None
    max_penetration_m: float | None = None
    hardest_episode: str = ""

    def add(self, episode_id: str, contact: Mapping[str, Any]) -> None:
        """Counts one row of the ``contacts`` table."""
        self.num_contacts += 1
        self.episodes.add(episode_id)
        self.duration_s += contact["duration_s"]
        before = self.hardness
        self.impact_speed_mps = max(self.impact_speed_mps, contact["impact_speed_mps"])
        if all(name in contact for name in FORCE_COLUMNS):
            force, impulse, depth = (contact[name] for name in FORCE_COLUMNS)
            self.peak_normal_force_n = max(self.peak_normal_force_n or 0.0, force)
            self.impulse_newton_s = (self.impulse_newton_s or 0.0) + impulse
            self.max_penetration_m = max(self.max_penetration_m or 0.0, depth)
        if not self.hardest_episode or self.hardness > before:
            self.hardest_episode = episode_id

    @property
    def hardness(self) -> float:
        """The largest force, or the largest closing speed where forces are not recorded."""
        return self.impact_speed_mps if self.peak_normal_force_n is None else self.peak_normal_force_n


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacts:
    """The contacts of a run.

    Attributes:
        pairs: Collisions first, then by number of contacts, within each cell.
        num_logs: Logs by the cell's values.
        num_left_out: Kept logs beyond ``MAX_LOGS``, which were not read.
    """

    pairs: tuple[ContactPair, ...]
    num_logs: Mapping[tuple[str, ...], int]
    num_left_out: int

    def merged(self, columns: Sequence[str]) -> Contacts:
        """Returns the contacts with the pairs of all cells together that share ``columns``."""
        places = [CELL_COLUMNS.index(column) for column in columns]
        counts: dict[tuple[str, ...], int] = {}
        for cell, count in self.num_logs.items():
            short = tuple(cell[place] for place in places)
            counts[short] = counts.get(short, 0) + count
        merged: dict[tuple[Any, ...], ContactPair] = {}
        for pair in self.pairs:
            key = {column: pair.key[column] for column in columns}
            name = (*key.values(), pair.class_pair, pair.is_collision)
            if name not in merged:
                merged[name] = ContactPair(
                    key=key, class_pair=pair.class_pair, is_collision=pair.is_collision
                )
            _join(merged[name], pair)
        return Contacts(
            pairs=_ordered(merged.values(), counts), num_logs=counts, num_left_out=self.num_left_out
        )


def _join(total: ContactPair, pair: ContactPair) -> None:
    if not total.hardest_episode or pair.hardness > total.hardness:
        total.hardest_episode = pair.hardest_episode
    total.num_contacts += pair.num_contacts
    total.episodes |= pair.episodes
    total.duration_s += pair.duration_s
    total.impact_speed_mps = max(total.impact_speed_mps, pair.impact_speed_mps)
    if pair.peak_normal_force_n is not None:
        total.peak_normal_force_n = max(total.peak_normal_force_n or 0.0, pair.peak_normal_force_n)
        total.impulse_newton_s = (total.impulse_newton_s or 0.0) + (pair.impulse_newton_s or 0.0)
        total.max_penetration_m = max(total.max_penetration_m or 0.0, pair.max_penetration_m or 0.0)


def _ordered(pairs: Any, cells: Mapping[tuple[str, ...], int]) -> tuple[ContactPair, ...]:
    order = list(cells)
    return tuple(
        sorted(
            pairs,
            key=lambda p: (
                order.index(tuple(p.key.values())),
                not p.is_collision,
                -p.num_contacts,
                p.class_pair,
            ),
        )
    )


def read_contacts(store: RunStore, rows: Rows) -> Contacts:
    """Sums up the contacts of the first ``MAX_LOGS`` kept logs of a run."""
    kept = [row for row in rows if row.get("has_log")]
    pairs: dict[tuple[Any, ...], ContactPair] = {}
    counts: dict[tuple[str, ...], int] = {}
    for row in kept[:MAX_LOGS]:
        table = store.read_log_table(row["episode_id"], CONTACTS_TABLE)
        if table is None:
            continue
        key = {column: str(row[column]) for column in CELL_COLUMNS}
        cell = tuple(key.values())
        counts[cell] = counts.get(cell, 0) + 1
        names = list(table)
        for values in zip(*(table[name].tolist() for name in names), strict=True):
            contact = dict(zip(names, values, strict=True))
            name = (*cell, contact["class_pair"], contact["is_collision"])
            if name not in pairs:
                pairs[name] = ContactPair(key=key, class_pair=name[-2], is_collision=name[-1])
            pairs[name].add(row["episode_id"], contact)
    return Contacts(
        pairs=_ordered(pairs.values(), counts), num_logs=counts, num_left_out=max(len(kept) - MAX_LOGS, 0)
    )


def contact_tables(contacts: Contacts) -> list[dict[str, Any]]:
    """Returns one table a scenario for the page: title, whether it has forces, lines of texts, number of logs."""
    merged = contacts.merged(("scenario", "agent"))
    tables: dict[str, dict[str, Any]] = {}
    for pair in merged.pairs:
        scenario, agent = pair.key["scenario"], pair.key["agent"]
        table = tables.setdefault(scenario, {"title": scenario, "has_forces": False, "lines": []})
        table["has_forces"] = table["has_forces"] or pair.peak_normal_force_n is not None
        table["lines"].append(
            {
                "agent": agent,
                "pair": pair.class_pair.replace("_", " "),
                "is_collision": pair.is_collision,
                "count": pair.num_contacts,
                "episodes": f"{len(pair.episodes)} of {merged.num_logs[scenario, agent]}",
                "duration": f"{pair.duration_s:.2f}",
                "speed": f"{pair.impact_speed_mps:.2f}",
                "force": _text(pair.peak_normal_force_n, 1.0),
                "impulse": _text(pair.impulse_newton_s, 1.0),
                "depth": _text(pair.max_penetration_m, 1e3),
                "hardest": pair.hardest_episode,
            }
        )
    return list(tables.values())


def _text(value: float | None, scale: float) -> str:
    if value is None:
        return "-"
    return f"{value * scale:.0f}" if abs(value * scale) >= 1000.0 else f"{value * scale:.3g}"


def contacts_csv(contacts: Contacts) -> str:
    """Returns the content of ``contacts.csv``: one line a cell and pair of classes."""
    out = io.StringIO()
    figures = ("duration_s", "impact_speed_mps", *FORCE_COLUMNS)
    head = (*CELL_COLUMNS, "class_pair", "is_collision", "num_logs", "num_episodes", "num_contacts")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*head, *figures, "hardest_episode"))
    for pair in contacts.pairs:
        values = (getattr(pair, name) for name in figures)
        writer.writerow(
            (
                *pair.key.values(),
                pair.class_pair,
                int(pair.is_collision),
                contacts.num_logs[tuple(pair.key.values())],
                len(pair.episodes),
                pair.num_contacts,
                *("" if value is None else f"{value:.6g}" for value in values),
                pair.hardest_episode,
            )
        )
    return out.getvalue()
