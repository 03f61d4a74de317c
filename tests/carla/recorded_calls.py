"""What a real client sends: its calls, written down by a proxy between it and the server."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from typing import Any

import carla
import msgpack


class RecordingProxy:
    """Passes one connection on to a port, and keeps what came from the client.

    Args:
        port: Port of the server.
    """

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._target = port
        self._sent = bytearray()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with (
            self._listener,
            self._listener.accept()[0] as client,
            socket.create_connection(("127.0.0.1", self._target)) as server,
        ):
            back = threading.Thread(target=self._pass_on, args=(server, client, bytearray()), daemon=True)
            back.start()
            self._pass_on(client, server, self._sent)
            back.join()  # a socket is not closed while it is read: its number might be another's by then

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        """Passes on until one side ends; the other direction ends with it."""
        try:
            while data := source.recv(65536):
                kept += data
                sink.sendall(data)
        except ConnectionError:  # who is gone neither sends nor takes
            pass
        finally:
            for side in (source, sink):
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)

    def messages(self) -> list[bytes]:
        """Returns the client's requests, one each."""
        unpacker = msgpack.Unpacker(raw=False, unicode_errors="surrogateescape", strict_map_key=False)
        unpacker.feed(bytes(self._sent))
        packer = msgpack.Packer(unicode_errors="surrogateescape", use_single_float=True)
        return [bytes(packer.pack(message)) for message in unpacker]


def recorded_calls(port: int) -> list[bytes]:
    """Returns the requests of ``drive_about`` in a process of its own, as a waiting client lets no thread run."""
    proxy = RecordingProxy(port)
    subprocess.run(
        [sys.executable, __file__, str(proxy.port)], check=True, timeout=300, stdout=subprocess.DEVNULL
    )
    return proxy.messages()


def drive_about(port: int) -> None:
    """Spawns, drives, looks, batches and destroys; the world is left empty."""
    client: Any = carla.Client("127.0.0.1", port)
    client.set_timeout(60.0)
    world = client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    library, points = world.get_blueprint_library(), world.get_map().get_spawn_points()
    car = world.spawn_actor(library.find("vehicle.tesla.model3"), points[0])
    walker = world.spawn_actor(library.find("walker.pedestrian.0001"), points[20])
    camera = world.spawn_actor(library.find("sensor.other.imu"), carla.Transform(), attach_to=car)
    world.tick()
    camera.listen(lambda message: None)
    car.apply_control(carla.VehicleControl(throttle=0.4, steer=0.1))
    car.apply_ackermann_control(carla.VehicleAckermannControl(speed=3.0))
    car.apply_physics_control(car.get_physics_control())
    car.set_transform(points[1])
    car.set_location(points[0].location)
    car.set_target_velocity(carla.Vector3D(1.0, 0.0, 0.0))
    car.add_impulse(carla.Vector3D(1.0, 0.0, 0.0))
    car.enable_constant_velocity(carla.Vector3D(1.0, 0.0, 0.0))
    car.disable_constant_velocity()
    car.set_light_state(carla.VehicleLightState(carla.VehicleLightState.Brake))
    walker.apply_control(carla.WalkerControl(carla.Vector3D(1.0, 0.0, 0.0), 1.0))
    world.set_weather(carla.WeatherParameters.ClearNoon)
    world.debug.draw_box(carla.BoundingBox(carla.Location(), carla.Vector3D(1.0, 1.0, 1.0)), carla.Rotation())
    world.cast_ray(points[0].location, points[1].location)
    world.ground_projection(points[0].location, 10.0)
    world.get_environment_objects()
    for light in world.get_actors().filter("*traffic_light"):
        light.set_state(carla.TrafficLightState.Green)
        light.set_green_time(10.0)
        light.get_group_traffic_lights()
    spawn = carla.command.SpawnActor(library.find("vehicle.audi.tt"), points[30]).then(
        carla.command.ApplyVehicleControl(carla.command.FutureActor, carla.VehicleControl(brake=1.0))
    )
    born = client.apply_batch_sync([spawn, carla.command.ApplyTransform(car.id, points[0])], True)
    camera.stop()
    own = [camera.id, walker.id, car.id, born[0].actor_id]
    client.apply_batch_sync([carla.command.DestroyActor(one) for one in own], False)
    world.tick()
    settings.synchronous_mode, settings.fixed_delta_seconds = False, None
    world.apply_settings(settings)


if __name__ == "__main__":
    drive_about(int(sys.argv[1]))
    os._exit(0)
