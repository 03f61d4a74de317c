"""Traffic lights: what every signal shows, as a pure function of time.

The phases of a controller turn green one after another: green, amber, all red, then the next phase. A light without a
controller has the cycle of a controller with two phases to itself. Signs show nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.roads.road_map import TRAFFIC_LIGHT, RoadMap

if TYPE_CHECKING:
    from simloop_driving.scenario.scene import SignalProgram

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

GREEN = 0
AMBER = 1
RED = 2
SIGN = -1  # not a light

# Columns of the signal program, one row a signal of the map.
IS_LIGHT = 0
GREEN_FROM_S = 1  # within the cycle
GREEN_S = 2
AMBER_S = 3
CYCLE_S = 4
OFFSET_S = 5  # how far the cycle is at t = 0
NUM_COLUMNS = 6


def build_signal_program(road_map: RoadMap, times: SignalProgram) -> FloatArray:
    """Returns the (K, NUM_COLUMNS) program of the K signals of a map."""
    program = np.zeros((len(road_map.signal_kind), NUM_COLUMNS))
    slot_s = times.green_s + times.amber_s + times.all_red_s
    for signal, kind in enumerate(road_map.signal_kind):
        controller = road_map.signal_controller[signal]
        num_phases = 2
        if controller >= 0:
            num_phases = max(
                2, int(road_map.signal_phase[road_map.signal_controller == controller].max()) + 1
            )
        phase = max(int(road_map.signal_phase[signal]), 0) if controller >= 0 else 0
        program[signal] = (
            float(kind == TRAFFIC_LIGHT),
            phase * slot_s,
            times.green_s,
            times.amber_s,
            num_phases * slot_s,
            times.offset_s,
        )
    return program


@numba.njit(cache=True)
def _time_in_cycle(program: FloatArray, signal: int, time_s: float) -> float:
    """Returns the time since the signal last turned green."""
    cycle = program[signal, CYCLE_S]
    passed = time_s + program[signal, OFFSET_S] - program[signal, GREEN_FROM_S]
    passed -= cycle * math.floor(passed / cycle)
    return float(0.0 if cycle - passed < 1e-9 else passed)


@numba.njit(cache=True)
def state_at(program: FloatArray, signal: int, time_s: float) -> int:
    """Returns ``GREEN``, ``AMBER`` or ``RED``, or ``SIGN`` for what is not a light."""
    if program[signal, IS_LIGHT] == 0.0:
        return SIGN
    passed = _time_in_cycle(program, signal, time_s) + 1e-9
    if passed < program[signal, GREEN_S]:
        return GREEN
    return AMBER if passed < program[signal, GREEN_S] + program[signal, AMBER_S] else RED


@numba.njit(cache=True)
def time_to_change(program: FloatArray, signal: int, time_s: float) -> float:
    """Returns the time until a light shows something else; inf for what is not a light."""
    if program[signal, IS_LIGHT] == 0.0:
        return math.inf
    state = state_at(program, signal, time_s)
    ends = program[signal, CYCLE_S] if state == RED else program[signal, GREEN_S]
    if state == AMBER:
        ends += program[signal, AMBER_S]
    return float(ends - _time_in_cycle(program, signal, time_s))


@numba.njit(cache=True)
def fill_states(program: FloatArray, time_s: float, states: IntArray) -> None:
    """Writes the state of every signal into ``states`` (K,)."""
    for signal in range(program.shape[0]):
        states[signal] = state_at(program, signal, time_s)


@numba.njit(cache=True)
def states_over(program: FloatArray, signals: IntArray, times_s: FloatArray) -> IntArray:
    """Returns the (T, U) states of some signals (U,) at times (T,)."""
    states = np.empty((times_s.shape[0], signals.shape[0]), dtype=np.int64)
    for t in range(times_s.shape[0]):
        for i in range(signals.shape[0]):
            states[t, i] = state_at(program, signals[i], times_s[t])
    return states
