"""What training minimises: the flow-matching loss of the action expert and the auxiliary losses of the backbone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from simloop_agents.unified.auxiliary import NUM_VEHICLE_TARGETS
from simloop_agents.unified.backbone import ContextCache
from simloop_agents.unified.config import HORIZON
from simloop_agents.unified.model import UnifiedModel

NEAR_ROWS_WEIGHT_DECAY = 12.0
"""Rows of a chunk count 0.25 + exp(-row / this): the first ones are executed most often."""


class FlowTargets(NamedTuple):
    """Normalised answers of a batch, several for each observation.

    Attributes:
        actions: (B, H, action width) clean chunks.
        num_committed: (B,) int64 leading rows that are given, not predicted.
        flow_time: (B,) in 0..1.
        noise: (B, H, action width) standard normal.
    """

    actions: Tensor
    num_committed: Tensor
    flow_time: Tensor
    noise: Tensor


def flow_loss(
    model: UnifiedModel, action_space: str, cache: ContextCache, state: Tensor, targets: FlowTargets
) -> Tensor:
    """Returns the flow-matching loss over the rows that are not committed.

    The expert predicts the clean chunk A from x = (1 - t) noise + t A, which fixes the velocity
    v = (A - x) / (1 - t); weighting the squared velocity error by (1 - t)^2 gives the squared error of A.
    """
    mask = model.action_mask(action_space)
    is_clean = torch.arange(HORIZON)[None] < targets.num_committed[:, None]
    time = targets.flow_time[:, None, None]
    noised = ((1.0 - time) * targets.noise + time * targets.actions) * mask
    chunk = torch.where(is_clean[..., None], targets.actions, noised)
    predicted = model.expert(
        chunk, is_clean, targets.flow_time, mask, state, model.state_mask(action_space), cache
    )
    rows = 0.25 + torch.exp(-torch.arange(HORIZON, dtype=torch.float32) / NEAR_ROWS_WEIGHT_DECAY)
    weights = (~is_clean).to(torch.float32) * rows
    error = ((predicted - targets.actions).square() * mask).sum(dim=-1) / mask.sum()
    loss: Tensor = (error * weights).sum() / weights.sum()
    return loss


def weighted_error(predicted: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """Returns the mean squared error, each entry counted by its weight."""
    return ((predicted - values).square() * weights).sum() / weights.sum().clamp(min=1.0)


class AuxiliaryHeads(nn.Module):
    """Small heads on the backbone that exist in training only.

    They read the values of the last backbone layer, the very vectors that the action expert attends to.

    Args:
        model: The model in training.
        num_targets: Readout targets by action space.
    """

    def __init__(self, model: UnifiedModel, num_targets: dict[str, int]) -> None:
        super().__init__()
        width = model.backbone.num_key_value_heads * model.backbone.head_width
        readouts = model.config.backbone.num_readout_tokens
        self.readout = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(readouts * width, 128), nn.SiLU(), nn.Linear(128, count))
                for name, count in num_targets.items()
            }
        )
        vision_width = model.backbone.vision_width
        self.patch = nn.Linear(vision_width, NUM_VEHICLE_TARGETS)
        self.token = nn.Linear(width, NUM_VEHICLE_TARGETS)

    def readout_prediction(self, action_space: str, cache: ContextCache) -> Tensor:
        """Returns (B, K) predictions of the readout targets."""
        values = cache.values[-1][:, :, cache.readout :]
        result: Tensor = self.readout[action_space](values.transpose(1, 2).flatten(1))
        return result

    def token_prediction(self, cache: ContextCache) -> Tensor:
        """Returns (B, image tokens, 4) predictions of what vehicles each image token shows."""
        values = cache.values[-1].index_select(2, cache.image_index)
        result: Tensor = self.token(values.transpose(1, 2).flatten(2))
        return result
