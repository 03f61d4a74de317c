"""Calls and subscriptions without the client library."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import msgpack

from tests.carla.patience import PATIENCE_S


def asked(port: int, name: str, *arguments: Any) -> Any:
    """Makes a call on a connection of its own and returns the value of its reply."""
    unpacker = msgpack.Unpacker(raw=False, unicode_errors="surrogateescape")
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(msgpack.packb([0, 1, name, [[False], *arguments]]))
        while True:
            unpacker.feed(connection.recv(1 << 16))
            for _, _, error, result in unpacker:
                assert error is None, error
                return result[0][1]


class Subscribers:
    """One connection for each stream; what comes is counted by its bytes and thrown away.

    Args:
        port: Port of the streams.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._heard: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Subscribers:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join(PATIENCE_S)
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    @property
    def num_streams(self) -> int:
        """How many streams have been subscribed to."""
        return len(self._heard)

    @property
    def num_heard(self) -> int:
        """How many of them have sent something."""
        return sum(count > 0 for count in self._heard.values())

    def listen(self, tokens: Iterable[bytes]) -> None:
        """Subscribes to the streams of tokens as an actor has them, each of them once."""
        for token in tokens:
            (stream,) = struct.unpack("<I", token[:4])
            if stream not in self._heard:
                self._heard[stream] = 0
                connection = socket.create_connection(("127.0.0.1", self._port), PATIENCE_S)
                connection.sendall(struct.pack("<I", stream))
                connection.setblocking(False)
                self._selector.register(connection, selectors.EVENT_READ, stream)

    def _read(self) -> None:
        while not self._is_over.is_set():
            for key, _ in self._selector.select(0.05):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                try:
                    content = connection.recv(1 << 18)
                except OSError:
                    content = b""
                if not content:
                    self._selector.unregister(connection)
                    connection.close()
                self._heard[key.data] += len(content)
