"""Pictures on surfaces: kept as a pyramid of ever smaller copies, so that far surfaces do not flicker."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError

LARGEST_PX: Final = 1024


class Texture:
    """A square picture that repeats in both directions; texture coordinates 0..1 cover it once, v downwards.

    Attributes:
        levels: Pictures (n, n, 3) uint8 with n = size, size / 2, ... 1; each pixel is the mean of four of the level
            before (L. Williams, "Pyramidal Parametrics", SIGGRAPH 1983).
    """

    __slots__ = ("levels",)

    def __init__(self, picture_rgb: npt.ArrayLike, size_px: int = 256) -> None:
        """Resample a picture.

        Args:
            picture_rgb: (height, width, 3) uint8, top row first, of any size.
            size_px: Edge length of the texture, a power of two; smaller pictures are enlarged without smoothing.

        Raises:
            ParameterError: Not such a picture, or not such a size.
        """
        picture = np.asarray(picture_rgb)
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
            msg = f"A texture needs a picture (height, width, 3) uint8, got {picture.shape} {picture.dtype}."
            raise ParameterError(msg)
        if not 1 <= size_px <= LARGEST_PX or size_px & (size_px - 1):
            msg = f"size_px must be a power of two, 1 to {LARGEST_PX}, got {size_px}."
            raise ParameterError(msg)
        level = _resampled(_resampled(picture.astype(np.float64), size_px).swapaxes(0, 1), size_px)
        level = level.swapaxes(0, 1)
        levels = [level]
        while len(level) > 1:
            level = 0.25 * (level[::2, ::2] + level[1::2, ::2] + level[::2, 1::2] + level[1::2, 1::2])
            levels.append(level)
        self.levels = tuple(np.floor(level + 0.5).astype(np.uint8) for level in levels)

    @property
    def mean_rgb(self) -> npt.NDArray[np.float32]:
        """Mean colour, (3,), each 0..1."""
        return np.asarray(self.levels[-1][0, 0] / np.float32(255.0), dtype=np.float32)


def _resampled(rows: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Means of ``count`` equal groups of rows, or repeated rows where there are fewer."""
    edges: npt.NDArray[np.int64] = np.arange(count + 1) * len(rows) // count
    if len(rows) < count:
        return np.take(rows, edges[:-1], axis=0)
    sums: npt.NDArray[np.float64] = np.add.reduceat(rows, edges[:-1], axis=0)
    return np.divide(sums, np.diff(edges)[:, None, None])
