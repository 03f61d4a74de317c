"""A client script: random vehicles under the traffic manager's defaults; prints one JSON line of what happened.

Run by ``test_traffic`` as ``autopilot_drive.py PORT TRAFFIC_PORT VEHICLES TICKS SEED [BLUEPRINTS]``. It is a process of
its own because the library's traffic manager ends the process when a call of its threads fails.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass, field
from typing import Any

import carla
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
DELTA_S = 0.05
STALLED_AFTER_S = 20
"""A call that takes so long waits for ever: SIGALRM ends the process then, and the test tries once more."""
LEFT_OUT = (
    "vehicle.carlamotors.european_hgv",
    "vehicle.carlamotors.firetruck",
    "vehicle.mitsubishi.fusorosa",
)
"""Longer than 7 m: in the town's bends they reach into the next lane, of which the manager knows nothing."""
_AROUND = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])


def stop_lines(world: Any) -> list[tuple[Any, FloatArray, FloatArray, float]]:
    """Returns the light, middle (2,), direction (2,) and half width of each line at which a light stops a lane."""
    lines = []
    for light in world.get_actors().filter("traffic.traffic_light*"):
        for waypoint in light.get_stop_waypoints():
            at, ahead = waypoint.transform.location, waypoint.transform.get_forward_vector()
            half_m = 0.5 * waypoint.lane_width
            lines.append((light, np.array([at.x, at.y]), np.array([ahead.x, ahead.y]), half_m))
    return lines


def corners_of(actors: list[Any], boxes: dict[int, Any]) -> FloatArray:
    """Returns the (n, 4, 2) corners of the bounding boxes of a snapshot's actors; the first and last are in front."""
    out = np.empty((len(actors), 4, 2))
    for row, actor in enumerate(actors):
        pose, box = actor.get_transform(), boxes[actor.id]
        yaw = np.radians(pose.rotation.yaw)
        axes = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
        local = _AROUND * (box.extent.x, box.extent.y) + (box.location.x, box.location.y)
        out[row] = local @ axes + (pose.location.x, pose.location.y)
    return out


def overlapping(corners: FloatArray) -> list[tuple[int, int]]:
    """Returns the pairs of rectangles that share an area, by separating axes."""
    centres = corners.mean(axis=1)
    radii = np.linalg.norm(corners[:, 0] - centres, axis=1)
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    pairs = []
    for a, b in np.argwhere(np.triu(apart < radii[:, None] + radii[None], 1)).tolist():
        axes = np.stack([corners[k, 1 + side] - corners[k, side] for k in (a, b) for side in (0, 1)])
        on_a, on_b = corners[a] @ axes.T, corners[b] @ axes.T
        is_split = (on_a.max(0) <= on_b.min(0)) | (on_b.max(0) <= on_a.min(0))
        if not is_split.any():
            pairs.append((a, b))
    return pairs


@dataclass
class Seen:
    """What happened to the vehicles of one drive."""

    hits: list[Any] = field(default_factory=list)
    overlaps: list[Any] = field(default_factory=list)
    red_crossings: list[Any] = field(default_factory=list)
    crossings: int = 0
    way_m: dict[int, float] = field(default_factory=dict)
    stood_at_red: int = 0
    off_lane_m: float = 0.0


def spawn_vehicles(
    client: Any, world: Any, traffic_port: int, number: int, seed: int, names: str
) -> dict[int, Any]:
    """Spawns vehicles drawn from all that match at spawn points drawn from all, on autopilot; by id."""
    draws = np.random.default_rng(seed)
    found = (
        blueprint for blueprint in world.get_blueprint_library().filter(names) if blueprint.id not in LEFT_OUT
    )
    library = sorted(found, key=lambda blueprint: blueprint.id)
    points = world.get_map().get_spawn_points()
    batch = []
    for place in draws.permutation(len(points))[:number].tolist():
        blueprint = library[int(draws.integers(len(library)))]
        spawn = carla.command.SpawnActor(blueprint, points[place])
        batch.append(spawn.then(carla.command.SetAutopilot(carla.command.FutureActor, True, traffic_port)))
    signal.alarm(STALLED_AFTER_S)
    answers = client.apply_batch_sync(batch, True)
    refused = [answer.error for answer in answers if answer.has_error()]
    if refused:
        raise RuntimeError(f"{len(refused)} vehicles were not spawned: {refused[0]}")
    return {actor.id: actor for actor in world.get_actors([answer.actor_id for answer in answers])}


def main(
    port: int, traffic_port: int, num_vehicles: int, num_ticks: int, seed: int, names: str = "vehicle.*"
) -> dict[str, Any]:
    """Drives ``num_vehicles`` for ``num_ticks`` and returns what was seen."""
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(60.0)
    world = client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, DELTA_S
    world.apply_settings(settings)
    world = client.reload_world(False)  # lights begin their cycles, and whatever was there is gone
    world.tick()
    traffic = client.get_trafficmanager(traffic_port)
    traffic.set_synchronous_mode(True)
    traffic.set_random_device_seed(seed)
    riders = spawn_vehicles(client, world, traffic_port, num_vehicles, seed, names)
    boxes = {number: actor.bounding_box for number, actor in riders.items()}
    seen, touch = Seen(), world.get_blueprint_library().find("sensor.other.collision")
    sensors = [world.spawn_actor(touch, carla.Transform(), attach_to=actor) for actor in riders.values()]
    for sensor in sensors:
        sensor.listen(
            lambda event: seen.hits.append((event.frame, event.actor.type_id, event.other_actor.type_id))
        )
    lines, town = stop_lines(world), world.get_map()
    noses: dict[int, FloatArray] = {}
    for tick in range(num_ticks):
        signal.alarm(STALLED_AFTER_S)
        world.tick()
        snapshot = world.get_snapshot()
        there = [actor for actor in (snapshot.find(number) for number in riders) if actor is not None]
        corners = corners_of(there, boxes)
        for a, b in overlapping(corners):
            seen.overlaps.append((tick, riders[there[a].id].type_id, riders[there[b].id].type_id))
        for actor, nose in zip(there, 0.5 * (corners[:, 0] + corners[:, 3]), strict=True):
            before = noses.get(actor.id, nose)
            noses[actor.id] = nose
            seen.way_m[actor.id] = seen.way_m.get(actor.id, 0.0) + float(np.hypot(*(nose - before)))
            _watch_lights(seen, tick, riders[actor.id], before, nose, lines)
        if tick % 10 == 0:
            _watch_lanes(seen, there, town)
    still_there = {actor.id for actor in world.get_snapshot()} & set(riders)
    for sensor in sensors:
        sensor.stop()
    client.apply_batch_sync([carla.command.SetAutopilot(number, False, traffic_port) for number in riders])
    gone = [*(sensor.id for sensor in sensors), *still_there]
    # No tick within the batch: it would wait with the interpreter's lock, which freeing the callbacks needs.
    client.apply_batch_sync([carla.command.DestroyActor(number) for number in gone])
    world.tick()
    traffic.set_synchronous_mode(False)
    return {
        "kinds": sorted({actor.attributes["base_type"] for actor in riders.values()}),
        "hits": seen.hits,
        "overlaps": seen.overlaps,
        "red_crossings": seen.red_crossings,
        "crossings": seen.crossings,
        "stood_at_red": seen.stood_at_red,
        "off_lane_m": round(seen.off_lane_m, 2),
        "way_m": round(sum(seen.way_m.values())),
        "shortest_way_m": round(min(seen.way_m.values())),
        "vehicles": len(still_there),
        "lines": len(lines),
    }


def _watch_lights(
    seen: Seen, tick: int, vehicle: Any, before: FloatArray, nose: FloatArray, lines: Any
) -> None:
    for light, middle, direction, half_m in lines:
        if np.abs(nose - middle).max() > 6.0:
            continue
        side = abs(float((nose - middle) @ np.array([-direction[1], direction[0]])))
        along = float((nose - middle) @ direction)
        is_red = light.get_state() == carla.TrafficLightState.Red
        if (before - middle) @ direction < 0.0 <= along and side < half_m:
            if is_red:
                seen.red_crossings.append((tick, vehicle.type_id, light.id))
            seen.crossings += not is_red
        elif is_red and -6.0 < along < 0.0 and side < half_m:
            seen.stood_at_red += bool(np.hypot(*(nose - before)) < 0.1 * DELTA_S)


def _watch_lanes(seen: Seen, there: list[Any], town: Any) -> None:
    for actor in there:
        location = actor.get_transform().location
        lane = town.get_waypoint(location).transform.location
        seen.off_lane_m = max(seen.off_lane_m, float(np.hypot(lane.x - location.x, lane.y - location.y)))


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:6]]
    outcome = main(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], *sys.argv[6:7])
    sys.stdout.write(json.dumps(outcome) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the traffic manager's threads do not end in an orderly way, here as with CARLA's server
