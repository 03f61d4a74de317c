"""Finds worlds, metrics and commands by entry point, and a user's own agent by ``module:Class``.

A plug-in that does not load is reported with its traceback and its distribution, never skipped in silence.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from simloop.agent import Agent
from simloop.errors import ConfigurationError, PluginError, UnknownNameError
from simloop.metrics.core_metrics import core_metrics
from simloop.metrics.metric import Metric
from simloop.traces import TraceFunction
from simloop.world import World


@functools.cache
def entry_points(group: str) -> Mapping[str, importlib.metadata.EntryPoint]:
    """Returns the entry points of ``simloop.<group>`` by name, in name order.

    Raises:
        PluginError: Two distributions bring the same name with different targets.
    """
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for point in sorted(importlib.metadata.entry_points(group=f"simloop.{group}"), key=lambda p: p.name):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise PluginError(
                f"simloop.{group} entry {point.name!r} is brought twice: {other.value} ({_origin(other)}) and "
                f"{point.value} ({_origin(point)}). Uninstall one of them."
            )
    return found


def _origin(point: importlib.metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown distribution"


def load_entry_point(group: str, name: str) -> Any:
    """Loads one entry point.

    Raises:
        UnknownNameError: There is no entry of that name.
        PluginError: It does not load; the message holds its distribution and traceback.
    """
    points = entry_points(group)
    if name not in points:
        raise UnknownNameError(group.removesuffix("s"), name, points)
    point = points[name]
    try:
        return point.load()
    except Exception as error:
        raise PluginError(
            f"simloop.{group} entry {name!r} = {point.value} of {_origin(point)} does not load:\n"
            f"{traceback.format_exc()}"
        ) from error


def world_class(name: str) -> type[World]:
    """Returns the class of a world plug-in.

    Raises:
        UnknownNameError: There is no world of that name.
        PluginError: It does not load or is not a World.
    """
    loaded = load_entry_point("worlds", name)
    if not (isinstance(loaded, type) and issubclass(loaded, World)):
        raise PluginError(
            f"simloop.worlds entry {name!r} is {loaded!r}; it must be a subclass of simloop.world.World."
        )
    return loaded


def load_metrics(names: Sequence[str] = ()) -> tuple[Metric, ...]:
    """Returns the built-in metrics and those of every plug-in, in name order.

    Args:
        names: Only these; all if empty. Plug-ins that are not named are not imported.

    Raises:
        UnknownNameError: There is no metric of a name.
        PluginError: A plug-in does not load or is not a Metric.
    """
    metrics = [m for m in core_metrics() if not names or m.name in names]
    known = {m.name for m in core_metrics()} | set(entry_points("metrics"))
    for name in names:
        if name not in known:
            raise UnknownNameError("metric", name, known)
    for name in entry_points("metrics"):
        if names and name not in names:
            continue
        loaded = load_entry_point("metrics", name)
        if not (isinstance(loaded, type) and issubclass(loaded, Metric)):
            raise PluginError(
                f"simloop.metrics entry {name!r} is {loaded!r}; it must be a subclass of Metric."
            )
        metric = loaded()
        if metric.name != name:
            raise PluginError(
                f"simloop.metrics entry {name!r} loads a metric named {metric.name!r}; use one name."
            )
        metrics.append(metric)
    return tuple(sorted(metrics, key=lambda m: m.name))


def load_traces() -> Mapping[str, TraceFunction]:
    """Returns the functions of every plug-in that reads traces from a log, by name.

    Raises:
        PluginError: A plug-in does not load or is no function.
    """
    functions: dict[str, TraceFunction] = {}
    for name in entry_points("traces"):
        loaded = load_entry_point("traces", name)
        if not callable(loaded):
            raise PluginError(
                f"simloop.traces entry {name!r} is {loaded!r}; it must be a function of an EpisodeLog."
            )
        functions[name] = cast(TraceFunction, loaded)
    return functions


def agent_class(target: str) -> type[Agent]:
    """Returns the Agent subclass that ``module:Class`` names; the current folder is searched too.

    Raises:
        ConfigurationError: The target is malformed, does not import, or is not an Agent subclass.
    """
    module_name, separator, class_name = target.partition(":")
    if not separator or not module_name or not class_name:
        raise ConfigurationError(
            f"agent.target is {target!r}; it must read module:Class, for example my_agent:MyAgent."
        )
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigurationError(
            f"agent.target {target!r}: module {module_name!r} does not import ({error}). Run in the folder that holds "
            f"{module_name.split('.')[0]}.py, or install it."
        ) from error
    except Exception as error:
        raise ConfigurationError(
            f"agent.target {target!r}: module {module_name!r} raises when it is imported:\n{traceback.format_exc()}"
        ) from error
    loaded = getattr(module, class_name, None)
    if not (isinstance(loaded, type) and issubclass(loaded, Agent)):
        classes = [
            n
            for n, v in vars(module).items()
            if isinstance(v, type) and issubclass(v, Agent) and v is not Agent
        ]
        raise ConfigurationError(
            f"agent.target {target!r}: {class_name!r} is not an Agent subclass of {module_name!r}; it has: "
            f"{', '.join(sorted(classes)) or '(none)'}."
        )
    return loaded
