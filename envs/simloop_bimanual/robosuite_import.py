"""The one place that imports robosuite: quietly, and on machines without libGL, libEGL or libOSMesa.

robosuite imports ``cv2`` and ``mujoco.viewer`` for windows that simloop does not open; the one needs libGL, the other
GLFW. It also asks for EGL through ``MUJOCO_GL`` while it is imported. None of it is needed for physics, so either
module is replaced by an empty one for the length of the import when it does not load, and ``MUJOCO_GL`` is set to
``disable`` for that time when the user has not chosen a value.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.machinery
import logging
import os
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

from simloop.errors import MissingDependencyError

_VIEWER_MODULES = ("cv2", "mujoco.viewer")
_LOGGER_NAME = "robosuite_logs"
_INSTALL_HINT = 'install it with `pip install "robosuite==1.5.2" "mujoco>=3.6,<3.10"`'


@functools.cache
def load_robosuite() -> Any:
    """Imports robosuite once per process and returns the module.

    Raises:
        MissingDependencyError: robosuite or a MuJoCo that it runs on (3.6 to 3.9) is not installed.
    """
    with _without_gl(), _quiet(), _stand_ins():
        mujoco = load_mujoco()
        try:
            robosuite = importlib.import_module("robosuite")
        except ImportError as error:
            raise MissingDependencyError(
                f"The two-arm world needs robosuite, which does not import ({error}); {_INSTALL_HINT}."
            ) from error
    major, minor = (int(part) for part in mujoco.__version__.split(".")[:2])
    if (major, minor) < (3, 6) or (major, minor) >= (3, 10):
        raise MissingDependencyError(
            f"robosuite {robosuite.__version__} does not run on mujoco {mujoco.__version__}; allowed: 3.6 to 3.9, "
            f"{_INSTALL_HINT}."
        )
    return robosuite


@functools.cache
def load_mujoco() -> Any:
    """Imports MuJoCo without asking for an OpenGL library, and returns the module.

    Raises:
        MissingDependencyError: MuJoCo is not installed.
    """
    with _without_gl():
        try:
            return importlib.import_module("mujoco")
        except ImportError as error:
            raise MissingDependencyError(
                f"The two-arm world needs mujoco, which does not import ({error}); {_INSTALL_HINT}."
            ) from error


@contextlib.contextmanager
def _without_gl() -> Iterator[None]:
    """Keeps MuJoCo and robosuite from loading an OpenGL library unless the user named one."""
    before = os.environ.get("MUJOCO_GL")
    if before is None:
        os.environ["MUJOCO_GL"] = "disable"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("MUJOCO_GL", None)
        else:
            os.environ["MUJOCO_GL"] = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps robosuite's advice on optional packages off the terminal, now and when environments are built."""
    logger = logging.getLogger(_LOGGER_NAME)
    root_handlers = list(logging.getLogger().handlers)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        logging.getLogger().handlers[:] = root_handlers
        logger.setLevel(logging.ERROR)


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """Puts an empty module in place of each viewer module that does not load, for the length of the import."""
    names = [name for name in _VIEWER_MODULES if name not in sys.modules and not _loads(name)]
    for name in names:
        stub = types.ModuleType(name, "Stands in for a viewer while robosuite is imported.")
        stub.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = stub
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def _loads(name: str) -> bool:
    try:
        importlib.import_module(name)
    except (ImportError, RuntimeError):  # mujoco.viewer raises RuntimeError without GLFW
        for part in [part for part in sys.modules if part == name or part.startswith(f"{name}.")]:
            del sys.modules[part]
        return False
    return True
