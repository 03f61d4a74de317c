"""Results of remote calls, in the wrappers that CARLA's client expects."""

from __future__ import annotations

import re
from typing import Any

VERSION = "0.9.16"
"""The release of CARLA whose protocol this is."""

DONE = [[False]]
"""Success of a call without a value."""


def success(value: Any) -> list[Any]:
    """Wraps the value of a call that succeeded."""
    return [[1, value]]


def failure(reason: str) -> list[Any]:
    """Wraps the reason for which a call with a value failed; the client raises RuntimeError with it."""
    return [[0, [reason]]]


def refused(reason: str) -> list[Any]:
    """Wraps the reason for which a call without a value failed."""
    return [[True, [reason]]]


def unknown_method(name: str, num_arguments: int) -> str:
    """Returns rpclib's text for a method that a server has not."""
    shown = re.sub(r"[^\x20-\x7e]", "?", name)[:80]
    return f"rpclib: server could not find function '{shown}' with argument count {num_arguments}."
