"""Scenarios on towns that only the server has, on roads with hills, and the weather of the server."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from simloop.errors import ConfigurationError
from simloop.scenario_files import load_family
from simloop.spec import Scenario
from simloop.world import OutcomeState
from simloop_carla.server.towns.town import town_of
from simloop_carla.world.ground import Ground, is_flat
from simloop_carla.world.weather import check_weather
from simloop_carla.world.world import CarlaWorld
from simloop_driving.dynamics.single_track import VX_MPS
from simloop_driving.roads.map_files import MAX_FILE_BYTES, load_map, map_of_document, opendrive_text
from simloop_driving.world import DrivingWorld

from .conftest import running_server
from .stock_document import document

carla: Any = pytest.importorskip(
    "carla", reason="needs the carla client, which has no wheel for this platform"
)

TICK_NS = 50_000_000

UPHILL = {
    "family": "uphill_left",
    "world": "driving",
    "time_limit_s": 40,
    "parameters": {},
    "scene": {
        "map": {"server": "Town99"},
        "ego": {
            "road": 0,
            "lane": -1,
            "section": 1,
            "station_m": 15.0,
            "to": {"road": 2, "lane": -1},
            "initial_speed_mps": 6.0,
            "set_speed_mps": 8.0,
        },
        "actors": {"lead": {"lane": "ego", "gap_m": 12.0, "speed_mps": 6.5}},
        "signals": {"green_s": 60.0},
        "criteria": {"goal_station_m": 85.0},
    },
}


def on_town(scenario: Scenario, town: str) -> Scenario:
    """Returns the scenario on a town of the server."""
    return dataclasses.replace(scenario, scene={**scenario.scene, "map": {"server": town}})


@pytest.fixture(scope="module")
def shared_world(server: Any) -> Iterator[CarlaWorld]:
    """A world on the shared server."""
    world = CarlaWorld(port=server.port)
    yield world
    world.close()


def drive(world: Any, scenario: Scenario, num_ticks: int) -> tuple[np.ndarray[Any, Any], OutcomeState]:
    """Drives on along the route's lane at the speed of the start; returns poses and the verdict."""
    world.reset(scenario, 3)
    poses = []
    for tick in range(num_ticks):
        route = world.capture("route", tick).array
        x_m, y_m, yaw_rad, speed_mps = world.anchor().pose
        ahead = route[0, :2] + 0.05 * speed_mps / 4.0 * (route[1, :2] - route[0, :2])
        cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
        world.actuate(
            np.array(
                [
                    x_m + ahead[0] * cos - ahead[1] * sin,
                    y_m + ahead[0] * sin + ahead[1] * cos,
                    yaw_rad + route[0, 2],
                    6.0,
                ]
            )
        )
        world.advance((tick + 1) * TICK_NS)
        poses.append(world.anchor().pose)
        if world.outcome().state is not OutcomeState.RUNNING:
            break
    return np.array(poses), world.outcome().state


def test_a_town_by_its_name_is_the_map_of_the_same_document(shared_world: CarlaWorld) -> None:
    scenario = load_family("signal_right").scenario(3)
    by_document, verdict = drive(shared_world, scenario, 60)
    by_name, same_verdict = drive(shared_world, on_town(scenario, "town"), 60)
    assert (
        shared_world.log_attributes()["town_digest"]
        == map_of_document("town", _opendrive(shared_world)).digest()
    )
    assert same_verdict == verdict
    assert np.array_equal(by_document, by_name)
    lanes, shipped = shared_world._started().road_map, load_map("town")
    numbers = zip(shipped.lane_road_id.tolist(), shipped.lane_opendrive_id.tolist(), strict=True)
    assert set(numbers) <= set(
        zip(lanes.lane_road_id.tolist(), lanes.lane_opendrive_id.tolist(), strict=True)
    )


def _opendrive(world: CarlaWorld) -> bytes:
    session = world._connection._session
    assert session is not None
    assert session.world.get_map().name == "Carla/Maps/town"
    text: str = session.world.get_map().to_opendrive()
    return text.encode()


def test_an_unknown_town_is_refused_with_those_that_there_are(shared_world: CarlaWorld) -> None:
    scenario = on_town(load_family("signal_right").scenario(3), "Town04")
    with pytest.raises(
        ConfigurationError,
        match=r"map\.server is 'Town04'; the CARLA server at .* has highway, merge, .*town",
    ):
        shared_world.reset(scenario, 3)


def test_the_embedded_world_refuses_a_town_of_a_server() -> None:
    scenario = on_town(load_family("signal_right").scenario(3), "Town04")
    with pytest.raises(
        ConfigurationError, match=r"a town that a CARLA server has; .* Play it with world=carla"
    ):
        DrivingWorld(**load_family("signal_right").world_config).reset(scenario, 3)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"server": 4}, r"map\.server is 4; allowed: a text"),
        ({"server": "Town04", "layers": 1}, "layers"),
        ({"town": "Town04"}, "key 'server' is missing"),
        (7, r"map is 7; allowed: a text"),
    ],
)
def test_words_about_the_map_are_checked(words: Any, reason: str) -> None:
    scenario = load_family("cut_in").scenario(0)
    scenario = dataclasses.replace(scenario, scene={**scenario.scene, "map": words})
    with pytest.raises(ConfigurationError, match=reason):
        DrivingWorld().reset(scenario, 0)


def test_a_document_as_carlas_towns_are_is_driven_on(tmp_path: Path) -> None:
    town, family = tmp_path / "Town99.xodr", tmp_path / "uphill_left.yaml"
    town.write_text(document(), "utf-8")
    family.write_text(yaml.safe_dump(UPHILL), "utf-8")
    scenario = load_family(str(family)).scenario(0)
    with running_server("--map", str(town)) as own:
        world = CarlaWorld(port=own.port)
        poses, verdict = drive(world, scenario, 500)
        world.close()
    assert verdict is OutcomeState.SUCCESS
    assert poses[-1, 2] > 0.5  # it is turning left
    flat, flat_verdict = drive(DrivingWorld(), _on_file(scenario, town), 500)
    assert flat_verdict is verdict
    assert abs(len(flat) - len(poses)) <= 1


def _on_file(scenario: Scenario, file: Path) -> Scenario:
    return dataclasses.replace(scenario, scene={**scenario.scene, "map": str(file)})


# --- documents that clients send ---------------------------------------------------------------------------------


def test_a_document_that_comes_again_is_not_sampled_again() -> None:
    text = document()
    town, again, other = town_of(text), town_of(text), town_of(text.replace("</OpenDRIVE>", "\n</OpenDRIVE>"))
    assert again.road_map is town.road_map
    assert other.road_map is not town.road_map
    assert (town.name, town.opendrive) == ("OpenDriveMap", text)


def test_the_document_of_a_shipped_map_has_its_lanes() -> None:
    assert town_of(opendrive_text("town")).road_map is load_map("town")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<OpenDRIVE></OpenDRIVE>", r"^OpenDriveMap has no <road>; allowed: at least one road\.$"),
        (" " * (MAX_FILE_BYTES + 1), r"^OpenDriveMap holds 67108865 bytes; allowed: up to 67108864\.$"),
    ],
    ids=["no road", "too large"],
)
def test_a_document_that_is_no_map_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        town_of(text)


def test_lights_stop_the_lanes_that_refer_to_them() -> None:
    lanes = map_of_document("stock", document().encode())
    stopped = [
        (lanes.lane_name(lane), int(lanes.signal_id[signal]))
        for lane, signal in zip(lanes.stop_lane, lanes.stop_signal, strict=True)
    ]
    assert stopped == [("10/-1", 500), ("10/-2", 500), ("11/-1", 500)]
    assert lanes.signal_controller.tolist() == [0]
    assert np.isclose(lanes.lane_speed_limit_mps, 30 * 0.44704).all()


def test_a_lane_is_named_with_its_section() -> None:
    lanes = map_of_document("stock", document().encode())
    first, second = lanes.lane_index(0, 1), lanes.lane_index(0, 1, 1)
    assert lanes.x_m[lanes.lane_start[first]] == pytest.approx(60.0, abs=0.01)
    assert lanes.x_m[lanes.lane_start[second]] == pytest.approx(120.0, abs=0.01)
    assert first in lanes.successors(second)
    with pytest.raises(
        ConfigurationError, match=r"lane 0/1 in 2 lane sections; section 2 is allowed from 0 to 1"
    ):
        lanes.lane_index(0, 1, 2)


@pytest.mark.parametrize(("section", "station_m", "x_m"), [(0, 10.0, 50.0), (1, 10.0, 110.0)])
def test_the_ego_starts_in_the_section_that_is_named(
    tmp_path: Path, section: int, station_m: float, x_m: float
) -> None:
    file = tmp_path / "stock.xodr"
    file.write_text(document(), "utf-8")
    ego = {"road": 0, "lane": 1, "section": section, "station_m": station_m, "initial_speed_mps": 5.0}
    words = {
        **UPHILL,
        "scene": {"map": str(file), "ego": ego, "criteria": {"goal_time_s": 2.0, "min_progress_ratio": 0.5}},
    }
    family = tmp_path / "uphill_left.yaml"
    family.write_text(yaml.safe_dump(words), "utf-8")
    world = DrivingWorld()
    world.reset(load_family(str(family)).scenario(0), 0)
    assert world.anchor().pose[:2] == pytest.approx([x_m, 2.25], abs=0.05)


def test_heights_are_those_of_the_document() -> None:
    text = document()
    assert not is_flat(text)
    ground = Ground(carla.Map("stock", text))
    # Road 0 rises from 2 m by 5 cm a metre; its lane -1 is 1.25 m to the right of a line that is 0.5 m to the left.
    for x_m in (1.0, 30.0, 77.0, 119.0):
        assert ground.height_m(x_m, -1.25, 0.0) == pytest.approx(2.0 + 0.05 * x_m, abs=0.02)
    assert ground.lane_height_m(0, -1, 50.0, -1.25) == pytest.approx(4.5, abs=0.06)
    assert Ground().height_m(30.0, 0.0, 5.0) == 0.0
    assert is_flat(text.replace("elevation ", "unknown "))


# --- weather -------------------------------------------------------------------------------------------------------


def test_weather_is_set_and_given_back(server: Any, world: Any) -> None:
    found = world.get_weather()
    own = CarlaWorld(port=server.port, weather={"preset": "HardRainNoon", "fog_density": 40.0})
    own.reset(load_family("cut_in").scenario(0), 0)
    wanted = carla.WeatherParameters.HardRainNoon
    seen = server.client().get_world().get_weather()
    assert (seen.precipitation, seen.fog_density) == (wanted.precipitation, 40.0)
    own.close()
    assert server.client().get_world().get_weather() == found
    assert found != seen


def test_a_preset_is_the_librarys() -> None:
    assert check_weather("WetSunset") == carla.WeatherParameters.WetSunset
    assert (
        check_weather({"cloudiness": 5}).sun_altitude_angle
        == carla.WeatherParameters.ClearNoon.sun_altitude_angle
    )
    assert check_weather(None) is None


@pytest.mark.parametrize(
    ("weather", "reason"),
    [
        ("Sunny", "weather preset 'Sunny'.*ClearNoon"),
        ({"preset": "Sunny"}, "weather preset 'Sunny'"),
        ({"rain": 3.0}, "weather parameter 'rain'.*precipitation"),
        ({"wetness": "very"}, r"'weather\.wetness' is 'very'; allowed: a finite number"),
        ({"wetness": 10**400}, r"'weather\.wetness' is 10+; allowed: a finite number"),
        ({"wetness": float("nan")}, r"'weather\.wetness' is nan"),
    ],
)
def test_weather_that_there_is_not_is_refused(weather: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        CarlaWorld(weather=weather)


def test_the_speed_of_the_start_is_that_of_the_scene(shared_world: CarlaWorld) -> None:
    scenario = on_town(load_family("signal_right").scenario(5), "town")
    shared_world.reset(scenario, 5)
    assert shared_world._ego[VX_MPS] == pytest.approx(scenario.parameters["ego_speed_mps"], abs=0.05)
