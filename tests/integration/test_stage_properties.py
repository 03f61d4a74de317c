"""Properties of random stage graphs: what must hold whatever the stages, rules and strategy are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simloop.agent import Agent
from simloop.log import EpisodeLog
from simloop.strategies.catalogue import STRATEGIES
from simloop.testing import DelayedIntegrator, play, toy_case
from simloop.timing.stage_graph import timing_from_config

PERIOD_NS = 50_000_000
NUM_TICKS = 24
WORLD = DelayedIntegrator()
MakeAgent = Callable[..., Agent]
Config = dict[str, Any]

times_ms = st.one_of(
    st.just(0.0), st.sampled_from([50.0, 100.0]), st.floats(0.0, 180.0).map(lambda x: round(x, 6))
)
constants = times_ms.map(lambda ms: {"distribution": "constant", "value_ms": ms})
lognormals = st.builds(
    lambda shift, median, sigma: {
        "distribution": "shifted_lognormal",
        "shift_ms": shift,
        "median_ms": median,
        "sigma": sigma,
    },
    st.floats(0.0, 60.0),
    st.floats(0.0, 60.0),
    st.floats(0.0, 1.0),
)
uniforms = st.builds(
    lambda low, width: {"distribution": "uniform", "low_ms": low, "high_ms": low + width},
    st.floats(0.0, 60.0),
    st.floats(0.0, 90.0),
)
durations = st.one_of(constants, lognormals, uniforms)
probabilities = st.sampled_from([0.0, 0.1, 0.4])
links = st.one_of(
    durations,
    st.builds(
        lambda delay, jitter, loss, copies, reorder: {
            "netem": f"delay {delay}ms {jitter}ms 25% loss {loss}% duplicate {copies}%"
            + (f" reorder {reorder}% 50%" if reorder and delay else "")
        },
        st.integers(0, 80),
        st.integers(0, 40),
        st.sampled_from([0, 10, 40]),
        st.sampled_from([0, 20]),
        st.sampled_from([0, 30]),
    ),
    st.builds(
        lambda delay, rate: {"netem": f"delay {delay}ms rate {rate}kbit"},
        st.integers(0, 80),
        st.sampled_from([1, 8, 1000]),
    ),
)
captures = st.builds(
    lambda period, phase, exposure, drop: {
        "proprioception": {"period_ms": period, "phase_ms": phase, "exposure_ms": exposure, "drop": drop}
    },
    st.sampled_from([25.0, 50.0, 70.0, 100.0]),
    st.sampled_from([0.0, 0.0, 13.0]),
    st.sampled_from([0.0, 8.0]),
    probabilities,
)


@st.composite
def graphs(draw: st.DrawFn) -> Config:
    """Timings with any mixture of stages and rules."""
    config: Config = draw(
        st.fixed_dictionaries(
            {
                "queue": st.sampled_from(["latest_wins", "fifo", "drop_oldest", "drop_newest"]),
                "servers": st.sampled_from([0, 1, 2]),
                "assembly": st.sampled_from(["captured_since", "latest", "nearest", "wait_all"]),
                "first_chunk": st.sampled_from(["free", "blocking", "charged"]),
                "seed": st.integers(0, 2**31),
            },
            optional={
                "capture": captures,
                "transport": st.builds(
                    lambda delay, loss: {"proprioception": {**delay, "loss": loss}}, durations, probabilities
                ),
                "preprocess": durations,
                "uplink": links,
                "inference": durations,
                "context_inference": durations,
                "expert_inference": durations,
                "corrector_inference": durations,
                "cold_start": durations,
                "downlink": links,
                "actuation": durations,
                "control": st.builds(lambda jitter: {"jitter": jitter}, uniforms),
            },
        )
    )
    if config["queue"].startswith("drop"):
        config["queue_size"] = draw(st.integers(1, 3))
    if config["assembly"] == "wait_all":
        config["assembly_timeout_ms"] = draw(st.sampled_from([1, 20, 120]))
    return config


players = st.tuples(st.sampled_from(sorted(STRATEGIES)), st.integers(1, 8))


def _roll(config: Config, player: tuple[str, int], make_agent: MakeAgent) -> EpisodeLog:
    name, s = player
    strategy = STRATEGIES[name](execution_horizon=s)
    timing = timing_from_config(name="random", **config)
    case = toy_case(time_limit_s=NUM_TICKS * PERIOD_NS * 1e-9)
    return play(WORLD, make_agent(WORLD.spec), case=case, timing=timing, strategy=strategy)


@settings(max_examples=150)
@given(config=graphs(), player=players)
def test_everything_is_accounted_for_and_time_goes_forward(
    any_call_agent: MakeAgent, account: Callable[[EpisodeLog], None], config: Config, player: tuple[str, int]
) -> None:
    log = _roll(config, player, any_call_agent)
    account(log)
    captures, ticks, outcomes = (log.tables[n] for n in ("captures", "ticks", "outcomes"))
    assert (np.diff(captures["t_ns"]) > 0).all()
    assert (captures["captured_at_ns"] <= captures["t_ns"]).all()
    assert (np.diff(ticks["t_ns"]) > 0).all()
    assert (ticks["late_ns"] >= 0).all()
    assert outcomes["t_ns"].tolist() == [PERIOD_NS * (n + 1) for n in range(NUM_TICKS)]
    assert (ticks["t_ns"] < outcomes["t_ns"][-1] + 1).all()
    has_effect = ticks["effect_ns"] >= 0
    assert (ticks["due_ns"] >= ticks["t_ns"]).all()
    assert (ticks["effect_ns"][has_effect] >= ticks["due_ns"][has_effect]).all()
    # A reply is never played before it has arrived, nor made before what it saw.
    played = ticks["request"][~ticks["is_hold"]]
    inferences = log.tables["inferences"]
    assert (inferences["deliver_ns"][played] <= ticks["t_ns"][~ticks["is_hold"]]).all()
    assert (inferences["anchor_captured_at_ns"] <= inferences["trigger_ns"]).all()
    reached = inferences["deliver_ns"] >= 0
    assert (inferences["realised_delay_ticks"][reached] >= 0).all()
    assert (log.column("consumed", "age_ns") >= 0).all()


@settings(max_examples=60)
@given(config=graphs(), player=players, unused=durations, data=st.data())
def test_an_unused_or_zero_length_stage_does_not_change_the_hash(
    any_call_agent: MakeAgent, config: Config, player: tuple[str, int], unused: Config, data: st.DataObject
) -> None:
    reference = _roll(config, player, any_call_agent).episode_hash
    assert _roll(config, player, any_call_agent).episode_hash == reference
    transport = config.get("transport", {}) | {"camera": {**unused, "loss": 0.3}, "objects": unused}
    added: Config = {"transport": transport}
    # No world of this test has a camera; no strategy of one call asks the others.
    if player[0] != "fast_slow":
        added |= {"context_inference": unused, "expert_inference": unused}
    if player[0] != "correction":
        added |= {"corrector_inference": unused}
    if config["first_chunk"] != "charged":
        added |= {"cold_start": unused}
    absent = [s for s in ("preprocess", "uplink", "downlink", "actuation") if s not in config]
    nothing = data.draw(
        st.sampled_from(
            [
                {"distribution": "constant", "value_ms": 0.0},
                {"distribution": "uniform", "low_ms": 0.0, "high_ms": 0.0},
                {"distribution": "shifted_lognormal", "shift_ms": 0.0, "median_ms": 0.0, "sigma": 0.5},
            ]
        )
    )
    added |= dict.fromkeys(absent, nothing)
    assert _roll(config | added, player, any_call_agent).episode_hash == reference
