"""Demonstrations of the toy tasks by their scripted experts.

The recorded action is the executed command, the expert's plus exploration noise, clipped; the task's own action noise
is off. Otherwise the prefix of a window would tell the noise to come, and policies conditioned on a prefix would learn
to extrapolate it although it carries no such information when they act (the copycat trap).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.randomness import generator, stream_key
from simloop_agents.toys.tasks import HORIZON, MAX_CONTEXT_AGE_TICKS, MAX_DELAY_TICKS, ToyTask

FloatArray = npt.NDArray[np.float32]

EXPLORATION = 0.2
WINDOW = HORIZON + MAX_DELAY_TICKS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demonstrations:
    """Windows around every live step of the demonstrations; M of them.

    Attributes:
        observations: (M, H, O) at the window's step and the seven after it.
        past: (M, 9, O): the observation ``a`` steps earlier, a = 0..8, the episode's first before that.
        actions: (M, H + 4, A) executed commands from the window's step on; after the end the expert's output at
            the last state.
        success_rate: Share of episodes that succeeded; failures are not filtered.
    """

    observations: FloatArray
    past: FloatArray
    actions: FloatArray
    success_rate: float


def demonstrate(task: ToyTask, seed: int) -> Demonstrations:
    """Plays the task's demonstrations; equal arguments, equal bytes."""
    batch = task.make_batch(
        task.num_demonstrations, generator(stream_key("toy-demonstrations", task.name, seed))
    )
    exploration = generator(stream_key("toy-exploration", task.name, seed))
    observations, actions, live = [], [], []
    for step in range(batch.num_steps + WINDOW):
        is_live = batch.is_live & (step < batch.num_steps)
        observations.append(batch.observe())
        command = batch.expert()
        noise = exploration.standard_normal(command.shape)
        command = np.where(is_live[:, None], np.clip(command + EXPLORATION * noise, -1.0, 1.0), command)
        actions.append(command)
        live.append(is_live)
        if step < batch.num_steps:
            batch.step(command)
    all_observations = np.stack(observations).astype(np.float32)
    all_actions = np.stack(actions).astype(np.float32)
    steps, episodes = np.nonzero(np.stack(live))
    ahead, back = np.arange(WINDOW), np.arange(MAX_CONTEXT_AGE_TICKS + 1)
    return Demonstrations(
        observations=all_observations[steps[:, None] + ahead[:HORIZON], episodes[:, None]],
        past=all_observations[np.maximum(steps[:, None] - back, 0), episodes[:, None]],
        actions=all_actions[steps[:, None] + ahead, episodes[:, None]],
        success_rate=float(batch.is_success.mean()),
    )
