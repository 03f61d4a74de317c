"""The words of a command line, sorted, and every choice that they name, composed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from simloop.agent import AgentSpec
from simloop.compose import component, make_agent, make_world, split_overrides, world_component
from simloop.errors import ConfigurationError, UnknownNameError
from simloop.plugins import agent_class, world_class
from simloop.runner.shared_servers import PlaysOnServer
from simloop.scenario_files import load_family
from simloop.source_digest import EPISODE_SOURCES, module_digest, source_digest
from simloop.spec import Component, EpisodeSpec, ScenarioFamily, canonical_json, digest
from simloop.world import Determinism, WorldSpec

AXES = ("scenario", "agent", "timing", "strategy")
PLAIN_KEYS = (
    "suite", "run_id", "results", "runner", "world", "seeds.first", "seeds.count", "cells", "cells.seed",
    "reference_agents", "repeats", *AXES,
)  # fmt: skip
_PARAMETERS = "scenario.parameters."
_GROUPS = ("runner", "agent", "timing", "strategy", "world")


@dataclass(slots=True)
class Words:
    """The command line's words, sorted by what they mean."""

    plain: dict[str, str] = field(default_factory=dict)
    groups: dict[str, dict[str, str]] = field(default_factory=lambda: {g: {} for g in _GROUPS})
    world: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)


def sort_words(words: Sequence[str], keys: Sequence[str] = PLAIN_KEYS) -> Words:
    """Sorts ``key=value`` words.

    Args:
        words: As typed.
        keys: The keys that stand for themselves.

    Raises:
        UnknownNameError: A key is neither one of ``keys`` nor belongs to a group.
    """
    sorted_words = Words()
    for key, value in split_overrides(words).items():
        group, _, rest = key.partition(".")
        if key in keys:
            sorted_words.plain[key] = value
        elif key == "agent.target":
            sorted_words.plain["agent"] = value
        elif group == "world" and rest:
            sorted_words.world[rest] = yaml.safe_load(value)
        elif keys is PLAIN_KEYS and key.startswith(_PARAMETERS) and key != _PARAMETERS:
            sorted_words.parameters[key.removeprefix(_PARAMETERS)] = _parameter_values(key, value)
        elif group in _GROUPS and rest:
            sorted_words.groups[group][rest] = value
        else:
            allowed = [*keys, "agent.target", *(f"{g}.KEY" for g in _GROUPS)]
            if keys is PLAIN_KEYS:
                allowed.append(f"{_PARAMETERS}NAME")
            raise UnknownNameError("key", key, allowed, where="the command line")
    return sorted_words


def _parameter_values(key: str, text: str) -> Any:
    """Reads ``20``, ``10,20,30``, ``[10, 20]`` or ``{first: 10, last: 60, step: 10}``."""
    is_list = "," in text and not text.strip().startswith(("[", "{"))
    try:
        return yaml.safe_load(f"[{text}]" if is_list else text)
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"{key} is {text!r}, which cannot be read; allowed: a value, values with commas between them, or "
            "{first: 10, last: 60, step: 10}."
        ) from error


class Composer:
    """Composes each choice once and remembers what was learnt about it."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._components: dict[tuple[str, str], Component] = {}
        self._agents: dict[str, AgentSpec] = {}
        self._worlds: dict[str, tuple[Component, WorldSpec]] = {}
        self._shared_servers: set[str] = set()
        self._families: dict[str, ScenarioFamily] = {}

    def component(self, group: str, name: str) -> Component:
        """Composes a choice, with the overrides of the command line."""
        if (group, name) not in self._components:
            self._components[group, name] = component(group, name, self._words.groups[group])
        return self._components[group, name]

    def changed(self, group: str, name: str, overrides: Mapping[str, str]) -> Component:
        """Composes a choice with further overrides, beside those of the command line."""
        return component(group, name, {**self._words.groups[group], **overrides})

    def family(self, name: str) -> ScenarioFamily:
        """Reads a family; its world config takes the overrides of the command line."""
        if name not in self._families:
            family = load_family(name)
            config = {**family.world_config, **self._words.world}
            values = {f: getattr(family, f) for f in ScenarioFamily.__dataclass_fields__}
            world = self._words.plain.get("world", family.world)
            if not plays(world, family.world):
                raise ConfigurationError(
                    f"world={world} does not play {name!r}, which is for the world {family.world!r}."
                )
            self._families[name] = ScenarioFamily(**{**values, "world": world, "world_config": config})
        return self._families[name]

    def agent(self, name: str) -> AgentSpec:
        """Returns what an agent is."""
        if name not in self._agents:
            agent = make_agent(self.component("agent", name))
            self._agents[name] = agent.spec
            agent.close()
        return self._agents[name]

    def agent_digest(self, name: str) -> str:
        """What results of an agent are kept by; for ``module:Class`` the file that holds the class counts too."""
        stated = self.agent(name).digest
        target = self.component("agent", name).config.get("target")
        if target is None:
            return stated
        return digest([stated, module_digest(target.partition(":")[0], agent_class(target).__module__)])

    def world(self, family: ScenarioFamily) -> tuple[Component, WorldSpec]:
        """Returns the composed world of a family and what it is."""
        key = canonical_json([family.world, family.world_config])
        if key not in self._worlds:
            chosen = world_component(family.world, family.world_config)
            world = make_world(chosen)
            self._worlds[key] = (chosen, world.spec)
            if isinstance(world, PlaysOnServer) and world.shared_server is not None:
                self._shared_servers.add(world.shared_server)
            world.close()
        return self._worlds[key]

    @property
    def components(self) -> tuple[Component, ...]:
        """Every choice beside worlds that was composed."""
        return tuple(self._components.values())

    @property
    def world_versions(self) -> dict[str, str]:
        """Versions of every world that was composed."""
        return {k: v for _, spec in self._worlds.values() for k, v in spec.versions.items()}

    @property
    def shared_servers(self) -> tuple[str, ...]:
        """Servers on which worlds that were composed play one episode at a time."""
        return tuple(sorted(self._shared_servers))

    @property
    def statistical_worlds(self) -> tuple[str, ...]:
        """Names of the composed worlds that do not promise to repeat an episode to the bit."""
        names = {c.name for c, spec in self._worlds.values() if spec.determinism is not Determinism.BIT_EXACT}
        return tuple(sorted(names))

    def composed(self) -> dict[str, list[dict[str, Any]]]:
        """Every distinct choice with its composed configuration, by group."""
        worlds = (chosen for chosen, _ in self._worlds.values())
        groups: dict[str, list[dict[str, Any]]] = {}
        for chosen in {c.key: c for c in (*self._components.values(), *worlds)}.values():
            groups.setdefault(chosen.group, []).append({"name": chosen.name, "config": chosen.config})
        return groups

    def add(self, chosen: Component) -> None:
        """Takes a choice that was composed elsewhere into ``composed``."""
        self._components[chosen.group, f"{chosen.name}/{chosen.config_digest}"] = chosen

    def versions(self, family: ScenarioFamily, versions_of_metrics: str) -> dict[str, str]:
        """Returns the versions that the verdicts of a family depend on."""
        return {**core_versions(), **self.world(family)[1].versions, "metrics": versions_of_metrics}

    def world_of(self, spec: EpisodeSpec) -> Component:
        """Returns the composed world of an episode."""
        key = canonical_json([spec.case.scenario.world, spec.case.world_config])
        return self._worlds[key][0]


def plays(world: str, other: str) -> bool:
    """Returns whether a world plays the scenarios of another: it is that world, or its class derives from that one's.

    Raises:
        UnknownNameError: There is no world of one of the names.
    """
    return world == other or issubclass(world_class(world), world_class(other))


def core_versions() -> dict[str, str]:
    """Returns the digest of the core's source that decides the course of an episode."""
    return {"simloop": source_digest("simloop", EPISODE_SOURCES)}
