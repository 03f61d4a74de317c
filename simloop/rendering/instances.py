"""Poses and appearance of all instances of a scene, as growing arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Instances(NamedTuple):
    """One row per instance, in the order in which they were added.

    Attributes:
        mesh: (num_instances,) int32, position of the mesh in the scene.
        position_m: (num_instances, 3) float64, origin of the mesh frame in the world.
        rotation: (num_instances, 3, 3) float64, world from mesh.
        scale: (num_instances, 3) float64, along the axes of the mesh frame.
        is_visible: (num_instances,) uint8.
        has_colour: (num_instances,) uint8, 1 where `colour` replaces the mesh's colours, 2 where it multiplies them.
        colour: (num_instances, 3) float32.
        semantic: (num_instances,) int32.
        instance: (num_instances,) int32.
    """

    mesh: npt.NDArray[np.int32]
    position_m: npt.NDArray[np.float64]
    rotation: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    is_visible: npt.NDArray[np.uint8]
    has_colour: npt.NDArray[np.uint8]
    colour: npt.NDArray[np.float32]
    semantic: npt.NDArray[np.int32]
    instance: npt.NDArray[np.int32]


def empty_instances(capacity: int) -> Instances:
    """Room for `capacity` instances at the origin: unrotated, unscaled, visible."""
    return Instances(
        mesh=np.zeros(capacity, dtype=np.int32),
        position_m=np.zeros((capacity, 3)),
        rotation=np.tile(np.eye(3), (capacity, 1, 1)),
        scale=np.ones((capacity, 3)),
        is_visible=np.ones(capacity, dtype=np.uint8),
        has_colour=np.zeros(capacity, dtype=np.uint8),
        colour=np.zeros((capacity, 3), dtype=np.float32),
        semantic=np.zeros(capacity, dtype=np.int32),
        instance=np.zeros(capacity, dtype=np.int32),
    )


def grown(instances: Instances, capacity: int) -> Instances:
    """A copy with more room."""
    count = len(instances.mesh)
    new = empty_instances(capacity)
    for name in Instances._fields:
        getattr(new, name)[:count] = getattr(instances, name)
    return new


def first_rows(instances: Instances, count: int) -> Instances:
    """Views of the rows in use."""
    return Instances(**{name: getattr(instances, name)[:count] for name in Instances._fields})
