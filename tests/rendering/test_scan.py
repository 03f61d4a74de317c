"""Scans along grids of rays against closed forms, MuJoCo's ray caster and the depth image."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import pytest

from simloop.errors import ParameterError
from simloop.rendering import Camera, Mesh, Scene, primitives
from simloop.rendering.camera_frames import camera_rotation_from_forward_left_up

ELEVATIONS = np.radians(np.linspace(-40.0, 30.0, 36))
NUM_AZIMUTHS = 180


def rotation(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> npt.NDArray[np.float64]:
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return np.asarray(about_z @ about_y @ about_x, dtype=np.float64)


def directions(start: float = 0.0, num: int = NUM_AZIMUTHS, step: float | None = None) -> Any:
    azimuth = start + np.arange(num) * (2 * math.pi / num if step is None else step)
    ce, se = np.cos(ELEVATIONS)[:, None], np.sin(ELEVATIONS)[:, None]
    return np.stack([ce * np.cos(azimuth), ce * np.sin(azimuth), np.broadcast_to(se, (36, num))], axis=-1)


def test_a_floor_is_as_far_as_the_height_over_the_sine_of_the_elevation() -> None:
    scene = Scene()
    scene.add(primitives.plane((400.0, 400.0), num_cells=(7, 5), colour_rgb=(0.2, 0.4, 0.6)), semantic=4)
    seen = scene.scan((3.0, -2.0, 1.7), np.eye(3), ELEVATIONS, num_azimuths=NUM_AZIMUTHS, max_range_m=60.0)
    expected = np.where(ELEVATIONS < 0.0, 1.7 / np.maximum(-np.sin(ELEVATIONS), 1e-9), np.inf)
    expected[expected > 60.0] = np.inf
    assert np.allclose(seen.range_m, expected[:, None], atol=1e-5)
    is_hit = np.isfinite(seen.range_m)
    assert np.allclose(
        seen.cosine[is_hit], np.broadcast_to(-np.sin(ELEVATIONS)[:, None], is_hit.shape)[is_hit]
    )
    assert np.allclose(seen.albedo[is_hit], 0.4) and np.all(seen.albedo[~is_hit] == 0.0)
    assert set(np.unique(seen.semantic[is_hit])) == {4}
    assert np.all(seen.semantic[~is_hit] == -1) and np.all(seen.instance[~is_hit] == -1)


def test_a_shell_of_triangles_round_the_sensor_has_no_gaps() -> None:
    ball = primitives.sphere(5.0, num_segments=64)
    inside_out = Mesh(ball.vertices_m, ball.faces[:, ::-1])
    scene = Scene()
    scene.add(inside_out)
    whole = np.radians(np.linspace(-90.0, 90.0, 181))
    seen = scene.scan((0.0, 0.0, 0.0), rotation(0.3, 0.2, 0.1), whole, num_azimuths=720)
    assert np.all(seen.range_m <= 5.0 + 1e-6)
    assert np.all(seen.range_m >= 5.0 * math.cos(math.pi / 64) ** 2 - 1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_ranges_are_those_of_mujoco(seed: int) -> None:
    draws = np.random.default_rng(seed)
    spec = mujoco.MjSpec()
    scene = Scene()
    cube = primitives.box((1.0, 1.0, 1.0))
    for number in range(40):
        centre = draws.uniform((-30, -30, -4), (30, 30, 8))
        if np.linalg.norm(centre) < 6.0:
            continue
        size = draws.uniform(0.3, 5.0, 3)
        turn = rotation(*draws.uniform(-3, 3, 3))
        handle = scene.add(cube, instance=number)
        scene.set_pose(handle, centre, turn, size)
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, turn.ravel())
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=size / 2, pos=centre, quat=quaternion)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    turn = rotation(0.7, 0.1, -0.2)
    start = -math.pi + 0.01
    seen = scene.scan(
        (0.0, 0.0, 0.5),
        turn,
        ELEVATIONS,
        num_azimuths=NUM_AZIMUTHS,
        azimuth_start_rad=start,
        max_range_m=35.0,
    )
    rays = directions(start) @ turn.T
    expected = np.empty(seen.range_m.shape)
    hit = np.zeros(1, dtype=np.int32)
    for place in np.ndindex(*expected.shape):
        distance = mujoco.mj_ray(model, data, np.array([0.0, 0.0, 0.5]), rays[place], None, 1, -1, hit)
        expected[place] = distance if 0.0 <= distance <= 35.0 else np.inf
    is_same = np.isclose(seen.range_m, expected, atol=1e-4) | (np.isinf(expected) & np.isinf(seen.range_m))
    # A ray that grazes an edge may fall on either side of it: vertices are stored in single precision.
    assert np.mean(is_same) > 0.999
    assert np.isfinite(expected).mean() > 0.1


def test_a_scan_and_the_depth_image_agree() -> None:
    scene = Scene()
    ball = scene.add(primitives.sphere(1.0), semantic=2, instance=9)
    scene.set_pose(ball, (6.0, 0.5, 1.0), np.eye(3))
    slab = scene.add(primitives.box((1.0, 8.0, 0.5)), semantic=3)
    scene.set_pose(slab, (9.0, 0.0, 0.0), rotation(0.4))
    camera = Camera(61, 41, vertical_fov_rad=0.7)
    turn = rotation(0.1)
    image = scene.render(camera, (0.0, 0.0, 1.2), camera_rotation_from_forward_left_up(turn))
    ray = camera.ray_directions() @ camera_rotation_from_forward_left_up(np.eye(3)).T
    for row, column in itertools.product(range(0, 41, 2), range(0, 61, 3)):
        x, y, z = ray[row, column]
        seen = scene.scan(
            (0.0, 0.0, 1.2), turn, [math.atan2(z, math.hypot(x, y))],
            num_azimuths=1, azimuth_start_rad=math.atan2(y, x), azimuth_step_rad=math.pi / 100,
        )  # fmt: skip
        depth_m = image.depth_m[row, column]
        if math.isinf(depth_m) != math.isinf(seen.range_m[0, 0]):
            continue  # an outline through the middle of the pixel
        if math.isfinite(depth_m):
            assert seen.range_m[0, 0] == pytest.approx(depth_m * np.linalg.norm([x, y, z]), rel=1e-4)
            assert seen.semantic[0, 0] == image.semantic[row, column]


def test_part_of_a_circle_is_that_part_of_the_whole() -> None:
    scene = Scene()
    for angle in np.arange(0.0, 2 * math.pi, 0.5):
        handle = scene.add(primitives.box((2.0, 2.0, 3.0)))
        scene.set_pose(handle, (12 * math.cos(angle), 12 * math.sin(angle), 0.5), rotation(angle))
    step = 2 * math.pi / NUM_AZIMUTHS
    whole = scene.scan((0, 0, 1), np.eye(3), ELEVATIONS, num_azimuths=NUM_AZIMUTHS)
    part = scene.scan(
        (0, 0, 1), np.eye(3), ELEVATIONS, num_azimuths=41, azimuth_start_rad=-20 * step, azimuth_step_rad=step
    )
    columns = (np.arange(41) - 20) % NUM_AZIMUTHS
    assert np.allclose(part.range_m, whole.range_m[:, columns], equal_nan=True)
    assert np.isfinite(part.range_m).any()


def test_faces_may_have_classes_of_their_own() -> None:
    corners = np.array([[5, -1, 0], [5, 1, 0], [5, 1, 2], [5, -1, 2]], dtype=float)
    mesh = Mesh(corners, [[0, 2, 1], [0, 3, 2]], is_double_sided=True, face_semantics=[7, -1])
    scene = Scene()
    scene.add(mesh, semantic=2)
    camera = Camera(40, 40, vertical_fov_rad=0.8)
    turn = camera_rotation_from_forward_left_up(np.eye(3))
    assert set(np.unique(scene.render(camera, (0, 0, 1), turn).semantic)) == {-1, 2, 7}
    seen = scene.scan((0, 0, 1), np.eye(3), np.radians(np.arange(-8.0, 9.0)), num_azimuths=360)
    assert set(np.unique(seen.semantic)) == {-1, 2, 7}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"elevations_rad": [0.1, 0.0]}, "must ascend"),
        ({"elevations_rad": [0.0, 2.0]}, "within -pi/2..pi/2"),
        ({"num_azimuths": 0}, "whole part of a circle"),
        ({"num_azimuths": 5, "azimuth_step_rad": math.pi / 2}, "whole part of a circle"),
        ({"azimuth_step_rad": 0.7}, "whole part of a circle"),
        ({"rotation_world_from_sensor": 2 * np.eye(3)}, "must be a rotation matrix"),
        ({"position_m": (0, 0, math.nan)}, "must be finite"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {
        "position_m": (0, 0, 0), "rotation_world_from_sensor": np.eye(3), "elevations_rad": [0.0], "num_azimuths": 4,
    }  # fmt: skip
    values |= change
    with pytest.raises(ParameterError, match=message):
        Scene().scan(
            values.pop("position_m"),
            values.pop("rotation_world_from_sensor"),
            values.pop("elevations_rad"),
            **values,
        )


def test_classes_of_faces_must_fit_the_faces() -> None:
    with pytest.raises(ParameterError, match="1 integers from -1 on"):
        Mesh(np.eye(3), [[0, 1, 2]], face_semantics=[1, 2])
    with pytest.raises(ParameterError, match="1 integers from -1 on"):
        Mesh(np.eye(3), [[0, 1, 2]], face_semantics=[-2])
