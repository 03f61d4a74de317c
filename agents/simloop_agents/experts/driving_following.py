"""The driving expert's longitudinal control: behind leaders, before lines, and for those who cross its way.

Car following is the improved intelligent driver model (Treiber, Hennecke and Helbing 2000; Kesting, Treiber and
Helbing 2010, "Enhanced intelligent driver model to access the impact of driving strategies"): the
constant-acceleration heuristic keeps it from panicking when a car cuts in that is not slower.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]

MAX_ACCELERATION_MPS2 = 1.8
COMFORTABLE_DECELERATION_MPS2 = 2.5
MAX_DECELERATION_MPS2 = 8.0
STANDSTILL_GAP_M = 3.0
TIME_GAP_S = 1.3
COOLNESS = 0.99
"""Weight c of the constant-acceleration heuristic (Kesting et al. 2010)."""
HEURISTIC_MARGIN_M = 2.0
"""Part of the gap that the constant-acceleration heuristic must not use up."""
STOPPING_MPS2 = 1.8
"""Deceleration towards a line."""
STOPPING_GAIN_PER_S = 0.7


@njit(cache=True)
def following_acceleration_mps2(
    speed_mps: float,
    desired_speed_mps: float,
    gap_m: float,
    lead_speed_mps: float,
    lead_acceleration_mps2: float,
) -> float:
    """Returns the improved intelligent driver model's acceleration behind one leader.

    At speeds above the desired one the free-road term is that of Kesting et al. (2010), which brakes gently.

    Args:
        speed_mps: Own speed, >= 0.
        desired_speed_mps: Speed on a free road, > 0.
        gap_m: Bumper-to-bumper gap, > 0; infinite on a free road.
        lead_speed_mps: Speed of the leader along the route.
        lead_acceleration_mps2: Acceleration of the leader.
    """
    if speed_mps <= desired_speed_mps:
        free = MAX_ACCELERATION_MPS2 * (1.0 - (speed_mps / desired_speed_mps) ** 4)
    else:
        power = MAX_ACCELERATION_MPS2 * 4.0 / COMFORTABLE_DECELERATION_MPS2
        free = -COMFORTABLE_DECELERATION_MPS2 * (1.0 - (desired_speed_mps / speed_mps) ** power)
    if math.isinf(gap_m):
        return free
    closing = speed_mps - lead_speed_mps
    braking_root = 2.0 * math.sqrt(MAX_ACCELERATION_MPS2 * COMFORTABLE_DECELERATION_MPS2)
    wanted_gap = STANDSTILL_GAP_M + max(0.0, speed_mps * TIME_GAP_S + speed_mps * closing / braking_root)
    ratio = wanted_gap / gap_m
    if ratio >= 1.0:
        model = min(free, 0.0) + MAX_ACCELERATION_MPS2 * (1.0 - ratio * ratio)
    else:
        model = free if free <= 0.0 else free * (1.0 - ratio * ratio)
    usable = max(gap_m - HEURISTIC_MARGIN_M, 0.1)
    lead = min(lead_acceleration_mps2, MAX_ACCELERATION_MPS2)
    if lead < 0.0 and lead_speed_mps * closing <= -2.0 * usable * lead:
        heuristic = speed_mps * speed_mps * lead / (lead_speed_mps * lead_speed_mps - 2.0 * usable * lead)
    else:
        heuristic = lead - max(closing, 0.0) ** 2 / (2.0 * usable)
    if model >= heuristic:
        return model
    comfort = COMFORTABLE_DECELERATION_MPS2
    return (1.0 - COOLNESS) * model + COOLNESS * (
        heuristic + comfort * math.tanh((model - heuristic) / comfort)
    )


@njit(cache=True)
def stopping_acceleration_mps2(speed_mps: float, way_m: float) -> float:
    """Returns the acceleration that ends at rest after ``way_m``: along a parabola of constant deceleration.

    Far from the line it is large and asks for nothing; what is left of the way at rest is crept up.
    """
    if way_m <= 0.1:
        return -MAX_DECELERATION_MPS2 if speed_mps > 2.0 else -max(2.0, 3.0 * speed_mps)
    allowed = math.sqrt(2.0 * STOPPING_MPS2 * way_m)
    wanted = -0.5 * speed_mps * speed_mps / way_m + STOPPING_GAIN_PER_S * (allowed - speed_mps)
    return max(wanted, -MAX_DECELERATION_MPS2)


@njit(cache=True)
def predict_along(speed_mps: float, acceleration_mps2: float, t_s: float) -> tuple[float, float]:
    """Returns distance and speed after ``t_s`` at constant acceleration; a braking actor stops and stays."""
    if acceleration_mps2 < 0.0 and speed_mps + acceleration_mps2 * t_s < 0.0:
        return -0.5 * speed_mps * speed_mps / acceleration_mps2, 0.0
    return speed_mps * t_s + 0.5 * acceleration_mps2 * t_s * t_s, speed_mps + acceleration_mps2 * t_s
