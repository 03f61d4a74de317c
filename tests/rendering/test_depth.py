"""Depth and coverage against closed forms."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from simloop.rendering import Camera, Mesh, RenderedImage, Scene, primitives
from simloop.rendering.camera_frames import camera_rotation_from_forward_left_up, look_at

CAMERA = Camera(160, 120, vertical_fov_rad=math.radians(60.0))
ORIGIN = np.zeros(3)


def seen_from_above(mesh: Mesh, height_m: float, camera: Camera = CAMERA) -> RenderedImage:
    scene = Scene()
    scene.add(mesh)
    return scene.render(camera, (0.0, 0.0, height_m), np.eye(3))


def test_a_plane_across_the_optical_axis_has_one_exact_depth() -> None:
    depth_m = seen_from_above(primitives.plane((100.0, 100.0), num_cells=(7, 5)), 3.7).depth_m
    np.testing.assert_allclose(depth_m, 3.7, rtol=2e-7)


def test_the_ground_has_the_depth_of_the_ray_even_where_it_runs_behind_the_camera() -> None:
    scene = Scene()
    scene.add(primitives.plane((20_000.0, 20_000.0)))
    height_m, pitch_rad = 1.5, math.radians(8.0)
    body = np.array(
        [
            [math.cos(pitch_rad), 0.0, math.sin(pitch_rad)],
            [0.0, 1.0, 0.0],
            [-math.sin(pitch_rad), 0.0, math.cos(pitch_rad)],
        ]
    )
    rotation = camera_rotation_from_forward_left_up(body)
    camera = Camera(320, 240, vertical_fov_rad=math.radians(75.0), near_m=0.05, far_m=400.0)
    depth_m = scene.render(camera, (12.0, -7.0, height_m), rotation, outputs=("depth",)).depth_m
    falling = -(camera.ray_directions() @ rotation.T)[..., 2]
    expected_m = np.where(falling > 0.0, height_m / np.where(falling > 0.0, falling, 1.0), np.inf)
    expected_m[expected_m > camera.far_m] = np.inf
    np.testing.assert_allclose(depth_m, expected_m, rtol=1e-5)
    assert np.isfinite(depth_m).mean() > 0.5


@pytest.mark.parametrize("height_m", [0.02, 0.0501, 0.3])
def test_nothing_nearer_than_the_near_plane_is_drawn(height_m: float) -> None:
    depth_m = seen_from_above(primitives.plane((10.0, 10.0)), height_m).depth_m
    if height_m < CAMERA.near_m:
        assert np.isinf(depth_m).all()
    else:
        np.testing.assert_allclose(depth_m, height_m, rtol=1e-6)


def test_nothing_beyond_the_far_plane_is_drawn() -> None:
    camera = Camera(16, 16, vertical_fov_rad=0.5, far_m=10.0)
    assert np.isfinite(seen_from_above(primitives.plane((50.0, 50.0)), 9.99, camera).depth_m).all()
    assert np.isinf(seen_from_above(primitives.plane((50.0, 50.0)), 10.01, camera).depth_m).all()


@pytest.mark.parametrize(
    ("centre_m", "radius_m"), [((0.0, 0.0, 0.0), 1.0), ((1.2, -0.7, 0.4), 0.5), ((-2.0, 0.0, 3.5), 0.6)]
)
def test_sphere_depth_is_that_of_the_ray_sphere_intersection(
    centre_m: tuple[float, ...], radius_m: float
) -> None:
    scene = Scene()
    handle = scene.add(primitives.sphere(radius_m, num_segments=128))
    scene.set_pose(handle, centre_m, np.eye(3))
    position_m = np.array([0.5, -4.0, 2.0])
    rotation = look_at(position_m, (0.0, 0.0, 1.0))
    depth_m = scene.render(CAMERA, position_m, rotation, outputs=("depth",)).depth_m
    expected_m = ray_sphere_depth_m(
        CAMERA.ray_directions() @ rotation.T, position_m, np.array(centre_m), radius_m
    )
    is_seen = np.isfinite(expected_m)
    assert is_seen.sum() > 200
    with np.errstate(invalid="ignore"):
        agrees = np.isclose(depth_m, expected_m, rtol=0.01) | (np.isinf(depth_m) & np.isinf(expected_m))
    assert agrees[is_seen | np.isfinite(depth_m)].mean() >= 0.99


def ray_sphere_depth_m(
    directions: npt.NDArray[np.float64],
    origin_m: npt.NDArray[np.float64],
    centre_m: npt.NDArray[np.float64],
    radius_m: float,
) -> npt.NDArray[np.float64]:
    to_centre = centre_m - origin_m
    a = (directions**2).sum(axis=-1)
    b = directions @ to_centre
    discriminant = b**2 - a * (to_centre @ to_centre - radius_m**2)
    return np.where(discriminant >= 0.0, (b - np.sqrt(np.maximum(discriminant, 0.0))) / a, np.inf)


def test_a_box_covers_the_area_of_its_projection() -> None:
    """The silhouette of a convex body is the convex hull of its projected corners."""
    scene = Scene()
    scene.add(primitives.box((1.0, 2.0, 0.5)))
    camera = Camera(400, 300, vertical_fov_rad=math.radians(40.0))
    position_m = np.array([3.0, 2.0, 2.5])
    rotation = look_at(position_m, ORIGIN)
    covered_px = np.isfinite(scene.render(camera, position_m, rotation, outputs=("depth",)).depth_m).sum()
    corners = (primitives.box((1.0, 2.0, 0.5)).vertices_m - position_m) @ rotation
    fx, fy, cx, cy = camera.intrinsics
    image = np.stack(
        [cx - fx * corners[:, 0] / corners[:, 2], cy + fy * corners[:, 1] / corners[:, 2]], axis=1
    )
    scipy_spatial = pytest.importorskip("scipy.spatial")
    assert covered_px == pytest.approx(scipy_spatial.ConvexHull(image).volume, rel=0.005)


def test_every_sample_of_a_fan_around_a_pixel_centre_is_covered_once_or_more() -> None:
    """Edges that run exactly through pixel centres leave no holes."""
    camera = Camera(41, 41, fx=20.0, fy=20.0, cx=20.5, cy=20.5)
    num_spokes = 16
    angle = 2.0 * np.pi * np.arange(num_spokes) / num_spokes
    rim = np.stack([np.cos(angle), np.sin(angle), np.zeros(num_spokes)], axis=1) * 50.0
    vertices = np.concatenate([np.zeros((1, 3)), rim])
    faces = [(0, 1 + i, 1 + (i + 1) % num_spokes) for i in range(num_spokes)]
    assert np.isfinite(seen_from_above(Mesh(vertices, faces), 1.0, camera).depth_m).all()


def test_the_nearest_surface_wins_whatever_the_order() -> None:
    near = primitives.plane((1.0, 1.0))
    far = primitives.plane((6.0, 6.0))
    tilted = primitives.plane((2.0, 2.0), is_double_sided=True)
    turn = look_at((0.0, 0.0, 0.0), (1.0, 0.3, 0.8))
    images = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        scene = Scene()
        placements = [(near, 1.0, np.eye(3)), (far, 0.0, np.eye(3)), (tilted, 0.6, turn)]
        for index in order:
            mesh, height_m, rotation = placements[index]
            handle = scene.add(mesh, instance=index)
            scene.set_pose(handle, (0.0, 0.0, height_m), rotation)
        images.append(scene.render(CAMERA, (0.0, 0.0, 3.0), np.eye(3), outputs=("depth", "instance")))
    first = images[0]
    assert set(np.unique(first.instance)) == {0, 1, 2}
    assert first.instance[60, 80] in (0, 2)
    for image in images[1:]:
        np.testing.assert_array_equal(image.instance, first.instance)
        np.testing.assert_array_equal(image.depth_m, first.depth_m)


def test_backs_are_drawn_only_for_double_sided_meshes() -> None:
    for is_double_sided in (False, True):
        scene = Scene()
        scene.add(primitives.plane((1.0, 1.0), is_double_sided=is_double_sided))
        image = scene.render(CAMERA, (0.0, 0.0, -2.0), look_at((0, 0, -2), ORIGIN, up_world=(0, 1, 0)))
        assert np.isfinite(image.depth_m).any() == is_double_sided
