"""A machine without OpenGL and without CARLA runs both domains and the model agent, cameras included."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARIES = ("libGL", "libEGL", "libOSMesa")

# argv: libraries that must not load. Runs in a process of its own, in an empty folder.
PROGRAM = """
import ctypes, sys
for library in sys.argv[1:]:
    try:
        ctypes.CDLL(library)
    except OSError:
        continue
    raise SystemExit(f"{library} still loads; nothing was tested")

import simloop_bimanual, simloop_driving
import gymnasium
from simloop.scenario_files import load_family
from simloop.world import SensorKind

for env_id in ("simloop/CutIn-v0", "simloop/TwoArmLift-v0"):
    env = gymnasium.make(env_id, render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    cameras = [s.name for s in env.unwrapped.world.spec.sensors if s.kind is SensorKind.CAMERA]
    assert sorted(observation["pixels"]) == sorted(cameras)
    for name, image in observation["pixels"].items():
        assert len({tuple(pixel) for pixel in image.reshape(-1, 3).tolist()}) > 20, f"{name} shows nothing"
    assert env.render().shape[2] == 3
    env.close()
print("rendered")

from simloop.cli.main import main
main(["run", "suite=smoke", "scenario=cut_in,two_arm_lift", "agent=expert,unified_scratch", "timing=zero",
      "strategy=naive_async", "seeds.count=1", "runner=in_process", "run_id=bare"])
"""

SAMPLING = """
import importlib.resources
from simloop_driving.roads.opendrive import sample_opendrive
from simloop_driving.roads.road_map import load_map

assert load_map("highway").num_lanes > 0
maps = importlib.resources.files("simloop_scenarios") / "maps"
sample_opendrive("mine", (maps / "highway.xodr").read_text())
"""


def without_carla(folder: Path) -> dict[str, str]:
    """Returns an environment in which ``import carla`` fails as a wheel for another system does."""
    (folder / "shadow").mkdir()
    (folder / "shadow" / "carla.py").write_text("raise ImportError('libcarla: wrong ELF class')\n")
    path = os.pathsep.join(p for p in (str(folder / "shadow"), os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PYTHONPATH": path}


def found_libraries() -> list[str]:
    """Returns the OpenGL libraries that the linker would find, by path."""
    ldconfig = shutil.which("ldconfig", path=f"{os.environ.get('PATH', '')}{os.pathsep}/sbin")
    if ldconfig is None:
        pytest.skip("there is no ldconfig to ask where OpenGL libraries are")
    listed = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=True).stdout
    paths = [line.partition(" => ")[2] for line in listed.splitlines() if line.strip().startswith(LIBRARIES)]
    return sorted({str(Path(p).resolve()) for p in paths})


def may_hide_files(*flags: str) -> bool:
    """Whether this user may mount over files in a namespace of their own."""
    command = ["unshare", *flags, "sh", "-c", "mount --bind /dev/null /dev/zero"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_without_opengl_and_carla_both_domains_render_and_run(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare command here")
    flags = next((f for f in (["-m"], ["-r", "-m"]) if may_hide_files(*f)), None)
    if flags is None:
        pytest.skip("this user may not mount over files, not even in a user namespace")
    hidden = found_libraries()
    names = [f"{name}.so{end}" for name in LIBRARIES for end in ("", ".0", ".1", ".6", ".8")]
    script = 'for f in $HIDDEN; do mount --bind /dev/null "$f" || exit 99; done; exec "$@"'
    ended = subprocess.run(
        ["unshare", *flags, "sh", "-c", script, "sh", sys.executable, "-c", PROGRAM, *names],
        cwd=tmp_path,
        env={**without_carla(tmp_path), "HIDDEN": " ".join(hidden)},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("rendered\n")
    assert "smoke: PASS" in ended.stdout
    assert (tmp_path / "results/runs/bare/report.html").is_file()


def test_without_carla_shipped_maps_load_and_sampling_says_what_to_install(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SAMPLING],
        cwd=tmp_path,
        env=without_carla(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "simloop.errors.MissingDependencyError: Sampling the OpenDRIVE map 'mine' needs the carla"
    )
    assert "pip install 'carla==0.9.16'" in last
    assert "Shipped maps work without it." in last
