"""The impulse of a collision against conserved momentum and Newton's law of impact, alone and in the world."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from simloop.log import EpisodeLog
from simloop.spec import Scenario
from simloop.world import OutcomeState
from simloop_driving import world as driving_world
from simloop_driving.collisions.impulse import CLASS_MASS_KG, RESTITUTION, impulse_newton_s
from simloop_driving.dynamics.vehicle import load_vehicle
from simloop_driving.recording import TABLES
from simloop_driving.scenario.actor_state import ACTOR_CLASSES
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld


@pytest.mark.parametrize("other", ACTOR_CLASSES)
@pytest.mark.parametrize(("speed_mps", "other_speed_mps"), [(20.0, 0.0), (20.0, 12.0), (15.0, -15.0)])
def test_momentum_is_kept_and_the_bodies_part(other: str, speed_mps: float, other_speed_mps: float) -> None:
    mass_kg, other_kg = 1573.0, CLASS_MASS_KG[other]
    closing_mps = speed_mps - other_speed_mps
    (impulse,) = impulse_newton_s(np.array([closing_mps]), mass_kg, np.array([other_kg]))
    after_mps, other_after_mps = speed_mps - impulse / mass_kg, other_speed_mps + impulse / other_kg
    assert other_after_mps - after_mps == pytest.approx(RESTITUTION * closing_mps)
    if math.isinf(other_kg):
        assert other_after_mps == other_speed_mps
        return
    # The textbook's speeds after an impact, from the centre of mass.
    common_mps = (mass_kg * speed_mps + other_kg * other_speed_mps) / (mass_kg + other_kg)
    assert after_mps == pytest.approx(
        common_mps - RESTITUTION * other_kg * closing_mps / (mass_kg + other_kg)
    )
    before = mass_kg * speed_mps + other_kg * other_speed_mps
    assert mass_kg * after_mps + other_kg * other_after_mps == pytest.approx(before)
    # An impact takes energy, never gives any.
    energy = 0.5 * (mass_kg * speed_mps**2 + other_kg * other_speed_mps**2)
    assert 0.5 * (mass_kg * after_mps**2 + other_kg * other_after_mps**2) < energy


@pytest.mark.parametrize("ego_mass_kg", [1573.0, 900.0])
@pytest.mark.parametrize("other", ["car", "truck", "barrier"])
def test_impulse_in_the_world(monkeypatch: pytest.MonkeyPatch, other: str, ego_mass_kg: float) -> None:
    """An ego of known mass rolls into a standing body; the two have the momentum that it had before."""
    vehicle = dataclasses.replace(load_vehicle("midsize_saloon"), mass_kg=ego_mass_kg)
    monkeypatch.setattr(driving_world, "load_vehicle", lambda name: vehicle)
    world = DrivingWorld(action="acceleration")
    block: dict[str, Any] = {"class": other, "lane": "ego", "gap_m": 10.0}
    if other != "barrier":
        block["speed_mps"] = 0.0
    scene = {
        "map": "straight_track",
        "ego": {"lane": -3, "station_m": 200.0, "initial_speed_mps": 15.0},
        "actors": {"block": block},
        "criteria": {"goal_time_s": 39.0, "min_progress_ratio": 0.0},
    }
    world.reset(
        Scenario(family="own", world="driving", parameters={}, scene=scene, time_limit_ns=40 * 10**9), 0
    )
    world.actuate(np.zeros(2))
    tick = 0
    while world.outcome().state is OutcomeState.RUNNING:
        tick += 1
        world.advance(tick * CONTROL_PERIOD_NS)
    log = EpisodeLog.from_columns(TABLES, world.drain(), world.log_attributes())
    (impulse,), (ego_mps,) = (
        log.column("collisions", "impulse_newton_s"),
        log.column("collisions", "ego_speed_mps"),
    )
    assert log.attributes["ego_mass_kg"] == ego_mass_kg
    after_mps = ego_mps - impulse / ego_mass_kg
    if other == "barrier":
        assert after_mps == pytest.approx(-RESTITUTION * ego_mps)
    else:
        other_after_mps = impulse / CLASS_MASS_KG[other]
        assert other_after_mps - after_mps == pytest.approx(RESTITUTION * ego_mps)
    assert log.column("contacts", "impact_speed_mps") == pytest.approx([ego_mps])
