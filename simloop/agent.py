"""The seam to a model agent: observations in, action chunks out.

``Agent.infer`` is a pure function of the requests and the agent's weights. There is no memory between calls:
state travels as ``context``, an opaque handle that the loop stores, ages and drops.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.world import Anchor

FloatArray = npt.NDArray[np.float64]


class Call(enum.Enum):
    """What is asked of an agent."""

    POLICY = "policy"
    """Observation to action chunk."""
    CONTEXT = "context"
    """Observation to context (the slow half of a split model)."""
    EXPERT = "expert"
    """Context and proprioception to action chunk (the fast half)."""
    CORRECTOR = "corrector"
    """Observation and base actions to corrected actions."""


class Capability(enum.Enum):
    """What an agent supports beyond plain chunks; strategies name what they need."""

    PREFIX = "prefix"
    """Reproduces weight-1 actions of ``Conditioning`` bit for bit and continues them."""
    GUIDANCE = "guidance"
    """Honours weights between 0 and 1 (a gradient through the denoiser)."""
    ROLLED_STATE = "rolled_state"
    """Takes ``rolled_actions`` and rolls its state forward over them (VLASH, arXiv 2512.01031)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditioning:
    """Actions that the chunk must or should continue, in the agent's frame (anchored like the reply).

    Attributes:
        actions: (H, A) float64; rows with weight 0 mean nothing.
        weights: (H,) float64 in 0..1: 1 = committed and reproduced bit for bit, 0 = free, between = soft.
        max_guidance: Upper bound of the guidance weight (RTC's beta).
        is_guided: True if the chunk is to be guided towards ``actions`` as the weights say (a gradient through the
            denoiser), False if rows of weight 1 are to be held clean.
    """

    actions: FloatArray
    weights: FloatArray
    max_guidance: float = 5.0
    is_guided: bool = False

    @property
    def num_committed(self) -> int:
        """Number of leading rows with weight 1."""
        is_free = self.weights < 1.0
        first = int(is_free.argmax())
        return first if is_free[first] else len(is_free)


@dataclass(slots=True, kw_only=True, eq=False)
class InferenceRequest:
    """One question to an agent, sealed at the trigger; a value, not frozen because that would double its cost.

    Attributes:
        episode_id: Episode that asks.
        call: What is asked.
        embodiment: Name of the action space to answer in (``ActionSpec.name``).
        observation: Array by sensor name, as the world's ``SensorSpec`` lays it out; read-only.
        age_ns: Age by sensor name, trigger instant minus capture instant.
        instruction: The task in words.
        anchor: Pose that the reply's actions are relative to.
        observation_tick: Control tick k of the anchor item's capture; chunk row i is meant for tick k + i.
        predicted_delay_ticks: Predicted delay d-hat in control ticks.
        conditioning: Committed or soft actions, or None.
        context: ``expert`` calls: the newest context that was delivered. ``corrector`` calls: the context that the
            reply of the base chunk brought, which may be None. Else None.
        context_age_ns: Trigger instant minus capture instant of the context's anchor item; -1 without a context.
        base_actions: (n, A), n >= 1, ``corrector`` calls only: the uncorrected actions planned for
            ``observation_tick`` on, in the agent's frame (anchored like the reply).
        base_row: Row, in the chunk it comes from, of ``base_actions[0]``; -1 without base actions.
        rolled_actions: (n, A) committed actions for the ticks ``observation_tick`` .. + n - 1 in the agent's frame,
            over which the agent rolls its state, n >= 0; its reply then has ``first_index = n``. None under
            strategies that roll nothing.
        draw_key: Key of everything random in this reply; see ``simloop.randomness.generator``.
    """

    episode_id: str
    call: Call
    embodiment: str
    observation: Mapping[str, npt.NDArray[Any]]
    age_ns: Mapping[str, int]
    instruction: str
    anchor: Anchor
    observation_tick: int
    predicted_delay_ticks: int
    draw_key: tuple[int, int]
    conditioning: Conditioning | None = None
    context: Any = None
    context_age_ns: int = -1
    base_actions: FloatArray | None = None
    base_row: int = -1
    rolled_actions: FloatArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InferenceReply:
    """One answer of an agent.

    ``policy`` and ``expert`` calls are answered with (H, A) actions, ``context`` calls with a context and no actions,
    ``corrector`` calls with (m, A) actions, 1 <= m <= H, which replace the base actions row by row.

    Attributes:
        actions: (H, A) or (m, A) in the embodiment's units, relative to the request's anchor, or None. Row r stands
            for the tick ``observation_tick + first_index + r``.
        context: Opaque handle for later calls, or None.
        first_index: n if the agent rolled its state over n ``rolled_actions``, else 0.
        notes: Short texts for the log (reasoning, plan names).
        measured_ns: Wall time of the inference, filled in ``measured`` mode only.
    """

    actions: FloatArray | None
    context: Any = None
    first_index: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)
    measured_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Embodiment:
    """What an agent needs of a world to act in it.

    Attributes:
        action_space: ``ActionSpec.name`` that the agent answers in.
        observations: Names of the sensors that it reads.
        dimensions: Names of the action's entries, in order; empty means any.
        optional_observations: Names of the sensors that it reads where a world has them and does without elsewhere.
        shapes: Shapes of a sensor's array that it understands, by sensor name; any shape of sensors left out. What a
            sensor holds may differ from scene to scene (ground truth of other objects), which its shape tells.
    """

    action_space: str
    observations: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    optional_observations: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """What an agent is and supports.

    Attributes:
        name: Name for tables and reports.
        calls: The calls that it answers.
        horizon: Rows H of an action chunk.
        action_period_ns: Time between two rows.
        embodiments: One entry for each action space that it can act in.
        capabilities: What it supports beyond plain chunks.
        digest: Hash of weights, config and the source of its module; part of the episode's identity.
        is_deterministic: False if two equal requests may get different replies.
    """

    name: str
    horizon: int
    action_period_ns: int
    embodiments: tuple[Embodiment, ...]
    digest: str
    calls: frozenset[Call] = frozenset({Call.POLICY})
    capabilities: frozenset[Capability] = frozenset()
    is_deterministic: bool = True


class Agent(ABC):
    """A decision maker. Implementations answer a batch at once; replies do not depend on the batch's make-up."""

    @property
    @abstractmethod
    def spec(self) -> AgentSpec:
        """The agent's fixed properties."""

    @abstractmethod
    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        """Answers every request, in order."""

    def synchronize(self) -> None:
        """Waits until the device has finished what ``infer`` started; called around inferences that are measured."""

    def facts(self) -> Mapping[str, str]:
        """Returns what traces of it shall say beside its name: ``dtype``, ``steps`` (of denoising), ``device``."""
        return {}

    def close(self) -> None:
        """Frees what the agent holds; it is not used afterwards."""
