"""Semantic, depth and RGB cameras against each other and the front camera; the bird's-eye raster against geometry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.spec import Scenario
from simloop_driving.camera import HORIZONTAL_FOV_RAD, MOUNT_HEIGHT_M, PITCH_DOWN_RAD
from simloop_driving.roads.town import HALF_JUNCTION_M, LANE_WIDTH_M, PARKING_WIDTH_M
from simloop_driving.scenery.semantics import SEMANTIC_CLASSES
from simloop_driving.sensors.birds_eye import BIRDS_EYE_LAYERS, SIGNAL_VALUES
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

CODE = {name: code for code, name in enumerate(SEMANTIC_CLASSES)}
LAYER = {name: number for number, name in enumerate(BIRDS_EYE_LAYERS)}


def started(
    extra: Any, actors: Any = None, *, station_m: float = 60.0, offset_s: float = 0.0
) -> DrivingWorld:
    scene = {
        "map": "town",
        "ego": {
            "road": 111, "lane": -1, "station_m": station_m, "initial_speed_mps": 8.0,
            "to": {"road": 112, "lane": -1},
        },
        "actors": actors or {},
        "signals": {"green_s": 6.0, "amber_s": 3.0, "all_red_s": 2.0, "offset_s": offset_s},
        "criteria": {"goal_distance_m": 80.0},
    }  # fmt: skip
    world = DrivingWorld(extra_sensors=extra)
    world.reset(Scenario(family="own", world="driving", parameters={}, scene=scene), 0)
    return world


TRAFFIC = {
    "lead": {"lane": "ego", "gap_m": 12.0, "speed_mps": 8.0},
    "bicycle": {"lane": "opposite", "gap_m": 15.0, "speed_mps": 4.0, "class": "bicycle"},
    "walker": {"lane": "kerb", "gap_m": 20.0, "speed_mps": 0.0, "class": "pedestrian"},
}


def array(world: DrivingWorld, sensor: str, index: int = 0) -> npt.NDArray[Any]:
    return np.asarray(world.capture(sensor, index).array)


# --- cameras ---------------------------------------------------------------------------------------------------


def test_by_default_the_rgb_camera_is_the_front_camera() -> None:
    world = started(["rgb_camera"], TRAFFIC)
    for tick in (0, 7):
        world.advance(tick * CONTROL_PERIOD_NS)
        assert np.array_equal(array(world, "rgb_camera"), array(world, "front_camera"))


def test_every_pixel_of_the_semantic_camera_has_the_colour_of_its_class() -> None:
    """Without supersampling both show the pixel's centre: each class has few colours, and its own."""
    world = started({"semantic_camera": None, "rgb_camera": {"supersampling": 1}}, TRAFFIC)
    classes, rgb = array(world, "semantic_camera"), array(world, "rgb_camera").astype(int)
    for name in (
        "sky",
        "terrain",
        "road",
        "parking",
        "sidewalk",
        "lane_marking",
        "car",
        "bicycle",
        "pedestrian",
    ):
        assert np.count_nonzero(classes == CODE[name]) >= 5, name
    road = rgb[classes == CODE["road"]]
    assert np.ptp(road, axis=0).max() <= 70  # asphalt and shadows on it
    marks = rgb[classes == CODE["lane_marking"]]
    assert marks.min() > 200
    sky, terrain = rgb[classes == CODE["sky"]], rgb[classes == CODE["terrain"]]
    assert np.all(sky[:, 2] > sky[:, 0]) and np.all(terrain[:, 1] > terrain[:, 2] + 20)
    assert len(np.unique(terrain, axis=0)) == 1
    assert not (
        set(map(tuple, road)) & (set(map(tuple, marks)) | set(map(tuple, terrain)) | set(map(tuple, sky)))
    )


def test_lights_and_signs_have_classes() -> None:
    world = started({"semantic_camera": {"height_px": 240, "width_px": 320}}, station_m=100.0)
    classes = array(world, "semantic_camera")
    assert np.count_nonzero(classes == CODE["traffic_light"]) > 20
    assert np.count_nonzero(classes == CODE["pole"]) > 5


def test_depth_of_flat_ground_and_of_the_car_ahead_are_the_closed_forms() -> None:
    world = started({"depth_camera": None, "semantic_camera": None}, {"lead": TRAFFIC["lead"]})
    depth_m, classes = array(world, "depth_camera").astype(float), array(world, "semantic_camera")
    height, width = depth_m.shape
    focal_px = 0.5 * width / math.tan(0.5 * HORIZONTAL_FOV_RAD)
    rows = np.arange(height) + 0.5 - 0.5 * height
    down = rows / focal_px * math.cos(PITCH_DOWN_RAD) + math.sin(
        PITCH_DOWN_RAD
    )  # per metre along the optical axis
    expected = np.where(down > 0.0, MOUNT_HEIGHT_M / np.maximum(down, 1e-9), np.inf)[:, None]
    is_flat = np.isin(classes, [CODE["terrain"], CODE["road"], CODE["parking"]]) & (expected < 400.0)
    is_shadow = depth_m < 0.997 * expected  # 20 mm above the road
    assert is_flat.sum() > 3000 and (is_flat & is_shadow).sum() < 100
    flat = is_flat & ~is_shadow
    assert depth_m[flat] == pytest.approx(np.broadcast_to(expected, depth_m.shape)[flat], rel=1e-3)
    assert np.all(depth_m[classes == CODE["sky"]] == 0.0)
    objects = array(world, "objects")[0]
    rear_m = objects[1] - 0.5 * objects[6] - 0.6  # the camera sits 0.6 m ahead of the centre
    car = depth_m[classes == CODE["car"]]
    assert car.min() == pytest.approx(rear_m * math.cos(PITCH_DOWN_RAD), abs=0.15)
    assert car.max() < rear_m + objects[6] + 0.2


def test_a_camera_that_is_turned_and_moved_sees_what_is_there() -> None:
    back = {"yaw_deg": 180.0, "forward_m": -1.0, "up_m": 2.0, "pitch_down_deg": 0.0, "type": "depth_camera"}
    world = started({"back": {**back, "height_px": 95, "width_px": 161}})
    depth_m = array(world, "back").astype(float)
    assert depth_m[40, 80] == 0.0
    focal_px = 0.5 * 161 / math.tan(0.5 * HORIZONTAL_FOV_RAD)
    assert depth_m[94, 80] == pytest.approx(2.0 * focal_px / 47.0, rel=2e-3)


def test_noise_and_drop_out_of_cameras_are_those_stated() -> None:
    options = {
        "depth_camera": {"noise_ratio": 0.05, "drop_out_ratio": 0.1},
        "exact": {"type": "depth_camera"},
        "semantic_camera": {"noise_ratio": 0.2},
        "classes": {"type": "semantic_camera"},
        "rgb_camera": {"noise_levels": 8.0},
        "faulty": {"type": "rgb_camera", "drop_out_ratio": 0.3},
        "blind": {"type": "semantic_camera", "drop_out_ratio": 1.0},
    }
    world = started(options)
    exact, noisy = array(world, "exact").astype(float), array(world, "depth_camera").astype(float)
    is_seen = exact > 0.0
    is_there = is_seen & (noisy > 0.0)
    assert np.mean(noisy[is_seen] == 0.0) == pytest.approx(0.1, abs=4.0 * math.sqrt(0.09 / is_seen.sum()))
    ratio = noisy[is_there] / exact[is_there] - 1.0
    assert ratio.std() == pytest.approx(0.05, rel=4.0 / math.sqrt(2.0 * ratio.size))
    assert abs(ratio.mean()) < 4.0 * 0.05 / math.sqrt(ratio.size)
    wrong = np.mean(array(world, "semantic_camera") != array(world, "classes"))
    expected = 0.2 * (1.0 - 1.0 / (len(SEMANTIC_CLASSES) - 1))  # the class that is drawn may be the right one
    assert wrong == pytest.approx(expected, abs=4.0 * math.sqrt(0.16 / exact.size))
    clean, grainy = array(world, "front_camera").astype(float), array(world, "rgb_camera").astype(float)
    middle = (clean > 40.0) & (clean < 215.0)
    assert (grainy - clean)[middle].std() == pytest.approx(math.hypot(8.0, 1.0 / math.sqrt(12.0)), rel=0.03)
    is_black = [not array(world, "faulty", index).any() for index in range(100)]
    assert np.mean(is_black) == pytest.approx(0.3, abs=4.0 * math.sqrt(0.21 / 100))
    assert np.all(array(world, "blind") == CODE["none"])


# --- bird's eye ------------------------------------------------------------------------------------------------


def cells(raster: npt.NDArray[Any], layer: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Ahead and left, in metres, of the centres of the cells that are set."""
    row, column = np.nonzero(raster[LAYER[layer]])
    return 48.0 - (row + 0.5) * 0.5, 32.0 - (column + 0.5) * 0.5


def test_road_and_route_are_where_the_street_is() -> None:
    raster = array(started(["birds_eye"]), "birds_eye")
    assert raster.shape == (len(BIRDS_EYE_LAYERS), 128, 128)
    ahead, left = cells(raster, "road")
    near = ahead < 20.0  # the street before its junction
    right_m = -0.5 * LANE_WIDTH_M - PARKING_WIDTH_M
    left_m = 1.5 * LANE_WIDTH_M + PARKING_WIDTH_M
    assert left[near].min() == pytest.approx(right_m, abs=0.3) and left[near].max() == pytest.approx(
        left_m, abs=0.3
    )
    num_expected = (16.0 + 20.0) / 0.5 * (left_m - right_m) / 0.5
    assert near.sum() == pytest.approx(num_expected, rel=0.05)
    ahead, left = cells(raster, "route")
    assert np.abs(left).max() <= 0.5 * LANE_WIDTH_M
    assert 7 * 128 <= len(left) <= 8 * 128  # 3.5 m: seven cells, and those whose centres are on its edges
    ahead, left = cells(raster, "lane_marks")
    is_centre_line = np.abs(left - 0.5 * LANE_WIDTH_M) < 0.5
    assert is_centre_line.sum() > 20
    is_road = raster[LAYER["road"]] > 0
    assert np.mean(is_road[raster[LAYER["lane_marks"]] > 0]) > 0.95


def test_actors_are_boxes_in_the_layer_of_their_class() -> None:
    barrier = {"lane": "ego", "gap_m": 30.0, "speed_mps": 0.0, "class": "barrier"}
    world = started(["birds_eye"], {**TRAFFIC, "barrier": barrier})
    raster, objects = array(world, "birds_eye"), array(world, "objects")
    for layer, length_m in (("vehicles", 4.5), ("things", 0.6)):
        ahead, left = cells(raster, layer)
        row = objects[np.isclose(objects[:, 6], length_m)][0]
        assert np.mean(ahead) == pytest.approx(row[1], abs=0.25) and np.mean(left) == pytest.approx(
            row[2], abs=0.25
        )
        assert len(ahead) * 0.25 == pytest.approx(row[6] * row[7], rel=0.35 if layer == "vehicles" else 1.1)
    ahead, left = cells(raster, "vulnerable")
    assert {round(value) for value in ahead if value > 17.0} and len(ahead) >= 8
    near = np.abs(left - LANE_WIDTH_M) < 1.0
    assert near.any() and (~near).any()  # the bicycle in the other lane, the walker at the kerb


@pytest.mark.parametrize(("offset_s", "state"), [(0.0, 0), (7.0, 1), (9.5, 2)])
def test_stop_lines_show_the_state_of_their_lights(offset_s: float, state: int) -> None:
    raster = array(started(["birds_eye"], station_m=100.0, offset_s=offset_s), "birds_eye")
    ahead, left = cells(raster, "signals")
    own = (np.abs(left) < 1.5) & (ahead < 25.0)
    values = raster[LAYER["signals"]][np.nonzero(raster[LAYER["signals"]])][own]
    assert len(values) > 0 and set(values.tolist()) == {SIGNAL_VALUES[state]}
    assert np.mean(ahead[own]) == pytest.approx(122.0 - 1.0 - 100.0, abs=0.8)


def test_the_raster_turns_with_the_ego() -> None:
    """North of the junction, seen when driving north: the same street, the same raster as when driving east."""
    rasters = []
    for start, goal in (((111, -1), (112, -1)), ((211, -1), (212, -1))):
        scene = {
            "map": "town",
            "ego": {
                "road": start[0], "lane": start[1], "station_m": 90.0, "initial_speed_mps": 8.0,
                "to": {"road": goal[0], "lane": goal[1]},
            },
            "signals": {"green_s": 6.0, "amber_s": 3.0, "all_red_s": 2.0, "offset_s": 0.0},
            "criteria": {"goal_distance_m": 80.0},
        }  # fmt: skip
        world = DrivingWorld(extra_sensors=["birds_eye"])
        world.reset(Scenario(family="own", world="driving", parameters={}, scene=scene), 0)
        rasters.append(array(world, "birds_eye"))
    for layer in ("road", "route"):
        differ = np.mean(rasters[0][LAYER[layer]] != rasters[1][LAYER[layer]])
        assert differ < 0.01
    assert rasters[0][LAYER["road"]].mean() > 30
    assert 2 * HALF_JUNCTION_M < 48.0


def test_noise_and_drop_out_of_the_raster_are_those_stated() -> None:
    options = {"birds_eye": {"noise_m": 1.0, "drop_out_ratio": 0.25, "resolution_m": 0.25, "ahead_m": 40}}
    world = started(options, {"lead": TRAFFIC["lead"]})
    places = []
    for index in range(300):
        row, column = np.nonzero(array(world, "birds_eye", index)[LAYER["vehicles"]])
        if len(row):
            places.append((40.0 - (row.mean() + 0.5) * 0.25, 32.0 - (column.mean() + 0.5) * 0.25))
    assert len(places) / 300 == pytest.approx(0.75, abs=4.0 * math.sqrt(0.25 * 0.75 / 300))
    spread = np.std(places, axis=0)
    assert spread == pytest.approx([1.0, 1.0], rel=4.0 / math.sqrt(2.0 * len(places)) + 0.01)
    objects = array(world, "objects")[0]
    assert np.mean(places, axis=0) == pytest.approx(objects[1:3], abs=5.0 / math.sqrt(len(places)))
