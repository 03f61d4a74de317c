"""Methods that have nothing to do here: they are accepted, or answered with what an empty world has."""

from __future__ import annotations

from typing import Any

from simloop_carla.server.rpc_server import MethodTable
from simloop_carla.server.simulator import Simulator
from simloop_carla.wire.replies import DONE, success
from simloop_carla.wire.structs import IDENTITY

_ACCEPTED = {
    "enable_carsim": 2,
    "use_carsim_road": 2,
    "enable_chrono_physics": 7,
    "restore_physx_physics": 1,
    "set_bones_transform": 2,
    "blend_pose": 2,
    "get_pose_from_animation": 1,
    "update_lights_state": 3,
    "update_day_night_cycle": 2,
    "enable_environment_objects": 2,
    "draw_debug_shape": 1,
    "clear_debug_shape": 0,
    "clear_debug_string": 0,
    "apply_color_texture_to_objects": 3,
    "apply_float_color_texture_to_objects": 3,
    "stop_recorder": 0,
    "stop_replayer": 1,
    "set_replayer_time_factor": 1,
    "set_replayer_ignore_hero": 1,
    "set_replayer_ignore_spectator": 1,
    "enable_sensor_for_ros": 1,
    "disable_sensor_for_ros": 1,
    "enable_gbuffers": 2,
    "send": 2,
    "set_ignored_vehicles": 2,
}
"""Number of arguments of what is accepted without effect."""

_NOT_RECORDED = "recording is not supported by this server"
_ANSWERS: dict[str, tuple[int, Any]] = {
    "project_point": (3, [False, [[0.0, 0.0, 0.0], 0]]),
    "cast_ray": (2, []),
    "get_bones_transform": (1, [[]]),
    "get_actor_component_names": (1, []),
    "get_actor_bone_names": (1, []),
    "get_actor_socket_names": (1, []),
    "get_actor_component_world_transform": (2, IDENTITY),
    "get_actor_component_relative_transform": (2, IDENTITY),
    "get_actor_bone_world_transforms": (1, []),
    "get_actor_bone_relative_transforms": (1, []),
    "get_actor_socket_world_transforms": (1, []),
    "get_actor_socket_relative_transforms": (1, []),
    "get_vehicle_bone_world_transforms": (1, []),
    "start_recorder": (2, _NOT_RECORDED),
    "show_recorder_file_info": (2, _NOT_RECORDED),
    "show_recorder_collisions": (3, _NOT_RECORDED),
    "show_recorder_actors_blocked": (3, _NOT_RECORDED),
    "replay_file": (6, _NOT_RECORDED),
    "is_sensor_enabled_for_ros": (1, False),
    "are_gbuffers_enabled": (1, False),
}
"""Number of arguments and answer of what has one."""


def register(table: MethodTable) -> None:
    """Adds the methods of this module."""

    def accept(simulator: Simulator, *values: Any) -> Any:
        return DONE

    for name, count in _ACCEPTED.items():
        table.add(name, *[object] * count)(accept)
    for name, (count, answer) in _ANSWERS.items():
        table.add(name, *[object] * count)(_answering(answer))


def _answering(answer: Any) -> Any:
    def call(simulator: Simulator, *values: Any) -> Any:
        return success(answer)

    return call
