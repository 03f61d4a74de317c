"""Demonstrations: the expert in closed loop under disturbance, recorded with what the model sees and should answer.

The expert plans from ground truth every few control ticks; the rows of its plan, plus a disturbance, are executed
until the next one. Disturbances are smooth bursts with quiet time between them, so the states hold errors to recover
from. The disturbed command is what is recorded as executed, so a prefix made of it tells the truth about what the world
was told (hidden noise would make prefix conditioning harmful). At every anchor tick two answers are recorded, the
expert's plan and its plan after the commands that were really executed next, which is what an agent is asked for under
delay.

Seeds start at ``FIRST_SEED``; suites use small seeds, so no evaluated case is ever trained on.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.agent import Call, Conditioning, InferenceRequest
from simloop.plugins import world_class
from simloop.randomness import generator, stream_key
from simloop.scenario_files import load_family
from simloop.spec import Scenario, digest
from simloop.world import Anchor, OutcomeState, World
from simloop_agents.experts.expert import ExpertAgent
from simloop_agents.unified.codecs import LAYOUTS, EmbodimentLayout
from simloop_agents.unified.config import HORIZON

FloatArray = npt.NDArray[np.float64]

FIRST_SEED = 1_000_000
"""Seed of the first demonstration of a family; smaller seeds are left to evaluation."""
ANCHOR_STRIDE_TICKS = 2
"""Control ticks between two recorded observations."""
REPLAN_TICKS = (4, 9)
"""The expert plans anew after a number of ticks drawn from this half-open range."""
MAX_COMMITTED = 10
"""Longest recorded prefix."""
COMMITTED_DECAY = 0.82
"""Prefix length d >= 1 is drawn with probability proportional to this to the power d."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """Smooth random bursts that are added to the executed actions.

    Attributes:
        amplitude: Standard deviation of a burst's peak, per action entry (agent's units).
        min_quiet_ticks: Shortest time between two bursts.
        max_quiet_ticks: Longest time between two bursts.
        min_burst_ticks: Shortest burst.
        max_burst_ticks: Longest burst.
    """

    amplitude: tuple[float, ...]
    min_quiet_ticks: int
    max_quiet_ticks: int
    min_burst_ticks: int
    max_burst_ticks: int

    def sampled(self, draws: np.random.Generator, num_ticks: int) -> FloatArray:
        """Returns the (num_ticks, A) disturbance of one episode."""
        out = np.zeros((num_ticks, len(self.amplitude)))
        tick = int(draws.integers(0, self.max_quiet_ticks))
        while tick < num_ticks:
            length = int(draws.integers(self.min_burst_ticks, self.max_burst_ticks + 1))
            peak = draws.normal(size=len(self.amplitude)) * self.amplitude
            shape = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
            end = min(tick + length, num_ticks)
            out[tick:end] = shape[: end - tick, None] * peak
            tick += length + int(draws.integers(self.min_quiet_ticks, self.max_quiet_ticks + 1))
        return out


DISTURBANCES: Mapping[str, Disturbance] = {
    "waypoints": Disturbance(
        amplitude=(0.0, 0.35, 0.015, 1.2),
        min_quiet_ticks=20,
        max_quiet_ticks=80,
        min_burst_ticks=12,
        max_burst_ticks=30,
    ),
    "two_arm_delta": Disturbance(
        amplitude=(0.5, 0.5, 0.35, 0.12, 0.12, 0.3, 0.0) * 2,
        min_quiet_ticks=8,
        max_quiet_ticks=40,
        min_burst_ticks=5,
        max_burst_ticks=14,
    ),
}
"""By action space. Waypoints: metres, radians and metres per second in the ego's frame."""

PRIVILEGED: Mapping[str, tuple[str, ...]] = {
    "waypoints": ("objects", "route"),
    "two_arm_delta": ("object_state",),
}
"""Ground-truth sensors by action space, for the expert and for auxiliary training targets."""


def source_key(family: str) -> str:
    """Returns a hash of all that decides a family's demonstrations: its ranges, the expert and this module."""
    described = load_family(family)
    scenario = described.scenario(FIRST_SEED)
    source = importlib.resources.files("simloop_agents.unified").joinpath("demonstrations.py").read_bytes()
    return digest(
        {
            "scene": scenario.scene,
            "parameters": scenario.parameters,
            "expert": ExpertAgent().spec.digest,
            "collector": hashlib.blake2b(source, digest_size=16).hexdigest(),
        }
    )


@functools.cache
def _world(name: str, action: str) -> World:
    make: Any = world_class(name)
    world: World = make(action=action)
    return world


def record_episode(family: str, seed: int) -> dict[str, npt.NDArray[Any]]:
    """Plays one disturbed episode.

    Returns:
        ``images`` (N, V, H, W, 3) uint8 at the N anchor ticks; ``state`` (N, F); the privileged sensors (N, ...);
        ``free_plan`` (N, 32, A), the expert's plan; ``continued_plan`` (N, 32, A), its plan after the first
        ``num_committed`` (N,) executed commands; ``executed`` (T, A), all commands in the world's frame;
        ``is_success`` ().
    """
    described = load_family(family)
    action_space = str(described.world_config["action"])
    layout = LAYOUTS[action_space]
    scenario = described.scenario(seed)
    world = _world(described.world, action_space)
    world.reset(scenario, seed)
    period_ns = world.spec.control_period_ns
    num_ticks = scenario.time_limit_ns // period_ns
    draws = generator(stream_key(family, seed, "demonstration"))
    disturbance = DISTURBANCES[action_space].sampled(draws, num_ticks)
    expert = ExpertAgent()
    executed: list[FloatArray] = []
    anchors: list[_AnchorRecord] = []
    planned, planned_tick, next_plan_tick = np.zeros((0, 0)), 0, 0
    anchor = world.anchor()
    for tick in range(num_ticks):
        is_anchor = tick % ANCHOR_STRIDE_TICKS == 0
        if is_anchor or tick == next_plan_tick:
            record = _observe(world, layout, scenario, tick, has_images=is_anchor)
            plan = _planned(expert, record, None)
            if is_anchor:
                record.free_plan = plan
                anchors.append(record)
            if tick == next_plan_tick:
                planned, planned_tick, anchor = plan, tick, record.anchor
                next_plan_tick += int(draws.integers(*REPLAN_TICKS))
        row = planned[tick - planned_tick : tick - planned_tick + 1] + disturbance[tick]
        command = world.spec.action.to_world(np.clip(row, layout.low, layout.high), anchor)[0]
        executed.append(command)
        world.actuate(command)
        world.advance((tick + 1) * period_ns)
        if world.outcome().state is not OutcomeState.RUNNING:
            break
    return _episode(world, expert, anchors, np.array(executed), draws)


@dataclass(slots=True, kw_only=True)
class _AnchorRecord:
    tick: int
    anchor: Anchor
    request: InferenceRequest
    images: list[npt.NDArray[Any]] | None
    free_plan: FloatArray | None = None


def _observe(
    world: World, layout: EmbodimentLayout, scenario: Scenario, tick: int, *, has_images: bool
) -> _AnchorRecord:
    names = (*PRIVILEGED[layout.action_space], layout.state_sensor)
    observation = {name: np.array(world.capture(name, tick).array) for name in names}
    anchor = world.anchor()
    request = InferenceRequest(
        episode_id="demonstration",
        call=Call.POLICY,
        embodiment=layout.action_space,
        observation=observation,
        age_ns=dict.fromkeys(observation, 0),
        instruction=scenario.instruction,
        anchor=anchor,
        observation_tick=tick,
        predicted_delay_ticks=0,
        draw_key=(0, tick),
    )
    images = [world.capture(view.sensor, tick).array for view in layout.views] if has_images else None
    return _AnchorRecord(tick=tick, anchor=anchor, request=request, images=images)


def _planned(expert: ExpertAgent, record: _AnchorRecord, conditioning: Conditioning | None) -> FloatArray:
    request = record.request
    if conditioning is not None:
        request = InferenceRequest(
            **{name: getattr(request, name) for name in request.__slots__ if name != "conditioning"},
            conditioning=conditioning,
        )
    actions = expert.infer([request])[0].actions
    assert actions is not None
    return actions


def _episode(
    world: World,
    expert: ExpertAgent,
    anchors: list[_AnchorRecord],
    executed: FloatArray,
    draws: np.random.Generator,
) -> dict[str, npt.NDArray[Any]]:
    weights = COMMITTED_DECAY ** np.arange(1, MAX_COMMITTED + 1)
    lengths = draws.choice(np.arange(1, MAX_COMMITTED + 1), size=len(anchors), p=weights / weights.sum())
    continued, committed = [], []
    for record, wanted in zip(anchors, lengths, strict=True):
        length = min(int(wanted), len(executed) - record.tick)
        rows = np.zeros((HORIZON, executed.shape[1]))
        rows[:length] = world.spec.action.from_world(
            executed[record.tick : record.tick + length], record.anchor
        )
        is_committed = (np.arange(HORIZON) < length).astype(np.float64)
        continued.append(_planned(expert, record, Conditioning(actions=rows, weights=is_committed)))
        committed.append(length)
    sensors = anchors[0].request.observation
    return {
        "images": np.array([record.images for record in anchors]),
        "free_plan": np.array([record.free_plan for record in anchors]),
        "continued_plan": np.array(continued),
        "num_committed": np.array(committed, dtype=np.int64),
        "executed": executed,
        "is_success": np.array(world.outcome().state is OutcomeState.SUCCESS),
        **{name: np.array([record.request.observation[name] for record in anchors]) for name in sensors},
    }


def _record_to_file(job: tuple[str, int, str, str]) -> str:
    family, seed, path, key = job
    episode = record_episode(family, seed)
    target = Path(path)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as stream:
        np.savez_compressed(stream, key=np.array(key), **episode)
    partial.replace(target)
    return path


def collect(folder: Path, counts: Mapping[str, int], *, num_processes: int = 2) -> Iterator[tuple[int, int]]:
    """Records what is missing of a set of demonstrations; run again after an interruption, it goes on.

    An episode depends on its family and seed only, never on the number of processes. Files whose ranges, expert or
    collector have changed are recorded anew.

    Args:
        folder: Where ``FAMILY-SEED.npz`` files go.
        counts: Episodes by family.
        num_processes: Worker processes.

    Yields:
        (episodes that are there, episodes wanted), first at once and then after each new one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys = {family: source_key(family) for family in counts}
    wanted = [
        (family, seed) for family, count in counts.items() for seed in range(FIRST_SEED, FIRST_SEED + count)
    ]
    paths = {job: episode_path(folder, *job) for job in wanted}
    jobs = [
        (*job, str(path), keys[job[0]]) for job, path in paths.items() if not _is_current(path, keys[job[0]])
    ]
    # Families in turn, so that an interrupted collection is balanced.
    jobs.sort(key=lambda job: job[1])
    done = len(wanted) - len(jobs)
    yield done, len(wanted)
    if not jobs:
        return
    with multiprocessing.get_context("spawn").Pool(num_processes) as pool:
        for _ in pool.imap_unordered(_record_to_file, jobs):
            done += 1
            yield done, len(wanted)


def episode_path(folder: Path, family: str, seed: int) -> Path:
    """Returns the file of one demonstration."""
    return folder / f"{family}-{seed}.npz"


def _is_current(path: Path, key: str) -> bool:
    if not path.exists():
        return False
    with np.load(path, allow_pickle=False) as content:
        return str(content["key"]) == key
