"""Importers: the tools' own layouts in, the same durations out, and what is wrong with other files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simloop.errors import ParameterError, SimloopError, TraceError, UnknownNameError
from simloop.timing.importers.catalogue import KINDS, ImportOptions, import_trace
from simloop.timing.importers.mahimahi import read_mahimahi
from simloop.timing.importers.netem_table import read_netem_table
from simloop.timing.trace import Trace
from simloop.timing.trace_files import read_trace, trace_bytes
from simloop.timing.trace_samples import durations_ns, read_durations_ns

MS = 1_000_000


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def openpi_file(folder: Path, **columns: list[float | None]) -> Path:
    path = folder / "timing.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_openpi_columns_become_stages_and_the_model_is_the_inference(tmp_path: Path) -> None:
    path = openpi_file(
        tmp_path,
        client_infer_ms=[80.5, 81.25],
        server_infer_ms=[70.0, 71.0],
        policy_infer_ms=[62.0, 63.5],
    )
    trace = import_trace("openpi", path)
    assert durations_ns(trace, "inference").tolist() == [62 * MS, round(63.5 * MS)]
    assert durations_ns(trace, "client_infer_ms").tolist() == [round(80.5 * MS), round(81.25 * MS)]
    assert trace.header.origin == "imported"
    assert "inference is policy_infer_ms" in trace.header.source
    other = import_trace("openpi", path, column="client_infer_ms", stage="uplink")
    assert durations_ns(other, "uplink").tolist() == [round(80.5 * MS), round(81.25 * MS)]
    with pytest.raises(UnknownNameError, match=r"Unknown column 'infer_ms' in .*timing\.parquet"):
        import_trace("openpi", path, column="infer_ms")


@given(values=st.lists(st.floats(0, 1e5), min_size=1, max_size=30))
def test_export_of_an_import_keeps_the_durations(tmp_path_factory: Any, values: list[float]) -> None:
    folder = tmp_path_factory.mktemp("openpi")
    trace = import_trace("openpi", openpi_file(folder, policy_infer_ms=list(values)))
    for suffix in (".jsonl", ".parquet"):
        path = put(folder, f"out{suffix}", trace_bytes(trace, suffix))
        assert read_trace(path) == trace
        assert read_durations_ns(path).tolist() == [round(v * MS) for v in values]


SAMPLES_S = [0.1, 0.0625, 0.2]
SAMPLES_NS = [100 * MS, round(62.5 * MS), 200 * MS]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", json.dumps({"type": "empirical", "samples": SAMPLES_S})),
        ("b.json", json.dumps(SAMPLES_S)),
        ("c.txt", "# seconds\n0.1\n0.0625, 0.2\n"),
    ],
)
def test_sap_text_formats(tmp_path: Path, name: str, content: str) -> None:
    trace = import_trace("sap", put(tmp_path, name, content))
    assert durations_ns(trace, "inference").tolist() == SAMPLES_NS


def test_sap_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", samples=np.array(SAMPLES_S))
    np.save(tmp_path / "s.npy", np.array(SAMPLES_S))
    for name in ("s.npz", "s.npy"):
        assert durations_ns(import_trace("sap", tmp_path / name), "inference").tolist() == SAMPLES_NS
    np.savez(tmp_path / "other.npz", runtime=np.array(SAMPLES_S))
    with pytest.raises(TraceError, match=r"has the arrays \['runtime'\]; needed: 'samples'"):
        import_trace("sap", tmp_path / "other.npz")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(TraceError, match=r"objects\.npy cannot be read"):
        import_trace("sap", tmp_path / "objects.npy")


class Trap:
    """Unpickling this would leave a mark."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("trapped"),))


@pytest.mark.parametrize("name", ["runtime.pkl", "runtime.bin"])
def test_a_pickle_is_refused_unread_and_the_conversion_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import pickle

    monkeypatch.chdir(tmp_path)
    path = put(tmp_path, name, pickle.dumps(Trap()))
    with pytest.raises(
        TraceError, match=r"is a pickle, which simloop never loads.*json\.dump.*import runtime\.json"
    ):
        import_trace("sap", path)
    assert not Path("trapped").exists()


def test_the_conversion_that_the_refusal_gives_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle
    import re
    import subprocess
    import sys

    monkeypatch.chdir(tmp_path)
    data = {"type": "empirical", "samples": np.array(SAMPLES_S)}
    path = put(tmp_path, "runtime.pkl", pickle.dumps(data))
    with pytest.raises(TraceError, match="is a pickle") as refused:
        import_trace("sap", path)
    found = re.search(r'python -c "(.*)", then', str(refused.value))
    assert found is not None
    subprocess.run([sys.executable, "-c", found.group(1)], check=True)
    assert durations_ns(import_trace("sap", Path("runtime.json")), "inference").tolist() == SAMPLES_NS


CARET_LATENCY = (
    ",/lidar/callback_0,/lidar/callback_0,/plan/callback_1,/plan/callback_1\n"
    ",callback_start_timestamp [ns],latency [ms],callback_start_timestamp [ns],latency [ms]\n"
    "0,1650000000000000000,1.5,1650000000100000000,20.0\n"
    "1,1650000000100000000,2.25,,\n"
)
CARET_CALLBACKS = (
    "/plan/callback_0/callback_start_timestamp,/plan/callback_0/callback_end_timestamp\n"
    "1650000000000000001,1650000000000000004\n1650000000200000000,1650000000205000007\n"
)
CARET_PATH = (
    "/scan/rclcpp_publish_timestamp/0,/plan/callback_0/callback_start_timestamp/0,/cmd/rclcpp_publish_timestamp/0\n"
    "1650000000000000000,1650000000001000000,1650000000031000000\n"
    "1650000000100000000,1650000000102000000,\n"
)


def test_caret_latencies(tmp_path: Path) -> None:
    trace = import_trace("caret", put(tmp_path, "latency.csv", CARET_LATENCY), column="/plan/callback_1")
    assert durations_ns(trace, "inference").tolist() == [20 * MS]
    assert durations_ns(trace, "/lidar/callback_0").tolist() == [round(1.5 * MS), round(2.25 * MS)]
    assert "/plan/callback_1: 1 of 2 rows were dropped messages" in trace.header.source


def test_caret_callback_records_keep_every_nanosecond(tmp_path: Path) -> None:
    trace = import_trace("caret", put(tmp_path, "records.csv", CARET_CALLBACKS))
    assert durations_ns(trace, "inference").tolist() == [3, 5 * MS + 7]


def test_caret_paths(tmp_path: Path) -> None:
    trace = import_trace("caret", put(tmp_path, "path.csv", CARET_PATH), stage="preprocess")
    assert durations_ns(trace, "preprocess").tolist() == [31 * MS]
    hops = {s: durations_ns(trace, s).tolist() for s in trace.stages if " to " in s}
    assert list(hops.values()) == [[1 * MS, 2 * MS], [30 * MS]]


def test_netem_tables(tmp_path: Path) -> None:
    path = put(tmp_path, "normal.dist", "# a table\n-8192 -4096\n 0 4096 16384\n")
    assert read_netem_table(path).tolist() == [-1.0, -0.5, 0.0, 0.5, 2.0]
    trace = import_trace("netem", path, options=ImportOptions(delay_ms=10, jitter_ms=12))
    assert durations_ns(trace, "uplink").tolist() == [0, 4 * MS, 10 * MS, 16 * MS, 34 * MS]


def transfer_ms(instants: list[int], sent_ms: int, num_packets: int) -> int:
    """The definition, opportunity by opportunity."""
    period, waited = instants[-1], num_packets
    for cycle in range(10_000):
        for instant in instants:
            at = cycle * period + instant
            if at >= sent_ms:
                waited -= 1
                if waited == 0:
                    return at - sent_ms
    raise AssertionError("no end")


@given(
    gaps=st.lists(st.integers(0, 5), min_size=1, max_size=12).filter(lambda g: sum(g) > 0),
    payload_bytes=st.integers(1, 40_000),
)
def test_mahimahi_transfers_take_what_the_definition_says(
    tmp_path_factory: Any, gaps: list[int], payload_bytes: int
) -> None:
    instants = np.cumsum(gaps).tolist()
    path = put(tmp_path_factory.mktemp("m"), "link.up", "".join(f"{t}\n" for t in instants))
    assert read_mahimahi(path).tolist() == instants
    trace = import_trace("mahimahi", path, options=ImportOptions(payload_bytes=payload_bytes))
    packets = math.ceil(payload_bytes / 1500)
    expected = [transfer_ms(instants, t, packets) * MS for t in range(instants[-1])]
    assert durations_ns(trace, "uplink").tolist() == expected


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("openpi", b"no parquet", r"openpi timings .* cannot be read as Parquet"),
        ("sap", b"", r"sAP samples .* is empty"),
        ("sap", b"[]", r"no sample; needed: at least one"),
        ("sap", b'{"type": "gauss", "samples": [1]}', r"type is 'gauss'.*needed: type 'empirical'"),
        ("sap", b"[0.1, -0.2]", r"samples \(s\), sample 1 is -0\.2; allowed: a finite number >= 0"),
        ("sap", b"0.1 fast", r"sample 1 is 'fast'"),
        ("sap", b"[0.1, NaN]", r"sample 1 is nan"),
        ("sap", b"[0.1, true]", r"sample 1 is True"),
        ("sap", b"[0.1,", r"cannot be read as JSON"),
        ("sap", b"\xff\x00", r"cannot be read as text"),
        ("caret", b"a,b\n1,2\n", r"columns a, b; needed: 'latency \[ms\]'"),
        ("caret", b"a/x_timestamp,b/y_timestamp\n1\n", r"row 2 has 1 cells; the heading has 2"),
        ("caret", b"a/x_timestamp,b/y_timestamp\n5,4\n", r"row 0 ends at 4 before it starts at 5"),
        ("caret", b"a/x_timestamp,b/y_timestamp\n5,\n", r"no complete row"),
        ("caret", b"a/x_timestamp,b/y_timestamp\n5,x7\n", r"'x7'; allowed"),
        ("caret", b"n\nlatency [ms]\n-2\n", r"n, sample 0 is '-2'; allowed: a finite number >= 0"),
        ("netem", b"1 2 x\n", r"netem table .*, line 1: 'x'; allowed: whole numbers"),
        ("netem", b"# nothing\n", r"has 0 entries; allowed: 1 to 16384"),
        ("mahimahi", b"1\n-3\n", r"line 2: '-3'; allowed: whole ms"),
        ("mahimahi", b"4\n3\n", r"line 2: 3 ms comes after 4 ms"),
        ("mahimahi", b"0\n0\n", r"lasts 0 ms"),
    ],
)
def test_malformed_files_are_refused_with_what_is_allowed(
    tmp_path: Path, kind: str, content: bytes, message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        import_trace(kind, put(tmp_path, "x", content), options=needed(kind))


def needed(kind: str) -> ImportOptions:
    values = {"delay_ms": 1.0, "jitter_ms": 1.0, "payload_bytes": 1}
    return ImportOptions(**{name: values[name] for name in KINDS[kind].options})  # type: ignore[arg-type]


def test_openpi_files_without_timings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"1 rows, columns seconds; needed: rows with columns in ms"):
        import_trace("openpi", openpi_file(tmp_path, seconds=[1.0]))
    with pytest.raises(TraceError, match=r"0 rows, columns policy_infer_ms"):
        import_trace("openpi", openpi_file(tmp_path, policy_infer_ms=[]))
    with pytest.raises(TraceError, match=r"column 'policy_infer_ms', sample 1 is None"):
        import_trace("openpi", openpi_file(tmp_path, policy_infer_ms=[1.0, None]))
    with pytest.raises(TraceError, match=r"column 'policy_infer_ms', sample 0 is -1\.0"):
        import_trace("openpi", openpi_file(tmp_path, policy_infer_ms=[-1.0]))


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        (
            "csv",
            ImportOptions(),
            UnknownNameError,
            r"Unknown kind 'csv'.*caret, mahimahi, netem, openpi, sap",
        ),
        (
            "netem",
            ImportOptions(delay_ms=1),
            ParameterError,
            r"kind 'netem' needs jitter_ms; it takes: delay_ms, jitter",
        ),
        ("sap", ImportOptions(delay_ms=1), ParameterError, r"kind 'sap' takes no delay_ms; it takes: none"),
        (
            "netem",
            ImportOptions(delay_ms=-1, jitter_ms=0),
            ParameterError,
            r"delay is -1 ms; allowed: a number >= 0",
        ),
        ("mahimahi", ImportOptions(payload_bytes=0), ParameterError, r"payload is 0 bytes; allowed"),
    ],
)
def test_wrong_kinds_and_options_are_refused(
    tmp_path: Path, kind: str, options: ImportOptions, error: type[SimloopError], message: str
) -> None:
    with pytest.raises(error, match=message):
        import_trace(kind, put(tmp_path, "x", "1\n"), options=options)
    with pytest.raises(TraceError, match=r"nothing is not a file"):
        import_trace("sap", tmp_path / "nothing")


def test_every_import_is_a_whole_trace(tmp_path: Path) -> None:
    trace = import_trace("sap", put(tmp_path, "a.json", "[0.1, 0.3]"))
    assert isinstance(trace, Trace)
    assert [(e.start_ns, e.end_ns) for e in trace.events] == [(0, 100 * MS), (100 * MS, 400 * MS)]
    assert trace.header.episodes["import"].end_ns == 400 * MS
