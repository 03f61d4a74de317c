"""What decides the last bits of a rollout on this machine: CPU feature level, libc, Python and package versions."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path

NUMERIC_PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "llvmlite",
    "mujoco",
    "robosuite",
    "carla",
    "torch",
    "transformers",
    "simloop-platform",
)
"""Packages whose version can change a result."""

# The micro-architecture levels of the x86-64 psABI, https://gitlab.com/x86-psABIs/x86-64-ABI, table 3.1; names of
# the flags as Linux prints them in /proc/cpuinfo.
_X86_LEVELS: tuple[tuple[str, frozenset[str]], ...] = (
    ("x86-64-v2", frozenset({"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"})),
    ("x86-64-v3", frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"})),
    ("x86-64-v4", frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})),
)


def x86_level(flags: frozenset[str]) -> str:
    """Returns the highest psABI level that a set of ``/proc/cpuinfo`` flags covers."""
    level = "x86-64-v1"
    for name, needed in _X86_LEVELS:
        if not needed <= flags:
            break
        level = name
    return level


def cpu_feature_level(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Returns the CPU's feature level, or its architecture where there is no ``/proc/cpuinfo`` or it is not x86."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64") and cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("flags"):
                return x86_level(frozenset(line.partition(":")[2].split()))
    return machine


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Returns the processor's name, or "unknown" where ``/proc/cpuinfo`` does not say it."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unknown"


@functools.cache
def distributions_digest() -> str:
    """Returns 32 hex digits of blake2b over the names and versions of all installed distributions, sorted."""
    names = {f"{d.metadata['Name'].lower()}=={d.version}" for d in importlib.metadata.distributions()}
    return hashlib.blake2b("\n".join(sorted(names)).encode(), digest_size=16).hexdigest()


def package_versions(names: tuple[str, ...] = NUMERIC_PACKAGES) -> dict[str, str]:
    """Returns the installed version by package name; packages that are not installed are left out."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def platform_key() -> dict[str, str]:
    """Returns the facts under which equal specs give equal bytes; compared before a run is resumed."""
    libc, libc_version = platform.libc_ver()
    return {
        "cpu": cpu_feature_level(),
        "system": platform.system(),
        "libc": f"{libc} {libc_version}".strip() or "unknown",
        "python": platform.python_version(),
        **package_versions(),
    }


def machine_facts() -> dict[str, str]:
    """Returns facts about this machine that do not change results, for the manifest."""
    return {
        "num_cpus": str(os.cpu_count() or 0),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu_model": cpu_model(),
    }
