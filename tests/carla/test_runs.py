"""Runs on servers of one's own: one that dies, one that is not there, one of another release."""

from __future__ import annotations

import importlib.resources
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import Any

import msgpack
import pytest

from tests.carla.ports import free_port
from tests.carla.processes import needs_proc, own_servers

SIMLOOP = str(Path(sys.executable).with_name("simloop"))
SUITE = """
suite: one_cut_in
axes:
  scenario: cut_in
  agent: killing_agent:KillingAgent
  timing: zero
  strategy: blocking
  seeds: {first: 0, count: 2}
"""
KILLING_AGENT = """
import os, signal
from pathlib import Path
from simloop_agents.experts.expert import ExpertAgent
from tests.carla.processes import own_servers

class KillingAgent(ExpertAgent):
    "The expert, who once kills the server in the middle of an episode."
    def infer(self, requests):
        done = Path("killed")
        if not done.exists() and any(request.observation_tick >= 16 for request in requests):
            killed = own_servers(os.getpid())
            for number in killed:
                os.kill(number, signal.SIGKILL)
            done.write_text(str(len(killed)))
        return super().infer(requests)
"""


@needs_proc
@pytest.mark.parametrize(
    ("max_tries", "statuses"),
    [
        pytest.param(1, ["infra_error", "success"], marks=pytest.mark.nightly),
        (2, ["success", "success"]),
    ],
)
def test_a_server_that_dies_costs_a_try_of_one_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_tries: int, statuses: list[str]
) -> None:
    from simloop.runner.planning import plan_run
    from simloop.runner.run import execute
    from simloop.store.run_store import RunStore

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "killing_agent", raising=False)
    (tmp_path / "killing_agent.py").write_text(KILLING_AGENT)
    (tmp_path / "one.yaml").write_text(SUITE)
    words = [
        "suite=one.yaml",
        "world=carla",
        "runner=in_process",
        f"runner.max_tries={max_tries}",
        "run_id=killed",
    ]
    plan = plan_run(words)
    execute(plan, lambda row: None)
    rows = {row["episode_id"]: row for row in RunStore.open_read_only(plan.folder).read_rows().to_pylist()}
    ordered = [rows[task.spec.episode_id] for task in plan.tasks]
    assert (tmp_path / "killed").read_text() == "1"
    assert [row["status"] for row in ordered] == statuses
    assert [row["num_tries"] for row in ordered] == [max_tries, 1]
    if max_tries == 1:
        assert "The CARLA server at 127.0.0.1:" in ordered[0]["error_trace"]
        assert "failed at a tick" in ordered[0]["error_trace"]
    assert own_servers(os.getpid()) == []


@contextmanager
def _server_of_version(version: str) -> Iterator[int]:
    """Answers every call with a version, as a server of another release does at first."""

    def answer(connection: Any) -> None:
        unpacker = msgpack.Unpacker(raw=False)
        with connection:
            while data := connection.recv(4096):
                unpacker.feed(data)
                for message in unpacker:
                    connection.sendall(msgpack.packb([1, message[1], None, [[1, version]]]))

    def accept(listener: Any) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, args=(listener,), daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])


def _run(folder: Path, *own: str, scenario: str = "cut_in") -> tuple[int, str]:
    words = ["suite=smoke", "world=carla", *own, "runner=in_process", "runner.max_tries=1"]
    words += [
        f"scenario={scenario}",
        "agent=expert",
        "timing=zero",
        "strategy=blocking",
        "seeds.count=1",
        "run_id=none",
    ]
    done = subprocess.run(
        [SIMLOOP, "run", *words], capture_output=True, text=True, timeout=900, check=False, cwd=folder
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_another_version_ends_with_4_and_the_remedy(tmp_path: Path) -> None:
    with _server_of_version("0.9.15") as port:
        code, said = _run(tmp_path, f"world.port={port}")
    assert code == 4
    assert f"The CARLA server at 127.0.0.1:{port} is version 0.9.15; this world speaks 0.9.16." in said
    assert "Start CARLA 0.9.16, or 'simloop carla-server'" in said


def test_no_server_ends_with_4_and_the_remedy(tmp_path: Path) -> None:
    port = free_port()
    code, said = _run(tmp_path, f"world.port={port}")
    assert code == 4
    assert f"No CARLA server listens at 127.0.0.1:{port}" in said
    assert f"'simloop carla-server --port {port}'" in said


A_VEHICLE_THAT_IS_NONE = "world.vehicle_blueprint=vehicle.nobody.nothing"


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 10.0).close()
    except OSError:
        return False
    return True


def test_an_ego_that_cannot_spawn_ends_with_4_and_leaves_no_server(tmp_path: Path) -> None:
    code, said = _run(tmp_path, A_VEHICLE_THAT_IS_NONE)
    assert code == 4
    assert "has no blueprint 'vehicle.nobody.nothing' of a vehicle for the ego" in said
    assert "world.vehicle_blueprint takes the whole id of one of its" in said
    assert "Traceback" not in said
    ports = {int(found) for found in re.findall(r"The CARLA server at 127\.0\.0\.1:(\d+)", said)}
    assert ports
    assert not any(_is_listening(port) for port in ports)


def _left_in(town: str, folder: Path) -> str:
    """Writes a scenario on a town of the server and returns its file's name."""
    family = (importlib.resources.files("simloop_scenarios") / "driving" / "signal_left.yaml").read_text(
        "utf-8"
    )
    own = family.replace("family: signal_left", "family: left_in_town")
    own = own.replace("map: town", f"map: {{server: {town}}}")
    assert own.count(f"map: {{server: {town}}}") == 1
    (folder / "left_in_town.yaml").write_text(own)
    return "left_in_town.yaml"


@pytest.mark.parametrize(
    ("has_town", "own", "expected"),
    [
        (True, [A_VEHICLE_THAT_IS_NONE], "has no blueprint 'vehicle.nobody.nothing'"),
        (False, [], "map.server is 'nowhere_town'; the CARLA server at"),
    ],
)
def test_a_refused_run_leaves_a_server_of_others_as_it_was(
    server: Any, world: Any, tmp_path: Path, has_town: bool, own: list[str], expected: str
) -> None:
    def there() -> set[tuple[int, str]]:
        return {(actor.id, actor.type_id) for actor in world.get_actors()}

    before, settings = there(), world.get_settings()
    scenario = _left_in("town" if has_town else "nowhere_town", tmp_path)
    code, said = _run(tmp_path, f"world.port={server.port}", *own, scenario=scenario)
    assert code == 4
    assert expected in said
    assert "Traceback" not in said
    world.tick()
    assert there() == before
    assert world.get_settings() == settings
