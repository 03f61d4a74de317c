"""Short films of failing episodes: bird's-eye view or two projections of the arms, H.264 in mp4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from simloop.report.scene import FloatArray, Scene

WIDTH, HEIGHT = 640, 360
FRAMES_PER_SECOND = 10
MAX_SECONDS = 30
_OVERSAMPLING = 2
_BACKGROUND, _ROAD, _LANE, _INK = (246, 245, 241), (232, 230, 223), (185, 181, 168), (27, 31, 36)
_EGO, _ACTOR, _TRAIL = (31, 94, 255), (120, 128, 140), (165, 188, 250)
_SIGNAL_COLOURS = ((18, 128, 92), (216, 138, 0), (196, 48, 43))
"""Green, amber, red."""
_POINT_COLOURS = ((31, 94, 255), (217, 72, 15), (12, 133, 153), (156, 54, 181), (92, 148, 13), (194, 37, 92))
_METRES_ACROSS = 90.0


def write_video(path: Path, scene: Scene, caption: str) -> None:
    """Writes the film of a scene at its own pace; longer ones are cut at ``MAX_SECONDS``."""
    times = np.arange(
        scene.t_s[0], min(scene.t_s[-1], scene.t_s[0] + MAX_SECONDS) + 1e-9, 1.0 / FRAMES_PER_SECOND
    )
    # imageio's writers are typed as their common base, which lacks the method that adds a frame.
    opened: Any = imageio.get_writer(
        path,
        format="FFMPEG",
        fps=FRAMES_PER_SECOND,
        codec="libx264",
        pixelformat="yuv420p",
        macro_block_size=2,
        ffmpeg_log_level="error",
    )
    with opened as writer:
        for t_s in times:
            writer.append_data(draw_frame(scene, float(t_s), caption))


def draw_frame(scene: Scene, t_s: float, caption: str) -> npt.NDArray[np.uint8]:
    """Returns one (HEIGHT, WIDTH, 3) picture of the scene at the last frame at or before ``t_s``."""
    index = max(int(np.searchsorted(scene.t_s, t_s + 1e-9, side="right")) - 1, 0)
    size = (WIDTH * _OVERSAMPLING, HEIGHT * _OVERSAMPLING)
    image = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(image)
    if scene.actors:
        _draw_road_scene(draw, scene, index, size)
    else:
        _draw_point_scene(draw, scene, index, size)
    draw.text((20, size[1] - 36), f"{t_s:5.2f} s   {caption}", fill=_INK, font_size=24)
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BOX), dtype=np.uint8)


def _draw_road_scene(draw: ImageDraw.ImageDraw, scene: Scene, index: int, size: tuple[int, int]) -> None:
    ego = scene.actors[0].pose
    centre = ego[index, :2]
    course = scene.course_rad
    scale = size[0] / _METRES_ACROSS
    rotation = np.array([[np.cos(course), np.sin(course)], [-np.sin(course), np.cos(course)]])

    def to_pixels(points: FloatArray) -> list[tuple[float, float]]:
        local = (points - centre) @ rotation.T * scale
        return [(size[0] * 0.36 + x, size[1] / 2 - y) for x, y in local]

    for line in scene.road:
        draw.line(to_pixels(line), fill=_LANE, width=3)
    for stop in scene.stop_lines:
        state = scene.signals[stop.signal].state_at(float(scene.t_s[index])) if stop.signal >= 0 else None
        draw.line(to_pixels(stop.ends_m), fill=_ACTOR if state is None else _SIGNAL_COLOURS[state], width=8)
    trail = ego[: index + 1, :2]
    if len(trail) > 1:
        draw.line(to_pixels(trail), fill=_TRAIL, width=4)
    for track in reversed(scene.actors):
        x, y, yaw = track.pose[index]
        if not np.isfinite(x):
            continue
        forward, left = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
        length_m, width_m = (float(v) for v in track.size_m[index])
        half = 0.5 * length_m * forward, 0.5 * width_m * left
        corners = np.array([x, y]) + np.array(
            [half[0] + half[1], half[0] - half[1], -half[0] - half[1], half[1] - half[0]]
        )
        draw.polygon(to_pixels(corners), fill=_EGO if track.actor == 0 else _ACTOR, outline=_INK)


def _draw_point_scene(draw: ImageDraw.ImageDraw, scene: Scene, index: int, size: tuple[int, int]) -> None:
    stacked = np.concatenate([track for _, track in scene.points])
    low, high = np.nanmin(stacked, axis=0), np.nanmax(stacked, axis=0)
    level = 0 if high[0] - low[0] > high[1] - low[1] else 1
    for view, upward in enumerate((1 - level, 2)):
        left, width = view * size[0] // 2, size[0] // 2
        middle = 0.5 * (low + high)
        spread = max(
            float(high[level] - low[level]) / width, float(high[upward] - low[upward]) / size[1], 1e-4
        )
        scale = 0.7 / spread
        for i, (name, track) in enumerate(scene.points):
            colour = _POINT_COLOURS[i % len(_POINT_COLOURS)]
            x = left + width / 2 + (track[: index + 1, level] - middle[level]) * scale
            y = size[1] / 2 - (track[: index + 1, upward] - middle[upward]) * scale
            shown = np.isfinite(x) & np.isfinite(y)
            pixels = list(zip(x[shown].tolist(), y[shown].tolist(), strict=True))
            if len(pixels) > 1:
                draw.line(pixels, fill=tuple((c + 255) // 2 for c in colour), width=3)
            if pixels:
                px, py = pixels[-1]
                draw.ellipse((px - 12, py - 12, px + 12, py + 12), fill=colour)
                draw.text((px + 18, py - 12), name, fill=_INK, font_size=20)
        label = f"{'from above' if view == 0 else 'from the front'}: {'xyz'[level]} to the right, {'xyz'[upward]} up"
        draw.text((left + 20, 16), label, fill=_ACTOR, font_size=20)
    draw.line([(size[0] / 2, 0), (size[0] / 2, size[1] - 50)], fill=_ROAD, width=2)
