"""The traffic lights of the map on the server: they show what the scenario's programs show."""

from __future__ import annotations

from typing import Any

import numpy as np

from simloop_carla.world.link.client import load_client, server_faults
from simloop_carla.world.link.session import Session
from simloop_driving.roads.road_map import TRAFFIC_LIGHT
from simloop_driving.scenario.initial_state import InitialState
from simloop_driving.scenario.signals import AMBER, GREEN, RED, fill_states

_UNSEEN = -2


def note_lights(session: Session) -> None:
    """Notes what all lights show, before the first episode on a map changes it: they show it again in the end.

    Args:
        session: The connection; it has seen a tick of the present map.

    Raises:
        WorldError: The server fails.
    """
    with server_faults(session.address, "reading the traffic lights"):
        number = int(session.world.id)
        if session.world_of_lights == number:
            return
        lights: list[Any] = list(session.world.get_actors().filter("traffic.traffic_light*"))
        shown = [light.get_state() for light in lights]
        is_frozen = any(light.is_frozen() for light in lights)  # all are, or none

    def restore() -> None:
        for light, state in zip(lights, shown, strict=True):
            light.set_state(state)
        if lights:
            lights[0].freeze(is_frozen)

    session.at_end("lights", restore)
    states = {int(light.id): int(state) for light, state in zip(lights, shown, strict=True)}
    session.lights_found({"world": number, "states": states, "is_frozen": is_frozen})


class ServerLights:
    """The server's actor of each traffic light of the map; their own cycles are stopped.

    Args:
        session: The connection.
        state: Start of the episode: its map and the programs of its signals.
    """

    def __init__(self, session: Session, state: InitialState) -> None:
        carla = load_client()
        self._address = session.address
        self._program = state.signal_program
        self._colours = {
            GREEN: carla.TrafficLightState.Green,
            AMBER: carla.TrafficLightState.Yellow,
            RED: carla.TrafficLightState.Red,
        }
        road_map = state.road_map
        signals = np.flatnonzero(road_map.signal_kind == TRAFFIC_LIGHT).tolist()
        self._lights: dict[int, Any] = {}
        self._shown = [_UNSEEN] * len(road_map.signal_kind)
        self._states = np.empty(len(state.signal_program), dtype=np.int64)
        if not signals:
            return
        number_of = {str(int(road_map.signal_id[signal])): signal for signal in signals}
        with server_faults(session.address, "finding the traffic lights"):
            for light in session.world.get_actors().filter("traffic.traffic_light*"):
                signal = number_of.get(str(light.get_opendrive_id()))
                if signal is not None:
                    self._lights[signal] = light
            if self._lights:
                next(iter(self._lights.values())).freeze(True)  # all of them

    def show(self, time_s: float) -> None:
        """Sets the lights whose colour has changed.

        Raises:
            WorldError: The server fails.
        """
        if not self._lights:
            return
        fill_states(self._program, time_s, self._states)
        with server_faults(self._address, "setting the traffic lights"):
            for signal, light in self._lights.items():
                shown = int(self._states[signal])
                if shown != self._shown[signal]:
                    self._shown[signal] = shown
                    light.set_state(self._colours[shown])
