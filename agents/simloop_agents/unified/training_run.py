"""A whole training: demonstrations, optimiser steps over one or more processes, checkpoints, weights and report."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor

from simloop import wall_clock
from simloop.errors import SimloopError
from simloop_agents.unified.config import UnifiedConfig
from simloop_agents.unified.dataset import DemonstrationSet
from simloop_agents.unified.training import Trainer, TrainingConfig
from simloop_agents.unified.weights import REPORT_FILE, save_weights, write_text

CHECKPOINT_FILE = "checkpoint.pt"
CURVE_PERIOD_STEPS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a training stands.

    Attributes:
        step: Steps done.
        num_steps: Steps in all.
        losses: Mean losses by name since the last report.
    """

    step: int
    num_steps: int
    losses: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """What to train and where to put it.

    Attributes:
        folder: Where checkpoint, weights, config and report go.
        model: Sizes of the model.
        recipe: How to train it.
        counts: Episodes by family, for the report.
        num_processes: Processes that share the work; each takes batches of the recipe's sizes.
        checkpoint_period_steps: Steps between two checkpoints.
    """

    folder: Path
    model: UnifiedConfig
    recipe: TrainingConfig
    counts: Mapping[str, int] = field(default_factory=dict)
    num_processes: int = 1
    checkpoint_period_steps: int = 250

    def run(self, sets: Mapping[str, DemonstrationSet]) -> Iterator[Progress]:
        """Trains, or goes on from the folder's checkpoint; writes weights and report at the end.

        Raises:
            ConfigurationError: The folder's checkpoint belongs to another training.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.num_processes == 1:
            yield from self._train(sets, rank=0, combine=None)
            return
        with tempfile.TemporaryDirectory() as meeting:
            # Forked, so that the demonstrations are in memory once; torch has started no threads yet.
            context = torch.multiprocessing.get_context("fork")
            receiver, sender = context.Pipe(duplex=False)
            workers = [
                context.Process(target=self._work, args=(rank, sets, f"{meeting}/meet", sender), daemon=True)
                for rank in range(self.num_processes)
            ]
            for worker in workers:
                worker.start()
            sender.close()
            try:
                yield from _received(receiver)
            finally:
                for worker in workers:
                    worker.join(timeout=30)
                    if worker.is_alive():
                        worker.terminate()

    def _work(
        self, rank: int, sets: Mapping[str, DemonstrationSet], meeting: str, sender: Connection
    ) -> None:
        torch.set_num_threads(1)
        torch.distributed.init_process_group(
            "gloo",
            init_method=f"file://{meeting}",
            rank=rank,
            world_size=self.num_processes,
            timeout=timedelta(minutes=30),
        )
        try:
            for progress in self._train(sets, rank=rank, combine=self._combine):
                if rank == 0:
                    sender.send(progress)
            if rank == 0:
                sender.send(None)
        except SimloopError as error:  # the same in every process; the parent raises it
            if rank == 0:
                sender.send(error)
        finally:
            torch.distributed.destroy_process_group()

    def _combine(self, flat: Tensor) -> None:
        torch.distributed.all_reduce(flat)
        flat.div_(self.num_processes)

    def _train(self, sets: Mapping[str, DemonstrationSet], *, rank: int, combine: Any) -> Iterator[Progress]:
        torch.set_num_threads(1)
        trainer = Trainer(
            self.model, self.recipe, sets, rank=rank, num_ranks=self.num_processes, combine=combine
        )
        checkpoint = self.folder / CHECKPOINT_FILE
        curve_file = self.folder / "curve.jsonl"
        curve: list[dict[str, float]] = []
        if checkpoint.exists():
            trainer.restore(checkpoint)
            if curve_file.exists():
                rows = (json.loads(line) for line in curve_file.read_text(encoding="utf-8").splitlines())
                curve = [row for row in rows if row["step"] <= trainer.step_number]
        sums: dict[str, float] = {}
        num_summed = 0
        wall_s, cpu_s = wall_clock.now_s(), wall_clock.cpu_s()
        done_before = curve[-1] if curve else {"wall_s": 0.0, "cpu_s": 0.0}
        while trainer.step_number < self.recipe.num_steps:
            for name, value in trainer.step().items():
                sums[name] = sums.get(name, 0.0) + value
            num_summed += 1
            step = trainer.step_number
            if step % CURVE_PERIOD_STEPS == 0 or step == self.recipe.num_steps:
                means = {name: value / num_summed for name, value in sums.items()}
                row = {
                    "step": step,
                    "wall_s": done_before["wall_s"] + wall_clock.now_s() - wall_s,
                    "cpu_s": done_before["cpu_s"] + (wall_clock.cpu_s() - cpu_s) * self.num_processes,
                    **means,
                }
                curve.append(row)
                yield Progress(step=step, num_steps=self.recipe.num_steps, losses=means)
                sums, num_summed = {}, 0
            if rank == 0 and (step % self.checkpoint_period_steps == 0 or step == self.recipe.num_steps):
                write_text(curve_file, "".join(json.dumps(entry) + "\n" for entry in curve))
                trainer.save(checkpoint)
        if rank == 0:
            save_weights(self.folder, trainer.averaged)
            write_text(self.folder / REPORT_FILE, json.dumps(self._report(trainer, curve), indent=1) + "\n")

    def _report(self, trainer: Trainer, curve: list[dict[str, float]]) -> dict[str, Any]:
        last = curve[-1] if curve else {"wall_s": 0.0, "cpu_s": 0.0}
        return {
            "num_parameters": trainer.model.num_parameters,
            "model": self.model.to_plain(),
            "recipe": dataclasses.asdict(self.recipe),
            "num_processes": self.num_processes,
            "episodes": dict(self.counts),
            "num_observations": {name: len(data) for name, data in trainer.sets.items()},
            "data_digest": {name: data.digest for name, data in trainer.sets.items()},
            "wall_s": round(last["wall_s"], 1),
            "cpu_s": round(last["cpu_s"], 1),
            "torch": torch.__version__,
            "num_cpus": os.cpu_count(),
            "curve": [{name: round(value, 5) for name, value in row.items()} for row in curve],
        }


def _received(receiver: Connection) -> Iterator[Progress]:
    while True:
        try:
            message = receiver.recv()
        except EOFError:
            raise RuntimeError("A training process ended without a result; see its message above.") from None
        if message is None:
            return
        if isinstance(message, SimloopError):
            raise message
        yield message
