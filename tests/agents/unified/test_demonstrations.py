"""Demonstrations: repeatable, honest about what was executed, and read back as they were recorded."""

from __future__ import annotations

import numpy as np
import pytest

from simloop.errors import ConfigurationError
from simloop.scenario_files import load_family
from simloop_agents.unified import auxiliary, demonstrations
from simloop_agents.unified.dataset import load_demonstrations
from simloop_agents.unified.demonstrations import FIRST_SEED, Disturbance, collect, record_episode


@pytest.fixture(scope="module")
def driving_episode():
    return record_episode("lead_deceleration", FIRST_SEED)


def test_an_episode_repeats_to_the_bit(driving_episode):
    again = record_episode("lead_deceleration", FIRST_SEED)
    assert sorted(again) == sorted(driving_episode)
    for name, array in driving_episode.items():
        assert array.tobytes() == again[name].tobytes(), name


def test_prefixes_are_the_commands_that_were_really_executed():
    episode = record_episode("two_arm_lift", FIRST_SEED)
    executed, committed = episode["executed"], episode["num_committed"]
    assert committed.min() >= 1
    assert committed.max() <= demonstrations.MAX_COMMITTED
    for index, count in enumerate(committed):
        tick = index * demonstrations.ANCHOR_STRIDE_TICKS
        rows = episode["continued_plan"][index, :count]
        assert rows.tobytes() == executed[tick : tick + count].tobytes()


def test_waypoint_prefixes_keep_the_executed_speeds(driving_episode):
    """The speed entry is the same in every frame."""
    executed, committed = driving_episode["executed"], driving_episode["num_committed"]
    for index, count in enumerate(committed):
        tick = index * demonstrations.ANCHOR_STRIDE_TICKS
        told, rows = executed[tick : tick + count, 3], driving_episode["continued_plan"][index, :count, 3]
        assert rows.tobytes() == told.tobytes()


def test_the_disturbance_is_in_what_was_executed(driving_episode):
    """Quiet driving has waypoints on a smooth line; disturbed driving leaves it by centimetres."""
    lateral = driving_episode["route"][:, 0, 1]
    assert 0.05 < np.abs(lateral).max() < 1.5


def test_disturbances_are_smooth_bursts_with_quiet_between():
    burst = Disturbance(
        amplitude=(1.0, 0.0), min_quiet_ticks=5, max_quiet_ticks=6, min_burst_ticks=10, max_burst_ticks=10
    )
    signal = burst.sampled(np.random.default_rng(0), 400)
    assert signal.shape == (400, 2)
    assert not signal[:, 1].any()
    is_on = signal[:, 0] != 0.0
    assert 0.5 < is_on.mean() < 0.75  # ten ticks on, five or six off
    peak = np.abs(signal[:, 0]).max()
    assert (
        np.abs(np.diff(signal[:, 0])).max() < 0.32 * peak
    )  # sin^2 over ten ticks rises by at most sin(pi / 10)


def test_collecting_goes_on_where_it_stopped(tmp_path):
    counts = {"two_arm_lift": 2}
    steps = collect(tmp_path, counts, num_processes=1)
    assert [next(steps), next(steps)] == [(0, 2), (1, 2)]
    steps.close()  # interrupted
    first = demonstrations.episode_path(tmp_path, "two_arm_lift", FIRST_SEED)
    with pytest.raises(ConfigurationError, match=r"1000001.npz is missing; record it"):
        load_demonstrations(tmp_path, counts)
    before = first.stat().st_mtime_ns
    assert list(collect(tmp_path, counts, num_processes=1)) == [(1, 2), (2, 2)]
    assert first.stat().st_mtime_ns == before
    (data,) = load_demonstrations(tmp_path, counts).values()
    assert data.images.shape == (len(data), 3, 96, 128, 3)
    assert data.instructions == (load_family("two_arm_lift").instruction,)
    # A handle is where its own frame says, seen from the gripper: the two descriptions have one length.
    values = data.readout_targets.values
    for arm in range(2):
        in_base, in_gripper = values[:, 8 * arm : 8 * arm + 3], values[:, 8 * arm + 3 : 8 * arm + 6]
        np.testing.assert_allclose(
            np.linalg.norm(in_base, axis=1), np.linalg.norm(in_gripper, axis=1), rtol=1e-4
        )


def test_car_targets_describe_the_lead():
    objects = np.zeros((1, 16, 8))
    objects[0, 0] = [1.0, 30.0, 0.2, 0.0, 12.0, -2.0, 4.5, 1.8]
    objects[0, 1] = [1.0, 15.0, 3.6, 0.0, 25.0, 0.0, 4.5, 1.8]
    route = np.zeros((1, 32, 8))
    route[0, :, 0] = 4.0 * np.arange(32)
    values, weights = auxiliary.car_targets(objects, route, np.array([[20.0, 0.0, 0.0, 0.0]]))
    gap = 30.0 - 2.25 - 2.35
    lead = values[0, 5:11]
    np.testing.assert_allclose(lead, [1.0, np.log(gap / 20.0), 2.0, 10.0 / gap, -1.0, 0.2], rtol=1e-5)
    left, right = values[0, 11:17], values[0, 17:23]
    assert (left[0], right[0]) == (1.0, -1.0)
    assert weights[0].tolist() == [1.0] * 18 + [0.0] * 5
