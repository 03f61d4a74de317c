"""The parameter grids of the public UN R157 studies, as values for the family ``r157_cut_in``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.errors import UnknownNameError

FloatArray = npt.NDArray[np.float64]

_KMH = 1.0 / 3.6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CutInGrid:
    """All cells of one cut-in grid; cell ``i`` is entry ``i`` of every array.

    Attributes:
        ego_speed_mps, cut_in_speed_mps, gap_m, lateral_speed_mps: (N,) float64 parameters.
        steps: Step of the grid along each of them.
    """

    ego_speed_mps: FloatArray
    cut_in_speed_mps: FloatArray
    gap_m: FloatArray
    lateral_speed_mps: FloatArray
    steps: tuple[float, float, float, float]

    def __len__(self) -> int:
        return len(self.gap_m)

    def parameters(self, cell: int, cut_in_side: str = "left") -> dict[str, float | str]:
        """Returns the values with which ``ScenarioFamily.scenario`` makes the cell's scenario."""
        return {
            "ego_speed_mps": float(self.ego_speed_mps[cell]),
            "cut_in_speed_ratio": float(self.cut_in_speed_mps[cell] / self.ego_speed_mps[cell]),
            "gap_m": float(self.gap_m[cell]),
            "lateral_speed_mps": float(self.lateral_speed_mps[cell]),
            "cut_in_side": cut_in_side,
        }


def cut_in_grid(name: str) -> CutInGrid:
    """Returns the cut-in grid ``high`` (14,040 cells) or ``low`` (15,930 cells).

    High: ego 70, 90, 110, 130 km/h, the other from 10 km/h in steps of 30, gap 1, 3 .. 119 m. Low: ego 10, 20 .. 60,
    the other from 10 in steps of 10, gap 1, 2 .. 59 m. In both the other is slower and its lateral speed is 0, 0.1
    .. 1.7 m/s.

    Raises:
        UnknownNameError: There is no such grid.
    """
    if name not in ("high", "low"):
        raise UnknownNameError("cut-in grid", name, ("high", "low"))
    is_high = name == "high"
    ego_kmh = range(70, 131, 20) if is_high else range(10, 61, 10)
    speed_step, gap_step, gap_end = (30, 2, 120) if is_high else (10, 1, 60)
    cells = [
        (ego, other, float(gap), lateral / 10.0)
        for ego in ego_kmh
        for other in range(10, ego, speed_step)
        for gap in range(1, gap_end, gap_step)
        for lateral in range(18)
    ]
    values = np.array(cells, dtype=np.float64)
    return CutInGrid(
        ego_speed_mps=values[:, 0] * _KMH,
        cut_in_speed_mps=values[:, 1] * _KMH,
        gap_m=values[:, 2],
        lateral_speed_mps=values[:, 3],
        steps=((20 if is_high else 10) * _KMH, speed_step * _KMH, float(gap_step), 0.1),
    )
