"""Background traffic at the start of an episode: who drives where, drawn from the seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from simloop.randomness import generator, stream_key
from simloop_driving.actor_motion import LONG_M
from simloop_driving.roads.route import CURVATURE_PER_M, Route, pose_at
from simloop_driving.scenario import actor_state
from simloop_driving.scenario.actor_state import ACTOR_DIMENSIONS_M
from simloop_driving.scenario.scene import Scene
from simloop_driving.scenario.scene_actors import Background
from simloop_driving.scenario.start_columns import set_rules, start_column

FloatArray = npt.NDArray[np.float64]

ROOM_BEHIND_SCRIPTED_M = 20.0
ROOM_AHEAD_OF_SCRIPTED_M = 70.0
"""Background traffic keeps this distance from scripted actors at the start, so that it does not play their part."""
ROOM_ON_PATH_M = 8.0
TRIED_STEP_M = 2.0
MIN_RADIUS_OF_LONG_M = 15.0
ROOM_BEFORE_ZONE_M = 10.0
"""A flow on a path of its own starts this far before the first zone that it shares with another path."""


def flow_on_route(
    background: Background,
    scene: Scene,
    scripted: Sequence[FloatArray],
    offsets: Mapping[str, float],
    key: tuple[str | int, ...],
) -> list[FloatArray]:
    """Fills lanes from behind the ego to ahead of it; lanes that the road does not have stay empty."""
    lanes = [lane for lane in background.lanes if lane in offsets]
    columns: list[FloatArray] = []
    for number, lane in enumerate(lanes):
        num = background.num_actors // len(lanes) + (number < background.num_actors % len(lanes))
        draws = generator(stream_key("driving.background", *key, lane))
        taken = [
            (float(c[actor_state.S_M]), float(c[actor_state.LENGTH_M]))
            for c in scripted
            if c[actor_state.PATH] == 0.0 and abs(c[actor_state.D_M] - offsets[lane]) < 1.75
        ]
        speed_mps = _speed_mps(background, scene, draws)
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
            column = start_column(
                path=0,
                s_m=s_m,
                d_m=offsets[lane],
                speed_mps=speed_mps,
                dimensions_m=dimensions_m,
                actor_class=actor_class,
                behaviour=background.behaviour,
            )
            set_rules(column, background)
            columns.append(column)
            s_m += dimensions_m[0] + float(headway_s) * speed_mps
    return columns


def flow_on_path(
    background: Background,
    scene: Scene,
    others: Sequence[FloatArray],
    *,
    path: int,
    routes: Sequence[Route],
    station_m: float,
    until_m: float,
    offsets: Mapping[str, float],
    key: tuple[str | int, ...],
) -> list[FloatArray]:
    """Puts a flow on a path of its own; who does not find room at the start enters later at the flow's station.

    Long vehicles do not take bends below ``MIN_RADIUS_OF_LONG_M``, in which they would need the oncoming lane; cars
    drive in their place.

    Args:
        background: The flow.
        scene: The scene.
        others: Columns of everybody who is placed already.
        path: Number of the path.
        routes: The routes of all paths.
        station_m: Where the last of the first vehicles starts and later ones enter.
        until_m: Vehicles start before this station.
        offsets: d of the lane words of the path.
        key: Keys the draws.
    """
    route = routes[path]
    taken = [
        (*_xy(routes[int(other[actor_state.PATH])], other), float(other[actor_state.LENGTH_M]))
        for other in others
        if other[actor_state.IS_ABSENT] == 0.0
    ]
    is_tight = float(np.abs(route.samples[CURVATURE_PER_M]).max()) > 1.0 / MIN_RADIUS_OF_LONG_M
    lanes = [lane for lane in background.lanes if lane in offsets]
    columns: list[FloatArray] = []
    for number, lane in enumerate(lanes):
        num = background.num_actors // len(lanes) + (number < background.num_actors % len(lanes))
        draws = generator(stream_key("driving.background", *key, lane))
        speed_mps = _speed_mps(background, scene, draws)
        headways_s = draws.uniform(*background.headway_range_s, size=num)
        classes = draws.integers(len(background.classes), size=num)
        s_m, enters_s = station_m, 0.0
        for headway_s, class_index in zip(headways_s, classes, strict=True):
            actor_class = background.classes[int(class_index)]
            if is_tight and ACTOR_DIMENSIONS_M[actor_class][0] > LONG_M:
                actor_class = "car"
            dimensions_m = ACTOR_DIMENSIONS_M[actor_class]
            while s_m < until_m and _is_taken(route, s_m, offsets[lane], dimensions_m[0], taken):
                s_m += TRIED_STEP_M
            is_late = s_m + 0.5 * dimensions_m[0] > until_m
            if is_late:
                enters_s += float(headway_s)
            column = start_column(
                path=path,
                s_m=station_m if is_late else s_m,
                d_m=offsets[lane],
                speed_mps=speed_mps,
                dimensions_m=dimensions_m,
                actor_class=actor_class,
                behaviour=background.behaviour,
            )
            set_rules(column, background)
            column[actor_state.IS_ABSENT] = float(is_late)
            column[actor_state.ENTERS_S] = enters_s
            column[actor_state.LEAVES] = 1.0
            columns.append(column)
            if not is_late:
                taken.append((*pose_at(route.samples, route.step_m, s_m, offsets[lane])[:2], dimensions_m[0]))
            s_m += dimensions_m[0] + float(headway_s) * speed_mps
    return columns


def _xy(route: Route, column: FloatArray) -> tuple[float, float]:
    s_m, d_m = float(column[actor_state.PATH_S_M]), float(column[actor_state.PATH_D_M])
    x_m, y_m, _ = pose_at(route.samples, route.step_m, s_m, d_m)
    return float(x_m), float(y_m)


def _is_taken(
    route: Route, s_m: float, d_m: float, length_m: float, taken: Sequence[tuple[float, float, float]]
) -> bool:
    """Whether somebody (x_m, y_m, length_m) is too near to a place on a path."""
    x_m, y_m, _ = pose_at(route.samples, route.step_m, s_m, d_m)
    return any(
        math.hypot(x - x_m, y - y_m) < 0.5 * (length_m + other_m) + ROOM_ON_PATH_M for x, y, other_m in taken
    )


def _speed_mps(background: Background, scene: Scene, draws: np.random.Generator) -> float:
    if background.speed_range_mps is not None:
        return float(draws.uniform(*background.speed_range_mps))
    relative_mps = float(draws.uniform(*background.relative_speed_range_mps))
    return max(1.0, scene.ego.initial_speed_mps + relative_mps)
