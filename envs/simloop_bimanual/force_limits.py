"""Presets of the largest force of a contact, which users name in the world config and may write themselves."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any

from simloop.errors import ParameterError, UnknownNameError
from simloop.scenario_files import read_yaml_mapping

_KEYS = ("description", "source", "caveats", "transient_s", "region", "regions")
_WHERE = "world config key 'force_limits' of the bimanual world"


def read_force_limits(preset: str) -> dict[str, Any]:
    """Returns a preset as plain values for the log attribute ``force_limits``.

    Args:
        preset: Name of a file in ``conf/force_limits``, or the path of a YAML file of that form.

    Returns:
        The preset's ``name``, its ``region``, for that region ``quasi_static_n`` and ``transient_ratio`` (the limit of
        a blow over that at rest), and ``transient_s``, the duration below which a collision is a blow.

    Raises:
        ConfigurationError: There is no such preset or file, or it misses a key or has a number out of range.
    """
    if preset.endswith(".yaml"):
        content = read_yaml_mapping(Path(preset))
    else:
        folder = importlib.resources.files("simloop_conf") / "force_limits"
        names = sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))
        if preset not in names:
            raise UnknownNameError("preset", preset, (*names, "a path that ends in .yaml"), where=_WHERE)
        content = read_yaml_mapping(folder / f"{preset}.yaml")
    for key in content:
        if key not in _KEYS:
            raise UnknownNameError("key", str(key), _KEYS, where=f"preset {preset!r}")
    regions = content.get("regions")
    region = content.get("region")
    if not isinstance(regions, dict) or region not in regions or not isinstance(regions[region], dict):
        known = sorted(map(str, regions)) if isinstance(regions, dict) else []
        raise UnknownNameError("region", str(region), known, where=f"preset {preset!r}")
    found = {
        "quasi_static_n": regions[region].get("quasi_static_n"),
        "transient_ratio": regions[region].get("transient_ratio", 1),
        "transient_s": content.get("transient_s"),
    }
    for key, value in found.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value <= 1e6:
            raise ParameterError(
                f"Preset {preset!r}: {key} is {value!r}; allowed: a number above 0 and up to 1e6. Write it under "
                f"{'the top level' if key == 'transient_s' else f'regions.{region}'}."
            )
    return {"name": preset, "region": str(region), **{key: float(value) for key, value in found.items()}}
