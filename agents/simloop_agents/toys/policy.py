"""The toy policies as one agent: it picks the network that fits what a request asks for."""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.agent import Agent, AgentSpec, Call, Capability, Embodiment, InferenceReply, InferenceRequest
from simloop.errors import MissingWeightsError, ParameterError
from simloop.source_digest import module_digest
from simloop_agents.toys import network, sampling, tasks
from simloop_agents.toys.sampling import ToyNetworks
from simloop_agents.toys.tasks import CONTROL_PERIOD_NS, HORIZON, MAX_CONTEXT_AGE_TICKS, toy_task

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

ROWS_AT_ONCE = 64
"""Requests in one pass; their activations stay in the processor's cache."""


class ToyPolicy(Agent):
    """Answers every call for one toy task, on one training seed.

    =================================  ==================================================================
    request                            network
    =================================  ==================================================================
    ``policy``, nothing more           plain chunk policy
    ``policy``, guided conditioning    plain, guided towards the actions (RTC, arXiv 2506.07339)
    ``policy``, other conditioning     trained with a random clean prefix (arXiv 2512.05964)
    ``policy``, rolled actions         trained on the state rolled over them (arXiv 2512.01031)
    ``context``, ``expert``            context network, and an expert on its latent of any age
                                       (arXiv 2607.15621)
    ``corrector``                      residual head on a delayed chunk (arXiv 2509.23224)
    =================================  ==================================================================

    Args:
        task: ``fork`` (one disc), ``fork_two`` (two discs) or ``lander``.
        seed: Training seed.
        weights: Folder with ``<task>_<seed>.safetensors``; None means those that ship with the package.

    Raises:
        UnknownNameError: There is no such task.
        MissingWeightsError: There are no weights of that seed.
    """

    def __init__(self, *, task: str, seed: int = 0, weights: str | None = None) -> None:
        if type(seed) is not int or seed < 0:
            raise ParameterError(f"ToyPolicy: seed is {seed!r}; allowed: a whole number >= 0.")
        self._task = toy_task(task)
        file = weights_file(task, seed, weights)
        self._networks = ToyNetworks(self._task, network.read_weights(file))
        identity = hashlib.blake2b(file.read_bytes(), digest_size=16)
        for module in (__name__, network.__name__, sampling.__name__, tasks.__name__):
            identity.update(module_digest(module).encode())
        self._spec = AgentSpec(
            name=f"toy-{task}-{seed}".replace("_", "-"),
            horizon=HORIZON,
            action_period_ns=CONTROL_PERIOD_NS,
            embodiments=(
                Embodiment(action_space=f"{self._task.world}_action", observations=("observation",)),
            ),
            calls=frozenset(Call),
            capabilities=frozenset(Capability),
            digest=identity.hexdigest(),
        )

    @property
    def spec(self) -> AgentSpec:
        """The agent's fixed properties."""
        return self._spec

    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        """Answers a batch; each network gets its requests ``ROWS_AT_ONCE`` at a time."""
        groups: dict[Callable[[Sequence[InferenceRequest]], list[InferenceReply]], list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(self._answerer(request), []).append(number)
        replies: dict[int, InferenceReply] = {}
        for answer, numbers in groups.items():
            for start in range(0, len(numbers), ROWS_AT_ONCE):
                block = numbers[start : start + ROWS_AT_ONCE]
                replies.update(zip(block, answer([requests[n] for n in block]), strict=True))
        return [replies[number] for number in range(len(requests))]

    def _answerer(
        self, request: InferenceRequest
    ) -> Callable[[Sequence[InferenceRequest]], list[InferenceReply]]:
        if request.call is not Call.POLICY:
            return {
                Call.CONTEXT: self._context,
                Call.EXPERT: self._expert,
                Call.CORRECTOR: self._correct,
            }[request.call]
        if request.rolled_actions is not None:
            return self._rolled
        if request.conditioning is None:
            return self._plain
        return self._guided if request.conditioning.is_guided else self._prefix

    # --- chunks ----------------------------------------------------------------------------------------------

    def _plain(self, requests: Sequence[InferenceRequest]) -> list[InferenceReply]:
        return _replies(self._networks.plain(_observations(requests), _noise(requests)))

    def _guided(self, requests: Sequence[InferenceRequest]) -> list[InferenceReply]:
        wanted, weights = _conditioning(requests)
        bound = _stacked([[r.conditioning.max_guidance] for r in requests if r.conditioning is not None])
        chunks = self._networks.guided(
            _observations(requests), _noise(requests), wanted, weights, bound.astype(np.float32)
        )
        return _replies(_committed_over(chunks, wanted, weights))

    def _prefix(self, requests: Sequence[InferenceRequest]) -> list[InferenceReply]:
        wanted, weights = _conditioning(requests)
        # Only the leading rows are a prefix.
        weights = np.cumprod(weights >= 1.0, axis=1).astype(np.float64)
        chunks = self._networks.prefix(_observations(requests), _noise(requests), wanted, weights)
        return _replies(_committed_over(chunks, wanted, weights))

    def _rolled(self, requests: Sequence[InferenceRequest]) -> list[InferenceReply]:
        rolled = []
        for request in requests:
            assert request.rolled_actions is not None
            state = request.observation["observation"][None]
            rolled.append(self._task.roll(state, request.rolled_actions[None])[0])
        chunks = self._networks.rolled(_observations(requests), _stacked(rolled), _noise(requests))
        return [
            InferenceReply(actions=chunk, first_index=len(request.rolled_actions))
            for chunk, request in zip(chunks, requests, strict=True)
            if request.rolled_actions is not None
        ]

    # --- two networks ----------------------------------------------------------------------------------------

    def _context(self, requests: Sequence[InferenceRequest]) -> list[InferenceReply]:
        latents = self._networks.context(_observations(requests))
        return [InferenceReply(actions=None, context=latent) for latent in latents]

    def _expert(self, requests: Sequence[InferenceRequest]) -> list[InferenceReply]:
        latents = _stacked([request.context for request in requests]).astype(np.float32)
        ages = _stacked(
            [[min(r.context_age_ns / CONTROL_PERIOD_NS / MAX_CONTEXT_AGE_TICKS, 1.0)] for r in requests]
        )
        chunks = self._networks.expert(latents, _observations(requests), ages, _noise(requests))
        return _replies(chunks)

    def _correct(self, requests: Sequence[InferenceRequest]) -> list[InferenceReply]:
        """Corrects the rows that can be applied before the next correction: d-hat + 1 of them, at most all."""
        counts, base, rows = [], [], []
        for request in requests:
            assert request.base_actions is not None
            count = min(request.predicted_delay_ticks + 1, len(request.base_actions), HORIZON)
            counts.append(count)
            base.append(np.resize(request.base_actions[:count], (HORIZON, self._task.action_size)))
            rows.append(request.base_row)
        corrected = self._networks.correct(
            _observations(requests), _stacked(base), np.array(rows), max(counts)
        )
        return [InferenceReply(actions=corrected[n, :count]) for n, count in enumerate(counts)]


def weights_file(task: str, seed: int, folder: str | None) -> Path:
    """Returns the weights of a task and seed, in ``folder`` or in the package.

    Raises:
        MissingWeightsError: They are not there; the message lists those that are.
    """
    place = (
        Path(str(importlib.resources.files("simloop_agents.toys") / "weights"))
        if folder is None
        else Path(folder).expanduser()
    )
    file = place / f"{task}_{seed}.safetensors"
    if not file.is_file():
        there = ", ".join(sorted(f.name for f in place.glob("*.safetensors"))) or "none"
        raise MissingWeightsError(
            f"{file} is not there; weights in that folder: {there}. Name another folder by agent.weights, or make them "
            "with `simloop train toys`."
        )
    return file


def _stacked(rows: Sequence[npt.ArrayLike]) -> FloatArray:
    return np.asarray(rows, dtype=np.float64)


def _observations(requests: Sequence[InferenceRequest]) -> FloatArray:
    return _stacked([request.observation["observation"] for request in requests])


def _conditioning(requests: Sequence[InferenceRequest]) -> tuple[FloatArray, FloatArray]:
    given = [request.conditioning for request in requests if request.conditioning is not None]
    return _stacked([c.actions for c in given]), _stacked([c.weights for c in given])


def _committed_over(chunks: FloatArray, wanted: FloatArray, weights: FloatArray) -> FloatArray:
    """Puts the rows of weight 1 over the chunks, bit for bit."""
    return np.where(weights[..., None] >= 1.0, wanted, chunks)


def _replies(chunks: FloatArray) -> list[InferenceReply]:
    return [InferenceReply(actions=chunk) for chunk in chunks]


class _KeyedNormals:
    """Standard normal draws of many keys; winding one generator is faster than building one for each key."""

    def __init__(self) -> None:
        self._bits = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._bits)
        self._fresh: Any = dict(self._bits.state)
        self._fresh["state"] = {
            "counter": np.zeros(4, dtype=np.uint64),
            "key": np.zeros(2, dtype=np.uint64),
        }

    def draw(self, key: tuple[int, int], out: FloatArray) -> None:
        """Fills ``out`` with what ``simloop.randomness.generator(key).standard_normal`` gives."""
        self._fresh["state"]["key"][:] = key
        self._bits.state = self._fresh
        self._generator.standard_normal(out=out)


_NORMALS = _KeyedNormals()


def _noise(requests: Sequence[InferenceRequest]) -> Float32Array:
    """Returns (N, H, A) normal draws by the requests' keys."""
    draws = np.empty((len(requests), HORIZON, 2))
    for number, request in enumerate(requests):
        _NORMALS.draw(request.draw_key, draws[number])
    return draws.astype(np.float32)
