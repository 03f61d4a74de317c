"""Composes configuration with Hydra; the one place that turns a composed config into an object.

``conf/`` holds one YAML file a choice in the groups agent, timing, strategy, world and runner. ``_target_`` is taken
from there alone: an override that names one is refused.
"""

from __future__ import annotations

import functools
import importlib.resources
import inspect
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from simloop.agent import Agent
from simloop.errors import ConfigurationError, SimloopError, UnknownNameError
from simloop.plugins import agent_class, entry_points, world_class
from simloop.scenario_files import read_yaml_mapping
from simloop.spec import Component
from simloop.strategies.strategy import Strategy
from simloop.timing.stage_graph import Timing
from simloop.world import World

PACKAGE = "simloop_conf"
GROUPS = ("agent", "timing", "strategy", "world", "runner")


@functools.cache
def choices(group: str) -> tuple[str, ...]:
    """Returns the names in one config group, in name order."""
    folder = importlib.resources.files(PACKAGE) / group
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def description(group: str, name: str) -> str:
    """Returns the sentence that describes a choice (its ``description`` or ``source`` key)."""
    content = read_yaml_mapping(importlib.resources.files(PACKAGE) / group / f"{name}.yaml")
    return str(content.get("description", content.get("source", "")))


def component(group: str, name: str, overrides: Mapping[str, str] | None = None) -> Component:
    """Composes one choice.

    Args:
        group: One of ``GROUPS``.
        name: A choice of that group; for agents also ``module:Class``.
        overrides: Value text by key inside the group, as on the command line (``{"inference.value_ms": "100"}``).

    Raises:
        UnknownNameError: There is no such choice.
        ConfigurationError: An override names an unknown key, a ``_target_``, or a value of a wrong type.
    """
    overrides = dict(overrides or {})
    for key in overrides:
        _refuse_private(dict.fromkeys(key.split(".")), f"{group}.{key}")
    if group == "agent" and ":" in name:
        if overrides:
            raise ConfigurationError(
                f"agent.target={name} takes no further agent keys; got {sorted(overrides)}."
            )
        return Component(group=group, name=name, config={"target": name})
    if name not in choices(group):
        raise UnknownNameError(group, name, choices(group))
    config = _compose(group, name, tuple(sorted(overrides.items())))
    _refuse_private({k: v for k, v in config.items() if k != "_target_"}, f"{group}={name}")
    changed = ",".join(f"{k}={v}" for k, v in sorted(overrides.items()))
    return Component(
        group=group, name=f"{name}[{changed}]" if changed and group != "runner" else name, config=config
    )


@functools.cache
def _compose(group: str, name: str, overrides: tuple[tuple[str, str], ...]) -> Mapping[str, Any]:
    lines = [f"+{group}={name}"]
    if overrides:
        base = _compose(group, name, ())
        for key, value in overrides:
            lines += _override_lines(base, f"{group}.", key, value)
    try:
        with initialize_config_module(PACKAGE, version_base="1.3"):
            composed = compose(overrides=lines)
    except (HydraException, OmegaConfBaseException) as error:
        known = ""
        if overrides:
            base = _compose(group, name, ())
            keys = _flat_keys(base)
            known = ", ".join([*keys, *(k for k in _target_parameters(base) if k not in base)])
        raise ConfigurationError(
            f"{' '.join(f'{group}.{k}={v}' for k, v in overrides) or lines[0]} does not fit {group}={name}: "
            f"{str(error).splitlines()[0]}" + (f" Keys of {name}: {known}." if known else "")
        ) from error
    plain = OmegaConf.to_container(composed[group], resolve=True)
    assert isinstance(plain, dict)
    return {str(k): v for k, v in plain.items() if k != "description"}


def _override_lines(base: Mapping[str, Any], head: str, key: str, value: str) -> list[str]:
    """Returns Hydra's lines for one override: a key that the target takes is added, a mapping replaces the old one."""
    path = key.split(".")
    held: Any = base
    for part in path:
        held = held.get(part) if isinstance(held, Mapping) else None
    if isinstance(held, Mapping) and value.lstrip().startswith("{"):
        return [f"~{head}{key}", f"+{head}{key}={value}"]
    if path[0] in base and len(path) == 1:
        return [f"{head}{key}={value}"]
    return [f"{'++' if path[0] in _target_parameters(base) else ''}{head}{key}={value}"]


def _target_parameters(config: Mapping[str, Any]) -> Mapping[str, inspect.Parameter]:
    """Returns what the target of a composed choice takes; it checks the values itself."""
    if "_target_" not in config:
        return {}
    return inspect.signature(get_object(str(config["_target_"]))).parameters


def _refuse_private(value: Any, where: str) -> None:
    """Refuses keys that Hydra would act on (``_target_`` and its like), at any depth of a user's values."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if str(key).startswith("_"):
                raise ConfigurationError(
                    f"{where} sets {key!r}; keys that start with _ belong to conf/ alone."
                )
            _refuse_private(inner, where)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _refuse_private(inner, where)


def _flat_keys(config: Mapping[str, Any], head: str = "") -> list[str]:
    keys: list[str] = []
    for key, value in config.items():
        if key.startswith("_"):
            continue
        keys += _flat_keys(value, f"{head}{key}.") if isinstance(value, dict) else [f"{head}{key}"]
    return keys


def _instantiate(chosen: Component, kind: type[Any]) -> Any:
    where = f"{chosen.group}={chosen.name}"
    if "_target_" not in chosen.config:
        raise ConfigurationError(f"{where} has no _target_ in conf/{chosen.group}/.")
    try:
        # Not recursive: a mapping inside a value stays a mapping, whatever it holds.
        made = instantiate(dict(chosen.config), _convert_="all", _recursive_=False)
    except HydraException as error:
        cause = error.__cause__ or error
        if isinstance(cause, SimloopError):
            raise cause from error
        raise ConfigurationError(f"{where} cannot be made: {cause}") from error
    if not isinstance(made, kind):
        raise ConfigurationError(f"{where} makes a {type(made).__name__}; expected a {kind.__name__}.")
    return made


def make_agent(chosen: Component) -> Agent:
    """Makes an agent from its composed config or its ``module:Class`` target."""
    target = chosen.config.get("target")
    if isinstance(target, str) and "_target_" not in chosen.config:
        return _construct(agent_class(target), target)
    made: Agent = _instantiate(chosen, Agent)
    return made


def _construct(chosen: type[Agent], target: str) -> Agent:
    try:
        return chosen()
    except SimloopError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"agent.target {target!r} cannot be made; its class is called without arguments:\n{traceback.format_exc()}"
        ) from error


def make_timing(chosen: Component) -> Timing:
    """Makes a timing."""
    made: Timing = _instantiate(chosen, Timing)
    return made


def make_strategy(chosen: Component) -> Strategy:
    """Makes a strategy."""
    made: Strategy = _instantiate(chosen, Strategy)
    return made


def world_component(
    name: str, world_config: Mapping[str, Any], overrides: Mapping[str, str] | None = None
) -> Component:
    """Composes a world: ``conf/world/<name>.yaml`` (or a plug-in's defaults), the family's choices, then overrides.

    Raises:
        UnknownNameError: There is no world of that name.
        ConfigurationError: The family or an override names a key that the world does not have.
    """
    _refuse_private(world_config, f"world_config of {name}")
    if name in choices("world"):
        base = component("world", name, overrides)
        unknown = sorted(set(world_config) - set(base.config))
        if unknown:
            known = [k for k in base.config if not k.startswith("_")]
            raise ConfigurationError(
                f"world_config has unknown keys {unknown}; {name} takes: {', '.join(known)}."
            )
        given = {k: v for k, v in world_config.items() if k not in (overrides or {})}
        return Component(group="world", name=name, config={**base.config, **given})
    if name not in entry_points("worlds"):
        raise UnknownNameError("world", name, {*choices("world"), *entry_points("worlds")})
    signature = inspect.signature(world_class(name))
    try:
        signature.bind(**world_config)
    except TypeError as error:
        raise ConfigurationError(
            f"world_config {dict(world_config)} does not fit world {name!r}: {error}; it takes: "
            f"{', '.join(signature.parameters) or '(nothing)'}."
        ) from error
    return Component(group="world", name=name, config=dict(world_config))


def make_world(chosen: Component) -> World:
    """Makes a world from its composed config, or from its plug-in's class."""
    if "_target_" in chosen.config:
        made: World = _instantiate(chosen, World)
        return made
    return world_class(chosen.name)(**dict(chosen.config))


def split_overrides(words: Sequence[str]) -> dict[str, str]:
    """Splits ``key=value`` words.

    Raises:
        ConfigurationError: A word is not of that form or a key is given twice.
    """
    out: dict[str, str] = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or not key:
            raise ConfigurationError(f"{word!r} is not of the form key=value, for example agent=expert.")
        if key in out:
            raise ConfigurationError(f"{key} is given twice: {out[key]!r} and {value!r}.")
        out[key] = value
    return out
