"""The trace format: what is written is read, and an event that was altered is refused by its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simloop.errors import TraceError
from simloop.timing.trace import Event, Trace, TraceEpisode, TraceHeader, canonical
from simloop.timing.trace_files import read_header, read_trace, trace_bytes
from simloop.timing.trace_samples import durations_ns, read_durations_ns, trace_of_durations

HEADER = TraceHeader(
    origin="measured",
    hardware={"cpu": "test"},
    model="expert",
    dtype="float32",
    strategy="prefix",
    steps=5,
    warm_up=1,
    versions={"simloop": "1"},
    control_period_ns=50_000_000,
    timing={"name": "zero", "servers": 1},
    source="test",
    episodes={"e": TraceEpisode(case_id="c", scenario="cut_in", seed=3, end_ns=900, episode_hash="h")},
)
EVENTS = (
    Event("e", "sensor/front_camera", 0, 0, 40, 1_000, 0, {"state": "delivered"}),
    Event("e", "inference", 0, 50, 250, 0, 1, {"request": 0}),
    Event("e", "inference", 8, 400, -1, 0, 1, {"request": 1, "state": "in_flight"}),
    Event("e", "context_inference", 8, 500, 700, 0, 2, {}),
)
TRACE = Trace(header=HEADER, events=EVENTS)
SUFFIXES = (".jsonl", ".parquet")


def written(folder: Path, suffix: str = ".jsonl", trace: Trace = TRACE) -> Path:
    path = folder / f"trace{suffix}"
    path.write_bytes(trace_bytes(trace, suffix))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, suffix)
    assert read_trace(path) == TRACE
    assert read_header(path) == HEADER


@given(durations=st.lists(st.integers(0, 10**12), min_size=1, max_size=20), suffix=st.sampled_from(SUFFIXES))
def test_durations_outlive_the_file(tmp_path_factory: Any, durations: list[int], suffix: str) -> None:
    values = {"inference": np.array(durations), "uplink": np.array(durations[::-1])}
    trace = trace_of_durations(TraceHeader(origin="imported"), values, episode="import")
    path = written(tmp_path_factory.mktemp("t"), suffix, trace)
    for stage, expected in values.items():
        assert read_durations_ns(path, stage=stage).tolist() == expected.tolist()


def test_a_stage_takes_its_own_and_leaves_out_what_did_not_end() -> None:
    assert durations_ns(TRACE, "inference").tolist() == [200]
    assert durations_ns(TRACE, "context_inference").tolist() == [200]
    assert durations_ns(TRACE, "sensor").tolist() == [40]


def altered(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    """Changes the decoded rows of a trace file (JSONL: lines 2.., Parquet: the table) and writes them back."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        rows = table.to_pylist()
        change(rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    else:
        header, *lines = path.read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        change(rows)
        path.write_text("\n".join([header, *(json.dumps(row) for row in rows)]) + "\n")
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("key", "value"),
    [("start_ns", 51), ("end_ns", 251), ("batch", 2), ("bytes", 7), ("sequence", 1), ("checksum", "0" * 16)],
)
def test_an_altered_event_is_refused_by_its_name(tmp_path: Path, suffix: str, key: str, value: Any) -> None:
    path = altered(written(tmp_path, suffix), lambda rows: rows[1].update({key: value}))
    sequence = value if key == "sequence" else 0
    stored = read_checksum(tmp_path) if key != "checksum" else "0" * 16
    with pytest.raises(
        TraceError,
        match=rf"episode e, stage 'inference', sequence {sequence}\) was altered.*stored checksum '{stored}', "
        r"expected '[0-9a-f]{16}'",
    ):
        read_trace(path)


def read_checksum(folder: Path) -> str:
    """The checksum that the second event has in an unaltered file."""
    line = trace_bytes(TRACE).decode().splitlines()[2]
    assert folder.is_dir()
    return str(json.loads(line)["checksum"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows.pop(0),
            r"stage 'inference', sequence 0\) was altered, or one before it was removed",
        ),
        (lambda rows: rows.insert(1, rows[0]), r"stage 'sensor/front_camera', sequence 0\) was altered"),
        (lambda rows: rows.reverse(), r"stage 'context_inference', sequence 8\) was altered"),
        (lambda rows: rows.pop(), r"announces 4 events, 3 follow; the last one is .*'inference', sequence 8"),
        (
            lambda rows: rows[1].update(attributes={"request": 5}),
            r"stage 'inference', sequence 0\) was altered",
        ),
        (
            lambda rows: rows[1].pop("end_ns"),
            r"line 3 lacks the keys \['end_ns'\]; an event has|line 3 lacks",
        ),
        (lambda rows: rows[1].update(note="x"), r"line 3 .*unknown keys \['note'\]"),
        (
            lambda rows: rows[1].update(end_ns=20),
            r"sequence 0: end_ns is 20 with start_ns 50, a negative duration",
        ),
        (lambda rows: rows[1].update(end_ns=250.5), r"end_ns is 250\.5 .*allowed: a whole number"),
        (lambda rows: rows[1].update(start_ns="soon"), r"start_ns is 'soon'; allowed: a whole number >= 0"),
        (lambda rows: rows[1].update(batch=True), r"batch is True; allowed"),
        (lambda rows: rows[1].update(stage=4), r"stage is 4; allowed: text"),
        (lambda rows: rows[1].update(attributes=[1]), r"attributes is \[1\]; allowed: a mapping"),
    ],
)
def test_malformed_rows_are_refused_by_place_or_name(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], object], message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        read_trace(altered(written(tmp_path), change))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format_version", 2, r"format_version is 2; this simloop reads 1"),
        ("strategy", "rtc", r"the header was altered: stored checksum '[0-9a-f]{16}', its content gives"),
        ("num_events", 3, r"the header was altered"),
        ("extra", 1, r"unknown keys \['extra'\]"),
    ],
)
def test_an_altered_header_is_refused(tmp_path: Path, key: str, value: Any, message: str) -> None:
    path = written(tmp_path)
    first, *lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(first), key: value}), *lines]))
    for read in (read_trace, read_header):
        with pytest.raises(TraceError, match=message):
            read(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("origin", "guessed", r"origin is 'guessed'; allowed: modelled, measured, probe, imported"),
        ("num_events", "4", r"num_events is '4'; allowed: int"),
        ("timing", ["zero"], r"timing is \['zero'\]; allowed: dict"),
        ("episodes", {"e": {"speed": 1}}, r"episodes is .*allowed: by name a mapping of case_id, scenario"),
        ("warm_up", True, r"warm_up is True; allowed: int"),
    ],
)
def test_a_wrong_header_is_refused_even_if_it_is_sealed(
    tmp_path: Path, key: str, value: Any, message: str
) -> None:
    path = written(tmp_path)
    first, *lines = path.read_text().splitlines()
    header = {k: v for k, v in json.loads(first).items() if k != "checksum"} | {key: value}
    checksum = hashlib.blake2b(canonical(header).encode(), digest_size=8).hexdigest()
    path.write_text("\n".join([json.dumps({**header, "checksum": checksum}), *lines]))
    with pytest.raises(TraceError, match=message):
        read_trace(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty; a trace starts with its header"),
        (b"\n\n", r"is empty; a trace starts with its header"),
        (b"{not json\n", r"line 1 is not JSON .*'\{not json'"),
        (b"[1, 2]\n", r"the header is list; allowed: a mapping"),
        (b'{"a": 1}\n', r"format_version is None"),
        (b"\xff\xfe\x00", r"cannot be read as text"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=message):
        read_trace(path)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2][:-5], *lines[3:]]))
    with pytest.raises(TraceError, match=r"trace\.jsonl, line 3 is not JSON"):
        read_trace(path)


def test_parquet_of_others_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "timing.parquet"
    pq.write_table(pa.table({"client_infer_ms": [1.0]}), path)
    with pytest.raises(
        TraceError, match=r"no trace header in its metadata; columns: client_infer_ms.*trace import"
    ):
        read_trace(path)
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(TraceError, match=r"cannot be read as Parquet"):
        read_trace(path)
    whole = pq.read_table(written(tmp_path, ".parquet"))
    pq.write_table(whole.drop_columns(["end_ns"]), path)
    with pytest.raises(TraceError, match=r"lacks the columns \['end_ns'\]; a trace has: episode, stage"):
        read_trace(path)


def test_a_missing_file_and_a_missing_stage_are_named_with_their_key(tmp_path: Path) -> None:
    with pytest.raises(
        TraceError, match=r"timing\.inference: Trace .*none\.jsonl cannot be read: No such file"
    ):
        read_durations_ns(tmp_path / "none.jsonl", where="timing.inference")
    with pytest.raises(TraceError, match=r"is a folder; name one file"):
        read_trace(tmp_path)
    with pytest.raises(
        TraceError, match=r"no ended event of stage 'uplink'; it has: sensor/front_camera, inference"
    ):
        read_durations_ns(written(tmp_path), stage="uplink")


def test_what_cannot_be_a_trace_is_not_written() -> None:
    bad = Trace(header=HEADER, events=(EVENTS[0]._replace(end_ns=-5),))
    with pytest.raises(TraceError, match=r"end_ns is -5 .*negative duration"):
        trace_bytes(bad)
    with pytest.raises(TraceError, match=r"cannot be written as '\.csv'; allowed: \.jsonl, \.parquet"):
        trace_bytes(TRACE, ".csv")
    with pytest.raises(TraceError, match=r"plain values only"):
        trace_bytes(Trace(header=HEADER, events=(EVENTS[0]._replace(attributes={"x": object()}),)))
    with pytest.raises(TraceError, match=r"Stage 'inference', sample 1 is -2 ns; allowed: >= 0"):
        trace_of_durations(HEADER, {"inference": np.array([1, -2])}, episode="x")
    with pytest.raises(TraceError, match=r"No durations: inference holds no sample"):
        trace_of_durations(HEADER, {"inference": np.zeros(0, dtype=np.int64)}, episode="x")
