"""What snapshots, sensors and commands are to give, and which classes there are; ``test_api`` drives the tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import carla

from tests.carla.api_messages import MESSAGES, listens

Check = Callable[[Any], object]
V = carla.Vector3D

_SNAPSHOTS: dict[str, Check] = {
    "WorldSnapshot.delta_seconds": lambda s: math.isclose(
        s.world.get_snapshot().delta_seconds, 0.05, rel_tol=1e-6
    ),
    "WorldSnapshot.elapsed_seconds": lambda s: s.world.get_snapshot().elapsed_seconds > 0.0,
    "WorldSnapshot.find": lambda s: s.world.get_snapshot().find(s.car.id).id == s.car.id,
    "WorldSnapshot.frame": lambda s: s.tick() == s.world.get_snapshot().frame,
    "WorldSnapshot.frame_count": lambda s: s.tick() == s.world.get_snapshot().frame_count,
    "WorldSnapshot.has_actor": lambda s: not s.world.get_snapshot().has_actor(10**6),
    "WorldSnapshot.id": lambda s: s.world.get_snapshot().id == s.world.id,
    "WorldSnapshot.platform_timestamp": lambda s: s.world.get_snapshot().platform_timestamp > 0.0,
    "WorldSnapshot.timestamp": lambda s: (
        s.world.get_snapshot().timestamp.frame == s.world.get_snapshot().frame
    ),
    "Timestamp.delta_seconds": lambda s: math.isclose(
        s.world.get_snapshot().timestamp.delta_seconds, 0.05, rel_tol=1e-6
    ),
    **{
        f"Timestamp.{name}": lambda s, n=name: getattr(s.world.get_snapshot().timestamp, n) > 0
        for name in ("elapsed_seconds", "frame", "frame_count", "platform_timestamp")
    },
    "ActorSnapshot.id": lambda s: {s.car.id, s.camera.id} <= {one.id for one in s.world.get_snapshot()},
    **{
        f"ActorSnapshot.{name}": lambda s, n=name: (
            getattr(s.world.get_snapshot().find(s.car.id), n)() == getattr(s.car, n)()
        )
        for name in ("get_acceleration", "get_angular_velocity", "get_transform", "get_velocity")
    },
    "ActorList.filter": lambda s: (
        [one.id for one in s.world.get_actors().filter("walker.*")] == [s.walker.id]
    ),
    "ActorList.find": lambda s: s.world.get_actors().find(s.car.id).id == s.car.id,
    "EnvironmentObject.bounding_box": lambda s: (
        s.world.get_environment_objects()[0].bounding_box.extent.z > 0.5
    ),
    "EnvironmentObject.id": lambda s: len({one.id for one in s.world.get_environment_objects()}) > 10,
    "EnvironmentObject.name": lambda s: (
        s.world.get_environment_objects()[0].name in s.world.get_names_of_all_objects()
    ),
    "EnvironmentObject.transform": lambda s: s.world.get_environment_objects()[0].transform.location.z > 0.5,
    "EnvironmentObject.type": lambda s: (
        {str(one.type) for one in s.world.get_environment_objects()}
        == {"Poles", "TrafficLight", "TrafficSigns"}
    ),
    "LabelledPoint.label": lambda s: (
        str(s.world.ground_projection(s.ahead_on_the_road(6.0), 20.0).label) == "Roads"
    ),
    "LabelledPoint.location": lambda s: (
        abs(s.world.ground_projection(s.ahead_on_the_road(6.0), 20.0).location.z) < 0.1
    ),
}

_SENSORS: dict[str, Check] = {
    **{f"Sensor.{name}": listens for name in ("is_listening", "listen", "stop")},
    "ServerSideSensor.is_enabled_for_ros": lambda s: s.camera.is_enabled_for_ros() is False,
    "ServerSideSensor.is_listening_gbuffer": lambda s: (
        not s.camera.is_listening_gbuffer(carla.GBufferTextureID.SceneColor)
    ),
    **{
        f"LightManager.{name}": lambda s, n=name: list(getattr(s.world.get_lightmanager(), n)([])) == []
        for name in ("get_color", "get_intensity", "get_light_group", "get_light_state", "is_active")
    },
    **{
        f"LightManager.{name}": lambda s, n=name: (
            list(getattr(s.world.get_lightmanager(), n)(carla.LightGroup.NONE)) == []
        )
        for name in ("get_all_lights", "get_turned_off_lights", "get_turned_on_lights")
    },
    **{
        f"LightManager.{name}": lambda s, n=name, v=value: (
            getattr(s.world.get_lightmanager(), n)([], v) is None
        )
        for name, value in {
            "set_active": [],
            "set_color": carla.Color(1, 2, 3),
            "set_colors": [],
            "set_intensities": [],
            "set_intensity": 1.0,
            "set_light_group": carla.LightGroup.Street,
            "set_light_groups": [],
            "set_light_state": carla.LightState(),
            "set_light_states": [],
        }.items()
    },
    **{
        f"LightManager.{name}": lambda s, n=name: getattr(s.world.get_lightmanager(), n)([]) is None
        for name in ("turn_off", "turn_on")
    },
}


def _commanded(s: Any, command: Any, tell: Callable[[], object], ticks: int = 2) -> Any:
    s.let_go()
    reply = s.client.apply_batch_sync([command], False)[0]
    assert not reply.error, reply.error
    s.tick(ticks)
    told = tell()
    s.at_rest(s.car)
    return told


def _spawned(s: Any) -> bool:
    born = carla.command.SpawnActor(s.blueprint, s.points[40]).then(
        carla.command.ApplyTargetVelocity(carla.command.FutureActor, V(2.0, 0.0, 0.0))
    )
    reply = s.client.apply_batch_sync([born], False)[0]
    s.tick()
    speed = s.world.get_actor(reply.actor_id).get_velocity().length()
    gone = s.client.apply_batch_sync([carla.command.DestroyActor(reply.actor_id)], False)[0]
    s.tick()
    return speed > 1.0 and not gone.error and not reply.has_error()


_COMMANDS: dict[str, Check] = {
    f"command.{name}": lambda s, b=build: b(s)
    for name, build in {
        **dict.fromkeys(("SpawnActor", "DestroyActor", "FutureActor", "Response"), _spawned),
        **{
            kind: lambda s, k=kind, f=factor: _commanded(
                s,
                getattr(carla.command, k)(s.car.id, s.along(f(s))),
                lambda: s.car.get_velocity().length() > 0.5,
            )
            for kind, factor in {
                "ApplyTargetVelocity": lambda s: 4.0,
                "ApplyImpulse": lambda s: 4.0 * s.mass_kg,
                "ApplyForce": lambda s: 40.0 * s.mass_kg,
            }.items()
        },
        **{
            kind: lambda s, k=kind: _commanded(
                s, getattr(carla.command, k)(s.car.id, V()), lambda: s.car.get_velocity().length() == 0.0
            )
            for kind in ("ApplyAngularImpulse", "ApplyTargetAngularVelocity", "ApplyTorque")
        },
        "ApplyTransform": lambda s: _commanded(
            s,
            carla.command.ApplyTransform(s.car.id, s.points[40]),
            lambda: s.car.get_location().distance_2d(s.points[40].location) < 0.01,
        ),
        "ApplyVehicleControl": lambda s: _commanded(
            s,
            carla.command.ApplyVehicleControl(s.car.id, carla.VehicleControl(throttle=1.0)),
            lambda: s.car.get_velocity().length() > 0.01,
            20,
        ),
        "ApplyVehicleAckermannControl": lambda s: _commanded(
            s,
            carla.command.ApplyVehicleAckermannControl(s.car.id, carla.VehicleAckermannControl(speed=5.0)),
            lambda: s.car.get_velocity().length() > 0.01,
            20,
        ),
        "ApplyVehiclePhysicsControl": lambda s: _commanded(
            s,
            carla.command.ApplyVehiclePhysicsControl(s.car.id, s.car.get_physics_control()),
            lambda: s.car.get_physics_control().mass == s.mass_kg,
        ),
        "ApplyWalkerControl": lambda s: _commanded(
            s,
            carla.command.ApplyWalkerControl(s.walker.id, carla.WalkerControl(V(1.0, 0.0, 0.0), 0.0)),
            lambda: s.walker.get_control().direction.x == 1.0,
        ),
        "ApplyWalkerState": lambda s: _commanded(
            s,
            carla.command.ApplyWalkerState(s.walker.id, s.points[26], 0.0),
            lambda: s.walker.get_location().distance_2d(s.points[26].location) < 0.1,
        ),
        "SetEnableGravity": lambda s: _commanded(
            s, carla.command.SetEnableGravity(s.car.id, True), lambda: s.car.get_location().z == 0.0
        ),
        "SetSimulatePhysics": lambda s: _commanded(
            s, carla.command.SetSimulatePhysics(s.car.id, True), lambda: s.car.is_alive
        ),
        "SetVehicleLightState": lambda s: _commanded(
            s,
            carla.command.SetVehicleLightState(
                s.car.id, carla.VehicleLightState(carla.VehicleLightState.Fog)
            ),
            lambda: s.car.get_light_state() == carla.VehicleLightState.Fog,
        ),
    }.items()
}

DRIVEN: dict[str, Check] = {**MESSAGES, **_SNAPSHOTS, **_SENSORS, **_COMMANDS}

_NO_LAMPS = "maps of the server have no street lamps"
ELSEWHERE: dict[str, str] = {
    "LaneInvasionEvent.actor": "computed in the client, where reading it raises RuntimeError",
    "DVSEventArray.to_array": "raises TypeError in the client, whatever the server",
    "command.ShowDebugTelemetry": "cannot be put into a batch: the client has no converter for it",
    "ServerSideSensor.get_ignored_vehicles": "raises TypeError in the client, whatever the server",
    **dict.fromkeys(
        ("Vehicle.set_autopilot", "command.SetAutopilot"),
        "starts a traffic manager in the process: driven by test_traffic",
    ),
    **{f"Light.{name}": _NO_LAMPS for name in vars(carla.Light) if not name.startswith("_")},
}
CLASSES = (
    *(
        "Client",
        "World",
        "Map",
        "Actor",
        "Vehicle",
        "Walker",
        "WalkerAIController",
        "TrafficLight",
        "TrafficSign",
    ),
    *(
        "Sensor",
        "ServerSideSensor",
        "ClientSideSensor",
        "LaneInvasionSensor",
        "WorldSnapshot",
        "ActorSnapshot",
    ),
    *(
        "Timestamp",
        "BlueprintLibrary",
        "ActorBlueprint",
        "ActorAttribute",
        "ActorList",
        "LightManager",
        "Light",
    ),
    *(
        "DebugHelper",
        "EnvironmentObject",
        "LabelledPoint",
        "SensorData",
        "Image",
        "DVSEventArray",
        "DVSEvent",
    ),
    *(
        "OpticalFlowImage",
        "OpticalFlowPixel",
        "LidarMeasurement",
        "LidarDetection",
        "SemanticLidarMeasurement",
    ),
    *(
        "SemanticLidarDetection",
        "RadarMeasurement",
        "RadarDetection",
        "CollisionEvent",
        "ObstacleDetectionEvent",
    ),
    *("IMUMeasurement", "GnssMeasurement", "LaneInvasionEvent"),
)
"""Classes whose calls reach the server, or show what came from it."""
