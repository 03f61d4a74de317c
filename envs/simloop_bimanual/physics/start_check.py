"""Which overlaps a start is refused for: parameters that put one thing into another."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError
from simloop_bimanual.models.variation import DISTRACTOR
from simloop_bimanual.robosuite_import import load_mujoco

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel


def check_overlaps(
    model: TwoArmModel, data: Any, *, objects: Collection[str], allowed_m: float, where: str
) -> None:
    """Refuses a start in which an object is deep in anything else.

    An object that is fixed to a hand may overlap the robot that has it. The fingers of other hands than the Panda's may
    overlap the task's objects: robosuite starts some of them around the handle of a lid.

    Args:
        model: The physics model.
        data: Its MjData, with the contacts of the start.
        objects: Classes of the task's objects; deformable bodies and distractors count, too.
        allowed_m: How deep an object may be in something.
        where: What to name in messages.

    Raises:
        ConfigurationError: Names the two things and how deep they overlap.
    """
    depths = np.where(_is_refused(model, data, objects), -data.contact.dist, 0.0)
    if len(depths) and depths.max() > allowed_m:
        deepest = int(depths.argmax())
        first, second = (_thing_name(model, data, deepest, side) for side in range(2))
        raise ConfigurationError(
            f"{where}: the parameters put {first!r} {1e3 * depths.max():.1f} mm into {second!r} at the start; "
            f"allowed are {1e3 * allowed_m:.0f} mm. Narrow the ranges of the parameters that place them."
        )


def _is_refused(model: TwoArmModel, data: Any, objects: Collection[str]) -> npt.NDArray[np.bool_]:
    """Returns which contacts must not be deep at the start."""
    names, geoms = model.class_names, data.contact.geom
    is_flex = geoms < 0  # contacts of a deformable body name no geom
    classes = np.where(is_flex, -1, model.geom_class[geoms])
    is_distractor, is_finger = (
        np.isin(classes, [n for n, name in enumerate(names) if name.endswith(word)])
        for word in (DISTRACTOR, "_fingers")
    )
    is_object = is_flex | is_distractor
    is_object |= np.isin(classes, [n for n, name in enumerate(names) if name in objects])
    roots = model.mj_model.body_rootid[model.mj_model.geom_bodyid[geoms]]
    # A robot's tree holds its own parts, and objects that are fixed to its hands.
    is_held = is_object & ~is_flex & np.isin(roots, model.controller[0]["grip_root"])
    is_let = is_held.any(axis=1) & ~is_object.all(axis=1) & (roots[:, 0] == roots[:, 1])
    if set(model.robots) != {"Panda"}:
        is_let |= is_finger.any(axis=1) & ~is_distractor.any(axis=1)
    is_refused: npt.NDArray[np.bool_] = is_object.any(axis=1) & ~is_let
    return is_refused


def _thing_name(model: TwoArmModel, data: Any, contact: int, side: int) -> str:
    geom = int(data.contact.geom[contact, side])
    if geom >= 0:
        return model.geom_names[geom]
    mujoco = load_mujoco()
    flex = int(data.contact.flex[contact, side])
    return str(mujoco.mj_id2name(model.mj_model, mujoco.mjtObj.mjOBJ_FLEX, flex))
