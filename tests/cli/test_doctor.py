"""``simloop doctor`` and plug-ins that do not load."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simloop import plugins
from simloop.cli import doctor

Plug = Callable[[str, str], None]


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    """Installs a distribution ``brokenwheel 4.2`` with one entry point whose module raises."""

    def install(group: str, target: str) -> None:
        information = tmp_path / "brokenwheel-4.2.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: brokenwheel\nVersion: 4.2\n")
        (information / "entry_points.txt").write_text(f"[simloop.{group}]\nzz_broken = {target}\n")
        (tmp_path / "brokenwheel.py").write_text("raise OSError('no such device')\n")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        plugins.entry_points.cache_clear()

    yield install
    monkeypatch.undo()
    plugins.entry_points.cache_clear()


def test_the_table_says_what_is_there(simloop: Any) -> None:
    ended = simloop("doctor")
    assert ended.code == 0, ended.out
    assert "simloop doctor" in ended.out
    for name in ("python", "mujoco", "numba", "ray", "carla", "ffmpeg", "worlds: driving", "agent: expert"):
        assert name in ended.out
    assert "MISSING" not in ended.out


def test_what_a_run_needs_and_is_missing_is_four_with_a_remedy(
    simloop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mujoco", None)
    monkeypatch.setattr(doctor, "_plugins", list)
    monkeypatch.setattr(doctor, "_agents", list)
    ended = simloop("doctor")
    assert ended.code == 4
    (line,) = (line for line in ended.out.splitlines() if "mujoco" in line and "MISSING" in line)
    assert "pip install 'mujoco>=3.6,<3.10'" in line


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("metrics", ("list", "metrics")),
        ("worlds", ("list", "worlds")),
        ("commands", ("zz_broken",)),
        ("metrics", ("run", "suite=smoke", "agent=expert", "--dry-run")),
    ],
)
def test_a_plugin_that_does_not_load_is_reported_with_traceback_and_distribution(
    simloop: Any, plug: Plug, group: str, words: tuple[str, ...]
) -> None:
    plug(group, "brokenwheel:Thing")
    ended = simloop(*words)
    assert ended.code == 4
    assert (
        f"simloop.{group} entry 'zz_broken' = brokenwheel:Thing of brokenwheel 4.2 does not load" in ended.err
    )
    assert "brokenwheel.py" in ended.err
    assert "OSError: no such device" in ended.err


def test_doctor_names_a_broken_plugin(simloop: Any, plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_agents", list)
    plug("worlds", "brokenwheel:Thing")
    ended = simloop("doctor")
    assert ended.code == 4
    assert "worlds: zz_broken" in ended.out
    assert "brokenwheel 4.2" in ended.out
    assert "reinstall its distribution" in ended.out


def test_a_plugin_of_a_wrong_type_is_refused(simloop: Any, plug: Plug) -> None:
    plug("worlds", "pathlib:Path")
    ended = simloop("list", "worlds")
    assert ended.code == 4
    assert "it must be a subclass of simloop.world.World" in ended.err


def test_a_command_that_works_does_not_load_the_broken_one(simloop: Any, plug: Plug) -> None:
    plug("commands", "brokenwheel:Thing")
    assert simloop("list", "strategies").code == 0
