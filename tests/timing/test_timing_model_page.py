"""What docs/timing-model.md prints is what its example prints."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from simloop.clock import Phase


def _page(repository: Path) -> str:
    return (repository / "docs" / "timing-model.md").read_text(encoding="utf-8")


def test_the_examples_print_what_the_page_says(repository: Path) -> None:
    page = _page(repository)
    examples = re.findall(r"```python\n(.*?)```.*?```text\n(.*?)```", page, re.DOTALL)
    assert len(examples) == page.count("```python\n") >= 2
    for code, printed in examples:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, "docs/timing-model.md", "exec"), {})
        assert output.getvalue() == printed


def test_the_published_order_is_the_codes(repository: Path) -> None:
    match = re.search(r"`(PHYSICS_DONE[^`]*)`", _page(repository))
    assert match is not None
    assert re.split(r"\s*<\s*", match.group(1)) == [phase.name for phase in sorted(Phase)]


def test_every_preset_and_strategy_is_on_the_page(repository: Path) -> None:
    page = _page(repository)
    for group in ("timing", "strategy"):
        for file in (repository / "conf" / group).glob("*.yaml"):
            assert f"| `{file.stem}` |" in page, file
