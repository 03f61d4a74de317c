"""IMU and GNSS."""

from __future__ import annotations

import math

import numpy as np

from simloop_carla.server.actors import ServerActor
from simloop_carla.server.poses import rotation_matrix
from simloop_carla.server.sensors.view import View
from simloop_carla.wire import streams
from simloop_carla.wire.structs import Vector3


def imu(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns acceleration with gravity and turn rate, sensor's frame, and the compass: 0 at -y, clockwise.

    The acceleration is that of the place where the sensor is: of its parent, and what turning adds at the lever.
    """
    pose = view.episode.pose(sensor)
    axes = rotation_matrix(pose.rotation)
    acceleration, rate = np.array([0.0, 0.0, view.episode.imu_gravity_mps2]), np.zeros(3)
    parent = sensor.parent
    if parent is not None and parent.number >= 0:
        record = view.episode.roster.records[view.episode.roster.row(parent)]
        rate = np.radians(record["angular_velocity"].astype(np.float64))
        lever_m = np.array(pose.location) - np.array(view.episode.pose(parent).location)
        acceleration += record["acceleration"].astype(np.float64) + np.cross(rate, np.cross(rate, lever_m))
        now_s = view.episode.elapsed_s
        if isinstance(sensor.memory, tuple) and now_s > sensor.memory[0]:
            spin = (rate - sensor.memory[1]) / (now_s - sensor.memory[0])
            acceleration += np.cross(spin, lever_m)
        sensor.memory = (now_s, rate)
    draws = view.draws(sensor)
    measured, turning = axes.T @ acceleration, axes.T @ rate
    for i, axis in enumerate("xyz"):
        measured[i] += view.number(sensor, f"noise_accel_stddev_{axis}") * draws.standard_normal()
        turning[i] += view.number(sensor, f"noise_gyro_stddev_{axis}") * draws.standard_normal()
        turning[i] += view.number(sensor, f"noise_gyro_bias_{axis}")
    compass_rad = (math.radians(pose.rotation.yaw) + 0.5 * math.pi) % (2.0 * math.pi)
    return [streams.imu(Vector3(*map(float, measured)), Vector3(*map(float, turning)), compass_rad)]


def gnss(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns latitude, longitude and altitude."""
    location = view.episode.pose(sensor).location
    values = [*view.episode.town.geographic(location.x, location.y), location.z]
    draws = view.draws(sensor)
    for i, axis in enumerate(("lat", "lon", "alt")):
        values[i] += view.number(sensor, f"noise_{axis}_bias")
        values[i] += view.number(sensor, f"noise_{axis}_stddev") * draws.standard_normal()
    return [streams.gnss(*values)]
