"""What a road map of the user's must be before anything parses its geometry.

``carla.Map`` crashes on some documents and accepts in silence others that describe no road. These rules read the XML
alone: each refusal names the file, the road, the key, what was got and what is allowed.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
import xml.parsers.expat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simloop.errors import ConfigurationError
from simloop_driving.roads.map_link_rules import check_links
from simloop_driving.roads.map_numbers import number, refuse, whole, word
from simloop_driving.roads.road_map import LANE_KINDS

MAX_DEPTH = 32
MAX_ROAD_LENGTH_M = 1e5
MAX_LANE_LENGTH_M = 5e6
"""All lanes of a map together: five million samples of a metre."""
MAX_POSITION_M = 1e7
MAX_COEFFICIENT = 1e6
MAX_CURVATURE_PER_M = 2.0
MAX_LANE_ID = 64
MAX_LANE_WIDTH_M = 50.0
MIN_SECTION_M = 0.01
MIN_DRIVING_WIDTH_M = 1.0
LENGTH_TOLERANCE_M = 0.5
LENGTH_TOLERANCE_RATIO = 0.01

_SHAPES = ("line", "arc", "spiral", "poly3", "paramPoly3")
_SPEED_UNITS = ("m/s", "km/h", "mph")
_NO_LIMIT = ("no limit", "undefined")

_Bounds = tuple[float, float]
_POSITION = (-MAX_POSITION_M, MAX_POSITION_M)
_COEFFICIENT = (-MAX_COEFFICIENT, MAX_COEFFICIENT)
_CURVATURE = (-MAX_CURVATURE_PER_M, MAX_CURVATURE_PER_M)
_ALONG = (0.0, MAX_ROAD_LENGTH_M)
_ANGLE = (-1e4, 1e4)
_CUBIC = dict.fromkeys("abcd", _COEFFICIENT)

_REQUIRED: dict[str, dict[str, _Bounds]] = {
    "geometry": {
        "s": _ALONG,
        "x": _POSITION,
        "y": _POSITION,
        "hdg": _ANGLE,
        "length": _ALONG,
    },
    "arc": {"curvature": _CURVATURE},
    "spiral": {"curvStart": _CURVATURE, "curvEnd": _CURVATURE},
    "poly3": _CUBIC,
    "paramPoly3": {f"{name}{axis}": _COEFFICIENT for axis in "UV" for name in "abcd"},
    "elevation": {"s": _ALONG, **_CUBIC},
    "superelevation": {"s": _ALONG, **_CUBIC},
    "laneOffset": {"s": _ALONG, **_CUBIC},
    "laneSection": {"s": _ALONG},
    "width": {"sOffset": _ALONG, **_CUBIC},
    "border": {"sOffset": _ALONG, **_CUBIC},
    "signal": {"s": _ALONG, "t": _POSITION},
    "signalReference": {"s": _ALONG, "t": _POSITION},
    "object": {"s": _ALONG, "t": _POSITION},
    "positionInertial": {"x": _POSITION, "y": _POSITION},
}
_OPTIONAL: dict[str, dict[str, _Bounds]] = {
    "signal": {"zOffset": _POSITION, "hOffset": _ANGLE, "height": _POSITION, "width": _POSITION},
    "object": {"zOffset": _POSITION, "hdg": _ANGLE, "length": _POSITION, "width": _POSITION},
    "positionInertial": {"z": _POSITION, "hdg": _ANGLE},
}


def check_map(file: str, content: bytes) -> float:
    """Checks an OpenDRIVE document.

    Args:
        file: What messages call it.
        content: The document.

    Returns:
        The length of all lanes together, in metres.

    Raises:
        ConfigurationError: The document breaks a rule; file, road, key, got, allowed.
    """
    _check_syntax(file, content)
    root = ElementTree.fromstring(content)
    if root.tag != "OpenDRIVE":
        refuse(file, f"has the root element <{root.tag}>", "<OpenDRIVE>, without a name space")
    roads = root.findall("road")
    if not roads:
        refuse(file, "has no <road>", "at least one road")
    if len(roads) != sum(1 for _ in root.iter("road")):
        refuse(file, "has a <road> within another element", "roads directly in <OpenDRIVE>")
    names: set[int] = set()
    for road in roads:
        road_id = whole(road, "id", f"{file}: <road>")
        if road_id in names:
            refuse(f"{file}: road id {road_id}", "is there twice", "one road of each id")
        names.add(road_id)
    sections = [_check_road(road, f"{file}: road {int(road.get('id', ''))}") for road in roads]
    if not any(lane.is_driving for lane in _all(sections)):
        refuse(file, "has no lane of type 'driving'", 'at least one <lane type="driving">')
    total_m = sum(lane.length_m for lane in _all(sections))
    if total_m > MAX_LANE_LENGTH_M:
        refuse(file, f"has {total_m:g} m of lanes", f"up to {MAX_LANE_LENGTH_M:g} m")
    check_links(file, root)
    return total_m


def _check_syntax(file: str, content: bytes) -> None:
    """Refuses what is not XML, document types (which can define entities that swell), and deep nesting."""
    depth = 0

    def begin_doctype(*_: object) -> None:
        refuse(f"{file}: <!DOCTYPE>", "is there", "no document type and no entities")

    def begin_element(name: str, _: object) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            refuse(f"{file}: <{name}>", f"is nested {depth} deep", f"up to {MAX_DEPTH}")

    def end_element(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser = xml.parsers.expat.ParserCreate()
    parser.StartDoctypeDeclHandler = begin_doctype
    parser.StartElementHandler = begin_element
    parser.EndElementHandler = end_element
    try:
        parser.Parse(content, True)
    except (xml.parsers.expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        refuse(file, f"is not well-formed XML ({error})", "an OpenDRIVE document")


@dataclass(frozen=True, slots=True)
class _Lane:
    is_driving: bool
    length_m: float


def _all(sections: Sequence[Sequence[_Lane]]) -> Iterator[_Lane]:
    for lanes in sections:
        yield from lanes


def _check_road(road: ElementTree.Element, where: str) -> list[_Lane]:
    length_m = number(road, "length", where, 1e-3, MAX_ROAD_LENGTH_M)
    whole(road, "junction", where, -1)
    for element in road.iter():
        for key, (low, high) in _REQUIRED.get(element.tag, {}).items():
            number(element, key, f"{where}: <{element.tag}>", low, high)
        for key, (low, high) in _OPTIONAL.get(element.tag, {}).items():
            if element.get(key) is not None:
                number(element, key, f"{where}: <{element.tag}>", low, high)
    _check_geometry(road, where, length_m)
    _check_order(road.findall("elevationProfile/elevation"), "s", f"{where}: <elevation>")
    _check_order(road.findall("lanes/laneOffset"), "s", f"{where}: <laneOffset>")
    for holder in (*road.findall("type"), *road.findall("lanes/laneSection/*/lane")):
        for speed in holder.findall("speed"):
            _check_speed(speed, where)
    for kind in road.findall("type"):
        number(kind, "s", f"{where}: <type>", 0.0, MAX_ROAD_LENGTH_M)
    return _check_lanes(road, where, length_m)


def _check_geometry(road: ElementTree.Element, where: str, length_m: float) -> None:
    parts = road.findall("planView/geometry")
    if not parts:
        refuse(f"{where}: <planView>", "has no <geometry>", "at least one")
    expected_m = 0.0
    for part in parts:
        begin_m = float(part.get("s", ""))
        if abs(begin_m - expected_m) > _tolerance_m(length_m):
            refuse(
                f"{where}: <geometry> s",
                f"is {begin_m:g}",
                f"{expected_m:g}, where the geometry before ends (in order, from 0)",
            )
        expected_m = begin_m + float(part.get("length", ""))
        shapes = [child for child in part if child.tag in _SHAPES]
        place = f"{where}: <geometry> at s = {begin_m:g}"
        if len(shapes) != 1:
            refuse(
                place, f"has {len(shapes)} shapes", f"exactly one of {', '.join(f'<{s}>' for s in _SHAPES)}"
            )
        _check_shape(shapes[0], place)
    if abs(expected_m - length_m) > _tolerance_m(length_m):
        refuse(f"{where}: length", f"is {length_m:g}", f"{expected_m:g}, the length of its geometry")


def _tolerance_m(length_m: float) -> float:
    return max(LENGTH_TOLERANCE_M, LENGTH_TOLERANCE_RATIO * length_m)


def _check_shape(shape: ElementTree.Element, place: str) -> None:
    if shape.tag == "arc" and float(shape.get("curvature", "")) == 0.0:
        refuse(f"{place}: <arc> curvature", "is 0", "another curvature, or <line> in its place")
    if shape.tag == "spiral" and float(shape.get("curvStart", "")) == float(shape.get("curvEnd", "")):
        refuse(f"{place}: <spiral>", "has equal curvStart and curvEnd", "an <arc> or <line> in its place")
    if shape.tag == "paramPoly3" and shape.get("pRange") is not None:
        word(shape, "pRange", f"{place}: <paramPoly3>", ("arcLength", "normalized"))


def _check_speed(speed: ElementTree.Element, where: str) -> None:
    if speed.get("max") not in _NO_LIMIT:
        number(speed, "max", f"{where}: <speed>", 0.0, 1000.0)
    if speed.get("unit") is not None:
        word(speed, "unit", f"{where}: <speed>", _SPEED_UNITS)


def _check_lanes(road: ElementTree.Element, where: str, length_m: float) -> list[_Lane]:
    sections = road.findall("lanes/laneSection")
    if not sections:
        refuse(f"{where}: <lanes>", "has no <laneSection>", "at least one")
    _check_order(sections, "s", f"{where}: <laneSection>")
    begins = [float(section.get("s", "")) for section in sections]
    if begins[0] > LENGTH_TOLERANCE_M:
        refuse(f"{where}: <laneSection> s", f"is {begins[0]:g} for the first one", "0")
    if begins[-1] >= length_m:
        refuse(
            f"{where}: <laneSection> s", f"is {begins[-1]:g}", f"less than the road's length, {length_m:g}"
        )
    lanes: list[_Lane] = []
    for section, begin_m, end_m in zip(sections, begins, [*begins[1:], length_m], strict=True):
        place = f"{where}: <laneSection> at s = {begin_m:g}"
        if end_m - begin_m < MIN_SECTION_M:
            refuse(place, f"is {end_m - begin_m:g} m long", f"from {MIN_SECTION_M:g} m")
        found = [
            (side.tag, lane, whole(lane, "id", f"{place}: <lane>", -MAX_LANE_ID, MAX_LANE_ID))
            for side in section
            for lane in side.findall("lane")
        ]
        _check_lane_ids([(side, lane_id) for side, _, lane_id in found], place)
        for _, lane, lane_id in found:
            if lane_id == 0:
                continue
            is_driving = lane.get("type") == "driving"
            _check_width(lane, f"{place}: lane {lane_id}", end_m - begin_m, is_driving=is_driving)
            lanes.append(_Lane(is_driving, end_m - begin_m))
    return lanes


def _check_lane_ids(found: Sequence[tuple[str, int]], place: str) -> None:
    for side, sign in (("left", 1), ("center", 0), ("right", -1)):
        numbers = [lane_id for tag, lane_id in found if tag == side]
        expected = [sign * (k + 1) for k in range(len(numbers))] if sign else [0]
        if sorted(numbers, key=abs) != expected:
            got = ", ".join(map(str, numbers)) or "none"
            refuse(
                f"{place}: lane ids in <{side}>", f"are {got}", f"{', '.join(map(str, expected))}, each once"
            )
    for side, lane_id in found:
        if side not in ("left", "center", "right"):
            refuse(f"{place}: lane {lane_id}", f"is in <{side}>", "<left>, <center> or <right>")
    if all(lane_id == 0 for _, lane_id in found):
        refuse(place, "has no lane beside lane 0", "at least one <lane> in <left> or <right>")


def _check_width(lane: ElementTree.Element, where: str, length_m: float, *, is_driving: bool) -> None:
    widths = lane.findall("width")
    if not widths:
        if lane.get("type") in LANE_KINDS and not lane.findall("border"):
            refuse(where, "has no <width>", "at least one <width> (or <border>)")
        return
    _check_order(widths, "sOffset", f"{where}: <width>")
    begins = [float(width.get("sOffset", "")) for width in widths]
    if begins[0] > 0.0:
        refuse(f"{where}: <width> sOffset", f"is {begins[0]:g} for the first one", "0")
    values = [
        sum(float(width.get(name, "")) * (ratio * reach) ** power for power, name in enumerate("abcd"))
        for width, begin, end in zip(widths, begins, [*begins[1:], max(length_m, begins[-1])], strict=True)
        for reach in [min(end, length_m) - begin]
        if reach >= 0.0
        for ratio in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    if not values or not all(-1e-3 * MAX_LANE_WIDTH_M <= value <= MAX_LANE_WIDTH_M for value in values):
        got = ", ".join(f"{value:g}" for value in values[:5]) or "undefined"
        refuse(f"{where}: <width>", f"is {got} m along the lane", f"0 to {MAX_LANE_WIDTH_M:g} m")
    if is_driving and max(values) < MIN_DRIVING_WIDTH_M:
        refuse(
            f"{where}: <width>",
            f"is at most {max(values):g} m",
            f"from {MIN_DRIVING_WIDTH_M:g} m somewhere on a driving lane",
        )


def _check_order(elements: Sequence[ElementTree.Element], key: str, where: str) -> None:
    before = -math.inf
    for element in elements:
        station = float(element.get(key, ""))
        if station < before:
            refuse(f"{where} {key}", f"is {station:g} after {before:g}", "ascending values")
        before = station
