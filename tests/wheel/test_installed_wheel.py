"""The built wheel, installed in an environment of its own, holds all that a run needs; ``.ci/run`` runs this."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import duckdb
import pytest
import ray

import simloop

pytestmark = pytest.mark.wheel

PACKAGES = (
    "simloop",
    "simloop_driving",
    "simloop_bimanual",
    "simloop_agents",
    "simloop_conf",
    "simloop_scenarios",
)
SIMLOOP = Path(sys.executable).parent / "simloop"


def _site_packages() -> Path:
    return Path(sysconfig.get_path("purelib")).resolve()


def _run(folder: Path, *arguments: str) -> str:
    done = subprocess.run([str(SIMLOOP), *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _names(folder: Path, kind: str) -> set[str]:
    return {entry["name"] for entry in json.loads(_run(folder, "list", kind, "--json"))}


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_come_from_the_wheel(name: str) -> None:
    file = importlib.import_module(name).__file__
    assert file is not None
    assert Path(file).resolve().is_relative_to(_site_packages())


def test_ray_workers_import_the_wheel() -> None:
    def where() -> str:
        import simloop

        return str(simloop.__file__)

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        assert ray.get(ray.remote(where).remote()) == simloop.__file__
    finally:
        ray.shutdown()
    assert Path(str(simloop.__file__)).resolve().is_relative_to(_site_packages())


def test_metadata_names_distribution_licence_and_plug_ins() -> None:
    distribution = importlib.metadata.distribution("simloop-platform")
    assert distribution.metadata["License-Expression"] == "Apache-2.0"
    worlds = {point.name for point in distribution.entry_points.select(group="simloop.worlds")}
    assert {"driving", "bimanual"} <= worlds
    assert all(point.load() for point in distribution.entry_points)


def test_lists_know_what_ships(tmp_path: Path) -> None:
    assert {"cut_in", "lead_deceleration"} <= _names(tmp_path, "scenarios")
    assert {"expert", "unified"} <= _names(tmp_path, "agents")
    assert {"paused", "blocking", "naive_async", "prefix"} <= _names(tmp_path, "strategies")
    assert "zero" in _names(tmp_path, "timings")
    assert "smoke" in _names(tmp_path, "suites")
    assert "min_ttc_s" in _names(tmp_path, "metrics")


def test_a_run_of_both_domains_on_ray(tmp_path: Path) -> None:
    _run(
        tmp_path,
        "run",
        "suite=smoke",
        "agent=expert",
        "timing=zero",
        "strategy=paused",
        "seeds.count=1",
        "run_id=wheel",
    )
    run = tmp_path / "results" / "runs" / "wheel"
    missing = [
        name
        for name in ("manifest.json", "report.html", "junit.xml", "summary.md", "summary.json")
        if not (run / name).is_file()
    ]
    assert missing == []
    rows = duckdb.execute(f"select scenario, status from '{run}/parts/*.parquet'").fetchall()
    assert len({scenario for scenario, _ in rows}) >= 3
    assert {status for _, status in rows} == {"success"}
