"""One row an episode: its fixed columns, and the Arrow table of many rows."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from simloop.errors import ResultsError
from simloop.metrics.evaluate import Evaluation
from simloop.spec import EpisodeSpec

Row = dict[str, Any]


class EpisodeStatus(enum.Enum):
    """How an episode ended, or why it did not."""

    SUCCESS = "success"
    FAIL = "fail"
    AGENT_ERROR = "agent_error"
    """The agent raised, or its reply was not usable; counts as not succeeded."""
    INFRA_ERROR = "infra_error"
    """The world raised, a worker or connection was lost; says nothing about the agent."""
    TIMEOUT = "timeout"
    """One uninterrupted call exceeded its wall limit; says nothing about the agent."""
    SKIPPED = "skipped"
    """Was not run, for the reason given."""

    @property
    def is_judged(self) -> bool:
        """Whether the episode says something about the agent."""
        return self in (EpisodeStatus.SUCCESS, EpisodeStatus.FAIL, EpisodeStatus.AGENT_ERROR)


FIXED_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "episode_id": (pa.string(), "identity for storage and resume"),
    "case_id": (pa.string(), "what the world was put through; paired comparisons join on it"),
    "episode_hash": (pa.string(), "hash of what happened; null without a complete log"),
    "run_id": (pa.string(), "name of the run"),
    "suite": (pa.string(), "name of the suite"),
    "status": (pa.string(), "success, fail, agent_error, infra_error, timeout or skipped"),
    "reason": (pa.string(), "why it ended so, for example collision or time_limit"),
    "scenario": (pa.string(), "name of the scenario family"),
    "world": (pa.string(), "name of the world"),
    "seed": (pa.int64(), "seed of the case"),
    "agent": (pa.string(), "name of the agent"),
    "agent_digest": (pa.string(), "hash of the agent's weights, config and source"),
    "strategy": (pa.string(), "name of the execution strategy"),
    "timing": (pa.string(), "name of the latency profile"),
    "parameters": (pa.string(), "JSON object of the scenario's parameters"),
    "tags": (pa.string(), "JSON object of the scenario's tags"),
    "stage": (pa.int64(), "sub-task reached"),
    "num_ticks": (pa.int64(), "control ticks that were run"),
    "invalid_metrics": (pa.string(), "JSON object, reason by name of each metric without a value"),
    "collision_classes": (pa.string(), "JSON object, number of collisions by class pair"),
    "error_trace": (pa.string(), "traceback of an error; empty without one"),
    "num_tries": (pa.int64(), "how often the episode was started"),
    "worker": (pa.string(), "worker that ran it"),
    "wall_s_wall": (pa.float64(), "wall-clock seconds spent on it"),
    "has_log": (pa.bool_(), "whether episodes/ holds its log"),
}
"""Type and meaning of the columns that every row has. Beside them: one float64 column a metric, by its name, and
one column ``param_<name>`` a scenario parameter."""

REPEAT = "repeat"
"""Column of the number of the play, from 1 on; whole numbers, and only where episodes are played several times."""

CELL_COLUMNS = ("scenario", "agent", "timing", "strategy")
"""Columns of a cell: what is played, and who acts under which timing and strategy."""

PARAMETER_PREFIX = "param_"


def episode_row(
    *,
    spec: EpisodeSpec,
    run_id: str,
    suite: str,
    status: EpisodeStatus,
    reason: str,
    evaluation: Evaluation,
    episode_hash: str | None = None,
    stage: int = 0,
    num_ticks: int = 0,
    error_trace: str = "",
    num_tries: int = 1,
    worker: str = "",
    wall_s_wall: float = 0.0,
    has_log: bool = False,
) -> Row:
    """Lays one episode out as a row; the arguments are the columns of ``FIXED_COLUMNS``."""
    scenario = spec.case.scenario
    return {
        "episode_id": spec.episode_id,
        "case_id": spec.case.case_id,
        "episode_hash": episode_hash,
        "run_id": run_id,
        "suite": suite,
        "status": status.value,
        "reason": reason,
        "scenario": scenario.family,
        "world": scenario.world,
        "seed": spec.case.seed,
        "agent": spec.agent.name,
        "agent_digest": spec.agent_digest,
        "strategy": spec.strategy.name,
        "timing": spec.timing.name,
        "parameters": json.dumps(dict(scenario.parameters), sort_keys=True),
        "tags": json.dumps(dict(scenario.tags), sort_keys=True),
        "stage": stage,
        "num_ticks": num_ticks,
        "error_trace": error_trace,
        "num_tries": num_tries,
        "worker": worker,
        "wall_s_wall": wall_s_wall,
        "has_log": has_log,
        **({REPEAT: spec.repeat} if spec.repeat else {}),
        **evaluation.columns(),
        **{f"{PARAMETER_PREFIX}{name}": value for name, value in scenario.parameters.items()},
    }


def rows_to_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Returns the rows as one Arrow table: fixed columns first, then the others in name order.

    A column that a row lacks is null in it; ``repeat`` is there only if a row has one. Free columns hold float64 (whole
    numbers too, so that parts agree), bool or text.

    Raises:
        ResultsError: A row lacks its identity, or a column mixes text, numbers and flags.
    """
    for row in rows:
        for name in ("episode_id", "case_id", "status"):
            if not row.get(name):
                raise ResultsError(f"A row has no {name}; it has: {', '.join(sorted(row))}.")
    types = {name: kind for name, (kind, _) in FIXED_COLUMNS.items()}
    if any(row.get(REPEAT) is not None for row in rows):
        types[REPEAT] = pa.int64()
    free = sorted({name for row in rows for name in row} - set(types) - {REPEAT})
    arrays = [pa.array([row.get(name) for row in rows], type=kind) for name, kind in types.items()]
    arrays += [_free_array(name, [row.get(name) for row in rows]) for name in free]
    return pa.Table.from_arrays(arrays, names=[*types, *free])


def _free_array(name: str, values: list[Any]) -> pa.Array:
    kinds = {type(v) for v in values if v is not None}
    if kinds <= {int, float}:
        return pa.array([None if v is None else float(v) for v in values], type=pa.float64())
    if kinds == {bool}:
        return pa.array(values, type=pa.bool_())
    if kinds == {str}:
        return pa.array(values, type=pa.string())
    raise ResultsError(
        f"Column {name!r} holds {', '.join(sorted(k.__name__ for k in kinds))}; allowed: numbers, or flags, or text."
    )
