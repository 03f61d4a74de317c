"""Camera images by MuJoCo's own OpenGL renderer on robosuite's complete model, for worlds with ``render=gl``.

Images depend on the OpenGL library, so the same bytes are promised on one machine only. Nothing of OpenGL is made
before the first image, so that a process may fork, or start workers, as long as it has drawn nothing.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import importlib
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simloop.errors import MissingDependencyError, WorldError
from simloop_bimanual.models.two_arm_model import TwoArmModel, make_stock_env
from simloop_bimanual.models.variation import DISTRACTOR, add_distractors
from simloop_bimanual.physics.native import give_memory_back
from simloop_bimanual.rendering.cameras import camera_pose
from simloop_bimanual.rendering.looks import COLOURED, Look, coloured_part
from simloop_bimanual.robosuite_import import load_mujoco

FloatArray = npt.NDArray[np.float64]

GL_MODES: Final = ("gl", "gl_full")
"""``gl`` leaves out reflections, shadows and multisampling; ``gl_full`` has them all."""
BACKENDS: Final[Mapping[str, tuple[str, ...]]] = {
    "egl": ("libEGL.so.1",),
    "osmesa": ("libOSMesa.so.8", "libOSMesa.so.6"),
}
"""Shared libraries of each way to OpenGL without a screen, in the order in which they are tried."""
_REMEDY: Final = (
    "On Debian and Ubuntu `apt-get install libegl1 libgl1-mesa-dri` brings EGL, `apt-get install libosmesa6` OSMesa; "
    "or take `world.render=software`, which needs neither."
)
_VISUAL_GROUP = 1
_MAX_GEOMS = 2000
_MESH = 7
_TWINS = ("", "_vis", "_visual")
_LARGEST_PX = 2048


def check_gl() -> str:
    """Returns the way to OpenGL that images will take, ``"egl"`` or ``"osmesa"``; makes no context.

    The user's ``MUJOCO_GL`` decides; without it, EGL is taken where its library is there, otherwise OSMesa.

    Raises:
        MissingDependencyError: There is no such library; names the packages that bring one.
    """
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    candidates = (wanted,) if wanted in BACKENDS else tuple(BACKENDS)
    for backend in candidates:
        if any(_is_there(library) for library in BACKENDS[backend]):
            return backend
    asked = f" (MUJOCO_GL is {wanted!r})" if wanted in BACKENDS else ""
    names = " nor ".join(name for backend in candidates for name in BACKENDS[backend][:1])
    raise MissingDependencyError(
        f"World config key 'render' asks for OpenGL{asked}, but {names} does not load here. {_REMEDY}"
        if len(candidates) == 1
        else f"World config key 'render' asks for OpenGL, but neither {names} loads here. {_REMEDY}"
    )


def _is_there(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


class GlView:
    """Draws the scene of a two-arm model from states that were frozen before.

    Args:
        model: The physics model; its geoms that the complete model has too are drawn with the geometry they have now.
        mode: One of ``GL_MODES``.
    """

    def __init__(self, model: TwoArmModel, mode: str) -> None:
        self._model = model
        self._drawing = _drawing(model.task, model.robots, has_distractors(model.body_names), mode)
        full, physics = self._drawing.full, model.mj_model
        if (full.nq, full.nbody) != (physics.nq, physics.nbody):
            raise WorldError(
                f"robosuite's complete model has {full.nq} positions and {full.nbody} bodies, the physics model "
                f"{physics.nq} and {physics.nbody}: render=gl cannot show this world; take world.render=software."
            )
        visuals = {full.geom(geom).name: geom for geom in range(full.ngeom)}
        of_objects = set(model.object_bodies.values())
        pairs = [
            (geom, visuals[name + twin])
            for geom, name in enumerate(model.geom_names)
            if int(physics.geom_bodyid[geom]) in of_objects or name.startswith(DISTRACTOR)
            for twin in _TWINS
            if name + twin in visuals and int(full.geom_type[visuals[name + twin]]) != _MESH
        ]
        self._sources = np.array([source for source, _ in pairs], dtype=np.int64)
        self._targets = np.array([target for _, target in pairs], dtype=np.int64)

    def freeze(
        self,
        camera: str,
        data: Any,
        *,
        height_px: int,
        width_px: int,
        look: Mapping[str, float] | None = None,
    ) -> Callable[[], npt.NDArray[np.uint8]]:
        """Copies the state and returns the function that draws the RGB image (see ``views.View.freeze``)."""
        physics, sources, seen = self._model.mj_model, self._sources, Look(look)
        state = (data.qpos.copy(), data.mocap_pos.copy(), data.mocap_quat.copy())
        shapes = (physics.geom_size[sources], physics.geom_pos[sources], physics.geom_quat[sources])
        bodies = (physics.body_pos.copy(), physics.body_quat.copy())
        pose = camera_pose(self._model, camera, data.xpos, data.xmat, seen)

        def draw() -> npt.NDArray[np.uint8]:
            drawing, targets = self._drawing, self._targets
            full = drawing.full
            full.geom_size[targets], full.geom_pos[targets], full.geom_quat[targets] = shapes
            full.body_pos[:], full.body_quat[:] = bodies
            return drawing.draw(state, pose, height_px=height_px, width_px=width_px, look=seen)

        return draw


class _Drawing:
    """robosuite's complete model of a task with a context of OpenGL, shared by the worlds of a process."""

    def __init__(self, task: str, robots: tuple[str, ...], *, with_distractors: bool, mode: str) -> None:
        mujoco = self._mujoco = load_mujoco()
        env = make_stock_env(seed=0, task=task, robots=robots)
        self.full = _with_distractors(env) if with_distractors else env.sim.model._model
        del env
        give_memory_back()
        full = self.full
        full.vis.global_.offheight = full.vis.global_.offwidth = 0  # set with the first image
        self._is_full = mode == "gl_full"
        if not self._is_full:
            full.vis.quality.offsamples = 0
        self._data = mujoco.MjData(full)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 0
        self._option.geomgroup[_VISUAL_GROUP] = 1
        self._option.sitegroup[:] = 0
        self._option.flexgroup[:] = 1
        self._camera = mujoco.MjvCamera()
        self._camera.type, self._camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
        self._scene = mujoco.MjvScene(full, _MAX_GEOMS)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag] = self._is_full
        self._materials = _coloured_materials(full)
        self._base = (
            full.mat_rgba.copy(),
            full.light_diffuse.copy(),
            np.array(full.vis.headlight.diffuse),
            np.array(full.vis.headlight.ambient),
        )
        self._process = 0
        self._context: Any = None
        self._renderers: list[Any] = []  # the last one made, if any

    def draw(
        self,
        state: tuple[FloatArray, FloatArray, FloatArray],
        pose: tuple[FloatArray, FloatArray, float],
        *,
        height_px: int,
        width_px: int,
        look: Look,
    ) -> npt.NDArray[np.uint8]:
        """Draws one image, top row first."""
        mujoco, full, data = self._mujoco, self.full, self._data
        self._make_current(height_px, width_px)
        data.qpos[:], data.mocap_pos[:], data.mocap_quat[:] = state
        for step in (mujoco.mj_kinematics, mujoco.mj_comPos, mujoco.mj_camlight, mujoco.mj_flex):
            step(full, data)
        data.cam_xpos[0], data.cam_xmat[0] = pose[0], pose[1].reshape(9)
        full.cam_fovy[0] = np.degrees(pose[2])
        self._apply(look)
        mujoco.mjv_updateScene(
            full, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        area = mujoco.MjrRect(0, 0, width_px, height_px)
        rgb = np.empty((height_px, width_px, 3), dtype=np.uint8)
        mujoco.mjr_render(area, self._scene, self._renderers[0])
        mujoco.mjr_readPixels(rgb, None, area, self._renderers[0])
        return np.ascontiguousarray(rgb[::-1])

    def _apply(self, look: Look) -> None:
        full, ratio = self.full, look.intensity_ratio
        rgba, diffuse, head_diffuse, head_ambient = self._base
        full.mat_rgba[:] = rgba
        for what, materials in self._materials.items():
            if (tint := look.tint(what)) is not None:
                full.mat_rgba[materials, :3] *= np.array(tint)
        full.light_diffuse[:] = diffuse * ratio
        full.vis.headlight.diffuse[:] = head_diffuse * ratio
        full.vis.headlight.ambient[:] = head_ambient * ratio
        if (turn := look.light_rotation) is not None:
            self._data.light_xpos[:] = self._data.light_xpos @ turn.T
            self._data.light_xdir[:] = self._data.light_xdir @ turn.T

    def _make_current(self, height_px: int, width_px: int) -> None:
        """Makes the context at the first image, and the off-screen buffer anew where an image is larger than it."""
        mujoco, size = self._mujoco, self.full.vis.global_
        if self._context is None:
            self._context = _new_context()
            self._process = os.getpid()
            end = weakref.finalize(self, _free, self._context, self._renderers, self._process)
            end.atexit = False
            atexit.register(
                end
            )  # now, so that it runs before the backend's own, registered as it was imported
        elif self._process != os.getpid():
            raise WorldError(
                "This process was forked from one that had drawn with OpenGL, whose context cannot be shared. Start "
                "workers before the first image (simloop's own do), or take world.render=software."
            )
        self._context.make_current()
        if not self._renderers or size.offheight < height_px or size.offwidth < width_px:
            while self._renderers:
                self._renderers.pop().free()
            size.offheight, size.offwidth = max(size.offheight, height_px), max(size.offwidth, width_px)
            self._renderers.append(mujoco.MjrContext(self.full, mujoco.mjtFontScale.mjFONTSCALE_100))
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._renderers[0])


@functools.cache
def _drawing(task: str, robots: tuple[str, ...], with_distractors: bool, mode: str) -> _Drawing:  # noqa: FBT001
    return _Drawing(task, robots, with_distractors=with_distractors, mode=mode)


def has_distractors(body_names: Iterable[str]) -> bool:
    """Whether a physics model has the bodies of ``variation.add_distractors``."""
    return any(name.startswith(DISTRACTOR) for name in body_names)


def _with_distractors(env: Any) -> Any:
    spec = load_mujoco().MjSpec.from_string(env.edit_model_xml(env.model.get_xml()))
    add_distractors(spec)
    full = spec.compile()
    for geom in range(full.ngeom):
        if full.geom(geom).name.startswith(DISTRACTOR):
            full.geom_group[geom] = _VISUAL_GROUP
    return full


def _new_context() -> Any:
    backend = check_gl()
    before = os.environ.get("PYOPENGL_PLATFORM")
    os.environ["PYOPENGL_PLATFORM"] = backend
    try:
        context = importlib.import_module(f"mujoco.{backend}").GLContext(_LARGEST_PX, _LARGEST_PX)
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        other = next(name for name in BACKENDS if name != backend)
        raise MissingDependencyError(
            f"OpenGL by {backend} gives no context here ({error}). Set MUJOCO_GL={other} to try the other way. "
            f"{_REMEDY}"
        ) from error
    finally:
        if before is None:
            os.environ.pop("PYOPENGL_PLATFORM", None)
        else:
            os.environ["PYOPENGL_PLATFORM"] = before
    return context


def _free(context: Any, renderers: list[Any], process: int) -> None:
    """Frees a drawing's renderer and context when the drawing or its process ends; a forked process has neither."""
    if os.getpid() == process:
        context.make_current()
        while renderers:
            renderers.pop().free()
        context.free()


def _coloured_materials(full: Any) -> dict[str, list[int]]:
    """Materials of tables, objects and floor, so that colours can be varied; robots' and walls' are none of them."""
    found: dict[str, set[int]] = {what: set() for what in COLOURED}
    for geom in range(full.ngeom):
        name, material = full.geom(geom).name, int(full.geom_matid[geom])
        if (
            full.geom_group[geom] == _VISUAL_GROUP
            and material >= 0
            and (what := coloured_part(full.body(full.geom_bodyid[geom]).name, name))
        ):
            found[what].add(material)
    return {what: sorted(materials) for what, materials in found.items()}
