"""Collects what the loop does in one episode and turns it into an ``EpisodeLog``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.log import Column, EpisodeLog, TableSchema
from simloop.loop_tables import loop_schemas
from simloop.spec import Scenario
from simloop.strategies.buffer import ArrivedChunk
from simloop.world import Outcome, World

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
    start_ns: int = -1
    done_ns: int = -1
    deliver_ns: int = -1
    install_tick: int = -1
    realised_delay_ticks: int = -1
    state: str = "in_flight"
    notes: str = ""


@dataclass(slots=True, kw_only=True)
class CaptureRow:
    """The mutable row of one capture in the ``captures`` table."""

    sensor: str
    index: int
    t_ns: int
    captured_at_ns: int
    delivered_at_ns: int = -1
    is_consumed: bool = False
    digest: str = ""


@dataclass(slots=True)
class EpisodeRecorder:
    """Rows of the loop's tables, in the order in which they happened."""

    captures: list[CaptureRow] = field(default_factory=list)
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

    def log(self, world: World, scenario: Scenario, horizon: int) -> EpisodeLog:
        """Drains the world and returns the episode's log."""
        size = world.spec.action.size
        schemas = loop_schemas(size)
        tables: dict[str, dict[str, Any]] = {
            "captures": _from_rows(schemas["captures"], self.captures),
            "inferences": _from_rows(schemas["inferences"], self.inferences),
            "consumed": _from_tuples(schemas["consumed"].columns, self.consumed),
            "outcomes": _from_tuples(schemas["outcomes"].columns, self.outcomes),
            "chunks": self._chunk_columns(size),
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
        }
        return EpisodeLog.from_columns(schemas, tables, attributes)

    def _chunk_columns(self, size: int) -> dict[str, Any]:
        executed = {(row[2], row[3]) for row in self.ticks if not row[4]}
        lengths = [len(c.actions) for c in self.chunks]
        request = np.repeat(np.array([c.request for c in self.chunks], dtype=np.int64), lengths)
        start = np.repeat(np.array([c.observation_tick for c in self.chunks], dtype=np.int64), lengths)
        row = np.concatenate([np.arange(n) for n in lengths]) if lengths else np.zeros(0, dtype=np.int64)
        actions = np.concatenate([c.actions for c in self.chunks]) if lengths else np.zeros((0, size))
        is_executed = np.array(
            [(q, r) in executed for q, r in zip(request.tolist(), row.tolist(), strict=True)], dtype=bool
        )
        return {
            "request": request,
            "row": row,
            "tick": start + row,
            "action": actions,
            "is_executed": is_executed,
        }


def _from_rows(schema: TableSchema, rows: list[Any]) -> dict[str, Any]:
    return {c.name: [getattr(r, c.name) for r in rows] for c in schema.columns}


def _from_tuples(columns: tuple[Column, ...], rows: list[Any]) -> dict[str, Any]:
    transposed = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    return {c.name: list(values) for c, values in zip(columns, transposed, strict=True)}


def array_digest(array: npt.NDArray[np.generic]) -> str:
    """Returns 16 hex digits over dtype, shape and little-endian bytes of a consumed frame."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    head = f"{little.dtype.str}{little.shape}".encode()
    return hashlib.blake2b(head + little.tobytes(), digest_size=8).hexdigest()
