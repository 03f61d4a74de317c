"""Opens the two ports and runs until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from simloop.errors import SimloopError
from simloop_carla.server.methods import METHODS
from simloop_carla.server.net.rpc_server import Loading, RpcConnection
from simloop_carla.server.net.stream_server import StreamSession
from simloop_carla.server.simulator import Simulator
from simloop_carla.server.towns.town import Town
from simloop_carla.wire.replies import VERSION


class PortInUseError(SimloopError):
    """A port cannot be listened at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where to listen.

    Attributes:
        host: Address.
        rpc: Port of remote calls; 0 for a free one.
        stream: Port of streams; None for the one after ``rpc``, 0 for a free one.
    """

    host: str
    rpc: int
    stream: int | None


class _UntilClosed(asyncio.Protocol):
    """Sets an event when a pipe closes; what comes through it means nothing."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the server."""
        self._ended.set()


async def serve(
    town: Town,
    ports: Ports,
    *,
    seed: int,
    on_ready: Callable[[str], object],
    until_stdin_closes: bool = False,
) -> None:
    """Serves until the process is told to end.

    Args:
        town: The first map.
        ports: Where to listen.
        seed: Seed of the sensors' noise.
        on_ready: Called with one line once both ports listen.
        until_stdin_closes: Whether to end when standard input closes, so that the server does not outlive a parent.

    Raises:
        PortInUseError: A port is taken or not allowed.
    """
    loop = asyncio.get_running_loop()
    loading = Loading()
    connections: set[RpcConnection] = set()

    def connect() -> RpcConnection:
        return RpcConnection(METHODS, simulator, simulator.streams, loading, connections)

    rpc = await _bound(connect, ports.host, ports.rpc, "--port")
    rpc_port = int(rpc.sockets[0].getsockname()[1])
    wanted = ports.stream
    if wanted is None:
        wanted = 0 if ports.rpc == 0 else rpc_port + 1
    try:
        stream = await _bound(lambda: StreamSession(simulator.streams), ports.host, wanted, "--stream-port")
    except PortInUseError:
        rpc.close()
        raise
    simulator = Simulator(town, int(stream.sockets[0].getsockname()[1]), seed)
    simulator.warm_up()
    for server, port, option in ((stream, wanted, "--stream-port"), (rpc, rpc_port, "--port")):
        with _named_port(ports.host, port, option):
            await server.start_serving()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        if sys.platform != "win32":
            loop.add_signal_handler(number, ended.set)
    if until_stdin_closes:
        await loop.connect_read_pipe(lambda: _UntilClosed(ended), sys.stdin)
    simulator.run_free()
    gc.collect()
    gc.freeze()  # what lives as long as the process is not looked through again
    on_ready(
        f"CARLA {VERSION} protocol on {ports.host}:{rpc_port}, streams on {simulator.stream_port}, map {town.name}"
    )
    await ended.wait()
    simulator.stop()
    for connection in list(connections):
        if connection.transport is not None:
            connection.transport.abort()
    for server in (rpc, stream):
        server.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 1.0)


async def _bound(
    factory: Callable[[], asyncio.Protocol], host: str, port: int, option: str
) -> asyncio.Server:
    with _named_port(host, port, option):
        return await asyncio.get_running_loop().create_server(
            factory, host, port, backlog=512, start_serving=False
        )


@contextlib.contextmanager
def _named_port(host: str, port: int, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PortInUseError(
            f"{option} {port} at {host} cannot be listened at: {error.strerror or error}. Choose another port, or 0 "
            "for a free one."
        ) from error
