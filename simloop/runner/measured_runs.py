"""How measured runs are executed: one episode after the other, in this process, so that nothing else is timed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from simloop.compose import split_overrides
from simloop.errors import ConfigurationError
from simloop.runner.config import Executor, RunnerConfig
from simloop.spec import Component
from simloop.timing.rules import Mode


def is_measured(timing: Component) -> bool:
    """Whether the real inference times of an agent are charged under a composed timing."""
    return timing.config.get("mode") == Mode.MEASURED.value


def runner_for(runner: RunnerConfig, timings: Iterable[Component], words: Sequence[str]) -> RunnerConfig:
    """Returns how a run under ``timings`` is executed; unchanged unless one of them is measured.

    Args:
        runner: The composed choice.
        timings: The timings of the run.
        words: The command line's words; what they ask for is refused rather than replaced.

    Raises:
        ConfigurationError: The words ask for other processes or several episodes at once, and a timing is measured.
    """
    measured = next((timing.name for timing in timings if is_measured(timing)), None)
    if measured is None:
        return runner
    given = split_overrides(words)
    for key, allowed in (("runner", Executor.IN_PROCESS.value), ("runner.interleave", "1")):
        if given.get(key, allowed) != allowed:
            raise ConfigurationError(
                f"{key} is {given[key]!r}; timing {measured!r} is measured, which needs {key}={allowed}: one episode "
                "at a time in one process, so that nothing else is timed. Leave the key out."
            )
    return dataclasses.replace(runner, executor=Executor.IN_PROCESS.value, interleave=1)
