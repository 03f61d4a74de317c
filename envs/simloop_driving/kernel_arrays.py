"""What ``step_kernel.run_steps`` moves and reads during an episode, beside the ego."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class KernelArrays(NamedTuple):
    """Arguments of ``run_steps`` from the actors to ``comes_or_goes``, in its order; shapes stand there."""

    actors: FloatArray
    manoeuvres: FloatArray
    conditions: FloatArray
    criteria: FloatArray
    paths: FloatArray
    path_step_m: float
    profiles: FloatArray
    on_paths: FloatArray
    decisions: FloatArray
    crossings: FloatArray
    stops: FloatArray
    signal_program: FloatArray
    numbers: npt.NDArray[np.int64]
    comes_or_goes: bool


WRITTEN = ("actors", "manoeuvres", "criteria", "on_paths", "decisions", "stops", "numbers")
"""Those that the kernel writes; who plays a tick ahead must do so on copies of them."""
