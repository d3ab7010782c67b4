"""Descriptions of many objects at the price of few API calls: 25 of them by one `/composite`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from microdecisions.describe import ObjectDescription
from tap_salesforce_temporal.composite import MOST_PARTS, get_together

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microdecisions.session import SalesforceSession

__all__ = ["describe_together"]

logger = logging.getLogger(__name__)


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
    for place in range(0, len(names), MOST_PARTS):
        found.update(_described(session, names[place : place + MOST_PARTS]))
    return found


def _described(session: SalesforceSession, names: Sequence[str]) -> Iterator[tuple[str, ObjectDescription]]:
    if len(names) < 2:
        return
    parts = get_together(session, [f"sobjects/{quote(name, safe='')}/describe" for name in names])
    for name, part in zip(names, parts, strict=True):
        if part is not None and part.good:
            try:
                yield name, msgspec.json.decode(part.body, type=ObjectDescription)
            except msgspec.DecodeError:
                logger.debug("The description of %s among others cannot be read: it is asked for alone.", name)
