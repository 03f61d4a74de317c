"""The shipped map against its OpenDRIVE source, and route queries against brute force."""

from __future__ import annotations

import builtins
import dataclasses
import importlib.resources
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simloop.errors import ConfigurationError, MissingDependencyError, UnknownNameError
from simloop_driving.recording import lane_widths_m
from simloop_driving.roads.opendrive import sample_opendrive
from simloop_driving.roads.road_map import DRIVING, RoadMap, from_npz_bytes, load_map, to_npz_bytes
from simloop_driving.roads.route import WIDTH_M, lane_route, nearest_station, pose_at, project

HIGHWAY = load_map("highway")


def _xml() -> str:
    return (importlib.resources.files("simloop_scenarios") / "maps" / "highway.xodr").read_text(
        encoding="utf-8"
    )


def test_highway_has_three_lanes_over_four_kilometres_with_curves_of_both_signs() -> None:
    driving = np.flatnonzero(HIGHWAY.lane_kind == DRIVING)
    assert len(driving) == 3
    assert all(HIGHWAY.length_m(int(lane)) >= 4000.0 for lane in driving)
    assert HIGHWAY.curvature_per_m.max() > 1.0 / 700.0
    assert HIGHWAY.curvature_per_m.min() < -1.0 / 700.0


def test_samples_are_equally_spaced_and_headings_follow_the_points() -> None:
    for lane in range(HIGHWAY.num_lanes):
        part = HIGHWAY.samples(lane)
        dx, dy = np.diff(HIGHWAY.x_m[part]), np.diff(HIGHWAY.y_m[part])
        assert np.hypot(dx, dy) == pytest.approx(HIGHWAY.step_m, abs=1e-3)
        middle = 0.5 * (HIGHWAY.yaw_rad[part][1:] + HIGHWAY.yaw_rad[part][:-1])
        assert np.arctan2(dy, dx) == pytest.approx(middle, abs=2e-3)


def test_lane_width_separates_neighbouring_centre_lines() -> None:
    lane = HIGHWAY.lane_index(1, -3)
    route = lane_route(HIGHWAY, lane)
    left = HIGHWAY.driving_neighbour(lane, "left")
    assert HIGHWAY.lane_opendrive_id[left] == -2
    assert HIGHWAY.driving_neighbour(left, "left") == -1
    assert route.lane_centre_m(left, 1000.0) == pytest.approx(3.5, abs=1e-3)
    part = HIGHWAY.samples(left)
    _, d = project(route.samples, route.step_m, HIGHWAY.x_m[part][2000], HIGHWAY.y_m[part][2000], 2000.0)
    assert d == pytest.approx(3.5, abs=1e-3)


def test_projection_inverts_the_pose_query() -> None:
    route = lane_route(HIGHWAY, HIGHWAY.lane_index(1, -3))
    draws = np.random.default_rng(3)
    for s, d in zip(
        draws.uniform(-50.0, route.length_m + 50.0, 200), draws.uniform(-8.0, 8.0, 200), strict=True
    ):
        x, y, _ = pose_at(route.samples, route.step_m, s, d)
        guess = nearest_station(route.samples, route.step_m, x, y)
        found = project(route.samples, route.step_m, x, y, guess)
        assert found == pytest.approx((s, d), abs=2e-3)


def test_arrays_survive_the_file_and_equal_the_map_sampled_again() -> None:
    again = from_npz_bytes(to_npz_bytes(HIGHWAY))
    assert again.digest() == HIGHWAY.digest()
    pytest.importorskip("carla", reason="carla, the OpenDRIVE parser, is not installed")
    sampled = sample_opendrive("highway", _xml())
    for name in ("x_m", "y_m", "yaw_rad", "curvature_per_m", "width_m"):
        assert getattr(sampled, name) == pytest.approx(getattr(HIGHWAY, name), abs=1e-6)


@pytest.mark.parametrize(
    ("load", "error", "message"),
    [
        (lambda: load_map("hihgway"), UnknownNameError, r"Unknown map 'hihgway'.*Did you mean 'highway'"),
        (
            lambda: HIGHWAY.lane_index(1, -9),
            ConfigurationError,
            r"no lane 1/-9; driving lanes .*1/-2, 1/-3, 1/-4",
        ),
        (lambda: sample_opendrive("m", "<a"), ConfigurationError, r"'m' is not well-formed XML"),
        (
            lambda: sample_opendrive("m", "<a/>"),
            ConfigurationError,
            r"root element <a>; allowed: <OpenDRIVE>",
        ),
        (lambda: sample_opendrive("m", "<OpenDRIVE/>"), ConfigurationError, r"no lane of type 'driving'"),
    ],
)
def test_wrong_maps_are_refused(load: Callable[[], RoadMap], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load()


def test_without_carla_shipped_maps_load_and_sampling_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "carla":
            raise ImportError("No module named 'carla'")
        return real_import(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "carla", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    load_map.cache_clear()
    assert load_map("highway").num_lanes == 5
    with pytest.raises(MissingDependencyError, match=r"needs the carla package: pip install 'carla==0.9.16'"):
        sample_opendrive("highway", _xml())


def test_the_straight_track_is_straight() -> None:
    from simloop_driving.roads.straight_track import LENGTH_M

    track = load_map("straight_track")
    assert np.all(track.yaw_rad == 0.0)
    assert np.all(track.curvature_per_m == 0.0)
    driving = [lane for lane in range(track.num_lanes) if track.lane_kind[lane] == 0]
    assert [track.length_m(lane) for lane in driving] == pytest.approx([LENGTH_M] * 3, abs=1.0)
    centres_m = [float(track.y_m[track.samples(lane)][0]) for lane in driving]
    assert np.abs(np.diff(centres_m)) == pytest.approx(3.5)


def test_a_log_has_the_widths_of_the_lane_where_they_change() -> None:
    track = load_map("straight_track")
    route = lane_route(track, track.lane_index(1, -3))
    station_m = np.arange(route.samples.shape[1]) * route.step_m
    assert np.array(lane_widths_m(route)) == pytest.approx(np.array([[0.0, 3.5], [station_m[-1], 3.5]]))
    samples = route.samples.copy()
    samples[WIDTH_M] = np.interp(station_m, [100.0, 200.0], [3.5, 3.0])
    narrowed = np.array(lane_widths_m(dataclasses.replace(route, samples=samples)))
    assert len(narrowed) == 4
    assert np.interp(station_m, *narrowed.T) == pytest.approx(samples[WIDTH_M])
