"""Descriptions of many objects at the price of few API calls: 25 of them by one `/composite`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from microdecisions.describe import ObjectDescription
from microdecisions.errors import ConfigurationError, QuotaCeilingError, SalesforceError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microdecisions.session import SalesforceSession

__all__ = ["describe_together"]

_MOST_PARTS: Final = 25  # REST API Developer Guide, Composite

logger = logging.getLogger(__name__)


class _Part(msgspec.Struct, rename="camel"):
    reference_id: str
    http_status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Answer(msgspec.Struct, rename="camel"):
    composite_response: list[_Part]


def describe_together(session: SalesforceSession, names: Sequence[str]) -> dict[str, ObjectDescription]:
    """Describe objects, 25 in one API call.

    Args:
        session: Logged-in session.
        names: API names.

    Returns:
        Descriptions by name; what was refused is left out, to be asked for by itself.

    Raises:
        QuotaCeilingError, ConfigurationError, UnreachableError: what would meet each of them alone too.
    """
    found: dict[str, ObjectDescription] = {}
    for place in range(0, len(names), _MOST_PARTS):
        found.update(_described(session, names[place : place + _MOST_PARTS]))
    return found


def _described(session: SalesforceSession, names: Sequence[str]) -> dict[str, ObjectDescription]:
    if len(names) < 2:
        return {}
    path = f"/services/data/v{session.api_version}/sobjects/"
    parts = [
        {"method": "GET", "referenceId": f"object{number}", "url": f"{path}{quote(name, safe='')}/describe"}
        for number, name in enumerate(names)
    ]
    try:
        answer = session.post_json("composite", {"allOrNone": False, "compositeRequest": parts}, kind=_Answer)
    except (QuotaCeilingError, ConfigurationError, UnreachableError):
        raise
    except SalesforceError as error:
        logger.debug("Several descriptions at once were refused, each is asked for alone: %s", error)
        return {}
    by_reference = {part.reference_id: part for part in answer.composite_response if part.http_status_code == 200}
    found = {}
    for number, name in enumerate(names):
        part = by_reference.get(f"object{number}")
        if part is not None:
            try:
                found[name] = msgspec.json.decode(part.body, type=ObjectDescription)
            except msgspec.DecodeError:
                logger.debug("The description of %s among others cannot be read: it is asked for alone.", name)
    return found
