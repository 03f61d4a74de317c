"""The stream port: sessions that subscribe to the world or to a sensor, with bounded buffers.

A client connects, names its stream and listens. In synchronous mode the next tick waits until all sessions have taken
most of what was sent; in asynchronous mode a session that is behind misses messages, as with CARLA's server.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

from simloop_carla.wire.streams import framed

HELLO_SIZE = 4
BUFFER_LIMIT_BYTES = 16 << 20
"""Bytes that may wait for a session in synchronous mode before the next tick waits for it."""
EXPECTED_FOR_S = 2.0
"""How long a tick waits for a subscriber that has asked for a token."""
BEHIND_FOR_S = 10.0
"""How long a tick waits for a session that does not read; then the session is closed."""
MAX_SESSIONS = 4096
"""Subscribers at once, and subscribers that a tick waits for at once; one more is cut off, or not waited for."""


class StreamSession(asyncio.Protocol):
    """One subscriber.

    Args:
        server: The server that it belongs to.
    """

    def __init__(self, server: StreamServer) -> None:
        self._server = server
        self._hello = b""
        self._is_counted = False
        self.stream = 0
        self.is_first = True
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepares the socket; a session too many is cut off."""
        self.transport = cast("asyncio.Transport", transport)
        own = transport.get_extra_info("socket")
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport.set_write_buffer_limits(high=BUFFER_LIMIT_BYTES, low=BUFFER_LIMIT_BYTES // 4)
        if self._server.num_sessions >= MAX_SESSIONS:
            self.transport.abort()
            return
        self._server.num_sessions += 1
        self._is_counted = True

    def data_received(self, data: bytes) -> None:
        """Takes the hello; a client that says more is not one of CARLA's and is cut off."""
        assert self.transport is not None
        self._hello += data
        if len(self._hello) > HELLO_SIZE:
            self.transport.abort()
        elif len(self._hello) == HELLO_SIZE and self.stream == 0:
            (self.stream,) = struct.unpack("<I", self._hello)
            self._server.subscribe(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the session."""
        self._server.num_sessions -= self._is_counted
        self._server.unsubscribe(self)

    def pause_writing(self) -> None:
        """Notes that the session is behind."""
        self._server.behind.add(self)

    def resume_writing(self) -> None:
        """Notes that it has caught up."""
        self._server.behind.discard(self)
        self._server.wake()


class Expected(NamedTuple):
    """A subscriber that is about to come: its stream, the client that asked for the token, and for how long."""

    stream: int
    asking: object
    until_s: float


class StreamServer:
    """All sessions by stream.

    Args:
        greet: Called with every session that has subscribed.

    Attributes:
        asking: Whose call is answered; what is expected meanwhile is expected of it.
        behind: Sessions whose buffer is full.
        num_sessions: Connections.
    """

    def __init__(self, greet: Callable[[StreamSession], None]) -> None:
        self._greet = greet
        self._sessions: dict[int, list[StreamSession]] = {}
        self._expected: deque[Expected] = deque()
        self._waiting: list[asyncio.Future[None]] = []
        self.asking: object = None
        self.behind: set[StreamSession] = set()
        self.num_sessions = 0

    @property
    def num_expected(self) -> int:
        """How many subscribers are about to come."""
        return len(self._expected)

    def expect(self, stream: int) -> None:
        """Notes that a client has asked for a stream's token and is about to subscribe."""
        now_s = self._without_the_late()
        if len(self._expected) < MAX_SESSIONS:
            self._expected.append(Expected(stream, self.asking, now_s + EXPECTED_FOR_S))

    def forget(self, client: object) -> None:
        """Expects nothing more of a client that has gone."""
        self._expected = deque(one for one in self._expected if one.asking is not client)
        self.wake()

    def _without_the_late(self) -> float:
        """Expects no longer who should have come by now, and returns the time; the first who asked is late first."""
        now_s = asyncio.get_running_loop().time()
        while self._expected and self._expected[0].until_s <= now_s:
            self._expected.popleft()
        return now_s

    def subscribe(self, session: StreamSession) -> None:
        """Adds a session to its stream; one that does not exist stays silent, as clients reconnect at once."""
        self._sessions.setdefault(session.stream, []).append(session)
        come = next((one for one in self._expected if one.stream == session.stream), None)
        if come is not None:
            self._expected.remove(come)
        self._greet(session)
        self.wake()

    def unsubscribe(self, session: StreamSession) -> None:
        """Takes a session out."""
        self.behind.discard(session)
        others = self._sessions.get(session.stream, [])
        if session in others:
            others.remove(session)
            if not others:
                del self._sessions[session.stream]
        self.wake()

    def sessions(self, stream: int) -> list[StreamSession]:
        """Returns the sessions of a stream."""
        return self._sessions.get(stream, [])

    def send(self, stream: int, payload: bytes, *, drops: bool) -> None:
        """Sends a message to all sessions of a stream.

        Args:
            stream: The stream.
            payload: Header and body.
            drops: Whether sessions that have not taken the last message yet miss this one.
        """
        message = b""
        for session in self._sessions.get(stream, ()):
            transport = session.transport
            if transport is None or transport.is_closing():
                continue
            if drops and transport.get_write_buffer_size() > 0:
                continue
            message = message or framed(payload)
            transport.write(message)
            session.is_first = False

    def wake(self) -> None:
        """Lets those who wait look again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def is_ready(self) -> bool:
        """Whether a tick can go on: nobody is about to subscribe, nobody is behind."""
        if self._expected:
            self._without_the_late()
        return not self._expected and not self.behind

    async def ready(self) -> None:
        """Waits until a tick can go on; closes sessions that do not read."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + BEHIND_FOR_S
        while not self.is_ready():
            if self.behind and loop.time() >= until_s:
                for session in list(self.behind):
                    if session.transport is not None:
                        session.transport.abort()
                self.behind.clear()
                continue
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.append(future)
            ends_s = until_s if self.behind else math.inf
            if self._expected:
                ends_s = min(ends_s, self._expected[0].until_s)
            await asyncio.wait([future], timeout=max(ends_s - loop.time(), 0.01))

    def close(self) -> None:
        """Closes every session."""
        for sessions in list(self._sessions.values()):
            for session in list(sessions):
                if session.transport is not None:
                    session.transport.abort()
