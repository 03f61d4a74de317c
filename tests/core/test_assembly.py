"""Which items answer an armed tick."""

from __future__ import annotations

import numpy as np
import pytest

from simloop.assembly import Item, ObservationAssembly
from simloop.timing.stage_graph import Assembly
from simloop.world import Frame

PERIOD_NS = 100


def _item(sensor: str, index: int, t_ns: int | None = None) -> Item:
    frame = Frame(sensor=sensor, index=index, captured_at_ns=0, render=lambda: np.zeros(1))
    return Item(frame, index * PERIOD_NS if t_ns is None else t_ns, 0)


def _assembly(rule: Assembly, *ticks: int) -> ObservationAssembly:
    assembly = ObservationAssembly(num_sensors=2, rule=rule, control_period_ns=PERIOD_NS)
    for tick in ticks:
        assembly.arm(tick)
    return assembly


Arrival = tuple[int, str, int]


@pytest.mark.parametrize(
    ("ticks", "arrivals", "answers"),
    [
        # Both of the armed tick.
        ([0], [(0, "a", 0), (0, "b", 0)], {1: {"a": 0, "b": 0}}),
        # An item captured before the armed tick is of no use.
        ([1], [(90, "a", 0), (90, "b", 0), (110, "b", 1), (120, "a", 1)], {3: {"a": 1, "b": 1}}),
        # A quick sensor does not overtake a slow one: the pair belongs to the armed tick.
        ([0], [(5, "a", 0), (105, "a", 1), (130, "b", 0)], {2: {"a": 0, "b": 0}}),
        # An item that was overtaken on its way still counts until the observation is complete.
        ([0], [(105, "a", 1), (110, "a", 0), (130, "b", 0)], {2: {"a": 0, "b": 0}}),
        # Several ticks wait at once, each for its own pair.
        (
            [0, 1, 2],
            [(300, "a", 0), (300, "b", 0), (400, "a", 1), (400, "b", 1), (500, "b", 2), (500, "a", 2)],
            {1: {"a": 0, "b": 0}, 3: {"a": 1, "b": 1}, 5: {"a": 2, "b": 2}},
        ),
        # One arrival completes two ticks: one request, with the items of the newer one.
        ([0, 1], [(10, "a", 0), (110, "a", 1), (250, "b", 1)], {2: {"a": 1, "b": 1}}),
    ],
)
def test_an_armed_tick_gets_the_first_items_since(
    ticks: list[int], arrivals: list[Arrival], answers: dict[int, dict[str, int]]
) -> None:
    assembly = _assembly(Assembly.CAPTURED_SINCE, *ticks)
    got = {}
    for number, (t_ns, sensor, index) in enumerate(arrivals):
        observation = assembly.add(t_ns, _item(sensor, index))
        if observation is not None:
            got[number] = {name: item.frame.index for name, item in observation.items()}
    assert got == answers
    assert assembly.num_armed == 0


def test_only_items_that_can_matter_are_awaited() -> None:
    assembly = _assembly(Assembly.CAPTURED_SINCE)
    assert not assembly.awaits(0)
    assembly.arm(2)
    assert [assembly.awaits(t) for t in (199, 200, 500)] == [False, True, True]
    assert assembly.num_armed == 1
    assert _assembly(Assembly.LATEST).awaits(0)


def test_latest_takes_what_is_there_at_the_tick_and_waits_only_for_a_first_item() -> None:
    assembly = _assembly(Assembly.LATEST, 0)
    assert assembly.add(0, _item("a", 0)) is None
    assert assembly.trigger(0) is None
    assert assembly.num_armed == 1
    observation = assembly.add(70, _item("b", 0))
    assert observation is not None
    assert {name: item.frame.index for name, item in observation.items()} == {"a": 0, "b": 0}
    assert assembly.num_armed == 0
    # Nothing is armed: items only replace older ones.
    assert assembly.add(80, _item("a", 2)) is None
    assert assembly.add(90, _item("a", 1)) is None
    assembly.arm(1)
    # An item of the tick's own instant, before the trigger's phase, does not fire it.
    assert assembly.add(100, _item("b", 1)) is None
    observation = assembly.trigger(100)
    assert observation is not None
    assert {name: item.frame.index for name, item in observation.items()} == {"a": 2, "b": 1}
