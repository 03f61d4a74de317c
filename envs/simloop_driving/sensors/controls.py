"""The sensor ``controls``: the stop lines ahead, with their signs or the state of their traffic lights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_driving.periods import STEP_S
from simloop_driving.roads.road_map import SIGNAL_KINDS, TRAFFIC_LIGHT
from simloop_driving.roads.route import STOP_EXIT_S_M, STOP_S_M, STOP_SIGNAL
from simloop_driving.scenario import signals
from simloop_driving.scenario.actor_state import EGO, S_M
from simloop_driving.sensors.options import ExtraSensor
from simloop_driving.sensors.snapshot import Snapshot

FloatArray = npt.NDArray[np.float64]

NUM_CONTROLS = 4
CONTROL_COLUMNS = ("is_present", "distance_m", "kind", "state", "time_to_change_s", "exit_distance_m")
"""Columns of ``controls``: the way along the route from the ego's centre to the stop line, negative once it is
passed; the kind as a code (0 traffic light, 1 stop sign, 2 yield sign); the state (0 green, 1 amber, 2 red, -1 a
sign); the time until the state changes (0 for a sign); the way to the end of the junction behind the line. Nearest
first; a row goes when the ego's centre has left the junction; rows without a control are zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls(ExtraSensor):
    """Stop lines ahead with their signals."""

    type_name: ClassVar[str] = "controls"

    @property
    def spec(self) -> SensorSpec:
        """Layout: (4, 6), see ``CONTROL_COLUMNS``."""
        kinds = ", ".join(f"{code} {name}" for code, name in enumerate(SIGNAL_KINDS))
        return self.make_spec(
            SensorKind.OBJECTS,
            (NUM_CONTROLS, len(CONTROL_COLUMNS)),
            f"stop lines along the route, nearest first; columns: {', '.join(CONTROL_COLUMNS)}; kinds: {kinds}; "
            "states: 0 green, 1 amber, 2 red, -1 a sign",
        )

    def read(self, snapshot: Snapshot, index: int) -> FloatArray:
        """Returns the (4, 6) array."""
        out = np.zeros((NUM_CONTROLS, len(CONTROL_COLUMNS)))
        start = snapshot.episode.start
        station_m = float(snapshot.actors[S_M, EGO])
        stops = start.route.stops
        stops = stops[stops[:, STOP_EXIT_S_M] > station_m][:NUM_CONTROLS]
        for row, stop in zip(out, stops, strict=False):
            signal = int(stop[STOP_SIGNAL])
            kind = int(start.road_map.signal_kind[signal])
            state, time_to_change_s = -1.0, 0.0
            if kind == TRAFFIC_LIGHT:
                time_s = snapshot.step * STEP_S
                state = float(signals.state_at(start.signal_program, signal, time_s))
                time_to_change_s = float(signals.time_to_change(start.signal_program, signal, time_s))
            row[:] = (
                1.0,
                stop[STOP_S_M] - station_m,
                kind,
                state,
                time_to_change_s,
                stop[STOP_EXIT_S_M] - station_m,
            )
        return out
