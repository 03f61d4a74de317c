"""A cloth whose stiffness and friction change from episode to episode, in a model that is compiled once."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np

from simloop_bimanual.robosuite_import import load_mujoco
from simloop_bimanual.scenes.cloth import Cloth, add_cloth


class SampledCloth:
    """The elastic and friction arrays of one cloth in a model.

    MuJoCo compiles the cloth by itself; what comes out is what it would write for the cloth in the whole model, bit
    for bit.

    Args:
        mj_model: The model to write into; nobody else may use it.
        cloth: The cloth at ratios of 1.
    """

    def __init__(self, mj_model: Any, cloth: Cloth) -> None:
        self._model, self._cloth = mj_model, cloth
        root = ElementTree.Element("mujoco")
        add_cloth(root, ElementTree.SubElement(root, "worldbody"), cloth, height_m=0.0)
        self._spec = load_mujoco().MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
        self._geoms = np.array([mj_model.geom(cloth.geom(body)).id for body in cloth.bodies()])
        self._stiffness_ratio = 0.0  # the model has that of another episode

    def write(self, *, stiffness_ratio: float, friction_ratio: float) -> None:
        """Gives the cloth its stiffness and friction, as multiples of its usual ones."""
        model, cloth = self._model, self._cloth
        model.geom_friction[self._geoms, 0] = cloth.sliding_friction * friction_ratio
        if stiffness_ratio != self._stiffness_ratio:
            self._spec.flex(cloth.name).young = cloth.young_modulus_npm2 * stiffness_ratio
            lone = self._spec.compile()
            model.flex_stiffness[:] = lone.flex_stiffness
            model.flex_bending[:] = lone.flex_bending
            self._stiffness_ratio = stiffness_ratio
