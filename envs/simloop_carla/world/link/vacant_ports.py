"""Ports where a server has sent its streams, kept from other programs once it is gone."""

from __future__ import annotations

import contextlib
import socket
from collections import deque

MOST_KEPT = 64

_KEPT: deque[socket.socket] = deque()


def keep_vacant(port: int) -> None:
    """Takes a port of this machine and never answers there, while this process runs.

    A client that outlives its server, as one does whose call is still under way, connects to the port of the streams
    again every second. Where another program has been given the port meanwhile, what that sends makes the client
    library end the process (seen with 0.9.16).

    Args:
        port: Where the server that is gone has sent its streams; one that somebody else has already is left alone.
    """
    with contextlib.suppress(OSError):
        _KEPT.append(socket.create_server(("127.0.0.1", port)))
    while len(_KEPT) > MOST_KEPT:
        _KEPT.popleft().close()
