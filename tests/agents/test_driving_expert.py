"""The driving expert as an agent: layouts, prefix, ages, and whole episodes in its lane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.agent import Call, Capability, Conditioning, InferenceRequest
from simloop.compose import component, make_agent, make_strategy, make_timing
from simloop.errors import AgentError, UnknownNameError
from simloop.scenario_files import load_family
from simloop.source_digest import source_digest
from simloop.testing.rollout import play
from simloop.world import Anchor
from simloop_agents.experts import driving
from simloop_agents.experts.driving_plan import STEP_S
from simloop_agents.experts.expert import ExpertAgent
from simloop_driving import sensors
from simloop_driving.dynamics.vehicle import load_vehicle
from simloop_driving.world import DrivingWorld

FloatArray = npt.NDArray[np.float64]


def straight_route(set_speed_mps: float) -> FloatArray:
    route = np.zeros((sensors.NUM_ROUTE_POINTS, len(sensors.ROUTE_COLUMNS)))
    route[:, 0] = np.arange(len(route)) * sensors.ROUTE_SPACING_M
    route[:, 7] = set_speed_mps
    return route


def one_object(**values: float) -> FloatArray:
    objects = np.zeros((sensors.NUM_OBJECTS, len(sensors.OBJECT_COLUMNS)))
    values = {"is_present": 1.0, "length_m": 4.5, "width_m": 1.82, **values}
    objects[0] = [values.get(name, 0.0) for name in sensors.OBJECT_COLUMNS]
    return objects


def request(
    *,
    objects: FloatArray | None = None,
    speed_mps: float = 20.0,
    yaw_rate_radps: float = 0.0,
    ages_ms: Mapping[str, int] | None = None,
    route: FloatArray | None = None,
    **keys: Any,
) -> InferenceRequest:
    observation = {
        "objects": np.zeros((16, 8)) if objects is None else objects,
        "route": straight_route(20.0) if route is None else route,
        "ego_state": np.array([speed_mps, 0.0, yaw_rate_radps, 0.0]),
    }
    values: dict[str, Any] = {
        "episode_id": "e",
        "call": Call.POLICY,
        "embodiment": "waypoints",
        "observation": observation,
        "age_ns": {name: (ages_ms or {}).get(name, 0) * 1_000_000 for name in observation},
        "instruction": "",
        "anchor": Anchor(captured_at_ns=0, pose=np.zeros(4)),
        "observation_tick": 0,
        "predicted_delay_ticks": 0,
        "draw_key": (1, 2),
    }
    return InferenceRequest(**{**values, **keys})


def chunk(agent: ExpertAgent, **keys: Any) -> FloatArray:
    (reply,) = agent.infer([request(**keys)])
    assert reply.actions is not None
    return reply.actions


@pytest.fixture(scope="module")
def agent() -> ExpertAgent:
    return ExpertAgent()


def test_columns_are_those_of_the_world() -> None:
    names = sensors.OBJECT_COLUMNS
    assert names[driving._IS_PRESENT] == "is_present"
    assert (names[driving._X_M], names[driving._Y_M]) == ("x_m", "y_m")
    assert (names[driving._HEADING_RAD], names[driving._SPEED_MPS]) == ("heading_rad", "speed_mps")
    assert names[driving._ACCELERATION_MPS2] == "acceleration_mps2"
    assert (names[driving._LENGTH_M], names[driving._WIDTH_M]) == ("length_m", "width_m")
    route = sensors.ROUTE_COLUMNS
    assert (route[driving._ROUTE_X_M], route[driving._ROUTE_Y_M]) == ("x_m", "y_m")
    assert (route[driving._ROUTE_HEADING_RAD], route[driving._SET_SPEED_MPS]) == (
        "heading_rad",
        "set_speed_mps",
    )
    assert route[driving._CURVATURE_PER_M] == "curvature_per_m"
    state = sensors.EGO_STATE_ENTRIES
    assert state[driving._EGO_SPEED_MPS] == "speed_mps"
    assert state[driving._EGO_ACCELERATION_MPS2] == "acceleration_mps2"
    assert state[driving._EGO_YAW_RATE_RADPS] == "yaw_rate_radps"
    vehicle = load_vehicle("midsize_saloon")
    assert (vehicle.length_m, vehicle.width_m) == driving.EGO_SIZE_M
    assert vehicle.rear_axle_m == driving.REAR_AXLE_M
    wheelbase_m = vehicle.front_axle_m + vehicle.rear_axle_m
    assert (
        pytest.approx(
            vehicle.mass_kg * vehicle.front_axle_m / (wheelbase_m * vehicle.rear_axle_stiffness_nprad)
        )
        == driving.REAR_COMPLIANCE_S2PM
    )


def test_spec_fits_the_driving_world(agent: ExpertAgent) -> None:
    world = DrivingWorld().spec
    assert agent.spec.horizon == 32
    assert agent.spec.action_period_ns == world.control_period_ns == round(STEP_S * 1e9)
    assert Capability.PREFIX in agent.spec.capabilities
    embodiment = next(e for e in agent.spec.embodiments if e.action_space == "waypoints")
    assert embodiment.dimensions == tuple(d.name for d in world.action.dimensions)
    assert set(embodiment.observations) <= {s.name for s in world.sensors}


def test_free_road_keeps_speed_and_lane(agent: ExpertAgent) -> None:
    actions = chunk(agent)
    np.testing.assert_allclose(actions[:, 0], 20.0 * STEP_S * np.arange(1, 33), rtol=1e-9)
    np.testing.assert_allclose(actions[:, 1:3], 0.0, atol=1e-12)
    np.testing.assert_allclose(actions[:, 3], 20.0, rtol=1e-9)


def test_absent_rows_are_not_actors(agent: ExpertAgent) -> None:
    absent = one_object(is_present=0.0, x_m=10.0, speed_mps=0.0)
    assert np.array_equal(chunk(agent, objects=absent), chunk(agent))
    present = one_object(x_m=30.0, speed_mps=10.0)
    assert chunk(agent, objects=present)[-1, 3] < 15.0


@pytest.mark.parametrize("num_committed", [1, 5, 31, 32])
def test_prefix_is_reproduced_bit_for_bit_and_continued(agent: ExpertAgent, num_committed: int) -> None:
    lead = one_object(x_m=40.0, speed_mps=15.0)
    committed = np.zeros((32, 4))
    committed[:num_committed] = chunk(agent, objects=lead)[:num_committed]
    committed[:num_committed, 1] += 0.1 / 3.0
    weights = (np.arange(32) < num_committed).astype(np.float64)
    actions = chunk(agent, objects=lead, conditioning=Conditioning(actions=committed, weights=weights))
    assert np.array_equal(actions[:num_committed], committed[:num_committed])
    path = np.concatenate([np.array([[0.0, 0.1 / 3.0, 0.0, 20.0]]), actions])
    steps_m = np.hypot(*np.diff(path[:, :2], axis=0).T)
    np.testing.assert_allclose(steps_m, 0.5 * (path[1:, 3] + path[:-1, 3]) * STEP_S, rtol=0.02)
    assert np.abs(np.diff(path[:, 3])).max() < 8.0 * STEP_S + 1e-9


def test_a_plan_continued_from_its_own_start_is_the_same_plan(agent: ExpertAgent) -> None:
    lead = one_object(x_m=40.0, speed_mps=15.0)
    whole = chunk(agent, objects=lead)
    weights = (np.arange(32) < 8).astype(np.float64)
    continued = chunk(agent, objects=lead, conditioning=Conditioning(actions=whole, weights=weights))
    np.testing.assert_allclose(continued, whole, atol=1e-6)


def test_older_objects_are_moved_on(agent: ExpertAgent) -> None:
    """An object list that is 200 ms older than the anchor gives the plan of the list at the anchor."""
    fresh = one_object(x_m=40.0, speed_mps=15.0)
    old = one_object(x_m=40.0 + 0.2 * (20.0 - 15.0), speed_mps=15.0)
    moved = chunk(agent, objects=old, ages_ms={"objects": 250, "ego_state": 50, "route": 50})
    np.testing.assert_allclose(moved, chunk(agent, objects=fresh), atol=1e-9)


def test_older_route_is_seen_from_where_the_ego_is_now(agent: ExpertAgent) -> None:
    """Driving a circle for 200 ms: the old route, turned back, leads on along the same circle."""
    radius_m, speed_mps, lag_s = 100.0, 20.0, 0.2

    def circle(start_m: float) -> FloatArray:
        route = straight_route(speed_mps)
        angle = (np.arange(len(route)) * sensors.ROUTE_SPACING_M + start_m) / radius_m
        route[:, 0], route[:, 1] = radius_m * np.sin(angle), radius_m * (1.0 - np.cos(angle))
        route[:, 2] = angle
        return route

    keys: dict[str, Any] = {"speed_mps": speed_mps, "yaw_rate_radps": speed_mps / radius_m}
    fresh = chunk(agent, route=circle(0.0), **keys)
    old = chunk(agent, route=circle(0.0), ages_ms={"route": round(lag_s * 1e3)}, **keys)
    np.testing.assert_allclose(old, fresh, atol=0.05)
    assert fresh[-1, 2] == pytest.approx(32 * STEP_S * speed_mps / radius_m, abs=0.05)


def test_other_calls_and_embodiments_are_refused(agent: ExpertAgent) -> None:
    with pytest.raises(AgentError, match="policy calls only, got 'context'"):
        agent.infer([request(call=Call.CONTEXT)])
    with pytest.raises(UnknownNameError, match="two_arm_delta, two_arm_pose_delta, waypoints"):
        agent.infer([request(embodiment="wings")])


def test_replies_do_not_depend_on_the_batch(agent: ExpertAgent) -> None:
    lead = request(objects=one_object(x_m=40.0, speed_mps=15.0))
    alone = agent.infer([lead])[0].actions
    together = agent.infer([request(speed_mps=9.0), lead, lead])
    assert alone is not None
    for reply in together[1:]:
        assert reply.actions is not None
        assert np.array_equal(reply.actions, alone)


def test_digest_is_stable_and_of_the_sources() -> None:
    assert source_digest("simloop_agents.experts") == ExpertAgent().spec.digest
    assert len(ExpertAgent().spec.digest) == 32


@pytest.mark.parametrize("family", ["cut_in", "lead_deceleration"])
def test_it_stays_in_its_lane(family: str) -> None:
    agent = make_agent(component("agent", "expert"))
    world, cases = DrivingWorld(), load_family(family)
    timing, strategy = (
        make_timing(component("timing", "zero")),
        make_strategy(component("strategy", "paused")),
    )
    for seed in range(10):
        log = play(world, agent, case=cases.case(seed), timing=timing, strategy=strategy)
        assert log.column("outcomes", "state")[-1] == "success"
        offset_m = log.column("world.actors", "lateral_offset_m")[log.column("world.actors", "actor") == 0]
        assert np.abs(offset_m).max() < 0.6
