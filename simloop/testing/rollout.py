"""Plays single episodes without a runner."""

from __future__ import annotations

from collections.abc import Mapping

from simloop.agent import Agent
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop
from simloop.spec import Case, ParameterValue, Scenario
from simloop.strategies.strategy import Strategy
from simloop.timing.stage_graph import Timing
from simloop.world import World


def toy_case(
    world: str = "toy",
    *,
    time_limit_s: float = 5.0,
    seed: int = 0,
    parameters: Mapping[str, ParameterValue] | None = None,
) -> Case:
    """Returns a case for a world that takes no scene, lasting ``time_limit_s`` of virtual time."""
    scenario = Scenario(
        family=world, world=world, parameters=dict(parameters or {}), time_limit_ns=round(time_limit_s * 1e9)
    )
    return Case(scenario=scenario, seed=seed)


def play(world: World, agent: Agent, *, case: Case, timing: Timing, strategy: Strategy) -> EpisodeLog:
    """Plays one episode and returns its log."""
    episode = ClosedLoop(world=world, case=case, agent=agent.spec, timing=timing, strategy=strategy).run()
    try:
        request = next(episode)
        while True:
            (reply,) = agent.infer([request])
            request = episode.send(reply)
    except StopIteration as stop:
        log: EpisodeLog = stop.value
        return log
