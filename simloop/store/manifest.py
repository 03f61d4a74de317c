"""What a run is: the facts in ``manifest.json``, and which of them must be equal for a run to be resumed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simloop.errors import ResultsError
from simloop.store.atomic_file import write_atomically
from simloop.store.platform_key import machine_facts, platform_key

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The facts of one run.

    Attributes:
        run_id: Name of the run and of its folder.
        suite: Name of the suite.
        suite_digest: Hash of everything that decides which episodes are run (cases, timings, strategies).
        agents: Digest by agent name.
        criteria: The suite's criteria, as read from its file (see ``simloop.criteria``).
        axes: Names that the run has on each axis (scenario, agent, timing, strategy); a criterion that names another
            one does not apply to this run.
        reference: Names of the ``agents`` that failures are labelled by, with their ``timing`` and ``strategy``; empty
            if there are none.
        heat_map: Scenario parameters on the axes of the report's heat maps; empty if the report shall choose.
        metric_thresholds: By metric the named values that reports draw, ``limits`` (see ``Metric.thresholds``), and
            whether ``higher_is_better``.
        motion_metrics: Metrics of how things moved, whose distributions reports draw (see ``Metric.is_about_motion``).
        num_planned: Episodes that the run shall have when it is complete.
        config: ``words`` of the command line, and what was composed from them: each distinct agent, timing, strategy
            and world, and the runner.
        versions: Simulator versions by package.
        metric_versions: See ``simloop.metrics.evaluate.metric_versions``.
        platform: See ``simloop.store.platform_key.platform_key``.
        machine: Facts about the machine that do not change results.
        command: The command that started the run.
        git: Commit and state of the working tree, where there is one.
        lock_digest: Hash of the names and versions of everything that is installed, see
            ``simloop.store.platform_key.distributions_digest``.
        is_deterministic: False if inference times were measured: the same command gives other results, and other
            hardware gives other ones (they depend on ``platform`` and ``machine``).
        created_at: UTC date and time of the first start, ISO 8601.
        schema_version: Version of this file's layout.
    """

    run_id: str
    suite: str
    suite_digest: str
    agents: Mapping[str, str]
    criteria: tuple[Mapping[str, Any], ...] = ()
    axes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    reference: Mapping[str, Any] = field(default_factory=dict)
    heat_map: Mapping[str, str] = field(default_factory=dict)
    metric_thresholds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    motion_metrics: Sequence[str] = ()
    num_planned: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    metric_versions: str = ""
    platform: Mapping[str, str] = field(default_factory=platform_key)
    machine: Mapping[str, str] = field(default_factory=machine_facts)
    command: str = ""
    git: str = ""
    lock_digest: str = ""
    is_deterministic: bool = True
    created_at: str = ""
    schema_version: int = SCHEMA_VERSION

    def identity(self) -> dict[str, str]:
        """Returns the facts that must be equal for a run to be resumed, by a readable name."""
        facts = {
            "suite": self.suite,
            "suite digest": self.suite_digest,
            "metric versions": self.metric_versions,
        }
        facts |= {f"agent {name} digest": value for name, value in self.agents.items()}
        facts |= {f"platform {name}": value for name, value in self.platform.items()}
        facts |= {f"version of {name}": value for name, value in self.versions.items()}
        return facts

    def check_resumable(self, now: Manifest, where: Path) -> None:
        """Raises ResultsError, showing both values, if the run of ``now`` is not the run that this one describes."""
        before, after = self.identity(), now.identity()
        changed = [
            f"  {name}: {before.get(name, '(absent)')} in the folder, {after.get(name, '(absent)')} now"
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        ]
        if changed:
            raise ResultsError(
                f"{where} holds another run and cannot be resumed:\n" + "\n".join(changed) + "\n"
                "Choose another run_id, or delete the folder."
            )

    def write(self, folder: Path) -> None:
        """Writes ``manifest.json`` atomically."""
        text = json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True)
        write_atomically(folder / MANIFEST_NAME, (text + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Reads ``manifest.json``.

        Raises:
            ResultsError: There is none, or it is not one of this version.
        """
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise ResultsError(f"{folder} is not a results folder: it has no {MANIFEST_NAME}.")
        try:
            values = json.loads(path.read_text())
        except ValueError as error:
            raise ResultsError(f"{path} cannot be read as JSON: {error}.") from error
        known = {f.name for f in dataclasses.fields(cls)}
        if not isinstance(values, dict) or values.get("schema_version") != SCHEMA_VERSION:
            got = values.get("schema_version") if isinstance(values, dict) else type(values).__name__
            raise ResultsError(f"{path} has schema_version {got!r}; this simloop reads {SCHEMA_VERSION}.")
        missing = sorted({"run_id", "suite", "suite_digest", "agents"} - set(values))
        unknown = sorted(set(values) - known)
        if missing or unknown:
            raise ResultsError(f"{path}: missing keys {missing}, unknown keys {unknown}.")
        return cls(**{**values, "criteria": tuple(values.get("criteria", ()))})
