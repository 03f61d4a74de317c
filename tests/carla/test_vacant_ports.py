"""A port is kept from others once its server is gone, and who connects there again hears nothing."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator

import pytest

from simloop_carla.world.link import vacant_ports
from simloop_carla.world.link.own_server import OwnServer
from simloop_carla.world.link.vacant_ports import keep_vacant


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[deque[socket.socket]]:
    sockets: deque[socket.socket] = deque()
    monkeypatch.setattr(vacant_ports, "_KEPT", sockets)
    monkeypatch.setattr(vacant_ports, "MOST_KEPT", 2)
    yield sockets
    for one in sockets:
        one.close()


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _vacant_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_port_is_taken_silent_and_one_of_the_last_ones() -> None:
    ports = [_vacant_port() for _ in range(3)]
    for port in ports[:2]:
        keep_vacant(port)
    assert [_is_free(port) for port in ports] == [False, False, True]
    with socket.create_connection(("127.0.0.1", ports[0]), 60.0) as client:
        client.settimeout(0.1)
        with pytest.raises(TimeoutError, match="timed out"):
            client.recv(1)
    keep_vacant(ports[2])
    assert [_is_free(port) for port in ports[1:]] == [False, False]


def test_a_port_that_somebody_has_is_left_alone(kept: deque[socket.socket]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        keep_vacant(int(server.getsockname()[1]))
    assert not kept


def test_the_streams_of_a_server_of_ones_own_are_kept_when_it_ends(kept: deque[socket.socket]) -> None:
    own = OwnServer()
    assert not kept
    own.close()
    assert [one.getsockname()[1] for one in kept] == [own._speech.stream_port]
