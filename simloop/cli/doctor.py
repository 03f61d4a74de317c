"""``simloop doctor``: is everything here that a run needs, and what to do if not."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.table import Table

from simloop.cli.exit_code import ExitCode
from simloop.compose import choices, component, make_agent
from simloop.errors import SimloopError
from simloop.plugins import entry_points, load_entry_point


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what was found, whether a run needs it, and the remedy."""

    name: str
    is_fine: bool
    found: str
    remedy: str = ""
    is_needed: bool = True


def _python() -> Finding:
    return Finding(
        name="python",
        is_fine=(3, 11) <= sys.version_info[:2] < (3, 13),
        found=platform.python_version(),
        remedy="install Python 3.11 or 3.12",
    )


def _module(name: str, distribution: str, remedy: str, *, is_needed: bool = True) -> Callable[[], Finding]:
    def check() -> Finding:
        try:
            importlib.import_module(name)
            found, is_fine = importlib.metadata.version(distribution), True
        except Exception as error:  # noqa: BLE001 - a finding, shown to the user
            found, is_fine = f"{type(error).__name__}: {error}", False
        return Finding(name=distribution, is_fine=is_fine, found=found, remedy=remedy, is_needed=is_needed)

    return check


def _torch_build() -> Finding:
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            name="torch build",
            is_fine=False,
            found="not installed",
            remedy="take a CPU build first: pip install torch --index-url https://download.pytorch.org/whl/cpu",
        )
    return Finding(name="torch build", is_fine=True, found=version, is_needed=False)


def _video() -> Finding:
    try:
        import imageio_ffmpeg

        found, is_fine = str(imageio_ffmpeg.get_ffmpeg_version()), True
    except Exception as error:  # noqa: BLE001 - a finding, shown to the user
        found, is_fine = f"{type(error).__name__}: {error}", False
    return Finding(
        name="ffmpeg", is_fine=is_fine, found=found, remedy="pip install imageio-ffmpeg (videos of failures need it)",
        is_needed=False,
    )  # fmt: skip


def _browser() -> Finding:
    path = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    return Finding(
        name="browser",
        is_fine=path is not None,
        found=path or "none found",
        remedy="any browser opens report.html; the report's own test wants chromium",
        is_needed=False,
    )


def _machine() -> Finding:
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = os.cpu_count() or 1
    return Finding(
        name="machine",
        is_fine=memory_gib >= 2.0 * cores,
        found=f"{cores} cores, {memory_gib:.0f} GiB",
        remedy="use fewer workers: runner.workers=1 (a two-arm worker takes up to 1.5 GiB)",
        is_needed=False,
    )


def _plugins() -> list[Finding]:
    findings = []
    for group in ("worlds", "metrics", "commands"):
        for name in entry_points(group):
            try:
                load_entry_point(group, name)
                findings.append(Finding(name=f"{group}: {name}", is_fine=True, found="loads"))
            except SimloopError as error:
                findings.append(
                    Finding(
                        name=f"{group}: {name}",
                        is_fine=False,
                        found=str(error),
                        remedy="reinstall its distribution",
                    )
                )
    return findings


def _agents() -> list[Finding]:
    findings = []
    for name in choices("agent"):
        try:
            spec = make_agent(component("agent", name)).spec
            spaces = ", ".join(e.action_space for e in spec.embodiments)
            findings.append(
                Finding(name=f"agent: {name}", is_fine=True, found=f"digest {spec.digest[:8]}, {spaces}")
            )
        except (SimloopError, ImportError) as error:
            findings.append(
                Finding(name=f"agent: {name}", is_fine=False, found=str(error), remedy="see the message")
            )
    return findings


def doctor() -> None:
    """Check this machine: versions, plug-ins, weights, tools; with a remedy for what is missing."""
    checks: list[Callable[[], Finding]] = [
        _python,
        _machine,
        _torch_build,
        _module("torch", "torch", "pip install torch"),
        _module("mujoco", "mujoco", "pip install 'mujoco>=3.6,<3.10'"),
        _module("numba", "numba", "pip install numba"),
        _module("ray", "ray", "pip install ray, or run with runner=in_process"),
        _module("duckdb", "duckdb", "pip install duckdb", is_needed=False),
        _module(
            "carla", "carla", "pip install carla==0.9.16 (Linux x86-64 and Windows, Python <= 3.12); only your own "
            "maps need it, the shipped ones do not", is_needed=False,
        ),
        _video,
        _browser,
    ]  # fmt: skip
    findings = [check() for check in checks] + _plugins() + _agents()
    table = Table(title="simloop doctor")
    for heading in ("check", "state", "found", "remedy"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        state = "ok" if finding.is_fine else ("MISSING" if finding.is_needed else "optional")
        table.add_row(finding.name, state, finding.found, "" if finding.is_fine else finding.remedy)
    Console().print(table)
    if any(f.is_needed and not f.is_fine for f in findings):
        raise typer.Exit(int(ExitCode.INCOMPLETE))
