"""``simloop list``: the names that other commands take, one a line with a sentence."""

from __future__ import annotations

import enum
import json
from typing import Annotated

import typer

from simloop.compose import choices, description
from simloop.errors import ConfigurationError, UnknownNameError
from simloop.plugins import entry_points, load_metrics, world_class
from simloop.scenario_files import load_family, shipped_families
from simloop.strategies.catalogue import STRATEGIES
from simloop.suites import load_suite, shipped_suites


class Kind(enum.StrEnum):
    """What can be listed."""

    SCENARIOS = "scenarios"
    SUITES = "suites"
    AGENTS = "agents"
    STRATEGIES = "strategies"
    TIMINGS = "timings"
    METRICS = "metrics"
    WORLDS = "worlds"


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _scenarios(tag: str | None) -> list[dict[str, str]]:
    """Returns the shipped families, or those that carry a tag: ``SCHEME`` or ``SCHEME=LABEL``.

    Raises:
        UnknownNameError: No family carries it.
    """
    families = [load_family(n) for n in sorted(shipped_families())]
    if tag is not None:
        known = {
            t for f in families for scheme, label in f.tags.items() for t in (scheme, f"{scheme}={label}")
        }
        if tag not in known:
            raise UnknownNameError("tag", tag, known)
        scheme, _, label = tag.partition("=")
        families = [f for f in families if scheme in f.tags and label in ("", f.tags[scheme])]
    return [{"name": f.name, "description": f.description, "world": f.world} for f in families]


def _rows(kind: Kind) -> list[dict[str, str]]:
    if kind is Kind.SUITES:
        return [{"name": n, "description": load_suite(n).description} for n in sorted(shipped_suites())]
    if kind is Kind.METRICS:
        return [{"name": m.name, "description": m.description, "unit": m.unit} for m in load_metrics()]
    if kind is Kind.WORLDS:
        return [
            {"name": n, "description": _first_line(world_class(n).__doc__)} for n in entry_points("worlds")
        ]
    if kind is Kind.STRATEGIES:
        return [
            {"name": n, "description": description("strategy", n), "source": STRATEGIES[n].source}
            for n in choices("strategy")
        ]
    group = {Kind.AGENTS: "agent", Kind.TIMINGS: "timing"}[kind]
    return [{"name": n, "description": description(group, n)} for n in choices(group)]


def list_names(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    tag: Annotated[
        str | None, typer.Option(help="Only scenarios with this tag: SCHEME or SCHEME=LABEL.")
    ] = None,
) -> None:
    """List scenarios, suites, agents, strategies, timings, metrics or worlds."""
    if tag is not None and kind is not Kind.SCENARIOS:
        raise ConfigurationError(
            f"--tag is given for {kind.value}; allowed: for scenarios only, they carry tags."
        )
    rows = _scenarios(tag) if kind is Kind.SCENARIOS else _rows(kind)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max((len(r["name"]) for r in rows), default=0)
    for row in rows:
        source = f" [{row['source']}]" if "source" in row else ""
        typer.echo(f"{row['name']:<{width}}  {row['description']}{source}")
