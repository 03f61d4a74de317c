"""The criteria of a suite: what is accepted, and how what is not is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from simloop.criteria import parse_criteria
from simloop.criterion import (
    CompareCriterion,
    EndedCriterion,
    PreventableCriterion,
    Selection,
    ThresholdCriterion,
    check_names,
)
from simloop.errors import ConfigurationError, SimloopError, UnknownNameError
from simloop.stats.paired import Alternative


def parse(text: str) -> Any:
    return parse_criteria(yaml.safe_load(text), "smoke.yaml")


def test_the_three_kinds() -> None:
    ended, threshold, compare = parse(
        """
        - all_episodes_ended: true
        - {metric: success, agent: expert, timing: [zero, fast], at_least: 0.9, per: scenario}
        - {compare: [unified, unified_scratch], metric: success, test: greater, alpha: 0.01, name: learned}
        """
    )
    assert ended == EndedCriterion()
    assert threshold == ThresholdCriterion(
        name="mean success of agent expert, timing zero or fast for each scenario is at least 0.9",
        metric="success",
        selection=Selection(names=(("agent", ("expert",)), ("timing", ("zero", "fast")))),
        at_least=0.9,
        per=("scenario",),
    )
    assert compare == CompareCriterion(
        name="learned",
        metric="success",
        selection=Selection(),
        axis="agent",
        first="unified",
        second="unified_scratch",
        alternative=Alternative.GREATER,
        alpha=0.01,
    )


def test_a_selection_matches_rows_by_column() -> None:
    selection = Selection(names=(("agent", ("a", "b")), ("timing", ("zero",))))
    assert selection.matches({"agent": "b", "timing": "zero", "scenario": "x"})
    assert not selection.matches({"agent": "c", "timing": "zero"})
    assert not selection.matches({"agent": "a", "timing": "slow"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{metric: success}", r"criteria is dict; allowed: a list"),
        ("[5]", r"criteria\[0\] is int; allowed: a mapping"),
        (
            "[{metric: success, at_leest: 0.9}]",
            r"Unknown key 'at_leest' in .*Did you mean 'at_least'\? Available: ",
        ),
        ("[{metric: success}]", r"criteria\[0\] bounds nothing; give at_least, at_most or both"),
        ("[{at_least: 0.9}]", r"has no metric; give 'success' or a metric's name"),
        ("[{metric: success, at_least: high}]", r"at_least is 'high'; allowed: a number"),
        ("[{metric: success, at_least: true}]", r"at_least is True; allowed: a number"),
        ("[{metric: 3, at_least: 1}]", r"metric is 3; allowed: a text"),
        ("[{metric: success, agent: 3, at_least: 1}]", r"agent is 3; allowed: a name or a list of names"),
        ("[{metric: success, at_least: 1, statistic: modus}]", r"Unknown statistic 'modus'"),
        ("[{metric: success, at_least: 1, per: weather}]", r"Unknown axis 'weather'"),
        ("[{compare: [a], metric: success}]", r"allowed: a list of two different names"),
        ("[{compare: [a, a], metric: success}]", r"allowed: a list of two different names"),
        ("[{compare: [a, b], metric: success, test: better}]", r"Unknown test 'better'"),
        ("[{compare: [a, b], metric: success, axis: weather}]", r"Unknown axis 'weather'"),
        (
            "[{compare: [a, b], metric: success, axis: scenario}]",
            r"axis is 'scenario'; allowed: agent, timing, strat",
        ),
        ("[{compare: [a, b], metric: success, axis: world}]", r"values of 'world' have no case in common"),
        ("[{compare: [a, b], metric: success, agent: a}]", r"compares two values of 'agent' and selects one"),
        ("[{compare: [a, b], metric: success, alpha: 2}]", r"alpha is 2; allowed: a number between 0 and 1"),
        ("[{all_episodes_ended: false}]", r"all_episodes_ended is False; allowed: true"),
        ("[{all_episodes_ended: true, agent: a}]", r"Unknown key 'agent'"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(SimloopError, match=message) as caught:
        parse(text)
    assert isinstance(caught.value, ConfigurationError)
    assert "smoke.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{metric: sucess, at_least: 1}]", "Unknown metric 'sucess'.*Did you mean 'success'"),
        (
            "[{metric: ldlj, at_least: -9, agent: experts}]",
            "Unknown agent 'experts'.*Available: expert, unified",
        ),
        ("[{compare: [unified, scratch], metric: success}]", "Unknown agent 'scratch'"),
        ("[{compare: [zero, slow], axis: timing, metric: success}]", "Unknown timing 'slow'"),
    ],
)
def test_names_are_checked_against_the_run(text: str, message: str) -> None:
    axes = {"agent": ["expert", "unified"], "timing": ["zero"]}
    with pytest.raises(UnknownNameError, match=message):
        check_names(parse(text), axes, ["ldlj"], "smoke.yaml")


def test_names_of_the_run_and_unchecked_axes_are_fine() -> None:
    criteria = parse(
        "[{all_episodes_ended: true}, {metric: ldlj, at_least: -9, agent: expert, scenario: any}]"
    )
    check_names(criteria, {"agent": ["expert"]}, ["ldlj"], "smoke.yaml")
    assert len(criteria) == 2


def test_a_bound_on_what_was_preventable() -> None:
    most, ratio = parse(
        """
        - {preventable_fails: {agent: expert, at_most: 0}}
        - {name: few, preventable_fails: {scenario: [a, b], at_most_ratio: 0.01}}
        """
    )
    selection = Selection(names=(("agent", ("expert",)),))
    name = "at most 0 preventable fails of agent expert"
    assert most == PreventableCriterion(name=name, selection=selection, at_most=0)
    assert (ratio.name, ratio.at_most, ratio.at_most_ratio) == ("few", None, 0.01)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("[expert]", "preventable_fails is .'expert'.; allowed: a mapping"),
        ("{agent: expert}", "must have at_most .a number of cases. or at_most_ratio"),
        ("{at_most: 0, at_most_ratio: 0}", "and one of them"),
        ("{at_most: 0.5}", "at_most is 0.5; allowed: a whole number >= 0"),
        ("{at_most: -1}", "at_most is -1; allowed"),
        ("{at_most_ratio: 2}", "at_most_ratio is 2; allowed: a number from 0 to 1"),
        ("{at_most: 0, agnet: expert}", "Unknown key 'agnet'"),
    ],
)
def test_bounds_on_what_was_preventable_that_are_refused(block: str, message: str) -> None:
    with pytest.raises(SimloopError, match=message):
        parse(f"- {{preventable_fails: {block}}}")
