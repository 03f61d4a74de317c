"""Stop lines ahead: lights and signs, and whether the driving expert has to stop at them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop_agents.experts.driving_following import MAX_DECELERATION_MPS2

FloatArray = npt.NDArray[np.float64]

# Columns of the world's ``controls`` sensor, its kinds and states.
_C_PRESENT, _C_DISTANCE_M, _C_KIND, _C_STATE, _C_CHANGE_S, _C_EXIT_M = range(6)
TRAFFIC_LIGHT, STOP_SIGN, YIELD_SIGN = 0, 1, 2
GREEN, AMBER, RED = 0, 1, 2
# Columns of the (K, 4) lines: where the ego's centre stands when it waits, the end of the junction, whether it has to
# stop, and whether the line is a light's.
LINE_S_M, LINE_EXIT_S_M, LINE_HOLDS, LINE_IS_LIGHT = range(4)

LINE_MARGIN_M = 0.8
"""From the ego's front to the line at rest."""
STOPPED_MPS = 0.1
STOPPED_WITHIN_M = 1.5
"""Who stands with its front this close to a stop line has stopped at it."""
LAUNCH_MPS2 = 0.2
AMBER_MPS2 = 3.0
"""Who needs more to stop at an amber light goes on."""


@njit(cache=True)
def make_lines(
    controls: FloatArray, ego_s: float, speed: float, acceleration: float, anchor_s: float, length_m: float
) -> FloatArray:
    """Returns the lines ahead, and which of them the ego has to stop at.

    A stop sign is done with by who stands at it, and by who has just driven off from it: close to the line, slow, and
    speeding up.

    Args:
        controls: (4, 6) as the world's sensor.
        ego_s: Station of the ego's centre where the plan begins.
        speed: Speed there.
        acceleration: Acceleration there.
        anchor_s: Station that the sensor's distances count from.
        length_m: The ego's length.
    """
    lines = np.zeros((len(controls), 4))
    for row in range(len(controls)):
        control = controls[row]
        if control[_C_PRESENT] <= 0.5:
            return lines[:row]
        line = lines[row]
        line[LINE_S_M] = anchor_s + control[_C_DISTANCE_M] - 0.5 * length_m - LINE_MARGIN_M
        line[LINE_EXIT_S_M] = anchor_s + control[_C_EXIT_M]
        line[LINE_IS_LIGHT] = 1.0 if control[_C_KIND] == TRAFFIC_LIGHT else 0.0
        way = line[LINE_S_M] - ego_s
        if way < -LINE_MARGIN_M:
            continue
        needed = 0.5 * speed * speed / max(way, 0.05)
        if control[_C_KIND] == TRAFFIC_LIGHT:
            if control[_C_STATE] == RED:
                line[LINE_HOLDS] = 1.0 if needed < 1.2 * MAX_DECELERATION_MPS2 or speed < 2.0 else 0.0
            elif control[_C_STATE] == AMBER:
                line[LINE_HOLDS] = 1.0 if needed < AMBER_MPS2 or speed < 2.0 else 0.0
        elif control[_C_KIND] == STOP_SIGN:
            front_m = way + LINE_MARGIN_M
            has_stopped = speed < STOPPED_MPS and front_m < STOPPED_WITHIN_M
            since_m = STOPPED_WITHIN_M + 0.3 - front_m
            is_launching = since_m > 0.0 and acceleration > LAUNCH_MPS2 and speed * speed < 4.0 * since_m
            line[LINE_HOLDS] = 0.0 if has_stopped or is_launching else 1.0
    return lines
