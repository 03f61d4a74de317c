"""The front camera against the analytic pinhole projection, and what must be recognisable in its pictures."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from simloop_driving import camera
from simloop_driving.camera import CameraScene
from simloop_driving.roads.road_map import DRIVING, RoadMap, load_map
from simloop_driving.scenario.actor_state import ACTOR_CLASSES, ACTOR_DIMENSIONS_M
from simloop_driving.scenery.actor_meshes import CLASSES_WITH_LAMPS
from simloop_driving.scenery.road_meshes import road_meshes

LENGTH_M, WIDTH_M, HEIGHT_M = 4.6, 1.85, 1.45
Image = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def road_map() -> RoadMap:
    return load_map("highway")


@pytest.fixture(scope="module")
def scene(road_map: RoadMap) -> CameraScene:
    return CameraScene(road_map)


def lane_pose(road_map: RoadMap, lane: int, s_m: float, offset_m: float = 0.0) -> npt.NDArray[np.float64]:
    """Pose (x_m, y_m, yaw_rad) on a lane, ``offset_m`` left of its centre."""
    samples = road_map.samples(lane)
    x, y, yaw = (
        float(np.interp(s_m, road_map.s_m[samples], column[samples]))
        for column in (road_map.x_m, road_map.y_m, road_map.yaw_rad)
    )
    return np.array([x - offset_m * math.sin(yaw), y + offset_m * math.cos(yaw), yaw])


def middle_lane(road_map: RoadMap) -> int:
    driving = [lane for lane in range(road_map.num_lanes) if road_map.lane_kind[lane] == DRIVING]
    return driving[len(driving) // 2]


def picture(
    scene: CameraScene, ego: npt.NDArray[np.float64], *actors: npt.NDArray[np.float64], **keys: object
) -> Image:
    count = len(actors)
    return scene.render(
        ego,
        np.array(actors).reshape(-1, 3),
        np.tile([LENGTH_M, WIDTH_M, HEIGHT_M], (count, 1)),
        np.full(count, keys.get("code", 0)),
        np.full(count, keys.get("is_braking", False)),
    )


def projected_px(ego: npt.NDArray[np.float64], point_m: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Column and row of a world point, by the pinhole equations written out from the mount's constants."""
    focal_px = 0.5 * camera.WIDTH_PX / math.tan(0.5 * camera.HORIZONTAL_FOV_RAD)
    cos, sin = math.cos(ego[2]), math.sin(ego[2])
    dx, dy = point_m[0] - ego[0], point_m[1] - ego[1]
    forward, left = dx * cos + dy * sin - camera.MOUNT_FORWARD_M, dy * cos - dx * sin
    up = point_m[2] - camera.MOUNT_HEIGHT_M
    pitch = camera.PITCH_DOWN_RAD
    depth = forward * math.cos(pitch) - up * math.sin(pitch)
    height = forward * math.sin(pitch) + up * math.cos(pitch)
    return 0.5 * camera.WIDTH_PX - focal_px * left / depth, 0.5 * camera.HEIGHT_PX - focal_px * height / depth


@pytest.mark.parametrize(
    ("ahead_m", "offset_m", "turn_rad"), [(12, 0, 0), (20, 3.5, 0.1), (35, -3.5, -0.2), (60, 0, 0)]
)
@pytest.mark.parametrize("s_m", [50.0, 1700.0])
def test_a_car_fills_the_projection_of_its_box(
    road_map: RoadMap, scene: CameraScene, s_m: float, ahead_m: float, offset_m: float, turn_rad: float
) -> None:
    ego = lane_pose(road_map, middle_lane(road_map), s_m)
    car = lane_pose(road_map, middle_lane(road_map), s_m + ahead_m, offset_m) + np.array([0.0, 0.0, turn_rad])
    changed = np.any(picture(scene, ego) != picture(scene, ego, car), axis=2)
    columns, rows = np.flatnonzero(changed.any(axis=0)), np.flatnonzero(changed.any(axis=1))

    cos, sin = math.cos(car[2]), math.sin(car[2])
    corners = [
        projected_px(ego, np.array([car[0] + x * cos - y * sin, car[1] + x * sin + y * cos, z]))
        for x in (-LENGTH_M / 2, LENGTH_M / 2)
        for y in (-WIDTH_M / 2, WIDTH_M / 2)
        for z in (0.0, HEIGHT_M)
    ]
    left, right = min(c[0] for c in corners), max(c[0] for c in corners)
    top, bottom = min(c[1] for c in corners), max(c[1] for c in corners)
    # The shadow reaches 10 % of the width beyond each side, lamps 1.5 % beyond the rear; the cabin is tapered.
    shadow_px = 0.12 * (right - left) + 1.5
    assert left - shadow_px <= columns[0] <= left + 1.5
    assert right - 2.5 <= columns[-1] <= right + shadow_px
    assert top - 1.0 <= rows[0] <= top + 0.12 * (bottom - top) + 1.0
    assert bottom - 2.5 <= rows[-1] <= bottom + 0.12 * (bottom - top) + 1.0


def test_a_lead_at_sixty_metres_is_some_pixels_wide(road_map: RoadMap, scene: CameraScene) -> None:
    ego, lead = (lane_pose(road_map, middle_lane(road_map), s_m) for s_m in (50.0, 50.0 + 60.0 + LENGTH_M))
    changed = np.any(picture(scene, ego) != picture(scene, ego, lead), axis=2)
    assert changed.any(axis=0).sum() >= 4
    assert changed.any(axis=1).sum() >= 3


def test_sky_road_verge_and_edge_line_are_where_they_belong(road_map: RoadMap, scene: CameraScene) -> None:
    lane = middle_lane(road_map)
    ego = lane_pose(road_map, lane, 50.0)
    rgb = picture(scene, ego).astype(int)
    sky, road, verge = rgb[5, 80], rgb[60, 80], rgb[43, 2]
    assert sky[2] > sky[1] > sky[0]
    assert np.ptp(road) < 12 and 40 < road.mean() < 130
    assert verge[1] > verge[0] + 10 and verge[1] > verge[2] + 10

    right = road_map.driving_neighbour(lane, "right")
    assert road_map.driving_neighbour(right, "right") == -1
    edge = lane_pose(
        road_map, right, 50.0 + 18.0, -(0.5 * float(road_map.width_m[road_map.lane_start[right]]) - 0.15)
    )
    column, row = projected_px(ego, np.array([edge[0], edge[1], 0.0]))
    line = rgb[int(row) - 1 : int(row) + 2, int(column) - 1 : int(column) + 2]
    assert line.max() > road.max() + 80

    horizon_row = projected_px(
        ego, np.array([*(ego[:2] + 1e6 * np.array([math.cos(ego[2]), math.sin(ego[2])])), 0])
    )[1]
    assert rgb[int(horizon_row) - 3, 150, 2] > rgb[int(horizon_row) + 3, 150, 2] + 50


@pytest.mark.parametrize("s_m", [50.0, 53.0, 56.0, 1700.0, 2900.0])
def test_broken_lines_are_seen_on_both_sides(road_map: RoadMap, scene: CameraScene, s_m: float) -> None:
    """Whatever the phase of the dashes, a dash lies between 5 and 20 m ahead on either side of the lane."""
    lane = middle_lane(road_map)
    ego = lane_pose(road_map, lane, s_m)
    rgb = picture(scene, ego).astype(int)
    for side in (0.5, -0.5):
        brightest = 0
        for ahead_m in np.arange(5.0, 20.0, 0.5).tolist():
            point = lane_pose(road_map, lane, s_m + ahead_m, side * 3.5)
            column, row = projected_px(ego, np.array([point[0], point[1], 0.0]))
            if 0 <= column < camera.WIDTH_PX and 0 <= row < camera.HEIGHT_PX:
                brightest = max(brightest, int(rgb[int(row), int(column)].min()))
        assert brightest > 170


@pytest.mark.parametrize("code", range(len(ACTOR_CLASSES)), ids=ACTOR_CLASSES)
def test_every_class_is_seen_in_its_place(road_map: RoadMap, scene: CameraScene, code: int) -> None:
    lane = middle_lane(road_map)
    ego, actor = lane_pose(road_map, lane, 50.0), lane_pose(road_map, lane, 64.0)
    size_m = [ACTOR_DIMENSIONS_M[ACTOR_CLASSES[code]]]
    empty = picture(scene, ego).astype(int)
    seen = scene.render(ego, actor, size_m, [code], [False], actor_paint=[0]).astype(int)
    rows, columns = np.nonzero(np.any(seen != empty, axis=2))
    # About 13 m in front of the camera: its width in the picture, and nothing far from the middle.
    focal_px = camera.WIDTH_PX / 2.0 / np.tan(camera.HORIZONTAL_FOV_RAD / 2.0)
    width_px = size_m[0][1] * focal_px / (14.0 - 0.5 * size_m[0][0] - camera.MOUNT_FORWARD_M)
    assert np.ptp(columns) + 1 == pytest.approx(width_px, rel=0.25, abs=2.0)
    assert abs(np.mean(columns) - camera.WIDTH_PX / 2.0) < 4.0
    assert len(rows) > 20


@pytest.mark.parametrize(
    "code", range(len(CLASSES_WITH_LAMPS)), ids=[ACTOR_CLASSES[i] for i in range(len(CLASSES_WITH_LAMPS))]
)
def test_brake_lamps_light_up(road_map: RoadMap, scene: CameraScene, code: int) -> None:
    lane = middle_lane(road_map)
    ego, lead = lane_pose(road_map, lane, 50.0), lane_pose(road_map, lane, 75.0)
    dark = picture(scene, ego, lead, code=code, is_braking=False).astype(int)
    lit = picture(scene, ego, lead, code=code, is_braking=True).astype(int)
    changed = np.any(dark != lit, axis=2)
    assert changed.sum() >= 6
    assert (lit - dark)[changed][:, 0].mean() > 45


def test_paint_is_a_choice(road_map: RoadMap, scene: CameraScene) -> None:
    lane = middle_lane(road_map)
    ego, lead = lane_pose(road_map, lane, 50.0), lane_pose(road_map, lane, 70.0)
    size_m = [[LENGTH_M, WIDTH_M, HEIGHT_M]]
    pictures = [
        scene.render(ego, lead, size_m, [0], [False], actor_paint=[paint])
        for paint in range(camera.NUM_PAINTS)
    ]
    assert len({rgb.tobytes() for rgb in pictures}) == camera.NUM_PAINTS
    beside = np.array([lead, lane_pose(road_map, lane, 70.0, 3.5)])
    both = scene.render(ego, beside, size_m * 2, [0, 0], [False] * 2, actor_paint=[2, 2])
    alone = scene.render(ego, beside[1], size_m, [0], [False], actor_paint=[2])
    assert np.array_equal(both[:, :60], alone[:, :60])
    assert np.array_equal(both[:, 80:], pictures[2][:, 80:])


def test_a_picture_does_not_depend_on_earlier_ones(road_map: RoadMap, scene: CameraScene) -> None:
    lane = middle_lane(road_map)
    ego, lead, other = (lane_pose(road_map, lane, s_m) for s_m in (500.0, 520.0, 540.0))
    fresh = CameraScene(road_map)
    expected = picture(fresh, ego, lead)
    for code in range(len(ACTOR_CLASSES)):
        picture(scene, other, ego, lead, code=code, is_braking=True)
    assert np.array_equal(picture(scene, ego, lead), expected)
    assert np.array_equal(picture(scene, ego), picture(CameraScene(road_map), ego))


def test_no_gap_between_lanes_lets_the_ground_through(road_map: RoadMap, scene: CameraScene) -> None:
    """Rendered straight down the road in a bend, no green pixel lies inside the carriageway."""
    for s_m in (700.0, 1300.0, 2000.0, 2600.0):
        rgb = picture(scene, lane_pose(road_map, middle_lane(road_map), s_m)).astype(int)
        below = rgb[56:, 20:140]
        assert (below[..., 1] - below[..., 2]).max() < 15


def test_road_cells_cover_the_lanes_area(road_map: RoadMap) -> None:
    """Total upward area of asphalt and markings: lane areas plus overlaps, edge lines and dashes."""
    area_m2 = 0.0
    for mesh in road_meshes(road_map):
        corners = mesh.vertices_m[mesh.faces]
        flat = np.ptp(corners[..., 2], axis=1) < 1e-9
        flat &= corners[:, 0, 2] < 0.1
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[flat, 2]
        area_m2 += 0.5 * normal[normal > 0].sum()
    lengths = [road_map.length_m(lane) for lane in range(road_map.num_lanes)]
    widths = [road_map.width_m[road_map.lane_start[lane]] + 0.1 for lane in range(road_map.num_lanes)]
    asphalt = float(np.dot(lengths, widths))
    edges = 2 * 0.30 * float(np.mean(lengths))
    dashes = 2 * 0.20 * float(np.mean(lengths)) / 3.0
    assert area_m2 == pytest.approx(asphalt + edges + dashes, rel=5e-3)
