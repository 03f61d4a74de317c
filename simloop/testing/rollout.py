"""Plays single episodes without a runner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from simloop.agent import Agent, InferenceReply, InferenceRequest
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop, EpisodeGenerator
from simloop.spec import Case, ParameterValue, Scenario
from simloop.strategies.strategy import Strategy
from simloop.timing.stage_graph import Timing
from simloop.world import Outcome, World


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


def play_many(
    make_world: Callable[[], World],
    agent: Agent,
    *,
    cases: Sequence[Case],
    timing: Timing,
    strategy: Strategy,
    interleaved: int = 256,
) -> list[Outcome]:
    """Plays many cases and returns their verdicts, in order.

    Args:
        make_world: Makes a world; one for each episode that is held at once.
        agent: Answers the requests of all held episodes in one batch.
        cases: What the worlds are put through.
        timing: How long each stage takes.
        strategy: When to ask and how to install.
        interleaved: Episodes held at once at most.
    """
    outcomes: list[Outcome] = []
    worlds = [make_world() for _ in range(min(interleaved, len(cases)))]
    for start in range(0, len(cases), interleaved):
        loops = [
            ClosedLoop(world=world, case=case, agent=agent.spec, timing=timing, strategy=strategy)
            for world, case in zip(worlds, cases[start : start + interleaved], strict=False)
        ]
        episodes = [loop.run() for loop in loops]
        waiting = [(episode, next(episode, None)) for episode in episodes]
        while waiting := [(e, request) for e, request in waiting if request is not None]:
            replies = agent.infer([request for _, request in waiting])
            waiting = [
                (episode, _next_request(episode, reply))
                for (episode, _), reply in zip(waiting, replies, strict=True)
            ]
        outcomes += [loop.outcome for loop in loops]
    for world in worlds:
        world.close()
    return outcomes


def _next_request(episode: EpisodeGenerator, reply: InferenceReply) -> InferenceRequest | None:
    """Returns an episode's next request, None when it has ended."""
    try:
        return episode.send(reply)
    except StopIteration:
        return None
