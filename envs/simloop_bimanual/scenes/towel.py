"""The towel of TwoArmFoldTowel and the board that it lies on: sizes that scene and task share."""

from __future__ import annotations

import math

from simloop_bimanual.conventions import TABLE_TOP_M
from simloop_bimanual.scenes.cloth import Cloth

BOARD_HALF_SIZE_M = (0.22, 0.127, 0.05)
"""The towel is 6.6 cm wider than the board, so that its corners hang over and a finger gets under them."""
BOARD_TOP_M = TABLE_TOP_M + 2 * BOARD_HALF_SIZE_M[2]

BOARD = "table_board"
"""Name of the board's body; its geom counts as the table in the contacts."""

TOWEL = Cloth(
    name="towel",
    num_side=9,
    spacing_m=0.04,
    mass_kg=0.12,
    radius_m=0.005,
    young_modulus_npm2=3e3,
    elastic_thickness_m=0.028,
    damping_s=7e-4,
    most_stretch_ratio=1.2,
    sliding_friction=0.5,
    rgb=(0.25, 0.45, 0.75),
)
"""A hand towel of 32 x 32 cm and 1.2 kg/m^2, soft to pull and stiff enough to stand out 2 cm over an edge."""


def board_pose(
    x_m: float, y_m: float, yaw_rad: float
) -> tuple[tuple[float, float, float], tuple[float, float, float, float]]:
    """Returns position and quaternion w x y z of the board's body for its place on the table."""
    half = yaw_rad / 2.0
    return (x_m, y_m, BOARD_TOP_M - BOARD_HALF_SIZE_M[2]), (math.cos(half), 0.0, 0.0, math.sin(half))
