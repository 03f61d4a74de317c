"""Interrupts that Python would drop."""

from __future__ import annotations

import _thread
import contextlib
import sys
import threading
from collections.abc import Iterator

AGAIN_AFTER_S = 0.05


@contextlib.contextmanager
def kept_interrupts() -> Iterator[None]:
    """Raises an interrupt once more that came where Python cannot raise, and prints no trace of the first.

    A ``KeyboardInterrupt`` in a callback from C (numba's, when it loads a kernel), in ``__del__`` or in a weak
    reference's callback goes to ``sys.unraisablehook`` and the program goes on as if nobody had pressed Ctrl-C.
    """
    before = sys.unraisablehook

    def keep(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            before(unraisable)
            return
        # Not from here, where it would be dropped as well.
        again = threading.Timer(AGAIN_AFTER_S, _thread.interrupt_main)
        again.daemon = True
        again.start()

    sys.unraisablehook = keep
    try:
        yield
    finally:
        sys.unraisablehook = before
