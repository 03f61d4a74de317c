"""The toy networks in numpy: a perceptron with its vector-Jacobian product, and weights from safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from simloop.errors import MissingWeightsError

FloatArray = npt.NDArray[np.float32]

BLOCK_WIDTH = 16
"""Rows of one matrix product. A product may round a row differently for another number of rows or another place among
them; with 16 rows, one register tile of the usual kernels, it does not, so a reply does not depend on how many other
episodes asked at the same time. Shorter blocks are padded with zeros."""


class Perceptron:
    """Linear, SiLU, two residual layers x + SiLU(Linear(x)), Linear; float32.

    Inside, activations are laid out (block, feature, row in block).

    Args:
        tensors: Weights by name: ``<name>.<0..3>.weight`` (outputs, inputs) and ``<name>.<0..3>.bias``.
        name: Name of the network.
    """

    def __init__(self, tensors: Mapping[str, npt.NDArray[np.generic]], name: str) -> None:
        self._weights = [
            np.ascontiguousarray(tensors[f"{name}.{n}.weight"], dtype=np.float32) for n in range(4)
        ]
        self._transposed = [np.ascontiguousarray(w.T) for w in self._weights]
        self._biases = [tensors[f"{name}.{n}.bias"].astype(np.float32)[:, None] for n in range(4)]

    def __call__(self, inputs: FloatArray) -> FloatArray:
        """Returns (N, outputs) for (N, inputs); a row's result depends on that row alone."""
        hidden, _ = self._hidden(_to_blocks(inputs))
        return _to_rows(self._weights[3] @ hidden + self._biases[3], len(inputs))

    def with_slopes(self, inputs: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """Returns the outputs and what ``vector_jacobian`` needs: the slopes of the three SiLU layers."""
        hidden, before = self._hidden(_to_blocks(inputs))
        outputs = _to_rows(self._weights[3] @ hidden + self._biases[3], len(inputs))
        return outputs, [_silu_slope(z) for z in before]

    def vector_jacobian(self, cotangent: FloatArray, slopes: list[FloatArray]) -> FloatArray:
        """Returns (N, inputs): the gradient of the sum of ``cotangent`` (N, outputs) times the outputs."""
        gradient = self._transposed[3] @ _to_blocks(cotangent)
        for number in (2, 1):
            gradient += self._transposed[number] @ (gradient * slopes[number])
        return _to_rows(self._transposed[0] @ (gradient * slopes[0]), len(cotangent))

    def _hidden(self, inputs: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        first = self._weights[0] @ inputs
        first += self._biases[0]
        hidden, before = _silu(first), [first]
        for number in (1, 2):
            inner = self._weights[number] @ hidden
            inner += self._biases[number]
            hidden = hidden + _silu(inner)
            before.append(inner)
        return hidden, before


def _to_blocks(rows: FloatArray) -> FloatArray:
    """Lays (N, F) rows out as (B, F, BLOCK_WIDTH), zeros at the end."""
    count, size = rows.shape
    num_blocks = -(-count // BLOCK_WIDTH)
    padded = np.zeros((num_blocks * BLOCK_WIDTH, size), dtype=np.float32)
    padded[:count] = rows
    return np.ascontiguousarray(padded.reshape(num_blocks, BLOCK_WIDTH, size).transpose(0, 2, 1))


def _to_rows(blocks: FloatArray, count: int) -> FloatArray:
    """Undoes ``_to_blocks``: (B, F, BLOCK_WIDTH) to the first ``count`` rows (N, F)."""
    rows: FloatArray = np.ascontiguousarray(blocks.transpose(0, 2, 1)).reshape(-1, blocks.shape[1])[:count]
    return rows


def _sigmoid(x: FloatArray) -> FloatArray:
    # By tanh, which does not overflow.
    half: FloatArray = np.tanh(x * np.float32(0.5))
    half += np.float32(1.0)
    half *= np.float32(0.5)
    return half


def _silu(x: FloatArray) -> FloatArray:
    out = _sigmoid(x)
    out *= x
    return out


def _silu_slope(x: FloatArray) -> FloatArray:
    sigmoid = _sigmoid(x)
    return sigmoid * (np.float32(1.0) + x * (np.float32(1.0) - sigmoid))


def read_weights(file: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Reads a weights file.

    Raises:
        MissingWeightsError: It is not there or is no safetensors file.
    """
    try:
        tensors: dict[str, npt.NDArray[np.generic]] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise MissingWeightsError(
            f"{file} cannot be read as toy weights: {error}. Make them with `simloop train toys`."
        ) from error
    return tensors
