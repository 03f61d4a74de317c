"""The unified model as an agent: one set of weights that drives a car and moves two arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from simloop.agent import Agent, AgentSpec, Call, Capability, InferenceReply, InferenceRequest
from simloop.errors import AgentError, UnknownNameError
from simloop.randomness import generator
from simloop_agents.unified.codecs import Codec
from simloop_agents.unified.config import ACTION_PERIOD_NS, HORIZON, UnifiedConfig
from simloop_agents.unified.model import UnifiedModel
from simloop_agents.unified.weights import load_weights, model_digest, packaged_folder

FloatArray = npt.NDArray[np.float64]

BATCH_WIDTH = 4
"""Requests that are answered in one pass; batches are padded to it.

A matrix product may round differently for another number of rows, so the width is fixed (and not 1): a reply does not
depend on how many other episodes asked at the same time.
"""


class UnifiedPolicy(Agent):
    """Answers ``policy`` calls for every embodiment that it has a codec for.

    Committed rows of a request's conditioning are held clean through all flow steps and come back bit for bit. With
    ``is_guided`` no row is held: the flow is pulled towards the rows as their weights say, and committed ones are put
    back bit for bit at the end.

    Args:
        weights: Folder with weights and config; None means those that ship with the package.
        is_trained: False ignores ``weights`` and makes fresh, seeded ones: the control that must fail.
        seed: Seed of fresh weights.
        model: Sizes of a model with fresh weights, as ``UnifiedConfig.to_plain``; None means the shipped sizes.
        name: Name for tables and reports; None means the config's.

    Raises:
        MissingWeightsError: The weights are not where they should be.
    """

    def __init__(
        self,
        *,
        weights: str | None = None,
        is_trained: bool = True,
        seed: int = 0,
        model: Mapping[str, object] | None = None,
        name: str | None = None,
    ) -> None:
        torch.set_num_threads(1)
        if is_trained:
            self._model = load_weights(packaged_folder() if weights is None else Path(weights).expanduser())
        else:
            self._model = UnifiedModel.seeded(UnifiedConfig.from_plain(model or {}), seed)
        self._model.eval()
        self._spec = AgentSpec(
            name=name or self._model.config.name,
            horizon=HORIZON,
            action_period_ns=ACTION_PERIOD_NS,
            embodiments=tuple(codec.layout.embodiment for codec in self._model.codecs.values()),
            capabilities=frozenset({Capability.PREFIX, Capability.GUIDANCE}),
            digest=model_digest(self._model),
        )

    @property
    def spec(self) -> AgentSpec:
        """The agent's fixed properties."""
        return self._spec

    def synchronize(self) -> None:
        """Waits for the GPU, where there is one."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def facts(self) -> Mapping[str, str]:
        """Returns number format, denoising steps and device."""
        weights = next(self._model.parameters())
        return {
            "dtype": str(weights.dtype).removeprefix("torch."),
            "steps": str(self._model.config.expert.flow_steps),
            "device": str(weights.device),
        }

    @property
    def model(self) -> UnifiedModel:
        """The network, for measurements."""
        return self._model

    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        """Answers every request; a reply depends on its request alone.

        Raises:
            AgentError: A call other than ``policy``.
            UnknownNameError: An embodiment that the model was not made for.
        """
        groups: dict[tuple[str, bool], list[int]] = {}
        for number, request in enumerate(requests):
            if request.call is not Call.POLICY:
                raise AgentError(f"{self._spec.name} answers policy calls only, got {request.call.value!r}.")
            if request.embodiment not in self._model.codecs:
                raise UnknownNameError(
                    f"action space of {self._spec.name}", request.embodiment, self._model.codecs
                )
            is_guided = request.conditioning is not None and request.conditioning.is_guided
            groups.setdefault((request.embodiment, is_guided), []).append(number)
        replies: dict[int, InferenceReply] = {}
        for (action_space, is_guided), numbers in groups.items():
            for start in range(0, len(numbers), BATCH_WIDTH):
                part = numbers[start : start + BATCH_WIDTH]
                asked = [requests[i] for i in part]
                replies.update(zip(part, self._answer(action_space, asked, is_guided=is_guided), strict=True))
        return [replies[number] for number in range(len(requests))]

    def _answer(
        self, action_space: str, requests: Sequence[InferenceRequest], *, is_guided: bool
    ) -> list[InferenceReply]:
        padded = [*requests, *[requests[-1]] * (BATCH_WIDTH - len(requests))]
        model, codec = self._model, self._model.codecs[action_space]
        config = model.config
        texts = [model.prompts.text_ids(request.instruction) for request in padded]
        raw_states = np.stack(
            [np.asarray(r.observation[codec.layout.state_sensor], dtype=np.float64) for r in padded]
        )
        state = torch.from_numpy(codec.encode_state(raw_states, config.state_width).astype(np.float32))
        known, weights = _known(padded, len(codec.layout.dimensions), is_guided=is_guided)
        num_known = np.count_nonzero(weights, axis=1)
        offsets = codec.plan_offsets(known, num_known, raw_states)
        target = codec.encode_actions(known - offsets, raw_states, config.action_width)
        noise = np.stack(
            [
                generator(r.draw_key).standard_normal((HORIZON, config.action_width), dtype=np.float32)
                for r in padded
            ]
        )
        with torch.no_grad():
            images = torch.from_numpy(np.stack([_frames(request, codec) for request in padded]))
            cache = model.context(action_space, images, [ids for ids, _ in texts], state)
            rows = torch.from_numpy(target.astype(np.float32))
            draws = torch.from_numpy(noise)
            if is_guided:
                row_weights = torch.from_numpy(weights.astype(np.float32))
                bounds = torch.tensor(
                    [r.conditioning.max_guidance for r in padded if r.conditioning is not None]
                )
                coded = model.denoise_guided(action_space, cache, state, rows, row_weights, bounds, draws)
            else:
                coded = model.denoise(action_space, cache, state, rows, torch.from_numpy(num_known), draws)
        chunks = codec.decode_actions(coded.numpy().astype(np.float64), raw_states, offsets)
        replies = []
        for i, request in enumerate(requests):
            actions = chunks[i].copy()
            if request.conditioning is not None:
                count = request.conditioning.num_committed
                actions[:count] = request.conditioning.actions[:count]
            notes = {"instruction": "cut to the first words"} if texts[i][1] else {}
            replies.append(InferenceReply(actions=actions, notes=notes))
        return replies


def _known(
    requests: Sequence[InferenceRequest], size: int, *, is_guided: bool
) -> tuple[FloatArray, FloatArray]:
    """Returns known rows, (B, H, size), and their weights, (B, H): leading ones, unless the chunk is guided."""
    rows = np.zeros((len(requests), HORIZON, size))
    weights = np.zeros((len(requests), HORIZON))
    for i, request in enumerate(requests):
        if request.conditioning is not None:
            given = request.conditioning.weights
            weights[i] = given if is_guided else np.arange(HORIZON) < request.conditioning.num_committed
            rows[i] = np.where(weights[i][:, None] > 0.0, request.conditioning.actions, 0.0)
    return rows, weights


def _frames(request: InferenceRequest, codec: Codec) -> npt.NDArray[np.uint8]:
    """Returns (V, 2, H, W, 3): for each view the past and the present frame."""
    views = [
        np.stack([request.observation[view.past_sensor], request.observation[view.sensor]])
        for view in codec.layout.views
    ]
    return np.stack(views)
