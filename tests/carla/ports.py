"""Ports of this machine."""

from __future__ import annotations

import contextlib
import os
import socket


def free_port() -> int:
    """Returns a port that nobody has, and that the system gives to nobody who asks for any (Linux: from 32768 on)."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")
