"""What the points of a curve differ in: an added latency, or the value of one key of the timing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from simloop.errors import ConfigurationError, ParameterError

_PREFIX = "timing."


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """One key of the timing that is varied in place of an added latency.

    Attributes:
        key: Dotted key inside the timing, ``downlink.jitter_ms``.
        values: Its value at each level, as on the command line.
        name: What the levels are, with their unit.
    """

    key: str
    values: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepAxis:
    """How the levels of a sweep are named.

    Attributes:
        name: What is varied, with its unit.
        column: Column of tables and files that holds the level.
        unit: Text behind a level.
        is_latency: Whether the level is an added latency, so that area, L95 and slope mean something.
    """

    name: str
    column: str
    unit: str
    is_latency: bool

    def text(self, level: float) -> str:
        """Returns a level with its unit."""
        return f"{level:g}{self.unit}"


LATENCY = SweepAxis(name="added latency (ms)", column="latency_ms", unit=" ms", is_latency=True)


def sweep_axis(definition: Mapping[str, Any]) -> SweepAxis:
    """Returns the axis of a sweep's definition as plain values."""
    varied = definition.get("variation")
    if varied is None:
        return LATENCY
    return SweepAxis(name=str(varied["name"]), column="level", unit="", is_latency=False)


def rising_numbers(text: str, key: str, *, is_whole: bool = False) -> tuple[float, ...]:
    """Returns numbers that are separated by commas.

    Raises:
        ParameterError: They do not rise, one is negative, infinite or, with ``is_whole``, not whole.
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (math.nan,)
    is_rising = all(a < b for a, b in itertools.pairwise(values))
    fits = all(0.0 <= v < math.inf and (v == int(v) or not is_whole) for v in values)
    if not is_rising or not fits:
        raise ParameterError(
            f"{key} is {text!r}; allowed: {'whole ' if is_whole else ''}numbers >= 0 that rise, separated by commas."
        )
    return values


def variation(words: Mapping[str, str]) -> tuple[Variation, tuple[float, ...]]:
    """Returns what ``vary``, ``levels`` and ``level_name`` say, and the levels.

    Raises:
        ConfigurationError: ``levels`` is missing or is not numbers or a mapping from numbers to values.
        ParameterError: ``vary`` is no key of the timing, or the levels do not rise.
    """
    key, text = words["vary"], words.get("levels", "")
    if not key.startswith(_PREFIX) or not all(part.isidentifier() for part in key.split(".")):
        raise ParameterError(
            f"vary is {key!r}; allowed: a key of the timing, such as timing.downlink.jitter_ms."
        )
    name = words.get("level_name", key.removeprefix(_PREFIX))
    if not text.lstrip().startswith("{"):
        levels = rising_numbers(text, "levels")
        values = tuple(part.strip() for part in text.split(","))
    else:
        try:
            given = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"levels is {text!r}, which is not YAML: {error}") from error
        levels = rising_numbers(",".join(str(level) for level in given), "levels")
        values = tuple(override_text(value) for value in given.values())
    return Variation(key=key.removeprefix(_PREFIX), values=values, name=name), levels


def override_text(value: Any) -> str:
    """Returns a YAML value as text on one line, as it is written behind ``key=`` on a command line."""
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("...\n").strip()
