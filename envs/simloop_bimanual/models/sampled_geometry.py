"""Bodies whose geometry changes from episode to episode: compiled alone, and written into the model in use.

robosuite compiles its whole model anew at every hard reset (0.3 s) to sample a hammer or a peg. Here MuJoCo compiles
the one body by itself (0.4 ms); what comes out is what it would write for that body in the whole model, bit for bit,
and ``mj_setConst`` derives the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simloop_bimanual.robosuite_import import load_mujoco

_GEOM_VALUES = ("type", "contype", "conaffinity", "condim", "density", "margin", "gap")
_GEOM_ARRAYS = ("size", "pos", "quat", "friction", "solref", "solimp")
_BODY_FIELDS = ("body_mass", "body_inertia", "body_ipos", "body_iquat", "body_sameframe")
_GEOM_FIELDS = (
    "geom_size",
    "geom_pos",
    "geom_quat",
    "geom_aabb",
    "geom_rbound",
    "geom_friction",
    "geom_sameframe",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeomShape:
    """What may change of a geom.

    Attributes:
        size_m: Sizes as MuJoCo takes them for the geom's type.
        position_m: Centre in the body's frame.
        density_kgpm3: Density.
        sliding_friction: First friction coefficient, or None to keep it.
    """

    size_m: tuple[float, ...]
    position_m: tuple[float, float, float]
    density_kgpm3: float
    sliding_friction: float | None = None


class SampledBody:
    """One body of a model whose geoms can be given other shapes.

    Args:
        mj_model: The model to write into; nobody else may use it.
        spec: ``MjSpec`` that holds the body alone (``lone_body``).
        body: The body's name.
    """

    def __init__(self, mj_model: Any, spec: Any, body: str) -> None:
        self._mujoco = load_mujoco()
        self._model, self._spec = mj_model, spec
        self._data = self._mujoco.MjData(mj_model)
        self._body = mj_model.body(body).id
        self._geoms = [mj_model.geom(geom.name).id for geom in spec.geoms]

    def write(self, shapes: Mapping[str, GeomShape]) -> None:
        """Gives the named geoms their shapes, and the model everything that follows from them."""
        for name, shape in shapes.items():
            geom = self._spec.geom(name)
            geom.size[: len(shape.size_m)] = shape.size_m
            geom.pos[:] = shape.position_m
            geom.density = shape.density_kgpm3
            if shape.sliding_friction is not None:
                geom.friction[0] = shape.sliding_friction
        lone, model, body = self._spec.compile(), self._model, self._body
        for field in _BODY_FIELDS:
            getattr(model, field)[body] = getattr(lone, field)[1]
        for field in _GEOM_FIELDS:
            getattr(model, field)[self._geoms] = getattr(lone, field)
        to, source, count = model.body_bvhadr[body], lone.body_bvhadr[1], lone.body_bvhnum[1]
        for field in ("bvh_aabb", "bvh_child", "bvh_depth"):
            getattr(model, field)[to : to + count] = getattr(lone, field)[source : source + count]
        for node in range(count):
            geom = lone.bvh_nodeid[source + node]
            model.bvh_nodeid[to + node] = self._geoms[geom] if geom >= 0 else -1
        self._mujoco.mj_setConst(model, self._data)


def lone_body(spec: Any, body: str) -> Any:
    """Returns an ``MjSpec`` with nothing but a body of ``spec`` and its geoms, at the world's origin."""
    alone = load_mujoco().MjSpec()
    alone.compiler.degree = spec.compiler.degree
    copy = alone.worldbody.add_body(name=body)
    for geom in spec.body(body).geoms:
        added = copy.add_geom(name=geom.name)
        for field in _GEOM_VALUES:
            setattr(added, field, getattr(geom, field))
        for field in _GEOM_ARRAYS:
            getattr(added, field)[:] = getattr(geom, field)
    return alone
