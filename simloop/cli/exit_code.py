"""Exit codes of every command; CI relies on them."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What a command's end means."""

    PASS = 0
    REGRESSION = 1
    """A regression, or a criterion that does not hold."""
    CANNOT_DECIDE = 2
    NOT_COMPARABLE = 3
    INCOMPLETE = 4
    """Episodes are missing or ended by an infrastructure error; also: the input was wrong and nothing ran."""
    INTERRUPTED = 130
