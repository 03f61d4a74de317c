"""The vision-language backbone: images and an instruction in, a key-value cache out.

It is transformers' Qwen2.5-VL (Bai et al. 2025, arXiv:2502.13923): vision transformer, patch merger, language model
with multimodal rotary positions. A config decides whether it is a tiny one with fresh weights or a published
checkpoint of the same class (MiMo-Embodied, arXiv:2511.16518, loads as this class too).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from simloop.errors import ConfigurationError, MissingWeightsError
from simloop_agents.unified.config import BackboneConfig
from simloop_agents.unified.tokenizer import (
    IMAGE_PAD,
    PAD,
    VIDEO_PAD,
    VISION_END,
    VISION_START,
    WordTokenizer,
)

ROPE_THETA = 10_000.0


class Prompt(NamedTuple):
    """A batch of prompts of one layout, as tensors.

    Attributes:
        token_ids: (B, S) int64.
        is_valid: (B, S) bool, False at padding.
        positions: (3, S) int64 multimodal rotary positions (time, height, width), shared by the batch.
        pixels: (B * V * P, C * 2 * p * p) float32 patches of V views, in the order of the merger.
        grid: (B * V, 3) int64 patches along (time, height, width) of each view.
        image_index: (I,) int64 places of the image tokens.
        readout: First index of the readout tokens, which are the last tokens; the state token is just before.
    """

    token_ids: Tensor
    is_valid: Tensor
    positions: Tensor
    pixels: Tensor
    grid: Tensor
    image_index: Tensor
    readout: int


class ContextCache(NamedTuple):
    """What the action expert reads: keys and values of every backbone layer.

    Attributes:
        keys: Per layer (B, heads, S, head width), rotated.
        values: Per layer (B, heads, S, head width).
        is_valid: (B, S) bool, False at padding.
        next_position: Rotary position that follows the prompt.
        image_index: (I,) int64 places of the image tokens.
        readout: First index of the readout tokens.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    is_valid: Tensor
    next_position: int
    image_index: Tensor
    readout: int

    def repeated(self, times: int) -> ContextCache:
        """Returns the cache with every item of the batch ``times`` times in a row."""
        if times == 1:
            return self
        return self._replace(
            keys=tuple(key.repeat_interleave(times, dim=0) for key in self.keys),
            values=tuple(value.repeat_interleave(times, dim=0) for value in self.values),
            is_valid=self.is_valid.repeat_interleave(times, dim=0),
        )


def tiny_vlm_config(config: BackboneConfig, tokenizer: WordTokenizer) -> Qwen2_5_VLConfig:
    """Returns the transformers config of the tiny backbone."""
    head_width = config.text_hidden_size // config.text_num_heads
    height = head_width * 3 // 16
    sections = [head_width // 2 - 2 * height, height, height]
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": tokenizer.size,
            "hidden_size": config.text_hidden_size,
            "intermediate_size": config.text_intermediate_size,
            "num_hidden_layers": config.text_depth,
            "num_attention_heads": config.text_num_heads,
            "num_key_value_heads": config.text_num_key_value_heads,
            "max_position_embeddings": 1024,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": ROPE_THETA,
                "mrope_section": sections,
            },
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": tokenizer.token_id(PAD),
            "initializer_range": config.initializer_range,
        },
        vision_config={
            "depth": config.vision_depth,
            "hidden_size": config.vision_hidden_size,
            "intermediate_size": config.vision_intermediate_size,
            "num_heads": config.vision_num_heads,
            "patch_size": config.patch_size,
            "spatial_merge_size": config.spatial_merge_size,
            "temporal_patch_size": 2,
            "window_size": 1024,
            "fullatt_block_indexes": list(range(config.vision_depth)),
            "out_hidden_size": config.text_hidden_size,
            "in_channels": 5 if config.has_coordinates else 3,
            "initializer_range": config.initializer_range,
        },
        image_token_id=tokenizer.token_id(IMAGE_PAD),
        video_token_id=tokenizer.token_id(VIDEO_PAD),
        vision_start_token_id=tokenizer.token_id(VISION_START),
        vision_end_token_id=tokenizer.token_id(VISION_END),
        tie_word_embeddings=True,
    )


def load_checkpoint(
    checkpoint: str, *, is_download_allowed: bool = False
) -> Qwen2_5_VLForConditionalGeneration:
    """Loads a published Qwen2.5-VL checkpoint: safetensors only, no code from the checkpoint is run.

    Args:
        checkpoint: A folder, or a hub id such as ``XiaomiMiMo/MiMo-Embodied-7B``.
        is_download_allowed: Whether a hub id that is not in the local cache may be fetched.

    Raises:
        MissingWeightsError: Nothing loadable is there.
        ConfigurationError: The checkpoint is of another model class.
    """
    folder = Path(checkpoint).expanduser()
    remedy = (
        "Give a folder with config.json and *.safetensors of a Qwen2_5_VLForConditionalGeneration, or fetch a hub "
        "checkpoint first with `hf download ID` (for example XiaomiMiMo/MiMo-Embodied-7B, about 16 GB)."
    )
    if not folder.is_dir() and (folder.is_absolute() or checkpoint.startswith((".", "~"))):
        raise MissingWeightsError(f"Backbone checkpoint {checkpoint!r}: there is no such folder. {remedy}")
    try:
        config = Qwen2_5_VLConfig.from_pretrained(
            folder if folder.is_dir() else checkpoint, local_files_only=not is_download_allowed
        )
        if config.model_type != "qwen2_5_vl" or not config.architectures:
            raise ConfigurationError(
                f"Backbone checkpoint {checkpoint!r} is of type {config.model_type!r} {config.architectures}; "
                "allowed: qwen2_5_vl."
            )
        return Qwen2_5_VLForConditionalGeneration.from_pretrained(
            folder if folder.is_dir() else checkpoint,
            local_files_only=not is_download_allowed,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
        )
    except OSError as error:
        raise MissingWeightsError(
            f"Backbone checkpoint {checkpoint!r} cannot be loaded: {error}. {remedy}"
        ) from error


class FoldedPatchEmbed(nn.Module):
    """Qwen2.5-VL's patch embedding as a matrix product; its stride equals its kernel, so the two are the same.

    On a CPU the convolution takes ten times as long, a third of a whole training step of a small model.

    Args:
        original: The module to stand in for; its weights keep their names.
    """

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.proj: nn.Conv3d = original.proj

    def forward(self, patches: Tensor) -> Tensor:
        """Returns (N, width) embeddings of (N, C * 2 * p * p) patches."""
        weight = self.proj.weight
        return functional.linear(patches.to(weight.dtype), weight.flatten(1))


class Backbone(nn.Module):
    """A Qwen2.5-VL whose key-value cache is read by the action expert.

    Args:
        config: Sizes, or the checkpoint to load.
        tokenizer: Gives the special tokens of the tiny model.
    """

    def __init__(self, config: BackboneConfig, tokenizer: WordTokenizer) -> None:
        super().__init__()
        if config.checkpoint:
            self.vlm = load_checkpoint(config.checkpoint)
        else:
            vlm_config = tiny_vlm_config(config, tokenizer)
            vlm_config._attn_implementation = "sdpa"
            self.vlm = Qwen2_5_VLForConditionalGeneration(vlm_config)
        visual: Any = self.vlm.model.visual
        visual.patch_embed = FoldedPatchEmbed(visual.patch_embed)
        text: Any = self.vlm.config.text_config
        vision: Any = self.vlm.config.vision_config
        self.text_depth: int = text.num_hidden_layers
        self.num_heads: int = text.num_attention_heads
        self.num_key_value_heads: int = text.num_key_value_heads
        self.text_width: int = text.hidden_size
        self.head_width: int = text.hidden_size // text.num_attention_heads
        self.patch_size: int = vision.patch_size
        self.merge_size: int = vision.spatial_merge_size
        self.vision_width: int = vision.hidden_size
        self.num_channels: int = vision.in_channels
        self.image_token_id: int = self.vlm.config.image_token_id

    @property
    def rotary(self) -> nn.Module:
        """The language model's rotary embedding, which the action expert continues."""
        module: nn.Module = self.vlm.model.language_model.rotary_emb
        return module

    def positions(self, token_ids: Tensor, grid: Tensor) -> Tensor:
        """Returns the (3, S) rotary positions of one prompt with (S,) tokens and (V, 3) view grids."""
        kinds = (token_ids == self.image_token_id).to(torch.int32)
        inner: Any = self.vlm.model
        positions, _ = inner.get_rope_index(token_ids[None], kinds[None], image_grid_thw=grid)
        result: Tensor = positions[:, 0]
        return result

    def forward(self, prompt: Prompt, state_embedding: Tensor) -> ContextCache:
        """Runs vision tower and language model once over the prompts.

        Args:
            prompt: The prompts of B requests.
            state_embedding: (B, text width), put in the place of the state token.
        """
        batch = prompt.token_ids.shape[0]
        embeddings = self.vlm.get_input_embeddings()(prompt.token_ids)
        before, after = embeddings[:, : prompt.readout - 1], embeddings[:, prompt.readout :]
        output = self.vlm.model(
            input_ids=prompt.token_ids,
            inputs_embeds=torch.cat([before, state_embedding[:, None], after], dim=1),
            attention_mask=prompt.is_valid.to(torch.int64),
            position_ids=prompt.positions[:, None].expand(3, batch, -1),
            pixel_values=prompt.pixels,
            image_grid_thw=prompt.grid,
            use_cache=True,
        )
        layers = output.past_key_values.layers
        return ContextCache(
            keys=tuple(layer.keys for layer in layers),
            values=tuple(layer.values for layer in layers),
            is_valid=prompt.is_valid,
            next_position=int(prompt.positions.max()) + 1,
            image_index=prompt.image_index,
            readout=prompt.readout,
        )
