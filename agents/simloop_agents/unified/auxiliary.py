"""Ground-truth targets that help the backbone to see: used in training only, dropped from the shipped weights.

For each embodiment a vector of targets is predicted from the readout tokens. For the car, vehicles are also marked in
the image itself: in each cell of a grid, how much of it the nearest vehicle covers and where that vehicle is. A vision
tower without pretraining finds small objects far sooner with such dense targets.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# The front camera of the driving world (simloop_driving.camera), needed to mark vehicles in its image.
CAMERA_HEIGHT_PX, CAMERA_WIDTH_PX = 96, 160
_FOCAL_PX = 0.5 * CAMERA_WIDTH_PX / math.tan(0.5 * math.radians(55.0))
_MOUNT_FORWARD_M, _MOUNT_HEIGHT_M = 0.6, 1.35
_PITCH_RAD = math.radians(3.0)
_VEHICLE_HEIGHT_M = 1.5
_TRUCK_LENGTH_M, _TRUCK_HEIGHT_M = 7.0, 3.4

_IS_PRESENT, _X, _Y, _HEADING, _SPEED, _ACCELERATION, _LENGTH, _WIDTH = range(8)
_FAR_M = 90.0
_IN_PATH_M = 1.9
NUM_VEHICLE_TARGETS = 4
"""Of a marked vehicle: coverage, log distance, lateral position, closing speed."""


class Targets(NamedTuple):
    """Targets and how much each counts.

    Attributes:
        values: (N, ...) float32, about unit scale.
        weights: (N, ...) float32, 0 where there is nothing to predict.
    """

    values: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


def car_targets(objects: FloatArray, route: FloatArray, ego_state: FloatArray) -> Targets:
    """Returns 23 targets: lane position, bend ahead, lead vehicle, nearest vehicles ahead in the lanes beside.

    Args:
        objects: (N, 16, 8) as the world's sensor.
        route: (N, M, 8) as the world's sensor.
        ego_state: (N, 4) as the world's sensor.
    """
    values, weights = [], []
    for actors, line, ego in zip(objects, route, ego_state, strict=True):
        row = [line[0, 1] / 0.4, line[0, 2] / 0.02, *(line[[0, 5, 12], 3] * 400.0)]
        row_weights = [1.0] * 5
        present = actors[(actors[:, _IS_PRESENT] > 0.5) & (actors[:, _X] > 1.0) & (actors[:, _X] < _FAR_M)]
        offset = present[:, _Y] - np.interp(present[:, _X], line[:, 0], line[:, 1])
        for slot in (
            np.abs(offset) < _IN_PATH_M,
            (offset >= _IN_PATH_M) & (offset < 6.0),
            offset <= -_IN_PATH_M,
        ):
            found = present[slot]
            if not len(found):
                row += [-1.0] + [0.0] * 5
                row_weights += [1.0] + [0.0] * 5
                continue
            nearest = int(np.argmin(found[:, _X]))
            actor, lateral = found[nearest], offset[slot][nearest]
            gap = max(actor[_X] - 0.5 * actor[_LENGTH] - 2.35, 0.5)
            row += [
                1.0,
                math.log(gap / 20.0),
                (ego[0] - actor[_SPEED]) / 4.0,
                10.0 / max(gap, 5.0),
                actor[_ACCELERATION] / 2.0,
                (abs(lateral) - 3.6) if abs(lateral) >= _IN_PATH_M else lateral,
            ]
            row_weights += [1.0] * 6
        values.append(row)
        weights.append(row_weights)
    return Targets(np.array(values, dtype=np.float32), np.array(weights, dtype=np.float32))


def two_arm_targets(robot_state: FloatArray, object_state: FloatArray) -> Targets:
    """Returns 17 targets: each handle from its gripper, in the base's and the gripper's frame; bars; clearance.

    Args:
        robot_state: (N, 32) as the world's sensor.
        object_state: (N, 32) as the world's sensor.
    """
    parts = []
    for arm in range(2):
        own = robot_state[:, 16 * arm : 16 * arm + 16]
        item = object_state[:, 14 + 9 * arm : 23 + 9 * arm]
        away = item[:, 0:3] - own[:, 0:3]
        first, second = own[:, 3:6], own[:, 6:9]
        axes = (first, second, np.cross(first, second))
        seen = np.stack([(axis * away).sum(axis=1) for axis in axes], axis=1)
        bar = item[:, 3:5] * np.where(item[:, 4:5] >= 0.0, 1.0, -1.0)
        parts += [away / 0.1, seen / 0.1, bar * 1.5]
    parts.append(object_state[:, 13:14] / 0.05)
    values = np.concatenate(parts, axis=1).astype(np.float32)
    return Targets(values, np.ones_like(values))


def vehicle_grid(objects: FloatArray, ego_state: FloatArray, cell_px: int) -> Targets:
    """Marks vehicles in the front camera's image, cell by cell.

    Args:
        objects: (N, 16, 8) as the world's sensor.
        ego_state: (N, 4) as the world's sensor.
        cell_px: Side of a cell in pixels.

    Returns:
        Values and weights (N, rows, columns, 4); the last axis as ``NUM_VEHICLE_TARGETS`` says, of the nearest
        vehicle that covers at least 3 % of the cell.
    """
    rows, columns = CAMERA_HEIGHT_PX // cell_px, CAMERA_WIDTH_PX // cell_px
    ahead = objects[..., _X] - 0.5 * objects[..., _LENGTH] - _MOUNT_FORWARD_M
    is_marked = (objects[..., _IS_PRESENT] > 0.5) & (ahead > 1.0) & (ahead < 1.5 * _FAR_M)
    distance = np.where(is_marked, ahead, 1e6)
    height = np.where(objects[..., _LENGTH] > _TRUCK_LENGTH_M, _TRUCK_HEIGHT_M, _VEHICLE_HEIGHT_M)
    centre_row = 0.5 * CAMERA_HEIGHT_PX - _FOCAL_PX * math.tan(_PITCH_RAD)
    bottom = centre_row + _FOCAL_PX * _MOUNT_HEIGHT_M / distance
    top = centre_row + _FOCAL_PX * (_MOUNT_HEIGHT_M - height) / distance
    left = 0.5 * CAMERA_WIDTH_PX - _FOCAL_PX * (objects[..., _Y] + 0.5 * objects[..., _WIDTH]) / distance
    right = 0.5 * CAMERA_WIDTH_PX - _FOCAL_PX * (objects[..., _Y] - 0.5 * objects[..., _WIDTH]) / distance
    cover = (
        _overlap(top, bottom, rows, cell_px)[..., :, None]
        * _overlap(left, right, columns, cell_px)[..., None, :]
    )
    cover *= is_marked[..., None, None]
    is_seen = cover > 0.03
    order = np.where(is_seen, distance[..., None, None], np.inf)
    nearest = np.argmin(order, axis=1)[:, None]
    described = np.stack(
        [
            np.zeros_like(distance),
            np.log(np.maximum(distance, 1.0) / 20.0),
            objects[..., _Y] / 4.0,
            (ego_state[:, None, 0] - objects[..., _SPEED]) / 4.0,
        ],
        axis=-1,
    )
    chosen = np.take_along_axis(
        np.broadcast_to(described[:, :, None, None], (*cover.shape, NUM_VEHICLE_TARGETS)),
        nearest[..., None],
        axis=1,
    )[:, 0]
    values = np.where(is_seen.any(axis=1)[..., None], chosen, 0.0)
    values[..., 0] = 2.0 * cover.max(axis=1)
    weights = np.repeat(5.0 * is_seen.any(axis=1)[..., None].astype(np.float32), NUM_VEHICLE_TARGETS, axis=-1)
    weights[..., 0] = 1.0
    return Targets(values.astype(np.float32), weights)


def _overlap(low: FloatArray, high: FloatArray, num_cells: int, cell_px: int) -> FloatArray:
    edges = np.arange(num_cells) * cell_px
    inside = np.minimum(high[..., None], edges + cell_px) - np.maximum(low[..., None], edges)
    shares: FloatArray = np.clip(inside, 0.0, None) / cell_px
    return shares
