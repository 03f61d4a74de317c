"""Which light or sign of a map holds up which vehicle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop_carla.server import lights
from simloop_carla.server.towns.town import Town


class StopLines:
    """Stop lines of a map, and what their signals show to who stands before them.

    A sign shows red to who stands before it, without being a light: so CARLA's server tells a traffic manager to give
    way, which then waits for its turn at the junction.

    Args:
        town: The map.
        all_lights: Its lights and signs.
        signal_ids: (num signals,) actors of the signals.

    Attributes:
        poses: (num stop lines, 6) x, y, yaw, cosine and sine of it, and half the width of the lane; embedded world.
        owners: (num stop lines,) signal that each belongs to.
        is_light, colours, actor_ids: By signal: whether it is a light, what it shows and which actor it is; the last
            entry is for vehicles that nothing holds up.
    """

    def __init__(self, town: Town, all_lights: lights.Lights, signal_ids: list[int]) -> None:
        lanes = town.road_map
        poses, owners = [], []
        for stop, signal in enumerate(lanes.stop_signal):
            lane = int(lanes.stop_lane[stop])
            at = int(lanes.lane_start[lane]) + round(float(lanes.stop_s_m[stop]) / lanes.step_m)
            at = min(at, int(lanes.lane_start[lane + 1]) - 1)
            yaw_rad = lanes.yaw_rad[at]
            way = (np.cos(yaw_rad), np.sin(yaw_rad))
            poses.append((lanes.x_m[at], lanes.y_m[at], yaw_rad, *way, 0.5 * lanes.width_m[at]))
            owners.append(int(signal))
        self.poses: npt.NDArray[np.float64] = np.array(poses, dtype=np.float64).reshape(-1, 6)
        self.owners = np.array(owners, dtype=np.int64)
        is_light = [light.group >= 0 for light in all_lights.items]
        self.is_light = np.array([*is_light, False])
        self.actor_ids = np.array([*signal_ids, 0], dtype=np.int64) * self.is_light
        self.colours = np.full(len(is_light) + 1, lights.RED)
        self.colours[-1] = lights.GREEN
        self._lit = [light for light in all_lights.items if light.group >= 0]
        self._at = np.flatnonzero(self.is_light)

    def write_colours(self) -> None:
        """Takes over what the lights show."""
        if self._lit:
            self.colours[self._at] = [light.state for light in self._lit]
