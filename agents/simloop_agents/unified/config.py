"""What a unified model is made of: sizes of its backbone and action expert, readable from and written to JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from simloop.errors import ConfigurationError

HORIZON = 32
"""Rows H of an action chunk."""
ACTION_PERIOD_NS = 50_000_000
"""Time between two rows of a chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig:
    """The vision-language backbone, a transformers ``Qwen2_5_VLForConditionalGeneration``.

    Attributes:
        checkpoint: Folder or hub id of a published checkpoint; empty builds the tiny model described below, with
            fresh weights. With a checkpoint the sizes below (up to ``initializer_range``) are the checkpoint's own.
        vision_hidden_size: Width of the vision transformer.
        vision_depth: Layers of the vision transformer, all with full attention.
        vision_num_heads: Attention heads of the vision transformer.
        vision_intermediate_size: Width inside its feed-forward blocks.
        has_coordinates: Whether pixels carry their image coordinates as two more channels. A vision tower of few
            layers learns where things are much faster with them than from relative rotary positions alone.
        patch_size: Side of an image patch in pixels.
        spatial_merge_size: Patches along one side that the projector joins into one language token.
        text_hidden_size: Width of the language model.
        text_depth: Layers of the language model.
        text_num_heads: Attention heads of the language model.
        text_num_key_value_heads: Heads of its keys and values.
        text_intermediate_size: Width inside its feed-forward blocks.
        initializer_range: Standard deviation of fresh weights.
        max_text_tokens: Tokens kept of an instruction; shorter ones are padded to it.
        num_readout_tokens: Learned tokens at the end of the prompt, which gather what the action expert needs.
    """

    checkpoint: str = ""
    vision_hidden_size: int = 96
    vision_depth: int = 2
    vision_num_heads: int = 4
    vision_intermediate_size: int = 256
    has_coordinates: bool = True
    patch_size: int = 16
    spatial_merge_size: int = 2
    text_hidden_size: int = 128
    text_depth: int = 3
    text_num_heads: int = 4
    text_num_key_value_heads: int = 4
    text_intermediate_size: int = 256
    initializer_range: float = 0.05
    max_text_tokens: int = 14
    num_readout_tokens: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowExpertConfig:
    """The flow-matching action expert, a diffusion transformer over the backbone's key-value cache.

    Attributes:
        hidden_size: Width of its layers.
        depth: Layers; layer i reads the cache of the backbone's layer ``text_depth - depth + i``.
        intermediate_size: Width inside its feed-forward blocks.
        window: An action row sees itself and this many rows before it.
        flow_steps: Euler steps from noise to actions.
    """

    hidden_size: int = 128
    depth: int = 2
    intermediate_size: int = 256
    window: int = 4
    flow_steps: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class UnifiedConfig:
    """A whole unified model.

    Attributes:
        name: Name for tables and reports.
        backbone: The vision-language backbone.
        expert: The action expert.
        action_width: Entries that the actions of every embodiment are padded to.
        state_width: Entries that the states of every embodiment are padded to.
    """

    name: str = "unified-tiny"
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    expert: FlowExpertConfig = field(default_factory=FlowExpertConfig)
    action_width: int = 32
    state_width: int = 32

    def to_plain(self) -> dict[str, Any]:
        """Returns nested dictionaries of plain values, as JSON holds them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], *, where: str = "model config") -> UnifiedConfig:
        """Inverse of ``to_plain``.

        Raises:
            ConfigurationError: A key is unknown.
        """
        values = dict(plain)
        parts: dict[str, type[Any]] = {"backbone": BackboneConfig, "expert": FlowExpertConfig}
        for name, part in parts.items():
            if name in values and not isinstance(values[name], part):
                values[name] = _build(part, values[name], f"{where}: {name}")
        return _build(cls, values, where)


_Part = TypeVar("_Part")


def _build(cls: type[_Part], values: Mapping[str, Any], where: str) -> _Part:
    allowed = {entry.name for entry in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - allowed)
    if unknown:
        raise ConfigurationError(
            f"{where}: unknown key {', '.join(map(repr, unknown))}. Allowed: {', '.join(sorted(allowed))}."
        )
    return cls(**values)
