"""Draws chunks from the toy networks: five Euler steps of flow matching, with a prefix, guidance or rolled state.

A row's result depends on that row alone, whatever the number of rows N. Chunks are (N, H, A) in the
task's units outside, scaled to unit variance inside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from simloop_agents.toys.network import Perceptron
from simloop_agents.toys.tasks import HORIZON, NUM_FLOW_STEPS, ToyTask

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

_ANGLES = 2.0 * math.pi * np.arange(HORIZON) / HORIZON
_PHASES = np.stack([np.sin(_ANGLES), np.cos(_ANGLES)], axis=1).astype(np.float32)


class ToyNetworks:
    """All networks of one task and training seed.

    Args:
        task: The task.
        tensors: What ``read_weights`` gives.
    """

    def __init__(self, task: ToyTask, tensors: Mapping[str, npt.NDArray[np.generic]]) -> None:
        self._action_size = task.action_size
        self._plain = Perceptron(tensors, "plain")
        self._prefix = Perceptron(tensors, "prefix")
        self._rolled = Perceptron(tensors, "rolled")
        self._context = Perceptron(tensors, "context")
        self._expert = Perceptron(tensors, "expert")
        self._corrector = Perceptron(tensors, "corrector")
        self._observation = _Scale(tensors, "observation")
        self._state = _Scale(tensors, "rolled")
        self._action = _Scale(tensors, "action")

    def plain(self, observation: FloatArray, noise: Float32Array) -> FloatArray:
        """Returns chunks for (N, O) observations from (N, H, A) noise."""
        return self._sampled(self._plain, self._observation.scaled(observation), noise)

    def rolled(self, observation: FloatArray, rolled: FloatArray, noise: Float32Array) -> FloatArray:
        """Returns chunks that begin at the (N, R) rolled states."""
        condition = np.concatenate(
            [self._observation.scaled(observation), self._state.scaled(rolled)], axis=1
        )
        return self._sampled(self._rolled, condition, noise)

    def context(self, observation: FloatArray) -> Float32Array:
        """Returns (N, L) latents."""
        return self._context(self._observation.scaled(observation))

    def expert(
        self, latent: Float32Array, observation: FloatArray, age: FloatArray, noise: Float32Array
    ) -> FloatArray:
        """Returns chunks from latents of an ``age`` (N, 1), 1 = eight control periods, and the observations of now."""
        condition = np.concatenate(
            [latent, self._observation.scaled(observation), age.astype(np.float32)], axis=1
        )
        return self._sampled(self._expert, condition, noise)

    def prefix(
        self, observation: FloatArray, noise: Float32Array, wanted: FloatArray, weights: FloatArray
    ) -> FloatArray:
        """Returns chunks whose rows of weight 1 are held clean, at flow time 1, through every step."""
        is_prefix = weights >= 1.0
        condition = self._observation.scaled(observation)
        chunk = np.where(is_prefix[..., None], self._action.scaled(wanted), noise)
        free = (~is_prefix).astype(np.float32)
        for step in range(NUM_FLOW_STEPS):
            time = np.where(is_prefix, np.float32(1.0), np.float32(step / NUM_FLOW_STEPS))
            velocity = self._prefix(_inputs(condition, chunk, time)).reshape(chunk.shape)
            chunk = chunk + velocity * free[..., None] * np.float32(1.0 / NUM_FLOW_STEPS)
        return self._action.unscaled(chunk)

    def guided(
        self,
        observation: FloatArray,
        noise: Float32Array,
        wanted: FloatArray,
        weights: FloatArray,
        max_guidance: Float32Array,
    ) -> FloatArray:
        """Returns chunks of the plain network, pulled towards ``wanted`` by (N, H) weights.

        Pseudo-inverse guidance of RTC (arXiv 2506.07339, section 3.2): with the estimate of the final chunk
        A1 = A + (1 - tau) v, the error W (Y - A1) is carried back through the network and added to the velocity,
        scaled by min(beta, (1 - tau) / (tau r2)), r2 = (1 - tau)^2 / (tau^2 + (1 - tau)^2); ``max_guidance`` is
        beta, (N, 1).
        """
        condition = self._observation.scaled(observation)
        target, mask = self._action.scaled(wanted), weights.astype(np.float32)[..., None]
        chunk, actions = noise, slice(condition.shape[1], condition.shape[1] + noise[0].size)
        for step in range(NUM_FLOW_STEPS):
            tau = step / NUM_FLOW_STEPS
            time = np.full(weights.shape, tau, dtype=np.float32)
            flat, slopes = self._plain.with_slopes(_inputs(condition, chunk, time))
            velocity = flat.reshape(chunk.shape)
            error = (target - (chunk + np.float32(1.0 - tau) * velocity)) * mask
            carried = self._plain.vector_jacobian(error.reshape(flat.shape), slopes)[:, actions]
            gradient = error + np.float32(1.0 - tau) * carried.reshape(chunk.shape)
            scale = np.minimum(max_guidance, np.float32(_guidance(tau)))[..., None]
            chunk = chunk + (velocity + scale * gradient) * np.float32(1.0 / NUM_FLOW_STEPS)
        return self._action.unscaled(chunk)

    def correct(
        self, observation: FloatArray, base: FloatArray, first_row: npt.NDArray[np.intp], num_rows: int
    ) -> FloatArray:
        """Returns (N, m, A) corrected actions for (N, H, A) base actions, of which m = ``num_rows`` count.

        ``first_row`` (N,) is the chunk row of ``base[:, 0]``; the head sees its phase, sine and cosine of 2 pi j / H.
        """
        condition = self._observation.scaled(observation)
        corrected = np.empty((len(base), num_rows, self._action_size))
        for row in range(num_rows):
            phase = _PHASES[(first_row + row) % HORIZON]
            planned = self._action.scaled(base[:, row])
            change = self._corrector(np.concatenate([condition, planned, phase], axis=1))
            corrected[:, row] = self._action.unscaled(planned + change)
        return corrected

    def _sampled(self, denoiser: Perceptron, condition: Float32Array, noise: Float32Array) -> FloatArray:
        chunk = noise
        for step in range(NUM_FLOW_STEPS):
            time = np.full(noise.shape[:2], step / NUM_FLOW_STEPS, dtype=np.float32)
            velocity = denoiser(_inputs(condition, chunk, time)).reshape(chunk.shape)
            chunk = chunk + velocity * np.float32(1.0 / NUM_FLOW_STEPS)
        return self._action.unscaled(chunk)


def _inputs(condition: Float32Array, chunk: Float32Array, time: Float32Array) -> Float32Array:
    scaled_time = np.float32(2.0) * time - np.float32(1.0)
    return np.concatenate([condition, chunk.reshape(len(chunk), -1), scaled_time], axis=1)


def _guidance(tau: float) -> float:
    if tau == 0.0:
        return math.inf
    share = (1.0 - tau) ** 2 / (tau**2 + (1.0 - tau) ** 2)
    return (1.0 - tau) / (tau * share)


class _Scale:
    """Mean and standard deviation of one kind of vector."""

    def __init__(self, tensors: Mapping[str, npt.NDArray[np.generic]], name: str) -> None:
        self._mean = tensors[f"scaling.{name}_mean"].astype(np.float32)
        self._scale = tensors[f"scaling.{name}_scale"].astype(np.float32)

    def scaled(self, values: FloatArray) -> Float32Array:
        scaled: Float32Array = (values.astype(np.float32) - self._mean) / self._scale
        return scaled

    def unscaled(self, values: Float32Array) -> FloatArray:
        return (values * self._scale + self._mean).astype(np.float64)
