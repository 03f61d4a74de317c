"""Builds distributions from plain values with units in the keys, checked key by key."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from simloop.clock import NS_PER_MS
from simloop.errors import ParameterError
from simloop.timing.compound import (
    Empirical,
    Mixture,
    RowCost,
    SceneDependent,
    SequentialEmpirical,
    TwoStateMarkov,
)
from simloop.timing.config_values import (
    choice,
    mapping,
    milliseconds,
    number,
    one_of,
    probability,
    whole,
)
from simloop.timing.distribution import (
    ZERO,
    Constant,
    Distribution,
    ShiftedGamma,
    ShiftedLognormal,
    TruncatedNormal,
    Uniform,
)
from simloop.timing.jitter import Jitter, JitterShape
from simloop.timing.trace_samples import read_durations_ns

Config = Mapping[str, Any]
BOUND_KEYS = frozenset({"floor_ms", "ceiling_ms", "performance_factor"})


def _bounds(config: Config, where: str) -> dict[str, float]:
    floor_ms = number(config, "floor_ms", where, 0.0)
    ceiling_ms = number(config, "ceiling_ms", where) if "ceiling_ms" in config else math.inf
    if ceiling_ms < floor_ms:
        raise ParameterError(
            f"{where}.ceiling_ms is {ceiling_ms:g}; allowed: at least floor_ms = {floor_ms:g}."
        )
    return {
        "floor_ns": floor_ms * NS_PER_MS,
        "ceiling_ns": ceiling_ms * NS_PER_MS,
        "performance_factor": number(config, "performance_factor", where, 1.0, above=True),
    }


def _ordered(config: Config, low: str, high: str, where: str) -> None:
    if config[high] < config[low]:
        raise ParameterError(
            f"{where}.{high} is {config[high]:g}; allowed: at least {low} = {config[low]:g}."
        )


def _constant(config: Config, where: str) -> Distribution:
    bounds = _bounds(config, where)
    value_ns = milliseconds(config, "value_ms", where) * bounds["performance_factor"]
    return Constant(round(min(max(value_ns, bounds["floor_ns"]), bounds["ceiling_ns"])))


def _uniform(config: Config, where: str) -> Distribution:
    low_ns, high_ns = milliseconds(config, "low_ms", where), milliseconds(config, "high_ms", where)
    _ordered(config, "low_ms", "high_ms", where)
    return Uniform(low_ns=low_ns, high_ns=high_ns, **_bounds(config, where))


def _truncated_normal(config: Config, where: str) -> Distribution:
    low_ms = number(config, "low_ms", where, 0.0)
    high_ms = number(config, "high_ms", where) if "high_ms" in config else math.inf
    if high_ms <= low_ms:
        raise ParameterError(f"{where}.high_ms is {high_ms:g}; allowed: more than low_ms = {low_ms:g}.")
    made = TruncatedNormal(
        normal_mean_ns=milliseconds(config, "mean_ms", where),
        normal_sd_ns=number(config, "sd_ms", where, above=True) * NS_PER_MS,
        low_ns=low_ms * NS_PER_MS,
        high_ns=high_ms * NS_PER_MS,
        **_bounds(config, where),
    )
    if made.share_inside < 1e-6:
        raise ParameterError(
            f"{where}.low_ms is {low_ms:g} and high_ms is {high_ms:g}; allowed: an interval that holds at least a "
            "millionth of the normal."
        )
    return made


def _shifted_lognormal(config: Config, where: str) -> Distribution:
    return ShiftedLognormal(
        shift_ns=milliseconds(config, "shift_ms", where, 0.0),
        median_ns=milliseconds(config, "median_ms", where),
        sigma=number(config, "sigma", where, high=10.0),
        **_bounds(config, where),
    )


def _shifted_gamma(config: Config, where: str) -> Distribution:
    return ShiftedGamma(
        shift_ns=milliseconds(config, "shift_ms", where, 0.0),
        shape=number(config, "shape", where, above=True),
        scale_ns=milliseconds(config, "scale_ms", where),
        **_bounds(config, where),
    )


def _part(config: Any, where: str) -> Distribution:
    """Builds a part of another distribution, which must not be a process or look at the scene itself."""
    if config is None:
        raise ParameterError(f"{where} is missing; allowed: a distribution ({', '.join(sorted(_SIMPLE))}).")
    part = distribution_from_config(config, where)
    if not part.is_independent:
        raise ParameterError(
            f"{where}.distribution is {config['distribution']!r}; allowed inside another distribution: "
            f"{', '.join(sorted(_SIMPLE))}."
        )
    return part


def _mixture(config: Config, where: str) -> Distribution:
    given = config.get("components")
    if not isinstance(given, (list, tuple)) or not given:
        raise ParameterError(
            f"{where}.components is {given!r}; allowed: a list of distributions, each with a weight > 0."
        )
    components = []
    for place, item in enumerate(given):
        here = f"{where}.components.{place}"
        if not isinstance(item, Mapping):
            raise ParameterError(f"{here} is {item!r}; allowed: a distribution with a weight > 0.")
        weight = number(item, "weight", here, above=True)
        components.append((weight, _part({k: v for k, v in item.items() if k != "weight"}, here)))
    return Mixture(components=tuple(components), **_bounds(config, where))


def _empirical(config: Config, where: str) -> Distribution:
    if ("samples_ms" in config) == ("file" in config):
        raise ParameterError(
            f"{where} takes samples_ms (a list of numbers) or file (a trace); it has "
            f"{'both' if 'file' in config else 'neither'}."
        )
    if "file" in config:
        stage = str(config.get("stage", "inference"))
        samples_ns = read_durations_ns(str(config["file"]), stage=stage, where=where).astype(np.float64)
    else:
        given = config["samples_ms"]
        if not isinstance(given, (list, tuple)) or not given:
            raise ParameterError(
                f"{where}.samples_ms is {given!r}; allowed: a list of one or more numbers >= 0."
            )
        values = [number({"samples_ms": v}, "samples_ms", where) for v in given]
        samples_ns = np.array(values, dtype=np.float64) * NS_PER_MS
    order = one_of(config.get("order", "random"), ("random", "sequential"), "order", where)
    if order == "random":
        if "events_per_sample" in config:
            raise ParameterError(f"{where}.events_per_sample is allowed with order: sequential only.")
        return Empirical(samples_ns, **_bounds(config, where))
    per_sample = whole(config, "events_per_sample", where, 1, low=1)
    return SequentialEmpirical(samples_ns, events_per_sample=per_sample, **_bounds(config, where))


def _jitter(config: Config, where: str) -> Distribution:
    return Jitter(
        delay_ns=milliseconds(config, "delay_ms", where),
        jitter_ns=milliseconds(config, "jitter_ms", where),
        correlation=number(config, "correlation", where, 0.0, high=0.9999),
        shape=choice(JitterShape, config.get("shape", "uniform"), f"{where}.shape"),
        **_bounds(config, where),
    )


def _markov(config: Config, where: str) -> Distribution:
    return TwoStateMarkov(
        calm=_part(config.get("calm"), f"{where}.calm"),
        busy=_part(config.get("busy"), f"{where}.busy"),
        enter_probability=probability(config, "enter_probability", where),
        leave_probability=probability(config, "leave_probability", where),
        **_bounds(config, where),
    )


def _scene_dependent(config: Config, where: str) -> Distribution:
    sensor = config.get("sensor")
    if not isinstance(sensor, str) or not sensor:
        raise ParameterError(f"{where}.sensor is {sensor!r}; allowed: the name of a sensor of the agent.")
    per_row_ns = milliseconds(config, "per_row_ms", where)
    column = whole(config, "column", where, low=0) if "column" in config else None
    return SceneDependent(
        base=_part(config.get("base"), f"{where}.base"),
        cost=RowCost(sensor=sensor, per_row_ns=per_row_ns, column=column),
        expected_extra_ns=per_row_ns * number(config, "expected_rows", where, 0.0),
    )


_Builder = Callable[[Config, str], Distribution]
_SIMPLE: dict[str, tuple[_Builder, frozenset[str]]] = {
    "constant": (_constant, frozenset({"value_ms"})),
    "uniform": (_uniform, frozenset({"low_ms", "high_ms"})),
    "truncated_normal": (_truncated_normal, frozenset({"mean_ms", "sd_ms", "low_ms", "high_ms"})),
    "shifted_lognormal": (_shifted_lognormal, frozenset({"shift_ms", "median_ms", "sigma"})),
    "shifted_gamma": (_shifted_gamma, frozenset({"shift_ms", "shape", "scale_ms"})),
    "mixture": (_mixture, frozenset({"components"})),
    "empirical": (_empirical, frozenset({"samples_ms", "file", "stage", "order", "events_per_sample"})),
}
_KINDS: dict[str, tuple[_Builder, frozenset[str]]] = {
    **_SIMPLE,
    "jitter": (_jitter, frozenset({"delay_ms", "jitter_ms", "correlation", "shape"})),
    "markov": (_markov, frozenset({"calm", "busy", "enter_probability", "leave_probability"})),
    "scene_dependent": (
        _scene_dependent,
        frozenset({"base", "sensor", "per_row_ms", "column", "expected_rows"}),
    ),
}


def distribution_keys() -> Mapping[str, frozenset[str]]:
    """Returns the keys that each distribution takes besides ``distribution``."""
    return {
        name: keys if name == "scene_dependent" else keys | BOUND_KEYS for name, (_, keys) in _KINDS.items()
    }


def distribution_from_config(config: Config | None, where: str, *, may_observe: bool = False) -> Distribution:
    """Builds a distribution from plain values with units in the keys; None is zero.

    Args:
        config: A mapping with the key ``distribution`` and the keys of that distribution (docs/timing-model.md lists
            them), for example ``{"distribution": "constant", "value_ms": 80}``. All but ``scene_dependent`` take
            ``floor_ms``, ``ceiling_ms`` and ``performance_factor``.
        where: Key path for messages, for example ``"timing.inference"``.
        may_observe: Whether the duration may depend on what the agent observes: inferences only.

    Raises:
        UnknownNameError: The distribution's name is unknown.
        ParameterError: A key is unknown or missing, or a value out of range.
        TraceError: The file of an empirical distribution cannot be used.
    """
    if config is None:
        return ZERO
    if not isinstance(config, Mapping):
        raise ParameterError(f"{where} is {config!r}; allowed: a mapping with the key distribution.")
    kind = one_of(config.get("distribution", ""), tuple(_KINDS), "distribution", where)
    mapping(config, where, {*distribution_keys()[kind], "distribution"}, kind)
    if kind == "scene_dependent" and not may_observe:
        raise ParameterError(
            f"{where}.distribution is {kind!r}; allowed in inference, context_inference, expert_inference and "
            "corrector_inference, and not inside another distribution."
        )
    return _KINDS[kind][0](config, where)
