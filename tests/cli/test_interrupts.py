"""An interrupt that Python would drop is raised once more, and nothing else is kept from the eyes."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from simloop import wall_clock
from simloop.cli.interrupts import kept_interrupts

PATIENCE_S = 5.0


@pytest.fixture(autouse=True)
def _interrupts_raise() -> Iterator[None]:
    """Also where the tests run in a shell's background, which ignores interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class _Dying:
    def __del__(self) -> None:
        _interrupt()


def _in_a_callback_from_c() -> None:
    ctypes.CFUNCTYPE(None)(_interrupt)()


def _in_a_destructor() -> None:
    _Dying()


def _go_on() -> None:
    until_s = wall_clock.monotonic_s() + PATIENCE_S
    while wall_clock.monotonic_s() < until_s:
        pass


@pytest.mark.parametrize("lose", [_in_a_callback_from_c, _in_a_destructor])
def test_a_lost_interrupt_comes_again(lose: Callable[[], None], capfd: pytest.CaptureFixture[str]) -> None:
    hook, steps = sys.unraisablehook, []

    def play() -> None:
        lose()
        steps.append("lost")
        _go_on()

    with kept_interrupts(), pytest.raises(KeyboardInterrupt, match=r"^$"):
        play()
    assert steps == ["lost"], "it was raised where it came, so nothing was tested"
    assert sys.unraisablehook is hook
    assert "KeyboardInterrupt" not in capfd.readouterr().err


def test_other_errors_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: seen.append(unraisable.exc_type))

    def fail() -> None:
        raise LookupError("nobody can catch it")

    with kept_interrupts():
        ctypes.CFUNCTYPE(None)(fail)()
    assert seen == [LookupError]
