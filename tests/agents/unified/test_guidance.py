"""Guided inpainting of the unified model: what is frozen, what is pulled, and the gradient that does it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from simloop.agent import Conditioning
from simloop.strategies.rtc import soft_mask
from simloop_agents.unified.codecs import LAYOUTS
from simloop_agents.unified.config import HORIZON
from simloop_agents.unified.model import UnifiedModel
from simloop_agents.unified.policy import UnifiedPolicy

from .conftest import make_request, tiny_config


@pytest.fixture(scope="module")
def shipped() -> UnifiedPolicy:
    return UnifiedPolicy()


def _actions(policy, *requests):
    return [reply.actions for reply in policy.infer(requests)]


def _mask(d_hat, s=8):
    weights = np.zeros(HORIZON)
    mask = soft_mask(d_hat, s, HORIZON, HORIZON - s)
    weights[: len(mask)] = mask
    return weights


def _old_chunk(policy, action_space, request):
    """A chunk that the model itself would give for other noise, shifted a little along every entry."""
    (other,) = _actions(policy, replace(request, draw_key=(3, 4)))
    scale = policy.model.codecs[action_space].action_scale
    return other + 0.4 * scale * np.sign(np.sin(1.0 + np.arange(scale.shape[1])))


def _guided(old, weights, **values):
    return Conditioning(actions=old, weights=weights, is_guided=True, **values)


def _distance(policy, action_space, actions, old, weights):
    """Weighted root mean square distance in normalised units."""
    difference = (actions - old) / policy.model.codecs[action_space].action_scale
    return float(np.sqrt((weights[:, None] * difference**2).sum() / weights.sum()))


@pytest.mark.parametrize("action_space", sorted(LAYOUTS))
@pytest.mark.parametrize("d_hat", [0, 4])
def test_committed_rows_are_kept_and_soft_ones_pulled(shipped, action_space, d_hat):
    request = make_request(action_space, 1)
    old, weights = _old_chunk(shipped, action_space, request), _mask(d_hat)
    kept = replace(request, conditioning=Conditioning(actions=old, weights=np.floor(weights)))
    guided = replace(request, conditioning=_guided(old, weights))
    free_actions, kept_actions, guided_actions = _actions(shipped, request, kept, guided)
    assert guided_actions[:d_hat].tobytes() == old[:d_hat].tobytes()
    soft = np.where(weights < 1.0, weights, 0.0)
    near = _distance(shipped, action_space, guided_actions, old, soft)
    assert near < 0.8 * _distance(shipped, action_space, free_actions, old, soft)
    assert near < _distance(shipped, action_space, kept_actions, old, soft)
    assert np.isfinite(guided_actions).all()


@pytest.mark.parametrize("action_space", sorted(LAYOUTS))
def test_a_larger_bound_pulls_more(shipped, action_space):
    request = make_request(action_space, 2)
    old, weights = _old_chunk(shipped, action_space, request), _mask(0)
    bounds = (0.05, 0.5, 2.0, 5.0)
    replies = _actions(
        shipped,
        *(replace(request, conditioning=_guided(old, weights, max_guidance=bound)) for bound in bounds),
    )
    distances = [_distance(shipped, action_space, actions, old, weights) for actions in replies]
    assert distances == sorted(distances, reverse=True)
    assert len(set(distances)) == len(bounds)


def test_rows_without_weight_mean_nothing(tiny_policy):
    request, weights = make_request("two_arm_delta", 3), _mask(2)
    old = np.full((HORIZON, 14), 0.25)
    noise = np.where(weights[:, None] > 0.0, old, np.nan)
    one, two = _actions(
        tiny_policy,
        replace(request, conditioning=_guided(old, weights)),
        replace(request, conditioning=_guided(noise, weights)),
    )
    assert one.tobytes() == two.tobytes()


def test_without_weights_the_chunk_is_the_free_one(tiny_policy):
    request = make_request("waypoints", 4)
    nothing = _guided(np.zeros((HORIZON, 4)), np.zeros(HORIZON))
    free, guided = _actions(tiny_policy, request, replace(request, conditioning=nothing))
    assert guided == pytest.approx(free, abs=1e-4)


def test_a_guided_reply_does_not_depend_on_the_batch(tiny_policy):
    old = 0.1 * np.sin(np.arange(HORIZON * 4)).reshape(HORIZON, 4)
    requests = [make_request("waypoints", seed) for seed in range(6)]
    for number, d_hat in ((1, 2), (2, 0), (4, 7)):
        requests[number] = replace(requests[number], conditioning=_guided(old, _mask(d_hat)))
    alone = [_actions(tiny_policy, request)[0] for request in requests]
    together = _actions(tiny_policy, *requests)
    for one, two in zip(alone, together, strict=True):
        assert one.tobytes() == two.tobytes()
    assert not any(parameter.grad is not None for parameter in tiny_policy.model.parameters())


def test_the_pull_is_the_gradient_of_the_weighted_error():
    """One Euler step from t = 0: result - C(x) = beta times the gradient of e . C(x), by central differences."""
    config = tiny_config()
    config = replace(config, expert=replace(config.expert, flow_steps=1))
    model = UnifiedModel.seeded(config, 5).eval()
    draws = torch.Generator().manual_seed(0)
    space, width = "two_arm_delta", config.action_width
    views = len(LAYOUTS[space].views)
    images = torch.randint(0, 256, (1, views, 2, 96, 128, 3), generator=draws, dtype=torch.uint8)
    state = torch.randn(1, config.state_width, generator=draws)
    noise = torch.randn(1, HORIZON, width, generator=draws)
    target = torch.randn(1, HORIZON, width, generator=draws)
    weights = torch.from_numpy(_mask(3).astype(np.float32))[None]
    mask = model.action_mask(space)
    with torch.no_grad():
        cache = model.context(space, images, [model.prompts.text_ids("Lift the pot.")[0]], state)
        beta = torch.tensor([5.0])
        result = model.denoise_guided(space, cache, state, target, weights, beta, noise)

        def clean(chunk):
            held = torch.zeros(1, HORIZON, dtype=torch.bool)
            masks = (mask, state, model.state_mask(space))
            return model.expert(chunk, held, torch.zeros(1), *masks, cache)

        start = noise * mask
        error = (target - clean(start)) * weights[..., None] * mask
        pull = (result - clean(start) * mask)[0] / 5.0
        for _ in range(4):
            direction = torch.randn(1, HORIZON, width, generator=draws) * mask
            ahead, behind = clean(start + 0.02 * direction), clean(start - 0.02 * direction)
            expected = float((error * (ahead - behind)).sum() / 0.04)
            assert float((pull * direction[0]).sum()) == pytest.approx(expected, rel=0.02, abs=0.02)
    assert float(pull.abs().max()) > 0.01
