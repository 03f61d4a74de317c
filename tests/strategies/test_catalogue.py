"""Which strategies an agent can run, and what is said when it cannot."""

from __future__ import annotations

import pytest

from simloop import compose
from simloop.agent import AgentSpec, Call, Capability
from simloop.errors import IncompatibleAgentError, ParameterError
from simloop.strategies.catalogue import STRATEGIES, check_agent, strategies_for

PLAIN = ("paused", "blocking", "naive_async", "temporal_ensemble", "aggregate")
P, G, R = Capability.PREFIX, Capability.GUIDANCE, Capability.ROLLED_STATE


def _agent(
    *capabilities: Capability, calls: tuple[Call, ...] = (Call.POLICY,), horizon: int = 8
) -> AgentSpec:
    return AgentSpec(
        name="test",
        horizon=horizon,
        action_period_ns=1,
        embodiments=(),
        digest="",
        calls=frozenset(calls),
        capabilities=frozenset(capabilities),
    )


@pytest.mark.parametrize(
    ("agent", "names"),
    [
        (_agent(), PLAIN),
        (_agent(P), (*PLAIN, "prefix")),
        (_agent(G, R), (*PLAIN, "rtc", "future_state")),
        (_agent(calls=(Call.POLICY, Call.CORRECTOR)), (*PLAIN, "correction")),
        (_agent(calls=(Call.CONTEXT, Call.EXPERT)), ("fast_slow",)),
        (_agent(P, calls=(Call.CONTEXT,)), ()),
        (_agent(P, G, R, calls=tuple(Call)), tuple(STRATEGIES)),
    ],
)
def test_an_agent_runs_what_it_has_the_means_for(agent: AgentSpec, names: tuple[str, ...]) -> None:
    assert strategies_for(agent) == names
    for name, strategy in STRATEGIES.items():
        if name in names:
            check_agent(strategy(), agent)
        else:
            listed = ", ".join(names) or r"\(none\)"
            with pytest.raises(
                IncompatibleAgentError,
                match=rf"'{name}' needs an agent with .*'test'.* Strategies that it can run: {listed}\.$",
            ):
                check_agent(strategy(), agent)


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("rtc", "guidance"),
        ("prefix", "prefix"),
        ("future_state", "rolled_state"),
        ("correction", "corrector calls"),
        ("fast_slow", "expert calls, context calls"),
    ],
)
def test_what_is_lacking_is_named(name: str, lacking: str) -> None:
    with pytest.raises(
        IncompatibleAgentError,
        match=rf"needs an agent with {lacking}; agent 'test' supports: plain chunks only, and answers: policy",
    ):
        check_agent(STRATEGIES[name](), _agent())


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_chunk_is_at_least_s_long(name: str) -> None:
    agent = _agent(P, G, R, calls=tuple(Call))
    check_agent(STRATEGIES[name](execution_horizon=8), agent)
    with pytest.raises(
        IncompatibleAgentError, match=rf"chunks of 8 actions; strategy '{name}' executes 9 of each.*at most 8"
    ):
        check_agent(STRATEGIES[name](execution_horizon=9), agent)


@pytest.mark.parametrize("name", ["rtc", "prefix", "future_state"])
def test_a_prefix_is_at_most_a_chunk(name: str) -> None:
    agent = _agent(P, G, R)
    margin = {"overrun": "extend_prefix", "prefix_margin_ticks": 3}
    check_agent(STRATEGIES[name](rules={**margin, "predictor": {"kind": "constant", "ticks": 5}}), agent)
    for rules, match in [
        (
            {"predictor": {"kind": "constant", "ticks": 9}},
            r"strategy\.rules\.predictor\.ticks is 9: .* 9 actions",
        ),
        (
            {**margin, "predictor": {"kind": "constant", "ticks": 6}},
            r"strategy\.rules\.prefix_margin_ticks is 3, strategy\.rules\.predictor\.ticks is 6: .* 9 actions",
        ),
        ({"predictor": {"bias_ticks": 9}}, r"strategy\.rules\.predictor\.bias_ticks is 9: .* 9 actions"),
    ]:
        with pytest.raises(ParameterError, match=match + r", but a chunk of agent 'test' has 8; allowed: 8"):
            check_agent(STRATEGIES[name](rules=rules), agent)


def test_a_trigger_is_at_most_a_chunk() -> None:
    rules = {"trigger": "remaining_below", "trigger_ticks": 9}
    with pytest.raises(
        ParameterError, match=r"strategy\.rules\.trigger_ticks is 9, .*has 8 actions; allowed: 1 to 8"
    ):
        check_agent(STRATEGIES["naive_async"](rules=rules), _agent())


def test_every_strategy_is_shipped_and_names_its_source() -> None:
    assert sorted(STRATEGIES) == list(compose.choices("strategy"))
    for name, strategy in STRATEGIES.items():
        assert strategy.name == name
        assert strategy.description.endswith(".")
        assert strategy.source
        assert "\n" not in strategy.source
