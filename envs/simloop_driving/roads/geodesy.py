"""From a map's metres to latitude and longitude: the inverse transverse Mercator projection on WGS 84.

Krueger's series to third order in the third flattening, in the form of C. F. F. Karney, "Transverse Mercator with an
accuracy of a few nanometers", J. Geodesy 85 (2011), equations 7 to 36; within 100 km of the origin the rest is below a
tenth of a millimetre. The scale on the central meridian is 1, as in the geographic reference of the shipped maps.
"""

from __future__ import annotations

import math

SEMI_MAJOR_AXIS_M = 6_378_137.0
FLATTENING = 1.0 / 298.257223563

_N = FLATTENING / (2.0 - FLATTENING)
_E = math.sqrt(FLATTENING * (2.0 - FLATTENING))
_RECTIFYING_RADIUS_M = SEMI_MAJOR_AXIS_M / (1.0 + _N) * (1.0 + _N**2 / 4.0 + _N**4 / 64.0)
_ALPHA = (
    _N / 2.0 - 2.0 * _N**2 / 3.0 + 5.0 * _N**3 / 16.0,
    13.0 * _N**2 / 48.0 - 3.0 * _N**3 / 5.0,
    61.0 * _N**3 / 240.0,
)
_BETA = (
    _N / 2.0 - 2.0 * _N**2 / 3.0 + 37.0 * _N**3 / 96.0,
    _N**2 / 48.0 + _N**3 / 15.0,
    17.0 * _N**3 / 480.0,
)


def _conformal_tangent(tangent: float) -> float:
    """Tangent of the conformal latitude from that of the latitude."""
    secant = math.hypot(1.0, tangent)
    sigma = math.sinh(_E * math.atanh(_E * tangent / secant))
    return tangent * math.hypot(1.0, sigma) - sigma * secant


def geographic_position(
    x_m: float, y_m: float, origin_latitude_deg: float, origin_longitude_deg: float
) -> tuple[float, float]:
    """Returns latitude and longitude in degrees of a point of a map.

    Args:
        x_m: East of the origin.
        y_m: North of the origin.
        origin_latitude_deg: Latitude of the map's origin, ``lat_0``.
        origin_longitude_deg: Longitude of the map's origin, ``lon_0``; the central meridian.
    """
    origin_tangent = _conformal_tangent(math.tan(math.radians(origin_latitude_deg)))
    xi_prime = math.atan(origin_tangent)
    origin_xi = xi_prime + sum(a * math.sin(2.0 * j * xi_prime) for j, a in enumerate(_ALPHA, start=1))
    xi = origin_xi + y_m / _RECTIFYING_RADIUS_M
    eta = x_m / _RECTIFYING_RADIUS_M
    xi_prime = xi - sum(
        b * math.sin(2 * j * xi) * math.cosh(2 * j * eta) for j, b in enumerate(_BETA, start=1)
    )
    eta_prime = eta - sum(
        b * math.cos(2 * j * xi) * math.sinh(2 * j * eta) for j, b in enumerate(_BETA, start=1)
    )
    conformal = math.sin(xi_prime) / math.hypot(math.sinh(eta_prime), math.cos(xi_prime))
    tangent = conformal / (1.0 - _E**2)
    for _ in range(5):  # Newton's method, Karney's equations 19 to 21
        wrong = conformal - _conformal_tangent(tangent)
        tangent += (
            wrong
            / math.hypot(1.0, _conformal_tangent(tangent))
            * (1.0 + (1.0 - _E**2) * tangent**2)
            / ((1.0 - _E**2) * math.hypot(1.0, tangent))
        )
    longitude_rad = math.atan2(math.sinh(eta_prime), math.cos(xi_prime))
    return math.degrees(math.atan(tangent)), origin_longitude_deg + math.degrees(longitude_rad)
