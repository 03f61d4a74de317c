"""The connection to a CARLA server: synchronous mode while it is open, everything as it was found afterwards."""

from __future__ import annotations

import contextlib
import socket
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from simloop.errors import MissingDependencyError, WorldError

SUPPORTED_VERSION = "0.9.16"


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
            f"'pip install carla=={SUPPORTED_VERSION}' (Linux x86-64 and Windows)."
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
        raise WorldError(f"The CARLA server at {address} failed at {what}: {str(error).strip()}") from error


class Session:
    """One client in synchronous mode.

    Args:
        address: The server.
        fixed_delta_s: Length of a tick.

    Attributes:
        client: The ``carla.Client``.
        world: The ``carla.World`` of the present episode.

    Raises:
        WorldError: Nothing listens there, or it is another version.
    """

    def __init__(self, address: Address, fixed_delta_s: float) -> None:
        carla = load_client()
        self.address = address
        self._fixed_delta_s = fixed_delta_s
        try:
            socket.create_connection((address.host, address.port), min(address.patience_s, 5.0)).close()
        except OSError as error:
            raise WorldError(
                f"No CARLA server listens at {address} ({error.strerror or error}). Start one (CarlaUE4.sh "
                f"-carla-rpc-port={address.port}, or 'simloop carla-server --port {address.port}'), or leave "
                "world.port out for a server of simloop's own."
            ) from error
        with server_faults(address, "connecting"):
            self.client = carla.Client(address.host, address.port)
            self.client.set_timeout(address.patience_s)
            version = self.client.get_server_version()
            if version != SUPPORTED_VERSION:
                raise WorldError(
                    f"The CARLA server at {address} is version {version}; this world speaks {SUPPORTED_VERSION}. "
                    f"Start CARLA {SUPPORTED_VERSION}, or 'simloop carla-server'."
                )
            self.world = self.client.get_world()
            self._found = self.world.get_settings()
        self._spawned: set[int] = set()
        self._undone_at_end: dict[str, Callable[[], object]] = {}
        self._finalizer = weakref.finalize(
            self, _leave, self.client, self._found, self._spawned, self._undone_at_end
        )

    def at_end(self, what: str, undo: Callable[[], object]) -> None:
        """Has something called when the session ends, however it ends; the last one first.

        Args:
            what: What is undone; it takes the place of an earlier one of that name.
            undo: Is called without arguments; a RuntimeError of it is of a server that is gone.
        """
        self._undone_at_end[what] = undo

    def synchronise(self) -> None:
        """Puts the present episode into synchronous mode with the fixed step."""
        with server_faults(self.address, "setting synchronous mode"):
            settings = self.world.get_settings()
            settings.synchronous_mode = True
            settings.fixed_delta_seconds = self._fixed_delta_s
            settings.substepping = True
            settings.max_substep_delta_time = 0.01
            settings.max_substeps = 10
            settings.deterministic_ragdolls = True
            self.world.apply_settings(settings)

    def use_map(self, name: str, opendrive: str | None) -> None:
        """Loads a map, unless it is the present one already.

        Args:
            name: A town of the server, where there is no document.
            opendrive: Document to build the world from, or None.

        Raises:
            WorldError: The server refuses it.
        """
        carla = load_client()
        with server_faults(self.address, f"loading the map {name!r}"):
            present = self.world.get_map()
            if opendrive is not None:
                if present.to_opendrive() != opendrive:
                    parameters = carla.OpendriveGenerationParameters(2.0, 50.0, 0.0, 0.6, True, True, False)
                    self.world = self.client.generate_opendrive_world(opendrive, parameters)
            elif present.name.rsplit("/", 1)[-1] != name:
                self.world = self.client.load_world(name)
        self._spawned.clear()

    def spawned(self, actor_id: int) -> None:
        """Notes an actor that is to be destroyed in the end."""
        self._spawned.add(actor_id)

    def destroy_spawned(self) -> None:
        """Destroys what was spawned."""
        carla = load_client()
        commands = [carla.command.DestroyActor(actor_id) for actor_id in sorted(self._spawned, reverse=True)]
        self._spawned.clear()
        if commands:
            with server_faults(self.address, "destroying actors"):
                self.client.apply_batch_sync(commands, False)

    def close(self) -> None:
        """Destroys what was spawned and restores the settings that were found."""
        self._finalizer()


def _leave(client: Any, found: Any, spawned: set[int], undone: dict[str, Callable[[], object]]) -> None:
    """Leaves a server as it was found; one that is gone needs nothing."""
    carla = load_client()
    client.set_timeout(2.0)
    for undo in reversed(undone.values()):
        with contextlib.suppress(RuntimeError):
            undo()
    with contextlib.suppress(RuntimeError):
        commands = [carla.command.DestroyActor(actor_id) for actor_id in sorted(spawned, reverse=True)]
        client.apply_batch_sync(commands, False)
        client.get_world().apply_settings(found)
