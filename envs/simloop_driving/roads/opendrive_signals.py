"""Traffic lights, stop and yield signs of an OpenDRIVE document, with the lines at which they stop a lane.

Signals are known by type, as in CARLA's maps and the German catalogue that OpenDRIVE refers to: 1000001 traffic
light, 206 stop, 205 yield. The line at which a lane stops is the station of the ``<signal>`` (or of the
``<signalReference>``); where the head itself stands elsewhere, ``<positionInertial>`` says so.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from simloop_driving.roads.opendrive_links import LaneRecord
from simloop_driving.roads.road_map import DRIVING, SIGNAL_KINDS

_KIND_OF_TYPE = {
    "1000001": SIGNAL_KINDS.index("traffic_light"),
    "206": SIGNAL_KINDS.index("stop"),
    "205": SIGNAL_KINDS.index("yield"),
}

Pose = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRecord:
    """One signal; see the arrays of ``RoadMap`` of the same names."""

    kind: int
    signal_id: int
    controller: int
    phase: int
    x_m: float
    y_m: float
    z_m: float
    yaw_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRecord:
    """A lane stops for a signal at a station of its road's reference line."""

    lane: int
    station_m: float
    signal: int


def signal_records(
    root: ElementTree.Element, reference_pose: Callable[[ElementTree.Element, float], Pose]
) -> list[SignalRecord]:
    """Returns the signals of the kinds ``SIGNAL_KINDS``, in the order of the document.

    Args:
        root: The document.
        reference_pose: x, y and heading of a road's reference line at a station, in the frame of ``RoadMap``.
    """
    groups = _light_groups(root)
    records = []
    for road in root.iter("road"):
        for signal in road.findall("signals/signal"):
            if signal.get("type") not in _KIND_OF_TYPE:
                continue
            controller, phase = groups.get(signal.get("id", ""), (-1, 0))
            x, y, z, yaw = _head(road, signal, reference_pose)
            records.append(
                SignalRecord(
                    kind=_KIND_OF_TYPE[signal.get("type", "")],
                    signal_id=int(signal.get("id", "-1")),
                    controller=controller,
                    phase=phase,
                    x_m=x,
                    y_m=y,
                    z_m=z,
                    yaw_rad=yaw,
                )
            )
    return records


def stop_records(
    root: ElementTree.Element, lanes: Sequence[LaneRecord], signals: Sequence[SignalRecord]
) -> list[StopRecord]:
    """Returns the stop lines: for each signal or reference to one, each driving lane that it is valid for."""
    number = {signal.signal_id: i for i, signal in enumerate(signals)}
    lanes_of: dict[int, list[int]] = {}
    for i, lane in enumerate(lanes):
        if lane.kind == DRIVING:
            lanes_of.setdefault(lane.road_id, []).append(i)
    found: dict[tuple[int, int], StopRecord] = {}
    for road in root.iter("road"):
        for signal in (*road.findall("signals/signal"), *road.findall("signals/signalReference")):
            signal_id = signal.get("id", "")
            if not signal_id.lstrip("-").isdigit() or int(signal_id) not in number:
                continue
            station_m = float(signal.get("s", "0"))
            for i in lanes_of.get(int(road.get("id", "0")), []):
                if lanes[i].begin_m <= station_m <= lanes[i].end_m and _is_valid_for(signal, lanes[i]):
                    stop = StopRecord(lane=i, station_m=station_m, signal=number[int(signal_id)])
                    found.setdefault((i, stop.signal), stop)
    return list(found.values())


def _is_valid_for(signal: ElementTree.Element, lane: LaneRecord) -> bool:
    orientation = signal.get("orientation", "none")
    if orientation in ("+", "-") and lane.is_forward != (orientation == "+"):
        return False
    validity = signal.findall("validity")
    spans = [sorted((int(v.get("fromLane", "0")), int(v.get("toLane", "0")))) for v in validity]
    return not spans or any(low <= lane.lane_id <= high for low, high in spans)


def _light_groups(root: ElementTree.Element) -> dict[str, tuple[int, int]]:
    """Returns the program and the phase of each signal under control.

    The signals of one OpenDRIVE controller show the same; the controllers of one junction take turns in the order
    of their ``sequence``. A controller that no junction names is a program of its own.
    """
    signals_of = {
        controller.get("id", ""): [control.get("signalId", "") for control in controller.findall("control")]
        for controller in root.findall("controller")
    }
    groups: dict[str, tuple[int, int]] = {}
    for program, phases in enumerate(_programs(root, signals_of)):
        for phase, controllers in enumerate(phases):
            for controller in controllers:
                groups.update(dict.fromkeys(signals_of.get(controller, []), (program, phase)))
    return groups


def _programs(root: ElementTree.Element, signals_of: dict[str, list[str]]) -> Iterator[list[list[str]]]:
    alone = dict.fromkeys(signals_of)
    for junction in root.findall("junction"):
        turns: dict[int, list[str]] = {}
        for position, item in enumerate(junction.findall("controller")):
            alone.pop(item.get("id", ""), None)
            turns.setdefault(int(item.get("sequence", position)), []).append(item.get("id", ""))
        if turns:
            yield [turns[key] for key in sorted(turns)]
    for controller in alone:
        yield [[controller]]


def _head(
    road: ElementTree.Element,
    signal: ElementTree.Element,
    reference_pose: Callable[[ElementTree.Element, float], Pose],
) -> tuple[float, float, float, float]:
    """Returns x, y, z of the signal's head and the direction in which it looks (towards those that it stops)."""
    inertial = signal.find("positionInertial")
    if inertial is not None:
        return (
            float(inertial.get("x", "0")),
            float(inertial.get("y", "0")),
            float(inertial.get("z", "0")),
            float(inertial.get("hdg", "0")),
        )
    x, y, yaw = reference_pose(road, float(signal.get("s", "0")))
    t = float(signal.get("t", "0"))
    looks = yaw + (0.0 if signal.get("orientation") == "-" else math.pi) + float(signal.get("hOffset", "0"))
    return x - t * math.sin(yaw), y + t * math.cos(yaw), float(signal.get("zOffset", "0")), looks
