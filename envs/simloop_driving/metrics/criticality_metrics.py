"""Metrics of criticality: the worst of an episode, or how long it lasted."""

from __future__ import annotations

import math

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue
from simloop_driving.metrics import criticality
from simloop_driving.metrics.actor_rows import TABLE
from simloop_driving.metrics.criticality import TrafficGrid
from simloop_driving.metrics.encroachment import post_encroachment_s
from simloop_driving.scenario.actor_state import ACTOR_CLASSES

COLLISIONS_TABLE = "world.collisions"
CRITICAL_TTC_S = 1.5
"""Time to collision below which a conflict counts as serious."""
PET_HORIZON_S = 5.0
LANE_WIDTH_M = 3.5
"""Width of the lanes of the shipped motorways."""
EGO_MASS_KG = 1573.0
CLASS_MASS_KG = {
    "car": 1500.0,
    "truck": 15000.0,
    "motorcycle": 300.0,
    "bicycle": 90.0,
    "pedestrian": 75.0,
}
"""Typical masses with load; the ego's is that of its default vehicle."""


class MaxDrac(Metric):
    """Largest deceleration rate to avoid the crash into the leader (DRAC)."""

    name = "max_drac_mps2"
    unit = "m/s^2"
    description = (
        "Largest deceleration that the ego would have needed to avoid a leader of constant speed (DRAC)."
    )
    tables = (TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the largest DRAC over all ticks; 0 if the gap never shrank."""
        return MetricValue(
            value=float(TrafficGrid.from_log(log).leader_series()[:, criticality.DRAC_MPS2].max())
        )


class MaxBtn(Metric):
    """Largest brake threat number: required over full deceleration; at 1 braking alone no longer helps."""

    name = "max_brake_threat"
    description = (
        "Largest ratio of the deceleration that was needed to full braking (BTN); from 1 on unavoidable."
    )
    tables = (TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the largest BTN over all ticks; 0 if no braking was needed."""
        return MetricValue(value=float(TrafficGrid.from_log(log).leader_series()[:, criticality.BTN].max()))


class TimeExposedTtc(Metric):
    """Time during which the time to collision with the leader was below ``CRITICAL_TTC_S`` (TET)."""

    name = "time_exposed_ttc_s"
    unit = "s"
    description = f"Time with less than {CRITICAL_TTC_S:g} s to collision with the leader (TET)."
    tables = (TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the time exposed."""
        grid = TrafficGrid.from_log(log)
        ttc_s = grid.leader_series()[:, criticality.TTC_S]
        return MetricValue(value=float(criticality.time_exposed_s(ttc_s, CRITICAL_TTC_S, grid.period_s)))


class TimeIntegratedTtc(Metric):
    """Area between ``CRITICAL_TTC_S`` and the time to collision with the leader below it (TIT)."""

    name = "time_integrated_ttc_s2"
    unit = "s^2"
    description = f"Area of the time to collision with the leader below {CRITICAL_TTC_S:g} s (TIT)."
    tables = (TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the area."""
        grid = TrafficGrid.from_log(log)
        ttc_s = grid.leader_series()[:, criticality.TTC_S]
        return MetricValue(value=float(criticality.time_integrated_s2(ttc_s, CRITICAL_TTC_S, grid.period_s)))


class MinPet(Metric):
    """Least post-encroachment time of the ego and any other actor, at most ``PET_HORIZON_S``."""

    name = "min_pet_s"
    unit = "s"
    description = (
        f"Least time between the ego and another being at one place (PET), capped at {PET_HORIZON_S:g} s."
    )
    tables = (TABLE,)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the least time; the cap if nobody came where the ego was, or the other way round."""
        grid = TrafficGrid.from_log(log)
        if grid.period_s == 0.0:
            return MetricValue.invalid("world.actors has fewer than two ticks")
        pet_s = float(post_encroachment_s(grid.pose, grid.size_m, grid.period_s, PET_HORIZON_S))
        return MetricValue(value=min(pet_s, PET_HORIZON_S))


class MinDistance(Metric):
    """Least distance between the ego's footprint and another; 0 in touch."""

    name = "min_distance_m"
    unit = "m"
    description = "Least distance between the ego's footprint and another actor's."
    tables = (TABLE,)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the least distance over all ticks and actors."""
        distance_m = TrafficGrid.from_log(log).min_distance_m()
        if math.isinf(distance_m):
            return MetricValue.invalid("no actor but the ego")
        return MetricValue(value=distance_m)


class IntrusionTtc(Metric):
    """Least time to collision at the instant at which an actor came 0.3 m into the ego's lane (UN R157, 5.2.5.2).

    The regulation asks to avoid the crash if this is above closing speed / (2 x 6 m/s2) + 0.35 s. Lanes are taken
    to be ``LANE_WIDTH_M`` wide.
    """

    name = "intrusion_ttc_s"
    unit = "s"
    description = (
        "Least time to collision when an actor cut into the ego's lane (UN R157, 5.2.5.2), capped at 10 s."
    )
    tables = (TABLE,)
    higher_is_better = None

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the least time over all actors that cut in ahead."""
        ttc_s = TrafficGrid.from_log(log).intrusion_ttc_s(LANE_WIDTH_M)
        if not len(ttc_s):
            return MetricValue.invalid("nobody cut in ahead of the ego")
        return MetricValue(value=min(float(np.min(ttc_s)), 10.0))


class DeltaV(Metric):
    """Change of the ego's speed in its first collision if both go on as one (a plastic impact along the normal)."""

    name = "delta_v_mps"
    unit = "m/s"
    description = "Change of the ego's speed in its first collision, taken as plastic, from typical masses."
    tables = (TABLE, COLLISIONS_TABLE)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns closing speed times the other's share of the mass; 0 without a collision."""
        actors = np.asarray(log.column(COLLISIONS_TABLE, "actor"), dtype=np.int64)
        if not len(actors):
            return MetricValue(value=0.0)
        closing_mps = float(np.asarray(log.column(COLLISIONS_TABLE, "impact_speed_mps"), dtype=np.float64)[0])
        classes = np.asarray(log.column(TABLE, "actor_class"), dtype=np.int64)
        index = int(classes[np.flatnonzero(np.asarray(log.column(TABLE, "actor")) == actors[0])[0]])
        mass_kg = CLASS_MASS_KG[ACTOR_CLASSES[index]]
        return MetricValue(value=closing_mps * mass_kg / (mass_kg + EGO_MASS_KG))
