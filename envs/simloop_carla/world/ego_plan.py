"""What the ego's controls do in a tick of the server, foreseen with the embedded world's vehicle."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.dynamics.single_track import (
    ACCELERATION_MPS2,
    NUM_EGO_ENTRIES,
    STEER_RAD,
    VX_MPS,
    step_single_track,
)
from simloop_driving.dynamics.tracking import actuator_commands
from simloop_driving.dynamics.vehicle import MAX_BRAKE_MPS2, MAX_DRIVE_MPS2, MAX_STEER_RAD

FloatArray = npt.NDArray[np.float64]


@numba.njit(cache=True)
def plan_tick(
    control: FloatArray, ego: FloatArray, vehicle: FloatArray, num_steps: int, step_s: float
) -> tuple[FloatArray, float, float, float]:
    """Averages what the controller would ask for in the physics steps of a tick, and foresees the tick under that.

    A server holds one control for a tick. So drive, brake and front wheels end where the average brings them, not
    where the single controls would have; a server does not tell, and the next plan starts from there.

    Args:
        control: (tracking.NUM_CONTROL_ENTRIES,) controller state; not changed.
        ego: (NUM_EGO_ENTRIES,) state; not changed.
        vehicle: Packed parameters.
        num_steps: Physics steps in the tick.
        step_s: Physics step.

    Returns:
        (num_steps, NUM_EGO_ENTRIES) foreseen states, and shares of the largest steer (to the left), drive and brake.
    """
    controller, state = control.copy(), ego.copy()
    steer_sum, drive_sum, brake_sum = 0.0, 0.0, 0.0
    for _ in range(num_steps):
        steer, drive, brake = actuator_commands(controller, state, vehicle, step_s)
        steer_sum += steer
        drive_sum += drive
        brake_sum += brake
        step_single_track(state, vehicle, steer, drive, brake, step_s)
    steer_share = min(max(steer_sum / num_steps / vehicle[MAX_STEER_RAD], -1.0), 1.0)
    drive_share = min(drive_sum / num_steps / vehicle[MAX_DRIVE_MPS2], 1.0)
    brake_share = min(brake_sum / num_steps / vehicle[MAX_BRAKE_MPS2], 1.0)
    steer, drive = steer_share * vehicle[MAX_STEER_RAD], drive_share * vehicle[MAX_DRIVE_MPS2]
    brake = brake_share * vehicle[MAX_BRAKE_MPS2]
    state = ego.copy()
    states = np.empty((num_steps, NUM_EGO_ENTRIES))
    for step in range(num_steps):
        step_single_track(state, vehicle, steer, drive, brake, step_s)
        states[step] = state
    return states, steer_share, drive_share, brake_share


@numba.njit(cache=True)
def blend_to(states: FloatArray, start: FloatArray, measured: FloatArray, step_s: float) -> None:
    """Bends foreseen states so that the last one is the measured one, in place.

    Actuator positions, which a server does not tell, stay as foreseen. Between the ends the difference grows linearly.

    Args:
        states: (num_steps, NUM_EGO_ENTRIES) foreseen.
        start: (NUM_EGO_ENTRIES,) state before them.
        measured: (6,) x, y, yaw (continuous with the foreseen one), vx, vy and yaw rate at the end.
        step_s: Physics step.
    """
    count = states.shape[0]
    for entry in range(STEER_RAD):
        off = measured[entry] - states[count - 1, entry]
        for step in range(count - 1):
            states[step, entry] += off * (step + 1) / count
        states[count - 1, entry] = measured[entry]
    for step in range(count):
        before = start[VX_MPS] if step == 0 else states[step - 1, VX_MPS]
        states[step, ACCELERATION_MPS2] = (states[step, VX_MPS] - before) / step_s
