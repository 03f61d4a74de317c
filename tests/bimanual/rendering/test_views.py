"""Camera images: depth against MuJoCo's own ray casting, and what is to be seen where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import pytest

from simloop.scenario_files import load_family
from simloop_bimanual.models.two_arm_model import two_arm_model
from simloop_bimanual.rendering.views import SEMANTICS, TwoArmView, plain_view
from simloop_bimanual.rendering.visual_meshes import full_meshes, load_meshes, shape_name
from simloop_bimanual.sensors import CAMERAS
from simloop_bimanual.world import BimanualWorld

HEIGHT_PX, WIDTH_PX = 48, 64


def _ray_depth(env: Any, view: TwoArmView, camera: str) -> npt.NDArray[np.float64]:
    """Depth along the optical axis by ``mj_ray`` on the visual geoms; infinite where a ray hits nothing."""
    model, data = env.sim.model._model, env.sim.data._data
    position, rotation, fov_rad = view.camera_pose(camera, data.xpos, data.xmat)
    focal_px = HEIGHT_PX / 2 / np.tan(fov_rad / 2)
    group = np.array([0, 1, 0, 0, 0, 0], dtype=np.uint8)
    geom = np.zeros(1, dtype=np.int32)
    depth = np.full((HEIGHT_PX, WIDTH_PX), np.inf)
    for row in range(HEIGHT_PX):
        for column in range(WIDTH_PX):
            ray = np.array([column + 0.5 - WIDTH_PX / 2, HEIGHT_PX / 2 - row - 0.5, -focal_px]) / focal_px
            length = np.linalg.norm(ray)
            distance = mujoco.mj_ray(model, data, position, rotation @ (ray / length), group, 1, -1, geom)
            if distance >= 0:
                depth[row, column] = distance / length
    return depth


def _share_within(depth: npt.NDArray[Any], expected: npt.NDArray[np.float64], tolerance: float) -> float:
    both_nothing = np.isinf(depth) & np.isinf(expected)
    with np.errstate(invalid="ignore"):
        close = np.abs(depth - expected) <= tolerance * expected
    return float(np.mean(both_nothing | close))


@pytest.fixture(scope="module")
def posed(hard_reset: Callable[[int], Any]) -> Any:
    env = hard_reset(8)
    action = np.linspace(-0.6, 0.6, 14)
    for _ in range(8):
        env.step(action)
    env.sim.forward()
    return env


@pytest.fixture(scope="module")
def full_view(posed: Any) -> TwoArmView:
    meshes = {shape_name(body): mesh for body, mesh in full_meshes(posed.sim.model._model).items()}
    return plain_view(two_arm_model("two_arm_lift"), meshes)


@pytest.mark.parametrize("camera", CAMERAS)
def test_full_resolution_depth_agrees_with_mj_ray(posed: Any, full_view: TwoArmView, camera: str) -> None:
    data = posed.sim.data._data
    expected = _ray_depth(posed, full_view, camera)
    image = full_view.draw(camera, data.xpos, data.xmat, height_px=HEIGHT_PX, width_px=WIDTH_PX)
    assert np.isfinite(expected).mean() > 0.9
    assert _share_within(image.depth_m, expected, 0.01) >= 0.99


@pytest.mark.parametrize("camera", CAMERAS)
def test_reduced_depth_agrees_with_the_full_one(posed: Any, full_view: TwoArmView, camera: str) -> None:
    """The looser bound of the reduced triangles, within 2 % of the depth: 97 % of grippers, pot and table, and 80 % of
    the arms with their mounts, whose trusses are the coarsest part."""
    data = posed.sim.data._data
    full = full_view.draw(camera, data.xpos, data.xmat, height_px=HEIGHT_PX, width_px=WIDTH_PX)
    view = plain_view(two_arm_model("two_arm_lift"), load_meshes())
    reduced = view.draw(camera, data.xpos, data.xmat, height_px=HEIGHT_PX, width_px=WIDTH_PX)
    near = ("left_gripper", "right_gripper", "pot", "table")
    for names, share in ((near, 0.97), (("left_arm", "right_arm"), 0.80)):
        seen = np.isin(full.semantic, [SEMANTICS.index(name) for name in names])
        if seen.sum() >= 50:
            expected = full.depth_m[seen].astype(np.float64)
            assert _share_within(reduced.depth_m[seen], expected, 0.02) >= share, names
    assert np.isin(full.semantic, [SEMANTICS.index(name) for name in near]).sum() > 500
    assert np.mean(reduced.semantic == full.semantic) >= 0.97


def test_front_image_is_upright_with_the_left_arm_on_the_left(world: BimanualWorld) -> None:
    family = load_family("two_arm_lift")
    world.reset(family.scenario(0, {"pot_x_m": 0.0, "pot_y_m": 0.0, "pot_yaw_rad": 0.0}), 0)
    data = world._data
    view = plain_view(world._model, load_meshes())
    seen = view.draw("front_camera", data.xpos, data.xmat, height_px=96, width_px=128)

    def centre(name: str) -> npt.NDArray[np.float64]:
        pixels = np.argwhere(seen.semantic == SEMANTICS.index(name))
        assert len(pixels) >= 40, name
        return np.asarray(pixels.mean(axis=0))

    assert centre("left_gripper")[1] < centre("pot")[1] < centre("right_gripper")[1]
    assert centre("left_gripper")[0] < centre("pot")[0] < centre("table")[0]  # grippers above pot above table
    image = world.capture("front_camera", 0).array.astype(int)
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    pot = (red > 70) & (red > 2 * green)
    left_handle = (green > red + 20) & (green > blue + 20)
    right_handle = (blue > red + 40) & (blue > green + 40)
    columns = [np.argwhere(mask)[:, 1].mean() for mask in (left_handle, pot, right_handle)]
    assert min(mask.sum() for mask in (pot, left_handle, right_handle)) >= 15
    assert columns == sorted(columns)


def test_wrist_cameras_see_their_own_handle(world: BimanualWorld) -> None:
    world.reset(load_family("two_arm_lift").scenario(0, {"pot_yaw_rad": 0.3}), 0)
    left = world.capture("left_wrist_camera", 0).array.astype(int)
    right = world.capture("right_wrist_camera", 0).array.astype(int)
    greens = [int(((i[..., 1] > i[..., 0] + 20) & (i[..., 1] > i[..., 2] + 20)).sum()) for i in (left, right)]
    blues = [int(((i[..., 2] > i[..., 0] + 40) & (i[..., 2] > i[..., 1] + 40)).sum()) for i in (left, right)]
    assert greens[0] > 300 and greens[0] > 2 * greens[1]
    assert blues[1] > 300 and blues[1] > 2 * blues[0]


def test_same_state_same_bytes(world: BimanualWorld) -> None:
    world.reset(load_family("two_arm_lift").scenario(4), 4)
    first = world.capture("front_camera", 0).array
    world.capture("left_wrist_camera", 0).array.copy()
    assert np.array_equal(first, world.capture("front_camera", 1).array)


def test_shipped_triangles_cover_every_visible_body(posed: Any) -> None:
    shipped = load_meshes()
    assert {shape_name(body) for body in full_meshes(posed.sim.model._model)} == set(shipped)
    assert sum(len(mesh.faces) for mesh in shipped.values()) < 15_000
    for name, mesh in shipped.items():
        assert mesh.faces.max() < len(mesh.vertices_m), name
