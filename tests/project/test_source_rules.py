"""Rules that hold for every source file, read from the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

MAX_LINES = 600
CLOCK_CALLS = {
    "time": {"time", "time_ns", "sleep", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
    | {"process_time", "process_time_ns", "thread_time", "thread_time_ns", "localtime", "gmtime", "strftime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
GRAB_BAGS = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
UNFINISHED = ("TODO", "FIXME", "XXX", "NotImplementedError")
CORE_MAY_NOT_IMPORT = {
    "simloop_driving",
    "simloop_bimanual",
    "simloop_carla",
    "simloop_agents",
    "carla",
    "robosuite",
    "mujoco",
    "torch",
    "transformers",
}


def _sources(repository: Path, *folders: str) -> Iterator[Path]:
    for folder in folders or ("simloop", "envs", "agents"):
        yield from sorted((repository / folder).rglob("*.py"))


def test_no_file_is_over_the_limit(repository: Path) -> None:
    lengths = {
        str(path.relative_to(repository)): len(path.read_text().splitlines())
        for path in _sources(repository, "simloop", "envs", "agents", "tests")
    }
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_only_one_module_reads_the_wall_clock(repository: Path) -> None:
    found = []
    for path in _sources(repository):
        if path == repository / "simloop" / "wall_clock.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            place = f"{path.relative_to(repository)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                found.append(place)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
                owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                if node.attr in CLOCK_CALLS.get(owner, set()):
                    found.append(place)
    assert found == []


def test_no_grab_bag_modules(repository: Path) -> None:
    assert [str(p) for p in _sources(repository) if p.stem in GRAB_BAGS or p.parent.name in GRAB_BAGS] == []


def test_nothing_is_left_unfinished(repository: Path) -> None:
    found = [
        f"{path.relative_to(repository)}:{number}"
        for path in _sources(repository)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if any(word in line for word in UNFINISHED)
    ]
    assert found == []


def test_the_core_imports_no_simulator_and_no_model(repository: Path) -> None:
    found = []
    for path in _sources(repository, "simloop"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            if {name.partition(".")[0] for name in names} & CORE_MAY_NOT_IMPORT:
                found.append(f"{path.relative_to(repository)}:{node.lineno}")  # type: ignore[attr-defined]
    assert found == []


def test_configurations_are_instantiated_in_one_place(repository: Path) -> None:
    found = [
        str(path.relative_to(repository))
        for path in _sources(repository)
        if "hydra.utils" in path.read_text() and path != repository / "simloop" / "compose.py"
    ]
    assert found == []
