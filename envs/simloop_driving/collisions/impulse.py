"""How hard an impact is: the impulse that two bodies of known mass exchange along the normal of their contact."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

RESTITUTION = 0.1
"""Speed of parting over speed of closing. Assumed for all classes: vehicles typically have 0 to 0.3
(forensicspot.com/glossary/coefficient-of-restitution-e)."""
CLASS_MASS_KG = {
    "car": 1500.0,
    "truck": 15000.0,
    "motorcycle": 300.0,
    "bicycle": 90.0,
    "pedestrian": 75.0,
    "door": 1500.0,
    "barrier": math.inf,
    "cone": 5.0,
}
"""Typical masses with load. A door moves its car, a barrier stays."""


def impulse_newton_s(closing_mps: FloatArray, mass_kg: float, other_mass_kg: FloatArray) -> FloatArray:
    """Returns the impulse of central impacts: reduced mass times closing speed times (1 + ``RESTITUTION``).

    It is the momentum that goes from one body to the other (Newton's law of impact, as in the
    model of Kudlich and Slibar that accidents are reconstructed with). Neither turns and nothing slides: for a blow off
    the centres of mass it is an upper bound, as part of the closing speed becomes rotation; friction along the surfaces
    comes on top.

    Args:
        closing_mps: (n,) closing speeds along the normals of the contacts.
        mass_kg: Mass of the one.
        other_mass_kg: (n,) masses of the others; infinite for what stays.

    Returns:
        (n,) impulses in newton seconds.
    """
    out: FloatArray = (1.0 + RESTITUTION) * closing_mps / (1.0 / mass_kg + 1.0 / other_mass_kg)
    return out
