"""A street with everything that a call or a sensor can be tried on."""

from __future__ import annotations

from typing import Any

import carla


class Stage:
    """A street of the town with a car, another one 15 m ahead of it, a walker, a light and a camera on the car.

    Args:
        client: A client.
        folder: Where the client may write.
    """

    def __init__(self, client: Any, folder: str) -> None:
        self.client, self.folder = client, folder
        self.world = client.load_world_if_different("town") or client.get_world()
        settings = self.world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
        self.world.apply_settings(settings)
        self.map, self.library = self.world.get_map(), self.world.get_blueprint_library()
        self.points = self.map.get_spawn_points()
        self.home = self.points[10]
        self.blueprint = self.library.find("vehicle.tesla.model3")
        self.blueprint.set_attribute("role_name", "hero")
        self.car = self.world.spawn_actor(self.blueprint, self.home)
        self.place_ahead = carla.Transform(self.ahead_on_the_road(0.3, 15.0), self.home.rotation)
        self.ahead = self.world.spawn_actor(self.library.find("vehicle.audi.tt"), self.place_ahead)
        self.walker = self.world.spawn_actor(self.library.find("walker.pedestrian.0001"), self.points[25])
        self.camera = self.spawn("sensor.camera.rgb", image_size_x=32, image_size_y=24)
        self.tick()
        self.mass_kg = self.car.get_physics_control().mass
        self.lane = self.map.get_waypoint(self.home.location)
        self.lights = list(self.world.get_actors().filter("traffic.traffic_light"))
        self.light = next(one for one in self.lights if one.get_stop_waypoints())
        self.before_the_light = self.light.get_stop_waypoints()[0]
        self.lane_of_the_light = self.before_the_light.lane_id
        self.landmark = self.map.get_all_landmarks_from_id(self.light.get_opendrive_id())[0]
        signs = [one for one in self.map.get_all_landmarks() if not one.is_dynamic]
        self.sign_landmark = next(one for one in signs if self.world.get_traffic_sign(one) is not None)
        self.sign = self.world.get_traffic_sign(self.sign_landmark)
        ways = [way for metres in range(2, 30, 2) for way in self.before_the_light.next(float(metres))]
        self.junction = next(way.get_junction() for way in ways if way.is_junction)
        self.at_rest(self.car)

    def spawn(self, name: str, pose: Any = None, **attributes: object) -> Any:
        """Mounts a sensor on the car."""
        blueprint = self.library.find(name)
        for key, value in attributes.items():
            blueprint.set_attribute(key, str(value))
        mount = pose or carla.Transform(carla.Location(x=2.6, z=0.8))
        return self.world.spawn_actor(blueprint, mount, attach_to=self.car)

    def tick(self, count: int = 1) -> int:
        """Ticks and returns the last frame."""
        return [self.world.tick() for _ in range(count)][-1]

    def at_rest(self, car: Any) -> None:
        """Puts both cars back where they began, standing on their brakes."""
        for one, place in ((car, self.home), (self.ahead, self.place_ahead)):
            for brake in (
                0.9,
                1.0,
            ):  # the client does not send what it sent last, even if a batch came between
                one.apply_control(carla.VehicleControl(brake=brake))
            one.set_target_velocity(carla.Vector3D())
            one.set_target_angular_velocity(carla.Vector3D())
            one.set_transform(place)
        self.tick(8)  # engine and steering have gone back, too
        for one, place in ((car, self.home), (self.ahead, self.place_ahead)):
            one.set_transform(place)
        self.tick()

    def let_go(self) -> None:
        """Takes the car's foot off the brake, and waits until the brake has noticed."""
        self.car.apply_control(carla.VehicleControl())
        self.tick(10)

    def along(self, length: float) -> Any:
        """Returns a vector in the direction in which the car stands at first."""
        return length * self.home.get_forward_vector()

    def over(self, actor: Any, height_m: float) -> Any:
        """Returns the place at a height over an actor."""
        place = actor.get_location()
        return carla.Location(place.x, place.y, height_m)

    def ahead_on_the_road(self, height_m: float, metres: float = 8.0) -> Any:
        """Returns a place ahead of the car's first place."""
        place = self.home.location + self.along(metres)
        return carla.Location(place.x, place.y, height_m)

    def close(self) -> None:
        """Leaves the server as it was."""
        own = [actor.id for actor in (self.camera, self.walker, self.ahead, self.car)]
        self.client.apply_batch_sync([carla.command.DestroyActor(one) for one in own], False)
        self.tick()
        settings = self.world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = False, None
        self.world.apply_settings(settings)
