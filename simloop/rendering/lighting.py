"""Light and background of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError

Rgb = Sequence[float]


def checked_rgb(rgb: npt.ArrayLike, what: str) -> npt.NDArray[np.float32]:
    """One colour as float32 (3,).

    Raises:
        ParameterError: Not three finite numbers in 0..1.
    """
    colour = np.asarray(rgb, dtype=np.float32)
    if colour.shape != (3,) or not bool(((colour >= 0.0) & (colour <= 1.0)).all()):
        msg = f"{what} must be three numbers in 0..1 (red, green, blue), got {np.asarray(rgb).tolist()}."
        raise ParameterError(msg)
    return colour


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """One directional light (the sun) and an ambient light that differs between above and below.

    A matt surface of colour c and unit normal n is shown as
    ``c * (ambient(n) + directional_rgb * max(0, -n . direction_world))``, clipped to 1, where ambient(n) goes
    linearly in n_z from `ambient_ground_rgb` (facing down) to `ambient_sky_rgb` (facing up). That is Lambert's
    cosine law with the hemisphere ambient term usual in real-time graphics. There are no shadows.

    Attributes:
        direction_world: Direction in which the light travels, world frame, any length but zero.
        directional_rgb: Strength of the directional light, each 0..1.
        ambient_sky_rgb: Ambient light on a surface that faces up (+z), each 0..1.
        ambient_ground_rgb: Ambient light on a surface that faces down, each 0..1.

    Raises:
        ParameterError: The direction is zero or not finite, or a strength is out of range.
    """

    direction_world: Sequence[float] = (-0.45, 0.3, -0.84)
    directional_rgb: Rgb = (0.55, 0.55, 0.55)
    ambient_sky_rgb: Rgb = (0.42, 0.42, 0.42)
    ambient_ground_rgb: Rgb = (0.25, 0.25, 0.25)

    def __post_init__(self) -> None:
        direction = np.asarray(self.direction_world, dtype=np.float64)
        if direction.shape != (3,) or not np.isfinite(direction).all() or not direction.any():
            msg = f"direction_world must be a finite vector other than zero, got {self.direction_world}."
            raise ParameterError(msg)
        for name in ("directional_rgb", "ambient_sky_rgb", "ambient_ground_rgb"):
            checked_rgb(getattr(self, name), name)

    def packed(self) -> npt.NDArray[np.float64]:
        """Rows: unit vector towards the light, directional, sky and ground strength; (4, 3), float64."""
        direction = np.asarray(self.direction_world, dtype=np.float64)
        to_light = -direction / np.linalg.norm(direction)
        return np.array([to_light, self.directional_rgb, self.ambient_sky_rgb, self.ambient_ground_rgb])


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """What is seen where no surface is: a vertical gradient that depends on the elevation of the line of sight.

    Attributes:
        zenith_rgb: Colour straight up, each 0..1.
        horizon_rgb: Colour just above the horizon, each 0..1.
        ground_rgb: Colour below the horizon, each 0..1.

    Raises:
        ParameterError: A colour is out of range.
    """

    zenith_rgb: Rgb = (0.35, 0.55, 0.85)
    horizon_rgb: Rgb = (0.8, 0.87, 0.95)
    ground_rgb: Rgb = (0.45, 0.45, 0.43)

    def __post_init__(self) -> None:
        for name in ("zenith_rgb", "horizon_rgb", "ground_rgb"):
            checked_rgb(getattr(self, name), name)

    @classmethod
    def uniform(cls, rgb: Rgb) -> Background:
        """The same colour in all directions."""
        return cls(zenith_rgb=rgb, horizon_rgb=rgb, ground_rgb=rgb)

    def packed(self) -> npt.NDArray[np.float64]:
        """Rows: zenith, horizon, ground; (3, 3), float64."""
        return np.array([self.zenith_rgb, self.horizon_rgb, self.ground_rgb], dtype=np.float64)
