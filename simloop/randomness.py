"""Counter-based random draws: a draw depends on which event it is for, never on how many came before.

Every stream is a Philox generator (Salmon et al. 2011, numpy's ``Philox``) keyed by blake2b of
(root seed, case id, stream name). The event index picks the counter block, so adding a stage, changing the
strategy or moving an episode to another worker moves no other draw.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

BLOCK_SIZE = 64
"""Draws made at once per stream; building a keyed generator costs more than sixty normal draws."""

_WORDS = struct.Struct("<QQ")


def stream_key(*parts: object) -> tuple[int, int]:
    """Hashes the parts (numbers, text) to the two 64-bit words of a Philox key."""
    low, high = _WORDS.unpack(
        hashlib.blake2b("\x1f".join(str(p) for p in parts).encode(), digest_size=16).digest()
    )
    return low, high


class PrefixedKeys:
    """Keys that differ in their last part: ``PrefixedKeys(a, b)[n]`` is ``stream_key(a, b, n)``, at half its cost.

    Args:
        parts: The parts before the last one.
    """

    __slots__ = ("_digest",)

    def __init__(self, *parts: object) -> None:
        self._digest = hashlib.blake2b("".join(f"{p}\x1f" for p in parts).encode(), digest_size=16)

    def __getitem__(self, last: object) -> tuple[int, int]:
        """Returns the key whose last part is ``last``."""
        whole = self._digest.copy()
        whole.update(str(last).encode())
        low, high = _WORDS.unpack(whole.digest())
        return low, high


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

    __slots__ = ("_block", "_draw", "_first", "_generator", "_key", "_state")

    def __init__(self, key: tuple[int, int], draw: Draw) -> None:
        self._key = key
        self._draw = draw
        self._first = 1 << 62
        self._block: list[float] = []
        self._generator: np.random.Generator | None = None
        self._state: dict[str, Any] = {}

    def __getitem__(self, index: int) -> float:
        """Returns the draw for event ``index`` >= 0, whatever was asked before."""
        offset = index - self._first
        if not 0 <= offset < BLOCK_SIZE:
            if index < 0:
                raise IndexError(f"Events are numbered from 0; got {index}.")
            number, offset = divmod(index, BLOCK_SIZE)
            self._block = self._draw(self._block_generator(number), BLOCK_SIZE).tolist()
            self._first = index - offset
        return self._block[offset]

    def _block_generator(self, number: int) -> np.random.Generator:
        """Returns what ``generator(key, number)`` does; winding one back costs an eighth of building one."""
        if self._generator is None:
            self._generator = generator(self._key)
            self._state = dict(self._generator.bit_generator.state)
        self._state["state"]["counter"][3] = number
        self._generator.bit_generator.state = self._state
        return self._generator
