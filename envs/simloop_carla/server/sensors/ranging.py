"""Lidars and radar: rays against the triangles that cameras draw."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simloop.rendering import RangeScan
from simloop.rendering.camera_frames import camera_rotation_from_forward_left_up
from simloop_carla.server.actors import ServerActor
from simloop_carla.server.sensors.cameras import TAG_OF_CLASS
from simloop_carla.server.sensors.view import View
from simloop_carla.wire import streams
from simloop_driving.camera import front_camera
from simloop_driving.scenery.semantics import FIRST_ACTOR, TERRAIN

FloatArray = npt.NDArray[np.float64]

MAX_CHANNELS, MAX_AZIMUTHS = 128, 8192
RADAR_SIZE_PX = (64, 96)
"""Height and width of the depth image that the radar's rays are drawn from."""


def _sweep(view: View, sensor: ServerActor) -> tuple[RangeScan, FloatArray, FloatArray, float]:
    """Measures what a lidar turns through in this tick.

    Returns:
        The scan, (channels,) ascending elevations, (n,) azimuths of its columns, counter-clockwise, and the angle at
        which the next sweep starts.
    """
    channels = min(max(int(view.number(sensor, "channels")), 1), MAX_CHANNELS)
    turns_per_s = max(view.number(sensor, "rotation_frequency"), 1e-3)
    per_turn = round(view.number(sensor, "points_per_second") / channels / turns_per_s)
    per_turn = min(max(per_turn, 4), MAX_AZIMUTHS)
    step_rad = 2.0 * math.pi / per_turn
    turned = view.episode.elapsed_s * turns_per_s
    first = math.floor((turned - view.episode.last_delta_s * turns_per_s) * per_turn + 1e-6)
    count = min(max(math.floor(turned * per_turn + 1e-6) - first, 1), per_turn)
    upper, lower = view.number(sensor, "upper_fov"), view.number(sensor, "lower_fov")
    low, high = sorted((math.radians(lower), math.radians(upper)))
    elevations = np.linspace(low, high, channels) if high > low else low + 1e-6 * np.arange(channels)
    azimuths = -(first + np.arange(count)) * step_rad  # CARLA's lidar turns clockwise, seen from above
    position_m, axes = view.axes(view.episode.pose(sensor))
    scan = view.scene(sensor).scan(
        position_m,
        axes,
        elevations,
        num_azimuths=count,
        azimuth_start_rad=float(azimuths[-1]) % (2.0 * math.pi),
        azimuth_step_rad=step_rad,
        max_range_m=max(view.number(sensor, "range"), 0.1),
    )
    return scan, elevations, azimuths[::-1], (turned % 1.0) * 2.0 * math.pi


def _points(
    view: View, sensor: ServerActor, scan: RangeScan, elevations: FloatArray, azimuths: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Returns (channels, n, 4) x, y, z (CARLA's sensor frame) and range, what is hit, and what of it is bare ground."""
    range_m = scan.range_m.astype(np.float64)
    position_m, axes = view.axes(view.episode.pose(sensor))
    cos_e, sin_e = np.cos(elevations)[:, None], np.sin(elevations)[:, None]
    direction = np.stack(
        [cos_e * np.cos(azimuths), cos_e * np.sin(azimuths), np.broadcast_to(sin_e, range_m.shape)], axis=-1
    )
    climb = direction @ axes[2]
    ground_m = np.divide(-position_m[2], climb, out=np.full(climb.shape, np.inf), where=climb < 0.0)
    is_ground = ground_m < range_m
    range_m = np.minimum(range_m, ground_m)
    is_hit = range_m <= view.number(sensor, "range")
    field = math.radians(view.number(sensor, "horizontal_fov"))
    is_hit &= np.abs(np.remainder(azimuths + math.pi, 2.0 * math.pi) - math.pi)[None, :] <= 0.5 * field + 1e-9
    range_m = np.where(is_hit, range_m, 0.0)
    xyz = direction * range_m[..., None]
    xyz[..., 1] *= -1.0
    points: FloatArray = np.concatenate([xyz, range_m[..., None]], axis=-1, dtype=np.float64)
    return points, is_hit, is_ground


def lidar(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns x, y, z and intensity, which falls with exp(-attenuation range); returns are dropped as set."""
    scan, elevations, azimuths, end_rad = _sweep(view, sensor)
    points, is_hit, _ = _points(view, sensor, scan, elevations, azimuths)
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
    return [streams.lidar(end_rad, counts, points[order][is_hit[order]].astype("<f4"))]


def semantic_lidar(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns x, y, z, cosine of incidence, actor id and semantic tag of every hit."""
    scan, elevations, azimuths, end_rad = _sweep(view, sensor)
    points, is_hit, is_ground = _points(view, sensor, scan, elevations, azimuths)
    ids = np.array([0, *(actor.id for actor in view.bodies())], dtype=np.uint32)
    semantic = np.where(is_ground | (scan.semantic < 0), TERRAIN, scan.semantic)
    is_actor = semantic >= FIRST_ACTOR
    out = np.zeros(is_hit.shape, dtype=streams.SEMANTIC_POINT)
    out["x"], out["y"], out["z"] = points[..., 0], points[..., 1], points[..., 2]
    down = np.abs(np.sin(elevations))[:, None]
    out["cosine"] = np.where(is_ground, np.broadcast_to(down, is_ground.shape), scan.cosine)
    out["object"] = np.where(is_actor, ids[np.where(is_actor, scan.instance, 0)], 0)
    out["tag"] = TAG_OF_CLASS[semantic]
    order = slice(None, None, -1)
    counts = is_hit[order].sum(axis=1).astype("<u4")
    return [streams.lidar(end_rad, counts, out[order][is_hit[order]])]


def radar(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns velocity (positive: away), azimuth (to the right), altitude and depth of rays drawn at random."""
    half_h = 0.5 * math.radians(min(max(view.number(sensor, "horizontal_fov"), 1.0), 170.0))
    half_v = 0.5 * math.radians(min(max(view.number(sensor, "vertical_fov"), 1.0), 170.0))
    height, width = RADAR_SIZE_PX
    tall = max(2, round(width * math.tan(half_v) / math.tan(half_h)))
    camera = front_camera((min(tall, 4 * height), width), 2.0 * half_h)
    pose = view.episode.pose(sensor)
    position_m, axes = view.axes(pose)
    rotation = camera_rotation_from_forward_left_up(axes)
    image = view.scene(sensor).render(camera, position_m, rotation, ("depth", "instance", "semantic"), 1)
    count = max(round(view.number(sensor, "points_per_second") * max(view.episode.last_delta_s, 1e-3)), 1)
    draws = view.draws(sensor)
    rows = draws.integers(image.depth_m.shape[0], size=count)
    columns = draws.integers(width, size=count)
    ray = np.asarray(camera.ray_directions())[rows, columns]
    depth_m = image.depth_m[rows, columns].astype(np.float64)
    length = np.linalg.norm(ray, axis=1)
    distance_m = depth_m * length
    ground = ray @ rotation[2]
    ground_m = np.divide(-position_m[2], ground, out=np.full(count, np.inf), where=ground < 0.0) * length
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
    azimuth, altitude = (
        np.arctan2(ray[:, 0], -ray[:, 2]),
        np.arctan2(ray[:, 1], np.hypot(ray[:, 0], ray[:, 2])),
    )
    out = np.stack([velocity, azimuth, altitude, distance_m], axis=1)[is_hit]
    return [streams.radar(out.astype(np.float32))]
