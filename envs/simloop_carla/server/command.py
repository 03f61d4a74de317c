"""``simloop carla-server``: starts the server and runs it until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Annotated

import typer

SILENT_START_S = 3.0
"""A start that takes longer is spoken of."""


def carla_server(
    *,
    port: Annotated[
        int, typer.Option(help="TCP port for remote calls; 0 takes a free one.", min=0, max=65535)
    ] = 2000,
    stream_port: Annotated[
        int | None, typer.Option(help="TCP port for streams; port + 1 if left out.", min=0, max=65535)
    ] = None,
    map_: Annotated[
        str, typer.Option("--map", help="A shipped map, or a path to an OpenDRIVE file.")
    ] = "town",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Seed of the sensors' noise.")] = 0,
    until_stdin_closes: Annotated[
        bool,
        typer.Option(
            "--until-stdin-closes", help="End when standard input does, as with the parent's death."
        ),
    ] = False,
) -> None:
    """Serves CARLA 0.9.16's protocol on a CPU; prints one line once clients can connect."""
    from simloop_carla.server.net.side_log import SideLog

    logging.basicConfig(level=logging.WARNING, handlers=[SideLog()])
    hint = threading.Timer(SILENT_START_S, _say_that_it_starts)
    hint.daemon = True
    if not until_stdin_closes:  # a parent says it itself
        hint.start()

    def tell_ready(line: str) -> None:
        hint.cancel()
        typer.echo(line)

    try:
        from simloop_carla.server.net.serving import Ports, serve
        from simloop_carla.server.towns.town import load_town

        wanted = Ports(host=host, rpc=port, stream=stream_port)
        serving = serve(
            load_town(map_), wanted, seed=seed, on_ready=tell_ready, until_stdin_closes=until_stdin_closes
        )
        asyncio.run(serving)
    finally:
        hint.cancel()


def _say_that_it_starts() -> None:
    logging.getLogger("simloop.carla").warning(
        "Starting a CARLA server; the first start on a machine compiles, which can take minutes. A line with its "
        "ports comes when it is ready."
    )
