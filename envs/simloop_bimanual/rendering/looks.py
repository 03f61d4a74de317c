"""What may vary of the look of a two-arm scene: light, cameras and colours, by scenario parameters.

Every parameter has a neutral value, which leaves every byte of the images as it is without the parameter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_AXES: Final = ("x", "y", "z")
_COLOURS: Final = ("red", "green", "blue")
COLOURED: Final = ("table", "object", "floor")
"""What the colour parameters tint: the tables, the task's objects, the floor."""

PARAMETERS: Final[Mapping[str, tuple[float, float, float]]] = {
    "light_azimuth_rad": (-math.pi, math.pi, 0.0),
    "light_tilt_rad": (-0.6, 0.6, 0.0),
    "light_intensity_ratio": (0.2, 2.0, 1.0),
    **{f"front_camera_shift_{axis}_m": (-0.2, 0.2, 0.0) for axis in _AXES},
    **{f"front_camera_turn_{axis}_rad": (-0.2, 0.2, 0.0) for axis in _AXES},
    **{f"wrist_camera_shift_{axis}_m": (-0.02, 0.02, 0.0) for axis in _AXES},
    **{f"wrist_camera_turn_{axis}_rad": (-0.2, 0.2, 0.0) for axis in _AXES},
    **{f"{what}_{colour}_ratio": (0.2, 1.8, 1.0) for what in COLOURED for colour in _COLOURS},
}
"""Lowest, highest and neutral value of each parameter.

``light_azimuth_rad`` turns the scene's lights about the vertical through the world's origin, ``light_tilt_rad`` then
tilts them about the world's x axis, ``light_intensity_ratio`` scales all light. ``..._camera_shift_*_m`` moves a
camera along its own axes (x right, y up, z backward), ``..._camera_turn_*_rad`` then turns it about them (the rotation
vector); both wrist cameras share theirs. ``table_*_ratio``, ``object_*_ratio`` and ``floor_*_ratio`` multiply base
colours.
"""


def coloured_part(body: str, geom: str) -> str:
    """Returns which of ``COLOURED`` a geom of a body belongs to, by their names, or nothing for robots and walls."""
    if body.startswith(("robot", "gripper", "fixed_mount")):
        return ""
    if body == "world":
        return "floor" if geom.startswith("floor") else ""
    return "table" if body.startswith("table") else "object"


def neutral(name: str) -> float:
    """Returns the value of a parameter that changes nothing."""
    return PARAMETERS[name][2]


class Look:
    """The look of one episode.

    Args:
        values: Values of parameters in ``PARAMETERS``; missing ones are neutral, other names are ignored.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, float] | None = None) -> None:
        given = {} if values is None else values
        self._values = {
            name: float(given[name]) for name in PARAMETERS if name in given and given[name] != neutral(name)
        }

    def value(self, name: str) -> float:
        """Returns the value of a parameter."""
        return self._values.get(name, neutral(name))

    @property
    def intensity_ratio(self) -> float:
        """Factor on all light."""
        return self.value("light_intensity_ratio")

    @property
    def light_rotation(self) -> FloatArray | None:
        """Rotation (3, 3) of the scene's lights about the world's origin; None where they stay."""
        azimuth_rad, tilt_rad = self.value("light_azimuth_rad"), self.value("light_tilt_rad")
        if not azimuth_rad and not tilt_rad:
            return None
        return _rotation(np.array([tilt_rad, 0.0, 0.0])) @ _rotation(np.array([0.0, 0.0, azimuth_rad]))

    def tint(self, what: str) -> tuple[float, float, float] | None:
        """Returns the factors on red, green and blue of one of ``COLOURED``; None where its colours stay."""
        red, green, blue = (self.value(f"{what}_{colour}_ratio") for colour in _COLOURS)
        return None if red == green == blue == 1.0 else (red, green, blue)

    def moved_camera(
        self, camera: str, position_m: FloatArray, rotation: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Returns the pose (3,), (3, 3) of a camera, shifted and turned in its own frame."""
        kind = "front" if camera.startswith("front") else "wrist"
        shift_m = np.array([self.value(f"{kind}_camera_shift_{axis}_m") for axis in _AXES])
        turn_rad = np.array([self.value(f"{kind}_camera_turn_{axis}_rad") for axis in _AXES])
        if shift_m.any():
            position_m = position_m + rotation @ shift_m
        if turn_rad.any():
            rotation = rotation @ _rotation(turn_rad)
        return position_m, rotation


def _rotation(vector_rad: FloatArray) -> FloatArray:
    """Matrix of a rotation vector (Rodrigues' formula)."""
    angle = float(np.linalg.norm(vector_rad))
    if angle == 0.0:
        return np.eye(3)
    x, y, z = vector_rad / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * (cross @ cross))
