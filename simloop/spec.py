"""What to run: scenario families, concrete scenarios, cases, components and episode specs, with their identities.

``case_id`` says what the world is put through (family, parameter values, scene, world config, seed); every random
draw is keyed by it, so runs that differ only in agent, timing or strategy share their noise and can be paired.
``episode_id`` adds who acts in it and how (agent digest, timing, strategy, versions); it is for storage and resume.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simloop.config_files import file_digests
from simloop.errors import ConfigurationError, ParameterError
from simloop.randomness import generator, stream_key

ParameterValue = float | int | str | bool


def canonical_json(value: Any) -> str:
    """Returns one text for equal values: sorted keys, no spaces, no NaN.

    Raises:
        ConfigurationError: The value holds something that JSON cannot say, or a NaN.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"Not a plain value: {error}. Allowed: text, numbers, lists, mappings."
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} {value!r}")


def digest(value: Any) -> str:
    """Returns 32 hex digits of blake2b over the canonical form of ``value``."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRange:
    """The values that a scenario parameter may take.

    Attributes:
        low: Lower bound, for numbers.
        high: Upper bound, for numbers.
        choices: The allowed values, instead of bounds.
        distribution: ``uniform`` or ``log_uniform`` between the bounds; choices are equally likely.
    """

    low: float | None = None
    high: float | None = None
    choices: tuple[ParameterValue, ...] = ()
    distribution: str = "uniform"

    def sample(self, unit_draw: float) -> ParameterValue:
        """Maps a draw from [0, 1) to a value."""
        if self.choices:
            return self.choices[min(int(unit_draw * len(self.choices)), len(self.choices) - 1)]
        assert self.low is not None and self.high is not None
        if self.distribution == "log_uniform":
            return float(
                math.exp(math.log(self.low) + unit_draw * (math.log(self.high) - math.log(self.low)))
            )
        return float(self.low + unit_draw * (self.high - self.low))

    def check(self, name: str, value: ParameterValue, where: str) -> None:
        """Raises ParameterError if ``value`` is not one of the allowed values."""
        if self.choices:
            if value not in self.choices:
                raise ParameterError(
                    f"{where}: parameter {name!r} is {value!r}; allowed: {', '.join(map(repr, self.choices))}."
                )
            return
        assert self.low is not None and self.high is not None
        if isinstance(value, (str, bool)) or not self.low <= value <= self.high:
            raise ParameterError(
                f"{where}: parameter {name!r} is {value!r}; allowed: a number from {self.low:g} to {self.high:g}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A concrete scenario: a family with a value for every parameter.

    Attributes:
        family: Name of the family, for example ``"cut_in"``.
        world: Plug-in name of the world that plays it.
        parameters: Value by parameter name; the name ends in the unit.
        scene: The world's own description (map, actors, triggers, criteria), checked by the world.
        instruction: The task in words, given to the agent.
        time_limit_ns: Virtual time after which the episode fails with ``time_limit``.
        tags: Labels by scheme, for example ``{"iso34502": "cut_in"}``.
        where: File of its family, for messages; not part of its identity.
    """

    family: str
    world: str
    parameters: Mapping[str, ParameterValue]
    scene: Mapping[str, Any] = field(default_factory=dict)
    instruction: str = ""
    time_limit_ns: int = 20_000_000_000
    tags: Mapping[str, str] = field(default_factory=dict)
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioFamily:
    """A scenario with ranges in place of values; what one YAML file in ``scenarios/`` describes.

    Attributes:
        name: Name of the family (the file's stem).
        description: One sentence for lists.
        world: Plug-in name of the world that plays it.
        world_config: Choices for that world (action space, controller); part of the case's identity.
        parameters: Range by parameter name.
        scene, instruction, time_limit_ns, tags: As in ``Scenario``.
        twin: What takes the event out of a case, for its counterfactual twin: new value by dotted path, such as
            ``scene.manoeuvres.0.trigger`` or ``parameters.gap_m``.
        provenance: Where the parameters come from.
        where: File that it was read from, for messages.
    """

    name: str
    world: str
    parameters: Mapping[str, ParameterRange]
    description: str = ""
    world_config: Mapping[str, Any] = field(default_factory=dict)
    scene: Mapping[str, Any] = field(default_factory=dict)
    instruction: str = ""
    time_limit_ns: int = 20_000_000_000
    tags: Mapping[str, str] = field(default_factory=dict)
    twin: Mapping[str, Any] = field(default_factory=dict)
    provenance: str = ""
    where: str = ""

    def scenario(self, seed: int, fixed: Mapping[str, ParameterValue] | None = None) -> Scenario:
        """Draws a concrete scenario; ``fixed`` values replace drawn ones.

        Each parameter has a stream of its own, so fixing one does not move the others. Where a range is of numbers,
        a whole number is the same case as the float of its value.

        Raises:
            ParameterError: A fixed value is unknown or out of range.
        """
        fixed = fixed or {}
        where = self.where or self.name
        for name, value in fixed.items():
            if name not in self.parameters:
                raise ParameterError(
                    f"{where}: unknown parameter {name!r}; {self.name} has: {', '.join(sorted(self.parameters))}."
                )
            self.parameters[name].check(name, value, where)
        values = {
            name: (fixed[name] if allowed.choices else float(fixed[name]))
            if name in fixed
            else allowed.sample(float(generator(stream_key("scenario", self.name, seed, name)).random()))
            for name, allowed in self.parameters.items()
        }
        return Scenario(
            family=self.name,
            world=self.world,
            parameters=values,
            scene=self.scene,
            instruction=self.instruction,
            time_limit_ns=self.time_limit_ns,
            tags=self.tags,
            where=self.where,
        )

    def case(self, seed: int, fixed: Mapping[str, ParameterValue] | None = None) -> Case:
        """Draws the case of ``seed``."""
        return Case(scenario=self.scenario(seed, fixed), seed=seed, world_config=self.world_config)

    def twin_case(self, case: Case) -> Case:
        """Returns the counterfactual twin of a case: the same draws, without the event that ``twin`` takes out.

        Raises:
            ConfigurationError: The family has no twin, or a path of it leads nowhere.
        """
        where = f"{self.where or self.name}: twin"
        if not self.twin:
            raise ConfigurationError(
                f"{where} is missing. Say there what takes the event out, for example "
                "{scene.manoeuvres.0.trigger: {never: true}}, or leave twins out."
            )
        content: dict[str, Any] = {"scene": case.scenario.scene, "parameters": case.scenario.parameters}
        for path, value in self.twin.items():
            content = _replaced(content, path.split("."), value, f"{where}.{path}")
        scenario = dataclasses.replace(
            case.scenario, scene=content["scene"], parameters=content["parameters"]
        )
        return dataclasses.replace(case, scenario=scenario, twin_of=case.case_id)


def _replaced(content: Any, path: Sequence[str], value: Any, where: str) -> Any:
    """Returns ``content`` with the value at ``path`` replaced; nothing is changed in place."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(content, Mapping) and key in content:
        return {**content, key: _replaced(content[key], rest, value, where)}
    if isinstance(content, (list, tuple)) and key.isdecimal() and int(key) < len(content):
        number = int(key)
        return [_replaced(c, rest, value, where) if n == number else c for n, c in enumerate(content)]
    known = list(content) if isinstance(content, Mapping) else f"a {type(content).__name__}"
    raise ConfigurationError(f"{where} leads nowhere: there is no {key!r} in {known}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A concrete scenario, a seed and a world config: all that the world is put through.

    Attributes:
        scenario: The concrete scenario.
        seed: Seed of the world.
        world_config: Choices for the world.
        twin_of: For a counterfactual twin (the same case with an event taken out) the ``case_id`` of the case whose
            random draws it shares; empty for a case of its own.
    """

    scenario: Scenario
    seed: int
    world_config: Mapping[str, Any] = field(default_factory=dict)
    twin_of: str = ""
    _case_id: str = field(default="", init=False, repr=False, compare=False)

    @property
    def case_id(self) -> str:
        """Identity of the case: no agent, timing, strategy, metric or version enters it; files do by content."""
        if not self._case_id:
            scenario = self.scenario
            content = {
                "family": scenario.family,
                "world": scenario.world,
                "parameters": scenario.parameters,
                "scene": scenario.scene,
                "instruction": scenario.instruction,
                "time_limit_ns": scenario.time_limit_ns,
                "world_config": self.world_config,
                "seed": self.seed,
            }
            if self.twin_of:
                content["twin_of"] = self.twin_of
            files = file_digests({"scene": scenario.scene, "parameters": scenario.parameters})
            if files:
                content["files"] = files
            object.__setattr__(self, "_case_id", digest(content))
        return self._case_id

    @property
    def draw_id(self) -> str:
        """What random draws are keyed by: the case, or for a twin the case that it is a twin of."""
        return self.twin_of or self.case_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A named choice with its composed configuration (plain values), before it is instantiated.

    Attributes:
        group: ``agent``, ``timing``, ``strategy``, ``world`` or ``runner``.
        name: Name of the choice, as users write it and tables show it.
        config: The composed configuration, with ``_target_`` when it comes from ``conf/``.
    """

    group: str
    name: str
    config: Mapping[str, Any]
    _config_digest: str = field(default="", init=False, repr=False, compare=False)

    @property
    def config_digest(self) -> str:
        """Digest of the configuration and, of timings, of the files that it names; the name does not enter it."""
        if not self._config_digest:
            files = file_digests(self.config) if self.group == "timing" else {}
            object.__setattr__(self, "_config_digest", digest([self.config, files] if files else self.config))
        return self._config_digest

    @property
    def key(self) -> str:
        """Equal for components of equal name and configuration, by which one object serves them all."""
        return f"{self.group}/{self.name}/{self.config_digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeSpec:
    """One episode to run: a case, and who acts in it under which timing and strategy.

    Attributes:
        case: What the world is put through.
        agent, timing, strategy: The chosen components.
        agent_digest: ``AgentSpec.digest`` of the agent.
        versions: Simulator and metric versions that the verdict depends on.
        repeat: Number of the play, from 1 on, where the same episode is played several times; 0 where it is played
            once. It tells plays apart and enters nothing that draws: the first play is the episode that is played once.
    """

    case: Case
    agent: Component
    timing: Component
    strategy: Component
    agent_digest: str
    versions: Mapping[str, str] = field(default_factory=dict)
    repeat: int = 0
    _episode_id: str = field(default="", init=False, repr=False, compare=False)

    @property
    def episode_id(self) -> str:
        """Identity for storage and resume."""
        if not self._episode_id:
            parts: tuple[str, ...] = (
                self.case.case_id,
                self.agent.name,
                self.agent_digest,
                self.timing.config_digest,
                self.strategy.config_digest,
                _versions_digest(tuple(sorted(self.versions.items()))),
            )
            if self.repeat > 1:
                parts = (*parts, f"repeat {self.repeat}")
            text = "\x1f".join(parts).encode()
            object.__setattr__(self, "_episode_id", hashlib.blake2b(text, digest_size=16).hexdigest())
        return self._episode_id


@functools.lru_cache(maxsize=256)
def _versions_digest(versions: tuple[tuple[str, str], ...]) -> str:
    return digest(versions)
