"""Settings and weather of the client library as plain values by name, which another process can be told."""

from __future__ import annotations

from typing import Any


def value_names(kind: type) -> list[str]:
    """Returns the names of what can be read and set of a class of the client library."""
    return [name for name, value in vars(kind).items() if isinstance(value, property)]


def values_of(one: Any) -> dict[str, Any]:
    """Returns what can be read and set of an object of the client library."""
    return {name: getattr(one, name) for name in value_names(type(one))}


def with_values(one: Any, values: dict[str, Any]) -> Any:
    """Sets values of an object of the client library, and returns it."""
    for name, value in values.items():
        setattr(one, name, value)
    return one
