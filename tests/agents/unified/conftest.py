"""A model of a few thousand weights, requests and demonstrations for it, made of seeded noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simloop.agent import Call, Conditioning, InferenceRequest
from simloop.randomness import stream_key
from simloop.world import Anchor
from simloop_agents.unified.auxiliary import Targets
from simloop_agents.unified.codecs import CAR, LAYOUTS, TWO_ARM, EmbodimentLayout
from simloop_agents.unified.config import HORIZON, BackboneConfig, FlowExpertConfig, UnifiedConfig
from simloop_agents.unified.dataset import DemonstrationSet
from simloop_agents.unified.policy import UnifiedPolicy

IMAGE_SIZES = {"waypoints": (96, 160), "two_arm_delta": (96, 128)}
STATE_SIZES = {"waypoints": 4, "two_arm_delta": 32}


def tiny_config() -> UnifiedConfig:
    return UnifiedConfig(
        name="test",
        backbone=BackboneConfig(
            vision_hidden_size=32,
            vision_depth=1,
            vision_num_heads=2,
            vision_intermediate_size=32,
            text_hidden_size=32,
            text_depth=2,
            text_num_heads=2,
            text_num_key_value_heads=1,
            text_intermediate_size=32,
            num_readout_tokens=2,
        ),
        expert=FlowExpertConfig(hidden_size=32, depth=1, intermediate_size=32),
    )


def make_request(
    action_space: str,
    seed: int,
    *,
    conditioning: Conditioning | None = None,
    instruction: str = "Keep your lane.",
) -> InferenceRequest:
    draws = np.random.default_rng(seed)
    layout = LAYOUTS[action_space]
    observation: dict[str, Any] = {
        name: draws.integers(0, 256, (*IMAGE_SIZES[action_space], 3), dtype=np.uint8)
        for view in layout.views
        for name in (view.sensor, view.past_sensor)
    }
    observation[layout.state_sensor] = draws.normal(size=STATE_SIZES[action_space])
    if action_space == "waypoints":
        observation["ego_state"][0] = 20.0 + draws.normal()
    return InferenceRequest(
        episode_id=f"episode {seed}",
        call=Call.POLICY,
        embodiment=action_space,
        observation=observation,
        age_ns=dict.fromkeys(observation, 0),
        instruction=instruction,
        anchor=Anchor(captured_at_ns=0, pose=np.zeros(4)),
        observation_tick=0,
        predicted_delay_ticks=0,
        draw_key=stream_key("test", seed),
        conditioning=conditioning,
    )


def make_set(layout: EmbodimentLayout, count: int = 12) -> DemonstrationSet:
    """Demonstrations in which a square's place in the image decides the actions."""
    draws = np.random.default_rng(5)
    height, width = IMAGE_SIZES[layout.action_space]
    images = np.full((count, len(layout.views), height, width, 3), 90, dtype=np.uint8)
    place = draws.uniform(0.1, 0.7, count)
    for number, share in enumerate(place):
        column = int(share * width)
        images[number, :, 40:60, column : column + 20] = 250
    state = draws.normal(size=(count, STATE_SIZES[layout.action_space]))
    size = len(layout.dimensions)
    plan = np.tile((place - 0.4)[:, None, None] * np.linspace(0.5, 1.0, HORIZON)[:, None], (1, 1, size))
    if layout.speed_index is not None:
        state[:, layout.speed_index] = 20.0
        plan[..., 0] += 20.0 * 0.05 * np.arange(1, HORIZON + 1)
        plan[..., 3] += 20.0
    targets = np.tile(place[:, None].astype(np.float32), (1, 3))
    objects = np.zeros((count, 16, 8))
    objects[:, 0] = [1.0, 15.0, 0.5, 0.0, 18.0, 0.0, 4.5, 1.8]
    return DemonstrationSet(
        layout=layout,
        images=images,
        past=np.maximum(np.arange(count) - 4, 0),
        state=state,
        free_plan=plan,
        continued_plan=plan,
        num_committed=np.full(count, 3),
        instructions=("Keep your lane.",),
        instruction=np.zeros(count, dtype=np.int64),
        readout_targets=Targets(targets, np.ones_like(targets)),
        emphasis=np.full(count, 1.0 / count),
        objects=objects if layout is CAR else None,
        digest="test",
    )


@pytest.fixture
def sets() -> dict[str, DemonstrationSet]:
    return {layout.action_space: make_set(layout) for layout in (CAR, TWO_ARM)}


@pytest.fixture(scope="module")
def tiny_policy() -> UnifiedPolicy:
    return UnifiedPolicy(is_trained=False, seed=3, model=tiny_config().to_plain())
