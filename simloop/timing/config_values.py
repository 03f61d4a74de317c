"""Reads plain values of a latency configuration; what does not fit is named with its key and what is allowed."""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from simloop.clock import NS_PER_MS
from simloop.errors import ParameterError, UnknownNameError

_E = TypeVar("_E", bound=enum.Enum)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def number(
    config: Mapping[str, Any],
    key: str,
    where: str,
    default: float | None = None,
    *,
    low: float = 0.0,
    high: float = math.inf,
    above: bool = False,
) -> float:
    """Returns the number under ``key``: at least ``low`` (more, if ``above``) and at most ``high``."""
    allowed = f"a number {'>' if above else '>='} {low:g}" + (
        f" and <= {high:g}" if math.isfinite(high) else ""
    )
    value = config.get(key, default)
    if value is None:
        raise ParameterError(f"{where}: {key} is missing; it takes {allowed}.")
    if not _is_number(value) or value < low or value > high or (above and value == low):
        raise ParameterError(f"{where}.{key} is {value!r}; allowed: {allowed}.")
    return float(value)


def probability(config: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    """Returns the probability (or correlation) under ``key``, from 0 to 1."""
    return number(config, key, where, default, high=1.0)


def milliseconds(config: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    """Returns the duration of ``key``, given in milliseconds, in nanoseconds."""
    return number(config, key, where, default) * NS_PER_MS


def whole(config: Mapping[str, Any], key: str, where: str, default: int | None = None, *, low: int) -> int:
    """Returns the whole number >= ``low`` under ``key``."""
    value = config.get(key, default)
    if value is None:
        raise ParameterError(f"{where}: {key} is missing; it takes a whole number >= {low}.")
    if type(value) is not int or value < low:
        raise ParameterError(f"{where}.{key} is {value!r}; allowed: a whole number >= {low}.")
    return value


def flag(value: Any, where: str) -> bool:
    """Returns a truth value."""
    if not isinstance(value, bool):
        raise ParameterError(f"{where} is {value!r}; allowed: true or false.")
    return value


def choice(kind: type[_E], value: Any, where: str) -> _E:
    """Returns the member of an enumeration with that value."""
    try:
        return kind(value)
    except ValueError:
        raise ParameterError(f"{where} is {value!r}; allowed: {', '.join(m.value for m in kind)}.") from None


def mapping(value: Any, where: str, keys: Collection[str], what: str = "") -> Mapping[str, Any]:
    """Returns a mapping that has no key besides ``keys``."""
    if not isinstance(value, Mapping):
        raise ParameterError(f"{where} is {value!r}; allowed: a mapping with the keys {_listed(keys)}.")
    unknown = sorted(str(k) for k in value if k not in keys)
    if unknown:
        raise ParameterError(f"{where}: unknown keys {unknown}; {what or 'it'} takes: {_listed(keys)}.")
    return value


def one_of(value: Any, names: Collection[str], what: str, where: str) -> str:
    """Returns a name out of ``names``.

    Raises:
        UnknownNameError: It is none of them.
    """
    if value not in names:
        raise UnknownNameError(what, str(value), names, where=where)
    return str(value)


def _listed(keys: Collection[str]) -> str:
    return ", ".join(sorted(keys))
