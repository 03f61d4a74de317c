"""Reads the words of a netem line one by one, in the units of tc(8)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from simloop.clock import NS_PER_MS, NS_PER_S
from simloop.errors import ParameterError

_TIME_UNITS_NS = {
    **dict.fromkeys(("s", "sec", "secs"), NS_PER_S),
    **dict.fromkeys(("ms", "msec", "msecs"), NS_PER_MS),
    **dict.fromkeys(("", "us", "usec", "usecs"), 1_000),
    **dict.fromkeys(("ns", "nsec", "nsecs"), 1),
}
_PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_RATE_UNITS_BPS = {
    **{f"{p}bit": float(f) for p, f in {**_PREFIXES, **_BINARY}.items()},
    **{f"{p}bps": 8.0 * f for p, f in {**_PREFIXES, **_BINARY}.items()},
    **{p: float(f) for p, f in {**_PREFIXES, **_BINARY}.items()},
}
_SIZE_UNITS = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "m": 2**20, "mb": 2**20, "g": 2**30, "gb": 2**30}
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(.*)", re.DOTALL)


class NetemWords:
    """The words of a netem line, read one by one."""

    def __init__(self, words: list[str], where: str) -> None:
        self._words = words
        self._where = where
        self._next = 0

    def has_more(self) -> bool:
        """Returns whether a word follows."""
        return self._next < len(self._words)

    def word(self, option: str, allowed: str) -> str:
        """Returns the next word; ``allowed`` says what was expected if there is none."""
        if not self.has_more():
            raise ParameterError(f"{self._where}: {option} needs {allowed}; nothing follows it.")
        self._next += 1
        return self._words[self._next - 1]

    def peek_is_number(self, *, signed: bool = False) -> bool:
        """Returns whether a number follows: netem's way of leaving values out."""
        following = self._words[self._next] if self.has_more() else ""
        return bool(re.match(r"[+-]?\.?\d" if signed else r"\.?\d", following))

    def peek_is(self, *names: str) -> bool:
        """Returns whether one of these words follows."""
        return self.has_more() and self._words[self._next] in names

    def skip(self) -> None:
        """Leaves out the next word."""
        self._next += 1

    def refuse(self, option: str, got: str, allowed: str) -> ParameterError:
        """Returns the error of an option with a wrong value."""
        return ParameterError(f"{self._where}: {option} is {got!r}; allowed: {allowed}.")

    def _split(self, option: str, allowed: str) -> tuple[str, float, str]:
        word = self.word(option, allowed)
        match = _NUMBER.fullmatch(word)
        if match is None:
            raise self.refuse(option, word, allowed)
        return word, float(match.group(1)), match.group(2).lower()

    def _in_units(self, option: str, allowed: str, units: dict[str, Any]) -> float:
        word, value, unit = self._split(option, allowed)
        if unit not in units or value < 0:
            raise self.refuse(option, word, allowed)
        return value * float(units[unit])

    def time_ns(self, option: str) -> float:
        """Returns a time in ns."""
        allowed = "a time >= 0 in s, ms, us or ns, for example 20ms (a bare number is in us)"
        return self._in_units(option, allowed, _TIME_UNITS_NS)

    def share(self, option: str, high: float = 1.0) -> float:
        """Returns a percentage as a share from 0 to ``high``."""
        allowed = f"a percentage from 0% to {100 * high:g}%"
        word, value, unit = self._split(option, allowed)
        if unit not in ("", "%") or not 0.0 <= value <= 100.0 * high:
            raise self.refuse(option, word, allowed)
        return value / 100.0

    def optional_share(self, option: str, default: float, high: float = 1.0) -> float:
        """Returns a percentage as a share, or ``default`` if no number follows."""
        return self.share(option, high) if self.peek_is_number() else default

    def whole(self, option: str, low: int | None = 0) -> int:
        """Returns a whole number; None as ``low`` allows negative ones."""
        allowed = "a whole number" + ("" if low is None else f" >= {low}")
        word, value, unit = self._split(option, allowed)
        if unit or value != int(value) or (low is not None and value < low):
            raise self.refuse(option, word, allowed)
        return int(value)

    def rate_bps(self, option: str) -> float:
        """Returns a rate in bits per second."""
        allowed = "a rate > 0 in bit, kbit, mbit, gbit (bits) or bps, kbps, mbps (bytes) a second, for example 8mbit"
        word, value, unit = self._split(option, allowed)
        if unit not in _RATE_UNITS_BPS or value <= 0:
            raise self.refuse(option, word, allowed)
        return value * _RATE_UNITS_BPS[unit]

    def size_bytes(self, option: str) -> int:
        """Returns a size in bytes."""
        return round(self._in_units(option, "a size >= 0 in b, kb or mb, for example 3kb", _SIZE_UNITS))

    def option(self, words: Collection[str], what: str) -> str:
        """Returns the next option; three letters of a name are enough, as for tc."""
        allowed = ", ".join(words)
        word = self.word(what, allowed)
        if word in words:
            return word
        full = [w for w in words if len(word) >= 3 and w.startswith(word)]
        if not full:
            raise ParameterError(f"{self._where}: unknown word {word!r}; allowed: {allowed}.")
        return full[0]
