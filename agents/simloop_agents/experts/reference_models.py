"""Four published models of a competent driver: when each one brakes for another road user, and how.

- ``cc_human_driver``: the competent and careful human driver of UN Regulation No. 157, annex 4, appendix 3.
- ``fsm``: the fuzzy safety model of K. Mattas et al., "Fuzzy Surrogate Safety Metrics for real-time assessment of
  rear-end collision risk", Accident Analysis and Prevention 148 (2020) 105794.
- ``rss``: responsibility-sensitive safety, S. Shalev-Shwartz, S. Shammah, A. Shashua, arXiv 1708.06374.
- ``reg157``: the performance that paragraph 5.2.5.2 of UN Regulation No. 157 asks of an automated system.

Constants are those with which the European Commission's Joint Research Centre compares the four models (K. Mattas et
al., "Driver models for the definition of safety requirements of automated vehicles in international regulations",
Accident Analysis and Prevention 174 (2022) 106743). A model brakes and never steers. Once it has reacted it does not
speed up again. Its reaction time runs only while it sees danger.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.errors import UnknownNameError

FloatArray = npt.NDArray[np.float64]

CC_HUMAN_DRIVER = 0
FSM = 1
RSS = 2
REG157 = 3
REFERENCE_MODELS = ("cc_human_driver", "fsm", "rss", "reg157")
"""Names of the models, by code."""

GRAVITY_MPS2 = 9.81
HUMAN_REACTION_S = 0.75
REG157_REACTION_S = 0.35
FULL_BRAKING_MPS2 = 0.774 * GRAVITY_MPS2
BRAKING_JERK_MPS3 = 12.65
"""0.774 g after 0.6 s."""
RELEASE_DECELERATION_MPS2 = 0.4
"""With which the human driver rolls out while the foot changes over."""

CC_CRITICAL_TTC_S = 2.0
REG157_BRAKING_MPS2 = 6.0
REG157_LATERAL_GAP_M = 0.5
REG157_TTC_MARGIN_S = 0.1
RSS_RESPONSE_S = 0.75
RSS_ACCELERATION_MPS2 = 3.0
RSS_BRAKING_MPS2 = 6.0
RSS_LATERAL_ACCELERATION_MPS2 = 1.0
RSS_LATERAL_MARGIN_M = 0.3
FSM_REACTION_S = 0.75
FSM_COMFORTABLE_MPS2 = 4.0
FSM_BRAKING_MPS2 = 6.0
FSM_LEADER_BRAKING_MPS2 = 7.0
FSM_MARGIN_M = 2.0
FSM_HEADWAY_S = 0.1

# What a model makes of a conflict.
SAFE = 0
UNSAFE = 1
OVER = 2  # the human driver's case ends: the other came in so far ahead that it is not his conflict

# Entries of a driver's memory.
LATENCY_LEFT_S = 0  # dead time that was added to the model's own reaction time
REACTION_LEFT_S = 1
DECELERATION_MPS2 = 2
HAS_REACTED = 3
NUM_DRIVER_ENTRIES = 4


def model_code(model: str) -> int:
    """Returns the code of a model.

    Raises:
        UnknownNameError: There is no such model.
    """
    if model not in REFERENCE_MODELS:
        raise UnknownNameError("reference driver", model, REFERENCE_MODELS)
    return REFERENCE_MODELS.index(model)


@njit(cache=True)
def start_driver(driver: FloatArray, model: int, added_latency_s: float) -> None:
    """Fills a (NUM_DRIVER_ENTRIES,) memory for the start of a case."""
    driver[LATENCY_LEFT_S] = added_latency_s
    driver[REACTION_LEFT_S] = REG157_REACTION_S if model == REG157 else HUMAN_REACTION_S
    driver[DECELERATION_MPS2] = 0.0
    driver[HAS_REACTED] = 0.0


@njit(cache=True)
def _ratio(value: float, by: float) -> float:
    return value / by if by != 0.0 else math.inf


@njit(cache=True)
def _fuzzy(value: float, safe: float, unsafe: float) -> float:
    """Returns 0 above ``safe``, 1 below ``unsafe``, linear between."""
    if value > safe:
        return 0.0
    if value < unsafe:
        return 1.0
    return (value - safe) / (unsafe - safe) if unsafe != safe else 1.0


@njit(cache=True)
def proactive_fuzzy_metric(
    speed_mps: float, actor_speed_mps: float, gap_m: float, reaction_s: float = FSM_REACTION_S
) -> float:
    """Returns the fuzzy safety model's PFS in 0..1: would hard braking of the one ahead be dangerous?"""
    react_m = speed_mps * reaction_s
    leader_m = actor_speed_mps**2 / (2.0 * FSM_LEADER_BRAKING_MPS2)
    safe_m = react_m + speed_mps**2 / (2.0 * FSM_COMFORTABLE_MPS2) - leader_m + FSM_MARGIN_M
    unsafe_m = react_m + speed_mps**2 / (2.0 * FSM_BRAKING_MPS2) - leader_m
    return float(_fuzzy(gap_m - FSM_MARGIN_M, safe_m, unsafe_m))


@njit(cache=True)
def critical_fuzzy_metric(
    speed_mps: float,
    acceleration_mps2: float,
    actor_speed_mps: float,
    gap_m: float,
    reaction_s: float = FSM_REACTION_S,
) -> float:
    """Returns the fuzzy safety model's CFS in 0..1: does the present course, kept for a reaction time, collide?"""
    if speed_mps <= actor_speed_mps:
        return 0.0
    acceleration = max(acceleration_mps2, -FSM_COMFORTABLE_MPS2)
    change = reaction_s * acceleration
    closing = speed_mps - actor_speed_mps
    if speed_mps + change < actor_speed_mps:
        return 1.0 if gap_m < closing * closing / abs(2.0 * acceleration_mps2) else 0.0
    react_m = (closing + 0.5 * change) * reaction_s
    later = closing + change
    safe_m = react_m + later * later / (2.0 * FSM_COMFORTABLE_MPS2)
    unsafe_m = react_m + later * later / (2.0 * FSM_BRAKING_MPS2)
    return float(_fuzzy(gap_m, safe_m, unsafe_m))


@njit(cache=True)
def _judge_rss(
    speed_mps: float,
    actor_speed_mps: float,
    gap_m: float,
    lateral_gap_m: float,
    approach_mps: float,
    response: float,
) -> int:
    braking = RSS_BRAKING_MPS2
    faster = speed_mps + response * RSS_ACCELERATION_MPS2
    safe_m = speed_mps * response + 0.5 * RSS_ACCELERATION_MPS2 * response * response
    safe_m += faster * faster / (2.0 * braking) - actor_speed_mps * actor_speed_mps / (2.0 * braking)
    lateral = abs(approach_mps)
    later = lateral + RSS_LATERAL_ACCELERATION_MPS2 * response
    safe_lateral_m = RSS_LATERAL_MARGIN_M + 0.5 * (lateral + later) * response
    safe_lateral_m += later * later / (2.0 * RSS_LATERAL_ACCELERATION_MPS2)
    return UNSAFE if gap_m < safe_m and lateral_gap_m < safe_lateral_m else SAFE


@njit(cache=True)
def judge_conflict(
    model: int,
    speed_mps: float,
    acceleration_mps2: float,
    actor_speed_mps: float,
    ahead_m: float,
    length_m: float,
    lateral_gap_m: float,
    approach_mps: float,
    added_latency_s: float = 0.0,
) -> tuple[int, float]:
    """Returns SAFE, UNSAFE or OVER, and the deceleration at which the fuzzy safety model aims (else full braking).

    Args:
        model: Code of the model.
        speed_mps: Speed of the ego.
        acceleration_mps2: Acceleration of the ego over the step before.
        actor_speed_mps: Speed of the other along the road.
        ahead_m: From the ego's centre to the other's, along the road.
        length_m: Mean length of the two.
        lateral_gap_m: Between the sides that face each other; negative where they overlap.
        approach_mps: Lateral speed of the other towards the ego.
        added_latency_s: Dead time that the driver knows to have on top of the model's own reaction time.
    """
    if ahead_m <= 0.0:
        return SAFE, FULL_BRAKING_MPS2
    gap_m = ahead_m - length_m
    closing = speed_mps - actor_speed_mps
    if model == CC_HUMAN_DRIVER:
        if lateral_gap_m > 0.0:
            return SAFE, FULL_BRAKING_MPS2
        ttc_s = abs(_ratio(gap_m, closing))
        return OVER if ttc_s > CC_CRITICAL_TTC_S else UNSAFE, FULL_BRAKING_MPS2
    if model == REG157:
        if lateral_gap_m > REG157_LATERAL_GAP_M:
            return SAFE, FULL_BRAKING_MPS2
        ttc_s = abs(_ratio(abs(ahead_m) - length_m, closing))
        bound_s = closing / (2.0 * REG157_BRAKING_MPS2) + REG157_REACTION_S + REG157_TTC_MARGIN_S
        bound_s += added_latency_s
        return SAFE if ttc_s > bound_s else UNSAFE, FULL_BRAKING_MPS2
    if model == RSS:
        response_s = RSS_RESPONSE_S + added_latency_s
        verdict = _judge_rss(speed_mps, actor_speed_mps, gap_m, lateral_gap_m, approach_mps, response_s)
        return verdict, FULL_BRAKING_MPS2
    if lateral_gap_m > 0.0:
        if approach_mps <= 0.0:
            return SAFE, FULL_BRAKING_MPS2
        if lateral_gap_m / approach_mps > _ratio(ahead_m + length_m, closing) + FSM_HEADWAY_S:
            return SAFE, FULL_BRAKING_MPS2
    reaction_s = FSM_REACTION_S + added_latency_s
    proactive = proactive_fuzzy_metric(speed_mps, actor_speed_mps, gap_m, reaction_s)
    critical = critical_fuzzy_metric(speed_mps, acceleration_mps2, actor_speed_mps, gap_m, reaction_s)
    if proactive + critical <= 0.0:
        return SAFE, FULL_BRAKING_MPS2
    if critical > 0.0:
        return UNSAFE, critical * (FSM_BRAKING_MPS2 - FSM_COMFORTABLE_MPS2) + FSM_COMFORTABLE_MPS2
    return UNSAFE, proactive * FSM_COMFORTABLE_MPS2


@njit(cache=True)
def brake(driver: FloatArray, model: int, target_mps2: float, step_s: float) -> float:
    """Returns the deceleration of a driver who sees danger, for the step that begins; updates the memory.

    Added latency is dead time before the model's own reaction: nothing happens at all.

    Args:
        driver: (NUM_DRIVER_ENTRIES,) memory.
        model: Code of the model.
        target_mps2: Second value of ``judge_conflict``.
        step_s: Time until the model is asked again.
    """
    driver[HAS_REACTED] = 1.0
    if driver[LATENCY_LEFT_S] > 1e-9:
        driver[LATENCY_LEFT_S] -= step_s
        driver[DECELERATION_MPS2] = 0.0
    elif driver[REACTION_LEFT_S] > 1e-9:
        driver[REACTION_LEFT_S] -= step_s
        driver[DECELERATION_MPS2] = RELEASE_DECELERATION_MPS2 if model == CC_HUMAN_DRIVER else 0.0
    elif model == REG157:
        driver[DECELERATION_MPS2] = REG157_BRAKING_MPS2
    else:
        grown = driver[DECELERATION_MPS2] + BRAKING_JERK_MPS3 * step_s
        driver[DECELERATION_MPS2] = min(grown, FULL_BRAKING_MPS2, target_mps2)
    return float(driver[DECELERATION_MPS2])
