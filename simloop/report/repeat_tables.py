"""How far a run repeats itself, as plain values and text: for summaries, the console, the page and a CSV file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from simloop.repeats import RepeatedCase, Repeats
from simloop.report.log_difference import first_difference
from simloop.stats.rate import Rate
from simloop.store.row import CELL_COLUMNS
from simloop.store.run_store import RunStore

REPEATS_NAME = "repeats.csv"
MAX_FLAKY_SHOWN = 15
MAX_DIFFERENCES = 3
_MAX_LINES = 8


def repeat_summary(repeats: Repeats) -> dict[str, Any]:
    """Returns the ``repeats`` block of ``summary.json``."""
    return {
        "num_repeats": repeats.num_repeats,
        "text": repeat_text(repeats),
        **_figures(repeats),
        "cells": [
            {**dict(zip(CELL_COLUMNS, key, strict=True)), **_figures(cell)}
            for key, cell in repeats.cells().items()
        ],
        "flaky": [
            {
                **case.key,
                "seed": case.seed,
                "parameters": json.loads(case.parameters),
                "num_judged": case.num_judged,
                "num_successes": case.num_successes,
                "reasons": dict(case.reasons),
            }
            for case in repeats.flaky
        ],
    }


def _figures(repeats: Repeats) -> dict[str, Any]:
    rate = repeats.flake_rate
    return {
        "num_cases": len(repeats.cases),
        "num_compared": len(repeats.compared),
        "num_flaky": len(repeats.flaky),
        "flake_rate": rate.rate if rate else None,
        "wilson_low": rate.low if rate else None,
        "wilson_high": rate.high if rate else None,
        "disagreement": repeats.disagreement,
        "num_to_the_bit": repeats.num_to_the_bit,
        "num_promised": repeats.num_promised,
        "num_broken_promises": len(repeats.broken_promises),
    }


def rate_text(rate: Rate | None) -> str:
    """Returns a rate with its interval; a dash where nothing could be compared."""
    return str(rate) if rate else "-"


def repeat_text(repeats: Repeats) -> str:
    """Returns the figures of a run in one or two sentences."""
    compared = repeats.compared
    if not compared:
        return f"{repeats.num_repeats} plays of each case were asked for, and no case has two with a verdict yet."
    text = (
        f"{len(compared)} case{'s' * (len(compared) != 1)}, {repeats.num_repeats} plays each: the verdict flips in "
        f"{repeats.flake_rate}; {repeats.num_to_the_bit} of {len(compared)} repeat to the bit."
    )
    if repeats.flaky:
        text += (
            f" Two plays of a case disagree with a chance of {100.0 * (repeats.disagreement or 0.0):.2g} %."
        )
    missing = len(repeats.cases) - len(compared)
    return text + (f" {missing} more have fewer than two plays with a verdict." if missing else "")


def repeat_lines(repeats: Repeats | None) -> list[str]:
    """Returns what the console says of repeats: the figures, then a line a flaky case with a replay of each verdict."""
    if repeats is None:
        return []
    lines = [f"Repeats: {repeat_text(repeats)}"]
    lines += [
        f"  flaky: {case.name}: {verdicts_text(case)}; {_replays(case)}"
        for case in repeats.flaky[:_MAX_LINES]
    ]
    if len(repeats.flaky) > _MAX_LINES:
        lines.append(f"  and {len(repeats.flaky) - _MAX_LINES} more; {REPEATS_NAME} has all")
    return lines


def _replays(case: RepeatedCase) -> str:
    return ", ".join(f"{verdict}: simloop replay {i[:12]}" for verdict, i in case.first_ids.items())


def verdicts_text(case: RepeatedCase) -> str:
    """Returns the number of plays by verdict and reason."""
    lost = case.num_plays - case.num_judged
    counts = [f"{count} {reason}" for reason, count in case.reasons.items()]
    return ", ".join(counts + ([f"{lost} without a verdict"] if lost else []))


def course_differences(store: RunStore, repeats: Repeats) -> dict[str, str]:
    """Returns by case name where two plays first differ, of the first cases whose world promises that none do."""
    found: dict[str, str] = {}
    for case in repeats.broken_promises:
        if case.course_ids and len(found) < MAX_DIFFERENCES:
            first, second = (store.read_episode_log(i) for i in case.course_ids)
            sentence = first_difference(first, second, ("in one play", "in another"))
            found[case.name] = sentence or "the logs are equal, the verdicts are not"
    return found


def difference_lines(differences: Mapping[str, str]) -> list[str]:
    """Returns what the console says of broken promises."""
    return [f"  not deterministic: {name}: {sentence}" for name, sentence in differences.items()]


def repeats_csv(repeats: Repeats) -> str:
    """Returns ``repeats.csv``: one line a case and arm, with the id of the first play of each verdict."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            *(
                "case_id",
                *CELL_COLUMNS,
                "seed",
                "num_plays",
                "num_judged",
                "num_successes",
                "is_flaky",
                "is_to_the_bit",
            ),
            *("num_courses", "least_ticks", "most_ticks", "verdicts", "first_plays", "parameters"),
        ]
    )
    for case in repeats.cases:
        writer.writerow(
            [
                *(
                    case.case_id,
                    *case.key.values(),
                    case.seed,
                    case.num_plays,
                    case.num_judged,
                    case.num_successes,
                ),
                *(int(case.is_flaky), int(case.is_to_the_bit), case.num_courses, case.least_ticks),
                *(case.most_ticks, verdicts_text(case), " ".join(case.first_ids.values()), case.parameters),
            ]
        )
    return out.getvalue()


def repeat_view(repeats: Repeats, differences: Mapping[str, str]) -> dict[str, Any]:
    """Returns what the page shows: the figures of each cell, and the flaky cases with plays to open."""
    return {
        "text": repeat_text(repeats),
        "differences": [f"{name}: {sentence}" for name, sentence in differences.items()],
        "cells": [
            {
                **dict(zip(CELL_COLUMNS, key, strict=True)),
                "flake_rate": rate_text(cell.flake_rate),
                "to_the_bit": f"{cell.num_to_the_bit} of {len(cell.compared)}",
                "is_broken": bool(cell.broken_promises),
                "promise": "to the bit" if cell.num_promised else "statistical",
            }
            for key, cell in repeats.cells().items()
        ],
        "num_flaky": len(repeats.flaky),
        "flaky": [
            {
                "name": case.name,
                "parameters": ", ".join(f"{k} {_short(v)}" for k, v in json.loads(case.parameters).items()),
                "verdicts": verdicts_text(case),
                "ticks": f"{case.least_ticks} to {case.most_ticks}",
                "plays": [(verdict.replace("_", " "), i) for verdict, i in case.first_ids.items()],
            }
            for case in repeats.flaky[:MAX_FLAKY_SHOWN]
        ],
    }


def shown_plays(view: Mapping[str, Any] | None) -> list[str]:
    """Returns the ids of the plays that the page's list of flaky cases opens."""
    return [] if view is None else [i for case in view["flaky"] for _, i in case["plays"]]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
