"""Log tables of the driving world, built from the arrays that the step kernel fills."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop.log import CONTACTS, MOTION, Column, Columns, TableSchema
from simloop_driving import step_kernel
from simloop_driving.collisions.fault import Body, CollisionKind, classify_collision, is_ego_at_fault
from simloop_driving.roads.route import Route
from simloop_driving.scenario import manoeuvres
from simloop_driving.scenario.actor_state import ACTOR_CLASSES, CLASS, EGO, LENGTH_M, WIDTH_M

FloatArray = npt.NDArray[np.float64]


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
    ),
)
MANOEUVRES = TableSchema(
    description="One row a scripted manoeuvre that started.",
    columns=(
        _int("t_ns", "virtual instant of the start"),
        _int("actor", "number of the actor"),
        Column(name="kind", dtype="text", description="change_lane or change_speed"),
    ),
)
TABLES = {
    "motion": MOTION,
    "contacts": CONTACTS,
    "actors": ACTORS,
    "collisions": COLLISIONS,
    "manoeuvres": MANOEUVRES,
}
MOTION_POINTS = ("ego",)


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
    record: FloatArray, first: int, control_period_ns: int, actors: FloatArray, route: Route
) -> Columns:
    """Returns ``actors`` rows; ``record`` (ticks, N, 7) holds the rows from control tick ``first`` on."""
    num_ticks, num_actors, _ = record.shape
    rows = record.reshape(num_ticks * num_actors, -1)
    s, d = rows[:, step_kernel.RECORD_S], rows[:, step_kernel.RECORD_D]
    return {
        "t_ns": np.repeat(
            np.arange(first, first + num_ticks, dtype=np.int64) * control_period_ns, num_actors
        ),
        "actor": np.tile(np.arange(num_actors, dtype=np.int64), num_ticks),
        "actor_class": np.tile(actors[CLASS].astype(np.int64), num_ticks),
        "x_m": rows[:, step_kernel.RECORD_X].copy(),
        "y_m": rows[:, step_kernel.RECORD_Y].copy(),
        "yaw_rad": rows[:, step_kernel.RECORD_YAW].copy(),
        "speed_mps": rows[:, step_kernel.RECORD_SPEED].copy(),
        "acceleration_mps2": rows[:, step_kernel.RECORD_ACCELERATION].copy(),
        "length_m": np.tile(actors[LENGTH_M], num_ticks),
        "width_m": np.tile(actors[WIDTH_M], num_ticks),
        "station_m": s.copy(),
        "lateral_offset_m": d.copy(),
        "lane": _lanes(route, s, d),
    }


def _lanes(route: Route, s_m: FloatArray, d_m: FloatArray) -> npt.NDArray[np.int64]:
    index = np.clip((s_m / route.step_m).astype(np.int64), 0, route.samples.shape[1] - 1)
    distance = np.abs(route.lane_centres_m[:, index] - d_m)
    nearest = np.argmin(distance, axis=0)
    half_width = 0.5 * route.lane_widths_m[nearest, index]
    is_on_lane = distance[nearest, np.arange(len(nearest))] <= half_width
    return np.where(is_on_lane, route.lanes[nearest], -1)


def contact_columns(
    contacts: FloatArray, columns: list[int], actors: FloatArray, route: Route, physics_period_ns: int
) -> tuple[Columns, Columns]:
    """Returns ``contacts`` and ``collisions`` rows for the given columns of the contact table."""
    kinds = [_kind(contacts[:, i], actors, i) for i in columns]
    faults = [
        is_ego_at_fault(kind, is_straddling_lanes=_is_straddling(contacts[:, i], actors, route))
        for kind, i in zip(kinds, columns, strict=True)
    ]
    t_ns = [int(contacts[step_kernel.FIRST_STEP, i]) * physics_period_ns for i in columns]
    impact = contacts[step_kernel.IMPACT_SPEED_MPS, columns]
    touch: Columns = {
        "t_ns": t_ns,
        "class_pair": [f"ego-{ACTOR_CLASSES[int(actors[CLASS, i])]}" for i in columns],
        "is_collision": [True] * len(columns),
        "impact_speed_mps": impact,
        "is_at_fault": faults,
        "duration_s": contacts[step_kernel.STEPS_IN_TOUCH, columns] * physics_period_ns / 1e9,
    }
    collision: Columns = {
        "t_ns": t_ns,
        "actor": columns,
        "kind": [kind.value for kind in kinds],
        "is_at_fault": faults,
        "impact_speed_mps": impact,
        "ego_speed_mps": contacts[step_kernel.EGO_SPEED_MPS, columns],
        "actor_speed_mps": contacts[step_kernel.ACTOR_SPEED_MPS, columns],
    }
    return touch, collision


def _body(contact: FloatArray, actors: FloatArray, actor: int, first_row: int) -> Body:
    x_m, y_m, yaw_rad, speed_mps = (float(v) for v in contact[first_row : first_row + 4])
    return Body(
        x_m=x_m,
        y_m=y_m,
        yaw_rad=yaw_rad,
        speed_mps=speed_mps,
        length_m=float(actors[LENGTH_M, actor]),
        width_m=float(actors[WIDTH_M, actor]),
    )


def _kind(contact: FloatArray, actors: FloatArray, actor: int) -> CollisionKind:
    ego = _body(contact, actors, EGO, step_kernel.EGO_POSE)
    return classify_collision(ego, _body(contact, actors, actor, step_kernel.ACTOR_POSE))


def _is_straddling(contact: FloatArray, actors: FloatArray, route: Route) -> bool:
    """Whether the ego's footprint was not within one driving lane at the onset."""
    turn = float(contact[step_kernel.EGO_POSE + 2] - contact[step_kernel.EGO_ROUTE_YAW_RAD])
    half = 0.5 * (abs(np.cos(turn)) * actors[WIDTH_M, EGO] + abs(np.sin(turn)) * actors[LENGTH_M, EGO])
    d = float(contact[step_kernel.EGO_D_M])
    index = min(max(int(contact[step_kernel.EGO_S_M] / route.step_m), 0), route.samples.shape[1] - 1)
    centres, widths = route.lane_centres_m[:, index], route.lane_widths_m[:, index]
    return not bool(np.any((d + half <= centres + 0.5 * widths) & (d - half >= centres - 0.5 * widths)))


def manoeuvre_columns(table: FloatArray, columns: list[int]) -> Columns:
    """Returns ``manoeuvres`` rows for the given columns of the manoeuvre table."""
    names = {manoeuvres.LATERAL: "change_lane", manoeuvres.SPEED: "change_speed"}
    return {
        "t_ns": [round(float(table[manoeuvres.STARTED_S, i]) * 1e9) for i in columns],
        "actor": [int(table[manoeuvres.ACTOR, i]) for i in columns],
        "kind": [names[int(table[manoeuvres.KIND, i])] for i in columns],
    }
