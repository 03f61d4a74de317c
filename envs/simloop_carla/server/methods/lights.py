"""Traffic lights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simloop_carla.server.lights import Light
from simloop_carla.server.net.rpc_server import MethodTable
from simloop_carla.server.simulator import Simulator
from simloop_carla.wire.replies import DONE, failure, success
from simloop_carla.wire.structs import U8, U32

_LAST_STATE = 4


def set_state(simulator: Simulator, one: Light, state: int) -> None:
    """Turns a light to a state of CARLA's enumeration, from which its time runs on; beyond the last one is the last."""
    one.state, one.elapsed_s = min(state, _LAST_STATE), 0.0


def register(table: MethodTable) -> None:
    """Adds the methods of this module."""

    def light(simulator: Simulator, actor_id: int) -> Light | None:
        actor = simulator.episode.roster.by_id.get(actor_id)
        return None if actor is None else actor.light

    def to_light(apply: Callable[..., None]) -> Callable[..., Any]:
        def call(simulator: Simulator, actor_id: int, *values: Any) -> Any:
            one = light(simulator, actor_id)
            if one is None:
                return [[True, [f"actor {actor_id} is not a traffic light"]]]
            apply(simulator, one, *values)
            return DONE

        return call

    def set_time(name: str) -> Callable[..., None]:
        def apply(simulator: Simulator, one: Light, duration_s: float) -> None:
            setattr(one, name, max(duration_s, 0.0))

        return apply

    table.add("set_traffic_light_state", U32, U8)(to_light(set_state))
    for colour in ("green", "yellow", "red"):
        table.add(f"set_traffic_light_{colour}_time", U32, float)(to_light(set_time(f"{colour}_s")))
    table.add("reset_traffic_light_group", U32)(
        to_light(lambda sim, one: sim.episode.lights.restart_group(one))
    )

    @table.add("freeze_traffic_light", U32, bool)
    def freeze_traffic_light(simulator: Simulator, actor_id: int, is_frozen: bool) -> Any:
        simulator.episode.lights.is_frozen = is_frozen
        return DONE

    @table.add("freeze_all_traffic_lights", bool)
    def freeze_all_traffic_lights(simulator: Simulator, is_frozen: bool) -> Any:
        simulator.episode.lights.is_frozen = is_frozen
        return DONE

    @table.add("reset_all_traffic_lights")
    def reset_all_traffic_lights(simulator: Simulator) -> Any:
        simulator.episode.lights.reset()
        return DONE

    @table.add("get_group_traffic_lights", U32)
    def get_group_traffic_lights(simulator: Simulator, actor_id: int) -> Any:
        one = light(simulator, actor_id)
        if one is None:
            return failure(f"actor {actor_id} is not a traffic light")
        group = simulator.episode.lights.group_of(one)
        actors, _ = simulator.episode.roster.of_kind("light")
        return success([actor.id for actor in actors if any(actor.light is other for other in group)])

    @table.add("get_light_boxes", U32)
    def get_light_boxes(simulator: Simulator, actor_id: int) -> Any:
        one = light(simulator, actor_id)
        if one is None:
            return failure(f"actor {actor_id} is not a traffic light")
        return success([one.head._replace(actor_id=actor_id)])
