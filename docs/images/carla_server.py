"""Draws carla_server.png: what an RGB and a semantic camera of ``simloop carla-server`` show a client.

``simloop carla-server --port 2000 --map town`` in one shell, ``python docs/images/carla_server.py`` in another.
"""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import carla
import imageio.v3 as imageio
import numpy as np

PORT = 2000
SIZE_PX = (640, 400)
KINDS = ("rgb", "semantic_segmentation")
NUM_VEHICLES = 14


def main() -> None:
    """Spawns vehicles and two cameras behind the first, and saves their pictures side by side."""
    client = carla.Client("127.0.0.1", PORT)
    client.set_timeout(20.0)
    world = client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    library, points = world.get_blueprint_library(), world.get_map().get_spawn_points()
    vehicles = zip(library.filter("vehicle.*"), points[:NUM_VEHICLES], strict=False)
    spawned = [world.try_spawn_actor(blueprint, point) for blueprint, point in vehicles]
    behind = carla.Transform(carla.Location(-8.0, 0.0, 4.0), carla.Rotation(-12.0, 0.0, 0.0))
    cameras, inboxes = [], []
    for kind in KINDS:
        blueprint = library.find(f"sensor.camera.{kind}")
        blueprint.set_attribute("image_size_x", str(SIZE_PX[0]))
        blueprint.set_attribute("image_size_y", str(SIZE_PX[1]))
        inbox: queue.Queue[Any] = queue.Queue()
        camera: Any = world.spawn_actor(blueprint, behind, attach_to=spawned[0])
        camera.listen(inbox.put)
        cameras.append(camera)
        inboxes.append(inbox)
    for _ in range(5):
        world.tick()
    images = [inbox.get(timeout=20.0) for inbox in inboxes]
    images[1].convert(carla.ColorConverter.CityScapesPalette)
    rows = [np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4) for image in images]
    imageio.imwrite(Path(__file__).with_suffix(".png"), np.hstack(rows)[:, :, 2::-1])
    for camera in cameras:
        camera.stop()


if __name__ == "__main__":
    main()
