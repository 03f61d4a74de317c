"""Images by OpenGL, and the detailed software images beside them. Skipped with a reason where there is no OpenGL."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.errors import ConfigurationError, MissingDependencyError, UnknownNameError, WorldError
from simloop.scenario_files import load_family
from simloop_bimanual.rendering import gl_rendering
from simloop_bimanual.rendering.views import two_arm_view
from simloop_bimanual.sensors import CAMERAS
from simloop_bimanual.world import BimanualWorld

HEIGHT_PX, WIDTH_PX = 96, 128


@pytest.fixture(scope="module")
def gl() -> str:
    """The way to OpenGL here."""
    try:
        return gl_rendering.check_gl()
    except MissingDependencyError as error:
        pytest.skip(str(error))


def _image(world: BimanualWorld, render: str, camera: str, **look: float) -> npt.NDArray[Any]:
    view = two_arm_view(world._model, render, "detailed" if render == "software" else "auto")
    draw = view.freeze(camera, world._data, height_px=HEIGHT_PX, width_px=WIDTH_PX, look=look)
    return draw().astype(np.float64)


def _started(world: BimanualWorld, task: str, seed: int = 3) -> BimanualWorld:
    world.reset(load_family(task).scenario(seed), seed)
    return world


@pytest.mark.parametrize("task", ["two_arm_handover", "two_arm_fold_towel"])
@pytest.mark.parametrize("camera", CAMERAS)
def test_software_images_look_like_opengl(
    gl: str, task: str, camera: str, world_of: Callable[[str], BimanualWorld]
) -> None:
    """Same poses, fields of view and colours: the mean colours agree, and so do nearly all pixels, since turning the
    image, mirroring it or moving the camera by a centimetre moves far more of them."""
    world = _started(world_of(task), task)
    world.actuate(np.linspace(-0.5, 0.5, 14))
    world.advance(400_000_000)
    world.capture("robot_state", 0)  # positions as of now
    expected, seen = _image(world, "gl", camera), _image(world, "software", camera)
    assert np.abs(seen.mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 10.0, gl
    blurred = [image.reshape(24, 4, 32, 4, 3).mean(axis=(1, 3)) for image in (seen, expected)]
    difference = np.abs(blurred[0] - blurred[1]).max(axis=2)
    assert np.median(difference) < 10.0
    assert np.mean(difference < 40.0) > 0.93
    flipped = np.abs(blurred[0][::-1] - blurred[1]).max(axis=2)
    assert np.mean(flipped < 40.0) < np.mean(difference < 40.0) - 0.1


def test_opengl_draws_sizes_and_states_that_were_frozen(gl: str) -> None:
    family = load_family("two_arm_peg_in_hole")
    world = BimanualWorld(**family.world_config, render="gl")
    images = []
    for radius_m in (0.015, 0.03):
        world.reset(family.scenario(0, {"peg_radius_m": radius_m}), 0)
        frame = world.capture("front_camera", 0)
        world.actuate(np.full(12, 0.8))
        world.advance(500_000_000)  # the state goes on before the image is drawn
        later = world.capture("front_camera", 10).array
        images.append(frame.array.astype(int))
        assert not np.array_equal(later, frame.array), gl
    green = [((i[..., 1] > i[..., 0] + 15) & (i[..., 1] > i[..., 2] + 15)).sum() for i in images]
    assert 15 < green[0] < 0.8 * green[1]
    world.reset(family.scenario(0, {"peg_radius_m": 0.015}), 0)
    assert np.array_equal(world.capture("front_camera", 0).array, images[0])
    assert images[0].shape == (HEIGHT_PX, WIDTH_PX, 3) and later.dtype == np.uint8


def test_opengl_shows_distractors(gl: str) -> None:
    family = load_family("two_arm_tray_balance")
    images = []
    for height_m in (0.0, 0.15):
        world = BimanualWorld(**family.world_config, render="gl")
        drawn = family.scenario(0)
        values = {**drawn.parameters, "distractor_1_x_m": 0.3, "distractor_1_height_m": height_m}
        world.reset(dataclasses.replace(drawn, parameters=values), 0)
        images.append(world.capture("front_camera", 0).array.astype(int))
    changed = np.abs(images[0] - images[1]).max(axis=2) > 30
    assert 50 < changed.sum() < 3000, gl


def test_full_quality_adds_reflections_and_smooth_edges(
    gl: str, world_of: Callable[[str], BimanualWorld]
) -> None:
    world = _started(world_of("two_arm_handover"), "two_arm_handover")
    plain, full = (_image(world, mode, "front_camera") for mode in ("gl", "gl_full"))
    assert 0.0 < np.mean(np.abs(plain - full).max(axis=2) > 8.0) < 0.5, gl


def test_light_and_colours_vary_by_opengl_too(gl: str, world_of: Callable[[str], BimanualWorld]) -> None:
    world = _started(world_of("two_arm_handover"), "two_arm_handover")
    before = _image(world, "gl", "front_camera")
    dark = _image(world, "gl", "front_camera", light_intensity_ratio=0.5)
    assert 0.4 < dark.mean() / before.mean() < 0.85, gl
    yellow = _image(world, "gl", "front_camera", table_blue_ratio=0.3)
    assert yellow[..., 2].mean() < before[..., 2].mean() - 3.0
    assert np.array_equal(_image(world, "gl", "front_camera"), before)


def test_a_forked_process_does_not_draw_with_its_parents_context(
    gl: str, world_of: Callable[[str], BimanualWorld], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _started(world_of("two_arm_handover"), "two_arm_handover")
    _image(world, "gl", "front_camera")
    mine = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: mine + 1)
    with pytest.raises(WorldError, match=r"forked from one that had drawn.*world\.render=software"):
        _image(world, "gl", "front_camera")
    assert gl in gl_rendering.BACKENDS


@pytest.mark.parametrize(("wanted", "named"), [("", "neither no_egl nor no_osmesa"), ("osmesa", "no_osmesa")])
def test_a_machine_without_opengl_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, wanted: str, named: str
) -> None:
    monkeypatch.setattr(gl_rendering, "BACKENDS", {"egl": ("no_egl",), "osmesa": ("no_osmesa",)})
    monkeypatch.setenv("MUJOCO_GL", wanted)
    with pytest.raises(MissingDependencyError, match=f"{named}.*apt-get install libegl1.*libosmesa6"):
        BimanualWorld(render="gl")


@pytest.mark.parametrize(
    ("config", "error", "match"),
    [
        ({"render": "opengl"}, UnknownNameError, "Unknown render 'opengl'.*gl, gl_full, software"),
        ({"appearance": "nice"}, UnknownNameError, "Unknown appearance 'nice'.*auto, detailed, plain"),
        (
            {"task": "two_arm_handover", "appearance": "plain"},
            ConfigurationError,
            "'plain', which is drawn for two_arm_lift with Pandas only; got two_arm_handover with Panda",
        ),
    ],
)
def test_ways_to_draw_are_checked(config: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        BimanualWorld(**config)
