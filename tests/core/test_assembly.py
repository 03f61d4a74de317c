"""Which items answer an armed tick."""

from __future__ import annotations

import numpy as np
import pytest

from simloop.assembly import Item, Observation, ObservationAssembly
from simloop.timing.stage_graph import Assembly
from simloop.world import Frame

PERIOD_NS = 100


SENSORS = ("a", "b")


def _item(sensor: str, index: int, t_ns: int | None = None, *, stamp_ns: int | None = None) -> Item:
    due_ns = index * PERIOD_NS if t_ns is None else t_ns
    frame = Frame(sensor=sensor, index=index, captured_at_ns=due_ns, render=lambda: np.zeros(1))
    return Item(SENSORS.index(sensor), frame, due_ns, 0, due_ns if stamp_ns is None else stamp_ns)


def _assembly(rule: Assembly, *ticks: int) -> ObservationAssembly:
    assembly = ObservationAssembly(num_sensors=2, rule=rule)
    for tick in ticks:
        assembly.arm(tick * PERIOD_NS)
    return assembly


def _indices(observation: Observation | None) -> dict[str, int] | None:
    return None if observation is None else {i.frame.sensor: i.frame.index for i in observation}


Arrival = tuple[str, int]


@pytest.mark.parametrize(
    ("ticks", "arrivals", "answers"),
    [
        # Both of the armed tick.
        ([0], [("a", 0), ("b", 0)], {1: {"a": 0, "b": 0}}),
        # An item captured before the armed tick is of no use.
        ([1], [("a", 0), ("b", 0), ("b", 1), ("a", 1)], {3: {"a": 1, "b": 1}}),
        # A quick sensor does not overtake a slow one: the pair belongs to the armed tick.
        ([0], [("a", 0), ("a", 1), ("b", 0)], {2: {"a": 0, "b": 0}}),
        # An item that was overtaken on its way still counts until the observation is complete.
        ([0], [("a", 1), ("a", 0), ("b", 0)], {2: {"a": 0, "b": 0}}),
        # Several ticks wait at once, each for its own pair.
        (
            [0, 1, 2],
            [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("b", 2), ("a", 2)],
            {1: {"a": 0, "b": 0}, 3: {"a": 1, "b": 1}, 5: {"a": 2, "b": 2}},
        ),
        # One arrival completes two ticks: one request, with the items of the newer one.
        ([0, 1], [("a", 0), ("a", 1), ("b", 1)], {2: {"a": 1, "b": 1}}),
        # An item that was lost never comes: the next one takes its place.
        ([0], [("a", 0), ("b", 2)], {1: {"a": 0, "b": 2}}),
    ],
)
@pytest.mark.parametrize("rule", [Assembly.CAPTURED_SINCE, Assembly.WAIT_ALL])
def test_an_armed_tick_gets_the_first_items_since(
    rule: Assembly, ticks: list[int], arrivals: list[Arrival], answers: dict[int, dict[str, int]]
) -> None:
    assembly = _assembly(rule, *ticks)
    got = {}
    for number, (sensor, index) in enumerate(arrivals):
        observation = assembly.add(_item(sensor, index))
        if observation is not None:
            got[number] = _indices(observation)
    assert got == answers
    assert assembly.num_armed == 0


def test_only_items_that_can_matter_are_awaited() -> None:
    assembly = _assembly(Assembly.CAPTURED_SINCE)
    assert not assembly.awaits(0)
    assembly.arm(200)
    assert [assembly.awaits(t) for t in (199, 200, 500)] == [False, True, True]
    assert assembly.num_armed == 1
    assert _assembly(Assembly.LATEST).awaits(0)


def test_latest_takes_what_is_there_at_the_tick_and_waits_only_for_a_first_item() -> None:
    assembly = _assembly(Assembly.LATEST, 0)
    assert assembly.add(_item("a", 0)) is None
    assert assembly.expire(0) is None
    assert assembly.num_armed == 1
    assert _indices(assembly.add(_item("b", 0))) == {"a": 0, "b": 0}
    assert assembly.num_armed == 0
    # Nothing is armed: items only replace older ones.
    assert assembly.add(_item("a", 2)) is None
    assert assembly.add(_item("a", 1)) is None
    assembly.arm(100)
    # An item of the tick's own instant, before the trigger's phase, does not fire it.
    assert assembly.add(_item("b", 1)) is None
    assert _indices(assembly.expire(100)) == {"a": 2, "b": 1}
    assert assembly.expire(100) is None


def test_nearest_takes_items_of_like_time_stamps() -> None:
    """Sensor b lags: its newest stamp is 150, and of a the item stamped nearest to that is taken."""
    assembly = _assembly(Assembly.NEAREST, 4)
    for index in range(5):
        assembly.add(_item("a", index))
    assembly.add(_item("b", 0))
    assembly.add(_item("b", 1, stamp_ns=160))
    assert _indices(assembly.expire(400)) == {"a": 2, "b": 1}
    # Of two equally near ones, the newer; items that were passed over are forgotten, later ones are not.
    assembly.add(_item("b", 2, stamp_ns=250))
    assembly.arm(500)
    assert _indices(assembly.expire(500)) == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        # b was captured before the tick only: the newest of it is taken when the wait ends.
        ([("b", 0), ("b", 1), ("a", 2)], {"a": 2, "b": 1}),
        # Of a, the first one since the tick, not the newest.
        ([("b", 1), ("a", 2), ("a", 3)], {"a": 2, "b": 1}),
        # Nothing of either came since the tick.
        ([("b", 1), ("a", 1)], {"a": 1, "b": 1}),
    ],
)
def test_wait_all_ends_with_the_newest_of_what_is_missing(
    arrivals: list[Arrival], expected: dict[str, int]
) -> None:
    assembly = _assembly(Assembly.WAIT_ALL, 2)
    for sensor, index in arrivals:
        assert assembly.add(_item(sensor, index)) is None
    assert _indices(assembly.expire(200)) == expected
    assert assembly.num_armed == 0
    # Once answered, by arrival or by expiry, a wait cannot end again.
    assert assembly.expire(200) is None


def test_an_expired_wait_goes_on_until_every_sensor_has_delivered_once() -> None:
    assembly = _assembly(Assembly.WAIT_ALL, 2)
    assert assembly.add(_item("a", 1)) is None
    assert assembly.expire(200) is None
    assert assembly.num_armed == 1
    assert _indices(assembly.add(_item("b", 0))) == {"a": 1, "b": 0}
    assert assembly.num_armed == 0
