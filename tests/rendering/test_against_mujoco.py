"""Rendered depth against MuJoCo's ray casting, an independent implementation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.rendering import Camera, Mesh, Scene, primitives

PRIMITIVES = """
<mujoco>
  <asset>
    <mesh name="wedge" vertex="0 0 0  1 0 0  0 1 0  0 0 1  1 1 0.2"/>
  </asset>
  <worldbody>
    <geom type="plane" size="6 6 0.1"/>
    <geom type="box" size="0.3 0.4 0.5" pos="0.8 0.3 0.5" euler="20 30 40"/>
    <geom type="sphere" size="0.45" pos="-0.7 0.2 0.9"/>
    <geom type="cylinder" size="0.3 0.5" pos="0.1 -0.9 0.6" euler="70 10 0"/>
    <geom type="capsule" size="0.2 0.4" pos="-0.9 -0.9 0.5" euler="0 60 20"/>
    <geom type="ellipsoid" size="0.3 0.5 0.2" pos="0.2 0.9 1.2" euler="10 20 30"/>
    <geom type="mesh" mesh="wedge" pos="-0.4 1.2 0.2" euler="0 0 30"/>
    <camera name="aside" pos="3 -2 2.2" xyaxes="0.55 0.83 0  -0.42 0.28 0.86" fovy="50"/>
    <camera name="above" pos="0.2 0.1 4" fovy="60"/>
    <camera name="low" pos="-3.5 0.4 0.3" xyaxes="0 -1 0  0.05 0 1" fovy="70"/>
  </worldbody>
</mujoco>
"""


def mesh_of(model: Any, geom: int, cache: dict[int, Mesh]) -> Mesh:
    mujoco = pytest.importorskip("mujoco")
    kind, size = mujoco.mjtGeom(int(model.geom_type[geom])), [float(value) for value in model.geom_size[geom]]
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        index = int(model.geom_dataid[geom])
        if index not in cache:
            vertex, num_vertices = model.mesh_vertadr[index], model.mesh_vertnum[index]
            face, num_faces = model.mesh_faceadr[index], model.mesh_facenum[index]
            cache[index] = Mesh(
                model.mesh_vert[vertex : vertex + num_vertices], model.mesh_face[face : face + num_faces]
            )
        return cache[index]
    if kind == mujoco.mjtGeom.mjGEOM_PLANE:
        return primitives.plane((2.0 * size[0], 2.0 * size[1]))
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return primitives.box([2.0 * value for value in size])
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        return primitives.sphere(size[0], num_segments=96)
    if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        return primitives.cylinder(size[0], 2.0 * size[1], num_segments=96)
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return primitives.capsule(size[0], 2.0 * size[1], num_segments=96)
    assert kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID
    return primitives.ellipsoid(size, num_segments=96)


def scene_of(model: Any, data: Any, group: int) -> Scene:
    scene = Scene()
    cache: dict[int, Mesh] = {}
    geoms = np.flatnonzero(model.geom_group == group)
    for geom in geoms:
        scene.add(mesh_of(model, int(geom), cache), instance=int(geom))
    scene.set_poses(data.geom_xpos[geoms], data.geom_xmat[geoms].reshape(-1, 3, 3))
    return scene


def agreement(
    model: Any, data: Any, scene: Scene, name: str, camera_px: tuple[int, int], group: int
) -> npt.NDArray[np.bool_]:
    """Per pixel, whether depth agrees with mj_ray within 1 % (or both see nothing)."""
    mujoco = pytest.importorskip("mujoco")
    index = model.camera(name).id
    position_m, rotation = data.cam_xpos[index].copy(), data.cam_xmat[index].reshape(3, 3).copy()
    camera = Camera(
        *camera_px, vertical_fov_rad=math.radians(model.cam_fovy[index]), near_m=0.005, far_m=100.0
    )
    depth_m = scene.render(camera, position_m, rotation, outputs=("depth",)).depth_m
    groups = np.zeros(6, dtype=np.uint8)
    groups[group] = 1
    hit = np.zeros(1, dtype=np.int32)
    directions = (camera.ray_directions() @ rotation.T).reshape(-1, 3)
    lengths = np.linalg.norm(directions, axis=1)
    rays = directions / lengths[:, None]
    cast_m = np.array([mujoco.mj_ray(model, data, position_m, ray, groups, 1, -1, hit) for ray in rays])
    expected_m = np.where(cast_m >= 0.0, cast_m / lengths, np.inf).reshape(depth_m.shape)
    with np.errstate(invalid="ignore"):
        return np.isclose(depth_m, expected_m, rtol=0.01)


@pytest.mark.parametrize("name", ["aside", "above", "low"])
def test_primitives_and_a_mesh_have_the_depth_that_mujoco_casts(name: str) -> None:
    mujoco = pytest.importorskip("mujoco")
    model = mujoco.MjModel.from_xml_string(PRIMITIVES)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    agrees = agreement(model, data, scene_of(model, data, 0), name, (160, 120), 0)
    assert agrees.mean() >= 0.99


def test_the_two_arm_scene_has_the_depth_that_mujoco_casts() -> None:
    stock = pytest.importorskip("simloop_bimanual.models.two_arm_model")
    environment = stock.make_stock_env(seed=0)
    environment.reset()
    model, data = environment.sim.model._model, environment.sim.data._data
    scene = scene_of(model, data, 1)
    for name in ("agentview", "frontview", "sideview", "robot0_eye_in_hand"):
        agrees = agreement(model, data, scene, name, (96, 72), 1)
        assert agrees.mean() >= 0.99, name
