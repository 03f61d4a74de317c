"""Whether agent, world, strategy and timing fit together; checked before the first episode."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from simloop.agent import AgentSpec, Embodiment
from simloop.clock import NS_PER_S
from simloop.errors import ConfigurationError, IncompatibleAgentError
from simloop.foresight import check_foreseeable
from simloop.strategies.catalogue import check_agent
from simloop.strategies.rules import Align, PredictorKind
from simloop.strategies.strategy import Strategy
from simloop.timing.rules import CALL_STAGES, Assembly, ControlClock, Stage
from simloop.timing.settings import Timing
from simloop.timing.stage_graph import StageGraph
from simloop.world import WorldSpec


def matching_embodiment(agent: AgentSpec, world: WorldSpec, strategy: Strategy) -> Embodiment:
    """Returns how ``agent`` acts in ``world`` under ``strategy``; it reads the optional sensors that the world has.

    Raises:
        IncompatibleAgentError: Action space, dimensions, sensors, chunk length, action period, calls or a capability
            that the strategy needs do not fit, or a sensor's array has a shape that the agent does not know; the
            message says which and what would.
    """
    offered = {e.action_space: e for e in agent.embodiments}
    embodiment = offered.get(world.action.name)
    if embodiment is None:
        raise IncompatibleAgentError(
            f"Agent {agent.name!r} acts in {', '.join(sorted(offered))}; world {world.name!r} takes actions in "
            f"{world.action.name!r}. Choose another agent, or another action space of the world."
        )
    names = tuple(d.name for d in world.action.dimensions)
    if embodiment.dimensions and embodiment.dimensions != names:
        raise IncompatibleAgentError(
            f"Agent {agent.name!r} answers {embodiment.dimensions} in {world.action.name!r}; world {world.name!r} "
            f"expects {names}."
        )
    sensors = {s.name: s for s in world.sensors}
    missing = sorted(set(embodiment.observations) - set(sensors))
    if missing:
        raise IncompatibleAgentError(
            f"Agent {agent.name!r} reads {', '.join(missing)}, which world {world.name!r} does not have; it has: "
            f"{', '.join(sorted(sensors))}."
        )
    for name, shapes in embodiment.shapes.items():
        if name in sensors and sensors[name].shape not in shapes:
            raise IncompatibleAgentError(
                f"Agent {agent.name!r} does not know what {name!r} holds in this scene: world {world.name!r} gives "
                f"shape {sensors[name].shape}, in {world.action.name!r} the agent knows "
                f"{', '.join(map(str, shapes))}. Choose a scenario that it was made for, or another agent."
            )
    if agent.action_period_ns != world.control_period_ns:
        _check_other_period(agent, world, strategy)
    check_agent(strategy, agent)
    return _with_optional_sensors(embodiment, sensors)


def _with_optional_sensors(embodiment: Embodiment, sensors: Collection[str]) -> Embodiment:
    found = tuple(name for name in embodiment.optional_observations if name in sensors)
    return dataclasses.replace(
        embodiment, observations=(*embodiment.observations, *found), optional_observations=()
    )


def _check_other_period(agent: AgentSpec, world: WorldSpec, strategy: Strategy) -> None:
    if strategy.rules.align is not Align.BY_TIME:
        raise IncompatibleAgentError(
            f"Agent {agent.name!r} plans one action every {agent.action_period_ns} ns; world {world.name!r} is "
            f"controlled every {world.control_period_ns} ns. The two must be equal, or strategy.rules.align by_time."
        )
    if strategy.needs or len(strategy.calls) > 1:
        raise IncompatibleAgentError(
            f"Agent {agent.name!r} plans one action every {agent.action_period_ns} ns and world {world.name!r} is "
            f"controlled every {world.control_period_ns} ns: strategy {strategy.name!r} hands planned actions back "
            "row by row, which takes equal periods. Choose a strategy that hands none back, for example naive_async."
        )


def check_observed_sensors(timing: Timing, strategy: Strategy, embodiment: Embodiment) -> None:
    """Checks that what a scene-dependent inference looks at is observed by the agent.

    Raises:
        ConfigurationError: It is not; the message names the sensor and those that are.
    """
    if strategy.freezes_world:
        return
    for call in strategy.calls:
        sensor = timing.inference_of(call).observed_sensor
        if sensor is not None and sensor not in embodiment.observations:
            raise ConfigurationError(
                f"timing.{CALL_STAGES[call].value}: scene_dependent looks at sensor {sensor!r}; the agent observes: "
                f"{', '.join(sorted(embodiment.observations))}."
            )


def check_timing(timing: Timing, strategy: Strategy, embodiment: Embodiment) -> None:
    """Checks, before the first episode, that a timing goes with a strategy and with what the agent observes.

    Raises:
        ConfigurationError: It does not; the message names what is in the way.
    """
    check_observed_sensors(timing, strategy, embodiment)
    if timing.control_clock is ControlClock.RESTART_ON_ARRIVAL and not strategy.freezes_world:
        has_jitter = timing.stage(Stage.CONTROL_JITTER).constant_ns != 0
        check_restarting_clock(timing, strategy, has_jitter=has_jitter)
    if strategy.rules.predictor.kind is PredictorKind.ORACLE:
        played = timing.frozen() if strategy.freezes_world else timing
        # What can be foretold depends neither on the case nor on the period.
        graph = StageGraph(played, "", control_period_ns=NS_PER_S, strategy_name=strategy.name)
        for call in strategy.calls:
            check_foreseeable(graph, call)


def check_restarting_clock(timing: Timing, strategy: Strategy, *, has_jitter: bool) -> None:
    """Checks that a control clock that restarts on arrival goes with the other rules.

    Raises:
        ConfigurationError: It does not; the message names what is in the way.
    """
    obstacles = {
        f"strategy {strategy.name!r}, which makes more than one kind of call": len(strategy.calls) > 1,
        f"timing.assembly {timing.assembly.value}": timing.assembly is not Assembly.CAPTURED_SINCE,
        "control jitter": has_jitter,
    }
    found = [name for name, is_so in obstacles.items() if is_so]
    if found:
        raise ConfigurationError(
            f"timing.control.clock is 'restart_on_arrival', which does not go with {' and '.join(found)}; allowed: a "
            "strategy with one kind of call, assembly captured_since, no jitter. Or set timing.control.clock to "
            "tick_locked."
        )
