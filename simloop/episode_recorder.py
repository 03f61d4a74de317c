"""Collects what the loop does in one episode and turns it into an ``EpisodeLog``."""

from __future__ import annotations

import hashlib
import operator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.log import Column, EpisodeLog, TableSchema
from simloop.loop_tables import loop_schemas
from simloop.spec import Scenario
from simloop.strategies.buffer import ArrivedChunk
from simloop.world import Frame, Outcome, World

FloatArray = npt.NDArray[np.float64]


@dataclass(slots=True, kw_only=True)
class InferenceRow:
    """The mutable row of one request in the ``inferences`` table."""

    request: int
    observation_tick: int
    anchor_captured_at_ns: int
    trigger_ns: int
    predicted_delay_ticks: int
    num_committed: int
    is_free: bool
    start_ns: int = -1
    done_ns: int = -1
    deliver_ns: int = -1
    install_tick: int = -1
    realised_delay_ticks: int = -1
    state: str = "in_flight"
    notes: str = ""


@dataclass(slots=True)
class CaptureColumns:
    """The ``captures`` table; columns, since no other table grows faster."""

    sensor: list[str] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    t_ns: list[int] = field(default_factory=list)
    captured_at_ns: list[int] = field(default_factory=list)
    delivered_at_ns: list[int] = field(default_factory=list)
    digest_by_row: dict[int, str] = field(default_factory=dict)

    def add(self, frame: Frame, t_ns: int, delivered_at_ns: int) -> int:
        """Adds a capture that was due at ``t_ns`` and returns its row."""
        self.sensor.append(frame.sensor)
        self.index.append(frame.index)
        self.t_ns.append(t_ns)
        self.captured_at_ns.append(frame.captured_at_ns)
        self.delivered_at_ns.append(delivered_at_ns)
        return len(self.t_ns) - 1

    def columns(self, end_ns: int) -> dict[str, Any]:
        """Returns the table's columns; what was to arrive at the episode's end or later has not arrived."""
        rows = range(len(self.t_ns))
        arrivals = zip(self.t_ns, self.delivered_at_ns, strict=True)
        return {
            "sensor": self.sensor,
            "index": self.index,
            "t_ns": self.t_ns,
            "captured_at_ns": self.captured_at_ns,
            "delivered_at_ns": [
                -1 if arrival >= end_ns and arrival > t else arrival for t, arrival in arrivals
            ],
            "is_consumed": [row in self.digest_by_row for row in rows],
            "digest": [self.digest_by_row.get(row, "") for row in rows],
        }

    def consume(self, row: int, frame: Frame) -> None:
        """Records that an inference reads the frame of ``row``, and what it shows."""
        if row not in self.digest_by_row:
            self.digest_by_row[row] = array_digest(frame.array)


@dataclass(slots=True)
class EpisodeRecorder:
    """Rows of the loop's tables, in the order in which they happened."""

    captures: CaptureColumns = field(default_factory=CaptureColumns)
    inferences: list[InferenceRow] = field(default_factory=list)
    consumed: list[tuple[int, str, int, int]] = field(default_factory=list)
    chunks: list[ArrivedChunk] = field(default_factory=list)
    ticks: list[tuple[int, int, int, int, bool, int, int, int]] = field(default_factory=list)
    actions: list[FloatArray] = field(default_factory=list)
    outcomes: list[tuple[int, int, str, str, int, bool]] = field(default_factory=list)

    def mark_overtaken(self, tick: int) -> None:
        """Records that the action of ``tick`` never took effect, because a later one had before."""
        self.ticks[tick] = (*self.ticks[tick][:5], -1, -1, -1)

    def add_outcome(self, tick: int, t_ns: int, outcome: Outcome) -> None:
        """Records the verdict polled at a tick."""
        self.outcomes.append(
            (tick, t_ns, outcome.state.value, outcome.reason, outcome.stage, outcome.is_goal_met)
        )

    def log(self, world: World, scenario: Scenario, *, horizon: int, end_ns: int) -> EpisodeLog:
        """Drains the world and returns the log of the episode, which ended at ``end_ns``."""
        size = world.spec.action.size
        schemas = loop_schemas(size)
        tables: dict[str, dict[str, Any]] = {
            "captures": self.captures.columns(end_ns),
            "inferences": _from_rows(schemas["inferences"], self.inferences),
            "consumed": _from_tuples(schemas["consumed"].columns, self.consumed),
            "outcomes": _from_tuples(schemas["outcomes"].columns, self.outcomes),
            "chunks": self._chunk_columns(size, end_ns),
        }
        tick_columns = [c for c in schemas["ticks"].columns if c.name != "action"]
        tables["ticks"] = _from_tuples(tuple(tick_columns), self.ticks)
        tables["ticks"]["action"] = np.array(self.actions, dtype=np.float64).reshape(-1, size)
        for name, columns in world.drain().items():
            tables[f"world.{name}"] = dict(columns)
        for name, schema in world.spec.tables.items():
            schemas[f"world.{name}"] = schema
        spec = world.spec
        attributes = {
            "world": spec.name,
            "control_period_ns": spec.control_period_ns,
            "physics_period_ns": spec.physics_period_ns,
            "motion_points": list(spec.motion_points),
            "action_space": spec.action.name,
            "action_dimensions": [d.name for d in spec.action.dimensions],
            "action_low": [d.low for d in spec.action.dimensions],
            "action_high": [d.high for d in spec.action.dimensions],
            "horizon": horizon,
            "scenario": {"family": scenario.family, "parameters": dict(scenario.parameters)},
            **world.log_attributes(),
        }
        return EpisodeLog.from_columns(schemas, tables, attributes)

    def _chunk_columns(self, size: int, end_ns: int) -> dict[str, Any]:
        lengths = [len(c.actions) for c in self.chunks]
        request = np.repeat(np.array([c.request for c in self.chunks], dtype=np.int64), lengths)
        start = np.repeat(np.array([c.observation_tick for c in self.chunks], dtype=np.int64), lengths)
        row = np.concatenate([np.arange(n) for n in lengths]) if lengths else np.zeros(0, dtype=np.int64)
        actions = np.concatenate([c.actions for c in self.chunks]) if lengths else np.zeros((0, size))
        first = dict(zip((c.request for c in self.chunks), np.cumsum([0, *lengths]).tolist(), strict=False))
        is_executed = np.zeros(len(row), dtype=bool)
        # An action is executed if it moved the world: not overtaken (-1), and in effect before the episode's end.
        acted = (
            (request, row)
            for _, _, request, row, is_hold, effect_ns, _, _ in self.ticks
            if not is_hold and 0 <= effect_ns < end_ns
        )
        is_executed[[first[request] + row for request, row in acted]] = True
        return {
            "request": request,
            "row": row,
            "tick": start + row,
            "action": actions,
            "is_executed": is_executed,
        }


def _from_rows(schema: TableSchema, rows: list[Any]) -> dict[str, Any]:
    return {c.name: list(map(operator.attrgetter(c.name), rows)) for c in schema.columns}


def _from_tuples(columns: tuple[Column, ...], rows: list[Any]) -> dict[str, Any]:
    transposed = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    return {c.name: list(values) for c, values in zip(columns, transposed, strict=True)}


def array_digest(array: npt.NDArray[np.generic]) -> str:
    """Returns 16 hex digits over dtype, shape and little-endian bytes of a consumed frame."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    head = f"{little.dtype.str}{little.shape}".encode()
    return hashlib.blake2b(head + little.tobytes(), digest_size=8).hexdigest()
