"""Worlds that play on one server of others, an episode at a time: runs have one worker there."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from simloop.compose import split_overrides
from simloop.errors import ConfigurationError
from simloop.runner.config import Executor, RunnerConfig

_LOG = logging.getLogger(__name__)


@runtime_checkable
class PlaysOnServer(Protocol):
    """What a world has that may play on a server which other worlds of the same configuration use too.

    Attributes:
        shared_server: Where that server is, which plays one episode at a time; None for a world that plays by itself.
    """

    shared_server: str | None


def one_worker_for(runner: RunnerConfig, servers: Sequence[str], words: Sequence[str]) -> RunnerConfig:
    """Returns how a run on shared servers is executed; unchanged where there are none.

    Args:
        runner: The composed choice.
        servers: The shared servers of the run's worlds.
        words: The command line's words; what they ask for is refused rather than replaced.

    Raises:
        ConfigurationError: The words ask for several workers.
    """
    if not servers or runner.executor == Executor.IN_PROCESS.value or runner.workers == 1:
        return runner
    where = ", ".join(servers)
    if "runner.workers" in split_overrides(words) and runner.workers > 1:
        raise ConfigurationError(
            f"runner.workers is {runner.workers}; the world plays on the server at {where}, which has one episode at a "
            "time: allowed is 1. Leave the key out, or leave out the server for one of each worker's own."
        )
    _LOG.warning("One worker: the server at %s plays one episode at a time.", where)
    return dataclasses.replace(runner, workers=1)
