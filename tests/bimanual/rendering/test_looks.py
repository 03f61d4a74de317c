"""The look of the scene: what stays the same bytes, what each parameter changes, cloth, panes and other robots."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from simloop.scenario_files import load_family
from simloop_bimanual.rendering.arm_meshes import merged_on_grid, panda_meshes, split_at_creases
from simloop_bimanual.rendering.cloth_meshes import cloth_meshes
from simloop_bimanual.rendering.looks import COLOURED, PARAMETERS, Look
from simloop_bimanual.rendering.scene_meshes import parts
from simloop_bimanual.rendering.views import TwoArmView, detailed_view, plain_view, semantic_names
from simloop_bimanual.rendering.visual_meshes import BodyMesh, load_meshes
from simloop_bimanual.sensors import CAMERAS
from simloop_bimanual.tasks import TASKS
from simloop_bimanual.world import BimanualWorld

PLAIN_LIFT_SHA256 = "89f68ed7d568ed41b5e235222948272b36d182110cca1e3b2edcf2dc23bac670"
"""Of the lift's three images at the start of seed 0: shipped weights were trained on this picture."""


def _rgb(view: TwoArmView, world: BimanualWorld, camera: str, **look: float) -> npt.NDArray[np.uint8]:
    return view.freeze(camera, world._data, height_px=96, width_px=128, look=look)()


@pytest.fixture(scope="module")
def lift() -> BimanualWorld:
    world = BimanualWorld()
    world.reset(load_family("two_arm_lift").scenario(0), 0)
    return world


@pytest.fixture(scope="module")
def detailed(lift: BimanualWorld) -> TwoArmView:
    return detailed_view(lift._model)


def test_the_lifts_plain_picture_keeps_its_bytes(lift: BimanualWorld) -> None:
    images = [lift.capture(camera, 0).array for camera in CAMERAS]
    assert hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest() == PLAIN_LIFT_SHA256
    view = plain_view(lift._model, load_meshes())
    neutral = {name: value for name, (_, _, value) in PARAMETERS.items()}
    for camera, image in zip(CAMERAS, images, strict=True):
        assert np.array_equal(_rgb(view, lift, camera, **neutral), image)


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_parameter_changes_the_picture_and_goes_again(
    name: str, lift: BimanualWorld, detailed: TwoArmView
) -> None:
    low, high, neutral = PARAMETERS[name]
    assert low < neutral < high or low == neutral
    for view in (detailed, plain_view(lift._model, load_meshes())):
        before = {camera: _rgb(view, lift, camera) for camera in CAMERAS}
        changed = {camera: _rgb(view, lift, camera, **{name: high}) for camera in CAMERAS}
        touched = [camera for camera in CAMERAS if not np.array_equal(before[camera], changed[camera])]
        if name.startswith("front_camera"):
            assert touched == ["front_camera"]
        elif name.startswith("wrist_camera"):
            assert touched == list(CAMERAS[1:])
        elif name.startswith("table") and view is detailed:
            assert (
                len(_rgb(view, lift, "front_camera", **{name: low})) == 96
            )  # the white table is at its limit
        else:
            assert "front_camera" in touched
        assert all(np.array_equal(_rgb(view, lift, camera), before[camera]) for camera in CAMERAS)


def test_tints_multiply_the_colours_of_what_they_name(lift: BimanualWorld, detailed: TwoArmView) -> None:
    data = lift._data
    seen = detailed.draw("front_camera", data.xpos, data.xmat, height_px=96, width_px=128)
    for what, label in zip(COLOURED, ("table", "pot", "floor"), strict=True):
        tinted = detailed.draw(
            "front_camera",
            data.xpos,
            data.xmat,
            height_px=96,
            width_px=128,
            look={f"{what}_green_ratio": 0.5},
        )
        is_it = seen.semantic == detailed.semantics.index(label)
        assert is_it.sum() > 50
        ratio = tinted.rgb[is_it][:, 1].sum() / seen.rgb[is_it][:, 1].sum()
        assert ratio == pytest.approx(0.5, abs=0.03)
        assert np.array_equal(tinted.rgb[~is_it], seen.rgb[~is_it])


def test_a_camera_turns_and_shifts_in_its_own_frame() -> None:
    turned = Look({"front_camera_turn_y_rad": 0.1, "front_camera_shift_x_m": 0.05})
    position, rotation = turned.moved_camera("front_camera", np.zeros(3), np.eye(3))
    assert position.tolist() == [0.05, 0.0, 0.0]
    assert rotation[:, 2] == pytest.approx([np.sin(0.1), 0.0, np.cos(0.1)])
    assert np.array_equal(turned.moved_camera("left_wrist_camera", np.zeros(3), np.eye(3))[1], np.eye(3))


def test_scenarios_vary_the_look(world_of: Callable[[str], BimanualWorld]) -> None:
    world, family = world_of("two_arm_handover"), load_family("two_arm_handover")
    means = []
    for ratio in (1.0, 0.5):
        drawn = family.scenario(1)
        values = {**drawn.parameters, "light_intensity_ratio": ratio}
        world.reset(dataclasses.replace(drawn, parameters=values), 1)
        means.append(world.capture("front_camera", 0).array.mean())
    assert 0.4 < means[1] / means[0] < 0.8


def test_a_distractor_is_seen_in_the_plain_and_the_detailed_picture() -> None:
    family = load_family("two_arm_lift")
    for appearance in ("plain", "detailed"):
        world = BimanualWorld(appearance=appearance)
        images = []
        for height_m in (0.0, 0.15):
            drawn = family.scenario(0)
            values = {**drawn.parameters, "distractor_1_x_m": 0.25, "distractor_1_height_m": height_m}
            world.reset(dataclasses.replace(drawn, parameters=values), 0)
            images.append(world.capture("front_camera", 0).array.astype(int))
        changed = np.abs(images[0] - images[1]).max(axis=2) > 30
        assert 100 < changed.sum() < 3000, appearance


def test_other_robots_are_drawn_in_detail() -> None:
    world = BimanualWorld(robots=["UR5e", "UR5e"], controller="stock")
    world.reset(load_family("two_arm_lift").scenario(0), 0)
    view, data = detailed_view(world._model), world._data
    seen = view.draw("front_camera", data.xpos, data.xmat, height_px=96, width_px=128)
    for name in ("left_arm", "right_arm", "left_gripper", "right_gripper", "pot", "table"):
        assert (seen.semantic == view.semantics.index(name)).sum() > 30, name
    assert np.array_equal(world.capture("front_camera", 0).array, _rgb(view, world, "front_camera"))


def test_cloth_follows_its_bodies_and_shows_both_sides(world_of: Callable[[str], BimanualWorld]) -> None:
    task = "two_arm_fold_towel"
    world = world_of(task)
    world.reset(load_family(task).scenario(0), 0)
    (cloth,) = cloth_meshes(world._model)
    data = world._data
    assert np.allclose(cloth.vertices_m(data.xpos, data.xmat), data.flexvert_xpos, atol=1e-12)
    assert cloth.mesh.is_double_sided and cloth.mesh.smooth
    view = detailed_view(world._model)
    image = view.draw("front_camera", data.xpos, data.xmat, height_px=96, width_px=128)
    is_cloth = image.semantic == view.semantics.index("cloth")
    assert is_cloth.sum() > 100
    frame = view.freeze("front_camera", data, height_px=96, width_px=128)
    before = frame()
    lifted = data.xpos.copy()
    lifted[cloth.bodies] += (0.0, 0.0, 0.2)
    moved = view.draw("front_camera", lifted, data.xmat, height_px=96, width_px=128)
    rows = [np.argwhere(i.semantic == view.semantics.index("cloth"))[:, 0].mean() for i in (image, moved)]
    assert rows[1] < rows[0] - 5.0  # higher up in the image
    assert np.array_equal(frame(), before)  # what was frozen stays


def test_bin_walls_can_be_seen_through(world_of: Callable[[str], BimanualWorld]) -> None:
    world = world_of("two_arm_transport")
    world.reset(load_family("two_arm_transport").scenario(0), 0)
    model = world._model
    panes = [part for part in parts(model.scenery, model.mj_model) if part.opacity < 1.0]
    assert len(panes) >= 13  # four walls of three bins, and the lid
    seen = _rgb(detailed_view(model), world, "front_camera").astype(int)
    hidden = TwoArmView(
        model,
        panda_meshes(),
        [part for part in parts(model.scenery, model.mj_model) if part.opacity == 1.0],
        lamps=model.scenery.lamps,
    )
    assert np.isin(_rgb(hidden, world, "front_camera").astype(int) - seen, [0]).mean() < 1.0


@pytest.mark.parametrize("task", TASKS)
def test_classes_of_a_tasks_objects_have_names(task: str) -> None:
    names = semantic_names(task)
    assert len(set(names)) == len(names)
    assert set(TASKS[task].object_prefixes.values()) <= set(names)


def test_shipped_arms_have_coarser_levels_of_the_same_shape() -> None:
    meshes = panda_meshes()
    assert {f"robot_link{number}" for number in range(8)} <= set(meshes)
    for name, mesh in meshes.items():
        extent = np.ptp(mesh.vertices_m, axis=0)
        faces = [len(mesh.faces)]
        for level in mesh.levels_of_detail:
            assert np.allclose(np.ptp(level.mesh.vertices_m, axis=0), extent, atol=0.03), name
            faces.append(len(level.mesh.faces))
        assert faces == sorted(faces, reverse=True)


def test_a_box_is_split_at_its_edges_and_a_gentle_fold_is_not() -> None:
    corners = np.array([(x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=np.float64)
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], dtype=np.int32)
    box = BodyMesh(vertices_m=corners, faces=faces, face_colours_rgb=np.ones((12, 3), dtype=np.float32))
    split = split_at_creases(box)
    assert len(split.vertices_m) == 24
    assert np.array_equal(split.vertices_m[split.faces], corners[faces])
    fold = BodyMesh(
        vertices_m=np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0.3)], dtype=np.float64),
        faces=np.array([(0, 1, 2), (1, 3, 2)], dtype=np.int32),
        face_colours_rgb=np.ones((2, 3), dtype=np.float32),
    )
    assert len(split_at_creases(fold).vertices_m) == 4


def test_merging_on_a_grid_keeps_flat_things_flat_and_drops_what_collapses() -> None:
    x, y = np.meshgrid(np.arange(11) * 0.01, np.arange(11) * 0.01, indexing="ij")
    vertices = np.stack([x.ravel(), y.ravel(), np.zeros(121)], axis=1)
    corner = (np.arange(10)[:, None] * 11 + np.arange(10)).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + 11, corner + 12], 1), np.stack([corner, corner + 12, corner + 1], 1)]
    )
    flat = BodyMesh(
        vertices_m=vertices, faces=faces.astype(np.int32), face_colours_rgb=np.ones((200, 3), np.float32)
    )
    coarse = merged_on_grid(flat, 0.035)
    assert 0 < len(coarse.faces) < 40
    assert np.all(coarse.vertices_m[:, 2] == 0.0)
    triangles = coarse.vertices_m[coarse.faces]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert (normals[:, 2] > 0.0).all()
