"""The facts of a run that is about to start, for its ``manifest.json``."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from simloop import wall_clock
from simloop.metrics.evaluate import metric_versions
from simloop.plugins import load_metrics
from simloop.runner.composing import Composer, core_versions
from simloop.runner.config import RunnerConfig
from simloop.runner.measured_runs import is_measured
from simloop.runner.worker import Task
from simloop.spec import canonical_json, digest
from simloop.store.manifest import Manifest
from simloop.store.platform_key import distributions_digest
from simloop.suites import Suite


def run_manifest(
    run_id: str,
    suite: Suite,
    tasks: Sequence[Task],
    composer: Composer,
    words: Sequence[str],
    runner: RunnerConfig,
    *,
    metrics: tuple[str, ...],
    command: str,
    identity: Any,
    config: Mapping[str, Any],
) -> Manifest:
    """Returns the manifest of a run that is about to start; see ``simloop.runner.planning.make_plan``."""
    agents = {task.spec.agent.name: task.spec.agent_digest for task in tasks}
    episodes = sorted(task.spec.episode_id for task in tasks)
    return Manifest(
        run_id=run_id,
        suite=suite.name,
        suite_digest=digest(episodes if identity is None else [episodes, identity]),
        agents=agents,
        criteria=suite.criteria,
        axes={
            "scenario": sorted({task.spec.case.scenario.family for task in tasks}),
            "agent": sorted(agents),
            "timing": sorted({task.spec.timing.name for task in tasks}),
            "strategy": sorted({task.spec.strategy.name for task in tasks}),
        },
        num_planned=len(episodes),
        reference=_reference(suite),
        heat_map=suite.heat_map,
        metric_thresholds={
            m.name: {"limits": dict(m.thresholds), "higher_is_better": m.higher_is_better is not False}
            for m in load_metrics(metrics)
            if m.thresholds
        },
        motion_metrics=[m.name for m in load_metrics(metrics) if m.is_about_motion],
        config={
            "command": command,
            "words": list(words),
            **_plain(composer.composed()),
            **_plain(config),
            "runner": dataclasses.asdict(runner),
        },
        versions={**core_versions(), **composer.world_versions},
        metric_versions=metric_versions(load_metrics(metrics)),
        command=f"simloop {command} " + " ".join(words),
        git=_git_state(),
        lock_digest=distributions_digest(),
        is_deterministic=not any(is_measured(task.spec.timing) for task in tasks),
        created_at=f"{wall_clock.utc_now():%Y-%m-%dT%H:%M:%SZ}",
    )


def _reference(suite: Suite) -> dict[str, Any]:
    """Returns the reference agents, their timing and their strategy by the names that rows have."""
    if suite.reference is None:
        return {}
    names = dataclasses.asdict(suite.reference)
    return {**names, "agents": list(suite.reference.agents)}


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
