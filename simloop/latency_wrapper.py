"""Latency around any Gymnasium environment, by the stages and draws of the closed loop.

One step is one control tick. ``step(action)`` submits an action, decided from the observation that the step before
returned; the action takes effect when it has passed preprocess, uplink, accelerator, downlink and actuation. The
returned observation is made of the newest item of each sensor that has arrived by then. Reward, termination and
truncation are those of the environment's true state, at once.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from simloop.agent import Call
from simloop.clock import ceil_to
from simloop.compose import component, make_timing
from simloop.errors import ConfigurationError, ParameterError
from simloop.gym_env import Frames, PeriodPlayer, WorldEnv
from simloop.latency_engine import Item, LatencyEngine, Plant, check_steps
from simloop.spec import Case
from simloop.stepper import Stepper
from simloop.strategies.hold import hold_action
from simloop.timing.stage_graph import QueueRule, Timing, make_stage_graph, timing_from_config
from simloop.world import SensorKind, SensorSpec, World

FloatArray = npt.NDArray[np.float64]
HoldRule = Callable[[Any, int], Any]

HOLDS = ("repeat", "null")
OBSERVATION = "observation"
"""Name of the one sensor of an environment whose observation is not a Dict, and of its part when actions are added."""
SUBMITTED_ACTIONS = "submitted_actions"
DELAYS = "delay_ticks"


class _WorldPlant(Plant, PeriodPlayer):
    """A simloop world: captures and effects take place at their own instants inside the period."""

    def __init__(self, timing: Timing, hold: str | None) -> None:
        self._timing, self._hold_name = timing, hold
        self._sensors: tuple[SensorSpec, ...] = ()
        self._world: World | None = None
        self._stepper: Stepper | None = None
        self.engine: LatencyEngine | None = None

    def begin(self, world: World, case: Case, sensors: tuple[SensorSpec, ...]) -> Frames:
        spec = world.spec
        self._world, self._sensors = world, sensors
        self._stepper = Stepper(world)
        self.physics_period_ns = spec.physics_period_ns
        anchors = [s for s in (*sensors, *spec.sensors) if s.kind is SensorKind.PROPRIOCEPTION] or [*sensors]
        self._anchor = anchors[0].name
        captured = sensors if anchors[0] in sensors else (*sensors, anchors[0])
        self.engine = LatencyEngine(
            self._timing,
            case.draw_id,
            sensors=captured,
            anchor=self._anchor,
            plant=self,
            control_period_ns=spec.control_period_ns,
            action_size=spec.action.size,
        )
        self.engine.start_from(spec.action.start_action(world.anchor()))
        return self._frames()

    def play(self, world: World, tick: int, row: FloatArray) -> Frames:
        assert self.engine is not None
        anchor = self.engine.latest[self._anchor].anchor
        assert anchor is not None
        self.engine.step(world.spec.action.to_world(row, anchor)[0])
        return self._frames()

    def _frames(self) -> Frames:
        assert self.engine is not None
        return {s.name: self.engine.latest[s.name].value for s in self._sensors}

    def capture(self, sensor: str, index: int, t_ns: int) -> Item:
        assert self._world is not None and self._stepper is not None
        self._stepper.advance(t_ns)
        frame = self._world.capture(sensor, index)
        anchor = self._world.anchor() if sensor == self._anchor else None
        return Item(frame, index, frame.captured_at_ns, anchor)

    def apply(self, t_ns: int, action: Any) -> None:
        assert self._world is not None and self._stepper is not None
        self._stepper.advance(t_ns)
        self._world.actuate(action)

    def begin_period(self, t_ns: int) -> None:
        """Nothing happens: the world is moved when something is captured or takes effect."""

    def end_period(self, t_ns: int) -> None:
        assert self._stepper is not None
        self._stepper.advance(t_ns)

    def array(self, item: Item) -> Any:
        return item.value.array

    def hold(self, last_action: Any, starved_ticks: int) -> Any:
        assert self._world is not None
        spec = self._world.spec
        if self._hold_name == "repeat":
            return last_action.copy()
        if self._hold_name == "null":
            return np.array(spec.action.null_action, dtype=np.float64)
        return hold_action(spec.action, last_action, starved_ticks, spec.control_period_ns)


class _StepPlant(Plant):
    """Any environment: it is seen and changed between steps only, so captures and effects wait for whole steps."""

    def __init__(
        self, env: gymnasium.Env[Any, Any], control_period_ns: int, hold: HoldRule, null_action: Any
    ) -> None:
        self.physics_period_ns = control_period_ns
        self._env, self._hold, self._null_action = env, hold, null_action
        self._action: Any = None
        self._observation: Any = None
        self._captured_at_ns = 0
        self._outcome: tuple[Any, SupportsFloat, bool, bool, dict[str, Any]] | None = None

    def reset(self, observation: Any) -> None:
        self._action, self._observation, self._captured_at_ns = self._null_action, observation, 0
        self._outcome = None

    def result(self) -> tuple[SupportsFloat, bool, bool, dict[str, Any]]:
        """Returns reward, terminated, truncated and info of the last step."""
        assert self._outcome is not None
        return self._outcome[1:]

    def capture(self, sensor: str, index: int, t_ns: int) -> Item:
        seen = self._observation if sensor == OBSERVATION else self._observation[sensor]
        return Item(copy.deepcopy(seen), index, self._captured_at_ns, None)

    def apply(self, t_ns: int, action: Any) -> None:
        self._action = action

    def begin_period(self, t_ns: int) -> None:
        self._outcome = self._env.step(copy.deepcopy(self._action))

    def end_period(self, t_ns: int) -> None:
        assert self._outcome is not None
        self._observation, self._captured_at_ns = self._outcome[0], t_ns

    def array(self, item: Item) -> Any:
        return item.value

    def hold(self, last_action: Any, starved_ticks: int) -> Any:
        return self._hold(last_action, starved_ticks)


class LatencyWrapper(gymnasium.Wrapper[Any, Any, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """Puts the stages of a timing between an environment and whoever acts in it.

    - ``reset`` returns the state at t = 0, with age 0, and cancels everything that was under way.
    - An action acts at the first control tick after its arrival. At a tick for which none has arrived ``hold`` says
      what acts. One that arrives behind a newer one is ignored.
    - Reported to ``info["latency"]``: ``age_ns`` of the observation's items by sensor, ``observation_tick``,
      ``delay_ticks`` (d of the action sent at the last tick), ``acting_step`` (step that had submitted it),
      ``action_age_ns`` (of the action that took effect last), what was dropped, lost or overtaken during the step,
      and ``is_quantised``. -1 stands for "none": a hold.
    - Over a ``WorldEnv`` (also with other wrappers in between) captures and effects take place at their own instants
      inside the control period. Any other environment can be seen and changed between steps only: there they wait
      for whole steps, and ``is_quantised`` is True.
    - Draws are keyed by ``seed`` and the episode; ``reset(seed=...)`` repeats an episode. Over a ``WorldEnv`` they are
      the draws of the same case in a run.

    Args:
        env: The environment.
        timing: A timing, the name of a preset, or the plain values of one (as in ``conf/timing``).
        seed: Root seed of the latency draws; the timing's own by default.
        control_period_ns: Virtual time of one step; a ``WorldEnv`` has its own.
        augment_actions: Adds the last submitted actions to the observation, which makes it Markov again when they
            reach as far back as the largest delay (Bouteiller et al.: Reinforcement learning with random delays, ICLR
            2021). The observation becomes a Dict: ``observation`` (or the keys of a Dict observation),
            ``submitted_actions`` (num_actions, A), oldest first, flattened as by ``gymnasium.spaces.flatten`` and 0
            before the episode, and ``delay_ticks`` (2,): age of the observation and d of the acting action, in ticks
            (-1: a hold).
        num_actions: How many; by default as many as the longest way takes, if the timing has a longest way.
        hold: ``"repeat"`` the last action, or ``"null"``; by default a world's own rule, and ``"repeat"`` elsewhere.
        null_action: What acts before anything else, and under ``"null"``; by default zeros (the first of a Discrete
            space). A ``WorldEnv`` has its own.
        sensor_kinds: Kind of sensor (camera, proprioception, objects) by key of a Dict observation, or of all of it;
            a ``WorldEnv`` has its own.

    Raises:
        ConfigurationError: The timing cannot be played step by step, or an argument does not fit the environment.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        timing: Timing | str | Mapping[str, Any],
        seed: int | None = None,
        control_period_ns: int | None = None,
        augment_actions: bool = False,
        num_actions: int | None = None,
        hold: str | None = None,
        null_action: Any = None,
        sensor_kinds: str | Mapping[str, str] = "proprioception",
    ) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(
            self,
            timing=timing,
            seed=seed,
            control_period_ns=control_period_ns,
            augment_actions=augment_actions,
            num_actions=num_actions,
            hold=hold,
            null_action=null_action,
            sensor_kinds=sensor_kinds,
        )
        super().__init__(env)
        self._timing = _timing(timing, seed)
        check_steps(self._timing)
        if hold not in (None, *HOLDS):
            raise ParameterError(f"hold is {hold!r}; allowed: {', '.join(HOLDS)}, or None.")
        inner = env.unwrapped
        self.is_quantised = not isinstance(inner, WorldEnv)
        self._steps: _StepPlant | None = None
        self._world: _WorldPlant | None = None
        if isinstance(inner, WorldEnv):
            given = {"control_period_ns": control_period_ns, "null_action": null_action}
            for name, value in given.items():
                if value is not None:
                    raise ConfigurationError(
                        f"{name} is {value!r}; the world {inner.world.spec.name!r} has its own."
                    )
            self._period_ns = inner.world.spec.control_period_ns
            self._world = _WorldPlant(self._timing, hold)
            inner.play_periods_with(self._world)
        else:
            if control_period_ns is None or control_period_ns <= 0:
                raise ConfigurationError(
                    f"control_period_ns is {control_period_ns!r}; {inner} does not say how much virtual time a step "
                    "takes. Give a whole number of ns > 0, for example 20_000_000 for 50 Hz."
                )
            self._period_ns = control_period_ns
            null = _null_action(env.action_space) if null_action is None else null_action
            self._steps = _StepPlant(env, control_period_ns, _hold_rule(hold, null), null)
            self._sensors = _sensors(env.observation_space, sensor_kinds, control_period_ns)
        self._engine: LatencyEngine | None = None
        self._is_augmented = augment_actions
        self._episode_seed, self._num_episodes = 0, 0
        if augment_actions:
            self._num_actions = self._longest_way_ticks() if num_actions is None else num_actions
            if self._num_actions < 1:
                raise ParameterError(f"num_actions is {num_actions!r}; allowed: a whole number >= 1.")
            self._recent = np.zeros((self._num_actions, spaces.flatdim(env.action_space)), dtype=np.float32)
            self.observation_space = _augmented_space(
                env.observation_space, env.action_space, self._num_actions
            )

    @property
    def timing(self) -> Timing:
        """The timing that is played."""
        return self._timing

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode; what was under way is cancelled.

        Args:
            seed: Seeds the environment and the episode's latency draws, and those of the episodes after it.
            options: Passed on.
        """
        observation, info = self.env.reset(seed=seed, options=options)
        if seed is not None:
            self._episode_seed, self._num_episodes = seed, 0
        if self._world is not None:
            self._engine = self._world.engine
        else:
            observation = self._begin_steps(observation)
        self._num_episodes += 1
        if self._is_augmented:
            self._recent[:] = 0.0
        return self._augmented(observation), {**info, "latency": self._facts()}

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Submits an action and plays one control period; see the class's docstring."""
        if self._engine is None:
            raise gymnasium.error.ResetNeeded("Call reset before step.")
        if self._steps is None:
            observation, reward, terminated, truncated, info = self.env.step(action)
        else:
            self._engine.step(copy.deepcopy(action))
            reward, terminated, truncated, info = self._steps.result()
            observation = self._delivered()
        if self._is_augmented:
            self._recent[:-1] = self._recent[1:]
            self._recent[-1] = spaces.flatten(self.env.action_space, action)
        return self._augmented(observation), reward, terminated, truncated, {**info, "latency": self._facts()}

    def _longest_way_ticks(self) -> int:
        """Returns the longest time from a capture to the effect of an action decided on it, in ticks.

        A decision waits for a tick, so does the action once it has arrived, and so does the next action after the
        dead time: each of the three parts counts in whole ticks.
        """
        timing, period_ns = self._timing, self._period_ns
        graph = make_stage_graph(timing, "", control_period_ns=period_ns)
        inner = self.env.unwrapped
        sensors = inner.world.spec.sensors if isinstance(inner, WorldEnv) else self._sensors
        paths = [graph.sensor(sensor) for sensor in sensors]
        inference_ns = graph.inference(Call.POLICY).constant_ns
        links_ns = (graph.uplink.constant_ns, graph.downlink.constant_ns)
        seen = [path.constant_delay_ns for path in paths]
        sent = [graph.preprocess.constant_ns, *links_ns, inference_ns]
        acted = [graph.control_jitter.constant_ns, graph.actuation.constant_ns]
        is_queueing = timing.num_servers(Call.POLICY) > 0 and (inference_ns or 0) > period_ns
        if None in (*seen, *sent, *acted) or (is_queueing and timing.queue is not QueueRule.LATEST_WINS):
            raise ConfigurationError(
                f"num_actions is missing; timing {timing.name!r} varies, so no way is the longest. Give the number of "
                "control ticks that an observation and the action decided on it take together at most."
            )
        if is_queueing:
            sent.append(inference_ns)
        waits = [(path.constant_delay_ns or 0) + max(0, path.period_ns - period_ns) for path in paths]
        parts = (max(waits), sum(ns or 0 for ns in sent), sum(ns or 0 for ns in acted))
        return max(1, sum(ceil_to(part, period_ns) // period_ns for part in parts))

    def _begin_steps(self, observation: Any) -> Any:
        assert self._steps is not None
        self._steps.reset(observation)
        self._engine = LatencyEngine(
            self._timing,
            f"gymnasium/{self._episode_seed}/{self._num_episodes}",
            sensors=self._sensors,
            anchor=next(
                (s for s in self._sensors if s.kind is SensorKind.PROPRIOCEPTION), self._sensors[0]
            ).name,
            plant=self._steps,
            control_period_ns=self._period_ns,
            action_size=spaces.flatdim(self.env.action_space),
        )
        return self._delivered()

    def _delivered(self) -> Any:
        assert self._engine is not None
        latest = self._engine.latest
        if isinstance(self.env.observation_space, spaces.Dict):
            return {name: copy.deepcopy(item.value) for name, item in latest.items()}
        return copy.deepcopy(latest[OBSERVATION].value)

    def _augmented(self, observation: Any) -> Any:
        if not self._is_augmented:
            return observation
        assert self._engine is not None
        is_dict = isinstance(self.env.observation_space, spaces.Dict)
        age_ns = max(self._engine.ages_ns().values())
        delays = np.array([age_ns / self._period_ns, self._engine.delay_ticks], dtype=np.float32)
        parts = {SUBMITTED_ACTIONS: self._recent.copy(), DELAYS: delays}
        return {**(observation if is_dict else {OBSERVATION: observation}), **parts}

    def _facts(self) -> dict[str, Any]:
        engine = self._engine
        assert engine is not None
        return {
            "is_quantised": self.is_quantised,
            "age_ns": engine.ages_ns(),
            "observation_tick": engine.observation_tick,
            "delay_ticks": engine.delay_ticks,
            "acting_step": engine.acting_step,
            "action_age_ns": engine.action_age_ns,
            "num_dropped_captures": engine.num_dropped_captures,
            "num_lost_captures": engine.num_lost_captures,
            "num_lost_actions": engine.num_lost_actions,
            "num_dropped_actions": engine.num_dropped_actions,
            "num_stale_actions": engine.num_stale_actions,
        }


def _timing(given: Timing | str | Mapping[str, Any], seed: int | None) -> Timing:
    if isinstance(given, str):
        timing = make_timing(component("timing", given))
    else:
        timing = given if isinstance(given, Timing) else timing_from_config(**{"name": "wrapper", **given})
    return timing if seed is None else dataclasses.replace(timing, seed=seed)


def _hold_rule(hold: str | None, null_action: Any) -> HoldRule:
    def null(last_action: Any, starved_ticks: int) -> Any:
        return null_action

    def repeat(last_action: Any, starved_ticks: int) -> Any:
        return null_action if last_action is None else last_action

    return null if hold == "null" else repeat


def _null_action(space: spaces.Space[Any]) -> Any:
    if isinstance(space, spaces.Box):
        return np.clip(np.zeros(space.shape), space.low, space.high).astype(space.dtype)
    if isinstance(space, spaces.Discrete):
        return space.start
    if isinstance(space, spaces.MultiDiscrete):
        return space.start.copy()
    if isinstance(space, spaces.MultiBinary):
        return np.zeros(space.shape, dtype=space.dtype)
    raise ConfigurationError(
        f"null_action is missing; {space} has no action that is known to ask for nothing."
    )


def _sensors(
    space: spaces.Space[Any], kinds: str | Mapping[str, str], period_ns: int
) -> tuple[SensorSpec, ...]:
    parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {OBSERVATION: space}
    if isinstance(kinds, str):
        kinds = dict.fromkeys(parts, kinds)
    allowed = [k.value for k in SensorKind]
    wrong = {key: kind for key, kind in kinds.items() if kind not in allowed or key not in parts}
    if wrong:
        raise ConfigurationError(
            f"sensor_kinds holds {wrong}; allowed: one of {', '.join(allowed)} by key of the observation "
            f"({', '.join(parts)})."
        )
    sensors = []
    for name, part in parts.items():
        dtype = part.dtype if part.dtype is not None and part.shape is not None else np.dtype(np.float64)
        shape = part.shape if part.shape is not None else (spaces.flatdim(part),)
        sensors.append(
            SensorSpec(
                name=name,
                kind=SensorKind(kinds.get(name, SensorKind.PROPRIOCEPTION.value)),
                shape=tuple(shape),
                dtype=dtype.name,
                period_ns=period_ns,
                payload_bytes=int(np.prod(shape)) * dtype.itemsize,
            )
        )
    return tuple(sensors)


def _augmented_space(
    observation: spaces.Space[Any], action: spaces.Space[Any], num_actions: int
) -> spaces.Dict:
    flat = spaces.flatten_space(action)
    if not isinstance(flat, spaces.Box):
        raise ConfigurationError(
            f"augment_actions needs actions that can be flattened to numbers; got {action}."
        )
    parts = dict(observation.spaces) if isinstance(observation, spaces.Dict) else {OBSERVATION: observation}
    taken = sorted({SUBMITTED_ACTIONS, DELAYS} & set(parts))
    if taken:
        raise ConfigurationError(f"The observation has keys {taken} already; augment it once.")
    low = np.minimum(np.broadcast_to(flat.low, (num_actions, *flat.shape)), 0.0).astype(np.float32)
    high = np.maximum(np.broadcast_to(flat.high, (num_actions, *flat.shape)), 0.0).astype(np.float32)
    parts[SUBMITTED_ACTIONS] = spaces.Box(low, high, dtype=np.float32)
    parts[DELAYS] = spaces.Box(-1.0, float(1 << 24), shape=(2,), dtype=np.float32)
    return spaces.Dict(parts)
