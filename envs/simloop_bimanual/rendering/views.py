"""Camera images of the two-arm scene, drawn without OpenGL from frozen body poses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from simloop.rendering import Background, Camera, Lamp, Light, Mesh, RenderedImage, Scene
from simloop_bimanual.models.two_arm_model import TwoArmModel
from simloop_bimanual.rendering.arm_meshes import panda_meshes
from simloop_bimanual.rendering.cameras import camera_pose
from simloop_bimanual.rendering.cloth_meshes import ClothMesh, cloth_meshes
from simloop_bimanual.rendering.gl_rendering import GL_MODES, GlView, has_distractors
from simloop_bimanual.rendering.looks import COLOURED, Look, coloured_part
from simloop_bimanual.rendering.render_options import checked_rendering
from simloop_bimanual.rendering.scene_meshes import Part, parts
from simloop_bimanual.rendering.visual_meshes import BodyMesh, is_robot, load_meshes, shape_name
from simloop_bimanual.tasks import TASKS

FloatArray = npt.NDArray[np.float64]

_NEAR_M, _FAR_M = 0.01, 30.0
_KEPT_VIEWS = 16

SEMANTICS: Final = (
    "other",
    "left_arm",
    "right_arm",
    "left_gripper",
    "right_gripper",
    "pot",
    "table",
    "floor",
    "object",
    "wall",
    "cloth",
)
"""Classes of the semantic image, by value; a task's own classes of objects follow (``semantic_names``)."""

_BACKGROUND = Background.uniform((0.78, 0.80, 0.82))
_PLAIN_LIGHT = Light(direction_world=(-0.5, 0.15, -0.85))


def semantic_names(task: str) -> tuple[str, ...]:
    """Returns the classes of a task's semantic images, by value."""
    own = [name for name in TASKS[task].object_prefixes.values() if name not in SEMANTICS]
    return (*SEMANTICS, *dict.fromkeys(own))


class View(Protocol):
    """Draws the cameras of one world."""

    def freeze(
        self,
        camera: str,
        data: Any,
        *,
        height_px: int,
        width_px: int,
        look: Mapping[str, float] | None = None,
    ) -> Callable[[], npt.NDArray[np.uint8]]:
        """Copies what of ``data`` (MjData) is seen and returns the function that draws the RGB image.

        Args:
            camera: Name of the camera.
            data: MjData of the physics model, with fresh positions.
            height_px: Height of the image.
            width_px: Width of the image.
            look: Values of ``looks.PARAMETERS``; missing ones are neutral.

        Returns:
            Function without arguments, returning (height_px, width_px, 3) uint8, top row first.
        """
        ...


class TwoArmView:
    """A scene with every visible body of the model, drawn from poses that were frozen before.

    Args:
        model: The physics model; its body order is that of the poses.
        meshes: Meshes by the name of a body or by its shape's (``visual_meshes.shape_name``).
        scene_parts: Further triangles.
        lamps: Lights, besides ``light``; the headlight comes from the camera.
        light: What shines from everywhere or from one direction.
        headlight_rgb: Strength of the light that comes from the camera.
    """

    def __init__(
        self,
        model: TwoArmModel,
        meshes: Mapping[str, Mesh],
        scene_parts: list[Part] | None = None,
        *,
        lamps: tuple[Lamp, ...] = (),
        light: Light = _PLAIN_LIGHT,
        headlight_rgb: tuple[float, float, float] | None = None,
    ) -> None:
        self._model = model
        self._lamps, self._light, self._headlight_rgb = lamps, light, headlight_rgb
        self._scene = Scene(background=_BACKGROUND, light=light)
        self.semantics = semantic_names(model.task)
        """Names of the classes of the semantic image, by value."""
        self._classes = _classes_of_bodies(model)
        self._coloured: dict[str, list[int]] = {what: [] for what in COLOURED}
        self._tints: dict[str, tuple[float, float, float] | None] = dict.fromkeys(COLOURED)
        numbers = {name: body for body, name in enumerate(model.body_names)}
        bodies: list[int] = []
        for name, body in numbers.items():
            mesh = meshes.get(name, meshes.get(shape_name(name)))
            if mesh is not None:
                self._add(bodies, mesh, name, body, coloured_part(name, "floor"))
        for part in scene_parts or ():
            self._add(bodies, part.mesh, part.body, numbers[part.body], part.coloured, part)
        self._cloths: list[tuple[int, ClothMesh]] = []
        for cloth in cloth_meshes(model):
            handle = self._scene.add(
                cloth.mesh, semantic=self.semantics.index("cloth"), instance=self.semantics.index("cloth")
            )
            self._coloured["object"].append(handle)
            self._cloths.append((handle, cloth))
            bodies.append(0)
        self._bodies = np.array(bodies)

    def _add(
        self, bodies: list[int], mesh: Mesh, name: str, body: int, coloured: str, part: Part | None = None
    ) -> None:
        label = "wall" if part is not None and part.is_wall else self._classes.get(name, semantic_class(name))
        semantic = self.semantics.index(label)
        opacity = 1.0 if part is None else part.opacity
        handle = self._scene.add(mesh, semantic=semantic, instance=semantic, opacity=opacity)
        if coloured:
            self._coloured[coloured].append(handle)
        bodies.append(body)

    def freeze(
        self,
        camera: str,
        data: Any,
        *,
        height_px: int,
        width_px: int,
        look: Mapping[str, float] | None = None,
    ) -> Callable[[], npt.NDArray[np.uint8]]:
        """Copies the poses and returns the function that draws the RGB image (see ``View.freeze``)."""
        prepare = self._frozen(camera, data.xpos, data.xmat, height_px, width_px, Look(look))

        def draw() -> npt.NDArray[np.uint8]:
            lens, position, rotation = prepare()
            return self._scene.render(lens, position, rotation, outputs=("rgb",), supersampling=2).rgb

        return draw

    def draw(
        self,
        camera: str,
        xpos: FloatArray,
        xmat: FloatArray,
        *,
        height_px: int,
        width_px: int,
        look: Mapping[str, float] | None = None,
    ) -> RenderedImage:
        """Draws colours, depth and classes (``semantics``) at once, with one sample a pixel."""
        lens, position, rotation = self._frozen(camera, xpos, xmat, height_px, width_px, Look(look))()
        return self._scene.render(lens, position, rotation)

    def camera_pose(
        self, camera: str, xpos: FloatArray, xmat: FloatArray
    ) -> tuple[FloatArray, FloatArray, float]:
        """Returns position (3,) in the world, rotation (3, 3) world from camera, and vertical field of view."""
        return camera_pose(self._model, camera, xpos, xmat, Look())

    def _frozen(
        self, camera: str, xpos: FloatArray, xmat: FloatArray, height_px: int, width_px: int, look: Look
    ) -> Callable[[], tuple[Camera, FloatArray, FloatArray]]:
        """Copies the poses and returns the function that puts the scene into them."""
        positions, rotations = xpos[self._bodies], xmat[self._bodies].reshape(-1, 3, 3)
        cloths = [(handle, cloth.vertices_m(xpos, xmat)) for handle, cloth in self._cloths]
        position, rotation, fov_rad = camera_pose(self._model, camera, xpos, xmat, look)
        lens = Camera(width_px, height_px, vertical_fov_rad=fov_rad, near_m=_NEAR_M, far_m=_FAR_M)

        def prepare() -> tuple[Camera, FloatArray, FloatArray]:
            self._scene.set_poses(positions, rotations)
            for handle, vertices_m in cloths:
                self._scene.set_vertices(handle, vertices_m)
            self._set_look(look, rotation)
            return lens, position, rotation

        return prepare

    def _set_look(self, look: Look, rotation: FloatArray) -> None:
        turn, ratio = look.light_rotation, look.intensity_ratio
        self._scene.light = _turned_light(self._light, turn, ratio)
        lamps = [_turned_lamp(lamp, turn, ratio) for lamp in self._lamps]
        if self._headlight_rgb is not None:
            forward = tuple((-rotation[:, 2]).tolist())
            lamps.append(Lamp(direction_world=forward, rgb=tuple(ratio * c for c in self._headlight_rgb)))
        self._scene.lamps = lamps
        for what in COLOURED:
            tint = look.tint(what)
            if tint != self._tints[what]:
                self._tints[what] = tint
                for handle in self._coloured[what]:
                    self._scene.set_tint(handle, tint)


def semantic_class(body_name: str) -> str:
    """Returns the class of a body that is not an object of the task, by its name."""
    for index, side in enumerate(("left", "right")):
        if body_name.startswith(f"gripper{index}_"):
            return f"{side}_gripper"
        if is_robot(body_name) and f"{index}_" in body_name[:13]:
            return f"{side}_arm"
    if body_name.startswith("table"):
        return "table"
    return "floor" if body_name == "world" else "object"


def _classes_of_bodies(model: TwoArmModel) -> dict[str, str]:
    """Classes of arms, grippers and the task's objects, by the names of their bodies, as contacts call them."""
    known = {*SEMANTICS[1:5], *TASKS[model.task].object_prefixes.values()}
    classes: dict[str, str] = {}
    for geom, body in enumerate(model.mj_model.geom_bodyid):
        label = model.class_names[int(model.geom_class[geom])].replace("_fingers", "_gripper")
        if label in known:
            classes.setdefault(model.body_names[int(body)], label)
    return classes


def _turned_light(light: Light, turn: FloatArray | None, ratio: float) -> Light:
    if turn is None and ratio == 1.0:
        return light
    direction = np.asarray(light.direction_world, dtype=np.float64)
    return Light(
        direction_world=tuple((direction if turn is None else turn @ direction).tolist()),
        directional_rgb=_scaled(light.directional_rgb, ratio),
        ambient_sky_rgb=_scaled(light.ambient_sky_rgb, ratio),
        ambient_ground_rgb=_scaled(light.ambient_ground_rgb, ratio),
    )


def _turned_lamp(lamp: Lamp, turn: FloatArray | None, ratio: float) -> Lamp:
    if turn is None and ratio == 1.0:
        return lamp
    turned = np.eye(3) if turn is None else turn
    position = lamp.position_m
    return Lamp(
        direction_world=tuple((turned @ np.asarray(lamp.direction_world)).tolist()),
        rgb=tuple(ratio * value for value in lamp.rgb),
        position_m=None if position is None else tuple((turned @ np.asarray(position)).tolist()),
        cutoff_cosine=lamp.cutoff_cosine,
        exponent=lamp.exponent,
    )


def _scaled(rgb: Any, ratio: float) -> tuple[float, ...]:
    return tuple(min(ratio * float(value), 1.0) for value in rgb)


def plain_view(model: TwoArmModel, meshes: Mapping[str, BodyMesh]) -> TwoArmView:
    """Returns a view in flat colours under one light, of triangles by shape name.

    What the model has besides them, such as distractors, is drawn too.
    """
    flat = {name: mesh.to_mesh() for name, mesh in meshes.items()}
    others = [
        part
        for part in parts(model.scenery, model.mj_model)
        if shape_name(part.body) not in flat and part.opacity == 1.0
    ]
    return TwoArmView(model, flat, others)


def detailed_view(model: TwoArmModel) -> TwoArmView:
    """Returns a view with materials, textures and lights of robosuite's scene."""
    scenery = model.scenery
    return TwoArmView(
        model,
        scenery.robots or panda_meshes(),
        parts(scenery, model.mj_model),
        lamps=scenery.lamps,
        light=Light(
            directional_rgb=(0.0, 0.0, 0.0),
            ambient_sky_rgb=scenery.ambient_rgb,
            ambient_ground_rgb=scenery.ambient_rgb,
        ),
        headlight_rgb=scenery.headlight_rgb,
    )


@functools.lru_cache(maxsize=_KEPT_VIEWS)
def _shared_view(model: TwoArmModel, appearance: str) -> TwoArmView:
    return _new_view(model, appearance)


def _new_view(model: TwoArmModel, appearance: str) -> TwoArmView:
    return plain_view(model, _plain_meshes()) if appearance == "plain" else detailed_view(model)


_plain_meshes = functools.cache(load_meshes)


def two_arm_view(model: TwoArmModel, render: str = "software", appearance: str = "auto") -> View:
    """Returns a view of a model with the geometry that it has now.

    Args:
        model: The physics model.
        render: One of ``render_options.RENDERERS``.
        appearance: One of ``render_options.APPEARANCES``, for the software renderer.

    Raises:
        ConfigurationError, MissingDependencyError: As ``checked_rendering``.
    """
    drawn = checked_rendering(model.task, model.robots, render, appearance)
    if render in GL_MODES:
        return GlView(model, render)
    if TASKS[model.task].sampled_bodies or has_distractors(model.body_names):
        return _new_view(model, drawn)  # the geometry is that of the episode
    return _shared_view(model, drawn)
