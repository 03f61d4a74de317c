"""What the world, its tasks and their scenes agree on: the two periods, and how high a table is."""

from __future__ import annotations

from typing import Final

PHYSICS_PERIOD_NS: Final = 2_000_000
PHYSICS_PERIOD_S: Final = 0.002
CONTROL_PERIOD_NS: Final = 50_000_000
TABLE_TOP_M: Final = 0.8
"""Height of every table top over the floor (robosuite's ``table_offset``)."""
