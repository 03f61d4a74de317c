"""The platform key."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from simloop.store.platform_key import cpu_feature_level, package_versions, platform_key, x86_level

_V2 = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
_V3 = f"{_V2} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
_V4 = f"{_V3} avx512f avx512bw avx512cd avx512dq avx512vl"


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("fpu sse2", "x86-64-v1"),
        (_V2, "x86-64-v2"),
        (_V3, "x86-64-v3"),
        (_V4, "x86-64-v4"),
        (_V4.replace("avx512vl", ""), "x86-64-v3"),
        (_V3.replace("popcnt", ""), "x86-64-v1"),
    ],
)
def test_x86_levels(flags: str, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert x86_level(frozenset(flags.split())) == level
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert cpu_feature_level(cpuinfo) == level


def test_elsewhere_the_architecture_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert cpu_feature_level(tmp_path / "none") == "aarch64"


def test_the_key_names_versions_and_leaves_out_what_is_not_installed() -> None:
    key = platform_key()
    assert key["numpy"] == version("numpy")
    assert "" not in key.values()
    assert package_versions(("numpy", "surely-not-installed-anywhere")) == {"numpy": version("numpy")}
