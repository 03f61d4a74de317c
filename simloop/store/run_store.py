"""A run's folder, ``results/runs/<run_id>/``: manifest, atomic parts, episode logs, summary.

One process writes at a time (a lock that the kernel frees with the process sees to it) and refuses to record an
episode twice, so readers have nothing to de-duplicate.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa

from simloop.errors import ResultsError
from simloop.log import ColumnArray, EpisodeLog
from simloop.store.atomic_file import write_atomically
from simloop.store.episode_logs import is_sampled, read_log, read_log_table, write_log
from simloop.store.manifest import MANIFEST_NAME, Manifest
from simloop.store.parts import list_parts, part_number, read_part, set_aside_torn, write_part
from simloop.store.play_logs import PLAYED_COLUMNS, PlayLogs
from simloop.store.row import CELL_COLUMNS, REPEAT, EpisodeStatus, rows_to_table

FINDINGS_NAME = "findings.json"
_LOCK_NAME = ".lock"
_NOTED_COLUMNS = ("episode_id", "status", "has_log", "scenario", *PLAYED_COLUMNS, "episode_hash", REPEAT)


class RunStore:
    """A run's folder. Made by ``create_or_open`` for writing and by ``open_read_only`` for reading.

    Attributes:
        path: The folder.
        manifest: What the run is.
    """

    def __init__(self, path: Path, manifest: Manifest, lock: IO[str] | None) -> None:
        self.path = path
        self.manifest = manifest
        self._lock = lock
        self._done: set[str] = set()
        self._cells_with_log: set[tuple[str, ...]] = set()
        self._play_logs = PlayLogs()
        self._next_part = 0
        for part in list_parts(self._parts):
            self._note_rows(read_part(part, list(_NOTED_COLUMNS)).to_pylist(), part)
            self._next_part = max(self._next_part, part_number(part) + 1)

    @classmethod
    def create_or_open(cls, path: Path, manifest: Manifest) -> RunStore:
        """Makes the folder, or opens it to go on where the same run stopped; torn parts are set aside.

        Raises:
            ResultsError: The folder holds another run (changed suite, agent, metrics or platform; both values are
                shown), something that is not a run, or is being written by another process.
        """
        path = Path(path)
        (path / "parts").mkdir(parents=True, exist_ok=True)
        (path / "episodes").mkdir(exist_ok=True)
        lock = _take_lock(path)
        try:
            if (path / MANIFEST_NAME).is_file():
                stored = Manifest.read(path)
                stored.check_resumable(manifest, path)
                manifest = stored
            elif list_parts(path / "parts"):
                raise ResultsError(f"{path} holds parts but no {MANIFEST_NAME}; choose another run_id.")
            else:
                manifest.write(path)
            set_aside_torn(path / "parts")
            return cls(path, manifest, lock)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def open_read_only(cls, path: Path) -> RunStore:
        """Opens a run for reading; ResultsError if it is not one or a part of it is torn."""
        path = Path(path)
        return cls(path, Manifest.read(path), None)

    @property
    def _parts(self) -> Path:
        return self.path / "parts"

    def __enter__(self) -> RunStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets another process write; the store is not written afterwards."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def done_ids(self) -> frozenset[str]:
        """Returns the ids of the episodes that are recorded."""
        return frozenset(self._done)

    def wants_log(self, row: Mapping[str, Any]) -> bool:
        """Whether the log of this episode is to be kept: no success, or sampled, or the first success of its cell.

        A cell is a combination of scenario, agent, timing and strategy; the report shows one episode of each. Of an
        episode that is played several times, see ``simloop.store.play_logs``.
        """
        if row["status"] != EpisodeStatus.SUCCESS.value or is_sampled(row["episode_id"]):
            return True
        if self._play_logs.wants(row):
            return True
        return tuple(str(row[c]) for c in CELL_COLUMNS) not in self._cells_with_log

    def write_part(self, rows: Sequence[Mapping[str, Any]]) -> Path | None:
        """Records the rows of finished episodes; when it returns they outlive a kill.

        Raises:
            ResultsError: An episode is recorded already, a row lacks its identity, or the store is read-only.
        """
        self._check_writable()
        if not rows:
            return None
        table = rows_to_table(rows)
        ids = [str(row["episode_id"]) for row in rows]
        twice = sorted(self._done.intersection(ids) | {i for i, n in Counter(ids).items() if n > 1})
        if twice:
            raise ResultsError(f"Episodes {', '.join(twice[:3])} would be recorded twice in {self.path}.")
        path = write_part(self._parts, self._next_part, table)
        self._next_part += 1
        self._note_rows(rows, path)
        return path

    def _note_rows(self, rows: Sequence[Mapping[str, Any]], part: Path) -> None:
        for row in rows:
            episode_id = str(row["episode_id"])
            if episode_id in self._done:
                raise ResultsError(f"{part} records episode {episode_id}, which another part records too.")
            self._done.add(episode_id)
            if row.get("has_log"):
                self.note_log(row)

    def note_log(self, row: Mapping[str, Any]) -> None:
        """Remembers that the log of this row's episode is kept, so that its cell needs no further success."""
        self._play_logs.note(row)
        if row["status"] == EpisodeStatus.SUCCESS.value:
            self._cells_with_log.add(tuple(str(row.get(c)) for c in CELL_COLUMNS))

    def write_episode_log(self, episode_id: str, log: EpisodeLog) -> None:
        """Writes the log of an episode, before the row that says so; replaces what a killed run left."""
        self._check_writable()
        write_log(self.log_folder(episode_id), log)

    def log_folder(self, episode_id: str) -> Path:
        """Returns where the log of an episode is, or would be.

        Raises:
            ResultsError: The text is not an episode id.
        """
        if not episode_id.isalnum():
            raise ResultsError(f"{episode_id!r} is not an episode id; ids are letters and digits.")
        return self.path / "episodes" / episode_id

    def read_episode_log(self, episode_id: str) -> EpisodeLog:
        """Reads the log of an episode; ResultsError if it was not kept."""
        return read_log(self.log_folder(episode_id))

    def read_log_table(self, episode_id: str, table: str) -> dict[str, ColumnArray] | None:
        """Reads one table of the log of an episode; None if the log, or the table in it, was not kept."""
        return read_log_table(self.log_folder(episode_id), table)

    def read_rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Returns one row an episode, in the order of recording; columns that a part lacks are null.

        Args:
            columns: Only these, as far as there are any of them; all if None.
        """
        wanted = None if columns is None else list(dict.fromkeys(columns))
        tables = [read_part(part, wanted) for part in list_parts(self._parts)]
        if not tables:
            return rows_to_table([])
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()

    def rows_of(self, episode_ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, Any]]:
        """Returns some columns of the rows of recorded episodes, in the order of ``episode_ids``.

        A column that the run does not have is None in every row.

        Raises:
            ResultsError: An episode is not recorded.
        """
        table = self.read_rows(("episode_id", *columns))
        place = {episode_id: n for n, episode_id in enumerate(table.column("episode_id").to_pylist())}
        missing = next((i for i in episode_ids if i not in place), None)
        if missing is not None:
            raise ResultsError(f"{self.path} has no episode {missing}.")
        values = {name: table.column(name).to_pylist() for name in columns if name in table.column_names}
        absent = dict.fromkeys(c for c in columns if c not in values)
        return [
            {**{name: column[place[i]] for name, column in values.items()}, **absent} for i in episode_ids
        ]

    def plan(self, num_planned: int) -> None:
        """Notes in the manifest that the run shall have at least so many episodes."""
        self._check_writable()
        if num_planned > self.manifest.num_planned:
            self.manifest = dataclasses.replace(self.manifest, num_planned=num_planned)
            self.manifest.write(self.path)

    def query(self, sql: str) -> pa.Table:
        """Runs SQL over the table ``episodes`` (DuckDB), for example ``SELECT avg(success_held) FROM episodes``."""
        import duckdb  # here: it is slow to load

        with duckdb.connect() as connection:
            connection.register("episodes", self.read_rows())
            return connection.sql(sql).to_arrow_table()

    def write_findings(self, findings: Mapping[str, Any]) -> Path:
        """Writes what a campaign found as ``findings.json`` and returns its path."""
        path = self.path / FINDINGS_NAME
        write_atomically(path, (json.dumps(findings, indent=1, allow_nan=False) + "\n").encode())
        return path

    def read_findings(self) -> dict[str, Any]:
        """Returns what the campaign found; nothing for a suite, or before the run is complete."""
        path = self.path / FINDINGS_NAME
        if not path.is_file():
            return {}
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise ResultsError(f"{path} cannot be read as JSON: {error}.") from error
        return found

    def write_summary(self, summary: Mapping[str, Any]) -> Path:
        """Writes ``summary.json`` atomically and returns its path."""
        path = self.path / "summary.json"
        write_atomically(path, (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode())
        return path

    def _check_writable(self) -> None:
        if self._lock is None:
            raise ResultsError(f"{self.path} is open for reading only.")


def _take_lock(path: Path) -> IO[str]:
    lock = (path / _LOCK_NAME).open("a+")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise ResultsError(
            f"{path} is being written by another process (id {holder}). Wait for it, or choose another run_id."
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
