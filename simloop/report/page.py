"""``report.html``: one file with everything in it, no network, every text escaped."""

from __future__ import annotations

import importlib.resources
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from simloop.plugins import load_traces
from simloop.preventability import ArmLabels, CaseLabel, Preventability
from simloop.repeats import by_play
from simloop.report.cells import Rows, cells, is_judged, is_success
from simloop.report.charts import distribution_svg, distributions, latency_panels
from simloop.report.contact_table import MAX_LOGS, Contacts, contact_tables
from simloop.report.criticality import CriticalityPanel, criticality_panels
from simloop.report.episode_view import episode_view
from simloop.report.heat_map import HeatMap
from simloop.report.heat_map_svg import CLASSES, counts_text, panel_svg, script_data
from simloop.report.labels import MAX_FAILS_SHOWN, impact_text, labels_by_episode, preventable_fails
from simloop.report.metric_gaps import MAX_GAPS_SHOWN, metric_gaps, reasons_of
from simloop.report.repeat_tables import repeat_view, shown_plays
from simloop.report.summary import measured_note, metric_names
from simloop.report.sweep_charts import curve_svg
from simloop.report.sweep_tables import sweep_groups
from simloop.report.verdict import Verdict
from simloop.store.manifest import Manifest
from simloop.store.row import CELL_COLUMNS, REPEAT, EpisodeStatus
from simloop.store.run_store import RunStore
from simloop.sweep.results import SweepResult

MAX_EMBEDDED_FAILURES = 20
MAX_EMBEDDED = 44
MAX_EMBEDDED_BYTES = 2_500_000
MAX_LISTED = 4_000
NUM_OPEN_MOTION = 9
MAX_TRACE_CHARACTERS = 6_000
_LIST_COLUMNS = ("episode", "status", "reason", "scenario", "agent", "timing", "strategy", "seed", "label")
_SCRIPTS = ("start", "pictures", "arms", "timeline", "traces", "heat", "episode", "list")
"""Parts of the page's script, in one scope."""
_OPEN_METRICS = (
    "min_ttc_s",
    "impact_speed_mps",
    "jerk_rms_mps3",
    "ldlj",
    "boundary_jump_ratio",
    "starvation_s",
    "action_age_mean_ms",
    "episode_length_s",
)
"""Metrics that are shown first, where the run has them."""


def script_json(value: Any) -> Markup:
    """Returns JSON that is safe inside a script element: no ``<``, no line separators of JavaScript."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def chosen_episodes(
    rows: Rows, labels: Mapping[str, CaseLabel], flaky: Sequence[str] = ()
) -> list[Mapping[str, Any]]:
    """Picks the episodes to embed: plays of flaky cases, then failures, then one success of each cell.

    The latter are taken in turn from every scenario and agent, so that a bad one does not crowd out the others, and
    first plays before further ones. Of the failures, those that a reference agent avoids come first, and the reference
    agents' own last.
    """
    wanted = {row["episode_id"]: row for row in rows if row["episode_id"] in flaky}
    failures = _in_turn(by_play(row for row in rows if not is_success(row)))
    if labels:
        failures.sort(key=lambda row: _rank(labels.get(row["episode_id"])))
    first_success: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for row in rows:
        if is_success(row) and row.get("has_log"):
            first_success.setdefault(tuple(str(row[c]) for c in CELL_COLUMNS), row)
    others = [*failures[:MAX_EMBEDDED_FAILURES], *_in_turn(list(first_success.values()))]
    chosen = {i: wanted[i] for i in flaky if i in wanted} | {row["episode_id"]: row for row in others}
    return list(chosen.values())[:MAX_EMBEDDED]


def _rank(label: CaseLabel | None) -> int:
    return 2 if label is None else int(label.label is not Preventability.PREVENTABLE_FAIL)


def _in_turn(rows: Rows) -> list[Mapping[str, Any]]:
    """Orders rows round robin over (scenario, agent), and within these over (timing, strategy)."""
    seen: Counter[tuple[str, ...]] = Counter()
    ranked = []
    for row in rows:
        cell = tuple(str(row[c]) for c in CELL_COLUMNS)
        ranked.append((seen[cell], row))
        seen[cell] += 1
    ranked.sort(key=lambda pair: pair[0])
    turns: Counter[tuple[str, ...]] = Counter()
    order = []
    for _, row in ranked:
        arm = (str(row["scenario"]), str(row["agent"]))
        order.append((turns[arm], row))
        turns[arm] += 1
    return [row for _, row in sorted(order, key=lambda pair: pair[0])]


def embed_episodes(
    store: RunStore, rows: Rows, labels: Mapping[str, CaseLabel], flaky: Sequence[str] = ()
) -> dict[str, Any]:
    """Returns view, parameters, metrics and traceback by episode id, until the page would become too large."""
    names = metric_names(rows)
    traces = load_traces()
    details: dict[str, Any] = {}
    size = 0
    for row in chosen_episodes(rows, labels, flaky):
        label = labels.get(row["episode_id"])
        detail = {
            "log": episode_view(store.read_episode_log(row["episode_id"]), traces)
            if row.get("has_log")
            else None,
            "avoided": [] if label is None else list(label.avoided_by),
            "parameters": json.loads(row["parameters"]),
            "metrics": {name: row[name] for name in names if row.get(name) is not None}
            | {name: f"no value: {why}" for name, why in reasons_of(row).items()},
            "trace": (row.get("error_trace") or "")[-MAX_TRACE_CHARACTERS:],
        }
        size += len(script_json(detail))
        if size > MAX_EMBEDDED_BYTES:
            break
        details[row["episode_id"]] = detail
    return details


def _listed(rows: Rows, embedded: Mapping[str, Any], labels: Mapping[str, CaseLabel]) -> list[list[Any]]:
    """Rows of the list: embedded failures, other failures, successes."""
    words = {i: label.label.value.replace("_", " ") for i, label in labels.items()}
    place = {episode_id: i for i, episode_id in enumerate(embedded)}
    order = sorted(rows, key=lambda r: (is_success(r), place.get(r["episode_id"], len(place))))
    return [
        [
            r["episode_id"],
            r["status"],
            r["reason"] or "",
            *(str(r[c]) for c in _LIST_COLUMNS[3:7]),
            r["seed"] if r.get(REPEAT) is None else f"{r['seed']}, play {r[REPEAT]}",
            words.get(r["episode_id"], ""),
        ]
        for r in order[:MAX_LISTED]
    ]


def _metric_charts(rows: Rows) -> list[dict[str, Any]]:
    names = metric_names(rows)
    first = [name for name in _OPEN_METRICS if name in names]
    charts = []
    for name in [*first, *(n for n in names if n not in first)]:
        spreads = distributions(rows, name)
        if spreads:
            charts.append({"name": name, "svg": Markup(distribution_svg(name, spreads))})
    return charts


def _asset(name: str) -> str:
    return importlib.resources.files("simloop.report").joinpath(name).read_text(encoding="utf-8")


def build_page(
    store: RunStore,
    rows: Rows,
    verdict: Verdict,
    contacts: Contacts,
    swept: SweepResult | None = None,
    arms: Sequence[ArmLabels] = (),
    maps: Sequence[HeatMap] = (),
    differences: Mapping[str, str] | None = None,
) -> str:
    """Returns the page of a run: with the section of a sweep if it is one, the labels, heat maps and repeats."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    manifest, agents = store.manifest, _names(rows, "agent")
    labels = labels_by_episode(rows, arms)
    repeats = None if verdict.repeats is None else repeat_view(verdict.repeats, differences or {})
    embedded = embed_episodes(store, rows, labels, shown_plays(repeats))
    listed = _listed(rows, embedded, labels)
    metrics, gaps = _metric_charts(rows), metric_gaps(rows)
    is_open = [m["name"] in _OPEN_METRICS for m in metrics]
    return environment.from_string(_asset("page.html")).render(
        css=Markup(_asset("page.css")),
        js=Markup(
            '"use strict";\n(() => {\n' + "".join(_asset(f"page_{name}.js") for name in _SCRIPTS) + "})();"
        ),
        manifest=manifest,
        config=json.dumps(store.manifest.config, indent=2, sort_keys=True),
        verdict=verdict,
        measured=measured_note(store.manifest),
        num_unjudged=sum(not EpisodeStatus(s).is_judged and n for s, n in verdict.counts.items()),
        scenario_cells=cells(rows, ("scenario", "agent")),
        strategies=_names(rows, "strategy"),
        agents=agents,
        arms=[
            {"arm": arm, "counts": [arm.count(x) for x in Preventability], "grade": impact_text(arm)}
            for arm in arms
        ],
        fails=preventable_fails(rows, labels),
        max_fails=MAX_FAILS_SHOWN,
        maps=[_map_view(heat_map, number) for number, heat_map in enumerate(maps)],
        criticality=_panels(criticality_panels(rows, manifest.metric_thresholds, agents)),
        motion=_panels(criticality_panels(rows, _without_limits(manifest), agents)),
        contacts=contact_tables(contacts),
        num_left_out=contacts.num_left_out,
        max_contact_logs=MAX_LOGS,
        num_open_motion=NUM_OPEN_MOTION,
        sweep=None if swept is None else _sweep_groups(swept),
        repeats=repeats,
        has_latency=len({(r["timing"], r["strategy"]) for r in rows}) > 1,
        latency=[]
        if swept is not None
        else [{"title": p.title, "svg": Markup(p.svg)} for p in latency_panels(rows)],
        metrics=metrics,
        num_open_metrics=sum(is_open) or len(metrics),
        gaps=gaps[:MAX_GAPS_SHOWN],
        num_gaps=len(gaps),
        num_gapped=len({gap.metric for gap in gaps}),
        num_raised=len({gap.metric for gap in gaps if gap.is_error}),
        num_judged=sum(map(is_judged, rows)),
        num_embedded=sum(d["log"] is not None for d in embedded.values()),
        num_embedded_failures=sum(
            r["episode_id"] in embedded and not is_success(r) and bool(r.get("has_log")) for r in rows
        ),
        num_listed=len(listed),
        data=script_json(
            {
                "columns": _LIST_COLUMNS,
                "rows": listed,
                "details": embedded,
                "maps": [script_data(heat_map) for heat_map in maps],
            }
        ),
    )


def _panels(panels: Sequence[CriticalityPanel]) -> list[dict[str, Any]]:
    return [{"title": p.title, "svg": Markup(p.svg), "shares": p.shares} for p in panels]


def _without_limits(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """The motion metrics that are not shown with their thresholds already."""
    names = [name for name in manifest.motion_metrics if name not in manifest.metric_thresholds]
    return {name: {"limits": {}, "higher_is_better": True} for name in names}


def _map_view(heat_map: HeatMap, number: int) -> dict[str, Any]:
    return {
        "number": number,
        "title": heat_map.title,
        "is_reference": heat_map.is_reference,
        "legend": [
            (CLASSES[name], name, count)
            for name, count in zip(heat_map.categories, heat_map.totals, strict=True)
            if count or CLASSES[name] != "h3"
        ],
        "panels": [
            {
                "title": panel.title,
                "counts": counts_text(heat_map.categories, panel.totals),
                "svg": Markup(panel_svg(heat_map, panel, i)),
            }
            for i, panel in enumerate(heat_map.panels)
        ],
    }


def _sweep_groups(swept: SweepResult) -> list[dict[str, Any]]:
    return [
        {
            "group": group,
            "svg": Markup(curve_svg(group.title, group.curves, group.axis)),
            "tables": (group.overview, *group.further),
        }
        for group in sweep_groups(swept)
    ]


def _names(rows: Rows, column: str) -> Sequence[str]:
    return list(dict.fromkeys(str(r[column]) for r in rows))
