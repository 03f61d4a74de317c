import math

import numpy as np
import pytest

from simloop.errors import ParameterError
from simloop.rendering import LevelOfDetail, Mesh, primitives
from simloop.rendering.clusters import FACES_PER_CLUSTER

TRIANGLE = ([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[0, 1, 2]])


def enclosed_volume_m3(mesh: Mesh) -> float:
    """By the divergence theorem: positive only when the faces look outwards."""
    a, b, c = np.moveaxis(mesh.vertices_m[mesh.faces], 1, 0)
    return float((a * np.cross(b, c)).sum() / 6.0)


@pytest.mark.parametrize(
    ("mesh", "volume_m3", "tolerance"),
    [
        (primitives.box((1.0, 2.0, 3.0)), 6.0, 1e-12),
        (primitives.sphere(0.5, num_segments=128), math.pi / 6.0, 2e-3),
        (primitives.ellipsoid((0.5, 1.0, 2.0), num_segments=128), 4.0 / 3.0 * math.pi, 2e-3),
        (primitives.cylinder(0.5, 2.0, num_segments=128), 0.5 * math.pi, 2e-3),
        (primitives.capsule(0.5, 2.0, num_segments=128), (0.5 + 1.0 / 6.0) * math.pi, 2e-3),
    ],
)
def test_primitives_are_closed_face_outwards_and_have_the_right_volume(
    mesh: Mesh, volume_m3: float, tolerance: float
) -> None:
    assert enclosed_volume_m3(mesh) == pytest.approx(volume_m3, rel=tolerance)
    corners = mesh.vertices_m[mesh.faces]
    area_vectors = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    np.testing.assert_allclose(area_vectors.sum(axis=0), 0.0, atol=1e-12)  # closed
    assert np.linalg.norm(area_vectors, axis=1).min() > 0.0  # no degenerate faces


def test_a_plane_is_a_grid_that_faces_up_and_alternates_its_colours() -> None:
    mesh = primitives.plane(
        (4.0, 2.0), num_cells=(4, 2), colour_rgb=(0.0, 0.0, 0.0), second_colour_rgb=(1.0, 1.0, 1.0)
    )
    assert mesh.faces.shape == (16, 3)
    np.testing.assert_array_equal(mesh.vertex_normals, np.tile([0.0, 0.0, 1.0], (15, 1)))
    np.testing.assert_array_equal(mesh.vertices_m.max(axis=0), [2.0, 1.0, 0.0])
    centre = mesh.vertices_m[mesh.faces].mean(axis=1)
    is_white = (np.floor(centre[:, 0]) + np.floor(centre[:, 1])) % 2 == 0
    assert len(set(mesh.face_colours_rgb[is_white, 0])) == 1
    assert set(mesh.face_colours_rgb[:, 0].tolist()) == {0.0, 1.0}


def test_sphere_normals_point_away_from_the_centre() -> None:
    mesh = primitives.sphere(2.0)
    np.testing.assert_allclose(mesh.vertex_normals, mesh.vertices_m / 2.0, atol=0.01)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: primitives.box((1.0, 0.0, 1.0)), "size_m must be positive and finite, got"),
        (lambda: primitives.sphere(-1.0), "radii_m must be positive"),
        (lambda: primitives.cylinder(1.0, 1.0, num_segments=10), "multiple of 4, at least 4, got 10"),
        (
            lambda: Mesh([[0.0, 0.0]], [[0, 0, 0]]),
            r"vertices_m must be numbers of shape \(n, 3\), got shape \(1, 2\)",
        ),
        (lambda: Mesh([[0.0, 0.0, np.nan]], [[0, 0, 0]]), "must be finite"),
        (lambda: Mesh(TRIANGLE[0], [[0, 1, 3]]), r"index the 3 vertices \(0..2\), got 0..3"),
        (lambda: Mesh(TRIANGLE[0], [[0.0, 1.0, 2.0]]), "faces must be integers"),
        (lambda: Mesh(*TRIANGLE, [[1.0, 1.0, 2.0]]), "face_colours_rgb must lie in 0..1"),
        (lambda: Mesh(*TRIANGLE, np.ones((2, 3))), r"shape \(3,\) or \(1, 3\), got \(2, 3\)"),
        (lambda: LevelOfDetail(mesh=Mesh(*TRIANGLE), below_diameter_px=0.0), "must be positive and finite"),
        (
            lambda: Mesh(
                *TRIANGLE, levels_of_detail=[LevelOfDetail(mesh=Mesh(*TRIANGLE), below_diameter_px=5.0)] * 2
            ),
            "strictly decreasing",
        ),
    ],
)
def test_wrong_meshes_are_refused_with_what_was_got(build, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ParameterError, match=match):
        build()


@pytest.mark.parametrize("is_smooth", [False, True])
def test_clusters_hold_every_face_once_within_their_sphere_and_cone(is_smooth: bool) -> None:
    sphere = primitives.sphere(1.0, num_segments=64)
    mesh = Mesh(sphere.vertices_m + 5.0, sphere.faces, smooth=is_smooth)
    group = mesh.clusters
    bounds = group.bounds
    np.testing.assert_array_equal(np.sort(group.face_order), np.arange(len(mesh.faces)))
    assert np.diff(group.face_start).max() <= FACES_PER_CLUSTER
    for cluster in range(len(bounds.radius_m)):
        faces = slice(*group.face_start[cluster : cluster + 2])
        vertices = slice(*group.vertex_start[cluster : cluster + 2])
        points = mesh.vertices_m[group.source_vertex[vertices]][group.face_corners[faces]]
        expected = mesh.vertices_m[mesh.faces[group.face_order[faces]]]
        np.testing.assert_array_equal(points, expected)
        offsets = points - bounds.mesh_centre_m - bounds.centre_m[cluster]
        assert np.linalg.norm(offsets, axis=2).max() <= bounds.radius_m[cluster]
        normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
        cosines = normals @ bounds.cone_axis[cluster] / np.linalg.norm(normals, axis=1)
        assert cosines.min() >= bounds.cone_cosine[cluster] - 1e-12


def test_vertices_at_the_same_place_are_stored_once_in_a_flat_mesh() -> None:
    box = primitives.box((1.0, 1.0, 1.0))
    loose = Mesh(box.vertices_m[box.faces].reshape(-1, 3), np.arange(36).reshape(12, 3))
    assert len(loose.clusters.source_vertex) == 8
    assert len(loose.deformable_copy().clusters.source_vertex) == 36
