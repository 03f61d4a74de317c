"""However a run ends, nothing of it goes on: its servers end with it; and a server that ends is noticed at once."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from simloop.errors import WorldError
from simloop.scenario_files import load_family
from simloop_carla.world.world import CarlaWorld

SIMLOOP = str(Path(sys.executable).with_name("simloop"))
TICK_NS = 50_000_000
NOTICED_WITHIN_S = 3.0
"""Time from the end of a server to the error on a busy machine; it is about 1 s on a quiet one."""
pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")


def _servers(mark: str) -> list[Path]:
    """Returns the folders in /proc of the servers whose environment has the mark."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            words = (environment.parent / "cmdline").read_bytes()
            if b"carla-server" in words and mark.encode() in environment.read_bytes():
                found.append(environment.parent)
        except OSError:  # it has ended meanwhile
            continue
    return found


def _plays(server: Path) -> bool:
    """Whether a client is connected: two sockets are the event loop's and two listen, three are a session's."""
    try:
        return sum(str(link.readlink()).startswith("socket:") for link in (server / "fd").iterdir()) >= 7
    except OSError:
        return False


def _wait_until(condition: Callable[[], bool], patience_s: float) -> bool:
    until_s = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize(
    ("number", "runner", "code"),
    [
        (signal.SIGINT, "in_process", 130),
        (signal.SIGTERM, "in_process", -signal.SIGTERM),
        (signal.SIGKILL, "in_process", -signal.SIGKILL),
        (signal.SIGINT, "ray", 130),
    ],
)
def test_servers_end_with_their_run(number: signal.Signals, runner: str, code: int, tmp_path: Path) -> None:
    mark = f"SIMLOOP_TEST={tmp_path}"
    words = ["suite=smoke", "world=carla", "agent=expert", "seeds.count=500", f"runner={runner}"]
    run = subprocess.Popen(
        [SIMLOOP, "run", *words, "runner.workers=2"] if runner == "ray" else [SIMLOOP, "run", *words],
        cwd=tmp_path,
        env=os.environ | dict([mark.split("=", 1)]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    try:
        assert _wait_until(lambda: any(_plays(server) for server in _servers(mark)), 120.0)
        run.send_signal(number)
        assert run.wait(30.0) == code
        assert _wait_until(lambda: not _servers(mark), 10.0)
    finally:
        run.kill()
        run.wait()


@pytest.mark.parametrize("is_own", [True, False])
def test_a_server_that_is_killed_within_a_tick_is_noticed_at_once(mortal_server: Any, is_own: bool) -> None:
    """It is stopped first, so that the call is under way for sure when it ends."""
    scenario = load_family("cut_in").scenario(0)
    world = CarlaWorld() if is_own else CarlaWorld(port=mortal_server.port)
    world.reset(scenario, 0)
    own = world._connection.own
    pid = mortal_server.process.pid if own is None else own.pid
    os.kill(pid, signal.SIGSTOP)
    killed_s: list[float] = []

    def kill() -> None:
        killed_s.append(time.monotonic())
        os.kill(pid, signal.SIGKILL)

    threading.Timer(2.0, kill).start()  # the batch before the tick is over by then
    how = "it was ended by SIGKILL" if is_own else "it closed its connections: its process has ended"
    with pytest.raises(WorldError, match=rf"The CARLA server at 127\.0\.0\.1:\d+ failed at a tick: {how}"):
        world.advance(TICK_NS)
    assert time.monotonic() - killed_s[0] < NOTICED_WITHIN_S
    begun_s = time.monotonic()
    world.close()
    assert time.monotonic() - begun_s < NOTICED_WITHIN_S


def test_a_server_that_is_gone_between_ticks_is_noticed_at_once(mortal_server: Any) -> None:
    world = CarlaWorld(port=mortal_server.port)
    world.reset(load_family("cut_in").scenario(0), 0)
    mortal_server.process.kill()
    mortal_server.process.wait()
    begun_s = time.monotonic()
    with pytest.raises(WorldError, match=r"See its own log for the reason, and start it again\."):
        world.advance(TICK_NS)
    with pytest.raises(WorldError, match="No CARLA server listens at"):
        world.reset(load_family("cut_in").scenario(0), 0)
    assert time.monotonic() - begun_s < NOTICED_WITHIN_S
    world.close()


def test_a_server_that_hangs_fails_after_the_patience_and_is_used_again(mortal_server: Any) -> None:
    world = CarlaWorld(port=mortal_server.port, patience_s=2.0)
    world.reset(load_family("cut_in").scenario(0), 0)
    os.kill(mortal_server.process.pid, signal.SIGSTOP)
    with pytest.raises(WorldError, match=r"it did not answer within 2 s\. See whether it runs"):
        world.advance(TICK_NS)
    os.kill(mortal_server.process.pid, signal.SIGCONT)
    world.reset(load_family("cut_in").scenario(0), 0)
    world.advance(TICK_NS)
    world.close()


TICKING_CLIENT = """
import sys, carla
client = carla.Client("127.0.0.1", int(sys.argv[1]))
client.set_timeout(30.0)
world = client.get_world()
settings = world.get_settings()
settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
world.apply_settings(settings)
library, pose = world.get_blueprint_library(), world.get_map().get_spawn_points()[0]
car = world.spawn_actor(library.find("vehicle.tesla.model3"), pose)
world.tick()
sensors = [world.spawn_actor(library.find(name), carla.Transform(), attach_to=car) for name in (
    "sensor.camera.rgb", "sensor.camera.depth", "sensor.lidar.ray_cast", "sensor.other.imu")]
for sensor in sensors:
    sensor.listen(lambda message: None)
while True:
    world.tick()
    print("ticked", flush=True)
"""
GOES_ON_WITHIN_S = 1.0


def test_a_client_that_is_killed_within_a_tick_does_not_hold_up_the_next_one(mortal_server: Any) -> None:
    """Its cameras make a tick last long enough to be hit; it is stopped with messages for it on the way."""
    victim = subprocess.Popen(
        [sys.executable, "-c", TICKING_CLIENT, str(mortal_server.port)], stdout=subprocess.PIPE, text=True
    )
    assert victim.stdout is not None
    for _ in range(5):
        assert victim.stdout.readline() == "ticked\n"
    victim.send_signal(signal.SIGSTOP)
    other = mortal_server.client()
    world = other.get_world()
    for _ in range(3):  # what is sent now is never read
        world.tick()
    victim.kill()
    begun_s = time.monotonic()
    first = world.tick()
    assert world.tick() == first + 1
    assert time.monotonic() - begun_s < GOES_ON_WITHIN_S
    victim.wait(10.0)
    victim.stdout.close()
    assert len(world.get_actors().filter("vehicle.*")) == 1  # what it spawned stays, as on CARLA's server


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
        with socket.create_connection(("127.0.0.1", mortal_server.port), 5.0) as connection:
            for number, (name, values) in enumerate(calls):  # whose token it does not use
                connection.sendall(msgpack.packb([0, number, name, [[False], *values]]))
            connection.sendall(msgpack.packb([0, 9, "set_weather_parameters", [[False], [1.0] * 14]])[:kept])
        with socket.create_connection(("127.0.0.1", mortal_server.stream_port), 5.0) as connection:
            connection.sendall(struct.pack("<I", 1)[:2])
    begun_s = time.monotonic()
    first = world.tick()
    assert world.tick() == first + 1
    assert time.monotonic() - begun_s < GOES_ON_WITHIN_S
