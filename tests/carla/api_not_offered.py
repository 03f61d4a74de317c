"""What is not offered, and what a user gets who calls it; ``test_api`` drives the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import carla

Check = Callable[[Any], object]
WHEEL = carla.VehicleWheelLocation.FL_Wheel

_RECORDER = "recording and replaying are not offered by simloop's server"
_TEXTURES = "textures cannot be changed on simloop's server"
_GBUFFERS = "G-buffers are not offered by simloop's server"
_COMPONENTS = "actors of simloop's server have no components"
_RAW, _FLOAT_RAW = carla.TextureColor(1, 1), carla.TextureFloatColor(1, 1)
_DIFFUSE = carla.MaterialParameter.Diffuse
REFUSED: dict[str, tuple[Check, str]] = {
    "Client.replay_file": (lambda s: s.client.replay_file("a.log", 0.0, 0.0, 0), _RECORDER),
    "Client.request_file": (lambda s: s.client.request_file("a.txt"), "there is no file 'a.txt'"),
    "Client.show_recorder_actors_blocked": (
        lambda s: s.client.show_recorder_actors_blocked("a.log", 1.0, 1.0),
        _RECORDER,
    ),
    "Client.show_recorder_collisions": (
        lambda s: s.client.show_recorder_collisions("a.log", "a", "a"),
        _RECORDER,
    ),
    "Client.show_recorder_file_info": (lambda s: s.client.show_recorder_file_info("a.log", True), _RECORDER),
    "Client.start_recorder": (lambda s: s.client.start_recorder("a.log"), _RECORDER),
    "World.apply_color_texture_to_object": (
        lambda s: s.world.apply_color_texture_to_object("a", _DIFFUSE, _RAW),
        _TEXTURES,
    ),
    "World.apply_color_texture_to_objects": (
        lambda s: s.world.apply_color_texture_to_objects(["a"], _DIFFUSE, _RAW),
        _TEXTURES,
    ),
    "World.apply_float_color_texture_to_object": (
        lambda s: s.world.apply_float_color_texture_to_object("a", _DIFFUSE, _FLOAT_RAW),
        _TEXTURES,
    ),
    "World.apply_float_color_texture_to_objects": (
        lambda s: s.world.apply_float_color_texture_to_objects(["a"], _DIFFUSE, _FLOAT_RAW),
        _TEXTURES,
    ),
    "World.apply_textures_to_object": (
        lambda s: s.world.apply_textures_to_object("a", _RAW, _FLOAT_RAW, _FLOAT_RAW, _FLOAT_RAW),
        _TEXTURES,
    ),
    "World.apply_textures_to_objects": (
        lambda s: s.world.apply_textures_to_objects(["a"], _RAW, _FLOAT_RAW, _FLOAT_RAW, _FLOAT_RAW),
        _TEXTURES,
    ),
    "Actor.get_component_relative_transform": (
        lambda s: s.car.get_component_relative_transform("a"),
        _COMPONENTS,
    ),
    "Actor.get_component_world_transform": (lambda s: s.car.get_component_world_transform("a"), _COMPONENTS),
    "Walker.get_bones": (lambda s: s.walker.get_bones(), "walkers of simloop's server have no skeleton"),
    "ServerSideSensor.enable_gbuffers": (lambda s: s.camera.enable_gbuffers(True), _GBUFFERS),
    "ServerSideSensor.listen_to_gbuffer": (
        lambda s: s.camera.listen_to_gbuffer(carla.GBufferTextureID.SceneColor, print),
        _GBUFFERS,
    ),
    "ServerSideSensor.stop_gbuffer": (
        lambda s: s.camera.stop_gbuffer(carla.GBufferTextureID.SceneColor),
        _GBUFFERS,
    ),
    "ServerSideSensor.set_ignored_vehicles": (
        lambda s: s.camera.set_ignored_vehicles([s.car.id]),
        "sensors of simloop's server cannot ignore vehicles",
    ),
}
"""Calls that wait for an answer, and the error that a user gets."""

_FREE = carla.Location()
WITHOUT_EFFECT: dict[str, Check] = {
    "Client.set_replayer_ignore_hero": lambda s: s.client.set_replayer_ignore_hero(True),
    "Client.set_replayer_ignore_spectator": lambda s: s.client.set_replayer_ignore_spectator(True),
    "Client.set_replayer_time_factor": lambda s: s.client.set_replayer_time_factor(2.0),
    "Client.stop_recorder": lambda s: s.client.stop_recorder(),
    "Client.stop_replayer": lambda s: s.client.stop_replayer(True),
    "World.enable_environment_objects": lambda s: s.world.enable_environment_objects([1], False),
    "World.set_annotations_traverse_translucency": lambda s: s.world.set_annotations_traverse_translucency(
        True
    ),
    "Actor.add_angular_impulse": lambda s: s.car.add_angular_impulse(carla.Vector3D(1.0, 0.0, 0.0)),
    "Actor.add_torque": lambda s: s.car.add_torque(carla.Vector3D(1.0, 0.0, 0.0)),
    "Actor.set_enable_gravity": lambda s: s.car.set_enable_gravity(False),
    "Vehicle.apply_ackermann_controller_settings": lambda s: s.car.apply_ackermann_controller_settings(
        s.car.get_ackermann_controller_settings()
    ),
    "Vehicle.close_door": lambda s: s.car.close_door(carla.VehicleDoor.All),
    "Vehicle.open_door": lambda s: s.car.open_door(carla.VehicleDoor.FL),
    "Vehicle.enable_carsim": lambda s: s.car.enable_carsim("a"),
    "Vehicle.enable_chrono_physics": lambda s: s.car.enable_chrono_physics(10, 0.001, "a", "b", "c", "d"),
    "Vehicle.restore_physx_physics": lambda s: s.car.restore_physx_physics(),
    "Vehicle.set_wheel_pitch_angle": lambda s: s.car.set_wheel_pitch_angle(WHEEL, 5.0),
    "Vehicle.set_wheel_steer_direction": lambda s: s.car.set_wheel_steer_direction(WHEEL, 5.0),
    "Vehicle.show_debug_telemetry": lambda s: s.car.show_debug_telemetry(True),
    "Vehicle.use_carsim_road": lambda s: s.car.use_carsim_road(True),
    "Walker.blend_pose": lambda s: s.walker.blend_pose(0.5),
    "Walker.get_pose_from_animation": lambda s: s.walker.get_pose_from_animation(),
    "Walker.hide_pose": lambda s: s.walker.hide_pose(),
    "Walker.set_bones": lambda s: s.walker.set_bones(carla.WalkerBoneControlIn([("a", carla.Transform())])),
    "Walker.show_pose": lambda s: s.walker.show_pose(),
    "ServerSideSensor.disable_for_ros": lambda s: s.camera.disable_for_ros(),
    "ServerSideSensor.enable_for_ros": lambda s: s.camera.enable_for_ros(),
    "ServerSideSensor.send": lambda s: s.camera.send("a"),
    "LightManager.set_day_night_cycle": lambda s: s.world.get_lightmanager().set_day_night_cycle(True),
    **{
        f"DebugHelper.draw_{name}": lambda s, draw=name, with_=arguments: getattr(
            s.world.debug, f"draw_{draw}"
        )(*with_)
        for name, arguments in {
            "point": (_FREE,),
            "line": (_FREE, carla.Location(1.0, 1.0, 1.0)),
            "arrow": (_FREE, carla.Location(1.0, 1.0, 1.0)),
            "box": (carla.BoundingBox(_FREE, carla.Vector3D(1.0, 1.0, 1.0)), carla.Rotation()),
            "string": (_FREE, "a"),
            "hud_point": (_FREE,),
            "hud_line": (_FREE, carla.Location(1.0, 1.0, 1.0)),
            "hud_arrow": (_FREE, carla.Location(1.0, 1.0, 1.0)),
            "hud_box": (carla.BoundingBox(_FREE, carla.Vector3D(1.0, 1.0, 1.0)), carla.Rotation()),
        }.items()
    },
    "DebugHelper.clear_debug_shape": lambda s: s.world.debug.clear_debug_shape(),
    "DebugHelper.clear_debug_string": lambda s: s.world.debug.clear_debug_string(),
}
"""Calls that the client does not wait for: they change nothing here, and the server goes on."""
