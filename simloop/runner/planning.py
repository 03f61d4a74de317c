"""From the words of a command line to a plan: the episodes of a run, checked before the first one starts."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from simloop import wall_clock
from simloop.agent import AgentSpec
from simloop.campaign import SuiteCampaign
from simloop.compose import (
    component,
    make_agent,
    make_strategy,
    make_timing,
    make_world,
    split_overrides,
    world_component,
)
from simloop.criteria import check_names, parse_criteria
from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.loop import matching_embodiment
from simloop.metrics.evaluate import metric_versions
from simloop.plugins import agent_class, load_metrics
from simloop.runner.config import RunnerConfig
from simloop.runner.worker import RunFacts, Task
from simloop.scenario_files import load_family
from simloop.source_digest import EPISODE_SOURCES, module_digest, source_digest
from simloop.spec import Component, EpisodeSpec, ScenarioFamily, canonical_json, digest
from simloop.store.manifest import Manifest
from simloop.store.platform_key import distributions_digest
from simloop.suites import Suite, load_suite, whole_number
from simloop.world import WorldSpec

DEFAULT_RESULTS = Path("results/runs")
_AXES = ("scenario", "agent", "timing", "strategy")
_PLAIN_KEYS = ("suite", "run_id", "results", "runner", "seeds.first", "seeds.count", *_AXES)
_GROUPS = ("runner", "agent", "timing", "strategy", "world")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What a run is going to do.

    Attributes:
        run_id: Name of the run.
        folder: Its results folder.
        suite: The suite, with the command line's replacements.
        tasks: Every episode, in case order.
        runner: How the run is executed.
        manifest: What the run is, for its folder.
    """

    run_id: str
    folder: Path
    suite: Suite
    tasks: tuple[Task, ...]
    runner: RunnerConfig
    manifest: Manifest

    @property
    def facts(self) -> RunFacts:
        """What every row says about the run."""
        return RunFacts(run_id=self.run_id, suite=self.suite.name)


@dataclass(slots=True)
class _Words:
    """The command line's words, sorted by what they mean."""

    plain: dict[str, str] = field(default_factory=dict)
    groups: dict[str, dict[str, str]] = field(default_factory=lambda: {g: {} for g in _GROUPS})
    world: dict[str, Any] = field(default_factory=dict)


def _sort_words(words: Sequence[str]) -> _Words:
    sorted_words = _Words()
    for key, value in split_overrides(words).items():
        group, _, rest = key.partition(".")
        if key in _PLAIN_KEYS:
            sorted_words.plain[key] = value
        elif key == "agent.target":
            sorted_words.plain["agent"] = value
        elif group == "world" and rest:
            sorted_words.world[rest] = yaml.safe_load(value)
        elif group in _GROUPS and rest:
            sorted_words.groups[group][rest] = value
        else:
            allowed = [*_PLAIN_KEYS, "agent.target", *(f"{g}.KEY" for g in _GROUPS)]
            raise UnknownNameError("key", key, allowed, where="the command line")
    return sorted_words


class _Composer:
    """Composes each choice once and remembers what was learnt about it."""

    def __init__(self, words: _Words) -> None:
        self._words = words
        self._components: dict[tuple[str, str], Component] = {}
        self._agents: dict[str, AgentSpec] = {}
        self._worlds: dict[str, tuple[Component, WorldSpec]] = {}
        self._families: dict[str, ScenarioFamily] = {}

    def component(self, group: str, name: str) -> Component:
        if (group, name) not in self._components:
            self._components[group, name] = component(group, name, self._words.groups[group])
        return self._components[group, name]

    def family(self, name: str) -> ScenarioFamily:
        if name not in self._families:
            family = load_family(name)
            config = {**family.world_config, **self._words.world}
            values = {f: getattr(family, f) for f in ScenarioFamily.__dataclass_fields__}
            self._families[name] = ScenarioFamily(**{**values, "world_config": config})
        return self._families[name]

    def agent(self, name: str) -> AgentSpec:
        if name not in self._agents:
            agent = make_agent(self.component("agent", name))
            self._agents[name] = agent.spec
            agent.close()
        return self._agents[name]

    def agent_digest(self, name: str) -> str:
        """What results of an agent are kept by; for ``module:Class`` the file that holds the class counts too."""
        stated = self.agent(name).digest
        target = self.component("agent", name).config.get("target")
        if target is None:
            return stated
        return digest([stated, module_digest(target.partition(":")[0], agent_class(target).__module__)])

    def world(self, family: ScenarioFamily) -> tuple[Component, WorldSpec]:
        key = canonical_json([family.world, family.world_config])
        if key not in self._worlds:
            chosen = world_component(family.world, family.world_config)
            world = make_world(chosen)
            self._worlds[key] = (chosen, world.spec)
            world.close()
        return self._worlds[key]

    @property
    def world_versions(self) -> dict[str, str]:
        return {k: v for _, spec in self._worlds.values() for k, v in spec.versions.items()}

    def composed(self) -> dict[str, list[dict[str, Any]]]:
        """Every distinct choice with its composed configuration, by group."""
        worlds = (chosen for chosen, _ in self._worlds.values())
        groups: dict[str, list[dict[str, Any]]] = {}
        for chosen in (*self._components.values(), *worlds):
            groups.setdefault(chosen.group, []).append({"name": chosen.name, "config": chosen.config})
        return groups


def plan_run(words: Sequence[str]) -> RunPlan:
    """Plans a run from ``key=value`` words, as ``simloop run`` takes them.

    Everything that can be wrong is found here: unknown names, values out of range, an agent that does not fit a
    world or a strategy, missing weights, criteria that name unknown metrics.

    Raises:
        ConfigurationError: What does not fit, what was got, what is allowed.
    """
    sorted_words = _sort_words(words)
    plain = sorted_words.plain
    suite = _suite(plain)
    composer = _Composer(sorted_words)
    metrics = load_metrics()
    versions_of_metrics = metric_versions(metrics)
    _check_criteria(suite, [m.name for m in metrics], is_changed=any(a in plain for a in _AXES))
    _check_fit(suite, composer)
    core = {"simloop": source_digest("simloop", EPISODE_SOURCES)}
    campaign = SuiteCampaign(
        suite,
        family=composer.family,
        component=composer.component,
        agent_digest=composer.agent_digest,
        versions=lambda family: {
            **core,
            **composer.world(family)[1].versions,
            "metrics": versions_of_metrics,
        },
    )
    specs = campaign.propose()
    by_family = {composer.family(n).name: composer.family(n) for axes in suite.axes for n in axes.scenario}
    tasks = tuple(
        Task(number=n, spec=spec, world=composer.world(by_family[spec.case.scenario.family])[0])
        for n, spec in enumerate(specs)
    )
    run_id = plain.get("run_id") or f"{suite.name}-{wall_clock.utc_now():%Y%m%d-%H%M%S}"
    if not run_id.replace("-", "").replace("_", "").replace(".", "").isalnum() or run_id.startswith("."):
        raise ParameterError(f"run_id is {run_id!r}; allowed: letters, digits, '-', '_' and '.', not first.")
    runner = _runner(plain.get("runner", "ray"), sorted_words.groups["runner"])
    manifest = _manifest(run_id, suite, specs, composer, words, core, versions_of_metrics, runner)
    return RunPlan(
        run_id=run_id,
        folder=Path(plain.get("results", DEFAULT_RESULTS)) / run_id,
        suite=suite,
        tasks=tasks,
        runner=runner,
        manifest=manifest,
    )


def _suite(plain: Mapping[str, str]) -> Suite:
    suite = load_suite(plain.get("suite", "smoke"))
    replacements = {axis: tuple(plain[axis].split(",")) for axis in _AXES if axis in plain}
    first = plain.get("seeds.first")
    count = plain.get("seeds.count")
    return suite.replaced(
        replacements,
        first=None if first is None else whole_number(first, "seeds.first", low=0),
        count=None if count is None else whole_number(count, "seeds.count", low=1),
    )


def _check_criteria(suite: Suite, metrics: Sequence[str], *, is_changed: bool) -> None:
    """Checks the names in the criteria; those of an axis that the command line replaced are for the verdict to see."""
    axes = {} if is_changed else {a: [n for grid in suite.axes for n in getattr(grid, a)] for a in _AXES}
    check_names(parse_criteria(suite.criteria, suite.where), axes, metrics, suite.where)


def _runner(name: str, overrides: Mapping[str, str]) -> RunnerConfig:
    config = component("runner", name, overrides).config
    return RunnerConfig(**{k: v for k, v in config.items() if not k.startswith("_")})


def _check_fit(suite: Suite, composer: _Composer) -> None:
    for axes in suite.axes:
        for timing in axes.timing:
            make_timing(composer.component("timing", timing))
        for scenario in axes.scenario:
            _, world = composer.world(composer.family(scenario))
            for agent in axes.agent:
                for strategy in axes.strategy:
                    made = make_strategy(composer.component("strategy", strategy))
                    matching_embodiment(composer.agent(agent), world, made)


def _manifest(
    run_id: str,
    suite: Suite,
    specs: Sequence[EpisodeSpec],
    composer: _Composer,
    words: Sequence[str],
    core: Mapping[str, str],
    versions_of_metrics: str,
    runner: RunnerConfig,
) -> Manifest:
    agents = {spec.agent.name: spec.agent_digest for spec in specs}
    if not specs:
        raise ConfigurationError(f"Suite {suite.name!r} has no episodes.")
    return Manifest(
        run_id=run_id,
        suite=suite.name,
        suite_digest=digest(sorted(spec.episode_id for spec in specs)),
        agents=agents,
        criteria=suite.criteria,
        axes={
            "scenario": sorted({spec.case.scenario.family for spec in specs}),
            "agent": sorted(agents),
            "timing": sorted({spec.timing.name for spec in specs}),
            "strategy": sorted({spec.strategy.name for spec in specs}),
        },
        num_planned=len(specs),
        config={"words": list(words), **_plain(composer.composed()), "runner": dataclasses.asdict(runner)},
        versions={**core, **composer.world_versions},
        metric_versions=versions_of_metrics,
        command="simloop run " + " ".join(words),
        git=_git_state(),
        lock_digest=distributions_digest(),
        created_at=f"{wall_clock.utc_now():%Y-%m-%dT%H:%M:%SZ}",
    )


def _plain(value: Any) -> Any:
    return json.loads(canonical_json(value))


def _git_state() -> str:
    """Returns the commit of the current folder's checkout, with ``+changes`` if it is dirty; empty without git."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
        status = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit.stdout.strip() + ("+changes" if status.stdout.strip() else "")
