"""The trace of an episode, derived from its log alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from simloop.agent import Call
from simloop.channel import IS_ON_LINK
from simloop.log import EpisodeLog
from simloop.timing.rules import CALL_STAGES, Mode, Stage
from simloop.timing.trace import NOT_REACHED, Event, Trace, TraceEpisode, TraceHeader

SENSOR_PREFIX = "sensor/"
CONTROL = "control"
QUEUE = "queue"
CHUNK = "chunk"
_STAGE_OF_CALL = {call.value: stage.value for call, stage in CALL_STAGES.items()}
_LINKS = (Stage.UPLINK.value, Stage.DOWNLINK.value)
_ORDER = (
    "sensor",
    Stage.PREPROCESS.value,
    Stage.UPLINK.value,
    QUEUE,
    *(_STAGE_OF_CALL[call.value] for call in Call),
    Stage.DOWNLINK.value,
    CHUNK,
    CONTROL,
    Stage.ACTUATION.value,
)
"""Order of events that start at the same instant."""


def trace_from_log(log: EpisodeLog, facts: TraceHeader, *, episode: str) -> Trace:
    """Returns what every stage of an episode took.

    A stage that was under way when the episode ended, or whose message was lost, has ``end_ns`` -1 and says so in
    ``attributes["state"]``. The free first chunk costs nothing and has no events.

    Args:
        log: The episode's log.
        facts: Header with what the log does not know (hardware, model, dtype, steps, warm-up, versions, source); the
            rest of it is filled from the log.
        episode: Name of the episode in the trace.

    Raises:
        LogError: The log lacks a column that a trace is made of.
    """
    attributes = log.attributes
    end_ns = int(attributes["end_ns"])
    events = [*_captures(log, episode), *_requests(log, episode), *_ticks(log, episode, end_ns)]
    events.sort(key=lambda e: (e.start_ns, _ORDER.index(e.stage.partition("/")[0]), e.stage, e.sequence))
    facts_of_episode = TraceEpisode(
        case_id=str(attributes["case_id"]),
        scenario=str(attributes["scenario"]["family"]),
        seed=int(attributes["seed"]),
        end_ns=end_ns,
        episode_hash=log.episode_hash,
    )
    mode = str(dict(attributes["timing"]).get("mode", ""))
    header = dataclasses.replace(
        facts,
        origin="measured" if mode == Mode.MEASURED.value else "modelled",
        strategy=str(attributes["strategy"]),
        control_period_ns=int(attributes["control_period_ns"]),
        timing=dict(attributes["timing"]),
        episodes={episode: facts_of_episode},
    )
    return Trace(header=header, events=tuple(events))


def _rows(log: EpisodeLog, table: str, names: tuple[str, ...]) -> Iterator[tuple[object, ...]]:
    columns = [log.column(table, name).tolist() for name in names]
    return zip(*columns, strict=True)


def _captures(log: EpisodeLog, episode: str) -> Iterator[Event]:
    names = (
        "sensor",
        "index",
        "t_ns",
        "delivered_at_ns",
        "num_bytes",
        "is_dropped",
        "is_lost",
        "is_consumed",
    )
    for row in _rows(log, "captures", names):
        sensor, index, t_ns, delivered_ns, num_bytes, is_dropped, is_lost, is_consumed = row
        assert isinstance(index, int) and isinstance(t_ns, int)
        assert isinstance(delivered_ns, int) and isinstance(num_bytes, int)
        arrived = "in_flight" if delivered_ns == NOT_REACHED else "delivered"
        state = "dropped" if is_dropped else "lost" if is_lost else arrived
        facts = {"state": state, "is_consumed": is_consumed}
        yield Event(episode, f"{SENSOR_PREFIX}{sensor}", index, t_ns, delivered_ns, num_bytes, 0, facts)


def _requests(log: EpisodeLog, episode: str) -> Iterator[Event]:
    inferences = log.tables["inferences"]
    period_ns = int(log.attributes["control_period_ns"])
    requests, instants = log.column("ticks", "request"), log.column("ticks", "t_ns")
    last_tick_ns = dict(zip(requests.tolist(), instants.tolist(), strict=True))
    names = tuple(inferences)
    for values in zip(*(inferences[name].tolist() for name in names), strict=True):
        row = dict(zip(names, values, strict=True))
        if row["is_free"]:
            continue
        facts = {"request": row["request"], "call": row["call"], "state": row["state"]}
        tick = row["observation_tick"]
        passed = [
            row[k] for k in ("trigger_ns", "sent_ns", "arrived_ns", "start_ns", "done_ns", "deliver_ns")
        ]
        stages = (
            (Stage.PREPROCESS.value, 0, 0),
            (Stage.UPLINK.value, row["uplink_bytes"], 0),
            (QUEUE, 0, 0),
            (_STAGE_OF_CALL[row["call"]], 0, row["batch"]),
            (Stage.DOWNLINK.value, row["downlink_bytes"], 0),
        )
        for number, (stage, num_bytes, batch) in enumerate(stages):
            start_ns, end_ns = passed[number], passed[number + 1]
            is_on_board = stage in _LINKS and not IS_ON_LINK[Call(row["call"])]
            if start_ns == NOT_REACHED:
                break
            if not is_on_board:
                yield Event(episode, stage, tick, start_ns, end_ns, num_bytes, batch, facts)
        if row["deliver_ns"] != NOT_REACHED and row["call"] != Call.CONTEXT.value:
            played = last_tick_ns.get(row["request"])
            end_ns = row["deliver_ns"] if played is None else max(row["deliver_ns"], played + period_ns)
            more = {k: row[k] for k in ("install_tick", "realised_delay_ticks", "predicted_delay_ticks")}
            yield Event(episode, CHUNK, tick, row["deliver_ns"], end_ns, 0, 0, {**facts, **more})


def _ticks(log: EpisodeLog, episode: str, end_ns: int) -> Iterator[Event]:
    names = ("tick", "t_ns", "late_ns", "due_ns", "effect_ns", "request", "is_hold")
    for row in _rows(log, "ticks", names):
        tick, t_ns, late_ns, due_ns, effect_ns, request, is_hold = row
        assert isinstance(tick, int) and isinstance(t_ns, int) and isinstance(late_ns, int)
        assert isinstance(due_ns, int) and isinstance(effect_ns, int)
        facts = {"request": request, "is_hold": is_hold}
        yield Event(episode, CONTROL, tick, t_ns - late_ns, t_ns, 0, 0, facts)
        reached = "effect" if effect_ns < end_ns else "in_flight"
        state = "overtaken" if effect_ns == NOT_REACHED else reached
        more = {"state": state, "effect_ns": effect_ns, "request": request}
        yield Event(episode, Stage.ACTUATION.value, tick, t_ns, due_ns, 0, 0, more)
