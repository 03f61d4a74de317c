"""Measures of criticality against commonroad-crime and ad-rss on random trajectories.

``make oracles`` asks the libraries in an environment of their own and writes what they answer into tests/golden.

Where commonroad-crime 0.4.5 defines a measure otherwise, or not as its source says, it is not compared there:

- Values, and the gap that others are made of, are rounded to 0.01 (THW to a tick of 0.1 s); tolerances follow from
  that. In touch it sees no leader, where our time to collision is 0.
- THW: the time until the ego's front really is where the leader's rear is now; ours divides by the present speed.
  They agree to a tick while the ego keeps its speed.
- TTC: with constant accelerations if they differ by more than 0.1 m/s2; ours always with constant speeds.
- A_long_req and BTN: also for a gap that grows, where ours say that no braking is needed. The leader's acceleration
  enters without its sign, so a braking leader is taken for one that speeds up. BTN divides by 11.5 m/s2.
- PET: the conflict area is what two lanelets share, entry is the last tick before it and exit the first after it. Lanes
  of the vehicles' widths at right angles make it the ground that both footprints sweep. Infinity for a collision, where
  ours is 0. ET counts the same two ticks.
- TET and TIT look at every tick but the first 0 to T - 1; so does the test.
- Delta-v adds speeds of the same direction and subtracts opposed ones, against its source; worked by hand instead.
"""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop_agents.experts.reference_models import REFERENCE_MODELS, SAFE, UNSAFE, judge_conflict
from simloop_driving.metrics import criticality as c
from simloop_driving.metrics.encroachment import encroachments

FloatArray = npt.NDArray[np.float64]
TESTS = Path(__file__).parents[1]
GOLDEN = json.loads((TESTS / "golden" / "criticality_commonroad_crime.json").read_text(encoding="utf-8"))
AD_RSS = json.loads((TESTS / "golden" / "criticality_ad_rss.json").read_text(encoding="utf-8"))
ROUNDED = 0.006


def _load(name: str) -> ModuleType:
    path = TESTS / "oracles" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look for their module there
    spec.loader.exec_module(module)
    return module


random_trajectories = _load("random_trajectories")
PERIOD_S: float = random_trajectories.PERIOD_S
TRAJECTORIES = random_trajectories.trajectories()


class Pair:
    """The arrays of one trajectory; actor 0 is the ego."""

    def __init__(self, trajectory: Any) -> None:
        vehicles = (trajectory.ego, trajectory.other)
        positions = [v.positions_m() for v in vehicles]
        yaws = [np.full(len(p), v.yaw_rad) for v, p in zip(vehicles, positions, strict=True)]
        self.pose = np.stack([np.column_stack([p, y]) for p, y in zip(positions, yaws, strict=True)], axis=1)
        self.speed = np.stack([v.speeds_mps() for v in vehicles], axis=1)
        self.acceleration = np.tile([v.acceleration_mps2 for v in vehicles], (len(self.pose), 1))
        self.size = np.tile([[v.length_m, v.width_m] for v in vehicles], (len(self.pose), 1, 1))
        self.is_present = np.ones((len(self.pose), 2), dtype=bool)
        self.is_steady = not self.acceleration.any()

    def leader(self) -> FloatArray:
        along, across = np.ascontiguousarray(self.pose[:, :, 0]), np.ascontiguousarray(self.pose[:, :, 1])
        return c.leader_series(
            along, across, self.speed, self.speed, self.acceleration, self.size, self.is_present
        )


def _pairs(kind: str) -> list[tuple[Pair, dict[str, Any]]]:
    rows = zip(TRAJECTORIES, GOLDEN["rows"], strict=True)
    return [(Pair(t), row["answers"]) for t, row in rows if t.kind == kind]


FOLLOWING, CROSSING = _pairs("following"), _pairs("crossing")


def test_the_golden_file_is_of_these_trajectories() -> None:
    assert len(TRAJECTORIES) == len(GOLDEN["rows"]) == 200
    for trajectory, row in zip(TRAJECTORIES, GOLDEN["rows"], strict=True):
        assert trajectory.plain() == row["trajectory"]
    assert GOLDEN["versions"]["commonroad-crime"] == "0.4.5"
    assert (TESTS / "oracles" / GOLDEN["script"]).is_file() and (
        TESTS / "oracles" / AD_RSS["script"]
    ).is_file()


def test_gap_headway_and_time_to_collision() -> None:
    num = {"gap": 0, "thw": 0, "ttc": 0, "never": 0}
    for pair, answers in FOLLOWING:
        series = pair.leader()
        is_at_constant_speed = pair.acceleration[0, 0] == 0.0
        for tick, gap, thw, ttc in zip(
            GOLDEN["steps"], answers["HW"], answers["THW"], answers["TTC"], strict=True
        ):
            if gap is None:  # the gap is negative: the ego is in the other or ahead of it
                assert series[tick, c.GAP_M] in (0.0, math.inf)
                continue
            assert series[tick, c.GAP_M] == pytest.approx(gap, abs=0.011)
            num["gap"] += 1
            if is_at_constant_speed and thw is not None:
                assert 0.0 <= thw - series[tick, c.THW_S] <= PERIOD_S + 1e-9
                num["thw"] += 1
            difference = abs(pair.acceleration[0, 0] - pair.acceleration[0, 1])
            if difference <= 0.1:
                is_never = ttc is None or ttc > 1e6  # rounding errors of equal speeds give times like 1e14
                closing = pair.speed[tick, 0] - pair.speed[tick, 1]
                tolerance_s = ROUNDED * (1.0 + 1.0 / abs(closing)) if closing else 0.0
                assert series[tick, c.TTC_S] == pytest.approx(math.inf if is_never else ttc, abs=tolerance_s)
                num["never" if is_never else "ttc"] += 1
    assert num["gap"] > 300 and num["thw"] > 100 and num["ttc"] > 60 and num["never"] > 20, num


def test_required_deceleration_brake_threat_and_drac() -> None:
    num = {"required": 0, "drac": 0}
    for pair, answers in FOLLOWING:
        series = pair.leader()
        for tick, required, threat in zip(GOLDEN["steps"], answers["ALongReq"], answers["BTN"], strict=True):
            is_closing = pair.speed[tick, 0] > pair.speed[tick, 1]
            gap_m = series[tick, c.GAP_M]
            if not is_closing or not 0.5 < gap_m < math.inf or pair.acceleration[tick, 1] < 0.0:
                continue
            tolerance = {"rel": 1e-4 + ROUNDED / gap_m, "abs": ROUNDED}
            assert series[tick, c.REQUIRED_MPS2] == pytest.approx(required, **tolerance)
            assert -required / 11.5 == pytest.approx(threat, abs=6e-4)
            assert series[tick, c.BTN] * c.FULL_BRAKING_MPS2 == pytest.approx(-required, **tolerance)
            num["required"] += 1
            if pair.acceleration[tick, 1] == 0.0:
                assert series[tick, c.DRAC_MPS2] == pytest.approx(-required, **tolerance)
                num["drac"] += 1
    assert num["required"] > 80 and num["drac"] > 50, num


def test_time_exposed_and_integrated() -> None:
    num_exposed = 0
    for pair, answers in FOLLOWING:
        if not pair.is_steady:
            continue
        series = pair.leader()[:-1]
        ttc_s = np.where(series[:, c.GAP_M] > 0.0, series[:, c.TTC_S], math.inf)
        # Rounding to 0.01 s moves a tick over the threshold at most.
        assert c.time_exposed_s(ttc_s, 1.5, PERIOD_S) == pytest.approx(answers["TET"], abs=PERIOD_S + 1e-9)
        assert c.time_integrated_s2(ttc_s, 1.5, PERIOD_S) == pytest.approx(
            answers["TIT"], abs=ROUNDED * PERIOD_S * len(ttc_s)
        )
        num_exposed += answers["TET"] > 0.0
    assert num_exposed > 10


@pytest.mark.parametrize("kind", ["following", "crossing"])
def test_least_distance(kind: str) -> None:
    num_apart = 0
    for pair, answers in FOLLOWING if kind == "following" else CROSSING:
        distance_m = c.min_distance_m(pair.pose[:-1], pair.size, pair.is_present)
        assert distance_m == pytest.approx(answers["DCE"], abs=0.011)
        num_apart += distance_m > 0.0
    assert num_apart > 40


def test_post_encroachment_and_encroachment_time() -> None:
    num = {"apart": 0, "collision": 0}
    for pair, answers in CROSSING:
        if "PET" not in answers:
            continue
        any_pet_s, pet_s, time_s = encroachments(pair.pose, pair.size, pair.is_present, PERIOD_S, 6.0)
        assert any_pet_s == pet_s
        if answers["PET"] is None:
            # Each enters before the other has left; the two ticks that the library adds make near misses of them.
            assert pet_s <= 2.0 * PERIOD_S + 1e-9
            num["collision"] += 1
        else:
            assert -1e-9 <= pet_s - answers["PET"] <= 3.0 * PERIOD_S + 1e-9
            num["apart"] += 1
        if answers["ET"] is not None:
            assert time_s == pytest.approx(answers["ET"], abs=PERIOD_S + 1e-9)
    assert num["apart"] > 25 and num["collision"] > 10, num


def test_safe_distance_of_responsibility_sensitive_safety() -> None:
    for name, rows in AD_RSS["rows"].items():
        for own_mps, leader_mps, safe_m in rows:
            ours_m = c.rss_safe_distance_m(own_mps, leader_mps, *AD_RSS["parameters"][name])
            assert ours_m == pytest.approx(safe_m, abs=1e-6)
    values = (c.RSS_RESPONSE_S, c.RSS_ACCELERATION_MPS2, c.RSS_BRAKING_MPS2, c.RSS_LEADER_MPS2)
    assert list(values) == AD_RSS["parameters"]["library"]


def test_reference_driver_brakes_below_the_safe_distance() -> None:
    model, length_m = REFERENCE_MODELS.index("rss"), 4.5
    for own_mps, leader_mps, safe_m in AD_RSS["rows"]["reference_driver"]:
        for margin_m, expected in ((-1e-3, UNSAFE), (1e-3, SAFE)):
            if safe_m > 0.0 and own_mps > leader_mps:
                ahead_m = safe_m + margin_m + length_m
                verdict, _ = judge_conflict(model, own_mps, 0.0, leader_mps, ahead_m, length_m, 0.0, 0.0)
                assert verdict == expected, (own_mps, leader_mps, safe_m)
