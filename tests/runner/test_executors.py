"""The same specs give the same hashes however they are run, and a fault costs one episode."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

BROKEN_AGENTS = """
import numpy as np
from simloop.testing.brake_agent import BrakeAgent
from simloop.agent import InferenceReply

class NanAgent(BrakeAgent):
    def infer(self, requests):
        return [InferenceReply(actions=np.full((8, 1), np.nan)) for _ in requests]

class ShortAgent(BrakeAgent):
    def infer(self, requests):
        return [InferenceReply(actions=np.zeros((7, 1))) for _ in requests]

class RaisingAgent(BrakeAgent):
    def infer(self, requests):
        if any(r.observation_tick >= 16 for r in requests):
            raise RuntimeError("out of ideas")
        return super().infer(requests)

class BareAgent(BrakeAgent):
    def infer(self, requests):
        return [np.full((8, 1), 6.0) for _ in requests]

class ListAgent(BrakeAgent):
    def infer(self, requests):
        return [InferenceReply(actions=[[float("nan")]] * 8) for _ in requests]

class TextAgent(BrakeAgent):
    def infer(self, requests):
        return [InferenceReply(actions=[["brake"]] * 8) for _ in requests]

class ForgetfulAgent(BrakeAgent):
    def infer(self, requests):
        return []
"""


def hashes(walls: Any, *words: str) -> list[str]:
    _, rows = walls.run(*words)
    assert {r["status"] for r in rows} == {"success"}
    return [r["episode_hash"] for r in rows]


@pytest.mark.usefixtures("ray_cluster")
def test_in_process_interleaved_and_ray_give_the_same_hashes(walls: Any) -> None:
    alone = hashes(walls, "runner=in_process", "runner.interleave=1", "run_id=alone")
    assert hashes(walls, "runner=in_process", "run_id=interleaved") == alone
    assert hashes(walls, "runner=ray", "runner.workers=1", "run_id=one") == alone
    assert hashes(walls, "runner=ray", "runner.workers=2", "run_id=two") == alone
    assert len(set(alone)) > 1


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        ("NanAgent", "replied with nan in row 0, entry 'action'; actions must be finite"),
        ("ShortAgent", "shape (7, 1); a chunk for 'braking_wall_action' has shape (8, 1)"),
        ("RaisingAgent", "RuntimeError: out of ideas"),
        ("BareAgent", "replied with a ndarray; infer returns one simloop.agent.InferenceReply a request"),
        ("ListAgent", "replied with nan in row 0, entry 'action'; actions must be finite"),
        ("TextAgent", "replied with actions that are not numbers"),
        ("ForgetfulAgent", "gave 0 replies to 1 requests"),
    ],
)
def test_a_broken_agent_is_an_agent_error_and_the_run_goes_on(walls: Any, agent: str, reason: str) -> None:
    (walls.folder / "broken_agents.py").write_text(BROKEN_AGENTS)
    _, rows = walls.run(f"agent=simloop.testing.brake_agent:BrakeAgent,broken_agents:{agent}", "runner=in_process",
                        "timing=zero", "seeds.count=1", f"run_id={agent}")  # fmt: skip
    by_agent = {name: [r for r in rows if r["agent"] == name] for name in {r["agent"] for r in rows}}
    broken = by_agent.pop(f"broken_agents:{agent}")
    assert {r["status"] for r in broken} == {"agent_error"}
    assert all(reason in r["reason"] for r in broken)
    assert all("Traceback" in r["error_trace"] or "Error" in r["error_trace"] for r in broken)
    assert all(r["has_log"] for r in broken)
    (healthy,) = by_agent.values()
    assert {r["status"] for r in healthy} == {"success"}


@pytest.mark.parametrize("executor", ["in_process", "ray"])
def test_a_world_that_raises_is_tried_again_and_then_an_infra_error(
    walls: Any, executor: str, request: pytest.FixtureRequest
) -> None:
    if executor == "ray":
        request.getfixturevalue("ray_cluster")
    walls.break_by("none, raise")
    _, rows = walls.run(f"runner={executor}", "timing=zero", "strategy=paused", "seeds.count=12", "run_id=r")
    for row in rows:
        if '"raise"' in row["parameters"]:
            assert (row["status"], row["num_tries"]) == ("infra_error", 2)
            assert "WorldError: the wall broke" in row["reason"]
        else:
            assert (row["status"], row["num_tries"]) == ("success", 1)
    assert set(Counter(r["status"] for r in rows)) == {"success", "infra_error"}


@pytest.mark.usefixtures("ray_cluster")
def test_a_hanging_and_a_dying_world_cost_their_own_episodes_only(walls: Any) -> None:
    walls.break_by("none, none, hang, exit")
    _, rows = walls.run("runner=ray", "runner.workers=2", "runner.call_limit_s=10", "timing=zero", "strategy=paused",
                        "seeds.count=9", "run_id=h")  # fmt: skip
    expected = {"none": "success", "hang": "timeout", "exit": "infra_error"}
    for row in rows:
        fault = row["parameters"].split('"fault": "')[1].split('"')[0]
        assert row["status"] == expected[fault], row["reason"]
        if fault == "hang":
            assert "the call 'advance' took longer than runner.call_limit_s = 10 s" in row["reason"]
        if fault == "exit":
            assert "the worker was lost" in row["reason"]
            assert row["num_tries"] == 2
    assert {r["status"] for r in rows} == {"success", "timeout", "infra_error"}


def test_a_hanging_world_in_process_is_a_timeout(walls: Any) -> None:
    walls.break_by("hang")
    _, rows = walls.run("runner=in_process", "runner.call_limit_s=0.5", "timing=zero", "strategy=paused",
                        "seeds.count=2", "run_id=h")  # fmt: skip
    assert {r["status"] for r in rows} == {"timeout"}


@pytest.mark.usefixtures("ray_cluster")
def test_workers_are_replaced_after_their_share(walls: Any) -> None:
    _, rows = walls.run("runner=ray", "runner.workers=1", "runner.recycle_after=8", "run_id=recycled")
    assert len({r["worker"] for r in rows}) > 1
    assert {r["status"] for r in rows} == {"success"}
