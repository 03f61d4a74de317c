"""Light and background of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError

Rgb = Sequence[float]

SUN_ROWS: Final = 4
"""Rows of `Light.packed`."""
LAMP_ROWS: Final = 4
"""Rows of `Lamp.packed`."""


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
class Lamp:
    """One more light besides `Light`: far away, or at a place, as a cone or in all directions.

    It adds ``c * rgb * max(0, n . l) * s`` to a matt surface, l being the unit vector towards the lamp and s 1, or for
    a lamp at a place ``(-l . direction)^exponent`` within its cone and 0 outside (the spotlight of OpenGL 1 without
    attenuation). There are no shadows.

    Attributes:
        direction_world: Direction in which it shines, world frame, any length but zero.
        rgb: Strength, each 0..2.
        position_m: (3,) world frame, or None for a lamp far away.
        cutoff_cosine: Cosine of half the cone's opening angle; -1 for all directions.
        exponent: Whole number, 0 or more; how the light falls off towards the edge of the cone.

    Raises:
        ParameterError: A value is out of range or not finite.
    """

    direction_world: Sequence[float]
    rgb: Rgb
    position_m: Sequence[float] | None = None
    cutoff_cosine: float = -1.0
    exponent: int = 0

    def __post_init__(self) -> None:
        direction = np.asarray(self.direction_world, dtype=np.float64)
        if direction.shape != (3,) or not np.isfinite(direction).all() or not direction.any():
            msg = f"direction_world must be a finite vector other than zero, got {self.direction_world}."
            raise ParameterError(msg)
        strength = np.asarray(self.rgb, dtype=np.float64)
        if strength.shape != (3,) or not bool(((strength >= 0.0) & (strength <= 2.0)).all()):
            msg = f"rgb must be three numbers in 0..2 (red, green, blue), got {strength.tolist()}."
            raise ParameterError(msg)
        if self.position_m is not None:
            position = np.asarray(self.position_m, dtype=np.float64)
            if position.shape != (3,) or not np.isfinite(position).all():
                msg = f"position_m must be three finite numbers or None, got {self.position_m}."
                raise ParameterError(msg)
        if not -1.0 <= self.cutoff_cosine < 1.0 or not 0 <= self.exponent <= 128:
            msg = (
                "cutoff_cosine must lie in -1..1 (without 1) and exponent in 0..128, got "
                f"{self.cutoff_cosine} and {self.exponent}."
            )
            raise ParameterError(msg)

    def packed(self, camera_position_m: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Rows: towards it or where it is from the camera, direction, strength, (is near, cut-off, exponent)."""
        direction = np.asarray(self.direction_world, dtype=np.float64)
        direction = direction / np.linalg.norm(direction)
        is_near = self.position_m is not None
        where = -direction if self.position_m is None else np.asarray(self.position_m) - camera_position_m
        return np.array(
            [where, direction, self.rgb, (float(is_near), self.cutoff_cosine, float(self.exponent))]
        )


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
