"""The control tick: takes the action that is planned, or the hold, and puts it into effect after the dead time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop.clock import EventQueue, Phase
from simloop.episode_recorder import TickColumns
from simloop.stepper import Stepper
from simloop.strategies.buffer import NO_REQUEST, ActionBuffer
from simloop.strategies.hold import hold_action
from simloop.timing.stage_graph import StageDuration
from simloop.world import ActionSpec

FloatArray = npt.NDArray[np.float64]
_ACTUATION_EFFECT = int(Phase.ACTUATION_EFFECT)


class Controller:
    """Sends one action a control tick.

    Args:
        action: The action space.
        buffer: What is planned.
        control_period_ns: Control period.
        physics_period_ns: Physics period; effects take place at its multiples.
        actuation: Dead time.
        stepper: Moves the world.
        queue: Takes effects that are not at once.
        ticks: Takes the record.
    """

    __slots__ = (
        "_action",
        "_actuation",
        "_buffer",
        "_constant_ns",
        "_last_action",
        "_last_effect_tick",
        "_period_ns",
        "_physics_ns",
        "_queue",
        "_starved_ticks",
        "_stepper",
        "_ticks",
    )

    def __init__(
        self,
        *,
        action: ActionSpec,
        buffer: ActionBuffer,
        control_period_ns: int,
        physics_period_ns: int,
        actuation: StageDuration,
        stepper: Stepper,
        queue: EventQueue,
        ticks: TickColumns,
    ) -> None:
        self._action = action
        self._buffer = buffer
        self._period_ns = control_period_ns
        self._physics_ns = physics_period_ns
        self._actuation = actuation
        self._constant_ns = actuation.constant_ns
        self._stepper = stepper
        self._queue = queue
        self._ticks = ticks
        self._last_action: FloatArray | None = None
        self._starved_ticks = 0
        self._last_effect_tick = -1

    def start_from(self, action: FloatArray) -> None:
        """Sets the (A,) world-frame action that counts as the one before tick 0; the first hold starts from it."""
        self._last_action = action

    def act(self, t_ns: int, tick: int) -> None:
        """Sends the action of ``tick`` at the instant ``t_ns``."""
        acting = self._buffer.acting(tick)
        if acting is None:
            action = hold_action(self._action, self._last_action, self._starved_ticks, self._period_ns)
            self._starved_ticks += 1
            acting = (NO_REQUEST, NO_REQUEST, NO_REQUEST, 0, action)
        else:
            action = acting[4]
            self._starved_ticks = 0
        self._last_action = action
        constant_ns = self._constant_ns
        due_ns = t_ns + (self._actuation.ns(tick, t_ns) if constant_ns is None else constant_ns)
        self._ticks.add(t_ns, acting, due_ns)
        effect_ns = -(-due_ns // self._physics_ns) * self._physics_ns
        if effect_ns == t_ns:
            self.effect(t_ns, tick, action)
        else:
            self._queue.schedule(effect_ns, _ACTUATION_EFFECT, tick, action)

    def effect(self, t_ns: int, tick: int, action: FloatArray) -> None:
        """Applies an action; one that a later action has overtaken is ignored and marked so in the log."""
        if tick < self._last_effect_tick:
            self._ticks.overtaken.append(tick)
            return
        stepper = self._stepper
        if t_ns > stepper.now_ns:
            stepper.advance(t_ns)
        stepper.world.actuate(action)
        self._last_effect_tick = tick
