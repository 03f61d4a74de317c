"""Asks commonroad-crime for the criticality of the random trajectories; run by ``make oracles``.

Writes tests/golden/criticality_commonroad_crime.json: versions, and for each trajectory its numbers and what the
library answers. tests/driving/test_criticality_oracle.py reads it and says where definitions differ.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import json
import logging
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from commonroad.geometry.shape import Rectangle
from commonroad.prediction.prediction import TrajectoryPrediction
from commonroad.scenario.intersection import Intersection, IntersectionIncomingElement
from commonroad.scenario.lanelet import Lanelet, LaneletNetwork, LaneletType
from commonroad.scenario.obstacle import DynamicObstacle, ObstacleType
from commonroad.scenario.scenario import Scenario, ScenarioID, Tag
from commonroad.scenario.state import InitialState, KSState
from commonroad.scenario.trajectory import Trajectory as CommonRoadTrajectory
from commonroad_crime.data_structure.configuration import CriMeConfiguration
from commonroad_crime.measure import BTN, DCE, ET, HW, PET, TET, THW, TIT, TTC, ALongReq
from random_trajectories import PERIOD_S, Trajectory, Vehicle, trajectories

GOLDEN = Path(__file__).parents[1] / "golden" / "criticality_commonroad_crime.json"
PACKAGES = ("commonroad-crime", "commonroad-io", "commonroad-clcs", "shapely", "numpy")
STEPS = (0, 15, 30, 45)
"""Ticks at which measures of an instant are asked for."""
LANE_WIDTH_M = 5.0
# A lanelet that points exactly along x is taken for one outside the projection, so all lie at this angle.
TILT_RAD = 1e-4
EGO, OTHER = 100, 101


def _lanelet(number: int, start: np.ndarray, end: np.ndarray, width_m: float, **links: Any) -> Lanelet:
    along = (end - start) / np.linalg.norm(end - start)
    across = 0.5 * width_m * np.array([-along[1], along[0]])
    centre = start + np.linspace(0.0, 1.0, 60)[:, None] * (end - start)
    return Lanelet(
        left_vertices=centre + across,
        center_vertices=centre,
        right_vertices=centre - across,
        lanelet_id=number,
        **links,
    )


def _obstacle(number: int, vehicle: Vehicle, tilt_rad: float) -> DynamicObstacle:
    turn = np.array([[math.cos(tilt_rad), -math.sin(tilt_rad)], [math.sin(tilt_rad), math.cos(tilt_rad)]])
    positions, speeds = vehicle.positions_m() @ turn.T, vehicle.speeds_mps()
    yaw_rad = vehicle.yaw_rad + tilt_rad
    shape = Rectangle(length=vehicle.length_m, width=vehicle.width_m)
    start = InitialState(
        time_step=0,
        position=positions[0],
        orientation=yaw_rad,
        velocity=float(speeds[0]),
        yaw_rate=0.0,
        slip_angle=0.0,
    )
    later = [
        KSState(
            time_step=i,
            position=positions[i],
            orientation=yaw_rad,
            velocity=float(speeds[i]),
            steering_angle=0.0,
        )
        for i in range(1, len(positions))
    ]
    prediction = TrajectoryPrediction(CommonRoadTrajectory(1, later), shape)
    return DynamicObstacle(number, ObstacleType.CAR, shape, start, prediction)


def _following(trajectory: Trajectory) -> Scenario:
    scenario = Scenario(dt=PERIOD_S, scenario_id=ScenarioID())
    end = 1500.0 * np.array([math.cos(TILT_RAD), math.sin(TILT_RAD)])
    scenario.add_objects(
        LaneletNetwork.create_from_lanelet_list([_lanelet(1, np.zeros(2), end, LANE_WIDTH_M)])
    )
    scenario.add_objects(_obstacle(EGO, trajectory.ego, TILT_RAD))
    scenario.add_objects(_obstacle(OTHER, trajectory.other, TILT_RAD))
    scenario.assign_obstacles_to_lanelets()
    return scenario


def _crossing(trajectory: Trajectory) -> Scenario:
    """Lanes as wide as the vehicles, so that the conflict area is the ground that both footprints sweep."""
    scenario = Scenario(dt=PERIOD_S, scenario_id=ScenarioID(), tags={Tag.INTERSECTION})
    lanelets, incomings = [], []
    for first, vehicle in ((1, trajectory.ego), (11, trajectory.other)):
        heading = np.array([math.cos(vehicle.yaw_rad), math.sin(vehicle.yaw_rad)])
        stations = (-150.0, -12.0, 12.0, 150.0)
        for i in range(3):
            links = {
                "predecessor": [first + i - 1] if i else [],
                "successor": [first + i + 1] if i < 2 else [],
            }
            kind = {LaneletType.INTERSECTION} if i == 1 else set()
            lanelets.append(
                _lanelet(first + i, stations[i] * heading, stations[i + 1] * heading, vehicle.width_m,
                         lanelet_type=kind, **links)
            )  # fmt: skip
        incomings.append(
            IntersectionIncomingElement(
                200 + first, incoming_lanelets={first}, successors_straight={first + 1}
            )
        )
    network = LaneletNetwork.create_from_lanelet_list(lanelets)
    network.add_intersection(Intersection(300, incomings))
    scenario.add_objects(network)
    scenario.add_objects(_obstacle(EGO, trajectory.ego, 0.0))
    scenario.add_objects(_obstacle(OTHER, trajectory.other, 0.0))
    scenario.assign_obstacles_to_lanelets()
    return scenario


def _plain(value: float) -> float | None:
    """JSON knows no infinity and no NaN."""
    return float(value) if math.isfinite(value) else None


def _answers(trajectory: Trajectory) -> dict[str, Any]:
    config = CriMeConfiguration()
    config.vehicle.ego_id = EGO
    config.time.tau = 1.5
    is_following = trajectory.kind == "following"
    config.update(sce=_following(trajectory) if is_following else _crossing(trajectory))
    answers: dict[str, Any] = {}
    if is_following:
        for measure in (HW, THW, TTC, ALongReq, BTN):
            asked = measure(config)
            answers[measure.__name__] = [_plain(asked.compute(OTHER, step, verbose=False)) for step in STEPS]
        is_steady = trajectory.ego.acceleration_mps2 == 0.0 == trajectory.other.acceleration_mps2
        whole = (TET, TIT, DCE) if is_steady else (DCE,)
    else:
        # At other angles lanelets lose vehicles on their edges, and their areas are not the ground that is swept.
        is_perpendicular = abs(math.cos(trajectory.other.yaw_rad)) < 1e-9
        whole = (PET, ET, DCE) if is_perpendicular else (DCE,)
    for measure in whole:
        answers[measure.__name__] = _plain(measure(config).compute(OTHER, 0, verbose=False))
    return answers


def main() -> None:
    """Writes the golden file."""
    logging.disable(logging.CRITICAL)
    rows = [{"trajectory": t.plain(), "answers": _answers(t)} for t in trajectories()]
    head = {
        "script": Path(__file__).name,
        "versions": {name: version(name) for name in PACKAGES},
        "steps": STEPS,
    }
    text = ",\n".join(json.dumps(row) for row in rows)
    GOLDEN.write_text(json.dumps(head)[:-1] + ', "rows": [\n' + text + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
