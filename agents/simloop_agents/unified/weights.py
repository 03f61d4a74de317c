"""Weights on disk: one safetensors file and a JSON config, with the codecs' normalisation among the tensors."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from simloop.errors import ConfigurationError, MissingWeightsError
from simloop.source_digest import source_digest
from simloop_agents.unified.codecs import LAYOUTS, Codec
from simloop_agents.unified.config import UnifiedConfig
from simloop_agents.unified.model import UnifiedModel

PACKAGE = "simloop_agents.unified"
WEIGHTS_FILE = "unified_tiny.safetensors"
CONFIG_FILE = "config.json"
REPORT_FILE = "training_report.json"
_CODEC_ENTRIES = ("action_mean", "action_scale", "state_mean", "state_scale")


def packaged_folder() -> Path:
    """Returns the folder of the weights that ship with the package."""
    return Path(str(importlib.resources.files(PACKAGE).joinpath("weights")))


def save_weights(folder: Path, model: UnifiedModel) -> None:
    """Writes weights, normalisation and config of a model; each file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": tensor.detach().numpy() for name, tensor in _unique_state(model).items()}
    for action_space, codec in model.codecs.items():
        for entry in _CODEC_ENTRIES:
            tensors[f"codec.{action_space}.{entry}"] = np.ascontiguousarray(getattr(codec, entry))
    partial = folder / f"{WEIGHTS_FILE}.partial"
    save_file(tensors, partial)
    partial.chmod(0o644)  # safetensors makes files that only their owner can read
    partial.replace(folder / WEIGHTS_FILE)
    write_text(folder / CONFIG_FILE, json.dumps(model.config.to_plain(), indent=2) + "\n")


def load_weights(folder: Path) -> UnifiedModel:
    """Reads what ``save_weights`` wrote.

    Raises:
        MissingWeightsError: A file is missing or cannot be read.
        ConfigurationError: Weights and config do not fit each other.
    """
    weights, config_file = folder / WEIGHTS_FILE, folder / CONFIG_FILE
    for path in (weights, config_file):
        if not path.is_file():
            raise MissingWeightsError(
                f"The unified model's weights are not there: {path} is missing. Train them with "
                "`simloop train unified` (about twenty minutes) and set agent.weights to the folder that it names, or "
                f"to any other that holds {WEIGHTS_FILE} and {CONFIG_FILE}."
            )
    try:
        tensors = load_file(weights)
        plain = json.loads(config_file.read_text(encoding="utf-8"))
    except (SafetensorError, json.JSONDecodeError) as error:
        raise MissingWeightsError(
            f"{folder} holds damaged weights: {error}. Copy or train them again."
        ) from error
    config = UnifiedConfig.from_plain(plain, where=str(config_file))
    model = UnifiedModel.seeded(config, 0, _codecs(tensors))
    state = {
        name.removeprefix("model."): torch.from_numpy(t)
        for name, t in tensors.items()
        if name.startswith("model.")
    }
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ConfigurationError(f"{weights} does not fit {config_file}: {error}.") from error
    missing = [name for name in missing if name in _unique_state(model)]
    if missing or unexpected:
        raise ConfigurationError(
            f"{weights} does not fit {config_file}: missing {missing[:3]}, unexpected {list(unexpected)[:3]}."
        )
    return model


def _codecs(tensors: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]) -> dict[str, Codec]:
    codecs = {}
    for action_space, layout in LAYOUTS.items():
        entries = {entry: tensors.get(f"codec.{action_space}.{entry}") for entry in _CODEC_ENTRIES}
        if all(value is not None for value in entries.values()):
            codecs[action_space] = Codec(layout=layout, **entries)  # type: ignore[arg-type]
    return codecs


def _unique_state(model: UnifiedModel) -> dict[str, torch.Tensor]:
    """Returns the state without the language head when that is tied to the embedding."""
    state = dict(model.state_dict())
    if model.backbone.vlm.config.tie_word_embeddings:
        state.pop("backbone.vlm.lm_head.weight", None)
    return state


def write_text(path: Path, text: str) -> None:
    """Writes a text file so that it appears whole or not at all."""
    partial = path.with_suffix(f"{path.suffix}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def model_digest(model: UnifiedModel) -> str:
    """Returns 32 hex digits over weights, normalisation, config and the source of this package."""
    result = hashlib.blake2b(digest_size=16)
    result.update(source_digest(PACKAGE, _INFERENCE_SOURCES).encode())
    result.update(json.dumps(model.config.to_plain(), sort_keys=True).encode())
    for name, tensor in sorted(_unique_state(model).items()):
        result.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    for action_space, codec in sorted(model.codecs.items()):
        for entry in _CODEC_ENTRIES:
            result.update(
                f"{action_space}.{entry}".encode() + np.ascontiguousarray(getattr(codec, entry)).tobytes()
            )
    return result.hexdigest()


_INFERENCE_SOURCES = (
    "backbone.py",
    "codecs.py",
    "config.py",
    "flow_expert.py",
    "model.py",
    "policy.py",
    "prompt.py",
    "tokenizer.py",
    "vocabulary.json",
)
