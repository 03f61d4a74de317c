"""The pinhole camera: image size, intrinsics, near and far plane."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError


@dataclass(frozen=True, slots=True)
class Camera:
    """An ideal pinhole camera, without lens distortion.

    The camera frame is that of OpenGL and MuJoCo: x right, y up, the camera looks along -z. Pixel (row, column)
    has its centre at (row + 0.5, column + 0.5); row 0 is the top. A point at (x, y, z) in the camera frame is
    seen at column ``cx + fx * x / -z`` and row ``cy - fy * y / -z``.

    Give either `vertical_fov_rad` (square pixels, principal point in the middle) or all of `fx`, `fy`, `cx`, `cy`.

    Attributes:
        width_px: Image width.
        height_px: Image height.
        vertical_fov_rad: Full vertical opening angle, in (0, pi); None when the intrinsics are given.
        fx: Focal length in pixels along the rows.
        fy: Focal length in pixels along the columns.
        cx: Column of the principal point, in pixels from the left edge of the image.
        cy: Row of the principal point, in pixels from the top edge of the image.
        near_m: Distance along the optical axis below which nothing is drawn.
        far_m: Distance along the optical axis beyond which nothing is drawn.

    Raises:
        ParameterError: A size, angle, focal length or plane is out of range, or the intrinsics are incomplete.
    """

    width_px: int
    height_px: int
    vertical_fov_rad: float | None = None
    _: KW_ONLY
    fx: float | None = None
    fy: float | None = None
    cx: float | None = None
    cy: float | None = None
    near_m: float = 0.05
    far_m: float = 1000.0

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.height_px < 1:
            msg = f"A camera needs at least 1 x 1 pixels, got {self.width_px} x {self.height_px}."
            raise ParameterError(msg)
        if not (0.0 < self.near_m < self.far_m < math.inf):
            msg = f"A camera needs 0 < near_m < far_m < inf, got near_m={self.near_m}, far_m={self.far_m}."
            raise ParameterError(msg)
        given = [value is not None for value in (self.fx, self.fy, self.cx, self.cy)]
        if self.vertical_fov_rad is None:
            if not all(given):
                msg = "A camera needs vertical_fov_rad, or all four of fx, fy, cx, cy (pixels)."
                raise ParameterError(msg)
            values = self.intrinsics
            if not (np.isfinite(values).all() and values[0] > 0.0 and values[1] > 0.0):
                msg = (
                    f"fx and fy must be positive and all four finite, got fx, fy, cx, cy = {values.tolist()}."
                )
                raise ParameterError(msg)
        elif any(given):
            msg = "Give a camera either vertical_fov_rad or fx, fy, cx, cy, not both."
            raise ParameterError(msg)
        elif not 0.0 < self.vertical_fov_rad < math.pi:
            msg = f"vertical_fov_rad must lie in (0, pi), got {self.vertical_fov_rad}."
            raise ParameterError(msg)

    @property
    def intrinsics(self) -> npt.NDArray[np.float64]:
        """``(fx, fy, cx, cy)`` in pixels, shape (4,), float64."""
        if self.vertical_fov_rad is not None:
            focal_px = 0.5 * self.height_px / math.tan(0.5 * self.vertical_fov_rad)
            return np.array([focal_px, focal_px, 0.5 * self.width_px, 0.5 * self.height_px])
        return np.array([self.fx, self.fy, self.cx, self.cy], dtype=np.float64)

    def ray_directions(self) -> npt.NDArray[np.float64]:
        """Directions through the pixel centres, in the camera frame.

        They are scaled to one metre along the optical axis, so that direction times depth is the point seen.

        Returns:
            Array (height_px, width_px, 3), float64; the last component is -1.
        """
        fx, fy, cx, cy = self.intrinsics
        directions = np.empty((self.height_px, self.width_px, 3))
        directions[..., 0] = (np.arange(self.width_px) + 0.5 - cx) / fx
        directions[..., 1] = (cy - (np.arange(self.height_px)[:, None] + 0.5)) / fy
        directions[..., 2] = -1.0
        return directions
