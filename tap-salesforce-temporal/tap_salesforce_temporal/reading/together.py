"""Increments of several streams in one API call: the first pages of up to five queries by `/composite`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from microdecisions.errors import ConfigurationError, QuotaCeilingError, SalesforceError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microdecisions.session import SalesforceSession

__all__ = ["MOST_QUERIES", "first_pages"]

MOST_QUERIES: Final = 5
"""Queries that one composite request may hold (REST API Developer Guide, Composite)."""

logger = logging.getLogger(__name__)


class _Part(msgspec.Struct, rename="camel"):
    reference_id: str
    http_status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Answer(msgspec.Struct, rename="camel"):
    composite_response: list[_Part]


def first_pages(session: SalesforceSession, statements: Sequence[str]) -> dict[str, bytes]:
    """Run up to five statements by queryAll in one API call.

    Args:
        session: Logged-in session.
        statements: SOQL.

    Returns:
        The body of each answer by its statement; one that was refused is left out, to be asked again by itself.

    Raises:
        QuotaCeilingError, ConfigurationError: what would meet each query alone too.
    """
    path = f"/services/data/v{session.api_version}/queryAll?q="
    parts = [
        {"method": "GET", "referenceId": f"page{number}", "url": path + quote(statement, safe="")}
        for number, statement in enumerate(statements)
    ]
    asked = {"allOrNone": False, "compositeRequest": parts}
    try:
        answer = session.post_json("composite", asked, kind=_Answer)
    except (QuotaCeilingError, ConfigurationError, UnreachableError):
        raise
    except SalesforceError as error:
        logger.debug("Several queries at once were refused, each is asked alone: %s", error)
        return {}
    by_reference = {part.reference_id: part for part in answer.composite_response}
    pages = {}
    for number, statement in enumerate(statements):
        part = by_reference.get(f"page{number}")
        if part is not None and part.http_status_code == 200:
            pages[statement] = bytes(part.body)
    return pages
