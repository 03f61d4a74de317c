"""Writes a road network as OpenDRIVE: roads at given poses, junctions with connecting roads, signals, controllers.

The documents are written with ``scenariogeneration``. Traffic keeps to the right.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simloop.errors import MissingDependencyError
from simloop_driving.roads.opendrive import sample_opendrive
from simloop_driving.roads.road_map import to_npz_bytes
from simloop_driving.roads.road_specs import (
    SIGNAL_TYPES,
    Element,
    End,
    LaneSpec,
    Pose,
    RoadSpec,
    SignalSpec,
    clothoids,
)

GEO_REFERENCE = "+proj=tmerc +lat_0=48.2 +lon_0=11.5 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m"


class Network:
    """Roads, junctions and signals of one map; ``to_xml`` writes them."""

    def __init__(self, name: str) -> None:
        """Starts an empty map.

        Raises:
            MissingDependencyError: ``scenariogeneration`` is not installed.
        """
        self.name = name
        self.roads: dict[int, RoadSpec] = {}
        self._xodr = _scenariogeneration()
        self._connections: dict[int, list[tuple[int, int, list[tuple[int, int]]]]] = {}
        self._controllers: dict[int, list[list[int]]] = {}
        self._num_signals = 0

    def add(self, road: RoadSpec) -> RoadSpec:
        """Adds a road."""
        self.roads[road.road_id] = road
        return road

    def connect(
        self,
        junction_id: int,
        road_id: int,
        come: End,
        leave: End,
        lanes: Sequence[tuple[int | None, int | None, LaneSpec]],
        elements: tuple[Element, ...] | None = None,
        speed_limit_kmh: int | None = None,
    ) -> RoadSpec:
        """Adds a connecting road from one end of a road to an end of another one.

        Args:
            junction_id: The junction.
            road_id: Id of the new road.
            come: Where the traffic comes from.
            leave: Where it goes to.
            lanes: Incoming lane, outgoing lane and kind of lanes -1, -2, ... of the new road; None where one begins
                or ends on it.
            elements: Its geometry; clothoids without curvature at both ends if not given.
            speed_limit_kmh: That of the road that it comes from if not given.
        """
        links = [(incoming, -1 - i) for i, (incoming, _, _) in enumerate(lanes) if incoming is not None]
        self._connections.setdefault(junction_id, []).append((come.road_id, road_id, links))
        for end in (come, leave):
            if end.contact == "start":
                self.roads[end.road_id].predecessor = ("junction", junction_id, None)
            else:
                self.roads[end.road_id].successor = ("junction", junction_id, None)
        x, y, outward = leave.pose
        return self.add(
            RoadSpec(
                road_id=road_id,
                start=come.pose,
                elements=elements or clothoids(come.pose, (x, y, outward + math.pi)),
                right=tuple(
                    replace(lane, predecessor=incoming, successor=outgoing)
                    for incoming, outgoing, lane in lanes
                ),
                speed_limit_kmh=speed_limit_kmh or self.roads[come.road_id].speed_limit_kmh,
                road_type=self.roads[come.road_id].road_type,
                junction_id=junction_id,
                predecessor=("road", come.road_id, come.contact),
                successor=("road", leave.road_id, leave.contact),
            )
        )

    def add_signal(
        self, kind: str, come: End, *, back_m: float, t_m: float, z_m: float, head: Pose | None
    ) -> int:
        """Adds a signal for the traffic that leaves a road by one of its ends.

        Args:
            kind: A key of ``SIGNAL_TYPES``.
            come: The end.
            back_m: How far before the end the traffic stops.
            t_m: How far to the right of the reference line, in the direction of that traffic, the sign stands.
            z_m: Height of its centre.
            head: Where the head stands and looks, if not there.

        Returns:
            The signal's id.
        """
        self._num_signals += 1
        road = self.roads[come.road_id]
        forward = come.contact == "end"
        driving = [
            i + 1 for i, lane in enumerate(road.right if forward else road.left) if lane.kind == "driving"
        ]
        road.signals.append(
            SignalSpec(
                signal_id=self._num_signals,
                kind=kind,
                station_m=road.length_m - back_m if forward else back_m,
                t_m=-t_m if forward else t_m,
                height_m=z_m,
                is_forward=forward,
                lanes=(-max(driving), -min(driving)) if forward else (min(driving), max(driving)),
                head=head,
            )
        )
        return self._num_signals

    def add_controllers(self, junction_id: int, phases: list[list[int]]) -> None:
        """Lets the signals of each phase of a junction be green together, one phase after the other."""
        self._controllers[junction_id] = phases

    def to_xml(self) -> str:
        """Returns the map as OpenDRIVE 1.8 XML."""
        xodr = self._xodr
        drive = xodr.OpenDrive(self.name, revMajor="1", revMinor="8", geo_reference=GEO_REFERENCE)
        for road in self.roads.values():
            drive.add_road(self._road(road))
        for junction_id, connections in self._connections.items():
            junction = xodr.Junction(f"junction {junction_id}", junction_id)
            for incoming, connecting, links in connections:
                connection = xodr.Connection(incoming, connecting, xodr.ContactPoint.start)
                for come, to in links:
                    connection.add_lanelink(come, to)
                junction.add_connection(connection)
            drive.add_junction(junction)
        root = drive.get_element()
        header = root.find("header")
        assert header is not None
        header.set("date", "2026-01-01T00:00:00")  # a map made twice is the same file
        self._write_signals(root)
        self._write_controllers(root)
        ElementTree.indent(root)
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
        )

    def write(self, folder: str) -> None:
        """Writes the map and its sampled arrays into ``folder``."""
        xml = self.to_xml()
        (Path(folder) / f"{self.name}.xodr").write_text(xml, encoding="utf-8")
        (Path(folder) / f"{self.name}.npz").write_bytes(to_npz_bytes(sample_opendrive(self.name, xml)))

    def _road(self, spec: RoadSpec) -> Any:
        xodr = self._xodr
        view = xodr.PlanView(*spec.start)
        for length, begin, finish in spec.elements:
            if begin == finish:
                view.add_geometry(xodr.Arc(begin, length=length) if begin else xodr.Line(length))
            else:
                view.add_geometry(xodr.Spiral(begin, finish, length=length))
        view.adjust_geometries()
        centre = xodr.Lane(lane_type=xodr.LaneType.none)
        centre.add_roadmark(self._mark(spec.centre_mark))
        section = xodr.LaneSection(0, centre)
        for lane in spec.left:
            section.add_left_lane(self._lane(lane))
        for lane in spec.right:
            section.add_right_lane(self._lane(lane))
        lanes = xodr.Lanes()
        lanes.add_lanesection(section)
        road = xodr.Road(spec.road_id, view, lanes, road_type=spec.junction_id, name=spec.name)
        road.add_type(xodr.RoadType[spec.road_type], 0, speed=spec.speed_limit_kmh, speed_unit="km/h")
        for link, add in ((spec.predecessor, road.add_predecessor), (spec.successor, road.add_successor)):
            if link is not None:
                element, element_id, contact = link
                add(
                    xodr.ElementType[element],
                    element_id,
                    None if contact is None else xodr.ContactPoint[contact],
                )
        return road

    def _lane(self, spec: LaneSpec) -> Any:
        pieces = spec.width if isinstance(spec.width, tuple) else ((0.0, spec.width, 0.0, 0.0, 0.0),)
        _, a, b, c, d = pieces[0]
        lane = self._xodr.Lane(lane_type=self._xodr.LaneType[spec.kind], a=a, b=b, c=c, d=d)
        for station, a, b, c, d in pieces[1:]:
            lane.add_lane_width(a, b, c, d, soffset=station)
        lane.add_roadmark(self._mark(spec.mark))
        for name, other in (("predecessor", spec.predecessor), ("successor", spec.successor)):
            if other is not None:
                lane.add_link(name, other)
        return lane

    def _mark(self, name: str) -> Any:
        xodr = self._xodr
        if name == "broken":
            return xodr.RoadMark(xodr.RoadMarkType.broken, 0.15, length=6.0, space=12.0)
        return xodr.RoadMark(xodr.RoadMarkType[name], *(() if name == "none" else (0.15,)))

    def _write_signals(self, root: ElementTree.Element) -> None:
        # scenariogeneration renames a signal whose id another map of the same process has, and writes
        # country="OPENDRIVE", which the schema refuses.
        for element in root.iter("road"):
            specs = self.roads[int(element.get("id", "-1"))].signals
            if specs:
                ElementTree.SubElement(element, "signals").extend(_signal(spec) for spec in specs)

    def _write_controllers(self, root: ElementTree.Element) -> None:
        junctions = {junction.get("id"): junction for junction in root.iter("junction")}
        first_junction = list(root).index(next(iter(junctions.values()))) if junctions else len(root)
        number = 0
        for junction_id, phases in self._controllers.items():
            for sequence, signals in enumerate(phases):
                number += 1
                controller = ElementTree.Element(
                    "controller", id=str(number), name=f"junction {junction_id} phase {sequence}"
                )
                for signal in signals:
                    ElementTree.SubElement(controller, "control", signalId=str(signal), type="0")
                root.insert(first_junction, controller)
                first_junction += 1
                ElementTree.SubElement(
                    junctions[str(junction_id)],
                    "controller",
                    id=str(number),
                    type="0",
                    sequence=str(sequence),
                )


def _signal(spec: SignalSpec) -> ElementTree.Element:
    is_light = spec.kind == "traffic_light"
    element = ElementTree.Element(
        "signal",
        id=str(spec.signal_id),
        name=f"{spec.kind} {spec.signal_id}",
        s=repr(spec.station_m),
        t=repr(spec.t_m),
        zOffset=repr(spec.height_m),
        orientation="+" if spec.is_forward else "-",
        dynamic="yes" if is_light else "no",
        country="OpenDRIVE" if is_light else "DE",
        type=SIGNAL_TYPES[spec.kind],
        subtype="-1",
    )
    first, last = spec.lanes
    ElementTree.SubElement(element, "validity", fromLane=str(first), toLane=str(last))
    if spec.head is not None:
        x, y, heading = spec.head
        position = ElementTree.SubElement(element, "positionInertial")
        for key, value in {"x": x, "y": y, "z": spec.height_m, "hdg": heading}.items():
            position.set(key, repr(round(value, 6)))
    return element


def _scenariogeneration() -> Any:
    try:
        from scenariogeneration import xodr
    except ImportError as error:
        raise MissingDependencyError(
            "Writing maps needs scenariogeneration: pip install scenariogeneration. "
            "Shipped maps need it only to be made again."
        ) from error
    return xodr
