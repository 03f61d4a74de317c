"""A small tokenizer for instructions: whole words where it knows them, UTF-8 bytes where it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import resources

PAD = "<pad>"
BEGIN = "<|im_start|>"
END = "<|im_end|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
IMAGE_PAD = "<|image_pad|>"
VIDEO_PAD = "<|video_pad|>"
STATE = "<|state|>"
READOUT = "<|readout_{}|>"
MAX_READOUTS = 8
SPECIAL_TOKENS = (
    PAD,
    BEGIN,
    END,
    VISION_START,
    VISION_END,
    IMAGE_PAD,
    VIDEO_PAD,
    STATE,
    *(READOUT.format(i) for i in range(MAX_READOUTS)),
)

_PIECES = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]")


class WordTokenizer:
    """Maps text to token ids: special tokens first, then 256 bytes, then words.

    Any text can be encoded: a word outside the vocabulary becomes its bytes. Case is folded.

    Args:
        words: Known words in order, lower case.
    """

    def __init__(self, words: Sequence[str]) -> None:
        names = [*SPECIAL_TOKENS, *(f"<0x{byte:02X}>" for byte in range(256)), *words]
        self._ids = {name: i for i, name in enumerate(names)}
        if len(self._ids) != len(names):
            raise ValueError("The vocabulary holds a word twice.")
        self._names = names

    @classmethod
    def packaged(cls) -> WordTokenizer:
        """Returns the tokenizer of the vocabulary that ships with the package."""
        text = (
            resources.files("simloop_agents.unified").joinpath("vocabulary.json").read_text(encoding="utf-8")
        )
        return cls(json.loads(text))

    @property
    def size(self) -> int:
        """Number of token ids."""
        return len(self._names)

    def token_id(self, name: str) -> int:
        """Returns the id of a special token or word; KeyError if there is none."""
        return self._ids[name]

    def encode(self, text: str) -> list[int]:
        """Returns the token ids of ``text``, without special tokens."""
        ids: list[int] = []
        for piece in _PIECES.findall(text.lower()):
            known = self._ids.get(piece)
            if known is not None:
                ids.append(known)
            else:
                ids.extend(self._ids[f"<0x{byte:02X}>"] for byte in piece.encode())
        return ids
