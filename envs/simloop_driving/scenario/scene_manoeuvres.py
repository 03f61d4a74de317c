"""What happens in a driving scene, and when, as values with every parameter resolved."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simloop_driving.scenario.actor_state import LATERAL_ACCELERATION_MPS2

SIGNAL_STATES = ("green", "amber", "red")
"""States of a traffic light, by code."""
TRIGGERS = (
    "time_s",
    "headway_s",
    "distance_m",
    "ttc_s",
    "time_to_arrival_s",
    "station_m",
    "signal",
    "after",
    "never",
)
"""What a condition compares; see docs/scenarios.md."""
COMBINATIONS = ("all", "any")
MANOEUVRES = (
    "change_lane",
    "change_speed",
    "cross",
    "swerve",
    "open_door",
    "pull_out",
    "run_red_light",
    "ignore_right_of_way",
)
"""Names of the manoeuvres, by code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition, or a combination of conditions.

    Attributes:
        kind: One of ``TRIGGERS``, ``all`` or ``any``.
        threshold: Number that it is compared with; for ``after`` the delay in seconds, for ``signal`` the code of the
            state.
        subject: Whom it is about: an actor's name, or ``ego``.
        at_station_m: Of ``time_to_arrival_s``: where along its path the subject arrives; NaN: where the ego's route
            meets the path of the manoeuvre's actor.
        signal_id: OpenDRIVE id of the signal; -1: the first traffic light of the ego's route.
        after: Name of the manoeuvre whose end is meant.
        parts: The combined conditions.
    """

    kind: str
    threshold: float = 0.0
    subject: str = ""
    at_station_m: float = math.nan
    signal_id: int = -1
    after: str = ""
    parts: tuple[Condition, ...] = ()

    @property
    def is_never(self) -> bool:
        """Whether it says itself that it never holds."""
        if self.kind == "all":
            return any(part.is_never for part in self.parts)
        return self.kind == "never" or (self.kind == "any" and all(part.is_never for part in self.parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manoeuvre:
    """One scripted manoeuvre; what its kind has no use for is at its default.

    Attributes:
        where: Its place in the file, for messages.
        kind: One of ``MANOEUVRES``.
        actor: Name of who carries it out; of ``open_door`` the door.
        trigger: When it starts.
        latest_s: When it starts at the latest; inf: when the trigger says.
        name: Its own name, to which ``after`` of another may refer; may be empty.
        to_lane: Lane to which it leads; empty: to ``to_offset_m``, if that is not NaN.
        to_offset_m: Offset across the actor's path, positive to the left.
        lateral_speed_mps: Largest speed across.
        lateral_acceleration_mps2: Largest acceleration across.
        end_speed_mps: Speed that it takes up; NaN: it leaves the speed alone.
        rate_mps2: Acceleration with which it does.
        amplitude_m, period_s, count: Of ``swerve``.
        then: Behaviour from its start on: ``""`` leaves it as it is, ``idm`` or ``mobil`` hands over to that model.
    """

    where: str
    kind: str
    actor: str
    trigger: Condition
    latest_s: float
    name: str = ""
    to_lane: str = ""
    to_offset_m: float = math.nan
    lateral_speed_mps: float = 0.0
    lateral_acceleration_mps2: float = LATERAL_ACCELERATION_MPS2
    end_speed_mps: float = math.nan
    rate_mps2: float = 0.0
    amplitude_m: float = 0.0
    period_s: float = 0.0
    count: int = 0
    then: str = ""
