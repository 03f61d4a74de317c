"""The way of a world to its server: one that is named, or one of its own that is started anew when it is used up."""

from __future__ import annotations

import weakref

from simloop.errors import ParameterError
from simloop_carla.world.own_server import OwnServer
from simloop_carla.world.server_episode import ServerEpisode
from simloop_carla.world.session import Address, Session

_HOLDERS: weakref.WeakValueDictionary[Address, Connection] = weakref.WeakValueDictionary()
"""Who of this process plays on a named server, which plays one episode at a time."""


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
        ParameterError: An option is out of range.
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
        if port is not None and not 1 <= port <= 65535:
            raise ParameterError(f"World config key 'port' is {port!r}; allowed: 1 to 65535, or null.")
        if not 0.0 < patience_s <= 600.0:
            raise ParameterError(
                f"World config key 'patience_s' is {patience_s!r}; allowed: above 0, to 600 s."
            )
        if recycle_after < 1 or recycle_above_mb <= 0.0:
            raise ParameterError(
                f"World config keys 'recycle_after' and 'recycle_above_mb' are {recycle_after!r} and "
                f"{recycle_above_mb!r}; allowed: at least 1 and above 0."
            )
        self._address = (
            None if port is None else Address(host=str(host), port=int(port), patience_s=float(patience_s))
        )
        self._patience_s = float(patience_s)
        self._fixed_delta_s = fixed_delta_s
        self._recycle_after = int(recycle_after)
        self._recycle_above_mb = float(recycle_above_mb)
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
            holder = _HOLDERS.get(address)
            if holder is not None and holder is not self:
                holder.drop()
            _HOLDERS[address] = self
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
