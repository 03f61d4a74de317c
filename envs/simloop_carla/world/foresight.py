"""What a tick of the server will bring: where the scenario's actors will be, and the vehicle that foresees the ego."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop_carla.world.ego import ServerEgo
from simloop_driving import step_kernel
from simloop_driving.dynamics.vehicle import VehicleParameters, load_vehicle
from simloop_driving.kernel_arrays import WRITTEN, KernelArrays
from simloop_driving.periods import STEP_S, STEPS_PER_TICK

FloatArray = npt.NDArray[np.float64]

STOCK_VEHICLE = "midsize_saloon"
"""Foresees an ego that is no vehicle of the embedded world."""


def foreseeing_vehicle(ego: ServerEgo, chosen: str | None, vehicle: str) -> VehicleParameters:
    """Returns the vehicle that foresees the ego's motion, with the ego's own outer size; tells the ego of its steer.

    Args:
        ego: The ego on the server.
        chosen: Name of the vehicle; None takes ``vehicle`` where the ego is that one, else ``STOCK_VEHICLE``.
        vehicle: The embedded world's vehicle that the ego was to be.
    """
    name = chosen or (vehicle if ego.is_embedded_vehicle else STOCK_VEHICLE)
    length_m, width_m, height_m = (round(float(side), 4) for side in ego.box.size_m)
    foreseen = load_vehicle(name)
    ego.foreseen_steer_rad = foreseen.max_steer_rad
    return dataclasses.replace(foreseen, length_m=length_m, width_m=width_m, height_m=height_m)


class Foresight:
    """Plays a tick ahead on copies of the scenario's state; how actors move in it does not depend on the ego's way.

    Rows of the records that it writes are written again by the tick itself.
    """

    def __init__(self) -> None:
        self._copies: list[npt.NDArray[Any]] = []

    def actors(
        self,
        first_step: int,
        num_steps: int,
        moving: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
        vehicle: FloatArray,
        kernel_arrays: KernelArrays,
        records: tuple[FloatArray, FloatArray],
        others_states: FloatArray,
    ) -> FloatArray:
        """Returns the actor table at the end of the tick; it is written again by the next call.

        Args:
            first_step: Physics steps done so far.
            num_steps: Physics steps in the tick.
            moving: The ego's state, its controller's, contacts and pair ticks of ``step_kernel.run_steps``.
            vehicle: Packed parameters of the ego's vehicle.
            kernel_arrays: Further arrays of ``run_steps``.
            records: Its records of motion and of actors.
            others_states: Where the ego, and who else moves elsewhere, is foreseen to go.
        """
        written = [*moving, *(getattr(kernel_arrays, name) for name in WRITTEN)]
        if [array.shape for array in self._copies] != [array.shape for array in written]:
            self._copies = [array.copy() for array in written]
        else:
            for copy, array in zip(self._copies, written, strict=True):
                copy[...] = array
        ego, control, contacts, pair_ticks, *rest = self._copies
        copied: dict[str, Any] = dict(zip(WRITTEN, rest, strict=True))
        arrays = kernel_arrays._replace(**copied)
        arguments = [first_step, num_steps, STEPS_PER_TICK, STEP_S, ego, vehicle, control, *arrays]
        arguments += [contacts, pair_ticks, *records, others_states]
        step_kernel.run_steps(*arguments)
        return arrays.actors
