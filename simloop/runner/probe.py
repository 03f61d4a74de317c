"""Measures an agent in closed loop: the requests of real episodes, each answered alone and timed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simloop.agent import InferenceReply, InferenceRequest
from simloop.compose import make_agent, make_strategy, make_timing, make_world
from simloop.errors import ConfigurationError
from simloop.loop import ClosedLoop
from simloop.runner.composing import Composer, sort_words
from simloop.runner.trace_facts import trace_facts
from simloop.suites import whole_number
from simloop.timing.measurement import InferenceMeter
from simloop.timing.rules import CALL_STAGES
from simloop.timing.trace import Event, Trace, TraceEpisode
from simloop.timing.trace_files import check_suffix

PROBE_KEYS = ("agent", "scenario", "strategy", "count", "seed", "out")
_EPISODE = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a probe measured, and where its words want it written."""

    trace: Trace
    path: Path


def probe_agent(words: Sequence[str]) -> Probe:
    """Measures ``count`` inferences of an agent.

    The agent plays ``scenario`` without latency, from ``seed`` on as many episodes as it takes, so it is asked what it
    will be asked in a run. Each inference is timed alone (batch 1) after one that warms up.

    Args:
        words: ``agent=`` and ``scenario=`` (both needed), ``strategy=`` (``blocking``), ``count=`` (50), ``seed=`` (0),
            ``out=`` (``trace.jsonl``), and overrides ``agent.KEY=``, ``strategy.KEY=``, ``world.KEY=``.

    Raises:
        ConfigurationError: A word is unknown, missing or out of range, or the agent does not fit.
        AgentError: The agent failed.
    """
    sorted_words = sort_words(words, PROBE_KEYS)
    plain = sorted_words.plain
    missing = [key for key in ("agent", "scenario") if key not in plain]
    if missing:
        raise ConfigurationError(
            f"simloop probe needs {' and '.join(f'{key}=' for key in missing)}, for example: simloop probe "
            "agent=expert scenario=cut_in count=50 out=trace.jsonl."
        )
    path = Path(plain.get("out", "trace.jsonl"))
    check_suffix(path.suffix)
    count = whole_number(plain.get("count", "50"), "count", low=1)
    seed = whole_number(plain.get("seed", "0"), "seed", low=0)
    composer = Composer(sorted_words)
    family = composer.family(plain["scenario"])
    strategy = make_strategy(composer.component("strategy", plain.get("strategy", "blocking")))
    timing = make_timing(composer.component("timing", "zero"))
    world = make_world(composer.world(family)[0])
    agent = make_agent(composer.component("agent", plain["agent"]))
    meter = InferenceMeter(agent)
    events: list[Event] = []
    played = itertools.count(seed)
    try:
        while len(events) < count:
            case = family.case(next(played))
            loop = ClosedLoop(world=world, case=case, agent=agent.spec, timing=timing, strategy=strategy)
            if _play(loop, meter, events, count, f"{family.name} seed {case.seed}") == 0:
                raise ConfigurationError(
                    f"Scenario {family.name!r} seed {case.seed} ended before the agent was asked; choose another."
                )
        header = trace_facts(
            agent, origin="probe", num_warm_up=meter.num_warm_up, source="simloop probe " + " ".join(words)
        )
    finally:
        world.close()
        agent.close()
    episodes = {_EPISODE: TraceEpisode(scenario=family.name, seed=seed, end_ns=events[-1].end_ns)}
    header = dataclasses.replace(
        header,
        strategy=strategy.name,
        control_period_ns=world.spec.control_period_ns,
        episodes=episodes,
    )
    return Probe(trace=Trace(header=header, events=tuple(events)), path=path)


def _play(loop: ClosedLoop, meter: InferenceMeter, events: list[Event], count: int, label: str) -> int:
    """Plays an episode until it ends or ``count`` inferences were measured; returns how many it added."""
    before = len(events)
    episode = loop.run()
    try:
        request = next(episode)
        while len(events) < count:
            (reply,) = meter.infer([request])
            events.append(_event(events, request, reply, label))
            request = episode.send(reply)
    except StopIteration:
        pass
    episode.close()
    return len(events) - before


def _event(events: Sequence[Event], request: InferenceRequest, reply: InferenceReply, label: str) -> Event:
    """One measured inference, laid behind the one before it."""
    assert reply.measured_ns is not None
    start_ns = events[-1].end_ns if events else 0
    num_bytes = sum(array.nbytes for array in request.observation.values())
    facts = {"case": label, "observation_tick": request.observation_tick}
    stage = CALL_STAGES[request.call].value
    return Event(_EPISODE, stage, len(events), start_ns, start_ns + reply.measured_ns, num_bytes, 1, facts)
