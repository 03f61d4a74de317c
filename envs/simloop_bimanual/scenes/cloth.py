"""A cloth for MuJoCo: a grid of point masses, held together by a two-dimensional flex."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_POISSON = 0.2
_SOLREF, _SOLIMP = "0.01 1", "0.95 0.995 0.001"
"""Contacts of the vertices. One weighs little, and a softer contact would let 20 N of a gripper squeeze it flat."""
_LIMIT_SOLREF = "0.004 1"
"""Limits of the edges: as stiff as MuJoCo has them, two physics steps; 10 N take an edge a millimetre beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloth:
    """A square cloth of ``num_side`` x ``num_side`` vertices.

    Every vertex is a body with three slide joints. What resists stretching, shearing and bending is MuJoCo's flex
    (a Saint Venant-Kirchhoff membrane with bending, ``elastic2d="both"``). The cloth touches other things, and itself,
    with a small sphere at every vertex: MuJoCo keeps at most 50 contacts of a flex's triangles with one body, too few
    for a cloth that lies on something, and contacts of vertices cost a fifth of the time.

    MuJoCo's elastic forces are explicit in time. Semi-implicit Euler keeps them stable while h^2 w^2 + 2 h d w^2 < 4
    for the highest frequency w, the step h and the Rayleigh damping d; a Saint Venant-Kirchhoff membrane that is
    stretched by the factor s is (3 s^2 - 1) / 2 times as stiff against more of it, and damps s^2 times as much. So no
    edge grows far beyond ``most_stretch_ratio``, as threads do not: a tendon along it has a limit, which MuJoCo's
    solver keeps implicitly (strain limiting: Provot, Deformation Constraints in a Mass-Spring Model, Graphics
    Interface 1995).
    Nor may the tension grow without bounds: across a thread under the tension T, vertices of the mass m at the
    distance l are stable while T < m l / h^2 (here 18 N). Beyond that they rattle, so fingers are to slip before: the
    cloth's own friction coefficient counts in all its contacts, whatever touches it.

    Attributes:
        name: Prefix of the bodies; the flex has this name.
        num_side: Vertices along each side.
        spacing_m: Between neighbouring vertices.
        mass_kg: Of the whole cloth.
        radius_m: Of the spheres: half the cloth's thickness.
        young_modulus_npm2: Stiffness of its material.
        elastic_thickness_m: Thickness that the stiffness is computed with.
        damping_s: Rayleigh damping of the elastic forces.
        most_stretch_ratio: Length of an edge, over its length at rest, from which it is kept from growing.
        sliding_friction: Friction coefficient of every contact of the cloth.
        rgb: Colour, 0..1.
    """

    name: str
    num_side: int
    spacing_m: float
    mass_kg: float
    radius_m: float
    young_modulus_npm2: float
    elastic_thickness_m: float
    damping_s: float
    most_stretch_ratio: float
    sliding_friction: float
    rgb: tuple[float, float, float]

    @property
    def num_vertices(self) -> int:
        """Vertices of the whole cloth."""
        return self.num_side**2

    def body(self, row: int, column: int) -> str:
        """Name of a vertex' body; rows follow each other along x, columns along y, negative ones count backwards."""
        return f"{self.name}_{row % self.num_side * self.num_side + column % self.num_side}"

    def bodies(self) -> list[str]:
        """Names of all bodies, in the order of the flex's vertices."""
        return [f"{self.name}_{number}" for number in range(self.num_vertices)]

    def geom(self, body: str) -> str:
        """Name of the sphere of a body."""
        return f"{body}_point"

    def rest_m(self) -> FloatArray:
        """Returns x and y (num_vertices, 2) of the flat cloth's vertices around its centre."""
        line = (np.arange(self.num_side) - (self.num_side - 1) / 2.0) * self.spacing_m
        x, y = np.meshgrid(line, line, indexing="ij")
        return np.stack([x.reshape(-1), y.reshape(-1)], axis=1)

    def offsets_m(self, *poses: tuple[float, float, float]) -> FloatArray:
        """Returns the slide joints (num_vertices, 2) along x and y that lay the flat cloth at a pose.

        Args:
            poses: x (m), y (m) and turn (rad) of the cloth; further ones are those of the frame that the one before it
                is given in.
        """
        rest = self.rest_m()
        laid = rest
        for x_m, y_m, turn_rad in poses:
            cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
            x = cosine * laid[:, 0] - sine * laid[:, 1] + x_m
            y = sine * laid[:, 0] + cosine * laid[:, 1] + y_m
            laid = np.stack([x, y], axis=1)
        return laid - rest

    def triangles(self) -> npt.NDArray[np.int64]:
        """Returns the triangles (m, 3) as numbers of vertices.

        All diagonals run the same way: with alternating ones MuJoCo's bending forces do not vanish on the flat cloth
        (mujoco 3.9 contracts it by a tenth).
        """
        n, out = self.num_side, []
        for i in range(n - 1):
            for j in range(n - 1):
                a, b, c, d = i * n + j, (i + 1) * n + j, (i + 1) * n + j + 1, i * n + j + 1
                out += [(a, b, c), (a, c, d)]
        return np.array(out)

    def edges(self) -> npt.NDArray[np.int64]:
        """Returns the edges (m, 2) of the triangles, each once, as numbers of vertices in ascending order."""
        corners = self.triangles()
        pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
        return np.asarray(np.unique(np.sort(pairs, axis=1), axis=0))


def add_cloth(root: Any, worldbody: Any, cloth: Cloth, *, height_m: float) -> None:
    """Adds a flat cloth to a model's XML.

    Args:
        root: The ``mujoco`` element; gets a ``deformable`` section.
        worldbody: Gets the vertices' bodies.
        cloth: What to add.
        height_m: Height of the vertices over the world's origin.
    """
    friction = f"{cloth.sliding_friction!s} 0.005 0.0001"
    for body, (x_m, y_m) in zip(cloth.bodies(), cloth.rest_m(), strict=True):
        vertex = ElementTree.SubElement(worldbody, "body", name=body, pos=f"{x_m!s} {y_m!s} {height_m!s}")
        for axis, direction in (("x", "1 0 0"), ("y", "0 1 0"), ("z", "0 0 1")):
            ElementTree.SubElement(vertex, "joint", name=f"{body}_{axis}", type="slide", axis=direction)
        sphere = {"name": cloth.geom(body), "type": "sphere", "size": str(cloth.radius_m)}
        contact = {"friction": friction, "solref": _SOLREF, "solimp": _SOLIMP, "priority": "1"}
        mass = {"mass": str(cloth.mass_kg / cloth.num_vertices), "group": "0", "rgba": "0 0 0 0"}
        ElementTree.SubElement(vertex, "geom", {**sphere, **contact, **mass})
        ElementTree.SubElement(vertex, "site", name=f"{body}_end", size="0.001", rgba="0 0 0 0")
    _add_limits(root, cloth)
    flex = ElementTree.SubElement(
        ElementTree.SubElement(root, "deformable"),
        "flex",
        name=cloth.name,
        dim="2",
        radius=str(cloth.radius_m),
        body=" ".join(cloth.bodies()),
        element=" ".join(str(vertex) for vertex in cloth.triangles().reshape(-1)),
        rgba=" ".join(str(value) for value in (*cloth.rgb, 1.0)),
    )
    # Its triangles touch nothing.
    ElementTree.SubElement(
        flex, "contact", contype="0", conaffinity="0", selfcollide="none", internal="false"
    )
    ElementTree.SubElement(
        flex,
        "elasticity",
        young=str(cloth.young_modulus_npm2),
        poisson=str(_POISSON),
        thickness=str(cloth.elastic_thickness_m),
        damping=str(cloth.damping_s),
        elastic2d="both",
    )


def _add_limits(root: Any, cloth: Cloth) -> None:
    """Adds a tendon along every edge, slack up to the edge's largest length."""
    tendons, rest = ElementTree.SubElement(root, "tendon"), cloth.rest_m()
    names = cloth.bodies()
    for first, second in cloth.edges():
        longest_m = cloth.most_stretch_ratio * float(np.linalg.norm(rest[first] - rest[second]))
        tendon = ElementTree.SubElement(
            tendons,
            "spatial",
            name=f"{names[first]}_{names[second]}",
            limited="true",
            range=f"0 {longest_m!s}",
            solreflimit=_LIMIT_SOLREF,
            solimplimit=_SOLIMP,
            rgba="0 0 0 0",
        )
        for end in (first, second):
            ElementTree.SubElement(tendon, "site", site=f"{names[end]}_end")
