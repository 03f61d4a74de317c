"""Reference drivers in the point-mass cut-in of the UN R157 studies: which cut-ins are preventable at all?

Two cars of 4.3 m x 1.9 m drive at constant speed on neighbouring lanes, 1.6 m apart between their sides. The slower
one, ahead by a gap, moves over; the ego brakes by a reference model (``reference_models``) or not at all. Time goes
in steps of 0.1 s by forward Euler, as in the public study of the Joint Research Centre (JRC-FSM), whose table of
crashes this module reproduces.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.errors import ParameterError
from simloop_agents.experts.reference_models import (
    HAS_REACTED,
    NUM_DRIVER_ENTRIES,
    OVER,
    REFERENCE_MODELS,
    UNSAFE,
    brake,
    judge_conflict,
    model_code,
    start_driver,
)

__all__ = ["REFERENCE_MODELS", "point_mass_cut_in", "point_mass_cut_in_impacts"]

FloatArray = npt.NDArray[np.float64]

STEP_S = 0.1
NUM_STEPS = 350
LENGTH_M = 4.3
WIDTH_M = 1.9
LATERAL_GAP_M = 1.6
LANE_CHANGE_M = 3.5
LEAD_IN_STEP_MPS = 0.15
"""Growth of the lateral speed in one step before the nominal start (1.5 m/s2)."""


@njit(cache=True)
def _actor_course(
    ahead: FloatArray, left: FloatArray, rate: FloatArray, speed: float, gap: float, lateral: float
) -> int:
    """Fills position along and across the lane and lateral speed of the cut-in car; returns the lead-in's steps."""
    num_lead_in = int(math.ceil(lateral / LEAD_IN_STEP_MPS - 1e-9)) if lateral > 0.0 else 0
    num_moving = int(LANE_CHANGE_M / STEP_S // lateral) + 1 if lateral > 0.0 else 0
    num = NUM_STEPS + num_lead_in
    for i in range(num):
        if i < num_lead_in:
            rate[i] = -LEAD_IN_STEP_MPS * i
        else:
            rate[i] = -lateral if i < num_lead_in + num_moving else 0.0
    ahead[num_lead_in] = gap + LENGTH_M
    left[num_lead_in] = LATERAL_GAP_M + WIDTH_M
    for i in range(num_lead_in - 1, -1, -1):
        ahead[i] = ahead[i + 1] - speed * STEP_S
        left[i] = left[i + 1] - rate[i] * STEP_S
    for i in range(num_lead_in, num - 1):
        ahead[i + 1] = ahead[i] + speed * STEP_S
        left[i + 1] = left[i] + rate[i] * STEP_S
    return num_lead_in


@njit(cache=True)
def _impact_mps(
    model: int, ego_speed: float, actor_speed: float, gap: float, lateral: float, added_latency_s: float
) -> float:
    """Returns the closing speed at which the ego hits the cut-in car, NaN if it does not."""
    num_lead_in_most = int(math.ceil(lateral / LEAD_IN_STEP_MPS)) if lateral > 0.0 else 0
    ahead = np.empty(NUM_STEPS + num_lead_in_most)
    left = np.empty_like(ahead)
    rate = np.empty_like(ahead)
    num_lead_in = _actor_course(ahead, left, rate, actor_speed, gap, lateral)
    driver = np.empty(NUM_DRIVER_ENTRIES)
    start_driver(driver, model, added_latency_s)
    ego, speed, previous = 0.0, ego_speed, ego_speed
    for _ in range(num_lead_in):
        ego -= ego_speed * STEP_S
    for i in range(NUM_STEPS + num_lead_in - 1):
        distance = ahead[i] - ego
        lateral_gap = abs(left[i]) - WIDTH_M
        verdict, target = judge_conflict(
            model,
            speed,
            (speed - previous) / STEP_S,
            actor_speed,
            distance,
            LENGTH_M,
            lateral_gap,
            -rate[i],
            added_latency_s,
        )
        if verdict == OVER:
            return math.nan
        if lateral_gap < 0.0 and abs(distance) - LENGTH_M < 0.0:
            return speed - actor_speed
        previous = speed
        if verdict == UNSAFE:
            speed = max(0.0, speed - brake(driver, model, target, STEP_S) * STEP_S)
        elif driver[HAS_REACTED] == 0.0:
            speed = ego_speed
        ego += speed * STEP_S
    return math.nan


@njit(cache=True)
def _impacts_mps(
    out: FloatArray,
    model: int,
    ego_speed: FloatArray,
    actor_speed: FloatArray,
    gap: FloatArray,
    lateral: FloatArray,
    added_latency_s: float,
) -> None:
    for i in range(len(out)):
        out[i] = _impact_mps(model, ego_speed[i], actor_speed[i], gap[i], lateral[i], added_latency_s)


def point_mass_cut_in_impacts(
    model: str,
    ego_speed_mps: npt.ArrayLike,
    cut_in_speed_mps: npt.ArrayLike,
    gap_m: npt.ArrayLike,
    lateral_speed_mps: npt.ArrayLike,
    *,
    added_latency_s: float = 0.0,
) -> FloatArray:
    """Returns the closing speeds in m/s at which a reference driver hits the cut-in car; NaN where it does not.

    Args:
        model: One of ``REFERENCE_MODELS``.
        ego_speed_mps: Speed of the ego; all four arrays are broadcast against each other.
        cut_in_speed_mps: Speed of the car that cuts in.
        gap_m: Bumper to bumper, when the car has taken up its lateral speed.
        lateral_speed_mps: Lateral speed of the car that cuts in; at 0 it stays where it is.
        added_latency_s: Dead time that is added to the model's own reaction time, in whole steps of 0.1 s
            (anything between counts as the next step).

    Returns:
        float64 of the broadcast shape.

    Raises:
        UnknownNameError: There is no such model.
        ParameterError: A value is negative or not finite.
    """
    code = model_code(model)
    arrays = np.broadcast_arrays(
        *(
            np.asarray(a, dtype=np.float64)
            for a in (ego_speed_mps, cut_in_speed_mps, gap_m, lateral_speed_mps)
        )
    )
    names = ("ego_speed_mps", "cut_in_speed_mps", "gap_m", "lateral_speed_mps", "added_latency_s")
    for name, values in zip(names, (*arrays, np.asarray(added_latency_s)), strict=True):
        bad = ~(np.isfinite(values) & (values >= 0.0))
        if bad.any():
            raise ParameterError(
                f"point-mass cut-in: {name} is {float(values[bad].flat[0])!r}; allowed: numbers from 0 on."
            )
    out = np.empty(arrays[0].size)
    ego, actor, gap, lateral = (np.ascontiguousarray(a).ravel() for a in arrays)
    _impacts_mps(out, code, ego, actor, gap, lateral, float(added_latency_s))
    return out.reshape(arrays[0].shape)


def point_mass_cut_in(
    model: str,
    ego_speed_mps: float,
    cut_in_speed_mps: float,
    gap_m: float,
    lateral_speed_mps: float,
    *,
    added_latency_s: float = 0.0,
) -> bool:
    """Returns whether a reference driver crashes; arguments and errors as ``point_mass_cut_in_impacts``."""
    impact = point_mass_cut_in_impacts(
        model, ego_speed_mps, cut_in_speed_mps, gap_m, lateral_speed_mps, added_latency_s=added_latency_s
    )
    return bool(np.isfinite(impact))
