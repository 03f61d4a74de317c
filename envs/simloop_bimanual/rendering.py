"""Camera images of the two-arm scene, drawn without OpenGL from frozen body poses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from simloop.rendering import Background, Camera, Light, RenderedImage, Scene
from simloop.rendering.camera_frames import look_at
from simloop_bimanual.model import TwoArmModel
from simloop_bimanual.scene_meshes import scene_meshes
from simloop_bimanual.tasks import TASKS
from simloop_bimanual.visual_meshes import BodyMesh, load_meshes, shape_name

FloatArray = npt.NDArray[np.float64]

FRONT_CAMERA_FOV_RAD = 0.75
_NEAR_M, _FAR_M = 0.01, 30.0

SEMANTICS = (
    "other",
    "left_arm",
    "right_arm",
    "left_gripper",
    "right_gripper",
    "pot",
    "table",
    "floor",
    "object",
)
"""Classes of the semantic image, by value."""

_BACKGROUND = Background.uniform((0.78, 0.80, 0.82))
_LIGHT = Light(direction_world=(-0.5, 0.15, -0.85))


def semantic_class(body_name: str) -> int:
    """Returns the index into ``SEMANTICS`` of a body by its name."""
    for index, side in enumerate(("left", "right")):
        if body_name.startswith(f"gripper{index}_"):
            return SEMANTICS.index(f"{side}_gripper")
        if body_name.startswith((f"robot{index}_", f"fixed_mount{index}_")):
            return SEMANTICS.index(f"{side}_arm")
    if body_name.startswith("table"):
        return SEMANTICS.index("table")
    return SEMANTICS.index({"pot_root": "pot", "world": "floor"}.get(body_name, "object"))


class TwoArmView:
    """A scene with every visible body of the model, drawn from poses that were frozen before.

    Args:
        model: The physics model; its body order is that of the poses.
        meshes: Triangles by shape name (``visual_meshes.shape_name``).
    """

    def __init__(self, model: TwoArmModel, meshes: Mapping[str, BodyMesh]) -> None:
        self._model = model
        self._scene = Scene(background=_BACKGROUND, light=_LIGHT)
        shapes = {name: mesh.to_mesh() for name, mesh in meshes.items()}
        bodies = []
        for body, name in enumerate(model.body_names):
            if shape_name(name) in shapes:
                semantic = semantic_class(name)
                self._scene.add(shapes[shape_name(name)], semantic=semantic, instance=semantic)
                bodies.append(body)
        self._bodies = np.array(bodies)

    def freeze(
        self, camera: str, xpos: FloatArray, xmat: FloatArray, *, height_px: int, width_px: int
    ) -> Callable[[], npt.NDArray[np.uint8]]:
        """Copies the poses and returns the function that draws the RGB image of (height_px, width_px, 3) uint8."""
        positions, rotations = xpos[self._bodies], xmat[self._bodies].reshape(-1, 3, 3)
        position, rotation, fov_rad = self.camera_pose(camera, xpos, xmat)
        lens = Camera(width_px, height_px, vertical_fov_rad=fov_rad, near_m=_NEAR_M, far_m=_FAR_M)

        def draw() -> npt.NDArray[np.uint8]:
            self._scene.set_poses(positions, rotations)
            return self._scene.render(lens, position, rotation, outputs=("rgb",), supersampling=2).rgb

        return draw

    def draw(
        self, camera: str, xpos: FloatArray, xmat: FloatArray, *, height_px: int, width_px: int
    ) -> RenderedImage:
        """Draws colours, depth and classes at once."""
        position, rotation, fov_rad = self.camera_pose(camera, xpos, xmat)
        lens = Camera(width_px, height_px, vertical_fov_rad=fov_rad, near_m=_NEAR_M, far_m=_FAR_M)
        self._scene.set_poses(xpos[self._bodies], xmat[self._bodies].reshape(-1, 3, 3))
        return self._scene.render(lens, position, rotation)

    def camera_pose(
        self, camera: str, xpos: FloatArray, xmat: FloatArray
    ) -> tuple[FloatArray, FloatArray, float]:
        """Returns position (3,) in the world, rotation (3, 3) world from camera, and vertical field of view."""
        if camera == "front_camera":
            task = TASKS[self._model.task]
            rotation = look_at(task.front_camera_position_m, task.front_camera_target_m)
            return np.array(task.front_camera_position_m), rotation, FRONT_CAMERA_FOV_RAD
        wrist = self._model.wrist_cameras[("left_wrist_camera", "right_wrist_camera").index(camera)]
        rotation = xmat[wrist.body].reshape(3, 3)
        position = xpos[wrist.body] + rotation @ wrist.position_camera_in_body_m
        return position, rotation @ wrist.rotation_camera_in_body, wrist.vertical_fov_rad


@functools.cache
def _lift_view(model: TwoArmModel) -> TwoArmView:
    return TwoArmView(model, load_meshes())


def two_arm_view(model: TwoArmModel) -> TwoArmView:
    """Returns a view of a model with the geometry that it has now, with reduced triangles of the arms.

    Where a task has fixed geometry there is one view in a process.
    """
    if not model.scenery:
        return _lift_view(model)
    return TwoArmView(model, scene_meshes(model.mj_model, model.scenery, model.object_bodies))
