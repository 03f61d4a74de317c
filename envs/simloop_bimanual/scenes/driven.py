"""A robosuite environment that moves parts of its scene by itself, at the instants at which the world does."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from robosuite.environments.manipulation.two_arm_env import TwoArmEnv

from simloop_bimanual.conventions import PHYSICS_PERIOD_NS


class DrivenTwoArmEnv(TwoArmEnv):  # type: ignore[misc]
    """A two-arm environment whose ``drive`` is called before every physics step, and at reset with 0.

    robosuite's own hook, ``_pre_action``, comes between the two halves of a physics step: too late for positions.
    """

    sim: Any
    _substep = 0

    def __init__(self, robots: Any, *, initialization_noise: Any = "default", **options: Any) -> None:
        super().__init__(robots, initialization_noise=initialization_noise, **options)

    @property
    def mj_model(self) -> Any:
        """MuJoCo's model under robosuite's wrapper."""
        return self.sim.model._model

    @abstractmethod
    def drive(self, data: Any, now_ns: int) -> None:
        """Writes what the scene moves by itself, as it is at an instant of the episode."""

    def _initialize_sim(self, xml_string: str | None = None) -> None:
        super()._initialize_sim(xml_string)
        sim = self.sim
        data, first_half = sim.data._data, sim.step1

        def step1() -> None:
            self.drive(data, self._substep * PHYSICS_PERIOD_NS)
            self._substep += 1
            first_half()

        sim.step1 = step1

    def _reset_internal(self) -> None:
        super()._reset_internal()
        self._substep = 0
        self._place_objects()
        self.drive(self.sim.data._data, 0)

    @abstractmethod
    def _place_objects(self) -> None:
        """Draws where the objects start and how the scene moves, and writes the positions."""
