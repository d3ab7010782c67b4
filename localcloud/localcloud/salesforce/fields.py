"""Short ways to declare the fields of an sObject."""

from __future__ import annotations

import msgspec

from localcloud.salesforce.sobject import Field

_GEOCODE_ACCURACY = (
    "Address", "Block", "City", "County", "ExtendedZip", "NearAddress", "Neighborhood", "State", "Street", "Unknown",
    "Zip",
)  # fmt: skip


def ident() -> Field:
    """The record id."""
    return Field("Id", "id", "Record ID", length=18, nillable=False)


def text(
    name: str,
    length: int = 255,
    *,
    nillable: bool = True,
    name_field: bool = False,
    read_only: bool = False,
    compound: str | None = None,
) -> Field:
    """A line of text; above 255 characters it can be neither filtered nor sorted."""
    long = length > 255
    return Field(
        name,
        "textarea" if long else "string",
        length=length,
        nillable=nillable,
        filterable=not long,
        sortable=not long,
        groupable=not long,
        name_field=name_field,
        read_only=read_only,
        compound=compound,
    )


def numbered(name: str, length: int = 30) -> Field:
    """The number that Salesforce gives a record, which is its name."""
    return Field(name, "string", length=length, nillable=False, name_field=True, read_only=True, auto_number=True)


def picklist(
    name: str,
    *values: str,
    nillable: bool = True,
    restricted: bool = False,
    read_only: bool = False,
    since: float = 0.0,
) -> Field:
    """One of a list of texts; the list does not bind unless it is restricted."""
    return Field(
        name,
        "picklist",
        length=255,
        nillable=nillable,
        values=values,
        restricted=restricted,
        read_only=read_only,
        since=since,
    )


def number(
    name: str, kind: str, precision: int = 18, scale: int = 2, since: float = 0.0, *, nillable: bool = True
) -> Field:
    """A decimal number: `currency`, `double` or `percent`."""
    return Field(name, kind, precision=precision, scale=scale, groupable=False, since=since, nillable=nillable)


def whole(name: str, *, nillable: bool = True, since: float = 0.0) -> Field:
    """A whole number."""
    return Field(name, "int", nillable=nillable, since=since)


def flag(name: str, *, read_only: bool = False, since: float = 0.0) -> Field:
    """True or false, never empty."""
    return Field(name, "boolean", nillable=False, read_only=read_only, since=since)


def date(name: str, *, nillable: bool = True, since: float = 0.0, read_only: bool = False) -> Field:
    """A day."""
    return Field(name, "date", nillable=nillable, since=since, read_only=read_only)


def instant(name: str, *, nillable: bool = True, read_only: bool = False, since: float = 0.0) -> Field:
    """A date and time."""
    return Field(name, "datetime", nillable=nillable, groupable=False, read_only=read_only, since=since)


def address(name: str, prefix: str) -> tuple[Field, ...]:
    """A postal address: its parts, whose names begin with a prefix, and the compound field made of them."""

    def part(end: str, length: int, kind: str = "string") -> Field:
        return Field(prefix + end, kind, length=length, compound=name)

    return (
        part("Street", 255, "textarea"),
        part("City", 40),
        part("State", 80),
        part("PostalCode", 20),
        part("Country", 80),
        Field(prefix + "Latitude", "double", precision=18, scale=15, groupable=False, compound=name),
        Field(prefix + "Longitude", "double", precision=18, scale=15, groupable=False, compound=name),
        Field(
            prefix + "GeocodeAccuracy",
            "picklist",
            length=40,
            values=_GEOCODE_ACCURACY,
            restricted=True,
            compound=name,
        ),
        Field(name, "address", filterable=False, sortable=False, groupable=False, read_only=True),
    )


def blob(name: str) -> Field:
    """Bytes that a query shows as the address they can be read from."""
    return Field(name, "base64", nillable=False, filterable=False, sortable=False, groupable=False, read_only=True)


def shown_only(field: Field, *, sortable: bool = True, groupable: bool = False) -> Field:
    """The same field where it can be read but not filtered."""
    return msgspec.structs.replace(field, filterable=False, sortable=sortable, groupable=groupable)


def lookup(
    name: str,
    *to: str,
    down: str | None = None,
    nillable: bool = True,
    cascade: bool = False,
    read_only: bool = False,
    since: float = 0.0,
) -> Field:
    """A reference to a record of one of some objects; `down` names the way back.

    With `cascade` the row is deleted with the record that it points at.
    """
    relationship = name[:-1] + "r" if name.endswith("__c") else name.removesuffix("Id")
    return Field(
        name,
        "reference",
        length=18,
        nillable=nillable,
        reference_to=to,
        relationship=relationship,
        child_relationship=down,
        cascade=cascade,
        read_only=read_only,
        since=since,
    )


def any_value(name: str) -> Field:
    """A value of a kind that the row tells: it can be sorted, but neither filtered nor grouped."""
    return Field(name, "anyType", length=255, filterable=False, groupable=False)


def kind(name: str, type_: str, length: int = 80) -> Field:
    """A text field of a special describe type, such as `email` or `phone`."""
    return Field(name, type_, length=length)


def created() -> tuple[Field, ...]:
    """Who made a row, and when."""
    return (lookup("CreatedById", "User", nillable=False), instant("CreatedDate", nillable=False))


def audit() -> tuple[Field, ...]:
    """Who made a row, who changed it last, and when."""
    return (
        instant("CreatedDate", nillable=False),
        lookup("CreatedById", "User", nillable=False),
        instant("LastModifiedDate", nillable=False),
        lookup("LastModifiedById", "User", nillable=False),
        instant("SystemModstamp", nillable=False),
    )
