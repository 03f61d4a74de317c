"""Log tables of the driving world, built from the arrays that the step kernel fills."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.log import CONTACTS, MOTION, Column, Columns, TableSchema
from simloop_driving import step_kernel
from simloop_driving.collisions import contacts as contact_rows
from simloop_driving.collisions.fault import Body, CollisionKind, classify_collision, is_ego_at_fault
from simloop_driving.collisions.impulse import CLASS_MASS_KG, impulse_newton_s
from simloop_driving.roads.road_map import SIGNAL_KINDS, RoadMap
from simloop_driving.roads.route import (
    JUNCTION,
    LEFT_EDGE_M,
    STOP_S_M,
    STOP_SIGNAL,
    Paths,
    Route,
    pose_at,
    value_at,
)
from simloop_driving.roads.route import WIDTH_M as ROUTE_WIDTH_M
from simloop_driving.roads.route import X_M as ROUTE_X_M
from simloop_driving.roads.route import Y_M as ROUTE_Y_M
from simloop_driving.scenario import manoeuvres, signals, stop_lines
from simloop_driving.scenario.actor_state import ACTOR_CLASSES, CLASS, EGO, LENGTH_M, PATH
from simloop_driving.scenario.network import Network
from simloop_driving.scenario.scene_manoeuvres import MANOEUVRES as MANOEUVRE_NAMES

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def _int(name: str, description: str) -> Column:
    return Column(name=name, dtype="int64", description=description)


ACTORS = TableSchema(
    description="One row a control tick and actor, from t = 0; the rows of one instant lie together, the ego first.",
    columns=(
        _int("t_ns", "virtual instant"),
        _int("actor", "number of the actor; 0 is the ego"),
        _int("actor_class", "index into " + ", ".join(ACTOR_CLASSES)),
        Column(name="x_m", description="centre of the footprint, world frame"),
        Column(name="y_m", description="centre of the footprint, world frame"),
        Column(name="yaw_rad", description="heading, world frame, not wrapped"),
        Column(name="speed_mps", description="along the heading"),
        Column(name="acceleration_mps2", description="along the heading"),
        Column(name="length_m"),
        Column(name="width_m"),
        Column(name="station_m", description="along the ego's route"),
        Column(name="lateral_offset_m", description="across the ego's route, positive to the left"),
        _int("lane", "map lane of the centre; -1 off the driving lanes"),
        Column(name="route_speed_mps", description="along the ego's route; negative towards the ego"),
        Column(name="is_present", dtype="bool", description="False before an actor enters and after it left"),
        Column(
            name="is_in_opposite_lane",
            dtype="bool",
            description="the ego's centre is left of its direction's lanes, outside junctions; False for others",
        ),
    ),
)
COLLISIONS = TableSchema(
    description="One row a collision of the ego with an actor, at its onset.",
    columns=(
        _int("t_ns", "virtual instant of the onset"),
        _int("actor", "number of the actor"),
        Column(name="kind", dtype="text", description=", ".join(kind.value for kind in CollisionKind)),
        Column(name="is_at_fault", dtype="bool", description="whether the ego is to blame (nuPlan's rule)"),
        Column(name="impact_speed_mps", description="closing speed along the contact normal"),
        Column(name="ego_speed_mps"),
        Column(name="actor_speed_mps"),
        Column(name="impulse_newton_s", description="newton seconds along the contact normal; an estimate"),
    ),
)
MANOEUVRES = TableSchema(
    description="One row a scripted manoeuvre that started.",
    columns=(
        _int("t_ns", "virtual instant of the start"),
        _int("actor", "number of the actor"),
        Column(name="kind", dtype="text", description=", ".join(MANOEUVRE_NAMES)),
    ),
)
INFRACTIONS = TableSchema(
    description="One row a rule that the ego broke at a stop line.",
    columns=(
        _int("t_ns", "virtual instant at which the ego's front had passed the line"),
        Column(name="kind", dtype="text", description=", ".join(stop_lines.INFRACTIONS[1:])),
        Column(name="station_m", description="of the line, along the ego's route"),
    ),
)
SIGNALS = TableSchema(
    description="One row a change of a traffic light on any path, and one at t = 0.",
    columns=(
        _int("t_ns", "virtual instant"),
        _int("signal", "index into the attribute signals"),
        _int("state", "0 green, 1 amber, 2 red"),
    ),
)
ACTOR_CONTACTS = TableSchema(
    description="One row a pair of other actors that overlap for the first time, at the end of a control tick.",
    columns=(_int("t_ns", "virtual instant"), _int("actor", "number"), _int("other_actor", "number")),
)
TABLES = {
    "motion": MOTION,
    "contacts": CONTACTS,
    "actors": ACTORS,
    "collisions": COLLISIONS,
    "manoeuvres": MANOEUVRES,
    "infractions": INFRACTIONS,
    "signals": SIGNALS,
    "actor_contacts": ACTOR_CONTACTS,
}
MOTION_POINTS = ("ego",)
PATH_LINE_POINTS = 200
LEAST_BEND_M = 1e-9
"""Second difference of a lane's width between samples from which on it does not change evenly."""


def motion_columns(record: FloatArray, first: int, physics_period_ns: int) -> Columns:
    """Returns ``motion`` rows; ``record`` holds the rows from physics step ``first`` on."""
    zero = np.zeros(len(record))
    return {
        "t_ns": np.arange(first, first + len(record), dtype=np.int64) * physics_period_ns,
        "point": np.zeros(len(record), dtype=np.int64),
        "position_m": np.column_stack([record[:, 0], record[:, 1], zero]),
        "velocity_mps": np.column_stack([record[:, 2], record[:, 3], zero]),
    }


def actor_columns(
    record: FloatArray, first: int, control_period_ns: int, actors: FloatArray, routes: tuple[Route, ...]
) -> Columns:
    """Returns ``actors`` rows; ``record`` (ticks, N, columns) holds the rows from control tick ``first`` on."""
    num_ticks, num_actors, _ = record.shape
    rows = record.reshape(num_ticks * num_actors, -1)
    s, d = rows[:, step_kernel.RECORD_S], rows[:, step_kernel.RECORD_D]
    actor = np.tile(np.arange(num_actors, dtype=np.int64), num_ticks)
    return {
        "t_ns": np.repeat(
            np.arange(first, first + num_ticks, dtype=np.int64) * control_period_ns, num_actors
        ),
        "actor": actor,
        "actor_class": np.tile(actors[CLASS].astype(np.int64), num_ticks),
        "x_m": rows[:, step_kernel.RECORD_X].copy(),
        "y_m": rows[:, step_kernel.RECORD_Y].copy(),
        "yaw_rad": rows[:, step_kernel.RECORD_YAW].copy(),
        "speed_mps": rows[:, step_kernel.RECORD_SPEED].copy(),
        "acceleration_mps2": rows[:, step_kernel.RECORD_ACCELERATION].copy(),
        "length_m": rows[:, step_kernel.RECORD_LENGTH].copy(),
        "width_m": rows[:, step_kernel.RECORD_WIDTH].copy(),
        "station_m": s.copy(),
        "lateral_offset_m": d.copy(),
        "lane": _lanes_of_all(rows, actors, routes, num_ticks),
        "route_speed_mps": rows[:, step_kernel.RECORD_ROUTE_SPEED].copy(),
        "is_present": rows[:, step_kernel.RECORD_IS_PRESENT] > 0.0,
        "is_in_opposite_lane": (actor == EGO) & _is_in_opposite_lane(routes[0], s, d),
    }


def _sample_index(route: Route, s_m: FloatArray) -> IntArray:
    index: IntArray = np.clip((s_m / route.step_m).astype(np.int64), 0, route.samples.shape[1] - 1)
    return index


def _is_in_opposite_lane(route: Route, s_m: FloatArray, d_m: FloatArray) -> npt.NDArray[np.bool_]:
    index = _sample_index(route, s_m)
    is_left: npt.NDArray[np.bool_] = d_m > route.samples[LEFT_EDGE_M, index]
    is_outside: npt.NDArray[np.bool_] = route.samples[JUNCTION, index] == 0.0
    return is_left & is_outside


def _lanes_of_all(
    rows: FloatArray, actors: FloatArray, routes: tuple[Route, ...], num_ticks: int
) -> IntArray:
    s, d = rows[:, step_kernel.RECORD_PATH_S], rows[:, step_kernel.RECORD_PATH_D]
    if len(routes) == 1:
        return _lanes(routes[0], s, d)
    path = np.tile(np.maximum(actors[PATH], 0.0).astype(np.int64), num_ticks)  # ELSEWHERE: as on the route
    lanes = np.empty(len(rows), dtype=np.int64)
    for number, route in enumerate(routes):
        is_on = path == number
        lanes[is_on] = _lanes(route, s[is_on], d[is_on])
    return lanes


def _lanes(route: Route, s_m: FloatArray, d_m: FloatArray) -> IntArray:
    index = _sample_index(route, s_m)
    distance = np.abs(route.lane_centres_m[:, index] - d_m)
    nearest = np.argmin(distance, axis=0)
    half_width = 0.5 * route.lane_widths_m[nearest, index]
    is_on_lane = distance[nearest, np.arange(len(nearest))] <= half_width
    return np.where(is_on_lane, route.lanes[nearest], -1)


def contact_columns(
    contacts: FloatArray,
    columns: list[int],
    actors: FloatArray,
    route: Route,
    physics_period_ns: int,
    ego_mass_kg: float,
) -> tuple[Columns, Columns]:
    """Returns ``contacts`` and ``collisions`` rows for the given columns of the contact table."""
    classes = [ACTOR_CLASSES[int(actors[CLASS, i])] for i in columns]
    kinds = [_kind(contacts[:, i], actors, i) for i in columns]
    faults = [
        is_ego_at_fault(kind, is_straddling_lanes=_is_straddling(contacts[:, i], actors, route))
        for kind, i in zip(kinds, columns, strict=True)
    ]
    t_ns = [int(contacts[contact_rows.FIRST_STEP, i]) * physics_period_ns for i in columns]
    impact = contacts[contact_rows.IMPACT_SPEED_MPS, columns]
    touch: Columns = {
        "t_ns": t_ns,
        "class_pair": [f"ego-{name}" for name in classes],
        "is_collision": [True] * len(columns),
        "impact_speed_mps": impact,
        "is_at_fault": faults,
        "duration_s": contacts[contact_rows.STEPS_IN_TOUCH, columns] * physics_period_ns / 1e9,
    }
    collision: Columns = {
        "t_ns": t_ns,
        "actor": columns,
        "kind": [kind.value for kind in kinds],
        "is_at_fault": faults,
        "impact_speed_mps": impact,
        "ego_speed_mps": contacts[contact_rows.EGO_SPEED_MPS, columns],
        "actor_speed_mps": contacts[contact_rows.ACTOR_SPEED_MPS, columns],
        "impulse_newton_s": impulse_newton_s(
            impact, ego_mass_kg, np.array([CLASS_MASS_KG[name] for name in classes])
        ),
    }
    return touch, collision


def _body(contact: FloatArray, actors: FloatArray, actor: int, first_row: int, width_row: int) -> Body:
    x_m, y_m, yaw_rad, speed_mps = (float(v) for v in contact[first_row : first_row + 4])
    return Body(
        x_m=x_m,
        y_m=y_m,
        yaw_rad=yaw_rad,
        speed_mps=speed_mps,
        length_m=float(actors[LENGTH_M, actor]),
        width_m=float(contact[width_row]),
    )


def _kind(contact: FloatArray, actors: FloatArray, actor: int) -> CollisionKind:
    ego = _body(contact, actors, EGO, contact_rows.EGO_POSE, contact_rows.EGO_WIDTH_M)
    other = _body(contact, actors, actor, contact_rows.ACTOR_POSE, contact_rows.ACTOR_WIDTH_M)
    return classify_collision(ego, other)


def _is_straddling(contact: FloatArray, actors: FloatArray, route: Route) -> bool:
    """Whether the ego's footprint was not within one driving lane at the onset."""
    turn = float(contact[contact_rows.EGO_POSE + 2] - contact[contact_rows.EGO_ROUTE_YAW_RAD])
    half = 0.5 * (
        abs(np.cos(turn)) * contact[contact_rows.EGO_WIDTH_M] + abs(np.sin(turn)) * actors[LENGTH_M, EGO]
    )
    d = float(contact[contact_rows.EGO_D_M])
    index = min(max(int(contact[contact_rows.EGO_S_M] / route.step_m), 0), route.samples.shape[1] - 1)
    centres, widths = route.lane_centres_m[:, index], route.lane_widths_m[:, index]
    return not bool(np.any((d + half <= centres + 0.5 * widths) & (d - half >= centres - 0.5 * widths)))


def manoeuvre_columns(table: FloatArray, columns: list[int]) -> Columns:
    """Returns ``manoeuvres`` rows for the given columns of the manoeuvre table."""
    return {
        "t_ns": [round(float(table[manoeuvres.STARTED_S, i]) * 1e9) for i in columns],
        "actor": [int(table[manoeuvres.ACTOR, i]) for i in columns],
        "kind": [MANOEUVRE_NAMES[int(table[manoeuvres.KIND, i])] for i in columns],
    }


def infraction_columns(stops: FloatArray, rows: list[int]) -> Columns:
    """Returns ``infractions`` rows for the given stop lines."""
    return {
        "t_ns": [round(float(stops[i, stop_lines.PASSED_S]) * 1e9) for i in rows],
        "kind": [stop_lines.INFRACTIONS[int(stops[i, stop_lines.INFRACTION])] for i in rows],
        "station_m": [float(stops[i, STOP_S_M]) for i in rows],
    }


def signal_columns(
    program: FloatArray, used: IntArray, first: int, num_ticks: int, control_period_ns: int
) -> Columns:
    """Returns ``signals`` rows of the control ticks from ``first`` to before ``num_ticks``.

    Args:
        program: (K, signals.NUM_COLUMNS) program of the map's signals.
        used: (U,) indices of the signals in the attribute ``signals``.
        first: First tick; at tick 0 every light has a row.
        num_ticks: Tick after the last.
        control_period_ns: Control period.
    """
    ticks = np.arange(max(first - 1, 0), num_ticks, dtype=np.int64)
    states = signals.states_over(program, used, ticks * (control_period_ns / 1e9))
    is_new = np.ones(states.shape, dtype=np.bool_)
    is_new[1:] = states[1:] != states[:-1]
    is_new[0] = first == 0
    is_new &= states != signals.SIGN
    at, signal = np.nonzero(is_new)
    return {
        "t_ns": ticks[at] * control_period_ns,
        "signal": signal.astype(np.int64),
        "state": states[at, signal],
    }


def actor_contact_columns(pair_ticks: FloatArray, first: int, control_period_ns: int) -> Columns:
    """Returns ``actor_contacts`` rows of the control ticks from ``first`` on, in the order of time."""
    one, other = np.nonzero(pair_ticks >= max(first, 0))
    order = np.lexsort((other, one, pair_ticks[one, other]))
    return {
        "t_ns": pair_ticks[one, other][order].astype(np.int64) * control_period_ns,
        "actor": one[order].astype(np.int64),
        "other_actor": other[order].astype(np.int64),
    }


# --- log attributes ------------------------------------------------------------------------------------------


def used_signals(stops: FloatArray) -> IntArray:
    """Returns the map's indices of the signals on any path, in order."""
    used: IntArray = np.unique(stops[:, STOP_SIGNAL].astype(np.int64))
    return used


@functools.lru_cache(maxsize=64)
def path_lines(paths: Paths) -> list[list[list[float]]]:
    """Returns one polyline a path, of at most ``PATH_LINE_POINTS`` points."""
    lines = []
    for route in paths.routes:
        num = route.samples.shape[1]
        at = np.unique(np.linspace(0, num - 1, min(num, PATH_LINE_POINTS)).round().astype(np.int64))
        lines.append(np.round(route.samples[[ROUTE_X_M, ROUTE_Y_M]][:, at].T, 2).tolist())
    return lines


@functools.lru_cache(maxsize=64)
def lane_widths_m(route: Route) -> list[list[float]]:
    """Returns station and width of a route's lane, at both ends and wherever the width stops changing evenly."""
    width_m = route.samples[ROUTE_WIDTH_M]
    is_kept = np.ones(len(width_m), dtype=np.bool_)
    is_kept[1:-1] = np.abs(np.diff(width_m, n=2)) > LEAST_BEND_M
    at = np.flatnonzero(is_kept)
    widths: list[list[float]] = np.column_stack([at * route.step_m, width_m[at]]).tolist()
    return widths


def signal_attributes(road_map: RoadMap, used: IntArray) -> list[dict[str, Any]]:
    """Returns kind and pose of some signals of a map."""
    return [
        {
            "kind": SIGNAL_KINDS[road_map.signal_kind[i]],
            "x_m": round(float(road_map.signal_x_m[i]), 2),
            "y_m": round(float(road_map.signal_y_m[i]), 2),
            "yaw_rad": round(float(road_map.signal_yaw_rad[i]), 4),
        }
        for i in used
    ]


def stop_line_attributes(network: Network, used: IntArray) -> list[list[Any]]:
    """Returns both ends of every stop line on a path, and the index of its signal in the attribute ``signals``."""
    lines: dict[tuple[float, ...], list[Any]] = {}
    for route in network.paths.routes:
        for s_m, signal, _ in route.stops:
            half = 0.5 * float(value_at(route.samples, route.step_m, ROUTE_WIDTH_M, s_m))
            ends = [pose_at(route.samples, route.step_m, s_m, side * half)[:2] for side in (1.0, -1.0)]
            line = [[round(float(v), 1) for v in end] for end in ends]
            lines[(*line[0], *line[1])] = [*line, int(np.searchsorted(used, int(signal)))]
    return list(lines.values())
