"""The client library: importing it, and errors of it that say which server failed at what."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simloop.errors import MissingDependencyError, WorldError
from simloop_carla.wire.replies import VERSION
from simloop_carla.world.link.batch import TIME_OUT

CONNECTING = "connecting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server is.

    Attributes:
        host: Name or address.
        port: Port of remote calls.
        patience_s: How long a call may take.
    """

    host: str
    port: int
    patience_s: float

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def load_client() -> Any:
    """Imports the client library.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import carla
    except ImportError as error:
        raise MissingDependencyError(
            f"The world 'carla' needs the client library, which does not import: {error}. Install it with "
            f"'pip install carla=={VERSION}' (Linux x86-64 and Windows)."
        ) from error
    return carla


@contextlib.contextmanager
def server_faults(address: Address, what: str) -> Iterator[None]:
    """Turns an error of the client library into one that says which server failed at what.

    Raises:
        WorldError: In place of the library's RuntimeError.
    """
    try:
        yield
    except RuntimeError as error:
        raise WorldError(fault_text(address, what, str(error))) from error


def fault_text(address: Address, what: str, said: str) -> str:
    """Returns the message of an error: which server failed at what, and what to do where that is known.

    Args:
        address: The server.
        what: What it was asked for.
        said: What the library said, or how the server ended.
    """
    said = said.strip().rstrip(".")
    if said.startswith(TIME_OUT):
        said = (
            f"it did not answer within {_allowed_s(said, address):g} s. See whether it runs; for one that is slow "
            "raise world.patience_s"
        )
        if what == CONNECTING:
            said += (
                ". The port may belong to another program, or be the one of CARLA's streams, which is the next one "
                "after the port of its calls"
            )
    return f"The CARLA server at {address} failed at {what}: {said}."


def _allowed_s(said: str, address: Address) -> float:
    """Returns the time that a call was given, as the library's error says it."""
    found = re.match(rf"{TIME_OUT} (\d+)ms", said)
    return address.patience_s if found is None else int(found[1]) / 1e3


def stop_listening(sensor: Any) -> None:
    """Stops a sensor's messages.

    With a server that has just gone a thread of the library may be closing the same socket at the same time; it then
    says that the descriptor is bad, which is what was wanted.
    """
    with contextlib.suppress(RuntimeError):
        sensor.stop()
