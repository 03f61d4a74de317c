"""One actor at the start of an episode, as a column of the actor table."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError
from simloop_driving.actor_motion import place_actor
from simloop_driving.collisions.footprints import footprints_overlap
from simloop_driving.roads.route import Route
from simloop_driving.scenario import actor_state
from simloop_driving.scenario.actor_state import (
    ACTOR_CLASSES,
    FIRST_FIXED_CLASS,
    LATERAL_ACCELERATION_MPS2,
    OBEYS_RIGHT_OF_WAY,
    OBEYS_SIGNALS,
)
from simloop_driving.scenario.scene_actors import ActorStart, Background

FloatArray = npt.NDArray[np.float64]

SCRIPTED_SPEED_RATE_MPS2 = 2.0


def start_column(
    *,
    path: int,
    s_m: float,
    d_m: float,
    speed_mps: float,
    dimensions_m: tuple[float, float, float],
    actor_class: str,
    behaviour: str = "scripted",
) -> FloatArray:
    """Returns the (actor_state.NUM_ROWS,) column of an actor at a station and offset of its path."""
    column = np.zeros(actor_state.NUM_ROWS)
    column[actor_state.PATH] = path
    column[actor_state.S_M] = column[actor_state.PATH_S_M] = s_m
    column[actor_state.D_M] = column[actor_state.PATH_D_M] = d_m
    column[actor_state.SPEED_MPS] = column[actor_state.ROUTE_SPEED_MPS] = speed_mps
    column[actor_state.LENGTH_M : actor_state.HEIGHT_M + 1] = dimensions_m
    column[actor_state.CLASS] = ACTOR_CLASSES.index(actor_class)
    column[actor_state.IS_IDM] = float(behaviour != "scripted")
    column[actor_state.IS_MOBIL] = float(behaviour == "mobil")
    column[actor_state.DESIRED_SPEED_MPS] = speed_mps
    column[actor_state.SPEED_RATE_MPS2] = SCRIPTED_SPEED_RATE_MPS2
    column[actor_state.COMMAND_D_M] = d_m
    column[actor_state.LATERAL_LIMIT_MPS2] = LATERAL_ACCELERATION_MPS2
    column[actor_state.KEEPS_HEADING] = float(ACTOR_CLASSES.index(actor_class) >= FIRST_FIXED_CLASS)
    return column


def set_rules(column: FloatArray, actor: ActorStart | Background) -> None:
    """Writes which rules an actor with a driver model keeps, in place."""
    column[actor_state.OBEYS] = (
        OBEYS_SIGNALS * actor.obeys_signals + OBEYS_RIGHT_OF_WAY * actor.obeys_right_of_way
    )


def check_room(
    columns: Sequence[FloatArray],
    names: Sequence[str],
    routes: Sequence[Route],
    attached: set[tuple[int, int]],
    where: str,
) -> None:
    """Checks that nobody starts in somebody else; ``attached`` are the pairs of columns that belong together.

    Raises:
        ConfigurationError: Two do; the message names both.
    """
    table = np.stack(columns, axis=1)
    for i, column in enumerate(columns):
        route = routes[int(column[actor_state.PATH])]
        place_actor(table, i, route.samples, route.step_m)
    for second in range(1, len(columns)):
        for first in range(second):
            if (first, second) not in attached:
                _check_pair(table, first, second, names, where)


def _check_pair(table: FloatArray, first: int, second: int, names: Sequence[str], where: str) -> None:
    one, other = table[:, first], table[:, second]
    if one[actor_state.IS_ABSENT] or other[actor_state.IS_ABSENT]:
        return
    if one[actor_state.PATH] == other[actor_state.PATH]:
        apart_m = abs(other[actor_state.PATH_S_M] - one[actor_state.PATH_S_M])
        aside_m = abs(other[actor_state.PATH_D_M] - one[actor_state.PATH_D_M])
        length_m = 0.5 * (one[actor_state.LENGTH_M] + other[actor_state.LENGTH_M])
        width_m = 0.5 * (one[actor_state.WIDTH_M] + other[actor_state.WIDTH_M])
        if apart_m < length_m - 1e-9 and aside_m < width_m - 1e-9:
            raise ConfigurationError(
                f"{where}.actors.{names[second]} starts in {names[first]}: centres {apart_m:.2f} m apart "
                f"along the lane and {aside_m:.2f} m across; allowed: from {length_m:.2f} m along or "
                f"{width_m:.2f} m across."
            )
        return
    rows = (
        actor_state.X_M,
        actor_state.Y_M,
        actor_state.YAW_RAD,
        actor_state.LENGTH_M,
        actor_state.WIDTH_M,
    )
    if footprints_overlap(*(one[row] for row in rows), *(other[row] for row in rows)):
        apart_m = math.hypot(
            other[actor_state.X_M] - one[actor_state.X_M], other[actor_state.Y_M] - one[actor_state.Y_M]
        )
        raise ConfigurationError(
            f"{where}.actors.{names[second]} starts in {names[first]}: their footprints overlap, centres "
            f"{apart_m:.2f} m apart; allowed: places that do not touch."
        )
