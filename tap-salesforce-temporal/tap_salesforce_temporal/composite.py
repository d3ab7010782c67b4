"""Several GETs in one API call, by `/composite` (REST API Developer Guide, Composite): descriptions, first pages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions.answers import decoded
from microdecisions.errors import ConfigurationError, QuotaCeilingError, SalesforceError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microdecisions.session import SalesforceSession

__all__ = ["MOST_PARTS", "MOST_QUERIES", "Part", "get_together"]

MOST_PARTS: Final = 25
"""Requests that one composite request may hold."""

MOST_QUERIES: Final = 5
"""Requests of it that may be queries."""

logger = logging.getLogger(__name__)


class Part(msgspec.Struct, rename="camel"):
    """What the org said to one of the requests.

    Attributes:
        reference_id: Which one.
        http_status_code: As it would be of the request alone.
        body: JSON.
    """

    reference_id: str
    http_status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def good(self) -> bool:
        """Whether the body is what was asked for."""
        return self.http_status_code < 300


class _Answer(msgspec.Struct, rename="camel"):
    composite_response: list[Part]


def get_together(session: SalesforceSession, targets: Sequence[str]) -> list[Part | None]:
    """Make up to 25 GETs, of which five may be queries, in one API call.

    Args:
        session: Logged-in session.
        targets: Paths below `/services/data/vXX.0/`, with their query strings, quoted.

    Returns:
        What was said to each, in their order; None of what is to be asked alone, as all of them when the org refuses
        to be asked so.

    Raises:
        QuotaCeilingError, ConfigurationError, UnreachableError: What would meet each of them alone too.
    """
    parts = [
        {"method": "GET", "referenceId": f"part{number}", "url": f"/services/data/v{session.api_version}/{target}"}
        for number, target in enumerate(targets)
    ]
    try:
        asked = {"allOrNone": False, "compositeRequest": parts}
        answer: _Answer = decoded(session.request("POST", "composite", json=asked, purpose="query"), _Answer)
    except (QuotaCeilingError, ConfigurationError, UnreachableError):
        raise
    except SalesforceError as error:
        logger.debug("Several requests at once were refused, each is made alone: %s", error)
        return [None] * len(targets)
    by_reference = {part.reference_id: part for part in answer.composite_response}
    return [by_reference.get(f"part{number}") for number in range(len(targets))]
