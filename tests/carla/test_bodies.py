"""Pushes, telemetry, attached actors and speed limits of the server, in process."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.spatial import KDTree

from simloop_carla.server.actors import ServerActor
from simloop_carla.server.methods import METHODS
from simloop_carla.server.simulator import Simulator
from simloop_carla.server.towns.lane_limits import look_up, nearest_sample
from simloop_carla.server.towns.town import load_town
from simloop_carla.wire.structs import (
    AckermannSettings,
    ActorDescription,
    Rotation,
    Transform,
    Vector3,
    VehicleControl,
)
from simloop_driving.dynamics.single_track import NUM_EGO_ENTRIES, VX_MPS, VY_MPS, YAW_RATE_RADPS

CAR = "vehicle.lincoln.mkz_2020"
NORTH = Transform(Vector3(0.0, 0.0, 0.0), Rotation(0.0, 0.0, 0.0))
DELTA_S = 0.05


@pytest.fixture
def simulator() -> Simulator:
    one = Simulator(load_town("straight_track"), 0)
    one.set_settings(one.settings._replace(synchronous_mode=True, fixed_delta_seconds=DELTA_S))
    return one


@pytest.fixture
def car(simulator: Simulator) -> ServerActor:
    return simulator.episode.spawn(ActorDescription(0, CAR, []), NORTH)


def call(simulator: Simulator, name: str, *values: Any) -> Any:
    """Calls a method as a client does, with values that are decoded already."""
    return METHODS[name].call(simulator, *values)


@pytest.mark.parametrize(("name", "seconds"), [("impulse", 1.0), ("force", DELTA_S)])
def test_a_push_beside_the_middle_turns(
    simulator: Simulator, car: ServerActor, name: str, seconds: float
) -> None:
    push, at = Vector3(1000.0, 300.0, 0.0), Vector3(2.0, 0.5, 0.0)
    call(simulator, f"add_actor_{name}_at_location", car.id, push, at)
    own = simulator.episode.bodies
    parameters, state = own.parameters(car.number), own.states[car.number]
    assert state[VX_MPS] == pytest.approx(seconds * 1000.0 / parameters.mass_kg)
    assert state[VY_MPS] == pytest.approx(-seconds * 300.0 / parameters.mass_kg)
    moment = 2.0 * 300.0 - 0.5 * 1000.0  # to the right, as CARLA's yaw grows
    assert state[YAW_RATE_RADPS] == pytest.approx(-seconds * moment / parameters.yaw_inertia_kgm2)


@pytest.mark.parametrize(("name", "seconds"), [("angular_impulse", 1.0), ("torque", DELTA_S)])
def test_a_torque_turns(simulator: Simulator, car: ServerActor, name: str, seconds: float) -> None:
    call(simulator, f"add_actor_{name}", car.id, Vector3(0.0, 0.0, 5e8))
    own = simulator.episode.bodies
    inertia_kgcm2 = 1e4 * own.parameters(car.number).yaw_inertia_kgm2
    assert own.states[car.number, YAW_RATE_RADPS] == pytest.approx(
        -math.radians(5e8) * seconds / inertia_kgcm2
    )


def test_telemetry_is_that_of_the_single_track_model(simulator: Simulator, car: ServerActor) -> None:
    call(simulator, "set_actor_target_velocity", car.id, Vector3(15.0, 0.0, 0.0))
    call(
        simulator, "apply_control_to_vehicle", car.id, VehicleControl(0.2, 0.05, 0.0, False, False, False, 0)
    )
    for _ in range(60):
        simulator.tick()
    speed_mps, steer, throttle, brake, _, gear, _, wheels = call(simulator, "get_telemetry_data", car.id)[0][
        1
    ]
    own = simulator.episode.bodies
    state, mass_kg = own.states[car.number], own.parameters(car.number).mass_kg
    assert (steer, throttle, brake, gear) == (0.05, 0.2, 0.0, 1)
    assert speed_mps == state[VX_MPS]
    columns = np.array(wheels).T
    friction, slip_rad, _, rate_radps, load_n, _, _, _, right_n, _, right_share = columns
    assert load_n.sum() == pytest.approx(mass_kg * 9.81)
    np.testing.assert_allclose(rate_radps * 0.32, speed_mps)
    assert (friction > 0.0).all()
    assert (slip_rad < 0.0).all()  # the wheels slip to the left of where they point
    # In a bend that settles the tyres give what keeps the car in it: mass times speed times turn rate.
    assert right_n.sum() == pytest.approx(-mass_kg * speed_mps * state[YAW_RATE_RADPS], rel=0.03)
    np.testing.assert_allclose(right_share, right_n / load_n)


def test_gains_of_the_ackermann_controller_come_back(simulator: Simulator, car: ServerActor) -> None:
    assert call(simulator, "get_ackermann_controller_settings", car.id)[0][1] == (
        0.15,
        0.0,
        0.25,
        0.01,
        0.0,
        0.01,
    )
    gains = AckermannSettings(0.3, 0.1, 0.2, 0.4, 0.5, 0.6)
    call(simulator, "apply_ackermann_controller_settings", car.id, gains)
    assert call(simulator, "get_ackermann_controller_settings", car.id)[0][1] == gains


def test_what_is_attached_moves_and_what_is_not_stays(simulator: Simulator, car: ServerActor) -> None:
    episode = simulator.episode
    mount = Transform(Vector3(1.5, 0.0, 2.0), Rotation(0.0, 90.0, 0.0))
    sensor = episode.spawn(ActorDescription(0, "sensor.camera.rgb", []), mount, car)
    free = episode.spawn(ActorDescription(0, "sensor.other.gnss", []), mount)
    assert not any(episode.roster.pose(sensor).location)  # a pose appears with the next tick
    simulator.tick()
    assert episode.roster.pose(sensor).location == pytest.approx((1.5, 0.0, 2.0))
    assert episode.roster.pose(sensor).rotation.yaw == pytest.approx(90.0)
    assert episode.roster.pose(free) == mount
    episode.place(car, Transform(Vector3(50.0, 20.0, 0.0), Rotation(0.0, 90.0, 0.0)))
    episode.place(free, NORTH)
    episode.place(episode.spectator, mount)
    simulator.tick()
    assert episode.roster.pose(sensor).location == pytest.approx((50.0, 21.5, 2.0))
    assert episode.roster.pose(free) == NORTH
    assert episode.roster.pose(episode.spectator) == mount
    episode.destroy(car)
    simulator.tick()
    assert episode.roster.pose(sensor).location == pytest.approx((50.0, 21.5, 2.0))


def test_speed_limits_are_those_of_the_nearest_driving_lane() -> None:
    limits = load_town("town").limits
    places = np.stack([limits.x_m, limits.y_m], axis=1)
    draws = np.random.default_rng(3)
    asked = draws.uniform(places.min(axis=0) - 60.0, places.max(axis=0) + 60.0, (500, 2))
    far_m, nearest = KDTree(places).query(asked)
    found = np.array([nearest_sample(x_m, y_m, limits) for x_m, y_m in asked])
    np.testing.assert_allclose(np.hypot(*(places[found] - asked).T), far_m, rtol=1e-12)
    states, limits_kmh = np.zeros((500, NUM_EGO_ENTRIES)), np.zeros(500)
    states[:, :2] = asked
    looked_up_m = np.full((500, 2), np.inf)
    look_up(states, looked_up_m, limits_kmh, limits)
    np.testing.assert_allclose(limits_kmh, 3.6 * limits.limit_mps[nearest])
    states[:, 0] += 1.5  # not far enough to look again
    look_up(states, looked_up_m, limits_kmh, limits)
    np.testing.assert_array_equal(looked_up_m, asked)
