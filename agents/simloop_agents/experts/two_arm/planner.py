"""Chooses the expert of a two-arm task by the size of its ground truth, and hands it a chunk to fill.

No request names its task, but every task's ``object_state`` has a size of its own. A task's module offers

    plan(robot, objects, committed, num_committed, out) -> None

with ``robot`` (32,) and ``objects`` (n,) as the sensors ``robot_state`` and ``object_state`` lay them out,
``committed`` (m, A) of which the first ``num_committed`` rows are to come back as they are, and ``out`` (H, A) to be
filled, all float64. It keeps nothing between calls: which part of the task is on follows from the state. A chunk is
the module's decision rule applied again and again to a predicted state (``geometry.predict_arm``), so that it stays
meaningful when it arrives late.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from simloop.agent import InferenceRequest
from simloop.errors import AgentError

FloatArray = npt.NDArray[np.float64]

OBSERVATIONS = ("robot_state", "object_state")
ROBOT_STATE_SIZE = 32
ACTION_SIZES: Mapping[str, int] = {"two_arm_delta": 14, "two_arm_pose_delta": 12}
"""Entries A of the action spaces; ``two_arm_pose_delta`` is that of arms without grippers."""
HORIZON = 32

MODULES: Mapping[int, tuple[str, str]] = {
    32: ("two_arm_delta", "lift"),
    34: ("two_arm_delta", "handover"),
    35: ("two_arm_delta", "moving_handover"),
    37: ("two_arm_delta", "conveyor_lift"),
    40: ("two_arm_pose_delta", "peg_in_hole"),
    42: ("two_arm_delta", "tray_balance"),
    45: ("two_arm_delta", "disassemble"),
    51: ("two_arm_delta", "fold_towel"),
    55: ("two_arm_delta", "transport"),
}
"""Action space and module in this package for each size of ``object_state``; modules are imported when needed."""


class ChunkPlan(Protocol):
    """Fills a chunk for one task."""

    def __call__(
        self,
        robot: FloatArray,
        objects: FloatArray,
        committed: FloatArray,
        num_committed: int,
        out: FloatArray,
        /,
    ) -> None:
        """Fills the (H, A) chunk ``out`` as this module's docstring says."""
        ...


class TwoArmExpert:
    """Plans chunks in one two-arm action space from ``robot_state`` and ``object_state``.

    Args:
        action_space: One of ``ACTION_SIZES``.
        horizon: Rows H of a chunk.
    """

    def __init__(self, action_space: str = "two_arm_delta", horizon: int = HORIZON) -> None:
        self._action_space = action_space
        self._action_size = ACTION_SIZES[action_space]
        self._horizon = horizon
        self._plans: dict[int, ChunkPlan] = {}

    def chunk(self, request: InferenceRequest) -> FloatArray:
        """Returns the (H, A) chunk for a request; rows committed by its conditioning come back bit for bit.

        Raises:
            AgentError: No expert knows this ``object_state`` in this action space.
        """
        committed, count = np.zeros((0, self._action_size)), 0
        if request.conditioning is not None:
            committed = np.ascontiguousarray(request.conditioning.actions, dtype=np.float64)
            count = request.conditioning.num_committed
        robot = np.array(request.observation["robot_state"], dtype=np.float64)
        objects = np.array(request.observation["object_state"], dtype=np.float64)
        plan = self._plans.get(objects.size)
        if plan is None:
            plan = self._plans[objects.size] = self._find(objects.size)
        out = np.empty((self._horizon, self._action_size))
        plan(robot, objects, committed, min(count, self._horizon), out)
        return out

    def _find(self, size: int) -> ChunkPlan:
        space, name = MODULES.get(size, ("", ""))
        if space != self._action_space:
            known = ", ".join(
                f"{module} ({entries})"
                for entries, (its_space, module) in sorted(MODULES.items())
                if its_space == self._action_space
            )
            raise AgentError(
                f"The two-arm expert has no plan for an object_state of {size} entries in {self._action_space!r}; it "
                f"knows the tasks (with the size of their object_state): {known}. Play a family of one of these, or "
                "choose another agent."
            )
        module = importlib.import_module(f"simloop_agents.experts.two_arm.{name}")
        return cast(ChunkPlan, module.plan)
