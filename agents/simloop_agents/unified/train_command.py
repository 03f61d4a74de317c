"""``simloop train unified``: demonstrations and training of the unified model in one resumable command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simloop_agents.unified.config import UnifiedConfig
from simloop_agents.unified.dataset import load_demonstrations
from simloop_agents.unified.demonstrations import collect
from simloop_agents.unified.training import TrainingConfig
from simloop_agents.unified.training_run import TrainingRun

FAMILIES = ("cut_in", "lead_deceleration", "two_arm_lift")


def train(
    output: Annotated[Path, typer.Option(help="Folder for checkpoint, weights, config and report.")] = Path(
        "trained/unified"
    ),
    demonstrations: Annotated[Path, typer.Option(help="Folder for the recorded demonstrations.")] = Path(
        "demonstrations"
    ),
    driving_episodes: Annotated[
        int, typer.Option(min=1, help="Demonstrations of each driving family.")
    ] = 300,
    bimanual_episodes: Annotated[int, typer.Option(min=1, help="Demonstrations of two_arm_lift.")] = 400,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = TrainingConfig().num_steps,
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and noise.")] = 0,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that share the work, one thread each.")
    ] = 2,
) -> None:
    """Record demonstrations and train the unified model on them; run again to go on after an interruption.

    The data depend on the episode counts only; the weights also depend on steps, seed and processes.
    """
    console = Console()
    counts = {
        family: bimanual_episodes if family == "two_arm_lift" else driving_episodes for family in FAMILIES
    }
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("demonstrations", total=sum(counts.values()))
        for done, _ in collect(demonstrations, counts, num_processes=processes):
            bar.update(task, completed=done)
    console.print("reading demonstrations")
    sets = load_demonstrations(demonstrations, counts)
    run = TrainingRun(
        folder=output,
        model=UnifiedConfig(),
        recipe=TrainingConfig(seed=seed, num_steps=steps),
        counts=counts,
        num_processes=processes,
    )
    with Progress(*columns, TextColumn("{task.fields[losses]}"), console=console) as bar:
        task = bar.add_task("training", total=steps, losses="")
        for progress in run.run(sets):
            losses = " ".join(
                f"{name.removesuffix('/flow')} {value:.3f}"
                for name, value in progress.losses.items()
                if name.endswith("/flow")
            )
            bar.update(task, completed=progress.step, losses=losses)
    console.print(f"Weights and report are in {output}; use them with agent=unified agent.weights={output}")


if __name__ == "__main__":
    typer.run(train)
