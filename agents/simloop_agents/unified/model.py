"""The unified model: one backbone, one action expert, a codec per embodiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from simloop_agents.unified.backbone import Backbone, ContextCache
from simloop_agents.unified.codecs import LAYOUTS, Codec
from simloop_agents.unified.config import HORIZON, UnifiedConfig
from simloop_agents.unified.flow_expert import FlowExpert
from simloop_agents.unified.prompt import PromptMaker, normalised
from simloop_agents.unified.tokenizer import WordTokenizer


class UnifiedModel(nn.Module):
    """Images, words and proprioception to action chunks, for every embodiment in ``codecs``.

    Args:
        config: Sizes.
        codecs: Codec by action space; neutral ones for the shipped layouts if None.
    """

    def __init__(self, config: UnifiedConfig, codecs: Mapping[str, Codec] | None = None) -> None:
        super().__init__()
        self.config = config
        self.codecs = dict(codecs or {name: Codec.neutral(layout) for name, layout in LAYOUTS.items()})
        tokenizer = WordTokenizer.packaged()
        self.backbone = Backbone(config.backbone, tokenizer)
        self.expert = FlowExpert(
            config.expert,
            num_heads=self.backbone.num_heads,
            num_key_value_heads=self.backbone.num_key_value_heads,
            head_width=self.backbone.head_width,
            backbone_depth=self.backbone.text_depth,
            rotary=self.backbone.rotary,
            action_width=config.action_width,
            state_width=config.state_width,
        )
        self.state_in = nn.Linear(2 * config.state_width, self.backbone.text_width)
        self.prompts = PromptMaker(
            self.backbone,
            tokenizer,
            max_text_tokens=config.backbone.max_text_tokens,
            num_readout_tokens=config.backbone.num_readout_tokens,
        )

    @classmethod
    def seeded(
        cls, config: UnifiedConfig, seed: int, codecs: Mapping[str, Codec] | None = None
    ) -> UnifiedModel:
        """Returns an untrained model; equal seeds give equal weights and the global generator is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config, codecs)

    @property
    def num_parameters(self) -> int:
        """Number of weights, tied ones once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def action_mask(self, action_space: str) -> Tensor:
        """Returns (action width,) float32, 1 where the embodiment has an action entry."""
        return _leading_ones(len(self.codecs[action_space].layout.dimensions), self.config.action_width)

    def state_mask(self, action_space: str) -> Tensor:
        """Returns (state width,) float32, 1 where the embodiment has a state entry."""
        return _leading_ones(len(self.codecs[action_space].layout.state_indices), self.config.state_width)

    def normalised(self, images: Tensor) -> Tensor:
        """Returns uint8 images as the backbone takes them; see ``prompt.normalised``."""
        unit = self.backbone.patch_size * self.backbone.merge_size
        return normalised(images, unit=unit, num_channels=self.backbone.num_channels)

    def context(
        self, action_space: str, images: Tensor, texts: Sequence[Sequence[int]], state: Tensor
    ) -> ContextCache:
        """Runs the backbone.

        Args:
            action_space: Embodiment that the views belong to.
            images: (B, V, 2, height, width, 3) uint8, or float32 from ``normalised``.
            texts: Token ids of the B instructions.
            state: (B, state width) normalised.
        """
        if images.dtype == torch.uint8:
            images = self.normalised(images)
        views = [view.words for view in self.codecs[action_space].layout.views]
        mask = self.state_mask(action_space).expand_as(state)
        embedding = self.state_in(torch.cat([state, mask], dim=-1))
        cache: ContextCache = self.backbone(self.prompts(images, views, texts), embedding)
        return cache

    def denoise(
        self,
        action_space: str,
        cache: ContextCache,
        state: Tensor,
        prefix: Tensor,
        num_committed: Tensor,
        noise: Tensor,
    ) -> Tensor:
        """Integrates the flow from noise to a chunk with Euler steps; committed rows stay as they are throughout.

        Args:
            action_space: Embodiment to answer for.
            cache: The backbone's cache.
            state: (B, state width) normalised.
            prefix: (B, H, action width) normalised; rows from ``num_committed`` on mean nothing.
            num_committed: (B,) int64 leading rows that are kept.
            noise: (B, H, action width) standard normal.

        Returns:
            (B, H, action width) normalised chunk.
        """
        steps = self.config.expert.flow_steps
        action_mask, state_mask = self.action_mask(action_space), self.state_mask(action_space)
        is_clean = torch.arange(HORIZON)[None] < num_committed[:, None]
        chunk = torch.where(is_clean[..., None], prefix, noise * action_mask)
        for step in range(steps):
            time = step / steps
            flow_time = torch.full((chunk.shape[0],), time)
            clean = self.expert(chunk, is_clean, flow_time, action_mask, state, state_mask, cache)
            velocity = (clean - chunk) / (1.0 - time)
            advanced = (chunk + velocity / steps) * action_mask
            chunk = torch.where(is_clean[..., None], prefix, advanced)
        return chunk

    def denoise_guided(
        self,
        action_space: str,
        cache: ContextCache,
        state: Tensor,
        target: Tensor,
        weights: Tensor,
        max_guidance: Tensor,
        noise: Tensor,
    ) -> Tensor:
        """Integrates the flow from noise to a chunk that is pulled towards known actions at every Euler step.

        Real-time chunking (Black et al. 2025, arXiv 2506.07339, algorithm 1): with the predicted clean chunk C(x) at
        flow time t, the velocity gains min(beta, (1 - t) / (t r^2)) (target - C) W dC/dx, where
        r^2 = (1 - t)^2 / (t^2 + (1 - t)^2). The pull is a vector-Jacobian product in normalised action units. No row
        is held clean. Gradients are taken with respect to the chunk alone, also under ``torch.no_grad``.

        Args:
            action_space: Embodiment to answer for.
            cache: The backbone's cache.
            state: (B, state width) normalised.
            target: (B, H, action width) normalised known actions; rows of weight 0 mean nothing.
            weights: (B, H) diagonal of W, 0..1.
            max_guidance: (B,) beta.
            noise: (B, H, action width) standard normal.

        Returns:
            (B, H, action width) normalised chunk.
        """
        steps = self.config.expert.flow_steps
        action_mask, state_mask = self.action_mask(action_space), self.state_mask(action_space)
        is_clean = torch.zeros(noise.shape[:2], dtype=torch.bool)
        row_weights = weights[..., None] * action_mask
        chunk = noise * action_mask
        for step in range(steps):
            time = step / steps
            flow_time = torch.full((chunk.shape[0],), time)
            with torch.enable_grad():
                point = chunk.detach().requires_grad_()
                clean = self.expert(point, is_clean, flow_time, action_mask, state, state_mask, cache)
                error = (target - clean.detach()) * row_weights
                (pull,) = torch.autograd.grad(clean, point, grad_outputs=error)
            strength = max_guidance
            if step:
                strength = max_guidance.clamp(max=(time**2 + (1.0 - time) ** 2) / (time * (1.0 - time)))
            velocity = (clean.detach() - chunk) / (1.0 - time) + strength[:, None, None] * pull
            chunk = (chunk + velocity / steps) * action_mask
        return chunk


def _leading_ones(count: int, width: int) -> Tensor:
    return (torch.arange(width) < count).to(torch.float32)
