"""How a scenario parameter is written for readers: its name without the unit, and its values with it."""

from __future__ import annotations

UNITS = {
    "_mps3": "m/s³", "_mps2": "m/s²", "_radps": "rad/s", "_mps": "m/s", "_rad": "rad", "_deg": "°", "_hz": "Hz",
    "_kgpm3": "kg/m³", "_kg": "kg", "_m": "m", "_s": "s", "_n": "N", "_ratio": "", "_count": "", "_id": "",
}  # fmt: skip
"""Unit by suffix; a longer suffix stands before one that it ends in."""
_KMH = 3.6


def split_unit(name: str) -> tuple[str, str]:
    """Returns a parameter's name in words and its unit: ``("ego speed", "m/s")`` for ``ego_speed_mps``."""
    suffix = next((s for s in UNITS if name.endswith(s) and name != s), "")
    words = name.removesuffix(suffix) if UNITS.get(suffix) else name
    return words.replace("_", " "), UNITS.get(suffix, "")


def axis_title(name: str) -> str:
    """Returns what stands beside an axis: ``gap in m``."""
    words, unit = split_unit(name)
    return f"{words} in {unit}" if unit else words


def value_text(name: str, value: float | str) -> str:
    """Returns a value as a reader would write it: ``ego speed 16.7 m/s (60 km/h)``."""
    return f"{split_unit(name)[0]} {value}" if isinstance(value, str) else span_text(name, value, value)


def span_text(name: str, low: float, high: float) -> str:
    """Returns a range as a reader would write it: ``ego speed 2.78 to 8.33 m/s (10 to 30 km/h)``."""
    words, unit = split_unit(name)
    text = f"{words} {_numbers(low, high, 3)} {unit}".rstrip()
    return f"{text} ({_numbers(low * _KMH, high * _KMH, 4)} km/h)" if unit == "m/s" else text


def _numbers(low: float, high: float, digits: int) -> str:
    first, last = f"{low:.{digits}g}", f"{high:.{digits}g}"
    return first if first == last else f"{first} to {last}"
