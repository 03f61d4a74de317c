"""Between an embodiment's own units and the padded, normalised vectors of the model.

Each embodiment has a layout (which cameras, which state, which action entries) and a codec (layout plus
normalisation, stored with the weights). A car's waypoints are coded as the difference to driving on at the present
speed along the x axis of the anchor's frame, so that their spread is small and does not grow with speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.agent import Embodiment
from simloop_agents.unified.config import ACTION_PERIOD_NS, HORIZON

FloatArray = npt.NDArray[np.float64]

STATE_LIMIT = 8.0
"""Normalised states are clipped to plus or minus this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One camera of an embodiment.

    Attributes:
        words: Name of the view in the prompt.
        sensor: Sensor of the present image.
        past_sensor: Sensor of an earlier image of the same camera, which becomes the first frame of the temporal
            patch; equal to ``sensor`` for a still.
    """

    words: str
    sensor: str
    past_sensor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbodimentLayout:
    """What the model reads and writes for one action space.

    Attributes:
        action_space: Name of the action space.
        dimensions: Names of the action's entries, in order.
        low: Lower bound of each entry.
        high: Upper bound of each entry.
        views: The cameras.
        state_sensor: The proprioception sensor.
        state_indices: Entries of that sensor that are read.
        speed_index: Entry of the sensor that holds the present speed (m/s) for waypoints, else None.
    """

    action_space: str
    dimensions: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    views: tuple[View, ...]
    state_sensor: str
    state_indices: tuple[int, ...]
    speed_index: int | None = None

    @property
    def embodiment(self) -> Embodiment:
        """The layout as the platform's declaration of needs."""
        sensors = dict.fromkeys(name for view in self.views for name in (view.sensor, view.past_sensor))
        return Embodiment(
            action_space=self.action_space,
            observations=(*sensors, self.state_sensor),
            dimensions=self.dimensions,
        )


CAR = EmbodimentLayout(
    action_space="waypoints",
    dimensions=("x_m", "y_m", "yaw_rad", "speed_mps"),
    low=(-np.inf, -np.inf, -np.inf, 0.0),
    high=(np.inf, np.inf, np.inf, np.inf),
    views=(View(words="front camera", sensor="front_camera", past_sensor="front_camera_past"),),
    state_sensor="ego_state",
    state_indices=(0, 1, 2, 3),
    speed_index=0,
)
TWO_ARM = EmbodimentLayout(
    action_space="two_arm_delta",
    dimensions=tuple(
        f"{arm}_{entry}"
        for arm in ("left", "right")
        for entry in ("dx", "dy", "dz", "rx", "ry", "rz", "grip")
    ),
    low=(-1.0,) * 14,
    high=(1.0,) * 14,
    views=tuple(
        View(words=name.replace("_", " "), sensor=name, past_sensor=name)
        for name in ("front_camera", "left_wrist_camera", "right_wrist_camera")
    ),
    state_sensor="robot_state",
    state_indices=tuple(range(32)),
)
LAYOUTS: Mapping[str, EmbodimentLayout] = {layout.action_space: layout for layout in (CAR, TWO_ARM)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Codec:
    """A layout with its normalisation; encodes to and decodes from padded vectors.

    Attributes:
        layout: What is read and written.
        action_mean: (H, A) subtracted from the actions, after the speed's part.
        action_scale: (H, A) that the rest is divided by.
        state_mean: (S,) subtracted from the state.
        state_scale: (S,) that the rest is divided by.
    """

    layout: EmbodimentLayout
    action_mean: FloatArray
    action_scale: FloatArray
    state_mean: FloatArray
    state_scale: FloatArray

    @classmethod
    def neutral(cls, layout: EmbodimentLayout) -> Codec:
        """Returns the codec of an untrained model: zero means, unit scales."""
        size, states = len(layout.dimensions), len(layout.state_indices)
        return cls(
            layout=layout,
            action_mean=np.zeros((HORIZON, size)),
            action_scale=np.ones((HORIZON, size)),
            state_mean=np.zeros(states),
            state_scale=np.ones(states),
        )

    @classmethod
    def fitted(cls, layout: EmbodimentLayout, actions: FloatArray, raw_states: FloatArray) -> Codec:
        """Returns the codec whose encoded training data have zero mean and unit spread.

        Args:
            layout: What is read and written.
            actions: (N, H, A) chunks in the anchor's frame; NaN entries are left out.
            raw_states: (N, F) arrays of the state sensor.
        """
        residual = actions - _speed_part(layout, raw_states)
        spread = np.nanstd(residual, axis=0)
        floor = 0.02 * np.nanmax(spread, axis=0, keepdims=True) + 1e-3
        states = raw_states[:, layout.state_indices]
        return cls(
            layout=layout,
            action_mean=np.nanmean(residual, axis=0),
            action_scale=np.maximum(spread, floor),
            state_mean=states.mean(axis=0),
            state_scale=states.std(axis=0) + 1e-3,
        )

    def encode_state(self, raw_states: FloatArray, width: int) -> FloatArray:
        """Returns (N, width) normalised states of (N, F) sensor arrays, zero behind the embodiment's entries."""
        states = (raw_states[:, self.layout.state_indices] - self.state_mean) / self.state_scale
        return _padded(np.clip(states, -STATE_LIMIT, STATE_LIMIT), width)

    def encode_actions(self, actions: FloatArray, raw_states: FloatArray, width: int) -> FloatArray:
        """Returns (N, H, width) normalised actions of (N, H, A) chunks, zero behind the embodiment's entries."""
        residual = actions - _speed_part(self.layout, raw_states)
        return _padded((residual - self.action_mean) / self.action_scale, width)

    def plan_offsets(
        self, committed: FloatArray, num_committed: npt.NDArray[np.int64], raw_states: FloatArray
    ) -> FloatArray:
        """Returns (N, 1, A): how far a car's committed waypoints lie from where the car really is.

        Plans that continue committed waypoints are never set back to the car, which tracks them with a lag, so the
        two move apart over an episode. The model is shown a prefix that starts at the car, as in its demonstrations,
        and its answer is moved back, so that the plan goes on where it was. Zero without a prefix and for deltas.

        Args:
            committed: (N, H, A) chunks whose leading rows are committed.
            num_committed: (N,) number of those rows.
            raw_states: (N, F) arrays of the state sensor.
        """
        offsets = np.zeros((len(committed), 1, committed.shape[-1]))
        if self.layout.speed_index is not None:
            has_prefix = num_committed > 0
            expected = _speed_part(self.layout, raw_states)[:, :1]
            for name in ("x_m", "y_m"):
                entry = self.layout.dimensions.index(name)
                offsets[has_prefix, :, entry] = (committed[:, :1] - expected)[has_prefix, :, entry]
        return offsets

    def decode_actions(
        self, coded: FloatArray, raw_states: FloatArray, offsets: FloatArray | None = None
    ) -> FloatArray:
        """Returns (N, H, A) actions within the layout's bounds; inverse of ``encode_actions`` inside them.

        Args:
            coded: (N, H, width) normalised actions.
            raw_states: (N, F) arrays of the state sensor.
            offsets: (N, 1, A) added to all rows; see ``plan_offsets``.
        """
        residual = coded[..., : len(self.layout.dimensions)] * self.action_scale + self.action_mean
        actions = residual + _speed_part(self.layout, raw_states)
        if offsets is not None:
            actions = actions + offsets
        return np.clip(actions, self.layout.low, self.layout.high)


def _speed_part(layout: EmbodimentLayout, raw_states: FloatArray) -> FloatArray:
    part = np.zeros((len(raw_states), HORIZON, len(layout.dimensions)))
    if layout.speed_index is not None:
        speed_mps = raw_states[:, layout.speed_index, None]
        time_s = np.arange(1, HORIZON + 1) * (ACTION_PERIOD_NS * 1e-9)
        part[:, :, layout.dimensions.index("x_m")] = speed_mps * time_s
        part[:, :, layout.dimensions.index("speed_mps")] = speed_mps
    return part


def _padded(values: FloatArray, width: int) -> FloatArray:
    if values.shape[-1] > width:
        raise ValueError(f"{values.shape[-1]} entries do not fit the padded width {width}")
    padding = [(0, 0)] * (values.ndim - 1) + [(0, width - values.shape[-1])]
    return np.pad(values, padding)
