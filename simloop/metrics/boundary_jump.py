"""Changes of the executed action: within chunks, and jumps where one chunk takes over from another.

The jumps are the number that latency makes worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import FloatArray, Reduction, percentile

MODE_SWITCH_PERCENT = 99.0
"""A jump above this percentile of the steps within a chunk counts as a switch to another mode."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActionSteps:
    """Sizes of the change of action between neighbouring control ticks, each entry scaled to its range.

    Attributes:
        seam: (S,) Euclidean norms of the changes where another chunk takes over.
        within: (W,) the same inside a chunk.
        seam_sum: (S,) sums of absolute entries of the changes where another chunk takes over.
        within_sum: (W,) the same inside a chunk.
    """

    seam: FloatArray
    within: FloatArray
    seam_sum: FloatArray
    within_sum: FloatArray


def action_steps(
    actions: FloatArray, request: npt.NDArray[np.int64], span: FloatArray, is_angle: npt.NDArray[np.bool_]
) -> ActionSteps:
    """Splits |a_k - a_(k-1)| into steps at chunk boundaries and steps within a chunk.

    Args:
        actions: (K, A) executed actions of successive control ticks, in one frame.
        request: (K,) number of the chunk that each came from; -1 for a hold, whose steps are left out.
        span: (A,) range by which each entry is divided.
        is_angle: (A,) entries whose change is wrapped to -pi..pi.
    """
    change = np.diff(actions, axis=0)
    if is_angle.any():
        change[:, is_angle] = (change[:, is_angle] + np.pi) % (2.0 * np.pi) - np.pi
    change /= span
    size = np.sqrt(np.einsum("ij,ij->i", change, change))
    total = np.abs(change).sum(axis=1)
    before, after = request[:-1], request[1:]
    is_chunk = (before >= 0) & (after >= 0)
    is_seam, is_within = is_chunk & (before != after), is_chunk & (before == after)
    return ActionSteps(
        seam=size[is_seam], within=size[is_within], seam_sum=total[is_seam], within_sum=total[is_within]
    )


def read_action_steps(log: EpisodeLog) -> ActionSteps | MetricValue:
    """Returns the action steps of an episode, or an invalid value that says why there are none."""
    names = log.attributes.get("action_dimensions", ())
    low = np.array(log.attributes.get("action_low", ()), dtype=np.float64)
    high = np.array(log.attributes.get("action_high", ()), dtype=np.float64)
    actions = np.asarray(log.column("ticks", "action"), dtype=np.float64)
    if len(actions) < 2:
        return MetricValue.invalid("fewer than two control ticks")
    actions = actions.reshape(len(actions), -1)
    if not len(names) == len(low) == len(high) == actions.shape[1]:
        return MetricValue.invalid(
            "the log's attributes do not give names and bounds of the action's entries"
        )
    span = high - low
    if not (np.isfinite(span) & (span > 0.0)).all():
        return MetricValue.invalid("an action entry has no finite range")
    is_angle = np.array([str(name).endswith("yaw_rad") for name in names])
    return action_steps(actions, log.column("ticks", "request"), span, is_angle)


_NO_SEAM = "no chunk took over from another"


def _mean_jump(steps: ActionSteps) -> float | MetricValue:
    return float(steps.seam.mean()) if len(steps.seam) else MetricValue.invalid(_NO_SEAM)


def _max_jump(steps: ActionSteps) -> float | MetricValue:
    return float(steps.seam.max()) if len(steps.seam) else MetricValue.invalid(_NO_SEAM)


def _variation(part: str, steps: ActionSteps) -> float | MetricValue:
    count = len(steps.seam) + len(steps.within)
    if not count:
        return MetricValue.invalid(
            "no chunk acted for two control ticks in a row, and none took over from another"
        )
    changes: FloatArray = getattr(steps, f"{part}_sum")
    return float(changes.sum()) / count


def jump_ratio(steps: ActionSteps) -> float | MetricValue:
    """Returns the mean step at the seams over the median step within a chunk."""
    if not len(steps.seam):
        return MetricValue.invalid(_NO_SEAM)
    median = percentile(steps.within, 50.0) if len(steps.within) else 0.0
    if median <= 0.0:
        return MetricValue.invalid("the action does not change within a chunk")
    return float(steps.seam.mean()) / median


def mode_switch_ratio(steps: ActionSteps) -> float | MetricValue:
    """Returns the share of seams whose step is above the 99 % quantile of the steps within a chunk."""
    if not len(steps.seam):
        return MetricValue.invalid(_NO_SEAM)
    if not len(steps.within):
        return MetricValue.invalid("no chunk acted for two control ticks in a row")
    threshold = percentile(steps.within, MODE_SWITCH_PERCENT)
    return np.count_nonzero(steps.seam > threshold) / len(steps.seam)


BOUNDARY_JUMP = (
    Reduction(
        name="boundary_jump",
        description="Mean jump of the action at chunk changes; each action entry divided by its range.",
        read=read_action_steps,
        reduce=_mean_jump,
        tables=("ticks",),
        higher_is_better=False,
    ),
    Reduction(
        name="boundary_jump_max",
        description="Largest jump of the action at a chunk change; each action entry divided by its range.",
        read=read_action_steps,
        reduce=_max_jump,
        tables=("ticks",),
        higher_is_better=False,
    ),
    Reduction(
        name="boundary_jump_ratio",
        description="Mean jump at chunk changes divided by the median step within a chunk; 1: seams cannot be seen.",
        read=read_action_steps,
        reduce=jump_ratio,
        tables=("ticks",),
        higher_is_better=False,
    ),
    Reduction(
        name="mode_switch_ratio",
        description="Share of chunk changes with a jump above the 99 % quantile of the steps within a chunk.",
        read=read_action_steps,
        reduce=mode_switch_ratio,
        tables=("ticks",),
        higher_is_better=False,
    ),
)

ACTION_VARIATION = tuple(
    Reduction(
        name=f"action_variation_{part}",
        description=f"Total variation of the action {where}: sum of absolute changes, each entry divided by its "
        "range, over the number of all steps.",
        read=read_action_steps,
        reduce=partial(_variation, part),
        tables=("ticks",),
        higher_is_better=False,
        is_motion=True,
    )
    for part, where in (("within", "within chunks"), ("seam", "where chunks change"))
)
