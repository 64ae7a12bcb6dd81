"""One haversine, written once for Python and once for PostgreSQL, step by step the same.

Both run the same double-precision operations in the same order over the same C library functions, and
compare the haversine itself with a bound computed once, so that no `asin` or `sqrt` can round them apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from server.conditions.values import Circle, is_finite_number

EARTH_RADIUS_KM = 6371.0088
RADIANS_PER_DEGREE = math.pi / 180
HALF_RADIANS_PER_DEGREE = math.pi / 360

# PostgreSQL raises an error where a product underflows. A coordinate this close to zero is zero.
NEGLIGIBLE_DEGREES = 1e-40


def haversine(latitude: float, longitude: float, circle: Circle) -> float:
    """The haversine of the central angle between a place and the circle's centre, 0 to 1."""
    north = math.sin((latitude - circle.latitude) * HALF_RADIANS_PER_DEGREE)
    east = math.sin((longitude - circle.longitude) * HALF_RADIANS_PER_DEGREE)
    return north * north + math.cos(latitude * RADIANS_PER_DEGREE) * centre_cosine(circle) * east * east


def haversine_sql(latitude: str, longitude: str, circle: tuple[str, str, str]) -> str:
    """`haversine` in SQL, over double precision expressions.

    Args:
        latitude: SQL of the place's latitude, degrees.
        longitude: SQL of the place's longitude, degrees.
        circle: SQL of the centre's latitude, longitude and `centre_cosine`.
    """
    centre_latitude, centre_longitude, cosine = circle
    half = f"{HALF_RADIANS_PER_DEGREE!r}::float8"
    north = f"sin(({latitude} - {centre_latitude}) * {half})"
    east = f"sin(({longitude} - {centre_longitude}) * {half})"
    parallel = f"cos({latitude} * {RADIANS_PER_DEGREE!r}::float8) * {cosine}"
    return f"{north} * {north} + {parallel} * {east} * {east}"


def centre_cosine(circle: Circle) -> float:
    """The cosine of the centre's latitude; computed in Python for both worlds."""
    return math.cos(circle.latitude * RADIANS_PER_DEGREE)


def haversine_bound(circle: Circle) -> float:
    """The haversine of the radius: a place is inside when its own haversine is not greater."""
    half_angle = math.sin(circle.km / (2 * EARTH_RADIUS_KM))
    return half_angle * half_angle


def place_of(value: object) -> tuple[float, float] | None:
    """A fact read as a place: an object with `latitude` and `longitude` in degrees; anything else is None."""
    if not isinstance(value, Mapping):
        return None
    latitude = _degrees(value.get("latitude"), 90)
    longitude = _degrees(value.get("longitude"), 180)
    return None if latitude is None or longitude is None else (latitude, longitude)


def _degrees(value: object, limit: int) -> float | None:
    if not is_finite_number(value) or not -limit <= value <= limit:
        return None
    degrees = float(value)
    return 0.0 if abs(degrees) < NEGLIGIBLE_DEGREES else degrees
