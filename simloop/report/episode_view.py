"""The part of an episode's log that the report's page plays: scene and timeline as plain, thinned values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.report.arms import arms_view
from simloop.report.scene import Scene, read_scene
from simloop.traces import Trace, TraceFunction, read_traces

MAX_FRAMES = 160
MAX_TRACE_POINTS = 320
_SIGNIFICANT = 4
_MS = 1e-6


def episode_view(log: EpisodeLog, traces: Mapping[str, TraceFunction] | None = None) -> dict[str, Any]:
    """Returns the scene (or None), the traces and the timeline of a log; times in ms, lengths in m, angles in rad.

    Args:
        log: The log.
        traces: What reads traces from it, see ``simloop.plugins.load_traces``.
    """
    scene = read_scene(log, MAX_FRAMES)
    return {
        "period": _milliseconds(log.attributes.get("control_period_ns", 50_000_000)),
        "scene": None if scene is None else _scene_view(scene),
        "traces": [_trace_view(trace) for trace in read_traces(log, traces or {})],
        "sensors": _captures(log),
        "inferences": _inferences(log),
        "actions": _action_runs(log),
        "contacts": _contacts(log),
    }


def _milliseconds(value_ns: int) -> float:
    return round(int(value_ns) * _MS, 2)


def _plain(values: npt.NDArray[Any], digits: int) -> list[float | None]:
    return [None if not math.isfinite(v) else round(float(v), digits) for v in values]


def _trace_view(trace: Trace) -> dict[str, Any]:
    """Thins a trace; of the points that are left out the lowest is kept, as most of them matter where they are low."""
    count = len(trace.values)
    step = max(-(-count // MAX_TRACE_POINTS), 1)
    values = np.where(np.isfinite(trace.values), trace.values, np.nan)
    starts = np.arange(0, count, step)
    lowest = [
        start + int(np.nanargmin(part))
        if np.isfinite(part := values[start : start + step]).any()
        else int(start)
        for start in starts.tolist()
    ]
    return {
        "name": trace.name,
        "unit": trace.unit,
        "t": [_milliseconds(t) for t in trace.t_ns[lowest].tolist()],
        "v": [None if math.isnan(v) else float(f"{v:.{_SIGNIFICANT}g}") for v in values[lowest].tolist()],
        "thresholds": dict(trace.thresholds),
        "ceiling": trace.ceiling,
    }


def _scene_view(scene: Scene) -> dict[str, Any]:
    view: dict[str, Any] = {"t": [round(float(t) * 1e3, 1) for t in scene.t_s]}
    if scene.actors:
        view["actors"] = [
            {
                "actor": a.actor,
                "length": _size(a.size_m[:, 0]),
                "width": _size(a.size_m[:, 1]),
                "x": _plain(a.pose[:, 0], 2),
                "y": _plain(a.pose[:, 1], 2),
                "yaw": _plain(a.pose[:, 2], 3),
                "speed": _plain(a.speed_mps, 1),
            }
            for a in scene.actors
        ]
        view["course"] = round(scene.course_rad, 4)
        view["road"] = [_line(line) for line in scene.road]
        view["paths"] = [_line(line) for line in scene.paths]
        view["stops"] = [[_line(stop.ends_m), stop.signal] for stop in scene.stop_lines]
        view["signals"] = [
            {
                "kind": signal.kind,
                "x": round(signal.x_m, 2),
                "y": round(signal.y_m, 2),
                "changes": [[round(t_s * 1e3, 1), state] for t_s, state in signal.changes],
            }
            for signal in scene.signals
        ]
    elif scene.arms is not None:
        view["arms"] = arms_view(scene.arms)
    else:
        view["points"] = [
            {"name": name, **{axis: _plain(track[:, i], 4) for i, axis in enumerate("xyz")}}
            for name, track in scene.points
        ]
    return view


def _size(values: npt.NDArray[np.float64]) -> float | list[float | None]:
    """Returns one size where it never changes."""
    present = values[values > 0.0]
    return round(float(present[0]), 2) if np.ptp(present) == 0.0 else _plain(values, 2)


def _line(points: npt.NDArray[np.float64]) -> list[list[float]]:
    return [[round(float(x), 2), round(float(y), 2)] for x, y in points]


def _captures(log: EpisodeLog) -> list[dict[str, Any]]:
    if not log.has("captures"):
        return []
    sensor, consumed = log.column("captures", "sensor"), log.column("captures", "is_consumed")
    t_ns = log.column("captures", "captured_at_ns")
    return [
        {
            "name": str(name),
            "used": [_milliseconds(t) for t in t_ns[(sensor == name) & consumed]],
            "unused": int(((sensor == name) & ~consumed).sum()),
        }
        for name in dict.fromkeys(sensor.tolist())
    ]


def _inferences(log: EpisodeLog) -> list[list[Any]]:
    """One list a request: number, instants in ms (-1 never), install tick, d, state.

    The instants are: observed, triggered, started, done, delivered.
    """
    if not log.has("inferences"):
        return []
    names = ("anchor_captured_at_ns", "trigger_ns", "start_ns", "done_ns", "deliver_ns")
    columns = [log.column("inferences", name).tolist() for name in names]
    others = [log.column("inferences", n).tolist() for n in ("install_tick", "realised_delay_ticks", "state")]
    requests = log.column("inferences", "request").tolist()
    rows = zip(requests, *columns, *others, strict=True)
    return [[r[0], *(_milliseconds(t) if t >= 0 else -1 for t in r[1:6]), *r[6:]] for r in rows]


def _action_runs(log: EpisodeLog) -> list[list[Any]]:
    """Runs of ticks with the same source: first tick's instant in ms, number of ticks, request (-1 hold), age in ms."""
    if not log.has("ticks"):
        return []
    request = log.column("ticks", "request")
    t_ns, age_ns = log.column("ticks", "t_ns").tolist(), log.column("ticks", "action_age_ns").tolist()
    starts = [i for i in range(len(request)) if i == 0 or request[i] != request[i - 1]]
    ends = [*starts[1:], len(request)] if starts else []
    return [
        [_milliseconds(t_ns[i]), end - i, int(request[i]), _milliseconds(age_ns[i]) if age_ns[i] >= 0 else -1]
        for i, end in zip(starts, ends, strict=True)
    ]


def _contacts(log: EpisodeLog) -> list[list[Any]]:
    """One list a contact: ms, class pair, whether it is a collision, impact speed in m/s."""
    if not log.has("world.contacts"):
        return []
    table = log.tables["world.contacts"]
    rows = zip(
        table["t_ns"], table["class_pair"], table["is_collision"], table["impact_speed_mps"], strict=True
    )
    return [[_milliseconds(t), str(pair), bool(hit), round(float(v), 2)] for t, pair, hit, v in rows][:200]
