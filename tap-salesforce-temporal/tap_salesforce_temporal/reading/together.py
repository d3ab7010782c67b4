"""Increments of several streams in one API call: the first pages of up to five queries by `/composite`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from tap_salesforce_temporal.composite import MOST_QUERIES, get_together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microdecisions.session import SalesforceSession

__all__ = ["MOST_QUERIES", "first_pages"]


def first_pages(session: SalesforceSession, statements: Sequence[str]) -> dict[str, bytes]:
    """Run up to five statements by queryAll in one API call.

    Args:
        session: Logged-in session.
        statements: SOQL.

    Returns:
        The body of each answer by its statement; one that was refused is left out, to be asked again by itself.

    Raises:
        QuotaCeilingError, ConfigurationError, UnreachableError: what would meet each query alone too.
    """
    parts = get_together(session, [f"queryAll?q={quote(statement, safe='')}" for statement in statements])
    return {
        statement: bytes(part.body)
        for statement, part in zip(statements, parts, strict=True)
        if part is not None and part.good
    }
