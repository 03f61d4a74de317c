"""Colours against Lambert's law and the background formula."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from simloop.rendering import Camera, Light, Mesh, Scene, primitives
from simloop.rendering.camera_frames import look_at

CAMERA = Camera(64, 64, vertical_fov_rad=0.6)
LIGHT = Light(
    direction_world=(0.0, 0.6, -0.8),
    directional_rgb=(0.5, 0.4, 0.3),
    ambient_sky_rgb=(0.3, 0.3, 0.4),
    ambient_ground_rgb=(0.1, 0.2, 0.1),
)


def lit(normal: npt.NDArray[np.float64], colour_rgb: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    """The formula of `Light`, written down again."""
    direct = np.maximum(normal @ [0.0, -0.6, 0.8], 0.0)[..., None]
    sky = (0.5 + 0.5 * normal[..., 2])[..., None]
    strength = direct * [0.5, 0.4, 0.3] + sky * [0.3, 0.3, 0.4] + (1.0 - sky) * [0.1, 0.2, 0.1]
    return np.minimum(strength * colour_rgb, 1.0) * 255.0


def test_the_faces_of_a_box_are_lit_by_their_angle_to_the_light() -> None:
    colour_rgb = (0.9, 0.8, 0.7)
    scene = Scene(light=LIGHT)
    scene.add(primitives.box((1.0, 1.0, 1.0), colour_rgb=colour_rgb))
    for normal in np.concatenate([np.eye(3), -np.eye(3)]):
        up = (1.0, 0.0, 0.0) if normal[2] else (0.0, 0.0, 1.0)
        rgb = scene.render(CAMERA, 3.0 * normal, look_at(3.0 * normal, (0, 0, 0), up), outputs=("rgb",)).rgb
        np.testing.assert_allclose(rgb[32, 32], lit(normal, colour_rgb), atol=0.51)


@pytest.mark.parametrize("scale", [(1.0, 1.0, 1.0), (1.0, 0.5, 2.0)])
def test_a_smooth_ellipsoid_is_lit_by_its_exact_normal(scale: tuple[float, float, float]) -> None:
    scene = Scene(light=LIGHT)
    handle = scene.add(primitives.sphere(1.0, num_segments=128))
    scene.set_pose(handle, (0.0, 0.0, 0.0), np.eye(3), scale=scale)
    position_m = np.array([4.0, -5.0, 3.0])
    rotation = look_at(position_m, (0.0, 0.0, 0.0))
    image = scene.render(CAMERA, position_m, rotation, outputs=("rgb", "depth"))
    is_seen = np.isfinite(image.depth_m)
    points = position_m + (CAMERA.ray_directions() @ rotation.T)[is_seen] * image.depth_m[is_seen][:, None]
    normal = points / np.square(scale)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    error = np.abs(image.rgb[is_seen] - lit(normal, (0.7, 0.7, 0.7)))
    assert is_seen.sum() > 200
    assert error.max() < 3.0


def test_a_double_sided_sheet_is_lit_on_the_side_that_is_seen() -> None:
    scene = Scene(light=LIGHT)
    scene.add(primitives.plane((9.0, 9.0), colour_rgb=(0.5, 0.5, 0.5), is_double_sided=True))
    smooth = Scene(light=LIGHT)
    flat = primitives.plane((9.0, 9.0))
    smooth.add(Mesh(flat.vertices_m, flat.faces, (0.5, 0.5, 0.5), is_double_sided=True, smooth=True))
    for height_m, normal in ((2.0, [0.0, 0.0, 1.0]), (-2.0, [0.0, 0.0, -1.0])):
        rotation = look_at((0, 0, height_m), (0, 0, 0), (0, 1, 0))
        for sheet in (scene, smooth):
            rgb = sheet.render(CAMERA, (0.0, 0.0, height_m), rotation, outputs=("rgb",)).rgb
            np.testing.assert_allclose(rgb[32, 32], lit(np.array(normal), (0.5, 0.5, 0.5)), atol=0.51)


def test_vertex_colours_are_blended_in_space_not_in_the_image() -> None:
    """Red and green grow along x and y of a sheet seen at a slant: each pixel shows its point's coordinates."""
    grid = primitives.plane((2.0, 2.0), num_cells=(2, 2))
    colours = np.zeros((9, 3))
    colours[:, :2] = 0.5 + 0.5 * grid.vertices_m[:, :2]
    scene = Scene()
    scene.add(Mesh(grid.vertices_m, grid.faces, is_emissive=True, vertex_colours_rgb=colours))
    position_m = np.array([-2.0, -0.5, 0.8])
    rotation = look_at(position_m, (0.0, 0.0, 0.0))
    image = scene.render(CAMERA, position_m, rotation, outputs=("rgb", "depth"))
    is_seen = np.isfinite(image.depth_m)
    points = position_m + (CAMERA.ray_directions() @ rotation.T)[is_seen] * image.depth_m[is_seen][:, None]
    assert is_seen.sum() > 500
    np.testing.assert_allclose(image.rgb[is_seen][:, :2], 127.5 + 127.5 * points[:, :2], atol=0.6)


def test_supersampling_is_the_mean_of_a_larger_image_and_leaves_the_rest_alone() -> None:
    scene = Scene()
    scene.add(
        primitives.plane((40.0, 40.0), num_cells=(80, 80), second_colour_rgb=(0.1, 0.1, 0.1)), instance=1
    )
    scene.set_pose(scene.add(primitives.sphere(0.7), instance=2), (0.0, 0.0, 0.7), np.eye(3))
    position_m, rotation = (5.0, 2.0, 1.5), look_at((5.0, 2.0, 1.5), (0.0, 0.0, 0.5))
    plain = scene.render(CAMERA, position_m, rotation)
    fine = scene.render(CAMERA, position_m, rotation, supersampling=2)
    twice = scene.render(Camera(128, 128, vertical_fov_rad=0.6), position_m, rotation).rgb
    mean = twice.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(fine.rgb, mean, atol=1.0)
    np.testing.assert_array_equal(fine.depth_m, plain.depth_m)
    np.testing.assert_array_equal(fine.instance, plain.instance)
    assert not np.array_equal(fine.rgb, plain.rgb)


def test_light_and_background_may_change_between_images() -> None:
    scene = Scene()
    scene.add(primitives.plane((9.0, 9.0), colour_rgb=(1.0, 1.0, 1.0)))
    for strength in (0.25, 0.75):
        level = (strength, strength, strength)
        scene.light = Light(directional_rgb=(0, 0, 0), ambient_sky_rgb=level, ambient_ground_rgb=(0, 0, 0))
        rgb = scene.render(CAMERA, (0.0, 0.0, 2.0), np.eye(3), outputs=("rgb",)).rgb
        assert set(np.unique(rgb)) == {math.floor(255.0 * strength + 0.5)}
