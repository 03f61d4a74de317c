"""``simloop``: assembles the commands and turns simloop's errors into one message and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from simloop.cli.compare import compare
from simloop.cli.doctor import doctor
from simloop.cli.exit_code import ExitCode
from simloop.cli.interrupts import kept_interrupts
from simloop.cli.list_names import list_names
from simloop.cli.probe import probe
from simloop.cli.replay import replay
from simloop.cli.report import report
from simloop.cli.run import run
from simloop.cli.sweep import sweep
from simloop.cli.trace import trace_app
from simloop.errors import SimloopError
from simloop.plugins import entry_points, load_entry_point

_CORE: dict[str, Callable[..., None]] = {
    "run": run,
    "sweep": sweep,
    "list": list_names,
    "report": report,
    "replay": replay,
    "compare": compare,
    "probe": probe,
    "doctor": doctor,
}


def build_app(wanted: str | None = None) -> typer.Typer:
    """Returns the command-line app.

    A plug-in command is a function, or a Typer app whose commands become subcommands.

    Args:
        wanted: The command that will be called, if known: a plug-in's module is imported only when it is asked for.

    Raises:
        PluginError: A plug-in command does not load.
    """
    app = typer.Typer(
        name="simloop",
        help="Closed-loop testing of driving and robot-arm agents under simulated latency.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, command in _CORE.items():
        app.command(name)(command)
    app.add_typer(trace_app, name="trace")
    for name in entry_points("commands"):
        if wanted in (None, "--help", name):
            loaded = load_entry_point("commands", name)
            if isinstance(loaded, typer.Typer):
                app.add_typer(loaded, name=name)
            else:
                app.command(name)(loaded)
    return app


# Typer turns these into exit code 2, which means "cannot decide" here.
_USAGE_ERROR: Any = typer.BadParameter.__base__


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the ``simloop`` script; always ends in SystemExit with one of ``ExitCode``."""
    raise SystemExit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(words: list[str]) -> int:
    console = Console(stderr=True, soft_wrap=True)
    try:
        with kept_interrupts():
            code = int(build_app(words[0] if words else None)(args=words, standalone_mode=False) or 0)
    except SimloopError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}")
        return int(ExitCode.INCOMPLETE)
    except _USAGE_ERROR as error:
        error.show()
        return int(ExitCode.INCOMPLETE)
    except KeyboardInterrupt:
        code = int(ExitCode.INTERRUPTED)
    except Exception:  # noqa: BLE001 - Python's own exit code 1 would say "regression"
        traceback.print_exc()
        return int(ExitCode.INCOMPLETE)
    if code == ExitCode.INTERRUPTED:
        console.print("Interrupted. Run the same command again to go on.")
    return code


if __name__ == "__main__":
    main()
