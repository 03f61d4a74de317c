"""A road network as arrays: lane centre lines sampled at a fixed step of arc length.

Frames are right-handed, x forward (east in the map), y left (north), metres and radians. A lane runs in its
direction of travel. Lateral offsets are positive to the left of that direction.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import io
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, UnknownNameError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DRIVING = 0
SHOULDER = 1
LANE_KINDS = ("driving", "shoulder", "parking", "sidewalk", "biking")
"""Names of the lane kinds, by code."""
TRAFFIC_LIGHT = 0
STOP_SIGN = 1
YIELD_SIGN = 2
SIGNAL_KINDS = ("traffic_light", "stop", "yield")
"""Names of the signal kinds, by code."""

_TOUCHING_M = 0.1  # a border as near as this to another lane's border is beside that lane
_PICTURE_TURN_RAD = 0.15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoadMap:
    """Lanes of a map; lane ``i`` owns the samples ``lane_start[i]:lane_start[i + 1]`` of the sample arrays.

    Attributes:
        name: Name of the map.
        step_m: Arc length between two samples of a lane (the same for all lanes; a lane's last, shorter rest is
            cut off).
        lane_start: (L + 1,) int64, first sample of each lane, then the number of samples S.
        x_m: (S,) float64, lane centre, map frame.
        y_m: (S,) float64, lane centre, map frame.
        yaw_rad: (S,) float64, direction of travel, continuous along a lane (not wrapped).
        curvature_per_m: (S,) float64, of the lane centre; positive turns left.
        s_m: (S,) float64, arc length along the lane centre, 0 at the lane's first sample.
        width_m: (S,) float64, lane width.
        lane_road_id: (L,) int64, OpenDRIVE road.
        lane_opendrive_id: (L,) int64, OpenDRIVE lane id.
        lane_kind: (L,) int64, index into ``LANE_KINDS``.
        lane_speed_limit_mps: (L,) float64, inf where there is none.
        lane_left: (L,) int64, the lane of the same direction to the left (any kind), or -1.
        lane_right: (L,) int64, the lane of the same direction to the right (any kind), or -1.
        lane_junction_id: (L,) int64, OpenDRIVE junction that the lane crosses, or -1.
        lane_opposite: (L,) int64, the driving lane of opposite direction across the road's reference line (the same
            for all lanes of one direction), or -1.
        successor_start: (L + 1,) int64, first entry of each lane in ``successor``, then their number.
        successor: (N,) int64, the lanes that a lane leads into.
        signal_kind: (K,) int64, index into ``SIGNAL_KINDS``.
        signal_id: (K,) int64, OpenDRIVE signal.
        signal_controller: (K,) int64, number of the program that a traffic light belongs to, -1 without one.
        signal_phase: (K,) int64, lights of one program with the same phase are green together.
        signal_x_m: (K,) float64, head of the signal, map frame.
        signal_y_m: (K,) float64, head of the signal, map frame.
        signal_z_m: (K,) float64, height of the head above the road.
        signal_yaw_rad: (K,) float64, the direction in which the head looks.
        stop_lane: (P,) int64, a driving lane with a stop line.
        stop_s_m: (P,) float64, where the line is along that lane.
        stop_signal: (P,) int64, the signal that it belongs to.
        latitude_deg: Geodetic latitude of the origin of the map frame.
        longitude_deg: Longitude of the origin of the map frame.
    """

    name: str
    step_m: float
    lane_start: IntArray
    x_m: FloatArray
    y_m: FloatArray
    yaw_rad: FloatArray
    curvature_per_m: FloatArray
    s_m: FloatArray
    width_m: FloatArray
    lane_road_id: IntArray
    lane_opendrive_id: IntArray
    lane_kind: IntArray
    lane_speed_limit_mps: FloatArray
    lane_left: IntArray
    lane_right: IntArray
    lane_junction_id: IntArray
    lane_opposite: IntArray
    successor_start: IntArray
    successor: IntArray
    signal_kind: IntArray
    signal_id: IntArray
    signal_controller: IntArray
    signal_phase: IntArray
    signal_x_m: FloatArray
    signal_y_m: FloatArray
    signal_z_m: FloatArray
    signal_yaw_rad: FloatArray
    stop_lane: IntArray
    stop_s_m: FloatArray
    stop_signal: IntArray
    latitude_deg: float = 0.0
    longitude_deg: float = 0.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    @property
    def num_lanes(self) -> int:
        """Number of lanes L, of all kinds."""
        return len(self.lane_kind)

    def samples(self, lane: int) -> slice:
        """Returns the samples of a lane as a slice of the sample arrays."""
        return slice(int(self.lane_start[lane]), int(self.lane_start[lane + 1]))

    def lane_name(self, lane: int) -> str:
        """Returns how messages call a lane: OpenDRIVE road and lane id, as in ``"12/-1"``."""
        return f"{int(self.lane_road_id[lane])}/{int(self.lane_opendrive_id[lane])}"

    def successors(self, lane: int) -> IntArray:
        """Returns the lanes that a lane leads into, in its direction of travel."""
        return self.successor[self.successor_start[lane] : self.successor_start[lane + 1]]

    def lane_borders(self, step_m: float) -> list[FloatArray]:
        """Returns the borders of all lanes as (N, 2) polylines in metres, for pictures.

        A point is there about every ``step_m``, more often where the border bends. A border that two lanes share is
        there once; within a junction a border is left out where it crosses another driving lane.
        """
        borders: list[FloatArray] = []
        for lane in range(self.num_lanes):
            part = self.samples(lane)
            index = np.append(np.arange(part.start, part.stop), self.lane_start[self.successors(lane)[:1]])
            yaw_rad, half_m = self.yaw_rad[index], 0.5 * self.width_m[index, None]
            left = np.stack([-np.sin(yaw_rad), np.cos(yaw_rad)], axis=1)
            centre = np.stack([self.x_m[index], self.y_m[index]], axis=1)
            is_shared = self.lane_left[lane] < 0 and 0 <= self.lane_opposite[lane] < lane
            lines = [] if is_shared else [centre + half_m * left]
            if self.lane_right[lane] < 0:
                lines.append(centre - half_m * left)
            for line in lines:
                for run in _runs(~self._is_inside_another(lane, line)):
                    if run.stop - run.start > 1:
                        borders.append(np.round(_thinned(line[run], max(1, round(step_m / self.step_m))), 2))
        return borders

    def _is_inside_another(self, lane: int, points: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether points lie on another driving lane of the junction that a lane is in."""
        inside = np.zeros(len(points), dtype=np.bool_)
        junction = self.lane_junction_id[lane]
        others = np.flatnonzero((self.lane_junction_id == junction) & (self.lane_kind == DRIVING))
        for other in others if junction >= 0 else ():
            if other == lane:
                continue
            part = self.samples(int(other))
            dx = points[:, 0, None] - self.x_m[part]
            dy = points[:, 1, None] - self.y_m[part]
            nearest = np.argmin(dx * dx + dy * dy, axis=1)
            rows = np.arange(len(points))
            cos_yaw, sin_yaw = np.cos(self.yaw_rad[part][nearest]), np.sin(self.yaw_rad[part][nearest])
            along = dx[rows, nearest] * cos_yaw + dy[rows, nearest] * sin_yaw
            across = dy[rows, nearest] * cos_yaw - dx[rows, nearest] * sin_yaw
            is_beside = np.abs(across) < 0.5 * self.width_m[part][nearest] - _TOUCHING_M
            inside |= is_beside & (np.abs(along) < self.step_m)
        return inside

    def length_m(self, lane: int) -> float:
        """Arc length of a lane's centre line."""
        return float(self.s_m[self.lane_start[lane + 1] - 1])

    def driving_neighbour(self, lane: int, side: str) -> int:
        """Returns the driving lane to the ``"left"`` or ``"right"`` of a lane, or -1 if there is none."""
        neighbour = int((self.lane_left if side == "left" else self.lane_right)[lane])
        return neighbour if neighbour >= 0 and self.lane_kind[neighbour] == DRIVING else -1

    def lane_index(self, road_id: int, opendrive_lane_id: int, section: int = 0) -> int:
        """Returns the lane with that OpenDRIVE road and lane id.

        Args:
            road_id: OpenDRIVE road.
            opendrive_lane_id: Id of the lane in its lane section.
            section: Which of the road's lane sections that have the lane, counted from the road's station 0.

        Raises:
            ConfigurationError: There is no such lane; the message lists the driving lanes, or says how many sections
                have it.
        """
        hits = np.flatnonzero((self.lane_road_id == road_id) & (self.lane_opendrive_id == opendrive_lane_id))
        if len(hits) == 0:
            lanes = [
                f"{road}/{lane}"
                for road, lane, kind in zip(
                    self.lane_road_id, self.lane_opendrive_id, self.lane_kind, strict=True
                )
                if kind == DRIVING
            ]
            raise ConfigurationError(
                f"Map {self.name!r} has no lane {road_id}/{opendrive_lane_id}; driving lanes (road/lane): "
                f"{', '.join(lanes)}."
            )
        if section >= len(hits):
            raise ConfigurationError(
                f"Map {self.name!r} has lane {road_id}/{opendrive_lane_id} in {len(hits)} lane section"
                f"{'s' if len(hits) > 1 else ''}; section {section} is allowed from 0 to {len(hits) - 1}."
            )
        return int(hits[section])

    def digest(self) -> str:
        """Returns 32 hex digits of the content: equal maps, equal digests."""
        content = hashlib.blake2b(digest_size=16)
        for item in fields(self):
            value = getattr(self, item.name)
            content.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
        return content.hexdigest()


def _runs(wanted: npt.NDArray[np.bool_]) -> list[slice]:
    """Returns the stretches in which all are wanted."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    return [slice(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def _thinned(line: FloatArray, stride: int) -> FloatArray:
    """Returns every ``stride``-th point, and those between which the line would turn too much."""
    headings = np.unwrap(np.arctan2(*np.diff(line, axis=0).T[::-1]))
    kept = [0]
    for i in range(1, len(line) - 1):
        if i - kept[-1] >= stride or abs(headings[i] - headings[kept[-1]]) > _PICTURE_TURN_RAD:
            kept.append(i)
    return line[[*kept, len(line) - 1]]


def to_npz_bytes(road_map: RoadMap) -> bytes:
    """Returns the arrays as a compressed ``.npz`` file's bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, **{item.name: np.asarray(getattr(road_map, item.name)) for item in fields(road_map)}
    )
    return buffer.getvalue()


def from_npz_bytes(content: bytes) -> RoadMap:
    """Reads what ``to_npz_bytes`` wrote."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        values = {item.name: arrays[item.name] for item in fields(RoadMap)}
    values["name"] = str(values["name"])
    for number in ("step_m", "latitude_deg", "longitude_deg"):
        values[number] = float(values[number])
    return RoadMap(**values)


@functools.cache
def shipped_maps() -> tuple[str, ...]:
    """Names of the maps that travel with the package, sorted."""
    folder = importlib.resources.files("simloop_scenarios") / "maps"
    return tuple(
        sorted(item.name.removesuffix(".npz") for item in folder.iterdir() if item.name.endswith(".npz"))
    )


@functools.lru_cache(maxsize=16)
def load_map(name: str) -> RoadMap:
    """Returns a shipped map from its sampled arrays; needs no simulator.

    Raises:
        UnknownNameError: No map of that name is shipped.
    """
    names = shipped_maps()
    if name not in names:
        raise UnknownNameError("map", name, names)
    return from_npz_bytes(
        (importlib.resources.files("simloop_scenarios") / "maps" / f"{name}.npz").read_bytes()
    )
