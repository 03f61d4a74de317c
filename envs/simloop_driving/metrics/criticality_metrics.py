"""Metrics of criticality: the worst of an episode, or how long it lasted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue
from simloop_driving.collisions.impulse import CLASS_MASS_KG
from simloop_driving.metrics import criticality, encroachment
from simloop_driving.metrics.traffic_grid import LANE_WIDTHS, PET_HORIZON_S, TABLE, Traffic, TrafficMetric
from simloop_driving.scenario.actor_state import ACTOR_CLASSES

COLLISIONS_TABLE = "world.collisions"
CRITICAL_TTC_S = 1.5
"""Time to collision below which a conflict counts as serious."""
MDRAC_CAP_MPS2 = 20.0
"""More than any vehicle can do; also when the reaction time alone is longer than the time to collision."""
EGO_MASS = "ego_mass_kg"
"""Log attribute: mass of the ego."""


class MaxDrac(TrafficMetric):
    """Largest deceleration rate to avoid the crash into the leader (DRAC)."""

    name = "max_drac_mps2"
    unit = "m/s^2"
    description = (
        "Largest deceleration that the ego would have needed to avoid a leader of constant speed (DRAC)."
    )
    version = 2
    higher_is_better = False
    thresholds: ClassVar[Mapping[str, float]] = {"emergency braking (SUMO)": 3.0}

    def value_of(self, traffic: Traffic) -> float:
        """Returns the largest DRAC over all ticks; 0 if the gap never shrank."""
        return float(traffic.leader[:, criticality.DRAC_MPS2].max())


class MaxMdrac(TrafficMetric):
    """Largest deceleration rate to avoid the crash after ``criticality.REACTION_S`` of reaction (MDRAC)."""

    name = "max_mdrac_mps2"
    unit = "m/s^2"
    description = (
        f"Largest deceleration needed after {criticality.REACTION_S:g} s of reaction (MDRAC), capped at "
        f"{MDRAC_CAP_MPS2:g} m/s^2."
    )
    higher_is_better = False
    thresholds: ClassVar[Mapping[str, float]] = {"emergency braking (SUMO)": 3.4}

    def value_of(self, traffic: Traffic) -> float:
        """Returns the largest MDRAC over all ticks; 0 if the gap never shrank."""
        return min(float(traffic.leader[:, criticality.MDRAC_MPS2].max()), MDRAC_CAP_MPS2)


class MaxBtn(TrafficMetric):
    """Largest brake threat number: required over full deceleration; at 1 braking alone no longer helps."""

    name = "max_brake_threat"
    description = (
        "Largest ratio of the deceleration that was needed to full braking (BTN); from 1 on unavoidable."
    )
    version = 2
    higher_is_better = False
    thresholds: ClassVar[Mapping[str, float]] = {"full braking": 1.0}

    def value_of(self, traffic: Traffic) -> float:
        """Returns the largest BTN over all ticks; 0 if no braking was needed."""
        return float(traffic.leader[:, criticality.BTN].max())


class TimeExposedTtc(TrafficMetric):
    """Time during which the time to collision with the leader was below ``CRITICAL_TTC_S`` (TET)."""

    name = "time_exposed_ttc_s"
    unit = "s"
    description = f"Time with less than {CRITICAL_TTC_S:g} s to collision with the leader (TET)."
    version = 2
    higher_is_better = False

    def value_of(self, traffic: Traffic) -> float:
        """Returns the time exposed."""
        ttc_s = traffic.leader[:, criticality.TTC_S]
        return float(criticality.time_exposed_s(ttc_s, CRITICAL_TTC_S, traffic.grid.period_s))


class TimeIntegratedTtc(TrafficMetric):
    """Area between ``CRITICAL_TTC_S`` and the time to collision with the leader below it (TIT)."""

    name = "time_integrated_ttc_s2"
    unit = "s^2"
    description = f"Area of the time to collision with the leader below {CRITICAL_TTC_S:g} s (TIT)."
    version = 2
    higher_is_better = False

    def value_of(self, traffic: Traffic) -> float:
        """Returns the area."""
        ttc_s = traffic.leader[:, criticality.TTC_S]
        return float(criticality.time_integrated_s2(ttc_s, CRITICAL_TTC_S, traffic.grid.period_s))


class TimeUnsafeRss(TrafficMetric):
    """Time with a gap to the leader below the safe distance of responsibility-sensitive safety."""

    name = "time_unsafe_rss_s"
    unit = "s"
    description = (
        "Time with a gap to the leader below RSS's safe distance (default parameters of ad-rss-lib)."
    )
    higher_is_better = False

    def value_of(self, traffic: Traffic) -> float:
        """Returns the time."""
        series = traffic.leader
        is_unsafe = series[:, criticality.GAP_M] < series[:, criticality.RSS_M]
        return float(np.count_nonzero(is_unsafe)) * traffic.grid.period_s


class MinPet(TrafficMetric):
    """Least post-encroachment time of the ego and any other actor, at most ``PET_HORIZON_S``."""

    name = "min_pet_s"
    unit = "s"
    description = (
        f"Least time between the ego and another being at one place (PET), capped at {PET_HORIZON_S:g} s."
    )
    version = 2
    higher_is_better = True
    thresholds: ClassVar[Mapping[str, float]] = {"critical (SUMO)": 2.0}

    def value_of(self, traffic: Traffic) -> float:
        """Returns the least time; the cap if nobody came where the ego was, or the other way round."""
        return min(float(traffic.encroachments_s[encroachment.LEAST_S]), PET_HORIZON_S)


class MinCrossingPet(TrafficMetric):
    """Least post-encroachment time where ways cross at 30 to 150 degrees, at most ``PET_HORIZON_S``."""

    name = "min_crossing_pet_s"
    unit = "s"
    description = f"Least time between two being where their ways cross (PET), capped at {PET_HORIZON_S:g} s."
    higher_is_better = True
    thresholds: ClassVar[Mapping[str, float]] = {"critical (SUMO)": 2.0}

    def value_of(self, traffic: Traffic) -> float:
        """Returns the least time; the cap if nobody's way crossed the ego's within it."""
        return min(float(traffic.encroachments_s[encroachment.LEAST_CROSSING_S]), PET_HORIZON_S)


class MaxEncroachment(TrafficMetric):
    """Longest time that the ego stayed on ground that another crosses within ``PET_HORIZON_S`` (ET)."""

    name = "max_encroachment_s"
    unit = "s"
    description = (
        f"Longest time that the ego was on ground that another crosses within {PET_HORIZON_S:g} s (ET)."
    )
    higher_is_better = False

    def value_of(self, traffic: Traffic) -> float:
        """Returns the time; 0 if nobody's way crossed the ego's."""
        return float(traffic.encroachments_s[encroachment.LONGEST_CROSSING_S])


class MinDistance(TrafficMetric):
    """Least distance between the ego's footprint and another; 0 in touch."""

    name = "min_distance_m"
    unit = "m"
    description = "Least distance between the ego's footprint and another actor's."
    version = 2
    higher_is_better = True

    def value_of(self, traffic: Traffic) -> float | MetricValue:
        """Returns the least distance over all ticks and actors."""
        grid = traffic.grid
        distance_m = float(criticality.min_distance_m(grid.pose, grid.size_m, grid.is_present))
        return MetricValue.invalid("no actor but the ego") if math.isinf(distance_m) else distance_m


class IntrusionTtc(TrafficMetric):
    """Least time to collision at the instant at which an actor came 0.3 m into the ego's lane (UN R157, 5.2.5.2).

    The regulation asks to avoid the crash if this is above closing speed / (2 x 6 m/s2) + 0.35 s. The log
    says how wide the lane is along the ego's route.
    """

    name = "intrusion_ttc_s"
    unit = "s"
    description = (
        "Least time to collision when an actor cut into the ego's lane (UN R157, 5.2.5.2), capped at 10 s."
    )
    version = 3
    higher_is_better = None

    def value_of(self, traffic: Traffic) -> float | MetricValue:
        """Returns the least time over all actors that cut in ahead."""
        grid = traffic.grid
        widths = grid.lane_widths_m
        if not len(widths):
            return MetricValue.invalid(f"the log has no attribute {LANE_WIDTHS}")
        ttc_s = criticality.intrusion_ttc_s(
            grid.along_m,
            grid.across_m,
            grid.speed_mps,
            grid.route_speed_mps,
            grid.size_m,
            grid.is_present,
            np.interp(grid.along_m, widths[:, 0], widths[:, 1]),
        )
        return (
            min(float(np.min(ttc_s)), 10.0)
            if len(ttc_s)
            else MetricValue.invalid("nobody cut in ahead of the ego")
        )


class DeltaV(Metric):
    """Change of the ego's speed in its first collision if both go on as one (a plastic impact along the normal).

    The ego's mass is its vehicle's, in the log; the other's is typical of its class.
    """

    name = "delta_v_mps"
    unit = "m/s"
    description = (
        "Change of the ego's speed in its first collision, taken as plastic, from typical masses of others."
    )
    version = 2
    tables = (TABLE, COLLISIONS_TABLE)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns closing speed times the other's share of the mass; 0 without a collision."""
        actors = np.asarray(log.column(COLLISIONS_TABLE, "actor"), dtype=np.int64)
        if not len(actors):
            return MetricValue(value=0.0)
        ego_mass_kg = log.attributes.get(EGO_MASS)
        if ego_mass_kg is None:
            return MetricValue.invalid(f"the log has no attribute {EGO_MASS}")
        closing_mps = float(np.asarray(log.column(COLLISIONS_TABLE, "impact_speed_mps"), dtype=np.float64)[0])
        classes = np.asarray(log.column(TABLE, "actor_class"), dtype=np.int64)
        index = int(classes[np.flatnonzero(np.asarray(log.column(TABLE, "actor")) == actors[0])[0]])
        return MetricValue(value=closing_mps / (1.0 + ego_mass_kg / CLASS_MASS_KG[ACTOR_CLASSES[index]]))
