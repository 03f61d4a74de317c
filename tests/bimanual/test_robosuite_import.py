"""robosuite is imported quietly, without OpenGL and without leaving traces."""

from __future__ import annotations

import os
import subprocess
import sys

_BARE = """
import importlib.abc, logging, os, sys

class NoLibGL(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("cv2", "OpenGL", "glfw"):
            raise ImportError("libGL.so.1: cannot open shared object file")

sys.meta_path.insert(0, NoLibGL())
import simloop_bimanual
assert not {"robosuite", "mujoco", "numba"} & set(sys.modules), "importing the package must stay cheap"
from simloop_bimanual.robosuite_import import load_robosuite
handlers = list(logging.getLogger().handlers)
robosuite = load_robosuite()
assert robosuite.__version__ == "1.5.2"
assert "cv2" not in sys.modules, "the stand-in for cv2 was left behind"
assert "MUJOCO_GL" not in os.environ
assert logging.getLogger().handlers == handlers
assert load_robosuite() is robosuite
from simloop.scenario_files import load_family
from simloop_bimanual.world import BimanualWorld
world = BimanualWorld()
world.reset(load_family("two_arm_lift").scenario(0), 0)
image = world.capture("front_camera", 0).array
print("fine", image.shape, int(image.std() > 10))
"""


def test_a_machine_without_opengl_runs_and_renders() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    run = subprocess.run(
        [sys.executable, "-c", _BARE], capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "fine (96, 128, 3) 1"
    assert run.stderr == ""
