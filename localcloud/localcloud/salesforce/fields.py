"""Short ways to declare the fields of an sObject."""

from __future__ import annotations

from localcloud.salesforce.sobject import Field


def ident() -> Field:
    """The record id."""
    return Field("Id", "id", "Record ID", length=18, nillable=False)


def text(name: str, length: int = 255, *, nillable: bool = True, name_field: bool = False) -> Field:
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
    )


def picklist(name: str, *values: str, nillable: bool = True, restricted: bool = False) -> Field:
    """One of a list of texts; the list does not bind unless it is restricted."""
    return Field(name, "picklist", length=255, nillable=nillable, values=values, restricted=restricted)


def number(name: str, kind: str, precision: int = 18, scale: int = 2, since: float = 0.0) -> Field:
    """A decimal number: `currency`, `double` or `percent`."""
    return Field(name, kind, precision=precision, scale=scale, groupable=False, since=since)


def whole(name: str) -> Field:
    """A whole number."""
    return Field(name, "int")


def flag(name: str) -> Field:
    """True or false, never empty."""
    return Field(name, "boolean", nillable=False)


def date(name: str, *, nillable: bool = True, since: float = 0.0) -> Field:
    """A day."""
    return Field(name, "date", nillable=nillable, since=since)


def instant(name: str, *, nillable: bool = True) -> Field:
    """A date and time."""
    return Field(name, "datetime", nillable=nillable, groupable=False)


def lookup(name: str, *to: str, down: str | None = None, nillable: bool = True) -> Field:
    """A reference to a record of one of some objects; `down` names the way back."""
    relationship = name[:-1] + "r" if name.endswith("__c") else name.removesuffix("Id")
    return Field(
        name,
        "reference",
        length=18,
        nillable=nillable,
        reference_to=to,
        relationship=relationship,
        child_relationship=down,
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
