"""The two-arm tasks, by the name that scenarios use."""

from __future__ import annotations

from collections.abc import Mapping

from simloop_bimanual.tasks.conveyor_lift import ConveyorLiftTask
from simloop_bimanual.tasks.disassemble import DisassembleTask
from simloop_bimanual.tasks.fold_towel import FoldTowelTask
from simloop_bimanual.tasks.handover import HandoverTask
from simloop_bimanual.tasks.lift import LiftTask
from simloop_bimanual.tasks.moving_handover import MovingHandoverTask
from simloop_bimanual.tasks.peg_in_hole import PegInHoleTask
from simloop_bimanual.tasks.task import Task
from simloop_bimanual.tasks.transport import TransportTask
from simloop_bimanual.tasks.tray_balance import TrayBalanceTask

__all__ = ["TASKS", "Task"]

TASKS: Mapping[str, type[Task]] = {
    task.name: task
    for task in (
        LiftTask,
        HandoverTask,
        PegInHoleTask,
        TransportTask,
        ConveyorLiftTask,
        TrayBalanceTask,
        MovingHandoverTask,
        DisassembleTask,
        FoldTowelTask,
    )
}
"""Every task, by its name."""
