"""Checks of single values in the world config: each is named, with what was got and what is allowed."""

from __future__ import annotations

import math
import sys
from typing import Any

from simloop.errors import ParameterError


def whole_number(key: str, value: Any, lowest: int, highest: int | None = None, *, or_: str = "") -> int:
    """Returns a whole number between two bounds, which it may be.

    Args:
        key: The world config's key.
        value: What was given.
        lowest: Smallest allowed number.
        highest: Largest allowed number; None for any.
        or_: What else the key may be, for the message.

    Raises:
        ParameterError: It is something else.
    """
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < lowest or (highest is not None and value > highest):
        span = f"from {lowest}" if highest is None else f"{lowest} to {highest}"
        raise ParameterError(f"World config key {key!r} is {value!r}; allowed: {span}, a whole number{or_}.")
    return int(value)


def number_above_0(key: str, value: Any, highest: float = math.inf, *, unit: str) -> float:
    """Returns a number above 0.

    Args:
        key: The world config's key.
        value: What was given.
        highest: Largest allowed number.
        unit: Its unit, for the message.

    Raises:
        ParameterError: It is something else.
    """
    if not is_number(value) or not 0.0 < value <= highest:
        end = "" if highest == math.inf else f", to {highest:g}"
        raise ParameterError(
            f"World config key {key!r} is {value!r}; allowed: a number above 0{end} ({unit})."
        )
    return float(value)


def is_number(value: Any) -> bool:
    """Whether a value is a number that a float can hold; a word, a truth value or a whole number past it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, float) or abs(value) <= sys.float_info.max


def words(key: str, value: Any, example: str) -> str:
    """Returns a string that says something.

    Args:
        key: The world config's key.
        value: What was given.
        example: One that is allowed, for the message.

    Raises:
        ParameterError: It is something else.
    """
    if not isinstance(value, str) or not value.strip():
        raise ParameterError(f"World config key {key!r} is {value!r}; allowed: a string such as {example!r}.")
    return value
