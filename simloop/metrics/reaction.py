"""Reaction time: from an event to the first applied action that was computed from an observation of it.

An event at e is answered by the first action to take effect among those whose anchor item was captured at or after e
(a correction counts with its own, newer observation). Between two captures that were acted upon the answer is the
same, so over an event at uniform phase the reaction time is a mixture of uniform distributions whose moments and
quantiles are exact: nothing is sampled. Events before the first and after the last capture that was acted upon are
left out.

With a delay of delta, actions every dt and a request every s of them, the mean is delta + s dt / 2 for asynchronous
and delta + (delta + s dt) / 2 for blocking execution (FASTER, arXiv 2603.19199); with a control clock that ticks by
itself delta becomes d dt.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.episode_length import episode_length_ns
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import FloatArray, Reduction

IntArray = npt.NDArray[np.int64]

NO_ANSWER = "fewer than two observations were acted upon"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReactionProfile:
    """When each event would have been answered.

    Attributes:
        capture_ns: (N,) ascending, different capture instants of the anchor items that were acted upon.
        answer_ns: (N,) the earliest effect of an action computed from that capture or a later one.
    """

    capture_ns: IntArray
    answer_ns: IntArray

    def at(self, event_ns: int) -> int | None:
        """Returns the reaction time to an event in ns, or None if no later observation was acted upon."""
        index = int(np.searchsorted(self.capture_ns, event_ns, side="left"))
        return None if index == len(self.capture_ns) else int(self.answer_ns[index]) - event_ns

    def mean_ms(self) -> float:
        """Returns the mean reaction time over an event at uniform phase between the first and the last capture."""
        length = np.diff(self.capture_ns)
        middle = self.answer_ns[1:] - 0.5 * (self.capture_ns[1:] + self.capture_ns[:-1])
        return float((length * middle).sum()) / float(length.sum()) * 1e-6

    def quantile_ms(self, share: float) -> float:
        """Returns the reaction time that ``share`` of the events at uniform phase do not exceed."""
        least, most = self.answer_ns[1:] - self.capture_ns[1:], self.answer_ns[1:] - self.capture_ns[:-1]
        at: FloatArray = np.concatenate((least, most)).astype(np.float64)
        order = np.argsort(at)
        at = at[order]
        # Segments of events that have this reaction time: one more at each least, one fewer at each most.
        density = np.cumsum(np.where(order < len(least), 1.0, -1.0))[:-1]
        mass = np.cumsum(density * np.diff(at))
        target = share * mass[-1]
        index = min(int(np.searchsorted(mass, target)), len(mass) - 1)
        return float(at[index + 1] - (mass[index] - target) / max(density[index], 1.0)) * 1e-6


def reaction_profile(log: EpisodeLog) -> ReactionProfile | MetricValue:
    """Reads who answers which event, or says that fewer than two observations were acted upon."""
    age_ns, effect_ns = log.column("ticks", "action_age_ns"), log.column("ticks", "effect_ns")
    end_ns = episode_length_ns(log) if log.has("outcomes") else 0
    acted = age_ns >= 0
    if end_ns:
        acted &= effect_ns < end_ns
    effect_ns = effect_ns[acted]
    capture_ns = effect_ns - age_ns[acted]
    correction = log.column("ticks", "correction")[acted]
    if len(correction) and correction.max() >= 0:
        corrected_ns = log.column("inferences", "anchor_captured_at_ns")[correction]
        capture_ns = np.where(correction >= 0, np.maximum(capture_ns, corrected_ns), capture_ns)
    order = np.argsort(capture_ns, kind="stable")
    capture_ns = capture_ns[order]
    answer_ns = np.minimum.accumulate(effect_ns[order][::-1])[::-1]
    is_first = np.ones(len(capture_ns), dtype=bool)
    is_first[1:] = capture_ns[1:] != capture_ns[:-1]
    if np.count_nonzero(is_first) < 2:
        return MetricValue.invalid(NO_ANSWER)
    return ReactionProfile(capture_ns=capture_ns[is_first], answer_ns=answer_ns[is_first])


def reaction_ms(log: EpisodeLog, event_ns: int) -> float | None:
    """Returns the reaction time to an event at ``event_ns``, or None if no later observation was acted upon."""
    profile = reaction_profile(log)
    reaction_ns = None if isinstance(profile, MetricValue) else profile.at(event_ns)
    return None if reaction_ns is None else reaction_ns * 1e-6


def _mean_ms(profile: ReactionProfile) -> float:
    return profile.mean_ms()


def _quantile_ms(share: float, profile: ReactionProfile) -> float:
    return profile.quantile_ms(share)


def event_reaction_ms(log: EpisodeLog) -> float | MetricValue:
    """Returns the mean reaction time to the events that the world names in the log's attribute ``event_ns``."""
    events = log.attributes.get("event_ns", ())
    instants = [events] if isinstance(events, int) else list(events)
    if not instants:
        return MetricValue.invalid("the world names no event")
    profile = reaction_profile(log)
    if isinstance(profile, MetricValue):
        return profile
    reactions = [profile.at(int(e)) for e in instants]
    answered = [r for r in reactions if r is not None]
    if len(answered) < len(reactions):
        return MetricValue.invalid(f"{len(reactions) - len(answered)} of {len(reactions)} events unanswered")
    return sum(answered) / len(answered) * 1e-6


REACTION = (
    Reduction(
        name="reaction_mean_ms",
        description="Mean reaction time to an event at uniform phase.",
        read=reaction_profile,
        reduce=_mean_ms,
        unit="ms",
        tables=("ticks", "inferences"),
        higher_is_better=False,
    ),
    *(
        Reduction(
            name=f"reaction_p{percent}_ms",
            description=f"Reaction time that {percent} % of events at uniform phase do not exceed.",
            read=reaction_profile,
            reduce=partial(_quantile_ms, percent / 100.0),
            unit="ms",
            tables=("ticks", "inferences"),
            higher_is_better=False,
        )
        for percent in (50, 95, 99)
    ),
    Reduction(
        name="event_reaction_ms",
        description="Mean reaction time to the events that the world names.",
        read=event_reaction_ms,
        unit="ms",
        tables=("ticks", "inferences"),
        higher_is_better=False,
    ),
)
