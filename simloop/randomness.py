"""Counter-based random draws: a draw depends on which event it is for, never on how many came before.

Every stream is a Philox generator (Salmon et al. 2011, numpy's ``Philox``) keyed by blake2b of
(root seed, case id, stream name). The event index picks the counter block, so adding a stage, changing the
strategy or moving an episode to another worker moves no other draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

BLOCK_SIZE = 64
"""Draws made at once per stream; building a keyed generator costs more than sixty normal draws."""


def stream_key(*parts: object) -> tuple[int, int]:
    """Hashes the parts (numbers, text) to the two 64-bit words of a Philox key."""
    digest = hashlib.blake2b("\x1f".join(str(p) for p in parts).encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def generator(key: tuple[int, int], index: int = 0) -> np.random.Generator:
    """Returns the generator of event ``index`` in the stream ``key``; equal arguments, equal draws."""
    bits = np.random.Philox(
        key=np.array(key, dtype=np.uint64), counter=np.array([0, 0, 0, index], dtype=np.uint64)
    )
    return np.random.Generator(bits)


Draw = Callable[[np.random.Generator, int], FloatArray]
"""Makes n independent draws from a generator: ``draw(generator, n) -> (n,) float64``."""


class IndexedStream:
    """One scalar draw per event index, made in blocks of ``BLOCK_SIZE``.

    Args:
        key: Key of the stream, see ``stream_key``.
        draw: Makes the draws of one block.
    """

    __slots__ = ("_block", "_block_number", "_draw", "_key")

    def __init__(self, key: tuple[int, int], draw: Draw) -> None:
        self._key = key
        self._draw = draw
        self._block_number = -1
        self._block: FloatArray = np.empty(0)

    def __getitem__(self, index: int) -> float:
        """Returns the draw for event ``index`` >= 0, whatever was asked before."""
        number, offset = divmod(index, BLOCK_SIZE)
        if number != self._block_number:
            self._block = self._draw(generator(self._key, number), BLOCK_SIZE)
            self._block_number = number
        return float(self._block[offset])
