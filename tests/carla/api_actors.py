"""What each call of actors, lights and sensors is to give; ``test_api`` drives the tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import carla

Check = Callable[[Any], object]
V = carla.Vector3D
WHEEL = carla.VehicleWheelLocation.FL_Wheel


def _after(s: Any, act: Callable[[], object], tell: Callable[[], float], ticks: int = 1) -> float:
    """Returns what changed, and lets the car stand again."""
    s.let_go()
    before = tell()
    act()
    s.tick(ticks)
    change = tell() - before
    s.at_rest(s.car)
    return change


def _speed(s: Any) -> Callable[[], float]:
    return lambda: float(s.car.get_velocity().dot(s.along(1.0)))


def _drives(s: Any, control: Any, ticks: int = 20) -> float:
    s.car.apply_control(control)
    s.tick(ticks)
    speed = float(s.car.get_velocity().length())
    s.at_rest(s.car)
    return speed


def _turns(s: Any) -> bool:
    s.let_go()
    s.car.set_target_angular_velocity(V(0.0, 0.0, 20.0))
    s.car.set_target_velocity(s.along(8.0))
    s.tick()
    rate = s.car.get_angular_velocity()
    s.at_rest(s.car)
    return rate.z > 1.0 and rate.x == rate.y == 0.0


def _is_held(s: Any) -> bool:
    s.car.enable_constant_velocity(V(3.0, 0.0, 0.0))
    s.tick(10)
    held = s.car.get_velocity().length()
    s.car.disable_constant_velocity()
    s.car.apply_control(carla.VehicleControl(brake=1.0))
    s.tick(30)
    let_go = s.car.get_velocity().length()
    s.at_rest(s.car)
    return math.isclose(held, 3.0, abs_tol=1e-4) and let_go < 0.1


def _accelerates(s: Any) -> bool:
    s.car.apply_control(carla.VehicleControl(throttle=0.5))
    s.tick(12)
    before = s.car.get_velocity().x
    s.tick()
    told, real = s.car.get_acceleration().x, (s.car.get_velocity().x - before) / 0.05
    s.at_rest(s.car)
    return abs(told) > 0.3 and math.isclose(told, real, rel_tol=1e-3)


def _stays_without_physics(s: Any) -> bool:
    s.car.set_simulate_physics(False)
    moved = _drives(s, carla.VehicleControl(throttle=1.0))
    s.car.set_simulate_physics(True)
    return moved == 0.0 and _drives(s, carla.VehicleControl(throttle=1.0)) > 1.0


def _is_let_through(s: Any) -> bool:
    s.let_go()
    s.car.set_collisions(False)
    s.car.set_target_velocity(s.along(15.0))
    s.tick(25)
    untouched = s.ahead.get_velocity().length() == 0.0
    s.car.set_collisions(True)
    s.at_rest(s.car)
    return untouched


def _is_put(s: Any, by: str) -> bool:
    pose = carla.Transform(s.home.location, s.home.rotation)
    pose.location += s.along(2.0)
    if by == "set_location":
        s.car.set_location(pose.location)
    else:
        pose.rotation.yaw += 10.0
        s.car.set_transform(pose)
    s.tick()
    now = s.car.get_transform()
    turned = math.remainder(now.rotation.yaw - s.home.rotation.yaw, 360.0)
    s.at_rest(s.car)
    return (
        now.location.distance_2d(pose.location) < 0.01 and abs(turned - 10.0 * (by != "set_location")) < 0.01
    )


def _is_destroyed(s: Any) -> bool:
    other = s.world.spawn_actor(s.library.find("vehicle.audi.tt"), s.points[40])
    s.tick()
    is_gone = other.destroy()
    s.tick()
    return bool(is_gone) and not other.is_alive and s.world.get_actors().find(other.id) is None


ACTOR: dict[str, Check] = {
    "actor_state": lambda s: s.car.actor_state == carla.ActorState.Active,
    "add_force": lambda s: (
        0.8 < _after(s, lambda: s.car.add_force(s.along(20.0 * s.mass_kg)), _speed(s)) < 1.01
    ),
    "add_impulse": lambda s: (
        1.8 < _after(s, lambda: s.car.add_impulse(s.along(2.0 * s.mass_kg)), _speed(s)) < 2.01
    ),
    "attributes": lambda s: s.car.attributes["role_name"] == "hero",
    "bounding_box": lambda s: (
        1.8 < s.car.bounding_box.extent.x < 2.6
        and s.car.bounding_box.contains(s.car.get_location() + carla.Location(z=0.5), s.car.get_transform())
    ),
    "destroy": _is_destroyed,
    "disable_constant_velocity": _is_held,
    "enable_constant_velocity": _is_held,
    "get_acceleration": _accelerates,
    "get_angular_velocity": _turns,
    "get_bone_names": lambda s: s.walker.get_bone_names() == [],
    "get_bone_relative_transforms": lambda s: s.walker.get_bone_relative_transforms() == [],
    "get_bone_world_transforms": lambda s: s.walker.get_bone_world_transforms() == [],
    "get_component_names": lambda s: s.car.get_component_names() == [],
    "get_location": lambda s: s.car.get_location() == s.car.get_transform().location,
    "get_socket_names": lambda s: s.car.get_socket_names() == [],
    "get_socket_relative_transforms": lambda s: s.car.get_socket_relative_transforms() == [],
    "get_socket_world_transforms": lambda s: s.car.get_socket_world_transforms() == [],
    "get_transform": lambda s: s.car.get_transform().location.distance_2d(s.home.location) < 0.01,
    "get_velocity": lambda s: s.car.get_velocity().length() == 0.0,
    "get_world": lambda s: s.car.get_world().id == s.world.id,
    "id": lambda s: s.car.id > 0,
    "is_active": lambda s: s.car.is_active,
    "is_alive": lambda s: s.car.is_alive,
    "is_dormant": lambda s: not s.car.is_dormant,
    "parent": lambda s: s.camera.parent.id == s.car.id and s.car.parent is None,
    "semantic_tags": lambda s: (list(s.car.semantic_tags), list(s.light.semantic_tags)) == ([14], [7]),
    "set_collisions": _is_let_through,
    "set_location": lambda s: _is_put(s, "set_location"),
    "set_simulate_physics": _stays_without_physics,
    "set_target_angular_velocity": _turns,
    "set_target_velocity": lambda s: (
        3.5 < _after(s, lambda: s.car.set_target_velocity(s.along(4.0)), _speed(s)) < 4.1
    ),
    "set_transform": lambda s: _is_put(s, "set_transform"),
    "type_id": lambda s: s.car.type_id == "vehicle.tesla.model3",
}


def _lamps(s: Any) -> bool:
    flags = carla.VehicleLightState(carla.VehicleLightState.LowBeam | carla.VehicleLightState.LeftBlinker)
    s.car.set_light_state(flags)
    s.tick()
    return s.car.get_light_state() == flags and s.world.get_vehicles_light_states()[s.car.id] == flags


def _ackermann(s: Any) -> bool:
    s.car.apply_ackermann_control(carla.VehicleAckermannControl(speed=4.0, acceleration=3.0))
    s.tick(50)
    speed = s.car.get_velocity().length()
    s.at_rest(s.car)
    return math.isclose(speed, 4.0, abs_tol=0.3)


def _steers(s: Any) -> bool:
    s.car.apply_control(carla.VehicleControl(steer=0.3))
    s.tick(10)
    angle = s.car.get_wheel_steer_angle(WHEEL)
    s.at_rest(s.car)
    return 3.0 < angle < 40.0 and s.car.get_wheel_steer_angle(carla.VehicleWheelLocation.BL_Wheel) == 0.0


def _physics(s: Any) -> bool:
    physics = s.car.get_physics_control()
    mass_kg, physics.mass = physics.mass, 2345.0
    s.car.apply_physics_control(physics)
    s.tick()
    changed = s.car.get_physics_control().mass
    physics.mass = mass_kg
    s.car.apply_physics_control(physics)
    s.tick()
    return math.isclose(changed, 2345.0)


def _wheels(s: Any) -> bool:
    """Wheels stand around the car, in centimetres; the front ones are steered."""
    wheels = s.car.get_physics_control().wheels
    box, pose = s.car.bounding_box, s.car.get_transform()
    inside = [
        abs(wheel.position.x / 100.0 - pose.location.x) < box.extent.x
        and abs(wheel.position.y / 100.0 - pose.location.y) <= box.extent.y
        and 20.0 < wheel.radius < 60.0
        for wheel in wheels
    ]
    steered = [wheel.max_steer_angle > 10.0 for wheel in wheels]
    return len(wheels) == 4 and all(inside) and steered == [True, True, False, False]


def _is_at_the_light(s: Any) -> bool:
    s.car.set_transform(s.before_the_light.transform)
    s.light.set_state(carla.TrafficLightState.Red)
    s.world.freeze_all_traffic_lights(True)
    s.tick(2)
    seen = s.car.is_at_traffic_light(), s.car.get_traffic_light(), s.car.get_traffic_light_state()
    s.world.freeze_all_traffic_lights(False)
    s.at_rest(s.car)
    return seen[0] and seen[1].id == s.light.id and seen[2] == carla.TrafficLightState.Red


VEHICLE: dict[str, Check] = {
    "apply_ackermann_control": _ackermann,
    "apply_control": lambda s: _drives(s, carla.VehicleControl(throttle=0.6)) > 1.0,
    "apply_physics_control": _physics,
    "get_ackermann_controller_settings": lambda s: s.car.get_ackermann_controller_settings().speed_kp > 0.0,
    "get_control": lambda s: s.car.get_control().gear in (0, 1) and not s.car.get_control().reverse,
    "get_failure_state": lambda s: s.car.get_failure_state() == carla.VehicleFailureState.NONE,
    "get_light_state": _lamps,
    "get_physics_control": _wheels,
    "get_speed_limit": lambda s: s.car.get_speed_limit() == 50.0,
    "get_telemetry_data": lambda s: (
        len(s.car.get_telemetry_data().wheels) == 4 and s.car.get_telemetry_data().engine_rpm > 0.0
    ),
    "get_traffic_light": _is_at_the_light,
    "get_traffic_light_state": _is_at_the_light,
    "get_vehicle_bone_world_transforms": lambda s: len(s.car.get_vehicle_bone_world_transforms()) == 0,
    "get_wheel_pitch_angle": lambda s: (
        s.car.get_wheel_pitch_angle(carla.VehicleWheelLocation.BL_Wheel) == 0.0
    ),
    "get_wheel_steer_angle": _steers,
    "is_at_traffic_light": _is_at_the_light,
    "set_light_state": _lamps,
}


def _walks(s: Any) -> bool:
    s.walker.apply_control(carla.WalkerControl(V(0.0, 1.0, 0.0), 1.2, False))
    s.tick(2)
    seen, way = s.walker.get_control(), s.walker.get_velocity()
    s.walker.apply_control(carla.WalkerControl(V(0.0, 1.0, 0.0), 0.0, False))
    s.tick()
    return (
        math.isclose(seen.speed, 1.2, rel_tol=1e-6)
        and math.isclose(way.y, 1.2, abs_tol=1e-3)
        and way.x < 1e-3
    )


def _strolls(s: Any) -> bool:
    """A walker that the client leads along a sidewalk goes at its speed, and stays on sidewalks."""
    start = s.world.get_random_location_from_navigation()
    walker = s.world.spawn_actor(s.library.find("walker.pedestrian.0002"), carla.Transform(start))
    s.tick()
    leader = s.world.spawn_actor(s.library.find("controller.ai.walker"), carla.Transform(), attach_to=walker)
    s.tick()
    leader.start()
    leader.go_to_location(s.world.get_random_location_from_navigation())
    leader.set_max_speed(1.3)
    s.tick(60)
    here, speed = walker.get_location(), walker.get_velocity().length()
    lane = s.map.get_waypoint(here, lane_type=carla.LaneType.Sidewalk)
    foot_m = here.z - walker.bounding_box.extent.z
    leader.stop()
    leader.destroy()
    walker.destroy()
    s.tick()
    aside = lane.transform.location.distance_2d(here)
    is_on_the_way = 1.0 < here.distance_2d(start) < 4.5 and aside < lane.lane_width and abs(foot_m) < 0.01
    return is_on_the_way and 0.8 < speed < 1.35


WALKER: dict[str, Check] = {"apply_control": _walks, "get_control": _walks}
LEADER: dict[str, Check] = dict.fromkeys(("go_to_location", "set_max_speed", "start", "stop"), _strolls)
