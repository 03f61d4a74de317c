"""2,000 mutated scenario and map files: each plays or is refused in words; nothing crashes the process or hangs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from simloop.errors import ConfigurationError
from simloop.scenario_files import load_family

WORKER = Path(__file__).parent / "fuzz" / "worker.py"
LIMIT_S = {"quick": 900.0, "nightly": 3600.0}
"""For all cases of a test; a case takes about 20 ms, the first one compiles kernels on a new machine."""
CASE_LIMIT_S = 300.0
"""For one case: the worker ends itself with the stack of the case that hangs. Room for compiling the kernels."""


def _results(
    folder: Path, kind: str, first: int, last: int, limit_s: float, case_limit_s: float = CASE_LIMIT_S
) -> list[dict[str, Any]]:
    """Plays cases in a process of their own; fails if it crashes or does not come to an end, and names the case."""
    command = [sys.executable, str(WORKER), str(folder), kind, str(first), str(last), str(case_limit_s)]
    output = folder / "results.jsonl"
    with output.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.PIPE, text=True)
        try:
            _, errors = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
            errors = f"no end after {limit_s:g} s; {errors}"
    lines = [
        json.loads(line) for line in output.read_text(encoding="utf-8").splitlines() if line.endswith("}")
    ]
    if process.returncode != 0:
        file = folder / "case.yaml"
        text = file.read_text(encoding="utf-8", errors="replace")[:3000] if file.exists() else ""
        where = lines[-1] if lines else "before the first case"
        pytest.fail(f"{kind} {where}: exit code {process.returncode}; {errors[-3000:]}\n{text}")
    return [line for line in lines if "outcome" in line]


def _check(folder: Path, kind: str, first: int, last: int, limit_s: float) -> None:
    results = _results(folder, kind, first, last, limit_s)
    assert [r["number"] for r in results] == list(range(first, last))
    bad = [r for r in results if r["outcome"] not in ("played", "refused")]
    shown = "\n".join(f"{kind} {r['number']} {r['outcome']}: {r['message'][-1200:]}" for r in bad[:10])
    assert not bad, f"{len(bad)} of {last - first}:\n{shown}"
    # The mutations are neither so wild that all are refused at the door nor so tame that all play.
    outcomes = Counter(r["outcome"] for r in results)
    assert outcomes["played"] > 0.08 * len(results)
    assert outcomes["refused"] > 0.2 * len(results)


@pytest.mark.parametrize(("kind", "last"), [("scenario", 300), ("map", 120)])
def test_mutated_files_play_or_are_refused(tmp_path: Path, kind: str, last: int) -> None:
    _check(tmp_path, kind, 0, last, LIMIT_S["quick"])


@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "last"), [("scenario", 1400), ("map", 600)])
def test_all_mutated_files_play_or_are_refused(tmp_path: Path, kind: str, last: int) -> None:
    _check(tmp_path, kind, 0, last, LIMIT_S["nightly"])


def test_a_worker_that_dies_or_hangs_is_reported_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(
        pytest.fail.Exception, match=r"before the first case: exit code 1; [\s\S]*KeyError: 'nothing'"
    ):
        _results(tmp_path, "nothing", 0, 1, LIMIT_S["quick"])
    with pytest.raises(
        # Its stack is read while it runs on, so what ends it may also be a signal.
        pytest.fail.Exception,
        match=r"scenario \{'begins': 0\}: exit code -?\d+; Timeout[\s\S]*File",
    ):
        _results(tmp_path, "scenario", 0, 1, LIMIT_S["quick"], case_limit_s=1e-3)


HEAD = "family: f\nworld: driving\ntime_limit_s: 5.0\nparameters: {}\n"
BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "scene: &a {ego: *a}\n", r"nested more than 40 levels deep \(or holds itself\)"),
        (HEAD + "tags: &a [*a]\n", r"or holds itself"),
        (HEAD + BOMB + "scene: {ego: *a8}\n", r"more than 100000 values with its aliases written out"),
        (HEAD + "scene: " + "[" * 20000 + "]" * 20000, r"nested"),
        (HEAD + "scene: " + "{a: " * 60 + "1" + "}" * 60, r"nested more than 40"),
        (
            HEAD + "scene: {ego: {on: {lane: -1}}}\n",
            r"scene: ego: the key True is not text \(YAML reads on, off",
        ),
        (HEAD + "scene: {actors: [{1: 2}]}\n", r"scene: actors: the key 1 is not text; put it in quotes"),
    ],
    ids=["inside_itself", "list_inside_itself", "billions", "thousands_deep", "sixty_deep", "on", "number"],
)
def test_files_that_unfold_without_end_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "case.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        load_family(str(file))
