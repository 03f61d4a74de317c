"""Milliseconds of CPU for each camera image of the two-arm world, of every task, beside MuJoCo's OpenGL."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest

from simloop import wall_clock
from simloop.errors import MissingDependencyError
from simloop.scenario_files import load_family
from simloop_bimanual.rendering.gl_rendering import check_gl
from simloop_bimanual.rendering.views import View, two_arm_view
from simloop_bimanual.sensors import CAMERAS
from simloop_bimanual.tasks import TASKS
from simloop_bimanual.world import BimanualWorld

LARGEST_FRAME_MS = 5.0
NUM_FRAMES, NUM_GL_FRAMES = 60, 5
HEIGHT_PX, WIDTH_PX = 96, 128


def _median_ms(draw: Callable[[], object], count: int) -> float:
    draw()
    times_s = []
    for _ in range(count):
        start_s = wall_clock.cpu_s()
        draw()
        times_s.append(wall_clock.cpu_s() - start_s)
    return 1e3 * statistics.median(times_s)


def _frames_ms(view: View, world: BimanualWorld, count: int) -> dict[str, float]:
    def frame(camera: str) -> object:
        return view.freeze(camera, world._data, height_px=HEIGHT_PX, width_px=WIDTH_PX)()

    return {name: _median_ms(lambda name=name: frame(name), count) for name in CAMERAS}  # type: ignore[misc]


@pytest.mark.bench
@pytest.mark.parametrize("task", TASKS)
def test_frames_of_every_task(task: str) -> None:
    family = load_family(task)
    world = BimanualWorld(**family.world_config)
    world.reset(family.scenario(0), 0)
    frames_ms = _frames_ms(two_arm_view(world._model, "software", "detailed"), world, NUM_FRAMES)
    listed = ", ".join(f"{name} {ms:.2f}" for name, ms in frames_ms.items())
    print(
        f"\n{task}: median ms of CPU for a detailed image of {HEIGHT_PX} x {WIDTH_PX}: {listed}; "
        f"bar {LARGEST_FRAME_MS:.0f}."
    )
    assert max(frames_ms.values()) <= LARGEST_FRAME_MS


@pytest.mark.bench
@pytest.mark.parametrize("task", ["two_arm_lift", "two_arm_transport"])
def test_frames_by_opengl(task: str) -> None:
    try:
        backend = check_gl()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    family = load_family(task)
    world = BimanualWorld(**family.world_config)
    world.reset(family.scenario(0), 0)
    for mode in ("gl", "gl_full"):
        frames_ms = _frames_ms(two_arm_view(world._model, mode), world, NUM_GL_FRAMES)
        listed = ", ".join(f"{name} {ms:.1f}" for name, ms in frames_ms.items())
        print(f"\n{task}, render={mode} by {backend}: median ms of CPU for an image: {listed}.")
        assert min(frames_ms.values()) > 0.0
