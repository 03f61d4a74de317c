"""sAP (mtli/sAP, arXiv 2005.10420): empirical run-time samples of a detector, in seconds.

sAP keeps ``{"type": "empirical", "samples": [s, ...]}`` in a pickle. Unpickling runs code that the file names, so
simloop never does it: the samples are taken from JSON, npz, npy or text, and a pickle is refused with the line that
converts it where it is trusted.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from simloop.clock import NS_PER_S
from simloop.errors import TraceError
from simloop.timing.importers.samples import ImportedSamples, read_text, whole_ns

_NAME = "samples"
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def read_sap(path: Path) -> ImportedSamples:
    """Reads samples from JSON (sAP's mapping or a list), npz (array ``samples``), npy, or text (numbers in seconds).

    Raises:
        TraceError: The file is a pickle, of another type, or a sample is no number >= 0.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(2)
    except OSError as error:
        raise TraceError(f"sAP samples {path} cannot be read: {error.strerror}.") from error
    if path.suffix in (".pkl", ".pickle") or start in _PICKLE_STARTS:
        raise TraceError(
            f"{path} is a pickle, which simloop never loads: reading one runs code that it names. Where you trust it, "
            f"convert it: python -c \"import json, pickle; d = pickle.load(open('{path.name}', 'rb')); "
            "json.dump({'type': d['type'], 'samples': [float(s) for s in d['samples']]}, "
            f"open('{path.stem}.json', 'w'))\", then import {path.stem}.json."
        )
    values = _from_arrays(path) if path.suffix in (".npz", ".npy") else _from_text(path)
    if not len(values):
        raise TraceError(f"sAP samples {path}: no sample; needed: at least one number of seconds.")
    return ImportedSamples(
        durations_ns={_NAME: whole_ns(values, NS_PER_S, f"{path}, {_NAME} (s)")}, main=_NAME
    )


def _from_arrays(path: Path) -> list[Any]:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise TraceError(f"sAP samples {path} cannot be read: {error}.") from error
    if isinstance(loaded, np.ndarray):
        return list(loaded.ravel().tolist())
    with loaded:
        if _NAME not in loaded:
            raise TraceError(f"sAP samples {path} has the arrays {sorted(loaded)}; needed: {_NAME!r}.")
        try:
            values: list[Any] = loaded[_NAME].ravel().tolist()
        except ValueError as error:
            raise TraceError(f"sAP samples {path}, array {_NAME!r}: {error}.") from error
        return values


def _from_text(path: Path) -> list[Any]:
    text = read_text(path, "sAP samples")
    if text.lstrip()[0] not in "[{":
        return [
            word for line in text.splitlines() for word in line.partition("#")[0].replace(",", " ").split()
        ]
    try:
        values = json.loads(text)
    except ValueError as error:
        raise TraceError(f"sAP samples {path} cannot be read as JSON: {error}.") from error
    if isinstance(values, dict):
        if values.get("type", "empirical") != "empirical" or not isinstance(values.get(_NAME), list):
            raise TraceError(
                f"sAP samples {path}: type is {values.get('type')!r}, keys {sorted(values)}; needed: type 'empirical' "
                f"with a list {_NAME!r}."
            )
        found: list[Any] = values[_NAME]
        return found
    return list(values)
