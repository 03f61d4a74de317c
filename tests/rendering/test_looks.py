"""Textures, lamps, tints and what can be seen through, against what their formulas say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simloop.errors import ParameterError
from simloop.rendering import Camera, Lamp, Light, Mesh, Scene, Texture, primitives
from simloop.rendering.camera_frames import look_at

DARK = Light(directional_rgb=(0.0,) * 3, ambient_sky_rgb=(0.0,) * 3, ambient_ground_rgb=(0.0,) * 3)
BRIGHT = Light(directional_rgb=(0.0,) * 3, ambient_sky_rgb=(1.0,) * 3, ambient_ground_rgb=(1.0,) * 3)
ABOVE = (0.0, 0.0, 2.0)
DOWN = look_at(ABOVE, (0.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CAMERA = Camera(32, 32, vertical_fov_rad=0.5)
SQUARE = np.array([[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]])
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def _seen(scene: Scene, supersampling: int = 1) -> Any:
    return scene.render(CAMERA, ABOVE, DOWN, ("rgb",), supersampling=supersampling).rgb


def _textured(texture: Texture, repeats: float) -> Mesh:
    uv = repeats * np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    return Mesh(SQUARE, FACES, (1.0, 1.0, 1.0), texture=texture, texture_coordinates=uv)


def test_a_texture_is_upright_and_keeps_its_colours() -> None:
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    picture[:2, :2], picture[:2, 2:], picture[2:, :2] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    scene = Scene((0.0, 0.0, 0.0), BRIGHT)
    scene.add(_textured(Texture(picture, 4), 1.0))
    rgb = _seen(scene)
    assert rgb[4, 4].tolist() == [255, 0, 0]
    assert rgb[4, 27].tolist() == [0, 255, 0]
    assert rgb[27, 4].tolist() == [0, 0, 255]
    assert rgb[27, 27].tolist() == [0, 0, 0]


def test_a_texture_far_below_a_sample_shows_its_mean() -> None:
    rng = np.random.default_rng(0)
    texture = Texture(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), 64)
    scene = Scene((0.0, 0.0, 0.0), BRIGHT)
    scene.add(_textured(texture, 200.0))
    assert np.abs(_seen(scene).astype(int) - texture.levels[-1][0, 0].astype(int)).max() <= 1
    assert texture.mean_rgb == pytest.approx(texture.levels[0].mean(axis=(0, 1)) / 255.0, abs=0.01)


@pytest.mark.parametrize(("height", "width", "size"), [(5, 7, 4), (3, 2, 8), (300, 100, 64)])
def test_resampling_a_picture_keeps_its_mean(height: int, width: int, size: int) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    texture = Texture(picture, size)
    assert [len(level) for level in texture.levels] == [size >> n for n in range(size.bit_length())]
    assert np.abs(texture.levels[0].mean(axis=(0, 1)) - picture.mean(axis=(0, 1))).max() < 30.0


def test_a_lamp_far_away_obeys_the_cosine_law() -> None:
    scene = Scene((0.0, 0.0, 0.0), DARK)
    scene.add(Mesh(SQUARE, FACES, (1.0, 1.0, 1.0)))
    scene.lamps = (Lamp(direction_world=(0.0, 0.6, -0.8), rgb=(1.0, 0.5, 0.25)),)
    assert _seen(scene)[16, 16].tolist() == [204, 102, 51]  # 0.8 of 255, and its half and quarter


def test_a_spotlight_falls_off_with_its_exponent_and_ends_at_its_cone() -> None:
    scene = Scene((0.0, 0.0, 0.0), DARK)
    scene.add(Mesh(SQUARE, FACES, (1.0, 1.0, 1.0)))
    lamp = Lamp(
        direction_world=(0, 0, -1), rgb=(1, 1, 1), position_m=(0, 0, 0.5), cutoff_cosine=0.8, exponent=2
    )
    scene.lamps = (lamp,)
    camera = Camera(256, 32, vertical_fov_rad=0.1)
    row = scene.render(camera, ABOVE, DOWN, ("rgb",)).rgb[16, :, 0] / 255.0
    x_m = 2.0 * (np.arange(256) + 0.5 - 128.0) / camera.intrinsics[0]
    y_m = 2.0 * 0.5 / camera.intrinsics[0]
    cosine = 0.5 / np.sqrt(x_m**2 + y_m**2 + 0.25)
    expected = np.where(cosine >= 0.8, cosine**3, 0.0)
    edge = np.flatnonzero(np.diff(expected > 0.0))
    is_away = np.abs(np.arange(256)[:, None] - edge).min(axis=1) > 16  # near lamps count at every 16th sample
    assert len(edge) == 2
    assert np.abs(row - expected)[is_away].max() < 0.02


@pytest.mark.parametrize(("opacity", "share"), [(0.3, 0.25), (0.5, 0.5), (0.74, 0.75)])
def test_what_can_be_seen_through_covers_its_share_of_each_pixel(opacity: float, share: float) -> None:
    scene = Scene((0.0, 0.0, 0.0), BRIGHT)
    scene.add(Mesh(SQUARE, FACES, (0.0, 0.0, 1.0)))
    pane = scene.add(Mesh(SQUARE, FACES, (1.0, 0.0, 0.0)), semantic=3, opacity=opacity)
    scene.set_pose(pane, (0.0, 0.0, 0.5), np.eye(3))
    rgb = _seen(scene, supersampling=2)
    assert np.abs(rgb[..., 0] / 255.0 - share).max() < 0.01
    assert np.abs(rgb[..., 2] / 255.0 - (1.0 - share)).max() < 0.01
    image = scene.render(CAMERA, ABOVE, DOWN, supersampling=2)
    assert np.array_equal(image.rgb, rgb)
    assert (image.semantic == (3 if opacity >= 0.5 else 0)).all()


def test_panes_behind_each_other_both_show_and_solid_things_hide_them() -> None:
    scene = Scene((0.0, 0.0, 0.0), BRIGHT)
    for number, colour in enumerate(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))):
        pane = scene.add(Mesh(SQUARE, FACES, colour), opacity=0.25)
        scene.set_pose(pane, (0.0, 0.0, 0.1 * number), np.eye(3))
    both = _seen(scene, supersampling=2)[16, 16]
    assert both.tolist() == [64, 64, 0]
    lid = scene.add(Mesh(SQUARE, FACES, (0.0, 0.0, 1.0)))
    scene.set_pose(lid, (0.0, 0.0, 0.5), np.eye(3))
    assert _seen(scene, supersampling=2)[16, 16].tolist() == [0, 0, 255]


def test_a_tint_multiplies_and_goes_again() -> None:
    scene = Scene((0.0, 0.0, 0.0), BRIGHT)
    box = scene.add(primitives.box((1.0, 1.0, 1.0), colour_rgb=(0.8, 0.4, 0.2)))
    before = _seen(scene)
    scene.set_tint(box, (0.5, 2.0, 1.0))
    assert _seen(scene)[16, 16].tolist() == [102, 204, 51]
    scene.set_tint(box, None)
    assert np.array_equal(_seen(scene), before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Texture(np.zeros((2, 2))), "needs a picture"),
        (lambda: Texture(np.zeros((2, 2, 3), dtype=np.uint8), 3), "power of two"),
        (lambda: Mesh(SQUARE, FACES, texture_coordinates=SQUARE[:, :2]), "need a texture"),
        (lambda: Mesh(SQUARE, FACES, texture=Texture(np.zeros((1, 1, 3), np.uint8), 1)), r"shape \(\)"),
        (lambda: Lamp(direction_world=(0, 0, 0), rgb=(1, 1, 1)), "direction_world"),
        (lambda: Lamp(direction_world=(0, 0, 1), rgb=(3, 1, 1)), "rgb must be"),
        (lambda: Lamp(direction_world=(0, 0, 1), rgb=(1, 1, 1), exponent=-1), "exponent"),
        (lambda: Lamp(direction_world=(0, 0, 1), rgb=(1, 1, 1), position_m=(0, 1)), "position_m"),
        (lambda: Scene().add(Mesh(SQUARE, FACES), opacity=0.0), "opacity"),
        (lambda: Scene().set_tint(0, (1, 1, 1)), "handle"),
    ],
)
def test_bad_input_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()
