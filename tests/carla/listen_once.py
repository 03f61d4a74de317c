"""A client script: one sensor on a car, one message, printed as JSON. Run by ``test_serializers``.

It is a process of its own because the client library ends the process on a message that it cannot read.
"""

from __future__ import annotations

import json
import os
import queue
import sys
from typing import Any

import carla

PATIENCE_S = 60.0


def described(message: Any) -> dict[str, Any]:
    """Returns what a message says, through every reader that its class has."""
    out: dict[str, Any] = {"class": type(message).__name__, "frame": message.frame}
    if hasattr(message, "raw_data"):
        out["bytes"] = len(message.raw_data)
    if isinstance(message, carla.Image | carla.DVSEventArray | carla.OpticalFlowImage):
        out |= {"width": message.width, "height": message.height, "fov": message.fov}
    elif isinstance(message, carla.LidarMeasurement | carla.SemanticLidarMeasurement):
        counts = [message.get_point_count(channel) for channel in range(message.channels)]
        out |= {"counts": counts, "points": len(list(message))}
    elif isinstance(message, carla.RadarMeasurement):
        out["points"] = len([hit.depth for hit in message])
    elif isinstance(message, carla.CollisionEvent):
        out |= {"other": message.other_actor.type_id, "impulse": message.normal_impulse.length()}
    elif isinstance(message, carla.ObstacleDetectionEvent):
        out |= {"other": message.other_actor.type_id, "distance": message.distance}
    elif isinstance(message, carla.IMUMeasurement):
        out |= {"z": message.accelerometer.z, "compass": message.compass}
    elif isinstance(message, carla.GnssMeasurement):
        out |= {"latitude": message.latitude, "altitude": message.altitude}
    return out


def main(port: int, name: str, attributes: dict[str, str]) -> dict[str, Any]:
    """Returns the first message of the sensor, with a car 8 m ahead that is run into."""
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(PATIENCE_S)
    world = client.get_world()
    library = world.get_blueprint_library()
    pose = world.get_map().get_spawn_points()[10]
    car = world.spawn_actor(library.find("vehicle.tesla.model3"), pose)
    place = pose.location + 8.0 * pose.get_forward_vector()
    world.spawn_actor(library.find("vehicle.audi.tt"), carla.Transform(place, pose.rotation))
    world.tick()
    blueprint = library.find(name)
    for key, value in attributes.items():
        blueprint.set_attribute(key, value)
    sensor = world.spawn_actor(blueprint, carla.Transform(carla.Location(x=2.4, z=1.0)), attach_to=car)
    world.tick()
    messages: queue.Queue[Any] = queue.Queue()
    sensor.listen(messages.put)
    car.set_target_velocity(15.0 * pose.get_forward_vector())
    for _ in range(20):
        world.tick()
    outcome = described(messages.get(timeout=PATIENCE_S))
    sensor.stop()
    return outcome


if __name__ == "__main__":
    seen = main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()
    os._exit(0)
