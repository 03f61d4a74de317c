"""Servers as processes: what they do when nobody reads what they say, and how loads are paced."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import carla
import pytest

from simloop.errors import WorldError
from simloop.scenario_files import load_family
from simloop.spec import Scenario
from simloop_carla.server import command
from simloop_carla.server.net import serving
from simloop_carla.server.towns.town import Town
from simloop_carla.world.link import own_server
from simloop_carla.world.link.own_server import OwnServer
from simloop_carla.world.world import CarlaWorld
from tests.carla.patience import PATIENCE_S

SIMLOOP = str(Path(sys.executable).with_name("simloop"))
NOISE_BYTES = 200_000
"""More than a pipe holds (64 KiB)."""


def _version(port: int) -> str:
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(PATIENCE_S)
    return str(client.get_server_version())


def _make_noise(port: int) -> None:
    """Has the server write about twice ``NOISE_BYTES`` of warnings."""
    for _ in range(NOISE_BYTES // 50):
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
            connection.sendall(b"\xc1" * 8)


def test_a_server_whose_words_nobody_reads_goes_on() -> None:
    process = subprocess.Popen(
        [SIMLOOP, "carla-server", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        port = int(process.stdout.readline().split(",")[0].rpartition(":")[2])
        _make_noise(port)
        assert _version(port) == "0.9.16"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert "A client sent bytes that are no MessagePack" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def slow_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends may take long over it."""
    monkeypatch.setattr(own_server, "END_PATIENCE_S", PATIENCE_S)


@pytest.mark.usefixtures("slow_ends")
def test_a_server_of_ones_own_is_listened_to_and_its_end_is_told() -> None:
    own = OwnServer()
    _make_noise(own.port)
    assert _version(own.port) == "0.9.16"
    os.kill(own.pid, signal.SIGKILL)
    told = own.obituary()
    assert told.startswith("was ended by SIGKILL; its last words: ")
    assert "is disconnected" in told
    assert not own.is_alive
    own.close()


@pytest.mark.usefixtures("slow_ends")
def test_a_server_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "simloop"
    script.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(WorldError, match=r"ended with exit code 3; it said: no such thing\. Run 'simloop"):
        OwnServer()


def test_a_slow_start_is_spoken_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = tmp_path / "simloop"
    spoken = tmp_path / "spoken"
    script.write_text(
        f"#!/bin/sh\nfor try in $(seq 6000); do [ -e {spoken} ] && break; sleep 0.01; done\n"
        "echo 'on 127.0.0.1:4711, streams on 4712'\nexec cat\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(own_server, "SILENT_START_S", 0.05)
    monkeypatch.setattr(caplog.handler, "flush", spoken.touch)  # it is ready when that has been said
    own = OwnServer()
    own.close()
    assert own.port == 4711
    assert [message.split(" (")[0] for message in caplog.messages] == ["Starting a CARLA server"]


@pytest.mark.parametrize("is_slow", [True, False])
def test_the_command_speaks_of_a_slow_start_only(
    is_slow: bool,
    timers: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def serve(town: Town, ports: serving.Ports, *, on_ready: Callable[[str], object], **_: Any) -> None:
        (hint,) = timers
        assert hint.after_s == command.SILENT_START_S
        if is_slow:
            hint.elapse()
        on_ready("ready")
        hint.elapse()

    monkeypatch.setattr(serving, "serve", serve)
    command.carla_server(port=0, map_="straight_track")
    assert [message.split(";")[0] for message in caplog.messages] == ["Starting a CARLA server"] * is_slow
    assert capsys.readouterr().out == "ready\n"


@pytest.mark.parametrize("limit", [{"recycle_after": 1}, {"recycle_above_mb": 1.0}])
def test_a_server_that_is_used_up_is_started_anew(limit: dict[str, Any]) -> None:
    world = CarlaWorld(**limit)
    scenario = load_family("cut_in").scenario(0)
    first = _server_of(world, scenario)
    second = _server_of(world, scenario)
    assert first.pid != second.pid
    assert not first.is_alive
    assert second.is_alive
    world.close()
    assert not second.is_alive


def _server_of(world: CarlaWorld, scenario: Scenario) -> OwnServer:
    """Returns the server that a world's episode is played on."""
    world.reset(scenario, 0)
    own = world._connection.own
    assert own is not None
    return own
