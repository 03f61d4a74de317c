import pickle

import numpy as np
import numpy.typing as npt
import pytest

from simloop.errors import ParameterError, UnknownNameError
from simloop.rendering import Background, Camera, LevelOfDetail, Light, Mesh, RenderedImage, Scene, primitives
from simloop.rendering.camera_frames import look_at

CAMERA = Camera(96, 64, vertical_fov_rad=0.8)
FULL = ("rgb", "depth", "semantic", "instance")


def assert_same(first: RenderedImage, second: RenderedImage) -> None:
    np.testing.assert_array_equal(first.rgb, second.rgb)
    np.testing.assert_array_equal(first.depth_m, second.depth_m)
    np.testing.assert_array_equal(first.semantic, second.semantic)
    np.testing.assert_array_equal(first.instance, second.instance)


def crowd(*, is_culling: bool = True) -> Scene:
    """Ground and sixty shapes about the origin, some of them around and behind the cameras used here."""
    generator = np.random.default_rng(3)
    scene = Scene(is_culling=is_culling)
    scene.add(
        primitives.plane((60.0, 60.0), num_cells=(30, 30), second_colour_rgb=(0.2, 0.2, 0.2)), semantic=1
    )
    shapes = [
        primitives.box((1.0, 0.5, 0.8), colour_rgb=(0.9, 0.2, 0.2)),
        primitives.sphere(0.6, colour_rgb=(0.2, 0.9, 0.2)),
        primitives.cylinder(0.4, 1.0, colour_rgb=(0.2, 0.2, 0.9)),
        primitives.capsule(0.3, 0.6, colour_rgb=(0.9, 0.9, 0.2)),
        primitives.plane((1.0, 1.0), num_cells=(9, 9), is_double_sided=True),
    ]
    for index in range(60):
        handle = scene.add(shapes[index % len(shapes)], semantic=2 + index % len(shapes), instance=1 + index)
        rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
        rotation *= np.linalg.det(rotation)
        position_m = generator.uniform((-8.0, -8.0, 0.0), (8.0, 8.0, 2.0))
        scene.set_pose(handle, position_m, rotation, scale=generator.uniform(0.3, 2.0, size=3))
    return scene


def test_culling_changes_nothing_but_the_time() -> None:
    generator = np.random.default_rng(5)
    with_culling, without = crowd(), crowd(is_culling=False)
    for _ in range(12):
        position_m = generator.uniform((-9.0, -9.0, 0.1), (9.0, 9.0, 4.0))
        rotation = look_at(position_m, generator.uniform(-4.0, 4.0, size=3))
        assert_same(
            with_culling.render(CAMERA, position_m, rotation), without.render(CAMERA, position_m, rotation)
        )


def test_an_off_centre_lens_sees_a_part_of_the_whole_picture() -> None:
    scene = crowd()
    rotation = look_at((7.0, 3.0, 2.0), (0.0, 0.0, 0.5))
    whole = scene.render(Camera(96, 64, fx=80.0, fy=80.0, cx=48.0, cy=32.0), (7.0, 3.0, 2.0), rotation)
    part = scene.render(Camera(20, 16, fx=80.0, fy=80.0, cx=-12.0, cy=12.0), (7.0, 3.0, 2.0), rotation)
    np.testing.assert_array_equal(part.instance, whole.instance[20:36, 60:80])
    np.testing.assert_allclose(part.depth_m, whole.depth_m[20:36, 60:80], rtol=1e-6)


def test_ids_follow_the_instances_and_the_background_is_minus_one() -> None:
    scene = Scene()
    box = primitives.box((1.0, 1.0, 1.0))
    left, right = scene.add(box, semantic=4, instance=11), scene.add(box, semantic=9, instance=12)
    assert (left, right, scene.num_instances) == (0, 1, 2)
    scene.set_poses([(-1.0, 0.0, -5.0), (1.0, 0.0, -5.0)], [np.eye(3)] * 2)
    image = scene.render(CAMERA, np.zeros(3), np.eye(3), outputs=FULL)
    assert (image.semantic.dtype, image.instance.dtype, image.depth_m.dtype) == (
        np.int32,
        np.int32,
        np.float32,
    )
    assert (image.semantic[32, 33], image.instance[32, 33]) == (4, 11)
    assert (image.semantic[32, 62], image.instance[32, 62]) == (9, 12)
    is_background = np.isinf(image.depth_m)
    assert is_background[0, 0]
    assert set(np.unique(image.semantic[is_background])) == {-1}
    assert set(np.unique(image.instance[is_background])) == {-1}
    assert set(np.unique(image.instance[~is_background])) == {11, 12}


def test_hidden_instances_come_back() -> None:
    scene = Scene()
    handle = scene.add(primitives.sphere(1.0))
    seen = scene.render(CAMERA, (0.0, 0.0, 4.0), np.eye(3))
    scene.set_visible(handle, False)
    assert np.isinf(scene.render(CAMERA, (0.0, 0.0, 4.0), np.eye(3)).depth_m).all()
    scene.set_visible(handle, True)
    assert_same(scene.render(CAMERA, (0.0, 0.0, 4.0), np.eye(3)), seen)


def test_an_instance_takes_a_colour_and_gives_it_back() -> None:
    scene = Scene()
    lamp = primitives.plane((9.0, 9.0), colour_rgb=(0.2, 0.0, 0.0), is_emissive=True)
    handle = scene.add(lamp)
    for colour, expected in (((1.0, 0.4, 0.0), [255, 102, 0]), (None, [51, 0, 0])):
        scene.set_colour(handle, colour)
        rgb = scene.render(CAMERA, (0.0, 0.0, 2.0), np.eye(3), outputs=("rgb",)).rgb
        np.testing.assert_array_equal(rgb, np.broadcast_to(np.array(expected, dtype=np.uint8), rgb.shape))


def test_moving_all_at_once_equals_moving_one_by_one() -> None:
    one_by_one, at_once = crowd(), crowd()
    generator = np.random.default_rng(11)
    count = one_by_one.num_instances
    positions_m = generator.uniform(-3.0, 3.0, size=(count, 3))
    rotations = np.stack([look_at(generator.normal(size=3), (0.0, 0.0, 0.0)) for _ in range(count)])
    for handle in range(count):
        one_by_one.set_pose(handle, positions_m[handle], rotations[handle])
        at_once.set_pose(handle, (0.0, 0.0, 0.0), np.eye(3))
    at_once.set_poses(positions_m, rotations)
    rotation = look_at((7.0, 1.0, 2.0), (0.0, 0.0, 0.0))
    assert_same(
        one_by_one.render(CAMERA, (7.0, 1.0, 2.0), rotation),
        at_once.render(CAMERA, (7.0, 1.0, 2.0), rotation),
    )


def test_a_scaled_shape_equals_the_shape_of_that_size() -> None:
    scaled, built = Scene(), Scene()
    handle = scaled.add(primitives.box((1.0, 1.0, 1.0)))
    turn = look_at((0.0, 0.0, 0.0), (1.0, 2.0, 0.5))
    scaled.set_pose(handle, (0.3, 0.0, 0.0), turn, scale=(0.5, 2.0, 1.5))
    built.set_pose(built.add(primitives.box((0.5, 2.0, 1.5))), (0.3, 0.0, 0.0), turn)
    rotation = look_at((4.0, 3.0, 2.0), (0.0, 0.0, 0.0))
    first, second = (scene.render(CAMERA, (4.0, 3.0, 2.0), rotation) for scene in (scaled, built))
    np.testing.assert_array_equal(first.instance, second.instance)
    np.testing.assert_allclose(first.depth_m, second.depth_m, rtol=1e-6)
    assert np.abs(first.rgb.astype(int) - second.rgb.astype(int)).max() <= 1


def waving(phase_rad: float, *, num: int = 9) -> npt.NDArray[np.float64]:
    x, y = np.meshgrid(np.linspace(-1.0, 1.0, num), np.linspace(-1.0, 1.0, num))
    return np.stack([x.ravel(), y.ravel(), 0.3 * np.sin(3.0 * x.ravel() + phase_rad)], axis=1)


@pytest.mark.parametrize("is_smooth", [False, True])
def test_a_deformed_cloth_looks_like_a_mesh_built_in_that_shape(is_smooth: bool) -> None:
    faces = primitives.plane((2.0, 2.0), num_cells=(8, 8)).faces
    shared = Mesh(waving(0.0), faces, is_double_sided=True, smooth=is_smooth)
    moved = Scene()
    cloth, other = moved.add(shared, instance=1), moved.add(shared, instance=2)
    moved.set_pose(other, (0.0, 0.0, -1.0), np.eye(3))
    rotation = look_at((2.5, 2.0, 3.0), (0.0, 0.0, 0.0))
    for phase_rad in (0.5, 1.5, 2.5):
        moved.set_vertices(cloth, waving(phase_rad))
        if phase_rad == 1.5:  # a mesh added later does not undo the deformation
            ball = moved.add(primitives.sphere(0.2), instance=3)
            moved.set_pose(ball, (0.0, 0.0, 0.9), np.eye(3))
        built = Scene()
        built.add(Mesh(waving(phase_rad), faces, is_double_sided=True, smooth=is_smooth), instance=1)
        built.set_pose(built.add(shared, instance=2), (0.0, 0.0, -1.0), np.eye(3))
        if phase_rad >= 1.5:
            built.set_pose(built.add(primitives.sphere(0.2), instance=3), (0.0, 0.0, 0.9), np.eye(3))
        first, second = (scene.render(CAMERA, (2.5, 2.0, 3.0), rotation) for scene in (moved, built))
        np.testing.assert_array_equal(first.instance, second.instance)
        np.testing.assert_allclose(first.depth_m, second.depth_m, rtol=1e-6)
        assert np.abs(first.rgb.astype(int) - second.rgb.astype(int)).max() <= 1


def test_the_level_of_detail_follows_the_size_in_the_image() -> None:
    """Levels of different colours show which one is drawn; the sphere is 2 m wide."""
    coarse = [
        LevelOfDetail(
            mesh=primitives.sphere(1.0, num_segments=16, colour_rgb=(0, 1, 0), is_emissive=True),
            below_diameter_px=40.0,
        ),
        LevelOfDetail(
            mesh=primitives.box((1.4, 1.4, 1.4), colour_rgb=(0, 0, 1), is_emissive=True),
            below_diameter_px=10.0,
        ),
    ]
    fine = primitives.sphere(1.0, colour_rgb=(1, 0, 0))
    scene = Scene()
    scene.add(Mesh(fine.vertices_m, fine.faces, (1, 0, 0), is_emissive=True, levels_of_detail=coarse))
    camera = Camera(101, 101, fx=100.0, fy=100.0, cx=50.5, cy=50.5)
    for distance_m, expected in ((4.0, (255, 0, 0)), (10.0, (0, 255, 0)), (30.0, (0, 0, 255))):
        for supersampling in (1, 2):
            rgb = scene.render(
                camera, (0.0, 0.0, distance_m), np.eye(3), outputs=("rgb",), supersampling=supersampling
            ).rgb
            assert tuple(rgb[50, 50]) == expected


def test_an_empty_scene_shows_the_background_by_elevation() -> None:
    background = Background(zenith_rgb=(0, 0, 1), horizon_rgb=(0, 1, 0), ground_rgb=(1, 0, 0))
    image = Scene(background).render(CAMERA, (0.0, 0.0, 1.0), look_at((0, 0, 1), (1, 0, 1)))
    assert np.isinf(image.depth_m).all()
    assert (image.rgb[32:] == [255, 0, 0]).all()
    assert (image.rgb[:32, :, 0] == 0).all()
    assert (np.diff(image.rgb[:32, 48, 2].astype(int)) < 0).all()  # bluer towards the zenith
    up = Scene(background).render(CAMERA, (0.0, 0.0, 1.0), look_at((0, 0, 1), (0, 0, 2), up_world=(1, 0, 0)))
    np.testing.assert_allclose(up.rgb[31:33, 47:49].reshape(-1, 3), [[0, 0, 255]] * 4, atol=1)
    uniform = Scene((0.2, 0.4, 0.6)).render(CAMERA, (0.0, 0.0, 1.0), np.eye(3))
    assert (uniform.rgb == [51, 102, 153]).all()


def test_a_scene_survives_being_sent_to_another_process() -> None:
    scene = crowd()
    rotation = look_at((7.0, 1.0, 2.0), (0.0, 0.0, 0.0))
    expected = scene.render(CAMERA, (7.0, 1.0, 2.0), rotation)
    sent = pickle.loads(pickle.dumps(scene))  # noqa: S301 - its own bytes
    assert_same(sent.render(CAMERA, (7.0, 1.0, 2.0), rotation), expected)


def test_what_was_not_asked_for_is_refused_by_name() -> None:
    image = Scene().render(CAMERA, np.zeros(3), np.eye(3), outputs=("depth",))
    assert image.depth_m.shape == (64, 96)
    with pytest.raises(ParameterError, match="no 'rgb': it was not among the outputs"):
        _ = image.rgb
    with pytest.raises(
        UnknownNameError, match=r"Unknown rendering output 'colour'.*Available: depth, instance"
    ):
        Scene().render(CAMERA, np.zeros(3), np.eye(3), outputs=("colour",))


@pytest.mark.parametrize(
    ("use", "match"),
    [
        (lambda scene: scene.add(primitives.sphere(1.0), semantic=-1), "must be >= 0"),
        (lambda scene: scene.set_visible(1, True), "Unknown handle 1; the scene has 1 instances"),
        (
            lambda scene: scene.set_pose(0, (0, 0), np.eye(3)),
            r"position_m must have shape \(3,\), got \(2,\)",
        ),
        (lambda scene: scene.set_pose(0, (0, 0, 0), np.eye(3), scale=0.0), "scale must be positive"),
        (
            lambda scene: scene.set_poses(np.full((1, 3), np.nan), [np.eye(3)]),
            "positions_m must be finite.* row 0",
        ),
        (
            lambda scene: scene.set_poses(np.zeros((2, 3)), [np.eye(3)] * 2),
            r"must have shape \(1, 3\), got \(2, 3\)",
        ),
        (lambda scene: scene.set_colour(0, (255, 0, 0)), "three numbers in 0..1"),
        (lambda scene: scene.set_vertices(0, np.zeros((3, 3))), "vertices_m must have shape"),
        (lambda scene: scene.render(CAMERA, (0, 0, np.inf), np.eye(3)), "position_m must be finite"),
        (
            lambda scene: scene.render(CAMERA, (0, 0, 0), np.diag([1.0, 1.0, -1.0])),
            "must be a rotation matrix",
        ),
        (lambda scene: scene.render(CAMERA, (0, 0, 0), np.eye(3), supersampling=7), "1, 2, 3 or 4, got 7"),
        (lambda _: Scene((1.0, 2.0, 3.0)), "zenith_rgb must be three numbers in 0..1"),
        (lambda _: Light(direction_world=(0.0, 0.0, 0.0)), "other than zero"),
        (lambda _: Light(directional_rgb=(2.0, 0.0, 0.0)), "directional_rgb must be three numbers in 0..1"),
    ],
)
def test_wrong_use_is_refused_with_what_was_got(use, match: str) -> None:  # type: ignore[no-untyped-def]
    scene = Scene()
    scene.add(primitives.sphere(1.0))
    with pytest.raises(ParameterError, match=match):
        use(scene)
