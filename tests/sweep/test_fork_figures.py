"""The figures of jitter, burst loss and reordering: commands plan, tables are those of the CSV files."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest

from simloop.stats.rate import wilson
from simloop.suites import load_suite
from simloop.sweep.definition import sweep_from_block, sweep_from_words
from simloop.sweep.planning import plan_command

FIGURES = ("fork_jitter", "fork_burst_loss", "fork_reordering")
MAX_BYTES = 100_000


@pytest.fixture(scope="module")
def section(repository: Path) -> str:
    text = (repository / "docs" / "latency-lab.md").read_text(encoding="utf-8")
    return text.partition("## Jitter, burst loss and reordering")[2].partition("\n## ")[0]


def test_every_command_of_the_section_plans(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```bash\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines() if line]
    assert {w for words in commands for w in words if w.startswith("suite=")} == {
        f"suite={f}" for f in FIGURES
    }
    for program, command, kind, *words in commands:
        assert (program, command) == ("simloop", "sweep")
        words = [w for w in words if not w.startswith("seeds.")]
        plan = plan_command(f"sweep {kind}", [*words, "seeds.count=1", "runner=in_process"])
        definition = plan.manifest.config["sweep"]["definition"]
        assert len(plan.tasks) == len(definition["strategy"]) * len(definition["levels"])


@pytest.mark.parametrize("name", FIGURES)
def test_the_table_is_that_of_the_csv_and_the_csv_that_of_the_suite(
    name: str, section: str, repository: Path
) -> None:
    images = repository / "docs" / "images"
    assert f"(images/{name}.svg)" in section and f"(images/{name}.csv)" in section
    assert (images / f"{name}.svg").stat().st_size < MAX_BYTES
    with (images / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    block = load_suite(name).sweep
    sweep = sweep_from_words(sweep_from_block(block, name))
    found: dict[str, list[str]] = {}
    for row in rows:
        rate = wilson(int(row["successes"]), int(row["n"]))
        cell = f"{100 * rate.rate:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
        found.setdefault(row["strategy"], []).append(cell)
    assert tuple(found) == sweep.strategy
    assert {(int(r["n"]), r["num_lost"], r["num_missing"]) for r in rows} == {(sweep.num_seeds, "0", "0")}
    assert [float(r["level"]) for r in rows if r["strategy"] == "paused"] == list(sweep.levels)
    for strategy, cells in found.items():
        assert f"| `{strategy}` | {' | '.join(cells)} |" in section
