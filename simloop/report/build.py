"""Builds everything that a run says from its folder alone."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simloop.preventability import ArmLabels, label_rows
from simloop.repeats import Repeats
from simloop.report.cells import Rows, is_judged, is_success, shared_rows
from simloop.report.contact_table import CONTACTS_NAME, Contacts, contacts_csv, read_contacts
from simloop.report.heat_map import HeatMap, heat_maps
from simloop.report.heat_map_svg import figure_svg as heat_map_svg
from simloop.report.junit import build_junit
from simloop.report.labels import LABELS_NAME, label_lines, labels_csv
from simloop.report.page import build_page
from simloop.report.repeat_tables import (
    REPEATS_NAME,
    course_differences,
    difference_lines,
    repeat_lines,
    repeats_csv,
)
from simloop.report.scene import read_scene
from simloop.report.summary import build_markdown, build_summary
from simloop.report.sweep_charts import figure_svg
from simloop.report.sweep_tables import SweepGroup, sweep_groups
from simloop.report.verdict import Verdict, judge
from simloop.report.video import FRAMES_PER_SECOND, MAX_SECONDS, write_video
from simloop.store.atomic_file import write_atomically
from simloop.store.row import CELL_COLUMNS, REPEAT
from simloop.store.run_store import RunStore
from simloop.sweep.results import is_sweep, read_sweep, write_sweep_files

_LOG = logging.getLogger(__name__)
MAX_VIDEOS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """Where the parts of a report are.

    Attributes:
        report_html: The page.
        junit_xml: The file for continuous integration.
        summary_md: The verdict for a pull request.
        summary_json: The verdict for machines.
        videos: Films of failing episodes.
        verdict: What the run comes to.
        differences: By case where two of its plays first differ, of the first cases whose world promises that none do.
    """

    report_html: Path
    junit_xml: Path
    summary_md: Path
    summary_json: Path
    videos: tuple[Path, ...]
    verdict: Verdict
    differences: Mapping[str, str] = field(default_factory=dict)

    def notes(self, summary: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns what the console says beside the verdict: labels of fails, repeats, and where plays differ.

        Args:
            summary: What ``summary_json`` holds.
        """
        return (
            *label_lines(summary),
            *repeat_lines(self.verdict.repeats),
            *difference_lines(self.differences),
        )


def build_report(run_dir: Path) -> ReportFiles:
    """Writes ``report.html``, ``junit.xml``, ``summary.md``, ``summary.json`` and ``video/`` into a run's folder.

    Where anything touched anything also ``contacts.csv``, one line a cell and pair of classes.

    With repeats also ``repeats.csv``, one line a case and arm.

    With reference agents also ``labels.csv``, one line a labelled case; where two parameters vary also
    ``heat_map_1.svg`` and so on, one an arm that is judged. For a sweep also ``sweep.svg`` (``sweep_1.svg`` and so on
    for several scenarios or agents), ``sweep.csv``, ``sweep.parquet`` and the CSV files of what else it found.

    The JUnit file and the summaries are written first and the films last, so that a full disk costs pictures only.

    Raises:
        ResultsError: The folder is not a run, or a part of it is torn.
    """
    store = RunStore.open_read_only(Path(run_dir))
    rows = sorted(shared_rows(store.read_rows()), key=_case_order)
    verdict = judge(rows, store.manifest)
    labels = label_rows(rows, store.manifest.reference)
    swept = read_sweep(store) if is_sweep(store) else None
    if swept is not None:
        write_sweep_files(store, swept)
        _write_figures(store, sweep_groups(swept))
    junit, markdown, page = (store.path / name for name in ("junit.xml", "summary.md", "report.html"))
    write_atomically(junit, build_junit(rows, store.manifest, verdict, labels))
    write_atomically(markdown, build_markdown(rows, store.manifest, verdict, swept, labels).encode())
    summary = store.write_summary(build_summary(rows, store.manifest, verdict, swept, labels))
    maps = (
        []
        if swept is not None
        else heat_maps(rows, labels, store.manifest.reference, store.manifest.heat_map)
    )
    _write_label_files(store, rows, labels, maps)
    repeats = verdict.repeats
    differences = {} if repeats is None else course_differences(store, repeats)
    _write_repeats(store, repeats)
    contacts = read_contacts(store, rows)
    _write_contacts(store, contacts)
    write_atomically(
        page, build_page(store, rows, verdict, contacts, swept, labels, maps, differences).encode()
    )
    videos = _write_videos(store, rows)
    _LOG.info("%s: %.2f MB, %d videos", page, page.stat().st_size / 1e6, len(videos))
    return ReportFiles(
        report_html=page,
        junit_xml=junit,
        summary_md=markdown,
        summary_json=summary,
        videos=videos,
        verdict=verdict,
        differences=differences,
    )


def _write_label_files(
    store: RunStore, rows: Rows, labels: Sequence[ArmLabels], maps: Sequence[HeatMap]
) -> None:
    for old in (store.path / LABELS_NAME, *store.path.glob("heat_map_*.svg")):
        old.unlink(missing_ok=True)
    if labels:
        write_atomically(store.path / LABELS_NAME, labels_csv(rows, labels).encode())
    for number, heat_map in enumerate([m for m in maps if not m.is_reference], 1):
        write_atomically(store.path / f"heat_map_{number}.svg", heat_map_svg(heat_map).encode())


def _write_repeats(store: RunStore, repeats: Repeats | None) -> None:
    path = store.path / REPEATS_NAME
    path.unlink(missing_ok=True)
    if repeats is not None:
        write_atomically(path, repeats_csv(repeats).encode())


def _write_contacts(store: RunStore, contacts: Contacts) -> None:
    path = store.path / CONTACTS_NAME
    path.unlink(missing_ok=True)
    if contacts.pairs:
        write_atomically(path, contacts_csv(contacts).encode())


def _write_figures(store: RunStore, groups: Sequence[SweepGroup]) -> None:
    for number, group in enumerate(groups, 1):
        name = "sweep.svg" if len(groups) == 1 else f"sweep_{number}.svg"
        write_atomically(store.path / name, figure_svg(group.title, group.curves, group.axis).encode())


def _case_order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Rows in an order that does not depend on which worker finished first."""
    return (
        *(str(row[c]) for c in CELL_COLUMNS),
        row["seed"],
        row.get(REPEAT) or 0,
        row["episode_id"],
    )


def _write_videos(store: RunStore, rows: Rows) -> tuple[Path, ...]:
    """Films the first failure of each scenario and agent, at most ``MAX_VIDEOS``, the scenarios in turn."""
    folder = store.path / "video"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.mp4"):
        old.unlink()
    failures: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        if is_judged(row) and not is_success(row) and row.get("has_log"):
            failures.setdefault((str(row["scenario"]), str(row["agent"])), row)
    paths = []
    for row in _scenarios_in_turn(list(failures.values()))[:MAX_VIDEOS]:
        scene = read_scene(store.read_episode_log(row["episode_id"]), MAX_SECONDS * FRAMES_PER_SECOND)
        if scene is None:
            continue
        path = folder / f"{row['episode_id']}.mp4"
        write_video(
            path,
            scene,
            f"{row['scenario']}, {row['agent']}, {row['timing']}, {row['strategy']}: {row['reason']}",
        )
        paths.append(path)
    return tuple(paths)


def _scenarios_in_turn(rows: Rows) -> list[Mapping[str, Any]]:
    turns: Counter[str] = Counter()
    ranked = []
    for row in rows:
        ranked.append((turns[row["scenario"]], row))
        turns[row["scenario"]] += 1
    return [row for _, row in sorted(ranked, key=lambda pair: pair[0])]
