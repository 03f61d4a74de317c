"""The arms of a sweep: a scenario, an agent and a strategy at one level, as composed components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simloop.compatibility import check_timing, matching_embodiment
from simloop.compose import make_strategy, make_timing
from simloop.errors import ConfigurationError, IncompatibleAgentError
from simloop.runner.composing import Composer
from simloop.spec import Case, Component, EpisodeSpec, ScenarioFamily
from simloop.strategies.catalogue import strategies_for
from simloop.sweep.axis import sweep_axis
from simloop.sweep.definition import LatencySweep

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One scenario, agent, strategy and level.

    Attributes:
        scenario: Name of the family.
        agent: Name of the agent.
        strategy: Name of the strategy.
        level: Latency in ms that is added to the timing, or level of the key that is varied.
        column: Name of the level in rows and files.
        latency_ticks: The added latency in control periods, rounded up: d of a timing without any other latency.
        execution_horizon: s of the strategy.
        freezes_world: Whether the strategy pauses the world, so that latency has no effect.
        choice: Agent and strategy as the sweep names them, without the overrides that the names above show.
        agent_component, timing_component, strategy_component: The composed choices.
        agent_digest: Digest of the agent.
        versions: What verdicts depend on.
    """

    scenario: str
    agent: str
    strategy: str
    level: float
    column: str
    latency_ticks: int
    execution_horizon: int
    freezes_world: bool
    choice: tuple[str, str]
    agent_component: Component
    timing_component: Component
    strategy_component: Component
    agent_digest: str
    versions: Mapping[str, str]

    @property
    def curve(self) -> tuple[str, str, str]:
        """Scenario, agent and strategy: what the arms of one curve share."""
        return (self.scenario, self.agent, self.strategy)

    def spec(
        self, case: Case, *, timing: Component | None = None, strategy: Component | None = None
    ) -> EpisodeSpec:
        """Returns the episode of a case in this arm, optionally with another timing or strategy."""
        return EpisodeSpec(
            case=case,
            agent=self.agent_component,
            timing=timing or self.timing_component,
            strategy=strategy or self.strategy_component,
            agent_digest=self.agent_digest,
            versions=self.versions,
        )

    def plain(self) -> dict[str, Any]:
        """Returns what identifies the arm in the rows, and what a curve is printed with."""
        return {
            "scenario": self.scenario,
            "agent": self.agent,
            "strategy": self.strategy,
            "timing": self.timing_component.name,
            self.column: self.level,
            "latency_ticks": self.latency_ticks,
            "execution_horizon": self.execution_horizon,
        }


class ArmFactory:
    """Makes the arms of a sweep and checks each before the first episode.

    Args:
        sweep: The sweep.
        composer: Composes the choices, with the sweep's overrides.
        versions_of_metrics: Versions of the metrics, part of the identity of episodes.
    """

    def __init__(self, sweep: LatencySweep, composer: Composer, versions_of_metrics: str) -> None:
        self._sweep = sweep
        self._composer = composer
        self._versions_of_metrics = versions_of_metrics
        self._arms: dict[tuple[str, str, str, float, str], Arm] = {}
        self._axis = sweep_axis(sweep.plain())

    def families(self) -> list[ScenarioFamily]:
        """Returns the scenario families."""
        return [self._composer.family(name) for name in self._sweep.scenario]

    def period_ns(self, family: ScenarioFamily) -> int:
        """Returns the control period of a family's world."""
        return self._composer.world(family)[1].control_period_ns

    def levels(self, family: ScenarioFamily) -> list[float]:
        """Returns the sweep's levels; latencies in ms of a family's world."""
        unit_ms = self.period_ns(family) / NS_PER_MS if self._sweep.unit == "ticks" else 1.0
        return [level * unit_ms for level in self._sweep.levels]

    def check_agents(self) -> None:
        """Raises IncompatibleAgentError for strategies that an agent cannot run, with those that it can."""
        for name in self._sweep.agent:
            can_run = strategies_for(self._composer.agent(name))
            refused = [s for s in self._sweep.strategy if s not in can_run]
            for strategy in refused:
                self._composer.component("strategy", strategy)  # an unknown name is another error
            if refused:
                raise IncompatibleAgentError(
                    f"Agent {name!r} cannot run {', '.join(refused)}; it can run: {', '.join(can_run)}. Take "
                    "the others out of strategy=..., or choose an agent that supports them (docs/latency-lab.md)."
                )

    def arm(self, family: ScenarioFamily, agent: str, strategy: str, level: float, label: str = "") -> Arm:
        """Returns an arm.

        Args:
            family: The scenario family.
            agent: Name of the agent.
            strategy: Name of the strategy.
            level: Latency in ms that is added, or one of the sweep's levels.
            label: Replaces the level in the timing's name, for arms that share a cell in tables.

        Raises:
            IncompatibleAgentError: Agent, world and strategy do not fit at this level.
        """
        key = (family.name, agent, strategy, level, label)
        if key not in self._arms:
            self._arms[key] = self._make(family, agent, strategy, level, label)
        return self._arms[key]

    def _timing(self, level: float, label: str) -> Component:
        base = self._composer.component("timing", self._sweep.timing)
        varied = self._sweep.variation
        if varied is None and "trace" in base.config:
            raise ConfigurationError(
                f"timing={base.name} replays a trace, to which no latency can be added; allowed: a timing that is "
                "modelled or measured, for example timing=zero."
            )
        if varied is None:
            added = level + float(base.config.get("added_inference_ms", 0.0))
            name = f"{base.name}+{label or f'{level:g}ms'}"
            config: Mapping[str, Any] = {**base.config, "added_inference_ms": added}
        else:
            value = varied.values[self._sweep.levels.index(level)]
            name = f"{base.name}+{varied.key}@{level:g}"
            config = self._composer.changed("timing", self._sweep.timing, {varied.key: value}).config
        timing = Component(group="timing", name=name, config=config)
        make_timing(timing)
        return timing

    def _make(self, family: ScenarioFamily, agent: str, strategy: str, level: float, label: str) -> Arm:
        composer = self._composer
        world = composer.world(family)[1]
        added_ms = level if self._axis.is_latency else 0.0
        ticks = -(-round(added_ms * NS_PER_MS) // world.control_period_ns)
        timing = self._timing(level, label)
        chosen = composer.component("strategy", strategy)
        horizon = self._sweep.execution_horizon
        # Strategies that ask at every tick by their nature say so with an execution horizon of 1.
        if horizon is not None and chosen.config.get("execution_horizon") != 1:
            config = {**chosen.config, "execution_horizon": horizon.at(ticks)}
            chosen = Component(group="strategy", name=chosen.name, config=config)
        made = make_strategy(chosen)
        embodiment = matching_embodiment(composer.agent(agent), world, made)
        check_timing(make_timing(timing), made, embodiment)
        composer.add(timing)
        composer.add(chosen)
        return Arm(
            scenario=family.name,
            agent=composer.component("agent", agent).name,
            strategy=chosen.name,
            level=level,
            column=self._axis.column,
            latency_ticks=ticks,
            execution_horizon=made.execution_horizon,
            freezes_world=made.freezes_world,
            choice=(agent, strategy),
            agent_component=composer.component("agent", agent),
            timing_component=timing,
            strategy_component=chosen,
            agent_digest=composer.agent_digest(agent),
            versions=composer.versions(family, self._versions_of_metrics),
        )

    def facts(self, family: ScenarioFamily, agent: str) -> dict[str, Any]:
        """Returns what every curve of a scenario and agent is printed with, beside its strategy and delays."""
        world = self._composer.world(family)[1]
        timing = make_timing(self._composer.component("timing", self._sweep.timing))
        return {
            "scenario": family.name,
            "agent": self._composer.component("agent", agent).name,
            "control_period_ms": world.control_period_ns / NS_PER_MS,
            "horizon": self._composer.agent(agent).horizon,
            "hold": world.action.hold.value,
            "first_chunk": timing.first_chunk.value,
        }
