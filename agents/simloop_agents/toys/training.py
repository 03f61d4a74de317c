"""Training of the toy policies: five networks for one task and seed, from the same demonstrations.

All chunk networks share one architecture and recipe (flow matching on chunks of eight actions, 5 Euler steps) and
differ in what they are conditioned on. Weights and draws depend on the task and the seed only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from simloop.randomness import generator, stream_key
from simloop_agents.toys.demonstrations import Demonstrations, demonstrate
from simloop_agents.toys.tasks import (
    DELAY_WEIGHTS,
    HORIZON,
    MAX_CONTEXT_AGE_TICKS,
    NUM_FLOW_STEPS,
    ToyTask,
)

FloatArray = npt.NDArray[np.float32]
Sample = Callable[[npt.NDArray[np.intp], np.random.Generator], tuple[Tensor, Tensor, Tensor]]

NETWORKS = ("plain", "prefix", "rolled", "fast_slow", "corrector")
WIDTH = 256
SMALL_WIDTH = 128
LATENT_SIZE = 16
BATCH_SIZE = 512
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-4
WARM_UP = 0.05
EMA_EVERY = 10
EMA_DECAY = 0.95
CORRECTOR_WINDOWS = 60_000
CORRECTOR_STEPS = 3000
CORRECTOR_CANDIDATES = 4


class Residual(nn.Module):
    """x + SiLU(Linear(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Adds the layer's output to its input."""
        return x + nn.functional.silu(self.linear(x))


def perceptron(num_inputs: int, num_outputs: int, width: int) -> nn.Sequential:
    """Linear, SiLU, two residual layers, Linear."""
    return nn.Sequential(
        nn.Linear(num_inputs, width),
        nn.SiLU(),
        Residual(width),
        Residual(width),
        nn.Linear(width, num_outputs),
    )


def _initialise(network: nn.Module, seed: tuple[int, int]) -> None:
    """Draws weights and biases as torch's Linear does, from a generator of their own."""
    draws = torch.Generator().manual_seed(seed[0] >> 1)
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            bound = 1.0 / math.sqrt(layer.in_features)
            for parameter in (layer.weight, layer.bias):
                parameter.data.uniform_(-bound, bound, generator=draws)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaling:
    """Mean and standard deviation of the network inputs and outputs, float32."""

    observation_mean: FloatArray
    observation_scale: FloatArray
    rolled_mean: FloatArray
    rolled_scale: FloatArray
    action_mean: FloatArray
    action_scale: FloatArray


class ToyTraining:
    """Demonstrations, scaling and the networks trained so far, of one task and seed.

    Args:
        task: The task.
        seed: Seed of demonstrations, weights and batches.
    """

    def __init__(self, task: ToyTask, seed: int) -> None:
        self.task, self.seed = task, seed
        self.demonstrations = demonstrate(task, seed)
        self._actions = self.demonstrations.actions
        self._now = self.demonstrations.observations[:, 0]
        self.scaling = _scaling(task, self.demonstrations, seed)
        self._scaled_now = (self._now - self.scaling.observation_mean) / self.scaling.observation_scale
        self._scaled_actions = (self._actions - self.scaling.action_mean) / self.scaling.action_scale
        self._averaged: dict[str, nn.Module] = {}

    def tensors(self) -> dict[str, FloatArray]:
        """Returns every trained weight (float16, matrices as outputs x inputs) and the scaling (float32) by name."""
        tensors = {f"scaling.{f.name}": getattr(self.scaling, f.name) for f in fields(self.scaling)}
        for name, network in self._averaged.items():
            layers = [(key, m) for key, m in network.named_modules() if isinstance(m, nn.Linear)]
            for key, layer in layers:
                part = key.split(".")[0] if isinstance(network, nn.ModuleDict) else name
                number = sum(f"{part}.{n}.weight" in tensors for n in range(4))
                tensors[f"{part}.{number}.weight"] = layer.weight.detach().numpy().astype(np.float16)
                tensors[f"{part}.{number}.bias"] = layer.bias.detach().numpy().astype(np.float16)
        return tensors

    def train(self, network: str) -> Iterator[tuple[int, int, float]]:
        """Trains one of ``NETWORKS``; yields (step, steps, loss) now and then and keeps the result.

        ``corrector`` needs ``plain`` to be trained before.
        """
        yield from {
            "plain": self._train_plain,
            "prefix": self._train_prefix,
            "rolled": self._train_rolled,
            "fast_slow": self._train_fast_slow,
            "corrector": self._train_corrector,
        }[network]()

    # --- chunk networks --------------------------------------------------------------------------------------

    def _train_plain(self) -> Iterator[tuple[int, int, float]]:
        def sample(rows: npt.NDArray[np.intp], draws: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
            no_prefix = np.zeros(len(rows), dtype=np.intp)
            return self._tensors(self._scaled_now[rows], self._scaled_actions[rows, :HORIZON], no_prefix)

        network = self._denoiser("plain", self.task.observation_size)
        yield from self._fit("plain", network, sample, lambda condition: condition)

    def _train_prefix(self) -> Iterator[tuple[int, int, float]]:
        def sample(rows: npt.NDArray[np.intp], draws: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
            delays = _delays(len(rows), draws)
            return self._tensors(self._scaled_now[rows], self._scaled_actions[rows, :HORIZON], delays)

        network = self._denoiser("prefix", self.task.observation_size)
        yield from self._fit("prefix", network, sample, lambda condition: condition)

    def _train_rolled(self) -> Iterator[tuple[int, int, float]]:
        scaling = self.scaling

        def sample(rows: npt.NDArray[np.intp], draws: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
            delays = _delays(len(rows), draws)
            rolled = roll_by_delay(self.task, self._now[rows], self._actions[rows], delays)
            condition = np.concatenate(
                [self._scaled_now[rows], (rolled - scaling.rolled_mean) / scaling.rolled_scale], axis=1
            )
            chunk = self._scaled_actions[rows[:, None], delays[:, None] + np.arange(HORIZON)]
            return self._tensors(condition, chunk, np.zeros(len(rows), dtype=np.intp))

        network = self._denoiser("rolled", self.task.observation_size + self.task.rolled_size)
        yield from self._fit("rolled", network, sample, lambda condition: condition)

    def _train_fast_slow(self) -> Iterator[tuple[int, int, float]]:
        scaling, size = self.scaling, self.task.observation_size
        past = (self.demonstrations.past - scaling.observation_mean) / scaling.observation_scale

        def sample(rows: npt.NDArray[np.intp], draws: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
            ages = draws.integers(0, MAX_CONTEXT_AGE_TICKS + 1, len(rows))
            share = (ages / MAX_CONTEXT_AGE_TICKS).astype(np.float32)[:, None]
            condition = np.concatenate([past[rows, ages], self._scaled_now[rows], share], axis=1)
            no_prefix = np.zeros(len(rows), dtype=np.intp)
            return self._tensors(condition, self._scaled_actions[rows, :HORIZON], no_prefix)

        network = nn.ModuleDict(
            {
                "context": perceptron(size, LATENT_SIZE, SMALL_WIDTH),
                "expert": perceptron(
                    LATENT_SIZE + size + 1 + HORIZON * (self.task.action_size + 1),
                    HORIZON * self.task.action_size,
                    WIDTH,
                ),
            }
        )
        _initialise(network, stream_key("toy-weights", self.task.name, self.seed, "fast_slow"))

        def encode(condition: Tensor) -> Tensor:
            return torch.cat([network["context"](condition[:, :size]), condition[:, size:]], dim=1)

        yield from self._fit("fast_slow", network, sample, encode)

    # --- the residual head -----------------------------------------------------------------------------------

    def _train_corrector(self) -> Iterator[tuple[int, int, float]]:
        """Trains the residual head on chunks of the plain network, delayed by a random row.

        Of several samples the chunk nearest to the demonstration is the base, so that the head learns to correct
        drift; if base and demonstration passed a disc on different sides, it would learn their mean.
        """
        if "plain" not in self._averaged:
            raise RuntimeError("Train 'plain' before 'corrector': the head corrects its chunks.")
        draws = generator(stream_key("toy-batches", self.task.name, self.seed, "corrector"))
        rows = draws.choice(
            len(self._now), size=min(CORRECTOR_WINDOWS, len(self._now)), replace=False, shuffle=False
        )
        base = self._base_chunks(rows, draws)
        scaling = self.scaling
        observations = (
            self.demonstrations.observations[rows] - scaling.observation_mean
        ) / scaling.observation_scale
        targets = self._scaled_actions[rows, :HORIZON]
        angles = 2.0 * math.pi * np.arange(HORIZON) / HORIZON
        phases = np.stack([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
        size = self.task.observation_size + self.task.action_size + 2
        network = perceptron(size, self.task.action_size, SMALL_WIDTH)
        _initialise(network, stream_key("toy-weights", self.task.name, self.seed, "corrector"))

        def loss(draws: np.random.Generator) -> Tensor:
            picked = draws.integers(0, len(rows), BATCH_SIZE)
            row = draws.integers(0, HORIZON, BATCH_SIZE)
            inputs = np.concatenate([observations[picked, row], base[picked, row], phases[row]], axis=1)
            wanted = torch.from_numpy(targets[picked, row] - base[picked, row])
            return nn.functional.mse_loss(network(torch.from_numpy(inputs)), wanted)

        yield from self._optimise("corrector", network, loss, CORRECTOR_STEPS, draws)

    def _base_chunks(self, rows: npt.NDArray[np.intp], draws: np.random.Generator) -> FloatArray:
        """Returns (M, H, A) scaled chunks of the plain network, the nearest of several to the demonstration."""
        plain = self._averaged["plain"]
        shape = (len(rows), HORIZON, self.task.action_size)
        wanted = self._scaled_actions[rows, :HORIZON]
        best = np.zeros(shape, dtype=np.float32)
        best_error = np.full(len(rows), np.inf, dtype=np.float32)
        with torch.no_grad():
            condition = torch.from_numpy(self._scaled_now[rows])
            for _ in range(CORRECTOR_CANDIDATES):
                chunk = torch.from_numpy(draws.standard_normal(shape, dtype=np.float32))
                for step in range(NUM_FLOW_STEPS):
                    time = torch.full((len(rows), HORIZON), step / NUM_FLOW_STEPS)
                    chunk = chunk + _velocity(plain, condition, chunk, time) / NUM_FLOW_STEPS
                error = ((chunk.numpy() - wanted) ** 2).sum(axis=(1, 2))
                is_better = error < best_error
                best[is_better], best_error[is_better] = chunk.numpy()[is_better], error[is_better]
        return best

    # --- shared ----------------------------------------------------------------------------------------------

    def _denoiser(self, name: str, condition_size: int) -> nn.Sequential:
        actions = HORIZON * self.task.action_size
        network = perceptron(condition_size + actions + HORIZON, actions, WIDTH)
        _initialise(network, stream_key("toy-weights", self.task.name, self.seed, name))
        return network

    @staticmethod
    def _tensors(
        condition: FloatArray, chunk: FloatArray, delays: npt.NDArray[np.intp]
    ) -> tuple[Tensor, Tensor, Tensor]:
        is_prefix = np.arange(HORIZON) < delays[:, None]
        return torch.from_numpy(condition), torch.from_numpy(chunk), torch.from_numpy(is_prefix)

    def _fit(
        self, name: str, network: nn.Module, sample: Sample, encode: Callable[[Tensor], Tensor]
    ) -> Iterator[tuple[int, int, float]]:
        """Flow matching: A_tau = (1 - tau) noise + tau A, target A - noise; a prefix is clean at time 1."""
        draws = generator(stream_key("toy-batches", self.task.name, self.seed, name))
        denoiser = network["expert"] if isinstance(network, nn.ModuleDict) else network

        def loss(draws: np.random.Generator) -> Tensor:
            rows = draws.integers(0, len(self._now), BATCH_SIZE)
            condition, chunk, is_prefix = sample(rows, draws)
            noise = torch.from_numpy(draws.standard_normal(tuple(chunk.shape), dtype=np.float32))
            tau = torch.from_numpy(draws.random((len(rows), 1), dtype=np.float32))
            time = torch.where(is_prefix, 1.0, tau)
            noisy = (1.0 - time)[..., None] * noise + time[..., None] * chunk
            error = (_velocity(denoiser, encode(condition), noisy, time) - (chunk - noise)) ** 2
            free = (~is_prefix)[..., None].to(error.dtype).expand_as(error)
            return (error * free).sum() / free.sum()

        yield from self._optimise(name, network, loss, self.task.num_steps, draws)

    def _optimise(
        self,
        name: str,
        network: nn.Module,
        loss_of: Callable[[np.random.Generator], Tensor],
        num_steps: int,
        draws: np.random.Generator,
    ) -> Iterator[tuple[int, int, float]]:
        optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=LEARNING_RATE, total_steps=num_steps, pct_start=WARM_UP
        )
        average = {key: value.detach().clone() for key, value in network.state_dict().items()}
        for step in range(1, num_steps + 1):
            loss = loss_of(draws)
            optimiser.zero_grad()
            torch.autograd.backward([loss])
            optimiser.step()
            schedule.step()
            if step % EMA_EVERY == 0:
                decay = min(EMA_DECAY, step / (step + 20))
                for key, value in network.state_dict().items():
                    average[key].lerp_(value, 1.0 - decay)
            if step % 500 == 0 or step == num_steps:
                yield step, num_steps, float(loss.detach())
        network.load_state_dict(average)
        self._averaged[name] = network


def _velocity(denoiser: nn.Module, condition: Tensor, chunk: Tensor, time: Tensor) -> Tensor:
    """Returns the denoiser's (N, H, A) output for (N, C) conditions, (N, H, A) chunks and (N, H) flow times."""
    inputs = torch.cat([condition, chunk.flatten(1), 2.0 * time - 1.0], dim=1)
    velocity: Tensor = denoiser(inputs)
    return velocity.view(chunk.shape)


def _delays(count: int, draws: np.random.Generator) -> npt.NDArray[np.intp]:
    return draws.choice(len(DELAY_WEIGHTS), size=count, p=DELAY_WEIGHTS)


def roll_by_delay(
    task: ToyTask, observations: FloatArray, actions: FloatArray, delays: npt.NDArray[np.intp]
) -> FloatArray:
    """Rolls the state over the first ``delays[n]`` of the actions; (N, R) float32."""
    rolled = np.zeros((len(observations), task.rolled_size), dtype=np.float32)
    for delay in range(len(DELAY_WEIGHTS)):
        rows = np.flatnonzero(delays == delay)
        rolled[rows] = task.roll(
            observations[rows].astype(np.float64), actions[rows, :delay].astype(np.float64)
        )
    return rolled


def _scaling(task: ToyTask, demonstrations: Demonstrations, seed: int) -> Scaling:
    now = demonstrations.observations[:, 0]
    draws = generator(stream_key("toy-scaling", task.name, seed))
    rows = draws.integers(0, len(now), 20_000)
    rolled = roll_by_delay(task, now[rows], demonstrations.actions[rows], _delays(len(rows), draws))
    chunks = demonstrations.actions[:, :HORIZON].reshape(-1, task.action_size)

    def scale(values: FloatArray) -> FloatArray:
        deviation: FloatArray = np.maximum(values.std(axis=0, dtype=np.float64), 1e-3).astype(np.float32)
        return deviation

    def mean(values: FloatArray) -> FloatArray:
        centre: FloatArray = values.mean(axis=0, dtype=np.float64).astype(np.float32)
        return centre

    return Scaling(
        observation_mean=mean(now),
        observation_scale=scale(now),
        rolled_mean=mean(rolled),
        rolled_scale=scale(rolled),
        action_mean=mean(chunks),
        action_scale=scale(chunks),
    )
