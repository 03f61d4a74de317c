"""Reads numbers from the attributes of a map's XML, and refuses what is none or out of bounds."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from typing import Never

from simloop.errors import ConfigurationError

MAX_ID = 2**31 - 1

_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_WHOLE = re.compile(r"-?[0-9]{1,12}")
_MAX_SHOWN = 40


def refuse(where: str, got: str, allowed: str) -> Never:
    """Raises the ConfigurationError of a map: where (file, road, key), what was got, what is allowed."""
    raise ConfigurationError(f"{where} {got}; allowed: {allowed}.")


def number(element: ElementTree.Element, key: str, where: str, low: float, high: float) -> float:
    """Returns an attribute that must be a number within closed bounds."""
    text = element.get(key)
    allowed = f"a number from {low:g} to {high:g}"
    if text is None:
        refuse(f"{where} {key}", "is missing", allowed)
    if not _NUMBER.fullmatch(text) or not low <= float(text) <= high:
        refuse(f"{where} {key}", f"is {text[:_MAX_SHOWN]!r}", allowed)
    return float(text)


def whole(element: ElementTree.Element, key: str, where: str, low: int = 0, high: int = MAX_ID) -> int:
    """Returns an attribute that must be a whole number within closed bounds."""
    text = element.get(key)
    allowed = f"a whole number from {low} to {high}"
    if text is None:
        refuse(f"{where} {key}", "is missing", allowed)
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        refuse(f"{where} {key}", f"is {text[:_MAX_SHOWN]!r}", allowed)
    return int(text)


def word(element: ElementTree.Element, key: str, where: str, allowed: Collection[str]) -> str:
    """Returns an attribute that must be one of some words."""
    text = element.get(key)
    if text is None or text not in allowed:
        got = "is missing" if text is None else f"is {text[:_MAX_SHOWN]!r}"
        refuse(f"{where} {key}", got, ", ".join(allowed))
    return text
