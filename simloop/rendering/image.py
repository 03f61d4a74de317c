"""The results of a rendering and of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError

BACKGROUND_ID: Final = -1
"""Value of the semantic and the instance image where no surface is seen."""

OUTPUTS: Final = ("rgb", "depth", "semantic", "instance")
"""What a rendering can be asked for."""


_ArrayT = TypeVar("_ArrayT", bound=npt.NDArray[Any])


class RenderedImage:
    """The images of one camera at one instant; reading one that was not asked for raises ParameterError.

    Attributes:
        rgb: (height, width, 3) uint8.
        depth_m: (height, width) float32, distance along the optical axis; inf where no surface is seen.
        semantic: (height, width) int32, semantic class; -1 where no surface is seen.
        instance: (height, width) int32, instance id; -1 where no surface is seen.
    """

    __slots__ = ("_depth_m", "_instance", "_rgb", "_semantic")

    def __init__(
        self,
        *,
        rgb: npt.NDArray[np.uint8] | None = None,
        depth_m: npt.NDArray[np.float32] | None = None,
        semantic: npt.NDArray[np.int32] | None = None,
        instance: npt.NDArray[np.int32] | None = None,
    ) -> None:
        self._rgb = rgb
        self._depth_m = depth_m
        self._semantic = semantic
        self._instance = instance

    @property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """Colour image, (height, width, 3) uint8."""
        return _requested(self._rgb, "rgb")

    @property
    def depth_m(self) -> npt.NDArray[np.float32]:
        """Distance along the optical axis, (height, width) float32; inf where no surface is seen."""
        return _requested(self._depth_m, "depth")

    @property
    def semantic(self) -> npt.NDArray[np.int32]:
        """Semantic class, (height, width) int32; -1 where no surface is seen."""
        return _requested(self._semantic, "semantic")

    @property
    def instance(self) -> npt.NDArray[np.int32]:
        """Instance id, (height, width) int32; -1 where no surface is seen."""
        return _requested(self._instance, "instance")


def _requested(array: _ArrayT | None, output: str) -> _ArrayT:
    if array is None:
        msg = (
            f"The image has no {output!r}: it was not among the outputs asked for; render with it in outputs."
        )
        raise ParameterError(msg)
    return array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RangeScan:
    """What a grid of rays hits; all arrays are (num_elevations, num_azimuths).

    Attributes:
        range_m: float64, distance along the ray; inf where nothing is hit.
        cosine: float64, of the angle between the ray and the surface's normal; 0 where nothing is hit.
        albedo: float64, mean of the surface's three colours; 0 where nothing is hit.
        semantic: int32, semantic class; -1 where nothing is hit.
        instance: int32, instance id; -1 where nothing is hit.
    """

    range_m: npt.NDArray[np.float64]
    cosine: npt.NDArray[np.float64]
    albedo: npt.NDArray[np.float64]
    semantic: npt.NDArray[np.int32]
    instance: npt.NDArray[np.int32]
