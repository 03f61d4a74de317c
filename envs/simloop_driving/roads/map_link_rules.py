"""Rules on what a map's roads, lanes, junctions and signals refer to: everything named must be there."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass

from simloop_driving.roads.map_numbers import refuse, whole, word

_CONTACTS = ("start", "end")
_PLACES = ("predecessor", "successor")
_SIGNAL_TYPES = ("1000001", "205", "206")
_MAX_LANE_ID = 1000


@dataclass(frozen=True, slots=True)
class _Road:
    element: ElementTree.Element
    where: str
    sections: tuple[frozenset[int], ...]  # lane ids, lane section by lane section

    def lanes_at(self, contact: str) -> frozenset[int]:
        return self.sections[0 if contact == "start" else -1]


def check_links(file: str, root: ElementTree.Element) -> None:
    """Checks every link of a document whose roads and lanes keep to ``map_rules``.

    Raises:
        ConfigurationError: A link names a road, junction or lane that there is not, or a signal is misplaced.
    """
    roads = {}
    for element in root.findall("road"):
        number = int(element.get("id", ""))
        sections = tuple(
            frozenset(int(lane.get("id", "")) for lane in section.iterfind("*/lane"))
            for section in element.findall("lanes/laneSection")
        )
        roads[number] = _Road(element, f"{file}: road {number}", sections)
    junctions: set[int] = set()
    for junction in root.findall("junction"):
        number = whole(junction, "id", f"{file}: <junction>")
        if number in junctions:
            refuse(f"{file}: junction id {number}", "is there twice", "one junction of each id")
        junctions.add(number)
    signals: set[int] = set()
    for road in roads.values():
        _check_road_links(road, roads, junctions)
        _check_signals(road, signals)
    for junction in root.findall("junction"):
        _check_junction(junction, f"{file}: junction {junction.get('id')}", roads)


def _check_road_links(road: _Road, roads: Mapping[int, _Road], junctions: set[int]) -> None:
    of_junction = int(road.element.get("junction", ""))
    if of_junction >= 0 and of_junction not in junctions:
        refuse(
            f"{road.where}: junction", f"is {of_junction}", _listed("a junction of the map, or -1", junctions)
        )
    beyond: dict[str, frozenset[int] | None] = {}
    for place in _PLACES:
        link = road.element.find(f"link/{place}")
        if link is None:
            continue
        where = f"{road.where}: <{place}>"
        kind = word(link, "elementType", where, ("road", "junction"))
        target = whole(link, "elementId", where)
        if target not in (roads if kind == "road" else junctions):
            allowed = _listed(f"a {kind} of the map", roads if kind == "road" else junctions)
            refuse(f"{where} elementId", f"is {kind} {target}, which is not there", allowed)
        beyond[place] = (
            roads[target].lanes_at(word(link, "contactPoint", where, _CONTACTS)) if kind == "road" else None
        )
    _check_lane_links(road, beyond)


def _check_lane_links(road: _Road, beyond: Mapping[str, frozenset[int] | None]) -> None:
    sections = road.element.findall("lanes/laneSection")
    for number, section in enumerate(sections):
        for lane in section.iterfind("*/lane"):
            for place, other in (("predecessor", number - 1), ("successor", number + 1)):
                link = lane.find(f"link/{place}")
                if link is None:
                    continue
                where = f"{road.where}: lane {lane.get('id')} of <laneSection> at s = {section.get('s')}: <{place}>"
                target = whole(link, "id", where, -_MAX_LANE_ID, _MAX_LANE_ID)
                there = road.sections[other] if 0 <= other < len(sections) else beyond.get(place)
                if there is not None and target not in there:
                    refuse(f"{where} id", f"is {target}, which is not there", _listed("a lane", there))


def _check_junction(junction: ElementTree.Element, where: str, roads: Mapping[int, _Road]) -> None:
    for connection in junction.findall("connection"):
        place = f"{where}: <connection {connection.get('id')}>"
        ends = {}
        for key in ("incomingRoad", "connectingRoad"):
            number = whole(connection, key, place)
            if number not in roads:
                refuse(
                    f"{place} {key}",
                    f"is road {number}, which is not there",
                    _listed("a road of the map", roads),
                )
            ends[key] = roads[number]
        contact = word(connection, "contactPoint", place, _CONTACTS)
        incoming = ends["incomingRoad"]
        leaving, entered = (
            incoming.sections[0] | incoming.sections[-1],
            ends["connectingRoad"].lanes_at(contact),
        )
        for link in connection.findall("laneLink"):
            for key, lanes in (("from", leaving), ("to", entered)):
                lane = whole(link, key, f"{place} <laneLink>", -_MAX_LANE_ID, _MAX_LANE_ID)
                if lane not in lanes:
                    refuse(
                        f"{place} <laneLink> {key}",
                        f"is {lane}, which is not there",
                        _listed("a lane", lanes),
                    )
    for controller in junction.findall("controller"):
        if controller.get("sequence") is not None:
            whole(controller, "sequence", f"{where}: <controller>")


def _check_signals(road: _Road, known: set[int]) -> None:
    length_m = float(road.element.get("length", ""))
    for signal in (
        *road.element.findall("signals/signal"),
        *road.element.findall("signals/signalReference"),
    ):
        where = f"{road.where}: <{signal.tag} {signal.get('id')}>"
        if float(signal.get("s", "")) > length_m + 1.0:
            refuse(f"{where} s", f"is {signal.get('s')}", f"up to the road's length, {length_m:g}")
        for validity in signal.findall("validity"):
            for key in ("fromLane", "toLane"):
                whole(validity, key, f"{where} <validity>", -_MAX_LANE_ID, _MAX_LANE_ID)
        if signal.tag == "signal" and signal.get("type") in _SIGNAL_TYPES:
            number = whole(signal, "id", where)
            if number in known:
                refuse(f"{where} id", f"is {number} a second time", "one signal of each id")
            known.add(number)


def _listed(what: str, numbers: Mapping[int, object] | set[int] | frozenset[int]) -> str:
    shown = sorted(numbers)
    rest = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
    return f"{what} ({', '.join(map(str, shown[:20])) or 'none'}{rest})"
