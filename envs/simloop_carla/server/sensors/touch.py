"""Collision and obstacle sensors."""

from __future__ import annotations

import numpy as np

from simloop_carla.server.actors import ServerActor
from simloop_carla.server.bodies.body_kernel import LENGTH_M, WIDTH_M
from simloop_carla.server.sensors.view import View
from simloop_carla.wire import streams
from simloop_carla.wire.structs import Vector3
from simloop_driving.dynamics.single_track import X_M, Y_M, YAW_RAD


def collision(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns one message for each body that the parent met in this tick; impulses of a tick are added."""
    own = sensor.parent
    met: dict[int, tuple[ServerActor, list[float]]] = {}
    for hit in view.episode.hits:
        if own is hit.first or own is hit.second:
            other, sign = (hit.second, 1.0) if own is hit.first else (hit.first, -1.0)
            total = met.setdefault(other.id, (other, [0.0, 0.0, 0.0]))[1]
            for i in range(3):
                total[i] += sign * hit.impulse_newton_s[i]
    if own is None:
        return []
    return [
        streams.collision(own.on_wire(), other.on_wire(), Vector3(*total)) for other, total in met.values()
    ]


def obstacle(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns the nearest body within ``distance`` ahead of the sensor and ``hit_radius`` beside its axis."""
    pose = view.episode.pose(sensor)
    position_m, axes = view.axes(pose)
    forward = axes[:2, 0] / max(float(np.linalg.norm(axes[:2, 0])), 1e-9)
    left = np.array([-forward[1], forward[0]])
    best, nearest = view.number(sensor, "distance"), None
    only_moving = sensor.description.value("only_dynamics") == "true"
    for actor, state, shape in zip(
        view.bodies(), view.episode.bodies.states, view.episode.bodies.shapes, strict=True
    ):
        if actor is sensor.parent or (only_moving and actor.type_id.startswith("static.")):
            continue
        cos, sin = np.cos(state[YAW_RAD]), np.sin(state[YAW_RAD])
        half = np.array([[cos, sin], [-sin, cos]]) * (
            0.5 * np.array([shape[LENGTH_M], shape[WIDTH_M]])[:, None]
        )
        off = state[[X_M, Y_M]] - position_m[:2]
        gap = float(off @ forward) - float(np.abs(half @ forward).sum())
        beside = abs(float(off @ left)) - float(np.abs(half @ left).sum())
        if float(off @ forward) > 0.0 and gap < best and beside < view.number(sensor, "hit_radius"):
            best, nearest = max(gap, 0.0), actor
    if nearest is None or sensor.parent is None:
        return []
    return [streams.obstacle(sensor.parent.on_wire(), nearest.on_wire(), best)]
