"""The wall that does not repeat itself does so by its count of plays and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from simloop.errors import WorldError
from simloop.spec import Scenario
from simloop.testing import BrakingWall, WobblingWall
from simloop.world import Determinism


@pytest.fixture(autouse=True)
def _no_plays() -> Iterator[None]:
    WobblingWall.num_plays.clear()
    yield
    WobblingWall.num_plays.clear()


def gap_m(world: Any, seed: int, **parameters: int) -> float:
    world.reset(Scenario(family="wall", world="wobbling_wall", parameters=parameters), seed)
    world.actuate(np.array([6.0]))
    world.advance(10_000_000)
    return float(world.drain()["state"]["gap_m"][-1])


def test_every_nth_play_of_a_seed_is_another_one() -> None:
    one, other = WobblingWall(), WobblingWall(determinism="bit_exact")
    assert (one.spec.determinism, other.spec.determinism) == (Determinism.STATISTICAL, Determinism.BIT_EXACT)
    quiet = gap_m(BrakingWall(physics_period_ns=10_000_000), 0)
    assert [gap_m(world, 0, fail_every_count=3) == quiet for world in (one, other) * 3] == [
        True,
        True,
        False,
    ] * 2
    assert [gap_m(one, 1, nudge_every_count=2) - quiet for _ in range(4)] == pytest.approx(
        [0.0, -1e-9] * 2, abs=1e-12
    )
    assert gap_m(one, 1, nudge_every_count=5) != quiet
    assert gap_m(one, 2) == quiet


def test_a_reset_alone_is_no_play_and_a_play_can_break() -> None:
    world = WobblingWall()
    for _ in range(3):
        world.reset(Scenario(family="wall", world="wobbling_wall", parameters={"break_every_count": 2}), 0)
    gap_m(world, 0, break_every_count=2)
    with pytest.raises(WorldError, match="the wall broke"):
        gap_m(world, 0, break_every_count=2)
    assert WobblingWall.num_plays[0] == 2
