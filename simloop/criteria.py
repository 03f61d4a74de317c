"""What a suite must reach to pass: the ``criteria`` list of a suite file, checked strictly before anything starts.

Four kinds of entry::

    - all_episodes_ended: true                      # every episode ended as success or fail
    - {metric: success, agent: expert, timing: zero, at_least: 0.9, per: scenario}
    - {compare: [unified, unified_scratch], metric: success, test: greater, alpha: 0.05}
    - {preventable_fails: {agent: expert, at_most: 0}}   # in a suite with reference_agents; or at_most_ratio: 0.01

``metric`` is ``success`` (the episode's verdict) or any metric by name. ``scenario``, ``world``, ``agent``, ``timing``
and ``strategy`` select episodes; each takes a name or a list of names. Every entry may have a ``name`` for reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simloop.criterion import (
    AXES,
    COMPARED_AXES,
    STATISTICS,
    CompareCriterion,
    Criterion,
    EndedCriterion,
    PreventableCriterion,
    Selection,
    ThresholdCriterion,
)
from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.stats.paired import Alternative

_TESTS = {"greater": Alternative.GREATER, "less": Alternative.LESS, "different": Alternative.DIFFERENT}
_THRESHOLD_KEYS = ("name", "metric", "statistic", "at_least", "at_most", "per", *AXES)
_COMPARE_KEYS = ("name", "metric", "compare", "axis", "test", "alpha", *AXES)
_ENDED_KEYS = ("name", "all_episodes_ended")
_PREVENTABLE_KEYS = ("name", "preventable_fails")
_PREVENTABLE_BOUNDS = ("at_most", "at_most_ratio")


def parse_criteria(entries: Iterable[Any], where: str) -> tuple[Criterion, ...]:
    """Reads the ``criteria`` list of a suite.

    Args:
        entries: Plain values, as YAML gives them.
        where: File that they come from, for messages.

    Raises:
        ConfigurationError: An entry is no mapping, lacks a key or has keys that do not go together.
        UnknownNameError: A key, axis, statistic or test is unknown.
        ParameterError: A value has the wrong type or is out of range.
    """
    if isinstance(entries, (str, Mapping)) or not isinstance(entries, Iterable):
        raise ConfigurationError(
            f"{where}: criteria is {type(entries).__name__}; allowed: a list of mappings."
        )
    return tuple(_parse_one(entry, f"{where}: criteria[{i}]") for i, entry in enumerate(entries))


def _parse_one(entry: Any, where: str) -> Criterion:
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where} is {type(entry).__name__}; allowed: a mapping, see docs/log.md.")
    if "all_episodes_ended" in entry:
        return _parse_ended(entry, where)
    if "compare" in entry:
        return _parse_compare(entry, where)
    if "preventable_fails" in entry:
        return _parse_preventable(entry, where)
    return _parse_threshold(entry, where)


def _parse_preventable(entry: Mapping[str, Any], where: str) -> PreventableCriterion:
    _check_keys(entry, _PREVENTABLE_KEYS, where)
    block, place = entry["preventable_fails"], f"{where}: preventable_fails"
    if not isinstance(block, Mapping):
        raise ParameterError(
            f"{place} is {block!r}; allowed: a mapping, for example {{agent: expert, at_most: 0}}."
        )
    _check_keys(block, (*_PREVENTABLE_BOUNDS, *AXES), place)
    most, ratio = _number(block, "at_most", place), _number(block, "at_most_ratio", place)
    if (most is None) == (ratio is None):
        raise ConfigurationError(
            f"{place} must have at_most (a number of cases) or at_most_ratio, and one of them."
        )
    if most is not None and (most < 0 or most != int(most)):
        raise ParameterError(f"{place}: at_most is {most:g}; allowed: a whole number >= 0.")
    if ratio is not None and not 0.0 <= ratio <= 1.0:
        raise ParameterError(f"{place}: at_most_ratio is {ratio:g}; allowed: a number from 0 to 1.")
    selection = _selection(block, place)
    bound = f"at most {most:g}" if most is not None else f"a share of at most {ratio:g}"
    return PreventableCriterion(
        name=_text(entry, "name", f"{bound} preventable fails of {selection}", where),
        selection=selection,
        at_most=None if most is None else int(most),
        at_most_ratio=ratio,
    )


def _parse_ended(entry: Mapping[str, Any], where: str) -> EndedCriterion:
    _check_keys(entry, _ENDED_KEYS, where)
    if entry["all_episodes_ended"] is not True:
        raise ParameterError(
            f"{where}: all_episodes_ended is {entry['all_episodes_ended']!r}; allowed: true, or leave the entry out."
        )
    return EndedCriterion(name=_text(entry, "name", EndedCriterion().name, where))


def _parse_threshold(entry: Mapping[str, Any], where: str) -> ThresholdCriterion:
    _check_keys(entry, _THRESHOLD_KEYS, where)
    metric = _metric(entry, where)
    at_least, at_most = _number(entry, "at_least", where), _number(entry, "at_most", where)
    if at_least is None and at_most is None:
        raise ConfigurationError(f"{where} bounds nothing; give at_least, at_most or both.")
    statistic = _text(entry, "statistic", "mean", where)
    if statistic not in STATISTICS:
        raise UnknownNameError("statistic", statistic, STATISTICS, where=where)
    selection, per = _selection(entry, where), _names(entry, "per", where)
    for axis in per:
        if axis not in AXES:
            raise UnknownNameError("axis", axis, AXES, where=f"{where}: per")
    limits = (("at least", at_least), ("at most", at_most))
    bounds = " and ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)
    each = f" for each {' and '.join(per)}" if per else ""
    default = f"{statistic} {metric} of {selection}{each} is {bounds}"
    return ThresholdCriterion(
        name=_text(entry, "name", default, where),
        metric=metric,
        selection=selection,
        statistic=statistic,
        at_least=at_least,
        at_most=at_most,
        per=per,
    )


def _parse_compare(entry: Mapping[str, Any], where: str) -> CompareCriterion:
    _check_keys(entry, _COMPARE_KEYS, where)
    metric, arms = _metric(entry, where), _names(entry, "compare", where)
    if len(arms) != 2 or arms[0] == arms[1]:
        raise ParameterError(
            f"{where}: compare is {entry['compare']!r}; allowed: a list of two different names."
        )
    axis = _text(entry, "axis", "agent", where)
    if axis in AXES and axis not in COMPARED_AXES:
        raise ParameterError(
            f"{where}: axis is {axis!r}; allowed: {', '.join(COMPARED_AXES)}. Two values of {axis!r} have no case in "
            "common, so that there are no pairs to test."
        )
    if axis not in COMPARED_AXES:
        raise UnknownNameError("axis", axis, COMPARED_AXES, where=where)
    if axis in entry:
        raise ConfigurationError(
            f"{where} compares two values of {axis!r} and selects one of them; drop the latter."
        )
    test = _text(entry, "test", "greater", where)
    if test not in _TESTS:
        raise UnknownNameError("test", test, _TESTS, where=where)
    alpha = _number(entry, "alpha", where)
    if alpha is not None and not 0.0 < alpha < 1.0:
        raise ParameterError(f"{where}: alpha is {alpha:g}; allowed: a number between 0 and 1.")
    selection = _selection(entry, where)
    relation = "differs from" if test == "different" else f"is {test} than"
    return CompareCriterion(
        name=_text(entry, "name", f"{metric} of {arms[0]} {relation} that of {arms[1]} ({selection})", where),
        metric=metric,
        selection=selection,
        axis=axis,
        first=arms[0],
        second=arms[1],
        alternative=_TESTS[test],
        alpha=0.05 if alpha is None else alpha,
    )


def _check_keys(entry: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in entry:
        if key not in allowed:
            raise UnknownNameError("key", str(key), allowed, where=where)


def _metric(entry: Mapping[str, Any], where: str) -> str:
    if "metric" not in entry:
        raise ConfigurationError(f"{where} has no metric; give 'success' or a metric's name.")
    return _text(entry, "metric", "", where)


def _text(entry: Mapping[str, Any], key: str, default: str, where: str) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str) or not value:
        raise ParameterError(f"{where}: {key} is {value!r}; allowed: a text.")
    return value


def _number(entry: Mapping[str, Any], key: str, where: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ParameterError(f"{where}: {key} is {value!r}; allowed: a number.")
    return float(value)


def _names(entry: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = entry.get(key, ())
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) and n for n in names):
        raise ParameterError(f"{where}: {key} is {value!r}; allowed: a name or a list of names.")
    return tuple(names)


def _selection(entry: Mapping[str, Any], where: str) -> Selection:
    return Selection(names=tuple((axis, _names(entry, axis, where)) for axis in AXES if axis in entry))
