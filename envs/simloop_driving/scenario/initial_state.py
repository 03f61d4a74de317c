"""Turns a scene into the arrays that the scenario kernels read: actors, manoeuvres and criteria."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError
from simloop.randomness import generator, stream_key
from simloop_driving.roads.road_map import DRIVING, RoadMap, load_map
from simloop_driving.roads.route import Route, lane_route
from simloop_driving.scenario import actor_state, criteria, manoeuvres
from simloop_driving.scenario.actor_state import ACTOR_CLASSES, ACTOR_DIMENSIONS_M, EGO
from simloop_driving.scenario.scene import Scene
from simloop_driving.scenario.scene_actors import ActorStart, Background
from simloop_driving.scenario.scene_manoeuvres import Manoeuvre

FloatArray = npt.NDArray[np.float64]

ROOM_BEHIND_SCRIPTED_M = 20.0
ROOM_AHEAD_OF_SCRIPTED_M = 70.0
"""Background traffic keeps this distance from scripted actors at the start, so that it does not play their part."""
SCRIPTED_SPEED_RATE_MPS2 = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InitialState:
    """The arrays of an episode's start; the kernels change them in place.

    Attributes:
        road_map: The map.
        route: The ego's lane.
        actors: (actor_state.NUM_ROWS, N) float64; column 0 is the ego.
        manoeuvres: (manoeuvres.NUM_ROWS, M) float64.
        criteria: (criteria.NUM_ENTRIES,) float64.
    """

    road_map: RoadMap
    route: Route
    actors: FloatArray
    manoeuvres: FloatArray
    criteria: FloatArray


def build_initial_state(
    scene: Scene,
    family: str,
    seed: int,
    ego_dimensions_m: tuple[float, float, float],
    road_map: RoadMap | None = None,
) -> InitialState:
    """Places everyone at t = 0.

    Args:
        scene: The checked scene.
        family: Name of the scenario's family; keys the draws of the background traffic.
        seed: Seed of the episode.
        ego_dimensions_m: Length, width and height of the ego.
        road_map: The map, if it is not a shipped one.

    Raises:
        ConfigurationError: A lane does not exist, the ego starts beyond its end, or two start in each other.
    """
    road_map = road_map if road_map is not None else load_map(scene.map_name)
    lane = road_map.lane_index(scene.ego.road_id, scene.ego.lane_id)
    where = f"{family}: scene.ego"
    if road_map.lane_kind[lane] != DRIVING:
        raise ConfigurationError(
            f"{where}.lane {scene.ego.lane_id} of map {road_map.name!r} is not a driving lane."
        )
    route = lane_route(road_map, lane)
    if scene.ego.station_m > route.length_m:
        raise ConfigurationError(
            f"{where}.station_m is {scene.ego.station_m:g}; lane {scene.ego.lane_id} of map {road_map.name!r} is "
            f"{route.length_m:g} m long."
        )
    offsets = _lane_offsets(road_map, route, scene.ego.station_m)
    columns = [_ego_column(scene, ego_dimensions_m)]
    names = [actor.name for actor in scene.actors]
    for actor in scene.actors:
        behind = columns[1 + names.index(actor.ahead_of)] if actor.ahead_of else columns[0]
        columns.append(_actor_column(actor, behind, offsets, family))
    _check_room(columns, ("ego", *names), family)
    if scene.background is not None:
        columns += _background_columns(scene.background, scene, columns, offsets, family, seed)
    return InitialState(
        road_map=road_map,
        route=route,
        actors=np.ascontiguousarray(np.stack(columns, axis=1)),
        manoeuvres=_manoeuvre_table(scene.manoeuvres, names, offsets, family),
        criteria=_criteria(scene),
    )


def _lane_offsets(road_map: RoadMap, route: Route, s_m: float) -> dict[str, float]:
    """Returns d of the lanes called ego, left and right at ``s_m``; lanes that are not there are left out."""
    offsets = {"ego": 0.0}
    for side in ("left", "right"):
        neighbour = road_map.driving_neighbour(route.lane, side)
        if neighbour >= 0:
            offsets[side] = route.lane_centre_m(neighbour, s_m)
    return offsets


def _offset(offsets: dict[str, float], lane: str, where: str) -> float:
    if lane not in offsets:
        raise ConfigurationError(
            f"{where}: there is no lane to the {lane} of the ego; there is: {', '.join(offsets)}."
        )
    return offsets[lane]


def _column(
    *,
    s_m: float,
    d_m: float,
    speed_mps: float,
    dimensions_m: tuple[float, float, float],
    actor_class: str,
    is_idm: bool,
) -> FloatArray:
    column = np.zeros(actor_state.NUM_ROWS)
    column[actor_state.S_M] = s_m
    column[actor_state.D_M] = d_m
    column[actor_state.SPEED_MPS] = speed_mps
    column[actor_state.LENGTH_M : actor_state.HEIGHT_M + 1] = dimensions_m
    column[actor_state.CLASS] = ACTOR_CLASSES.index(actor_class)
    column[actor_state.IS_IDM] = float(is_idm)
    column[actor_state.DESIRED_SPEED_MPS] = speed_mps
    column[actor_state.SPEED_RATE_MPS2] = SCRIPTED_SPEED_RATE_MPS2
    column[actor_state.COMMAND_D_M] = d_m
    return column


def _check_room(columns: Sequence[FloatArray], names: Sequence[str], family: str) -> None:
    for second in range(1, len(columns)):
        for first in range(second):
            one, other = columns[first], columns[second]
            apart_m = abs(other[actor_state.S_M] - one[actor_state.S_M])
            aside_m = abs(other[actor_state.D_M] - one[actor_state.D_M])
            length_m = 0.5 * (one[actor_state.LENGTH_M] + other[actor_state.LENGTH_M])
            width_m = 0.5 * (one[actor_state.WIDTH_M] + other[actor_state.WIDTH_M])
            if apart_m < length_m - 1e-9 and aside_m < width_m - 1e-9:
                raise ConfigurationError(
                    f"{family}: scene.actors.{names[second]} starts in {names[first]}: centres {apart_m:.2f} m apart "
                    f"along the lane and {aside_m:.2f} m across; allowed: from {length_m:.2f} m along or "
                    f"{width_m:.2f} m across."
                )


def _ego_column(scene: Scene, dimensions_m: tuple[float, float, float]) -> FloatArray:
    return _column(
        s_m=scene.ego.station_m,
        d_m=scene.ego.lateral_offset_m,
        speed_mps=scene.ego.initial_speed_mps,
        dimensions_m=dimensions_m,
        actor_class="car",
        is_idm=False,
    )


def _actor_column(
    actor: ActorStart, behind: FloatArray, offsets: dict[str, float], family: str
) -> FloatArray:
    length_m, width_m, height_m = ACTOR_DIMENSIONS_M[actor.actor_class]
    dimensions_m = (actor.length_m or length_m, actor.width_m or width_m, height_m)
    d_m = _offset(offsets, actor.lane, f"{family}: scene.actors.{actor.name}.lane")
    column = _column(
        s_m=float(behind[actor_state.S_M])
        + actor.gap_m
        + 0.5 * (float(behind[actor_state.LENGTH_M]) + dimensions_m[0]),
        d_m=d_m + math.copysign(actor.away_from_ego_lane_m, d_m),
        speed_mps=actor.speed_mps,
        dimensions_m=dimensions_m,
        actor_class=actor.actor_class,
        is_idm=actor.is_idm,
    )
    column[actor_state.KEEPS_HEADING] = float(actor.keeps_heading)
    return column


def _background_columns(
    background: Background,
    scene: Scene,
    scripted: Sequence[FloatArray],
    offsets: dict[str, float],
    family: str,
    seed: int,
) -> list[FloatArray]:
    """Fills lanes from behind the ego to ahead of it; lanes that the road does not have stay empty."""
    lanes = [lane for lane in background.lanes if lane in offsets]
    columns: list[FloatArray] = []
    for number, lane in enumerate(lanes):
        num = background.num_actors // len(lanes) + (number < background.num_actors % len(lanes))
        draws = generator(stream_key("driving.background", family, seed, lane))
        taken = [
            (float(c[actor_state.S_M]), float(c[actor_state.LENGTH_M]))
            for c in scripted
            if abs(c[actor_state.D_M] - offsets[lane]) < 1.75
        ]
        relative_mps = float(draws.uniform(*background.relative_speed_range_mps))
        speed_mps = max(1.0, scene.ego.initial_speed_mps + relative_mps)
        headways_s = draws.uniform(*background.headway_range_s, size=num)
        classes = draws.integers(len(background.classes), size=num)
        s_m = scene.ego.station_m - float(np.sum(headways_s[: num // 3])) * speed_mps
        s_m += float(draws.uniform(-0.5, 0.5)) * float(np.mean(background.headway_range_s)) * speed_mps
        for headway_s, class_index in zip(headways_s, classes, strict=True):
            actor_class = background.classes[int(class_index)]
            dimensions_m = ACTOR_DIMENSIONS_M[actor_class]
            for other_m, length_m in sorted(taken):
                half = 0.5 * (dimensions_m[0] + length_m)
                if other_m - half - ROOM_BEHIND_SCRIPTED_M < s_m < other_m + half + ROOM_AHEAD_OF_SCRIPTED_M:
                    s_m = other_m + half + ROOM_AHEAD_OF_SCRIPTED_M
            columns.append(
                _column(
                    s_m=s_m,
                    d_m=offsets[lane],
                    speed_mps=speed_mps,
                    dimensions_m=dimensions_m,
                    actor_class=actor_class,
                    is_idm=True,
                )
            )
            s_m += dimensions_m[0] + float(headway_s) * speed_mps
    return columns


def _manoeuvre_table(
    entries: Sequence[Manoeuvre], names: list[str], offsets: dict[str, float], family: str
) -> FloatArray:
    table = np.zeros((manoeuvres.NUM_ROWS, len(entries)))
    for i, entry in enumerate(entries):
        is_lateral = bool(entry.to_lane)
        table[manoeuvres.ACTOR, i] = EGO + 1 + names.index(entry.actor)
        table[manoeuvres.TRIGGER, i] = manoeuvres.TRIGGERS.index(entry.trigger.kind)
        table[manoeuvres.THRESHOLD, i] = entry.trigger.threshold
        table[manoeuvres.LATEST_S, i] = entry.latest_s
        table[manoeuvres.KIND, i] = manoeuvres.LATERAL if is_lateral else manoeuvres.SPEED
        where = f"{family}: scene.manoeuvres[{i}].change_lane.to"
        table[manoeuvres.TARGET, i] = (
            _offset(offsets, entry.to_lane, where) if is_lateral else entry.end_speed_mps
        )
        table[manoeuvres.RATE, i] = entry.lateral_speed_mps if is_lateral else entry.rate_mps2
        table[manoeuvres.STARTED_S, i] = -1.0
    return table


def _criteria(scene: Scene) -> FloatArray:
    values = np.zeros(criteria.NUM_ENTRIES)
    values[criteria.SET_SPEED_MPS] = scene.ego.set_speed_mps
    values[criteria.GOAL_TIME_S] = scene.goal_time_s
    values[criteria.MIN_PROGRESS_RATIO] = scene.min_progress_ratio
    values[criteria.TIME_LIMIT_S] = scene.time_limit_s
    values[criteria.START_S_M] = scene.ego.station_m
    values[criteria.CONFLICT_OVER_S] = scene.conflict_over_s
    return values
