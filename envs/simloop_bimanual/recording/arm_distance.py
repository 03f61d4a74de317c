"""How near the two arms have come to each other: the least distance of their collision geometry so far.

MuJoCo measures a pair of geoms only if it can be nearer than any pair was before: a pair's distance shrinks by no more
than its two geoms have moved since it was measured, and is never below that of the spheres around them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simloop_bimanual.models.two_arm_model import TwoArmModel

FloatArray = npt.NDArray[np.float64]

FARTHEST_M = 1.0
"""Distance from which arms are not told apart any more."""
_RESOLUTION_M = 5e-4


class DistanceState(NamedTuple):
    """What ``least_distance`` works in: arrays whose types are the same for all models, so that it is compiled once.

    Attributes:
        least_m: (1,) the least distance so far.
        left, right: (L,) and (R,) moving geoms of either arm, grippers included.
        left_radius_m, right_radius_m: (L,) and (R,) radii of the spheres around them.
        left_pose, right_pose: (L, 12) and (R, 12) where they were: positions, rotation matrices.
        bound_m: (L, R) what each pair's distance is at least.
    """

    least_m: FloatArray
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    left_radius_m: FloatArray
    right_radius_m: FloatArray
    left_pose: FloatArray
    right_pose: FloatArray
    bound_m: FloatArray


def distance_state(model: TwoArmModel) -> DistanceState:
    """Returns the state of a model's arms before anything is measured."""
    mj_model = model.mj_model
    is_fixed = mj_model.body_weldid[mj_model.geom_bodyid] == 0
    sides = np.array([model.class_names[number].split("_")[0] for number in model.geom_class])
    left, right = (np.flatnonzero((sides == side) & ~is_fixed) for side in ("left", "right"))
    state = DistanceState(
        least_m=np.empty(1),
        left=left,
        right=right,
        left_radius_m=mj_model.geom_rbound[left],
        right_radius_m=mj_model.geom_rbound[right],
        left_pose=np.zeros((len(left), 12)),
        right_pose=np.zeros((len(right), 12)),
        bound_m=np.empty((len(left), len(right))),
    )
    clear_distance(state)
    return state


def clear_distance(state: DistanceState) -> None:
    """Forgets what was measured, for the next episode."""
    state.least_m[:], state.bound_m[:] = FARTHEST_M, -np.inf


@intrinsic
def _mj_geom_distance(
    typing_context: Any, function: Any, model: Any, data: Any, left: Any, right: Any, limit: Any
) -> Any:
    """Calls ``mj_geomDistance(model, data, left, right, limit, NULL)`` at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer, whole, real = ir.IntType(8).as_pointer(), ir.IntType(32), ir.DoubleType()
        kind = ir.FunctionType(real, [pointer, pointer, whole, whole, real, pointer])
        address, model_address, data_address, first, second, farthest = values
        return builder.call(
            builder.inttoptr(address, kind.as_pointer()),
            [
                builder.inttoptr(model_address, pointer),
                builder.inttoptr(data_address, pointer),
                builder.trunc(first, whole),
                builder.trunc(second, whole),
                farthest,
                ir.Constant(pointer, None),
            ],
        )

    whole = types.int64
    return types.float64(whole, whole, whole, whole, whole, types.float64), generate


_measure: Any = _mj_geom_distance  # compiled code calls it without the typing context


@numba.njit(cache=True, error_model="numpy")
def _distance(function: int, model: int, data: int, left: int, right: int) -> float:
    """Returns the distance of two geoms, m, at most ``FARTHEST_M``."""
    found = _measure(function, model, data, left, right, FARTHEST_M)
    if found != 0.0:
        return float(found)
    # In a few poses of separate bodies MuJoCo 3.9 answers 0; whether they are farther than some distance is right.
    near, far = 0.0, FARTHEST_M
    while far - near > _RESOLUTION_M:
        middle = (near + far) / 2.0
        if _measure(function, model, data, left, right, middle) < middle:
            far = middle
        else:
            near = middle
    return near


@numba.njit(cache=True, error_model="numpy")
def _rotation_reach(geom_xmat: Any, geoms: Any, radii: Any, poses: Any) -> Any:
    """Returns how far the rotation since the last call has moved any point of each geom at most, and keeps it."""
    moved = np.empty(len(geoms))
    for i in range(len(geoms)):
        turn = 0.0
        for k in range(9):
            turn += (geom_xmat[geoms[i], k] - poses[i, 3 + k]) ** 2
            poses[i, 3 + k] = geom_xmat[geoms[i], k]
        moved[i] = radii[i] * np.sqrt(turn / 2.0)  # the norm is 2 sqrt(2) sin(angle / 2)
    return moved


@numba.njit(cache=True, error_model="numpy")
def least_distance(s: Any, function: int, model: int, data: int, geom_xpos: Any, geom_xmat: Any) -> float:
    """Returns the least distance at any call since ``clear_distance``, m, at most ``FARTHEST_M``; negative in overlap.

    Args:
        s: A ``DistanceState``.
        function: Address of ``mj_geomDistance``.
        model, data: Addresses of MjModel and MjData; geoms are where the joints put them.
        geom_xpos, geom_xmat: Views of MjData.
    """
    num_left, num_right = len(s.left), len(s.right)
    left_turned = _rotation_reach(geom_xmat, s.left, s.left_radius_m, s.left_pose)
    right_turned = _rotation_reach(geom_xmat, s.right, s.right_radius_m, s.right_pose)
    for i in range(num_left):
        a = s.left[i]
        for j in range(num_right):
            b = s.right[j]
            gap, shift = 0.0, 0.0
            for k in range(3):
                now = geom_xpos[a, k] - geom_xpos[b, k]
                gap += now**2
                shift += (now - s.left_pose[i, k] + s.right_pose[j, k]) ** 2
            spheres = np.sqrt(gap) - s.left_radius_m[i] - s.right_radius_m[j]
            moved = np.sqrt(shift) + left_turned[i] + right_turned[j]
            s.bound_m[i, j] = max(s.bound_m[i, j] - moved, spheres)
    for i in range(num_left):
        for k in range(3):
            s.left_pose[i, k] = geom_xpos[s.left[i], k]
    for j in range(num_right):
        for k in range(3):
            s.right_pose[j, k] = geom_xpos[s.right[j], k]
    while num_left * num_right > 0:
        best_i, best_j = 0, 0
        for i in range(num_left):
            for j in range(num_right):
                if s.bound_m[i, j] < s.bound_m[best_i, best_j]:
                    best_i, best_j = i, j
        if s.bound_m[best_i, best_j] >= s.least_m[0]:
            break
        found = _distance(function, model, data, s.left[best_i], s.right[best_j])
        s.bound_m[best_i, best_j] = found
        s.least_m[0] = min(s.least_m[0], found)
    least: float = s.least_m[0]
    return least
