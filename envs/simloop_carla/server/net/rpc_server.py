"""The RPC port: MessagePack-RPC as rpclib speaks it, requests of a connection strictly in order."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgpack

from simloop.errors import SimloopError
from simloop_carla.server.net.stream_server import StreamServer
from simloop_carla.wire.decoding import Decoder, MalformedMessageError, decoder
from simloop_carla.wire.replies import unknown_method

LOG = logging.getLogger("simloop.carla")

MAX_MESSAGE_BYTES = 96 << 20
"""Largest request: a map of 64 MiB and its wrapping."""
FIRST_BUFFER_BYTES = 1 << 14
"""What a connection takes at first; the library's own megabyte for each adds up when many come and go."""
MAX_ARRAY_LENGTH = 1 << 17
"""Longest array of a request; room for it is taken as soon as its length is read."""
MAX_WAITING = 4096
"""Requests of one connection that may wait; then the connection is not read until they are done."""
MAX_UNSENT_BYTES = 64 << 20
MAX_CONNECTIONS = 4096
"""Clients at once; one more is disconnected. Hundreds that have gone already may be among them for a moment."""
SETTLING_S = 0.05
"""How long after a load a client that asks for the new episode waits.

The client library (0.9.16) lets its old stream go from another thread, some milliseconds after the reply to a load. If
the new one is there by then, one takes the other's place in its tables and the process ends (``bad_weak_ptr``, a closed
descriptor or a segmentation fault; without the pause after some 100 loads, not in 1,148 with it). CARLA's server does
not answer before the map is loaded, which takes longer.
"""
REQUEST, NOTIFICATION = 0, 2
_PACKER = msgpack.Packer(unicode_errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the server.

    Attributes:
        call: Takes the server and the decoded arguments, returns the result as it goes on the wire.
        decoders: One for each argument.
        ticks: Whether it may let time pass, so that it waits until subscribers are ready.
        loads: Whether it starts a new episode.
        is_of_episode: Whether it tells a client which episode it is in, so that it waits a moment after a load.
    """

    call: Callable[..., Any]
    decoders: tuple[Decoder, ...]
    ticks: bool = False
    loads: bool = False
    is_of_episode: bool = False


@dataclass(slots=True)
class Loading:
    """What all connections know of the last load.

    Attributes:
        settled_at_s: When clients may learn of the new episode, by the event loop's clock.
    """

    settled_at_s: float = 0.0


class MethodTable:
    """The methods of a server, by name."""

    def __init__(self) -> None:
        self.methods: dict[str, Method] = {}

    def add(
        self,
        name: str,
        *kinds: Any,
        ticks: bool = False,
        loads: bool = False,
        is_of_episode: bool = False,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Returns a decorator that adds a method.

        Args:
            name: Name on the wire.
            kinds: Types of the arguments after the meta data, as ``decoding.decoder`` takes them.
            ticks: Whether it may let time pass.
            loads: Whether it starts a new episode.
            is_of_episode: Whether it tells which episode it is.
        """

        def register(call: Callable[..., Any]) -> Callable[..., Any]:
            if name in self.methods:
                raise ValueError(f"There are two methods {name!r}.")
            decoders = tuple(decoder(kind) for kind in kinds)
            self.methods[name] = Method(call, decoders, ticks, loads, is_of_episode)
            return call

        return register


class RpcConnection(asyncio.Protocol):
    """One client.

    Args:
        methods: Methods by name.
        target: First argument of every method.
        subscribers: Those whom a method that ticks waits for.
        loading: Is shared by all connections.
        connections: Where the open ones are kept.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        target: Any,
        subscribers: StreamServer,
        loading: Loading,
        connections: set[RpcConnection],
    ) -> None:
        self._methods = methods
        self._target = target
        self._subscribers = subscribers
        self._loading = loading
        self._connections = connections
        self._unpacker = msgpack.Unpacker(
            raw=False,
            unicode_errors="surrogateescape",
            strict_map_key=False,
            read_size=FIRST_BUFFER_BYTES,
            max_buffer_size=MAX_MESSAGE_BYTES,
            max_array_len=MAX_ARRAY_LENGTH,
            max_map_len=MAX_ARRAY_LENGTH,
        )
        self._waiting: deque[Any] = deque()
        self._task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepares the socket; a client too many is cut off."""
        self.transport = cast("asyncio.Transport", transport)
        if len(self._connections) >= MAX_CONNECTIONS:
            LOG.warning("There are %d clients; one more is disconnected.", MAX_CONNECTIONS)
            self.transport.abort()
            return
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets what was not answered."""
        self._connections.discard(self)
        self._subscribers.forget(self)
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Takes requests apart and answers them in order; bytes that are no MessagePack end the connection."""
        try:
            self._unpacker.feed(data)
            self._waiting.extend(self._unpacker)
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
            self._refuse(f"bytes that are no MessagePack ({type(error).__name__}: {error})")
            return
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._task is None:
            message = self._waiting[0]
            if self._has_to_wait(message):
                self._task = asyncio.get_running_loop().create_task(self._wait())
                break
            self._waiting.popleft()
            if self._is_early(message):
                continue
            if not self._answer(message):
                return
        if self.transport is not None and not self.transport.is_closing():
            if len(self._waiting) > MAX_WAITING:
                self.transport.pause_reading()
            elif not self.transport.is_reading():
                self.transport.resume_reading()

    def _has_to_wait(self, message: Any) -> bool:
        method = self._method_of(message)
        return method is not None and method.ticks and not self._subscribers.is_ready()

    def _method_of(self, message: Any) -> Method | None:
        if not isinstance(message, list) or len(message) < 3 or not isinstance(message[2], str):
            return None
        return self._methods.get(message[2])

    def _is_early(self, message: Any) -> bool:
        """Puts off what asks for an episode that is not settled; other threads of the client go on meanwhile."""
        method = self._method_of(message)
        loop = asyncio.get_running_loop()
        if method is None or not method.is_of_episode or loop.time() >= self._loading.settled_at_s:
            return False
        loop.call_at(self._loading.settled_at_s, self._answer, message)
        return True

    async def _wait(self) -> None:
        await self._subscribers.ready()
        self._task = None
        self._go_on()

    def _answer(self, message: Any) -> bool:
        """Answers one message; returns False if it ended the connection."""
        if (
            not isinstance(message, list)
            or len(message) not in (3, 4)
            or (len(message) == 4 and message[0] != REQUEST)
            or (len(message) == 3 and message[0] != NOTIFICATION)
            or not isinstance(message[-2], str)
            or not isinstance(message[-1], list)
        ):
            self._refuse("a message that is no request of MessagePack-RPC")
            return False
        name, arguments = message[-2], message[-1]
        error, result = self._called(name, arguments)
        if len(message) == 4:
            self._reply([1, message[1], error, result])
        return True

    def _called(self, name: str, arguments: list[Any]) -> tuple[str | None, Any]:
        method = self._methods.get(name)
        if method is None or not arguments or len(arguments) - 1 != len(method.decoders):
            return unknown_method(name, len(arguments)), None
        try:
            values = [decode(value) for decode, value in zip(method.decoders, arguments[1:], strict=True)]
        except MalformedMessageError as error:
            return f"malformed argument of '{name}': {error}", None
        self._subscribers.asking = self
        try:
            result = method.call(self._target, *values)
            if method.loads:
                self._loading.settled_at_s = asyncio.get_running_loop().time() + SETTLING_S
            return None, result
        except SimloopError as error:
            return f"'{name}' failed: {error}", None
        except Exception as error:
            LOG.exception("The method %s failed.", name)
            return f"'{name}' failed: {type(error).__name__}: {error}", None

    def _reply(self, content: list[Any]) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        try:
            packed = _PACKER.pack(content)
        except (ValueError, OverflowError, TypeError) as error:
            self._refuse(f"a message number that cannot be answered ({error})")
            return
        self.transport.write(packed)
        if self.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            LOG.warning("A client does not read its replies and is disconnected.")
            self.transport.abort()

    def _refuse(self, what: str) -> None:
        LOG.warning("A client sent %s and is disconnected.", what)
        self._waiting.clear()
        if self.transport is not None:
            self.transport.close()
