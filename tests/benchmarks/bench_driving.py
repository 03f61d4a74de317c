"""Driving: simulated seconds a CPU-second without a camera, beside highway-env; CPU of camera frames and resets."""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import yaml

from simloop import wall_clock
from simloop.agent import InferenceRequest
from simloop.compose import make_agent, make_strategy, make_timing, make_world, world_component
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop
from simloop.metrics.evaluate import evaluate
from simloop.plugins import load_metrics
from simloop.runner.planning import plan_run
from simloop.runner.rare_collection import rare_collection
from simloop.scenario_files import load_family, shipped_families
from simloop.spec import Case
from simloop.world import World

NUM_EPISODES = 10
NUM_REPEATS = 8
NUM_FRAMES = 20
NUM_RESETS = 20
NUM_BACKGROUND = 18
"""Of the crowded cut-in; with the ego and the challenger there are 20 actors."""
TARGET_RATE = 1000.0
"""Simulated seconds a CPU-second, on a core of its own."""
TARGET_RATIO = 30.0
"""Times highway-fast-v0 of highway-env."""
TARGET_FRAME_MS = {(96, 160): 2.0, (240, 320): 8.0}
TARGET_RESET_MS = 5.0
OTHERS = 2.0
"""Other processes share caches and execution units; the checks of absolute times allow this factor."""
LEAST_RATIO = 13.0
"""About 0.8 of the lowest ratio to highway-env that was measured of the three scenarios. Both sides of the ratio are
measured in turns on one machine, so that what else it does touches them alike."""
MEMORY_FIRST, MEMORY_MORE = 500, 1500
"""Episodes before the first reading of resident memory and after it; `make nightly` plays 10,000 whole ones."""
MEMORY_LIMIT_S = 1.5
ALLOWED_MB = 20.0


def _bar(text: str, figure: float, bar: float, *, at_most: bool) -> str:
    """Returns a line with a figure, its bar and whether it is met."""
    is_met = figure <= bar if at_most else figure >= bar
    kind, verdict = "at most" if at_most else "at least", "met" if is_met else "missed"
    return f"  {text}: {figure:.4g}, bar {kind} {bar:g}: {verdict}"


class Rollouts:
    """Whole rollouts of the expert through the loop, with everything but the episodes made before."""

    def __init__(self, scenario: str) -> None:
        plan = plan_run(
            ["suite=smoke", f"scenario={scenario}", "agent=expert", "timing=pi05_4090_mobile", "strategy=naive_async",
             f"seeds.count={NUM_EPISODES}", "runner=in_process"]
        )  # fmt: skip
        first = plan.tasks[0]
        self.specs = [task.spec for task in plan.tasks]
        self.world, self.agent = make_world(first.world), make_agent(first.spec.agent)
        self.timing, self.strategy = make_timing(first.spec.timing), make_strategy(first.spec.strategy)
        self.requests: list[InferenceRequest] = []

    def play(self) -> list[EpisodeLog]:
        """Plays every episode and returns the logs."""
        logs = []
        self.requests.clear()
        for spec in self.specs:
            loop = ClosedLoop(
                world=self.world,
                case=spec.case,
                agent=self.agent.spec,
                timing=self.timing,
                strategy=self.strategy,
            )
            episode = loop.run()
            request = next(episode)
            try:
                while True:
                    self.requests.append(request)
                    request = episode.send(self.agent.infer([request])[0])
            except StopIteration as stop:
                logs.append(stop.value)
        return logs


def _simulated_s(logs: list[EpisodeLog]) -> float:
    return 1e-9 * float(sum(log.num_rows("ticks") * log.attributes["control_period_ns"] for log in logs))


def _cpu_s(work: Callable[[], Any]) -> float:
    gc.collect()
    start_s = wall_clock.cpu_s()
    work()
    return wall_clock.cpu_s() - start_s


def _highway_env() -> Callable[[], float]:
    """Returns a function that steps highway-fast-v0 with its idle action; it returns the simulated seconds."""
    # Registers its ids on import; its picture-free step is what is compared.
    import highway_env

    assert highway_env.__name__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gymnasium.make("highway-fast-v0").unwrapped
    idle = env.action_type.actions_indexes["IDLE"]  # type: ignore[attr-defined]
    period_s: float = 1.0 / env.config["policy_frequency"]  # type: ignore[attr-defined]
    seeds = iter(range(10**6))

    def play() -> float:
        env.reset(seed=next(seeds))
        num_steps, is_over = 0, False
        while not is_over:
            _, _, terminated, truncated, _ = env.step(idle)
            num_steps, is_over = num_steps + 1, terminated or truncated
        return num_steps * period_s

    return play


def _least_s_per_simulated_s(play: Callable[[], float]) -> float:
    simulated: list[float] = []
    cpu_s = _cpu_s(lambda: simulated.append(play()))
    return cpu_s / simulated[0]


def _shares(rollouts: Rollouts, logs: list[EpisodeLog], total_s: float) -> str:
    """Says where the CPU time of the rollouts goes: the same calls to world and expert again, without a loop."""
    requests = rollouts.requests

    def world() -> None:
        names = dict.fromkeys(logs[0].column("captures", "sensor"))
        period_ns = rollouts.world.spec.control_period_ns
        for spec, log in zip(rollouts.specs, logs, strict=True):
            rollouts.world.reset(spec.case.scenario, spec.case.seed)
            for tick, action in enumerate(log.column("ticks", "action")):
                for name in names:
                    frame = rollouts.world.capture(name, tick)
                    if tick % rollouts.strategy.execution_horizon == 0:
                        assert frame.array.size
                rollouts.world.anchor()
                rollouts.world.actuate(action)
                rollouts.world.advance((tick + 1) * period_ns)
                rollouts.world.outcome()
            rollouts.world.drain()

    def expert() -> None:
        for request in requests:
            rollouts.agent.infer([request])

    world_s = min(_cpu_s(world) for _ in range(NUM_REPEATS))
    expert_s = min(_cpu_s(expert) for _ in range(NUM_REPEATS))
    rest_s = total_s - world_s - expert_s
    return ", ".join(
        f"{name} {100 * s / total_s:.0f} %"
        for name, s in (("world", world_s), ("expert", expert_s), ("loop and log", rest_s))
    )


@pytest.fixture
def crowded(tmp_path: Path) -> str:
    """Returns the file of a cut-in with 20 actors."""
    family = yaml.safe_load((Path(__file__).parents[2] / "scenarios" / "driving" / "cut_in.yaml").read_text())
    family["family"] = "crowded_cut_in"
    family["scene"]["background"]["num_actors"] = NUM_BACKGROUND
    file = tmp_path / "crowded_cut_in.yaml"
    file.write_text(yaml.safe_dump(family))
    return str(file)


@pytest.mark.bench
@pytest.mark.parametrize("scenario", ["crowded_cut_in", "lead_deceleration", "signal_left"])
def test_simulated_seconds_a_cpu_second(scenario: str, crowded: str) -> None:
    rollouts = Rollouts(crowded if scenario == "crowded_cut_in" else scenario)
    metrics, highway = load_metrics(), _highway_env()
    logs = rollouts.play()
    for log in logs:
        evaluate(metrics, log)
    highway()
    simulated_s = _simulated_s(logs)
    plain_s = judged_s = highway_s = math.inf
    # Taken in turns, and the least of each: other processes can only add to a reading.
    with rare_collection():  # as every run plays
        for _ in range(NUM_REPEATS):
            plain_s = min(plain_s, _cpu_s(rollouts.play) / simulated_s)
            judged_s = min(
                judged_s, _cpu_s(lambda: [evaluate(metrics, log) for log in rollouts.play()]) / simulated_s
            )
            highway_s = min(highway_s, _least_s_per_simulated_s(highway))
    actors = np.mean([len(np.unique(log.column("world.actors", "actor"))) for log in logs])
    inferences = np.mean([log.num_rows("inferences") for log in logs])
    print(
        f"\n{scenario}, expert, no camera, {len(metrics)} metrics\n"
        f"{_bar('simulated seconds a CPU-second', 1 / judged_s, TARGET_RATE, at_most=False)}\n"
        f"{_bar('times highway-fast-v0', highway_s / judged_s, TARGET_RATIO, at_most=False)}\n"
        f"  without metrics {1 / plain_s:.0f} and {highway_s / plain_s:.1f} times; highway-fast-v0, idle: "
        f"{1 / highway_s:.0f} simulated seconds a CPU-second\n"
        f"  ours: {actors:.0f} actors, physics at 100 Hz, a latency model, {inferences:.0f} inferences an episode, "
        f"everything logged; limited by the interpreter: {_shares(rollouts, logs, plain_s * simulated_s)}\n"
        "  highway-env: 20 vehicles, simulation at 5 Hz, one Python object a vehicle"
    )
    if scenario == "crowded_cut_in":
        assert actors == 2 + NUM_BACKGROUND
        assert 1 / judged_s > TARGET_RATE / OTHERS
    assert highway_s / judged_s > LEAST_RATIO


@pytest.mark.bench
@pytest.mark.parametrize("size_px", sorted(TARGET_FRAME_MS))
def test_milliseconds_a_camera_frame(size_px: tuple[int, int]) -> None:
    family = load_family("cut_in")
    world = make_world(world_component("driving", {**family.world_config, "camera_size_px": list(size_px)}))
    world.reset(family.scenario(0), 0)
    period_ns = world.spec.control_period_ns
    sensor = world.spec.sensor("front_camera")
    index = 0

    def frames() -> None:
        nonlocal index
        for _ in range(NUM_FRAMES):
            assert world.capture("front_camera", index).array.shape == sensor.shape
            index += 1
            world.advance(index * period_ns)

    def steps() -> None:
        nonlocal index
        for _ in range(NUM_FRAMES):
            index += 1
            world.advance(index * period_ns)

    frames()
    frame_s = step_s = math.inf
    for repeat in range(NUM_REPEATS):
        world.reset(family.scenario(repeat), repeat)
        index = 0
        frame_s, step_s = min(frame_s, _cpu_s(frames)), min(step_s, _cpu_s(steps))
    frame_ms = 1e3 * (frame_s - step_s) / NUM_FRAMES
    print(
        f"\nfront camera {sensor.shape[1]}x{sensor.shape[0]}\n"
        f"{_bar('ms of CPU a frame', frame_ms, TARGET_FRAME_MS[size_px], at_most=True)}\n"
        f"  {1e3 * step_s / NUM_FRAMES:.3f} ms of world a tick taken off; limited by "
        "transforming and shading the pixels of road and vehicles at 2 x 2 samples each"
    )
    assert sensor.shape == (*size_px, 3)
    assert frame_ms < OTHERS * TARGET_FRAME_MS[size_px]


def _reset_ms(world: World, cases: list[Case]) -> float:
    def resets() -> None:
        for case in cases:
            world.reset(case.scenario, case.seed)

    resets()
    return 1e3 * min(_cpu_s(resets) for _ in range(NUM_REPEATS)) / len(cases)


@pytest.mark.bench
def test_milliseconds_a_reset() -> None:
    """Every driving family: the first case again and again, and fifty cases."""
    again_ms: dict[str, float] = {}
    other_ms: dict[str, float] = {}
    families = [load_family(name) for name in shipped_families()]
    for family in (f for f in families if f.world == "driving"):
        name, world = family.name, make_world(world_component(family.world, family.world_config))
        cases = [family.case(seed) for seed in range(NUM_RESETS)]
        again_ms[name] = _reset_ms(world, [cases[0]] * NUM_RESETS)
        other_ms[name] = _reset_ms(world, cases)
    slowest = max(again_ms, key=again_ms.__getitem__)
    print(
        f"\nreset, {len(again_ms)} families\n"
        f"{_bar(f'ms of CPU at most ({slowest})', again_ms[slowest], TARGET_RESET_MS, at_most=True)}\n"
        f"  median {np.median(list(again_ms.values())):.2f} ms; of the next case "
        f"{np.median(list(other_ms.values())):.2f}, at most {max(other_ms.values()):.2f}"
    )
    assert max(again_ms.values()) < OTHERS * TARGET_RESET_MS


@pytest.mark.bench
def test_resident_memory_over_episodes(memory_over_episodes: Callable[..., list[float]]) -> None:
    start_s = wall_clock.cpu_s()
    readings_mb = memory_over_episodes(MEMORY_FIRST, MEMORY_MORE, time_limit_s=MEMORY_LIMIT_S)
    cpu_s = wall_clock.cpu_s() - start_s
    change_mb = max((mb - readings_mb[0] for mb in readings_mb), key=abs)
    print(
        f"\nmemory, {MEMORY_FIRST + MEMORY_MORE} short episodes of six families in one process, {cpu_s:.0f} s of CPU\n"
        f"  {readings_mb[0]:.1f} MB after the first {MEMORY_FIRST}, {readings_mb[-1]:.1f} MB at the end\n"
        f"{_bar(f'MB of change ({change_mb:+.1f} at the farthest)', abs(change_mb), ALLOWED_MB, at_most=True)}"
    )
    assert abs(change_mb) <= ALLOWED_MB
