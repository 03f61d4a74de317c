"""The client library's traffic manager drives on the server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("autopilot_drive.py")
SECOND_TICKS = 20


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.usefixtures("world")
def test_twenty_vehicles_drive_a_minute_and_obey_the_lights(server: Any) -> None:
    words = [server.port, _free_port(), 20, 60 * SECOND_TICKS, 7]
    command = [sys.executable, str(SCRIPT), *(str(word) for word in words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"the client ended with {done.returncode}: {done.stderr[-2000:]}"
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["hits"] == []
    assert seen["red_crossings"] == []
    assert seen["vehicles"] == 20
    # They drive (8.3 m/s is what the manager is set to), cross at green and wait at red.
    assert seen["way_m"] > 20 * 60 * 3.0
    assert seen["lines"] == 12
    assert seen["crossings"] >= 5
    assert seen["stood_at_red"] > 200
