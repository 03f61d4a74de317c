"""Reads what stands behind ``tc qdisc ... netem``, word for word, into a packet link.

Grammar, units and the values of what is left out are those of iproute2 (``tc/q_netem.c``, tc-netem(8), tc(8)): a bare
time is in microseconds, a bare percentage is a percentage, ``loss gemodel p`` alone means r = 1 - p, 1-h = 1, 1-k = 0,
and jitter without a distribution is uniform (``net/sched/sch_netem.c``; the manual page says normal). netem's state
moves with every packet; here it moves with every control tick.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from simloop.clock import NS_PER_MS, NS_PER_S
from simloop.errors import ParameterError
from simloop.timing.compound import Jitter, JitterShape
from simloop.timing.distribution import Constant, Distribution, FloatArray, Uniform
from simloop.timing.importers.netem_table import read_netem_table
from simloop.timing.link import PacketLink, Slots
from simloop.timing.loss import Bernoulli, FourState, GilbertElliott, Loss

WORDS = (
    "limit",
    "delay",
    "latency",
    "loss",
    "drop",
    "reorder",
    "corrupt",
    "gap",
    "duplicate",
    "distribution",
    "rate",
    "slot",
    "seed",
)
"""The options that are understood; ``ecn`` is not, because nothing here answers to its marks."""
LOSS_WORDS = ("random", "state", "gemodel")
MAX_CORRELATION = 0.9999
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


class _Words:
    """The words of a netem line, read one by one."""

    def __init__(self, words: list[str], where: str) -> None:
        self._words = words
        self._where = where
        self._next = 0

    def has_more(self) -> bool:
        return self._next < len(self._words)

    def word(self, option: str, allowed: str) -> str:
        if not self.has_more():
            raise ParameterError(f"{self._where}: {option} needs {allowed}; nothing follows it.")
        self._next += 1
        return self._words[self._next - 1]

    def peek_is_number(self, *, signed: bool = False) -> bool:
        following = self._words[self._next] if self.has_more() else ""
        return bool(re.match(r"[+-]?\.?\d" if signed else r"\.?\d", following))

    def peek_is(self, *names: str) -> bool:
        return self.has_more() and self._words[self._next] in names

    def skip(self) -> None:
        self._next += 1

    def refuse(self, option: str, got: str, allowed: str) -> ParameterError:
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
        allowed = "a time >= 0 in s, ms, us or ns, for example 20ms (a bare number is in us)"
        return self._in_units(option, allowed, _TIME_UNITS_NS)

    def share(self, option: str, high: float = 1.0) -> float:
        allowed = f"a percentage from 0% to {100 * high:g}%"
        word, value, unit = self._split(option, allowed)
        if unit not in ("", "%") or not 0.0 <= value <= 100.0 * high:
            raise self.refuse(option, word, allowed)
        return value / 100.0

    def optional_share(self, option: str, default: float, high: float = 1.0) -> float:
        return self.share(option, high) if self.peek_is_number() else default

    def whole(self, option: str, low: int | None = 0) -> int:
        allowed = "a whole number" + ("" if low is None else f" >= {low}")
        word, value, unit = self._split(option, allowed)
        if unit or value != int(value) or (low is not None and value < low):
            raise self.refuse(option, word, allowed)
        return int(value)

    def rate_bps(self, option: str) -> float:
        allowed = "a rate > 0 in bit, kbit, mbit, gbit (bits) or bps, kbps, mbps (bytes) a second, for example 8mbit"
        word, value, unit = self._split(option, allowed)
        if unit not in _RATE_UNITS_BPS or value <= 0:
            raise self.refuse(option, word, allowed)
        return value * _RATE_UNITS_BPS[unit]

    def size_bytes(self, option: str) -> int:
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


@functools.cache
def shape_named(name: str, where: str) -> JitterShape | FloatArray:
    """Returns a jitter's shape by netem's name, or by the path of a ``.dist`` table.

    Raises:
        ParameterError: It is neither.
        TraceError: The table cannot be read.
    """
    if name in {s.value for s in JitterShape}:
        return JitterShape(name)
    if name.endswith(".dist"):
        return read_netem_table(Path(name))
    raise ParameterError(
        f"{where}: distribution is {name!r}; allowed: {', '.join(s.value for s in JitterShape)}, or the path of a "
        ".dist table."
    )


def _loss(words: _Words, option: str) -> Loss:
    kind = "random" if words.peek_is_number() else words.option(LOSS_WORDS, option)
    if kind == "random":
        probability = words.share(f"{option} random")
        return Bernoulli(
            probability=probability,
            correlation=words.optional_share(f"correlation of {option}", 0.0, MAX_CORRELATION),
        )
    if kind == "gemodel":
        p = words.share("p of loss gemodel")
        r = words.optional_share("r of loss gemodel", 1.0 - p)
        bad = words.optional_share("1-h of loss gemodel", 1.0)
        good = words.optional_share("1-k of loss gemodel", 0.0)
        return GilbertElliott(p=p, r=r, loss_in_bad=bad, loss_in_good=good)
    p13 = words.share("p13 of loss state")
    p31 = words.optional_share("p31 of loss state", 1.0 - p13)
    p32 = words.optional_share("p32 of loss state", 0.0)
    p23 = words.optional_share("p23 of loss state", 1.0)
    p14 = words.optional_share("p14 of loss state", 0.0)
    for names, total in (("p13 and p14", p13 + p14), ("p31 and p32", p31 + p32)):
        if total > 1.0 + 1e-12:
            raise words.refuse(f"{names} of loss state together", f"{100 * total:g}%", "at most 100%")
    return FourState(p13=p13, p31=p31, p32=p32, p23=p23, p14=p14)


def _random(words: _Words, option: str) -> Bernoulli:
    probability = words.share(option)
    correlation = words.optional_share(f"correlation of {option}", 0.0, MAX_CORRELATION)
    return Bernoulli(probability=probability, correlation=correlation)


class _Line:
    """What the options of a line have said so far."""

    def __init__(self, words: _Words, where: str) -> None:
        self.words = words
        self.where = where
        self.delay_ns = self.jitter_ns = self.correlation = 0.0
        self.shape: JitterShape | FloatArray | None = None
        self.gap: int | None = None
        self.link: dict[str, Any] = {}

    def delay(self, option: str) -> None:
        self.delay_ns = self.words.time_ns(option)
        if self.words.peek_is_number():
            self.jitter_ns = self.words.time_ns("jitter")
            self.correlation = self.words.optional_share("correlation of delay", 0.0, MAX_CORRELATION)

    def distribution(self, option: str) -> None:
        self.shape = shape_named(self.words.word(option, "a name or the path of a .dist table"), self.where)

    def loss(self, option: str) -> None:
        self.link["loss"] = _loss(self.words, option)

    def corrupt(self, option: str) -> None:
        self.link["corrupt"] = _random(self.words, option)

    def duplicate(self, option: str) -> None:
        self.link["duplicate"] = _random(self.words, option)

    def reorder(self, option: str) -> None:
        self.link["reorder"] = _random(self.words, option)
        if self.words.peek_is("gap"):
            self.words.skip()
            self.set_gap("gap")

    def set_gap(self, option: str) -> None:
        self.gap = self.words.whole(option, 1)

    def limit(self, option: str) -> None:
        self.link["limit"] = self.words.whole(option, 1)

    def seed(self, option: str) -> None:
        self.link["seed"] = self.words.whole(option)

    def rate(self, option: str) -> None:
        self.link["rate_bps"] = self.words.rate_bps(option)
        if self.words.peek_is_number(signed=True):
            self.link["packet_overhead_bytes"] = self.words.whole("packet overhead of rate", None)
            if self.words.peek_is_number():
                self.link["cell_bytes"] = self.words.whole("cell size of rate")
                if self.words.peek_is_number(signed=True):
                    self.link["cell_overhead_bytes"] = self.words.whole("cell overhead of rate", None)

    def slot(self, option: str) -> None:
        words = self.words
        if words.peek_is("distribution"):
            words.skip()
            shape = shape_named(words.word("distribution of slot", "a name"), self.where)
            delay_ns, jitter_ns = words.time_ns("delay of slot"), words.time_ns("jitter of slot")
            gap: Distribution = Jitter(delay_ns=delay_ns, jitter_ns=jitter_ns, shape=shape)
        else:
            low_ns = words.time_ns(option)
            high_ns = words.time_ns("maximum of slot") if words.peek_is_number() else low_ns
            if high_ns < low_ns:
                raise words.refuse(
                    "maximum of slot", f"{high_ns:g} ns", f"at least the minimum, {low_ns:g} ns"
                )
            gap = Uniform(low_ns=low_ns, high_ns=high_ns) if high_ns > low_ns else Constant(round(low_ns))
        if gap.mean_ns < 1:
            raise words.refuse("slot", f"{gap.mean_ns:g} ns", "a time > 0")
        bounds: dict[str, int] = {}
        while words.peek_is("packets", "bytes"):
            name = words.word("slot", "")
            bounds[f"max_{name}"] = (
                words.whole("packets of slot", 1)
                if name == "packets"
                else max(1, words.size_bytes("bytes of slot"))
            )
        self.link["slots"] = Slots(gap=gap, **bounds)

    def made(self) -> PacketLink:
        if self.shape is not None and not (self.delay_ns and self.jitter_ns):
            raise ParameterError(
                f"{self.where}: distribution is given without a delay and a jitter to shape."
            )
        if "reorder" in self.link and not self.delay_ns:
            raise ParameterError(f"{self.where}: reorder is given without a delay that could be overtaken.")
        if self.gap is not None and "reorder" not in self.link:
            raise ParameterError(f"{self.where}: gap is given without reorder.")
        delay: Distribution = Constant(round(self.delay_ns))
        if self.jitter_ns:
            delay = Jitter(
                delay_ns=self.delay_ns,
                jitter_ns=self.jitter_ns,
                correlation=self.correlation,
                shape=JitterShape.UNIFORM if self.shape is None else self.shape,
            )
        return PacketLink(delay=delay, reorder_gap=self.gap or 1, **self.link)


_OPTIONS: dict[str, Callable[[_Line, str], None]] = {
    "limit": _Line.limit,
    "delay": _Line.delay,
    "latency": _Line.delay,
    "loss": _Line.loss,
    "drop": _Line.loss,
    "reorder": _Line.reorder,
    "corrupt": _Line.corrupt,
    "gap": _Line.set_gap,
    "duplicate": _Line.duplicate,
    "distribution": _Line.distribution,
    "rate": _Line.rate,
    "slot": _Line.slot,
    "seed": _Line.seed,
}


def netem_link(text: object, where: str) -> PacketLink:
    """Reads a netem line, for example ``"delay 20ms 5ms 25% distribution normal loss gemodel 1% 10%"``.

    Args:
        text: What follows ``netem``; a whole ``tc qdisc`` command is taken too.
        where: Key path for messages.

    Raises:
        ParameterError: A word is unknown or given twice, or a value is missing or out of range.
    """
    if not isinstance(text, str) or not text.split():
        raise ParameterError(f"{where} is {text!r}; allowed: a netem line of {', '.join(WORDS)}.")
    listed = text.split()
    if listed[0] == "tc" and "netem" in listed:
        listed = listed[listed.index("netem") + 1 :]
    words = _Words(listed, where)
    line = _Line(words, where)
    seen: set[Callable[[_Line, str], None]] = set()
    while words.has_more():
        option = words.option(WORDS, "netem")
        read = _OPTIONS[option]
        if read in seen:
            raise ParameterError(f"{where}: {option} is given twice.")
        seen.add(read)
        read(line, option)
    return line.made()
