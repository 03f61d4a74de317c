"""Maps by path: good ones are sampled as the shipped ones are, bad ones are refused by file, road, key and reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simloop.errors import ConfigurationError, UnknownNameError
from simloop.spec import Scenario
from simloop.world import OutcomeState
from simloop_driving.roads import map_files, sampling_process
from simloop_driving.roads import road_map as shipped
from simloop_driving.roads.map_files import load_map, opendrive_text
from simloop_driving.roads.map_rules import check_map
from simloop_driving.roads.routing import find_route, route_along
from simloop_driving.world import DrivingWorld

MAPS = Path(__file__).parents[2] / "scenarios" / "maps"

ROAD = """
<road id="{id}" length="60" junction="-1"><link>{link}</link>
  <planView><geometry s="0" x="{x}" y="0" hdg="0" length="60"><line/></geometry></planView>
  <lanes><laneSection s="0">
    <center><lane id="0" type="none"/></center>
    <right><lane id="-1" type="driving"><link>{lane_link}</link><width sOffset="0" a="3.5" b="0" c="0" d="0"/></lane>
    </right></laneSection></lanes>
</road>
"""
LINK_TO_TWO = '<successor elementType="road" elementId="2" contactPoint="start"/>'
LINK_TO_ONE = '<predecessor elementType="road" elementId="1" contactPoint="end"/>'
GOOD = (
    "<OpenDRIVE>"
    + ROAD.format(id=1, x=0, link=LINK_TO_TWO, lane_link='<successor id="-1"/>')
    + ROAD.format(id=2, x=60, link=LINK_TO_ONE, lane_link='<predecessor id="-1"/>')
    + "</OpenDRIVE>"
)
BILLION_LAUGHS = (
    '<!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><OpenDRIVE>&i;</OpenDRIVE>"
)
WITH_JUNCTION = GOOD.replace(
    "</OpenDRIVE>",
    '<junction id="9"><connection id="0" incomingRoad="1" connectingRoad="2" contactPoint="start">'
    '<laneLink from="-1" to="-1"/></connection></junction></OpenDRIVE>',
)


def _changed(old: str, new: str, source: str = GOOD) -> str:
    assert old in source
    return source.replace(old, new, 1)


LINE = '<geometry s="0" x="0" y="0" hdg="0" length="60"><line/></geometry>'
WIDTH = '<width sOffset="0" a="3.5" b="0" c="0" d="0"/>'

BAD_MAPS = [
    ("", r"bad\.xodr is not well-formed XML \(no element found"),
    ("<OpenDRIVE>", r"is not well-formed XML"),
    ("road 1", r"is not well-formed XML \(syntax error: line 1"),
    ("<a/>", r"has the root element <a>; allowed: <OpenDRIVE>"),
    ('<OpenDRIVE xmlns="http://x"/>', r"root element <\{http://x\}OpenDRIVE>.* without a name space"),
    ("<OpenDRIVE/>", r"bad\.xodr has no <road>; allowed: at least one road"),
    (BILLION_LAUGHS, r"<!DOCTYPE> is there; allowed: no document type and no entities"),
    (
        "<OpenDRIVE>" + "<a>" * 100 + "</a>" * 100 + "</OpenDRIVE>",
        r"<a> is nested 33 deep; allowed: up to 32",
    ),
    (_changed('id="2" length', 'id="1" length'), r"road id 1 is there twice"),
    (_changed('id="1" length', 'id="one" length'), r"<road> id is 'one'; allowed: a whole number from 0 to"),
    (
        _changed('length="60" junction', 'length="1e9" junction'),
        r"road 1 length is '1e9'; allowed: .* to 100000",
    ),
    (_changed('length="60" junction', 'length="nan" junction'), r"road 1 length is 'nan'; allowed: a number"),
    (
        _changed('length="60" junction', 'length="0" junction'),
        r"road 1 length is '0'; allowed: a number from 0\.001",
    ),
    (
        _changed('length="60" junction', 'length="90" junction'),
        r"road 1: length is 90; allowed: 60, the length of its",
    ),
    (_changed(LINE, ""), r"road 1: <planView> has no <geometry>; allowed: at least one"),
    (
        _changed("<line/>", ""),
        r"road 1: <geometry> at s = 0 has 0 shapes; allowed: exactly one of <line>, <arc>",
    ),
    (_changed("<line/>", "<line/><line/>"), r"<geometry> at s = 0 has 2 shapes"),
    (
        _changed("<line/>", '<arc curvature="0"/>'),
        r"<arc> curvature is 0; allowed: another curvature, or <line>",
    ),
    (
        _changed("<line/>", '<arc curvature="1e9"/>'),
        r"<arc> curvature is '1e9'; allowed: a number from -2 to 2",
    ),
    (_changed("<line/>", "<arc/>"), r"road 1: <arc> curvature is missing; allowed: a number from -2 to 2"),
    (_changed("<line/>", '<spiral curvStart="0" curvEnd="0"/>'), r"<spiral> has equal curvStart and curvEnd"),
    (
        _changed('s="0" x="0"', 's="20" x="0"'),
        r"road 1: <geometry> s is 20; allowed: 0, where the geometry before",
    ),
    (
        _changed('x="0"', 'x="1e300"'),
        r"road 1: <geometry> x is '1e300'; allowed: a number from -1e\+07 to 1e\+07",
    ),
    (_changed('x="0"', 'x="1_0"'), r"<geometry> x is '1_0'; allowed: a number"),
    (
        _changed('<laneSection s="0">', '<laneSection s="70">'),
        r"road 1: <laneSection> s is 70 for the first one",
    ),
    (
        _changed("</lanes>", '<laneSection s="80"/></lanes>'),
        r"road 1: <laneSection> s is 80; allowed: less than the road's length, 60",
    ),
    (
        GOOD.replace("<laneSection", "<section").replace("</laneSection", "</section"),
        r"road 1: <lanes> has no <laneSection>; allowed: at least one",
    ),
    (GOOD.replace("driving", "shoulder"), r"bad\.xodr has no lane of type 'driving'"),
    (_changed(WIDTH, ""), r"road 1: <laneSection> at s = 0: lane -1 has no <width>; allowed: at least one"),
    (_changed('a="3.5"', 'a="0"'), r"road 1: .*lane -1: <width> is at most 0 m; allowed: from 1 m somewhere"),
    (_changed('a="3.5"', 'a="-3.5"'), r"lane -1: <width> is -3\.5, -3\.5, .*; allowed: 0 to 50 m"),
    (_changed('a="3.5"', 'a="wide"'), r"road 1: <width> a is 'wide'; allowed: a number"),
    (_changed('a="3.5" b="0"', 'a="3.5" b="1000"'), r"lane -1: <width> is 3\.5, 15003\.5"),
    (
        _changed('<width sOffset="0"', '<width sOffset="5"'),
        r"<width> sOffset is 5 for the first one; allowed: 0",
    ),
    (_changed('lane id="-1"', 'lane id="-2"'), r"lane ids in <right> are -2; allowed: -1, each once"),
    (_changed('lane id="0"', 'lane id="1"'), r"lane ids in <center> are 1; allowed: 0, each once"),
    (
        _changed('elementId="2"', 'elementId="7"'),
        r"road 1: <successor> elementId is road 7, which is not there; allowed: a road of the map \(1, 2\)",
    ),
    (
        _changed('elementType="road" elementId="2"', 'elementType="junction" elementId="3"'),
        r"road 1: <successor> elementId is junction 3, which is not there; allowed: a junction of the map \(none\)",
    ),
    (
        _changed('contactPoint="start"', ""),
        r"road 1: <successor> contactPoint is missing; allowed: start, end",
    ),
    (
        _changed('<successor id="-1"/>', '<successor id="-4"/>'),
        r"road 1: lane -1 of <laneSection> at s = 0: <successor> id is -4, which is not there; allowed: .* \(-1, 0\)",
    ),
    (
        _changed('junction="-1"', 'junction="5"'),
        r"road 1: junction is 5; allowed: a junction of the map, or -1",
    ),
    (
        _changed('incomingRoad="1"', 'incomingRoad="4"', WITH_JUNCTION),
        r"junction 9: <connection 0> incomingRoad is road 4, which is not there",
    ),
    (
        _changed('from="-1"', 'from="-3"', WITH_JUNCTION),
        r"junction 9: <connection 0> <laneLink> from is -3, which is not there",
    ),
    (
        _changed("</road>", '<signals><signal id="1" type="206" s="99" t="0"/></signals></road>'),
        r"road 1: <signal 1> s is 99; allowed: up to the road's length, 60",
    ),
    (
        _changed("<link>", '<type s="0" type="town"><speed max="50" unit="knots"/></type><link>'),
        r"road 1: <speed> unit is 'knots'; allowed: m/s, km/h, mph",
    ),
]


@pytest.mark.parametrize(("document", "message"), BAD_MAPS)
def test_bad_maps_are_refused_with_file_road_key_and_reason(
    tmp_path: Path, document: str, message: str
) -> None:
    file = tmp_path / "bad.xodr"
    file.write_text(document, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message) as refusal:
        load_map(str(file))
    assert str(file) in str(refusal.value)
    assert "; allowed: " in str(refusal.value)


def test_the_document_that_the_bad_ones_are_made_from_is_a_map(tmp_path: Path) -> None:
    file = tmp_path / "good.xodr"
    file.write_text(GOOD, encoding="utf-8")
    road_map = load_map(str(file))
    assert road_map.name == str(file)
    path = find_route(road_map, road_map.lane_index(1, -1), road_map.lane_index(2, -1))
    route = route_along(road_map, path)
    assert route.length_m == pytest.approx(119.0, abs=1.01)
    assert np.abs(route.samples[1] + 1.75).max() < 1e-3
    assert load_map(str(file)) is road_map
    file.write_text(GOOD.replace('a="3.5"', 'a="3.0"'), encoding="utf-8")
    assert load_map(str(file)).width_m == pytest.approx(3.0)


def test_a_map_by_path_is_driven_on_from_start_to_goal(tmp_path: Path) -> None:
    file = tmp_path / "mine.xodr"
    file.write_text(GOOD, encoding="utf-8")
    ego = {"road": 1, "lane": -1, "station_m": 5.0, "initial_speed_mps": 10.0, "to": {"road": 2, "lane": -1}}
    scenario = Scenario(
        family="mine",
        world="driving",
        parameters={},
        scene={
            "map": str(file),
            "ego": ego,
            "criteria": {"goal_station_m": 100.0, "min_progress_ratio": 0.9},
        },
    )
    world = DrivingWorld()
    world.reset(scenario, seed=1)
    for tick in range(1, 250):
        x_m, y_m, yaw_rad = world.anchor().pose[:3]
        world.actuate(np.array([x_m + 0.5 * np.cos(yaw_rad), y_m + 0.5 * np.sin(yaw_rad), yaw_rad, 10.0]))
        world.advance(tick * 50_000_000)
        if world.outcome().state is not OutcomeState.RUNNING:
            break
    assert world.outcome().reason == "goal"
    assert world.anchor().pose[0] == pytest.approx(100.0, abs=1.0)
    image = world.capture("front_camera", 0).array
    assert image.std() > 0.0


def test_a_bad_map_is_refused_when_the_world_is_reset(tmp_path: Path) -> None:
    file = tmp_path / "bad.xodr"
    file.write_text(_changed(LINE, ""), encoding="utf-8")
    ego = {"road": 1, "lane": -1, "station_m": 5.0, "initial_speed_mps": 10.0}
    criteria = {"goal_time_s": 5.0, "min_progress_ratio": 0.0}
    scene = {"map": str(file), "ego": ego, "criteria": criteria}
    with pytest.raises(ConfigurationError, match=r"bad\.xodr: road 1: <planView> has no <geometry>"):
        DrivingWorld().reset(Scenario(family="mine", world="driving", parameters={}, scene=scene), seed=1)


@pytest.mark.parametrize("name", ["highway", "straight_track", "town", "rural", "merge", "roundabout"])
def test_a_shipped_map_by_path_is_the_shipped_map(name: str) -> None:
    by_path, by_name = load_map(str(MAPS / f"{name}.xodr")), load_map(name)
    assert by_name is shipped.load_map(name)
    assert np.array_equal(by_path.lane_start, by_name.lane_start)
    assert np.array_equal(by_path.successor, by_name.successor)
    assert by_path.x_m == pytest.approx(by_name.x_m, abs=1e-6)
    assert by_path.stop_s_m == pytest.approx(by_name.stop_s_m, abs=1e-6)


def test_a_relative_path_counts_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.xodr").write_text(GOOD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_map("mine.xodr").num_lanes == 2
    with pytest.raises(
        ConfigurationError, match=r"There is no map yours\.xodr in .*; a relative path counts from"
    ):
        load_map("yours.xodr")


def _folder(path: Path) -> None:
    path.mkdir()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(map_files.MAX_FILE_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_folder, r"is not a file; allowed: an OpenDRIVE file"),
        (_fifo, r"is not a file; allowed: an OpenDRIVE file"),
        (_huge, r"holds 67108865 bytes; allowed: up to 67108864"),
    ],
)
def test_what_is_no_file_of_sensible_size_is_not_read(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "map.xodr"
    make(path)
    with pytest.raises(ConfigurationError, match=message):
        load_map(str(path))


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("twon", UnknownNameError, r"Unknown map 'twon'.*Did you mean 'town'.*path/to/file\.xodr"),
        (
            "maps/town.npz",
            ConfigurationError,
            r"map 'maps/town\.npz' is not a map; allowed: a file that ends in",
        ),
        ("a\0b.xodr", ConfigurationError, r"cannot be read: .*null"),
    ],
)
def test_names_that_are_no_map(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_map(name)
    with pytest.raises(error, match=message):
        opendrive_text(name)


def test_the_text_of_a_map_is_that_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.xodr"
    path.write_text(GOOD, encoding="utf-8")
    assert opendrive_text(str(path)) == GOOD
    copy = tmp_path / "town.xodr"
    copy.write_text(opendrive_text("town"), encoding="utf-8")
    ours, shipped_map = load_map(str(copy)), load_map("town")
    assert (ours.x_m == shipped_map.x_m).all()
    path.write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(
        ConfigurationError, match=r"The map '.*mine\.xodr' is not UTF-8 text: .*decode byte 0x"
    ):
        opendrive_text(str(path))


def test_lane_sections_shorter_than_a_sample_are_joined(tmp_path: Path) -> None:
    section = GOOD[GOOD.index("<laneSection") : GOOD.index("</lanes>")]
    file = tmp_path / "short.xodr"
    unlinked = section.replace('<successor id="-1"/>', '<predecessor id="-1"/><successor id="-1"/>')
    parts = section + "".join(unlinked.replace('s="0"', f's="{s}"', 1) for s in ("30.2", "30.5"))
    file.write_text(GOOD.replace(section, parts, 1), encoding="utf-8")
    road_map = load_map(str(file))
    lanes = [lane for lane in range(road_map.num_lanes) if road_map.lane_road_id[lane] == 1]
    assert len(lanes) == 3
    path = find_route(road_map, lanes[0], road_map.lane_index(2, -1))
    assert path[:3] == tuple(lanes)
    route = route_along(road_map, path)
    assert np.diff(route.samples[0]) == pytest.approx(1.0, abs=1e-3)
    assert route.length_m == pytest.approx(119.0, abs=1.01)


def test_a_parser_that_dies_costs_the_map_not_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules are switched off, so that carla.Map meets a road without geometry: it ends by a signal."""
    file = tmp_path / "crash.xodr"
    file.write_text(_changed(LINE, ""), encoding="utf-8")
    monkeypatch.setattr(map_files, "check_map", lambda *_: 0.0)
    with pytest.raises(ConfigurationError, match=r"cannot be sampled: the OpenDRIVE parser crashed on it"):
        load_map(str(file))
    file.write_text(GOOD.replace('x="60"', 'x="61"'), encoding="utf-8")
    assert load_map(str(file)).num_lanes == 2


def test_a_parser_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = sampling_process.SamplingProcess()
    monkeypatch.setattr(sampling_process, "CPU_LIMIT_S", 0.0)
    monkeypatch.setattr(sampling_process, "CPU_LIMIT_S_PER_MB", 0.0)
    monkeypatch.setattr(sampling_process, "WALL_LIMIT_RATIO", 1.0)
    with pytest.raises(sampling_process._Died, match="it took too long to parse"):
        process.sample("slow", GOOD.encode(), 0.0)
    process.close()
    assert not process.is_usable


def test_the_rules_take_a_quarter_megabyte_in_their_stride() -> None:
    content = (MAPS / "town.xodr").read_bytes()
    check_map("town.xodr", content)
    wrong = content.replace(b'elementType="junction" elementId="5"', b'elementType="junction" elementId="55"')
    with pytest.raises(ConfigurationError, match=r"elementId is junction 55, which is not there"):
        check_map("town.xodr", wrong)
