"""An interrupt that Python would drop is raised once more, and nothing else is kept from the eyes."""

from __future__ import annotations

import _thread
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from simloop import wall_clock
from simloop.cli import interrupts
from simloop.cli.interrupts import AGAIN_AFTER_S, kept_interrupts

PATIENCE_S = 60.0
LATER_S = 0.5
"""When a lost interrupt comes again in a test that does something before, also where others have the machine."""
NUM_ROUNDS = 20


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


def _wait_in_the_system() -> None:
    lock = threading.Lock()
    lock.acquire()
    assert not lock.acquire(timeout=PATIENCE_S)


def _ask_for_threads() -> None:
    """Nearly always has a lock that every ``threading.Thread`` takes when it ends."""
    until_s = wall_clock.monotonic_s() + PATIENCE_S
    while wall_clock.monotonic_s() < until_s:
        for _ in range(1000):
            threading.enumerate()


def _end() -> None:
    pass


def _fail() -> None:
    raise LookupError("the callback that was cut short returned nothing")


@pytest.mark.parametrize("then", [_go_on, _wait_in_the_system, _end, _fail])
@pytest.mark.parametrize("lose", [_in_a_callback_from_c, _in_a_destructor])
def test_a_lost_interrupt_comes_again(
    lose: Callable[[], None],
    then: Callable[[], None],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interrupts, "AGAIN_AFTER_S", PATIENCE_S if then in (_end, _fail) else LATER_S)
    hook, steps = sys.unraisablehook, []

    def play() -> None:
        lose()
        steps.append("lost")
        then()
        steps.append("went on")

    with pytest.raises(KeyboardInterrupt, match=r"^$"), kept_interrupts():
        play()
    assert steps[0] == "lost", "it was raised where it came, so nothing was tested"
    assert (steps[1:] == ["went on"]) == (then is _end)
    assert sys.unraisablehook is hook
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "KeyboardInterrupt" not in capfd.readouterr().err


@pytest.mark.parametrize("again_after_s", [0.0, AGAIN_AFTER_S])
@pytest.mark.parametrize("then", [_go_on, _wait_in_the_system, _ask_for_threads])
def test_every_lost_interrupt_comes_again(
    then: Callable[[], None], again_after_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it comes before the callback that lost it is over, and whatever the main thread has in hand."""
    monkeypatch.setattr(interrupts, "AGAIN_AFTER_S", again_after_s)

    def play() -> None:
        _in_a_callback_from_c()
        then()
        pytest.fail("the interrupt was lost")

    for _ in range(NUM_ROUNDS):
        with pytest.raises(KeyboardInterrupt, match=r"^$"), kept_interrupts():
            play()


def test_one_that_comes_again_too_early_comes_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    start, send = _thread.start_new_thread, signal.pthread_kill
    came: list[int] = []

    def start_slowly(function: Callable[..., object], arguments: tuple[object, ...]) -> None:
        start(function, arguments)
        until_s = wall_clock.monotonic_s() + PATIENCE_S
        while len(came) < 2 and wall_clock.monotonic_s() < until_s:
            pass

    def note(thread: int, number: int) -> None:
        send(thread, number)
        came.append(number)

    monkeypatch.setattr(_thread, "start_new_thread", start_slowly)
    monkeypatch.setattr(signal, "pthread_kill", note)

    def play() -> None:
        _in_a_callback_from_c()
        assert len(came) >= 2
        _go_on()
        pytest.fail("the interrupt was lost")

    with pytest.raises(KeyboardInterrupt, match=r"^$"), kept_interrupts():
        play()


@pytest.mark.parametrize("num_lost", [1, 2])
def test_one_that_comes_first_stands_for_the_lost_ones(
    num_lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "AGAIN_AFTER_S", LATER_S)
    steps = []

    def play() -> None:
        for _ in range(num_lost):
            _in_a_callback_from_c()
        try:
            _interrupt()
            _go_on()
        finally:
            wall_clock.sleep_s(2 * LATER_S)
            steps.append("tidied up")

    with pytest.raises(KeyboardInterrupt, match=r"^$"), kept_interrupts():
        play()
    assert steps == ["tidied up"], "the lost one cut the tidying short"


@pytest.mark.parametrize("again_after_s", [0.0, AGAIN_AFTER_S])
def test_nothing_comes_after_the_end(again_after_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "AGAIN_AFTER_S", again_after_s)
    came: list[int] = []
    for _ in range(NUM_ROUNDS):
        with pytest.raises(KeyboardInterrupt, match=r"^$"), kept_interrupts():
            _in_a_callback_from_c()
        before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
        wall_clock.sleep_s(2 * AGAIN_AFTER_S)
        signal.signal(signal.SIGINT, before)
        assert before is signal.default_int_handler
    assert came == []


def test_only_the_main_thread_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: seen.append(unraisable.exc_type))

    def cancel() -> None:
        raise KeyboardInterrupt

    with kept_interrupts():
        thread = threading.Thread(target=ctypes.CFUNCTYPE(None)(cancel))
        thread.start()
        thread.join()
        wall_clock.sleep_s(4 * AGAIN_AFTER_S)
    assert seen == [KeyboardInterrupt]


def test_other_errors_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: seen.append(unraisable.exc_type))

    def fail() -> None:
        raise LookupError("nobody can catch it")

    with kept_interrupts():
        ctypes.CFUNCTYPE(None)(fail)()
    assert seen == [LookupError]
