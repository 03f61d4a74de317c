"""Every command and snippet of README.md is run, in its order, in one empty folder.

A comment before a block says how:

- ``<!-- test: file NAME -->`` the block becomes that file, which later blocks use;
- ``<!-- test: ci -->``        every line of it is a line of ``.ci/run``, which takes minutes;
- ``<!-- test: activate -->``  the first line activates ``.venv``; the tests' own environment stands for it;
- ``<!-- test: dry run -->``   ``make`` is asked what it would do;
- ``<!-- test: reduced run A=B; train --c 1 -->`` the arguments are added to those commands, or take the place of their
  own of the same name, to make them shorter; after ``activate; `` as well;
- none                         ``bash`` and ``python`` blocks are run as they stand.

``text`` blocks are pictures and not run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
FENCE = re.compile(
    r"(?:^<!-- test: (?P<how>.+?) -->\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
ACTIVATE = "source .venv/bin/activate\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block of README."""

    line: int
    how: str
    language: str
    body: str


def _blocks() -> list[Block]:
    text = README.read_text(encoding="utf-8") if README.is_file() else ""
    return [
        Block(
            line=text.count("\n", 0, found.start("language")) + 1,
            how=found["how"] or "",
            language=found["language"],
            body=found["body"],
        )
        for found in FENCE.finditer(text)
    ]


BLOCKS = _blocks()
RUNNABLE = [
    b for b in BLOCKS if b.language in ("bash", "python") and not b.how.startswith(("file", "ci", "dry run"))
]


def _run(command: list[str], folder: Path) -> str:
    bin_folder = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": "",
        "COLUMNS": "120",
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    shown = (
        f"{shlex.join(command)}\nended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    assert done.returncode == 0, shown
    return done.stdout


@pytest.fixture(scope="module")
def folder(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with the files that README shows."""
    path = tmp_path_factory.mktemp("readme")
    for block in BLOCKS:
        if block.how.startswith("file "):
            (path / block.how.removeprefix("file ")).write_text(block.body, encoding="utf-8")
    return path


def test_readme_says_how_each_block_is_tested(repository: Path) -> None:
    known = ("", "ci", "activate", "dry run")
    assert len(BLOCKS) >= 8
    for block in BLOCKS:
        place = f"README.md:{block.line}"
        assert block.how in known or block.how.startswith(("file ", "reduced ", "activate; reduced ")), (
            f"{place}: {block.how!r}"
        )
        assert block.language in ("bash", "python", "yaml", "text"), f"{place}: {block.language!r}"
        if block.language == "yaml":
            assert block.how.startswith("file "), f"{place}: YAML that nothing reads"
        if block.how.startswith("activate"):
            assert block.body.startswith(ACTIVATE), f"{place} does not activate the environment"


def _reduced(words: list[str], extra: list[str]) -> list[str]:
    """Returns a command with more arguments; ``name=value`` takes the place of another value of that name."""
    given = {word.partition("=")[0] for word in extra if "=" in word}
    return [*(word for word in words if word.partition("=")[0] not in given), *extra]


@pytest.mark.parametrize("block", RUNNABLE, ids=[f"line_{b.line}" for b in RUNNABLE])
def test_readme_block_runs(block: Block, folder: Path) -> None:
    if block.language == "python":
        assert _run([sys.executable, "-c", block.body], folder).strip()
        return
    body = block.body.removeprefix(ACTIVATE) if block.how.startswith("activate") else block.body
    how, extra = block.how.removeprefix("activate; "), {}
    if how.startswith("reduced "):
        extra = {words[0]: words[1:] for words in map(shlex.split, how.removeprefix("reduced ").split(";"))}
    for command in body.splitlines():
        words = shlex.split(command, comments=True)
        assert words[0] == "simloop"
        shown = _run(_reduced(words, extra.get(words[1], [])), folder)
        assert shown.strip(), f"{command} printed nothing"


def test_readme_commands_that_ci_runs(repository: Path) -> None:
    ci_lines = {
        line.split(" ARGS=")[0].strip() for line in (repository / ".ci" / "run").read_text().splitlines()
    }
    commands = [line for block in BLOCKS if block.how == "ci" for line in block.body.splitlines()]
    assert commands
    assert [c for c in commands if c not in ci_lines] == []


def test_readme_make_variables_reach_pip(repository: Path, tmp_path: Path) -> None:
    commands = [line for block in BLOCKS if block.how == "dry run" for line in block.body.splitlines()]
    assert commands
    for command in commands:
        words = shlex.split(command)
        plan = _run([*words, "--dry-run", f"VENV={tmp_path / 'venv'}"], repository)
        flags = next(w.partition("=")[2] for w in words if w.startswith("TORCH_FLAGS="))
        torch_line = next(line for line in plan.splitlines() if "install --quiet torch==" in line)
        assert flags in torch_line


def test_links_of_the_documents_lead_somewhere(repository: Path) -> None:
    broken = []
    for document in (*repository.glob("*.md"), *(repository / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.relative_to(repository)}: {target}")
    assert broken == []
