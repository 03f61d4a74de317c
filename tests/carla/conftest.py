"""A server in a process of its own, and the unmodified client library connected to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import pytest

from simloop_carla.world.link.vacant_ports import keep_vacant
from tests.carla.patience import PATIENCE_S

carla: Any = pytest.importorskip(
    "carla", reason="needs the carla client, which has no wheel for this platform"
)

READY = re.compile(r"on 127\.0\.0\.1:(\d+), streams on (\d+)")
SUBSCRIBER_PATIENCE_S = 600.0
"""Patience of a server for one test: longer than that of its clients, so that a tick that waits in vain fails."""
SHARED_PATIENCE_S = 15.0
"""Patience of the others: longer than a slow client takes, and shorter than the patience of any client.

The client library leaves streams of clients that are gone open and unread: sooner or later a tick waits for them.
"""
SERVER = """
import sys
from simloop.cli.main import main
from simloop_carla.server.net import stream_server

stream_server.EXPECTED_FOR_S = stream_server.BEHIND_FOR_S = float(sys.argv[1])
main(sys.argv[2:])
"""
"""A server of another patience than its own, which ``test_slow_clients`` tries; ``test_own_server``, the command."""


@dataclass
class RunningServer:
    """A server process.

    Attributes:
        process: The process.
        port: Port of remote calls.
        stream_port: Port of streams.
        said: Where its log goes.
    """

    process: subprocess.Popen[str]
    port: int
    stream_port: int
    said: IO[str]

    def client(self) -> Any:
        """Returns a new client."""
        client = carla.Client("127.0.0.1", self.port)
        client.set_timeout(PATIENCE_S)
        return client

    def log(self) -> str:
        """Returns what the server has logged so far; reads without moving the place where it writes."""
        size = os.fstat(self.said.fileno()).st_size
        return os.pread(self.said.fileno(), size, 0).decode("utf-8", "replace")


@contextmanager
def running_server(*options: str, patience_s: float = SHARED_PATIENCE_S) -> Iterator[RunningServer]:
    """Starts a server on free ports and ends it with SIGTERM; it ends with this process in any case.

    Args:
        options: Options of the command.
        patience_s: How long it waits for who is about to subscribe, and for who does not read.
    """
    command = [sys.executable, "-c", SERVER, str(patience_s), "carla-server", "--port", "0", *options]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*command, "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        found = READY.search(process.stdout.readline())
        try:
            if found is None:
                process.wait(PATIENCE_S)
                said.seek(0)
                pytest.fail(f"The server did not start: {said.read()}")
            yield RunningServer(process, int(found[1]), int(found[2]), said)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdin.close()
            process.stdout.close()
            if found is not None:
                keep_vacant(int(found[2]))


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """One server for all tests that leave it as they found it."""
    with running_server("--map", "town") as one:
        yield one


@pytest.fixture
def mortal_server() -> Iterator[RunningServer]:
    """A server for one test, which may end it."""
    with running_server("--map", "straight_track", patience_s=SUBSCRIBER_PATIENCE_S) as one:
        yield one


@pytest.fixture(scope="session")
def town_client(server: RunningServer) -> Any:
    """The client that the tests share."""
    return server.client()


@pytest.fixture
def world(town_client: Any) -> Iterator[Any]:
    """The town in synchronous mode at 50 ms with nobody in it; loaded anew only where a test left another map."""
    world = town_client.get_world()
    if world.get_map().name != "Carla/Maps/town":
        world = town_client.load_world("town")
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    clear(town_client, world)
    town_client.set_timeout(PATIENCE_S)
    yield world
    world = town_client.get_world()
    clear(town_client, world)
    settings.synchronous_mode, settings.fixed_delta_seconds = False, None
    world.apply_settings(settings)


def clear(client: Any, world: Any) -> None:
    """Destroys everybody; sensors stop first, as the client library minds messages of what is gone.

    The tick is a call of its own: a batch that ticks holds the interpreter's lock while it waits for the snapshot, and
    the library's threads, which let go of the callbacks, need it.
    """
    actors = list(world.get_actors())
    for actor in actors:
        if actor.type_id.startswith("sensor.") and actor.is_listening():
            actor.stop()
    there = [actor for actor in actors if not actor.type_id.startswith(("traffic.", "spectator"))]
    client.apply_batch_sync([carla.command.DestroyActor(actor.id) for actor in there], False)
    world.tick()


@pytest.fixture(scope="module")
def stage(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A street of the server's town for a module's tests; each leaves it as it was."""
    from tests.carla.stage import Stage

    one = Stage(server.client(), str(tmp_path_factory.mktemp("client")))
    yield one
    one.close()


@pytest.fixture(scope="module")
def carla_world() -> Iterator[Any]:
    """A world with a server of its own."""
    from simloop_carla.world.world import CarlaWorld

    world = CarlaWorld()
    yield world
    world.close()


Spawn = Callable[..., Any]


@pytest.fixture
def spawn(world: Any) -> Spawn:
    """Spawns a blueprint at a spawn point of the map, or at a pose, and ticks once."""
    library, points = world.get_blueprint_library(), world.get_map().get_spawn_points()

    def one(name: str, where: Any = 0, *, parent: Any = None, **attributes: object) -> Any:
        blueprint = library.find(name)
        for key, value in attributes.items():
            blueprint.set_attribute(key, str(value))
        pose = points[where] if isinstance(where, int) else where
        actor = world.spawn_actor(blueprint, pose, attach_to=parent)
        world.tick()
        return actor

    return one
