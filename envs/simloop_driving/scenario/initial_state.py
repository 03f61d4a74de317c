"""Turns a scene into the arrays that the kernels read: paths, actors, manoeuvres, criteria and signals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, UnknownNameError
from simloop_driving.roads.conflicts import A_IN_M, B_IN_M, PATH_A, PATH_B, conflict_zones
from simloop_driving.roads.map_files import load_map
from simloop_driving.roads.road_map import DRIVING, TRAFFIC_LIGHT, RoadMap
from simloop_driving.roads.route import (
    JUNCTION,
    STOP_SIGNAL,
    Paths,
    Route,
    lane_route,
    pose_at,
    project,
    stack_routes,
)
from simloop_driving.roads.routing import find_route, route_along, successors
from simloop_driving.scenario import actor_state, criteria
from simloop_driving.scenario.actor_state import ACTOR_DIMENSIONS_M, EGO
from simloop_driving.scenario.checks import check_goal_on_route
from simloop_driving.scenario.flows import ROOM_BEFORE_ZONE_M, flow_on_path, flow_on_route
from simloop_driving.scenario.lane_words import lane_at, lane_offset, lane_offsets
from simloop_driving.scenario.manoeuvre_table import Stage, build_tables
from simloop_driving.scenario.network import Network, build_network
from simloop_driving.scenario.on_paths import nearest_coarse
from simloop_driving.scenario.scene import Scene
from simloop_driving.scenario.scene_actors import ActorStart, EgoStart, LanePoint, OwnPath
from simloop_driving.scenario.signals import build_signal_program
from simloop_driving.scenario.start_columns import check_room, set_rules, start_column

FloatArray = npt.NDArray[np.float64]

ROUTE_GRID_M = 10.0
"""Lane changes at the start of a route begin at multiples of this, so that few different routes are built."""
_LANES_AT_THE_EGO = ("ego", "left", "right")
"""Of these words the lane counts that is beside the ego at the start, whatever is beside the actor."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InitialState:
    """The arrays of an episode's start; the kernels change those of actors, manoeuvres, criteria and stops in place.

    Attributes:
        road_map: The map.
        route: The ego's route, path 0.
        network: The paths and what follows from them.
        actors: (actor_state.NUM_ROWS, N) float64; column 0 is the ego.
        actor_names: Names of the ego and the scene's actors, in the order of their columns.
        manoeuvres: (manoeuvres.NUM_ROWS, M) float64.
        conditions: (triggers.NUM_ROWS, C) float64.
        criteria: (criteria.NUM_ENTRIES,) float64.
        signal_program: (K, signals.NUM_COLUMNS) float64.
        stops: (n, stop_lines.NUM_STOP_COLUMNS) float64.
        attached: Pairs of columns that belong together and may touch.
    """

    road_map: RoadMap
    route: Route
    network: Network
    actors: FloatArray
    actor_names: tuple[str, ...]
    manoeuvres: FloatArray
    conditions: FloatArray
    criteria: FloatArray
    signal_program: FloatArray
    stops: FloatArray
    attached: frozenset[tuple[int, int]]

    @property
    def paths(self) -> Paths:
        """The paths; path 0 is the ego's route."""
        return self.network.paths

    @property
    def zones(self) -> FloatArray:
        """(C, 7) conflict zones of the paths."""
        return self.network.zones

    @property
    def priorities(self) -> npt.NDArray[np.int64]:
        """(C,) who has the right of way in each zone."""
        return self.network.priorities


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
        ConfigurationError: A lane does not exist or cannot be reached, somebody starts beyond the end of its path or
            in somebody else, or a trigger can never hold.
    """
    try:
        road_map = road_map or load_map(scene.map_name)
    except UnknownNameError as error:
        raise UnknownNameError("map", error.got, error.allowed, where=f"{scene.where}.map") from error
    return _Builder(scene, family, seed, ego_dimensions_m, road_map).build()


class _Builder:
    """Collects paths and columns while a scene is placed."""

    def __init__(
        self,
        scene: Scene,
        family: str,
        seed: int,
        ego_dimensions_m: tuple[float, float, float],
        road_map: RoadMap,
    ) -> None:
        self.scene, self.family, self.seed, self.road_map = scene, family, seed, road_map
        ego = scene.ego
        start = self._lane(
            LanePoint(road_id=ego.road_id, lane_id=ego.lane_id, section=ego.section), f"{scene.where}.ego"
        )
        self.route = self._route(start, ego, ego.station_m, f"{scene.where}.ego")
        self._check_station(ego.station_m, start, f"{scene.where}.ego.station_m")
        check_goal_on_route(scene, self.route.length_m)
        self.routes: list[Route] = [self.route]
        self.offsets = lane_offsets(road_map, self.route, ego.station_m)
        self.columns = [self._ego_column(ego_dimensions_m)]
        self.names: list[str] = ["ego"]
        self.stations_m = {"ego": ego.station_m}  # along the route, of who is placed on it

    def build(self) -> InitialState:
        for actor in self.scene.actors:
            self.columns.append(self._actor_column(actor))
            self.names.append(actor.name)
        attached = {
            (self.names.index(actor.attached_to), self.names.index(actor.name))
            for actor in self.scene.actors
            if actor.attached_to
        }
        check_room(self.columns, self.names, self.routes, attached, self.scene.where)
        self._add_flows()
        actors = np.ascontiguousarray(np.stack(self.columns, axis=1))
        lengths_m = [
            float(actors[actor_state.LENGTH_M, actors[actor_state.PATH] == path].max(initial=0.0))
            for path in range(len(self.routes))
        ]
        network = build_network(self.road_map, tuple(self.routes), tuple(lengths_m))
        table, conditions = build_tables(self.scene, self._stage(actors, network))
        return InitialState(
            road_map=self.road_map,
            route=self.route,
            network=network,
            actors=actors,
            actor_names=tuple(self.names),
            manoeuvres=table,
            conditions=conditions,
            criteria=_criteria(self.scene),
            signal_program=build_signal_program(self.road_map, self.scene.signals),
            stops=network.stops.copy(),
            attached=frozenset(attached),
        )

    # --- lanes and paths -------------------------------------------------------------------------------------

    def _lane(self, point: LanePoint, where: str) -> int:
        try:
            lane = self.road_map.lane_index(point.road_id, point.lane_id, point.section)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from error
        if self.road_map.lane_kind[lane] != DRIVING:
            raise ConfigurationError(
                f"{where}.lane {point.lane_id} of map {self.road_map.name!r} is not a driving lane."
            )
        return lane

    def _route(self, start: int, way: EgoStart | OwnPath, station_m: float, where: str) -> Route:
        if way.to is None:
            return lane_route(self.road_map, start)
        goal = self._lane(way.to, f"{where}.to")
        via = [self._lane(point, f"{where}.via") for point in way.via]
        try:
            lanes = find_route(self.road_map, start, goal, via=via)
            begins_with_change = len(lanes) > 1 and lanes[1] not in successors(self.road_map, lanes[0])
            from_m = ROUTE_GRID_M * math.ceil(station_m / ROUTE_GRID_M) if begins_with_change else 0.0
            return route_along(self.road_map, lanes, from_m=from_m)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from error

    def _check_station(self, station_m: float, lane: int, where: str) -> None:
        length_m = (
            self.road_map.samples(lane).stop - self.road_map.samples(lane).start - 1
        ) * self.road_map.step_m
        if station_m > length_m:
            raise ConfigurationError(
                f"{where} is {station_m:g}; lane {int(self.road_map.lane_opendrive_id[lane])} of map "
                f"{self.road_map.name!r} is {length_m:g} m long."
            )

    def _path(self, route: Route) -> int:
        """Returns the number of a route among the paths; a new one is appended."""
        for number, known in enumerate(self.routes):
            if known is route:
                return number
        self.routes.append(route)
        return len(self.routes) - 1

    def _own_path(self, plan: OwnPath, where: str) -> int:
        start = self._lane(plan.start, f"{where}.path")
        self._check_station(plan.station_m, start, f"{where}.path.station_m")
        return self._path(self._route(start, plan, plan.station_m, f"{where}.path"))

    # --- columns ---------------------------------------------------------------------------------------------

    def _ego_column(self, dimensions_m: tuple[float, float, float]) -> FloatArray:
        ego = self.scene.ego
        column = start_column(
            path=0,
            s_m=ego.station_m,
            d_m=ego.lateral_offset_m,
            speed_mps=ego.initial_speed_mps,
            dimensions_m=dimensions_m,
            actor_class="car",
        )
        column[actor_state.DESIRED_SPEED_MPS] = ego.set_speed_mps
        return column

    def _actor_column(self, actor: ActorStart) -> FloatArray:
        where = f"{self.scene.where}.actors.{actor.name}"
        length_m, width_m, height_m = ACTOR_DIMENSIONS_M[actor.actor_class]
        dimensions_m = (actor.length_m or length_m, actor.width_m or width_m, height_m)
        if actor.own_path is not None:
            path = self._own_path(actor.own_path, where)
            s_m = actor.own_path.station_m
            if actor.arrives_with_ego_s is not None:
                s_m = self._arriving_station_m(actor, path, dimensions_m[0], where)
            d_m = self._offset_m(path, s_m, actor.lane, dimensions_m[1], f"{where}.lane")
        else:
            path, s_m = 0, self._station_on_route_m(actor, dimensions_m[0])
            self.stations_m[actor.name] = s_m
            if actor.lane == "opposite":
                path, s_m = self._opposite_path(s_m, where)
                d_m = 0.0
            elif actor.lane in _LANES_AT_THE_EGO:
                d_m = lane_offset(self.offsets, actor.lane, f"{where}.lane")
            else:
                d_m = self._offset_m(0, s_m, actor.lane, dimensions_m[1], f"{where}.lane")
        column = start_column(
            path=path,
            s_m=s_m,
            d_m=d_m + math.copysign(actor.away_from_ego_lane_m, d_m) + actor.lateral_offset_m,
            speed_mps=actor.speed_mps,
            dimensions_m=dimensions_m,
            actor_class=actor.actor_class,
            behaviour="scripted" if actor.waits else actor.behaviour,
        )
        if actor.keeps_heading:
            column[actor_state.KEEPS_HEADING] = 1.0
        set_rules(column, actor)
        return column

    def _station_on_route_m(self, actor: ActorStart, length_m: float) -> float:
        of = self.columns[self.names.index(actor.ahead_of) if actor.ahead_of else EGO]
        s_m = self.stations_m[actor.ahead_of or "ego"]
        if actor.placed == "beside":
            return s_m + actor.gap_m
        apart_m = 0.5 * (float(of[actor_state.LENGTH_M]) + length_m)
        if actor.placed == "behind":
            return s_m - actor.gap_m - apart_m
        return s_m + actor.gap_m + apart_m

    def _offset_m(self, path: int, s_m: float, word: str, width_m: float, where: str) -> float:
        offsets = lane_offsets(self.road_map, self.routes[path], s_m, width_m)
        return lane_offset(offsets, word, where)

    def _opposite_path(self, s_m: float, where: str) -> tuple[int, float]:
        """Returns the path of somebody who comes towards the ego, and the station beside ``s_m`` of the route."""
        ahead = self.route.path_lanes[
            max(min(int(s_m / self.route.step_m), len(self.route.path_lanes) - 1), 0) :
        ]
        opposite = self.road_map.lane_opposite[ahead]
        there = int(opposite[np.argmax(opposite >= 0)])  # in a junction, the one behind it
        home = int(self.road_map.lane_opposite[lane_at(self.route, self.scene.ego.station_m)])
        if there < 0:
            raise ConfigurationError(
                f"{where}.lane: there is no lane of the opposite direction at station {s_m:g} of the ego's route; "
                f"there is: {', '.join(self.offsets)}."
            )
        lanes: tuple[int, ...] = (there,)
        if home >= 0:
            lanes = find_route(self.road_map, there, home)
        route = route_along(self.road_map, lanes)
        x_m, y_m, _ = pose_at(self.route.samples, self.route.step_m, s_m, 0.0)
        guess_m = nearest_coarse(route.samples, route.step_m, x_m, y_m)
        return self._path(route), float(project(route.samples, route.step_m, x_m, y_m, guess_m)[0])

    def _arriving_station_m(self, actor: ActorStart, path: int, length_m: float, where: str) -> float:
        entry = _first_entry_m(conflict_zones(stack_routes((self.route, self.routes[path]))), 1)
        if entry is None:
            raise ConfigurationError(
                f"{where}.arrives_with_ego_s: its path does not meet the ego's route. Allowed: a path that crosses or "
                "joins it, or path.station_m."
            )
        ego = self.scene.ego
        to_go_m = entry[0] - ego.station_m - 0.5 * float(self.columns[EGO][actor_state.LENGTH_M])
        arrives_s = to_go_m / max(ego.set_speed_mps, 0.1) + float(actor.arrives_with_ego_s or 0.0)
        s_m = entry[1] - 0.5 * length_m - arrives_s * actor.speed_mps
        if s_m < 0.0:
            raise ConfigurationError(
                f"{where}.arrives_with_ego_s: it would have to start {-s_m:.1f} m before its path begins, to come in "
                f"{arrives_s:.1f} s at {actor.speed_mps:g} m/s. Allowed: a longer path, an ego nearer to the place, a "
                "lower speed or an earlier arrival."
            )
        return s_m

    # --- flows, stage ----------------------------------------------------------------------------------------

    def _add_flows(self) -> None:
        placed = list(self.columns)
        for number, flow in enumerate(self.scene.flows):
            key: tuple[str | int, ...] = (self.family, self.seed)
            if number:
                key = (*key, number)
            if flow.own_path is None:
                self.columns += flow_on_route(flow, self.scene, placed, self.offsets, key)
                continue
            where = f"{self.scene.where}.background[{number}]"
            path = self._own_path(flow.own_path, where)
            route = self.routes[path]
            is_ahead = np.arange(route.samples.shape[1]) * route.step_m > flow.own_path.station_m
            in_junction = np.flatnonzero((route.samples[JUNCTION] > 0.0) & is_ahead)
            until_m = route.length_m
            if len(in_junction):
                until_m = float(in_junction[0]) * route.step_m - ROOM_BEFORE_ZONE_M
            if path:
                entry = _first_entry_m(conflict_zones(stack_routes((self.route, route))), 1)
                until_m = min(until_m, entry[1] - ROOM_BEFORE_ZONE_M if entry else math.inf)
            self.columns += flow_on_path(
                flow,
                self.scene,
                self.columns,
                path=path,
                routes=self.routes,
                station_m=flow.own_path.station_m,
                until_m=max(until_m, flow.own_path.station_m + 3.0),
                offsets=lane_offsets(self.road_map, route, flow.own_path.station_m),
                key=key,
            )

    def _stage(self, actors: FloatArray, network: Network) -> Stage:
        paths = {name: int(actors[actor_state.PATH, i]) for i, name in enumerate(self.names)}
        entries = {name: _first_entry_m(network.zones, path) for name, path in paths.items() if path}
        columns = {name: i for i, name in enumerate(self.names)}

        def offset_m(name: str, word: str, where: str) -> float:
            column = actors[:, columns[name]]
            path = int(column[actor_state.PATH])
            if path == 0 and word in _LANES_AT_THE_EGO:
                return lane_offset(self.offsets, word, where)
            s_m, width_m = float(column[actor_state.PATH_S_M]), float(column[actor_state.WIDTH_M])
            return self._offset_m(path, s_m, word, width_m, where)

        def lights(path: int) -> tuple[int, ...]:
            signals = self.routes[path].stops[:, STOP_SIGNAL].astype(np.int64)
            return tuple(int(i) for i in signals if self.road_map.signal_kind[i] == TRAFFIC_LIGHT)

        return Stage(
            actors=actors,
            columns=columns,
            offset_m=offset_m,
            path_length_m={name: self.routes[path].length_m for name, path in paths.items()},
            conflict_entry_m={name: entry for name, entry in entries.items() if entry is not None},
            lights={
                int(self.road_map.signal_id[i]): int(i)
                for i in np.flatnonzero(self.road_map.signal_kind == TRAFFIC_LIGHT)
            },
            path_lights={name: lights(path) for name, path in paths.items()},
        )


def _first_entry_m(zones: FloatArray, path: int) -> tuple[float, float] | None:
    """Returns where path 0 and another path first come to a place that both need: station on each."""
    hits = zones[(zones[:, PATH_A] == 0) & (zones[:, PATH_B] == path)]
    if not len(hits):
        return None
    first = hits[np.argmin(hits[:, B_IN_M])]
    return float(first[A_IN_M]), float(first[B_IN_M])


def _criteria(scene: Scene) -> FloatArray:
    values = np.zeros(criteria.NUM_ENTRIES)
    values[criteria.SET_SPEED_MPS] = scene.ego.set_speed_mps
    values[criteria.GOAL_TIME_S] = scene.goal_time_s
    values[criteria.GOAL_STATION_M] = scene.goal_station_m
    values[criteria.MAY_RUN_RED] = float(scene.may_run_red)
    values[criteria.MAY_PASS_STOP_SIGN] = float(scene.may_pass_stop_sign)
    values[criteria.MIN_PROGRESS_RATIO] = scene.min_progress_ratio
    values[criteria.TIME_LIMIT_S] = scene.time_limit_s
    values[criteria.START_S_M] = scene.ego.station_m
    values[criteria.CONFLICT_OVER_S] = scene.conflict_over_s
    values[criteria.RULE_WAY_M] = math.inf
    return values
