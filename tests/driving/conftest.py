"""A road map made by hand: a four-arm junction, whose lanes have names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from simloop_driving.roads.road_map import DRIVING, RoadMap

HALF_BOX_M = 15.0
ARM_LENGTH_M = 100.0
LANE_M = 3.5
ARMS = ("south", "east", "north", "west")


def made_map(
    lines: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    links: Sequence[tuple[str, str]],
    *,
    junction: Mapping[str, int] | None = None,
    left: Mapping[str, str] | None = None,
    opposite: Mapping[str, str] | None = None,
    stops: Sequence[tuple[str, float, int]] = (),
    signals: Sequence[tuple[int, int, int]] = (),
    limit_mps: Mapping[str, float] | None = None,
) -> tuple[RoadMap, dict[str, int]]:
    """Builds a RoadMap of step 1 m from x, y, yaw of named lanes; signals are (kind, controller, phase)."""
    names = list(lines)
    index = {name: i for i, name in enumerate(names)}
    starts = np.concatenate([[0], np.cumsum([len(line[0]) for line in lines.values()])])
    following = [[index[b] for a, b in links if a == name] for name in names]

    def lane_values(values: Mapping[str, Any] | None, absent: Any) -> np.ndarray:
        return np.array([(values or {}).get(name, absent) for name in names])

    def lanes_named(values: Mapping[str, str] | None) -> np.ndarray:
        return np.array([index[values[name]] if values and name in values else -1 for name in names])

    right = {other: name for name, other in (left or {}).items()}
    num_signals = len(signals)
    road_map = RoadMap(
        name="made",
        step_m=1.0,
        lane_start=starts.astype(np.int64),
        x_m=np.concatenate([line[0] for line in lines.values()]),
        y_m=np.concatenate([line[1] for line in lines.values()]),
        yaw_rad=np.concatenate([line[2] for line in lines.values()]),
        curvature_per_m=np.concatenate([np.gradient(line[2], 1.0) for line in lines.values()]),
        s_m=np.concatenate([np.arange(len(line[0]), dtype=float) for line in lines.values()]),
        width_m=np.full(int(starts[-1]), LANE_M),
        lane_road_id=np.arange(len(names)),
        lane_opendrive_id=np.full(len(names), -1),
        lane_kind=np.full(len(names), DRIVING),
        lane_speed_limit_mps=lane_values(limit_mps, 50.0 / 3.6).astype(float),
        lane_left=lanes_named(left),
        lane_right=lanes_named(right),
        lane_junction_id=lane_values(junction, -1),
        lane_opposite=lanes_named(opposite),
        successor_start=np.concatenate([[0], np.cumsum([len(f) for f in following])]).astype(np.int64),
        successor=np.array([lane for f in following for lane in f], dtype=np.int64),
        signal_kind=np.array([signal[0] for signal in signals], dtype=np.int64),
        signal_id=np.arange(num_signals),
        signal_controller=np.array([signal[1] for signal in signals], dtype=np.int64),
        signal_phase=np.array([signal[2] for signal in signals], dtype=np.int64),
        signal_x_m=np.zeros(num_signals),
        signal_y_m=np.zeros(num_signals),
        signal_z_m=np.full(num_signals, 5.0),
        signal_yaw_rad=np.zeros(num_signals),
        stop_lane=np.array([index[stop[0]] for stop in stops], dtype=np.int64),
        stop_s_m=np.array([stop[1] for stop in stops], dtype=np.float64),
        stop_signal=np.array([stop[2] for stop in stops], dtype=np.int64),
    )
    return road_map, index


def curve(
    x: float, y: float, yaw: float, length: float, curvature: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns an arc (or a straight line) sampled each metre from its beginning."""
    s = np.arange(0.0, length + 1e-9, 1.0)
    headings = yaw + curvature * s
    if curvature == 0.0:
        return x + s * math.cos(yaw), y + s * math.sin(yaw), headings
    return (
        x + (np.sin(headings) - math.sin(yaw)) / curvature,
        y - (np.cos(headings) - math.cos(yaw)) / curvature,
        headings,
    )


@pytest.fixture(scope="session")
def junction_map() -> Callable[..., tuple[RoadMap, dict[str, int]]]:
    """Returns a builder of the four-arm junction; lanes ``in_ARM``, ``out_ARM`` and ``ARM_ARM`` inside."""

    def build(**options: Any) -> tuple[RoadMap, dict[str, int]]:
        lines: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        links: list[tuple[str, str]] = []
        junction: dict[str, int] = {}
        half = 0.5 * LANE_M
        for number, arm in enumerate(ARMS):
            turn = number * 0.5 * math.pi  # the southern arm, turned
            cos, sin = math.cos(turn), math.sin(turn)

            def placed(
                x: float,
                y: float,
                yaw: float,
                length: float,
                curvature: float = 0.0,
                pose: tuple[float, float, float] = (cos, sin, turn),
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
                c, s, t = pose
                return curve(c * x - s * y, s * x + c * y, yaw + t, length, curvature)

            north = 0.5 * math.pi
            lines[f"in_{arm}"] = placed(half, -HALF_BOX_M - ARM_LENGTH_M, north, ARM_LENGTH_M)
            lines[f"out_{arm}"] = placed(-half, -HALF_BOX_M, -north, ARM_LENGTH_M)
            right_m, left_m = HALF_BOX_M - half, HALF_BOX_M + half
            turns = (
                (1, 0.5 * math.pi * right_m, -1.0 / right_m),
                (2, 2.0 * HALF_BOX_M, 0.0),
                (3, 0.5 * math.pi * left_m, 1.0 / left_m),
            )
            for step, length, curvature in turns:
                other = ARMS[(number + step) % 4]
                name = f"{arm}_{other}"
                lines[name] = placed(half, -HALF_BOX_M, north, length, curvature)
                links += [(f"in_{arm}", name), (name, f"out_{other}")]
                junction[name] = 7
        opposite = {f"in_{arm}": f"out_{arm}" for arm in ARMS} | {f"out_{arm}": f"in_{arm}" for arm in ARMS}
        return made_map(lines, links, junction=junction, opposite=opposite, **options)

    return build
