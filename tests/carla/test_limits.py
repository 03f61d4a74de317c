"""What the server allows, in process: how many connect, how far numbers reach, and that time passes in any case."""

from __future__ import annotations

import asyncio
import logging
import struct
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest

from simloop_carla.server.library.descriptions import SpawnError
from simloop_carla.server.methods import METHODS
from simloop_carla.server.net import rpc_server, stream_server
from simloop_carla.server.net.rpc_server import SETTLING_S, Loading, RpcConnection
from simloop_carla.server.net.stream_server import StreamServer, StreamSession
from simloop_carla.server.sensors import MEASURES
from simloop_carla.server.simulator import Simulator
from simloop_carla.server.towns.town import Town, load_town
from simloop_carla.wire.decoding import LARGEST_FLOAT, MalformedMessageError, decoder
from simloop_carla.wire.structs import (
    DEFAULT_SETTINGS,
    IDENTITY,
    ActorDescription,
    AttributeValue,
    EpisodeSettings,
    Vector3,
)
from tests.carla.virtual_time import now_s, run_in_virtual_time, spend

GNSS, IMU = "sensor.other.gnss", "sensor.other.imu"
LIMIT = 4
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
def town() -> Town:
    return load_town("straight_track")


@pytest.fixture
def simulator(town: Town) -> Simulator:
    return Simulator(town, 0)


@asynccontextmanager
async def _listening(
    factory: Callable[[], asyncio.Protocol],
) -> AsyncIterator[Callable[[], Any]]:
    """Serves on a free port and yields what opens a connection; all of them are closed at the end."""
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    port, opened = server.sockets[0].getsockname()[1], []

    async def connect() -> Stream:
        opened.append(await asyncio.open_connection("127.0.0.1", port))
        return opened[-1]

    try:
        yield connect
    finally:
        for _, writer in opened:
            writer.transport.abort()
        server.close()


async def _is_open(connection: Stream) -> bool:
    try:
        return await asyncio.wait_for(connection[0].read(1), 0.1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


async def _num_open(connect: Callable[[], Any], count: int) -> int:
    """Opens connections one after the other and returns how many of them stay open."""
    opened = []
    for _ in range(count):
        opened.append(await connect())
        await asyncio.sleep(0.01)
    return sum(await asyncio.gather(*map(_is_open, opened)))


# --- how many ----------------------------------------------------------------------------------------------------


def test_sessions_too_many_are_cut_off_however_often_they_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_server, "MAX_SESSIONS", LIMIT)

    async def tried() -> tuple[int, int]:
        server = StreamServer(lambda session: None)
        async with _listening(lambda: StreamSession(server)) as connect:
            return await _num_open(connect, 6 * LIMIT), server.num_sessions

    assert run_in_virtual_time(tried()) == (LIMIT, LIMIT)


def test_clients_too_many_are_cut_off_until_others_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_server, "MAX_CONNECTIONS", LIMIT)

    async def tried() -> tuple[int, bool]:
        server, connections = StreamServer(lambda session: None), set[RpcConnection]()
        async with _listening(
            lambda: RpcConnection(METHODS, None, server, Loading(), connections)
        ) as connect:
            num_open = await _num_open(connect, 3 * LIMIT)
            one = next(iter(connections))
            assert one.transport is not None
            one.transport.abort()
            await asyncio.sleep(0.01)
            return num_open, await _is_open(await connect())

    assert run_in_virtual_time(tried()) == (LIMIT, True)


def test_tokens_that_are_never_used_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_server, "MAX_SESSIONS", LIMIT)
    monkeypatch.setattr(stream_server, "EXPECTED_FOR_S", 0.05)

    async def asked() -> tuple[list[int], bool]:
        server, sizes = StreamServer(lambda session: None), []
        for number in range(6 * LIMIT):
            server.expect(number)
            sizes.append(server.num_expected)
        assert not server.is_ready()
        await asyncio.sleep(0.06)
        server.expect(99)
        return [*sizes, server.num_expected], server.is_ready()

    sizes, is_ready = run_in_virtual_time(asked())
    assert sizes[:LIMIT] == [1, 2, 3, 4]
    assert set(sizes[LIMIT:-1]) == {LIMIT}
    assert (sizes[-1], is_ready) == (1, False)


# --- how far -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1e39, -1e39, 1e300, 2**200, float("inf"), float("nan")])
def test_numbers_beyond_single_precision_are_refused(value: float) -> None:
    decode = decoder(Vector3)
    assert decode([LARGEST_FLOAT, -LARGEST_FLOAT, 0]) == (LARGEST_FLOAT, -LARGEST_FLOAT, 0.0)
    with pytest.raises(MalformedMessageError, match="expected a finite number of single precision"):
        decode([value, 0.0, 0.0])


@pytest.mark.parametrize(
    ("sensor", "name", "value"),
    [
        ("sensor.camera.rgb", "fov", "1e39"),
        ("sensor.camera.rgb", "image_size_x", "1e10"),
        (GNSS, "sensor_tick", "1e300"),
        (GNSS, "sensor_tick", "nan"),
    ],
)
def test_attributes_beyond_their_type_are_refused(
    simulator: Simulator, sensor: str, name: str, value: str
) -> None:
    given = ActorDescription(0, sensor, [AttributeValue(name, 3, value)])
    with pytest.raises(
        SpawnError, match=f"attribute '{name}' of '{sensor}' is '{value}', not a number from -"
    ):
        simulator.episode.spawn(given, IDENTITY)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"max_substeps": 0}, "max_substeps is 0; allowed: 1 to 16"),
        ({"max_substeps": 2**31 - 1}, "max_substeps is 2147483647; allowed: 1 to 16"),
        ({"max_substep_delta_time": 0.0}, "max_substep_delta_time is 0; allowed: more than 0 s"),
        ({"max_substep_delta_time": -1.0}, "max_substep_delta_time is -1; allowed: more than 0 s"),
        ({"fixed_delta_seconds": 11.0}, r"fixed_delta_seconds is 11; allowed: 0 (variable) to 10"),
    ],
)
def test_steps_of_physics_are_bounded(simulator: Simulator, changed: dict[str, Any], reason: str) -> None:
    call = METHODS["set_episode_settings"].call
    assert call(simulator, DEFAULT_SETTINGS._replace(**changed)) == [[0, [reason]]]
    assert simulator.settings == DEFAULT_SETTINGS
    largest = DEFAULT_SETTINGS._replace(
        fixed_delta_seconds=10.0, max_substeps=16, max_substep_delta_time=5e-324
    )
    assert call(simulator, largest) == [[1, simulator.frame]]
    assert simulator.tick() == 2
    without = DEFAULT_SETTINGS._replace(substepping=False, max_substeps=0, max_substep_delta_time=0.0)
    assert call(simulator, without) == [[1, simulator.frame]]
    assert simulator.tick() == 3


@pytest.mark.parametrize("height_m", [0.0, 1.0, 3e38])
@pytest.mark.parametrize("reach_m", [5e-324, 50.0, 3e38])
def test_rays_may_begin_and_end_anywhere(simulator: Simulator, height_m: float, reach_m: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for to in (Vector3(reach_m, reach_m, height_m - reach_m), Vector3(-reach_m, 0.0, -5e-324)):
            [[is_success, points]] = METHODS["cast_ray"].call(simulator, Vector3(0.0, 0.0, height_m), to)
            assert is_success == 1
            assert all(abs(part) < 2e4 for point in points for part in point.location)


# --- when --------------------------------------------------------------------------------------------------------


def test_a_client_learns_of_a_new_episode_a_moment_after_the_load(simulator: Simulator) -> None:
    """Sooner, the client library ends the process once in a hundred loads: its old stream is not gone yet.

    Other replies do not wait, those to other threads of the client among them.
    """
    loading, connections = Loading(), set[RpcConnection]()
    calls: list[tuple[str, list[Any]]] = [
        ("load_new_episode", ["town", False, 65535]),
        ("version", []),
        ("get_episode_info", []),
        ("version", []),
    ]

    async def arrivals_s(connection: Stream, *numbers: int) -> dict[int, float]:
        reader, writer = connection
        unpacker = msgpack.Unpacker(raw=False)
        for number in numbers:
            name, values = calls[number]
            writer.write(msgpack.packb([0, number, name, [[False], *values]]))
        came_s: dict[int, float] = {}
        while len(came_s) < len(numbers):
            unpacker.feed(await reader.read(1 << 20))
            came_s |= {reply[1]: now_s() for reply in unpacker}
        return came_s

    async def asked() -> tuple[dict[int, float], dict[int, float], float]:
        async with _listening(
            lambda: RpcConnection(METHODS, simulator, simulator.streams, loading, connections)
        ) as connect:
            loads, looks_on = await connect(), await connect()
            begun_s = now_s()
            own = await arrivals_s(loads, 0, 1, 2, 3)
            await arrivals_s(loads, 0)
            return own, await arrivals_s(looks_on, 1, 2), begun_s

    own, others, begun_s = run_in_virtual_time(asked())
    assert list(own) == [0, 1, 3, 2]
    assert own[0] == own[1] == own[3] == begun_s
    assert own[2] == others[1] == pytest.approx(begun_s + SETTLING_S)
    assert others[2] == pytest.approx(others[1] + SETTLING_S)
    assert simulator.episode.town.name == "town"


@pytest.mark.parametrize("delta_s", [None, 0.02])
def test_asynchronous_time_goes_by_the_clock(simulator: Simulator, delta_s: float | None) -> None:
    simulator.set_settings(DEFAULT_SETTINGS._replace(fixed_delta_seconds=delta_s))

    async def passed() -> int:
        simulator.run_free()
        await asyncio.sleep(0.6)
        simulator.stop()
        return simulator.frame

    before_s = simulator.episode.elapsed_s
    frame = run_in_virtual_time(passed())
    passed_s, step_s = simulator.episode.elapsed_s - before_s, delta_s or 0.05
    assert passed_s == pytest.approx(0.6, abs=1.001 * step_s)
    assert passed_s == pytest.approx((frame - 1) * step_s)


def test_ticks_that_take_longer_than_they_simulate_are_not_made_up_for(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as long for a second, then not at all: time goes half as fast, and then as the clock."""
    advance = simulator.episode.advance
    ticks_s: list[float] = []

    def slow(settings: EpisodeSettings) -> None:
        ticks_s.append(now_s())
        advance(settings)
        if ticks_s[-1] < 1.0:
            spend(0.1)

    monkeypatch.setattr(simulator.episode, "advance", slow)

    async def passed() -> None:
        simulator.run_free()
        await asyncio.sleep(2.0 - now_s())
        simulator.stop()

    run_in_virtual_time(passed())
    assert sum(one < 1.0 for one in ticks_s) == pytest.approx(10, abs=1)
    assert sum(one >= 1.0 for one in ticks_s) == pytest.approx(20, abs=1)


# --- time in any case --------------------------------------------------------------------------------------------


def test_a_sensor_that_fails_is_silent_and_the_others_go_on(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise OverflowError("float too large to pack with f format")

    monkeypatch.setitem(MEASURES, GNSS, ("gnss", fail))
    simulator.set_settings(DEFAULT_SETTINGS._replace(fixed_delta_seconds=0.01))
    broken, sound = (simulator.episode.spawn(ActorDescription(0, name, []), IDENTITY) for name in (GNSS, IMU))

    async def listened() -> tuple[bytes, bytes]:
        async with _listening(lambda: StreamSession(simulator.streams)) as connect:
            readers = []
            for sensor in (broken, sound):
                reader, writer = await connect()
                writer.write(struct.pack("<I", sensor.stream))
                readers.append(reader)
            simulator.run_free()
            await asyncio.sleep(0.3)
            simulator.stop()
            return (await readers[0].read(), await readers[1].read())

    with caplog.at_level(logging.ERROR, logger="simloop.carla"):
        said, heard = run_in_virtual_time(listened())
    assert simulator.frame > 25
    assert said == b""
    assert len(heard) > 25 * 60
    assert [record.message for record in caplog.records] == [
        f"{GNSS} {broken.id} cannot measure and sends nothing more."
    ]


def test_time_goes_on_after_a_tick_that_fails(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator.set_settings(DEFAULT_SETTINGS._replace(fixed_delta_seconds=0.01))
    faults: list[str] = []

    async def passed() -> int:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: faults.append(str(context["exception"]))
        )
        simulator.run_free()
        with monkeypatch.context() as failing:
            failing.setattr(simulator.episode, "advance", lambda settings: 1 / 0)
            await asyncio.sleep(0.1)
        before = simulator.frame
        await asyncio.sleep(0.1)
        simulator.stop()
        return simulator.frame - before

    assert run_in_virtual_time(passed()) == pytest.approx(10, abs=1)
    assert len(faults) == pytest.approx(10, abs=1)
    assert set(faults) == {"division by zero"}
