"""Runs on Ray's workers: a server for each, or a named one that is left as it was found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from simloop.errors import ConfigurationError
from simloop.runner.planning import RunPlan, plan_run
from simloop.runner.run import execute
from simloop.store.run_store import RunStore
from tests.carla.processes import needs_proc, runs

SUITE = """
suite: two_cut_ins
axes:
  scenario: cut_in
  agent: noting_agent:NotingAgent
  timing: zero
  strategy: blocking
  seeds: {first: 0, count: 2}
"""
NOTING_AGENT = """
import os
from pathlib import Path
from simloop_agents.experts.expert import ExpertAgent
from tests.carla.processes import own_servers

class NotingAgent(ExpertAgent):
    "The expert, who notes the servers that its process has started."
    def infer(self, requests):
        for server in own_servers(os.getpid()):
            (Path(FOLDER) / f"server-{server}").write_text(str(os.getpid()))
        return super().infer(requests)
"""
pytestmark = needs_proc


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with suite and agent, which is the present one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "noting_agent", raising=False)
    (tmp_path / "noting_agent.py").write_text(NOTING_AGENT.replace("FOLDER", repr(str(tmp_path))))
    (tmp_path / "two.yaml").write_text(SUITE)
    return tmp_path


def _run(*words: str) -> tuple[RunPlan, list[dict[str, Any]]]:
    """Runs the suite and returns the rows in the order of the plan."""
    plan = plan_run(["suite=two.yaml", "world=carla", "runner.max_tries=1", *words])
    execute(plan, lambda row: None)
    rows = {row["episode_id"]: row for row in RunStore.open_read_only(plan.folder).read_rows().to_pylist()}
    ordered = [rows[task.spec.episode_id] for task in plan.tasks]
    assert [row["status"] for row in ordered] == ["success", "success"]
    return plan, ordered


@pytest.mark.usefixtures("ray_cluster")
def test_each_worker_has_a_server_of_its_own(folder: Path) -> None:
    _, there = _run("runner=ray", "runner.workers=2", "run_id=there")
    servers = {int(one.name.partition("-")[2]): int(one.read_text()) for one in folder.glob("server-*")}
    assert len(servers) == len(set(servers.values())) == 2
    assert len({row["worker"] for row in there}) == 2
    assert not any(map(runs, servers))
    _, here = _run("runner=in_process", "run_id=here")
    assert [row["episode_hash"] for row in there] == [row["episode_hash"] for row in here]


@pytest.mark.usefixtures("ray_cluster", "folder")
def test_a_named_server_has_one_worker_and_is_left_as_it_was_found(
    mortal_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    port = f"world.port={mortal_server.port}"
    with pytest.raises(
        ConfigurationError, match=r"runner\.workers is 2; the world plays on the server at 127"
    ):
        plan_run(["suite=two.yaml", "world=carla", port, "runner.workers=2"])
    world = mortal_server.client().get_world()
    found = world.get_settings()
    plan, rows = _run(port, "run_id=named")
    assert plan.runner.executor == "ray"
    assert plan.runner.workers == 1
    assert "One worker: the server at 127.0.0.1:" in caplog.text
    assert {row["worker"] for row in rows} == {"ray-0"}
    world = mortal_server.client().get_world()
    assert world.get_settings() == found
    assert not found.synchronous_mode
    world.wait_for_tick()  # a new client knows of nobody before
    left = [one.type_id for one in world.get_actors()]
    assert not [name for name in left if not name.startswith(("traffic.", "spectator"))]
