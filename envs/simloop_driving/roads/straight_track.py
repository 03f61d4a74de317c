"""The shipped ``straight_track``: 3 km of straight motorway with three lanes, for studies without curvature.

``python -m simloop_driving.roads.straight_track FOLDER`` writes ``straight_track.xodr`` and ``straight_track.npz``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from simloop_driving.roads.highway import carriageway_opendrive
from simloop_driving.roads.opendrive import sample_opendrive
from simloop_driving.roads.road_map import to_npz_bytes

LENGTH_M = 3000.0


def straight_track_opendrive() -> str:
    """Returns the map as OpenDRIVE XML; raises as ``carriageway_opendrive``."""
    return carriageway_opendrive("straight_track", ((LENGTH_M, None),))


def main(folder: str) -> None:
    """Writes ``straight_track.xodr`` and its sampled arrays ``straight_track.npz`` into ``folder``."""
    xml = straight_track_opendrive()
    (Path(folder) / "straight_track.xodr").write_text(xml, encoding="utf-8")
    (Path(folder) / "straight_track.npz").write_bytes(to_npz_bytes(sample_opendrive("straight_track", xml)))


if __name__ == "__main__":
    main(sys.argv[1])
