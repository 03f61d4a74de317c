"""What the replay of a driving episode shows over time: criticality against the traffic, and the ego's motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simloop.log import EpisodeLog
from simloop.metrics.metric import MetricValue
from simloop.traces import Trace
from simloop_driving.metrics import criticality
from simloop_driving.metrics.criticality_metrics import MaxBtn
from simloop_driving.metrics.min_thw import MinThw
from simloop_driving.metrics.min_ttc import MinTtc
from simloop_driving.metrics.traffic_grid import TABLE, TTC_HORIZON_S, FloatArray, read_traffic


def driving_traces(log: EpisodeLog) -> Sequence[Trace]:
    """Returns time to collision, headway, gap, brake threat, speed and acceleration, one value a control tick.

    The time to collision is that of ``min_ttc_s``, against anybody; headway, gap and brake threat are against the
    leader in the ego's path, infinite or 0 without one. Empty for a log of another world.
    """
    traffic = read_traffic(log) if log.has(TABLE) else None
    if traffic is None or isinstance(traffic, MetricValue):
        return ()
    grid, leader = traffic.grid, traffic.leader
    series: tuple[tuple[str, str, FloatArray, Mapping[str, float], float | None], ...] = (
        ("TTC", "s", traffic.time_to_overlap_s, MinTtc.thresholds, TTC_HORIZON_S),
        ("THW", "s", leader[:, criticality.THW_S], MinThw.thresholds, 5.0),
        ("gap", "m", leader[:, criticality.GAP_M], {}, 100.0),
        ("brake threat", "", leader[:, criticality.BTN], MaxBtn.thresholds, 2.0),
        ("speed", "m/s", grid.speed_mps[:, 0], {}, None),
        ("acceleration", "m/s^2", grid.acceleration_mps2[:, 0], {}, None),
    )
    return tuple(
        Trace(name=name, unit=unit, t_ns=grid.t_ns, values=values, thresholds=thresholds, ceiling=ceiling)
        for name, unit, values, thresholds, ceiling in series
    )
