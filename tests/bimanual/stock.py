"""robosuite's own TwoArmLift, as the oracle that the compiled world is compared with."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from simloop.spec import Scenario
from simloop_bimanual.model import make_stock_env


@functools.cache
def stock_env() -> Any:
    return make_stock_env(seed=0)


def hard_reset(seed: int) -> Any:
    """Hard reset of the stock environment by the recipe that makes it exact: both generators, then reset."""
    env = stock_env()
    env.rng = np.random.default_rng(seed)
    env.placement_initializer.rng = env.rng
    env.reset()
    return env


def same_scenario(seed: int) -> Scenario:
    """The scenario with the placement that robosuite's sampler draws after its joint noise."""
    rng = np.random.default_rng(seed)
    rng.standard_normal(14)
    x_m, y_m = rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03)
    yaw_rad = rng.uniform(math.pi - math.pi / 3, math.pi + math.pi / 3) - math.pi
    return Scenario(
        family="two_arm_lift",
        world="bimanual",
        parameters={"pot_x_m": x_m, "pot_y_m": y_m, "pot_yaw_rad": yaw_rad},
        time_limit_ns=10_000_000_000,
    )
