"""The expert in the action space ``acceleration``: conversions, prefix and emergencies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from simloop.agent import Call, Conditioning, InferenceRequest
from simloop.testing.checks import check_agent
from simloop.world import Anchor
from simloop_agents.experts.driving_acceleration import (
    EMERGENCY_BRAKING_MPS2,
    PASS_FIRST,
    actions_of,
    emergency_deceleration_mps2,
    waypoints_of,
)
from simloop_agents.experts.expert import HORIZON, ExpertAgent
from simloop_driving import sensors

FloatArray = npt.NDArray[np.float64]


def _route(speed_mps: float) -> FloatArray:
    route = np.zeros((sensors.NUM_ROUTE_POINTS, len(sensors.ROUTE_COLUMNS)))
    route[:, 0] = np.arange(len(route)) * sensors.ROUTE_SPACING_M
    route[:, 7] = speed_mps
    return route


def _objects(**values: float) -> FloatArray:
    objects = np.zeros((sensors.NUM_OBJECTS, len(sensors.OBJECT_COLUMNS)))
    values = {"is_present": 1.0, "length_m": 4.3, "width_m": 1.85, **values}
    objects[0] = [values.get(name, 0.0) for name in sensors.OBJECT_COLUMNS]
    return objects


def _request(objects: FloatArray, conditioning: Conditioning | None = None) -> InferenceRequest:
    return InferenceRequest(
        episode_id="e",
        call=Call.POLICY,
        embodiment="acceleration",
        observation={"objects": objects, "route": _route(20.0), "ego_state": np.array([20.0, 0, 0, 0])},
        age_ns={"objects": 0, "route": 0, "ego_state": 0},
        instruction="",
        anchor=Anchor(captured_at_ns=0, pose=np.zeros(4)),
        observation_tick=0,
        predicted_delay_ticks=0,
        draw_key=(0, 0),
        conditioning=conditioning,
    )


def test_waypoints_and_actions_are_each_others_inverse() -> None:
    actions = np.stack([np.linspace(-3.0, 1.0, 20), np.linspace(0.01, -0.02, 20)], axis=1)
    actions[0, 1] = actions[1, 1]  # the first row turns as the second
    waypoints = np.empty((20, 4))
    waypoints_of(actions, 15.0, waypoints)
    back = np.empty_like(actions)
    actions_of(waypoints, 15.0, back)
    assert back[:, 0] == pytest.approx(actions[:, 0])
    assert back[1:, 1] == pytest.approx(actions[1:, 1])


def test_constant_curvature_is_a_circle() -> None:
    actions = np.tile([0.0, 0.02], (400, 1))
    waypoints = np.empty((400, 4))
    waypoints_of(actions, 10.0, waypoints)
    radius_m = np.hypot(waypoints[:, 0], waypoints[:, 1] - 50.0)
    assert radius_m == pytest.approx(50.0, rel=1e-4)
    assert waypoints[-1, 2] == pytest.approx(400 * 0.05 * 10.0 * 0.02)


def test_it_keeps_the_contract_of_agents() -> None:
    near, far = _objects(x_m=30.0, speed_mps=12.0), _objects(x_m=90.0, speed_mps=18.0)
    check_agent(ExpertAgent(), [_request(near), _request(far)])


def test_a_committed_prefix_is_continued() -> None:
    free = ExpertAgent().infer([_request(_objects(x_m=60.0, speed_mps=12.0))])[0].actions
    assert free is not None
    weights = np.zeros(HORIZON)
    weights[:6] = 1.0
    prefix = Conditioning(actions=free * weights[:, None], weights=weights)
    bound = ExpertAgent().infer([_request(_objects(x_m=60.0, speed_mps=12.0), prefix)])[0].actions
    assert bound is not None
    assert np.array_equal(bound[:6], free[:6])
    assert bound[6:, 0] == pytest.approx(free[6:, 0], abs=0.05)


@pytest.mark.parametrize(
    ("objects", "deceleration_mps2"),
    [
        # Far ahead and as fast as the ego: nothing.
        (_objects(x_m=120.0, speed_mps=20.0), 0.0),
        # 10 m behind a standing car: as hard as possible.
        (_objects(x_m=14.5, speed_mps=0.0), EMERGENCY_BRAKING_MPS2),
        # Beside and staying there: nothing.
        (_objects(x_m=14.5, y_m=3.5, speed_mps=10.0), 0.0),
        # It comes over at 1 m/s and needs 1.65 s for it; the ego, 10 m/s faster, needs 1.3 s to have passed.
        (
            _objects(x_m=8.5, y_m=3.5, speed_mps=np.hypot(10.0, 1.0), heading_rad=-np.arctan2(1.0, 10.0)),
            PASS_FIRST,
        ),
        # 7 m to a stop from 10 m/s faster are too few once the brakes have to build up: it begins to come over, and
        # even at 1.3 m/s it would take longer than the 1.6 s until the ego has passed. 0.7 m nearer it might not.
        (_objects(x_m=11.5, y_m=4.2, speed_mps=10.0, heading_rad=-0.05), PASS_FIRST),
        (_objects(x_m=11.5, y_m=3.5, speed_mps=10.0, heading_rad=-0.05), 0.0),
    ],
)
def test_emergencies(objects: FloatArray, deceleration_mps2: float) -> None:
    state = np.array([20.0, 0.0, 0.0, 0.0])
    assert emergency_deceleration_mps2(objects, _route(20.0), state, 0.0, 0.0) == pytest.approx(
        deceleration_mps2
    )
