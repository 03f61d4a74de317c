"""Measures how long an agent takes on this machine: for mode ``measured`` and for ``simloop probe``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from simloop import wall_clock
from simloop.agent import Agent, Call, InferenceReply, InferenceRequest


class InferenceMeter:
    """Asks an agent and writes the wall time of each inference into its reply.

    The first request of each kind of call is answered once beforehand and that answer thrown away, so that loading,
    compiling and filling caches is not measured. The agent's device is waited for before and after
    (``Agent.synchronize``).

    Args:
        agent: The agent; ``infer`` is a pure function, so a call more changes nothing.

    Attributes:
        num_warm_up: Calls that were made and thrown away.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._warm: set[Call] = set()
        self.num_warm_up = 0

    def infer(self, requests: Sequence[InferenceRequest]) -> list[InferenceReply]:
        """Answers the requests as one batch; each reply carries the wall time of the whole batch."""
        agent = self._agent
        new_calls = {request.call for request in requests} - self._warm
        if new_calls:
            agent.infer(requests)
            self._warm |= new_calls
            self.num_warm_up += 1
        agent.synchronize()
        started_ns = wall_clock.now_ns()
        replies = list(agent.infer(requests))
        agent.synchronize()
        measured_ns = wall_clock.now_ns() - started_ns
        return [dataclasses.replace(reply, measured_ns=measured_ns) for reply in replies]
