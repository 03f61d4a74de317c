"""Every error that simloop raises on purpose.

Tree::

    SimloopError
    |- ConfigurationError (ValueError)      what the user wrote does not fit
    |  |- UnknownNameError                  a name that nothing answers to
    |  |- ParameterError                    a value outside its type, unit or range
    |  |- IncompatibleAgentError            agent and world (or strategy) do not fit each other
    |  `- MissingWeightsError               a model's weights are not where they should be
    |- MissingDependencyError (ImportError) an optional package is not installed
    |- PluginError                          an entry point does not load or has the wrong type
    |- AgentError                           the agent raised, or its reply is not usable
    |- WorldError                           the world raised, or broke its contract
    |- LogError                             an episode log does not follow its schema
    |- TraceError                           a latency trace cannot be read, was altered, or is not of this episode
    |  `- TraceDivergenceError              a replayed episode left its trace; names the first event that differs
    `- ResultsError                         a results folder cannot be read, or belongs to another run

A message names what was wrong, what was got, what is allowed and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SimloopError(Exception):
    """Base of every error that simloop raises on purpose."""


class ConfigurationError(SimloopError, ValueError):
    """What the user configured does not fit; nothing was started."""


class UnknownNameError(ConfigurationError):
    """A name that nothing answers to.

    Args:
        kind: What was looked up, singular, for example ``"scenario"``.
        got: The name that was asked for.
        allowed: The names that exist.
        where: File or key that holds the name, when there is one.
    """

    def __init__(self, kind: str, got: str, allowed: Iterable[str], *, where: str | None = None) -> None:
        self.kind = kind
        self.got = got
        self.allowed = tuple(sorted(allowed))
        near = difflib.get_close_matches(got, self.allowed, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        place = f" in {where}" if where else ""
        known = ", ".join(self.allowed) if self.allowed else "(none)"
        super().__init__(f"Unknown {kind} {got!r}{place}.{hint} Available: {known}.")

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_unknown_name, (self.kind, self.got, self.allowed, str(self)))


def _rebuild_unknown_name(kind: str, got: str, allowed: tuple[str, ...], message: str) -> UnknownNameError:
    error = UnknownNameError(kind, got, allowed)
    error.args = (message,)
    return error


class ParameterError(ConfigurationError):
    """A value outside its type, unit or range."""


class IncompatibleAgentError(ConfigurationError):
    """Agent and world, or agent and strategy, do not fit each other."""


class MissingWeightsError(ConfigurationError):
    """A model's weights are not where they should be."""


class MissingDependencyError(SimloopError, ImportError):
    """An optional package is not installed; the message gives the command that installs it."""


class PluginError(SimloopError):
    """An entry point does not load or has the wrong type; carries its traceback."""


class AgentError(SimloopError):
    """The agent raised, or its reply is not usable (NaN, wrong shape)."""


class WorldError(SimloopError):
    """The world raised, or broke its contract."""


class CallTimeoutError(SimloopError):
    """One uninterrupted call of a world or an agent exceeded its wall limit."""


class LogError(SimloopError):
    """An episode log does not follow its schema."""


class TraceError(SimloopError):
    """A latency trace cannot be read, was altered, or does not hold what is asked of it."""


class TraceDivergenceError(TraceError):
    """A replayed episode left its trace at an event.

    Args:
        episode: Episode of the trace.
        stage: Stage of the first event that differs.
        sequence: Its number in that stage.
        recorded_ns: Start instant in the trace; -1 if the trace has no such event.
        met_ns: Start instant in the replay; -1 if the replay never came to it.
        reason: What that means, in words.
    """

    def __init__(
        self, *, episode: str, stage: str, sequence: int, recorded_ns: int, met_ns: int, reason: str
    ) -> None:
        self.episode = episode
        self.stage = stage
        self.sequence = sequence
        self.recorded_ns = recorded_ns
        self.met_ns = met_ns
        self.reason = reason
        recorded = f"starts at {recorded_ns} ns in the trace" if recorded_ns >= 0 else "is not in the trace"
        met = f"at {met_ns} ns in the replay" if met_ns >= 0 else "never in the replay"
        super().__init__(
            f"The replay left the trace of episode {episode} at event {sequence} of stage {stage!r}: it {recorded}, "
            f"{met}. {reason}"
        )

    def __reduce__(self) -> tuple[object, ...]:
        values = (self.episode, self.stage, self.sequence, self.recorded_ns, self.met_ns, self.reason)
        return (_rebuild_trace_divergence, values)


def _rebuild_trace_divergence(
    episode: str, stage: str, sequence: int, recorded_ns: int, met_ns: int, reason: str
) -> TraceDivergenceError:
    return TraceDivergenceError(
        episode=episode,
        stage=stage,
        sequence=sequence,
        recorded_ns=recorded_ns,
        met_ns=met_ns,
        reason=reason,
    )


class ResultsError(SimloopError):
    """A results folder cannot be read, or belongs to another run."""
