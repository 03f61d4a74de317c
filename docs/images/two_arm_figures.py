"""Makes the pictures of docs/two-arm-rendering.md: ``python docs/images/two_arm_figures.py`` (half a minute).

Needs OpenGL (``libegl1 libgl1-mesa-dri`` or ``libosmesa6``) for the columns that MuJoCo draws; the others are the same
bytes on every machine.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from simloop.scenario_files import load_family
from simloop_bimanual.world import BimanualWorld

FOLDER = Path(__file__).parent
HEIGHT_PX, WIDTH_PX = 144, 192
TITLE_PX = 16
TASKS = (
    "two_arm_lift",
    "two_arm_peg_in_hole",
    "two_arm_transport",
    "two_arm_tray_balance",
    "two_arm_fold_towel",
)
COLUMNS = (
    ("front_camera", "software"),
    ("front_camera", "gl"),
    ("front_camera", "gl_full"),
    ("left_wrist_camera", "software"),
    ("left_wrist_camera", "gl"),
)
LOOKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("appearance=plain", {}),
    ("appearance=detailed", {}),
    ("light_intensity_ratio: 0.5", {"light_intensity_ratio": 0.5}),
    ("light_tilt_rad: 0.6", {"light_tilt_rad": 0.6, "light_azimuth_rad": 2.0}),
    ("front_camera_turn, shift", {"front_camera_turn_z_rad": 0.15, "front_camera_shift_y_m": 0.1}),
    (
        "table_*, object_*, floor_*",
        {"table_blue_ratio": 0.4, "object_red_ratio": 0.4, "floor_green_ratio": 1.6},
    ),
)


def titled(title: str, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A picture with a line of text above it."""
    out = Image.new("RGB", (rgb.shape[1], rgb.shape[0] + TITLE_PX), (255, 255, 255))
    ImageDraw.Draw(out).text((3, 2), title, fill=(40, 40, 40))
    out.paste(Image.fromarray(rgb), (0, TITLE_PX))
    return np.asarray(out)


def image(
    task: str, camera: str, values: dict[str, Any] | None = None, **options: str
) -> npt.NDArray[np.uint8]:
    """A camera's image at the start of seed 0, with the values that the family draws and further ones."""
    family = load_family(task)
    world = BimanualWorld(
        **family.world_config, camera_height_px=HEIGHT_PX, camera_width_px=WIDTH_PX, **options
    )
    scenario = family.scenario(0)
    world.reset(dataclasses.replace(scenario, parameters={**scenario.parameters, **(values or {})}), 0)
    return np.asarray(world.capture(camera, 0).array, dtype=np.uint8)


def renderers() -> Image.Image:
    """One row a task, one column a camera and renderer."""
    rows = []
    for task in TASKS:
        row = []
        for camera, render in COLUMNS:
            rgb = image(task, camera, render=render, appearance="detailed")
            row.append(titled(f"{task.removeprefix('two_arm_')}, {render}", rgb))
        rows.append(np.concatenate(row, axis=1))
    return Image.fromarray(np.concatenate(rows))


def looks() -> Image.Image:
    """The lift in its two appearances, and with parameters that vary its look."""
    pictures = []
    for number, (title, values) in enumerate(LOOKS):
        appearance = "plain" if number == 0 else "detailed"
        pictures.append(titled(title, image("two_arm_lift", "front_camera", values, appearance=appearance)))
    half = len(pictures) // 2
    rows = [np.concatenate(row, axis=1) for row in (pictures[:half], pictures[half:])]
    return Image.fromarray(np.concatenate(rows))


def main() -> None:
    """Writes ``two_arm_*.png``."""
    renderers().save(FOLDER / "two_arm_renderers.png", optimize=True)
    looks().save(FOLDER / "two_arm_looks.png", optimize=True)


if __name__ == "__main__":
    main()
