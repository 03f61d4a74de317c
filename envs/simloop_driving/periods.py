"""The driving world's periods: physics, control, and how many physics steps a control tick has."""

from __future__ import annotations

PHYSICS_PERIOD_NS = 10_000_000
CONTROL_PERIOD_NS = 50_000_000
STEPS_PER_TICK = CONTROL_PERIOD_NS // PHYSICS_PERIOD_NS
STEP_S = PHYSICS_PERIOD_NS / 1e9
TICK_S = CONTROL_PERIOD_NS / 1e9
