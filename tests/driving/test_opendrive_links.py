"""Lane links and signals read from OpenDRIVE: against carla.Map's own successors, and on documents made by hand."""

from __future__ import annotations

import importlib.resources
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from simloop.errors import ConfigurationError
from simloop_driving.roads.opendrive import sample_opendrive
from simloop_driving.roads.opendrive_links import lane_index, lane_records, opposite_lanes, successors
from simloop_driving.roads.opendrive_signals import signal_records, stop_records
from simloop_driving.roads.road_map import DRIVING, SIGNAL_KINDS, load_map


def _road(
    road_id: int,
    sections: str,
    *,
    link: str = "",
    junction: int = -1,
    length_m: float = 100.0,
    signals: str = "",
) -> str:
    return (
        f'<road id="{road_id}" junction="{junction}" length="{length_m}"><link>{link}</link>'
        f'<planView><geometry s="0" x="{1000.0 * road_id}" y="0" hdg="0" length="{length_m}"><line/></geometry>'
        f"</planView><lanes>{sections}</lanes><signals>{signals}</signals></road>"
    )


def _section(station_m: float, left: dict[int, str], right: dict[int, str], kind: str = "driving") -> str:
    def side(name: str, lanes: dict[int, str]) -> str:
        inner = "".join(
            f'<lane id="{lane}" type="{kind}"><link>{link}</link><width sOffset="0" a="3" b="0" c="0" d="0"/></lane>'
            for lane, link in lanes.items()
        )
        return f"<{name}>{inner}</{name}>" if lanes else ""

    centre = '<center><lane id="0" type="none"/></center>'
    return f'<laneSection s="{station_m}">{side("left", left)}{centre}{side("right", right)}</laneSection>'


def _document(*parts: str) -> ElementTree.Element:
    header = '<header revMajor="1" revMinor="4" name="m"/>'
    return ElementTree.fromstring(f"<OpenDRIVE>{header}{''.join(parts)}</OpenDRIVE>")


def _named(root: ElementTree.Element) -> dict[str, list[str]]:
    """Returns for each lane, as road/section/lane, those that it leads into."""
    lanes = lane_records(root)
    names = [f"{lane.road_id}/{lane.section}/{lane.lane_id}" for lane in lanes]
    ahead = successors(root, lanes, lane_index(lanes))
    return {name: [names[i] for i in found] for name, found in zip(names, ahead, strict=True)}


@pytest.mark.parametrize("name", ["merge", "roundabout", "rural", "town"])
def test_successors_are_those_that_carla_finds(name: str) -> None:
    carla = pytest.importorskip("carla", reason="carla, the OpenDRIVE parser, is not installed")
    xml = (importlib.resources.files("simloop_scenarios") / "maps" / f"{name}.xodr").read_text("utf-8")
    carla_map = carla.Map(name, xml)
    lengths = {
        int(r.get("id", "0")): float(r.get("length", "0")) for r in ElementTree.fromstring(xml).iter("road")
    }
    road_map = load_map(name)
    num_checked = 0
    for lane in np.flatnonzero(road_map.lane_kind == DRIVING):
        road, lane_id = int(road_map.lane_road_id[lane]), int(road_map.lane_opendrive_id[lane])
        if road_map.width_m[road_map.samples(lane)][-1] < 0.1:
            continue  # a lane that closes leads nowhere; carla.Map's waypoint there is undefined
        station = lengths[road] - 0.05 if lane_id < 0 else 0.05
        waypoint = carla_map.get_waypoint_xodr(road, lane_id, station)
        theirs = {(point.road_id, point.lane_id) for point in waypoint.next(0.2)} - {(road, lane_id)}
        ours = {
            (int(road_map.lane_road_id[to]), int(road_map.lane_opendrive_id[to]))
            for to in road_map.successors(int(lane))
        }
        assert ours == theirs, f"{road}/{lane_id}"
        num_checked += 1
    assert num_checked >= 12


def test_lanes_lead_through_the_sections_of_a_road_in_both_directions() -> None:
    root = _document(
        _road(
            1,
            _section(0.0, {1: ""}, {-1: '<successor id="-2"/>'})
            + _section(40.0, {1: '<predecessor id="1"/>'}, {-2: '<predecessor id="-1"/>', -1: ""}),
        )
    )
    assert _named(root) == {"1/0/1": [], "1/0/-1": ["1/1/-2"], "1/1/1": ["1/0/1"], "1/1/-2": [], "1/1/-1": []}


def test_roads_may_meet_end_to_end() -> None:
    """Where two roads point at each other, lane -1 of one goes on as lane 1 of the other."""
    root = _document(
        _road(
            1,
            _section(0.0, {1: '<successor id="-1"/>'}, {-1: '<successor id="1"/>'}),
            link='<successor elementType="road" elementId="2" contactPoint="end"/>',
        ),
        _road(
            2,
            _section(0.0, {1: '<successor id="-1"/>'}, {-1: '<successor id="1"/>'}),
            link='<successor elementType="road" elementId="1" contactPoint="end"/>',
        ),
    )
    assert _named(root) == {"1/0/1": [], "1/0/-1": ["2/0/1"], "2/0/1": [], "2/0/-1": ["1/0/1"]}


def test_a_link_to_a_lane_that_is_not_there_leads_nowhere() -> None:
    root = _document(
        _road(
            1,
            _section(0.0, {}, {-1: '<successor id="-7"/>'}),
            link='<successor elementType="road" elementId="2" contactPoint="start"/>',
        ),
        _road(2, _section(0.0, {}, {-1: ""}), link='<successor elementType="road" elementId="9"/>'),
        _road(3, _section(0.0, {}, {-1: ""}), link='<successor elementType="junction" elementId="9"/>'),
    )
    assert set(map(tuple, _named(root).values())) == {()}


def test_a_road_that_meets_a_junction_twice_is_left_by_the_end_that_the_lane_has() -> None:
    """A loop starts and ends in junction 5; connecting road 8 takes traffic from its end, 9 from its start."""
    loop = _road(
        1,
        _section(0.0, {1: ""}, {-1: ""}),
        link='<predecessor elementType="junction" elementId="5"/><successor elementType="junction" elementId="5"/>',
    )
    connecting = [
        _road(
            road,
            _section(0.0, {}, {-1: ""}),
            junction=5,
            link=f'<predecessor elementType="road" elementId="1" contactPoint="{contact}"/>',
        )
        for road, contact in ((8, "end"), (9, "start"))
    ]
    junction = (
        '<junction id="5"><connection id="0" incomingRoad="1" connectingRoad="8" contactPoint="start">'
        '<laneLink from="-1" to="-1"/><laneLink from="1" to="-1"/></connection>'
        '<connection id="1" incomingRoad="1" connectingRoad="9" contactPoint="start">'
        '<laneLink from="1" to="-1"/><laneLink from="-1" to="-1"/></connection></junction>'
    )
    root = _document(loop, *connecting, junction)
    found = _named(root)
    assert found["1/0/-1"] == ["8/0/-1"]
    assert found["1/0/1"] == ["9/0/-1"]
    assert {lane.road_id: lane.junction_id for lane in lane_records(root)} == {1: -1, 8: 5, 9: 5}


def test_the_opposite_lane_is_a_driving_lane_across_the_reference_line() -> None:
    root = _document(
        _road(1, _section(0.0, {2: "", 1: ""}, {-1: "", -2: ""})),
        _road(2, _section(0.0, {1: ""}, {}, kind="sidewalk") + _section(50.0, {}, {-1: ""})),
    )
    lanes = lane_records(root)
    opposite = opposite_lanes(lanes, lane_index(lanes))
    names = [f"{lane.road_id}/{lane.lane_id}" for lane in lanes]
    found = {name: names[i] if i >= 0 else None for name, i in zip(names, opposite, strict=True)}
    assert found == {"1/2": "1/-1", "1/1": "1/-1", "1/-1": "1/1", "1/-2": "1/1", "2/1": None, "2/-1": None}


SIGNALS = (
    '<signal id="4" s="90" t="-4" zOffset="3" orientation="+" type="1000001" hOffset="0.1"/>'
    '<signal id="5" s="10" t="4" zOffset="2" orientation="-" type="206"><validity fromLane="2" toLane="2"/></signal>'
    '<signal id="6" s="50" t="0" orientation="none" type="205">'
    '<positionInertial x="7" y="8" z="9" hdg="1.5"/></signal>'
    '<signal id="7" s="50" t="0" orientation="+" type="274"/>'
)


def _signalised() -> ElementTree.Element:
    return _document(
        '<controller id="1"><control signalId="4"/></controller>',
        '<controller id="2"><control signalId="44"/></controller>',
        '<controller id="3"><control signalId="45"/></controller>',
        _road(1, _section(0.0, {2: "", 1: ""}, {-1: "", -2: ""}), signals=SIGNALS),
        _road(
            2,
            _section(0.0, {}, {-1: ""}),
            signals='<signalReference id="4" s="0" orientation="+"/>'
            '<signal id="44" s="1" t="0" orientation="+" type="1000001"/>'
            '<signal id="45" s="1" t="0" orientation="+" type="1000001"/>'
            '<signal id="46" s="1" t="0" orientation="+" type="1000001"/>',
        ),
        '<junction id="9"><controller id="2" sequence="1"/><controller id="1" sequence="0"/></junction>',
    )


def test_signals_stop_the_lanes_that_they_are_valid_for() -> None:
    root = _signalised()
    lanes = lane_records(root)
    signals = signal_records(
        root, lambda road, station_m: (1000.0 * int(road.get("id", "0")) + station_m, 0.0, 0.0)
    )
    assert [(signal.signal_id, SIGNAL_KINDS[signal.kind]) for signal in signals] == [
        (4, "traffic_light"),
        (5, "stop"),
        (6, "yield"),
        (44, "traffic_light"),
        (45, "traffic_light"),
        (46, "traffic_light"),
    ]
    heads = [(s.x_m, s.y_m, s.z_m, s.yaw_rad) for s in signals[:3]]
    assert heads[0] == pytest.approx((1090.0, -4.0, 3.0, np.pi + 0.1))
    assert heads[1] == pytest.approx((1010.0, 4.0, 2.0, 0.0))
    assert heads[2] == (7.0, 8.0, 9.0, 1.5)
    stops = {
        (lanes[stop.lane].road_id, lanes[stop.lane].lane_id, signals[stop.signal].signal_id, stop.station_m)
        for stop in stop_records(root, lanes, signals)
    }
    assert stops == {
        (1, -1, 4, 90.0),
        (1, -2, 4, 90.0),
        (2, -1, 4, 0.0),
        (1, 2, 5, 10.0),
        *((1, lane, 6, 50.0) for lane in (2, 1, -1, -2)),
        *((2, -1, signal, 1.0) for signal in (44, 45, 46)),
    }


def test_controllers_of_one_junction_take_turns_and_others_stand_alone() -> None:
    signals = signal_records(_signalised(), lambda road, station_m: (0.0, 0.0, 0.0))
    groups = {signal.signal_id: (signal.controller, signal.phase) for signal in signals}
    assert groups == {4: (0, 0), 44: (0, 1), 45: (1, 0), 46: (-1, 0), 5: (-1, 0), 6: (-1, 0)}


def test_a_signal_stands_beside_the_reference_line_of_either_kind_of_road() -> None:
    """The reference line is found from a lane on either side of it, and a lane offset moves the lanes only."""
    pytest.importorskip("carla", reason="carla, the OpenDRIVE parser, is not installed")
    sign = '<signal id="{}" s="30" t="-5" zOffset="2" orientation="{}" type="206"/>'
    offset = '<laneOffset s="0" a="1.5" b="0" c="0" d="0"/>'
    root = _document(
        _road(1, _section(0.0, {}, {-1: ""}), signals=sign.format(1, "+")),
        _road(2, _section(0.0, {1: ""}, {}), signals=sign.format(2, "-")),
        _road(3, offset + _section(0.0, {1: ""}, {-1: ""}), signals=sign.format(3, "+")),
    )
    road_map = sample_opendrive("m", ElementTree.tostring(root, encoding="unicode"))
    assert road_map.signal_x_m == pytest.approx([1030.0, 2030.0, 3030.0], abs=1e-3)
    assert road_map.signal_y_m == pytest.approx([-5.0, -5.0, -5.0], abs=1e-3)
    assert np.cos(road_map.signal_yaw_rad) == pytest.approx([-1.0, 1.0, -1.0])
    # Lane 1 of road 2 runs against the reference line: station 30 is 70 m along it.
    assert road_map.stop_s_m == pytest.approx([30.0, 70.0, 30.0], abs=0.01)


@pytest.mark.parametrize(
    ("reference", "origin_deg"),
    [
        ("", (0.0, 0.0)),
        ("<geoReference>+proj=tmerc +lat_0=48.25 +lon_0=-11 +k=1</geoReference>", (48.25, -11.0)),
        ("<geoReference><![CDATA[+lon_0=1.5e1 +proj=utm]]></geoReference>", (0.0, 15.0)),
        ("<geoReference>EPSG:25832</geoReference>", (0.0, 0.0)),
    ],
)
def test_the_origin_is_read_from_the_geo_reference(reference: str, origin_deg: tuple[float, float]) -> None:
    pytest.importorskip("carla", reason="carla, the OpenDRIVE parser, is not installed")
    xml = ElementTree.tostring(_document(_road(1, _section(0.0, {}, {-1: ""}))), encoding="unicode")
    header = '<header revMajor="1" revMinor="4" name="m" />'
    assert header in xml
    road_map = sample_opendrive("m", xml.replace(header, f"{header[:-2]}>{reference}</header>"))
    assert (road_map.latitude_deg, road_map.longitude_deg) == origin_deg


def test_an_origin_off_the_globe_is_refused() -> None:
    xml = ElementTree.tostring(_document(_road(1, _section(0.0, {}, {-1: ""}))), encoding="unicode")
    bad = xml.replace('name="m" />', 'name="m"><geoReference>+lat_0=91</geoReference></header>')
    pytest.importorskip("carla", reason="carla, the OpenDRIVE parser, is not installed")
    with pytest.raises(
        ConfigurationError, match=r"\+lat_0=91 in its <geoReference>; allowed: degrees from -90 to 90"
    ):
        sample_opendrive("m", bad)
