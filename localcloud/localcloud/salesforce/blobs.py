"""Bytes of a record: a query shows where they lie, a further request reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.errors import ApiError

if TYPE_CHECKING:
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import SObject
    from localcloud.salesforce.soql.scope import Column

CONTENT_TYPE = "application/octetstream"
"""What Salesforce calls the content ("Get Event Monitoring Content from a Record")."""


def url(version: float, column: Column) -> str:
    """SQL of the path under which the bytes of a field can be read."""
    node = column.node
    root = f"/services/data/v{version:.1f}/sobjects/{node.sobject.name}/"
    return f"('{root}'||{node.identity}||'/{column.field.name}')"


def body(org: Org, sobject: SObject, record: str, field: str) -> bytes:
    """The bytes that a field of a record holds.

    Args:
        org: Where the rows are.
        sobject: The object, as the user sees it.
        record: The 18-character id of a record that the user sees.
        field: The field's name, in any case.

    Raises:
        ApiError: 404 NOT_FOUND, the field holds no bytes.
    """
    found = sobject.by_name.get(field.lower())
    if found is None or found.type != "base64":
        raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
    row = org.db.execute(f'SELECT "{found.name}" FROM "{sobject.name}" WHERE "Id" = ?', (record,)).fetchone()
    return str(row[0] or "").encode() if row else b""
