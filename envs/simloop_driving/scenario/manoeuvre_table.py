"""Turns the manoeuvres of a scene into the tables that the kernels read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, UnknownNameError
from simloop_driving.scenario import actor_state, manoeuvres, triggers
from simloop_driving.scenario.checks import check_conditions
from simloop_driving.scenario.scene import Scene
from simloop_driving.scenario.scene_manoeuvres import MANOEUVRES, TRIGGERS, Condition, Manoeuvre

FloatArray = npt.NDArray[np.float64]

_FORGETS = {
    "run_red_light": actor_state.OBEYS_SIGNALS,
    "ignore_right_of_way": actor_state.OBEYS_RIGHT_OF_WAY,
}
_HANDS_OVER = {"": 0.0, "idm": 1.0, "mobil": 2.0}
_MAX_CONDITIONS = 62
"""Columns of one trigger; its results are bits of one number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """What manoeuvres need to know of the start of an episode; ``ego`` and the named actors, by name.

    Attributes:
        actors: (actor_state.NUM_ROWS, N) float64, everyone at the start.
        columns: Column of each in ``actors``.
        offset_m: Returns the offset across an actor's path of a lane word; called with the actor's name, the word and
            a place for messages, raises ConfigurationError if there is no such lane.
        path_length_m: Length of the path of each.
        conflict_entry_m: Of actors whose path meets the ego's route, at which stations the ego and the actor come to
            the first such place: (on the ego's route, on the actor's path).
        lights: Index of every traffic light of the map, by its OpenDRIVE id.
        path_lights: Indices of the traffic lights on the path of each, in order.
    """

    actors: FloatArray
    columns: Mapping[str, int]
    offset_m: Callable[[str, str, str], float]
    path_length_m: Mapping[str, float]
    conflict_entry_m: Mapping[str, tuple[float, float]]
    lights: Mapping[int, int]
    path_lights: Mapping[str, tuple[int, ...]]


def build_tables(scene: Scene, stage: Stage) -> tuple[FloatArray, FloatArray]:
    """Returns the manoeuvre table (manoeuvres.NUM_ROWS, M) and the condition table (triggers.NUM_ROWS, C).

    Raises:
        ConfigurationError: A manoeuvre leads to a lane that is not there, or its trigger can never hold.
    """
    table = np.zeros((manoeuvres.NUM_ROWS, len(scene.manoeuvres)))
    numbers = {m.name: i for i, m in enumerate(scene.manoeuvres) if m.name}
    columns: list[list[float]] = []
    for i, entry in enumerate(scene.manoeuvres):
        check_conditions(entry, scene, stage)
        first = len(columns)
        columns += _postfix(entry.trigger, entry, stage, numbers)
        if entry.latest_s < math.inf:
            columns += [[triggers.TIME, entry.latest_s, 0, -1, math.nan], [triggers.ANY, 2, 0, -1, math.nan]]
        if len(columns) - first > _MAX_CONDITIONS:
            raise ConfigurationError(
                f"{entry.where}: its trigger has {len(columns) - first} conditions; allowed: up to {_MAX_CONDITIONS}."
            )
        table[:, i] = _column(entry, stage)
        table[manoeuvres.FIRST_CONDITION, i] = first
        table[manoeuvres.NUM_CONDITIONS, i] = len(columns) - first
    conditions = np.array(columns, dtype=np.float64).reshape(-1, triggers.NUM_ROWS).T
    return table, np.ascontiguousarray(conditions)


def _postfix(
    condition: Condition, entry: Manoeuvre, stage: Stage, numbers: Mapping[str, int]
) -> list[list[float]]:
    if condition.parts:
        columns = [column for part in condition.parts for column in _postfix(part, entry, stage, numbers)]
        operation = triggers.ALL if condition.kind == "all" else triggers.ANY
        return [*columns, [operation, len(condition.parts), 0, -1, math.nan]]
    operation, other, station_m = TRIGGERS.index(condition.kind), -1, math.nan
    subject = stage.columns[condition.subject] if condition.subject else 0
    if condition.kind == "after":
        other = numbers[condition.after]
    elif condition.kind == "signal":
        other = signal_index(condition, entry, stage)
    elif condition.kind == "time_to_arrival_s":
        other, station_m = _arrival(condition, entry, stage)
    return [[operation, condition.threshold, subject, other, station_m]]


def signal_index(condition: Condition, entry: Manoeuvre, stage: Stage) -> int:
    """Returns the index of the signal that a condition is about."""
    where = f"{entry.where}: trigger.signal"
    if condition.signal_id < 0:
        if not stage.path_lights["ego"]:
            raise ConfigurationError(
                f"{where}: there is no traffic light on the ego's route. Allowed: an id of a signal of the map, or a "
                "route with a light."
            )
        return stage.path_lights["ego"][0]
    if condition.signal_id not in stage.lights:
        raise UnknownNameError(
            "traffic light", str(condition.signal_id), map(str, stage.lights), where=f"{where}.id"
        )
    return stage.lights[condition.signal_id]


def _arrival(condition: Condition, entry: Manoeuvre, stage: Stage) -> tuple[int, float]:
    """Returns the actor that is arrived at, or -1 and the station on the subject's path."""
    if not math.isnan(condition.at_station_m):
        return -1, condition.at_station_m
    of_ego, of_actor = stage.conflict_entry_m.get(entry.actor, (math.nan, math.nan))
    column = stage.columns[entry.actor]
    if condition.subject == "ego" and stage.actors[actor_state.PATH, column] == 0.0:
        return column, math.nan
    station_m = of_ego if condition.subject == "ego" else of_actor
    if math.isnan(station_m) or condition.subject not in ("ego", entry.actor):
        raise ConfigurationError(
            f"{entry.where}: trigger.time_to_arrival_s does not say where {condition.subject} arrives, and there is no "
            f"place at which the path of {entry.actor} meets the ego's route. Allowed: at_station_m."
        )
    return -1, station_m


def _column(entry: Manoeuvre, stage: Stage) -> FloatArray:
    actor = stage.columns[entry.actor]
    start_d_m = float(stage.actors[actor_state.PATH_D_M, actor])
    target_d_m = entry.to_offset_m
    if entry.kind == "open_door":
        target_d_m = start_d_m + entry.amplitude_m
    elif entry.to_lane == "own":
        target_d_m = start_d_m
    elif entry.to_lane:
        target_d_m = stage.offset_m(entry.actor, entry.to_lane, f"{entry.where}.to")
    column = np.zeros(manoeuvres.NUM_ROWS)
    column[manoeuvres.ACTOR] = actor
    column[manoeuvres.KIND] = MANOEUVRES.index(entry.kind)
    column[manoeuvres.CAN_START] = float(not entry.trigger.is_never)
    column[manoeuvres.STARTED_S] = -1.0
    column[manoeuvres.ENDED_S] = -1.0
    column[manoeuvres.TARGET_D_M] = target_d_m
    column[manoeuvres.LATERAL_SPEED_MPS] = entry.lateral_speed_mps
    column[manoeuvres.LATERAL_ACCELERATION_MPS2] = entry.lateral_acceleration_mps2
    column[manoeuvres.END_SPEED_MPS] = entry.end_speed_mps
    column[manoeuvres.RATE_MPS2] = entry.rate_mps2
    column[manoeuvres.AMPLITUDE_M] = entry.amplitude_m
    column[manoeuvres.PERIOD_S] = entry.period_s
    column[manoeuvres.COUNT] = entry.count
    column[manoeuvres.FORGETS] = _FORGETS.get(entry.kind, 0)
    column[manoeuvres.HANDS_OVER] = _HANDS_OVER[entry.then]
    column[manoeuvres.IS_STEERED] = float(entry.kind == "pull_out")
    return column
