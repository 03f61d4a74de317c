"""Reads scenario families from YAML files.

Shipped families live in the data package ``simloop_scenarios``; a path to a file of the user's works everywhere a
name does. Keys carry their units. docs/scenarios.md describes the format.
"""

from __future__ import annotations

import functools
import importlib.resources
import math
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.spec import ParameterRange, ParameterValue, ScenarioFamily

PACKAGE = "simloop_scenarios"
UNIT_SUFFIXES = (
    "_m", "_mps", "_mps2", "_mps3", "_s", "_rad", "_radps", "_deg", "_hz", "_n", "_kg", "_kgpm3", "_ratio",
    "_count", "_id",
)  # fmt: skip
_KEYS = {
    "family", "description", "world", "world_config", "instruction", "time_limit_s", "parameters", "scene", "tags",
    "twin", "provenance",
}  # fmt: skip
_REQUIRED = ("family", "world", "time_limit_s", "parameters")
MAX_DEPTH = 40
MAX_VALUES = 100_000
"""A YAML file is refused beyond these; the shipped ones are below a tenth of them."""
_DISTRIBUTIONS = ("uniform", "log_uniform")


def read_yaml_mapping(file: Traversable | Path) -> dict[str, Any]:
    """Reads a YAML file that holds one mapping.

    Raises:
        ConfigurationError: The file is missing, is not YAML, or holds something else; the message names it.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"There is no file {file}.") from None
    except RecursionError:
        raise ConfigurationError(f"{file} is nested too deeply; allowed: {MAX_DEPTH} levels.") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{file} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file} holds {type(content).__name__}; it must hold a mapping of keys.")
    _check_extent(content, file)
    return content


def _check_extent(content: Any, file: Traversable | Path) -> None:
    """Refuses what aliases blow up: a value inside itself, or a few lines that stand for billions of values."""
    found, num_values = [(content, 0)], 0
    while found:
        value, depth = found.pop()
        num_values += 1
        if depth > MAX_DEPTH or num_values > MAX_VALUES:
            raise ConfigurationError(
                f"{file} is nested more than {MAX_DEPTH} levels deep (or holds itself), or has more than {MAX_VALUES} "
                "values with its aliases written out; allowed is less than that."
            )
        if isinstance(value, dict):
            found += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            found += [(inner, depth + 1) for inner in value]


def _walk(folder: Traversable) -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir() and entry.name not in ("suites", "maps", "__pycache__"):
            found |= _walk(entry)
        elif entry.name.endswith(".yaml"):
            found[entry.name.removesuffix(".yaml")] = entry
    return found


@functools.cache
def shipped_families() -> Mapping[str, Traversable]:
    """Returns the file of every shipped scenario family by name."""
    return _walk(importlib.resources.files(PACKAGE))


def load_family(name_or_path: str) -> ScenarioFamily:
    """Reads a scenario family by name, or from a path that ends in .yaml.

    Raises:
        UnknownNameError: There is no family of that name.
        ConfigurationError: The file does not describe a family; the message names file, key, got, allowed.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return _family_of(Path(name_or_path))
    files = shipped_families()
    if name_or_path not in files:
        raise UnknownNameError("scenario", name_or_path, files)
    return _family_of(files[name_or_path])


def _family_of(file: Traversable | Path) -> ScenarioFamily:
    content = read_yaml_mapping(file)
    where = str(file)
    _check_keys(content, where)
    for key in content:
        if key not in _KEYS:
            raise UnknownNameError("key", str(key), _KEYS, where=where)
    for key in _REQUIRED:
        if key not in content:
            raise ConfigurationError(
                f"{where}: the key {key!r} is missing; required: {', '.join(_REQUIRED)}."
            )
    time_limit_s = content["time_limit_s"]
    if (
        isinstance(time_limit_s, bool)
        or not isinstance(time_limit_s, (int, float))
        or not 0 < time_limit_s <= 3600
    ):
        raise ParameterError(
            f"{where}: time_limit_s is {time_limit_s!r}; allowed: a number over 0, at most 3600."
        )
    parameters = _mapping(content["parameters"], "parameters", where)
    return ScenarioFamily(
        name=str(content["family"]),
        world=str(content["world"]),
        description=str(content.get("description", "")),
        world_config=_mapping(content.get("world_config"), "world_config", where),
        parameters={str(name): _range(str(name), value, where) for name, value in parameters.items()},
        scene=_mapping(content.get("scene"), "scene", where),
        instruction=str(content.get("instruction", "")),
        time_limit_ns=round(time_limit_s * 1e9),
        tags={str(k): str(v) for k, v in _mapping(content.get("tags"), "tags", where).items()},
        twin=_mapping(content.get("twin"), "twin", where),
        provenance=str(content.get("provenance", "")),
        where=where,
    )


def _check_keys(content: Any, where: str) -> None:
    """Refuses keys that are not text, at any depth."""
    if isinstance(content, dict):
        for key, value in content.items():
            if not isinstance(key, str):
                hint = " (YAML reads on, off, yes and no as true and false)" if isinstance(key, bool) else ""
                raise ConfigurationError(f"{where}: the key {key!r} is not text{hint}; put it in quotes.")
            _check_keys(value, f"{where}: {key}")
    elif isinstance(content, list):
        for value in content:
            _check_keys(value, where)


def _mapping(value: Any, key: str, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where}: {key} is {value!r}; it must be a mapping.")
    return value


def _range(name: str, value: Any, where: str) -> ParameterRange:
    place = f"{where}: parameters.{name}"
    if not isinstance(value, dict):
        raise ParameterError(f"{place} is {value!r}; allowed: {{low, high}} or {{choices: [...]}}.")
    if "choices" in value:
        choices = value["choices"]
        if set(value) != {"choices"} or not isinstance(choices, list) or not choices:
            raise ParameterError(
                f"{place} must hold only a list 'choices' with at least one value; got {value!r}."
            )
        if any(not isinstance(c, (str, bool)) for c in choices):
            _check_unit(name, place)
        return ParameterRange(choices=tuple(_plain(c, place) for c in choices))
    unknown = sorted(set(value) - {"low", "high", "distribution"})
    if unknown or not {"low", "high"} <= set(value):
        raise ParameterError(
            f"{place} has keys {sorted(value)}; allowed: low, high and optionally distribution."
        )
    low, high = _plain(value["low"], place), _plain(value["high"], place)
    if isinstance(low, (str, bool)) or isinstance(high, (str, bool)) or low > high:
        raise ParameterError(f"{place}: low is {low!r}, high is {high!r}; both must be numbers, low <= high.")
    distribution = str(value.get("distribution", "uniform"))
    if distribution not in _DISTRIBUTIONS:
        raise UnknownNameError("distribution", distribution, _DISTRIBUTIONS, where=place)
    if distribution == "log_uniform" and low <= 0:
        raise ParameterError(f"{place}: log_uniform needs low > 0; got {low!r}.")
    _check_unit(name, place)
    return ParameterRange(low=float(low), high=float(high), distribution=distribution)


def _check_unit(name: str, place: str) -> None:
    if not name.endswith(UNIT_SUFFIXES):
        raise ParameterError(
            f"{place}: the name carries no known unit; end it in one of: {', '.join(UNIT_SUFFIXES)}."
        )


def _plain(value: Any, place: str) -> ParameterValue:
    if isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ParameterError(f"{place}: {value!r} is not a finite number, a text or true/false.")
