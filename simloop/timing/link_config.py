"""Builds losses and links from plain values with units in the keys, checked key by key."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simloop.errors import ParameterError
from simloop.timing.config_values import flag, mapping, milliseconds, number, probability, whole
from simloop.timing.distribution import ZERO, Constant, Distribution, Uniform
from simloop.timing.distribution_config import distribution_from_config
from simloop.timing.importers.mahimahi import read_mahimahi
from simloop.timing.jitter import Jitter
from simloop.timing.link import LinkModel, PacketLink, Slots
from simloop.timing.loss import Bernoulli, FourState, GilbertElliott, Loss
from simloop.timing.mahimahi import MahimahiLink
from simloop.timing.netem import MAX_CORRELATION, netem_link, shape_named

PACKET_KEYS = frozenset(
    {
        "delay",
        "delay_ms",
        "jitter_ms",
        "correlation",
        "jitter_shape",
        "loss",
        "corrupt",
        "duplicate",
        "reorder",
        "rate_mbps",
        "slot",
        "limit",
        "seed",
    }
)
MAHIMAHI_KEYS = frozenset({"mahimahi", "delay", "random_phase"})
LOSS_FORMS = (
    "a probability from 0 to 1, {probability, correlation}, {gemodel: {p, r, loss_in_bad, loss_in_good}} or "
    "{state: {p13, p31, p32, p23, p14}}"
)


def loss_from_config(value: Any, where: str) -> Loss | None:
    """Builds a loss: a probability, or a mapping with probability, gemodel or state; None and 0 are no loss.

    Raises:
        ParameterError: It is none of them, or a probability is not from 0 to 1.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
            raise ParameterError(f"{where} is {value!r}; allowed: {LOSS_FORMS}.")
        return Bernoulli(probability=float(value)) if value else None
    if "gemodel" in value:
        here = f"{where}.gemodel"
        mapping(value, where, {"gemodel"}, "gemodel")
        given = mapping(value["gemodel"], here, {"p", "r", "loss_in_bad", "loss_in_good"}, "gemodel")
        p = probability(given, "p", here)
        return GilbertElliott(
            p=p,
            r=probability(given, "r", here, 1.0 - p),
            loss_in_bad=probability(given, "loss_in_bad", here, 1.0),
            loss_in_good=probability(given, "loss_in_good", here, 0.0),
        )
    if "state" in value:
        return _four_state(value, where)
    if "probability" not in value:
        raise ParameterError(f"{where} is {dict(value)}; allowed: {LOSS_FORMS}.")
    return _bernoulli(value, where)


def _four_state(value: Mapping[str, Any], where: str) -> Loss:
    here = f"{where}.state"
    mapping(value, where, {"state"}, "state")
    given = mapping(value["state"], here, {"p13", "p31", "p32", "p23", "p14"}, "state")
    p13 = probability(given, "p13", here)
    loss = FourState(
        p13=p13,
        p31=probability(given, "p31", here, 1.0 - p13),
        p32=probability(given, "p32", here, 0.0),
        p23=probability(given, "p23", here, 1.0),
        p14=probability(given, "p14", here, 0.0),
    )
    for names, total in (("p13 + p14", loss.p13 + loss.p14), ("p31 + p32", loss.p31 + loss.p32)):
        if total > 1.0 + 1e-12:
            raise ParameterError(f"{here}: {names} is {total:g}; allowed: at most 1.")
    return loss


def _bernoulli(value: Any, where: str, *more_keys: str) -> Bernoulli:
    if not isinstance(value, Mapping):
        place, _, key = where.rpartition(".")
        return Bernoulli(probability=probability({key: value}, key, place))
    mapping(value, where, {"probability", "correlation", *more_keys})
    return Bernoulli(
        probability=probability(value, "probability", where),
        correlation=number(value, "correlation", where, 0.0, high=MAX_CORRELATION),
    )


def _packet_delay(config: Mapping[str, Any], where: str) -> Distribution:
    plain = sorted({"delay_ms", "jitter_ms", "correlation", "jitter_shape"} & set(config))
    if "delay" in config:
        if plain:
            raise ParameterError(
                f"{where}: delay (a distribution) and {', '.join(plain)} exclude each other."
            )
        return distribution_from_config(config["delay"], f"{where}.delay")
    if not plain:
        return ZERO
    delay_ns = milliseconds(config, "delay_ms", where)
    jitter_ns = milliseconds(config, "jitter_ms", where, 0.0)
    if not jitter_ns:
        for key in ("correlation", "jitter_shape"):
            if key in config:
                raise ParameterError(f"{where}.{key} is allowed with a jitter_ms > 0 only.")
        return Constant(round(delay_ns))
    return Jitter(
        delay_ns=delay_ns,
        jitter_ns=jitter_ns,
        correlation=number(config, "correlation", where, 0.0, high=MAX_CORRELATION),
        shape=shape_named(str(config.get("jitter_shape", "uniform")), f"{where}.jitter_shape"),
    )


def _slots(config: Any, where: str) -> Slots:
    given = mapping(config, where, {"min_ms", "max_ms", "packets", "bytes"})
    low_ns = number(given, "min_ms", where, above=True) * 1e6
    high_ns = milliseconds(given, "max_ms", where, low_ns * 1e-6)
    if high_ns < low_ns:
        raise ParameterError(
            f"{where}.max_ms is {given['max_ms']}; allowed: at least min_ms = {given['min_ms']}."
        )
    return Slots(
        gap=Uniform(low_ns=low_ns, high_ns=high_ns) if high_ns > low_ns else Constant(round(low_ns)),
        max_packets=whole(given, "packets", where, low=1) if "packets" in given else None,
        max_bytes=whole(given, "bytes", where, low=1) if "bytes" in given else None,
    )


def _packet_link(config: Mapping[str, Any], where: str) -> PacketLink:
    mapping(config, where, PACKET_KEYS, "a link")
    delay = _packet_delay(config, where)
    more: dict[str, Any] = {}
    for key in ("corrupt", "duplicate"):
        if key in config:
            more[key] = _bernoulli(config[key], f"{where}.{key}")
    if "reorder" in config:
        here, given = f"{where}.reorder", config["reorder"]
        more["reorder"] = _bernoulli(given, here, "gap")
        if isinstance(given, Mapping):
            more["reorder_gap"] = whole(given, "gap", here, 1, low=1)
        if delay == ZERO:
            raise ParameterError(f"{where}: reorder is given without a delay that could be overtaken.")
    if "slot" in config:
        more["slots"] = _slots(config["slot"], f"{where}.slot")
    if "rate_mbps" in config:
        more["rate_bps"] = number(config, "rate_mbps", where, above=True) * 1e6
    for key, low in (("limit", 1), ("seed", 0)):
        if key in config:
            more[key] = whole(config, key, where, low=low)
    return PacketLink(delay=delay, loss=loss_from_config(config.get("loss"), f"{where}.loss"), **more)


@functools.cache
def _trace(path: str) -> tuple[int, ...]:
    return tuple(int(ms) for ms in read_mahimahi(Path(path)))


def _mahimahi_link(config: Mapping[str, Any], where: str) -> MahimahiLink:
    mapping(config, where, MAHIMAHI_KEYS, "a mahimahi link")
    given = config["mahimahi"]
    if isinstance(given, str):
        opportunities = _trace(given)
    elif isinstance(given, (list, tuple)) and all(type(ms) is int for ms in given):
        opportunities = tuple(given)
    else:
        raise ParameterError(
            f"{where}.mahimahi is {given!r}; allowed: the path of a trace or a list of whole ms."
        )
    try:
        return MahimahiLink(
            opportunities_ms=opportunities,
            delay=distribution_from_config(config.get("delay"), f"{where}.delay"),
            random_phase=flag(config.get("random_phase", False), f"{where}.random_phase"),
        )
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") if "opportunities" in str(error) else error from None


def link_from_config(config: Any, where: str) -> Distribution | LinkModel:
    """Builds an uplink or downlink.

    Args:
        config: A distribution; ``{"netem": line}``; ``{"mahimahi": path or list}``; or a mapping of ``PACKET_KEYS``.
        where: Key path for messages, for example ``"timing.uplink"``.

    Raises:
        ParameterError: A key or word is unknown, or a value out of range.
        TraceError: A table or trace cannot be read.
    """
    if not isinstance(config, Mapping) or not config:
        raise ParameterError(
            f"{where} is {config!r}; allowed: a distribution, {{netem: line}}, {{mahimahi: path or list}} or a mapping "
            f"of {', '.join(sorted(PACKET_KEYS))}."
        )
    if "distribution" in config:
        return distribution_from_config(config, where)
    if "netem" in config:
        mapping(config, where, {"netem"}, "netem")
        return netem_link(config["netem"], f"{where}.netem")
    if "mahimahi" in config:
        return _mahimahi_link(config, where)
    return _packet_link(config, where)
