"""The connection to a CARLA server: synchronous mode while it is open, everything as it was found afterwards."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from simloop.errors import WorldError
from simloop_carla.wire.map_names import without_folders
from simloop_carla.wire.replies import VERSION
from simloop_carla.world.link.batch import apply_batch
from simloop_carla.world.link.call_lane import CallLane
from simloop_carla.world.link.caretaker import Caretaker, await_restoring
from simloop_carla.world.link.client import CONNECTING, Address, fault_text, load_client
from simloop_carla.world.link.leaving import Found, leave

T = TypeVar("T")


class Session:
    """One client in synchronous mode.

    Args:
        address: The server.
        fixed_delta_s: Length of a tick.
        obituary: Returns how the server's process ended, for an error message; None where another started it.

    Attributes:
        client: The ``carla.Client``.
        world: The ``carla.World`` of the present episode.
        world_of_lights: Number of the world of the server whose lights have been noted, None before.

    Raises:
        WorldError: Nothing listens there, or it is another version.
    """

    def __init__(
        self, address: Address, fixed_delta_s: float, obituary: Callable[[], str] | None = None
    ) -> None:
        self.address = address
        self._fixed_delta_s = fixed_delta_s
        self._obituary = obituary or _obituary_of_anothers
        try:
            watched = socket.create_connection((address.host, address.port), min(address.patience_s, 5.0))
        except OSError as error:
            raise WorldError(
                f"No CARLA server listens at {address} ({error.strerror or error}). Start one (CarlaUE4.sh "
                f"-carla-rpc-port={address.port}, or 'simloop carla-server --port {address.port}'), or leave "
                "world.port out for a server of simloop's own."
            ) from error
        await_restoring(address.host, address.port)
        self._lane = CallLane(watched)
        self._spawned: set[int] = set()
        self._undone_at_end: dict[str, Callable[[], object]] = {}
        self._caretaker: Caretaker | None = None
        self._frame: int | None = None
        self.world_of_lights: int | None = None
        try:
            self.client, self.world, found = self.call(CONNECTING, _connected, address)
            if obituary is None:  # a server of one's own ends with this process
                self._caretaker = Caretaker(address.host, address.port, found.settings, found.weather)
        except BaseException:
            self._lane.close()
            raise
        self._finalizer = weakref.finalize(
            self,
            leave,
            self._lane,
            self.client,
            address.patience_s,
            found,
            self._spawned,
            self._undone_at_end,
            self._caretaker,
        )

    def call(self, what: str, function: Callable[..., T], *arguments: Any) -> T:
        """Calls the client library, and stops waiting as soon as the server's process has ended.

        Args:
            what: What the server is asked for, for the error message.
            function: What to call; where the server ends in it, it goes on by itself until it fails.
            arguments: Its arguments.

        Raises:
            WorldError: The server is gone, or the library's RuntimeError.
        """
        try:
            return self._lane.run(function, *arguments)
        except RuntimeError as error:
            said = f"it {self._obituary()}" if self._lane.is_gone() else str(error)
            raise WorldError(fault_text(self.address, what, said)) from error

    def apply(self, what: str, commands: list[Any], num_needed: int = 0) -> None:
        """Sends a batch of commands, without a tick.

        Args:
            what: What it is for, for the error message.
            commands: The commands.
            num_needed: How many of them, from the first on, must not fail; what comes of the others is not asked for.

        Raises:
            WorldError: As ``call``, or one of the needed commands failed.
        """
        self.call(what, apply_batch, self._lane, self.client, commands, self.address.patience_s, num_needed)

    def tick(self, what: str, play: Callable[[], int] | None = None) -> int:
        """Plays a tick and returns its frame.

        Args:
            what: What it is for, for the error message.
            play: Ticks the server and returns the frame; the session's own client does by default.

        Raises:
            WorldError: As ``call``, or somebody else has ticked the server as well.
        """
        frame = int(self.call(what, play or self.world.tick))
        before, self._frame = self._frame, frame
        if before is not None and frame != before + 1:
            raise WorldError(
                f"Another client ticks the CARLA server at {self.address} as well, or has set it to run by itself: "
                f"at {what} frame {frame} came after frame {before}. One client at a time can play on a server; end "
                "the other one, or leave world.port out for a server of simloop's own."
            )
        return frame

    def at_end(self, what: str, undo: Callable[[], object]) -> None:
        """Has something called when the session ends, however it ends; the last one first.

        Args:
            what: What is undone; it takes the place of an earlier one of that name.
            undo: Is called without arguments; a RuntimeError of it is of a server that is gone.
        """
        self._undone_at_end[what] = undo

    def synchronise(self) -> None:
        """Puts the present episode into synchronous mode with the fixed step."""
        self._frame = None
        settings = self.call("reading its settings", self.world.get_settings)
        settings.synchronous_mode = True
        settings.fixed_delta_seconds = self._fixed_delta_s
        settings.substepping = True
        settings.max_substep_delta_time = 0.01
        settings.max_substeps = 10
        settings.deterministic_ragdolls = True
        self.call("setting synchronous mode", self.world.apply_settings, settings)

    def use_map(self, name: str, opendrive: str | None) -> None:
        """Loads a map, unless it is the present one already.

        Args:
            name: A town of the server, where there is no document.
            opendrive: Document to build the world from, or None.

        Raises:
            WorldError: The server refuses it.
        """
        self.call(f"loading the map {name!r}", self._use_map, name, opendrive)
        self._forget_spawned()

    def _use_map(self, name: str, opendrive: str | None) -> None:
        carla = load_client()
        present = self.world.get_map()
        if opendrive is not None:
            if present.to_opendrive() != opendrive:
                parameters = carla.OpendriveGenerationParameters(2.0, 50.0, 0.0, 0.6, True, True, False)
                self.world = self.client.generate_opendrive_world(opendrive, parameters)
        elif without_folders(present.name) != name:
            self.world = self.client.load_world(name)

    def spawned(self, actor_id: int) -> None:
        """Notes an actor that is to be destroyed in the end."""
        self._spawned.add(actor_id)
        if self._caretaker is not None:
            self._caretaker.spawned(actor_id)

    def lights_found(self, found: dict[str, Any]) -> None:
        """Notes what the lights of a map are to show in the end, in words as ``Caretaker.lights`` takes them."""
        self.world_of_lights = found["world"]
        if self._caretaker is not None:
            self._caretaker.lights(found)

    def _forget_spawned(self) -> None:
        self._spawned.clear()
        if self._caretaker is not None:
            self._caretaker.clear()

    def destroy_spawned(self) -> None:
        """Destroys what was spawned."""
        carla = load_client()
        commands = [carla.command.DestroyActor(actor_id) for actor_id in sorted(self._spawned, reverse=True)]
        if commands:
            self.apply("destroying actors", commands)
        self._forget_spawned()

    def close(self) -> None:
        """Destroys what was spawned and restores what was found."""
        self._finalizer()


def _connected(address: Address) -> tuple[Any, Any, Found]:
    """Returns client, world and what is found there.

    Raises:
        WorldError: It is another version.
    """
    client = load_client().Client(address.host, address.port)
    client.set_timeout(address.patience_s)
    version = client.get_server_version()
    if version != VERSION:
        raise WorldError(
            f"The CARLA server at {address} is version {version}; this world speaks {VERSION}. "
            f"Start CARLA {VERSION}, or 'simloop carla-server'."
        )
    world = client.get_world()
    return client, world, Found(settings=world.get_settings(), weather=world.get_weather())


def _obituary_of_anothers() -> str:
    return "closed its connections: its process has ended. See its own log for the reason, and start it again"
