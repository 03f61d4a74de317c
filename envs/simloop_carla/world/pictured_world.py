"""The part of the world on a server that looks through the server's front camera."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection

from simloop.errors import WorldError
from simloop.world import Frame
from simloop_carla.world.pictures import CAMERAS, keep_picture
from simloop_carla.world.server_episode import ServerEpisode
from simloop_driving.periods import STEP_S
from simloop_driving.world import DrivingWorld

_CAMERAS = frozenset(CAMERAS)


class PicturedWorld(DrivingWorld):
    """A driving world whose front camera is on a server in the episodes in which somebody looks through it.

    A camera costs a server more than all else, so that there is none where nobody looks. ``expect_captures`` says so
    before the episode. Who does without it may ask by a capture at the episode's start: the episode, which has begun
    without a camera, then begins anew, from nothing as every episode does. All episodes after somebody has looked
    without notice have a camera, whatever is expected of them. So an episode has the same course with a camera,
    without one, and when it is played again.
    """

    _is_expected = False
    _was_looked_at = False
    _frame = 0
    """The server's frame of the present state."""

    @abstractmethod
    def _begin(self) -> None:
        """Puts everyone at the start on a server with nothing of an earlier episode; with a camera if it is wanted."""

    @abstractmethod
    def _playing(self) -> ServerEpisode:
        """Returns what is played on the server; WorldError without a connection."""

    def expect_captures(self, sensors: Collection[str]) -> None:
        """Gives the episodes from the next reset on a front camera on the server if one of its sensors is named."""
        self._is_expected = not _CAMERAS.isdisjoint(sensors)

    @property
    def _wants_pictures(self) -> bool:
        """Whether an episode that begins now has a camera; who has looked may look again without notice."""
        return self._is_expected or self._was_looked_at

    def capture(self, sensor: str, index: int) -> Frame:
        """Freezes the present state; pictures of the front camera are the server's.

        Raises:
            WorldError: The server fails, or an episode was under way when its front camera was first looked at.
        """
        if sensor not in _CAMERAS:
            return super().capture(sensor, index)
        if self._step not in self._episode.images:
            self._look()
        frame = super().capture(sensor, index)
        _ = frame.array  # now: the server's pictures are not kept for ever, and cannot be drawn again
        return frame

    def _look(self) -> None:
        played = self._playing()
        if played.has_camera:
            self._keep_picture(played)
            return
        self._was_looked_at = True
        if self._step == 0:
            control = self._control
            self._begin()
            self._control[:] = control
        else:
            raise WorldError(
                f"The front camera was first looked at {self._step * STEP_S:g} s into an episode that has none on the "
                "server. From the next reset on it is there; to have it in the first episode, too, call "
                "expect_captures with its name before reset, or capture it right after."
            )

    def _keep_picture(self, played: ServerEpisode) -> None:
        """Keeps the server's picture of the present state, if there is a camera."""
        picture = played.picture(self._frame)
        if picture is not None:
            keep_picture(self._episode.images, self._step, picture)
