"""The shipped maps: made again by their generators, and their geometry against independent evaluations of the file."""

from __future__ import annotations

import importlib
import importlib.resources
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import fields

import numpy as np
import pytest
import shapely
from scipy.spatial import cKDTree
from scipy.special import fresnel

from simloop.errors import MissingDependencyError
from simloop_driving.roads.road_map import (
    DRIVING,
    LANE_KINDS,
    SIGNAL_KINDS,
    STOP_SIGN,
    TRAFFIC_LIGHT,
    YIELD_SIGN,
    RoadMap,
    load_map,
    shipped_maps,
)
from simloop_driving.roads.road_specs import bend, clothoids
from simloop_driving.roads.routing import find_route

NETWORKS = ("merge", "roundabout", "rural", "town")
"""The maps of more than one road."""
MAPS = ("highway", *NETWORKS, "straight_track")


def _xml(name: str) -> str:
    return (importlib.resources.files("simloop_scenarios") / "maps" / f"{name}.xodr").read_text("utf-8")


def _lanes(road_map: RoadMap, kind: int = DRIVING) -> list[int]:
    return [int(lane) for lane in np.flatnonzero(road_map.lane_kind == kind)]


def _name(road_map: RoadMap, lane: int) -> str:
    return f"{road_map.lane_road_id[lane]}/{road_map.lane_opendrive_id[lane]}"


def _joints(road_map: RoadMap) -> list[tuple[int, int]]:
    return [
        (lane, int(to))
        for lane in range(road_map.num_lanes)
        for to in road_map.successors(lane)
        if road_map.lane_kind[lane] == road_map.lane_kind[to]
    ]


def test_the_maps_that_the_scenarios_name_are_shipped() -> None:
    assert shipped_maps() == tuple(sorted(MAPS))


@pytest.mark.parametrize("name", MAPS)
def test_generators_write_the_committed_maps(name: str) -> None:
    pytest.importorskip("scenariogeneration", reason="scenariogeneration is not installed")
    pytest.importorskip("carla", reason="carla, the OpenDRIVE parser, is not installed")
    from simloop_driving.roads.opendrive import sample_opendrive

    network = getattr(importlib.import_module(f"simloop_driving.roads.{name}"), f"{name}_network")()
    xml = network.to_xml()
    assert xml == _xml(name)
    again, shipped = sample_opendrive(name, xml), load_map(name)
    for item in fields(RoadMap):
        value = getattr(shipped, item.name)
        if isinstance(value, np.ndarray) and value.dtype == np.float64:
            assert getattr(again, item.name) == pytest.approx(value, abs=1e-9), item.name
        else:
            assert np.array_equal(getattr(again, item.name), value), item.name


@pytest.mark.parametrize("name", NETWORKS)
def test_lanes_join_their_successors(name: str) -> None:
    """The gap to the next lane is less than a step and in line with the heading; width and heading go on."""
    road_map = load_map(name)
    joints = _joints(road_map)
    assert joints
    for lane, to in joints:
        where = f"{_name(road_map, lane)} to {_name(road_map, to)}"
        last, first = int(road_map.lane_start[lane + 1]) - 1, int(road_map.lane_start[to])
        gap = np.array([road_map.x_m[first] - road_map.x_m[last], road_map.y_m[first] - road_map.y_m[last]])
        length_m = float(np.hypot(*gap))
        assert length_m < road_map.step_m + 0.01, where
        # Between the two samples the curvature is the mean of theirs.
        turn = 0.5 * length_m * (road_map.curvature_per_m[last] + road_map.curvature_per_m[first])
        heading = road_map.yaw_rad[last] + 0.5 * turn
        assert abs(gap[1] * np.cos(heading) - gap[0] * np.sin(heading)) < 0.03, where
        assert gap[0] * np.cos(heading) + gap[1] * np.sin(heading) > -0.01, where
        kink = (
            np.remainder(road_map.yaw_rad[first] - road_map.yaw_rad[last] - turn + np.pi, 2.0 * np.pi) - np.pi
        )
        assert abs(kink) < 0.02, where
        assert road_map.width_m[first] == pytest.approx(road_map.width_m[last], abs=0.05), where


@pytest.mark.parametrize(
    ("name", "tightest_m"), [("merge", 240.0), ("roundabout", 9.5), ("rural", 9.5), ("town", 8.0)]
)
def test_no_bend_is_tighter_than_a_car_can_turn(name: str, tightest_m: float) -> None:
    road_map = load_map(name)
    for lane in _lanes(road_map):
        part = road_map.samples(lane)
        if part.stop - part.start > 2:
            assert np.abs(road_map.curvature_per_m[part]).max() < 1.0 / tightest_m, _name(road_map, lane)
            jump = np.abs(np.diff(road_map.yaw_rad[part])).max()
            assert jump < 1.2 * road_map.step_m / tightest_m, _name(road_map, lane)


def _reference_line(road: ElementTree.Element, stations: np.ndarray) -> np.ndarray:
    """Returns x, y and heading of a plan view by closed forms: lines, arcs, and clothoids as Fresnel integrals."""
    out = np.full((3, len(stations)), np.nan)
    for geometry in road.findall("planView/geometry"):
        x, y, heading, s, length = (float(geometry.get(key, "0")) for key in ("x", "y", "hdg", "s", "length"))
        chosen = (stations >= s - 1e-9) & (stations <= s + length + 1e-9)
        along = stations[chosen] - s
        shape = geometry[0]
        if shape.tag == "line":
            begin = rate = 0.0
        elif shape.tag == "arc":
            begin, rate = float(shape.get("curvature", "0")), 0.0
        else:
            begin = float(shape.get("curvStart", "0"))
            rate = (float(shape.get("curvEnd", "0")) - begin) / length
        if rate == 0.0:
            half = 0.5 * begin * along
            chord = along * np.sinc(half / np.pi)
            local = np.stack([chord * np.cos(half), chord * np.sin(half)])
        else:
            # theta(s) = begin s + rate s^2 / 2 = sign pi / 2 u(s)^2 - sign pi / 2 u(0)^2, u linear in s.
            scale = np.sqrt(np.pi / abs(rate))
            sign = np.sign(rate)
            u0, u = begin / rate / scale, (along + begin / rate) / scale
            sines, cosines = fresnel(u)
            sine0, cosine0 = fresnel(u0)
            dx, dy = scale * (cosines - cosine0), scale * sign * (sines - sine0)
            back = -sign * 0.5 * np.pi * u0**2
            local = np.stack([dx * np.cos(back) - dy * np.sin(back), dx * np.sin(back) + dy * np.cos(back)])
        out[0, chosen] = x + local[0] * np.cos(heading) - local[1] * np.sin(heading)
        out[1, chosen] = y + local[0] * np.sin(heading) + local[1] * np.cos(heading)
        out[2, chosen] = heading + begin * along + 0.5 * rate * along**2
    return out


def _width(lane: ElementTree.Element, stations: np.ndarray) -> np.ndarray:
    width = np.zeros(len(stations))
    for piece in lane.findall("width"):
        along = stations - float(piece.get("sOffset", "0"))
        value = sum(float(piece.get(key, "0")) * along**power for power, key in enumerate("abcd"))
        width = np.where(along >= -1e-9, value, width)
    return width


@pytest.mark.parametrize("name", MAPS)
def test_samples_lie_on_the_closed_form_of_the_file(name: str) -> None:
    road_map = load_map(name)
    num_checked = 0
    for road in ElementTree.fromstring(_xml(name)).iter("road"):
        length_m = float(road.get("length", "0"))
        stations = np.linspace(0.0, length_m, max(100, int(length_m / 0.1)))
        x, y, heading = _reference_line(road, stations)
        assert np.all(np.isfinite(x))
        section = road.find("lanes/laneSection")
        assert section is not None
        for side, sign in (("left", 1), ("right", -1)):
            lanes = sorted(section.findall(f"{side}/lane"), key=lambda lane: abs(int(lane.get("id", "0"))))
            inner = np.zeros(len(stations))
            for item in lanes:
                width = _width(item, stations)
                offset = sign * (inner + 0.5 * width)
                inner = inner + width
                line = np.stack([x - offset * np.sin(heading), y + offset * np.cos(heading)], axis=1)
                lane = road_map.lane_index(int(road.get("id", "0")), int(item.get("id", "0")))
                part = road_map.samples(lane)
                points = np.stack([road_map.x_m[part], road_map.y_m[part]], axis=1)
                _, nearest = cKDTree(line).query(points)
                away = points - line[nearest]
                tangent = np.gradient(line, axis=0)[nearest]
                across = away[:, 1] * tangent[:, 0] - away[:, 0] * tangent[:, 1]
                distance = np.abs(across) / np.hypot(*tangent.T)
                assert np.hypot(*away.T).max() < 0.2, _name(road_map, lane)
                # Where a parking lane opens, the sidewalk bends within a sample's metre.
                bound_m = 0.02 if road_map.lane_kind[lane] == DRIVING else 0.08
                assert distance.max() < bound_m, _name(road_map, lane)
                # The lane's first sample is where the road begins in its direction of travel.
                begin = line[0] if sign < 0 else line[-1]
                assert np.hypot(*(points[0] - begin)) < 0.01, _name(road_map, lane)
                exact_m = float(np.hypot(*np.diff(line, axis=0).T).sum())
                assert 0.0 <= exact_m - road_map.length_m(lane) < road_map.step_m + 0.01
                num_checked += 1
    assert num_checked == road_map.num_lanes


def _surface(road_map: RoadMap, lane: int) -> shapely.Polygon:
    part = road_map.samples(lane)
    normal = np.stack([-np.sin(road_map.yaw_rad[part]), np.cos(road_map.yaw_rad[part])], axis=1)
    centre = np.stack([road_map.x_m[part], road_map.y_m[part]], axis=1)
    half = 0.5 * road_map.width_m[part, None]
    return shapely.Polygon(np.concatenate([centre + half * normal, (centre - half * normal)[::-1]]))


@pytest.mark.parametrize("name", MAPS)
def test_lanes_side_by_side_touch_and_do_not_overlap(name: str) -> None:
    road_map = load_map(name)
    lanes = [lane for lane in range(road_map.num_lanes) if road_map.width_m[road_map.samples(lane)].min() > 0]
    surfaces = {lane: _surface(road_map, lane).buffer(0) for lane in lanes}
    for lane in lanes:
        right = int(road_map.lane_right[lane])
        if right in surfaces:
            length_m = road_map.length_m(lane)
            overlap = surfaces[lane].intersection(surfaces[right]).area
            assert overlap < 0.02 * length_m, _name(road_map, lane)
            assert surfaces[lane].distance(surfaces[right]) < 0.02
    # Outside junctions no two lanes lie on each other, wherever their roads lead.
    outside = [lane for lane in lanes if road_map.lane_junction_id[lane] < 0]
    total = sum(surfaces[lane].area for lane in outside)
    assert shapely.union_all([surfaces[lane] for lane in outside]).area == pytest.approx(total, rel=2e-3)


def test_opposite_lanes_and_neighbours_are_those_of_the_file() -> None:
    town = load_map("town")
    east, west = town.lane_index(111, -1), town.lane_index(111, 1)
    assert town.lane_opposite[east] == west
    assert town.lane_opposite[west] == east
    assert town.lane_opposite[town.lane_index(111, -3)] == west
    assert town.lane_opposite[town.lane_index(5020, -1)] == -1
    assert LANE_KINDS[town.lane_kind[town.lane_right[east]]] == "parking"
    assert town.driving_neighbour(east, "right") == -1
    merge = load_map("merge")
    side = merge.lane_index(2, -5)
    assert merge.driving_neighbour(side, "left") == merge.lane_index(2, -4)
    assert np.all(load_map("highway").lane_opposite == -1)


def test_every_way_through_the_town_leads_on() -> None:
    """All arms of a junction are joined but for U-turns, and only the stubs' ends lead nowhere."""
    town = load_map("town")
    ends = {_name(town, lane) for lane in _lanes(town) if len(town.successors(lane)) == 0}
    stubs = (100, 110, 120, 200, 220), (103, 113, 123, 203, 213, 223)
    assert ends == {f"{road}/1" for road in stubs[0]} | {f"{road}/-1" for road in stubs[1]}
    into_five = town.lane_index(111, -1)
    goals = {_name(town, int(town.successors(int(lane))[0])) for lane in town.successors(into_five)}
    assert goals == {"112/-1", "212/-1", "211/1"}
    assert set(town.lane_junction_id[town.successors(into_five)]) == {5}


@pytest.mark.parametrize(
    ("name", "start", "successors"),
    [
        ("merge", (11, -1), {"102/-1"}),
        ("merge", (2, -5), set()),
        ("merge", (2, -4), {"3/-4"}),
        ("merge", (4, -5), {"202/-1"}),
        ("rural", (3, -1), {"4/-1"}),
        ("rural", (5, 1), {"4/1"}),
        ("rural", (1, 1), set()),
        ("roundabout", (4, -1), {"402/-1"}),
        ("roundabout", (14, -1), {"101/-1", "103/-1"}),
        ("roundabout", (103, -1), {"1/1"}),
    ],
)
def test_lanes_lead_where_the_docstrings_say(name: str, start: tuple[int, int], successors: set[str]) -> None:
    road_map = load_map(name)
    found = road_map.successors(road_map.lane_index(*start))
    assert {_name(road_map, int(lane)) for lane in found} == successors


def test_signals_of_the_town() -> None:
    town = load_map("town")
    counts = {kind: int(np.sum(town.signal_kind == code)) for code, kind in enumerate(SIGNAL_KINDS)}
    assert counts == {"traffic_light": 12, "stop": 4, "yield": 4}
    lights = town.signal_kind == TRAFFIC_LIGHT
    assert sorted(np.unique(town.signal_controller[lights], return_counts=True)[1]) == [4, 4, 4]
    assert np.all(town.signal_controller[~lights] == -1)
    assert len(town.stop_lane) == 20
    for lane, s_m, signal in zip(town.stop_lane, town.stop_s_m, town.stop_signal, strict=True):
        # The line is a metre before the end of the lane, and the sign or the light looks at whoever comes.
        last = int(town.lane_start[lane + 1]) - 1
        true_end_m = 120.0 if town.lane_road_id[lane] % 10 in (0, 3) else 122.0
        assert s_m == pytest.approx(true_end_m - 1.0, abs=0.01)
        facing = np.cos(town.signal_yaw_rad[signal] - town.yaw_rad[last])
        assert facing == pytest.approx(-1.0, abs=1e-6)
        ahead = (town.signal_x_m[signal] - town.x_m[last]) * np.cos(town.yaw_rad[last]) + (
            town.signal_y_m[signal] - town.y_m[last]
        ) * np.sin(town.yaw_rad[last])
        aside = (town.signal_y_m[signal] - town.y_m[last]) * np.cos(town.yaw_rad[last]) - (
            town.signal_x_m[signal] - town.x_m[last]
        ) * np.sin(town.yaw_rad[last])
        is_light = town.signal_kind[signal] == TRAFFIC_LIGHT
        assert (28.0 < ahead < 31.0) if is_light else abs(ahead) < 1.1
        assert -4.0 < aside < -2.0


def test_opposite_arms_are_green_together() -> None:
    town = load_map("town")
    stop_of = {int(signal): int(lane) for lane, signal in zip(town.stop_lane, town.stop_signal, strict=True)}
    for program in range(3):
        members = np.flatnonzero(town.signal_controller == program)
        for phase in (0, 1):
            yaws = [
                float(town.yaw_rad[town.lane_start[stop_of[int(k)]]])
                for k in members
                if town.signal_phase[k] == phase
            ]
            assert len(yaws) == 2
            assert np.cos(yaws[0] - yaws[1]) == pytest.approx(-1.0)


def test_only_entries_yield_at_the_roundabout() -> None:
    ring = load_map("roundabout")
    assert np.all(ring.signal_kind == YIELD_SIGN)
    assert sorted(_name(ring, int(lane)) for lane in ring.stop_lane) == ["1/-1", "2/-1", "3/-1", "4/-1"]
    assert not np.any(ring.signal_kind == STOP_SIGN)
    centre = ring.samples(ring.lane_index(101, -1))
    assert np.hypot(ring.x_m[centre], ring.y_m[centre]) == pytest.approx(18.0 + 2.25, abs=0.02)
    assert np.mean(ring.curvature_per_m[centre]) == pytest.approx(1.0 / 20.25, rel=0.01)


def test_the_hairpin_of_the_rural_road_has_its_radius() -> None:
    rural = load_map("rural")
    outer, inner = (rural.samples(rural.lane_index(4, lane)) for lane in (-1, 1))
    assert rural.curvature_per_m[outer].max() == pytest.approx(1.0 / 13.75, rel=0.02)
    assert rural.curvature_per_m[inner].min() == pytest.approx(-1.0 / 10.25, rel=0.02)
    assert np.ptp(rural.yaw_rad[outer]) == pytest.approx(np.pi, abs=1e-3)
    assert [rural.length_m(rural.lane_index(road, -1)) for road in (1, 3, 6)] == pytest.approx(
        [1000.0, 800.0, 900.0], abs=1.0
    )


def test_the_acceleration_lane_closes_without_a_kink() -> None:
    merge = load_map("merge")
    part = merge.samples(merge.lane_index(2, -5))
    s_m, width_m = merge.s_m[part], merge.width_m[part]
    assert width_m[s_m < 249.0] == pytest.approx(3.5)
    assert width_m[s_m > 312.0] == pytest.approx(0.0, abs=1e-6)
    assert np.all(np.diff(width_m) < 1e-9)
    # The steepest slope of the cubic between two levels is 1.5 times the mean one.
    assert np.abs(np.diff(width_m)).max() == pytest.approx(1.5 * 3.5 / 60.0, rel=0.02)


@pytest.mark.parametrize(
    ("name", "road", "limit_kmh"),
    [("town", 111, 50), ("town", 5020, 50), ("rural", 4, 30), ("merge", 11, 80), ("roundabout", 402, 30)],
)
def test_speed_limits(name: str, road: int, limit_kmh: float) -> None:
    road_map = load_map(name)
    assert road_map.lane_speed_limit_mps[road_map.lane_index(road, -1)] == pytest.approx(limit_kmh / 3.6)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_ways_of_the_docstrings_can_be_driven(name: str) -> None:
    road_map = load_map(name)
    text = importlib.import_module(f"simloop_driving.roads.{name}").__doc__ or ""
    ways = re.findall(r"  (\d+)/(-?\d+) +(\d+)/(-?\d+)  ?", text)
    assert len(ways) >= 3
    for way in ways:
        road, lane, to_road, to_lane = map(int, way)
        route = find_route(road_map, road_map.lane_index(road, lane), road_map.lane_index(to_road, to_lane))
        assert _name(road_map, route[0]) == f"{road}/{lane}"
        assert _name(road_map, route[-1]) == f"{to_road}/{to_lane}"


def test_a_bend_turns_by_its_angle() -> None:
    turned = sum(0.5 * length * (begin + finish) for length, begin, finish in bend(80.0, -1.1, 40.0))
    assert turned == pytest.approx(-1.1)


def test_clothoids_of_a_straight_are_one_line() -> None:
    assert clothoids((1.0, 2.0, 0.5), (1.0 + 3.0 * np.cos(0.5), 2.0 + 3.0 * np.sin(0.5), 0.5)) == (
        (3.0, 0.0, 0.0),
    )


def test_without_scenariogeneration_writing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from simloop_driving.roads.town import town_network

    monkeypatch.setitem(sys.modules, "scenariogeneration", None)
    with pytest.raises(MissingDependencyError, match="pip install scenariogeneration"):
        town_network()
