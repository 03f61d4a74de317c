"""Writes the records of a snapshot at the end of a tick."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop_carla.server import lights
from simloop_carla.server.actors import Roster
from simloop_carla.server.bodies import record_kernel
from simloop_carla.server.bodies.bodies import Bodies
from simloop_carla.server.towns.lane_limits import look_up
from simloop_carla.server.towns.stop_lines import StopLines
from simloop_carla.server.towns.town import Town
from simloop_carla.wire import streams


class RecordWriter:
    """Keeps the records of a roster's bodies, walkers and lights up to date.

    Args:
        town: The map.
        roster: The actors.
        own_bodies: Everything solid.
        all_lights: Lights and signs.
        stops: Where they hold vehicles up.
    """

    def __init__(
        self, town: Town, roster: Roster, own_bodies: Bodies, all_lights: lights.Lights, stops: StopLines
    ) -> None:
        self._roster, self._bodies, self._lights = roster, own_bodies, all_lights
        self._limits = town.limits
        self._stops = stops
        self._records: npt.NDArray[np.void] | None = None
        self._body_records: npt.NDArray[np.void] = np.zeros(0, dtype=record_kernel.BODY_RECORD)
        self._limits_kmh = np.zeros(0)
        self._looked_up_m = np.zeros((0, 2))
        # What was written to the lights' records last: it is written again when it, or the records, have changed.
        self._shown: list[tuple[int, float, float, float]] = []
        self._is_frozen = False
        self.write_lights()

    def write(self, delta_s: float) -> None:
        """Writes what a tick of ``delta_s`` changed."""
        if self._roster.records is not self._records:
            self._take_over()
        self._write_bodies(delta_s)
        self._write_walkers()
        self.write_lights()

    def _take_over(self) -> None:
        self._records = self._roster.records
        self._body_records = self._records.view(record_kernel.BODY_RECORD)
        self._limits_kmh = np.zeros(len(self._bodies.kinds))
        self._looked_up_m = np.full((len(self._bodies.kinds), 2), np.inf)
        self._shown = []

    def _write_bodies(self, delta_s: float) -> None:
        _, rows = self._roster.of_kind("body")
        if not len(rows):
            return
        own, stops = self._bodies, self._stops
        look_up(own.states, self._looked_up_m, self._limits_kmh, self._limits)
        stops.write_colours()
        record_kernel.write_bodies(
            self._body_records,
            rows,
            own.kinds,
            own.states,
            own.commands,
            own.shapes,
            own.controls,
            own.heights_m,
            own.last_velocities_mps,
            self._limits_kmh,
            stops.poses,
            stops.owners,
            stops.is_light,
            stops.colours,
            stops.actor_ids,
            delta_s,
        )

    def _write_walkers(self) -> None:
        walkers, rows = self._roster.of_kind("walker")
        if walkers:
            own = self._roster.records.view(streams.WALKER_RECORD)
            own["direction"][rows] = [actor.walk.direction for actor in walkers]
            own["speed_mps"][rows] = [actor.walk.speed for actor in walkers]
            own["jump"][rows] = [actor.walk.jump for actor in walkers]

    def write_lights(self) -> None:
        """Writes what the lights show."""
        actors, rows = self._roster.of_kind("light")
        if not actors:
            return
        items = self._lights.items
        own = self._roster.records.view(streams.LIGHT_RECORD)
        own["elapsed_s"][rows] = [light.elapsed_s if light.group >= 0 else 0.0 for light in items]
        shown = [(light.state, light.green_s, light.yellow_s, light.red_s) for light in items]
        if shown == self._shown and self._is_frozen == self._lights.is_frozen:
            return
        self._shown, self._is_frozen = shown, self._lights.is_frozen
        is_light = np.array([light.group >= 0 for light in items])
        values = np.where(is_light[:, None], shown, 0.0)
        for column, name in enumerate(("state", "green_s", "yellow_s", "red_s")):
            own[name][rows] = values[:, column]
        own["sign_id"][rows] = [light.sign_id.encode() for light in items]
        own["pole"][rows] = np.where(is_light, [light.signal for light in items], 0)
        own["is_frozen"][rows] = is_light & self._lights.is_frozen
