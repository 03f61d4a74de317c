"""Trains the unified model on demonstrations of all embodiments at once: seeded, resumable, on a CPU."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simloop.errors import ConfigurationError
from simloop.randomness import generator, stream_key
from simloop.spec import digest
from simloop_agents.unified.auxiliary import vehicle_grid
from simloop_agents.unified.backbone import ContextCache
from simloop_agents.unified.codecs import Codec
from simloop_agents.unified.config import HORIZON, UnifiedConfig
from simloop_agents.unified.dataset import DemonstrationSet
from simloop_agents.unified.losses import AuxiliaryHeads, FlowTargets, flow_loss, weighted_error
from simloop_agents.unified.model import UnifiedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """The recipe.

    Attributes:
        seed: Seed of fresh weights, batches, noise and augmentation.
        num_steps: Optimiser steps.
        batch_sizes: Observations in a step, by action space.
        learning_rate: Peak of the one-cycle schedule.
        warmup_ratio: Part of the steps in which the rate rises.
        weight_decay: Of AdamW.
        ema_decay: Decay of the averaged weights, which are the ones that are kept.
        auxiliary_weight: Weight of the readout targets' loss.
        dense_weight: Weight of the dense image targets' losses.
    """

    seed: int = 0
    num_steps: int = 3000
    batch_sizes: Mapping[str, int] = field(default_factory=lambda: {"waypoints": 16, "two_arm_delta": 10})
    learning_rate: float = 1.2e-3
    warmup_ratio: float = 0.05
    weight_decay: float = 0.02
    ema_decay: float = 0.998
    auxiliary_weight: float = 0.5
    dense_weight: float = 0.5

    def rate(self, step: int) -> float:
        """Returns the learning rate of a step: linear rise, then half a cosine to nearly zero."""
        warmup = max(1, round(self.warmup_ratio * self.num_steps))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        done = (step - warmup) / max(1, self.num_steps - warmup)
        return self.learning_rate * (0.005 + 0.995 * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0))))


class Trainer:
    """Model, averaged model, optimiser and data of one training; a step depends on its number only.

    Args:
        model_config: Sizes of the model.
        config: The recipe.
        sets: Demonstrations by action space.
        rank: Number of this process among those that share the work.
        num_ranks: How many processes share the work; each takes batches of the given sizes.
        combine: Averages a flat gradient over the processes, in place.
    """

    def __init__(
        self,
        model_config: UnifiedConfig,
        config: TrainingConfig,
        sets: Mapping[str, DemonstrationSet],
        *,
        rank: int = 0,
        num_ranks: int = 1,
        combine: Callable[[Tensor], None] | None = None,
    ) -> None:
        self.config = config
        self.sets = {name: sets[name] for name in config.batch_sizes}
        codecs = {
            name: Codec.fitted(
                data.layout,
                np.concatenate([data.free_plan, data.continued_plan]),
                np.tile(data.state, (2, 1)),
            )
            for name, data in self.sets.items()
        }
        self.model = UnifiedModel.seeded(model_config, config.seed, codecs)
        self.averaged = UnifiedModel.seeded(model_config, config.seed, codecs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed + 1)
            counts = {name: data.readout_targets.values.shape[1] for name, data in self.sets.items()}
            self.heads = AuxiliaryHeads(self.model, counts)
        self._parameters = [*self.model.parameters(), *self.heads.parameters()]
        self._optimiser = torch.optim.AdamW(
            self._parameters,
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self._rank, self._num_ranks, self._combine = rank, num_ranks, combine
        self._texts = {
            name: [self.model.prompts.text_ids(text)[0] for text in data.instructions]
            for name, data in self.sets.items()
        }
        self._patches: dict[str, Tensor] = {}
        merger: nn.Module = self.model.backbone.vlm.model.visual.merger
        merger.register_forward_pre_hook(self._keep_patches)
        self.step_number = 0

    def _keep_patches(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._patches["hidden"] = inputs[0]

    @property
    def identity(self) -> str:
        """Hash of model config, recipe and data: a checkpoint of another training is not continued."""
        return digest(
            {
                "model": self.model.config.to_plain(),
                "recipe": dataclasses.asdict(self.config),
                "data": {name: data.digest for name, data in self.sets.items()},
                "num_ranks": self._num_ranks,
            }
        )

    def step(self) -> dict[str, float]:
        """Makes one optimiser step over all embodiments and returns its losses by name."""
        rate = self.config.rate(self.step_number)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=False)
        losses: dict[str, float] = {}
        for action_space in self.sets:
            parts = self.losses(action_space)
            total = (
                parts["flow"]
                + self.config.auxiliary_weight * parts["readout"]
                + self.config.dense_weight * parts.get("dense", torch.zeros(()))
            )
            torch.autograd.backward([total])
            losses.update({f"{action_space}/{name}": value.item() for name, value in parts.items()})
        self._average_gradients()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimiser.step()
        self.step_number += 1
        self._average_weights()
        return losses

    def losses(self, action_space: str) -> dict[str, Tensor]:
        """Returns the losses of the present step's batch of one embodiment."""
        data, config = self.sets[action_space], self.config
        draws = generator(
            stream_key(config.seed, "batch", action_space), self.step_number * self._num_ranks + self._rank
        )
        size = config.batch_sizes[action_space]
        index = draws.choice(len(data), size, p=data.emphasis)
        images = self._augmented(self._images(data, index), draws)
        state_width, action_width = self.model.config.state_width, self.model.config.action_width
        codec = self.model.codecs[action_space]
        raw_state = data.state[index]
        state = codec.encode_state(raw_state, state_width)
        state[:, : len(data.layout.state_indices)] += 0.02 * draws.normal(
            size=(size, len(data.layout.state_indices))
        )
        state_tensor = torch.from_numpy(state.astype(np.float32))
        texts = [self._texts[action_space][i] for i in data.instruction[index]]
        cache = self.model.context(action_space, images, texts, state_tensor)
        # Two answers to each observation: the free plan and the plan after committed rows.
        actions = np.stack([data.free_plan[index], data.continued_plan[index]], axis=1).reshape(
            2 * size, HORIZON, -1
        )
        committed = np.stack([np.zeros(size, dtype=np.int64), data.num_committed[index]], axis=1).reshape(-1)
        coded = codec.encode_actions(actions, np.repeat(raw_state, 2, axis=0), action_width)
        flow = flow_loss(
            self.model,
            action_space,
            cache.repeated(2),
            state_tensor.repeat_interleave(2, dim=0),
            FlowTargets(
                actions=torch.from_numpy(coded.astype(np.float32)),
                num_committed=torch.from_numpy(committed),
                flow_time=torch.from_numpy(draws.random(2 * size, dtype=np.float32)),
                noise=torch.from_numpy(draws.standard_normal(coded.shape, dtype=np.float32)),
            ),
        )
        targets = data.readout_targets
        readout = weighted_error(
            self.heads.readout_prediction(action_space, cache),
            torch.from_numpy(targets.values[index]),
            torch.from_numpy(targets.weights[index]),
        )
        parts = {"flow": flow, "readout": readout}
        if data.objects is not None:
            parts["dense"] = self._dense_loss(data.objects[index], raw_state, cache)
        return parts

    def _dense_loss(self, objects: Any, raw_state: Any, cache: ContextCache) -> Tensor:
        patch, merge = self.model.backbone.patch_size, self.model.backbone.merge_size
        patches = vehicle_grid(objects, raw_state, patch)
        tokens = vehicle_grid(objects, raw_state, patch * merge)
        ordered = [torch.from_numpy(_merge_order(values, merge)) for values in patches]
        seen = self.heads.patch(self._patches["hidden"]).view(len(objects), -1, ordered[0].shape[-1])
        flat = [torch.from_numpy(values.reshape(len(objects), -1, values.shape[-1])) for values in tokens]
        return weighted_error(seen, *ordered) + weighted_error(self.heads.token_prediction(cache), *flat)

    def _images(self, data: DemonstrationSet, index: Any) -> Tensor:
        present, views = data.images[index], data.layout.views
        frames = np.stack([present, present], axis=2)
        for number, view in enumerate(views):
            if view.past_sensor != view.sensor:
                frames[:, number, 0] = data.images[data.past[index], number]
        return self.model.normalised(torch.from_numpy(frames))

    def _augmented(self, images: Tensor, draws: np.random.Generator) -> Tensor:
        """Changes brightness, contrast and colour balance of each item, in place."""
        size = len(images)
        contrast = 1.0 + 0.1 * draws.standard_normal((size, 1, 1, 1, 1, 1), dtype=np.float32)
        colour = 1.0 + 0.04 * draws.standard_normal((size, 1, 1, 1, 1, 3), dtype=np.float32)
        brightness = 0.15 * draws.standard_normal((size, 1, 1, 1, 1, 1), dtype=np.float32)
        images[..., :3].mul_(torch.from_numpy(contrast * colour)).add_(torch.from_numpy(brightness))
        return images

    def _average_gradients(self) -> None:
        if self._combine is None:
            return
        used = [p.grad for p in self._parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in used])
        self._combine(flat)
        offset = 0
        for gradient in used:
            gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
            offset += gradient.numel()

    @torch.no_grad()
    def _average_weights(self) -> None:
        decay = min(self.config.ema_decay, (1.0 + self.step_number) / (10.0 + self.step_number))
        averaged: list[Tensor] = list(self.averaged.parameters())
        current: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(averaged, current, 1.0 - decay)  # pyright: ignore[reportPrivateImportUsage]

    def save(self, path: Path) -> None:
        """Writes everything that continuing needs, atomically."""
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "identity": self.identity,
                "step": self.step_number,
                "model": self.model.state_dict(),
                "averaged": self.averaged.state_dict(),
                "heads": self.heads.state_dict(),
                "optimiser": self._optimiser.state_dict(),
            },
            partial,
        )
        partial.replace(path)

    def restore(self, path: Path) -> None:
        """Continues from a checkpoint.

        Raises:
            ConfigurationError: The checkpoint belongs to another model, recipe or data.
        """
        content = torch.load(path, weights_only=True)
        if content["identity"] != self.identity:
            raise ConfigurationError(
                f"Checkpoint {path} belongs to another training (model sizes, recipe, data or number of processes "
                "differ). Delete it to start anew, or give another output folder."
            )
        self.model.load_state_dict(content["model"])
        self.averaged.load_state_dict(content["averaged"])
        self.heads.load_state_dict(content["heads"])
        self._optimiser.load_state_dict(content["optimiser"])
        self.step_number = content["step"]


def _merge_order(grid: Any, merge: int) -> Any:
    """Reorders (N, rows, columns, K) cells to the order of the vision tower's patches: (N, rows * columns, K)."""
    count, rows, columns, size = grid.shape
    cut = grid.reshape(count, rows // merge, merge, columns // merge, merge, size)
    return np.ascontiguousarray(cut.transpose(0, 1, 3, 2, 4, 5)).reshape(count, rows * columns, size)
