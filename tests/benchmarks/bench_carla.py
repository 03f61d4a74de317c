"""Speed of ``simloop carla-server`` and of ``CarlaWorld`` on it, through the unmodified client over TCP.

Server and client share the machine's cores. Rates are by the wall clock, so that other load lowers them: each is the
best of several windows. Beside them stands what a call costs each process in CPU time, over all windows.
"""

from __future__ import annotations

import math
import os
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simloop.compose import make_agent, make_strategy, make_timing, make_world
from simloop.loop import ClosedLoop
from simloop.runner.planning import plan_run
from simloop_carla.world.link.own_server import OwnServer

pytestmark = pytest.mark.bench

carla: Any = pytest.importorskip(
    "carla", reason="needs the carla client, which has no wheel for this platform"
)

NUM_VEHICLES = 30
NUM_WINDOWS = 12
BARS = {
    "tick only": (1500.0, "ticks/s"),
    "one batch of 30 controls and tick": (1000.0, "ticks/s"),
    "closed loop at 50 ms": (20.0, "x real time"),
    "closed loop at 10 ms": (5.0, "x real time"),
    "RGB 320 x 240": (60.0, "frames/s"),
}
LEAST_SHARES = {"closed loop at 50 ms": 0.5, "closed loop at 10 ms": 0.5}
"""Of a bar that is asserted, the whole of it unless named here.

A closed loop computes in this process as much as in the server's (scenario, agent, log), and passes from one to the
other a dozen times a tick, so that a busy machine slows it twice; it has twice the bar where nothing else runs.
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of both processes.

    Attributes:
        server_s: Of the server; NaN where the system does not tell.
        client_s: Of this process.
    """

    server_s: float
    client_s: float

    def since(self, before: Cost, count: float) -> str:
        """Says what each of ``count`` calls cost since ``before``."""
        server_us, client_us = (
            1e6 * (now - then) / count
            for now, then in ((self.server_s, before.server_s), (self.client_s, before.client_s))
        )
        return f"CPU {server_us:,.0f} us in the server, {client_us:,.0f} us in the client"


def cost_so_far(server: OwnServer) -> Cost:
    """Returns what both processes have used."""
    try:
        fields = Path(f"/proc/{server.pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
        server_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        server_s = math.nan
    return Cost(server_s, time.process_time())


def report(name: str, measured: float, cost: str) -> None:
    """Prints a figure beside its bar; one below what must be reached of it fails."""
    bar, unit = BARS[name]
    share = LEAST_SHARES.get(name, 1.0)
    said = "met" if measured >= bar else f"missed, {share:.0%} of it must be reached"
    print(f"\n{name}: {measured:,.1f} {unit} (bar {bar:,.0f}): {said}; {cost}")
    assert measured >= share * bar


def rate(server: OwnServer, act: Callable[[], object], count: int) -> tuple[float, str]:
    """Returns the best of several rates, calls a second, and what a call costs."""
    best, before = 0.0, cost_so_far(server)
    for _ in range(NUM_WINDOWS):
        begun_s = time.perf_counter()
        for _ in range(count):
            act()
        best = max(best, count / (time.perf_counter() - begun_s))
    return best, cost_so_far(server).since(before, NUM_WINDOWS * count)


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """A server process."""
    begun_s = time.perf_counter()
    one = OwnServer()
    print(f"\nstart of a server: {time.perf_counter() - begun_s:.1f} s")
    yield one
    one.close()


@pytest.fixture(scope="module")
def connected(server: OwnServer) -> tuple[Any, Any]:
    """A client and the town in synchronous mode."""
    client = carla.Client("127.0.0.1", server.port)
    client.set_timeout(120.0)
    world = client.load_world("town")
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    return client, world


@pytest.fixture(scope="module")
def vehicles(connected: tuple[Any, Any]) -> list[Any]:
    """Thirty cars that drive."""
    _, world = connected
    points = world.get_map().get_spawn_points()
    blueprint = world.get_blueprint_library().find("vehicle.tesla.model3")
    cars = [world.spawn_actor(blueprint, points[4 * number]) for number in range(NUM_VEHICLES)]
    world.tick()
    for car in cars:
        car.apply_control(carla.VehicleControl(throttle=0.2, steer=0.3))
    return cars


def test_ticks(server: OwnServer, connected: tuple[Any, Any], vehicles: list[Any]) -> None:
    client, world = connected
    calls_per_s, cost = rate(server, client.get_server_version, 300)
    print(f"\na call that does nothing: {calls_per_s:,.0f} calls/s, what sockets and client allow; {cost}")
    report("tick only", *rate(server, world.tick, 300))
    controls = [carla.VehicleControl(throttle=0.2, steer=0.3), carla.VehicleControl(throttle=0.21, steer=0.3)]
    batches = [
        [carla.command.ApplyVehicleControl(car.id, control) for car in vehicles] for control in controls
    ]
    turn = [0]

    def drive() -> None:
        turn[0] += 1
        client.apply_batch_sync(batches[turn[0] % 2], True)

    report("one batch of 30 controls and tick", *rate(server, drive, 200))
    assert len(world.get_actors().filter("vehicle.*")) == NUM_VEHICLES


def test_pictures(server: OwnServer, connected: tuple[Any, Any], vehicles: list[Any]) -> None:
    _, world = connected
    blueprint = world.get_blueprint_library().find("sensor.camera.rgb")
    blueprint.set_attribute("image_size_x", "320")
    blueprint.set_attribute("image_size_y", "240")
    mount = carla.Transform(carla.Location(x=0.5, z=1.6))
    camera = world.spawn_actor(blueprint, mount, attach_to=vehicles[0])
    world.tick()
    images: queue.Queue[Any] = queue.Queue()
    camera.listen(images.put)

    def look() -> None:
        frame = world.tick()
        while images.get(timeout=60.0).frame < frame:
            pass

    look()
    report("RGB 320 x 240", *rate(server, look, 20))
    camera.stop()
    assert camera.destroy()


@pytest.mark.parametrize("fixed_delta_ms", [50, 10])
def test_closed_loop(server: OwnServer, fixed_delta_ms: int) -> None:
    """``cut_in`` has ten actors, the ego among them."""
    plan = plan_run(
        ["suite=smoke", "world=carla", f"world.fixed_delta_ms={fixed_delta_ms}", f"world.port={server.port}",
         "scenario=cut_in", "agent=expert", "timing=zero", "strategy=blocking", f"seeds.count={NUM_WINDOWS // 2}",
         "runner=in_process"]
    )  # fmt: skip
    first = plan.tasks[0]
    world, agent = make_world(first.world), make_agent(first.spec.agent)
    timing, strategy = make_timing(first.spec.timing), make_strategy(first.spec.strategy)
    best, total_s, reset_s = 0.0, 0.0, math.inf
    before = cost_so_far(server)
    for number, task in enumerate(plan.tasks):
        loop = ClosedLoop(
            world=world, case=task.spec.case, agent=agent.spec, timing=timing, strategy=strategy
        )
        begun_s = time.perf_counter()
        episode = loop.run()
        request = next(episode)
        reset_s = min(
            reset_s, time.perf_counter() - begun_s
        )  # it settles the ego and is not part of the loop
        begun_s = time.perf_counter()
        try:
            while True:
                request = episode.send(agent.infer([request])[0])
        except StopIteration as stop:
            log = stop.value
        simulated_s = 1e-9 * log.num_rows("ticks") * log.attributes["control_period_ns"]
        best = max(best, simulated_s / (time.perf_counter() - begun_s))
        if number == 0:  # compiles, connects and builds the map
            before = cost_so_far(server)
        else:
            total_s += simulated_s
    cost = cost_so_far(server).since(before, 1e3 * total_s / fixed_delta_ms)
    world.close()
    print(f"\nreset of an episode at {fixed_delta_ms} ms: {reset_s:.3f} s")
    report(
        f"closed loop at {fixed_delta_ms} ms", best, f"a tick of the server with its share of resets: {cost}"
    )
