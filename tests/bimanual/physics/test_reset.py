"""The cheap reset against robosuite's hard reset, and against itself in another process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simloop.scenario_files import load_family
from simloop.spec import Scenario
from simloop_bimanual.world import BimanualWorld


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_start_state_equals_robosuites_hard_reset_bit_for_bit(
    world: BimanualWorld,
    hard_reset: Callable[[int], Any],
    stock_scenario: Callable[[int], Scenario],
    seed: int,
) -> None:
    expected = hard_reset(seed).sim.data._data
    world.reset(stock_scenario(seed), seed)
    data = world._data
    for name in ("qpos", "qvel", "qacc_warmstart", "site_xpos", "site_xmat", "xpos", "xquat"):
        assert np.array_equal(getattr(expected, name), getattr(data, name)), name


_RUN = """
import hashlib, numpy as np
from simloop.scenario_files import load_family
from simloop_bimanual.world import BimanualWorld
world = BimanualWorld()
world.reset(load_family("two_arm_lift").scenario(5), 5)
rng = np.random.default_rng(0)
for tick in range(20):
    world.actuate(rng.uniform(-0.5, 0.5, 14))
    world.advance((tick + 1) * 50_000_000)
digest = hashlib.sha256()
for name, columns in sorted(world.drain().items()):
    for values in columns.values():
        digest.update(repr(values).encode() if isinstance(values, list) else values.tobytes())
digest.update(world.capture("front_camera", 0).array.tobytes())
"""


def test_same_seed_same_bytes_in_another_process() -> None:
    here: dict[str, Any] = {}
    exec(compile(_RUN, "run", "exec"), here)
    run = subprocess.run(
        [sys.executable, "-c", _RUN + "print(digest.hexdigest())"],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert run.stdout.split()[-1] == here["digest"].hexdigest()
    assert here["digest"].hexdigest() != hashlib.sha256().hexdigest()


def test_seed_moves_the_arms_and_parameters_move_the_pot(world: BimanualWorld) -> None:
    family = load_family("two_arm_lift")
    world.reset(family.scenario(1, {"pot_x_m": 0.02, "pot_y_m": -0.01, "pot_yaw_rad": 0.5}), 1)
    first = world.capture("robot_state", 0).array
    pot = world.capture("object_state", 0).array
    assert pot[:3] == pytest.approx([0.02, -0.01, 0.87])
    assert 2 * np.arctan2(pot[6], pot[3]) == pytest.approx(np.pi + 0.5)
    world.reset(family.scenario(1, {"pot_x_m": 0.02, "pot_y_m": -0.01, "pot_yaw_rad": 0.5}), 2)
    assert np.array_equal(world.capture("object_state", 0).array, pot)
    assert not np.array_equal(world.capture("robot_state", 0).array, first)
