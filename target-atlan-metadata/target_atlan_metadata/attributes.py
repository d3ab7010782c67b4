"""The custom metadata that figures become: names, types and values. Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_atlan_metadata.figures import Figures

__all__ = ["ATTRIBUTES", "FIGURES", "LEDGER", "Attribute", "Value", "digest_of", "values_of"]

Value = str | int | None

LEDGER: Final = "Ledger"
"""The attribute of the connection that says which ledger the figures are from."""


class Attribute(NamedTuple):
    """One attribute of the set."""

    name: str
    kind: str  # DATE, INTEGER or STRING
    description: str


ATTRIBUTES: Final = (
    Attribute("Last change", "DATE", "When a field of a record last changed in Salesforce."),
    Attribute("Last changed field", "STRING", "Which field that was."),
    Attribute("Last changed by", "STRING", "Who changed it: the user's id, or the name where that is wanted."),
    Attribute("Changes", "INTEGER", "Changes of fields that were ever seen, stages included."),
    Attribute("Deletes", "INTEGER", "Deletions of records that were ever seen, each once."),
    Attribute("Changes in 7 days", "INTEGER", "Changes in the last seven days (UTC), the day of the run included."),
    Attribute("Changes in 30 days", "INTEGER", "Changes in the last thirty days (UTC)."),
    Attribute("Stage changes", "INTEGER", "Changes of the stage that were ever seen."),
    Attribute("Approval decisions", "INTEGER", "Decisions in approvals that were ever seen."),
    Attribute("Approvals rejected", "INTEGER", "Of them, rejections and recalls."),
    Attribute("Quality score", "INTEGER", "0 to 100; its parts are in docs/atlan.md."),
    Attribute(LEDGER, "STRING", "On the connection: the ledger that the figures are from, and when it last wrote."),
)
"""At most twelve: Atlan counts every property that a tenant ever defined, up to about a thousand."""


FIGURES: Final = tuple(attribute.name for attribute in ATTRIBUTES if attribute.name != LEDGER)
"""Names of the attributes that an object or field carries."""


def values_of(figures: Figures) -> dict[str, Value]:
    """The values of one asset, by the attribute's name; None where there is nothing to say."""
    last = figures.last_change
    return {
        "Last change": None if last is None else int(last.timestamp()) * 1000,
        "Last changed field": figures.last_changed_field,
        "Last changed by": figures.last_changed_by,
        "Changes": figures.change_count,
        "Deletes": figures.delete_count,
        "Changes in 7 days": figures.changes_7_days,
        "Changes in 30 days": figures.changes_30_days,
        "Stage changes": figures.stage_change_count,
        "Approval decisions": figures.approval_count,
        "Approvals rejected": figures.approval_rejection_count,
        "Quality score": figures.quality_score,
    }


def digest_of(values: Mapping[str, Value]) -> bytes:
    """Eight bytes that tell one set of values from another."""
    return blake2b(msgspec.json.encode(dict(sorted(values.items()))), digest_size=8).digest()
