"""The state that sensors look at: an episode at one tick, with its scene placed when it is first drawn."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simloop.randomness import generator, stream_key
from simloop.rendering import Scene
from simloop_carla.server import lights
from simloop_carla.server.actors import ServerActor
from simloop_carla.server.bodies.body_kernel import BRAKE
from simloop_carla.server.episode import Episode
from simloop_carla.server.poses import rotation_matrix
from simloop_carla.wire.structs import Transform
from simloop_driving.camera import PAINTS
from simloop_driving.dynamics.single_track import X_M, Y_M, YAW_RAD
from simloop_driving.scenario.actor_state import ACTOR_CLASSES
from simloop_driving.scenario.signals import AMBER, GREEN, RED, SIGN

FloatArray = npt.NDArray[np.float64]

BRAKE_LAMP = 8
"""Flag of a vehicle's brake lamps."""
_SIGNAL_STATES = {lights.RED: RED, lights.YELLOW: AMBER, lights.GREEN: GREEN}
_TO_RIGHT_HANDED = np.diag([1.0, -1.0, 1.0])


class View:
    """An episode at one tick.

    Args:
        episode: The episode.
        seed: Seed of everything random.
    """

    def __init__(self, episode: Episode, seed: int) -> None:
        self.episode = episode
        self._seed = seed
        self._placed_without: int | None = None

    def draws(self, sensor: ServerActor) -> np.random.Generator:
        """Returns the generator of a sensor's next noise; sensors of a type and ``noise_seed`` have it in common.

        It depends on how often the sensor has drawn since it was spawned, not on its id nor on the server's frame, so
        that the same script has the same noise again.
        """
        own = sensor.description.value("noise_seed", "0")
        sensor.num_draws += 1
        return generator(stream_key("carla.sensor", self._seed, own, sensor.type_id), sensor.num_draws)

    def number(self, sensor: ServerActor, name: str) -> float:
        """Returns a numeric attribute of a sensor."""
        return float(sensor.description.value(name, "0"))

    def bodies(self) -> list[ServerActor]:
        """Returns everything solid; a body's place in the list, from 1, is its instance in pictures and scans."""
        return self.episode.roster.of_kind("body")[0]

    def carrier(self, sensor: ServerActor) -> ServerActor | None:
        """Returns the body that a sensor is inside of, as it does not see it; None for one that sees everything."""
        parent = sensor.parent
        if parent is None or parent.body is None:
            return None
        x, y, z = sensor.relative.location
        half = parent.box.extent
        is_inside = (
            abs(x) <= half.x and abs(y) <= half.y and -1.0 <= z <= parent.box.location.z + half.z + 0.5
        )
        return parent if is_inside else None

    def scene(self, sensor: ServerActor) -> Scene:
        """Returns the map's scene with everybody but the sensor's carrier where they are."""
        carrier = self.carrier(sensor)
        return self._scene_without(-1 if carrier is None else carrier.number)

    def scene_of_all(self) -> Scene:
        """Returns the map's scene with everybody where they are."""
        return self._scene_without(-1)

    def _scene_without(self, hidden: int) -> Scene:
        camera_scene = self.episode.town.scene
        if self._placed_without != hidden:
            self._placed_without = hidden
            actors = self.bodies()
            states = self.episode.bodies.states[:, [X_M, Y_M, YAW_RAD]].copy()
            if hidden >= 0:
                states[hidden, :2] = 1e6  # instances stay in the order of ``bodies``
            shapes = [
                (a.body.length_m, a.body.width_m, a.body.height_m) for a in actors if a.body is not None
            ]
            camera_scene.place(
                states,
                np.array(shapes).reshape(-1, 3),
                [ACTOR_CLASSES.index(a.body.actor_class) for a in actors if a.body is not None],
                [self._brakes(a) or bool(a.lights & BRAKE_LAMP) for a in actors],
                [_paint(a) for a in actors],
                [_SIGNAL_STATES.get(light.state, SIGN) for light in self.episode.lights.items],
            )
        return camera_scene.scene

    def _brakes(self, actor: ServerActor) -> bool:
        return bool(self.episode.bodies.controls[actor.number, BRAKE] > 0.05)

    def axes(self, pose: Transform) -> tuple[FloatArray, FloatArray]:
        """Returns the position (3,) and the columns forward, left, up (3, 3) of a pose in the embedded world."""
        rotation = _TO_RIGHT_HANDED @ rotation_matrix(pose.rotation) @ _TO_RIGHT_HANDED
        x, y, z = pose.location
        return np.array([x, -y, z]), rotation


def _paint(actor: ServerActor) -> int:
    """Returns the paint that is nearest to a vehicle's colour."""
    try:
        colour = [int(part) / 255.0 for part in actor.description.value("color", "180,20,20").split(",")]
        far = [math.dist(colour, paint) for paint in PAINTS]
    except ValueError:
        return 0
    return far.index(min(far))
