"""Reads what stands behind ``tc qdisc ... netem``, word for word, into a packet link.

Grammar, units and the values of what is left out are those of iproute2 (``tc/q_netem.c``, tc-netem(8), tc(8)): a bare
time is in microseconds, a bare percentage is a percentage, ``loss gemodel p`` alone means r = 1 - p, 1-h = 1, 1-k = 0,
and jitter without a distribution is uniform (``net/sched/sch_netem.c``; the manual page says normal). netem's state
moves with every packet; here it moves with every control tick.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simloop.errors import ParameterError
from simloop.timing.distribution import Constant, Distribution, FloatArray, Uniform
from simloop.timing.importers.netem_table import read_netem_table
from simloop.timing.jitter import Jitter, JitterShape
from simloop.timing.link import PacketLink, Slots
from simloop.timing.loss import Bernoulli, FourState, GilbertElliott, Loss
from simloop.timing.netem_words import NetemWords

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


def _loss(words: NetemWords, option: str) -> Loss:
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


def _random(words: NetemWords, option: str) -> Bernoulli:
    probability = words.share(option)
    correlation = words.optional_share(f"correlation of {option}", 0.0, MAX_CORRELATION)
    return Bernoulli(probability=probability, correlation=correlation)


class _Line:
    """What the options of a line have said so far."""

    def __init__(self, words: NetemWords, where: str) -> None:
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
    words = NetemWords(listed, where)
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
