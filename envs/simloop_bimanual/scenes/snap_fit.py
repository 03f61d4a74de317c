"""A snap fit: two bodies are one until they are pulled apart with more than the fit's force."""

from __future__ import annotations

from typing import Any

SNAP_FIT = "snap_fit"
"""Name of the weld constraint in the model."""


class SnapFit:
    """Watches the force in a weld at every physics step and takes the weld away once the pull is too strong.

    Only the pull along the stud counts: bending and shear are carried by the stud in its socket. A fit that has let go
    does not catch again within the episode.

    Args:
        mj_model: Compiled model with the weld ``SNAP_FIT``, whose first body has its stud along its own y axis; it may
            have other equality constraints.
    """

    def __init__(self, mj_model: Any) -> None:
        weld = mj_model.equality(SNAP_FIT)
        self._weld, self._body = int(weld.id), int(mj_model.eq_obj1id[weld.id])
        self._force_n = 0.0
        self._pull_n = 0.0

    @property
    def pull_n(self) -> float:
        """Pull along the stud in the last physics step, newtons; negative while the bricks are pressed together."""
        return self._pull_n

    def start(self, *, retention_force_n: float) -> None:
        """Sets the force of an episode, newtons."""
        self._force_n, self._pull_n = retention_force_n, 0.0

    def is_closed(self, data: Any) -> bool:
        """Returns whether the fit still holds."""
        return bool(data.eq_active[self._weld])

    def apply(self, data: Any, now_ns: int) -> None:
        """Looks at the force of the physics step that ended at an instant; the first step begins at 0."""
        self._pull_n = 0.0
        if now_ns == 0 or not data.eq_active[self._weld]:
            return
        # MuJoCo's first ``ne`` rows are those of equality constraints, of grippers with coupled fingers too; the weld
        # has three of force, then three of torque.
        owners = data.efc_id[: data.ne].tolist()
        if self._weld not in owners:
            return
        first = owners.index(self._weld)
        axis = data.xmat[self._body][1::3]
        self._pull_n = float(axis @ data.efc_force[first : first + 3])
        if self._pull_n > self._force_n:
            data.eq_active[self._weld] = 0
