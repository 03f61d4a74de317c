"""The kinds of file that ``simloop trace import`` takes, and how a trace is made of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from simloop.errors import ParameterError, TraceError, UnknownNameError
from simloop.timing.importers.caret import read_caret
from simloop.timing.importers.mahimahi import mahimahi_samples
from simloop.timing.importers.netem_table import netem_samples
from simloop.timing.importers.openpi import read_openpi
from simloop.timing.importers.samples import ImportedSamples
from simloop.timing.importers.sap import read_sap
from simloop.timing.trace import Trace, TraceHeader
from simloop.timing.trace_samples import trace_of_durations

EPISODE = "import"
"""Name of the one episode that imported events form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What some kinds need beside the file.

    Attributes:
        delay_ms: netem: delay of the link.
        jitter_ms: netem: jitter of the link.
        payload_bytes: Mahimahi: size of a message.
    """

    delay_ms: float | None = None
    jitter_ms: float | None = None
    payload_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportKind:
    """One kind of file.

    Attributes:
        read: Reads it.
        stage: Stage that its durations usually are.
        options: Names of the options that it needs.
        description: One sentence.
    """

    read: Callable[[Path, ImportOptions], ImportedSamples]
    stage: str
    options: tuple[str, ...] = ()
    description: str = ""


def _netem(path: Path, options: ImportOptions) -> ImportedSamples:
    return netem_samples(path, delay_ms=options.delay_ms or 0.0, jitter_ms=options.jitter_ms or 0.0)


def _mahimahi(path: Path, options: ImportOptions) -> ImportedSamples:
    return mahimahi_samples(path, payload_bytes=options.payload_bytes or 0)


KINDS: Mapping[str, ImportKind] = {
    "openpi": ImportKind(
        read=lambda path, _: read_openpi(path),
        stage="inference",
        description="openpi's simple_client --timing-file (Parquet, columns in ms)",
    ),
    "sap": ImportKind(
        read=lambda path, _: read_sap(path),
        stage="inference",
        description="sAP run-time samples in seconds (JSON, npz, npy or text; never a pickle)",
    ),
    "caret": ImportKind(
        read=lambda path, _: read_caret(path),
        stage="inference",
        description="CARET tables of latencies or time stamps (CSV)",
    ),
    "netem": ImportKind(
        read=_netem,
        stage="uplink",
        options=("delay_ms", "jitter_ms"),
        description="netem delay distribution table (.dist)",
    ),
    "mahimahi": ImportKind(
        read=_mahimahi,
        stage="uplink",
        options=("payload_bytes",),
        description="Mahimahi link trace: time to transfer one message",
    ),
}


def import_trace(
    kind: str, path: Path, *, stage: str = "", column: str = "", options: ImportOptions | None = None
) -> Trace:
    """Reads another tool's file as a trace.

    Args:
        kind: One of ``KINDS``.
        path: The file.
        stage: Stage that the main durations become; the kind's usual one if empty.
        column: Name of the durations, as the file has it, that become ``stage``; the kind's choice if empty. All
            others keep their own names as stages.
        options: What some kinds need beside the file.

    Raises:
        UnknownNameError: There is no such kind, or no such column.
        ParameterError: An option that the kind needs is missing or out of range, or one was given that it does not
            take.
        TraceError: The file cannot be read as that kind.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    options = options or ImportOptions()
    chosen = KINDS[kind]
    for name in ImportOptions.__dataclass_fields__:
        is_given = getattr(options, name) is not None
        if is_given != (name in chosen.options):
            verb = "takes no" if is_given else "needs"
            taken = ", ".join(chosen.options) or "none"
            raise ParameterError(f"An import of kind {kind!r} {verb} {name}; it takes: {taken}.")
    if not path.is_file():
        raise TraceError(
            f"{path} is not a file; give one that {kind} can be read from: {chosen.description}."
        )
    samples = chosen.read(path, options)
    if column and column not in samples.durations_ns:
        raise UnknownNameError("column", column, samples.durations_ns, where=str(path))
    main = column or samples.main
    target = stage or chosen.stage
    durations = {target: samples.durations_ns[main]}
    durations |= {name: values for name, values in samples.durations_ns.items() if name not in (main, target)}
    given = [f"{n}={getattr(options, n)}" for n in chosen.options]
    source = "; ".join([f"{kind} {path.name}: {target} is {main}", *given, *samples.notes])
    header = TraceHeader(origin="imported", model=samples.model, source=source)
    return trace_of_durations(header, durations, episode=EPISODE)
