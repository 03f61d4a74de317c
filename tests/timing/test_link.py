"""What links do to messages: delay, loss, copies, overtaking, queues for a rate, slots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from simloop.errors import ParameterError
from simloop.timing.distribution import Constant, ShiftedGamma
from simloop.timing.jitter import Jitter, JitterShape
from simloop.timing.link import DelayLink, Link, LinkModel, PacketLink, Slots
from simloop.timing.link_config import link_from_config, loss_from_config
from simloop.timing.loss import Bernoulli, FourState, GilbertElliott
from simloop.timing.mahimahi import MahimahiLink
from simloop.timing.netem import netem_link

MS = 1_000_000
PERIOD_NS = 50 * MS
KEY = (0, "case", "latency", "uplink")


def _link(line: str) -> Link:
    return netem_link(line, "timing.uplink.netem").make(KEY, PERIOD_NS)


def _delays(link: Link, num: int, payload_bytes: int = 1_000) -> list[tuple[int, ...]]:
    """Delays of a message at each of ``num`` ticks, far enough apart not to meet."""
    return [
        tuple(a - k * 1_000 * MS for a in link.arrivals(k, k * 1_000 * MS, payload_bytes)) for k in range(num)
    ]


def test_a_link_that_only_delays_is_as_cheap_as_a_stage() -> None:
    constant = _link("delay 20ms")
    assert isinstance(constant, DelayLink)
    assert constant.constant_ns == 20 * MS
    assert not constant.has_memory
    assert constant.arrivals(3, 7, 10**6) == (20 * MS + 7,)
    jitter = _link("delay 20ms 5ms 50%")
    assert jitter.constant_ns is None
    assert all(15 * MS <= d <= 25 * MS for (d,) in _delays(jitter, 500))


def test_jitter_is_correlated_from_tick_to_tick_and_asking_moves_nothing() -> None:
    """Exact test 12: the autocorrelation of netem's normal jitter is CORRELATION^lag."""
    num = 30_000
    delays = np.array([d for (d,) in _delays(_link("delay 200ms 10ms 60% distribution normal"), num)])
    for lag in (1, 2, 4):
        assert np.corrcoef(delays[:-lag], delays[lag:])[0, 1] == pytest.approx(0.6**lag, abs=0.05), lag
    assert delays.mean() == pytest.approx(200 * MS, abs=1 * MS)
    assert delays.std() == pytest.approx(10 * MS, rel=0.05)
    sparse = _link("delay 200ms 10ms 60% distribution normal")
    assert [sparse.arrivals(k, 0, 9)[0] for k in range(0, 2_000, 8)] == delays[:2_000:8].tolist()


def test_lost_messages_never_arrive_and_duplicates_arrive_twice() -> None:
    num = 20_000
    counts = np.array([len(a) for a in _delays(_link("delay 20ms 5ms loss 10% duplicate 4%"), num)])
    # netem: a message that is both duplicated and lost arrives once.
    assert np.mean(counts == 0) == pytest.approx(0.1 * 0.96, abs=0.008)
    assert np.mean(counts == 2) == pytest.approx(0.04 * 0.9, abs=0.006)
    copies = _delays(_link("delay 20ms 5ms duplicate 100%"), 100)
    assert all(len(a) == 2 and a[0] < a[1] for a in copies)
    assert np.mean([len(a) for a in _delays(_link("corrupt 30%"), 5_000)]) == pytest.approx(0.7, abs=0.03)


def test_losing_fewer_moves_no_other_draw() -> None:
    model = netem_link("delay 20ms 5ms 50% loss gemodel 5% 20% duplicate 10% corrupt 5% limit 3", "x")
    lossy, safe = model.make(KEY, PERIOD_NS), model.without_losses().make(KEY, PERIOD_NS)
    arrived, all_arrived = _delays(lossy, 400), _delays(safe, 400)
    assert all(a for a in all_arrived)
    assert sum(not a for a in arrived) > 40
    assert all(set(a) <= set(b) for a, b in zip(arrived, all_arrived, strict=True))


def test_reordered_messages_overtake() -> None:
    delays = [d for (d,) in _delays(_link("delay 30ms reorder 25%"), 8_000)]
    assert set(delays) == {0, 30 * MS}
    assert delays.count(0) / len(delays) == pytest.approx(0.25, abs=0.02)
    gapped = [d for (d,) in _delays(_link("delay 30ms reorder 100% gap 5"), 50)]
    assert [k for k, d in enumerate(gapped) if d == 0] == list(range(4, 50, 5))
    some = [d for (d,) in _delays(_link("delay 30ms reorder 50% gap 3"), 6_000)]
    at_once = np.flatnonzero(np.array(some) == 0)
    assert np.diff(at_once).min() == 3
    # Two ticks must pass, then each is reordered with one half: one in 2 + 2 = 4.
    assert len(at_once) / len(some) == pytest.approx(0.25, abs=0.02)
    assert netem_link("delay 30ms reorder 50% gap 3", "x").mean_ns(0) == 0.75 * 30 * MS
    again = _link("delay 30ms reorder 50% gap 3")
    assert [again.arrivals(k, 0, 0)[0] for k in reversed(range(100))] == some[:100][::-1]


def test_a_rate_makes_size_matter_and_messages_queue() -> None:
    link = _link("delay 10ms rate 8mbit")
    assert link.has_memory
    assert link.constant_ns is None
    # 8 Mbit/s carry one byte in a microsecond.
    assert link.arrivals(0, 0, 5_000) == (15 * MS,)
    assert link.arrivals(1, 1 * MS, 2_000) == (17 * MS,)  # waits until 15 ms, its delay is over by then
    assert link.arrivals(2, 50 * MS, 1_000) == (61 * MS,)
    assert netem_link("rate 8mbit", "x").mean_ns(4_000) == 4 * MS


def test_cells_and_overheads_are_netems() -> None:
    # tc-netem(8): 50 bytes over ATM are two cells of 48 with 5 bytes of header each: 106 bytes.
    atm = netem_link("rate 8mbit 0 48 5", "x")
    assert atm.transmission_ns(50) == 106_000
    assert netem_link("rate 8mbit 20 100 5", "x").transmission_ns(150) == 210_000
    assert netem_link("rate 8mbit -14", "x").transmission_ns(114) == 100_000
    assert netem_link("rate 8mbit -14", "x").transmission_ns(4) == 0


def test_messages_cross_together_at_slots() -> None:
    link = _link("slot 10ms packets 2")
    assert link.has_memory
    first = link.arrivals(0, 0, 100)[0]
    assert 0 <= first < 10 * MS
    second, third = link.arrivals(1, 0, 100)[0], link.arrivals(2, 0, 100)[0]
    assert (second, third) == (first, first + 10 * MS)
    assert link.arrivals(3, first + 1, 100) == (first + 10 * MS,)
    assert link.arrivals(4, first + 1, 100) == (first + 20 * MS,)
    by_bytes = _link("slot 10ms bytes 1500")
    instants = [by_bytes.arrivals(k, 0, 1_000)[0] for k in range(4)]
    assert instants == [first, first, first + 10 * MS, first + 10 * MS]
    slots = netem_link("slot 10ms", "x")
    phases = np.array([slots.make((0, case, "up"), PERIOD_NS).arrivals(0, 0, 1)[0] for case in range(400)])
    assert stats.kstest(phases, stats.uniform(0, 10 * MS).cdf).pvalue > 1e-3
    assert PacketLink(slots=Slots(gap=Constant(10 * MS))).mean_ns(0) == 5 * MS


def test_what_exceeds_the_limit_is_lost() -> None:
    link = _link("delay 100ms limit 2")
    assert link.has_memory
    assert [len(link.arrivals(k, k * 10 * MS, 1)) for k in range(4)] == [1, 1, 0, 0]
    assert link.arrivals(4, 100 * MS, 1) == (200 * MS,)


def test_a_seed_moves_the_draws_of_its_link_alone() -> None:
    plain, same, other = (_link(f"delay 20ms 5ms loss 10%{seed}") for seed in ("", "", " seed 3"))
    reference = _delays(plain, 200)
    assert _delays(same, 200) == reference
    assert _delays(other, 200) != reference
    assert _delays(netem_link("delay 20ms 5ms", "x").make((1, "case"), 1), 5) != reference[:5]


def test_keys_say_what_the_words_say() -> None:
    made = link_from_config(
        {
            "delay_ms": 20,
            "jitter_ms": 5,
            "correlation": 0.25,
            "jitter_shape": "normal",
            "loss": {"gemodel": {"p": 0.01, "r": 0.1}},
            "corrupt": 0.002,
            "duplicate": {"probability": 0.01, "correlation": 0.05},
            "reorder": {"probability": 0.25, "correlation": 0.5, "gap": 5},
            "rate_mbps": 8,
            "slot": {"min_ms": 5, "max_ms": 10, "packets": 3, "bytes": 4096},
            "limit": 50,
            "seed": 7,
        },
        "timing.uplink",
    )
    line = netem_link(
        "delay 20ms 5ms 25% distribution normal loss gemodel 1% 10% corrupt 0.2% duplicate 1% 5% "
        "reorder 25% 50% gap 5 rate 8mbit slot 5ms 10ms packets 3 bytes 4096 limit 50 seed 7",
        "timing.uplink.netem",
    )
    assert isinstance(made, PacketLink)
    assert isinstance(made.delay, Jitter)
    assert made.delay.shape is JitterShape.NORMAL
    one, two = made.make(KEY, PERIOD_NS), line.make(KEY, PERIOD_NS)
    assert _delays(one, 300) == _delays(two, 300)
    assert made.mean_ns(100) == line.mean_ns(100)


def test_the_forms_of_a_link() -> None:
    constant = {"distribution": "constant", "value_ms": 3}
    assert link_from_config(constant, "x") == Constant(3 * MS)
    assert link_from_config({"delay_ms": 3}, "x") == PacketLink(delay=Constant(3 * MS))
    assert link_from_config({"delay": constant, "loss": 0.1}, "x") == PacketLink(
        delay=Constant(3 * MS), loss=Bernoulli(probability=0.1)
    )
    gamma = link_from_config({"delay": {"distribution": "shifted_gamma", "shape": 2, "scale_ms": 3}}, "x")
    assert gamma == PacketLink(delay=ShiftedGamma(shift_ns=0, shape=2, scale_ns=3e6))
    assert link_from_config({"netem": "delay 3ms"}, "x") == PacketLink(delay=Constant(3 * MS))
    assert link_from_config({"mahimahi": [1, 2], "delay": constant}, "x") == MahimahiLink(
        opportunities_ms=(1, 2), delay=Constant(3 * MS)
    )
    for made in (gamma, link_from_config({"mahimahi": [1]}, "x")):
        assert isinstance(made, LinkModel)
    assert loss_from_config(None, "x") is None
    assert loss_from_config(0, "x") is None
    assert loss_from_config(0.2, "x") == Bernoulli(probability=0.2)
    assert loss_from_config({"probability": 0.2, "correlation": 0.5}, "x") == Bernoulli(
        probability=0.2, correlation=0.5
    )
    assert loss_from_config({"gemodel": {"p": 0.1}}, "x") == GilbertElliott(p=0.1, r=0.9)
    assert loss_from_config({"state": {"p13": 0.1, "p14": 0.2}}, "x") == FourState(p13=0.1, p31=0.9, p14=0.2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (5, r"timing\.uplink is 5; allowed: a distribution, \{netem: line\}, \{mahimahi: path or list\}"),
        ({}, r"timing\.uplink is \{\}; allowed"),
        (
            {"dealy_ms": 5},
            r"unknown keys \['dealy_ms'\]; a link takes: correlation, corrupt, delay, delay_ms",
        ),
        ({"delay_ms": -5}, r"timing\.uplink\.delay_ms is -5; allowed: a number >= 0"),
        ({"jitter_ms": 5}, r"delay_ms is missing"),
        ({"delay_ms": 5, "correlation": 0.5}, r"correlation is allowed with a jitter_ms > 0 only"),
        ({"delay_ms": 5, "jitter_ms": 1, "correlation": 1.5}, r"correlation is 1\.5; allowed: .*<= 0\.9999"),
        (
            {"delay_ms": 5, "jitter_ms": 1, "jitter_shape": "g"},
            r"jitter_shape: distribution is 'g'; allowed: uniform",
        ),
        ({"delay_ms": 5, "delay": {"distribution": "constant", "value_ms": 1}}, r"exclude each other"),
        ({"loss": 1.2}, r"timing\.uplink\.loss is 1\.2; allowed: a probability from 0 to 1, \{probability"),
        ({"loss": -0.1}, r"timing\.uplink\.loss is -0\.1; allowed"),
        ({"loss": "1%"}, r"timing\.uplink\.loss is '1%'; allowed"),
        ({"loss": {"rate": 0.1}}, r"timing\.uplink\.loss is \{'rate': 0\.1\}; allowed: a probability"),
        ({"loss": {"gemodel": {"p": 2}}}, r"loss\.gemodel\.p is 2; allowed: a number >= 0 and <= 1"),
        ({"loss": {"gemodel": {"p": 0.1, "h": 1}}}, r"unknown keys \['h'\]; gemodel takes: loss_in_bad"),
        ({"loss": {"gemodel": {"p": 0.1}, "probability": 1}}, r"unknown keys \['probability'\]"),
        (
            {"loss": {"state": {"p13": 0.6, "p14": 0.6}}},
            r"loss\.state: p13 \+ p14 is 1\.2; allowed: at most 1",
        ),
        ({"loss": {"state": {"p31": 0.6}}}, r"p13 is missing"),
        ({"corrupt": 2}, r"timing\.uplink\.corrupt is 2; allowed: a number >= 0 and <= 1"),
        ({"duplicate": {"probability": 0.1, "gap": 2}}, r"unknown keys \['gap'\]"),
        ({"reorder": {"probability": 0.1, "gap": 0}}, r"reorder\.gap is 0; allowed: a whole number >= 1"),
        ({"reorder": 0.1}, r"reorder is given without a delay"),
        ({"rate_mbps": 0}, r"rate_mbps is 0; allowed: a number > 0"),
        ({"slot": {"min_ms": 0}}, r"slot\.min_ms is 0; allowed: a number > 0"),
        ({"slot": {"min_ms": 5, "max_ms": 4}}, r"slot\.max_ms is 4; allowed: at least min_ms = 5"),
        ({"slot": 5}, r"slot is 5; allowed: a mapping with the keys bytes, max_ms, min_ms, packets"),
        ({"limit": 0}, r"limit is 0; allowed: a whole number >= 1"),
        ({"seed": 1.5}, r"seed is 1\.5; allowed: a whole number >= 0"),
        ({"netem": "delay 3ms", "loss": 0.1}, r"unknown keys \['loss'\]; netem takes: netem"),
        ({"mahimahi": "x", "loss": 0.1}, r"unknown keys \['loss'\]; a mahimahi link takes: delay"),
        ({"mahimahi": 5}, r"mahimahi is 5; allowed: the path of a trace or a list of whole ms"),
        ({"mahimahi": [1.5]}, r"mahimahi is \[1\.5\]; allowed"),
        ({"mahimahi": [5, 3]}, r"timing\.uplink: mahimahi opportunities are \[5, 3\]; allowed: ascending"),
        ({"mahimahi": [5], "random_phase": 1}, r"random_phase is 1; allowed: true or false"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(config: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        link_from_config(config, "timing.uplink")
