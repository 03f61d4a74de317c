"""The command line, called as the ``simloop`` script calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from simloop.cli.main import main


class Ended(NamedTuple):
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


Simloop = Callable[..., Ended]


@pytest.fixture
def simloop(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Simloop:
    """Calls ``simloop`` with words and returns how it ended; tables are printed wide enough not to be folded."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit, match=r"^\d+$") as caught:
            main(list(words))
        assert isinstance(caught.value.code, int)
        return Ended(caught.value.code, *capsys.readouterr())

    return call
