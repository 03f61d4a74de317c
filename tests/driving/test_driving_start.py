"""Before the first chunk arrives the ego goes on; it neither brakes nor heads for the map's origin."""

from __future__ import annotations

import numpy as np

from simloop.agent import AgentSpec, Embodiment, InferenceReply
from simloop.compose import component, make_strategy
from simloop.loop import ClosedLoop
from simloop.scenario_files import load_family
from simloop.timing.stage_graph import timing_from_config
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld


def test_ego_coasts_while_the_first_chunk_is_on_its_way() -> None:
    family = load_family("lead_deceleration")
    case = family.case(0, {"ego_speed_mps": 20.0, "start_station_m": 200.0})
    agent = AgentSpec(
        name="straight_on",
        horizon=32,
        action_period_ns=CONTROL_PERIOD_NS,
        embodiments=(Embodiment(action_space="waypoints", observations=("ego_state",)),),
        digest="0",
    )
    world = DrivingWorld()
    loop = ClosedLoop(
        world=world,
        case=case,
        agent=agent,
        timing=timing_from_config(
            name="slow", inference={"distribution": "constant", "value_ms": 300}, first_chunk="charged"
        ),
        strategy=make_strategy(component("strategy", "blocking")),
    )
    ahead = np.zeros((32, 4))
    ahead[:, 0] = np.arange(1, 33) * 1.0
    ahead[:, 3] = 20.0
    episode = loop.run()
    request = next(episode)
    try:
        while True:
            request = episode.send(InferenceReply(actions=ahead))
    except StopIteration as end:
        log = end.value
    assert request.embodiment == "waypoints"
    is_early = log.column("world.motion", "t_ns") <= 300_000_000
    speed_mps = np.linalg.norm(log.column("world.motion", "velocity_mps")[is_early], axis=1)
    assert log.column("ticks", "is_hold")[:6].all()
    assert np.abs(speed_mps - 20.0).max() < 0.5
