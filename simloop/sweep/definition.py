"""What a sweep runs: read from the ``sweep`` block of a suite file, then changed by the command line."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.suites import whole_number
from simloop.sweep.axis import Variation, override_text, rising_numbers, variation

_HORIZON_RULE = re.compile(r"max\(d,\s*(\d+)\)")
DELAY_METRICS = ("realised_delay_p50_ticks", "realised_delay_p95_ticks", "realised_delay_max_ticks")
"""Metrics that every curve is printed with; a sweep always computes them."""
SWEEP_METRICS = (
    *DELAY_METRICS,
    "starvation_s",
    "action_age_mean_ms",
    "reaction_mean_ms",
    "reaction_p95_ms",
)
"""Metrics that a sweep computes unless it names others; each costs time in every episode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonRule:
    """The execution horizon s of a strategy at a delay of d ticks.

    Attributes:
        low: s, or its lower bound.
        follows_delay: Whether s is ``max(d, low)``; else it is ``low``.
    """

    low: int
    follows_delay: bool

    def at(self, delay_ticks: int) -> int:
        """Returns s at a delay."""
        return max(delay_ticks, self.low) if self.follows_delay else self.low

    def __str__(self) -> str:
        return f"max(d,{self.low})" if self.follows_delay else str(self.low)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySweep:
    """A sweep over an added latency, or over the values of one key of the timing.

    Attributes:
        scenario, agent, strategy: Names; the first strategy is the one that others are compared with.
        timing: Preset that the latency is added to, or of which a key is varied.
        levels: Rising: latencies in ``unit``, or what ``variation`` varies its key over.
        unit: ``ms``, or ``ticks`` of the world's control period; empty with ``variation``.
        variation: The key that is varied; None adds latencies.
        execution_horizon: s of the strategies that ask every few ticks; None leaves each as it is configured.
        first_seed, num_seeds: Cases of each scenario.
        overrides: Value text by dotted key inside a group (``timing.servers``), as on the command line.
        metrics: Metrics that are computed.
        num_critical_cases: Cases of each scenario whose critical latency is bisected, for each strategy.
        critical_tolerance_ms: Width at which a bisection ends.
        num_causes: Failures of each scenario and strategy whose first cause is looked for.
        num_twins: Cases of each scenario that are run again without their event.
        twin_tolerance_ratio: Share of an action entry's range up to which two actions count as equal.
        num_logs: Cases of each scenario whose logs are kept, for every arm.
    """

    scenario: tuple[str, ...]
    agent: tuple[str, ...]
    strategy: tuple[str, ...]
    levels: tuple[float, ...]
    unit: str = "ms"
    variation: Variation | None = None
    timing: str = "zero"
    execution_horizon: HorizonRule | None = None
    first_seed: int = 0
    num_seeds: int = 32
    overrides: tuple[tuple[str, str], ...] = ()
    metrics: tuple[str, ...] = SWEEP_METRICS
    num_critical_cases: int = 0
    critical_tolerance_ms: float = 10.0
    num_causes: int = 0
    num_twins: int = 0
    twin_tolerance_ratio: float = 0.02
    num_logs: int = 1

    @property
    def seeds(self) -> range:
        """The seeds."""
        return range(self.first_seed, self.first_seed + self.num_seeds)

    def plain(self) -> dict[str, Any]:
        """Returns the sweep as plain values, for the manifest."""
        values = dataclasses.asdict(self)
        values["execution_horizon"] = None if self.execution_horizon is None else str(self.execution_horizon)
        return values


_BLOCK_KEYS = (
    "kind", "scenario", "agent", "strategy", "timing", "latency_ms", "latency_ticks", "vary", "levels", "level_name",
    "execution_horizon", "seeds", "set", "metrics", "critical", "causes", "twins", "logs",
)  # fmt: skip
SWEEP_WORDS = (
    "scenario", "agent", "strategy", "timing", "latency_ms", "latency_ticks", "vary", "levels", "level_name", "s",
    "seeds.first", "seeds.count", "metrics", "critical.cases", "critical.tolerance_ms", "causes", "twins.cases",
    "twins.tolerance_ratio", "logs",
)  # fmt: skip
"""Keys of the command line that change a sweep."""
AXIS_WORDS = ("latency_ms", "latency_ticks", "vary")
"""Keys of which each sweep has exactly one."""
KINDS = ("latency", "timing")
"""What is swept: an added latency, or a key of the timing."""


def sweep_from_block(block: Any, where: str) -> dict[str, str]:
    """Returns the ``sweep`` block of a suite file as the words that say the same.

    Raises:
        ConfigurationError: The block is not a mapping, or a value of it has the wrong shape.
        UnknownNameError: A key is unknown.
    """
    if not isinstance(block, dict):
        raise ConfigurationError(
            f"{where} is {block!r}; it must be a mapping with: {', '.join(_BLOCK_KEYS)}."
        )
    words: dict[str, str] = {}
    for key, value in block.items():
        if key not in _BLOCK_KEYS:
            raise UnknownNameError("key", str(key), _BLOCK_KEYS, where=where)
        if key == "kind":
            if value not in KINDS:
                raise UnknownNameError("kind of sweep", str(value), KINDS, where=f"{where}.kind")
            if (value == "timing") != ("vary" in block):
                raise ConfigurationError(
                    f"{where}.kind is {value!r}; timing goes with the key vary, latency without it."
                )
        elif key in ("seeds", "critical", "twins"):
            words |= {f"{key}.{inner}": str(v) for inner, v in _inner(value, f"{where}.{key}").items()}
        elif key == "set":
            words |= {str(inner): override_text(v) for inner, v in _inner(value, f"{where}.set").items()}
        else:
            values = value if isinstance(value, list) else [value]
            words["s" if key == "execution_horizon" else key] = ",".join(override_text(v) for v in values)
    return words


def _inner(value: Any, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where} is {value!r}; it must be a mapping.")
    return value


def sweep_from_words(words: Mapping[str, str]) -> LatencySweep:
    """Builds a sweep from the text of its keys (``SWEEP_WORDS``); any other key is an override inside a group.

    Raises:
        ConfigurationError: A required key is missing.
        ParameterError: A value is out of range; the message names key, value and what is allowed.
    """
    for key in ("scenario", "agent", "strategy"):
        if key not in words:
            raise ConfigurationError(
                f"A sweep needs {key}=...; it takes: {', '.join(SWEEP_WORDS)}, or suite=FILE with a sweep."
            )
    given = [key for key in AXIS_WORDS if key in words]
    if len(given) != 1:
        raise ConfigurationError(
            "A sweep needs one of latency_ms=0,50,100, latency_ticks=0,1,2 and vary=timing.KEY; got "
            f"{given or 'none of them'}."
        )
    varied: Variation | None = None
    if given == ["vary"]:
        varied, levels = variation(words)
    else:
        levels = rising_numbers(words[given[0]], given[0], is_whole=given == ["latency_ticks"])
    horizon = _horizon(words["s"]) if "s" in words else None
    if varied is not None and horizon is not None and horizon.follows_delay:
        raise ParameterError(f"s is {words['s']!r}; with vary={words['vary']} allowed: a whole number >= 1.")
    if varied is not None and _count(words, "critical.cases", 0):
        raise ParameterError(
            f"critical.cases is {words['critical.cases']}; it bisects latencies: 0 with vary=..."
        )
    metrics = words["metrics"].split(",") if "metrics" in words else SWEEP_METRICS
    return LatencySweep(
        scenario=_names(words, "scenario"),
        agent=_names(words, "agent"),
        strategy=_names(words, "strategy"),
        timing=words.get("timing", "zero"),
        levels=levels,
        unit="" if varied is not None else given[0].removeprefix("latency_"),
        variation=varied,
        execution_horizon=horizon,
        first_seed=whole_number(words.get("seeds.first", "0"), "seeds.first", low=0),
        num_seeds=whole_number(words.get("seeds.count", "32"), "seeds.count", low=1),
        overrides=tuple(sorted((k, v) for k, v in words.items() if k not in SWEEP_WORDS)),
        metrics=tuple(dict.fromkeys((*DELAY_METRICS, *metrics))),
        num_critical_cases=_count(words, "critical.cases", 0),
        critical_tolerance_ms=_number(words, "critical.tolerance_ms", 10.0),
        num_causes=_count(words, "causes", 0),
        num_twins=_count(words, "twins.cases", 0),
        twin_tolerance_ratio=_number(words, "twins.tolerance_ratio", 0.02),
        num_logs=_count(words, "logs", 1),
    )


def _names(words: Mapping[str, str], key: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(words[key].split(",")))
    if not all(names):
        raise ParameterError(f"{key} is {words[key]!r}; allowed: names, separated by commas.")
    return names


def _count(words: Mapping[str, str], key: str, default: int) -> int:
    return whole_number(words.get(key, str(default)), key, low=0)


def _number(words: Mapping[str, str], key: str, default: float) -> float:
    text = words.get(key, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise ParameterError(f"{key} is {text!r}; allowed: a number over 0.")
    return value


def _horizon(text: str) -> HorizonRule:
    found = _HORIZON_RULE.fullmatch(text.strip())
    number = found[1] if found else text
    if not number.strip().isdecimal() or int(number) < 1:
        raise ParameterError(
            f"s is {text!r}; allowed: a whole number >= 1, or max(d,N) with such a number N."
        )
    return HorizonRule(low=int(number), follows_delay=found is not None)
