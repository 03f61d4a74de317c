"""The remote methods of the server."""

from __future__ import annotations

from collections.abc import Mapping

from simloop_carla.server.methods import actors, batches, lights, rest, scenery, vehicles, world
from simloop_carla.server.net.rpc_server import Method, MethodTable

_TABLE = MethodTable()
for _module in (world, actors, batches, vehicles, lights, scenery, rest):
    _module.register(_TABLE)

METHODS: Mapping[str, Method] = _TABLE.methods
"""Every method, by its name on the wire."""
