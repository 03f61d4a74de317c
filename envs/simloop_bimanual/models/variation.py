"""What may vary of the physics of every two-arm task: masses, friction, and things that stand about on the table.

Every parameter has a neutral value, which leaves the episode as it is without the parameter, to the last bit. What
varies of the look is in ``simloop_bimanual.rendering.looks``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simloop.errors import ConfigurationError
from simloop_bimanual.rendering.looks import PARAMETERS as LOOKS
from simloop_bimanual.robosuite_import import load_mujoco

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel

NUM_DISTRACTORS: Final = 3
DISTRACTOR: Final = "distractor"
"""Class of their geoms in the table ``contacts``, and prefix of their names."""

_DISTRACTORS: Final = range(1, NUM_DISTRACTORS + 1)
PARAMETERS: Final[Mapping[str, tuple[float, float, float]]] = {
    "object_mass_ratio": (0.2, 5.0, 1.0),
    "friction_ratio": (0.2, 5.0, 1.0),
    **{f"distractor_{i}_x_m": (-1.0, 1.0, 0.0) for i in _DISTRACTORS},
    **{f"distractor_{i}_y_m": (-1.0, 1.0, 0.0) for i in _DISTRACTORS},
    **{f"distractor_{i}_radius_m": (0.005, 0.1, 0.025) for i in _DISTRACTORS},
    **{f"distractor_{i}_height_m": (0.0, 0.5, 0.0) for i in _DISTRACTORS},
}
"""Lowest, highest and neutral value of each parameter.

``object_mass_ratio`` scales mass and inertia of the task's objects. ``friction_ratio`` scales the sliding friction of
every geom, and so that of every contact. Distractor i stands where its ``x_m`` and ``y_m`` say, from the middle of the
table top, along the world's axes, and is fixed to it; 1 and 3 are cylinders, 2 is a square block. A height of 0 leaves
it out.
"""
SHARED: Final[Mapping[str, tuple[float, float, float]]] = {**PARAMETERS, **LOOKS}
"""Lowest, highest and neutral value of each parameter that every task takes."""

_PARKED_Z_M = -5.0
_FIELDS = ("body_mass", "body_inertia", "geom_friction", "pair_friction", "geom_size", "body_pos")


class Physics(enum.Enum):
    """Which physics model an episode needs."""

    ORIGINAL = "original"
    """The task's own, which all worlds of a process share where nothing is sampled."""
    VARIED = "varied"
    """A copy with other masses or friction."""
    WITH_DISTRACTORS = "with_distractors"
    """A copy of the one that has bodies standing about, whatever its masses."""

    @staticmethod
    def of(values: Mapping[str, float]) -> Physics:
        """Returns what the values of ``PARAMETERS`` need."""
        if any(values[f"distractor_{i}_height_m"] > 0.0 for i in _DISTRACTORS):
            return Physics.WITH_DISTRACTORS
        is_varied = any(
            values[name] != PARAMETERS[name][2] for name in ("object_mass_ratio", "friction_ratio")
        )
        return Physics.VARIED if is_varied else Physics.ORIGINAL


def add_distractors(spec: Any) -> None:
    """Adds the distractors to an ``MjSpec``, far below the floor."""
    mujoco = load_mujoco()
    for i in _DISTRACTORS:
        body = spec.worldbody.add_body(name=f"{DISTRACTOR}_{i}", pos=(0.3 * i, 0.0, _PARKED_Z_M))
        kind = mujoco.mjtGeom.mjGEOM_BOX if i % 2 == 0 else mujoco.mjtGeom.mjGEOM_CYLINDER
        body.add_geom(
            name=f"{DISTRACTOR}_{i}",
            type=kind,
            size=(0.025, 0.025 if i % 2 == 0 else 0.05, 0.05),
            rgba=((0.75, 0.25, 0.2, 1.0), (0.25, 0.5, 0.3, 1.0), (0.25, 0.3, 0.6, 1.0))[(i - 1) % 3],
        )


class Variation:
    """Writes the varied physics of an episode into a model that belongs to one world.

    Args:
        model: The physics model; its ``mj_model`` must not be shared.
    """

    def __init__(self, model: TwoArmModel) -> None:
        self._mujoco = load_mujoco()
        self._model = model.mj_model
        self._original = {field: getattr(self._model, field).copy() for field in _FIELDS}
        self._objects = list(model.object_bodies.values())
        self._data = self._mujoco.MjData(self._model)
        self._distractors = [i for i in _DISTRACTORS if f"{DISTRACTOR}_{i}" in model.geom_names]
        tables = [
            name for name in model.geom_names if name.startswith("table") and name.endswith("collision")
        ]
        self._table = self._model.geom(tables[0]).id if len(tables) == 1 else -1

    def restore(self) -> None:
        """Makes the model the original one again; before the task gives it an episode's geometry."""
        for field, values in self._original.items():
            getattr(self._model, field)[:] = values

    def apply(self, values: Mapping[str, float], where: str) -> None:
        """Varies the model; after the task gave it the episode's geometry.

        Args:
            values: A value for each of ``PARAMETERS``.
            where: What to name in messages.

        Raises:
            ConfigurationError: A distractor does not stand on the table, or the task has no single table.
        """
        model = self._model
        model.body_mass[self._objects] *= values["object_mass_ratio"]
        model.body_inertia[self._objects] *= values["object_mass_ratio"]
        model.geom_friction[:, 0] *= values["friction_ratio"]
        model.pair_friction[:, :2] *= values["friction_ratio"]
        for i in self._distractors:
            if values[f"distractor_{i}_height_m"] > 0.0:
                self._stand(i, values, where)
        self._mujoco.mj_setConst(model, self._data)

    def _stand(self, number: int, values: Mapping[str, float], where: str) -> None:
        x_m, y_m, radius_m, height_m = (
            values[f"distractor_{number}_{name}_m"] for name in ("x", "y", "radius", "height")
        )
        if self._table < 0:
            raise ConfigurationError(
                f"{where}: distractor_{number}_height_m is {height_m:g}, and the scene has no single table to stand "
                "on; allowed: 0."
            )
        model, table = self._model, self._table
        half = model.geom_size[table]
        if abs(x_m) + radius_m > half[0] or abs(y_m) + radius_m > half[1]:
            raise ConfigurationError(
                f"{where}: distractor {number} at ({x_m:g}, {y_m:g}) m with a radius of {radius_m:g} m does not stand "
                f"on the table, which reaches {half[0]:g} m to either side in x and {half[1]:g} m in y."
            )
        body = model.body(f"{DISTRACTOR}_{number}").id
        geom = model.geom(f"{DISTRACTOR}_{number}").id
        middle = model.body_pos[model.geom_bodyid[table]] + model.geom_pos[table]
        model.body_pos[body] = middle + np.array((x_m, y_m, half[2] + height_m / 2.0))
        is_box = model.geom_type[geom] == self._mujoco.mjtGeom.mjGEOM_BOX
        size = (radius_m, radius_m, height_m / 2.0) if is_box else (radius_m, height_m / 2.0, 0.0)
        model.geom_size[geom] = size
        extent = np.array((radius_m, radius_m, height_m / 2.0))
        model.geom_aabb[geom, 3:] = extent
        model.geom_rbound[geom] = np.linalg.norm(extent) if is_box else np.hypot(radius_m, height_m / 2.0)
        model.bvh_aabb[model.body_bvhadr[body], 3:] = extent
