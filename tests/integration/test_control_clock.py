"""Reaction times under both control clocks against their closed forms, and ticks that come late."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.errors import ConfigurationError
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop
from simloop.strategies.blocking import Blocking
from simloop.strategies.fast_slow import FastSlow
from simloop.strategies.naive_async import NaiveAsync
from simloop.strategies.strategy import Strategy
from simloop.testing import BrakingWall, DelayedIntegrator, ScriptedAgent, play, toy_case
from simloop.timing.stage_graph import timing_from_config

PERIOD_NS = 33_333_333
NUM_EVENTS = 20_000
DURATION_S = 40.0
PUBLISHED = [(80.0, 3, 130.0, 170.0), (113.7, 4, 180.4, 237.2), (303.3, 10, 470.0, 621.6)]
"""Inference time in ms, s, mean reaction time in ms when asynchronous and when blocking (FASTER, 2603.19199)."""


def _constant(ms: float) -> dict[str, Any]:
    return {"distribution": "constant", "value_ms": ms}


def _roll(strategy: Strategy, clock: str, **stages: Any) -> EpisodeLog:
    # The wall is out of reach.
    world = BrakingWall(
        gap_m=1e9, deceleration_mps2=1.0, control_period_ns=PERIOD_NS, physics_period_ns=PERIOD_NS // 3
    )
    agent = ScriptedAgent(world.spec, lambda request: np.zeros((32, 1)), horizon=32)
    timing = timing_from_config(name="t", control={"clock": clock, **stages.pop("control", {})}, **stages)
    case = toy_case(time_limit_s=DURATION_S)
    return play(world, agent, case=case, timing=timing, strategy=strategy)


def _reaction_ns(log: EpisodeLog, cycle_ns: float) -> npt.NDArray[np.float64]:
    """Times from events at uniform phase to the tick at which the first action acts that could know of them."""
    inferences, ticks = log.tables["inferences"], log.tables["ticks"]
    is_installed = (inferences["state"] == "installed") & ~inferences["is_free"]
    # Nothing lies between a capture and its trigger here.
    seen_ns = inferences["trigger_ns"][is_installed]
    first_tick = {int(q): int(t) for q, t in zip(ticks["request"][::-1], ticks["t_ns"][::-1], strict=True)}
    acts_ns = np.array([first_tick[int(q)] for q in inferences["request"][is_installed]])
    # Whole cycles after the first ones, which the free chunk shortens.
    first_ns = float(seen_ns[3])
    num_cycles = math.floor((seen_ns[-2] - first_ns) / cycle_ns)
    events_ns = first_ns + np.random.default_rng(4).uniform(0, num_cycles * cycle_ns, NUM_EVENTS)
    reactions: npt.NDArray[np.float64] = acts_ns[np.searchsorted(seen_ns, events_ns)] - events_ns
    return reactions


def _check(reaction_ns: npt.NDArray[np.float64], mean_ns: float) -> None:
    error_ns = reaction_ns.std() / math.sqrt(len(reaction_ns))
    assert abs(reaction_ns.mean() - mean_ns) < 3.5 * error_ns


# --- 4: reaction times -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delta_ms", "s", "async_ms", "blocking_ms"), PUBLISHED)
@pytest.mark.parametrize("kind", [NaiveAsync, Blocking])
def test_restarting_on_arrival_gives_the_published_means(
    kind: type[Strategy], delta_ms: float, s: int, async_ms: float, blocking_ms: float
) -> None:
    log = _roll(kind(execution_horizon=s), "restart_on_arrival", inference=_constant(delta_ms), servers=0)
    delta_ns, play_ns = delta_ms * 1e6, s * PERIOD_NS
    cycle_ns = play_ns if kind is NaiveAsync else delta_ns + play_ns
    mean_ns = delta_ns + cycle_ns / 2
    assert mean_ns * 1e-6 == pytest.approx(async_ms if kind is NaiveAsync else blocking_ms, abs=0.05)
    _check(_reaction_ns(log, cycle_ns), mean_ns)
    ticks = log.tables["ticks"]
    # Row i of what is played takes place i periods after the arrival.
    deliver_ns = log.column("inferences", "deliver_ns")
    first_row: dict[int, int] = {}
    for request, row, t_ns in zip(ticks["request"], ticks["row"], ticks["t_ns"], strict=True):
        if request > 0:
            first = first_row.setdefault(int(request), int(row))
            assert t_ns == deliver_ns[request] + (row - first) * PERIOD_NS
    assert (np.diff(ticks["t_ns"]) <= PERIOD_NS).all()
    if kind is Blocking:
        assert set(log.column("ticks", "row")[~ticks["is_hold"]].tolist()) == set(range(s))


@pytest.mark.parametrize(("delta_ms", "s", "async_ms", "blocking_ms"), PUBLISHED)
@pytest.mark.parametrize("kind", [NaiveAsync, Blocking])
def test_locked_ticks_round_the_delay_up(
    kind: type[Strategy], delta_ms: float, s: int, async_ms: float, blocking_ms: float
) -> None:
    log = _roll(kind(execution_horizon=s), "tick_locked", inference=_constant(delta_ms), servers=0)
    d = math.ceil(delta_ms * 1e6 / PERIOD_NS)
    cycle = s if kind is NaiveAsync else d + s
    mean_ns = (d + cycle / 2) * PERIOD_NS
    assert mean_ns * 1e-6 > (async_ms if kind is NaiveAsync else blocking_ms)
    _check(_reaction_ns(log, cycle * PERIOD_NS), mean_ns)
    assert set(log.column("ticks", "late_ns").tolist()) == {0}


def test_a_restarting_clock_captures_on_demand() -> None:
    log = _roll(NaiveAsync(execution_horizon=3), "restart_on_arrival", inference=_constant(80.0))
    captures = log.tables["captures"]
    assert captures["t_ns"].tolist() == [3 * PERIOD_NS * n for n in range(len(captures["t_ns"]))]
    assert log.column("inferences", "trigger_ns")[1:].tolist() == captures["t_ns"].tolist()


@pytest.mark.parametrize(
    ("strategy", "stages", "message"),
    [
        (FastSlow(), {}, r"does not go with strategy 'fast_slow', which makes more than one kind of call"),
        (NaiveAsync(), {"assembly": "latest"}, r"does not go with timing.assembly latest"),
        (NaiveAsync(), {"control": {"jitter": _constant(1)}}, r"control jitter; allowed: .* tick_locked"),
    ],
)
def test_what_a_restarting_clock_does_not_go_with(
    strategy: Strategy, stages: dict[str, Any], message: str, any_call_agent: Any
) -> None:
    world = DelayedIntegrator()
    control = {"clock": "restart_on_arrival", **stages.pop("control", {})}
    timing = timing_from_config(name="t", control=control, **stages)
    with pytest.raises(ConfigurationError, match=message):
        ClosedLoop(
            world=world,
            case=toy_case(),
            agent=any_call_agent(world.spec).spec,
            timing=timing,
            strategy=strategy,
        )


# --- jitter ----------------------------------------------------------------------------------------------------


def test_a_late_tick_is_usable_by_what_arrives_before_it() -> None:
    """All ticks are 10 ms late; a delay of 2 periods and 10 ms still makes it to the second tick."""
    on_time_ms = 2 * PERIOD_NS / 1e6
    for extra_ms, d in ((0.0, 2), (10.0, 2), (10.001, 3)):
        log = _roll(
            NaiveAsync(execution_horizon=4),
            "tick_locked",
            control={"jitter": _constant(10.0)},
            inference=_constant(on_time_ms + extra_ms),
            servers=0,
        )
        assert set(log.column("ticks", "late_ns").tolist()) == {10_000_000}
        delivered = log.column("inferences", "deliver_ns") >= 0
        assert set(log.column("inferences", "realised_delay_ticks")[delivered][1:].tolist()) == {d}
        # Ages count from the true instant of the effect.
        ages = log.column("ticks", "action_age_ns")
        assert ages[~log.column("ticks", "is_hold")].min() >= 10_000_000


def test_ticks_keep_their_order_however_late_they_are() -> None:
    jitter = {"distribution": "uniform", "low_ms": 0.0, "high_ms": 150.0}
    log = _roll(NaiveAsync(execution_horizon=2), "tick_locked", control={"jitter": jitter})
    ticks = log.tables["ticks"]
    assert (np.diff(ticks["t_ns"]) >= 1).all()
    assert (ticks["late_ns"] >= 0).all()
    assert (ticks["late_ns"] == ticks["t_ns"] - ticks["tick"] * PERIOD_NS).all()
    # A tick is as late as its own draw says, or as the tick before it made it.
    assert (np.diff(ticks["t_ns"]) == 1).any()
    assert ticks["late_ns"].max() > 4 * PERIOD_NS
    # The verdict is polled at the instants that ticks were due.
    outcomes = log.tables["outcomes"]
    assert (outcomes["t_ns"] == outcomes["tick"] * PERIOD_NS).all()
