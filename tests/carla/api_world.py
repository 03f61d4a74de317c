"""What each call of client, world, map and blueprints is to give; ``test_api`` drives the tables."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import carla

from tests.carla.patience import PATIENCE_S, until

Check = Callable[[Any], object]


def _settings_come_back(s: Any) -> bool:
    settings = s.world.get_settings()
    settings.max_substeps, settings.deterministic_ragdolls = 7, False
    s.world.apply_settings(settings)
    again = s.world.get_settings()
    settings.max_substeps, settings.deterministic_ragdolls = 10, True
    s.world.apply_settings(settings)
    return bool((again.max_substeps, again.deterministic_ragdolls) == (7, False))


def _callbacks(s: Any) -> bool:
    frames: list[int] = []
    number = s.world.on_tick(lambda snapshot: frames.append(snapshot.frame))
    first = s.tick()
    until(lambda: first in frames)
    s.world.remove_on_tick(number)
    s.tick(3)
    time.sleep(0.05)
    return frames == [first]


def _waits(s: Any) -> bool:
    settings = s.world.get_settings()
    before, begun_s = s.world.get_snapshot(), time.monotonic()
    settings.synchronous_mode = False
    s.world.apply_settings(settings)
    for _ in range(5):
        after = s.world.wait_for_tick(PATIENCE_S)
    # All of it passed within this time, however late it is heard of.
    paced = after.elapsed_seconds - before.elapsed_seconds <= time.monotonic() - begun_s + 0.15
    settings.synchronous_mode = True
    s.world.apply_settings(settings)
    return bool(paced and after.frame >= before.frame + 4)


def _spawns(s: Any, name: str) -> bool:
    blueprint = s.library.find("vehicle.audi.tt")
    actor = getattr(s.world, name)(blueprint, s.points[40])
    s.tick()
    return actor.type_id == "vehicle.audi.tt" and actor.destroy()


def _gravity(s: Any) -> bool:
    s.world.set_imui_sensor_gravity(3.5)
    s.tick()
    told = s.world.get_imui_sensor_gravity()
    s.world.set_imui_sensor_gravity(9.81)
    return math.isclose(told, 3.5)


def _freezes(s: Any) -> bool:
    s.world.freeze_all_traffic_lights(True)
    s.tick()
    before = s.light.get_elapsed_time(), s.light.is_frozen()
    s.tick(5)
    after = s.light.get_elapsed_time(), s.light.is_frozen()
    s.world.freeze_all_traffic_lights(False)
    s.tick()
    return before == after and after[1] and not s.light.is_frozen()


def _resets(s: Any) -> bool:
    s.tick(5)
    s.world.reset_all_traffic_lights()
    s.tick()
    return all(light.get_elapsed_time() <= 0.051 for light in s.world.get_actors().filter("*traffic_light"))


def _through(points: list[Any]) -> tuple[str, str]:
    """Returns the labels of the first and the last surface on a ray downwards; heights fall on the way."""
    heights = [point.location.z for point in points]
    assert heights == sorted(heights, reverse=True)
    return str(points[0].label), str(points[-1].label)


def _is_near(one: Any, other: Any, metres: float = 0.02) -> bool:
    return bool(one.distance(other) < metres)


def _weather(s: Any) -> bool:
    s.world.set_weather(carla.WeatherParameters.WetCloudySunset)
    told = s.world.get_weather()
    s.world.set_weather(carla.WeatherParameters.ClearNoon)
    return bool(told == carla.WeatherParameters.WetCloudySunset)


def _pushes(s: Any, name: str) -> bool:
    s.let_go()
    result = getattr(s.client, name)([carla.command.ApplyTargetVelocity(s.car.id, s.along(4.0))])
    s.tick()
    speed = s.car.get_velocity().length()
    s.at_rest(s.car)
    return 3.5 < speed < 4.1 and (result is None or not result[0].error)


CLIENT: dict[str, Check] = {
    "apply_batch": lambda s: _pushes(s, "apply_batch"),
    "apply_batch_sync": lambda s: _pushes(s, "apply_batch_sync"),
    "get_available_maps": lambda s: "Carla/Maps/town" in s.client.get_available_maps(),
    "get_client_version": lambda s: s.client.get_client_version() == "0.9.16",
    "get_server_version": lambda s: s.client.get_server_version() == "0.9.16",
    "get_required_files": lambda s: isinstance(s.client.get_required_files(), list),
    "get_world": lambda s: s.client.get_world().id == s.world.id,
    "set_files_base_folder": lambda s: s.client.set_files_base_folder(s.folder),
    "set_timeout": lambda s: s.client.set_timeout(20.0) is None and s.client.get_server_version(),
}

WORLD: dict[str, Check] = {
    "apply_settings": _settings_come_back,
    "cast_ray": lambda s: (
        _through(s.world.cast_ray(s.over(s.car, 5.0), s.over(s.car, -5.0))) == ("Car", "Roads")
    ),
    "debug": lambda s: isinstance(s.world.debug, carla.DebugHelper),
    "freeze_all_traffic_lights": _freezes,
    "get_actor": lambda s: s.world.get_actor(s.car.id).type_id == s.car.type_id,
    "get_actors": lambda s: {s.car.id, s.walker.id} <= {actor.id for actor in s.world.get_actors()},
    "get_blueprint_library": lambda s: len(s.world.get_blueprint_library()) > 100,
    "get_environment_objects": lambda s: (
        {str(one.type) for one in s.world.get_environment_objects(carla.CityObjectLabel.TrafficLight)}
        == {"TrafficLight"}
    ),
    "get_imui_sensor_gravity": lambda s: math.isclose(s.world.get_imui_sensor_gravity(), 9.81, rel_tol=1e-6),
    "get_level_bbs": lambda s: any(
        _is_near(box.location, s.car.get_location() + s.car.bounding_box.location)
        for box in s.world.get_level_bbs(carla.CityObjectLabel.Car)
    ),
    "get_lightmanager": lambda s: isinstance(s.world.get_lightmanager(), carla.LightManager),
    "get_map": lambda s: s.world.get_map().name == "Carla/Maps/town",
    "get_names_of_all_objects": lambda s: any(
        "traffic_light" in name for name in s.world.get_names_of_all_objects()
    ),
    "get_random_location_from_navigation": lambda s: (
        str(
            s.world.ground_projection(
                s.world.get_random_location_from_navigation() + carla.Location(z=1.0), 5.0
            ).label
        )
        == "Sidewalks"
    ),
    "get_settings": lambda s: s.world.get_settings().synchronous_mode,
    "get_snapshot": lambda s: s.world.get_snapshot().frame == s.tick() - 1,
    "get_spectator": lambda s: s.world.get_spectator().type_id == "spectator",
    "get_traffic_light": lambda s: s.world.get_traffic_light(s.landmark).id == s.light.id,
    "get_traffic_light_from_opendrive_id": lambda s: (
        s.world.get_traffic_light_from_opendrive_id(s.light.get_opendrive_id()).id == s.light.id
    ),
    "get_traffic_lights_from_waypoint": lambda s: (
        s.light.id in [one.id for one in s.world.get_traffic_lights_from_waypoint(s.before_the_light, 60.0)]
    ),
    "get_traffic_lights_in_junction": lambda s: (
        s.light.id in [one.id for one in s.world.get_traffic_lights_in_junction(s.junction.id)]
    ),
    "get_traffic_sign": lambda s: s.world.get_traffic_sign(s.sign_landmark).type_id == s.sign.type_id,
    "get_vehicles_light_states": lambda s: s.car.id in s.world.get_vehicles_light_states(),
    "get_weather": _weather,
    "ground_projection": lambda s: (
        str(s.world.ground_projection(s.ahead_on_the_road(6.0), 20.0).label) == "Roads"
    ),
    "id": lambda s: s.world.id >= 1,
    "load_map_layer": lambda s: s.world.load_map_layer(carla.MapLayer.Buildings) is None and s.tick(),
    "on_tick": _callbacks,
    "project_point": lambda s: _is_near(
        s.world.project_point(s.over(s.car, 9.0), carla.Vector3D(0.0, 0.0, -1.0), 20.0).location,
        s.over(s.car, 2.0 * s.car.bounding_box.extent.z),
        0.15,
    ),
    "remove_on_tick": _callbacks,
    "reset_all_traffic_lights": _resets,
    "set_imui_sensor_gravity": _gravity,
    "set_pedestrians_cross_factor": lambda s: s.world.set_pedestrians_cross_factor(0.5) is None and s.tick(),
    "set_pedestrians_seed": lambda s: s.world.set_pedestrians_seed(7) is None and s.tick(),
    "set_weather": _weather,
    "spawn_actor": lambda s: _spawns(s, "spawn_actor"),
    "tick": lambda s: s.world.tick() + 1 == s.world.tick(),
    "try_spawn_actor": lambda s: _spawns(s, "try_spawn_actor"),
    "unload_map_layer": lambda s: s.world.unload_map_layer(carla.MapLayer.All) is None and s.tick(),
    "wait_for_tick": _waits,
}

MAP: dict[str, Check] = {
    "cook_in_memory_map": lambda s: s.map.cook_in_memory_map(f"{s.folder}/town.bin") is None,
    "generate_waypoints": lambda s: len(s.map.generate_waypoints(10.0)) > 100,
    "geolocation_to_transform": lambda s: _is_near(
        s.map.geolocation_to_transform(s.map.transform_to_geolocation(carla.Location(30.0, 40.0, 1.0))),
        carla.Location(30.0, 40.0, 1.0),
        0.1,
    ),
    "get_all_landmarks": lambda s: len(s.map.get_all_landmarks()) >= len(s.lights),
    "get_all_landmarks_from_id": lambda s: (
        s.map.get_all_landmarks_from_id(s.light.get_opendrive_id())[0].is_dynamic
    ),
    "get_all_landmarks_of_type": lambda s: len(s.map.get_all_landmarks_of_type("1000001")) >= len(s.lights),
    "get_all_road_marks": lambda s: s.map.get_all_road_marks() == [],
    "get_all_road_marks_of_type": lambda s: s.map.get_all_road_marks_of_type("crosswalk") == [],
    "get_road_marks_from_id": lambda s: s.map.get_road_marks_from_id("1") == [],
    "get_crosswalks": lambda s: isinstance(s.map.get_crosswalks(), list),
    "get_landmark_group": lambda s: s.landmark.id in [one.id for one in s.map.get_landmark_group(s.landmark)],
    "get_spawn_points": lambda s: len(s.map.get_spawn_points()) > 50,
    "get_topology": lambda s: len(s.map.get_topology()) > 20,
    "get_waypoint": lambda s: s.map.get_waypoint(s.car.get_location()).lane_type == carla.LaneType.Driving,
    "get_waypoint_xodr": lambda s: (
        s.map.get_waypoint_xodr(s.lane.road_id, s.lane.lane_id, s.lane.s).id == s.lane.id
    ),
    "name": lambda s: s.map.name == "Carla/Maps/town",
    "save_to_disk": lambda s: s.map.save_to_disk(f"{s.folder}/town.xodr") is None,
    "to_opendrive": lambda s: s.map.to_opendrive().count("<road ") > 10,
    "transform_to_geolocation": lambda s: (
        abs(s.map.transform_to_geolocation(carla.Location()).latitude) <= 90.0
    ),
}

BLUEPRINTS: dict[str, Check] = {
    "BlueprintLibrary.filter": lambda s: len(s.library.filter("vehicle.*")) > 30,
    "BlueprintLibrary.filter_by_attribute": lambda s: (
        len(s.library.filter_by_attribute("base_type", "truck")) >= 1
    ),
    "BlueprintLibrary.find": lambda s: s.library.find("vehicle.tesla.model3").id == "vehicle.tesla.model3",
    "ActorBlueprint.get_attribute": lambda s: s.blueprint.get_attribute("number_of_wheels").as_int() == 4,
    "ActorBlueprint.has_attribute": lambda s: s.blueprint.has_attribute("color"),
    "ActorBlueprint.has_tag": lambda s: s.blueprint.has_tag("tesla"),
    "ActorBlueprint.id": lambda s: s.blueprint.id == "vehicle.tesla.model3",
    "ActorBlueprint.match_tags": lambda s: s.blueprint.match_tags("vehicle.*"),
    "ActorBlueprint.set_attribute": lambda s: s.blueprint.set_attribute("role_name", "hero") is None,
    "ActorBlueprint.tags": lambda s: set(s.blueprint.tags) == {"vehicle", "tesla", "model3"},
    "ActorAttribute.as_bool": lambda s: s.blueprint.get_attribute("sticky_control").as_bool(),
    "ActorAttribute.as_color": lambda s: s.blueprint.get_attribute("color").as_color().r >= 0,
    "ActorAttribute.as_float": lambda s: (
        s.library.find("sensor.camera.rgb").get_attribute("fov").as_float() == 90.0
    ),
    "ActorAttribute.as_int": lambda s: s.blueprint.get_attribute("generation").as_int() in (1, 2),
    "ActorAttribute.as_str": lambda s: s.blueprint.get_attribute("base_type").as_str() == "car",
    "ActorAttribute.id": lambda s: s.blueprint.get_attribute("color").id == "color",
    "ActorAttribute.is_modifiable": lambda s: not s.blueprint.get_attribute("base_type").is_modifiable,
    # Scripts draw one of the values of each of these, if a blueprint has the attribute.
    "ActorAttribute.recommended_values": lambda s: all(
        len(one.get_attribute(name).recommended_values) >= 1
        for one in s.library.filter("*")
        for name in ("color", "driver_id", "speed")
        if one.has_attribute(name)
    ),
    "ActorAttribute.type": lambda s: (
        s.blueprint.get_attribute("color").type == carla.ActorAttributeType.RGBColor
    ),
}

LOADING: dict[str, Check] = {
    "load_world": lambda c: c.load_world("highway").get_map().name == "Carla/Maps/highway",
    "reload_world": lambda c: (
        c.reload_world().id > 1 and c.get_world().get_map().name == "Carla/Maps/highway"
    ),
    "generate_opendrive_world": lambda c: (
        c.generate_opendrive_world(
            c.get_world().get_map().to_opendrive(),
            carla.OpendriveGenerationParameters(
                vertex_distance=2.0,
                max_road_length=50.0,
                wall_height=1.0,
                additional_width=0.6,
                smooth_junctions=True,
                enable_mesh_visibility=True,
            ),
        )
        .get_map()
        .name
        == "Carla/Maps/OpenDriveMap"
    ),
    "load_world_if_different": lambda c: (
        c.load_world_if_different("town") is not None or c.get_world().id > 3
    ),
}
"""In this order: each leaves a map to the next."""
