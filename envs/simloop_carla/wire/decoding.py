"""Reads values of the wire into the types of ``structs``, refusing what does not fit with its place and the reason."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable
from typing import Any

Decoder = Callable[[Any], Any]

LARGEST_FLOAT = (2.0 - 2.0**-23) * 2.0**127
"""Largest number of single precision, which is what CARLA's structs keep and the streams send."""


class MalformedMessageError(ValueError):
    """A value of the wire has a wrong type, length or range."""


@functools.cache
def decoder(kind: Any) -> Decoder:
    """Returns the function that turns a decoded MessagePack value into ``kind``.

    Args:
        kind: A named tuple of ``structs``, ``bool``, ``float``, ``str``, ``object`` (unchecked), ``bytes``, a ranged
            integer such as ``structs.U32``, ``list[...]`` or ``... | None``.

    Raises:
        TypeError: There is no such kind on the wire.
    """
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        low, high = kind.__metadata__[0]
        return _integer(low, high)
    if origin is list:
        return _list(decoder(typing.get_args(kind)[0]))
    if origin in (typing.Union, types.UnionType):
        return _optional(decoder(next(part for part in typing.get_args(kind) if part is not type(None))))
    if kind is object:
        return _anything
    if kind is float:
        return _number
    if kind is bool:
        return _boolean
    if kind in (str, bytes):
        return _text if kind is str else _bytes
    if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields"):
        hints = typing.get_type_hints(kind, include_extras=True)
        return _struct(kind, tuple((name, decoder(hint)) for name, hint in hints.items()))
    raise TypeError(f"{kind!r} is not a type of the wire.")


def _integer(low: int, high: int) -> Decoder:
    def decode(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise MalformedMessageError(f"got {_shown(value)}, expected a whole number from {low} to {high}")
        return value

    return decode


def _anything(value: Any) -> Any:
    return value


def _number(value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not -LARGEST_FLOAT <= value <= LARGEST_FLOAT:
        raise MalformedMessageError(f"got {_shown(value)}, expected a finite number of single precision")
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise MalformedMessageError(f"got {_shown(value)}, expected true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedMessageError(f"got {_shown(value)}, expected a string")
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise MalformedMessageError(f"got {_shown(value)}, expected bytes")
    return value


def _list(item: Decoder) -> Decoder:
    def decode(value: Any) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise MalformedMessageError(f"got {_shown(value)}, expected an array")
        return [item(entry) for entry in value]

    return decode


def _optional(item: Decoder) -> Decoder:
    def decode(value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or not value or not isinstance(value[0], bool):
            raise MalformedMessageError(f"got {_shown(value)}, expected [false] or [true, value]")
        if not value[0]:
            return None
        if len(value) != 2:
            raise MalformedMessageError(f"got {_shown(value)}, expected [true, value]")
        return item(value[1])

    return decode


def _struct(kind: type, fields: tuple[tuple[str, Decoder], ...]) -> Decoder:
    names = [name for name, _ in fields]
    items = [item for _, item in fields]
    count = len(fields)

    def decode(value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) < count:
            raise MalformedMessageError(
                f"got {_shown(value)}, expected {kind.__name__}: an array of {count} ({', '.join(names)})"
            )
        try:
            return kind(*[item(entry) for item, entry in zip(items, value, strict=False)])
        except MalformedMessageError as error:
            raise MalformedMessageError(f"{kind.__name__}: {error}") from None

    return decode


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
