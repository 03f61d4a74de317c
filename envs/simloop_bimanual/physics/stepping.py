"""Physics substeps of the two-arm world, and what they leave behind: motion, joints and contacts at 500 Hz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simloop_bimanual.models.two_arm_model import TwoArmModel
from simloop_bimanual.physics.kernel import substep
from simloop_bimanual.physics.loop import observe_contacts, refresh, run_substeps, write_joints
from simloop_bimanual.physics.native import addresses_of, data_offsets, function_address, step_addresses
from simloop_bimanual.recording.contact_kernel import contact_dtype
from simloop_bimanual.recording.contacts import ContactRecorder
from simloop_bimanual.recording.tables import Rows
from simloop_bimanual.robosuite_import import load_mujoco
from simloop_bimanual.tasks import Task

if TYPE_CHECKING:
    from simloop_bimanual.physics.stock_controller import StockController

FloatArray = npt.NDArray[np.float64]

_DIVERGED = ("mjWARN_BADQPOS", "mjWARN_BADQVEL", "mjWARN_BADQACC")
"""MuJoCo's warnings after which it starts the simulation anew by itself."""


class Stepper:
    """Steps the physics of one world and records it.

    A control period is one compiled call; one a substep where the task moves parts of its scene, and none where
    robosuite's own controllers write the torques.

    Args:
        model: The physics model.
        data: The world's MjData.
        record: (1,) controller record.
        task: The task; its ``drive`` is called before every substep if ``is_driven``.
        contacts: Takes in the contacts.
        physics_period_ns: Length of a substep.
        stock: robosuite's controllers, or None for the compiled ones.

    Attributes:
        positions, velocities: (n, P, 3) blocks of motion, one row a substep.
        joints: (n, 3 J) block of positions, velocities and torques of all J joints, one row a substep.
    """

    def __init__(
        self,
        *,
        model: TwoArmModel,
        data: Any,
        record: npt.NDArray[Any],
        task: Task,
        contacts: ContactRecorder,
        physics_period_ns: int,
        stock: StockController | None,
    ) -> None:
        self._mujoco = load_mujoco()
        self._mj_model, self._data, self._record = model.mj_model, data, record
        self._task, self._contacts, self._stock = task, contacts, stock
        self._period_ns = physics_period_ns
        num_points = 2 + len(task.free_bodies)
        self.positions, self.velocities = Rows((num_points, 3), 6000), Rows((num_points, 3), 6000)
        self.joints = Rows((3 * model.num_joints,), 6000)
        d = data
        # Views of MjData stay valid as long as the data lives.
        self._views = (
            d.qpos, d.qvel, d.site_xpos, d.site_xmat, d.cdof, d.subtree_com, d.qM, d.qfrc_bias, d.ctrl, d.xpos,
        )  # fmt: skip
        self._addresses = (*addresses_of(self._mj_model, data), *step_addresses())
        self._refresh_arguments = (
            *addresses_of(self._mj_model, data),
            function_address("mj_kinematics"),
            function_address("mj_comPos"),
            record,
            self._views,
        )
        self._offsets = data_offsets()
        self._no_contacts = np.empty(0, dtype=contact_dtype())
        self._state_kind = int(self._mujoco.mjtState.mjSTATE_INTEGRATION)
        self._marked_state = np.empty(self._mujoco.mj_stateSize(self._mj_model, self._state_kind))
        self._marked_count = 0
        self._bad = [int(getattr(self._mujoco.mjtWarning, name)) for name in _DIVERGED]

    def clear(self) -> None:
        """Forgets what was recorded, for the next episode."""
        for rows in (self.positions, self.velocities, self.joints):
            rows.take()

    def refresh(self) -> None:
        """Brings positions and Jacobians up to the present state; the next physics step computes the same again."""
        refresh(*self._refresh_arguments)

    def run(self, action: FloatArray, *, is_new_action: bool, first: int, count: int) -> bool:
        """Takes substeps ``first`` .. ``first + count - 1`` of the episode.

        Args:
            action: (A,) action.
            is_new_action: Whether it sets new goals at the first of them.
            first: Number of the first substep.
            count: How many.

        Returns:
            Whether the physics held. If not, MuJoCo has put its state to that of the model, and the caller goes back to
            the mark.
        """
        if self._stock is not None:
            self._run_stock(self._stock, action, first, count, is_new_action=is_new_action)
        else:
            self._run_compiled(action, first, count, is_new_action=is_new_action)
        self._contacts.collect()
        return not self._data.warning.number[self._bad].any()

    def mark(self) -> None:
        """Remembers the state and what has been recorded."""
        self._mujoco.mj_getState(self._mj_model, self._data, self._marked_state, self._state_kind)
        self._marked_count = self.positions.count
        self._contacts.mark()

    def back_to_mark(self) -> None:
        """Puts the state back to the mark and forgets what has been recorded since; the controllers' goals stay."""
        self._mujoco.mj_setState(self._mj_model, self._data, self._marked_state, self._state_kind)
        for rows in (self.positions, self.velocities, self.joints):
            rows.count = self._marked_count
        self._contacts.back_to_mark()

    def _reserve(self, count: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self.positions.reserve(count), self.velocities.reserve(count), self.joints.reserve(count)

    def _run_compiled(self, action: FloatArray, first: int, count: int, *, is_new_action: bool) -> None:
        blocks, at = self._reserve(count), self.positions.count
        arguments = (
            *self._addresses, self._offsets, self._record, action, self._views, *blocks, self._contacts.state,
            self._no_contacts,
        )  # fmt: skip
        if self._task.is_driven:
            drive, data, period_ns = self._task.drive, self._data, self._period_ns
            for i in range(count):
                drive(data, (first + i) * period_ns)
                run_substeps(1, first + i, at + i, is_new_action and i == 0, *arguments)
        else:
            run_substeps(count, first, at, is_new_action, *arguments)
        self._count(count)

    def _run_stock(
        self, stock: StockController, action: FloatArray, first: int, count: int, *, is_new_action: bool
    ) -> None:
        data, record, views = self._data, self._record, self._views
        for i in range(count):
            if self._task.is_driven:
                self._task.drive(data, (first + i) * self._period_ns)
            self._mujoco.mj_step1(self._mj_model, data)
            positions, velocities, joints = self._reserve(1)
            at = self.positions.count
            substep(record, action, is_new_action and i == 0, *views, positions[at], velocities[at])
            stock.write_torques(action, is_new_action=is_new_action and i == 0)
            write_joints(record[0], data.qpos, data.qvel, data.ctrl, joints[at])
            self._mujoco.mj_step2(self._mj_model, data)
            observe_contacts(
                self._addresses[1], self._offsets, self._contacts.state, self._no_contacts, first + i
            )
            self._count(1)

    def _count(self, count: int) -> None:
        for rows in (self.positions, self.velocities, self.joints):
            rows.count += count
