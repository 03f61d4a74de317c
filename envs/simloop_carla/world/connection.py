"""The way of a world to its server: one that is named, or one of its own that is started anew when it is used up."""

from __future__ import annotations

import contextlib
import socket
import weakref

from simloop_carla.world.link.client import Address
from simloop_carla.world.link.own_server import OwnServer
from simloop_carla.world.link.session import Session
from simloop_carla.world.options import number_above_0, whole_number, words
from simloop_carla.world.server_episode import ServerEpisode

MOST_PATIENCE_S = 600.0
_HOLDERS: weakref.WeakValueDictionary[tuple[str, int], Connection] = weakref.WeakValueDictionary()
"""By numeric address and port: who of this process plays on a named server, which plays one episode at a time."""


class Connection:
    """A session with a server, made when it is needed.

    Args:
        host: Where the server is.
        port: Its port; None starts a ``simloop carla-server`` for this world alone.
        patience_s: How long a call may take.
        fixed_delta_s: Length of the server's tick.
        recycle_after: Episodes after which a server of this world's own is started anew.
        recycle_above_mb: Resident memory above which it is.

    Attributes:
        own: The server of this world's own.
        episode: What is played on the server; None before the first reset, after a fault, and once another world of
            this process plays on the same server.

    Raises:
        ParameterError: An option has another type, or is out of range.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int | None,
        patience_s: float,
        fixed_delta_s: float,
        recycle_after: int,
        recycle_above_mb: float,
    ) -> None:
        host = words("host", host, "127.0.0.1")
        self._patience_s = number_above_0("patience_s", patience_s, MOST_PATIENCE_S, unit="seconds")
        self._address = None
        if port is not None:
            checked_port = whole_number("port", port, 1, 65535, or_=", or null")
            self._address = Address(host=host, port=checked_port, patience_s=self._patience_s)
        self._fixed_delta_s = fixed_delta_s
        self._recycle_after = whole_number("recycle_after", recycle_after, 1)
        self._recycle_above_mb = number_above_0("recycle_above_mb", recycle_above_mb, unit="MiB")
        self.own: OwnServer | None = None
        self.episode: ServerEpisode | None = None
        self._session: Session | None = None

    def cleared(self) -> Session:
        """Returns the session with nothing of an earlier episode on its server, which is a fresh one if need be.

        Another connection of this process to the same server is dropped.

        Raises:
            WorldError: There is no server, or it does not start.
        """
        self._stop()
        if self.own is not None and self._is_worn(self.own):
            self.close()
        address = self._address
        if address is not None:
            server = _numeric(address.host), address.port
            holder = _HOLDERS.get(server)
            if holder is not None and holder is not self:
                holder.drop()
            _HOLDERS[server] = self
        if self._session is None:
            if address is None:
                if self.own is None:
                    self.own = OwnServer()
                address = Address(host="127.0.0.1", port=self.own.port, patience_s=self._patience_s)
            obituary = None if self.own is None else self.own.obituary
            self._session = Session(address, self._fixed_delta_s, obituary)
        self._session.destroy_spawned()
        return self._session

    def _is_worn(self, own: OwnServer) -> bool:
        is_used_up = own.num_episodes >= self._recycle_after or own.resident_mb() > self._recycle_above_mb
        return is_used_up or not own.is_alive

    def count_episode(self) -> None:
        """Notes an episode for the recycling."""
        if self.own is not None:
            self.own.num_episodes += 1

    def _stop(self) -> None:
        played, self.episode = self.episode, None
        if played is not None:
            played.close()

    def drop(self) -> None:
        """Forgets the session: what was spawned is destroyed and the settings are restored."""
        self._stop()
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def close(self) -> None:
        """Drops the session and ends a server of its own."""
        self.drop()
        if self.own is not None:
            self.own.close()
            self.own = None


def _numeric(host: str) -> str:
    """Returns the address that a name stands for, as the client library looks it up; the name where there is none."""
    with contextlib.suppress(OSError, UnicodeError):  # the session says that it cannot be reached
        return socket.gethostbyname(host)
    return host
