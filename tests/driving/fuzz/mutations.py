"""Mutations of the shipped scenario and map files, each from its number alone: the same file at every run.

Files are taken apart and put together again (keys deleted, doubled, renamed, values replaced by strange ones), or
altered as text (cut off, lines moved, bytes replaced).
"""

from __future__ import annotations

import copy
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import yaml

REPOSITORY = Path(__file__).parents[3]
FAMILIES = sorted((REPOSITORY / "scenarios" / "driving").glob("*.yaml"))
MAPS = [
    REPOSITORY / "scenarios" / "maps" / f"{name}.xodr" for name in ("straight_track", "roundabout", "merge")
]
STARTS = {"straight_track": (1, -3), "roundabout": (1, -1), "merge": (1, -3)}
"""Road and lane on which the ego starts when a map is tried."""

STRANGE: tuple[Any, ...] = (
    None, True, False, "", "abc", "nan", "ego", "$nothing", "../x", "1e5", "\u0000", "Ω" * 300,
    math.nan, math.inf, -math.inf, -1, 0, 1, -0.0, 1e-300, 1e9, 1e308, -1e308, 10**30, 3.7, -7.25,
    [], {}, [[]], [None], {"a": 1}, {1: 2}, {1: 2, "a": 3}, {True: 1, "b": 2}, [1, 2, 3],
    {"low": 5.0, "high": 1.0}, {"choices": []},
)  # fmt: skip
STRANGE_ATTRIBUTES = (
    "", "nan", "inf", "-inf", "-1", "0", "1", "1e308", "-1e308", "1e-300", "1e9", "abc", "0x10", "1,5", "99999999",
    "-99999999", "true", "junction", "road", "start", "end", "driving", "none", "\u00a0", "9" * 400,
)  # fmt: skip

Place = tuple[Any, Any]
"""A container of the tree and the key or index in it."""


class Mutator:
    """Draws the mutations of one case."""

    def __init__(self, number: int) -> None:
        self._draws = np.random.Generator(np.random.Philox(key=[number, 0x5EED]))

    def _index(self, length: int) -> int:
        return int(self._draws.integers(length))

    def _one_of(self, values: Any) -> Any:
        return values[self._index(len(values))]

    # --- scenario files --------------------------------------------------------------------------------------

    def scenario(self) -> str:
        """Returns the text of a mutated scenario file."""
        source = self._one_of(FAMILIES)
        text = source.read_text(encoding="utf-8")
        if self._draws.random() < 0.2:
            return self._altered_text(text)
        tree = yaml.safe_load(text)
        for _ in range(self._one_of((1, 1, 1, 2, 3))):
            self._mutate_tree(tree)
        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)

    def _places(self, tree: Any) -> list[Place]:
        found: list[Place] = []
        items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
        for key, value in items:
            found.append((tree, key))
            found += self._places(value)
        return found

    def _mutate_tree(self, tree: Any) -> None:
        places = self._places(tree)
        # What a scenario is made of rather than its tags and texts.
        inner = [p for p in places if p[0] is not tree] or places
        if not inner:
            return
        container, key = self._one_of(inner if self._draws.random() < 0.85 else places)
        if self._draws.random() < 0.4:
            numbers = [
                (c, k) for c, k in places if isinstance(c[k], (int, float)) and not isinstance(c[k], bool)
            ]
            container, key = self._one_of(numbers or places)
        value = container[key]
        kind = self._index(12)
        if kind == 0:
            del container[key]
        elif kind == 1:
            container[key] = copy.deepcopy(self._one_of(STRANGE))
        elif kind == 2:
            other, other_key = self._one_of(places)
            container[key] = copy.deepcopy(other[other_key])
        elif kind == 3 and isinstance(container, list):
            container.insert(self._index(len(container) + 1), copy.deepcopy(value))
        elif kind == 3:
            container[f"{key}_more"] = copy.deepcopy(value)
        elif kind == 4 and isinstance(container, dict) and isinstance(key, str) and len(key) > 1:
            cut = self._index(len(key))
            container[key[:cut] + key[cut + 1 :]] = container.pop(key)
        elif kind == 5:
            container[key] = [value] if self._draws.random() < 0.5 else {"value": value}
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            container[key] = value * self._one_of((0.0, -1.0, 1e-3, 0.3, 0.7, 1.5, 3.0, 30.0, 1e3, 1e6, 1e12))
        else:
            other, other_key = self._one_of(places)
            container[key], other[other_key] = copy.deepcopy(other[other_key]), copy.deepcopy(value)

    # --- map files -------------------------------------------------------------------------------------------

    def road_map(self) -> tuple[str, bytes]:
        """Returns the name of the map that was mutated, and the bytes of the file."""
        source = self._one_of(MAPS)
        text = source.read_text(encoding="utf-8")
        if self._draws.random() < 0.2:
            return source.stem, self._altered_text(text).encode("utf-8", "surrogateescape")
        root = ET.fromstring(text)
        for _ in range(self._one_of((1, 1, 1, 2, 3))):
            self._mutate_elements(root)
        return source.stem, ET.tostring(root)

    def _mutate_elements(self, root: ET.Element) -> None:
        pairs = [(parent, child) for parent in root.iter() for child in parent]
        if not pairs:
            return
        parent, child = self._one_of(pairs)
        kind = self._index(7)
        if kind == 0:
            parent.remove(child)
        elif kind == 1:
            parent.insert(self._index(len(parent) + 1), copy.deepcopy(child))
        elif kind == 2:
            child.tag = self._one_of(pairs)[1].tag
        elif kind == 3:
            other, _ = self._one_of(pairs)
            moved = copy.deepcopy(child)
            parent.remove(child)
            other.append(moved)
        elif child.attrib:
            name = self._one_of(sorted(child.attrib))
            if kind == 4:
                del child.attrib[name]
            elif kind == 5:
                child.attrib[name] = self._one_of(STRANGE_ATTRIBUTES)
            else:
                _, other_child = self._one_of(pairs)
                child.attrib[name] = self._one_of(list(other_child.attrib.values()) or [""])
        else:
            child.text = self._one_of(STRANGE_ATTRIBUTES).replace("\u0000", "")

    # --- texts -----------------------------------------------------------------------------------------------

    def _altered_text(self, text: str) -> str:
        lines = text.splitlines(keepends=True)
        kind = self._index(6)
        if kind == 0:
            return text[: self._index(len(text))]
        if kind == 1:
            del lines[self._index(len(lines))]
        elif kind == 2:
            line = self._one_of(lines)
            lines.insert(self._index(len(lines) + 1), line)
        elif kind == 3:
            at = self._index(len(lines))
            lines[at] = (
                self._one_of(("  ", "\t", "- ", "? ", "{", "&a ", "*a ", "!!python/name:os.system "))
                + lines[at]
            )
        elif kind == 4:
            raw = bytearray(text.encode("utf-8"))
            for _ in range(1 + self._index(20)):
                raw[self._index(len(raw))] = self._index(256)
            return raw.decode("utf-8", "surrogateescape")
        else:
            first, last = sorted((self._index(len(text)), self._index(len(text))))
            return text[:first] + text[last:]
        return "".join(lines)
