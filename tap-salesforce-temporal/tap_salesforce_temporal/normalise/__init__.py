"""From rows to events: pure functions, one module per kind of source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from microdecisions.event import Source

__all__ = ["Extraction"]


class Extraction(msgspec.Struct, frozen=True):
    """What all events of a page share.

    Attributes:
        org_id: 18-character id of the org.
        extracted_at: When the page was read, by our clock, canonical text.
        extractor_version: Package and version.
        source: The API that delivered the rows.
    """

    org_id: str
    extracted_at: str
    extractor_version: str
    source: Source
