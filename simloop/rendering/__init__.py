"""Software renderer: triangles in; RGB, depth, semantic and instance images out.

A z-buffered rasteriser that needs no GPU, no OpenGL and no system library, and gives the same bytes for the
same poses. Lengths are metres, angles radians, the world is right-handed with z up. Cameras look along their
own -z axis with x right and y up (OpenGL and MuJoCo); `camera_frames` converts from other conventions.

Example:
    >>> from simloop.rendering import Camera, Scene, primitives
    >>> from simloop.rendering.camera_frames import look_at
    >>> scene = Scene()
    >>> ball = scene.add(primitives.sphere(0.5, colour_rgb=(0.8, 0.1, 0.1)), semantic=3, instance=7)
    >>> camera = Camera(64, 48, vertical_fov_rad=0.8)
    >>> image = scene.render(camera, (4.0, 0.0, 0.0), look_at((4.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
    >>> image.rgb.shape, int(image.semantic[24, 32])
    ((48, 64, 3), 3)
"""

from simloop.rendering import camera_frames, primitives
from simloop.rendering.camera import Camera
from simloop.rendering.image import BACKGROUND_ID, RangeScan, RenderedImage
from simloop.rendering.lighting import Background, Lamp, Light
from simloop.rendering.mesh import LevelOfDetail, Mesh
from simloop.rendering.scene import Scene
from simloop.rendering.texture import Texture

__all__ = [
    "BACKGROUND_ID",
    "Background",
    "Camera",
    "Lamp",
    "LevelOfDetail",
    "Light",
    "Mesh",
    "RangeScan",
    "RenderedImage",
    "Scene",
    "Texture",
    "camera_frames",
    "primitives",
]
