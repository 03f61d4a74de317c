"""robosuite's own TwoArmLift, as the oracle that the compiled world is compared with, and scenarios for both."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simloop.scenario_files import load_family
from simloop.spec import Scenario
from simloop_bimanual.model import make_stock_env
from simloop_bimanual.world import BimanualWorld


@pytest.fixture(scope="session")
def stock_env() -> Any:
    """One robosuite environment; tests reset it themselves."""
    return make_stock_env(seed=0)


@pytest.fixture(scope="session")
def hard_reset(stock_env: Any) -> Callable[[int], Any]:
    """Resets the stock environment by the recipe that makes it exact: both generators, then a hard reset."""

    def reset(seed: int) -> Any:
        stock_env.rng = np.random.default_rng(seed)
        stock_env.placement_initializer.rng = stock_env.rng
        stock_env.reset()
        return stock_env

    return reset


@pytest.fixture(scope="session")
def stock_scenario() -> Callable[[int], Scenario]:
    """The scenario with the placement that robosuite's sampler draws after its joint noise."""

    def scenario(seed: int) -> Scenario:
        rng = np.random.default_rng(seed)
        rng.standard_normal(14)
        x_m, y_m = rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03)
        yaw_rad = rng.uniform(math.pi - math.pi / 3, math.pi + math.pi / 3) - math.pi
        return load_family("two_arm_lift").scenario(
            seed, {"pot_x_m": x_m, "pot_y_m": y_m, "pot_yaw_rad": yaw_rad}
        )

    return scenario


@pytest.fixture(scope="session")
def world() -> BimanualWorld:
    """One world; tests reset it themselves."""
    return BimanualWorld()
