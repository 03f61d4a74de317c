"""Baselines: the part of a run that is kept under version control to compare later runs with.

A baseline holds the summary, the manifest (with its platform key) and one row an episode, without episode ids and
hashes: across platforms the last bits differ, so runs are paired by case, not compared byte by byte.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from simloop.errors import ResultsError
from simloop.store.atomic_file import write_atomically
from simloop.store.manifest import MANIFEST_NAME, Manifest
from simloop.store.row import CELL_COLUMNS, REPEAT
from simloop.store.run_store import RunStore

EPISODES_NAME = "episodes.parquet"
SUMMARY_NAME = "summary.json"
_LEFT_OUT = ("episode_id", "episode_hash", "error_trace", "worker", "wall_s_wall", "has_log")
_ORDER = (*CELL_COLUMNS, "seed", REPEAT)


def write_baseline(run: Path, folder: Path) -> Path:
    """Writes the baseline of a finished run with a report, and returns its folder.

    Raises:
        ResultsError: The run is not complete or has no summary yet.
    """
    store = RunStore.open_read_only(run)
    if len(store.done_ids()) < store.manifest.num_planned:
        raise ResultsError(
            f"{run} has {len(store.done_ids())} of {store.manifest.num_planned} episodes; run the same command again "
            "to complete it, then save the baseline."
        )
    summary = run / SUMMARY_NAME
    if not summary.is_file():
        raise ResultsError(f"{run} has no {SUMMARY_NAME}; build the report first.")
    rows = store.read_rows()
    kept = rows.select([n for n in rows.column_names if n not in _LEFT_OUT])
    folder.mkdir(parents=True, exist_ok=True)
    sink = pa.BufferOutputStream()
    order = [(name, "ascending") for name in _ORDER if name in kept.column_names]
    pq.write_table(kept.sort_by(order), sink, compression="zstd")
    write_atomically(folder / EPISODES_NAME, sink.getvalue().to_pybytes())
    write_atomically(folder / SUMMARY_NAME, summary.read_bytes())
    store.manifest.write(folder)
    return folder


def read_rows_and_manifest(folder: Path) -> tuple[list[dict[str, Any]], Manifest]:
    """Reads the rows of a run's folder or of a baseline's.

    Raises:
        ResultsError: The folder is neither.
    """
    if (folder / EPISODES_NAME).is_file():
        try:
            rows = pq.read_table(folder / EPISODES_NAME).to_pylist()
        except pa.ArrowException as error:
            raise ResultsError(f"{folder / EPISODES_NAME} cannot be read: {error}.") from error
        return rows, Manifest.read(folder)
    if (folder / MANIFEST_NAME).is_file():
        store = RunStore.open_read_only(folder)
        return store.read_rows().to_pylist(), store.manifest
    raise ResultsError(f"{folder} is neither a run's folder nor a baseline: it has no {MANIFEST_NAME}.")
