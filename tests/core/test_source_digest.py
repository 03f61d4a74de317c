"""Another source, another digest, whichever file of a package it is in."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path

import pytest

from simloop.errors import ConfigurationError
from simloop.source_digest import module_digest, source_digest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package ``digested`` with a module and a subpackage."""
    folder = tmp_path / "digested"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text("A = 1\n")
    (folder / "inner" / "b.py").write_text("B = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    source_digest.cache_clear()
    return folder


def digested(*only: str) -> str:
    source_digest.cache_clear()
    return source_digest("digested", only)


def test_it_is_blake2b_over_names_and_contents(package: Path) -> None:
    whole = b"__init__.py\0" + b"a.py\0A = 1\n" + b"inner/b.py\0B = 1\n"
    assert digested() == hashlib.blake2b(whole, digest_size=16).hexdigest()
    assert digested("a.py", "inner") == hashlib.blake2b(whole[12:], digest_size=16).hexdigest()
    (package / "notes.txt").write_text("no source")
    assert digested() == hashlib.blake2b(whole, digest_size=16).hexdigest()


def test_a_change_counts_where_it_is_asked_for(package: Path) -> None:
    whole, outer, inner = digested(), digested("a.py"), digested("inner")
    (package / "inner" / "b.py").write_text("B = 2\n")
    assert digested() != whole
    assert digested("inner") != inner
    assert digested("a.py") == outer


def test_what_is_not_there_is_refused(package: Path) -> None:
    with pytest.raises(ConfigurationError, match="'no_such_package' is not a package with source"):
        source_digest("no_such_package")
    with pytest.raises(ConfigurationError, match="gone holds no source; reinstall digested"):
        digested("gone")
    assert package.is_dir()


def test_a_modules_file_is_read_as_it_is_now(package: Path) -> None:
    importlib.import_module("digested.a")
    before = module_digest("digested.a")
    assert module_digest("digested.a", "digested.a") == before
    (package / "a.py").write_text("A = 2\n")
    assert module_digest("digested.a") != before
