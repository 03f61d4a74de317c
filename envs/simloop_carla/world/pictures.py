"""The front camera on the server: pictures by frame, awaited when a tick needs one."""

from __future__ import annotations

import math
import queue
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import WorldError
from simloop_carla.world.ego import ServerEgo
from simloop_carla.world.link.client import load_client, server_faults, stop_listening
from simloop_carla.world.link.session import Session
from simloop_driving.camera import HORIZONTAL_FOV_RAD, MOUNT_FORWARD_M, MOUNT_HEIGHT_M, PITCH_DOWN_RAD
from simloop_driving.periods import STEPS_PER_TICK

CAMERAS = ("front_camera", "front_camera_past")
"""Sensors whose pictures are the server's."""
KEPT_STEPS = 20 * STEPS_PER_TICK
"""How long pictures are kept: enough for a camera that shows the past."""


def keep_picture(images: dict[int, npt.NDArray[np.uint8]], step: int, picture: npt.NDArray[np.uint8]) -> None:
    """Adds the picture of a physics step to an episode's; the first and the latest ones stay."""
    images[step] = picture
    for old in [known for known in images if 0 < known < step - KEPT_STEPS]:
        del images[old]


class ServerCamera:
    """An RGB camera where the embedded world's front camera is.

    Args:
        session: The connection.
        ego: The vehicle that carries it.
        size_px: Height and width.
    """

    def __init__(self, session: Session, ego: ServerEgo, size_px: tuple[int, int]) -> None:
        carla = load_client()
        self._session = session
        self._frames: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with server_faults(session.address, "spawning the front camera"):
            blueprint = session.world.get_blueprint_library().find("sensor.camera.rgb")
            blueprint.set_attribute("image_size_x", str(size_px[1]))
            blueprint.set_attribute("image_size_y", str(size_px[0]))
            blueprint.set_attribute("fov", str(math.degrees(HORIZONTAL_FOV_RAD)))
            forward_m, right_m = ego.box.middle_m
            place = carla.Location(forward_m + MOUNT_FORWARD_M, right_m, MOUNT_HEIGHT_M)
            pose = carla.Transform(place, carla.Rotation(-math.degrees(PITCH_DOWN_RAD), 0.0, 0.0))
            self.actor = session.world.spawn_actor(blueprint, pose, attach_to=ego.actor)
            session.spawned(self.actor.id)
            self.actor.listen(self._frames.put)

    def picture(self, frame: int) -> npt.NDArray[np.uint8]:
        """Returns the (height, width, 3) picture of a tick.

        Raises:
            WorldError: It does not come, or a later one came.
        """
        address = self._session.address
        while True:
            try:
                image = self._session.call("sending a picture", self._frames.get, True, address.patience_s)
            except queue.Empty:
                raise WorldError(
                    f"The CARLA server at {address} sent no picture of frame {frame} within "
                    f"{address.patience_s:g} s. A server started with -nullrhi has no cameras: start it with "
                    "-RenderOffScreen. For one that is slow raise world.patience_s."
                ) from None
            if image.frame == frame:
                bgra = np.frombuffer(image.raw_data, dtype=np.uint8).reshape(image.height, image.width, 4)
                return np.ascontiguousarray(bgra[..., 2::-1])
            if image.frame > frame:
                raise WorldError(
                    f"The CARLA server at {address} sent a picture of frame {image.frame} when {frame} was due: "
                    "another client ticks it too. End that one, or leave world.port out for a server of simloop's own."
                )

    def close(self) -> None:
        """Stops listening."""
        stop_listening(self.actor)
