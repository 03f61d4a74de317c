"""Builds a timing from the plain values of ``conf/timing/*.yaml``, checked key by key."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, TypeVar

from simloop.errors import ParameterError
from simloop.timing.distribution_config import distribution_from_config
from simloop.timing.settings import Assembly, FirstChunk, QueueRule, Stage, Timing
from simloop.world import SensorKind

_E = TypeVar("_E", bound=enum.Enum)


def _choice(kind: type[_E], value: str, where: str) -> _E:
    try:
        return kind(value)
    except ValueError:
        raise ParameterError(f"{where} is {value!r}; allowed: {', '.join(m.value for m in kind)}.") from None


def timing_from_config(
    *,
    name: str,
    source: str = "",
    transport: Mapping[str, Any] | None = None,
    preprocess: Mapping[str, Any] | None = None,
    uplink: Mapping[str, Any] | None = None,
    inference: Mapping[str, Any] | None = None,
    downlink: Mapping[str, Any] | None = None,
    actuation: Mapping[str, Any] | None = None,
    assembly: str = "captured_since",
    first_chunk: str = "free",
    servers: int = 1,
    queue: str = "latest_wins",
    seed: int = 0,
) -> Timing:
    """Builds a timing from the plain values of ``conf/timing/*.yaml``.

    Raises:
        ParameterError: A value is out of range; the message names the key.
        UnknownNameError: A distribution's name is unknown.
    """
    kinds = {
        _choice(SensorKind, kind, "timing.transport"): distribution_from_config(
            config, f"timing.transport.{kind}"
        )
        for kind, config in (transport or {}).items()
    }
    given = {
        Stage.PREPROCESS: preprocess,
        Stage.UPLINK: uplink,
        Stage.INFERENCE: inference,
        Stage.DOWNLINK: downlink,
        Stage.ACTUATION: actuation,
    }
    stages = {s: distribution_from_config(c, f"timing.{s.value}") for s, c in given.items() if c is not None}
    if type(servers) is not int or servers < 0:
        raise ParameterError(
            f"timing.servers is {servers!r}; allowed: a whole number >= 0 (0 = without bound)."
        )
    if type(seed) is not int:
        raise ParameterError(f"timing.seed is {seed!r}; allowed: a whole number.")
    return Timing(
        name=name,
        source=source,
        transport=kinds,
        stages=stages,
        assembly=_choice(Assembly, assembly, "timing.assembly"),
        first_chunk=_choice(FirstChunk, first_chunk, "timing.first_chunk"),
        servers=servers,
        queue=_choice(QueueRule, queue, "timing.queue"),
        seed=seed,
    )
