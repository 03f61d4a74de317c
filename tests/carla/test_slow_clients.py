"""Clients that are slow, stop or go: how long they hold up the others, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgpack
import pytest

from simloop_carla.server.net.stream_server import (
    BEHIND_FOR_S,
    BUFFER_LIMIT_BYTES,
    EXPECTED_FOR_S,
    StreamServer,
    StreamSession,
)
from tests.carla.conftest import SUBSCRIBER_PATIENCE_S
from tests.carla.patience import until
from tests.carla.processes import needs_proc, num_sockets, sleeps
from tests.carla.virtual_time import now_s, run_in_virtual_time

TICKING_CLIENT = """
import sys, carla
client = carla.Client("127.0.0.1", int(sys.argv[1]))
client.set_timeout(60.0)
world = client.get_world()
settings = world.get_settings()
settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
world.apply_settings(settings)
library, pose = world.get_blueprint_library(), world.get_map().get_spawn_points()[0]
car = world.spawn_actor(library.find("vehicle.tesla.model3"), pose)
world.tick()
sensors = []
for name in sys.argv[3:]:
    blueprint = library.find(name)
    if name == "sensor.camera.rgb":
        blueprint.set_attribute("image_size_x", sys.argv[2])
        blueprint.set_attribute("image_size_y", sys.argv[2])
    sensors.append(world.spawn_actor(blueprint, carla.Transform(carla.Location(z=2.0)), attach_to=car))
for sensor in sensors:
    sensor.listen(lambda message: None)
while True:
    world.tick()
    print("ticked", flush=True)
"""
GOES_ON_WITHIN_S = 0.1 * SUBSCRIBER_PATIENCE_S
"""Who waits for a client that is gone goes on after ten times as long."""
LARGE_PX = 1600
"""A side of pictures of which two fill what waits for a client."""
WAITS_AFTER_S = 2.0
"""A server that does nothing for so long, while a tick is asked for, waits for the client that does not read."""


def _ticking_client(server: Any, size_px: int, *sensors: str) -> subprocess.Popen[str]:
    """Starts a client that ticks and listens, and returns when it has ticked some times."""
    words = [sys.executable, "-c", TICKING_CLIENT, str(server.port), str(size_px), *sensors]
    client = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    for _ in range(3):
        assert client.stdout.readline() == "ticked\n"
    return client


def _end(client: subprocess.Popen[str]) -> None:
    client.kill()
    client.wait()
    assert client.stdout is not None
    client.stdout.close()


def test_a_client_that_is_killed_within_a_tick_does_not_hold_up_the_next_one(mortal_server: Any) -> None:
    """Its cameras make a tick last long enough to be hit; it is stopped with messages for it on the way."""
    names = ("sensor.camera.rgb", "sensor.camera.depth", "sensor.lidar.ray_cast", "sensor.other.imu")
    victim = _ticking_client(mortal_server, 600, *names)
    victim.send_signal(signal.SIGSTOP)
    world = mortal_server.client().get_world()
    for _ in range(3):  # what is sent now is never read
        world.tick()
    victim.kill()
    begun_s = time.monotonic()
    first = world.tick()
    assert world.tick() == first + 1
    assert time.monotonic() - begun_s < GOES_ON_WITHIN_S
    _end(victim)
    assert len(world.get_actors().filter("vehicle.*")) == 1  # what it spawned stays, as on CARLA's server


@needs_proc
def test_a_tick_that_waits_for_a_client_goes_on_when_that_is_killed(mortal_server: Any) -> None:
    server = mortal_server.process.pid
    world = mortal_server.client().get_world()
    world.wait_for_tick(GOES_ON_WITHIN_S)  # its stream has been opened
    num_before = num_sockets(server)
    victim = _ticking_client(mortal_server, LARGE_PX, "sensor.camera.rgb")
    assert num_sockets(server) > num_before
    victim.send_signal(signal.SIGSTOP)
    frames: list[int] = []

    def tick() -> None:
        for _ in range(12):
            frames.append(world.tick())

    ticking = threading.Thread(target=tick)
    ticking.start()
    num_idle, last = 0, 0
    while ticking.is_alive() and num_idle * 0.02 < WAITS_AFTER_S:
        time.sleep(0.02)
        is_idle = sleeps(server) and len(frames) == last
        num_idle, last = num_idle + 1 if is_idle else 0, len(frames)
    assert ticking.is_alive(), "no tick waited for the client that does not read"
    num_ticks = len(frames)
    killed_s = time.monotonic()
    _end(victim)
    ticking.join(GOES_ON_WITHIN_S)
    is_late = ticking.is_alive()
    ticking.join()
    assert not is_late, f"the others went on {time.monotonic() - killed_s:.1f} s after the kill"
    assert num_ticks < 12
    # The victim may have asked for a tick just before it was stopped: that one comes between the others.
    assert frames == sorted(set(frames)) and frames[-1] - frames[0] in (11, 12)
    late = "connections of the client that was killed stay open"
    until(lambda: num_sockets(server) == num_before, GOES_ON_WITHIN_S, why_not=late)


def test_a_client_that_goes_within_a_message_does_not_hold_up_the_next_one(mortal_server: Any) -> None:
    world = mortal_server.client().get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    calls: list[tuple[str, list[Any]]] = [
        ("get_sensor_token", [1]),
        ("apply_batch", [[], False]),
        ("tick_cue", []),
    ]
    for kept in (1, 7, 30):
        with socket.create_connection(("127.0.0.1", mortal_server.port), GOES_ON_WITHIN_S) as connection:
            for number, (name, values) in enumerate(calls):  # whose token it does not use
                connection.sendall(msgpack.packb([0, number, name, [[False], *values]]))
            connection.sendall(msgpack.packb([0, 9, "set_weather_parameters", [[False], [1.0] * 14]])[:kept])
        stream = ("127.0.0.1", mortal_server.stream_port)
        with socket.create_connection(stream, GOES_ON_WITHIN_S) as connection:
            connection.sendall(struct.pack("<I", 1)[:2])
    begun_s = time.monotonic()
    first = world.tick()
    assert world.tick() == first + 1
    assert time.monotonic() - begun_s < GOES_ON_WITHIN_S


# --- how long a tick waits, in process and in virtual time -------------------------------------------------------

CAMERA = 7
NEARLY_S = 0.05
Connect = Callable[[int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def _with_streams(play: Callable[[StreamServer, Connect], Awaitable[None]]) -> None:
    """Runs ``play`` with a stream server and what subscribes to it."""

    async def run() -> None:
        streams = StreamServer(lambda session: None)
        listener = await asyncio.get_running_loop().create_server(
            lambda: StreamSession(streams), "127.0.0.1", 0
        )
        writers: list[asyncio.StreamWriter] = []

        async def connect(stream: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            num_before = len(streams.sessions(stream))
            reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
            writers.append(writer)
            writer.write(struct.pack("<I", stream))
            while len(streams.sessions(stream)) == num_before:
                await asyncio.sleep(0.001)
            return reader, writer

        try:
            await play(streams, connect)
        finally:
            for writer in writers:
                writer.transport.abort()
            listener.close()

    run_in_virtual_time(run())


async def _waited_s(streams: StreamServer) -> float:
    begun_s = now_s()
    await streams.ready()
    return now_s() - begun_s


def test_a_tick_waits_once_for_a_subscriber_that_does_not_read_and_cuts_it_off() -> None:
    async def play(streams: StreamServer, connect: Connect) -> None:
        lazy, _ = await connect(CAMERA)
        reader, _ = await connect(CAMERA)
        lazy._transport.pause_reading()  # type: ignore[attr-defined]
        picture = bytes(BUFFER_LIMIT_BYTES // 2)
        taken = asyncio.create_task(reader.readexactly(4 * (4 + len(picture))))
        for _ in range(4):
            streams.send(CAMERA, picture, drops=False)
        asyncio.get_running_loop().call_later(
            0.9 * BEHIND_FOR_S, streams.wake
        )  # others come and go meanwhile
        assert await _waited_s(streams) == pytest.approx(BEHIND_FOR_S, abs=NEARLY_S)
        assert len(await taken) == 4 * (4 + len(picture))  # who reads, misses nothing
        await asyncio.sleep(0.01)
        assert len(streams.sessions(CAMERA)) == 1
        streams.send(CAMERA, picture, drops=False)
        taken = asyncio.create_task(reader.readexactly(4 + len(picture)))
        assert await _waited_s(streams) < NEARLY_S
        await taken

    _with_streams(play)


def test_a_tick_waits_for_who_asked_for_a_token_until_it_comes_or_is_late() -> None:
    async def play(streams: StreamServer, connect: Connect) -> None:
        streams.expect(CAMERA)
        assert await _waited_s(streams) == pytest.approx(EXPECTED_FOR_S, abs=NEARLY_S)
        assert await _waited_s(streams) == 0.0  # not for the same one again
        streams.expect(CAMERA)
        waiting = asyncio.create_task(_waited_s(streams))
        await connect(CAMERA)
        assert await waiting < 0.5 * EXPECTED_FOR_S

    _with_streams(play)
