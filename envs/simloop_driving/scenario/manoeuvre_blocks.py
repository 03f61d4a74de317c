"""Reads what happens in a driving scene: the block ``manoeuvres`` and its triggers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

from simloop.errors import ConfigurationError, UnknownNameError
from simloop_driving.scenario.actor_state import LATERAL_ACCELERATION_MPS2
from simloop_driving.scenario.block_reader import BlockReader
from simloop_driving.scenario.scene_actors import MAX_SPEED_MPS, OWN_PATH_LANES, ActorStart
from simloop_driving.scenario.scene_manoeuvres import (
    COMBINATIONS,
    MANOEUVRES,
    SIGNAL_STATES,
    TRIGGERS,
    Condition,
    Manoeuvre,
)

CHANGE_LANES = ("ego", *OWN_PATH_LANES)
"""Where a change of lane leads: ``own`` is the place in which the actor started."""
MAX_MANOEUVRES = 64
MAX_DEPTH = 8
"""How deep conditions may be nested."""


def read_manoeuvres(top: BlockReader, actors: Mapping[str, ActorStart]) -> tuple[Manoeuvre, ...]:
    """Reads the list ``manoeuvres``.

    Raises:
        ConfigurationError: A key or value is wrong; an actor, or a manoeuvre that ``after`` names, is unknown.
    """
    blocks = top.items("manoeuvres")
    if len(blocks) > MAX_MANOEUVRES:
        raise ConfigurationError(
            f"{top.where}.manoeuvres has {len(blocks)} entries; allowed: up to {MAX_MANOEUVRES}."
        )
    names: list[str] = []
    for block in blocks:
        if block.has("name"):
            names.append(block.name("name"))
            if names.count(names[-1]) > 1:
                raise ConfigurationError(f"{block.where}.name {names[-1]!r} is given twice; allowed: once.")
    return tuple(_read_manoeuvre(block, actors, names) for block in blocks)


def _read_manoeuvre(
    block: BlockReader, actors: Mapping[str, ActorStart], names: Collection[str]
) -> Manoeuvre:
    actor = block.name("actor")
    if actor not in actors:
        raise UnknownNameError("actor", actor, actors, where=block.where)
    own_name = block.name("name") if block.has("name") else ""
    trigger_block = block.block("trigger")
    latest_s = trigger_block.optional("latest_s", low=0.0, high=600.0, otherwise=math.inf)
    trigger = _read_condition(trigger_block, actor, actors, names, depth=1)
    kind = block.exactly_one(MANOEUVRES)
    where = f"{block.where}.{kind}"
    manoeuvre = Manoeuvre(
        where=where, kind=kind, actor=actor, trigger=trigger, latest_s=latest_s, name=own_name
    )
    if kind in _READERS:
        inner = block.block(kind)
        manoeuvre = _READERS[kind](inner, actors[actor], manoeuvre)
        inner.finish()
    else:
        if not block.flag(kind, default=True):
            raise ConfigurationError(f"{where} is false; allowed: true, or leave the manoeuvre out.")
        if actors[actor].behaviour == "scripted":
            raise ConfigurationError(
                f"{where}: {actor} is scripted and obeys nothing anyway; allowed: an actor with behaviour idm or mobil."
            )
    block.finish()
    return manoeuvre


def _read_condition(
    block: BlockReader, actor: str, actors: Mapping[str, ActorStart], names: Collection[str], depth: int
) -> Condition:
    kind = block.exactly_one((*TRIGGERS, *COMBINATIONS))
    if kind in COMBINATIONS:
        inner = block.items(kind)
        if not inner or depth >= MAX_DEPTH:
            raise ConfigurationError(
                f"{block.where}.{kind} has {len(inner)} conditions at depth {depth}; allowed: at least one, and "
                f"conditions in each other up to depth {MAX_DEPTH}."
            )
        condition = Condition(
            kind=kind, parts=tuple(_read_condition(item, actor, actors, names, depth + 1) for item in inner)
        )
    elif kind == "never":
        if not block.flag("never", default=True):
            raise ConfigurationError(f"{block.where}.never is false; allowed: true, or another condition.")
        condition = Condition(kind=kind)
    elif kind == "after":
        condition = Condition(
            kind=kind,
            after=block.text("after", allowed=names),
            threshold=block.number("delay_s", low=0.0, high=600.0, default=0.0),
        )
    elif kind == "signal":
        condition = _read_signal(block.block("signal"))
    else:
        condition = _read_comparison(block, kind, actor, actors)
    block.finish()
    return condition


def _read_comparison(
    block: BlockReader, kind: str, actor: str, actors: Mapping[str, ActorStart]
) -> Condition:
    if kind == "time_s":
        return Condition(kind=kind, threshold=block.number(kind, low=0.0, high=3600.0))
    is_of_one = kind in ("time_to_arrival_s", "station_m")
    subject = block.text("of", allowed={"ego", *actors}) if block.has("of") else ""
    if subject == "ego" and not is_of_one:
        raise ConfigurationError(
            f"{block.where}.of is 'ego'; {kind} is between the ego and another. Allowed: {', '.join(actors)}."
        )
    high = {"station_m": 1e6, "distance_m": 2000.0}.get(kind, 100.0)
    low = 0.0 if kind == "station_m" else 1e-3
    return Condition(
        kind=kind,
        threshold=block.number(kind, low=low, high=high),
        subject=subject or ("ego" if kind == "time_to_arrival_s" else actor),
        at_station_m=block.optional("at_station_m", low=0.0, high=1e6)
        if kind == "time_to_arrival_s"
        else math.nan,
    )


def _read_signal(block: BlockReader) -> Condition:
    condition = Condition(
        kind="signal",
        threshold=float(SIGNAL_STATES.index(block.text("state", allowed=SIGNAL_STATES))),
        signal_id=block.whole("id", low=0, high=2**31) if block.has("id") else -1,
    )
    block.finish()
    return condition


def _change_lane(block: BlockReader, actor: ActorStart, base: Manoeuvre) -> Manoeuvre:
    lanes = OWN_PATH_LANES if actor.own_path is not None else CHANGE_LANES
    return replace(
        base,
        to_lane=block.text("to", allowed=lanes),
        lateral_speed_mps=block.number("lateral_speed_mps", low=0.0, high=5.0),
    )


def _change_speed(block: BlockReader, actor: ActorStart, base: Manoeuvre) -> Manoeuvre:
    rate_mps2 = block.number("rate_mps2", low=0.01, high=12.0)
    if block.exactly_one(("end_speed_mps", "end_speed_ratio")) == "end_speed_mps":
        end_speed_mps = block.number("end_speed_mps", low=0.0, high=MAX_SPEED_MPS)
    else:
        end_speed_mps = block.number("end_speed_ratio", low=0.0, high=2.0) * actor.speed_mps
    return replace(base, end_speed_mps=end_speed_mps, rate_mps2=rate_mps2)


def _cross(block: BlockReader, actor: ActorStart, base: Manoeuvre) -> Manoeuvre:
    lanes = OWN_PATH_LANES if actor.own_path is not None else CHANGE_LANES
    has_lane = block.exactly_one(("to", "to_offset_m")) == "to"
    return replace(
        base,
        to_lane=block.text("to", allowed=lanes) if has_lane else "",
        to_offset_m=math.nan if has_lane else block.number("to_offset_m", low=-50.0, high=50.0),
        lateral_speed_mps=block.number("speed_mps", low=0.1, high=10.0),
        lateral_acceleration_mps2=block.number(
            "acceleration_mps2", low=0.1, high=10.0, default=LATERAL_ACCELERATION_MPS2
        ),
    )


def _swerve(block: BlockReader, actor: ActorStart, base: Manoeuvre) -> Manoeuvre:
    amplitude_m = block.number("amplitude_m", low=-5.0, high=5.0)
    if abs(amplitude_m) < 0.05:
        raise ConfigurationError(
            f"{block.where}.amplitude_m is {amplitude_m:g}; allowed: from 0.05 to 5, or -5 to -0.05 (right first)."
        )
    period_s = block.number("period_s", low=0.5, high=60.0)
    limit_mps2 = block.number("acceleration_mps2", low=0.1, high=8.0, default=LATERAL_ACCELERATION_MPS2)
    shortest_s = 4.0 * math.sqrt(2.0 * abs(amplitude_m) / limit_mps2)
    if period_s < shortest_s:
        raise ConfigurationError(
            f"{block.where}.period_s is {period_s:g}; {abs(amplitude_m):g} m to either side at {limit_mps2:g} m/s2 "
            f"take at least {shortest_s:.2f} s. Allowed: a longer period, a smaller amplitude_m or a larger "
            "acceleration_mps2."
        )
    half_s = 0.5 * period_s
    root_s = math.sqrt(max(0.0, half_s * half_s - 8.0 * abs(amplitude_m) / limit_mps2))
    return replace(
        base,
        amplitude_m=amplitude_m,
        period_s=period_s,
        count=block.whole("count", low=1, high=100, default=1),
        lateral_speed_mps=0.5 * limit_mps2 * (half_s - root_s),
        lateral_acceleration_mps2=limit_mps2,
    )


def _open_door(block: BlockReader, actor: ActorStart, base: Manoeuvre) -> Manoeuvre:
    if actor.speed_mps > 0.0 or actor.behaviour != "scripted" or actor.actor_class not in ("car", "truck"):
        raise ConfigurationError(
            f"{block.where}: {actor.name} is a {actor.actor_class} ({actor.behaviour}) at {actor.speed_mps:g} m/s; "
            "allowed: a scripted car or truck that stands."
        )
    width_m = block.number("width_m", low=0.2, high=1.3)
    time_s = block.number("time_s", low=0.2, high=10.0)
    return replace(
        base,
        actor=f"{actor.name}.door",
        amplitude_m=width_m,
        lateral_speed_mps=2.0 * width_m / time_s,
        lateral_acceleration_mps2=4.0 * width_m / (time_s * time_s),
    )


def _pull_out(block: BlockReader, actor: ActorStart, base: Manoeuvre) -> Manoeuvre:
    if actor.speed_mps > 0.0:
        raise ConfigurationError(
            f"{block.where}: {actor.name} starts at {actor.speed_mps:g} m/s; allowed: an actor that stands."
        )
    lanes = OWN_PATH_LANES if actor.own_path is not None else CHANGE_LANES
    return replace(
        base,
        to_lane=block.text("to", allowed=lanes),
        lateral_speed_mps=block.number("lateral_speed_mps", low=0.1, high=5.0, default=1.5),
        end_speed_mps=block.number("end_speed_mps", low=0.5, high=MAX_SPEED_MPS),
        rate_mps2=block.number("rate_mps2", low=0.1, high=5.0, default=1.5),
        then=actor.behaviour if actor.behaviour != "scripted" else "",
    )


_READERS = {
    "change_lane": _change_lane,
    "change_speed": _change_speed,
    "cross": _cross,
    "swerve": _swerve,
    "open_door": _open_door,
    "pull_out": _pull_out,
}
