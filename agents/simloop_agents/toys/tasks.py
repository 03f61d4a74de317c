"""The toy tasks that policies are trained for: sizes, recipe and the rolled part of the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.errors import UnknownNameError
from simloop.testing import fork_batch, lander_batch

FloatArray = npt.NDArray[np.float64]

HORIZON = 8
MAX_DELAY_TICKS = 4
MAX_CONTEXT_AGE_TICKS = 8
NUM_FLOW_STEPS = 5
CONTROL_PERIOD_NS = 100_000_000
DELAY_WEIGHTS = (0.4, 0.2, 0.15, 0.15, 0.1)
"""How often a delay of 0..4 ticks is trained; a uniform choice starves d = 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyTask:
    """One toy task.

    Attributes:
        name: Name of the task, as in the configuration.
        world: Plug-in name of the world, whose action space is ``<world>_action``.
        observation_size: Entries of an observation.
        rolled_size: Entries of the state after committed actions.
        roll: (N, O) observations and (N, d, A) committed actions to the (N, R) rolled state.
        make_batch: Number of episodes and a generator to a batch of episodes with expert.
        num_demonstrations: Episodes to learn from.
        num_steps: Optimiser steps of each denoiser.
    """

    name: str
    world: str
    observation_size: int
    rolled_size: int
    roll: Callable[[FloatArray, FloatArray], FloatArray]
    make_batch: Callable[[int, np.random.Generator], fork_batch.ForkBatch | lander_batch.LanderBatch]
    num_demonstrations: int
    num_steps: int
    action_size: int = 2


def _fork(num_discs: int) -> Callable[[int, np.random.Generator], fork_batch.ForkBatch]:
    return lambda n, draws: fork_batch.ForkBatch(num_discs=num_discs, num_episodes=n, draws=draws)


TASKS = {
    "fork": ToyTask(
        name="fork",
        world="fork",
        observation_size=fork_batch.OBSERVATION_SIZE,
        rolled_size=2,
        roll=fork_batch.roll,
        make_batch=_fork(1),
        num_demonstrations=4000,
        num_steps=5000,
    ),
    "fork_two": ToyTask(
        name="fork_two",
        world="fork",
        observation_size=fork_batch.OBSERVATION_SIZE,
        rolled_size=2,
        roll=fork_batch.roll,
        make_batch=_fork(2),
        num_demonstrations=3000,
        num_steps=8000,
    ),
    "lander": ToyTask(
        name="lander",
        world="lander",
        observation_size=lander_batch.OBSERVATION_SIZE,
        rolled_size=4,
        roll=lander_batch.roll,
        make_batch=lambda n, draws: lander_batch.LanderBatch(num_episodes=n, draws=draws),
        num_demonstrations=2000,
        num_steps=4000,
    ),
}


def toy_task(name: str) -> ToyTask:
    """Returns the task of that name; UnknownNameError if there is none."""
    if name not in TASKS:
        raise UnknownNameError("toy task", name, TASKS)
    return TASKS[name]
