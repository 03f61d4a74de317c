"""Reads a scene block of a scenario file: types, ranges, unknown keys and ``$parameter`` references."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError

LARGEST = 1e9
"""No number of a scene may be larger."""


class BlockReader:
    """One mapping of a scene; every key must be read before ``finish``.

    A text that begins with ``$`` stands for the value of the scenario parameter of that name.

    Args:
        block: The mapping.
        where: Path of the block for messages, for example ``"cut_in: scene.ego"``.
        parameters: Values of the scenario's parameters.
        used: Collects the names of the parameters that were referred to.
    """

    def __init__(self, block: Any, where: str, parameters: Mapping[str, Any], used: set[str]) -> None:
        if not isinstance(block, Mapping):
            raise ConfigurationError(f"{where} is {block!r}; allowed: a mapping of keys to values.")
        self._block = block
        self.where = where
        self._parameters = parameters
        self._used = used
        self._known: list[str] = []

    def has(self, key: str) -> bool:
        """Whether the block gives that key."""
        self._known.append(key)
        return key in self._block

    def value(self, key: str, default: Any = None) -> Any:
        """Returns a value with its reference resolved; a key without default must be there."""
        if not self.has(key):
            if default is None:
                raise ConfigurationError(f"{self.where}: key {key!r} is missing.")
            return default
        return self._resolve(key, self._block[key])

    def number(
        self, key: str, *, low: float = -math.inf, high: float = math.inf, default: float | None = None
    ) -> float:
        """Returns a finite number within closed bounds."""
        value = self.value(key, default)
        low, high = max(low, -LARGEST), min(high, LARGEST)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ParameterError(
                f"{self.where}.{key} is {value!r}; allowed: a number from {low:g} to {high:g}."
            )
        return float(value)

    def whole(self, key: str, *, low: int, high: int, default: int | None = None) -> int:
        """Returns a whole number within closed bounds."""
        value = self.number(key, low=low, high=high, default=default)
        if value != int(value):
            raise ParameterError(
                f"{self.where}.{key} is {value!r}; allowed: a whole number from {low} to {high}."
            )
        return int(value)

    def interval(self, key: str, *, low: float, high: float) -> tuple[float, float]:
        """Returns a pair ``[low, high]`` of numbers in order."""
        value: Any = self.value(key)
        is_pair = isinstance(value, (list, tuple)) and len(value) == 2
        ends = (
            [v for v in value if isinstance(v, (int, float)) and not isinstance(v, bool)] if is_pair else []
        )
        if len(ends) != 2 or not low <= ends[0] <= ends[1] <= high:
            raise ParameterError(
                f"{self.where}.{key} is {value!r}; allowed: [from, to] in order, within {low:g} to {high:g}."
            )
        return float(ends[0]), float(ends[1])

    def optional(
        self, key: str, *, low: float = -math.inf, high: float = math.inf, otherwise: float = math.nan
    ) -> float:
        """Returns a finite number within closed bounds, or ``otherwise`` when the key is not there."""
        return self.number(key, low=low, high=high) if self.has(key) else otherwise

    def flag(self, key: str, *, default: bool) -> bool:
        """Returns true or false."""
        value = self.value(key, default)
        if not isinstance(value, bool):
            raise ParameterError(f"{self.where}.{key} is {value!r}; allowed: true, false.")
        return value

    def name(self, key: str) -> str:
        """Returns a text that is not empty."""
        value = self.value(key)
        if not isinstance(value, str) or not value:
            raise ParameterError(f"{self.where}.{key} is {value!r}; allowed: a text.")
        return value

    def text(self, key: str, *, allowed: Collection[str], default: str | None = None) -> str:
        """Returns one of the allowed words."""
        value = self.value(key, default)
        if not isinstance(value, str) or value not in allowed:
            raise UnknownNameError(key, str(value), allowed, where=self.where)
        return value

    def texts(self, key: str, *, allowed: Collection[str]) -> tuple[str, ...]:
        """Returns a list of allowed words."""
        value = self.value(key)
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise ParameterError(
                f"{self.where}.{key} is {value!r}; allowed: a list of {', '.join(sorted(allowed))}."
            )
        for word in value:
            if not isinstance(word, str) or word not in allowed:
                raise UnknownNameError(key, str(word), allowed, where=self.where)
        return tuple(str(word) for word in value)

    def block(self, key: str) -> BlockReader:
        """Returns the reader of an inner block."""
        return BlockReader(self.value(key), f"{self.where}.{key}", self._parameters, self._used)

    def items(self, key: str) -> list[BlockReader]:
        """Returns the readers of a list of blocks; an absent key is an empty list."""
        value = self.value(key, ())
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ConfigurationError(f"{self.where}.{key} is {value!r}; allowed: a list of mappings.")
        return [
            BlockReader(entry, f"{self.where}.{key}[{i}]", self._parameters, self._used)
            for i, entry in enumerate(value)
        ]

    def one_or_more(self, key: str) -> list[BlockReader]:
        """Returns the readers of one block or of a list of blocks; an absent key is an empty list."""
        return [self.block(key)] if isinstance(self.value(key, ()), Mapping) else self.items(key)

    def named_blocks(self, key: str) -> dict[str, BlockReader]:
        """Returns the readers of a mapping of blocks; an absent key is an empty mapping."""
        inner = BlockReader(self.value(key, {}), f"{self.where}.{key}", self._parameters, self._used)
        return {str(name): inner.block(str(name)) for name in inner._block}

    def exactly_one(self, keys: Sequence[str]) -> str:
        """Returns which one of several keys the block gives.

        Raises:
            ConfigurationError: It gives none of them, or more than one.
        """
        given = [key for key in keys if self.has(key)]
        if len(given) != 1:
            raise ConfigurationError(
                f"{self.where} has {', '.join(given) or 'none'} of {', '.join(keys)}; allowed: exactly one."
            )
        return given[0]

    def finish(self) -> None:
        """Raises UnknownNameError if the block has a key that was never asked for."""
        for key in self._block:
            if key not in self._known:
                raise UnknownNameError("key", str(key), set(self._known), where=self.where)

    def _resolve(self, key: str, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("$"):
            name = value[1:]
            if name not in self._parameters:
                raise UnknownNameError("parameter", name, self._parameters, where=f"{self.where}.{key}")
            self._used.add(name)
            return self._parameters[name]
        return value
