"""An agent that any strategy can run, and what the loop's tests do with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.agent import Call, InferenceReply, InferenceRequest
from simloop.log import EpisodeLog
from simloop.testing import AnyCallAgent
from simloop.world import WorldSpec

HORIZON = 8
Value = Callable[[int, int], float]


def label(observation_tick: int, row: int) -> float:
    """Tells where an action comes from: 100 * observation tick + row."""
    return 100.0 * observation_tick + row


class LabelAgent(AnyCallAgent):
    """Answers every call: row i of a chunk is ``value(observation tick, i)``, a correction adds ``corrected_by``."""

    def __init__(
        self, world: WorldSpec, *, value: Value = label, horizon: int = HORIZON, corrected_by: float = 0.0
    ) -> None:
        super().__init__(world, self._label, horizon=horizon)
        self._value = value
        self._corrected_by = corrected_by

    def _label(self, request: InferenceRequest) -> InferenceReply:
        if request.call is Call.CONTEXT:
            return InferenceReply(actions=None, context=request.observation_tick)
        if request.call is Call.CORRECTOR:
            assert request.base_actions is not None
            return InferenceReply(actions=request.base_actions + self._corrected_by)
        first = 0 if request.rolled_actions is None else len(request.rolled_actions)
        rows: npt.NDArray[np.float64] = np.array(
            [self._value(request.observation_tick, first + row) for row in range(self._spec.horizon)]
        )[:, None]
        given = request.conditioning
        if given is not None and not given.is_guided:
            rows[: given.num_committed] = given.actions[: given.num_committed]
        return InferenceReply(actions=rows, first_index=first)


def _pairs(table: dict[str, Any], first: str, second: str) -> list[tuple[Any, Any]]:
    return list(zip(table[first].tolist(), table[second].tolist(), strict=True))


def _check_conservation(log: EpisodeLog) -> None:
    """Every item, request and action is accounted for, and what the tables say of one agrees."""
    captures, inferences, ticks, chunks = (
        log.tables[n] for n in ("captures", "inferences", "ticks", "chunks")
    )
    end_ns = int(log.column("outcomes", "t_ns")[-1])
    # Items: each arrived, was dropped, was lost, or is under way; only what arrived is consumed, the first aside.
    arrived = captures["delivered_at_ns"] >= 0
    gone = captures["is_dropped"] | captures["is_lost"]
    assert not (arrived & gone).any()
    assert not (captures["is_dropped"] & captures["is_lost"]).any()
    assert (captures["delivered_at_ns"][arrived] >= captures["t_ns"][arrived]).all()
    assert (captures["delivered_at_ns"] <= end_ns).all()
    assert not (captures["is_consumed"] & ~arrived & (captures["index"] > 0)).any()
    # Requests: the instants that one has passed ascend, and its state says how far it came.
    order = ("trigger_ns", "sent_ns", "arrived_ns", "start_ns", "done_ns", "deliver_ns")
    last_of = {
        "installed": 6,
        "elapsed": 6,
        "delivered": 6,
        "stale_dropped": 6,
        "too_old": 6,
        "overrun_discarded": 6,
        "downlink_lost": 5,
        "queue_dropped": 3,
        "uplink_lost": 2,
    }
    for row in range(len(inferences["request"])):
        instants = [int(inferences[n][row]) for n in order]
        passed = [t for t in instants if t >= 0]
        assert instants == passed + [-1] * (6 - len(passed))
        assert passed == sorted(passed)
        assert passed[-1] <= end_ns
        state = str(inferences["state"][row])
        if state == "in_flight":
            assert 1 <= len(passed) <= 5
        else:
            assert len(passed) == last_of[state], state
        if len(passed) == 6:
            d = inferences["install_tick"][row] - inferences["observation_tick"][row]
            assert inferences["realised_delay_ticks"][row] == d
    asked = set(inferences["request"][inferences["start_ns"] >= 0].tolist())
    consumed = log.tables["consumed"]
    carried = np.isin(consumed["request"], list(asked))
    rows_of = dict(zip(_pairs(captures, "sensor", "index"), itertools.count()))
    read = {name: column[carried] for name, column in consumed.items()}
    rendered = {rows_of[pair] for pair in _pairs(read, "sensor", "index")}
    assert rendered == set(np.flatnonzero(captures["is_consumed"]).tolist())
    # At most one request of a call for an observation tick, the free first one aside.
    for call in set(inferences["call"].tolist()):
        chosen = (inferences["call"] == call) & ~inferences["is_free"]
        observed = inferences["observation_tick"][chosen].tolist()
        assert all(a < b for a, b in itertools.pairwise(observed))
    # Actions: what the ticks say acted is what the chunks say was executed.
    handed = np.isin(inferences["state"], ["installed", "elapsed"])
    assert set(chunks["request"].tolist()) == set(inferences["request"][handed].tolist())
    effect_ns = ticks["effect_ns"]
    has_acted = ~ticks["is_hold"] & (effect_ns >= 0) & (effect_ns < end_ns)
    acted = set()
    for n in np.flatnonzero(has_acted).tolist():
        correction = int(ticks["correction"][n])
        if correction >= 0:
            acted.add((correction, n - int(inferences["observation_tick"][correction])))
        else:
            acted.add((int(ticks["request"][n]), int(ticks["row"][n])))
    executed = {name: column[chunks["is_executed"]] for name, column in chunks.items()}
    assert acted == set(_pairs(executed, "request", "row"))
    assert ((ticks["request"] == -1) == ticks["is_hold"]).all()
    assert ((ticks["num_blended"] == 0) == ticks["is_hold"]).all()
    assert (np.diff(effect_ns[(effect_ns >= 0) & (effect_ns < end_ns)]) >= 0).all()


@pytest.fixture(scope="session")
def any_call_agent() -> Callable[..., LabelAgent]:
    """Makes an agent that any strategy can run."""
    return LabelAgent


@pytest.fixture(scope="session")
def account() -> Callable[[EpisodeLog], None]:
    """Checks that every item, request and action of a log is accounted for."""
    return _check_conservation
