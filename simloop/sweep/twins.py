"""Counterfactual twins: cases run again without their event, so that the reaction to it can be read off.

A twin shares every random draw of its case (``Case.twin_of``). The world is deterministic, so the two episodes are
equal, bit for bit, until the event; what an agent does differently from then on, it does because of the event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.behavioural_reaction import behavioural_reaction_ms
from simloop.spec import Component, EpisodeSpec, ScenarioFamily
from simloop.sweep.arms import Arm
from simloop.sweep.campaign import GridOutcomes, SweepPart

_WORLD_TABLES = "world."


class Twins(SweepPart):
    """Runs the twins of the first cases of each scenario in every arm.

    Args:
        families: Families by name; each says what takes its event out.
        num_cases: Cases of each scenario, from the first on.
    """

    columns = ("status",)

    def __init__(self, families: Mapping[str, ScenarioFamily], num_cases: int) -> None:
        self._families = families
        self._num_cases = num_cases
        self._pairs: list[tuple[Arm, EpisodeSpec, EpisodeSpec]] = []
        self._is_proposed = False

    def start(self, grid: GridOutcomes) -> None:
        """Pairs the cases with their twins."""
        for arm in grid.arms:
            for case in grid.cases[arm.scenario][: self._num_cases]:
                chosen = arm.strategy_component
                strategy = Component(group="strategy", name=f"{chosen.name} (twin)", config=chosen.config)
                twin = arm.spec(self._families[arm.scenario].twin_case(case), strategy=strategy)
                self._pairs.append((arm, arm.spec(case), twin))

    def propose(self) -> Sequence[EpisodeSpec]:
        """Returns the twins, once."""
        if self._is_proposed:
            return ()
        self._is_proposed = True
        return [twin for _, _, twin in self._pairs]

    def observe(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Needs no rows: the reaction is read from the logs."""

    def findings(self) -> Mapping[str, Any]:
        """Returns the episodes of each pair."""
        return {
            "twins": [
                {
                    **arm.plain(),
                    "seed": original.case.seed,
                    "episode_id": original.episode_id,
                    "twin_episode_id": twin.episode_id,
                }
                for arm, original, twin in self._pairs
            ]
        }


def event_instant_ns(log: EpisodeLog, twin: EpisodeLog) -> int | None:
    """Returns the first instant at which the worlds of an episode and its twin differ, or None if they never do."""
    instants = []
    for name in sorted(log.tables):
        if not name.startswith(_WORLD_TABLES) or "t_ns" not in log.tables[name] or not twin.has(name):
            continue
        columns, others = log.tables[name], twin.tables[name]
        t_ns, other_ns = columns["t_ns"], others["t_ns"]
        count = min(len(t_ns), len(other_ns))
        differs = np.zeros(count, dtype=bool)
        for column, values in columns.items():
            unequal = values[:count] != others[column][:count]
            if values.dtype.kind == "f":
                unequal &= ~(np.isnan(values[:count]) & np.isnan(others[column][:count]))
            differs |= unequal.reshape(count, -1).any(axis=1) if count else differs
        first = np.flatnonzero(differs)
        if len(first):
            instants.append(min(int(t_ns[first[0]]), int(other_ns[first[0]])))
    return min(instants, default=None)


def reaction(log: EpisodeLog, twin: EpisodeLog, tolerance_ratio: float) -> dict[str, Any]:
    """Compares an episode with its twin.

    Returns:
        ``event_ms`` (None if the worlds never differ), ``reaction_ms`` (None if no action differs while both last) and
        ``state``: ``reacted``, ``no_event``, ``no_reaction`` or ``ended_first`` (the episode with the event ended
        before an action differed).
    """
    event_ns = event_instant_ns(log, twin)
    if event_ns is None:
        return {"event_ms": None, "reaction_ms": None, "state": "no_event"}
    reaction_ms = behavioural_reaction_ms(log, twin, event_ns, tolerance=tolerance_ratio)
    state = "reacted"
    if reaction_ms is None:
        state = "ended_first" if log.num_rows("ticks") < twin.num_rows("ticks") else "no_reaction"
    return {"event_ms": event_ns * 1e-6, "reaction_ms": reaction_ms, "state": state}
