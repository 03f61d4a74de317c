"""docs/log.md lists what there is."""

from __future__ import annotations

from pathlib import Path

from simloop.log import CONTACTS, MOTION
from simloop.loop_tables import loop_schemas
from simloop.store.row import FIXED_COLUMNS


def test_every_table_and_row_column_is_on_the_page(repository: Path) -> None:
    page = (repository / "docs" / "log.md").read_text()
    schemas = {**loop_schemas(2), "world.motion": MOTION, "world.contacts": CONTACTS}
    for table, schema in schemas.items():
        start = page.index(f"### `{table}`\n")
        section = page[start : page.index("\n#", start + 1)]
        listed = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
        assert listed == [c.name for c in schema.columns], table
    for name in FIXED_COLUMNS:
        assert f"| `{name}` |" in page, name
