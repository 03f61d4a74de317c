"""Layout of the actor table: one row a quantity, one column an actor; column 0 is the ego.

The scenario layer reads the state rows and writes the command rows once per control tick. Whoever owns the actors
(the embedded world, or an adapter to another simulator) fills the state rows and applies the commands.

Every actor but those of ``ELSEWHERE`` moves along a path; path 0 is the ego's route. Its state is where it is along
and across that path; where it is along and across the ego's route is there for everybody, and the same for actors of
path 0.
"""

from __future__ import annotations

# State.
S_M = 0  # along the ego's route (simloop_driving.roads.route)
D_M = 1  # across it
SPEED_MPS = 2  # along the actor's own path, >= 0
ACCELERATION_MPS2 = 3
D_RATE_MPS = 4  # across its own path
# Pose, world frame.
X_M = 5
Y_M = 6
YAW_RAD = 7
# Size and class.
LENGTH_M = 8
WIDTH_M = 9
HEIGHT_M = 10
CLASS = 11  # index into ACTOR_CLASSES
# Longitudinal behaviour.
IS_IDM = 12  # 1: Intelligent Driver Model; 0: scripted speed
DESIRED_SPEED_MPS = 13  # IDM's v0, or the scripted speed that is being taken up or held
SPEED_RATE_MPS2 = 14  # largest change of a scripted speed
# Commands, in force until the next control tick.
COMMAND_ACCELERATION_MPS2 = 15
COMMAND_D_M = 16  # across its own path
COMMAND_D_RATE_MPS = 17
# How it moves.
KEEPS_HEADING = 18  # 1: points along the lane while it drifts across it, as in studies with point masses
# Its own path.
PATH = 19  # index of the path; 0 is the ego's route; ELSEWHERE: none
PATH_S_M = 20
PATH_D_M = 21
ROUTE_SPEED_MPS = 22  # its velocity along the ego's route; negative when it comes towards the ego
IS_MOBIL = 23  # 1: changes lanes by itself (MOBIL); such an actor has IS_IDM too
OBEYS = 24  # sum of OBEYS_SIGNALS and OBEYS_RIGHT_OF_WAY
# Presence.
IS_ABSENT = 25  # 1: not there, touched and seen by nobody
ENTERS_S = 26  # enters at this time, once its place is free; 0: from the start
LEAVES = 27  # 1: is gone where its path ends
LATERAL_LIMIT_MPS2 = 28  # with which it takes up and gives up a lateral speed
NUM_ROWS = 29

ELSEWHERE = -1
"""As ``PATH``: another simulator moves the actor, on no path. Such actors are the last columns of the table. They
are seen, followed and collided with as all others; the rules at junctions do not know where they will go."""

OBEYS_SIGNALS = 1
OBEYS_RIGHT_OF_WAY = 2

ACTOR_CLASSES = ("car", "truck", "motorcycle", "bicycle", "pedestrian", "door", "barrier", "cone")
"""Names of the actor classes, by code; the camera draws the same codes."""

ACTOR_DIMENSIONS_M = {
    "car": (4.50, 1.82, 1.45),
    "truck": (12.00, 2.50, 3.80),
    "motorcycle": (2.08, 0.77, 1.60),
    "bicycle": (1.75, 0.60, 1.80),
    "pedestrian": (0.50, 0.60, 1.75),
    "door": (1.10, 0.90, 1.10),
    "barrier": (0.60, 2.50, 1.00),
    "cone": (0.40, 0.40, 0.75),
}
"""Length, width and height by class."""

FIRST_SLOW_CLASS = 3
"""From this class on actors move across the road as fast as along it, and point where they go."""

FIRST_FIXED_CLASS = 5
"""From this class on actors are things, which always point along the lane."""

LATERAL_ACCELERATION_MPS2 = 1.5
"""With which actors take up and give up a lateral speed (as in the UN R157 cut-in data)."""

EGO = 0
BRAKE_LIGHT_BELOW_MPS2 = -0.7
"""Brake lights are lit below this acceleration (UN R13-H asks for them above 1.3 m/s2, allows them from 0.7)."""
