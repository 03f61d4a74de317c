"""From the words of a command line to a plan: the episodes of a run, checked before the first one starts."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simloop import wall_clock
from simloop.campaign import Campaign, SuiteCampaign, suite_specs
from simloop.compatibility import check_timing, matching_embodiment
from simloop.compose import component, make_strategy, make_timing, make_world
from simloop.criteria import parse_criteria
from simloop.criterion import PreventableCriterion, check_names
from simloop.errors import ConfigurationError, ParameterError, SimloopError
from simloop.metrics.evaluate import metric_versions
from simloop.plugins import load_metrics
from simloop.runner.composing import AXES, Composer, Words, plays, sort_words
from simloop.runner.config import RunnerConfig
from simloop.runner.measured_runs import is_measured, runner_for
from simloop.runner.run_manifest import run_manifest
from simloop.runner.shared_servers import one_worker_for
from simloop.runner.worker import RunFacts, Task
from simloop.scenario_files import load_family
from simloop.spec import Component, EpisodeSpec
from simloop.store.manifest import Manifest
from simloop.suites import Suite, SuiteWords, load_suite, whole_number
from simloop.world import World

_LOG = logging.getLogger(__name__)
DEFAULT_RESULTS = Path("results/runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What a run is going to do.

    Attributes:
        run_id: Name of the run.
        folder: Its results folder.
        suite: The suite, with the command line's replacements.
        tasks: The episodes of the first round, in the order in which they are proposed; all there are for a suite.
        make_campaign: Starts the campaign anew; its first round is ``tasks``.
        world_of: From an episode to its composed world.
        runner: How the run is executed.
        manifest: What the run is, for its folder.
        metrics: Names of the metrics to judge by; all if empty.
    """

    run_id: str
    folder: Path
    suite: Suite
    tasks: tuple[Task, ...]
    make_campaign: Callable[[], Campaign]
    world_of: Callable[[EpisodeSpec], Component]
    runner: RunnerConfig
    manifest: Manifest
    metrics: tuple[str, ...] = ()

    @property
    def facts(self) -> RunFacts:
        """What every row says about the run."""
        return RunFacts(run_id=self.run_id, suite=self.suite.name, metrics=self.metrics)


def plan_run(words: Sequence[str]) -> RunPlan:
    """Plans a run from ``key=value`` words, as ``simloop run`` takes them.

    Everything that can be wrong is found here: unknown names, values out of range, an agent that does not fit a
    world or a strategy, missing weights, criteria that name unknown metrics.

    Raises:
        ConfigurationError: What does not fit, what was got, what is allowed.
    """
    sorted_words = sort_words(words)
    plain = sorted_words.plain
    suite = _suite(sorted_words)
    if "world" in plain:
        suite = _for_world(suite, plain["world"])
    composer = Composer(sorted_words)
    metrics = load_metrics()
    versions_of_metrics = metric_versions(metrics)
    check_criteria(
        suite, [m.name for m in metrics], is_changed=any(a in plain for a in (*AXES, "reference_agents"))
    )
    reference = Composer(Words())  # what the command line sets is for the run's own agents
    _check_fit(suite, composer, reference)
    specs = suite_specs(
        suite,
        family=composer.family,
        composition=composer,
        versions=lambda family: composer.versions(family, versions_of_metrics),
        reference=reference,
    )
    for chosen in reference.components:
        composer.add(chosen)
    return make_plan(
        words,
        suite=suite,
        composer=composer,
        make_campaign=lambda: SuiteCampaign(specs),
        run_id=plain.get("run_id"),
        results=Path(plain.get("results", DEFAULT_RESULTS)),
        runner=make_runner(plain.get("runner", "ray"), sorted_words.groups["runner"]),
        config=_repeats(suite, composer, specs),
    )


def _repeats(suite: Suite, composer: Composer, specs: Sequence[EpisodeSpec]) -> dict[str, Any]:
    """Returns what ``simloop.repeats`` has to know of a run that plays its episodes several times."""
    if suite.repeats == 1:
        return {}
    measured = {spec.timing.name for spec in specs if is_measured(spec.timing)}
    return {
        "repeats": {
            "count": suite.repeats,
            "statistical_worlds": list(composer.statistical_worlds),
            "measured_timings": sorted(measured),
        }
    }


def make_plan(
    words: Sequence[str],
    *,
    suite: Suite,
    composer: Composer,
    make_campaign: Callable[[], Campaign],
    run_id: str | None,
    results: Path,
    runner: RunnerConfig,
    metrics: tuple[str, ...] = (),
    command: str = "run",
    identity: Any = None,
    config: Mapping[str, Any] | None = None,
) -> RunPlan:
    """Makes the plan of a campaign whose parts are checked.

    Args:
        words: The command line's words, for the manifest.
        suite: Name and criteria of the run.
        composer: What was composed.
        make_campaign: Starts the campaign.
        run_id: Name of the run; made of the suite's name and the time if None.
        results: Folder of all runs.
        runner: How the run is executed.
        metrics: Names of the metrics to judge by; all if empty.
        command: The command after ``simloop``.
        identity: What decides later rounds of the campaign, beside its first; plain values.
        config: Further plain values for the manifest's ``config``.

    Raises:
        ParameterError: The run's name cannot be the name of a folder.
        ConfigurationError: The campaign has no episodes, or a world does not take a scenario.
    """
    run_id = run_id or f"{suite.name}-{wall_clock.utc_now():%Y%m%d-%H%M%S}"
    if not run_id.replace("-", "").replace("_", "").replace(".", "").isalnum() or run_id.startswith("."):
        raise ParameterError(f"run_id is {run_id!r}; allowed: letters, digits, '-', '_' and '.', not first.")
    campaign = make_campaign()
    tasks = make_tasks(campaign, campaign.propose(), composer.world_of)
    if not tasks:
        raise ConfigurationError(f"Suite {suite.name!r} has no episodes.")
    _check_scenes(tasks)
    timings = [task.spec.timing for task in tasks]
    runner = one_worker_for(runner_for(runner, timings, words), composer.shared_servers, words)
    manifest = run_manifest(
        run_id,
        suite,
        tasks,
        composer,
        words,
        runner,
        metrics=metrics,
        command=command,
        identity=identity,
        config=config or {},
    )
    return RunPlan(
        run_id=run_id,
        folder=results / run_id,
        suite=suite,
        tasks=tasks,
        make_campaign=make_campaign,
        world_of=composer.world_of,
        runner=runner,
        manifest=manifest,
        metrics=metrics,
    )


def _check_scenes(tasks: Sequence[Task]) -> None:
    """Resets each world to the first case of each scenario, so that what it refuses is known before the start."""
    firsts: dict[str, dict[str, Task]] = {}
    for task in tasks:
        firsts.setdefault(task.world.key, {}).setdefault(task.spec.case.scenario.family, task)
    for of_world in firsts.values():
        with contextlib.ExitStack() as made:
            world: World | None = None
            for family, task in of_world.items():
                world = world or made.enter_context(contextlib.closing(make_world(task.world)))
                case = task.spec.case
                try:
                    world.reset(case.scenario, case.seed)
                except ConfigurationError:
                    raise
                except Exception as error:  # noqa: BLE001 - the episodes record it
                    trace = None if isinstance(error, SimloopError) else error  # which says what to do itself
                    _LOG.warning("%s breaks at seed %d: %s", family, case.seed, error, exc_info=trace)
                    world = None


def make_tasks(
    campaign: Campaign,
    specs: Sequence[EpisodeSpec],
    world_of: Callable[[EpisodeSpec], Component],
    first_number: int = 0,
) -> tuple[Task, ...]:
    """Returns the tasks of proposed episodes, numbered from ``first_number`` on."""
    return tuple(
        Task(number=number, spec=spec, world=world_of(spec), keep_log=campaign.wants_log(spec))
        for number, spec in enumerate(specs, first_number)
    )


def _suite(words: Words) -> Suite:
    plain = words.plain

    def number(key: str, low: int) -> int | None:
        return whole_number(plain[key], key, low=low) if key in plain else None

    cells, reference = plain.get("cells"), plain.get("reference_agents")
    return load_suite(plain.get("suite", "smoke")).replaced(
        SuiteWords(
            axes={axis: tuple(plain[axis].split(",")) for axis in AXES if axis in plain},
            first_seed=number("seeds.first", 0),
            num_seeds=number("seeds.count", 1),
            parameters=words.parameters,
            cells=cells if cells == "all" else number("cells", 1),
            cells_seed=number("cells.seed", 0),
            reference_agents=None if reference is None else _reference_names(reference),
            repeats=number("repeats", 1),
        )
    )


def _for_world(suite: Suite, world: str) -> Suite:
    """Returns the part of a suite that a world plays, and says what is left out."""
    names = {name for axes in suite.axes for name in axes.scenario}
    left_out = sorted(name for name in names if not plays(world, load_family(name).world))
    if left_out:
        _LOG.warning("world=%s does not play %s: left out.", world, ", ".join(left_out))
    return suite.only(lambda name: name not in left_out)


def _reference_names(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(text.split(","))


def check_criteria(suite: Suite, metrics: Sequence[str], *, is_changed: bool) -> None:
    """Checks the names in the criteria; those of an axis that the command line replaced are for the verdict to see."""
    criteria = parse_criteria(suite.criteria, suite.where)
    has_no_judges = suite.reference is None and not is_changed
    if has_no_judges and any(isinstance(c, PreventableCriterion) for c in criteria):
        raise ConfigurationError(
            f"{suite.where}: a criterion counts preventable_fails, and the suite has no reference_agents; add them."
        )
    axes = {} if is_changed else {a: [n for grid in suite.axes for n in getattr(grid, a)] for a in AXES}
    if axes and suite.reference is not None:
        axes["agent"] += suite.reference.agents
        axes["timing"].append(suite.reference.timing)
        axes["strategy"].append(suite.reference.strategy)
    check_names(criteria, axes, metrics, suite.where)


def make_runner(name: str, overrides: Mapping[str, str]) -> RunnerConfig:
    """Composes how a run is executed."""
    config = component("runner", name, overrides).config
    return RunnerConfig(**{k: v for k, v in config.items() if not k.startswith("_")})


def _check_fit(suite: Suite, composer: Composer, reference: Composer) -> None:
    judges = suite.reference
    for axes in suite.axes:
        arms = [(composer, axes.agent, axes.timing, axes.strategy)]
        if judges is not None:
            arms.append((reference, judges.agents, (judges.timing,), (judges.strategy,)))
        for scenario in axes.scenario:
            _, world = composer.world(composer.family(scenario))
            for by, agents, timings, strategies in arms:
                made_timings = [make_timing(by.component("timing", timing)) for timing in timings]
                for agent, strategy in itertools.product(agents, strategies):
                    made = make_strategy(by.component("strategy", strategy))
                    embodiment = matching_embodiment(by.agent(agent), world, made)
                    for timing in made_timings:
                        check_timing(timing, made, embodiment)
