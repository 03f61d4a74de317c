"""Turns camera images and instructions into backbone prompts.

Layout of a prompt: begin, then for each view its name, vision start, image tokens, vision end, then the instruction
padded to a fixed length, an end token, the state token (an embedding of the proprioception takes its place) and the
readout tokens, which see everything before them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from simloop_agents.unified.backbone import Backbone, Prompt
from simloop_agents.unified.tokenizer import (
    BEGIN,
    END,
    PAD,
    READOUT,
    STATE,
    VISION_END,
    VISION_START,
    WordTokenizer,
)

PIXEL_MEAN = 0.45
PIXEL_SCALE = 0.25


def fitted_size(height: int, width: int, unit: int) -> tuple[int, int]:
    """Returns the multiples of ``unit`` nearest to an image's size, at least one unit each."""
    return max(1, round(height / unit)) * unit, max(1, round(width / unit)) * unit


def normalised(images: Tensor, *, unit: int, num_channels: int) -> Tensor:
    """Turns images into what the vision tower's patches are cut from.

    Args:
        images: (..., H, W, 3) uint8.
        unit: Sides are resized to the nearest multiples of this, if they are not yet.
        num_channels: 3, or 5 to add the row and column coordinate, from -1 to 1.

    Returns:
        (..., H', W', num_channels) float32 around zero.
    """
    colours = images.to(torch.float32).div_(255.0 * PIXEL_SCALE).sub_(PIXEL_MEAN / PIXEL_SCALE)
    height, width = images.shape[-3:-1]
    size = fitted_size(height, width, unit)
    if size != (height, width):
        flat = colours.reshape(-1, height, width, 3).permute(0, 3, 1, 2)
        resized = functional.interpolate(flat, size=size, mode="bilinear", antialias=True)
        colours = resized.permute(0, 2, 3, 1).reshape(*images.shape[:-3], *size, 3)
    if num_channels == 3:
        return colours
    rows, columns = torch.linspace(-1.0, 1.0, size[0]), torch.linspace(-1.0, 1.0, size[1])
    coordinates = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)
    return torch.cat([colours, coordinates.expand(*colours.shape[:-1], 2)], dim=-1)


def patches(images: Tensor, patch: int, merge: int) -> Tensor:
    """Cuts images into patches in the order that Qwen2.5-VL's merger expects.

    Args:
        images: (N, 2, H, W, C) float32, two frames of one temporal patch, past first; H and W are multiples of
            ``patch * merge``.
        patch: Side of a patch in pixels.
        merge: Patches along one side of a merged token.

    Returns:
        (N * H/patch * W/patch, C * 2 * patch * patch) float32.
    """
    count, frames, height, width, channels = images.shape
    rows, columns = height // (patch * merge), width // (patch * merge)
    cut = images.reshape(count, frames, rows, merge, patch, columns, merge, patch, channels)
    ordered = cut.permute(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return ordered.reshape(count * rows * columns * merge * merge, channels * frames * patch * patch)


class PromptMaker:
    """Builds prompts for one backbone.

    Args:
        backbone: Decides patch size, merge size and positions.
        tokenizer: Encodes view names and instructions.
        max_text_tokens: Length that instructions are padded or cut to.
        num_readout_tokens: Readout tokens at the end.
    """

    def __init__(
        self, backbone: Backbone, tokenizer: WordTokenizer, *, max_text_tokens: int, num_readout_tokens: int
    ) -> None:
        self._backbone = backbone
        self._tokenizer = tokenizer
        self._max_text_tokens = max_text_tokens
        self._readouts = [tokenizer.token_id(READOUT.format(i)) for i in range(num_readout_tokens)]
        self._positions: dict[tuple[object, ...], Tensor] = {}

    def text_ids(self, instruction: str) -> tuple[list[int], bool]:
        """Returns the instruction's tokens, cut to the limit, and whether any were cut."""
        ids = self._tokenizer.encode(instruction)
        return ids[: self._max_text_tokens], len(ids) > self._max_text_tokens

    def __call__(self, images: Tensor, view_names: Sequence[str], texts: Sequence[Sequence[int]]) -> Prompt:
        """Builds the prompts of a batch.

        Args:
            images: (B, V, 2, H, W, C) float32 from ``normalised``.
            view_names: Names of the V views, in words.
            texts: Token ids of the B instructions, each at most ``max_text_tokens``.
        """
        patch, merge = self._backbone.patch_size, self._backbone.merge_size
        batch, num_views, _, height, width, _ = images.shape
        grid = torch.tensor([[1, height // patch, width // patch]], dtype=torch.int64)
        num_image_tokens = height // (patch * merge) * (width // (patch * merge))
        head = self._head(view_names, num_image_tokens)
        length = len(head) + self._max_text_tokens + 2 + len(self._readouts)
        token_ids = torch.full((batch, length), self._tokenizer.token_id(PAD), dtype=torch.int64)
        is_valid = torch.ones((batch, length), dtype=torch.bool)
        token_ids[:, : len(head)] = torch.tensor(head)
        end = len(head) + self._max_text_tokens
        token_ids[:, end] = self._tokenizer.token_id(END)
        token_ids[:, end + 1] = self._tokenizer.token_id(STATE)
        token_ids[:, end + 2 :] = torch.tensor(self._readouts, dtype=torch.int64)
        for row, text in enumerate(texts):
            token_ids[row, len(head) : len(head) + len(text)] = torch.tensor(text, dtype=torch.int64)
            is_valid[row, len(head) + len(text) : end] = False
        key = (tuple(view_names), height, width)
        if key not in self._positions:
            self._positions[key] = self._backbone.positions(token_ids[0], grid.repeat(num_views, 1))
        return Prompt(
            token_ids=token_ids,
            is_valid=is_valid,
            positions=self._positions[key],
            pixels=patches(images.flatten(0, 1), patch, merge),
            grid=grid.repeat(batch * num_views, 1),
            image_index=torch.nonzero(token_ids[0] == self._backbone.image_token_id)[:, 0],
            readout=end + 2,
        )

    def _head(self, view_names: Sequence[str], num_image_tokens: int) -> list[int]:
        ids = [self._tokenizer.token_id(BEGIN)]
        for name in view_names:
            ids += self._tokenizer.encode(name)
            ids.append(self._tokenizer.token_id(VISION_START))
            ids += [self._backbone.image_token_id] * num_image_tokens
            ids.append(self._tokenizer.token_id(VISION_END))
        return ids
