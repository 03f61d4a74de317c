"""Training: it learns from pixels, and an interrupted one ends like an undisturbed one."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch

from simloop.errors import ConfigurationError
from simloop_agents.unified.config import HORIZON
from simloop_agents.unified.losses import FlowTargets, flow_loss
from simloop_agents.unified.model import UnifiedModel
from simloop_agents.unified.training import Trainer, TrainingConfig
from simloop_agents.unified.training_run import CHECKPOINT_FILE, TrainingRun
from simloop_agents.unified.weights import REPORT_FILE, WEIGHTS_FILE, load_weights

from .conftest import tiny_config


def _recipe(num_steps: int, **changes) -> TrainingConfig:
    sizes = {"waypoints": 4, "two_arm_delta": 2}
    return TrainingConfig(**{"num_steps": num_steps, "batch_sizes": sizes, "learning_rate": 3e-3, **changes})


def test_every_loss_falls(sets):
    trainer = Trainer(tiny_config(), _recipe(40), sets)
    history = [trainer.step() for _ in range(40)]
    for name in history[0]:
        first = np.mean([losses[name] for losses in history[:4]])
        last = np.mean([losses[name] for losses in history[-4:]])
        assert last < 0.8 * first, (name, first, last)


def test_committed_rows_do_not_enter_the_loss(monkeypatch):
    """A model that answers right except for the committed rows has no loss."""
    model = UnifiedModel.seeded(tiny_config(), 0)
    actions = torch.randn((2, HORIZON, 32), generator=torch.Generator().manual_seed(0))
    targets = FlowTargets(
        actions=actions,
        num_committed=torch.tensor([4, 0]),
        flow_time=torch.tensor([0.3, 0.6]),
        noise=torch.ones((2, HORIZON, 32)),
    )
    right_but_for_prefix = actions.clone()
    right_but_for_prefix[0, :4] += 1.0
    wrong_in_suffix = actions.clone()
    wrong_in_suffix[0, 4] += 1.0
    for answer, is_zero in ((right_but_for_prefix, True), (wrong_in_suffix, False)):
        monkeypatch.setattr(model.expert, "forward", lambda *_, answer=answer: answer)
        loss = flow_loss(model, "two_arm_delta", None, torch.zeros(2, 32), targets).item()
        assert (loss == 0.0) == is_zero


def test_an_interrupted_training_ends_like_an_undisturbed_one(tmp_path, sets):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    common = {"model": tiny_config(), "recipe": _recipe(6), "checkpoint_period_steps": 2}
    list(TrainingRun(folder=whole, **common).run(sets))
    recipe = _recipe(6)
    trainer = Trainer(tiny_config(), recipe, sets)
    for _ in range(2):
        trainer.step()
    parts.mkdir()
    trainer.save(parts / CHECKPOINT_FILE)  # killed here
    list(TrainingRun(folder=parts, **common).run(sets))
    assert (whole / WEIGHTS_FILE).read_bytes() == (parts / WEIGHTS_FILE).read_bytes()
    report = json.loads((whole / REPORT_FILE).read_text())
    assert report["recipe"]["seed"] == 0
    assert report["num_observations"] == {"waypoints": 12, "two_arm_delta": 12}
    load_weights(whole)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path, sets):
    trainer = Trainer(tiny_config(), _recipe(6), sets)
    trainer.save(tmp_path / CHECKPOINT_FILE)
    other = Trainer(tiny_config(), _recipe(6, seed=1), sets)
    with pytest.raises(ConfigurationError, match="belongs to another training"):
        other.restore(tmp_path / CHECKPOINT_FILE)


def test_two_processes_train_on_twice_the_batch(tmp_path, sets):
    """Averaged gradients of two ranks: the weights move, and both ranks' batches count."""
    run = TrainingRun(folder=tmp_path, model=tiny_config(), recipe=_recipe(2), num_processes=2)
    list(run.run(sets))
    single = TrainingRun(folder=tmp_path / "single", model=tiny_config(), recipe=_recipe(2))
    list(single.run(sets))
    both = load_weights(tmp_path).state_dict()
    one = load_weights(tmp_path / "single").state_dict()
    assert any(not torch.equal(both[name], one[name]) for name in both)
    assert all(torch.isfinite(value).all() for value in both.values())


def test_the_learning_rate_rises_then_falls():
    config = TrainingConfig(num_steps=100, learning_rate=1.0, warmup_ratio=0.1)
    rates = [config.rate(step) for step in range(100)]
    assert rates[9] == pytest.approx(1.0)
    assert all(a < b for a, b in itertools.pairwise(rates[:10]))
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rates[99] < 0.01
