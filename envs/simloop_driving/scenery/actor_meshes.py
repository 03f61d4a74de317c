"""Meshes of actors: vehicles, people, things on the road.

They fill the unit box x in -0.5..0.5 (forward), y in -0.5..0.5 (left), z in 0..1 and are scaled to an actor's length,
width and height.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from simloop.rendering import Mesh
from simloop_driving.scenery import semantics
from simloop_driving.scenery.triangle_soup import Rgb, TriangleSoup

_WHITE: Rgb = (0.95, 0.95, 0.95)
_GLASS: Rgb = (0.07, 0.09, 0.12)
_RUBBER: Rgb = (0.05, 0.05, 0.05)
_SHADOW: Rgb = (0.10, 0.10, 0.11)
_PLATE: Rgb = (0.85, 0.85, 0.80)
_TROUSERS: Rgb = (0.16, 0.17, 0.22)
_SKIN: Rgb = (0.80, 0.60, 0.48)
_HEADLAMP: Rgb = (0.95, 0.95, 0.85)
_WARNING_RED: Rgb = (0.80, 0.06, 0.06)
_ORANGE: Rgb = (0.95, 0.38, 0.05)


def _add_wheels(soup: TriangleSoup, axles: Sequence[float], length_share: float, height: float) -> None:
    for axle in axles:
        for side in (-0.5, 0.36):
            soup.add_box(
                (axle - 0.5 * length_share, side, 0.0),
                (axle + 0.5 * length_share, side + 0.14, height),
                _RUBBER,
            )


def _add_shadow(soup: TriangleSoup) -> None:
    corners = np.array([[-0.52, -0.55, 0.02], [0.52, -0.55, 0.02], [0.52, 0.55, 0.02], [-0.52, 0.55, 0.02]])
    soup.add(corners[np.array([[0, 1, 2], [0, 2, 3]])], _SHADOW, semantics.ROAD)


@functools.cache
def car_mesh(paint_rgb: Rgb) -> Mesh:
    """A saloon in the unit box: body, dark windows under a painted roof, wheels, lamps' housings, plate, shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    _add_wheels(soup, (-0.30, 0.31), 0.14, 0.44)
    soup.add_box(
        (-0.5, -0.5, 0.16), (0.5, 0.5, 0.62), paint_rgb, top_low=(-0.48, -0.46), top_high=(0.46, 0.46)
    )
    soup.add_box(
        (-0.44, -0.45, 0.62),
        (0.22, 0.45, 0.98),
        _GLASS,
        top_low=(-0.31, -0.37),
        top_high=(0.05, 0.37),
    )
    soup.add_box((-0.31, -0.38, 0.96), (0.05, 0.38, 1.0), paint_rgb)
    soup.add_box((-0.505, -0.42, 0.16), (-0.49, 0.42, 0.30), _RUBBER)
    soup.add_box((-0.507, -0.14, 0.32), (-0.49, 0.14, 0.40), _PLATE)
    for side in (-0.45, 0.25):
        soup.add_box((0.47, side, 0.42), (0.505, side + 0.2, 0.54), _HEADLAMP)
    return soup.mesh()


@functools.cache
def truck_mesh(paint_rgb: Rgb) -> Mesh:
    """A box truck in the unit box: painted cab, light box body, wheels, plate, shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    _add_wheels(soup, (-0.38, -0.27, 0.36), 0.09, 0.27)
    soup.add_box((-0.5, -0.40, 0.14), (0.5, 0.40, 0.28), _RUBBER)
    soup.add_box((-0.5, -0.5, 0.28), (0.30, 0.5, 1.0), (0.86, 0.86, 0.84))
    soup.add_box((0.32, -0.48, 0.14), (0.5, 0.48, 0.80), paint_rgb)
    soup.add_box((0.46, -0.44, 0.48), (0.503, 0.44, 0.72), _GLASS)
    soup.add_box((-0.503, -0.12, 0.17), (-0.49, 0.12, 0.22), _PLATE)
    return soup.mesh()


def _add_rider(soup: TriangleSoup, paint_rgb: Rgb, seat: float) -> None:
    """Adds somebody who sits at a height of ``seat``: legs, a painted jacket, arms, a head."""
    soup.add_box((-0.12, -0.32, 0.35 * seat), (0.08, 0.32, seat), _TROUSERS)
    soup.add_box((-0.16, -0.34, seat), (0.06, 0.34, 0.86), paint_rgb)
    soup.add_box((0.04, -0.46, 0.66), (0.26, 0.46, 0.74), paint_rgb)
    soup.add_box((-0.08, -0.16, 0.86), (0.06, 0.16, 1.0), _SKIN)


@functools.cache
def motorcycle_mesh(paint_rgb: Rgb) -> Mesh:
    """A motorcycle with rider in the unit box: two wheels, painted tank and jacket, plate, shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    for axle in (-0.34, 0.34):
        soup.add_box((axle - 0.16, -0.12, 0.0), (axle + 0.16, 0.12, 0.40), _RUBBER)
    soup.add_box(
        (-0.42, -0.26, 0.22), (0.36, 0.26, 0.52), _RUBBER, top_low=(-0.34, -0.2), top_high=(0.24, 0.2)
    )
    soup.add_box((0.02, -0.22, 0.48), (0.30, 0.22, 0.64), paint_rgb)
    soup.add_box((-0.505, -0.14, 0.34), (-0.46, 0.14, 0.44), _PLATE)
    soup.add_box((0.40, -0.16, 0.48), (0.50, 0.16, 0.62), _HEADLAMP)
    _add_rider(soup, paint_rgb, 0.50)
    return soup.mesh()


@functools.cache
def bicycle_mesh(paint_rgb: Rgb) -> Mesh:
    """A bicycle with rider in the unit box: two thin wheels, frame, painted jacket, shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    for axle in (-0.30, 0.30):
        soup.add_box((axle - 0.20, -0.05, 0.0), (axle + 0.20, 0.05, 0.38), _RUBBER)
    soup.add_box((-0.30, -0.06, 0.30), (0.30, 0.06, 0.46), _WHITE)
    soup.add_box((0.22, -0.5, 0.56), (0.30, 0.5, 0.60), _RUBBER)
    _add_rider(soup, paint_rgb, 0.52)
    return soup.mesh()


@functools.cache
def pedestrian_mesh(paint_rgb: Rgb) -> Mesh:
    """Somebody on foot in the unit box: two legs, a painted jacket with arms, a head, shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    for side, stride in ((-0.30, 0.12), (0.06, -0.12)):
        soup.add_box((stride - 0.22, side, 0.0), (stride + 0.22, side + 0.24, 0.48), _TROUSERS)
    soup.add_box((-0.24, -0.36, 0.48), (0.24, 0.36, 0.84), paint_rgb)
    for side in (-0.5, 0.36):
        soup.add_box((-0.16, side, 0.46), (0.16, side + 0.14, 0.82), paint_rgb)
    soup.add_box((-0.2, -0.17, 0.84), (0.2, 0.17, 1.0), _SKIN)
    return soup.mesh()


@functools.cache
def door_mesh(paint_rgb: Rgb) -> Mesh:
    """An opened car door in the unit box: painted panel, window in a frame."""
    soup = TriangleSoup()
    soup.add_box((-0.5, -0.5, 0.0), (0.5, 0.5, 0.55), paint_rgb)
    soup.add_box((-0.42, -0.5, 0.55), (0.42, 0.5, 0.94), _GLASS)
    soup.add_box((-0.5, -0.5, 0.94), (0.5, 0.5, 1.0), paint_rgb)
    return soup.mesh()


@functools.cache
def barrier_mesh(paint_rgb: Rgb) -> Mesh:
    """A road-works barrier in the unit box: two feet, a board in red and white, whatever the paint; shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    for side in (-0.42, 0.34):
        soup.add_box((-0.5, side, 0.0), (0.5, side + 0.08, 0.12), _RUBBER)
        soup.add_box((-0.06, side, 0.12), (0.06, side + 0.08, 1.0), _WHITE)
    for bottom in (0.30, 0.72):
        for strip in range(10):
            left = -0.5 + 0.1 * strip
            colour = _WARNING_RED if strip % 2 else _WHITE
            soup.add_box((-0.10, left, bottom), (0.10, left + 0.1, bottom + 0.25), colour)
    return soup.mesh()


@functools.cache
def cone_mesh(paint_rgb: Rgb) -> Mesh:
    """A traffic cone in the unit box: foot, orange cone with a white band, whatever the paint."""
    soup = TriangleSoup()
    soup.add_box((-0.5, -0.5, 0.0), (0.5, 0.5, 0.06), _RUBBER)
    for bottom, top, colour in ((0.06, 0.45, _ORANGE), (0.45, 0.72, _WHITE), (0.72, 1.0, _ORANGE)):
        half, top_half = 0.36 * (1.0 - 0.8 * bottom), 0.36 * (1.0 - 0.8 * top)
        soup.add_box(
            (-half, -half, bottom),
            (half, half, top),
            colour,
            top_low=(-top_half, -top_half),
            top_high=(top_half, top_half),
        )
    return soup.mesh()


_BODIES: dict[str, Callable[[Rgb], Mesh]] = {
    "car": car_mesh,
    "truck": truck_mesh,
    "motorcycle": motorcycle_mesh,
    "bicycle": bicycle_mesh,
    "pedestrian": pedestrian_mesh,
    "door": door_mesh,
    "barrier": barrier_mesh,
    "cone": cone_mesh,
}
# Rear lamps by class: boxes as (x low, y low, z low, x high, y high, z high).
_LAMPS: dict[str, tuple[tuple[float, ...], ...]] = {
    "car": (
        (-0.515, -0.49, 0.42, -0.47, -0.23, 0.60),
        (-0.515, 0.23, 0.42, -0.47, 0.49, 0.60),
        (-0.40, -0.16, 0.86, -0.35, 0.16, 0.93),
    ),
    "truck": ((-0.512, -0.5, 0.16, -0.49, -0.26, 0.25), (-0.512, 0.26, 0.16, -0.49, 0.5, 0.25)),
    "motorcycle": ((-0.515, -0.30, 0.42, -0.46, 0.30, 0.60),),
}
CLASSES_WITH_LAMPS = tuple(_LAMPS)
"""Classes that show brake lamps."""


def body_mesh(actor_class: str, paint_rgb: Rgb) -> Mesh:
    """Returns the body of a class of ``scenario.actor_state.ACTOR_CLASSES``, in the unit box."""
    return _BODIES[actor_class](paint_rgb)


@functools.cache
def tail_lamp_mesh(actor_class: str) -> Mesh:
    """Returns the rear lamps of one of ``CLASSES_WITH_LAMPS``, in the unit box, shown without light.

    Whoever places them sets the colour.
    """
    soup = TriangleSoup()
    for lamp in _LAMPS[actor_class]:
        soup.add_box(lamp[:3], lamp[3:], (1.0, 0.0, 0.0))
    return soup.mesh(is_emissive=True)
