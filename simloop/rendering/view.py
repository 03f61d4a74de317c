"""What the kernels are told about the camera, and the buffers that they share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simloop.rendering.camera import Camera


class View(NamedTuple):
    """A camera at a pose.

    Attributes:
        fx: Focal length along the rows, in samples.
        fy: Focal length along the columns, in samples.
        cx: Column of the principal point, in samples from the left edge.
        cy: Row of the principal point, in samples from the top edge.
        near_m: Near plane.
        far_m: Far plane.
        detail_focal_px: Focal length in pixels of the image, which decides the levels of detail.
        position_m: (3,) float64, in the world.
        rotation: (3, 3) float64, world from camera (x right, y up, z backward).
        is_culling: Whether whole instances and clusters may be skipped; the images do not depend on it.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    near_m: float
    far_m: float
    detail_focal_px: float
    position_m: npt.NDArray[np.float64]
    rotation: npt.NDArray[np.float64]
    is_culling: bool


class Visibility(NamedTuple):
    """What is seen by each sample; all (height, width).

    Attributes:
        inverse_depth: float32, in 1/m along the optical axis; 1 / far plane where nothing is seen.
        face: int32, index in the packed geometry; -1 where nothing is seen.
        instance: int32, row among the instances; -1 where nothing is seen.
    """

    inverse_depth: npt.NDArray[np.float32]
    face: npt.NDArray[np.int32]
    instance: npt.NDArray[np.int32]


class LitVertices(NamedTuple):
    """Light at vertices of meshes that are lit there, and on small flat faces near lamps; computed at first sight.

    Attributes:
        stamp: (num_vertices,) int64, for which image and instance the values hold.
        values: (num_vertices, 6) float64: light in three channels, column and row in the image, inverse depth, or 0
            nearer than the near plane.
        face_stamp: (num_faces,) int64, the same for faces.
        face_strength: (num_faces, 3) float64, light in three channels.
    """

    stamp: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    face_stamp: npt.NDArray[np.int64]
    face_strength: npt.NDArray[np.float64]


def empty_lit_vertices(num_vertices: int, num_faces: int) -> LitVertices:
    """Room whose values hold for no image yet."""
    return LitVertices(
        stamp=np.full(num_vertices, -1, dtype=np.int64),
        values=np.empty((num_vertices, 6)),
        face_stamp=np.full(num_faces, -1, dtype=np.int64),
        face_strength=np.empty((num_faces, 3)),
    )


def view_of(
    camera: Camera,
    position_m: npt.NDArray[np.float64],
    rotation_world_from_camera: npt.NDArray[np.float64],
    *,
    supersampling: int,
    is_culling: bool,
) -> View:
    """The camera with `supersampling` samples per pixel along each axis."""
    fx, fy, cx, cy = camera.intrinsics.tolist()
    return View(
        fx=fx * supersampling,
        fy=fy * supersampling,
        cx=cx * supersampling,
        cy=cy * supersampling,
        near_m=float(camera.near_m),
        far_m=float(camera.far_m),
        detail_focal_px=fy,
        position_m=position_m,
        rotation=rotation_world_from_camera,
        is_culling=is_culling,
    )


def empty_visibility(height: int, width: int) -> Visibility:
    """Buffers of a size; their content is not defined."""
    return Visibility(
        inverse_depth=np.empty((height, width), dtype=np.float32),
        face=np.empty((height, width), dtype=np.int32),
        instance=np.empty((height, width), dtype=np.int32),
    )
