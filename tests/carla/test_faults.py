"""What fails, or means harm: killed clients, noise, leaks, and servers that are not there."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import carla
import msgpack
import numpy as np
import pytest

MODEL3 = "vehicle.tesla.model3"
SIMLOOP = str(Path(sys.executable).with_name("simloop"))
TICKING_CLIENT = """
import sys, carla
client = carla.Client("127.0.0.1", int(sys.argv[1]))
client.set_timeout(30.0)
world = client.get_world()
library = world.get_blueprint_library()
cars = [world.spawn_actor(library.find("vehicle.tesla.model3"), point)
        for point in world.get_map().get_spawn_points()[:40:8]]
camera = world.spawn_actor(library.find("sensor.camera.rgb"), carla.Transform(), attach_to=cars[0])
world.tick()
camera.listen(lambda image: None)
while True:
    world.tick()
    print(world.get_snapshot().frame, flush=True)
"""


def resident_mb(pid: int) -> float:
    """Returns the resident memory of a process."""
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the system does not tell a process's memory"
)


def test_a_client_that_is_killed_mid_tick_leaves_the_server_to_others(server: Any, world: Any) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", TICKING_CLIENT, str(server.port)], stdout=subprocess.PIPE, text=True
    )
    assert victim.stdout is not None
    frames = [int(victim.stdout.readline()) for _ in range(5)]
    victim.send_signal(signal.SIGKILL)
    victim.wait(10.0)
    victim.stdout.close()
    first = world.tick()
    assert first > frames[-1]
    assert [world.tick() for _ in range(20)] == list(range(first + 1, first + 21))
    other = server.client().get_world()
    other.tick()
    assert len(other.get_actors().filter("vehicle.*")) == 5  # what it spawned stays, as on CARLA's server


@needs_proc
def test_a_thousand_spawns_leave_the_memory_flat(server: Any, world: Any, town_client: Any) -> None:
    blueprint = world.get_blueprint_library().find(MODEL3)
    points = world.get_map().get_spawn_points()
    spawn = [carla.command.SpawnActor(blueprint, points[number]) for number in (0, 12, 24, 36)]

    def cycle() -> None:
        ids = [reply.actor_id for reply in town_client.apply_batch_sync(spawn, True)]
        gone = town_client.apply_batch_sync([carla.command.DestroyActor(one) for one in ids], True)
        assert not any(reply.error for reply in gone)

    for _ in range(100):
        cycle()
    before_mb = resident_mb(server.process.pid)
    for _ in range(900):
        cycle()
    assert resident_mb(server.process.pid) - before_mb < 2.0
    assert len(world.get_actors().filter("vehicle.*")) == 0


def _real_messages() -> list[bytes]:
    pose = [[10.0, 5.0, 0.5], [0.0, 90.0, 0.0]]
    description = [0, MODEL3, [["color", 5, "10,20,30"], ["role_name", 4, "hero"]]]
    control = [0.5, 0.1, 0.0, False, False, False, 1]
    settings = [True, False, [True, 0.05], True, 0.01, 10, 0.0, True, 3000.0, 2000.0, True]
    batch = [
        [[2, [20, control]]],
        [[6, [20, pose]]],
        [[0, [description, pose, [False], 0, "", []]]],
        [[1, [99]]],
    ]
    calls: list[tuple[str, list[Any]]] = [
        ("version", []),
        ("get_episode_info", []),
        ("get_sensor_token", [1]),
        ("set_episode_settings", [settings]),
        ("get_map_info", []),
        ("get_actors_by_id", [[1, 2, 3]]),
        ("spawn_actor", [description, pose]),
        ("spawn_actor_with_parent", [[0, "sensor.other.imu", []], pose, 1, 0, ""]),
        ("destroy_actor", [50]),
        ("apply_control_to_vehicle", [20, control]),
        ("set_actor_transform", [20, pose]),
        ("apply_batch", [batch, False]),
        ("set_weather_parameters", [[1.0] * 14]),
        ("set_traffic_light_state", [3, 2]),
        ("tick_cue", []),
    ]
    return [
        bytes(msgpack.packb([0, number, name, [[False], *values]]))
        for number, (name, values) in enumerate(calls)
    ]


def _mutated(message: bytes, draws: np.random.Generator) -> bytes:
    content = bytearray(message)
    for _ in range(int(draws.integers(1, 4))):
        at = int(draws.integers(len(content))) if content else 0
        match int(draws.integers(5)):
            case 0:
                content[at : at + 1] = bytes([int(draws.integers(256))])
            case 1:
                del content[at:]
            case 2:
                content[at:at] = draws.bytes(int(draws.integers(1, 6)))
            case 3:
                content[at:at] = content[: int(draws.integers(1, 12))]
            case _:
                content[at : at + 1] = bytes([int(draws.choice([0xDD, 0xDF, 0xC6, 0xC0, 0x9F, 0xCB, 0xFF]))])
    return bytes(content)


@needs_proc
@pytest.mark.usefixtures("world")
def test_two_thousand_malformed_messages_do_no_harm(server: Any) -> None:
    draws = np.random.default_rng(16)
    real = _real_messages()
    grown_mb = []
    for batch in range(200):
        if batch in (50, 199):
            grown_mb.append(resident_mb(server.process.pid))
        for port, count in ((server.port, 9), (server.stream_port, 1)):
            with socket.create_connection(("127.0.0.1", port), 10.0) as connection:
                for _ in range(count):
                    if port == server.port:
                        content = _mutated(real[int(draws.integers(len(real)))], draws)
                    else:
                        content = _mutated(struct.pack("<I", 1), draws)
                    try:
                        connection.sendall(content)
                    except ConnectionError:  # it has been cut off, with a reason in the server's log
                        break
    client = server.client()
    assert client.get_server_version() == "0.9.16"
    assert server.process.poll() is None
    assert grown_mb[1] - grown_mb[0] < 8.0
    client.load_world("town")


# --- servers that are not as they should be ----------------------------------------------------------------------


def _ended(*words: str, folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [SIMLOOP, *words], capture_output=True, text=True, timeout=300, check=False, cwd=folder
    )
    return done.returncode, done.stdout + done.stderr


def test_a_port_in_use_and_an_unknown_map_end_with_4(server: Any, tmp_path: Path) -> None:
    code, said = _ended("carla-server", "--port", str(server.port), folder=tmp_path)
    assert code == 4
    assert f"--port {server.port} at 127.0.0.1 cannot be listened at" in said
    assert "Choose another port" in said
    code, said = _ended("carla-server", "--port", "0", "--map", "nowhere", folder=tmp_path)
    assert code == 4
    assert "nowhere" in said
    assert "straight_track" in said
