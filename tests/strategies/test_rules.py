"""The rules of chunks: their defaults, their errors, what they decide."""

from __future__ import annotations

import re
from typing import Any

import pytest

from simloop import compose
from simloop.errors import ParameterError, UnknownNameError
from simloop.strategies.catalogue import STRATEGIES
from simloop.strategies.rules import Align, ChunkRules, Overrun, PredictorKind, Trigger, rules_from_config


def test_nothing_given_is_the_default() -> None:
    assert (
        rules_from_config(None)
        == rules_from_config({})
        == rules_from_config({"predictor": {}})
        == ChunkRules()
    )


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_shipped_is_the_default(name: str) -> None:
    made = compose.make_strategy(compose.component("strategy", name))
    default = STRATEGIES[name]()
    assert type(made) is STRATEGIES[name]
    assert made.rules == default.rules == ChunkRules()
    assert made.execution_horizon == default.execution_horizon
    assert compose.description("strategy", name) == made.description


def test_values_reach_the_rules() -> None:
    rules = rules_from_config(
        {
            "align": "by_time",
            "overrun": "extend_prefix",
            "prefix_margin_ticks": 2,
            "drop_older": False,
            "max_age_ms": 12.5,
            "trigger": "queue_below",
            "trigger_fraction": 1,
            "predictor": {"kind": "constant", "ticks": 0},
        }
    )
    assert (rules.align, rules.overrun, rules.trigger) == (
        Align.BY_TIME,
        Overrun.EXTEND_PREFIX,
        Trigger.QUEUE_BELOW,
    )
    assert (rules.prefix_margin_ticks, rules.drop_older, rules.max_age_ns) == (2, False, 12_500_000)
    assert (rules.predictor.kind, rules.predictor.ticks) == (PredictorKind.CONSTANT, 0)


WHOLE = "a whole number"
INVALID: list[tuple[dict[str, Any], str, str]] = [
    ({"align": "by_row"}, "align is 'by_row'", "by_tick, by_time, restart"),
    ({"align": None}, "align is None", "by_tick, by_time, restart"),
    ({"overrun": "drop"}, "overrun is 'drop'", "use, discard, extend_prefix"),
    ({"trigger": "never"}, "trigger is 'never'", "every, remaining_below, queue_below, as_soon_as_free"),
    ({"trigger_ticks": 0}, "trigger_ticks is 0", f"{WHOLE} >= 1"),
    ({"trigger_ticks": 2.5}, "trigger_ticks is 2.5", f"{WHOLE} >= 1"),
    ({"trigger_fraction": 0}, "trigger_fraction is 0", "above 0 and at most 1"),
    ({"trigger_fraction": 1.1}, "trigger_fraction is 1.1", "above 0 and at most 1"),
    ({"prefix_margin_ticks": -1}, "prefix_margin_ticks is -1", f"{WHOLE} >= 0"),
    ({"prefix_margin_ticks": 1}, "prefix_margin_ticks is 1", "overrun extend_prefix only"),
    ({"drop_older": "yes"}, "drop_older is 'yes'", "true, false"),
    ({"max_age_ms": -1}, "max_age_ms is -1", "a number >= 0, or null"),
    ({"max_age_ms": float("nan")}, "max_age_ms is nan", "a number >= 0, or null"),
    ({"max_age_ms": "1 s"}, "max_age_ms is '1 s'", "a number >= 0, or null"),
    ({"predictor": "ewma"}, "predictor is 'ewma'", "a mapping"),
    (
        {"predictor": {"kind": "guess"}},
        "predictor.kind is 'guess'",
        "constant, max_of_window, p95_of_window, ewma, oracle",
    ),
    ({"predictor": {"kind": "constant", "ticks": -1}}, "predictor.ticks is -1", f"{WHOLE} >= 0"),
    ({"predictor": {"kind": "constant", "ticks": 1.0}}, "predictor.ticks is 1.0", f"{WHOLE} >= 0"),
    ({"predictor": {"ticks": 1}}, "predictor.ticks is 1", "kind constant only"),
    ({"predictor": {"window": 0}}, "predictor.window is 0", f"{WHOLE} >= 1"),
    ({"predictor": {"window": None}}, "predictor.window is None", f"{WHOLE} >= 1"),
    ({"predictor": {"alpha": 0.0}}, "predictor.alpha is 0.0", "above 0 and at most 1"),
    ({"predictor": {"alpha": True}}, "predictor.alpha is True", "above 0 and at most 1"),
    ({"predictor": {"rounding": "round"}}, "predictor.rounding is 'round'", "ceil, floor"),
    ({"predictor": {"bias_ticks": 0.5}}, "predictor.bias_ticks is 0.5", WHOLE),
    ({"predictor": {"noise_ticks": -0.1}}, "predictor.noise_ticks is -0.1", "a number >= 0"),
]


@pytest.mark.parametrize(("given", "wrong", "allowed"), INVALID, ids=[wrong for _, wrong, _ in INVALID])
def test_what_does_not_fit_is_named(given: dict[str, Any], wrong: str, allowed: str) -> None:
    match = rf"strategy\.rules\.{re.escape(wrong)}.*allowed: .*{re.escape(allowed)}"
    for strategy in ("naive_async", "rtc"):
        with pytest.raises(ParameterError, match=match):
            STRATEGIES[strategy](rules=given)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"overun": "use"}, r"Unknown key 'overun' in strategy\.rules\. Did you mean 'overrun'"),
        ({"predictor": {"size": 1}}, r"Unknown key 'size' in strategy\.rules\.predictor\. Available: alpha"),
    ],
)
def test_an_unknown_key_is_named(given: dict[str, Any], match: str) -> None:
    with pytest.raises(UnknownNameError, match=match):
        rules_from_config(given)


def test_a_rule_can_be_set_where_a_run_is_composed() -> None:
    chosen = compose.component(
        "strategy", "prefix", {"rules.predictor.window": "3", "rules.align": "by_time"}
    )
    made = compose.make_strategy(chosen)
    assert (made.rules.predictor.window, made.rules.align) == (3, Align.BY_TIME)
    with pytest.raises(
        UnknownNameError, match=r"Unknown key 'trigg' in strategy\.rules\. Did you mean 'trigger'"
    ):
        compose.make_strategy(compose.component("strategy", "prefix", {"rules.trigg": "every"}))
    with pytest.raises(ParameterError, match=r"strategy\.rules\.overrun is 'skip'; allowed: use, discard"):
        compose.make_strategy(compose.component("strategy", "rtc", {"rules.overrun": "skip"}))


@pytest.mark.parametrize(
    ("overrun", "margin", "d_hat", "d", "is_overrun", "is_discarded"),
    [
        ("use", 0, 3, 3, False, False),
        ("use", 0, 3, 4, True, False),
        ("discard", 0, 3, 3, False, False),
        ("discard", 0, 3, 4, True, True),
        ("extend_prefix", 2, 3, 5, False, False),
        ("extend_prefix", 2, 3, 6, True, False),
        ("extend_prefix", 0, 3, 4, True, False),
    ],
)
def test_over_run(
    overrun: str, margin: int, d_hat: int, d: int, is_overrun: bool, is_discarded: bool
) -> None:
    rules = rules_from_config({"overrun": overrun, "prefix_margin_ticks": margin})
    assert rules.is_overrun(d_hat, d) is is_overrun
    assert rules.is_discarded(d_hat, d) is is_discarded
