"""The unified model as an agent: shapes, size, prefixes to the bit, independence of the batch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simloop.agent import Call, Capability, Conditioning
from simloop.errors import AgentError, MissingWeightsError, UnknownNameError
from simloop_agents.unified.codecs import LAYOUTS
from simloop_agents.unified.config import HORIZON, UnifiedConfig
from simloop_agents.unified.model import UnifiedModel
from simloop_agents.unified.policy import UnifiedPolicy
from simloop_agents.unified.weights import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    load_weights,
    packaged_folder,
    save_weights,
)

from .conftest import make_request, tiny_config


def _actions(policy: UnifiedPolicy, *requests):
    return [reply.actions for reply in policy.infer(requests)]


@pytest.mark.parametrize("action_space", sorted(LAYOUTS))
def test_a_reply_is_a_chunk_in_the_embodiments_units_and_bounds(tiny_policy, action_space):
    layout = LAYOUTS[action_space]
    (actions,) = _actions(tiny_policy, make_request(action_space, 0))
    assert actions.shape == (HORIZON, len(layout.dimensions))
    assert actions.dtype == np.float64
    assert np.isfinite(actions).all()
    assert (actions >= np.array(layout.low)).all()
    assert (actions <= np.array(layout.high)).all()


def test_the_spec_names_sensors_and_capabilities(tiny_policy):
    spec = tiny_policy.spec
    by_space = {embodiment.action_space: embodiment for embodiment in spec.embodiments}
    assert by_space["waypoints"].observations == ("front_camera", "front_camera_past", "ego_state")
    assert by_space["two_arm_delta"].observations == (
        "front_camera",
        "left_wrist_camera",
        "right_wrist_camera",
        "robot_state",
    )
    assert spec.capabilities == {Capability.PREFIX, Capability.GUIDANCE}
    assert spec.horizon == HORIZON


def test_the_shipped_sizes_are_within_the_bounds(tmp_path):
    model = UnifiedModel.seeded(UnifiedConfig(), 0)
    assert model.num_parameters <= 6_000_000
    save_weights(tmp_path, model)
    assert (tmp_path / WEIGHTS_FILE).stat().st_size <= 15_000_000


@pytest.mark.parametrize("action_space", sorted(LAYOUTS))
@pytest.mark.parametrize("num_committed", [1, 5, HORIZON])
def test_committed_rows_come_back_bit_for_bit_and_move_the_rest(tiny_policy, action_space, num_committed):
    size = len(LAYOUTS[action_space].dimensions)
    committed = np.zeros((HORIZON, size))
    committed[:num_committed] = (
        0.3 * np.sin(np.arange(num_committed * size)).reshape(num_committed, size) + 1e-17
    )
    weights = (np.arange(HORIZON) < num_committed).astype(np.float64)
    conditioning = Conditioning(actions=committed, weights=weights)
    (conditioned,) = _actions(tiny_policy, make_request(action_space, 0, conditioning=conditioning))
    (free,) = _actions(tiny_policy, make_request(action_space, 0))
    assert conditioned[:num_committed].tobytes() == committed[:num_committed].tobytes()
    if num_committed < HORIZON:
        assert not np.array_equal(conditioned[num_committed], free[num_committed])


def test_a_reply_does_not_depend_on_the_batch(tiny_policy):
    requests = [make_request("waypoints", seed) for seed in range(5)]
    requests.insert(2, make_request("two_arm_delta", 9))
    alone = [_actions(tiny_policy, request)[0] for request in requests]
    together = _actions(tiny_policy, *requests)
    backwards = _actions(tiny_policy, *reversed(requests))[::-1]
    for one, two, three in zip(alone, together, backwards, strict=True):
        assert one.tobytes() == two.tobytes() == three.tobytes()


def test_replies_differ_by_image_state_words_and_draw_key(tiny_policy):
    request = make_request("waypoints", 0)
    (reference,) = _actions(tiny_policy, request)
    darker = {**request.observation, "front_camera": request.observation["front_camera"] // 2}
    slower = {**request.observation, "ego_state": request.observation["ego_state"] * 0.5}
    changed = [
        replace(request, observation=darker),
        replace(request, observation=slower),
        replace(request, instruction="Overtake the truck."),
        replace(request, draw_key=(1, 2)),
    ]
    for actions in _actions(tiny_policy, *changed):
        assert not np.array_equal(actions, reference)


def test_equal_seeds_make_equal_agents_in_any_process():
    ours = UnifiedPolicy(is_trained=False, seed=3, model=tiny_config().to_plain())
    assert (
        ours.spec.digest
        == UnifiedPolicy(is_trained=False, seed=3, model=tiny_config().to_plain()).spec.digest
    )
    assert (
        ours.spec.digest
        != UnifiedPolicy(is_trained=False, seed=4, model=tiny_config().to_plain()).spec.digest
    )
    script = (
        "import json, sys, hashlib\n"
        "from simloop_agents.unified.policy import UnifiedPolicy\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from conftest import make_request\n"
        "policy = UnifiedPolicy(is_trained=False, seed=3, model=json.loads(sys.argv[1]))\n"
        "actions = policy.infer([make_request('waypoints', 0)])[0].actions\n"
        "print(policy.spec.digest, hashlib.sha256(actions.tobytes()).hexdigest())\n"
    )
    folder = str(Path(__file__).parent)
    plain = json.dumps(tiny_config().to_plain())
    output = subprocess.run(
        [sys.executable, "-c", script, plain, folder], capture_output=True, text=True, check=True, timeout=600
    ).stdout.split()
    import hashlib

    (actions,) = _actions(ours, make_request("waypoints", 0))
    assert output == [ours.spec.digest, hashlib.sha256(actions.tobytes()).hexdigest()]


def test_other_calls_and_unknown_embodiments_are_refused(tiny_policy):
    request = make_request("waypoints", 0)
    with pytest.raises(AgentError, match="policy calls only, got 'context'"):
        tiny_policy.infer([replace(request, call=Call.CONTEXT)])
    with pytest.raises(UnknownNameError, match="Available: two_arm_delta, waypoints"):
        tiny_policy.infer([replace(request, embodiment="wheels")])


def test_a_long_instruction_is_cut_and_said_so(tiny_policy):
    (reply,) = tiny_policy.infer([make_request("waypoints", 0, instruction="turn left " * 20)])
    assert reply.notes == {"instruction": "cut to the first words"}


def test_missing_weights_say_how_to_get_them(tmp_path):
    with pytest.raises(
        MissingWeightsError, match=r"unified_tiny.safetensors is missing.*simloop train unified"
    ):
        UnifiedPolicy(weights=str(tmp_path))


def test_damaged_weights_are_not_loaded(tmp_path):
    (tmp_path / WEIGHTS_FILE).write_bytes(b"not weights")
    (tmp_path / CONFIG_FILE).write_text(json.dumps(tiny_config().to_plain()))
    with pytest.raises(MissingWeightsError, match="damaged weights"):
        UnifiedPolicy(weights=str(tmp_path))


def test_saved_weights_make_the_same_agent(tmp_path, tiny_policy):
    save_weights(tmp_path, tiny_policy.model)
    loaded = UnifiedPolicy(weights=str(tmp_path))
    request = make_request("two_arm_delta", 4)
    assert loaded.spec == tiny_policy.spec
    assert _actions(loaded, request)[0].tobytes() == _actions(tiny_policy, request)[0].tobytes()


def test_the_shipped_weights_load_and_drive_on(tmp_path):
    model = load_weights(packaged_folder())
    assert sorted(model.codecs) == sorted(LAYOUTS)
    request = make_request("waypoints", 0)
    grey = {
        name: np.full_like(request.observation[name], 120) for name in ("front_camera", "front_camera_past")
    }
    state = {"ego_state": np.array([20.0, 0.0, 0.0, 0.0])}
    (actions,) = _actions(UnifiedPolicy(), replace(request, observation={**grey, **state}))
    # Whatever it sees, a car at 20 m/s can be nowhere else after 1.6 s.
    assert 15.0 < actions[-1, 0] < 36.0
    assert abs(actions[-1, 1]) < 5.0
