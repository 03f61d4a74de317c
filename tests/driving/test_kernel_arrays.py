"""The kernel's arrays: their order is that of its arguments, and it writes those that are said to be written."""

from __future__ import annotations

import inspect

import numpy as np

from simloop.scenario_files import load_family
from simloop_driving.kernel_arrays import WRITTEN, KernelArrays
from simloop_driving.periods import CONTROL_PERIOD_NS
from simloop_driving.step_kernel import run_steps
from simloop_driving.world import DrivingWorld

FAMILIES = ("cut_in", "signal_left", "unsignalised_left", "pedestrian_crossing")
NUM_TICKS = 160


def test_fields_are_the_kernels_arguments() -> None:
    arguments = list(inspect.signature(run_steps.py_func).parameters)
    first = arguments.index(KernelArrays._fields[0])
    assert tuple(arguments[first : first + len(KernelArrays._fields)]) == KernelArrays._fields


def changed_by(family: str) -> set[str]:
    """Returns the names of the arrays that an episode of a family changes."""
    world = DrivingWorld(action="acceleration")
    world.reset(load_family(family).scenario(2), 2)
    world.actuate(np.array([0.2, 0.0]))
    arrays = world._kernel_arrays
    before = [np.array(value) for value in arrays]
    world.advance(NUM_TICKS * CONTROL_PERIOD_NS)
    return {
        name
        for name, was, now in zip(KernelArrays._fields, before, arrays, strict=True)
        if was.tobytes() != np.asarray(now).tobytes()
    }


def test_the_kernel_writes_what_is_said_and_nothing_else() -> None:
    assert set().union(*map(changed_by, FAMILIES)) == set(WRITTEN)
