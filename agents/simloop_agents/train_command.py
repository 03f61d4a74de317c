"""``simloop train``: one subcommand for each model that the package can train."""

from __future__ import annotations

import typer

from simloop_agents.toys.train_command import train_toys
from simloop_agents.unified.train_command import train

app = typer.Typer(help="Train a model.", no_args_is_help=True, add_completion=False)
app.command("unified")(train)
app.command("toys")(train_toys)
