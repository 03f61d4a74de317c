"""``simloop trace``, and ``run`` and ``replay`` of measured episodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simloop.store.run_store import RunStore
from simloop.timing.trace_files import read_trace
from simloop.timing.trace_samples import read_durations_ns

RUNS = Path("results/runs")
MEASURED = ("timing=measured", "timing.measured_factor=1000", "strategy=naive_async", "seeds.count=2")


def hashes(run: str) -> dict[str, str]:
    rows = RunStore.open_read_only(RUNS / run).read_rows().to_pylist()
    return {row["case_id"]: row["episode_hash"] for row in rows}


@pytest.fixture
def measured(walls: Any) -> Path:
    """Folder of a measured run of two episodes."""
    walls.run("run_id=m", *MEASURED)
    return RUNS / "m"


def test_a_measured_run_says_what_it_is_and_writes_its_traces(measured: Path) -> None:
    manifest = json.loads((measured / "manifest.json").read_text())
    assert manifest["is_deterministic"] is False
    assert manifest["config"]["runner"]["executor"] == "in_process"
    assert manifest["config"]["runner"]["interleave"] == 1
    rows = RunStore.open_read_only(measured).read_rows().to_pylist()
    for row in rows:
        trace = read_trace(measured / "traces" / f"{row['episode_id']}.jsonl")
        header = trace.header
        assert (header.origin, header.model, header.strategy) == ("measured", "brake", "naive_async")
        assert header.warm_up == 1
        assert header.hardware["num_cpus"]
        assert header.versions["numpy"] == np.__version__
        assert header.timing["measured_factor"] == 1000
        episode = header.episodes[row["episode_id"]]
        assert (episode.case_id, episode.episode_hash) == (row["case_id"], row["episode_hash"])
        assert all(e.duration_ns > 0 for e in trace.of_stage("inference") if e.end_ns >= 0)


def test_a_modelled_run_says_so_and_writes_none(walls: Any) -> None:
    walls.run("run_id=z", "timing=zero", "strategy=paused", "runner=in_process", "seeds.count=1")
    assert json.loads((RUNS / "z" / "manifest.json").read_text())["is_deterministic"] is True
    assert not (RUNS / "z" / "traces").exists()


def test_measured_then_replay_reproduces_every_hash(walls: Any, measured: Path) -> None:
    walls.run(
        "run_id=r", "timing=replay", f"timing.trace={measured}/traces", "strategy=naive_async",
        "seeds.count=2", "runner=in_process",
    )  # fmt: skip
    assert hashes("r") == hashes("m")
    assert json.loads((RUNS / "r" / "manifest.json").read_text())["is_deterministic"] is True


def test_the_replay_command_takes_a_measured_episode_from_its_trace(simloop: Any, measured: Path) -> None:
    (first, _) = sorted((measured / "traces").iterdir())
    ended = simloop("replay", first.stem)
    assert ended.code == 0
    assert f"Inference times were measured; they are replayed from {first}." in ended.out
    assert ended.out.splitlines()[-1] == "Identical."

    header, *lines = first.read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if '"stage": "inference"' in line)
    event = json.loads(lines[number])
    lines[number] = json.dumps({**event, "end_ns": event["end_ns"] + 1})
    first.write_text("\n".join([header, *lines]))
    ended = simloop("replay", first.stem)
    assert ended.code == 1
    assert f"stage 'inference', sequence {event['sequence']}) was altered" in ended.out
    assert f"stored checksum '{event['checksum']}'" in ended.out

    first.unlink()
    ended = simloop("replay", first.stem)
    assert ended.code == 4
    assert "was measured and" in ended.err
    assert "without its trace it cannot be simulated again" in ended.err


@pytest.mark.parametrize("word", ["runner=ray", "runner.interleave=4"])
def test_several_episodes_at_once_are_refused_when_times_are_measured(
    walls: Any, simloop: Any, word: str
) -> None:
    assert walls.folder.is_dir()
    ended = simloop("run", "suite=walls.yaml", *MEASURED, word)
    key, _, value = word.partition("=")
    assert ended.code == 4
    assert f"{key} is '{value}'; timing 'measured" in ended.err
    assert "one episode at a time" in ended.err


def test_a_replay_without_a_trace_is_refused(walls: Any, simloop: Any) -> None:
    assert walls.folder.is_dir()
    ended = simloop("run", "suite=walls.yaml", "timing=replay", "seeds.count=1")
    assert ended.code == 4
    assert "timing.trace is empty; allowed: a trace file or a folder of traces" in ended.err


def test_an_altered_trace_is_refused_before_the_first_episode(simloop: Any, measured: Path) -> None:
    last = sorted((measured / "traces").iterdir())[-1]
    header, *lines = last.read_text().splitlines()
    event = json.loads(lines[5])
    lines[5] = json.dumps({**event, "start_ns": event["start_ns"] + 1, "end_ns": -1})
    last.write_text("\n".join([header, *lines]))
    ended = simloop(
        "run",
        "suite=walls.yaml",
        "run_id=r",
        "timing=replay",
        f"timing.trace={measured}/traces",
        "seeds.count=2",
    )
    assert ended.code == 4
    assert f"stage '{event['stage']}', sequence {event['sequence']}) was altered" in ended.err
    assert not (RUNS / "r").exists()


def test_a_changed_trace_is_another_episode(walls: Any, measured: Path) -> None:
    words = ("timing=replay", f"timing.trace={measured}/traces", "strategy=naive_async", "runner=in_process")
    plan, rows = walls.run("run_id=r1", *words, "seeds.count=2")
    last = sorted((measured / "traces").iterdir())[-1]
    last.write_text(last.read_text() + "\n")
    changed, _ = walls.run("run_id=r2", *words, "seeds.count=2")
    ids = {task.spec.episode_id for task in plan.tasks}
    assert ids == {row["episode_id"] for row in rows}
    assert ids.isdisjoint(task.spec.episode_id for task in changed.tasks)


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of three samples in seconds, in a folder of its own that is the current one."""
    monkeypatch.chdir(tmp_path)
    path = Path("runtime.json")
    path.write_text(json.dumps({"type": "empirical", "samples": [0.1, 0.2, 0.3]}))
    return path


@pytest.mark.parametrize("out", ["t.jsonl", "t.parquet"])
def test_import_show_and_use(samples: Path, walls: Any, simloop: Any, out: str) -> None:
    ended = simloop("trace", "import", "sap", str(samples), "--out", out)
    assert ended.code == 0
    assert f"timing=constant 'timing.inference={{distribution: empirical, file: {out}}}'" in ended.out
    assert read_durations_ns(out).tolist() == [100_000_000, 200_000_000, 300_000_000]
    ended = simloop("trace", "show", out)
    assert ended.code == 0
    assert "origin: imported" in ended.out
    (line,) = [x for x in ended.out.splitlines() if "inference" in x and "│" in x]
    assert [c.strip() for c in line.split("│")[1:-1]] == [
        "inference", "3", "0", "200.000", "200.000", "290.000", "298.000", "300.000",
    ]  # fmt: skip
    assert walls.folder.is_dir()
    walls.run(
        "run_id=e", "timing=constant", f"timing.inference={{distribution: empirical, file: {out}}}",
        "strategy=blocking", "runner=in_process", "seeds.count=1",
    )  # fmt: skip
    exported = simloop("trace", "export", "e", "--out", "e.jsonl")
    assert exported.code == 0
    taken = set(read_durations_ns("e.jsonl").tolist())
    assert taken <= {100_000_000, 200_000_000, 300_000_000}
    assert len(taken) > 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("import", "csv", "runtime.json"), "Unknown kind 'csv'"),
        (("import", "sap", "none.json"), "none.json is not a file"),
        (("import", "sap", "runtime.json", "--out", "t.csv"), "cannot be written as '.csv'; allowed: .jsonl"),
        (("import", "mahimahi", "runtime.json"), "needs payload_bytes; it takes: payload_bytes"),
        (("import", "sap", "runtime.json", "--column", "x"), "Unknown column 'x'"),
        (("show", "runtime.json"), "format_version is None"),
        (("show", "none.jsonl"), "Trace none.jsonl cannot be read: No such file"),
        (("show", "none"), "is not a results folder"),
        (("export", "runtime.json"), "Nothing to write: give --out TRACE.jsonl (or .parquet), --perfetto"),
    ],
)
def test_wrong_words_are_refused(samples: Path, simloop: Any, words: tuple[str, ...], message: str) -> None:
    assert samples.is_file()
    ended = simloop("trace", *words)
    assert ended.code == 4
    assert message in ended.err


def test_an_episode_of_a_run_or_a_log_is_exported(simloop: Any, measured: Path) -> None:
    one, other = sorted((measured / "traces").iterdir())
    both = simloop("trace", "export", "m", "--out", "both.parquet", "--perfetto", "both.json")
    assert both.code == 0
    assert set(read_trace("both.parquet").header.episodes) == {one.stem, other.stem}
    single = simloop("trace", "export", "m", "--episode", one.stem[:9], "--out", "one.jsonl")
    assert single.code == 0
    assert read_trace("one.jsonl") == read_trace(one)
    part = simloop("trace", "export", "both.parquet", "--episode", other.stem, "--out", "other.jsonl")
    assert part.code == 0
    assert read_trace("other.jsonl").events == read_trace(other).events
    log = next((measured / "episodes").iterdir())
    from_log = simloop("trace", "export", str(log), "--out", "log.jsonl")
    assert from_log.code == 0
    assert read_trace("log.jsonl").events == read_trace(measured / "traces" / f"{log.name}.jsonl").events
    assert json.loads(Path("both.json").read_text())["otherData"]["model"] == "brake"
    missing = simloop("trace", "export", "m", "--episode", "nothing", "--out", "n.jsonl")
    assert missing.code == 4
    assert "keeps neither log nor trace of episode 'nothing'" in missing.err


def test_traces_of_several_strategies_are_not_mixed(walls: Any, simloop: Any) -> None:
    walls.run(
        "run_id=two", "timing=xr0_4090", "strategy=blocking,naive_async", "runner=in_process", "seeds.count=1"
    )
    ended = simloop("trace", "export", "two", "--perfetto", "p.json")
    assert ended.code == 4
    assert "several agents, strategies or timings (" in ended.err
    assert "BrakeAgent / blocking / xr0_4090" in ended.err
    assert "--episode" in ended.err
