"""Plans a sweep from the words of a command line, a suite file, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from simloop.compose import make_world, split_overrides
from simloop.errors import ConfigurationError, UnknownNameError
from simloop.metrics.evaluate import metric_versions
from simloop.plugins import load_metrics
from simloop.runner.composing import Composer, sort_words
from simloop.runner.planning import DEFAULT_RESULTS, RunPlan, check_criteria, make_plan, make_runner, plan_run
from simloop.spec import Case, ScenarioFamily
from simloop.suites import Suite, load_suite
from simloop.sweep.arms import Arm, ArmFactory
from simloop.sweep.campaign import LatencyCampaign, SweepPart
from simloop.sweep.causes import FirstCause
from simloop.sweep.critical import CriticalLatency
from simloop.sweep.definition import AXIS_WORDS, SWEEP_WORDS, LatencySweep, sweep_from_block, sweep_from_words
from simloop.sweep.twins import Twins

COMMAND = "sweep latency"
TIMING_COMMAND = "sweep timing"
_RUN_KEYS = ("suite", "run_id", "results", "runner")
_INTERLEAVE = "512"


def plan_command(command: str, words: Sequence[str]) -> RunPlan:
    """Plans what ``simloop COMMAND`` runs; a suite that is a sweep is planned as one by ``run`` too.

    Raises:
        ConfigurationError: What does not fit, what was got, what is allowed.
    """
    if command in (COMMAND, TIMING_COMMAND):
        return plan_sweep(words, command)
    if command != "run":
        raise UnknownNameError("command of a run", command, ("run", COMMAND, TIMING_COMMAND))
    name = split_overrides(words).get("suite")
    if name is not None and load_suite(name).sweep is not None:
        return plan_sweep(words, command="run")
    return plan_run(words)


def plan_sweep(words: Sequence[str], command: str = COMMAND) -> RunPlan:
    """Plans a sweep; the command line's words replace those of the suite file.

    Raises:
        ConfigurationError: What does not fit, what was got, what is allowed; found before the first episode.
    """
    given = split_overrides(words)
    if "repeats" in given:
        raise ConfigurationError(
            f"repeats is {given['repeats']!r}; a sweep plays each case once at each of its points. Measure how far "
            "episodes repeat themselves with a suite of axes, for example simloop run suite=smoke repeats=20."
        )
    if "agent.target" in given:
        given["agent"] = given.pop("agent.target")
    suite, block = _suite(given)
    if not given.keys().isdisjoint(AXIS_WORDS):
        block = {k: v for k, v in block.items() if k not in (*AXIS_WORDS, "levels", "level_name")}
    merged = {**block, **{k: v for k, v in given.items() if k not in _RUN_KEYS}}
    runner = {k: v for k, v in merged.items() if k.startswith("runner.")}
    merged = {k: v for k, v in merged.items() if k not in runner}
    sorted_words = sort_words([f"{k}={v}" for k, v in merged.items()], (*_RUN_KEYS, *SWEEP_WORDS))
    sweep = sweep_from_words(merged)
    if command not in ("run", COMMAND if sweep.variation is None else TIMING_COMMAND):
        raise ConfigurationError(
            f"simloop {command} got {'latencies' if sweep.variation is None else 'vary'}; latencies go with simloop "
            f"{COMMAND}, vary=timing.KEY levels=... with simloop {TIMING_COMMAND}."
        )
    metrics = load_metrics(sweep.metrics)
    check_criteria(suite, [m.name for m in metrics], is_changed=True)
    composer = Composer(sorted_words)
    factory = ArmFactory(sweep, composer, metric_versions(metrics))
    factory.check_agents()
    arms = _grid(sweep, factory)
    families = {family.name: family for family in factory.families()}
    cases = {name: [family.case(seed) for seed in sweep.seeds] for name, family in families.items()}
    for name, family in families.items() if sweep.num_twins else ():
        _check_twin(composer, family, cases[name][0])
    by_agent = {composer.component("agent", name).name: composer.agent(name) for name in sweep.agent}

    def make_campaign() -> LatencyCampaign:
        parts: list[SweepPart] = []
        if sweep.num_critical_cases:
            parts.append(
                CriticalLatency(factory, families, sweep.num_critical_cases, sweep.critical_tolerance_ms)
            )
        if sweep.num_causes:
            parts.append(
                FirstCause(
                    sweep.num_causes,
                    {name: spec.capabilities for name, spec in by_agent.items()},
                    {name: spec.horizon for name, spec in by_agent.items()},
                    {name: composer.component("strategy", name) for name in ("prefix", "aggregate")},
                )
            )
        if sweep.num_twins:
            parts.append(Twins(families, sweep.num_twins))
        return LatencyCampaign(arms, cases, parts, max(sweep.num_logs, sweep.num_twins))

    return make_plan(
        words,
        suite=suite,
        composer=composer,
        make_campaign=make_campaign,
        run_id=given.get("run_id"),
        results=Path(given.get("results", DEFAULT_RESULTS)),
        runner=make_runner(
            given.get("runner", "ray"),
            {"interleave": _INTERLEAVE, **{k.removeprefix("runner."): v for k, v in runner.items()}},
        ),
        metrics=tuple(m.name for m in metrics),
        command=command,
        identity=sweep.plain(),
        config={
            "sweep": {
                "definition": sweep.plain(),
                "arms": [arm.plain() for arm in arms],
                "facts": [factory.facts(family, a) for family in families.values() for a in sweep.agent],
            }
        },
    )


def _check_twin(composer: Composer, family: ScenarioFamily, case: Case) -> None:
    """Raises ConfigurationError if a family has no twin, or its world does not take it."""
    twin = family.twin_case(case)
    world = make_world(composer.world(family)[0])
    try:
        world.reset(twin.scenario, twin.seed)
    finally:
        world.close()


def _suite(given: Mapping[str, str]) -> tuple[Suite, dict[str, str]]:
    if "suite" not in given:
        scenarios = given.get("scenario", "").split(",")
        name = "latency_" + "_".join(Path(s).stem for s in scenarios if s)
        return Suite(name=name, axes=()), {}
    suite = load_suite(given["suite"])
    if suite.sweep is None:
        raise ConfigurationError(
            f"Suite {suite.name!r} has axes, not a sweep; run it with simloop run, or name a suite with a sweep block."
        )
    return suite, sweep_from_block(suite.sweep, f"{suite.where}: sweep")


def _grid(sweep: LatencySweep, factory: ArmFactory) -> list[Arm]:
    """Every arm, those of one curve and level beside each other, so that batches hold one kind of episode."""
    return [
        factory.arm(family, agent, strategy, level)
        for family in factory.families()
        for agent in sweep.agent
        for strategy in sweep.strategy
        for level in factory.levels(family)
    ]
