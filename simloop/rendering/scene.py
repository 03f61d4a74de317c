"""A scene of instances of shared meshes, and its rendering."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError, UnknownNameError
from simloop.rendering.camera import Camera
from simloop.rendering.image import BACKGROUND_ID, OUTPUTS, RangeScan, RenderedImage
from simloop.rendering.instances import empty_instances, first_rows, grown
from simloop.rendering.lighting import Background, Lamp, Light, checked_rgb
from simloop.rendering.mesh import Mesh
from simloop.rendering.packing import Geometry, move_vertices, pack_meshes
from simloop.rendering.raster_kernel import rasterise
from simloop.rendering.scan_kernel import scan
from simloop.rendering.shade_kernel import TINTED, shade
from simloop.rendering.view import (
    LitVertices,
    View,
    Visibility,
    empty_lit_vertices,
    empty_visibility,
    view_of,
)

_FIRST_CAPACITY = 64
_PLACEHOLDER = Mesh(np.eye(3), np.array([[0, 1, 2]]))  # arrays for a scene without any instance


class Scene:
    """Instances of meshes with their poses; renders them as seen by a camera.

    Meshes are packed once, at the first rendering after one was added. Poses live in arrays: moving everything is
    one call of `set_poses`. A rendering is a pure function of the scene, the camera and its pose: same bytes.

    Attributes:
        background: What is seen where no surface is; may be replaced at any time.
        light: The light; may be replaced at any time.
        lamps: Further lights; may be replaced at any time.
    """

    def __init__(
        self,
        background: Background | Sequence[float] | None = None,
        light: Light | None = None,
        *,
        is_culling: bool = True,
    ) -> None:
        """Make an empty scene.

        Args:
            background: A gradient, or one colour of three numbers in 0..1; None for a daylight sky.
            light: None for the light of a clear day.
            is_culling: Whether parts that cannot be seen are skipped early. The images are the same without.

        Raises:
            ParameterError: The background is not a colour.
        """
        if background is None:
            background = Background()
        elif not isinstance(background, Background):
            background = Background.uniform(background)
        self.background = background
        self.light = Light() if light is None else light
        self.lamps: Sequence[Lamp] = ()
        self._is_culling = is_culling
        self._meshes: list[Mesh] = []
        self._mesh_index: dict[Mesh, int] = {}
        self._num_instances = 0
        self._table = empty_instances(_FIRST_CAPACITY)
        self._geometry: Geometry | None = None
        self._moved_vertices: dict[int, npt.NDArray[np.float64]] = {}
        self._opacities: dict[int, float] = {}
        self._lit: LitVertices | None = None
        self._lit_stamp = 0
        self._buffers: dict[tuple[int, int, bool], Visibility] = {}

    @property
    def num_instances(self) -> int:
        """Number of instances; handles run from 0 to one below it."""
        return self._num_instances

    def add(self, mesh: Mesh, *, semantic: int = 0, instance: int = 0, opacity: float = 1.0) -> int:
        """Add an instance at the world's origin, unrotated.

        Args:
            mesh: Its shape; the same Mesh object may be added any number of times and is stored once.
            semantic: Class in the semantic image, >= 0.
            instance: Id in the instance image, >= 0; several instances may share one (the parts of a car).
            opacity: Below 1 the instance covers only that share of an image's samples, rounded, so that an RGB image
                with supersampling shows what is behind it; otherwise it is drawn from one half on, as in depth and ids.

        Returns:
            The handle: 0 for the first instance, then counting up.

        Raises:
            ParameterError: An id is negative (-1 means "no surface"), or the opacity is not above 0 and up to 1.
        """
        if not 0.0 < opacity <= 1.0:
            msg = f"opacity must be above 0 and up to 1, got {opacity}."
            raise ParameterError(msg)
        if semantic < 0 or instance < 0:
            msg = f"semantic and instance must be >= 0 (-1 means no surface), got {semantic} and {instance}."
            raise ParameterError(msg)
        handle = self._num_instances
        if handle == len(self._table.mesh):
            self._table = grown(self._table, 2 * handle)
        self._num_instances += 1
        self._table.mesh[handle] = self._index_of(mesh)
        self._table.semantic[handle] = semantic
        self._table.instance[handle] = instance
        if opacity < 1.0:
            self._opacities[handle] = opacity
        return handle

    def set_pose(
        self,
        handle: int,
        position_m: npt.ArrayLike,
        rotation: npt.ArrayLike,
        scale: npt.ArrayLike = (1.0, 1.0, 1.0),
    ) -> None:
        """Place one instance.

        Args:
            handle: From `add`.
            position_m: (3,) origin of the mesh frame in the world.
            rotation: (3, 3) world from mesh frame, a rotation matrix.
            scale: (3,) positive factors along the axes of the mesh frame, or one number for all.

        Raises:
            ParameterError: Unknown handle, wrong shape, not finite, or a scale that is not positive.
        """
        self._check_handle(handle)
        factors = np.broadcast_to(np.asarray(scale, dtype=np.float64), (3,))
        if not bool(((factors > 0.0) & (factors < np.inf)).all()):
            msg = f"scale must be positive and finite, got {factors.tolist()}."
            raise ParameterError(msg)
        self._table.position_m[handle] = _finite(position_m, (3,), "position_m")
        self._table.rotation[handle] = _finite(rotation, (3, 3), "rotation")
        self._table.scale[handle] = factors

    def set_poses(self, positions_m: npt.ArrayLike, rotations: npt.ArrayLike) -> None:
        """Place all instances at once, in the order of their handles; scales stay as they are.

        Args:
            positions_m: (num_instances, 3).
            rotations: (num_instances, 3, 3), world from mesh frame.

        Raises:
            ParameterError: Wrong shape, or not finite.
        """
        count = self._num_instances
        self._table.position_m[:count] = _finite(positions_m, (count, 3), "positions_m")
        self._table.rotation[:count] = _finite(rotations, (count, 3, 3), "rotations")

    def set_poses_of(
        self,
        handles: Sequence[int],
        positions_m: npt.ArrayLike,
        rotations: npt.ArrayLike,
        scales: npt.ArrayLike,
        instances: npt.ArrayLike,
    ) -> None:
        """Place some instances at once, and give them ids.

        Args:
            handles: N of them, from `add`.
            positions_m: (N, 3) as in `set_pose`.
            rotations: (N, 3, 3) as in `set_pose`.
            scales: (N, 3) as in `set_pose`.
            instances: (N,) ids in the instance image, >= 0.

        Raises:
            ParameterError: Unknown handle, wrong shape, not finite, a scale that is not positive, or a negative id.
        """
        count = len(handles)
        rows = np.array(handles, dtype=np.int64)
        for handle in rows[(rows < 0) | (rows >= self._num_instances)][:1]:
            self._check_handle(int(handle))
        factors, ids = _finite(scales, (count, 3), "scales"), np.array(instances, dtype=np.int64)
        if ids.shape != (count,) or bool((ids < 0).any()) or bool((factors <= 0.0).any()):
            msg = f"scales must be positive and instances {count} ids >= 0, got {factors.tolist()} and {ids.tolist()}."
            raise ParameterError(msg)
        self._table.position_m[rows] = _finite(positions_m, (count, 3), "positions_m")
        self._table.rotation[rows] = _finite(rotations, (count, 3, 3), "rotations")
        self._table.scale[rows] = factors
        self._table.instance[rows] = ids

    def set_visible(self, handle: int, is_visible: bool) -> None:  # noqa: FBT001 - the value being set
        """Show or hide one instance.

        Raises:
            ParameterError: Unknown handle.
        """
        self._check_handle(handle)
        self._table.is_visible[handle] = is_visible

    def set_colour(self, handle: int, colour_rgb: npt.ArrayLike | None) -> None:
        """Give one instance a colour of its own (a lamp that lights up), or None for the mesh's colours again.

        Raises:
            ParameterError: Unknown handle, or not a colour.
        """
        self._check_handle(handle)
        self._table.has_colour[handle] = colour_rgb is not None
        if colour_rgb is not None:
            self._table.colour[handle] = checked_rgb(colour_rgb, "colour_rgb")

    def set_tint(self, handle: int, factors_rgb: npt.ArrayLike | None) -> None:
        """Multiply the mesh's colours and texture for one instance, or None for the mesh's colours again.

        Raises:
            ParameterError: Unknown handle, or not three finite factors of 0 or more.
        """
        self._check_handle(handle)
        self._table.has_colour[handle] = 0 if factors_rgb is None else TINTED
        if factors_rgb is not None:
            factors = _finite(factors_rgb, (3,), "factors_rgb")
            if bool((factors < 0.0).any()):
                msg = f"factors_rgb must be 0 or more, got {factors.tolist()}."
                raise ParameterError(msg)
            self._table.colour[handle] = factors

    def set_vertices(self, handle: int, vertices_m: npt.ArrayLike) -> None:
        """Deform one instance (cloth); other instances of the same mesh keep their shape.

        From the first call on the instance has a copy of the mesh to itself, without levels of detail.

        Args:
            handle: From `add`.
            vertices_m: (num_vertices, 3), new positions in the mesh frame.

        Raises:
            ParameterError: Unknown handle, wrong shape, or not finite.
        """
        self._check_handle(handle)
        mesh = self._meshes[self._table.mesh[handle]]
        vertices = _finite(vertices_m, mesh.vertices_m.shape, "vertices_m")
        if handle not in self._moved_vertices:
            mesh = mesh.deformable_copy()
            self._table.mesh[handle] = self._index_of(mesh)
        self._moved_vertices[handle] = vertices.copy()
        if self._geometry is not None:
            move_vertices(self._geometry, int(self._table.mesh[handle]), mesh, vertices)

    def render(
        self,
        camera: Camera,
        position_m: npt.ArrayLike,
        rotation_world_from_camera: npt.ArrayLike,
        outputs: Sequence[str] = ("rgb", "depth", "semantic", "instance"),
        supersampling: int = 1,
    ) -> RenderedImage:
        """Draw the scene.

        Args:
            camera: Image size and lens.
            position_m: (3,) camera position in the world.
            rotation_world_from_camera: (3, 3), columns are the camera's right, up and backward axes (see
                `camera_frames`).
            outputs: Any of "rgb", "depth", "semantic", "instance"; fewer cost less.
            supersampling: Samples per pixel along each axis, averaged (box filter) in the RGB image only; depth and
                ids are always those at the pixel's centre.

        Returns:
            The images asked for, in newly made arrays.

        Raises:
            ParameterError: A pose is not finite or not a rotation, or `supersampling` is not in 1..4.
            UnknownNameError: An output has no such name.
        """
        for name in outputs:
            if name not in OUTPUTS:
                raise UnknownNameError("rendering output", name, OUTPUTS)
        if supersampling not in (1, 2, 3, 4):
            msg = f"supersampling must be 1, 2, 3 or 4, got {supersampling}."
            raise ParameterError(msg)
        position = _finite(position_m, (3,), "position_m")
        rotation = _rotation(rotation_world_from_camera, "rotation_world_from_camera")
        view = view_of(camera, position, rotation, supersampling=1, is_culling=self._is_culling)
        is_exact_needed = supersampling == 1 or any(name != "rgb" for name in outputs)
        exact = self._seen(camera, view, 1) if is_exact_needed else None
        rgb = depth_m = semantic = instance = None
        if "rgb" in outputs:
            samples = exact
            if supersampling > 1 or samples is None:
                view = view_of(
                    camera, position, rotation, supersampling=supersampling, is_culling=self._is_culling
                )
                samples = self._seen(camera, view, supersampling)
            rgb = self._coloured(camera, view, supersampling, samples)
        if exact is not None:
            if "depth" in outputs:
                depth_m = np.full(exact.face.shape, np.inf, dtype=np.float32)
                np.divide(np.float32(1.0), exact.inverse_depth, out=depth_m, where=exact.face >= 0)
            if "semantic" in outputs:
                semantic = self._semantics(exact.face, exact.instance)
            if "instance" in outputs:
                instance = _looked_up(self._table.instance[: self._num_instances], exact.instance)
        return RenderedImage(rgb=rgb, depth_m=depth_m, semantic=semantic, instance=instance)

    def scan(
        self,
        position_m: npt.ArrayLike,
        rotation_world_from_sensor: npt.ArrayLike,
        elevations_rad: npt.ArrayLike,
        *,
        num_azimuths: int,
        azimuth_start_rad: float = 0.0,
        azimuth_step_rad: float | None = None,
        max_range_m: float = 100.0,
    ) -> RangeScan:
        """Measures ranges along a grid of rays, to the fronts of the same triangles that are drawn.

        Args:
            position_m: (3,) the point that all rays start from.
            rotation_world_from_sensor: (3, 3), columns are the sensor's forward, left and up axes.
            elevations_rad: (num_elevations,), ascending, within -pi/2..pi/2.
            num_azimuths: Rays of one elevation.
            azimuth_start_rad: Azimuth of the first of them, counter-clockwise from forward.
            azimuth_step_rad: From one to the next, > 0; None for a full circle. A whole number of them is a circle.
            max_range_m: Farther surfaces are not hit.

        Raises:
            ParameterError: A pose is not finite or not a rotation, elevations do not ascend or are out of range, or
                the azimuths do not fit the circle.
        """
        position = _finite(position_m, (3,), "position_m")
        rotation = _rotation(rotation_world_from_sensor, "rotation_world_from_sensor")
        elevations = np.array(elevations_rad, dtype=np.float64, ndmin=1)
        is_ascending = bool((np.diff(elevations) > 0.0).all())
        if elevations.ndim != 1 or not is_ascending or not bool((np.abs(elevations) <= 0.5 * np.pi).all()):
            msg = f"elevations_rad must ascend within -pi/2..pi/2, got {elevations.tolist()}."
            raise ParameterError(msg)
        step_rad = 2.0 * np.pi / max(num_azimuths, 1) if azimuth_step_rad is None else azimuth_step_rad
        per_circle = 2.0 * np.pi / step_rad if step_rad > 0.0 else 0.0
        if not 1 <= num_azimuths <= round(per_circle) or abs(per_circle - round(per_circle)) > 1e-6:
            msg = (
                f"azimuth_step_rad must be a whole part of a circle, and num_azimuths 1 to the number of such parts; "
                f"got {step_rad} and {num_azimuths}."
            )
            raise ParameterError(msg)
        shape = (len(elevations), num_azimuths)
        range_m, cosine = np.empty(shape), np.empty(shape)
        face, instance = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.int32)
        geometry, instances = self._packed(), first_rows(self._table, self._num_instances)
        scan(
            geometry, instances, position, rotation, float(max_range_m), elevations, float(azimuth_start_rad),
            float(step_rad), range_m, cosine, face, instance,
        )  # fmt: skip
        colours = np.zeros((*shape, 3))
        if self._num_instances:
            own, how = instances.colour[instance], instances.has_colour[instance, None]
            colours = np.where(how == 1, own, geometry.face_colours[face])
            colours = np.where(how == TINTED, np.minimum(colours * own, np.float32(1.0)), colours)
        return RangeScan(
            range_m=range_m,
            cosine=cosine,
            albedo=np.where(face >= 0, colours.mean(axis=-1, dtype=np.float64), 0.0),
            semantic=self._semantics(face, instance),
            instance=_looked_up(self._table.instance[: self._num_instances], instance),
        )

    def _semantics(
        self, face: npt.NDArray[np.int32], instance: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.int32]:
        """The class of each pixel or ray: that of the face, otherwise that of the instance."""
        of_face = np.append(self._packed().face_semantic, np.int32(-1))[face]
        of_instance = _looked_up(self._table.semantic[: self._num_instances], instance)
        return np.where(of_face >= 0, of_face, of_instance)

    def _seen(self, camera: Camera, view: View, supersampling: int) -> Visibility:
        """Rasterise into the buffers kept for this image size."""
        seen = self._buffer(camera.height_px * supersampling, camera.width_px * supersampling)
        instances = first_rows(self._table, self._num_instances)
        if not self._opacities:
            rasterise(self._packed(), instances, view, seen)
            return seen
        is_solid = instances.is_visible.copy()
        for handle, opacity in self._opacities.items():
            if supersampling > 1 or opacity < 0.5:
                is_solid[handle] = 0
        rasterise(self._packed(), instances._replace(is_visible=is_solid), view, seen)
        if supersampling > 1:
            self._add_see_through(camera, view, supersampling, seen)
        return seen

    def _add_see_through(self, camera: Camera, view: View, supersampling: int, seen: Visibility) -> None:
        """Draw what can be seen through into some of the samples of every pixel, others for each instance."""
        s = supersampling
        instances = first_rows(self._table, self._num_instances)
        is_drawn = np.zeros((s * s, self._num_instances), dtype=np.uint8)
        for number, (handle, opacity) in enumerate(self._opacities.items()):
            for sample in range(max(1, round(opacity * s * s))):
                is_drawn[(number + sample) % (s * s), handle] = instances.is_visible[handle]
        part = self._buffer(camera.height_px, camera.width_px, is_part=True)
        for sample in range(s * s):
            if not is_drawn[sample].any():
                continue
            row, column = divmod(sample, s)
            coarse = view._replace(
                fx=view.fx / s,
                fy=view.fy / s,
                cx=(view.cx - 0.5 - column) / s + 0.5,
                cy=(view.cy - 0.5 - row) / s + 0.5,
            )
            rasterise(self._packed(), instances._replace(is_visible=is_drawn[sample]), coarse, part)
            is_nearer = part.inverse_depth > seen.inverse_depth[row::s, column::s]
            for target, source in zip(seen, part, strict=True):
                np.copyto(target[row::s, column::s], source, where=is_nearer)

    def _buffer(self, height: int, width: int, *, is_part: bool = False) -> Visibility:
        key = (height, width, is_part)
        buffer = self._buffers.get(key)
        if buffer is None:
            buffer = self._buffers[key] = empty_visibility(height, width)
        return buffer

    def _coloured(
        self, camera: Camera, view: View, supersampling: int, samples: Visibility
    ) -> npt.NDArray[np.uint8]:
        rgb = np.empty((camera.height_px, camera.width_px, 3), dtype=np.uint8)
        instances = first_rows(self._table, self._num_instances)
        light = np.concatenate([self.light.packed(), *(lamp.packed(view.position_m) for lamp in self.lamps)])
        geometry = self._packed()
        if self._lit is None or len(self._lit.stamp) != geometry.vertices_m.shape[1]:
            self._lit = empty_lit_vertices(geometry.vertices_m.shape[1], len(geometry.face_corners))
        self._lit_stamp += self._num_instances
        shade(
            geometry, instances, view, light, self.background.packed(), supersampling, samples, self._lit,
            self._lit_stamp, rgb,
        )  # fmt: skip
        return rgb

    def _packed(self) -> Geometry:
        if self._geometry is None:
            self._geometry = pack_meshes(self._meshes or [_PLACEHOLDER])
            for handle, vertices in self._moved_vertices.items():
                index = int(self._table.mesh[handle])
                move_vertices(self._geometry, index, self._meshes[index], vertices)
        return self._geometry

    def _index_of(self, mesh: Mesh) -> int:
        """Position of a mesh among those of the scene, added when new."""
        index = self._mesh_index.get(mesh)
        if index is None:
            index = len(self._meshes)
            self._meshes.append(mesh)
            self._mesh_index[mesh] = index
            self._geometry = self._lit = None
        return index

    def _check_handle(self, handle: int) -> None:
        if not 0 <= handle < self._num_instances:
            msg = f"Unknown handle {handle}; the scene has {self._num_instances} instances, counted from 0."
            raise ParameterError(msg)


def _looked_up(ids: npt.NDArray[np.int32], instance_seen: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The id of each pixel; row -1 (no surface) takes the entry appended at the end."""
    return np.append(ids, np.int32(BACKGROUND_ID))[instance_seen]


def _finite(values: npt.ArrayLike, shape: tuple[int, ...], what: str) -> npt.NDArray[np.float64]:
    array = np.array(values, dtype=np.float64, order="C")  # a copy: numba compiles again for read-only arrays
    if array.shape != shape:
        msg = f"{what} must have shape {shape}, got {array.shape}."
        raise ParameterError(msg)
    if not np.isfinite(array).all():
        msg = f"{what} must be finite; it holds NaN or inf in row {int(np.argwhere(~np.isfinite(array))[0][0])}."
        raise ParameterError(msg)
    return array


def _rotation(values: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    rotation = _finite(values, (3, 3), what)
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > 1e-5 or np.linalg.det(rotation) < 0.0:
        msg = f"{what} must be a rotation matrix, got {rotation.tolist()}."
        raise ParameterError(msg)
    return rotation
