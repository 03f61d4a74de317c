"""The Gymnasium view of any World: one step is one control tick, with no latency unless a player adds it.

Keys follow what robot-learning tools read: ``pixels`` (HWC uint8 by camera), ``agent_pos`` (proprioception),
``environment_state`` (ground truth), ``info["is_success"]`` on reset and on every step. The horizon's end is
``truncated``, never ``terminated``. Actions are scaled to [-1, 1] unless the world's own units are asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from simloop.errors import ConfigurationError
from simloop.log import Columns
from simloop.scenario_files import load_family
from simloop.spec import Case, ScenarioFamily
from simloop.world import Frame, OutcomeState, SensorKind, SensorSpec, World

Observation = dict[str, Any]
FloatArray = npt.NDArray[np.float64]
Frames = Mapping[str, Frame]
TIME_LIMIT = "time_limit"
"""Reason of a world whose own verdict at the horizon's end is that nothing was decided before."""
_GROUPS = {SensorKind.PROPRIOCEPTION: "agent_pos", SensorKind.OBJECTS: "environment_state"}


class PeriodPlayer(ABC):
    """Plays the control periods of a ``WorldEnv``: when an action takes effect and what the next step observes.

    The environment scales the actions, asks for the verdict and lays out the observation; between the two the player
    alone calls the world, so that effects and captures may lie anywhere inside the period.
    """

    @abstractmethod
    def begin(self, world: World, case: Case, sensors: tuple[SensorSpec, ...]) -> Frames:
        """Starts an episode in a world that was just reset; returns the frame of each of ``sensors`` by name."""

    @abstractmethod
    def play(self, world: World, tick: int, row: FloatArray) -> Frames:
        """Plays control period ``tick`` and leaves the world at its end.

        Args:
            world: The world, at the start of the period.
            tick: Number of the period, from 0.
            row: (1, A) the action that the step submits, as an agent sends it and in the world's units.

        Returns:
            The frame of each sensor that the step's observation is made of.
        """


class _WithoutLatency(PeriodPlayer):
    """Applies the action at once and observes the state at the period's end."""

    def __init__(self) -> None:
        self._sensors: tuple[SensorSpec, ...] = ()

    def begin(self, world: World, case: Case, sensors: tuple[SensorSpec, ...]) -> Frames:
        self._sensors = sensors
        return {s.name: world.capture(s.name, 0) for s in sensors}

    def play(self, world: World, tick: int, row: FloatArray) -> Frames:
        action = world.spec.action
        world.actuate(action.to_world(row, world.anchor())[0])
        world.advance((tick + 1) * world.spec.control_period_ns)
        return {s.name: world.capture(s.name, tick + 1) for s in self._sensors}


class WorldEnv(gymnasium.Env[Observation, npt.NDArray[np.float32]]):
    """A Gymnasium environment over a World and a scenario family.

    Args:
        make_world: Makes the world from the family's ``world_config``, given as keyword arguments.
        family: Name of a scenario family, or the family itself.
        sensors: Names of the sensors in the observation; all of the world's by default.
        render_mode: ``"rgb_array"`` renders the world's first camera (if it has one), or None.
        world_config: Replaces single entries of the family's world config.
        normalise_actions: True: every action entry runs from -1 (its lower bound) to 1 (its upper bound). False: the
            action space has the bounds and units of the world's ``ActionSpec``.

    Raises:
        ConfigurationError: The family, a sensor or the render mode is unknown.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012, as in gymnasium

    def __init__(
        self,
        make_world: Callable[..., World],
        family: str | ScenarioFamily,
        *,
        sensors: tuple[str, ...] | None = None,
        render_mode: str | None = None,
        world_config: Mapping[str, Any] | None = None,
        normalise_actions: bool = True,
    ) -> None:
        self._use(load_family(family) if isinstance(family, str) else family)
        self._world_config = {**self._family.world_config, **(world_config or {})}
        self._world = make_world(**self._world_config)
        spec = self._world.spec
        known = {s.name: s for s in spec.sensors}
        chosen = tuple(known) if sensors is None else sensors
        unknown = sorted(set(chosen) - set(known))
        if unknown:
            raise ConfigurationError(f"Unknown sensors {unknown}; {spec.name} has: {', '.join(known)}.")
        self._sensors = tuple(known[name] for name in chosen)
        self._cameras = tuple(s for s in spec.sensors if s.kind is SensorKind.CAMERA)
        modes = ["rgb_array"] if self._cameras else []
        if render_mode is not None and render_mode not in modes:
            raise ConfigurationError(f"render_mode is {render_mode!r}; {spec.name} allows: {[None, *modes]}.")
        self.render_mode = render_mode
        self.metadata = {"render_modes": modes, "render_fps": round(1e9 / spec.control_period_ns)}
        low = np.array([d.low for d in spec.action.dimensions])
        high = np.array([d.high for d in spec.action.dimensions])
        self._action_centre = (low + high) / 2 if normalise_actions else np.zeros(spec.action.size)
        self._action_scale = (high - low) / 2 if normalise_actions else np.ones(spec.action.size)
        if normalise_actions:
            low, high = np.full(spec.action.size, -1.0), np.ones(spec.action.size)
        self.action_space = spaces.Box(
            low=low.astype(np.float32), high=high.astype(np.float32), dtype=np.float32
        )
        self.observation_space = _observation_space(self._sensors)
        self._player: PeriodPlayer = _WithoutLatency()
        self._is_reset = False
        self._tick = 0

    def _use(self, family: ScenarioFamily) -> None:
        self._family = family
        self.task = family.name
        self.task_description = family.instruction

    @property
    def world(self) -> World:
        """The world behind the environment."""
        return self._world

    def play_periods_with(self, player: PeriodPlayer) -> None:
        """Makes ``player`` play the control periods, from the next reset on.

        Raises:
            ConfigurationError: Another player was given before.
        """
        if not isinstance(self._player, _WithoutLatency):
            raise ConfigurationError(
                f"{self._world.spec.name} has a period player already ({type(self._player).__name__}); wrap the "
                "environment once."
            )
        self._player, self._is_reset = player, False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: Seeds this and all later episodes.
            options: ``{"parameters": {name: value}}`` fixes scenario parameters.

        Returns:
            (observation, info); ``info["simloop"]`` holds family, parameters and the case's seed.
        """
        super().reset(seed=seed)
        case_seed = int(self.np_random.integers(2**31)) if seed is None else seed
        scenario = self._family.scenario(case_seed, (options or {}).get("parameters"))
        shown = self._cameras[:1] if self.render_mode is not None else ()
        self._world.expect_captures([sensor.name for sensor in (*self._sensors, *shown)])
        self._world.reset(scenario, case_seed)
        self._is_reset, self._tick = True, 0
        case = Case(scenario=scenario, seed=case_seed, world_config=self._world_config)
        frames = self._player.begin(self._world, case, self._sensors)
        info = self._info(is_success=False, stage=0, reason="")
        info["simloop"] |= {
            "family": self._family.name,
            "parameters": dict(scenario.parameters),
            "seed": case_seed,
        }
        return self._lay_out(frames), info

    def step(self, action: npt.NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Applies one action (relative to the present pose where the action space is) for one control period.

        Returns:
            (observation, reward, terminated, truncated, info); the reward is 1 at success, else 0.
        """
        if not self._is_reset:
            raise gymnasium.error.ResetNeeded("Call reset before step.")
        spec = self._world.spec
        entries = np.asarray(action, dtype=np.float64).reshape(1, spec.action.size)
        row = self._action_centre + self._action_scale * entries
        frames = self._player.play(self._world, self._tick, row)
        self._tick += 1
        outcome = self._world.outcome()
        is_success = outcome.state is OutcomeState.SUCCESS
        is_horizon_end = self._tick * spec.control_period_ns >= self._family.time_limit_ns
        is_running = outcome.state is OutcomeState.RUNNING or (
            is_horizon_end and outcome.reason == TIME_LIMIT
        )
        terminated = not is_running
        truncated = is_running and is_horizon_end
        info = self._info(is_success=is_success, stage=outcome.stage, reason=outcome.reason)
        return self._lay_out(frames), float(is_success), terminated, truncated, info

    def drain(self) -> Mapping[str, Columns]:
        """Returns and forgets the world's recorded tables (docs/log.md)."""
        return self._world.drain()

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Returns the first camera's picture, (height, width, 3) uint8, in mode ``rgb_array``, else None."""
        if self.render_mode is None or not self._cameras:
            return None
        return np.array(self._world.capture(self._cameras[0].name, self._tick).array, dtype=np.uint8)

    def close(self) -> None:
        """Frees the world."""
        self._world.close()

    def _lay_out(self, frames: Frames) -> Observation:
        observation: Observation = {}
        for sensor in self._sensors:
            array = frames[sensor.name].array
            if sensor.kind is SensorKind.CAMERA:
                observation.setdefault("pixels", {})[sensor.name] = np.array(array)
            else:
                observation.setdefault(_GROUPS[sensor.kind], {})[sensor.name] = np.array(array)
        for group in _GROUPS.values():
            if len(observation.get(group, {})) == 1:
                (observation[group],) = observation[group].values()
        return observation

    def _info(self, *, is_success: bool, stage: int, reason: str) -> dict[str, Any]:
        return {"is_success": is_success, "simloop": {"stage": stage, "reason": reason, "tick": self._tick}}


class AnyScenarioEnv(WorldEnv):
    """A WorldEnv whose ``reset`` chooses the scenario: ``options={"scenario": name_or_path, "parameters": {...}}``.

    The world stays the one that it was made with, whatever ``world_config`` the chosen family has; without the option
    the scenario of the last reset is played again.
    """

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode of the scenario that ``options`` names; see ``WorldEnv.reset``.

        Raises:
            ConfigurationError: The family is unknown, not valid, or of another world.
        """
        name = (options or {}).get("scenario")
        if name is not None:
            family = load_family(name)
            if family.world != self._world.spec.name:
                raise ConfigurationError(
                    f"reset(options={{'scenario': {name!r}}}): {family.name} is for the world {family.world!r}; this "
                    f"environment's world is {self._world.spec.name!r}."
                )
            self._use(family)
        return super().reset(seed=seed, options=options)


def _observation_space(sensors: tuple[SensorSpec, ...]) -> spaces.Dict:
    groups: dict[str, dict[str, spaces.Space[Any]]] = {}
    for sensor in sensors:
        dtype = np.dtype(sensor.dtype)
        is_image = sensor.kind is SensorKind.CAMERA
        box = spaces.Box(*_bounds(dtype), shape=sensor.shape, dtype=dtype.type)
        groups.setdefault("pixels" if is_image else _GROUPS[sensor.kind], {})[sensor.name] = box
    merged: dict[str, spaces.Space[Any]] = {}
    for group, boxes in groups.items():
        is_single = group != "pixels" and len(boxes) == 1
        merged[group] = next(iter(boxes.values())) if is_single else spaces.Dict(boxes)
    return spaces.Dict(merged)


def _bounds(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Returns the range of a dtype: 0..255 for pictures; for floats bounds that are finite and can be sampled."""
    if dtype.kind == "b":
        return 0.0, 1.0
    if dtype.kind in "iu":
        return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    half = float(np.finfo(dtype).max) / 2
    return -half, half
