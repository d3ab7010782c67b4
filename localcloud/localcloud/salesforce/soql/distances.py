"""DISTANCE(): kilometres and miles between two places, as SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.soql.syntax import Path

if TYPE_CHECKING:
    from decimal import Decimal

    from localcloud.salesforce.soql.scope import Scope
    from localcloud.salesforce.soql.syntax import Distance

LOCATION_TYPES = frozenset({"address", "location"})
_RADIUS = {"km": "6371.0", "mi": "3958.7613"}  # of a sphere, as the reference says
_NORTH, _EAST = 90, 180


def distance_sql(scope: Scope, distance: Distance) -> str:
    """SQL of the great-circle distance; NULL where a place is not known.

    Raises:
        SoqlError: The unit or a field is not right ("Location-Based SOQL Queries").
    """
    radius = _RADIUS.get(distance.unit)
    if radius is None:
        raise scope.context.error(distance.start, f"Invalid distance unit: {distance.unit}. Use 'mi' or 'km'.")
    lat1, lon1 = _place(scope, distance.place)
    if isinstance(distance.other, Path):
        lat2, lon2 = _place(scope, distance.other)
    else:
        lat2, lon2 = _given(scope, distance.other, distance.start)
    sine = f"pow(sin(radians({lat2}-{lat1})/2),2)"
    chord = f"min(1.0,{sine}+cos(radians({lat1}))*cos(radians({lat2}))*pow(sin(radians({lon2}-{lon1})/2),2))"
    return f"(2*{radius}*asin(sqrt({chord})))"


def _given(scope: Scope, pair: tuple[Decimal, Decimal], start: int) -> tuple[str, str]:
    latitude, longitude = pair
    if abs(latitude) > _NORTH or abs(longitude) > _EAST:
        raise scope.context.error(start, f"Invalid geolocation: {latitude}, {longitude}")
    return f"({latitude:f})", f"({longitude:f})"


def _place(scope: Scope, path: Path) -> tuple[str, str]:
    column = scope.column(path)
    name, node = column.field.name, column.node
    if column.field.type in LOCATION_TYPES:
        stem = name.removesuffix("Address") if column.field.type == "address" else name.removesuffix("__c")
        ends = ("Latitude", "Longitude") if column.field.type == "address" else ("__latitude__s", "__longitude__s")
        fields = [scope.context.field(node.sobject, stem + end) for end in ends]
        if fields[0] is not None and fields[1] is not None:
            return f"CAST({node.sql(fields[0])} AS REAL)", f"CAST({node.sql(fields[1])} AS REAL)"
    raise scope.context.error(path.start, f"field {name} does not support function DISTANCE")
