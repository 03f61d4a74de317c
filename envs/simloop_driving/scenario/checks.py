"""Refuses manoeuvres that can never start, exclude each other, or have nothing to act on, before the first episode."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from simloop.errors import ConfigurationError
from simloop_driving.scenario.scene_manoeuvres import SIGNAL_STATES, Condition, Manoeuvre

if TYPE_CHECKING:
    from simloop_driving.scenario.manoeuvre_table import Stage
    from simloop_driving.scenario.scene import Scene


def check_scene(scene: Scene) -> None:
    """Checks what the file alone tells: times, sequences, contradictions.

    Raises:
        ConfigurationError: The message names the family, the key, what was got and what is allowed.
    """
    end_s = min(scene.time_limit_s, scene.goal_time_s)
    by_name = {m.name: m for m in scene.manoeuvres if m.name}
    for number, manoeuvre in enumerate(scene.manoeuvres):
        where = f"{manoeuvre.where}: its trigger"
        trigger = manoeuvre.trigger
        if trigger.is_never:
            if manoeuvre.latest_s < math.inf:
                raise ConfigurationError(f"{where} has never and latest_s; allowed: one of them.")
            continue
        _check_states(trigger, where, scene)
        earliest_s = _earliest_s(trigger, by_name, (manoeuvre.name,) if manoeuvre.name else ())
        if min(earliest_s, manoeuvre.latest_s) >= end_s:
            got = f"{min(earliest_s, manoeuvre.latest_s):g} s" if earliest_s < math.inf else "never"
            raise ConfigurationError(
                f"{where} can never fire: the earliest is {got}, the episode ends at {end_s:g} s. Allowed: an earlier "
                "time, or {never: true} if that is meant."
            )
        if 0.0 < manoeuvre.latest_s <= earliest_s:
            raise ConfigurationError(
                f"{where}: latest_s is {manoeuvre.latest_s:g}, and its conditions cannot hold before {earliest_s:g} s. "
                "Allowed: a later latest_s, or {time_s} alone."
            )
        for other in scene.manoeuvres[:number]:
            _check_pair(other, manoeuvre)
    if math.isfinite(scene.goal_station_m):
        _check_goal_in_time(scene)


def _earliest_s(condition: Condition, by_name: dict[str, Manoeuvre], seen: tuple[str, ...]) -> float:
    """Returns before when a condition cannot hold; inf if it never can."""
    if condition.kind == "time_s":
        return condition.threshold
    if condition.kind == "never":
        return math.inf
    if condition.kind == "after":
        first = by_name[condition.after]
        if condition.after in seen:
            return math.inf
        begins_s = min(first.latest_s, _earliest_s(first.trigger, by_name, (*seen, condition.after)))
        return begins_s + condition.threshold
    parts_s = [_earliest_s(part, by_name, seen) for part in condition.parts]
    if condition.kind == "all":
        return max(parts_s)
    return min(parts_s) if parts_s else 0.0


def _check_states(condition: Condition, where: str, scene: Scene) -> None:
    """Checks that no signal is to show two states at once, or one that it never shows."""
    if condition.kind == "signal":
        state = SIGNAL_STATES[int(condition.threshold)]
        if state == "amber" and scene.signals.amber_s == 0.0:
            raise ConfigurationError(f"{where} waits for amber, but signals.amber_s is 0; allowed: over 0.")
    shown: dict[int, float] = {}
    for part in _conjuncts(condition):
        if part.kind == "signal" and shown.setdefault(part.signal_id, part.threshold) != part.threshold:
            states = [SIGNAL_STATES[int(code)] for code in (shown[part.signal_id], part.threshold)]
            which = f"signal {part.signal_id}" if part.signal_id >= 0 else "the ego's traffic light"
            raise ConfigurationError(
                f"{where} can never fire: it asks {which} to be {' and '.join(states)} at once. Allowed: one state in "
                "'all', or 'any'."
            )
    for part in condition.parts:
        _check_states(part, where, scene)


def _conjuncts(condition: Condition) -> list[Condition]:
    if condition.kind == "all":
        return [conjunct for part in condition.parts for conjunct in _conjuncts(part)]
    return [condition]


def _check_pair(first: Manoeuvre, second: Manoeuvre) -> None:
    """Checks that two manoeuvres that start together do not command the same thing."""
    starts_together = first.trigger == second.trigger and first.latest_s == second.latest_s
    if first.actor != second.actor or not starts_together or first.trigger.is_never:
        return
    for thing, both in (
        ("where it is across its path", [m.lateral_speed_mps > 0.0 for m in (first, second)]),
        ("its speed", [not math.isnan(m.end_speed_mps) for m in (first, second)]),
    ):
        if all(both):
            raise ConfigurationError(
                f"{second.where} starts together with {first.where}, and both command {first.actor}: {thing}. Allowed: "
                "one of them, or one after the other."
            )


def _check_goal_in_time(scene: Scene) -> None:
    way_m = scene.goal_station_m - scene.ego.station_m
    speed_mps = max(scene.ego.set_speed_mps, scene.ego.initial_speed_mps)
    if way_m > speed_mps * scene.time_limit_s:
        raise ConfigurationError(
            f"{scene.where}.criteria: the goal is {way_m:g} m away; at {speed_mps:g} m/s the ego gets "
            f"{speed_mps * scene.time_limit_s:g} m far within the time limit of {scene.time_limit_s:g} s. Allowed: a "
            "nearer goal, a higher set_speed_mps or a longer time_limit_s."
        )


def check_goal_on_route(scene: Scene, route_length_m: float) -> None:
    """Raises ConfigurationError if the goal lies beyond the end of the ego's route."""
    if math.isfinite(scene.goal_station_m) and scene.goal_station_m > route_length_m:
        raise ConfigurationError(
            f"{scene.where}.criteria: the goal is at station {scene.goal_station_m:g}; the ego's route is "
            f"{route_length_m:g} m long. Allowed: a station on the route, or a longer route (ego.to)."
        )


def check_conditions(manoeuvre: Manoeuvre, scene: Scene, stage: Stage) -> None:
    """Checks what the map and the start of everybody tell about one manoeuvre.

    Raises:
        ConfigurationError: A station lies beyond a path or ahead of someone who stands for good; a rule is to be broken
            where there is none.
    """
    lights = stage.path_lights.get(manoeuvre.actor, ())
    if manoeuvre.kind == "run_red_light" and not lights:
        raise ConfigurationError(
            f"{manoeuvre.where}: there is no traffic light on the path of {manoeuvre.actor}. Allowed: an actor whose "
            "path has one."
        )
    if manoeuvre.kind == "ignore_right_of_way" and manoeuvre.actor not in stage.conflict_entry_m:
        raise ConfigurationError(
            f"{manoeuvre.where}: the path of {manoeuvre.actor} does not meet the ego's route. Allowed: an actor whose "
            "path does."
        )
    for condition in _leaves(manoeuvre.trigger):
        station_m = condition.threshold if condition.kind == "station_m" else condition.at_station_m
        if condition.kind not in ("station_m", "time_to_arrival_s") or math.isnan(station_m):
            continue
        where = f"{manoeuvre.where}: trigger.{condition.kind}"
        length_m = stage.path_length_m[condition.subject]
        if station_m > length_m:
            raise ConfigurationError(
                f"{where} can never hold: station {station_m:g} is beyond the end of the path of {condition.subject}. "
                f"Allowed: up to {length_m:g}."
            )
        if _stands_for_good(condition.subject, manoeuvre, scene):
            raise ConfigurationError(
                f"{where} can never hold: {condition.subject} stands, and nothing sets it going. Allowed: a "
                "subject that moves."
            )


def _leaves(condition: Condition) -> list[Condition]:
    if condition.parts:
        return [leaf for part in condition.parts for leaf in _leaves(part)]
    return [condition]


def _stands_for_good(subject: str, manoeuvre: Manoeuvre, scene: Scene) -> bool:
    """Whether an actor stands at the start and no other manoeuvre changes that."""
    actor = next((a for a in scene.actors if a.name == subject), None)
    if actor is None or actor.speed_mps > 0.0 or (actor.behaviour != "scripted" and not actor.waits):
        return False
    return not any(
        m.actor == subject and m is not manoeuvre and not math.isnan(m.end_speed_mps)
        for m in scene.manoeuvres
    )
