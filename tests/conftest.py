"""Settings that every test runs under."""

from __future__ import annotations

import os
from pathlib import Path

# Before numpy, torch or numba load: one thread a process, as episodes are run.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# Nothing in a test may ask a model hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# The same examples in every run: a failure that shows once shows again.
settings.register_profile("simloop", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("simloop")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root; skips where the tests run without one, against a built wheel."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "simloop" / "__init__.py").is_file():
        pytest.skip("needs a checkout; these tests run against a built wheel")
    return root
