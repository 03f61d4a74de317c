"""What an environment of robosuite needs to move parts of its scene by itself, at the instants at which the world does."""

from __future__ import annotations

from typing import Any

from robosuite.environments.manipulation.two_arm_env import TwoArmEnv

PHYSICS_PERIOD_NS = 2_000_000


class DrivenTwoArmEnv(TwoArmEnv):  # type: ignore[misc]
    """A two-arm environment whose ``drive`` is called before every physics step, and at reset with 0.

    robosuite's own hook, ``_pre_action``, comes between the two halves of a physics step: too late for positions.
    """

    _substep = 0

    def drive(self, data: Any, now_ns: int) -> None:
        """Writes what the scene moves by itself, as it is at an instant of the episode."""
        raise NotImplementedError

    def _initialize_sim(self, xml_string: str | None = None) -> None:
        super()._initialize_sim(xml_string)
        sim = self.sim
        first_half = sim.step1

        def step1() -> None:
            self.drive(sim.data._data, self._substep * PHYSICS_PERIOD_NS)
            self._substep += 1
            first_half()

        sim.step1 = step1

    def _reset_internal(self) -> None:
        super()._reset_internal()
        self._substep = 0
        self._place_objects()
        self.drive(self.sim.data._data, 0)

    def _place_objects(self) -> None:
        if self.deterministic_reset:
            return
        for position, quaternion, model in self.placement_initializer.sample().values():
            self.sim.data.set_joint_qpos(model.joints[0], [*position, *quaternion])
