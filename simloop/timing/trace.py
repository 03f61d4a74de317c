"""A latency trace: what every stage of an episode took, one event a row, each row sealed by a checksum.

A row is ``{episode, stage, sequence, start_ns, end_ns, bytes, batch, attributes}`` under a header that says on what
it was recorded. The checksum of a row is blake2b over the checksum before it and the row itself; the first one
follows the header's. A row that was changed, removed, added or moved is therefore found where it stands, by its name.

Stages: ``sensor/<name>`` (capture to arrival at the assembly), ``preprocess``, ``uplink``, ``queue``, ``inference``
(``context_inference``, ``expert_inference``, ``corrector_inference`` for the other calls), ``downlink``, ``chunk``
(arrival until its last action), ``control`` (tick to the instant at which its action is sent) and ``actuation``.
``sequence`` is what numbers the stage's draws: capture number, observation tick, or control tick.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simloop.errors import TraceError

FORMAT_VERSION = 1
NOT_REACHED = -1
"""``end_ns`` of an event that did not end: lost, dropped, or under way when the episode ended."""

ORIGINS = ("modelled", "measured", "probe", "imported")


class Event(NamedTuple):
    """One row of a trace.

    Attributes:
        episode: Episode that it belongs to.
        stage: Stage, see the module's list.
        sequence: Number of the event in its stage.
        start_ns: Virtual instant (of probes and imports: measured instant) at which the stage starts.
        end_ns: Instant at which it ends; -1 if it never did.
        bytes: Payload; 0 where it is unknown.
        batch: Requests in the batch; 0 for stages that have none.
        attributes: Further facts (``state``, ``request``, ...), plain values by name.
    """

    episode: str
    stage: str
    sequence: int
    start_ns: int
    end_ns: int
    bytes: int = 0
    batch: int = 0
    attributes: Mapping[str, Any] = {}

    @property
    def duration_ns(self) -> int:
        """How long it took; -1 if it never ended."""
        return NOT_REACHED if self.end_ns == NOT_REACHED else self.end_ns - self.start_ns

    @property
    def name(self) -> str:
        """Episode, stage and sequence, as messages say them."""
        return f"episode {self.episode}, stage {self.stage!r}, sequence {self.sequence}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEpisode:
    """What one episode of a trace was.

    Attributes:
        case_id: Case that was played; a replay finds its events by it. Empty for probes and imports.
        scenario: Name of the scenario family.
        seed: Seed of the case.
        end_ns: Virtual instant of the episode's end.
        episode_hash: Hash of what happened; a replay reproduces it.
    """

    case_id: str = ""
    scenario: str = ""
    seed: int = 0
    end_ns: int = NOT_REACHED
    episode_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceHeader:
    """What a trace was recorded on and of.

    Attributes:
        origin: ``modelled``, ``measured``, ``probe`` or ``imported``.
        hardware: Facts about the machine, by name.
        model: Name of the agent (of imports: of the model, if the file says it).
        dtype: Number format of the weights; empty if unknown.
        strategy: Execution strategy of the episodes; empty without one.
        steps: Denoising steps of an inference; None if it has none or it is unknown.
        warm_up: Calls that were made before and left out.
        versions: Versions by package.
        control_period_ns: Control period; 0 without one.
        timing: The timing configuration that the episodes were played under (plain values); empty without one.
        source: File or words that the trace comes from.
        episodes: What each episode was, by its name in the rows.
    """

    origin: str
    hardware: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    dtype: str = ""
    strategy: str = ""
    steps: int | None = None
    warm_up: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    control_period_ns: int = 0
    timing: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    episodes: Mapping[str, TraceEpisode] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A header and its events, in the order in which they are stored."""

    header: TraceHeader
    events: tuple[Event, ...]

    def of_stage(self, stage: str) -> list[Event]:
        """Returns the events of a stage; ``"sensor"`` takes those of every sensor."""
        return [e for e in self.events if e.stage == stage or e.stage.startswith(f"{stage}/")]

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that there are events of, in order of appearance."""
        return tuple(dict.fromkeys(e.stage for e in self.events))


EVENT_KEYS = Event._fields
_HEADER_TYPES: Mapping[str, type[Any]] = {
    "num_events": int,
    "warm_up": int,
    "control_period_ns": int,
    "model": str,
    "dtype": str,
    "strategy": str,
    "source": str,
    "hardware": dict,
    "versions": dict,
    "timing": dict,
    "episodes": dict,
}


def header_values(header: TraceHeader, num_events: int) -> dict[str, Any]:
    """Returns the plain values of a header as files hold it, its checksum included."""
    values = {"format_version": FORMAT_VERSION, **dataclasses.asdict(header), "num_events": num_events}
    values = json.loads(canonical(values))
    return {**values, "checksum": _digest(canonical(values))}


def header_from_values(values: Any, where: str) -> tuple[TraceHeader, int, str]:
    """Inverse of ``header_values``.

    Args:
        values: What the file holds, decoded.
        where: File and place, for messages.

    Returns:
        The header, the number of events that follow it, and the checksum that their chain starts from.

    Raises:
        TraceError: It is not a header, is of another version, or was altered.
    """
    if not isinstance(values, Mapping):
        raise TraceError(f"{where}: the header is {type(values).__name__}; allowed: a mapping.")
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise TraceError(
            f"{where}: format_version is {version!r}; this simloop reads {FORMAT_VERSION}. A file that is not a trace "
            "can be made one: simloop trace import KIND FILE."
        )
    known = {f.name for f in dataclasses.fields(TraceHeader)} | {"format_version", "num_events", "checksum"}
    missing, unknown = sorted(known - set(values)), sorted(set(values) - known)
    if missing or unknown:
        raise TraceError(f"{where}: the header lacks the keys {missing} and has the unknown keys {unknown}.")
    rest = {key: value for key, value in values.items() if key != "checksum"}
    expected = _digest(canonical(rest))
    if values["checksum"] != expected:
        raise TraceError(
            f"{where}: the header was altered: stored checksum {values['checksum']!r}, its content gives {expected!r}."
        )
    if values["origin"] not in ORIGINS:
        raise TraceError(f"{where}: origin is {values['origin']!r}; allowed: {', '.join(ORIGINS)}.")
    for key, kind in _HEADER_TYPES.items():
        if not isinstance(values[key], kind) or isinstance(values[key], bool):
            raise TraceError(f"{where}: {key} is {values[key]!r}; allowed: {kind.__name__}.")
    try:
        episodes = {name: TraceEpisode(**facts) for name, facts in values["episodes"].items()}
    except TypeError as error:
        raise TraceError(
            f"{where}: episodes is {values['episodes']!r} ({error}); allowed: by name a mapping of "
            f"{', '.join(TraceEpisode.__dataclass_fields__)}."
        ) from error
    fields = {key: value for key, value in rest.items() if key not in ("format_version", "num_events")}
    return TraceHeader(**{**fields, "episodes": episodes}), values["num_events"], expected


def checksums(events: Sequence[Event], start: str) -> Iterator[str]:
    """Yields the checksum of each event, chained from ``start``, the header's."""
    previous = start
    for event in events:
        previous = event_checksum(event, previous)
        yield previous


def event_checksum(event: Event, previous: str) -> str:
    """Returns the checksum of an event that follows the checksum ``previous``."""
    return _digest(previous + canonical(list(event)))


def check_event(event: Event, where: str) -> None:
    """Raises TraceError if an event's values are out of range; the message names the event."""
    for key in ("sequence", "start_ns", "bytes", "batch"):
        value = getattr(event, key)
        if type(value) is not int or value < 0:
            raise TraceError(f"{where}, {event.name}: {key} is {value!r}; allowed: a whole number >= 0.")
    if type(event.end_ns) is not int or (event.end_ns != NOT_REACHED and event.end_ns < event.start_ns):
        raise TraceError(
            f"{where}, {event.name}: end_ns is {event.end_ns!r} with start_ns {event.start_ns}, a negative duration; "
            f"allowed: a whole number >= start_ns, or {NOT_REACHED} for an event that did not end."
        )
    for key in ("episode", "stage"):
        if not isinstance(getattr(event, key), str):
            raise TraceError(f"{where}: {key} is {getattr(event, key)!r}; allowed: text.")
    if not isinstance(event.attributes, Mapping):
        raise TraceError(f"{where}, {event.name}: attributes is {event.attributes!r}; allowed: a mapping.")


def canonical(value: Any) -> str:
    """Returns one JSON text for equal plain values.

    Raises:
        TraceError: The value holds what JSON cannot say.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise TraceError(f"A trace holds plain values only: {error}.") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} {value!r}")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
