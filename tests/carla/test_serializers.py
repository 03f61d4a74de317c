"""Each binary message against the real client, in a process of its own: a message that it cannot read ends it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("listen_once.py")
SMALL = {"image_size_x": "7", "image_size_y": "3"}
SWEEP = {"channels": "4", "points_per_second": "8000", "rotation_frequency": "20"}


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        *(
            (
                f"sensor.camera.{kind}",
                SMALL,
                {"class": "Image", "bytes": 84, "width": 7, "height": 3, "fov": 90.0},
            )
            for kind in ("rgb", "depth", "semantic_segmentation", "instance_segmentation", "normals")
        ),
        ("sensor.camera.dvs", SMALL, {"class": "DVSEventArray", "width": 7, "height": 3}),
        ("sensor.camera.optical_flow", SMALL, {"class": "OpticalFlowImage", "bytes": 168, "width": 7}),
        ("sensor.camera.rgb", {"image_size_x": "1", "image_size_y": "1"}, {"bytes": 4, "width": 1}),
        (
            "sensor.lidar.ray_cast",
            {**SWEEP, "range": "0.2"},
            {"class": "LidarMeasurement", "counts": [0] * 4},
        ),
        ("sensor.lidar.ray_cast", {**SWEEP, "dropoff_general_rate": "0"}, {"class": "LidarMeasurement"}),
        ("sensor.lidar.ray_cast_semantic", SWEEP, {"class": "SemanticLidarMeasurement"}),
        ("sensor.lidar.ray_cast_semantic", {**SWEEP, "range": "0.2"}, {"points": 0}),
        ("sensor.other.radar", {}, {"class": "RadarMeasurement"}),
        ("sensor.other.collision", {}, {"class": "CollisionEvent", "other": "vehicle.audi.tt"}),
        ("sensor.other.obstacle", {}, {"class": "ObstacleDetectionEvent", "other": "vehicle.audi.tt"}),
        ("sensor.other.imu", {}, {"class": "IMUMeasurement"}),
        ("sensor.other.gnss", {}, {"class": "GnssMeasurement"}),
    ],
)
def test_the_client_reads_each_message(
    server: Any, name: str, attributes: dict[str, str], expected: dict[str, Any]
) -> None:
    command = [sys.executable, str(SCRIPT), str(server.port), name, json.dumps(attributes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"the client ended with {done.returncode} on {name}: {done.stderr[-1500:]}"
    seen = json.loads(done.stdout.splitlines()[-1])
    assert {key: seen[key] for key in expected} == expected
    if "counts" in seen:
        assert sum(seen["counts"]) == seen["points"]
        assert (seen["points"] > 0) == (attributes.get("range") != "0.2")
