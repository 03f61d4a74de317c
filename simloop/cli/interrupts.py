"""Interrupts that Python would drop."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

AGAIN_AFTER_S = 0.05


@contextlib.contextmanager
def kept_interrupts() -> Iterator[None]:
    """Raises an interrupt once more that came where Python cannot raise, and prints no trace of the first.

    A ``KeyboardInterrupt`` in a callback from C (numba's, when it loads a kernel), in ``__del__`` or in a weak
    reference's callback goes to ``sys.unraisablehook`` and the program goes on as if nobody had pressed Ctrl-C.
    To be called in the main thread, the only one that Python interrupts.

    Raises:
        KeyboardInterrupt: An interrupt was dropped and the block ended before it came again.
    """
    hook, repeat = sys.unraisablehook, _Repeat()

    def keep(unraisable: sys.UnraisableHookArgs) -> None:
        in_main = threading.get_ident() == threading.main_thread().ident
        handler = signal.getsignal(signal.SIGINT)
        if in_main and callable(handler) and issubclass(unraisable.exc_type, KeyboardInterrupt):
            repeat.begin(handler)
        else:
            hook(unraisable)

    sys.unraisablehook = keep
    try:
        yield
    finally:
        sys.unraisablehook = hook
        if repeat.end():
            raise KeyboardInterrupt


class _Repeat:
    """A dropped interrupt that is still to be raised: shortly, or with the next one that comes, whichever is first."""

    def __init__(self) -> None:
        self._handler: Callable[[int, FrameType | None], Any] | None = None
        self._timer: threading.Timer | None = None

    def begin(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        """Sends the interrupt again when the callback that dropped it is over; ``handler`` is that of SIGINT."""
        if self._handler is not None:
            return
        self._handler = handler
        signal.signal(signal.SIGINT, self._come)
        # A signal to the thread, as `_thread.interrupt_main` would not wake it from a wait in the system.
        main = threading.main_thread().ident
        timer = threading.Timer(AGAIN_AFTER_S, signal.pthread_kill, (main, signal.SIGINT))
        timer.daemon = True
        timer.start()
        self._timer = timer

    def end(self) -> bool:
        """Sends nothing any more; says whether there was something to send."""
        handler, self._handler = self._handler, None
        if handler is None:
            return False
        if self._timer is not None:
            self._timer.cancel()
            # If it is just sending, that comes now, when `_come` has nothing to raise.
            self._timer.join()
            self._timer = None
        signal.signal(signal.SIGINT, handler)
        return True

    def _come(self, number: int, frame: FrameType | None) -> None:
        handler = self._handler
        # While `begin` is at work this is still inside the callback: the one that it sends stands for both.
        if handler is not None and self._timer is not None:
            self.end()
            handler(number, frame)
