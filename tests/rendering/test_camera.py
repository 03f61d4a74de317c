import math

import numpy as np
import pytest

from simloop.errors import ParameterError
from simloop.rendering import Camera
from simloop.rendering.camera_frames import camera_rotation_from_forward_left_up, look_at


def test_field_of_view_and_intrinsics_describe_the_same_camera() -> None:
    by_angle = Camera(64, 48, vertical_fov_rad=math.radians(60.0))
    focal_px = 24.0 / math.tan(math.radians(30.0))
    by_lens = Camera(64, 48, fx=focal_px, fy=focal_px, cx=32.0, cy=24.0)
    np.testing.assert_allclose(by_angle.intrinsics, by_lens.intrinsics, rtol=1e-15)


def test_ray_directions_pass_through_the_pixel_centres() -> None:
    directions = Camera(4, 2, fx=2.0, fy=1.0, cx=2.0, cy=1.0).ray_directions()
    np.testing.assert_array_equal(directions[0, 0], [-0.75, 0.5, -1.0])
    np.testing.assert_array_equal(directions[1, 3], [0.75, -0.5, -1.0])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"width_px": 0, "height_px": 4, "vertical_fov_rad": 1.0}, "at least 1 x 1 pixels, got 0 x 4"),
        ({"width_px": 4, "height_px": 4}, "all four of fx, fy, cx, cy"),
        ({"width_px": 4, "height_px": 4, "fx": 1.0, "fy": 1.0}, "all four of fx, fy, cx, cy"),
        ({"width_px": 4, "height_px": 4, "vertical_fov_rad": 1.0, "fx": 1.0}, "not both"),
        ({"width_px": 4, "height_px": 4, "vertical_fov_rad": 60.0}, r"\(0, pi\), got 60"),
        ({"width_px": 4, "height_px": 4, "fx": -1.0, "fy": 1.0, "cx": 2.0, "cy": 2.0}, "must be positive"),
        (
            {"width_px": 4, "height_px": 4, "vertical_fov_rad": 1.0, "near_m": 5.0, "far_m": 1.0},
            "near_m < far_m",
        ),
    ],
)
def test_impossible_cameras_are_refused(arguments: dict[str, float], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        Camera(**arguments)  # type: ignore[arg-type]


def test_look_at_points_the_optical_axis_at_the_target_with_up_in_the_upper_half() -> None:
    position, target = np.array([1.0, -2.0, 3.0]), np.array([4.0, 1.0, 0.5])
    rotation = look_at(position, target)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-15)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    x, y, z = rotation.T @ (target - position)
    assert (x, y) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert z == pytest.approx(-np.linalg.norm(target - position))
    assert (rotation.T @ [0.0, 0.0, 1.0])[1] > 0.0


@pytest.mark.parametrize(
    ("target", "match"), [((0.0, 0.0, 0.0), "its own position"), ((0.0, 0.0, -3.0), "parallel to the line")]
)
def test_look_at_refuses_what_has_no_answer(target: tuple[float, ...], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        look_at((0.0, 0.0, 0.0), target)


def test_a_vehicle_camera_sees_forward_as_depth_left_as_left_and_up_as_up() -> None:
    heading_rad = 0.7
    forward = np.array([math.cos(heading_rad), math.sin(heading_rad), 0.0])
    left = np.array([-math.sin(heading_rad), math.cos(heading_rad), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    rotation = camera_rotation_from_forward_left_up(np.stack([forward, left, up], axis=1))
    np.testing.assert_allclose(rotation.T @ forward, [0.0, 0.0, -1.0], atol=1e-15)
    np.testing.assert_allclose(rotation.T @ left, [-1.0, 0.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(rotation.T @ up, [0.0, 1.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(rotation, look_at((0.0, 0.0, 0.0), forward), atol=1e-15)
    with pytest.raises(ParameterError, match=r"shape \(3, 3\), got \(4, 4\)"):
        camera_rotation_from_forward_left_up(np.eye(4))
