"""The same poses give the same bytes, in any process, and the core stays light to import."""

import hashlib
import subprocess
import sys

import numpy as np

from simloop.rendering import Camera, RenderedImage, Scene, primitives
from simloop.rendering.camera_frames import look_at
from simloop.rendering.raster_kernel import rasterise
from simloop.rendering.shade_kernel import shade

PROGRAM = """
import numpy as np
from simloop.rendering import Camera, Scene, primitives
from simloop.rendering.camera_frames import look_at
import hashlib
scene = Scene()
scene.add(primitives.plane((30.0, 30.0), num_cells=(10, 10)), semantic=1, instance=1)
for index in range(20):
    handle = scene.add(primitives.capsule(0.2 + 0.01 * index, 0.5), semantic=2, instance=2 + index)
    scene.set_pose(handle, (np.sin(index), np.cos(3 * index), 0.1 * index), look_at((0, 0, 0), (1, index, 2)))
image = scene.render(Camera(80, 60, 1.0), (4.0, 1.0, 2.0), look_at((4.0, 1.0, 2.0), (0, 0, 0.5)), supersampling=2)
digest = hashlib.blake2b()
for array in (image.rgb, image.depth_m, image.semantic, image.instance):
    digest.update(array.tobytes())
print(digest.hexdigest())
"""


def digest_of(image: RenderedImage) -> str:
    digest = hashlib.blake2b()
    for array in (image.rgb, image.depth_m, image.semantic, image.instance):
        digest.update(array.tobytes())
    return digest.hexdigest()


def test_two_processes_render_the_same_bytes() -> None:
    outputs = [
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert len(outputs[0].strip()) == 128
    assert outputs[0] == outputs[1]


def test_an_image_does_not_depend_on_what_was_rendered_before() -> None:
    scene = Scene()
    handle = scene.add(primitives.capsule(0.3, 0.5))
    camera = Camera(64, 48, vertical_fov_rad=1.0)
    rotation = look_at((3.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    expected = digest_of(scene.render(camera, (3.0, 1.0, 1.0), rotation))
    scene.set_pose(handle, (0.5, 0.0, 0.0), np.eye(3))
    other = scene.render(camera, (1.0, 1.0, 1.0), look_at((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), supersampling=2)
    assert digest_of(other) != expected
    scene.set_pose(handle, (0.0, 0.0, 0.0), np.eye(3))
    assert digest_of(scene.render(camera, (3.0, 1.0, 1.0), rotation)) == expected


def test_importing_the_core_does_not_import_numba() -> None:
    program = "import sys, simloop; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_read_only_poses_do_not_compile_the_kernels_again() -> None:
    """Frozen captures hand over read-only arrays; compiling takes seconds."""
    scene = Scene()
    scene.add(primitives.capsule(0.3, 0.5))
    camera = Camera(16, 16, vertical_fov_rad=1.0)
    position_m, rotation = np.array([3.0, 1.0, 1.0]), look_at((3.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    expected = digest_of(scene.render(camera, position_m, rotation))
    position_m.setflags(write=False)
    rotation.setflags(write=False)
    num_compiled = len(rasterise.signatures), len(shade.signatures)
    assert digest_of(scene.render(camera, position_m, rotation)) == expected
    assert (len(rasterise.signatures), len(shade.signatures)) == num_compiled
