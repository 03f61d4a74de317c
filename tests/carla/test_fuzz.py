"""Messages that mean harm: 2,000 that are derived from a real client's, and those that are made to hurt most."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgpack
import numpy as np
import pytest

from simloop_carla.server.library.sensor_blueprints import SENSORS
from tests.carla.patience import PATIENCE_S, until
from tests.carla.processes import needs_proc, resident_mb, worked_s
from tests.carla.raw_client import Subscribers, asked
from tests.carla.recorded_calls import recorded_calls

NUM_MESSAGES = 2_000
STREAM_EVERY = 8
"""Each of so many goes to the port of the streams."""
FLOOD_SIZE = 20_000
GROWTH_MB = 8.0
"""What a server may grow by once it has seen everything: its allocator keeps some of what it had (measured: 1.1)."""
WORK_S = 8.0
"""What a server may work on four equal bombs (measured: 0.4)."""
ROUND_SIZE = 100
"""After so many messages time is let pass, with a subscriber on every sensor that they have spawned."""
FAULTS = re.compile(r"Fatal error|Traceback|Exception in callback|cannot measure|The method \w+ failed")
ASYNCHRONOUS = [False, False, [False], True, 0.01, 10, 0.0, True, 3000.0, 2000.0, True]
AT_ZERO = [[0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]
NUM_STREAMS = 2 * (len(SENSORS) - 1)
"""Streams of a sensor of each kind on a car, and on its own; lane invasions are the client's."""
MARKS = np.frombuffer(b"\xdd\xdf\xc6\xc9\xdb\x9f\xc0\xc1\xcb\xca\xff\x80\xc4\xd9", dtype=np.uint8)
"""Bytes that begin arrays, maps, strings and numbers of MessagePack."""
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**63,
    1e300,
    float("nan"),
    float("inf"),
    "",
    "x" * 300,
    "1e300",
    "3e38",
    "-1",
    "0",
    b"\x00",
    [],
    [[]],
    {},
    [0] * 99,
)
"""Values in place of others."""


pytestmark = needs_proc


@pytest.fixture(scope="module")
def recorded(server: Any) -> list[bytes]:
    """The requests of a real client."""
    return recorded_calls(server.port)


@pytest.fixture
def survivor(server: Any) -> Iterator[Any]:
    """The server; afterwards its time passes and it serves a client as before, without a fault in its log."""
    logged = len(server.log())
    yield server
    _let_time_pass(server.port)
    client = server.client()
    assert client.load_world("town").wait_for_tick(PATIENCE_S).frame > 0
    assert server.process.poll() is None
    assert FAULTS.findall(server.log()[logged:]) == []


def _let_time_pass(port: int, ticks: int = 2) -> None:
    """Makes the server asynchronous, whatever it was, and waits until so many ticks have passed."""

    def frame() -> int:
        return int(asked(port, "set_episode_settings", ASYNCHRONOUS))

    last = frame() + ticks
    until(lambda: frame() >= last, why_not="time stands still")


def _spawn_calls(sensor: str, parent: int) -> list[bytes]:
    """Returns calls that spawn a sensor on a car and on its own, with every attribute that it has."""
    small = {"image_size_x": "8", "image_size_y": "6", "points_per_second": "500"}
    attributes = [[name, kind, small.get(name, value)] for name, (kind, value) in SENSORS[sensor].items()]
    own = [[False], [0, sensor, attributes], AT_ZERO]
    return [
        bytes(msgpack.packb([0, 1, "spawn_actor", own])),
        bytes(msgpack.packb([0, 1, "spawn_actor_with_parent", [*own, parent, 0, ""]])),
    ]


def _sensors_from(port: int, first: int) -> list[Any]:
    """Returns the sensors that have a stream, from an id on."""
    last = asked(port, "spawn_actor", [0, "controller.ai.walker", []], AT_ZERO)[0]
    assert asked(port, "destroy_actor", last)
    return [one for one in asked(port, "get_actors_by_id", list(range(first, last))) if one[5]]


def _with_odd_value(message: bytes, draws: np.random.Generator) -> bytes:
    """Puts a value of another kind somewhere into a request's arguments."""
    content = msgpack.unpackb(message, raw=False, unicode_errors="surrogateescape", strict_map_key=False)
    place = content[3]
    while True:
        inner = [one for one in place if isinstance(one, list) and one]
        if not inner or draws.random() < 0.3:
            break
        place = inner[int(draws.integers(len(inner)))]
    if place:
        place[int(draws.integers(len(place)))] = ODD[int(draws.integers(len(ODD)))]
    return bytes(msgpack.Packer(unicode_errors="surrogateescape").pack(content))


def _mutated(message: bytes, draws: np.random.Generator) -> bytes:
    """Changes, cuts, doubles or stuffs a message."""
    if message[:1] == b"\x94" and draws.random() < 0.4:
        return _with_odd_value(message, draws)
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
                content[at : at + 1] = bytes([int(draws.choice(MARKS))])
    return bytes(content)


def _sent(port: int, content: bytes, *, listens_s: float = 0.0) -> None:
    """Sends bytes on a connection of their own; the server may cut it off."""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            if listens_s:
                connection.settimeout(listens_s)
                connection.recv(1 << 16)
    except OSError:  # it has been cut off, with a reason in the log of the server
        pass


def test_the_recorded_calls_are_a_clients(recorded: list[bytes]) -> None:
    calls = [msgpack.unpackb(one, raw=False, unicode_errors="surrogateescape") for one in recorded]
    names = {call[2] for call in calls}
    assert names >= {"version", "spawn_actor", "spawn_actor_with_parent", "apply_batch", "tick_cue"}
    assert len(names) > 30
    assert all(call[0] == 0 and len(call) == 4 for call in calls)


def test_two_thousand_malformed_messages_do_no_harm(survivor: Any, recorded: list[bytes]) -> None:
    """Time passes all the while, and somebody listens to sensors of every kind, also to those that the noise spawns."""
    draws, port = np.random.default_rng(16), survivor.port
    _let_time_pass(port)
    point = asked(port, "get_map_info")[1][5]
    car = asked(port, "spawn_actor", [0, "vehicle.tesla.model3", []], point)[0]
    spawns = [call for sensor in SENSORS for call in _spawn_calls(sensor, car)]
    # A map that is loaded anew for each of hundreds of messages would only take time.
    real = [one for one in recorded if b"load_new_episode" not in one]
    grown_mb = []
    with Subscribers(survivor.stream_port) as subscribers:
        for call in spawns:
            _sent(port, call, listens_s=PATIENCE_S)
        for number in range(NUM_MESSAGES):
            if number % ROUND_SIZE == 0:
                sensors = _sensors_from(port, car)
                subscribers.listen(one[5] for one in sensors)
                _let_time_pass(port)
                for one in sensors[NUM_STREAMS:]:
                    asked(port, "destroy_actor", one[0])
            if number in (NUM_MESSAGES // 4, NUM_MESSAGES - 1):
                asked(port, "version")
                grown_mb.append(resident_mb(survivor.process.pid))
            if number % STREAM_EVERY:
                kind = spawns if number % 3 == 0 else real
                _sent(port, _mutated(kind[int(draws.integers(len(kind)))], draws))
            else:
                _sent(survivor.stream_port, _mutated(struct.pack("<I", int(draws.integers(1, 40))), draws))
    assert subscribers.num_heard > NUM_STREAMS
    assert grown_mb[1] - grown_mb[0] < GROWTH_MB


BOMBS = {
    "an array for a key": b"\x94\x00\x01\xa4tick\x91\x81\x91\x00\x00",
    "arrays in arrays": b"\x91" * 1_000_000,
    "maps in maps": b"\x81\x00" * 500_000,
    "an array of 4 milliards": b"\x94\x00\x01\xa4tick\xdd\xff\xff\xff\xff",
    "an array longer than allowed": b"\x94\x00\x01\xa4tick\xdd\x00\x02\x00\x01",
    "bytes of 4 GiB": b"\x94\x00\x01\xa4tick\x91\xc6\xff\xff\xff\xff",
    "a string of 4 GiB": b"\xdb\xff\xff\xff\xff",
    "a map of 4 milliards": b"\xdf\xff\xff\xff\xff",
    "an extension": b"\xc9\x00\x00\xff\xff\x05" + b"\x00" * 70_000,
    "a batch of 30,000 nothings": msgpack.packb([0, 1, "apply_batch", [[False], [[]] * 30_000, False]]),
    "100,000 ids": msgpack.packb([0, 1, "get_actors_by_id", [[False], list(range(100_000))]]),
    "a document without end": msgpack.packb(
        [0, 1, "copy_opendrive_to_file", [[False], "<a>" * 300_000, [2.0, 50.0, 1.0, 0.6, True, True, True]]]
    ),
    "entities in entities": msgpack.packb(
        [
            0,
            1,
            "copy_opendrive_to_file",
            [
                [False],
                '<!DOCTYPE a [<!ENTITY b "cccccccccc">'
                + "".join(f'<!ENTITY {"b" * (n + 2)} "{("&" + "b" * (n + 1) + ";") * 10}">' for n in range(9))
                + f"]><OpenDRIVE>&{'b' * 10};</OpenDRIVE>",
                [2.0, 50.0, 1.0, 0.6, True, True, True],
            ],
        ]
    ),
    "no end of a ray": msgpack.packb([0, 1, "cast_ray", [[False], [0.0, 0.0, 1.0], [1e300, 1e300, 1e300]]]),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_does_not_go_off(survivor: Any, bomb: str) -> None:
    begun_s = worked_s(survivor.process.pid)
    grown_mb = []
    for number in range(4):
        _sent(survivor.port, BOMBS[bomb], listens_s=PATIENCE_S)
        assert survivor.client().get_server_version() == "0.9.16"
        if number in (1, 3):  # what the first one needed is kept by the allocator
            grown_mb.append(resident_mb(survivor.process.pid))
    assert worked_s(survivor.process.pid) - begun_s < WORK_S
    assert grown_mb[1] - grown_mb[0] < GROWTH_MB


def test_half_messages_that_never_end_hold_nobody_up(survivor: Any, recorded: list[bytes]) -> None:
    half = recorded[-1][:-3]
    slow = []
    for number in range(120):
        port = survivor.port if number % 2 else survivor.stream_port
        connection = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        connection.sendall(half if number % 2 else b"\x01\x00\x00")
        slow.append(connection)
    client = survivor.client()
    world = client.get_world()
    assert world.wait_for_tick(PATIENCE_S).frame < world.wait_for_tick(PATIENCE_S).frame
    for connection in slow:
        connection.close()


def test_a_flood_of_requests_is_answered_in_order_and_bounded(survivor: Any) -> None:
    """Requests beyond what may wait are not read until others are answered; replies that nobody reads end it."""
    request = b"".join(
        bytes(msgpack.packb([0, number, "get_actor_definitions", [[False]]])) for number in range(FLOOD_SIZE)
    )
    largest_mb = 0.0
    with socket.create_connection(("127.0.0.1", survivor.port), PATIENCE_S) as connection:
        connection.settimeout(PATIENCE_S)
        sender = threading.Thread(target=_pushed, args=(connection, request), daemon=True)
        sender.start()
        before_mb = resident_mb(survivor.process.pid)
        while sender.is_alive():
            largest_mb = max(largest_mb, resident_mb(survivor.process.pid) - before_mb)
            time.sleep(0.02)
    assert largest_mb < 250.0
    unpacker = msgpack.Unpacker(raw=False)
    answered: list[int] = []
    with socket.create_connection(("127.0.0.1", survivor.port), PATIENCE_S) as connection:
        small = [bytes(msgpack.packb([0, number, "version", [[False]]])) for number in range(FLOOD_SIZE)]
        threading.Thread(target=_pushed, args=(connection, b"".join(small)), daemon=True).start()
        while len(answered) < FLOOD_SIZE:
            unpacker.feed(connection.recv(1 << 16))
            answered += [reply[1] for reply in unpacker]
    assert answered == list(range(FLOOD_SIZE))


def _pushed(connection: socket.socket, content: bytes) -> None:
    try:
        connection.sendall(content)
    except OSError:
        return
