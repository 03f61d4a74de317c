"""The strategies by name, and which of them an agent can run."""

from __future__ import annotations

from collections.abc import Mapping

from simloop.agent import AgentSpec
from simloop.errors import IncompatibleAgentError, ParameterError
from simloop.strategies.aggregate import Aggregate
from simloop.strategies.blocking import Blocking
from simloop.strategies.correction import Correction
from simloop.strategies.fast_slow import FastSlow
from simloop.strategies.future_state import FutureState
from simloop.strategies.naive_async import NaiveAsync
from simloop.strategies.paused import Paused
from simloop.strategies.prefix import Prefix
from simloop.strategies.rtc import RealTimeChunking
from simloop.strategies.rules import WHERE, PredictorKind, Trigger
from simloop.strategies.strategy import Strategy
from simloop.strategies.temporal_ensemble import TemporalEnsemble

STRATEGIES: Mapping[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (
        Paused,
        Blocking,
        NaiveAsync,
        TemporalEnsemble,
        Aggregate,
        RealTimeChunking,
        Prefix,
        FutureState,
        Correction,
        FastSlow,
    )
}
"""Every strategy that simloop brings, by name."""


def strategies_for(agent: AgentSpec) -> tuple[str, ...]:
    """Returns the names of the strategies for which ``agent`` has what they need, in the order of ``STRATEGIES``."""
    return tuple(name for name, strategy in STRATEGIES.items() if not _lacking(strategy, agent))


def check_agent(strategy: Strategy, agent: AgentSpec) -> None:
    """Checks, before the first episode, that ``agent`` can be run with ``strategy``.

    Raises:
        IncompatibleAgentError: The agent lacks a call or a capability, or its chunk is shorter than s; the message
            lists the strategies that it can run.
        ParameterError: A rule asks for more actions than a chunk has.
    """
    lacking = _lacking(strategy, agent)
    if lacking:
        supported = sorted(c.value for c in agent.capabilities)
        raise IncompatibleAgentError(
            f"Strategy {strategy.name!r} needs an agent with {', '.join(lacking)}; agent {agent.name!r} supports: "
            f"{', '.join(supported) or 'plain chunks only'}, and answers: "
            f"{', '.join(sorted(c.value for c in agent.calls))}. Strategies that it can run: "
            f"{', '.join(strategies_for(agent)) or '(none)'}."
        )
    if agent.horizon < strategy.execution_horizon:
        raise IncompatibleAgentError(
            f"Agent {agent.name!r} plans chunks of {agent.horizon} actions; strategy {strategy.name!r} executes "
            f"{strategy.execution_horizon} of each. Lower strategy.execution_horizon to at most {agent.horizon}."
        )
    _check_lengths(strategy, agent)


def _lacking(strategy: Strategy | type[Strategy], agent: AgentSpec) -> list[str]:
    capabilities = sorted(c.value for c in strategy.needs - agent.capabilities)
    return [*capabilities, *(f"{c.value} calls" for c in strategy.calls if c not in agent.calls)]


def _check_lengths(strategy: Strategy, agent: AgentSpec) -> None:
    rules, horizon = strategy.rules, agent.horizon
    if rules.trigger is Trigger.REMAINING_BELOW and rules.trigger_ticks > horizon:
        raise ParameterError(
            f"{WHERE}.trigger_ticks is {rules.trigger_ticks}, but a chunk of agent {agent.name!r} has {horizon} "
            f"actions; allowed: 1 to {horizon}."
        )
    if not strategy.needs:
        return
    predictor, margin = rules.predictor, rules.prefix_margin_ticks
    is_constant = predictor.kind is PredictorKind.CONSTANT
    lengths = {
        f"{WHERE}.prefix_margin_ticks": margin,
        f"{WHERE}.predictor.bias_ticks": predictor.bias_ticks,
        f"{WHERE}.predictor.ticks": (predictor.ticks or 0) if is_constant else 0,
    }
    if sum(lengths.values()) > horizon:
        given = ", ".join(f"{key} is {value}" for key, value in lengths.items() if value)
        raise ParameterError(
            f"{given}: strategy {strategy.name!r} would hand over {sum(lengths.values())} actions, but a chunk of "
            f"agent {agent.name!r} has {horizon}; allowed: {horizon} together."
        )
