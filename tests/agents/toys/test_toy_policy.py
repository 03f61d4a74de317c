"""The toy policies: numpy networks equal torch's, replies do not depend on the batch, requests pick their network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.numpy import save_file

from simloop.agent import Agent, Call, Capability, Conditioning, InferenceRequest
from simloop.cli.main import main
from simloop.errors import MissingWeightsError, ParameterError, UnknownNameError
from simloop.randomness import generator, stream_key
from simloop.strategies.rtc import soft_mask
from simloop.testing import check_agent
from simloop.world import Anchor
from simloop_agents.toys import train_command
from simloop_agents.toys.network import BLOCK_WIDTH, Perceptron, read_weights
from simloop_agents.toys.policy import ToyPolicy, weights_file
from simloop_agents.toys.sampling import ToyNetworks
from simloop_agents.toys.tasks import HORIZON, TASKS
from simloop_agents.toys.training import NETWORKS, ToyTraining, perceptron

FloatArray = npt.NDArray[np.float64]
NAMES = ("plain", "prefix", "rolled", "context", "expert", "corrector")


@pytest.fixture(scope="module", params=["fork", "lander"])
def policy(request: Any) -> ToyPolicy:
    return ToyPolicy(task=request.param)


@pytest.fixture(scope="module")
def tensors() -> dict[str, npt.NDArray[np.generic]]:
    return read_weights(weights_file("fork", 0, None))


def _torch_network(tensors: dict[str, npt.NDArray[np.generic]], name: str) -> torch.nn.Sequential:
    first, last = tensors[f"{name}.0.weight"], tensors[f"{name}.3.weight"]
    network = perceptron(first.shape[1], last.shape[0], first.shape[0])
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
    for number, layer in enumerate(layers):
        layer.weight.data = torch.from_numpy(tensors[f"{name}.{number}.weight"].astype(np.float32))
        layer.bias.data = torch.from_numpy(tensors[f"{name}.{number}.bias"].astype(np.float32))
    return network


def _request(task: str, number: int, **fields: Any) -> InferenceRequest:
    draws = np.random.default_rng(number)
    size = TASKS[task].observation_size
    values: dict[str, Any] = {
        "episode_id": str(number),
        "call": Call.POLICY,
        "embodiment": f"{TASKS[task].world}_action",
        "observation": {"observation": draws.uniform(-0.8, 0.8, size)},
        "age_ns": {"observation": 0},
        "instruction": "",
        "anchor": Anchor(captured_at_ns=0, pose=np.zeros(0)),
        "observation_tick": number,
        "predicted_delay_ticks": number % 5,
        "draw_key": stream_key("test", number),
    }
    return InferenceRequest(**{**values, **fields})


def _requests(task: str, count: int) -> list[InferenceRequest]:
    """Requests of every kind, in turn."""
    requests = []
    for number in range(count):
        draws = np.random.default_rng(1000 + number)
        actions, delay, kind = draws.uniform(-1.0, 1.0, (HORIZON, 2)), number % 5, number % 7
        mask = np.zeros(HORIZON)
        if kind == 1:
            known = soft_mask(delay, max(delay, 1), HORIZON, HORIZON - max(delay, 1))
            mask[: len(known)] = known
        mask[:delay] = 1.0
        given: dict[str, Any] = {
            0: {},
            1: {"conditioning": Conditioning(actions=actions, weights=mask, is_guided=True)},
            2: {"conditioning": Conditioning(actions=actions, weights=mask)},
            3: {"rolled_actions": actions[:delay]},
            4: {"call": Call.CONTEXT},
            5: {
                "call": Call.EXPERT,
                "context": draws.standard_normal(16).astype(np.float32),
                "context_age_ns": 100_000_000 * delay,
            },
            6: {"call": Call.CORRECTOR, "base_actions": actions[: delay + 1], "base_row": delay},
        }[kind]
        requests.append(_request(task, number, **given))
    return requests


def _bytes(agent: Agent, requests: Sequence[InferenceRequest]) -> list[bytes]:
    return [
        b"|".join(np.asarray(part).tobytes() for part in (r.actions, r.context) if part is not None)
        for r in agent.infer(requests)
    ]


# --- numpy networks equal torch's ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_forward_pass_is_that_of_torch(tensors: dict[str, npt.NDArray[np.generic]], name: str) -> None:
    network = _torch_network(tensors, name)
    inputs = np.random.default_rng(0).standard_normal((37, tensors[f"{name}.0.weight"].shape[1]), np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(inputs)).numpy()
    assert Perceptron(tensors, name)(inputs) == pytest.approx(expected, rel=1e-4, abs=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_vector_jacobian_product_is_that_of_autograd(
    tensors: dict[str, npt.NDArray[np.generic]], name: str
) -> None:
    draws = np.random.default_rng(1)
    inputs = torch.from_numpy(draws.standard_normal((21, tensors[f"{name}.0.weight"].shape[1]), np.float32))
    inputs.requires_grad_()
    outputs = _torch_network(tensors, name)(inputs)
    cotangent = draws.standard_normal(tuple(outputs.shape), np.float32)
    (expected,) = torch.autograd.grad(outputs, inputs, torch.from_numpy(cotangent))
    network = Perceptron(tensors, name)
    _, slopes = network.with_slopes(inputs.detach().numpy())
    assert network.vector_jacobian(cotangent, slopes) == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("delay", [0, 2, 4])
def test_guidance_is_the_published_formula_by_autograd(
    tensors: dict[str, npt.NDArray[np.generic]], delay: int
) -> None:
    draws = np.random.default_rng(2)
    observation = draws.uniform(-0.5, 0.5, (9, 6))
    noise = draws.standard_normal((9, HORIZON, 2), np.float32)
    wanted = draws.uniform(-1.0, 1.0, (9, HORIZON, 2))
    weights = np.zeros((9, HORIZON))
    known = soft_mask(delay, max(delay, 1), HORIZON, HORIZON - max(delay, 1))
    weights[:, : len(known)] = known
    got = ToyNetworks(TASKS["fork"], tensors).guided(
        observation, noise, wanted, weights, np.full((9, 1), 5.0, np.float32)
    )

    def scale(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return (
            torch.from_numpy(tensors[f"scaling.{name}_mean"].astype(np.float32)),
            torch.from_numpy(tensors[f"scaling.{name}_scale"].astype(np.float32)),
        )

    (mean, deviation), (action_mean, action_deviation) = scale("observation"), scale("action")
    network = _torch_network(tensors, "plain")
    seen = (torch.from_numpy(observation.astype(np.float32)) - mean) / deviation
    target = (torch.from_numpy(wanted.astype(np.float32)) - action_mean) / action_deviation
    mask = torch.from_numpy(weights.astype(np.float32))[..., None]
    chunk = torch.from_numpy(noise)
    for step in range(5):
        tau = step / 5
        chunk = chunk.detach().requires_grad_()
        time = torch.full((9, HORIZON), 2 * tau - 1)
        velocity = network(torch.cat([seen, chunk.flatten(1), time], dim=1)).view(chunk.shape)
        final = chunk + (1 - tau) * velocity
        (gradient,) = torch.autograd.grad(final, chunk, (mask * (target - final)).detach())
        r_squared = (1 - tau) ** 2 / (tau**2 + (1 - tau) ** 2)
        bound = 5.0 if step == 0 else min(5.0, (1 - tau) / (tau * r_squared))
        chunk = chunk + (velocity + bound * gradient) / 5
    expected = (chunk * action_deviation + action_mean).detach().numpy()
    assert got == pytest.approx(expected, rel=1e-3, abs=1e-3)


# --- the agent -----------------------------------------------------------------------------------------------


def test_replies_do_not_depend_on_the_batch(policy: ToyPolicy) -> None:
    task = policy.spec.name.split("-")[1]
    requests = _requests(task, 7 * (BLOCK_WIDTH * 5 + 3))
    together = _bytes(policy, requests)
    assert len(set(together)) == len(requests)
    draws = np.random.default_rng(4)
    for size in (1, 2, 15, 16, 17, 64, 65, len(requests)):
        order = draws.permutation(len(requests))[: max(size, 60)]
        for start in range(0, len(order), size):
            part = order[start : start + size]
            assert _bytes(policy, [requests[n] for n in part]) == [together[n] for n in part], size


def test_the_agent_keeps_the_contract(policy: ToyPolicy) -> None:
    task = policy.spec.name.split("-")[1]
    check_agent(policy, [_request(task, n) for n in range(5)])
    assert policy.spec.calls == frozenset(Call)
    assert policy.spec.capabilities == frozenset(Capability)
    assert policy.spec.horizon == HORIZON


@pytest.mark.parametrize("is_guided", [True, False])
@pytest.mark.parametrize("delay", [0, 1, 4, 8])
def test_committed_rows_come_back_bit_for_bit(policy: ToyPolicy, delay: int, is_guided: bool) -> None:
    task = policy.spec.name.split("-")[1]
    actions = np.random.default_rng(5).uniform(-1.0, 1.0, (HORIZON, 2))
    weights = (np.arange(HORIZON) < delay).astype(np.float64)
    conditioning = Conditioning(actions=actions, weights=weights, is_guided=is_guided)
    (reply,) = policy.infer([_request(task, 1, conditioning=conditioning)])
    assert reply.actions is not None
    assert np.array_equal(reply.actions[:delay], actions[:delay])
    assert reply.first_index == 0
    (plain,) = policy.infer([_request(task, 1)])
    # Without a wish, guidance leaves the plain chunk as it is; the prefix network is another one.
    assert np.array_equal(np.asarray(reply.actions), np.asarray(plain.actions)) == (is_guided and delay == 0)


def test_guidance_and_prefix_differ_although_nothing_is_soft(policy: ToyPolicy) -> None:
    task = policy.spec.name.split("-")[1]
    actions = np.random.default_rng(6).uniform(-1.0, 1.0, (HORIZON, 2))
    weights = (np.arange(HORIZON) < 4).astype(np.float64)
    chunks = [
        np.asarray(
            policy.infer(
                [
                    _request(
                        task,
                        2,
                        conditioning=Conditioning(actions=actions, weights=weights, is_guided=is_guided),
                    )
                ]
            )[0].actions
        )
        for is_guided in (True, False)
    ]
    assert np.abs(chunks[0][4:] - chunks[1][4:]).max() > 1e-3


def test_guidance_pulls_the_chunk_towards_the_wish(policy: ToyPolicy) -> None:
    task = policy.spec.name.split("-")[1]
    (plain,) = policy.infer([_request(task, 3)])
    wish = np.asarray(plain.actions) + 0.3
    weights = np.full(HORIZON, 0.99)
    conditioning = Conditioning(actions=wish, weights=weights, is_guided=True)
    (guided,) = policy.infer([_request(task, 3, conditioning=conditioning)])
    before, after = (np.abs(np.asarray(r.actions) - wish).mean() for r in (plain, guided))
    assert after < 0.5 * before


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_rolled_chunk_says_where_it_begins(policy: ToyPolicy, count: int) -> None:
    task = policy.spec.name.split("-")[1]
    (reply,) = policy.infer([_request(task, 4, rolled_actions=np.full((count, 2), 0.5))])
    assert reply.first_index == count
    assert reply.actions is not None and reply.actions.shape == (HORIZON, 2)


def test_the_rolled_network_sees_where_the_committed_actions_lead() -> None:
    # A lander that is about to pass the mark brakes if it was told that it will be there, else it goes on.
    policy = ToyPolicy(task="lander")
    observation = {"observation": np.array([-0.3, 0.4, 3.0, -0.5])}
    forces = []
    for push in (-1.0, 1.0):
        request = _request("lander", 5, observation=observation, rolled_actions=np.full((4, 2), push))
        forces.append(np.asarray(policy.infer([request])[0].actions)[0, 0])
    assert forces[0] > forces[1] + 0.5


@pytest.mark.parametrize(("delay", "planned", "rows"), [(0, 8, 1), (2, 8, 3), (4, 2, 2), (20, 8, 8)])
def test_corrections_cover_the_delay(policy: ToyPolicy, delay: int, planned: int, rows: int) -> None:
    task = policy.spec.name.split("-")[1]
    base = np.zeros((planned, 2))
    request = _request(
        task, 6, call=Call.CORRECTOR, base_actions=base, base_row=3, predicted_delay_ticks=delay
    )
    (reply,) = policy.infer([request])
    assert reply.actions is not None and reply.actions.shape == (rows, 2)
    assert np.all(np.isfinite(reply.actions))


def test_a_correction_leads_back_to_the_experts_action() -> None:
    # Right of the mark and at rest: the expert pushes left with 2.7623 * 0.15, the base plans nothing.
    policy = ToyPolicy(task="lander")
    observation = {"observation": np.array([0.15, 0.0, 2.0, -0.8])}
    request = _request(
        "lander",
        7,
        call=Call.CORRECTOR,
        observation=observation,
        base_actions=np.zeros((1, 2)),
        base_row=4,
        predicted_delay_ticks=0,
    )
    (reply,) = policy.infer([request])
    assert np.asarray(reply.actions)[0, 0] == pytest.approx(-2.7623 * 0.15, abs=0.15)


def test_noise_is_that_of_the_requests_key(tensors: dict[str, npt.NDArray[np.generic]]) -> None:
    policy = ToyPolicy(task="fork")
    request = _request("fork", 8)
    noise = generator(request.draw_key).standard_normal((1, HORIZON, 2)).astype(np.float32)
    expected = ToyNetworks(TASKS["fork"], tensors).plain(request.observation["observation"][None], noise)[0]
    assert np.array_equal(np.asarray(policy.infer([request])[0].actions), expected)


# --- weights, training ---------------------------------------------------------------------------------------


def test_missing_weights_are_said_with_the_place_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=r"fork_7.safetensors is not there;.*simloop train toys"):
        ToyPolicy(task="fork", seed=7)
    (tmp_path / "fork_0.safetensors").write_bytes(b"nonsense")
    with pytest.raises(MissingWeightsError, match=r"fork_0.safetensors cannot be read as toy weights"):
        ToyPolicy(task="fork", weights=str(tmp_path))


def test_bad_choices_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"lander"):
        ToyPolicy(task="landr")
    with pytest.raises(ParameterError, match=r"seed is -1; allowed: a whole number >= 0"):
        ToyPolicy(task="fork", seed=-1)


def test_training_seeds_and_tasks_are_different_agents(repository: Path) -> None:
    digests = {
        ToyPolicy(task=task, seed=seed, weights=folder).spec.digest
        for task in ("fork", "lander")
        for seed, folder in ((0, None), (1, str(repository / "tests/golden/toys")))
    }
    assert len(digests) == 4


def _small(name: str) -> Any:
    return dataclasses.replace(TASKS[name], num_demonstrations=20, num_steps=25)


def test_training_repeats_itself_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simloop_agents.toys.training.CORRECTOR_STEPS", 25)
    files = []
    for name in ("a", "b"):
        training = ToyTraining(_small("lander"), 3)
        losses = {network: list(training.train(network)) for network in NETWORKS}
        assert all(step == steps == 25 and math.isfinite(loss) for ((step, steps, loss),) in losses.values())
        save_file(training.tensors(), tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    # What training saves, the agent's numpy networks read.
    made = ToyNetworks(TASKS["lander"], read_weights(tmp_path / "a"))
    chunk = made.plain(np.zeros((1, 4)), np.zeros((1, HORIZON, 2), np.float32))
    assert chunk.shape == (1, HORIZON, 2)


def test_the_corrector_is_trained_after_the_chunks_that_it_corrects() -> None:
    with pytest.raises(RuntimeError, match="Train 'plain' before 'corrector'"):
        next(iter(ToyTraining(_small("lander"), 0).train("corrector")))


def test_the_command_trains_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_command, "toy_task", _small)
    monkeypatch.setattr("simloop_agents.toys.training.CORRECTOR_STEPS", 25)
    train_command.train_toys(task=["lander"], seed=[5], output=tmp_path)
    assert "the expert succeeds in 100.0%" in capsys.readouterr().out
    assert ToyPolicy(task="lander", seed=5, weights=str(tmp_path)).spec.name == "toy-lander-5"


def test_the_command_line_offers_both_models(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help"])
    shown = capsys.readouterr().out
    assert "unified" in shown and "toys" in shown
    with pytest.raises(SystemExit, match="4"):
        main(["train", "toys", "--task", "forc"])
    assert "fork_two" in capsys.readouterr().err
