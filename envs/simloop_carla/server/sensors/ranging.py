"""Lidars and radar: rays against the triangles that cameras draw."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simloop.rendering.camera_frames import camera_rotation_from_forward_left_up
from simloop_carla.server.actors import ServerActor
from simloop_carla.server.sensors.cameras import TAG_OF_CLASS
from simloop_carla.server.sensors.view import View
from simloop_carla.wire import streams
from simloop_driving.camera import front_camera
from simloop_driving.scenery.semantics import FIRST_ACTOR, TERRAIN

FloatArray = npt.NDArray[np.float64]

MAX_CHANNELS, MAX_AZIMUTHS = 128, 8192
MAX_DETECTIONS = 100_000
"""Rays of a radar's message."""
RADAR_SIZE_PX = (64, 96)
"""Height and width of the depth image that the radar's rays are drawn from."""


class _Sweep(NamedTuple):
    """What a lidar turned through since its last message; arrays are (channels, n), channel 0 looks lowest.

    Attributes:
        range_m, cosine, semantic, instance: As in ``RangeScan``.
        elevations_rad: (channels,).
        azimuths_rad: (n,) counter-clockwise, in the order in which they were measured.
        end_rad: Where the next sweep starts, clockwise from the left edge of the field of view.
    """

    range_m: FloatArray
    cosine: FloatArray
    semantic: npt.NDArray[np.int32]
    instance: npt.NDArray[np.int32]
    elevations_rad: FloatArray
    azimuths_rad: FloatArray
    end_rad: float


def _sweep(view: View, sensor: ServerActor) -> _Sweep:
    """Measures what a lidar turns through, at most one turn: clockwise, from the left edge of its field of view."""
    channels = min(max(int(view.number(sensor, "channels")), 1), MAX_CHANNELS)
    turns_per_s = min(max(view.number(sensor, "rotation_frequency"), 1e-3), 1e4)
    field_rad = math.radians(min(max(view.number(sensor, "horizontal_fov"), 0.1), 360.0))
    wanted = view.number(sensor, "points_per_second") / channels / turns_per_s
    columns = round(min(max(wanted, 4.0), float(MAX_AZIMUTHS)))
    step_rad = 2.0 * math.pi / max(round(2.0 * math.pi * columns / field_rad), 4)
    columns = max(round(field_rad / step_rad), 1)
    done = math.floor(view.episode.elapsed_s * turns_per_s * columns + 1e-6)
    since_s = view.episode.elapsed_s - view.episode.last_delta_s
    begun = (
        sensor.memory
        if isinstance(sensor.memory, int)
        else math.floor(since_s * turns_per_s * columns + 1e-6)
    )
    sensor.memory = done
    begun = min(max(begun, done - columns), done - 1)
    is_full = abs(field_rad - 2.0 * math.pi) < 1e-9
    edge = (begun // columns + 1) * columns
    runs = [(begun, done)] if is_full or done <= edge else [(begun, edge), (edge, done)]
    low, high = sorted(math.radians(view.number(sensor, name)) for name in ("lower_fov", "upper_fov"))
    low, high = max(low, -0.499 * math.pi), min(high, 0.499 * math.pi)
    elevations = np.linspace(low, high, channels) if high > low else low + 1e-6 * np.arange(channels)
    position_m, axes = view.axes(view.episode.pose(sensor))
    scene, parts, azimuths = view.scene(sensor), [], []
    for first, last in runs:
        own = 0.5 * field_rad - (np.arange(first, last) % columns) * step_rad
        azimuths.append(own)
        parts.append(
            scene.scan(
                position_m,
                axes,
                elevations,
                num_azimuths=last - first,
                azimuth_start_rad=float(own[-1]) % (2.0 * math.pi),
                azimuth_step_rad=step_rad,
                max_range_m=max(view.number(sensor, "range"), 0.1),
            )
        )
    range_m, cosine, semantic, instance = (
        np.concatenate([getattr(part, name)[:, ::-1] for part in parts], axis=1)
        for name in ("range_m", "cosine", "semantic", "instance")
    )
    end_rad = (done % columns) * step_rad
    return _Sweep(range_m, cosine, semantic, instance, elevations, np.concatenate(azimuths), end_rad)


def _points(
    view: View, sensor: ServerActor, sweep: _Sweep
) -> tuple[FloatArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Returns (channels, n, 4) x, y, z (CARLA's sensor frame) and range, what is hit, and what of it is bare ground."""
    range_m = sweep.range_m.astype(np.float64)
    position_m, axes = view.axes(view.episode.pose(sensor))
    elevations, azimuths = sweep.elevations_rad[:, None], sweep.azimuths_rad
    cos_e, sin_e = np.cos(elevations), np.sin(elevations)
    direction = np.stack(
        [cos_e * np.cos(azimuths), cos_e * np.sin(azimuths), np.broadcast_to(sin_e, range_m.shape)], axis=-1
    )
    climb = direction @ axes[2]
    ground_m = np.divide(-position_m[2], climb, out=np.full(climb.shape, np.inf), where=climb < 0.0)
    is_ground = ground_m < range_m
    range_m = np.minimum(range_m, ground_m)
    is_hit = range_m <= view.number(sensor, "range")
    range_m = np.where(is_hit, range_m, 0.0)
    xyz = direction * range_m[..., None]
    xyz[..., 1] *= -1.0
    points: FloatArray = np.concatenate([xyz, range_m[..., None]], axis=-1, dtype=np.float64)
    return points, is_hit, is_ground


def _steepness(points: FloatArray, axes: FloatArray) -> FloatArray:
    """Returns the cosine of the angle between the rays of ``_points`` and the vertical."""
    down = np.abs((points[..., :3] * (1.0, -1.0, 1.0)) @ axes[2])
    return np.divide(down, points[..., 3], out=np.zeros(down.shape), where=points[..., 3] > 0.0)


def lidar(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns x, y, z and intensity, which falls with exp(-attenuation range); returns are dropped as set."""
    sweep = _sweep(view, sensor)
    points, is_hit, _ = _points(view, sensor, sweep)
    intensity = np.exp(-view.number(sensor, "atmosphere_attenuation_rate") * points[..., 3])
    draws = view.draws(sensor)
    drop = np.full(intensity.shape, view.number(sensor, "dropoff_general_rate"))
    limit, at_zero = (
        view.number(sensor, "dropoff_intensity_limit"),
        view.number(sensor, "dropoff_zero_intensity"),
    )
    faint = at_zero * (1.0 - intensity / limit) if limit > 0.0 else np.zeros_like(intensity)
    is_hit &= draws.random(intensity.shape) >= drop
    is_hit &= draws.random(intensity.shape) >= np.where(intensity < limit, faint, 0.0)
    noise_m = view.number(sensor, "noise_stddev")
    if noise_m > 0.0:
        scale = 1.0 + noise_m * draws.standard_normal(intensity.shape) / np.maximum(points[..., 3], 1e-6)
        points[..., :3] *= scale[..., None]
    points[..., 3] = intensity
    order = slice(None, None, -1)  # channel 0 looks highest
    counts = is_hit[order].sum(axis=1).astype("<u4")
    return [streams.lidar(sweep.end_rad, counts, points[order][is_hit[order]].astype("<f4"))]


def semantic_lidar(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns x, y, z, cosine of incidence, actor id and semantic tag of every hit."""
    sweep = _sweep(view, sensor)
    points, is_hit, is_ground = _points(view, sensor, sweep)
    ids = np.array([0, *(actor.id for actor in view.bodies())], dtype=np.uint32)
    semantic = np.where(is_ground | (sweep.semantic < 0), TERRAIN, sweep.semantic)
    is_actor = semantic >= FIRST_ACTOR
    out = np.zeros(is_hit.shape, dtype=streams.SEMANTIC_POINT)
    out["x"], out["y"], out["z"] = points[..., 0], points[..., 1], points[..., 2]
    out["cosine"] = np.where(
        is_ground, _steepness(points, view.axes(view.episode.pose(sensor))[1]), sweep.cosine
    )
    out["object"] = np.where(is_actor, ids[np.where(is_actor, sweep.instance, 0)], 0)
    out["tag"] = TAG_OF_CLASS[semantic]
    order = slice(None, None, -1)
    counts = is_hit[order].sum(axis=1).astype("<u4")
    return [streams.lidar(sweep.end_rad, counts, out[order][is_hit[order]])]


def radar(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns velocity (positive: away), azimuth (to the right), altitude and depth of rays drawn at random.

    The rays fill an elliptic cone and crowd around its axis, as those of CARLA's radar: angle and distance from the
    axis are uniform.
    """
    half_h = 0.5 * math.radians(min(max(view.number(sensor, "horizontal_fov"), 1.0), 170.0))
    half_v = 0.5 * math.radians(min(max(view.number(sensor, "vertical_fov"), 1.0), 170.0))
    height, width = RADAR_SIZE_PX
    tall = min(max(2, round(width * math.tan(half_v) / math.tan(half_h))), 4 * height)
    camera = front_camera((tall, width), 2.0 * half_h)
    position_m, axes = view.axes(view.episode.pose(sensor))
    rotation = camera_rotation_from_forward_left_up(axes)
    image = view.scene(sensor).render(camera, position_m, rotation, ("depth", "instance", "semantic"), 1)
    now_ns = view.episode.elapsed_ns
    since_s = 1e-9 * (now_ns - sensor.memory) if isinstance(sensor.memory, int) else view.episode.last_delta_s
    sensor.memory = now_ns
    wanted = view.number(sensor, "points_per_second") * max(since_s, 1e-3)
    count = round(min(max(wanted, 1.0), float(MAX_DETECTIONS)))
    draws = view.draws(sensor)
    off, angle = draws.random(count), 2.0 * math.pi * draws.random(count)
    columns = np.minimum((0.5 * (1.0 + off * np.cos(angle)) * width).astype(np.int64), width - 1)
    rows = np.minimum((0.5 * (1.0 - off * np.sin(angle)) * tall).astype(np.int64), tall - 1)
    ray = np.asarray(camera.ray_directions())[rows, columns]
    length = np.linalg.norm(ray, axis=1)
    distance_m = image.depth_m[rows, columns].astype(np.float64) * length
    climb = ray @ rotation[2]
    ground_m = np.divide(-position_m[2], climb, out=np.full(count, np.inf), where=climb < 0.0) * length
    is_bare = ground_m < distance_m
    distance_m = np.minimum(distance_m, ground_m)
    is_hit = distance_m <= view.number(sensor, "range")
    body_velocity = np.concatenate([np.zeros((1, 2)), view.episode.bodies.velocities()])
    semantic = image.semantic[rows, columns]
    instance = np.where((semantic >= FIRST_ACTOR) & ~is_bare, image.instance[rows, columns], 0)
    own = np.zeros(2)
    if sensor.parent is not None and sensor.parent.number >= 0:
        own = body_velocity[1 + sensor.parent.number]
    world_ray = (ray @ rotation.T) / length[:, None]
    velocity = ((body_velocity[instance] - own) * world_ray[:, :2]).sum(axis=1)
    azimuth = np.arctan2(ray[:, 0], -ray[:, 2])
    altitude = np.arctan2(ray[:, 1], np.hypot(ray[:, 0], ray[:, 2]))
    out = np.stack([velocity, azimuth, altitude, distance_m], axis=1)[is_hit]
    return [streams.radar(out.astype(np.float32))]
