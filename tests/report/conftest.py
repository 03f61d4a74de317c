"""Makes a run's folder out of thin air: plausible logs of both domains, every status, names that need escaping."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simloop.log import CONTACTS, MOTION, Column, EpisodeLog, TableSchema
from simloop.loop_tables import loop_schemas
from simloop.metrics.core_metrics import core_metrics
from simloop.metrics.evaluate import evaluate, metric_versions, unevaluated
from simloop.report.contact_table import FORCE_COLUMNS
from simloop.spec import Case, Component, EpisodeSpec, Scenario
from simloop.store.manifest import Manifest
from simloop.store.row import EpisodeStatus, episode_row
from simloop.store.run_store import RunStore

from .browser import BROWSERS

TICK_NS = 50_000_000
HOSTILE = "</script><script>document.documentElement.dataset.hacked='1'</script>"
ACTORS = TableSchema(
    columns=(
        Column(name="t_ns", dtype="int64"),
        Column(name="actor", dtype="int64"),
        *(Column(name=n) for n in ("x_m", "y_m", "yaw_rad", "speed_mps", "length_m", "width_m")),
    )
)
CRITERIA = (
    {"all_episodes_ended": True},
    {"metric": "success", "agent": "expert", "timing": "zero", "at_least": 0.9, "per": "scenario"},
    {"compare": ["unified", "unified_scratch"], "metric": "success", "test": "greater"},
)
DELAYS = {"zero": 0, "xr0_4090": 2, "pi05_4090_mobile": 4}


def _loop_tables(num_ticks: int, delay: int, period: int = 8) -> dict[str, dict[str, Any]]:
    """A blocking-free loop: a request every ``period`` ticks, installed ``delay`` ticks later."""
    starts = np.arange(0, num_ticks, period)
    observed = starts * TICK_NS
    install = starts + delay
    done = observed + max(delay * TICK_NS - 5_000_000, 0)
    tick = np.arange(num_ticks)
    request = np.searchsorted(install, tick, side="right") - 1
    is_hold = request < 0
    source = np.where(is_hold, 0, request)
    row = np.where(is_hold, -1, tick - starts[source])
    action = np.stack([np.sin(tick / 9.0) * 0.3 + 0.05 * (request % 3), np.cos(tick / 11.0) * 0.2], axis=1)
    captures = np.arange(num_ticks)
    return {
        "captures": {
            "sensor": ["front_camera"] * num_ticks + ["ego_state"] * num_ticks,
            "index": np.tile(captures, 2),
            "t_ns": np.tile(captures * TICK_NS, 2),
            "captured_at_ns": np.tile(captures * TICK_NS, 2),
            "delivered_at_ns": np.tile(captures * TICK_NS, 2),
            "num_bytes": np.full(2 * num_ticks, 64),
            "is_dropped": np.zeros(2 * num_ticks, dtype=bool),
            "is_lost": np.zeros(2 * num_ticks, dtype=bool),
            "is_consumed": np.tile(captures % period == 0, 2),
            "digest": [""] * (2 * num_ticks),
        },
        "inferences": {
            "request": np.arange(len(starts)),
            "observation_tick": starts,
            "anchor_captured_at_ns": observed,
            "trigger_ns": observed,
            "call": ["policy"] * len(starts),
            "sent_ns": observed,
            "arrived_ns": observed + min(delay, 1) * 6_000_000,
            "start_ns": observed + min(delay, 1) * 6_000_000,
            "done_ns": done,
            "deliver_ns": observed + delay * TICK_NS,
            "install_tick": install,
            "realised_delay_ticks": np.full(len(starts), delay),
            "predicted_delay_ticks": np.full(len(starts), delay),
            **{
                name: np.zeros(len(starts), dtype=int)
                for name in ("num_committed", "uplink_bytes", "downlink_bytes")
            },
            "context_age_ns": np.full(len(starts), -1),
            "batch": np.ones(len(starts), dtype=int),
            "is_free": np.zeros(len(starts), dtype=bool),
            "state": ["installed"] * len(starts),
            "notes": [""] * len(starts),
        },
        "ticks": {
            "tick": tick,
            "t_ns": tick * TICK_NS,
            "late_ns": np.zeros(num_ticks, dtype=int),
            "request": request,
            "row": row,
            "correction": np.full(num_ticks, -1),
            "num_blended": (~is_hold).astype(int),
            "is_hold": is_hold,
            "action": action,
            "due_ns": tick * TICK_NS,
            "effect_ns": tick * TICK_NS,
            "quantisation_ns": np.zeros(num_ticks, dtype=int),
            "action_age_ns": np.where(is_hold, -1, tick * TICK_NS - observed[source]),
        },
    }


def _outcomes(num_ticks: int, status: EpisodeStatus, reason: str) -> dict[str, Any]:
    state = ["running"] * (num_ticks - 1) + [status.value]
    return {
        "tick": np.arange(num_ticks),
        "t_ns": (np.arange(num_ticks) + 1) * TICK_NS,
        "state": state,
        "reason": [""] * (num_ticks - 1) + [reason],
        "stage": np.zeros(num_ticks, dtype=int),
        "is_goal_met": [s == "success" for s in state],
    }


def _driving_tables(num_ticks: int, rng: np.random.Generator, *, has_crash: bool) -> dict[str, Any]:
    t = np.arange(num_ticks + 1) * 0.05
    gap, cut = rng.uniform(18.0, 30.0), rng.uniform(1.0, 3.0)
    closing = rng.uniform(6.0, 9.0) if has_crash else 1.0
    ego_x, ego_y = 20.0 * t, 0.15 * np.sin(t)
    lane = 3.5 / (1.0 + np.exp(-(t - cut) * 2.5))
    others = [
        (ego_x + gap - closing * t, 3.5 - lane),
        (25.0 + 18.0 * t, np.full_like(t, 7.0)),
        (-30 + 24.0 * t, 7.0 + 0 * t),
    ]
    x = np.stack([ego_x, *(o[0] for o in others)], axis=1)
    y = np.stack([ego_y, *(o[1] for o in others)], axis=1)
    yaw = np.arctan2(np.gradient(y, axis=0), np.gradient(x, axis=0))
    count = x.shape[1]
    fine = np.arange(0, num_ticks * 5 + 1) * 0.01
    position = np.stack([20.0 * fine, 0.15 * np.sin(fine), 0 * fine], axis=1)
    velocity = np.stack([20.0 + 0 * fine, 0.15 * np.cos(fine), 0 * fine], axis=1)
    return {
        "world.actors": {
            "t_ns": np.repeat(np.round(t * 1e9).astype(int), count),
            "actor": np.tile(np.arange(count), len(t)),
            "x_m": x.ravel(),
            "y_m": y.ravel(),
            "yaw_rad": yaw.ravel(),
            "speed_mps": np.gradient(x, 0.05, axis=0).ravel(),
            "length_m": np.full(x.size, 4.7),
            "width_m": np.full(x.size, 1.9),
        },
        "world.motion": {
            "t_ns": np.arange(len(fine)) * 10_000_000,
            "point": np.zeros(len(fine), dtype=int),
            "position_m": position,
            "velocity_mps": velocity,
        },
    }


def _arm_tables(num_ticks: int, rng: np.random.Generator) -> dict[str, Any]:
    t = np.arange(num_ticks * 25 + 1) * 0.002
    s = np.clip(t / t[-1], 0.0, 1.0)
    reach = 10 * s**3 - 15 * s**4 + 6 * s**5
    noise = rng.normal(0.0, 0.02, 3)
    left = np.stack(
        [0.1 * reach + noise[0], 0.35 - 0.2 * reach, 1.1 - 0.2 * reach + 0.02 * np.sin(6 * t)], axis=1
    )
    right = np.stack([0.1 * reach, -0.35 + 0.2 * reach + noise[1], 1.1 - 0.2 * reach], axis=1)
    pot = np.stack([0.1 + 0 * t, 0 * t, 0.85 + 0.1 * np.clip(s - 0.8, 0, 1)], axis=1)
    position = np.stack([left, right, pot], axis=1)
    return {
        "world.motion": {
            "t_ns": np.repeat(np.arange(len(t)) * 2_000_000, 3),
            "point": np.tile(np.arange(3), len(t)),
            "position_m": position.reshape(-1, 3),
            "velocity_mps": np.gradient(position, 0.002, axis=0).reshape(-1, 3),
        }
    }


LINKS = TableSchema(
    columns=(
        Column(name="t_ns", dtype="int64"),
        Column(name="link", dtype="int64"),
        Column(name="position_m", width=3),
        Column(name="quaternion", width=4),
    )
)
FORCE_CONTACTS = TableSchema(
    columns=(*CONTACTS.columns, *(Column(name=name) for name in FORCE_COLUMNS)),
)


def _links(num_ticks: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A fixed base, a hand that swings around it, a box that turns: rows of ``world.links``, and log attributes."""
    t = np.arange(num_ticks + 1) * 0.05
    nothing = np.zeros_like(t)
    position = np.stack(
        [
            np.stack([nothing, nothing - 0.5, nothing + 0.9], axis=1),
            np.stack([0.3 * np.sin(t), -0.2 + nothing, 1.0 + 0.1 * np.cos(t)], axis=1),
            np.stack([nothing, nothing, nothing + 0.85], axis=1),
        ],
        axis=1,
    )
    level = np.stack([nothing + 1.0, nothing, nothing, nothing], axis=1)
    spin = np.stack([np.cos(t / 2), nothing, nothing, np.sin(t / 2)], axis=1)
    shape = {"kind": "box", "position_m": [0.0] * 3, "quaternion": [1.0, 0.0, 0.0, 0.0]}
    table = {
        "t_ns": np.repeat(np.arange(len(t)) * TICK_NS, 3),
        "link": np.tile(np.arange(3), len(t)),
        "position_m": position.reshape(-1, 3),
        "quaternion": np.stack([level, level, spin], axis=1).reshape(-1, 4),
    }
    attributes = {
        "links": [
            {"name": "base", "group": "left_arm", "parent": -1},
            {"name": "hand", "group": "left_gripper", "parent": 0},
            {"name": "pot_root", "group": HOSTILE, "parent": -1},
        ],
        "shapes": [
            {**shape, "link": -1, "group": "table", "half_size_m": [0.4, 0.4, 0.02]},
            {**shape, "link": 2, "group": HOSTILE, "half_size_m": [0.05, 0.05, 0.05], "kind": "cylinder"},
            {**shape, "link": 2, "group": HOSTILE, "half_size_m": [0.02, 0.02, 0.02], "kind": "sphere"},
        ],
        "faces": [[0, 1, 2]],
    }
    return table, attributes


def episode_log(world: str, status: EpisodeStatus, reason: str, delay: int, seed: int) -> EpisodeLog:
    rng = np.random.Generator(np.random.Philox(seed))
    num_ticks = 120 if status is EpisodeStatus.SUCCESS else 90
    schemas = {**loop_schemas(2), "world.motion": MOTION, "world.contacts": CONTACTS}
    tables = {**_loop_tables(num_ticks, delay), "outcomes": _outcomes(num_ticks, status, reason)}
    if world == "driving":
        schemas["world.actors"] = ACTORS
        tables |= _driving_tables(num_ticks, rng, has_crash=reason == "collision")
    else:
        tables |= _arm_tables(num_ticks, rng)
    links: dict[str, Any] = {}
    if world == "arms":
        schemas |= {"world.links": LINKS, "world.contacts": FORCE_CONTACTS}
        tables["world.links"], links = _links(num_ticks)
        tables["world.contacts"] = {
            "t_ns": [TICK_NS, 3 * TICK_NS, 9 * TICK_NS],
            "class_pair": [f"left_gripper-{HOSTILE}", "left_arm-right_arm", f"left_gripper-{HOSTILE}"],
            "is_collision": [False, True, False],
            "impact_speed_mps": [0.25, 0.5, 0.125],
            "is_at_fault": [False, True, False],
            "duration_s": [0.25, 0.5, 1.0],
            "peak_normal_force_n": [10.0 + seed, 40.0, 20.0 + seed],
            "impulse_newton_s": [2.0, 4.0, 6.0],
            "max_penetration_m": [0.001, 0.002, 0.0005],
        }
    if reason == "collision" and world != "arms":
        tables["world.contacts"] = {
            "t_ns": [(num_ticks - 2) * TICK_NS],
            "class_pair": ["ego-car" if world == "driving" else "left_arm-right_arm"],
            "is_collision": [True],
            "impact_speed_mps": [rng.uniform(1.0, 8.0)],
            "is_at_fault": [True],
            "duration_s": [0.1],
        }
    attributes = {
        **links,
        "world": world,
        "control_period_ns": TICK_NS,
        "action_dimensions": ["a", "b"],
        "action_low": [-1.0, -1.0],
        "action_high": [1.0, 1.0],
        "motion_points": ["ego"] if world == "driving" else ["left_gripper", "right_gripper", "pot"],
    }
    if world == "driving":
        edge = np.linspace(-40.0, 260.0, 31)
        attributes["road"] = [
            np.stack([edge, np.full(31, y)], axis=1).tolist() for y in (-1.75, 1.75, 5.25, 8.75)
        ]
    return EpisodeLog.from_columns(schemas, tables, attributes)


def _probability(agent: str, delay: int, strategy: str) -> float:
    if agent == "unified_scratch":
        return 0.02
    loss = {"paused": 0.0, "naive_async": 0.12, "prefix": 0.04}[strategy] * delay
    return max((0.97 if agent == "expert" else 0.72) - loss, 0.0)


def make_run(
    folder: Path,
    *,
    seeds: int = 5,
    scenarios: tuple[tuple[str, str], ...] = (
        ("cut_in", "driving"),
        ("lead_deceleration", "driving"),
        ("two_arm_lift", "bimanual"),
    ),
    agents: tuple[str, ...] = ("expert", "unified", "unified_scratch"),
    strategies: tuple[str, ...] = ("paused", "naive_async", "prefix"),
    statuses: dict[int, tuple[EpisodeStatus, str]] | None = None,
    suite: str = "smoke",
    criteria: tuple[dict[str, Any], ...] = CRITERIA,
    parameters: Callable[[int], dict[str, Any]] = lambda seed: {"gap_m": 10.0 + seed},
    **facts: Any,
) -> Path:
    """Writes a run.

    ``statuses`` replaces what episode number n came to, ``parameters`` gives those of a seed, ``facts`` are more of the
    manifest's.
    """
    cases = [
        (scenario, world, agent, timing, strategy, seed)
        for scenario, world in scenarios
        for agent in agents
        for timing in DELAYS
        for strategy in strategies
        for seed in range(seeds)
    ]
    metrics = core_metrics()
    manifest = Manifest(
        run_id=folder.name,
        suite=suite,
        suite_digest="5f0c" * 8,
        agents={a: f"{i + 1}a2b" * 8 for i, a in enumerate(agents)},
        criteria=criteria,
        num_planned=len(cases),
        axes={"agent": agents, "timing": list(DELAYS), "strategy": strategies},
        config={"runner": {"executor": "ray", "workers": 2}},
        metric_versions=metric_versions(metrics),
        command=f"simloop run suite={suite}",
        created_at="2030-01-01T00:00:00+00:00",
        platform={"cpu": "x86-64-v3", "numpy": "1.26.4"},
        machine={"num_cpus": "2"},
        **facts,
    )
    with RunStore.create_or_open(folder, manifest) as store:
        rows = []
        for number, (scenario, world, agent, timing, strategy, seed) in enumerate(cases):
            rng = np.random.Generator(np.random.Philox(number))
            is_success = rng.random() < _probability(agent, DELAYS[timing], strategy)
            status, reason = EpisodeStatus.SUCCESS, "goal_held"
            if not is_success:
                status, reason = EpisodeStatus.FAIL, ("collision", "time_limit")[number % 2]
            status, reason = (statuses or {}).get(number, (status, reason))
            spec = EpisodeSpec(
                case=Case(
                    scenario=Scenario(family=scenario, world=world, parameters=parameters(seed)),
                    seed=seed,
                ),
                agent=Component(group="agent", name=agent, config={}),
                timing=Component(group="timing", name=timing, config={"name": timing}),
                strategy=Component(group="strategy", name=strategy, config={"name": strategy}),
                agent_digest="1a2b" * 8,
            )
            has_log = status in (EpisodeStatus.SUCCESS, EpisodeStatus.FAIL)
            log = episode_log(world, status, reason, DELAYS[timing], number) if has_log else None
            row = episode_row(
                spec=spec,
                run_id=folder.name,
                suite=suite,
                status=status,
                reason=reason,
                evaluation=unevaluated(metrics, reason) if log is None else evaluate(metrics, log),
                episode_hash=None if log is None else log.episode_hash,
                error_trace="" if has_log else f"Traceback (most recent call last):\n  ...\nError: {reason}",
                wall_s_wall=0.1,
            )
            if log is not None and store.wants_log(row):
                store.write_episode_log(row["episode_id"], log)
                row["has_log"] = True
            rows.append(row)
            if len(rows) == 20:
                store.write_part(rows)
                rows = []
        store.write_part(rows)
    return folder


@pytest.fixture(scope="session", name="make_run")
def make_run_fixture() -> Callable[..., Path]:
    """Writes a made-up run; see ``make_run``."""
    return make_run


@pytest.fixture(scope="session")
def hostile_name() -> str:
    """A name that would run as a program if it were not escaped."""
    return HOSTILE


@pytest.fixture(scope="session")
def browser() -> str:
    """Path of a browser; skips where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser here; looked for {', '.join(BROWSERS)}")
    return found
