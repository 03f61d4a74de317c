"""Methods without a counterpart here: a call that waits for an answer is refused with the reason.

Calls that do not wait have no way to be refused; they change nothing, and the server's log says so once.
"""

from __future__ import annotations

import logging
from typing import Any

from simloop_carla.server.net.rpc_server import MethodTable
from simloop_carla.server.simulator import Simulator
from simloop_carla.wire.replies import DONE, failure, refused, success

LOG = logging.getLogger("simloop.carla")

_HARMLESS = {
    "draw_debug_shape": 1,
    "clear_debug_shape": 0,
    "clear_debug_string": 0,
    "update_lights_state": 3,
    "stop_recorder": 0,
    "stop_replayer": 1,
    "disable_sensor_for_ros": 1,
    "restore_physx_physics": 1,
    "set_annotations_traverse_translucency": 1,
}
"""Number of arguments of what does nothing, and need not: debug drawings, and the end of what never began."""

_WITHOUT_EFFECT = {
    "enable_carsim": 2,
    "use_carsim_road": 2,
    "enable_chrono_physics": 7,
    "set_bones_transform": 2,
    "blend_pose": 2,
    "get_pose_from_animation": 1,
    "update_day_night_cycle": 2,
    "enable_environment_objects": 2,
    "set_replayer_time_factor": 1,
    "set_replayer_ignore_hero": 1,
    "set_replayer_ignore_spectator": 1,
    "enable_sensor_for_ros": 1,
    "send": 2,
}
"""Number of arguments of calls that do not wait for an answer and change nothing."""

_RECORDER = "recording and replaying are not offered by simloop's server"
_TEXTURES = "textures cannot be changed on simloop's server, which draws without any"
_GBUFFERS = "G-buffers are not offered by simloop's server; use the depth, normals and semantic cameras"
_SKELETONS = "walkers of simloop's server have no skeleton"
_REFUSED = {
    "start_recorder": (2, _RECORDER),
    "show_recorder_file_info": (2, _RECORDER),
    "show_recorder_collisions": (3, _RECORDER),
    "show_recorder_actors_blocked": (3, _RECORDER),
    "replay_file": (6, _RECORDER),
    "get_bones_transform": (1, _SKELETONS),
    "get_actor_component_world_transform": (2, "actors of simloop's server have no components"),
    "get_actor_component_relative_transform": (2, "actors of simloop's server have no components"),
    "get_gbuffer_token": (2, _GBUFFERS),
    "get_navigation_mesh": (0, "meshes for navigation come with get_required_files"),
}
"""Number of arguments of calls for a value, and why there is none."""
_REFUSED_WITHOUT_VALUE = {
    "apply_color_texture_to_objects": (3, _TEXTURES),
    "apply_float_color_texture_to_objects": (3, _TEXTURES),
    "enable_gbuffers": (2, _GBUFFERS),
    "set_ignored_vehicles": (2, "sensors of simloop's server cannot ignore vehicles"),
}

_NOTHING = (
    "get_actor_component_names",
    "get_actor_bone_names",
    "get_actor_socket_names",
    "get_actor_bone_world_transforms",
    "get_actor_bone_relative_transforms",
    "get_actor_socket_world_transforms",
    "get_actor_socket_relative_transforms",
    "get_vehicle_bone_world_transforms",
)
"""Lists that are empty for every actor: actors are boxes without components, bones and sockets."""


def register(table: MethodTable) -> None:
    """Adds the methods of this module."""
    for name, count in _HARMLESS.items():
        table.add(name, *[object] * count)(_done)
    for name, count in _WITHOUT_EFFECT.items():
        table.add(name, *[object] * count)(_without_effect(name))
    for name, (count, reason) in _REFUSED.items():
        table.add(name, *[object] * count)(_answering(failure(reason)))
    for name, (count, reason) in _REFUSED_WITHOUT_VALUE.items():
        table.add(name, *[object] * count)(_answering(refused(reason)))
    for name in _NOTHING:
        table.add(name, object)(_answering(success([])))
    for name in ("is_sensor_enabled_for_ros", "are_gbuffers_enabled"):
        table.add(name, object)(_answering(success(False)))


def _done(simulator: Simulator, *values: Any) -> Any:
    return DONE


def _without_effect(name: str) -> Any:
    has_said = False

    def call(simulator: Simulator, *values: Any) -> Any:
        nonlocal has_said
        if not has_said:
            LOG.warning("A client called %s, which has no effect on this server.", name)
            has_said = True
        return DONE

    return call


def _answering(answer: Any) -> Any:
    def call(simulator: Simulator, *values: Any) -> Any:
        return answer

    return call
