"""Makes the pictures of docs/sensors.md: ``python docs/images/sensor_figures.py`` (some seconds).

One moment before the town's lights: a car ahead, a bicycle beside it, a parked car, somebody on foot at the kerb, and
oncoming traffic that the ego gives way to, as it turns left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from simloop.spec import Scenario
from simloop_driving import sensors
from simloop_driving.camera import CameraScene
from simloop_driving.roads.road_map import RoadMap, load_map
from simloop_driving.scenario.actor_state import ACTOR_CLASSES, ACTOR_DIMENSIONS_M
from simloop_driving.scenery.semantics import FIRST_ACTOR, SEMANTIC_CLASSES
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

FOLDER = Path(__file__).parent
Array = npt.NDArray[Any]
Colour = tuple[int, int, int]

NUM_TICKS = 40
WHITE, GREY, INK = (255, 255, 255), (205, 205, 205), (40, 40, 40)
RED, BLUE, GREEN, ORANGE = (200, 40, 30), (20, 90, 170), (40, 130, 60), (220, 130, 20)
PALETTE: dict[str, Colour] = {
    "none": (0, 0, 0), "sky": (170, 200, 235), "terrain": (150, 180, 120), "road": (110, 110, 115),
    "shoulder": (150, 145, 140), "parking": (135, 125, 150), "sidewalk": (215, 190, 160), "biking": (170, 90, 80),
    "lane_marking": (255, 255, 255), "pole": (90, 60, 40), "traffic_light": (250, 200, 0),
    "traffic_sign": (230, 60, 160), "car": (200, 40, 30), "truck": (20, 90, 170), "motorcycle": (120, 40, 130),
    "bicycle": (0, 160, 160), "pedestrian": (255, 120, 0), "door": (90, 0, 0), "barrier": (90, 0, 90),
    "cone": (255, 160, 60),
}  # fmt: skip

SCENE: dict[str, Any] = {
    "map": "town",
    "ego": {
        "road": 111, "lane": -1, "station_m": 70.0, "initial_speed_mps": 8.0, "set_speed_mps": 12.0,
        "to": {"road": 212, "lane": -1},
    },
    "actors": {
        "lead": {"lane": "ego", "gap_m": 12.0, "speed_mps": 8.0},
        "bicycle": {"lane": "ego", "gap_m": 19.0, "speed_mps": 7.0, "class": "bicycle", "lateral_offset_m": -1.3},
        "parked": {"lane": "parking", "gap_m": 23.0, "speed_mps": 0.0},
        "walker": {"lane": "kerb", "gap_m": 33.0, "speed_mps": 0.0, "class": "pedestrian"},
        "oncoming": {
            "path": {"road": 112, "lane": 1, "station_m": 70.0, "to": {"road": 111, "lane": 1}},
            "speed_mps": 9.0,
            "behaviour": "idm",
        },
    },
    "signals": {"green_s": 20.0, "amber_s": 3.0, "all_red_s": 2.0, "offset_s": 0.0},
    "criteria": {"goal_distance_m": 100.0},
}  # fmt: skip
VIEWS: tuple[tuple[str, int, int, float, tuple[tuple[Any, ...], ...]], ...] = (
    ("town", 111, -1, 98.0, (("car", 119.0, 3.5, math.pi), ("pedestrian", 113.0, -4.2, 1.6))),
    ("town", 212, -1, 102.0, (("motorcycle", 115.0, 0.0, 0.0),)),
    ("rural", 2, -1, 100.0, (("truck", 128.0, 0.1, 0.0),)),
    (
        "rural",
        3,
        -1,
        100.0,
        (("car", 118.0, -0.9, 0.0), ("door", 118.3, 0.35, 0.0), ("car", 150.0, 3.5, math.pi)),
    ),
    ("merge", 4, -4, 5.0, (("truck", 60.0, 0.0, 0.0), ("car", 35.0, 3.5, 0.0))),
    ("roundabout", 4, -1, 180.0, (("bicycle", 190.0, -1.0, 0.0),)),
)
"""Map, road, lane and station of the ego; class, station, offset and turn of each actor."""
EXTRA: dict[str, Any] = {
    "rgb_camera": {"height_px": 240, "width_px": 400},
    "semantic_camera": {"height_px": 240, "width_px": 400},
    "depth_camera": {"height_px": 240, "width_px": 400},
    "lidar": {"channels": 48, "azimuths": 1024},
    "radar": None,
    "noisy_objects": None,
    "birds_eye": None,
    "road_ahead": None,
    "controls": None,
    "conflicts": None,
    "imu": None,
    "gnss": None,
}


class Plan:
    """A drawing seen from above, in the ego's frame: forward is up.

    Args:
        size_px: Width and height.
        ahead_m: What the upper edge shows.
        px_per_m: Scale.
    """

    def __init__(self, size_px: tuple[int, int], ahead_m: float, px_per_m: float) -> None:
        self.image = Image.new("RGB", size_px, WHITE)
        self.draw = ImageDraw.Draw(self.image)
        self._ahead_m, self._px_per_m = ahead_m, px_per_m

    def at(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Pixel of a point."""
        return 0.5 * self.image.width - y_m * self._px_per_m, (self._ahead_m - x_m) * self._px_per_m

    def line(self, points_m: Array, colour: Colour, width_px: int = 1) -> None:
        """A line through (N, 2) points."""
        self.draw.line([self.at(x, y) for x, y in points_m], fill=colour, width=width_px)

    def box(self, row: Array, colour: Colour, width_px: int = 1) -> None:
        """A row of ``objects``."""
        _, x, y, heading, _, _, length, width = row
        cos, sin = math.cos(heading), math.sin(heading)
        corners = [(0.5, 0.5), (0.5, -0.5), (-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]
        ring = [
            (x + a * length * cos - b * width * sin, y + a * length * sin + b * width * cos)
            for a, b in corners
        ]
        self.line(np.array(ring), colour, width_px)

    def dot(self, x_m: float, y_m: float, colour: Colour, radius_px: float = 3.0) -> None:
        """A dot."""
        x, y = self.at(x_m, y_m)
        self.draw.ellipse((x - radius_px, y - radius_px, x + radius_px, y + radius_px), fill=colour)

    def text(self, x_m: float, y_m: float, words: str, colour: Colour = INK) -> None:
        """Words beside a point."""
        x, y = self.at(x_m, y_m)
        self.draw.text((x + 6, y - 6), words, fill=colour)

    def ego(self) -> None:
        """The outline of the ego."""
        self.box(np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.6, 1.85]), INK, 2)


def titled(panels: Sequence[tuple[str, Image.Image]], columns: int) -> Image.Image:
    """Panels side by side, each under its title."""
    width, height = max(p.width for _, p in panels), max(p.height for _, p in panels)
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (columns * (width + 8) - 8, rows * (height + 22)), WHITE)
    pen = ImageDraw.Draw(sheet)
    for number, (title, panel) in enumerate(panels):
        x, y = number % columns * (width + 8), number // columns * (height + 22)
        pen.text((x + 2, y + 4), title, fill=INK)
        sheet.paste(panel, (x, y + 20))
    return sheet


def cameras(seen: dict[str, Array]) -> Image.Image:
    """RGB, semantic and depth pictures, and the lidar's range image."""
    classes = np.array([PALETTE[name] for name in SEMANTIC_CLASSES], dtype=np.uint8)[seen["semantic_camera"]]
    depth = np.clip(
        np.log(np.where(seen["depth_camera"] > 0.0, np.maximum(seen["depth_camera"], 1.0), 1e3))
        / np.log(150.0),
        0.0,
        1.0,
    )
    ranges = seen["lidar"][..., 0]
    middle = ranges.shape[1] // 2
    image = np.where(ranges > 0.0, 255.0 - 200.0 * np.sqrt(np.clip(ranges / 80.0, 0.0, 1.0)), 0.0)
    image = np.roll(image, middle, axis=1)[:, ::-1].astype(
        np.uint8
    )  # forward in the middle, left on the left
    strip = Image.fromarray(image).resize((400, 240), Image.Resampling.NEAREST).convert("RGB")
    return titled(
        [
            ("rgb_camera", Image.fromarray(seen["rgb_camera"])),
            ("semantic_camera", Image.fromarray(classes)),
            ("depth_camera (dark: near)", Image.fromarray((255 * depth).astype(np.uint8)).convert("RGB")),
            ("lidar, range image of the full circle (bright: near)", strip),
        ],
        2,
    )


def lane_pose(road_map: RoadMap, samples: slice, s_m: float, d_m: float, turn_rad: float) -> Array:
    """Pose at a place along and across a lane, turned from its direction."""
    rows = (road_map.x_m, road_map.y_m, road_map.yaw_rad)
    x, y, yaw = (float(np.interp(s_m, road_map.s_m[samples], row[samples])) for row in rows)
    return np.array([x - d_m * math.sin(yaw), y + d_m * math.cos(yaw), yaw + turn_rad])


def maps() -> Image.Image:
    """The front camera on the shipped maps."""
    panels = []
    for name, road, lane, station_m, actors in VIEWS:
        road_map = load_map(name)
        samples = road_map.samples(road_map.lane_index(road, lane))
        scene = CameraScene(road_map, size_px=(240, 400))
        rgb = scene.render(
            lane_pose(road_map, samples, station_m, 0.0, 0.0),
            np.array([lane_pose(road_map, samples, *place) for _, *place in actors]).reshape(-1, 3),
            np.array([ACTOR_DIMENSIONS_M[kind] for kind, *_ in actors]).reshape(-1, 3),
            [ACTOR_CLASSES.index(kind) for kind, *_ in actors],
            [False] * len(actors),
            None,
            np.arange(len(road_map.signal_kind)) % 3,
        )
        panels.append((f"{name}, road {road}", Image.fromarray(rgb)))
    return titled(panels, 2)


def from_above(seen: dict[str, Array]) -> Image.Image:
    """Lidar points, radar detections, noisy objects and the bird's-eye raster."""
    panels = []
    truth = seen["objects"][seen["objects"][:, 0] > 0.0]

    plan = Plan((400, 400), 55.0, 5.5)
    channels, azimuths, _ = seen["lidar"].shape
    elevation = np.radians(np.linspace(6.0, -25.0, channels))[:, None]
    azimuth = np.arange(azimuths) * 2.0 * math.pi / azimuths
    ranges = seen["lidar"][..., 0]
    x, y = ranges * np.cos(elevation) * np.cos(azimuth), ranges * np.cos(elevation) * np.sin(azimuth)
    z = 1.75 + ranges * np.sin(elevation)
    for row, column in np.argwhere(ranges > 0.0):
        is_raised = bool(z[row, column] > 0.25)
        place = float(x[row, column]), float(y[row, column])
        plan.dot(*place, RED if is_raised else GREY, 1.2 if is_raised else 0.6)
    plan.ego()
    panels.append(("lidar from above (red: more than 0.25 m above the ground)", plan.image))

    plan = Plan((400, 400), 36.0, 10.0)
    for row in truth:
        plan.box(row, GREY)
    for _, range_m, azimuth_rad, speed in seen["radar"][seen["radar"][:, 0] > 0.0]:
        x_m, y_m = 2.3 + range_m * math.cos(azimuth_rad), range_m * math.sin(azimuth_rad)
        plan.dot(x_m, y_m, BLUE)
        plan.text(x_m, y_m, f"{speed:+.1f} m/s", BLUE)
    for side in (-1, 1):
        plan.line(np.array([(2.3, 0.0), (2.3 + 80.0, side * 80.0)]), GREY)
    plan.ego()
    panels.append(("radar: detections with radial speed (grey: true boxes)", plan.image))

    plan = Plan((400, 400), 36.0, 10.0)
    for row in truth:
        plan.box(row, (120, 120, 120), 2)
    for row in seen["noisy_objects"][seen["noisy_objects"][:, 0] > 0.0]:
        plan.box(row, ORANGE)
        plan.text(row[1], row[2], f"{row[4]:.1f} m/s", ORANGE)
    plan.ego()
    panels.append(("noisy_objects (grey: objects, the truth)", plan.image))

    raster = seen["birds_eye"]
    colours = {
        "road": GREY,
        "lane_marks": WHITE,
        "route": (190, 215, 190),
        "vehicles": RED,
        "vulnerable": ORANGE,
    }
    image = np.full((*raster.shape[1:], 3), 245, dtype=np.uint8)
    for name in ("road", "route", "lane_marks", "vehicles", "vulnerable"):
        image[raster[sensors.BIRDS_EYE_LAYERS.index(name)] > 0] = colours[name]
    for value, colour in zip((85, 170, 255), (GREEN, (250, 200, 0), RED), strict=True):
        image[raster[sensors.BIRDS_EYE_LAYERS.index("signals")] == value] = colour
    large = Image.fromarray(image).resize((384, 384), Image.Resampling.NEAREST)
    panels.append(("birds_eye, all layers in one picture (the ego is in none)", large))
    return titled(panels, 2)


def from_the_map(seen: dict[str, Array]) -> Image.Image:
    """The route with its edges, stop lines and conflicts."""
    plan = Plan((400, 400), 125.0, 3.1)
    route, road = seen["route"], seen["road_ahead"]
    across = np.stack([-np.sin(route[:, 2]), np.cos(route[:, 2])], axis=1)
    for column, colour in ((0, INK), (1, INK), (2, GREEN), (3, GREEN)):
        plan.line(route[:, :2] + road[:, column, None] * across, colour)
    for point, row in zip(route, road, strict=True):
        plan.dot(point[0], point[1], RED if row[5] else BLUE, 2.0)
    plan.ego()
    edges = plan.image

    plan = Plan((400, 400), 125.0, 3.1)
    way_m = np.arange(len(route)) * sensors.ROUTE_SPACING_M

    def on_route(distance_m: float) -> tuple[float, float]:
        return float(np.interp(distance_m, way_m, route[:, 0])), float(
            np.interp(distance_m, way_m, route[:, 1])
        )

    plan.line(route[:, :2], GREY)
    for row in seen["objects"][seen["objects"][:, 0] > 0.0]:
        plan.box(row, GREY)
    for _, distance_m, kind, state, change_s, exit_m in seen["controls"][seen["controls"][:, 0] > 0.0]:
        words = f"light {('green', 'amber', 'red')[int(state)]} for {change_s:.1f} s" if kind == 0 else "sign"
        plan.dot(*on_route(distance_m), GREEN)
        plan.text(*on_route(distance_m), f"{words}, {distance_m:.0f} m; exit {exit_m:.0f} m", GREEN)
    for row in seen["conflicts"][seen["conflicts"][:, 0] > 0.0]:
        plan.line(np.array([on_route(d) for d in np.linspace(row[1], row[2], 9)]), RED, 5)
        who = {1.0: "ego first", -1.0: "actor first"}.get(float(row[6]), "by signal alone")
        plan.text(*on_route(row[2]), f"conflict, {who}: ego {row[1]:.0f}, actor {row[3]:.0f} m", RED)
    plan.ego()
    return titled(
        [
            ("route and road_ahead (black: road, green: own lanes, red: junction)", edges),
            ("controls and conflicts along the route", plan.image),
        ],
        2,
    )


def over_time(imu: Array, gnss: Array, path: Array) -> Image.Image:
    """The IMU's samples and the fixes beside the true path."""
    chart = Image.new("RGB", (400, 300), WHITE)
    pen = ImageDraw.Draw(chart)
    for number, (column, name, low, high) in enumerate(
        ((2, "force_x_mps2", -3.0, 3.0), (3, "force_y_mps2", -3.0, 3.0), (7, "rate_z_radps", -0.4, 0.4))
    ):
        top = 8 + 97 * number
        pen.rectangle((30, top, 392, top + 85), outline=GREY)
        pen.text((34, top + 2), f"{name} ({low:g} to {high:g})", fill=INK)
        values = np.clip((imu[:, column] - low) / (high - low), 0.0, 1.0)
        x = 30 + 362 * np.arange(len(values)) / (len(values) - 1)
        pen.line(list(zip(x.tolist(), (top + 85 - 85 * values).tolist(), strict=True)), fill=BLUE)
    plan = Plan((400, 300), 15.0, 9.0)
    middle = path.mean(axis=0)
    plan.line(np.stack([path[:, 1] - middle[1], middle[0] - path[:, 0]], axis=1), GREY, 2)
    for _, x_m, y_m, *_ in gnss:
        plan.dot(y_m - middle[1], middle[0] - x_m, RED, 2.0)
    return titled(
        [("imu: 100 Hz", chart), ("gnss: fixes every 0.1 s (grey: true path, north up)", plan.image)], 2
    )


def main() -> None:
    """Writes ``sensors_*.png``."""
    world = DrivingWorld(action="acceleration", extra_sensors=EXTRA)
    world.reset(Scenario(family="docs", world="driving", parameters={}, scene=SCENE), 3)
    imu, gnss, path = [], [], []
    for tick in range(1, NUM_TICKS + 1):
        world.actuate(np.array([0.8 * math.sin(0.25 * tick), 0.0]))
        world.advance(tick * CONTROL_PERIOD_NS)
    seen = {sensor.name: np.asarray(world.capture(sensor.name, 0).array) for sensor in world.spec.sensors}
    assert len(PALETTE) == FIRST_ACTOR + 8
    cameras(seen).save(FOLDER / "sensors_cameras.png", optimize=True)
    maps().save(FOLDER / "sensors_maps.png", optimize=True)
    from_above(seen).save(FOLDER / "sensors_above.png", optimize=True)
    from_the_map(seen).save(FOLDER / "sensors_map.png", optimize=True)
    world.reset(Scenario(family="docs", world="driving", parameters={}, scene=SCENE), 3)
    for tick in range(1, 101):
        world.actuate(np.array([1.2 * math.sin(0.15 * tick), 0.03 * math.sin(0.1 * tick)]))
        world.advance(tick * CONTROL_PERIOD_NS)
        imu.append(world.capture("imu", tick).array)
        path.append(world.anchor().pose[:2])
        if tick % 2 == 0:
            gnss.append(world.capture("gnss", tick).array)
    over_time(np.concatenate(imu), np.stack(gnss), np.stack(path)).save(
        FOLDER / "sensors_motion.png", optimize=True
    )


if __name__ == "__main__":
    main()
