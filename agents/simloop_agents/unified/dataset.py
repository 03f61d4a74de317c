"""Demonstrations in memory, as arrays from which training batches are drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError
from simloop.scenario_files import load_family
from simloop_agents.unified import auxiliary
from simloop_agents.unified.auxiliary import Targets
from simloop_agents.unified.codecs import LAYOUTS, EmbodimentLayout
from simloop_agents.unified.demonstrations import ANCHOR_STRIDE_TICKS, FIRST_SEED, PRIVILEGED, episode_path

FloatArray = npt.NDArray[np.float64]

PAST_TICKS = 8
"""How much earlier the past image of a car's camera is, in control ticks (0.4 s)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DemonstrationSet:
    """All anchors of one embodiment's demonstrations.

    Attributes:
        layout: The embodiment.
        images: (N, V, H, W, 3) uint8.
        past: (N,) int64 index of the anchor whose images are the past frames.
        state: (N, F) float64 proprioception.
        free_plan: (N, 32, A) the expert's answers.
        continued_plan: (N, 32, A) its answers after committed rows.
        num_committed: (N,) number of those rows.
        instructions: Texts by index.
        instruction: (N,) index of the anchor's text.
        readout_targets: Auxiliary targets of the readout tokens, (N, K).
        emphasis: (N,) probability with which an anchor is drawn into a batch.
        objects: (N, 16, 8) ground truth for dense targets of a car, else None.
        digest: Hash of the data.
    """

    layout: EmbodimentLayout
    images: npt.NDArray[np.uint8]
    past: npt.NDArray[np.int64]
    state: FloatArray
    free_plan: FloatArray
    continued_plan: FloatArray
    num_committed: npt.NDArray[np.int64]
    instructions: tuple[str, ...]
    instruction: npt.NDArray[np.int64]
    readout_targets: Targets
    emphasis: FloatArray
    objects: FloatArray | None
    digest: str

    def __len__(self) -> int:
        """Number of anchors."""
        return len(self.state)


def load_demonstrations(folder: Path, counts: Mapping[str, int]) -> dict[str, DemonstrationSet]:
    """Reads recorded demonstrations, joined by action space.

    Args:
        folder: Where ``demonstrations.collect`` put them.
        counts: Episodes by family.

    Raises:
        ConfigurationError: An episode is missing.
    """
    families: dict[str, list[str]] = {}
    for family in counts:
        families.setdefault(str(load_family(family).world_config["action"]), []).append(family)
    return {
        action_space: _load_set(LAYOUTS[action_space], folder, {name: counts[name] for name in names})
        for action_space, names in sorted(families.items())
    }


def _load_set(layout: EmbodimentLayout, folder: Path, counts: Mapping[str, int]) -> DemonstrationSet:
    names = (layout.state_sensor, *PRIVILEGED[layout.action_space])
    wanted = ("images", "free_plan", "continued_plan", "num_committed", *names)
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in wanted}
    past: list[npt.NDArray[np.int64]] = []
    instruction: list[npt.NDArray[np.int64]] = []
    instructions: list[str] = []
    digest = hashlib.blake2b(digest_size=16)
    total = 0
    for family, count in counts.items():
        text = load_family(family).instruction
        if text not in instructions:
            instructions.append(text)
        for seed in range(FIRST_SEED, FIRST_SEED + count):
            path = episode_path(folder, family, seed)
            if not path.exists():
                raise ConfigurationError(
                    f"Demonstration {path} is missing; record it with `simloop train unified`."
                )
            with np.load(path, allow_pickle=False) as content:
                episode = {name: content[name] for name in wanted}
            for name in wanted:
                digest.update(np.ascontiguousarray(episode[name]).data)
                parts[name].append(episode[name])
            length = len(episode["images"])
            past.append(total + np.maximum(np.arange(length) - PAST_TICKS // ANCHOR_STRIDE_TICKS, 0))
            instruction.append(np.full(length, instructions.index(text)))
            total += length
    joined: dict[str, npt.NDArray[Any]] = {}
    for name in wanted:
        joined[name] = np.concatenate(parts.pop(name))
    return DemonstrationSet(
        layout=layout,
        images=joined["images"],
        past=np.concatenate(past),
        state=joined[layout.state_sensor],
        free_plan=joined["free_plan"],
        continued_plan=joined["continued_plan"],
        num_committed=joined["num_committed"],
        instructions=tuple(instructions),
        instruction=np.concatenate(instruction),
        readout_targets=_readout_targets(layout, [joined[name] for name in names]),
        emphasis=_emphasis(layout, joined[layout.state_sensor], joined["free_plan"]),
        objects=joined.get("objects"),
        digest=digest.hexdigest(),
    )


def _readout_targets(layout: EmbodimentLayout, sensors: Sequence[FloatArray]) -> Targets:
    if layout.action_space == "waypoints":
        ego_state, objects, route = sensors
        return auxiliary.car_targets(objects, route, ego_state)
    robot_state, object_state = sensors
    return auxiliary.two_arm_targets(robot_state, object_state)


def _emphasis(layout: EmbodimentLayout, state: FloatArray, plan: FloatArray) -> FloatArray:
    """Draws anchors at which a car has to change its speed up to three times as often as quiet driving."""
    weights = np.ones(len(state))
    if layout.speed_index is not None:
        change_mps = np.abs(plan[:, -1, layout.dimensions.index("speed_mps")] - state[:, layout.speed_index])
        weights += np.minimum(change_mps / 2.0, 2.0)
    result: FloatArray = weights / weights.sum()
    return result
