"""Cameras that compare a picture with the one before: events and optical flow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop_carla.server.actors import ServerActor
from simloop_carla.server.sensors.cameras import FARTHEST_M, Look, ground_depth_m, look
from simloop_carla.server.sensors.view import View
from simloop_carla.wire import streams
from simloop_driving.dynamics.single_track import X_M, Y_M, YAW_RAD
from simloop_driving.scenery.semantics import FIRST_ACTOR

FloatArray = npt.NDArray[np.float64]

SMALLEST_CONTRAST = 0.01
"""Below it CARLA does not let noise push a threshold."""


@dataclass(slots=True)
class _Brightness:
    """What an event camera remembers of each pixel.

    Attributes:
        seen: Brightness of the last picture.
        crossed: The threshold that was crossed last.
        fired_ns: Time of the last event, -1 before the first.
        now_ns: Time of the last picture.
    """

    seen: FloatArray
    crossed: FloatArray
    fired_ns: npt.NDArray[np.int64]
    now_ns: int


def dvs(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns the events since the picture before, by time; nothing when there are none, as CARLA's camera.

    An event is a crossing of a threshold by the brightness of a pixel, which is taken to change evenly between two
    pictures (Rebecq et al., "ESIM: an open event camera simulator", CoRL 2018).
    """
    rgb = look(view, sensor, ("rgb",)).image.rgb.astype(np.float64)
    grey = rgb @ np.array([0.2989, 0.5870, 0.1140])
    if sensor.description.value("use_log") == "true":
        grey = np.log(max(view.number(sensor, "log_eps"), 1e-9) + grey / 255.0)
    now_ns = view.episode.elapsed_ns
    memory = sensor.memory
    if not isinstance(memory, _Brightness):
        sensor.memory = _Brightness(grey, grey.copy(), np.full(grey.shape, -1, dtype=np.int64), now_ns)
        return []
    change = grey - memory.seen
    sign = np.where(change >= 0.0, 1.0, -1.0)
    step = _thresholds(view, sensor, sign)
    crossings = np.floor(sign * (grey - memory.crossed) / step + 1e-9).astype(np.int64)
    crossings = np.where(np.abs(change) > 1e-6, np.maximum(crossings, 0), 0)
    quiet_ns = max(round(view.number(sensor, "refractory_period_ns")), 0)
    parts = []
    for number in range(1, int(crossings.max()) + 1):
        rows, columns = np.nonzero(crossings >= number)
        level = memory.crossed[rows, columns] + number * sign[rows, columns] * step[rows, columns]
        share = (level - memory.seen[rows, columns]) / change[rows, columns]
        when_ns = memory.now_ns + np.rint(np.clip(share, 0.0, 1.0) * (now_ns - memory.now_ns)).astype(
            np.int64
        )
        last_ns = memory.fired_ns[rows, columns]
        fires = (last_ns < 0) | (when_ns - last_ns >= quiet_ns)
        memory.fired_ns[rows[fires], columns[fires]] = when_ns[fires]
        events = np.zeros(int(fires.sum()), dtype=streams.EVENT)
        events["x"], events["y"], events["t_ns"] = columns[fires], rows[fires], when_ns[fires]
        events["is_brighter"] = sign[rows, columns][fires] > 0.0
        parts.append(events)
    memory.crossed += crossings * sign * step
    memory.seen, memory.now_ns = grey, now_ns
    events = np.concatenate(parts) if parts else np.zeros(0, dtype=streams.EVENT)
    if not len(events):
        return []
    events = events[np.argsort(events["t_ns"], kind="stable")]
    return [streams.events(grey.shape[1], grey.shape[0], view.number(sensor, "fov"), events)]


def _thresholds(view: View, sensor: ServerActor, sign: FloatArray) -> FloatArray:
    """Returns the change of brightness that makes an event, by pixel."""
    kinds = {1.0: "positive", -1.0: "negative"}
    out = np.empty(sign.shape)
    draws = view.draws(sensor)
    for way, name in kinds.items():
        noise = view.number(sensor, f"sigma_{name}_threshold")
        own = np.full(sign.shape, view.number(sensor, f"{name}_threshold"))
        if noise > 0.0:
            own += noise * draws.standard_normal(sign.shape)
        out = np.where(sign == way, own, out)
    return np.maximum(out, SMALLEST_CONTRAST)


@dataclass(slots=True)
class _Poses:
    """Where camera and bodies were: axes and position of the camera, and x, y, yaw of each body by actor id."""

    position_m: FloatArray
    rotation: FloatArray
    bodies: dict[int, tuple[float, float, float]]


def optical_flow(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns how far each pixel's surface moved in the picture since the one before.

    The unit is that of Unreal's velocity buffer: the picture is 2 wide (x to the right) and 2 high (y upwards), values
    are cut at +-2. The first picture shows no motion.
    """
    seen = look(view, sensor, ("depth", "semantic", "instance"))
    states = view.episode.bodies.states
    actors = view.bodies()
    places = {
        actor.id: (float(state[X_M]), float(state[Y_M]), float(state[YAW_RAD]))
        for actor, state in zip(actors, states, strict=True)
    }
    before = sensor.memory if isinstance(sensor.memory, _Poses) else None
    sensor.memory = _Poses(seen.position_m, seen.rotation, places)
    flow = np.zeros((*seen.image.depth_m.shape, 2), dtype="<f4")
    if before is not None:
        flow[:] = _displacement(seen, before, [actor.id for actor in actors], places)
    return [streams.flow(flow, view.number(sensor, "fov"))]


def _displacement(
    seen: Look, before: _Poses, ids: list[int], places: dict[int, tuple[float, float, float]]
) -> FloatArray:
    """Returns (height, width, 2) displacements in the unit of ``optical_flow``."""
    rays = seen.camera.ray_directions()
    depth_m = np.minimum(seen.image.depth_m.astype(np.float64), ground_depth_m(seen))
    depth_m = np.minimum(depth_m, 1e3 * FARTHEST_M)  # the sky only turns
    points = seen.position_m + (rays * depth_m[..., None]) @ seen.rotation.T
    for number, actor_id in enumerate(ids, start=1):
        old, now = before.bodies.get(actor_id), places[actor_id]
        if old is None or old == now:
            continue
        mask = (seen.image.semantic >= FIRST_ACTOR) & (seen.image.instance == number)
        turn = old[2] - now[2]
        cos, sin = math.cos(turn), math.sin(turn)
        x, y = points[mask, 0] - now[0], points[mask, 1] - now[1]
        points[mask, 0], points[mask, 1] = old[0] + cos * x - sin * y, old[1] + sin * x + cos * y
    own = (points - before.position_m) @ before.rotation
    ahead = np.maximum(-own[..., 2:], 1e-6)
    was = own[..., :2] / ahead
    scale = 2.0 * np.asarray(seen.camera.intrinsics)[:2] / (seen.camera.width_px, seen.camera.height_px)
    flow: FloatArray = np.clip((rays[..., :2] - was) * scale, -2.0, 2.0)
    return flow
