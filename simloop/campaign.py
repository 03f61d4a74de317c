"""Campaigns: which episodes next, given the rows so far. A suite is the campaign that proposes once."""

from __future__ import annotations

import dataclasses
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from simloop.spec import Case, Component, EpisodeSpec, ScenarioFamily
from simloop.suites import Suite


class Campaign(ABC):
    """Proposes episodes at barriers; rows come back in case order, never in completion order.

    What it proposes depends on its arguments and the observed rows alone. So a run that was stopped goes on by
    proposing again: episodes that are recorded are skipped and their recorded rows observed.

    Attributes:
        columns: Row columns that ``observe`` reads; empty if it needs no rows.
    """

    columns: tuple[str, ...] = ()

    @abstractmethod
    def propose(self) -> Sequence[EpisodeSpec]:
        """Returns the next episodes; an empty sequence ends the campaign."""

    @abstractmethod
    def observe(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes the rows of the proposed episodes (``columns`` of them), in the order in which they were proposed.

        It is not called if ``columns`` is empty.
        """

    def wants_log(self, spec: EpisodeSpec) -> bool | None:
        """Whether a proposed episode's log is kept; None leaves it to the store (failures and a sample)."""
        return None

    def findings(self) -> Mapping[str, Any]:
        """Returns what the campaign found beyond its rows, as plain values; kept with the run once it is complete."""
        return {}


class SuiteCampaign(Campaign):
    """Proposes all its episodes once.

    Args:
        specs: The episodes; see ``suite_specs``.
    """

    def __init__(self, specs: Sequence[EpisodeSpec]) -> None:
        self._specs = tuple(specs)
        self._is_proposed = False

    def propose(self) -> Sequence[EpisodeSpec]:
        """Returns every episode the first time, none later."""
        if self._is_proposed:
            return ()
        self._is_proposed = True
        return self._specs

    def observe(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Needs no rows: nothing depends on them."""


class Composition(Protocol):
    """Composes choices by name."""

    def component(self, group: str, name: str) -> Component:
        """Composes a choice."""
        ...

    def agent_digest(self, name: str) -> str:
        """Returns the digest of an agent."""
        ...


def suite_specs(
    suite: Suite,
    *,
    family: Callable[[str], ScenarioFamily],
    composition: Composition,
    versions: Callable[[ScenarioFamily], Mapping[str, str]],
    reference: Composition | None = None,
) -> tuple[EpisodeSpec, ...]:
    """Returns every episode of a suite once, in case order; reference agents play each case after the others.

    Where the suite repeats them, the second plays follow after all first ones, then the third ones, so that the plays
    of an episode lie apart. Reference agents play once.

    Args:
        suite: The suite.
        family: From a scenario's name to its family.
        composition: Of the suite's axes.
        versions: From a family to the versions that its verdicts depend on.
        reference: Of the suite's reference agents; ``composition`` if None.
    """
    specs: dict[str, EpisodeSpec] = {}
    repeated: dict[str, EpisodeSpec] = {}
    judges = suite.reference

    def add(
        case: Case, arm: tuple[str, str, str], by: Composition, versions_of_case: Mapping[str, str]
    ) -> EpisodeSpec:
        agent, timing, strategy = arm
        spec = EpisodeSpec(
            case=case,
            agent=by.component("agent", agent),
            timing=by.component("timing", timing),
            strategy=by.component("strategy", strategy),
            agent_digest=by.agent_digest(agent),
            versions=versions_of_case,
        )
        return specs.setdefault(spec.episode_id, spec)

    for axes in suite.axes:
        cells = axes.cells()
        for scenario in axes.scenario:
            scenario_family = family(scenario)
            its_versions = versions(scenario_family)
            for values, seed in itertools.product(cells, axes.seeds):
                case = scenario_family.case(seed, values)
                for arm in itertools.product(axes.agent, axes.timing, axes.strategy):
                    spec = add(case, arm, composition, its_versions)
                    repeated[spec.episode_id] = spec
                if judges is not None:
                    for agent in judges.agents:
                        arm = (agent, judges.timing, judges.strategy)
                        add(case, arm, reference or composition, its_versions)
    if suite.repeats == 1:
        return tuple(specs.values())
    first = (
        dataclasses.replace(spec, repeat=1) if name in repeated else spec for name, spec in specs.items()
    )
    further = (
        dataclasses.replace(spec, repeat=repeat)
        for repeat in range(2, suite.repeats + 1)
        for spec in repeated.values()
    )
    return (*first, *further)
