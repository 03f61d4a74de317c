"""The stages of a latency configuration by name, and the rules between them."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from simloop.agent import Call


class Stage(enum.Enum):
    """A stage after the sensors, in order."""

    PREPROCESS = "preprocess"
    UPLINK = "uplink"
    INFERENCE = "inference"
    CONTEXT_INFERENCE = "context_inference"
    EXPERT_INFERENCE = "expert_inference"
    CORRECTOR_INFERENCE = "corrector_inference"
    COLD_START = "cold_start"
    DOWNLINK = "downlink"
    CONTROL_JITTER = "control_jitter"
    ACTUATION = "actuation"


CALL_STAGES: Mapping[Call, Stage] = {
    Call.POLICY: Stage.INFERENCE,
    Call.CONTEXT: Stage.CONTEXT_INFERENCE,
    Call.EXPERT: Stage.EXPERT_INFERENCE,
    Call.CORRECTOR: Stage.CORRECTOR_INFERENCE,
}
"""The stage in which an agent's call is answered."""


class Assembly(enum.Enum):
    """When the items of an observation are enough for a trigger that was armed at tick k."""

    CAPTURED_SINCE = "captured_since"
    """Of each sensor the first item captured at or after tick k."""
    LATEST = "latest"
    """Whatever has arrived by tick k."""
    NEAREST = "nearest"
    """As latest, but of each sensor the item stamped nearest to the newest stamp of the sensor that lags most."""
    WAIT_ALL = "wait_all"
    """As captured_since, but after a time-out with the latest of what is missing."""


class FirstChunk(enum.Enum):
    """What the first chunk of an episode costs."""

    FREE = "free"
    """It is there at tick 0; asynchronous strategies then ask again, at cost."""
    BLOCKING = "blocking"
    """It costs what every chunk costs, without the cold start; the hold acts until it arrives."""
    CHARGED = "charged"
    """It costs what every chunk costs, and the cold start; the hold acts until it arrives."""


class QueueRule(enum.Enum):
    """What waits in front of a busy accelerator."""

    LATEST_WINS = "latest_wins"
    """One request waits; a new one takes its place."""
    FIFO = "fifo"
    """All wait, first come, first served."""
    DROP_OLDEST = "drop_oldest"
    """``queue_size`` wait; when they are full, the one that has waited longest is dropped."""
    DROP_NEWEST = "drop_newest"
    """``queue_size`` wait; when they are full, the one that comes is dropped."""


class ControlClock(enum.Enum):
    """What the instants of the control ticks refer to."""

    TICK_LOCKED = "tick_locked"
    """Multiples of the control period."""
    RESTART_ON_ARRIVAL = "restart_on_arrival"
    """The arrival of the chunk that is played: row i takes place i periods after it."""


class Mode(enum.Enum):
    """Where durations come from."""

    MODELLED = "modelled"
    """Drawn from the distributions: deterministic."""
    MEASURED = "measured"
    """Inference takes what the agent took on this machine; the other stages are drawn."""
    REPLAY = "replay"
    """A recorded trace is fed back."""


class Stamp(enum.Enum):
    """The instant of an exposure that a frame's time stamp reports."""

    START = "start"
    MID = "mid"
    END = "end"
