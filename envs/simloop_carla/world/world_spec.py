"""What the driving world is on a server: the embedded world's spec with the server's tick, tables and promises."""

from __future__ import annotations

import dataclasses

from simloop.source_digest import source_digest
from simloop.world import Determinism, WorldSpec
from simloop_carla.wire.replies import VERSION
from simloop_carla.world.background.traffic import BACKGROUND
from simloop_carla.world.server_log import SERVER_COLLISIONS, TRACKING


def spec_on_server(
    embedded: WorldSpec, *, tick_ns: int, is_server_of_its_own: bool, has_background: bool
) -> WorldSpec:
    """Returns the spec of a world on a CARLA server.

    Args:
        embedded: Spec of the embedded world.
        tick_ns: The server's tick.
        is_server_of_its_own: Whether nobody else uses the server; it repeats itself then, but for the threads of a
            TrafficManager.
        has_background: Whether a TrafficManager drives background traffic.
    """
    tables = {**embedded.tables, "server_collisions": SERVER_COLLISIONS, "tracking": TRACKING}
    is_exact = is_server_of_its_own and not has_background
    return dataclasses.replace(
        embedded,
        name="carla",
        physics_period_ns=tick_ns,
        tables={**tables, "background": BACKGROUND} if has_background else tables,
        max_interleaved=1,
        determinism=Determinism.BIT_EXACT if is_exact else Determinism.STATISTICAL,
        versions={
            **embedded.versions,
            "carla": VERSION,
            "simloop_carla": source_digest("simloop_carla"),
        },
    )
