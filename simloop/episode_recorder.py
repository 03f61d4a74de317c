"""Collects what the loop does in one episode and turns it into an ``EpisodeLog``.

Rows are kept as flat lists of numbers, the cheapest thing to add to; they become columns at the episode's end.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.flight import Flight
from simloop.log import EpisodeLog
from simloop.loop_tables import loop_schemas
from simloop.spec import Scenario
from simloop.strategies.buffer import NO_REQUEST, ArrivedChunk
from simloop.world import Frame, Outcome, SensorSpec, World, WorldSpec

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_INFERENCE_NUMBERS = (
    "request",
    "observation_tick",
    "anchor_captured_at_ns",
    "trigger_ns",
    "sent_ns",
    "arrived_ns",
    "start_ns",
    "done_ns",
    "deliver_ns",
    "install_tick",
    "realised_delay_ticks",
    "predicted_delay_ticks",
    "num_committed",
    "context_age_ns",
    "batch",
    "uplink_bytes",
    "downlink_bytes",
)
_numbers_of = operator.attrgetter(*_INFERENCE_NUMBERS)


class CaptureColumns:
    """The ``captures`` table.

    Args:
        sensors: The sensors, by number.

    Attributes:
        cells: Sensor number, capture number, due instant, instant of the state shown, arrival (-1: never) and whether
            the sensor dropped it, one row after the other.
    """

    __slots__ = ("_digests", "_sensors", "cells")

    def __init__(self, sensors: tuple[SensorSpec, ...]) -> None:
        self._sensors = sensors
        self._digests: dict[int, str] = {}
        self.cells: list[int] = []

    def consume(self, row: int, frame: Frame) -> None:
        """Records that an inference reads the frame of ``row``, and what it shows."""
        if row not in self._digests:
            self._digests[row] = array_digest(frame.array)

    def columns(self, end_ns: int) -> dict[str, Any]:
        """Returns the table's columns; what was to arrive at the episode's end or later has not arrived."""
        sensor, index, t_ns, captured_at_ns, arrival_ns, dropped = _table(self.cells, 6)
        names = np.array([s.name for s in self._sensors], dtype=object)
        num_bytes = np.array([s.payload_bytes for s in self._sensors], dtype=np.int64)
        is_dropped = dropped.astype(bool)
        is_under_way = (arrival_ns >= end_ns) & (arrival_ns > t_ns)
        is_consumed = np.zeros(len(index), dtype=bool)
        digest = np.full(len(index), "", dtype=object)
        rows = list(self._digests)
        is_consumed[rows] = True
        digest[rows] = list(self._digests.values())
        return {
            "sensor": names[sensor],
            "index": index,
            "t_ns": t_ns,
            "captured_at_ns": captured_at_ns,
            "delivered_at_ns": np.where(is_under_way, -1, arrival_ns),
            "num_bytes": num_bytes[sensor],
            "is_dropped": is_dropped,
            "is_lost": (arrival_ns < 0) & ~is_dropped,
            "is_consumed": is_consumed,
            "digest": digest,
        }


class TickColumns:
    """The ``ticks`` table.

    Args:
        action_size: Entries A of an action.

    Attributes:
        overtaken: Ticks whose action never took effect, because a later one had before.
    """

    __slots__ = ("_actions", "_capacity", "_cells", "_count", "_table", "overtaken")

    def __init__(self, action_size: int) -> None:
        self._capacity = 128
        self._actions: FloatArray = np.empty((self._capacity, action_size))
        self._cells: list[int] = []
        self._count = 0
        self._table: IntArray = np.zeros((6, 0), dtype=np.int64)
        self.overtaken: list[int] = []

    def add(self, t_ns: int, acting: tuple[int, int, int, int, FloatArray], due_ns: int) -> None:
        """Adds the next tick.

        Args:
            t_ns: Its instant.
            acting: Request, row, correction, number of blended chunks and (A,) action, as ``ActionBuffer.acting``.
            due_ns: Instant at which the action is due to take effect.
        """
        request, row, correction, num_blended, action = acting
        count = self._count
        if count == self._capacity:
            self._actions = np.concatenate([self._actions, np.empty_like(self._actions)])
            self._capacity *= 2
        self._actions[count] = action
        self._count = count + 1
        self._cells += (t_ns, request, row, correction, num_blended, due_ns)

    @property
    def cells(self) -> IntArray:
        """(6, ticks): instant, request, row, correction, number of blended chunks, due instant of the effect."""
        if self._table.shape[1] != self._count:
            self._table = _table(self._cells, 6)
        return self._table

    def effects_ns(self, physics_period_ns: int) -> IntArray:
        """Returns (ticks,) instants of the effects; -1 if overtaken."""
        effect_ns: IntArray = -(-self.cells[5] // physics_period_ns) * physics_period_ns
        effect_ns[self.overtaken] = -1
        return effect_ns

    def columns(self, spec: WorldSpec, captured_ns: IntArray, *, is_locked: bool) -> dict[str, Any]:
        """Returns the table's columns.

        Args:
            spec: The world's fixed properties.
            captured_ns: (requests,) capture instant of each request's anchor item.
            is_locked: Whether ticks are due at multiples of the control period.
        """
        t_ns, request, row, correction, num_blended, due_ns = self.cells
        effect_ns = self.effects_ns(spec.physics_period_ns)
        tick = np.arange(len(t_ns))
        is_hold = request == NO_REQUEST
        has_age = ~is_hold & (effect_ns >= 0)
        age_ns = np.full(len(t_ns), -1)
        age_ns[has_age] = effect_ns[has_age] - captured_ns[request[has_age]]
        return {
            "tick": tick,
            "t_ns": t_ns,
            "late_ns": t_ns - tick * spec.control_period_ns if is_locked else np.zeros_like(t_ns),
            "request": request,
            "row": row,
            "correction": correction,
            "num_blended": num_blended,
            "is_hold": is_hold,
            "action": self._actions[: len(t_ns)],
            "due_ns": due_ns,
            "effect_ns": effect_ns,
            "quantisation_ns": np.where(effect_ns < 0, -1, effect_ns - due_ns),
            "action_age_ns": age_ns,
        }


class EpisodeRecorder:
    """Rows of the loop's tables, in the order in which they happened.

    Args:
        sensors: The sensors, by number.
        action_size: Entries A of an action.
        is_played_on_arrival: Whether row 0 of a correction acts at its install tick (the rule ``restart``).
    """

    __slots__ = (
        "_changes",
        "_is_played_on_arrival",
        "_names",
        "_outcomes",
        "_polls_ns",
        "captures",
        "chunks",
        "consumed",
        "inferences",
        "ticks",
    )

    def __init__(
        self, sensors: tuple[SensorSpec, ...], action_size: int, *, is_played_on_arrival: bool
    ) -> None:
        self._is_played_on_arrival = is_played_on_arrival
        self._names = tuple(s.name for s in sensors)
        self.captures = CaptureColumns(sensors)
        self.inferences: list[Flight] = []
        self.consumed: list[int] = []
        self.chunks: list[ArrivedChunk] = []
        self.ticks = TickColumns(action_size)
        self._polls_ns: list[int] = []
        self._outcomes: list[Outcome] = []
        self._changes: list[int] = []

    def add_outcome(self, t_ns: int, outcome: Outcome) -> None:
        """Records the verdict polled at the next tick; polling begins with tick 1."""
        if not self._outcomes or outcome is not self._outcomes[-1]:
            self._outcomes.append(outcome)
            self._changes.append(len(self._polls_ns))
        self._polls_ns.append(t_ns)

    def log(
        self,
        world: World,
        scenario: Scenario,
        *,
        horizon: int,
        end_ns: int,
        is_locked: bool,
        facts: Mapping[str, Any],
    ) -> EpisodeLog:
        """Drains the world and returns the log of the episode, which ended at ``end_ns``.

        Args:
            world: The world.
            scenario: What it was put through.
            horizon: Rows H of a chunk.
            end_ns: Instant of the episode's last event.
            is_locked: Whether ticks are due at multiples of the control period.
            facts: Further attributes of the log.
        """
        spec = world.spec
        schemas = dict(loop_schemas(spec.action.size))
        schemas.update((f"world.{name}", schema) for name, schema in spec.tables.items())
        inferences = self._inference_columns()
        tables: dict[str, dict[str, Any]] = {
            "captures": self.captures.columns(end_ns),
            "inferences": inferences,
            "consumed": self._consumed_columns(),
            "outcomes": self._outcome_columns(),
            "chunks": self._chunk_columns(spec, end_ns),
            "ticks": self.ticks.columns(spec, inferences["anchor_captured_at_ns"], is_locked=is_locked),
        }
        for name, columns in world.drain().items():
            tables[f"world.{name}"] = dict(columns)
        attributes = {
            **_facts(spec),
            **facts,
            "end_ns": end_ns,
            "horizon": horizon,
            "scenario": {"family": scenario.family, "parameters": dict(scenario.parameters)},
            **world.log_attributes(),
        }
        return EpisodeLog.from_columns(schemas, tables, attributes)

    def _inference_columns(self) -> dict[str, Any]:
        flights = self.inferences
        numbers = list(itertools.chain.from_iterable(map(_numbers_of, flights)))
        columns: dict[str, Any] = dict(
            zip(_INFERENCE_NUMBERS, _table(numbers, len(_INFERENCE_NUMBERS)), strict=True)
        )
        columns["call"] = _texts([f.call for f in flights])
        columns["is_free"] = np.array([f.is_free for f in flights], dtype=bool)
        columns["state"] = _texts([f.state for f in flights])
        columns["notes"] = _texts([f.notes for f in flights])
        return columns

    def _consumed_columns(self) -> dict[str, Any]:
        request, sensor, index, age_ns = _table(self.consumed, 4)
        names = np.array(self._names, dtype=object)
        return {"request": request, "sensor": names[sensor], "index": index, "age_ns": age_ns}

    def _outcome_columns(self) -> dict[str, Any]:
        count = len(self._polls_ns)
        found = self._outcomes
        lengths = np.diff([*self._changes, count])
        return {
            "tick": np.arange(1, count + 1),
            "t_ns": np.array(self._polls_ns, dtype=np.int64),
            "state": _texts([o.state.value for o in found]).repeat(lengths),
            "reason": _texts([o.reason for o in found]).repeat(lengths),
            "stage": np.array([o.stage for o in found], dtype=np.int64).repeat(lengths),
            "is_goal_met": np.array([o.is_goal_met for o in found], dtype=bool).repeat(lengths),
        }

    def _chunk_columns(self, spec: WorldSpec, end_ns: int) -> dict[str, Any]:
        chunks = self.chunks
        lengths = np.array([len(c.actions) for c in chunks], dtype=np.int64)
        request, start = (
            np.array([(c.request, c.observation_tick + c.first_row) for c in chunks], dtype=np.int64)
            .reshape(-1, 2)
            .T
        )
        first = np.cumsum(lengths) - lengths
        total = int(lengths.sum())
        row = np.arange(total) - np.repeat(first, lengths)
        is_executed = np.zeros(total, dtype=bool)
        if total:
            is_executed[self._executed_places(spec, end_ns, request, start, first)] = True
        return {
            "request": np.repeat(request, lengths),
            "row": row,
            "tick": np.repeat(start, lengths) + row,
            "action": np.concatenate([c.actions for c in chunks])
            if total
            else np.zeros((0, spec.action.size)),
            "is_executed": is_executed,
        }

    def _executed_places(
        self, spec: WorldSpec, end_ns: int, request: IntArray, start: IntArray, first: IntArray
    ) -> IntArray:
        """Returns the rows of the ``chunks`` table whose action moved the world.

        An action is executed if it was not overtaken and took effect before the episode's end. Where a correction
        acted, its row is executed and that of the corrected chunk is not.
        """
        place_of = np.zeros(len(self.inferences), dtype=np.int64)
        start_of = np.zeros(len(self.inferences), dtype=np.int64)
        place_of[request] = first
        start_of[request] = [c.install_tick for c in self.chunks] if self._is_played_on_arrival else start
        effect_ns = self.ticks.effects_ns(spec.physics_period_ns)
        _, acting, row, correction, _, _ = self.ticks.cells
        has_acted = (acting != NO_REQUEST) & (effect_ns >= 0) & (effect_ns < end_ns)
        is_corrected = has_acted & (correction != NO_REQUEST)
        is_plain = has_acted & ~is_corrected
        ticks = np.flatnonzero(is_corrected)
        plain = place_of[acting[is_plain]] + row[is_plain]
        corrected = place_of[correction[ticks]] + ticks - start_of[correction[ticks]]
        return np.concatenate([plain, corrected])


def _facts(spec: WorldSpec) -> dict[str, Any]:
    """Returns the log attributes that follow from the world's fixed properties."""
    return {
        "world": spec.name,
        "control_period_ns": spec.control_period_ns,
        "physics_period_ns": spec.physics_period_ns,
        "motion_points": list(spec.motion_points),
        "sensor_kinds": {s.name: s.kind.value for s in spec.sensors},
        "action_space": spec.action.name,
        "action_dimensions": [d.name for d in spec.action.dimensions],
        "action_low": [d.low for d in spec.action.dimensions],
        "action_high": [d.high for d in spec.action.dimensions],
    }


def _table(cells: list[int], width: int) -> IntArray:
    """Returns (width, rows) contiguous columns of cells that were written row after row."""
    return np.ascontiguousarray(np.array(cells, dtype=np.int64).reshape(-1, width).T)


def _texts(values: list[str]) -> npt.NDArray[np.object_]:
    return np.array(values, dtype=object).reshape(len(values))


def array_digest(array: npt.NDArray[np.generic]) -> str:
    """Returns 16 hex digits over dtype, shape and little-endian bytes of a consumed frame."""
    head, dtype = _digest_head(array.dtype, array.shape)
    return hashlib.blake2b(head + array.astype(dtype, copy=False).tobytes(), digest_size=8).hexdigest()


@functools.lru_cache(maxsize=256)
def _digest_head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> tuple[bytes, np.dtype[Any]]:
    """Returns what stands before an array's bytes in its digest, and the little-endian dtype of those bytes."""
    little = dtype.newbyteorder("<")
    return f"{little.str}{shape}".encode(), little
