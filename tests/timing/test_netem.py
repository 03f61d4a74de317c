"""netem lines, word for word: every option, netem's own defaults, and what is refused how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simloop.errors import ParameterError, TraceError
from simloop.timing.distribution import ZERO, Constant, Uniform
from simloop.timing.jitter import Jitter, JitterShape
from simloop.timing.link import PacketLink, Slots
from simloop.timing.loss import Bernoulli, FourState, GilbertElliott
from simloop.timing.netem import WORDS, netem_link

WHERE = "timing.uplink.netem"
MS = 1_000_000


def test_a_line_of_all_options() -> None:
    link = netem_link(
        "limit 50 delay 20ms 5ms 25% distribution normal loss gemodel 1% 10% 70% 0.1% corrupt 0.2% 10% "
        "duplicate 1% 5% reorder 25% 50% gap 5 rate 8mbit 14 48 5 slot 5ms 10ms packets 3 bytes 4kb seed 7",
        WHERE,
    )
    assert isinstance(link.delay, Jitter)
    jitter = link.delay
    assert (jitter.delay_ns, jitter.jitter_ns, jitter.correlation) == (20 * MS, 5 * MS, 0.25)
    assert jitter.shape is JitterShape.NORMAL
    assert link == PacketLink(
        delay=jitter,
        loss=GilbertElliott(p=0.01, r=0.1, loss_in_bad=0.7, loss_in_good=0.001),
        corrupt=Bernoulli(probability=0.002, correlation=0.1),
        duplicate=Bernoulli(probability=0.01, correlation=0.05),
        reorder=Bernoulli(probability=0.25, correlation=0.5),
        reorder_gap=5,
        rate_bps=8e6,
        packet_overhead_bytes=14,
        cell_bytes=48,
        cell_overhead_bytes=5,
        slots=Slots(gap=Uniform(low_ns=5 * MS, high_ns=10 * MS), max_packets=3, max_bytes=4096),
        limit=50,
        seed=7,
    )


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("delay 20ms", {"delay": Constant(20 * MS)}),
        ("latency 20ms", {"delay": Constant(20 * MS)}),
        ("delay 1500", {"delay": Constant(1_500_000)}),  # a bare number is in microseconds
        ("delay 0.25s", {"delay": Constant(250 * MS)}),
        ("delay 1.5msecs", {"delay": Constant(1_500_000)}),
        ("delay 800usec", {"delay": Constant(800_000)}),
        ("delay 90ns", {"delay": Constant(90)}),
        ("delay 20ms 0ms", {"delay": Constant(20 * MS)}),
        ("loss 10%", {"loss": Bernoulli(probability=0.1)}),
        ("loss 10", {"loss": Bernoulli(probability=0.1)}),
        ("drop 0.3% 25%", {"loss": Bernoulli(probability=0.003, correlation=0.25)}),
        ("loss random 10% 50%", {"loss": Bernoulli(probability=0.1, correlation=0.5)}),
        # netem's defaults: r = 1 - p, 1-h = 1, 1-k = 0; p31 = 1 - p13, p32 = 0, p23 = 1, p14 = 0
        ("loss gemodel 2%", {"loss": GilbertElliott(p=0.02, r=0.98, loss_in_bad=1, loss_in_good=0)}),
        ("loss gemodel 2% 10%", {"loss": GilbertElliott(p=0.02, r=0.1)}),
        ("loss gemodel 2% 10% 60%", {"loss": GilbertElliott(p=0.02, r=0.1, loss_in_bad=0.6)}),
        ("loss state 2%", {"loss": FourState(p13=0.02, p31=0.98, p32=0, p23=1, p14=0)}),
        ("loss state 2% 20% 10% 50% 1%", {"loss": FourState(p13=0.02, p31=0.2, p32=0.1, p23=0.5, p14=0.01)}),
        ("duplicate 1%", {"duplicate": Bernoulli(probability=0.01)}),
        ("dup 1%", {"duplicate": Bernoulli(probability=0.01)}),
        (
            "delay 10ms reorder 25% 50%",
            {"delay": Constant(10 * MS), "reorder": Bernoulli(probability=0.25, correlation=0.5)},
        ),
        (
            "delay 10ms gap 5 reorder 100%",
            {"delay": Constant(10 * MS), "reorder": Bernoulli(probability=1.0), "reorder_gap": 5},
        ),
        (
            "rate 5kbit 20 100 5",
            {"rate_bps": 5e3, "packet_overhead_bytes": 20, "cell_bytes": 100, "cell_overhead_bytes": 5},
        ),
        ("rate 1gbit -14", {"rate_bps": 1e9, "packet_overhead_bytes": -14}),
        ("rate 125kbps", {"rate_bps": 1e6}),  # bps are bytes a second
        ("rate 64kibit", {"rate_bps": 65536.0}),
        ("rate 4800", {"rate_bps": 4800.0}),
        ("slot 800us", {"slots": Slots(gap=Constant(800_000))}),
        ("slot 1ms 2ms packets 8", {"slots": Slots(gap=Uniform(low_ns=MS, high_ns=2 * MS), max_packets=8)}),
        ("tc qdisc add dev eth0 root netem delay 100ms", {"delay": Constant(100 * MS)}),
        ("seed 0", {"seed": 0}),
    ],
)
def test_lines_mean_what_netem_means(line: str, fields: dict[str, Any]) -> None:
    assert netem_link(line, WHERE) == PacketLink(**fields)


def test_jitter_without_a_distribution_is_uniform_as_in_the_kernel() -> None:
    delay = netem_link("delay 20ms 5ms", WHERE).delay
    assert isinstance(delay, Jitter)
    assert delay.shape is JitterShape.UNIFORM
    assert delay.correlation == 0.0
    assert netem_link("loss 1%", WHERE).delay == ZERO


def test_slots_can_follow_a_distribution() -> None:
    slots = netem_link("slot distribution pareto 800us 200us bytes 32k", WHERE).slots
    assert slots is not None
    gap = slots.gap
    assert isinstance(gap, Jitter)
    assert (gap.delay_ns, gap.jitter_ns, gap.shape) == (800_000, 200_000, JitterShape.PARETO)
    assert (slots.max_packets, slots.max_bytes) == (None, 32 * 1024)


def test_a_distribution_can_be_a_table_file(tmp_path: Path) -> None:
    table = tmp_path / "mine.dist"
    table.write_text("# four quantiles\n-8192 0 0 24576\n")
    delay = netem_link(f"delay 20ms 5ms distribution {table}", WHERE).delay
    assert isinstance(delay, Jitter)
    assert isinstance(delay.shape, np.ndarray)
    assert delay.shape.tolist() == [-1.0, 0.0, 0.0, 3.0]
    assert delay.mean_ns == 20 * MS + 5 * MS * 0.5
    with pytest.raises(TraceError, match=r"absent\.dist"):
        netem_link(f"delay 20ms 5ms distribution {tmp_path / 'absent.dist'}", WHERE)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dely 20ms", r"timing\.uplink\.netem: unknown word 'dely'; allowed: limit, delay, latency, loss"),
        ("delay 20ms ecn", r"unknown word 'ecn'; allowed: limit, delay"),
        ("delay 20ms fast", r"unknown word 'fast'"),
        ("de 20ms", r"unknown word 'de'"),
        ("loss burst 1%", r"unknown word 'burst'; allowed: random, state, gemodel"),
        ("delay", r"delay needs a time >= 0 in s, ms, us or ns.*; nothing follows it"),
        ("delay -5ms", r"delay is '-5ms'; allowed: a time >= 0"),
        ("delay 20msx", r"delay is '20msx'; allowed: a time"),
        ("delay 20ms 5ms 120%", r"correlation of delay is '120%'; allowed: a percentage from 0% to 99\.99%"),
        ("loss 101%", r"loss random is '101%'; allowed: a percentage from 0% to 100%"),
        ("loss -1%", r"unknown word '-1%'"),
        ("loss", r"loss needs random, state, gemodel; nothing follows it"),
        ("loss gemodel", r"p of loss gemodel needs a percentage"),
        ("loss gemodel 1% 200%", r"r of loss gemodel is '200%'"),
        (
            "loss state 60% 20% 10% 50% 50%",
            r"p13 and p14 of loss state together is '110%'; allowed: at most 100%",
        ),
        ("loss state 10% 60% 50%", r"p31 and p32 of loss state together is '110%'"),
        ("loss 1% loss 2%", r"loss is given twice"),
        ("loss 1% drop 2%", r"drop is given twice"),
        ("duplicate x", r"duplicate is 'x'; allowed: a percentage"),
        ("reorder 25%", r"reorder is given without a delay that could be overtaken"),
        ("delay 10ms gap 5", r"gap is given without reorder"),
        ("delay 10ms reorder 5% gap 0", r"gap is '0'; allowed: a whole number >= 1"),
        ("delay 10ms reorder 5% gap 1.5", r"gap is '1\.5'; allowed: a whole number"),
        ("delay 10ms distribution normal", r"distribution is given without a delay and a jitter"),
        ("delay 10ms 1ms distribution gauss", r"distribution is 'gauss'; allowed: uniform, normal, pareto"),
        ("delay 10ms 1ms distribution", r"distribution needs a name or the path"),
        ("rate 0mbit", r"rate is '0mbit'; allowed: a rate > 0"),
        ("rate 5parsec", r"rate is '5parsec'; allowed: a rate > 0 in bit, kbit"),
        ("slot 0ms", r"slot is '0 ns'; allowed: a time > 0"),
        ("slot 2ms 1ms", r"maximum of slot is .*; allowed: at least the minimum"),
        ("slot 2ms packets 0", r"packets of slot is '0'; allowed: a whole number >= 1"),
        ("slot 2ms bytes x", r"bytes of slot is 'x'; allowed: a size >= 0"),
        ("limit 0", r"limit is '0'; allowed: a whole number >= 1"),
        ("seed -1", r"seed is '-1'; allowed: a whole number >= 0"),
        ("", r"timing\.uplink\.netem is ''; allowed: a netem line of limit, delay"),
        (20, r"timing\.uplink\.netem is 20; allowed: a netem line"),
    ],
)
def test_a_wrong_word_is_named_with_what_is_allowed(line: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        netem_link(line, WHERE)


def test_every_word_is_tried_above() -> None:
    tried = Path(__file__).read_text(encoding="utf-8")
    assert [word for word in WORDS if f'"{word} ' not in tried and f" {word} " not in tried] == []
