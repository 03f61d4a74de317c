"""Builds a timing from the plain values of ``conf/timing/*.yaml``, checked key by key."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from simloop.agent import Call
from simloop.clock import NS_PER_MS
from simloop.errors import ParameterError
from simloop.strategies.catalogue import STRATEGIES
from simloop.timing.config_values import choice, flag, mapping, milliseconds, number, one_of, whole
from simloop.timing.distribution import Distribution
from simloop.timing.distribution_config import distribution_from_config
from simloop.timing.link import LinkModel
from simloop.timing.link_config import link_from_config, loss_from_config
from simloop.timing.rules import (
    CALL_STAGES,
    Assembly,
    ControlClock,
    FirstChunk,
    Mode,
    QueueRule,
    Stage,
    Stamp,
)
from simloop.timing.settings import Batching, Capture, Timing, Transport
from simloop.world import SensorKind

Config = Mapping[str, Any]
CAPTURE_KEYS = frozenset({"period_ms", "phase_ms", "exposure_ms", "readout_ms", "stamp", "drop"})
BATCHING_KEYS = frozenset({"max_batch", "base_ms", "per_item_ms"})
CONTROL_KEYS = frozenset({"clock", "jitter"})
TRANSPORT_KEYS = frozenset({"rate_mbps", "loss"})
"""Keys of a transport besides those of its distribution."""
PIPELINED = "pipelined"


def _by_kind(given: Any, where: str) -> dict[SensorKind, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ParameterError(
            f"{where} is {given!r}; allowed: a mapping by sensor kind: {', '.join(k.value for k in SensorKind)}."
        )
    return {choice(SensorKind, kind, f"a key of {where}"): value for kind, value in given.items()}


def _whole_ns(config: Config, key: str, where: str) -> int:
    return round(milliseconds(config, key, where, 0.0))


def _capture(config: Any, where: str) -> Capture:
    given = mapping({} if config is None else config, where, CAPTURE_KEYS)
    period_ns = None
    if given.get("period_ms") is not None:
        period_ns = round(number(given, "period_ms", where, above=True) * NS_PER_MS)
    exposure_ns = _whole_ns(given, "exposure_ms", where)
    if period_ns is not None and exposure_ns > period_ns:
        raise ParameterError(
            f"{where}.exposure_ms is {given['exposure_ms']}; allowed: at most period_ms = {given['period_ms']}."
        )
    return Capture(
        period_ns=period_ns,
        phase_ns=_whole_ns(given, "phase_ms", where),
        exposure_ns=exposure_ns,
        readout_ns=_whole_ns(given, "readout_ms", where),
        stamp=choice(Stamp, given.get("stamp", "mid"), f"{where}.stamp"),
        drop=loss_from_config(given.get("drop"), f"{where}.drop"),
    )


def _transport(config: Any, where: str) -> Distribution | Transport:
    if not isinstance(config, Mapping):
        return distribution_from_config(config, where)
    further = TRANSPORT_KEYS & set(config)
    rest = {k: v for k, v in config.items() if k not in TRANSPORT_KEYS}
    delay = distribution_from_config(rest or None, where)
    if not further:
        return delay
    rate_bps = None
    if config.get("rate_mbps") is not None:
        rate_bps = number(config, "rate_mbps", where, above=True) * 1e6
    loss = loss_from_config(config.get("loss"), f"{where}.loss")
    return Transport(delay=delay, rate_bps=rate_bps, loss=loss)


def _servers(value: Any, key: str) -> int:
    if value == PIPELINED:
        return 0
    if type(value) is not int or value < 0:
        raise ParameterError(
            f"timing.{key} is {value!r}; allowed: a whole number >= 0 (0 = without bound) or {PIPELINED}."
        )
    return value


def _batching(config: Any, servers: int, mode: Mode) -> Batching | None:
    if config is None:
        return None
    where = "timing.batching"
    if mode is Mode.MEASURED:
        raise ParameterError(
            f"{where} is given with mode measured; allowed: with mode modelled, because each inference is timed alone."
        )
    given = mapping(config, where, BATCHING_KEYS)
    if servers == 0:
        raise ParameterError(
            f"{where} is given with servers = 0; allowed: a number of servers, who take batches."
        )
    return Batching(
        max_batch=whole(given, "max_batch", where, low=1),
        base_ns=round(milliseconds(given, "base_ms", where)),
        per_item_ns=round(milliseconds(given, "per_item_ms", where)),
    )


def _strategy_cost(config: Any) -> dict[str, float]:
    where = "timing.strategy_cost"
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        raise ParameterError(f"{where} is {config!r}; allowed: a mapping from strategies to factors > 0.")
    names = [one_of(name, tuple(STRATEGIES), "strategy", where) for name in config]
    return {name: number(config, name, where, above=True) for name in names}


def _stages(given: Mapping[Stage, tuple[str, Any]]) -> dict[Stage, Distribution]:
    """Builds the stages that are given, each as (key, plain values)."""
    stages: dict[Stage, Distribution] = {}
    for stage, (key, config) in given.items():
        if config is None:
            continue
        stages[stage] = distribution_from_config(
            config, f"timing.{key}", may_observe=stage in CALL_STAGES.values()
        )
    return stages


def _timeout_ns(assembly: Assembly, timeout_ms: Any) -> int | None:
    key = "assembly_timeout_ms"
    if assembly is Assembly.WAIT_ALL:
        return round(number({key: timeout_ms}, key, "timing", above=True) * NS_PER_MS)
    if timeout_ms is not None:
        raise ParameterError(
            f"timing.{key} is {timeout_ms!r} with assembly {assembly.value}; allowed: with assembly wait_all only."
        )
    return None


def _queue_size(queue: QueueRule, size: Any) -> int:
    if size is None:
        return 1
    if queue not in (QueueRule.DROP_OLDEST, QueueRule.DROP_NEWEST):
        raise ParameterError(
            f"timing.queue_size is {size!r} with queue {queue.value}; allowed: with drop_oldest and drop_newest only."
        )
    return whole({"queue_size": size}, "queue_size", "timing", low=1)


def _mode(mode: str, trace: Any) -> Mode:
    chosen = choice(Mode, mode, "timing.mode")
    if not isinstance(trace, str) or bool(trace) != (chosen is Mode.REPLAY):
        raise ParameterError(
            f"timing.trace is {trace!r} with mode {chosen.value}; allowed: the path of a trace with mode replay, and "
            "nothing with the others."
        )
    return chosen


def timing_from_config(
    *,
    name: str,
    source: str = "",
    capture: Config | None = None,
    transport: Config | None = None,
    preprocess: Config | None = None,
    uplink: Config | None = None,
    inference: Config | None = None,
    context_inference: Config | None = None,
    expert_inference: Config | None = None,
    corrector_inference: Config | None = None,
    cold_start: Config | None = None,
    downlink: Config | None = None,
    actuation: Config | None = None,
    performance_factor: float = 1.0,
    strategy_cost: Mapping[str, float] | None = None,
    added_inference_ms: float = 0.0,
    losses: bool = True,
    servers: int | str = 1,
    context_servers: int | str = 1,
    expert_servers: int | str = 1,
    corrector_servers: int | str = 1,
    queue: str = "latest_wins",
    queue_size: int | None = None,
    batching: Config | None = None,
    assembly: str = "captured_since",
    assembly_timeout_ms: float | None = None,
    first_chunk: str = "free",
    control: Config | None = None,
    mode: str = "modelled",
    trace: str = "",
    measured_factor: float = 1.0,
    seed: int = 0,
) -> Timing:
    """Builds a timing from the plain values of ``conf/timing/*.yaml``; docs/timing-model.md explains every key.

    Raises:
        ParameterError: A key is unknown, or a value out of range; the message names the key, the value and what is
            allowed.
        UnknownNameError: A distribution's or strategy's name is unknown.
        TraceError: A file that is named cannot be read.
    """
    given = locals()
    if type(seed) is not int:
        raise ParameterError(f"timing.seed is {seed!r}; allowed: a whole number.")
    rates = {"performance_factor": performance_factor, "measured_factor": measured_factor}
    links: dict[Stage, LinkModel] = {}
    stages: dict[Stage, Distribution] = {}
    for stage, config in ((Stage.UPLINK, uplink), (Stage.DOWNLINK, downlink)):
        if config is None:
            continue
        made = link_from_config(config, f"timing.{stage.value}")
        if isinstance(made, LinkModel):
            links[stage] = made
        else:
            stages |= _stages({stage: (stage.value, config)})
    controlled = mapping({} if control is None else control, "timing.control", CONTROL_KEYS)
    stages |= _stages(
        {
            Stage.PREPROCESS: ("preprocess", preprocess),
            Stage.INFERENCE: ("inference", inference),
            Stage.CONTEXT_INFERENCE: ("context_inference", context_inference),
            Stage.EXPERT_INFERENCE: ("expert_inference", expert_inference),
            Stage.CORRECTOR_INFERENCE: ("corrector_inference", corrector_inference),
            Stage.COLD_START: ("cold_start", cold_start),
            Stage.ACTUATION: ("actuation", actuation),
            Stage.CONTROL_JITTER: ("control.jitter", controlled.get("jitter")),
        }
    )
    num_servers = {
        Call.POLICY: _servers(servers, "servers"),
        Call.CONTEXT: _servers(context_servers, "context_servers"),
        Call.EXPERT: _servers(expert_servers, "expert_servers"),
        Call.CORRECTOR: _servers(corrector_servers, "corrector_servers"),
    }
    is_plain = all(n == 1 for call, n in num_servers.items() if call is not Call.POLICY)
    assembly_rule = choice(Assembly, assembly, "timing.assembly")
    queue_rule = choice(QueueRule, queue, "timing.queue")
    chosen_mode = _mode(mode, trace)
    return Timing(
        name=name,
        source=source,
        capture={
            kind: _capture(c, f"timing.capture.{kind.value}")
            for kind, c in _by_kind(capture, "timing.capture").items()
        },
        transport={
            kind: _transport(c, f"timing.transport.{kind.value}")
            for kind, c in _by_kind(transport, "timing.transport").items()
        },
        stages=stages,
        links=links,
        performance_factor=number(rates, "performance_factor", "timing", above=True),
        strategy_cost=_strategy_cost(strategy_cost),
        added_inference_ns=_whole_ns(
            {"added_inference_ms": added_inference_ms}, "added_inference_ms", "timing"
        ),
        losses=flag(losses, "timing.losses"),
        batching=_batching(batching, num_servers[Call.POLICY], chosen_mode),
        servers=num_servers[Call.POLICY] if is_plain else num_servers,
        queue=queue_rule,
        queue_size=_queue_size(queue_rule, queue_size),
        assembly=assembly_rule,
        assembly_timeout_ns=_timeout_ns(assembly_rule, assembly_timeout_ms),
        first_chunk=choice(FirstChunk, first_chunk, "timing.first_chunk"),
        control_clock=choice(ControlClock, controlled.get("clock", "tick_locked"), "timing.control.clock"),
        mode=chosen_mode,
        trace=trace,
        measured_factor=number(rates, "measured_factor", "timing", above=True),
        seed=seed,
        config={key: value for key, value in given.items() if value != _DEFAULTS.get(key)},
    )


_DEFAULTS = {key: p.default for key, p in inspect.signature(timing_from_config).parameters.items()}
