"""``simloop train toys``: demonstrations and training of the toy policies, about a minute for each network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.numpy import save_file

from simloop_agents.toys.tasks import TASKS, toy_task
from simloop_agents.toys.training import NETWORKS, ToyTraining


def train_toys(
    task: Annotated[
        list[str] | None, typer.Option(help="fork, fork_two or lander; may be repeated. All by default.")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, help="Training seed; may be repeated. 0 by default.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the weights, <task>_<seed>.safetensors.")] = Path(
        "trained/toys"
    ),
) -> None:
    """Train the small networks of the toy tasks: one for each way to bridge a delay, one thread.

    Demonstrations, weights and batches depend on the task and the seed only.
    """
    chosen = [toy_task(name) for name in task or TASKS]
    torch.set_num_threads(1)
    console = Console()
    output.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    for toy in chosen:
        for number in seed or [0]:
            training = ToyTraining(toy, number)
            rate = training.demonstrations.success_rate
            console.print(
                f"{toy.name}, seed {number}: the expert succeeds in {rate:.1%} of its demonstrations"
            )
            with Progress(*columns, TextColumn("{task.fields[loss]}"), console=console) as bar:
                for network in NETWORKS:
                    shown = bar.add_task(network, total=None, loss="")
                    for step, steps, loss in training.train(network):
                        bar.update(shown, completed=step, total=steps, loss=f"{loss:.3f}")
            save_file(training.tensors(), output / f"{toy.name}_{number}.safetensors")
    console.print(f"Weights are in {output}; use them with agent=toy_fork agent.weights={output}")
