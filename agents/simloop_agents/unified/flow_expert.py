"""The action expert: a diffusion transformer that denoises a chunk while reading the backbone's key-value cache.

Its tokens are [sink | state | action rows]; leading action rows may be a clean prefix. Keys and values of each layer
are joined with those of a backbone layer (a mixture of transformers, as in Xiaomi-Robotics-0, arXiv:2602.12684).
Every token has its own flow time, 1 for sink, state and clean rows (training-time real-time chunking,
arXiv:2512.05964), fed in by adaptive layer normalisation (DiT, arXiv:2212.09748).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from simloop_agents.unified.backbone import ContextCache
from simloop_agents.unified.config import HORIZON, FlowExpertConfig

NUM_LEADING = 2
"""Sink and state, the tokens before the action rows."""
TIME_FEATURES = 64


def row_mask(horizon: int, window: int) -> Tensor:
    """Returns the Λ-shaped mask among the expert's own tokens, (2 + H, 2 + H) bool, True where a row may look.

    Sink sees itself; state sees sink and itself; action row i sees sink, state and the rows i - window .. i.
    """
    index = torch.arange(NUM_LEADING + horizon)
    distance = index[:, None] - index[None, :]
    is_near = (distance >= 0) & (distance <= window)
    is_leading = index[None, :] < NUM_LEADING
    leading_rows = (index[:, None] < NUM_LEADING) & (distance >= 0)
    return torch.where(index[:, None] < NUM_LEADING, leading_rows, is_near | is_leading)


def time_features(flow_time: Tensor) -> Tensor:
    """Returns sinusoidal features, (..., TIME_FEATURES), of flow times in 0..1."""
    half = TIME_FEATURES // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * (-math.log(1000.0) / half)) * 1000.0
    angles = flow_time[..., None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def half_turn(width: int) -> Tensor:
    """Returns the (width, width) matrix R with x @ R = [-second half of x, first half of x].

    A product with it is several times faster on a CPU than cutting and joining halves.
    """
    matrix = torch.zeros(width, width)
    index = torch.arange(width // 2)
    matrix[index + width // 2, index] = -1.0
    matrix[index, index + width // 2] = 1.0
    return matrix


class FlowExpertLayer(nn.Module):
    """One layer: attention over own tokens and one backbone layer's cache, then a feed-forward block.

    Args:
        config: Sizes.
        num_heads: Query heads, equal to the backbone's.
        num_key_value_heads: Key and value heads, equal to the backbone's.
        head_width: Width of a head, equal to the backbone's.
    """

    half_turn: Tensor

    def __init__(
        self, config: FlowExpertConfig, *, num_heads: int, num_key_value_heads: int, head_width: int
    ) -> None:
        super().__init__()
        self._heads = (num_heads, num_key_value_heads, num_key_value_heads)
        self._head_width = head_width
        self.register_buffer("half_turn", half_turn(head_width), persistent=False)
        self.projection = nn.Linear(config.hidden_size, sum(self._heads) * head_width)
        self.output = nn.Linear(num_heads * head_width, config.hidden_size)
        self.widen = nn.Linear(config.hidden_size, config.intermediate_size)
        self.narrow = nn.Linear(config.intermediate_size, config.hidden_size)
        self.modulation = nn.Parameter(torch.zeros(6 * config.hidden_size))

    def forward(
        self,
        tokens: Tensor,
        time_table: Tensor,
        choice: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor,
        cache: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Advances the tokens by one layer.

        Args:
            tokens: (B, T, hidden).
            time_table: (B, 2, 6 * hidden) modulation for noised and for clean tokens.
            choice: (B, T, 2) float32, which of the two each token takes (one-hot).
            rotary: Cosine and sine, each (1, T, 1, head width).
            mask: (B, 1, T, S + T) bool.
            cache: Keys and values of the backbone's layer, each (B, heads, S, head width).
        """
        batch, length, width = tokens.shape
        modulation = torch.bmm(choice, time_table + self.modulation)
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation.chunk(6, dim=-1)
        inner = torch.addcmul(shift1, functional.layer_norm(tokens, (width,)), scale1)
        heads = self.projection(inner).view(batch, length, sum(self._heads), self._head_width)
        rotated, value = heads.split((self._heads[0] + self._heads[1], self._heads[2]), dim=2)
        rotated = rotated * rotary[0] + (rotated @ self.half_turn) * rotary[1]
        query, key = rotated.transpose(1, 2).split(self._heads[:2], dim=1)
        attended = functional.scaled_dot_product_attention(
            query,
            torch.cat([cache[0], key], dim=2),
            torch.cat([cache[1], value.transpose(1, 2)], dim=2),
            attn_mask=mask,
            enable_gqa=self._heads[0] != self._heads[1],
        )
        attended = attended.transpose(1, 2).reshape(batch, length, -1)
        tokens = torch.addcmul(tokens, gate1, self.output(attended))
        inner = torch.addcmul(shift2, functional.layer_norm(tokens, (width,)), scale2)
        return torch.addcmul(tokens, gate2, self.narrow(functional.silu(self.widen(inner))))


class FlowExpert(nn.Module):
    """Predicts the clean chunk from a partly noised one, the state and the backbone's cache.

    Args:
        config: Sizes.
        num_heads: Query heads of the backbone.
        num_key_value_heads: Key and value heads of the backbone.
        head_width: Width of a head of the backbone.
        backbone_depth: Layers of the backbone's language model, at least ``config.depth``.
        rotary: The language model's rotary embedding.
        action_width: Padded width of an action.
        state_width: Padded width of a state.
    """

    row_mask: Tensor

    def __init__(
        self,
        config: FlowExpertConfig,
        *,
        num_heads: int,
        num_key_value_heads: int,
        head_width: int,
        backbone_depth: int,
        rotary: nn.Module,
        action_width: int,
        state_width: int,
    ) -> None:
        super().__init__()
        if config.depth > backbone_depth:
            raise ValueError(f"expert depth {config.depth} exceeds the backbone's {backbone_depth} layers")
        hidden = config.hidden_size
        self._first_cache_layer = backbone_depth - config.depth
        self._rotary = (rotary,)  # in a tuple so that the backbone's buffer is not registered a second time
        self.action_in = nn.Sequential(
            nn.Linear(2 * action_width, hidden), nn.SiLU(), nn.Linear(hidden, hidden)
        )
        self.state_in = nn.Sequential(
            nn.Linear(2 * state_width, hidden), nn.SiLU(), nn.Linear(hidden, hidden)
        )
        self.sink = nn.Parameter(torch.zeros(hidden))
        self.rows = nn.Parameter(torch.zeros(HORIZON, hidden))
        self.time_in = nn.Sequential(nn.Linear(TIME_FEATURES, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.time_projection = nn.Linear(hidden, 6 * hidden)
        self.layers = nn.ModuleList(
            FlowExpertLayer(
                config, num_heads=num_heads, num_key_value_heads=num_key_value_heads, head_width=head_width
            )
            for _ in range(config.depth)
        )
        self.out = nn.Linear(hidden, action_width)
        self.register_buffer("row_mask", row_mask(HORIZON, config.window), persistent=False)
        nn.init.normal_(self.sink, std=0.02)
        nn.init.normal_(self.rows, std=0.02)
        nn.init.normal_(self.time_projection.weight, std=0.02)
        with torch.no_grad():
            self.time_projection.bias.zero_()
            self.time_projection.bias.view(6, hidden)[[1, 2, 4, 5]] = 1.0

    def forward(
        self,
        chunk: Tensor,
        is_clean: Tensor,
        flow_time: Tensor,
        action_mask: Tensor,
        state: Tensor,
        state_mask: Tensor,
        cache: ContextCache,
    ) -> Tensor:
        """Returns the predicted clean chunk, (B, H, action width), in normalised units.

        Args:
            chunk: (B, H, action width), clean rows as they are, others (1 - t) noise + t actions.
            is_clean: (B, H) bool, rows with flow time 1.
            flow_time: (B,) flow time t in 0..1 of the other rows.
            action_mask: (action width,) 1 where the embodiment has an entry.
            state: (B, state width) normalised.
            state_mask: (state width,) 1 where the embodiment has an entry.
            cache: The backbone's cache of the same batch.
        """
        batch = chunk.shape[0]
        actions = self.action_in(torch.cat([chunk, action_mask.expand_as(chunk)], dim=-1)) + self.rows
        state_token = self.state_in(torch.cat([state, state_mask.expand_as(state)], dim=-1))
        tokens = torch.cat([self.sink.expand(batch, 1, -1), state_token[:, None], actions], dim=1)
        time_table, choice = self._modulation(is_clean, flow_time)
        length = tokens.shape[1]
        positions = torch.arange(length) + cache.next_position
        rotary = self._rotary[0](tokens, positions[None, None])
        rotary = (rotary[0][:, :, None], rotary[1][:, :, None])
        own = self.row_mask.expand(batch, 1, length, length)
        mask = torch.cat([cache.is_valid[:, None, None, :].expand(-1, 1, length, -1), own], dim=-1)
        for i, layer in enumerate(self.layers, start=self._first_cache_layer):
            tokens = layer(tokens, time_table, choice, rotary, mask, (cache.keys[i], cache.values[i]))
        final = functional.layer_norm(tokens[:, NUM_LEADING:], (tokens.shape[-1],))
        result: Tensor = self.out(final)
        return result

    def _modulation(self, is_clean: Tensor, flow_time: Tensor) -> tuple[Tensor, Tensor]:
        times = torch.cat([flow_time, flow_time.new_ones(1)])
        table = self.time_projection(functional.silu(self.time_in(time_features(times))))
        noised, clean = table[:-1], table[-1].expand(len(flow_time), -1)
        is_clean = functional.pad(is_clean, (NUM_LEADING, 0), value=True)
        choice = torch.stack([~is_clean, is_clean], dim=-1).to(torch.float32)
        return torch.stack([noised, clean], dim=1), choice
