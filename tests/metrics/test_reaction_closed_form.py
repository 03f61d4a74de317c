"""Reaction times of whole episodes against closed forms, through the loop.

Delays and request periods are those of three published models; FASTER (arXiv 2603.19199, table 1) gives the means of
a control clock that restarts when a chunk arrives.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from simloop.log import EpisodeLog
from simloop.metrics.core_metrics import core_metrics
from simloop.metrics.evaluate import evaluate
from simloop.metrics.reaction import reaction_ms
from simloop.strategies.blocking import Blocking
from simloop.strategies.naive_async import NaiveAsync
from simloop.strategies.strategy import Strategy
from simloop.testing import DelayedIntegrator, ScriptedAgent, play, toy_case
from simloop.timing.distribution import Constant
from simloop.timing.stage_graph import ControlClock, FirstChunk, Stage, Timing
from simloop.world import SensorKind

PERIOD_NS = 33_333_333
PERIOD_MS = PERIOD_NS * 1e-6
HORIZON = 32
PUBLISHED = [(80.0, 3), (113.7, 4), (303.3, 10)]


class Still(DelayedIntegrator):
    """A world in which nothing happens, at every nanosecond."""

    def __init__(self) -> None:
        super().__init__(control_period_ns=PERIOD_NS)
        self._spec = dataclasses.replace(self._spec, physics_period_ns=1)

    def advance(self, until_ns: int) -> None:
        self._now_ns = until_ns


def episode(strategy: Strategy, delay_ms: float, clock: ControlClock) -> EpisodeLog:
    world = Still()
    agent = ScriptedAgent(world.spec, lambda request: np.zeros((HORIZON, 1)), horizon=HORIZON)
    timing = Timing(
        name="published",
        stages={Stage.INFERENCE: Constant(round(delay_ms * 1e6))},
        first_chunk=FirstChunk.BLOCKING,
        control_clock=clock,
    )
    return play(world, agent, case=toy_case(time_limit_s=20), timing=timing, strategy=strategy)


def metrics(log: EpisodeLog) -> dict[str, float]:
    return {m.name: m.evaluate(log).value for m in core_metrics() if m.name.startswith("reaction_")}


@pytest.mark.parametrize(("delay_ms", "execution_horizon"), PUBLISHED)
@pytest.mark.parametrize("kind", [NaiveAsync, Blocking])
def test_tick_locked(
    kind: type[NaiveAsync] | type[Blocking], delay_ms: float, execution_horizon: int
) -> None:
    """An event waits s ticks (blocking: d + s) at most to be seen, all equally likely, and then d ticks."""
    log = episode(kind(execution_horizon=execution_horizon), delay_ms, ControlClock.TICK_LOCKED)
    d = -(-delay_ms // PERIOD_MS)
    cycle = execution_horizon if kind is NaiveAsync else d + execution_horizon
    expected = {f"reaction_p{q}_ms": (d + q / 100 * cycle) * PERIOD_MS for q in (50, 95, 99)}
    expected["reaction_mean_ms"] = (d + cycle / 2) * PERIOD_MS
    assert metrics(log) == pytest.approx(expected, rel=1e-9)
    events_ns = np.random.default_rng(7).integers(0, 18 * 10**9, 4000)
    sampled = np.array([reaction_ms(log, int(e)) for e in events_ns], dtype=np.float64)
    error = 4 * sampled.std() / np.sqrt(len(sampled))
    assert sampled.mean() == pytest.approx(expected["reaction_mean_ms"], abs=error)
    assert (sampled.min() >= d * PERIOD_MS - 1e-6) and (sampled.max() <= (d + cycle) * PERIOD_MS)


@pytest.mark.parametrize(
    ("delay_ms", "execution_horizon", "asynchronous_ms", "blocking_ms"),
    [(80.0, 3, 130.0, 170.0), (113.7, 4, 180.4, 237.2), (303.3, 10, 470.0, 621.6)],
)
def test_restart_on_arrival_reproduces_the_published_means(
    delay_ms: float, execution_horizon: int, asynchronous_ms: float, blocking_ms: float
) -> None:
    """delta + s dt / 2 and delta + (delta + s dt) / 2; the published means are rounded to a tenth of a ms."""
    for kind, published_ms in ((NaiveAsync, asynchronous_ms), (Blocking, blocking_ms)):
        log = episode(kind(execution_horizon=execution_horizon), delay_ms, ControlClock.RESTART_ON_ARRIVAL)
        wait_ms = execution_horizon * PERIOD_MS + (delay_ms if kind is Blocking else 0.0)
        got = metrics(log)
        assert got["reaction_mean_ms"] == pytest.approx(delay_ms + wait_ms / 2, rel=1e-6)
        assert got["reaction_mean_ms"] == pytest.approx(published_ms, abs=0.1)
        assert got["reaction_p95_ms"] == pytest.approx(delay_ms + 0.95 * wait_ms, rel=1e-6)


def test_age_of_information_of_an_episode() -> None:
    """Captures every dt that take delta have a mean age of delta + dt / 2 and a peak of delta + dt (Kaul et al.)."""
    world = Still()
    agent = ScriptedAgent(world.spec, lambda request: np.zeros((HORIZON, 1)), horizon=HORIZON)
    transport = {SensorKind.PROPRIOCEPTION: Constant(45_000_000)}
    timing = Timing(name="transport", transport=transport)
    log = play(world, agent, case=toy_case(time_limit_s=20), timing=timing, strategy=NaiveAsync())
    got = evaluate(core_metrics(), log).values
    # From the first delivery to the end; the last interval is cut by the end, where an age of one period is reached.
    assert got["information_age_proprioception_peak_ms"] == pytest.approx(45 + PERIOD_MS)
    assert got["information_age_proprioception_mean_ms"] == pytest.approx(45 + PERIOD_MS / 2, rel=1e-3)
    assert got["information_age_camera_mean_ms"] is None
