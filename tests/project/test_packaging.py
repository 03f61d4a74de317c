"""What pyproject.toml says about packages, data and plug-ins holds for the folders."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from simloop.metrics.metric import Metric
from simloop.world import World

DATA_FOLDERS = ("conf", "scenarios")
CODE_FOLDERS = ("envs", "agents")


@pytest.fixture(scope="module")
def pyproject(repository: Path) -> dict[str, Any]:
    with (repository / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def _packages_in(root: Path, name: str) -> set[str]:
    """Every package at or under ``root``, when ``root`` is imported as ``name``."""
    found = {name}
    for init in root.rglob("__init__.py"):
        found.add(".".join((name, *init.parent.relative_to(root).parts)))
    return found


def test_package_list_equals_the_folders(repository: Path, pyproject: dict[str, Any]) -> None:
    folders = _packages_in(repository / "simloop", "simloop")
    for source_root in CODE_FOLDERS:
        for package in (repository / source_root).iterdir():
            if (package / "__init__.py").is_file():
                folders |= _packages_in(package, package.name)
    folders |= {f"simloop_{name}" for name in DATA_FOLDERS}
    assert set(pyproject["tool"]["setuptools"]["packages"]) == folders


def test_every_folder_with_code_is_a_package(repository: Path) -> None:
    roots = [
        repository / "simloop",
        *(p for f in CODE_FOLDERS for p in (repository / f).iterdir() if p.is_dir()),
    ]
    strays = [
        str(module.relative_to(repository))
        for root in roots
        for module in root.rglob("*.py")
        if not (module.parent / "__init__.py").is_file()
    ]
    assert strays == []


def test_package_dir_points_at_folders_that_exist(repository: Path, pyproject: dict[str, Any]) -> None:
    package_dir = pyproject["tool"]["setuptools"]["package-dir"]
    top_level = {name.partition(".")[0] for name in pyproject["tool"]["setuptools"]["packages"]}
    assert set(package_dir) == top_level
    for name, folder in package_dir.items():
        assert (repository / folder / "__init__.py").is_file(), f"{name} -> {folder}"


@pytest.mark.parametrize("folder", CODE_FOLDERS)
def test_source_roots_are_no_packages(repository: Path, folder: str) -> None:
    assert not (repository / folder / "__init__.py").exists()


@pytest.mark.parametrize("folder", DATA_FOLDERS)
def test_data_folders_hold_no_code(repository: Path, folder: str) -> None:
    modules = [p for p in (repository / folder).rglob("*.py") if p.read_text().strip()]
    assert modules == []


def test_installed_typing_marker_in_every_top_level_code_package(repository: Path) -> None:
    packages = [repository / "simloop"]
    packages += [p for f in CODE_FOLDERS for p in (repository / f).iterdir() if (p / "__init__.py").is_file()]
    assert [p.name for p in packages if not (p / "py.typed").is_file()] == []


def test_every_data_file_is_covered_by_package_data(repository: Path, pyproject: dict[str, Any]) -> None:
    suffixes = {
        Path(pattern).suffix or Path(pattern).name
        for pattern in pyproject["tool"]["setuptools"]["package-data"]["*"]
    }
    listed = subprocess.run(
        ["git", "ls-files", "--", "simloop", *CODE_FOLDERS, *DATA_FOLDERS],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    data = [Path(name) for name in listed if not name.endswith(".py")]
    assert data, "no data files are listed: is this a git checkout?"
    assert [str(p) for p in data if p.suffix not in suffixes and p.name not in suffixes] == []


def _resolve(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def test_entry_points_resolve_to_the_right_kind(pyproject: dict[str, Any]) -> None:
    groups = pyproject["project"]["entry-points"]
    kinds: dict[str, type] = {"simloop.worlds": World, "simloop.metrics": Metric}
    functions = ("simloop.commands", "simloop.traces")
    assert set(groups) == {*kinds, *functions}
    for group, kind in kinds.items():
        for name, target in groups[group].items():
            found = _resolve(target)
            assert issubclass(found, kind), f"{group}: {name} = {target}"
            if kind is Metric:
                assert found.name == name, f"{target} is named {found.name!r}"
    for group in functions:
        for name, target in groups[group].items():
            assert callable(_resolve(target)), f"{group}: {name} = {target}"
    assert callable(_resolve(pyproject["project"]["scripts"]["simloop"]))


def test_every_domain_metric_is_registered(repository: Path, pyproject: dict[str, Any]) -> None:
    registered = set(pyproject["project"]["entry-points"]["simloop.metrics"].values())
    written = set()
    for folder in CODE_FOLDERS:
        for path in (repository / folder).rglob("metrics/*.py"):
            module = ".".join(path.relative_to(repository / folder).with_suffix("").parts).removesuffix(
                ".__init__"
            )
            for name, found in vars(importlib.import_module(module)).items():
                is_own = isinstance(found, type) and found.__module__ == module
                if is_own and issubclass(found, Metric) and "name" in vars(found):
                    written.add(f"{module}:{name}")
    assert registered == written


def test_constraints_pin_every_direct_dependency_exactly(repository: Path, pyproject: dict[str, Any]) -> None:
    lines = [
        x for x in (repository / "constraints.txt").read_text().splitlines() if x and not x.startswith("#")
    ]
    pin = r'[a-z0-9-]+==[0-9][0-9A-Za-z.]*( ; python_version (<|>=) "3\.12")?'
    assert [x for x in lines if not re.fullmatch(pin, x)] == []
    pinned = {line.partition("==")[0] for line in lines}
    project = pyproject["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", r).group()).lower() for r in asked}  # type: ignore[union-attr]
    assert names - pinned == set()


def test_importing_the_core_is_light() -> None:
    """``import simloop`` and its seams load no simulator, no model and no compiler."""
    heavy = [
        "numba",
        "torch",
        "transformers",
        "mujoco",
        "robosuite",
        "carla",
        "ray",
        "pyarrow",
        "duckdb",
        "scipy",
    ]
    code = (
        "import simloop, simloop.agent, simloop.world, simloop.spec, simloop.log, simloop.loop, sys; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "[]"
