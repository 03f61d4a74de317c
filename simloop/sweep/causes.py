"""First cause of a failure: the failed case is run again with one cause taken out at a time.

The interventions, from the most specific to the most general; the first that cures the case is its first cause:

``wrong_plan``
    Every latency is zero, strategy and s stay. If the case still fails, latency is not what it fails by, and no other
    intervention is credited.
``starved``
    Nothing is lost (sensors, links) and accelerators take requests without bound; a strategy that asks every s ticks
    asks so often that a chunk lasts until the next one at the longest delay that was seen, s <= H - d.
``boundary_jump``
    Chunk switches are made consistent: by a committed prefix (``prefix``) if the agent can continue one, else by
    blending (``aggregate``).
``late_perception``
    Sensors capture and deliver in no time; everything after the trigger stays.
``stale``
    Preprocessing, links, queue and inference take no time; sensors stay.
``combined``
    None of these alone cures it, but zero latency does.

An intervention that changes nothing (a timing without sensor delays has no late perception) is not run. When
inference is all that takes time, taking staleness out is the same as zero latency, so ``stale`` is what remains if
nothing more specific cures the case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simloop.agent import Call, Capability
from simloop.compose import make_strategy
from simloop.spec import Component, EpisodeSpec
from simloop.sweep.arms import Arm
from simloop.sweep.campaign import GridOutcomes, SweepPart, outcome
from simloop.timing.timing_config import PIPELINED

CAUSES = ("wrong_plan", "starved", "boundary_jump", "late_perception", "stale", "combined")
_SENSORS = ("capture", "transport")
_CHAIN = (
    "preprocess", "uplink", "inference", "context_inference", "expert_inference", "corrector_inference", "cold_start",
    "downlink", "batching", "added_inference_ms", "mode",
)  # fmt: skip
"""What lies between trigger and arrival; without its mode a measured timing charges no inference either."""
_SERVERS = {
    Call.POLICY: "servers",
    Call.CONTEXT: "context_servers",
    Call.EXPERT: "expert_servers",
    Call.CORRECTOR: "corrector_servers",
}
_CONTROL = ("control", "actuation")
DELAY_COLUMN = "realised_delay_max_ticks"


@dataclass(slots=True, kw_only=True)
class _Failure:
    """A failed episode of the grid and what became of it without each cause."""

    arm: Arm
    case: int
    trials: dict[str, bool | None] = field(default_factory=dict)

    @property
    def first_cause(self) -> str:
        """The first cause, or ``lost`` if an episode that decides it was not judged."""
        if self.trials.get("wrong_plan") is not True:
            return "wrong_plan" if self.trials.get("wrong_plan") is False else "lost"
        for name in CAUSES[1:-1]:
            if self.trials.get(name) is True:
                return name
        return "lost" if None in self.trials.values() else "combined"


class FirstCause(SweepPart):
    """Looks for the first cause of some failures of each curve, at every latency in turn.

    Args:
        num_failures: Failures of each curve at most.
        capabilities: What each agent supports, by name.
        horizons: Chunk length H of each agent, by name.
        strategies: The strategies that boundary jumps are taken out by, composed: ``prefix`` and ``aggregate``.
    """

    columns = ("status", DELAY_COLUMN)

    def __init__(
        self,
        num_failures: int,
        capabilities: Mapping[str, frozenset[Capability]],
        horizons: Mapping[str, int],
        strategies: Mapping[str, Component],
    ) -> None:
        self._num_failures = num_failures
        self._capabilities = capabilities
        self._horizons = horizons
        self._strategies = strategies
        self._failures: list[_Failure] = []
        self._proposed: list[tuple[_Failure, str]] = []
        self._grid: GridOutcomes | None = None
        self._is_proposed = False

    def start(self, grid: GridOutcomes) -> None:
        """Chooses the failures: of each curve one at every latency in turn, in seed order."""
        self._grid = grid
        for numbers in grid.curves().values():
            if grid.arms[numbers[0]].freezes_world:
                continue
            ranked = []
            for number in numbers:
                failed = [c for c in range(len(grid.rows[number])) if grid.succeeded(number, c) is False]
                ranked += [(rank, number, case) for rank, case in enumerate(failed)]
            for _, number, case in sorted(ranked)[: self._num_failures]:
                self._failures.append(_Failure(arm=grid.arms[number], case=case))

    def propose(self) -> Sequence[EpisodeSpec]:
        """Returns every intervention on every chosen failure, once."""
        assert self._grid is not None
        self._proposed = []
        specs: list[EpisodeSpec] = []
        if self._is_proposed:
            return specs
        self._is_proposed = True
        numbers = {id(arm): n for n, arm in enumerate(self._grid.arms)}
        for failure in self._failures:
            row = self._grid.rows[numbers[id(failure.arm)]][failure.case]
            case = self._grid.cases[failure.arm.scenario][failure.case]
            for name, timing, strategy in self._interventions(failure.arm, row.get(DELAY_COLUMN)):
                specs.append(failure.arm.spec(case, timing=timing, strategy=strategy))
                self._proposed.append((failure, name))
        return specs

    def observe(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Notes which interventions cured which failure."""
        for (failure, name), row in zip(self._proposed, rows, strict=True):
            failure.trials[name] = outcome(row)

    def findings(self) -> Mapping[str, Any]:
        """Returns the first cause of each chosen failure, and all that cured it."""
        assert self._grid is not None
        found = []
        for failure in self._failures:
            case = self._grid.cases[failure.arm.scenario][failure.case]
            found.append(
                {
                    **failure.arm.plain(),
                    "seed": case.seed,
                    "case_id": case.case_id,
                    "first_cause": failure.first_cause,
                    "cured_by": [n for n in CAUSES if failure.trials.get(n) is True and n != "wrong_plan"],
                    "tried": [n for n in CAUSES if n in failure.trials],
                }
            )
        return {"causes": found}

    def _interventions(self, arm: Arm, delay_ticks: float | None) -> list[tuple[str, Component, Component]]:
        """Returns name, timing and strategy of every intervention that changes something."""
        timing, strategy = arm.timing_component, arm.strategy_component
        pipelined = lossless(timing.config, make_strategy(strategy).calls)
        changed: list[tuple[str, Mapping[str, Any], Component]] = [
            ("wrong_plan", without(timing.config, (*_SENSORS, *_CHAIN, *_CONTROL)), strategy),
            ("starved", pipelined, self._asking_often(arm, delay_ticks)),
            ("boundary_jump", timing.config, self._consistent(arm)),
            ("late_perception", without(timing.config, _SENSORS), strategy),
            ("stale", without(timing.config, _CHAIN), strategy),
        ]
        out = []
        for name, config, chosen in changed:
            label = f"{timing.name} without {name.replace('_', ' ')}"
            component = Component(group="timing", name=label, config=config)
            is_same = component.config_digest == timing.config_digest
            if name == "wrong_plan" or not is_same or chosen.config_digest != strategy.config_digest:
                out.append((name, component, chosen))
        return out

    def _asking_often(self, arm: Arm, delay_ticks: float | None) -> Component:
        chosen = arm.strategy_component
        longest = max(arm.latency_ticks, int(delay_ticks or 0))
        enough = max(1, min(arm.execution_horizon, self._horizons[arm.agent] - longest))
        return Component(
            group="strategy", name=chosen.name, config={**chosen.config, "execution_horizon": enough}
        )

    def _consistent(self, arm: Arm) -> Component:
        name = "prefix" if Capability.PREFIX in self._capabilities[arm.agent] else "aggregate"
        made = make_strategy(arm.strategy_component)
        if not made.is_asynchronous or arm.choice[1] in (name, "prefix"):
            return arm.strategy_component
        chosen = self._strategies[name]
        return Component(
            group="strategy",
            name=arm.strategy_component.name,
            config={**chosen.config, "execution_horizon": arm.execution_horizon},
        )


def without(config: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Returns a timing's configuration without some of its stages, which then take no time.

    ``added_inference_ms`` leaves with the inference, also where it is the only latency.
    """
    return {key: value for key, value in config.items() if key not in keys}


def lossless(config: Mapping[str, Any], calls: Sequence[Call]) -> dict[str, Any]:
    """Returns a timing's configuration in which nothing is lost and no request of ``calls`` waits for a server.

    Requests that do not wait are answered one by one, so a batch of one is what each of them costs.
    """
    changed = dict(config)
    for key in (_SERVERS[call] for call in calls):
        if config.get(key) != PIPELINED:
            changed[key] = 0
    batching = changed.pop("batching", None)
    if batching is not None:
        alone_ms = batching["base_ms"] + batching["per_item_ms"]
        changed["inference"] = {"distribution": "constant", "value_ms": alone_ms}
    if any(config.get(key) for key in (*_SENSORS, "uplink", "downlink")):
        changed["losses"] = False
    return changed
