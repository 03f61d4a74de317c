"""However a run ends, nothing of it goes on: its servers end with it; and a server that ends is noticed at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import carla
import pytest

from simloop.errors import WorldError
from simloop.scenario_files import load_family
from simloop_carla.world.link import leaving, own_server
from simloop_carla.world.link.batch import apply_batch
from simloop_carla.world.link.call_lane import CallLane
from simloop_carla.world.link.session import Session
from simloop_carla.world.world import CarlaWorld
from tests.carla.patience import until
from tests.carla.processes import needs_proc, num_sockets, servers_with

SIMLOOP = str(Path(sys.executable).with_name("simloop"))
TICK_NS = 50_000_000
PATIENCE_S = 120.0
"""In which whatever happens at all has happened, also where others have the machine."""
VAIN_S = 600.0
"""How long a world waits whose server has ended, if it does not notice: the most that `patience_s` may be."""
NOTICED_WITHIN_S = 0.25 * VAIN_S
"""From the end of a server to the error. It is about 1 s on a quiet machine; nothing that is waited for in vain ends so
soon, and no load makes it take so long."""
pytestmark = needs_proc


def _plays(server: int) -> bool:
    """Whether a client is connected: two sockets are the event loop's and two listen, three are a session's."""
    return num_sockets(server) >= 7


def _heed_sigint() -> None:
    """Interrupts as at a console, also where the tests run in a shell's background, which ignores them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("number", "runner", "code"),
    [
        (signal.SIGINT, "in_process", 130),
        (signal.SIGTERM, "in_process", -signal.SIGTERM),
        (signal.SIGKILL, "in_process", -signal.SIGKILL),
        (signal.SIGINT, "ray", 130),
    ],
)
def test_servers_end_with_their_run(number: signal.Signals, runner: str, code: int, tmp_path: Path) -> None:
    mark = f"SIMLOOP_TEST={tmp_path}"
    words = ["suite=smoke", "world=carla", "agent=expert", "seeds.count=500", f"runner={runner}"]
    run = subprocess.Popen(
        [SIMLOOP, "run", *words, "runner.workers=2"] if runner == "ray" else [SIMLOOP, "run", *words],
        cwd=tmp_path,
        env=os.environ | dict([mark.split("=", 1)]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_heed_sigint,
    )

    try:
        # The first start on a machine compiles.
        until(lambda: any(_plays(server) for server in servers_with(mark)), 600.0)
        run.send_signal(number)
        assert run.wait(PATIENCE_S) == code
        until(lambda: not servers_with(mark), PATIENCE_S)
    finally:
        run.kill()
        run.wait()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is waited for in vain takes long enough to be noticed."""
    monkeypatch.setattr(leaving, "LEAVING_PATIENCE_S", VAIN_S)
    monkeypatch.setattr(leaving, "SETTINGS_PATIENCE_S", VAIN_S)
    monkeypatch.setattr(own_server, "STOP_PATIENCE_S", VAIN_S)
    monkeypatch.setattr(own_server, "END_PATIENCE_S", VAIN_S)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("is_own", [True, False])
def test_a_server_that_is_killed_within_a_tick_is_noticed_at_once(
    mortal_server: Any, is_own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped first, so that the call is under way when it ends."""
    world = CarlaWorld(port=None if is_own else mortal_server.port, patience_s=VAIN_S)
    world.reset(load_family("cut_in").scenario(0), 0)
    own = world._connection.own
    pid = mortal_server.process.pid if own is None else own.pid
    os.kill(pid, signal.SIGSTOP)
    killed_s: list[float] = []

    def kill() -> None:
        killed_s.append(time.monotonic())
        os.kill(pid, signal.SIGKILL)

    tick = Session.tick

    def killed_in(session: Session, what: str, play: Callable[[], int] | None = None) -> int:
        threading.Timer(0.5, kill).start()
        return tick(session, what, play)

    monkeypatch.setattr(Session, "tick", killed_in)
    how = "it was ended by SIGKILL" if is_own else "it closed its connections: its process has ended"
    with pytest.raises(WorldError, match=rf"The CARLA server at 127\.0\.0\.1:\d+ failed at a tick: {how}"):
        world.advance(TICK_NS)
    assert time.monotonic() - killed_s[0] < NOTICED_WITHIN_S
    begun_s = time.monotonic()
    world.close()
    assert time.monotonic() - begun_s < NOTICED_WITHIN_S


@pytest.mark.usefixtures("patient")
def test_a_server_that_is_gone_between_ticks_is_noticed_at_once(mortal_server: Any) -> None:
    world = CarlaWorld(port=mortal_server.port, patience_s=VAIN_S)
    world.reset(load_family("cut_in").scenario(0), 0)
    mortal_server.process.kill()
    mortal_server.process.wait()
    begun_s = time.monotonic()
    with pytest.raises(WorldError, match=r"See its own log for the reason, and start it again\."):
        world.advance(TICK_NS)
    with pytest.raises(WorldError, match="No CARLA server listens at"):
        world.reset(load_family("cut_in").scenario(0), 0)
    assert time.monotonic() - begun_s < NOTICED_WITHIN_S
    world.close()


def test_a_server_that_hangs_fails_after_the_patience_and_is_used_again(mortal_server: Any) -> None:
    world = CarlaWorld(port=mortal_server.port, patience_s=5.0)
    world.reset(load_family("cut_in").scenario(0), 0)
    os.kill(mortal_server.process.pid, signal.SIGSTOP)
    with pytest.raises(WorldError, match=r"it did not answer within 5 s\. See whether it runs"):
        world.advance(TICK_NS)
    os.kill(mortal_server.process.pid, signal.SIGCONT)
    world.reset(load_family("cut_in").scenario(0), 0)
    world.advance(TICK_NS)
    world.close()
    assert _is_as_found(mortal_server.client())


def _is_as_found(client: Any) -> bool:
    """Whether a server that nobody plays on runs by itself, with nobody on it."""
    world = client.get_world()
    if world.get_settings().synchronous_mode:
        return False
    world.wait_for_tick()  # a new client knows of nobody before
    there = [one.type_id for one in world.get_actors()]
    return all(name.startswith(("traffic.", "spectator")) for name in there)


def test_who_else_ticks_a_server_is_noticed(mortal_server: Any) -> None:
    scenario = load_family("cut_in").scenario(0)
    world = CarlaWorld(port=mortal_server.port)
    world.reset(scenario, 0)
    world.advance(TICK_NS)
    mortal_server.client().get_world().tick()
    with pytest.raises(
        WorldError, match=r"Another client ticks the CARLA server at 127\.0\.0\.1:\d+ as well"
    ):
        world.advance(2 * TICK_NS)
    assert _is_as_found(mortal_server.client())
    world.reset(scenario, 0)
    world.advance(TICK_NS)
    played = world._connection.episode
    assert played is not None
    destroying = carla.command.DestroyActor(played.ego.actor.id)
    assert not mortal_server.client().apply_batch_sync([destroying], False)[0].has_error()
    with pytest.raises(WorldError, match=rf"failed at a tick: .*{played.ego.actor.id}"):
        world.advance(2 * TICK_NS)
    world.reset(scenario, 0)
    other = CarlaWorld(host="localhost", port=mortal_server.port)
    other.reset(scenario, 0)
    with pytest.raises(WorldError, match="another world of this process plays on that server now"):
        world.advance(TICK_NS)
    other.advance(TICK_NS)
    world.close()
    other.close()
    assert _is_as_found(mortal_server.client())


KILLED_WORKER = """
import os, signal, sys
from simloop.scenario_files import load_family
from simloop_carla.world.world import CarlaWorld
from tests.carla.processes import children

world = CarlaWorld(port=int(sys.argv[1]))
world.reset(load_family("cut_in").scenario(0), 0)
for child in children(os.getpid()):
    os.kill(child, signal.SIGKILL)
print("plays", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_world_that_is_killed_with_its_children_leaves_a_server_as_it_was_found(mortal_server: Any) -> None:
    """As Ray ends its workers."""
    words = [sys.executable, "-c", KILLED_WORKER, str(mortal_server.port)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600.0, check=False)
    assert (done.stdout, done.returncode) == ("plays\n", -signal.SIGKILL)
    client = mortal_server.client()
    until(lambda: _is_as_found(client), PATIENCE_S)


def test_a_port_that_does_not_answer_may_be_anothers() -> None:
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as mute:
        world = CarlaWorld(port=int(mute.getsockname()[1]), patience_s=0.5)
        with pytest.raises(WorldError, match=r"did not answer within 0\.5 s.* may belong to another program"):
            world.reset(load_family("cut_in").scenario(0), 0)

    until(lambda: set(threading.enumerate()) <= before, PATIENCE_S)


class _Client:
    """A client whose batches end with an error."""

    def __init__(self, said: str) -> None:
        self._said = said

    def set_timeout(self, seconds: float) -> None:
        """Nothing waits here."""

    def apply_batch_sync(self, commands: list[Any], do_tick: bool) -> list[Any]:
        """Fails."""
        raise RuntimeError(self._said)


def test_a_batch_may_only_be_slow() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        lane = CallLane(socket.create_connection(server.getsockname()))
        connection, _ = server.accept()
        with connection:
            apply_batch(lane, _Client("time-out of 1000ms while waiting for the simulator"), [], 1.0, 0)
            with pytest.raises(RuntimeError, match="bad_cast"):
                apply_batch(lane, _Client("bad_cast"), [], 1.0, 0)
        lane.close()
