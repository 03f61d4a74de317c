"""robosuite's own environments, as the oracle that the compiled world is compared with, and scenarios for both."""

from __future__ import annotations

import functools
import gc
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from simloop.scenario_files import load_family
from simloop.spec import ParameterValue, Scenario
from simloop_bimanual.models.two_arm_model import make_stock_env
from simloop_bimanual.world import BimanualWorld

LIFT = "two_arm_lift"


def _lift(rng: np.random.Generator) -> dict[str, ParameterValue]:
    rng.standard_normal(14)
    return {
        "pot_x_m": rng.uniform(-0.03, 0.03),
        "pot_y_m": rng.uniform(-0.03, 0.03),
        "pot_yaw_rad": rng.uniform(math.pi - math.pi / 3, math.pi + math.pi / 3) - math.pi,
    }


def _handover(rng: np.random.Generator) -> dict[str, ParameterValue]:
    values: dict[str, ParameterValue] = {
        "handle_radius_m": rng.uniform(0.015, 0.02),
        "handle_length_m": rng.uniform(0.1, 0.25),
        "handle_density_kgpm3": rng.uniform(100, 250),
        "handle_friction_ratio": rng.uniform(3.0, 5.0),
        "head_size_ratio": rng.random(),
    }
    rng.standard_normal(14)
    values["hammer_x_m"] = rng.uniform(-0.1, 0.1)
    values["hammer_y_m"] = rng.uniform(-0.05, 0.05)
    values["hammer_turn_rad"] = rng.uniform(0, 2 * np.pi)
    rng.random()  # robosuite asks for the hammer's side twice and takes the second answer
    values["is_hammer_flipped"] = bool(rng.random() < 0.5)
    return values


def _peg_in_hole(rng: np.random.Generator) -> dict[str, ParameterValue]:
    return {"peg_radius_m": rng.uniform(0.015, 0.03)}


def _transport(rng: np.random.Generator) -> dict[str, ParameterValue]:
    rng.random(4)
    values: dict[str, ParameterValue] = {"head_size_ratio": rng.random()}
    rng.standard_normal(14)
    side_m, slack_m = 0.8 * 0.25, 0.005

    def place(name: str, x_m: float) -> None:
        values[f"{name}_x_m"] = rng.uniform(x_m - slack_m, x_m + slack_m)
        values[f"{name}_y_m"] = rng.uniform(-slack_m, slack_m)

    # Every object has its x, y and turn drawn; those of lid, payload and trash follow their bins.
    place("start_bin", side_m)
    rng.random(1 + 3 + 2)
    values["payload_turn_rad"] = rng.uniform(np.pi / 2 - np.pi / 6, np.pi / 2 + np.pi / 6)
    rng.random()
    values["is_payload_flipped"] = bool(rng.random() < 0.5)
    place("target_bin", -side_m)
    rng.random(1 + 2)
    values["trash_turn_rad"] = rng.uniform(-0.3 * np.pi, 0.3 * np.pi)
    place("trash_bin", side_m)
    return values


def _conveyor_lift(rng: np.random.Generator) -> dict[str, ParameterValue]:
    rng.standard_normal(14)
    return {
        "pot_x_m": rng.uniform(-0.26, -0.22),
        "pot_y_m": rng.uniform(-0.02, 0.02),
        "pot_yaw_rad": rng.uniform(-0.35, 0.35),
        "belt_speed_mps": rng.uniform(0.06, 0.14),
        "belt_speed_change_ratio": rng.uniform(0.5, 0.9),
        "belt_course_id": rng.uniform(0.0, 1e6),
    }


def _moving_handover(rng: np.random.Generator) -> dict[str, ParameterValue]:
    rng.standard_normal(14)
    return {
        "bar_x_m": rng.uniform(-0.03, 0.03),
        "bar_y_m": rng.uniform(-0.02, 0.02),
        "bar_yaw_rad": rng.uniform(-0.3, 0.3),
        "drift_range_m": rng.uniform(0.08, 0.12),
        "drift_speed_mps": rng.uniform(0.06, 0.1),
        "drift_course_id": rng.uniform(0.0, 1e6),
    }


def _disassemble(rng: np.random.Generator) -> dict[str, ParameterValue]:
    rng.standard_normal(14)
    return {
        "stack_x_m": rng.uniform(-0.05, 0.05),
        "stack_y_m": rng.uniform(-0.03, 0.03),
        "stack_yaw_rad": rng.uniform(-0.4, 0.4),
        "retention_force_n": rng.uniform(10.0, 40.0),
    }


def _fold_towel(rng: np.random.Generator) -> dict[str, ParameterValue]:
    values: dict[str, ParameterValue] = {
        "board_x_m": rng.uniform(-0.03, 0.03),
        "board_y_m": rng.uniform(-0.03, 0.03),
        "board_yaw_rad": rng.uniform(-0.15, 0.15),
        "towel_stiffness_ratio": rng.uniform(0.8, 1.3),
        "towel_friction_ratio": rng.uniform(0.7, 1.3),
    }
    rng.standard_normal(14)
    values["towel_x_m"] = rng.uniform(-0.02, 0.02)
    values["towel_y_m"] = rng.uniform(-0.004, 0.004)
    values["towel_yaw_rad"] = rng.uniform(-0.025, 0.025)
    return values


def _tray_balance(rng: np.random.Generator) -> dict[str, ParameterValue]:
    values: dict[str, ParameterValue] = {"ball_rolling_friction_m": rng.uniform(1e-4, 8e-4)}
    rng.standard_normal(14)
    ranges = {
        "ball_x_m": (-0.02, 0.02),
        "ball_y_m": (-0.02, 0.02),
        "goal_distance_m": (0.12, 0.16),
        "goal_bearing_rad": (-math.pi, math.pi),
        "ball_speed_mps": (0.0, 0.04),
        "ball_heading_rad": (-math.pi, math.pi),
        "gust_mps": (0.08, 0.14),
        "gust_start_s": (0.3, 0.8),
        "gust_course_id": (0.0, 1e6),
    }
    return values | {name: rng.uniform(low, high) for name, (low, high) in ranges.items()}


_DRAWS = {
    LIFT: _lift,
    "two_arm_handover": _handover,
    "two_arm_peg_in_hole": _peg_in_hole,
    "two_arm_transport": _transport,
    "two_arm_conveyor_lift": _conveyor_lift,
    "two_arm_tray_balance": _tray_balance,
    "two_arm_moving_handover": _moving_handover,
    "two_arm_disassemble": _disassemble,
    "two_arm_fold_towel": _fold_towel,
}


class Oracle:
    """robosuite's environment of a task, and the scenario that equals its start for a seed."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.env = make_stock_env(seed=0, task=task)

    def hard_reset(self, seed: int) -> Any:
        """Resets the stock environment by the recipe that makes it exact: both generators, then a hard reset."""
        self.env.rng = np.random.default_rng(seed)
        for sampler in (getattr(self.env, "placement_initializer", None),):
            if sampler is not None:
                sampler.rng = self.env.rng
        self.env.reset()
        return self.env

    def scenario(self, seed: int) -> Scenario:
        """The scenario with the values that robosuite draws."""
        return load_family(self.task).scenario(seed, _DRAWS[self.task](np.random.default_rng(seed)))


@pytest.fixture(scope="module")
def oracle() -> Iterator[Callable[[str], Oracle]]:
    """One robosuite environment a task and module, as each holds hundreds of megabytes; tests reset it themselves."""
    made = functools.cache(Oracle)
    yield made
    made.cache_clear()
    gc.collect()


@pytest.fixture(scope="module")
def hard_reset(oracle: Callable[[str], Oracle]) -> Callable[[int], Any]:
    """Resets robosuite's TwoArmLift."""
    return oracle(LIFT).hard_reset


@pytest.fixture(scope="module")
def stock_scenario(oracle: Callable[[str], Oracle]) -> Callable[[int], Scenario]:
    """The scenario of the lift with the placement that robosuite's sampler draws after its joint noise."""
    return oracle(LIFT).scenario


@pytest.fixture(scope="module")
def world() -> BimanualWorld:
    """One world of the lift and module; tests reset it themselves."""
    return BimanualWorld()


@pytest.fixture(scope="module")
def world_of() -> Iterator[Callable[[str], BimanualWorld]]:
    """One world a task and module; tests reset it themselves."""
    made = functools.cache(lambda task: BimanualWorld(**load_family(task).world_config))
    yield made
    made.cache_clear()
