"""What docs/timing-model.md says is what the code does: its examples run, its keys are the code's, and so are names."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser

from simloop.clock import Phase
from simloop.compose import component, make_timing
from simloop.strategies.naive_async import NaiveAsync
from simloop.testing import DelayedIntegrator, ScriptedAgent, play, toy_case
from simloop.timing.distribution_config import BOUND_KEYS, distribution_keys
from simloop.timing.jitter import JitterShape
from simloop.timing.link_config import MAHIMAHI_KEYS, PACKET_KEYS
from simloop.timing.netem import LOSS_WORDS, WORDS
from simloop.timing.rules import Assembly, ControlClock, FirstChunk, Mode, QueueRule, Stamp
from simloop.timing.timing_config import (
    BATCHING_KEYS,
    CAPTURE_KEYS,
    CONTROL_KEYS,
    TRANSPORT_KEYS,
    timing_from_config,
)
from simloop.world import SensorKind

_INFERENCE = {"distribution": "constant", "value_ms": 80}


def _page(repository: Path) -> str:
    return (repository / "docs" / "timing-model.md").read_text(encoding="utf-8")


def test_the_examples_print_what_the_page_says(repository: Path) -> None:
    page = _page(repository)
    examples = re.findall(r"```python\n(.*?)```.*?```text\n(.*?)```", page, re.DOTALL)
    assert len(examples) == page.count("```python\n") >= 3
    for code, printed in examples:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, "docs/timing-model.md", "exec"), {})
        assert output.getvalue() == printed


def test_the_published_order_is_the_codes(repository: Path) -> None:
    match = re.search(r"`(PHYSICS_DONE[^`]*)`", _page(repository))
    assert match is not None
    assert re.split(r"\s*<\s*", match.group(1)) == [phase.name for phase in sorted(Phase)]


def test_every_preset_and_strategy_is_on_the_page(repository: Path) -> None:
    page = _page(repository)
    for group in ("timing", "strategy"):
        for file in (repository / "conf" / group).glob("*.yaml"):
            assert f"| `{file.stem}` |" in page, file
    presets = re.findall(r"\| `(\w+)` \|", page[page.index("## Presets") :])
    assert sorted(presets) == sorted(f.stem for f in (repository / "conf" / "timing").glob("*.yaml"))


def _examples(repository: Path) -> list[dict[str, str]]:
    """Returns the settings that the page writes as ``timing.KEY=VALUE``, each by key."""
    found = re.findall(r"`(timing\.[a-z_]+=[^`]*)`", _page(repository))
    made = []
    for words in found:
        pairs = [word.partition("=") for word in re.split(r" (?=timing\.)", words)]
        made.append({key.removeprefix("timing."): value for key, _, value in pairs})
    return [example for example in made if not {"L", "VALUE"} & set(example.values())]


def _configs(repository: Path) -> list[dict[str, Any]]:
    """Returns the same settings as plain values."""
    parser = OverridesParser.create()
    return [
        {key: parser.parse_override(f"{key}={value}").value() for key, value in example.items()}
        for example in _examples(repository)
    ]


def _keys(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        return set(value).union(*(_keys(v) for v in value.values()))
    return set().union(*(_keys(v) for v in value)) if isinstance(value, list) else set()


def _values(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        return set().union(*(_values(v) for v in value.values()))
    if isinstance(value, list):
        return set().union(*(_values(v) for v in value))
    return {value} if isinstance(value, str) else set()


def test_every_documented_setting_is_accepted_and_every_key_and_value_is_documented(repository: Path) -> None:
    page = _page(repository)
    examples, configs = _examples(repository), _configs(repository)
    defaults = {k: p.default for k, p in inspect.signature(timing_from_config).parameters.items()}
    for config in configs:
        made = timing_from_config(name="documented", **config)
        assert dict(made.config) == {"name": "documented"} | {
            k: v for k, v in config.items() if v != defaults[k]
        }
    on_the_command_line = make_timing(component("timing", "constant", examples[-1] | examples[0]))
    assert on_the_command_line.config.items() >= (configs[-1] | configs[0]).items()

    documented = set().union(*(set(example) for example in examples))
    assert documented == set(inspect.signature(timing_from_config).parameters) - {"name", "source"}
    for key in documented:
        assert f"`{key}`" in page, key

    shown = set().union(*(_keys(config) for config in configs))
    inner = (
        CAPTURE_KEYS
        | TRANSPORT_KEYS
        | CONTROL_KEYS
        | BATCHING_KEYS
        | BOUND_KEYS
        | PACKET_KEYS
        | MAHIMAHI_KEYS
    )
    of_distributions = set().union(*distribution_keys().values()) - {"file", "stage"}
    assert inner | of_distributions <= shown
    assert {"`file`", "`stage`"} <= set(re.findall(r"`\w+`", page))

    values = set().union(*(_values(config) for config in configs))
    assert set(distribution_keys()) <= values
    for kind in (Assembly, FirstChunk, QueueRule, ControlClock, Mode, SensorKind, Stamp, JitterShape):
        for member in kind:
            assert re.search(rf"[`=: ]{member.value}\b", page), member
    for word in (*WORDS, *LOSS_WORDS):
        if word not in ("latency", "drop"):
            assert re.search(rf"[` \[]{word}\b", page), word


def test_an_episode_is_played_under_every_documented_setting(repository: Path) -> None:
    world = DelayedIntegrator()
    agent = ScriptedAgent(world.spec, lambda request: np.zeros((12, 1)), horizon=12)
    played = 0
    for config in _configs(repository):
        if config.get("mode") or config.get("inference", {}).get("distribution") == "scene_dependent":
            continue  # Measured and replayed ones need a runner and a trace; this world has no objects.
        timing = timing_from_config(name="documented", **{"inference": _INFERENCE, **config})
        log = play(world, agent, case=toy_case(time_limit_s=2.0), timing=timing, strategy=NaiveAsync())
        assert log.num_rows("ticks") == 40, config
        assert "installed" in log.column("inferences", "state").tolist(), config
        played += 1
    assert played > 45
