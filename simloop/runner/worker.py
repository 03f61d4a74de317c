"""A worker: interleaves episodes, hands each agent one batch, judges what happened.

It has no threads. Each episode is a generator that stops at an inference request; when every running episode waits
for a reply, all requests of one agent go into one batch.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from simloop import wall_clock
from simloop.agent import Agent, InferenceReply, InferenceRequest
from simloop.compose import make_agent, make_strategy, make_timing, make_world
from simloop.errors import AgentError, CallTimeoutError, ConfigurationError
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop, EpisodeGenerator
from simloop.metrics.evaluate import evaluate, unevaluated
from simloop.metrics.metric import Metric
from simloop.plugins import load_metrics
from simloop.runner.announcement import AnnouncedWorld, Announcer, silent
from simloop.runner.rare_collection import rare_collection
from simloop.runner.trace_facts import trace_facts
from simloop.spec import Component, EpisodeSpec
from simloop.store.row import EpisodeStatus, Row, episode_row
from simloop.strategies.strategy import Strategy
from simloop.timing.measurement import InferenceMeter
from simloop.timing.rules import Mode
from simloop.timing.stage_graph import Timing
from simloop.timing.trace import Trace
from simloop.timing.trace_from_log import trace_from_log
from simloop.world import OutcomeState

_T = TypeVar("_T")

IN_PROCESS = "in-process"
"""Name of the worker that is the driver itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An episode to run, with all that a worker needs to make its world.

    Attributes:
        number: Place in the order in which the campaign proposed the episodes.
        spec: The episode.
        world: The composed world.
        try_number: How often it was started, this time included.
        keep_log: Whether the log is kept; None leaves it to the store. One that is not kept is not handed over.
    """

    number: int
    spec: EpisodeSpec
    world: Component
    try_number: int = 1
    keep_log: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What became of a task.

    Attributes:
        number: Number of the task.
        row: Its row.
        log: The log, if the episode left one and its task does not say that it is not kept.
        worker_cpu_s: CPU seconds of a worker process so far; now and then, 0 otherwise.
        keep_log: Whether the task says that the log is kept.
        trace: What every stage took, of measured episodes.
    """

    number: int
    row: Row
    log: EpisodeLog | None
    worker_cpu_s: float = 0.0
    keep_log: bool = False
    trace: Trace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What every row of a run says about the run, and the metrics that it is judged by.

    Attributes:
        run_id: Name of the run.
        suite: Name of the suite.
        metrics: Names of the metrics that are computed; all if empty.
    """

    run_id: str
    suite: str
    metrics: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True, eq=False)
class _Playing:
    """An episode that is being played."""

    task: Task
    agent: Agent
    world: AnnouncedWorld
    loop: ClosedLoop
    generator: EpisodeGenerator
    started_s: float
    meter: InferenceMeter | None = None
    request: InferenceRequest | None = None


class EpisodeWorker:
    """Plays tasks and yields their results as they end.

    Args:
        facts: What every row says about the run.
        name: Name of the worker, for the rows.
        interleave: Episodes held at once at most.
        announce: Is told before each uninterrupted call.
        metrics: The metrics to judge by; those that ``facts`` names by default.
    """

    def __init__(
        self,
        *,
        facts: RunFacts,
        name: str,
        interleave: int,
        announce: Announcer = silent,
        metrics: Sequence[Metric] | None = None,
    ) -> None:
        self._facts = facts
        self._name = name
        self._interleave = interleave
        self._announce = announce
        self._metrics = tuple(metrics) if metrics is not None else load_metrics(facts.metrics)
        self._agents: dict[str, Agent] = {}
        self._meters: dict[str, InferenceMeter] = {}
        self._timings: dict[str, Timing] = {}
        self._strategies: dict[str, Strategy] = {}
        self._idle: dict[str, list[AnnouncedWorld]] = {}

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Plays the tasks, interleaved, and yields each result when its episode has ended."""
        with rare_collection() as collect_if_due:
            yield from self._run(tasks, collect_if_due)

    def _run(self, tasks: Sequence[Task], collect_if_due: Callable[[], None]) -> Iterator[TaskResult]:
        waiting = list(reversed(tasks))
        playing: list[_Playing] = []
        while waiting or playing:
            limit = self._limit(playing)
            while waiting and len(playing) < limit:
                started = self._start(waiting.pop())
                if isinstance(started, TaskResult):
                    yield started
                else:
                    playing.append(started)
                    limit = min(limit, started.world.spec.max_interleaved)
            for agent in {id(p.agent): p.agent for p in playing}.values():
                yield from self._answer(agent, [p for p in playing if p.agent is agent])
            playing = [p for p in playing if p.request is not None]
            collect_if_due()
        self._announce(-1, "idle")

    def close(self) -> None:
        """Frees every world and agent."""
        for worlds in self._idle.values():
            for world in worlds:
                world.close()
        for agent in self._agents.values():
            agent.close()
        self._idle.clear()
        self._agents.clear()
        self._meters.clear()

    # --- playing ---------------------------------------------------------------------------------------------

    def _limit(self, playing: Sequence[_Playing]) -> int:
        return min([self._interleave, *{p.world.spec.max_interleaved for p in playing}])

    def _take_world(self, chosen: Component) -> AnnouncedWorld:
        idle = self._idle.setdefault(chosen.key, [])
        return idle.pop() if idle else AnnouncedWorld(make_world(chosen), self._announce)

    def _start(self, task: Task) -> _Playing | TaskResult:
        started_s = wall_clock.now_s()
        spec = task.spec
        self._announce(task.number, "make")
        world: AnnouncedWorld | None = None
        try:
            agent = _made_once(self._agents, spec.agent, make_agent)
            timing = _made_once(self._timings, spec.timing, make_timing)
            meter = self._meter(spec.agent, agent) if timing.mode is Mode.MEASURED else None
            world = self._take_world(task.world)
            world.episode = task.number
            loop = ClosedLoop(
                world=world,
                case=spec.case,
                agent=agent.spec,
                timing=timing,
                strategy=_made_once(self._strategies, spec.strategy, make_strategy),
                episode_id=spec.episode_id,
            )
        except Exception as error:  # noqa: BLE001 - becomes the episode's status, with its traceback
            return self._failed(task, _after_closing(world, error), None, started_s)
        playing = _Playing(
            task=task,
            agent=agent,
            world=world,
            loop=loop,
            generator=loop.run(),
            started_s=started_s,
            meter=meter,
        )
        return self._advance(playing, None) or playing

    def _meter(self, chosen: Component, agent: Agent) -> InferenceMeter:
        if self._interleave != 1:
            raise ConfigurationError(
                f"runner.interleave is {self._interleave}; timing.mode=measured needs 1: an inference is timed alone."
            )
        return self._meters.setdefault(chosen.key, InferenceMeter(agent))

    def _advance(self, playing: _Playing, reply: InferenceReply | None) -> TaskResult | None:
        """Runs an episode to its next request; returns its result when it ends."""
        try:
            playing.request = next(playing.generator) if reply is None else playing.generator.send(reply)
            return None
        except StopIteration as stop:
            playing.request = None
            return self._ended(playing, stop.value)
        except AgentError as error:
            playing.request = None
            return self._agent_failed(playing, error)
        except Exception as error:  # noqa: BLE001 - becomes the episode's status, with its traceback
            playing.request = None
            closed = _after_closing(playing.world, error)
            return self._failed(playing.task, closed, None, playing.started_s)

    def _answer(self, agent: Agent, batch: Sequence[_Playing]) -> Iterator[TaskResult]:
        for playing, answer in zip(batch, self._infer(agent, batch), strict=True):
            if isinstance(answer, InferenceReply):
                result = self._advance(playing, answer)
            else:
                playing.generator.close()
                playing.request = None
                result = self._agent_failed(playing, answer)
            if result is not None:
                yield result

    def _infer(self, agent: Agent, batch: Sequence[_Playing]) -> list[InferenceReply | Exception]:
        """Asks the agent; if a batch raises, each request is asked alone, so that one fault costs one episode."""
        requests = [p.request for p in batch if p.request is not None]
        self._announce(batch[0].task.number if len(batch) == 1 else -1, "infer")
        try:
            meter = batch[0].meter
            replies = list(agent.infer(requests) if meter is None else meter.infer(requests))
            if len(replies) != len(requests):
                raise AgentError(
                    f"Agent {agent.spec.name!r} gave {len(replies)} replies to {len(requests)} requests."
                )
            for reply in replies:
                if not isinstance(reply, InferenceReply):
                    raise AgentError(
                        f"Agent {agent.spec.name!r} replied with a {type(reply).__name__}; infer returns one "
                        "simloop.agent.InferenceReply a request."
                    )
            return list(replies)
        except Exception as error:  # noqa: BLE001 - becomes the episode's status, with its traceback
            if len(batch) == 1:
                return [error]
        return [answer for playing in batch for answer in self._infer(agent, [playing])]

    # --- results ---------------------------------------------------------------------------------------------

    def _ended(self, playing: _Playing, log: EpisodeLog) -> TaskResult:
        outcome = playing.loop.outcome
        is_success = outcome.state is OutcomeState.SUCCESS
        status = EpisodeStatus.SUCCESS if is_success else EpisodeStatus.FAIL
        self._give_back(playing)
        return self._judged(playing.task, status, outcome.reason, log, playing.started_s, stage=outcome.stage)

    def _agent_failed(self, playing: _Playing, error: Exception) -> TaskResult:
        log: EpisodeLog | None = None
        try:
            log = playing.loop.log()
            self._give_back(playing)
        except Exception as second:  # noqa: BLE001 - the agent's error stays the reason; this one joins its trace
            error.add_note(f"Its log could not be made: {type(second).__name__}: {second}")
            error = _after_closing(playing.world, error)
        return self._failed(playing.task, error, log, playing.started_s, is_agents=True)

    def _give_back(self, playing: _Playing) -> None:
        playing.world.episode = -1
        self._idle.setdefault(playing.task.world.key, []).append(playing.world)

    def _failed(
        self,
        task: Task,
        error: Exception,
        log: EpisodeLog | None,
        started_s: float,
        *,
        is_agents: bool = False,
    ) -> TaskResult:
        status = EpisodeStatus.AGENT_ERROR if is_agents else EpisodeStatus.INFRA_ERROR
        if isinstance(error, CallTimeoutError):
            status = EpisodeStatus.TIMEOUT
        trace = "".join(traceback.format_exception(error))
        reason = f"{type(error).__name__}: {error}"
        return self._judged(task, status, reason, log, started_s, error_trace=trace)

    def _judged(
        self,
        task: Task,
        status: EpisodeStatus,
        reason: str,
        log: EpisodeLog | None,
        started_s: float,
        *,
        stage: int = 0,
        error_trace: str = "",
    ) -> TaskResult:
        self._announce(task.number, "evaluate")
        evaluation = unevaluated(self._metrics, reason) if log is None else evaluate(self._metrics, log)
        row = episode_row(
            spec=task.spec,
            run_id=self._facts.run_id,
            suite=self._facts.suite,
            status=status,
            reason=reason,
            evaluation=evaluation,
            episode_hash=log.episode_hash if log is not None and not error_trace else None,
            stage=stage,
            num_ticks=log.num_rows("ticks") if log is not None else 0,
            error_trace=error_trace,
            num_tries=task.try_number,
            worker=self._name,
            wall_s_wall=wall_clock.now_s() - started_s,
        )
        self._announce(-1, "idle")
        return TaskResult(
            number=task.number,
            row=row,
            log=None if task.keep_log is False else log,
            keep_log=bool(task.keep_log),
            trace=self._trace(task, log),
        )

    def _trace(self, task: Task, log: EpisodeLog | None) -> Trace | None:
        """What the stages of a measured episode took; a replay reproduces it."""
        meter = self._meters.get(task.spec.agent.key)
        timing = self._timings.get(task.spec.timing.key)
        if log is None or meter is None or timing is None or timing.mode is not Mode.MEASURED:
            return None
        facts = trace_facts(
            self._agents[task.spec.agent.key],
            origin="measured",
            num_warm_up=meter.num_warm_up,
            source=f"run {self._facts.run_id}",
        )
        return trace_from_log(log, facts, episode=task.spec.episode_id)


def _after_closing(world: AnnouncedWorld | None, error: Exception) -> Exception:
    """Closes a world that is not to be used again; returns ``error``, with a note if closing failed too."""
    if world is not None:
        try:
            world.close()
        except Exception as second:  # noqa: BLE001 - the first error is the reason; this one joins its trace
            error.add_note(f"Closing the world failed too: {type(second).__name__}: {second}")
    return error


def _made_once(made: dict[str, _T], chosen: Component, make: Callable[[Component], _T]) -> _T:
    """Making is slow beside an episode; agents, timings and strategies keep nothing of one."""
    key = chosen.key
    if key not in made:
        made[key] = make(chosen)
    return made[key]


def lost_result(
    task: Task, facts: RunFacts, metrics: Sequence[Metric], *, status: EpisodeStatus, reason: str, worker: str
) -> TaskResult:
    """Returns the result of a task whose worker is gone: no log, no metric, the reason in the row."""
    row = episode_row(
        spec=task.spec,
        run_id=facts.run_id,
        suite=facts.suite,
        status=status,
        reason=reason,
        evaluation=unevaluated(metrics, reason),
        num_tries=task.try_number,
        worker=worker,
    )
    return TaskResult(number=task.number, row=row, log=None)
