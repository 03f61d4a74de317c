"""The toys, their policies and their training are those that strategies were first compared on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

FROZEN = "tests/golden/toys/frozen.json"
SOURCES = (
    "agents/simloop_agents/toys/demonstrations.py",
    "agents/simloop_agents/toys/network.py",
    "agents/simloop_agents/toys/policy.py",
    "agents/simloop_agents/toys/sampling.py",
    "agents/simloop_agents/toys/tasks.py",
    "agents/simloop_agents/toys/training.py",
    "scenarios/toys/fork.yaml",
    "scenarios/toys/fork_two.yaml",
    "scenarios/toys/lander.yaml",
    "simloop/testing/fork.py",
    "simloop/testing/fork_batch.py",
    "simloop/testing/lander.py",
    "simloop/testing/lander_batch.py",
    "simloop/testing/point_task.py",
)


def digests(repository: Path) -> dict[str, str]:
    weights = (
        *(repository / "agents/simloop_agents/toys/weights").glob("*.safetensors"),
        *(repository / "tests/golden/toys").glob("*.safetensors"),
    )
    files = (*(repository / name for name in SOURCES), *weights)
    return {
        f.relative_to(repository).as_posix(): hashlib.blake2b(f.read_bytes(), digest_size=16).hexdigest()
        for f in sorted(files)
    }


def test_toys_policies_and_training_are_frozen(repository: Path) -> None:
    frozen = json.loads((repository / FROZEN).read_text())
    # A change here makes every published curve of the toys another experiment: measure all strategies again, then
    # write the new digests and the new curves in one commit.
    assert digests(repository) == frozen
    assert sum(name.endswith(".safetensors") for name in frozen) >= 6
