"""Interrupts that Python would drop."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

from simloop import wall_clock

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
        if repeat.main == threading.get_ident() and issubclass(unraisable.exc_type, KeyboardInterrupt):
            repeat.begin()
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
    """Sends an interrupt again and again until it arrives; waits for no lock that the main thread may hold."""

    def __init__(self) -> None:
        self.main = threading.get_ident()
        self._is_on = self._may_raise = False
        self._before = signal.getsignal(signal.SIGINT)
        self._gate = _thread.allocate_lock()  # the sender has it from its look whether to send

    def begin(self) -> None:
        if not self._is_on:
            self._before, self._is_on = signal.signal(signal.SIGINT, self._come), True
            _thread.start_new_thread(self._send, ())
        self._may_raise = True

    def end(self) -> bool:
        """Sends nothing any more; says whether there was something to send."""
        was_on, self._is_on, self._may_raise = self._is_on, False, False
        if was_on:
            with self._gate:  # what is being sent comes here, where `_come` minds it no more
                signal.signal(signal.SIGINT, self._before)
        return was_on

    def _send(self) -> None:
        while True:
            wall_clock.sleep_s(AGAIN_AFTER_S)
            with self._gate:
                if not self._is_on:
                    return
                # To the thread, as `_thread.interrupt_main` would not wake it from a wait in the system.
                signal.pthread_kill(self.main, signal.SIGINT)

    def _come(self, *_: object) -> None:
        if self._may_raise and self.end():  # within `begin` it would be dropped like the first
            raise KeyboardInterrupt
