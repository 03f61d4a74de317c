"""The shipped ``straight_track``: 3 km of straight motorway with three lanes, for studies without curvature.

``python -m simloop_driving.roads.straight_track FOLDER`` writes ``straight_track.xodr`` and ``straight_track.npz``.
"""

from __future__ import annotations

import sys

from simloop_driving.roads.highway import carriageway_network
from simloop_driving.roads.network import Network

LENGTH_M = 3000.0


def straight_track_network() -> Network:
    """Returns the map; raises as ``Network``."""
    return carriageway_network("straight_track", ((LENGTH_M, None),))


if __name__ == "__main__":
    straight_track_network().write(sys.argv[1])
