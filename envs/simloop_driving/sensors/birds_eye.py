"""The sensor ``birds_eye``: a raster round the ego, seen from above, with one layer for each kind of thing.

Roads and markings are the triangles that the cameras draw.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError
from simloop.world import SensorKind, SensorSpec
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.roads.route import WIDTH_M as ROUTE_WIDTH_M
from simloop_driving.roads.route import X_M as ROUTE_X_M
from simloop_driving.roads.route import Y_M as ROUTE_Y_M
from simloop_driving.roads.route import YAW_RAD as ROUTE_YAW_RAD
from simloop_driving.roads.route import Route
from simloop_driving.scenario.actor_state import (
    ACTOR_CLASSES,
    CLASS,
    EGO,
    IS_ABSENT,
    LENGTH_M,
    WIDTH_M,
    X_M,
    Y_M,
    YAW_RAD,
)
from simloop_driving.scenery import semantics
from simloop_driving.scenery.road_meshes import STOP_LINE_M, LaneLine, road_meshes
from simloop_driving.sensors.options import ExtraSensor, number
from simloop_driving.sensors.seen import signal_states
from simloop_driving.sensors.snapshot import Snapshot

FloatArray = npt.NDArray[np.float64]
Layer = npt.NDArray[np.uint8]

BIRDS_EYE_LAYERS = ("road", "lane_marks", "route", "vehicles", "vulnerable", "things", "signals")
"""Layers of ``birds_eye``, 255 where the thing is and 0 elsewhere: all that may be driven on; markings; the lane that
the route follows; cars and trucks; people on foot, bicycles and motorcycles; doors, barriers and cones; stop lines, at
lights with 85 for green, 170 for amber and 255 for red, at signs with 255. The ego itself is in no layer."""

ROAD, LANE_MARKS, ROUTE, VEHICLES, VULNERABLE, THINGS, SIGNALS = range(len(BIRDS_EYE_LAYERS))
SIGNAL_VALUES = (85, 170, 255)
"""Value of a stop line by the light's state."""
MAX_SIDE_CELLS = 1024
_LAYER_OF_CLASS = {
    name: VEHICLES
    if name in ("car", "truck")
    else THINGS
    if name in ("door", "barrier", "cone")
    else VULNERABLE
    for name in ACTOR_CLASSES
}
_QUAD = np.array([[0, 1, 2], [0, 2, 3]])


@dataclass(frozen=True, slots=True, kw_only=True)
class BirdsEye(ExtraSensor):
    """A bird's-eye raster, ego-centred, with the direction of travel up.

    Attributes:
        resolution_m: Side of a cell.
        ahead_m: How far it reaches ahead of the centre of the ego's footprint.
        behind_m: How far it reaches behind it.
        side_m: How far it reaches to each side.
        noise_m: Standard deviation of the error of each actor's place, along each axis.
        drop_out_ratio: Share of actors that are left out of a capture.
    """

    type_name: ClassVar[str] = "birds_eye"

    resolution_m: float = number(0.5, 0.1, 5.0)
    ahead_m: float = number(48.0, 1.0, 500.0)
    behind_m: float = number(16.0, 0.0, 500.0)
    side_m: float = number(32.0, 1.0, 500.0)
    noise_m: float = number(0.0, 0.0, 100.0)
    drop_out_ratio: float = number(0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if max(self.size) > MAX_SIDE_CELLS:
            raise ConfigurationError(
                f"extra_sensors.{self.name} has {self.size[0]} x {self.size[1]} cells; allowed: at most "
                f"{MAX_SIDE_CELLS} along each side; take a larger resolution_m."
            )

    @property
    def size(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return (
            max(1, round((self.ahead_m + self.behind_m) / self.resolution_m)),
            max(1, round(2.0 * self.side_m / self.resolution_m)),
        )

    @property
    def spec(self) -> SensorSpec:
        """Layout: (layers, rows, columns) uint8, see ``BIRDS_EYE_LAYERS``."""
        return self.make_spec(
            SensorKind.OBJECTS,
            (len(BIRDS_EYE_LAYERS), *self.size),
            f"layers: {', '.join(BIRDS_EYE_LAYERS)}; row 0 is {self.ahead_m:g} m ahead, column 0 {self.side_m:g} m to "
            f"the left; cells of {self.resolution_m:g} m",
            dtype="uint8",
            is_privileged=True,
        )

    def read(self, snapshot: Snapshot, index: int) -> Layer:
        """Returns the (layers, rows, columns) array."""
        start, ego = snapshot.episode.start, snapshot.actors[:, EGO]
        out = np.zeros((len(BIRDS_EYE_LAYERS), *self.size), dtype=np.uint8)
        window = np.array([ego[X_M], ego[Y_M], ego[YAW_RAD], self.ahead_m, self.side_m, self.resolution_m])
        ground = _ground(start.road_map)
        half_cell_m = 0.5 * self.resolution_m
        _fill(out[ROAD], ground.roads, np.full(len(ground.roads), 255, dtype=np.uint8), window, 0.0)
        _fill(
            out[LANE_MARKS],
            ground.marks,
            np.full(len(ground.marks), 255, dtype=np.uint8),
            window,
            half_cell_m,
        )
        strip = _route_strip(start.route)
        _fill(out[ROUTE], strip, np.full(len(strip), 255, dtype=np.uint8), window, 0.0)
        lit = np.append(SIGNAL_VALUES, 255).astype(np.uint8)[signal_states(snapshot.episode, snapshot.step)]
        _fill(out[SIGNALS], ground.stop_lines, lit[ground.stop_line_signals], window, half_cell_m)
        self._add_actors(out, snapshot, index, window)
        return out

    def _add_actors(self, out: Layer, snapshot: Snapshot, index: int, window: FloatArray) -> None:
        actors = snapshot.actors[:, 1:]
        draws = self.draws(snapshot, index)
        shift_m = self.noise_m * draws.standard_normal((2, actors.shape[1]))
        is_shown = (draws.random(actors.shape[1]) >= self.drop_out_ratio) & (actors[IS_ABSENT] == 0.0)
        for actor in np.flatnonzero(is_shown):
            column = actors[:, actor]
            cos, sin = math.cos(column[YAW_RAD]), math.sin(column[YAW_RAD])
            along = 0.5 * column[LENGTH_M] * np.array([1.0, 1.0, -1.0, -1.0])
            across = 0.5 * column[WIDTH_M] * np.array([1.0, -1.0, -1.0, 1.0])
            x = column[X_M] + shift_m[0, actor] + along * cos - across * sin
            y = column[Y_M] + shift_m[1, actor] + along * sin + across * cos
            layer = out[_LAYER_OF_CLASS[ACTOR_CLASSES[int(column[CLASS])]]]
            corners = np.stack([x, y], axis=1)[_QUAD]
            _fill(layer, corners, np.full(2, 255, dtype=np.uint8), window, 0.25 * self.resolution_m)


class _Ground(NamedTuple):
    """Triangles of a map, seen from above.

    Attributes:
        roads: (n, 3, 2) what may be driven on.
        marks: (n, 3, 2) markings.
        stop_lines: (n, 3, 2) stop lines.
        stop_line_signals: (n,) the signal of each.
    """

    roads: FloatArray
    marks: FloatArray
    stop_lines: FloatArray
    stop_line_signals: npt.NDArray[np.int64]


@functools.lru_cache(maxsize=4)
def _ground(road_map: RoadMap) -> _Ground:
    drivable = (semantics.ROAD, semantics.SHOULDER, semantics.PARKING, semantics.BIKING)
    roads, marks = [], []
    for mesh in road_meshes(road_map):
        assert mesh.face_semantics is not None
        triangles = mesh.vertices_m[mesh.faces][:, :, :2]
        roads.append(triangles[np.isin(mesh.face_semantics, drivable)])
        marks.append(triangles[mesh.face_semantics == semantics.LANE_MARKING])
    stops, signals = [], []
    for lane, at_m, signal in zip(road_map.stop_lane, road_map.stop_s_m, road_map.stop_signal, strict=True):
        line = LaneLine(road_map, int(lane))
        s_m = np.array([at_m, min(at_m + STOP_LINE_M, line.length_m)])
        half_m = 0.5 * line.width_at(s_m)
        left, right = (line.points(s_m, side * half_m, 0.0)[:, :2] for side in (1.0, -1.0))
        stops.append(np.stack([left[0], left[1], right[1], right[0]])[_QUAD])
        signals += [int(signal)] * 2
    return _Ground(
        roads=np.concatenate(roads),
        marks=np.concatenate(marks),
        stop_lines=np.concatenate(stops) if stops else np.empty((0, 3, 2)),
        stop_line_signals=np.array(signals, dtype=np.int64),
    )


@functools.lru_cache(maxsize=64)
def _route_strip(route: Route) -> FloatArray:
    """(n, 3, 2) triangles of the lane that the route follows."""
    rows = route.samples
    across = np.stack([-np.sin(rows[ROUTE_YAW_RAD]), np.cos(rows[ROUTE_YAW_RAD])], axis=1)
    centre = np.stack([rows[ROUTE_X_M], rows[ROUTE_Y_M]], axis=1)
    half_m = 0.5 * rows[ROUTE_WIDTH_M, :, None]
    left, right = centre + half_m * across, centre - half_m * across
    quads = np.stack([left[:-1], left[1:], right[1:], right[:-1]], axis=1)
    return np.ascontiguousarray(quads[:, _QUAD].reshape(-1, 3, 2))


@numba.njit(cache=True)
def _fill(layer: Layer, triangles: FloatArray, values: Layer, window: FloatArray, margin_m: float) -> None:
    """Sets the cells whose centres lie in a triangle or within ``margin_m`` of it.

    Args:
        layer: (rows, columns), changed in place.
        triangles: (n, 3, 2) corners in the map frame.
        values: (n,) value of each.
        window: (6,) ego's x, y and yaw, reach ahead and to the left, side of a cell.
        margin_m: Grows the triangles, so that thin ones are not lost between the centres.
    """
    rows, columns = layer.shape
    cos, sin = math.cos(window[2]), math.sin(window[2])
    cell = window[5]
    reach = window[3] + window[4] + cell * (rows + columns)
    margin = margin_m / cell
    px, py = np.empty(3), np.empty(3)
    for triangle in range(triangles.shape[0]):
        if (
            abs(triangles[triangle, 0, 0] - window[0]) > reach
            or abs(triangles[triangle, 0, 1] - window[1]) > reach
        ):
            continue
        for corner in range(3):
            dx, dy = triangles[triangle, corner, 0] - window[0], triangles[triangle, corner, 1] - window[1]
            px[corner] = (window[4] - (dy * cos - dx * sin)) / cell - 0.5  # centres of cells at whole numbers
            py[corner] = (window[3] - (dx * cos + dy * sin)) / cell - 0.5
        first_column = max(0, math.ceil(min(px[0], px[1], px[2]) - margin))
        last_column = min(columns - 1, math.floor(max(px[0], px[1], px[2]) + margin))
        first_row = max(0, math.ceil(min(py[0], py[1], py[2]) - margin))
        last_row = min(rows - 1, math.floor(max(py[0], py[1], py[2]) + margin))
        if first_column > last_column or first_row > last_row:
            continue
        area = (px[1] - px[0]) * (py[2] - py[0]) - (px[2] - px[0]) * (py[1] - py[0])
        sign = 1.0 if area >= 0.0 else -1.0
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                is_inside = True
                for corner in range(3):
                    ahead = (corner + 1) % 3
                    ex, ey = px[ahead] - px[corner], py[ahead] - py[corner]
                    side = sign * (ex * (row - py[corner]) - ey * (column - px[corner]))
                    if side < -margin * math.sqrt(ex * ex + ey * ey) - 1e-9:
                        is_inside = False
                        break
                if is_inside:
                    layer[row, column] = values[triangle]
