"""Traffic lights and signs of a map as CARLA's actors, and the cycles of the lights.

The lights of one OpenDRIVE controller show the same; the controllers of a junction take turns: green, yellow, then red
for everybody, as long as the light that was green says. A light without a controller takes turns with nobody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from simloop_carla.server.poses import from_embedded
from simloop_carla.wire.structs import BoundingBox, Rotation, Transform, Vector3
from simloop_driving.roads.road_map import TRAFFIC_LIGHT, RoadMap

RED, YELLOW, GREEN, OFF, UNKNOWN = range(5)
"""CARLA's states."""
GREEN_S, YELLOW_S, RED_S = 10.0, 3.0, 2.0
"""CARLA's default durations."""
TRIGGER_DEPTH_M = 2.0
"""Half the length along the lane of a light's trigger volume, which ends at the stop line."""
TYPES = {0: "traffic.traffic_light", 1: "traffic.stop", 2: "traffic.yield"}
"""Blueprint of each kind of signal."""
TAG_POLE, TAG_LIGHT, TAG_SIGN = 6, 7, 8
"""Semantic tags of CARLA 0.9.16."""


@dataclass(slots=True, kw_only=True)
class Light:
    """A traffic light or sign.

    Attributes:
        signal: Index of the signal in the map.
        kind: Its blueprint.
        sign_id: Its OpenDRIVE id.
        pose, box: Place, and trigger volume relative to it.
        head: Box around the lamps or the plate, world frame.
        mast: Box around what carries it, world frame.
        state: What it shows.
        green_s, yellow_s, red_s: Durations.
        elapsed_s: Since it shows it.
        group: Lights with the same number take turns; -1 for signs.
        phase: Lights of a group with the same phase are green together.
    """

    signal: int
    kind: str
    sign_id: str
    pose: Transform
    box: BoundingBox
    head: BoundingBox
    mast: BoundingBox
    group: int
    phase: int
    state: int = RED
    green_s: float = GREEN_S
    yellow_s: float = YELLOW_S
    red_s: float = RED_S
    elapsed_s: float = 0.0

    @property
    def tag(self) -> int:
        """Semantic tag."""
        return TAG_LIGHT if self.group >= 0 else TAG_SIGN


@dataclass(slots=True)
class _Group:
    phases: list[list[Light]]
    phase: int = 0
    stage: int = GREEN
    since_s: float = 0.0
    turned: list[Light] = field(default_factory=list)

    def show(self) -> None:
        for number, lights in enumerate(self.phases):
            for light in lights:
                state = self.stage if number == self.phase else RED
                if light.state != state:
                    light.state, light.elapsed_s = state, 0.0

    def advance(self, delta_s: float) -> None:
        leader = self.phases[self.phase][0]
        self.since_s += delta_s
        lasts = {GREEN: leader.green_s, YELLOW: leader.yellow_s, RED: leader.red_s}[self.stage]
        if self.since_s < lasts - 1e-9:
            return
        self.since_s = 0.0
        if self.stage == GREEN:
            self.stage = YELLOW
        elif self.stage == YELLOW:
            self.stage = RED
        else:
            self.phase, self.stage = (self.phase + 1) % len(self.phases), GREEN
        self.show()


class Lights:
    """All lights and signs of a map.

    Args:
        road_map: The map.

    Attributes:
        items: In the order of the map's signals.
        is_frozen: Whether time stands still for them.
    """

    def __init__(self, road_map: RoadMap) -> None:
        self.items = [_light(road_map, signal) for signal in range(len(road_map.signal_kind))]
        self.is_frozen = False
        self._groups: list[_Group] = []
        self.reset()

    def reset(self) -> None:
        """Starts all cycles again."""
        groups: dict[int, dict[int, list[Light]]] = {}
        for light in self.items:
            light.elapsed_s = 0.0
            if light.group >= 0:
                groups.setdefault(light.group, {}).setdefault(light.phase, []).append(light)
        self._groups = [
            _Group([phases[key] for key in sorted(phases)]) for _, phases in sorted(groups.items())
        ]
        for group in self._groups:
            group.show()

    def restart_group(self, light: Light) -> None:
        """Starts the cycle of a light's group again."""
        for group in self._groups:
            if any(light is other for phase in group.phases for other in phase):
                group.phase, group.stage, group.since_s = 0, GREEN, 0.0
                group.show()

    def advance(self, delta_s: float) -> None:
        """Lets time pass."""
        if self.is_frozen:
            return
        for light in self.items:
            light.elapsed_s += delta_s
        for group in self._groups:
            group.advance(delta_s)

    def group_of(self, light: Light) -> list[Light]:
        """Returns the lights that take turns with one, itself included."""
        return [other for other in self.items if other.group == light.group and light.group >= 0]


def _light(road_map: RoadMap, signal: int) -> Light:
    kind = int(road_map.signal_kind[signal])
    stops = np.flatnonzero(road_map.stop_signal == signal)
    is_light = kind == TRAFFIC_LIGHT
    controller = int(road_map.signal_controller[signal])
    pose, box = _place(road_map, signal, [int(stop) for stop in stops])
    head, mast = _boxes(road_map, signal)
    return Light(
        signal=signal,
        kind=TYPES[kind],
        sign_id=str(int(road_map.signal_id[signal])),
        pose=pose,
        box=box,
        head=head,
        mast=mast,
        group=-1 if not is_light else (controller if controller >= 0 else 1_000_000 + signal),
        phase=int(road_map.signal_phase[signal]) if controller >= 0 else 0,
    )


def _boxes(road_map: RoadMap, signal: int) -> tuple[BoundingBox, BoundingBox]:
    """Returns the boxes of head and mast, as large as what cameras draw; their x axis is where the front looks."""
    pose = from_embedded(
        float(road_map.signal_x_m[signal]),
        float(road_map.signal_y_m[signal]),
        float(road_map.signal_yaw_rad[signal]),
        float(road_map.signal_z_m[signal]),
    )
    is_light = int(road_map.signal_kind[signal]) == TRAFFIC_LIGHT
    half = Vector3(0.06, 0.30, 0.65) if is_light else Vector3(0.02, 0.45, 0.45)
    centre, yaw = pose.location, math.radians(pose.rotation.yaw)
    behind = 0.06 if is_light else 0.01
    head = centre._replace(x=centre.x - behind * math.cos(yaw), y=centre.y - behind * math.sin(yaw))
    top_m = centre.z if is_light else centre.z + 0.3
    foot = Vector3(centre.x - 0.2 * math.cos(yaw), centre.y - 0.2 * math.sin(yaw), 0.5 * top_m)
    turn = Rotation(0.0, float(pose.rotation.yaw), 0.0)
    return (
        BoundingBox(Vector3(*map(float, head)), half, turn, 0),
        BoundingBox(Vector3(*map(float, foot)), Vector3(0.06, 0.06, 0.5 * top_m), turn, 0),
    )


def _place(road_map: RoadMap, signal: int, stops: list[int]) -> tuple[Transform, BoundingBox]:
    """Returns a signal's pose and its trigger volume over the lanes that stop for it.

    The actor's y axis points along the lanes it holds up, so that its x axis runs across them: the client samples the
    stop waypoints along the volume's x extent.
    """
    x_m, y_m = float(road_map.signal_x_m[signal]), float(road_map.signal_y_m[signal])
    z_m = float(road_map.signal_z_m[signal])
    if not stops:
        pose = from_embedded(x_m, y_m, float(road_map.signal_yaw_rad[signal]), 0.0)
        return pose, BoundingBox(
            Vector3(0.0, 0.0, 0.5 * z_m), Vector3(1.0, 1.0, 1.0), Rotation(0.0, 0.0, 0.0), 0
        )
    points, widths, yaw_rad = [], [], 0.0
    for stop in stops:
        lane = int(road_map.stop_lane[stop])
        at = int(road_map.lane_start[lane]) + round(float(road_map.stop_s_m[stop]) / road_map.step_m)
        at = min(at, int(road_map.lane_start[lane + 1]) - 1)
        points.append((float(road_map.x_m[at]), float(road_map.y_m[at])))
        widths.append(float(road_map.width_m[at]))
        yaw_rad = float(road_map.yaw_rad[at])
    forward = np.array([math.cos(yaw_rad), math.sin(yaw_rad)])
    left = np.array([-forward[1], forward[0]])
    offsets = np.array(points) - np.array([x_m, y_m])
    across, along = offsets @ left, offsets @ forward
    low, high = float(np.min(across - 0.5 * np.array(widths))), float(np.max(across + 0.5 * np.array(widths)))
    # CARLA's frame: the actor's heading is to the right of the lanes' direction, its own right is against it.
    pose = from_embedded(x_m, y_m, yaw_rad - 0.5 * math.pi, 0.0)
    centre = Vector3(-0.5 * (low + high), -(float(np.mean(along)) - TRIGGER_DEPTH_M), 1.0)
    extent = Vector3(0.5 * (high - low), TRIGGER_DEPTH_M, 1.5)
    return _floats(pose), BoundingBox(centre, extent, Rotation(0.0, 0.0, 0.0), 0)


def _floats(pose: Transform) -> Transform:
    return Transform(Vector3(*map(float, pose.location)), Rotation(*map(float, pose.rotation)))
