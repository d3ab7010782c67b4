"""The heartbeat on the connection: which ledger the figures are from, so that a lost one or a second one is noticed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec
from pyatlan.model.assets import Connection

from microdecisions import timestamps
from target_atlan_metadata.attributes import LEDGER
from target_atlan_metadata.catalog import values_on
from target_atlan_metadata.errors import AtlanError, LedgerLostError
from target_atlan_metadata.writer import Write

if TYPE_CHECKING:
    from target_atlan_metadata.catalog import CatalogAsset
    from target_atlan_metadata.custom_metadata import MetadataSet
    from target_atlan_metadata.gateway import Gateway
    from target_atlan_metadata.ledger import Ledger
    from target_atlan_metadata.writer import Writer

__all__ = ["Heartbeat", "Mark"]

_FRESH: Final = timedelta(hours=24)
_NEVER: Final = "2000-01-01T00:00:00.000000Z"


class Mark(msgspec.Struct, frozen=True):
    """What the heartbeat says.

    Attributes:
        ledger: Id of the ledger.
        generation: How often it had been told to Atlan.
        as_of: When, in canonical text, by Atlan's clock. It is for people: the generation says which is the later.
    """

    ledger: str
    generation: int
    as_of: str


_UNREADABLE: Final = Mark("", 0, _NEVER)
"""Stands for a text that no ledger wrote."""


class Heartbeat:
    """Reads, checks and writes the heartbeat. It is advisory: Atlan has no way to compare and set.

    Args:
        gateway: To Atlan.
        metadata: The set that has the attribute.
        connection: The asset that carries it.
        ledger: Ours.
    """

    def __init__(self, gateway: Gateway, metadata: MetadataSet, connection: CatalogAsset, ledger: Ledger) -> None:
        self._gateway = gateway
        self._metadata = metadata
        self._connection = connection
        self._ledger = ledger
        self._ours: Mark | None = None
        self._found: Mark | None = None

    def check(self, *, may_change: bool, has_untold: bool) -> None:
        """Compare it with our ledger, before anything is written.

        Args:
            may_change: Whether this ledger may take the place of another.
            has_untold: Whether there are figures that Atlan was not told by this ledger.

        Raises:
            LedgerLostError: the figures are from another ledger, or from a later state of this one.
        """
        self._found = self._read()
        may_change = may_change or self._ledger.may_take_over
        if self._found == _UNREADABLE and not may_change:
            raise LedgerLostError(
                f"The attribute `{LEDGER}` of the Salesforce connection in Atlan was changed by someone: set "
                "`allow_ledger_change` for one run to write the figures of this ledger."
            )
        if self._found is None and has_untold and not may_change:
            raise LedgerLostError(_NO_NOTE)
        if self._found is None or may_change or self._is_ours(self._found):
            return
        raise LedgerLostError(_sentence(self._found, self._ledger))

    def claim(self, writer: Writer, as_of: datetime) -> None:
        """Write it, before the first figure of a run, and again whenever the ledger has counted more since.

        Raises:
            LedgerLostError: another ledger has written it since the run began.
        """
        if self._ours is not None and not self._ledger.is_ahead:
            return
        now = self._read()
        if now != (self._ours or self._found):
            raise LedgerLostError(_sentence(now, self._ledger) if now is not None else _GONE)
        if now is not None and now.generation > self._ledger.generation:
            self._ledger.at_generation(now.generation)
        generation = self._ledger.next_generation()
        self._ours = Mark(self._ledger.ledger_id, generation, timestamps.to_text(as_of))
        text = msgspec.json.encode(self._ours).decode()
        if writer.write([Write(self._connection, {LEDGER: text})]).refused:
            raise AtlanError("Atlan refuses to note the ledger on the Salesforce connection: no figure was written.")
        self._ledger.noted()

    def is_due(self, as_of: datetime) -> bool:
        """Whether it is old enough to be written without any other write, or of a time that has not come yet."""
        if self._ours is not None:
            return False
        return self._found is None or abs(as_of - timestamps.parse(self._found.as_of)) >= _FRESH

    def confirm(self) -> None:
        """See at the end of a run that no other writer came in between.

        Raises:
            LedgerLostError: one did.
        """
        if self._ours is not None and (now := self._read()) != self._ours:
            raise LedgerLostError(_sentence(now, self._ledger) if now is not None else _GONE)

    def _is_ours(self, mark: Mark) -> bool:
        return mark.ledger == self._ledger.ledger_id and mark.generation <= self._ledger.generation

    def _read(self) -> Mark | None:
        asset = self._gateway.read(
            "read the Salesforce connection",
            lambda: self._gateway.client.asset.get_by_guid(
                self._connection.guid, asset_type=Connection, ignore_relationships=True
            ),
        )
        text = values_on(asset, self._metadata).get(LEDGER)
        if text is None:
            return None
        try:
            mark = msgspec.json.decode(str(text), type=Mark)
            timestamps.parse(mark.as_of)
        except (msgspec.DecodeError, ValueError):
            return _UNREADABLE
        return mark


_GONE: Final = (
    "The note of the ledger on the Salesforce connection was taken away while this run went on: another run writes to "
    "the same custom metadata. Run them one after the other with one `ledger_url`, or give one of them a "
    "`custom_metadata_name` of its own."
)


_NO_NOTE: Final = (
    "Atlan has figures that this ledger did not write, and the note of the ledger that did is gone from the Salesforce "
    "connection: restore that ledger or refill it with `target-atlan-metadata rebuild`, or set `allow_ledger_change` "
    "for one run to write what this one counts and to take all other figures away."
)


def _sentence(mark: Mark, ledger: Ledger) -> str:
    when = mark.as_of[:19] + "Z"
    if mark.ledger == ledger.ledger_id:
        return (
            f"This ledger is an older copy: Atlan has figures of a later state of it, of {when}. Restore the latest "
            "ledger or refill it with `target-atlan-metadata rebuild`, or set `allow_ledger_change` for one run to "
            "write what this one counts."
        )
    if ledger.is_empty:
        return (
            f"The ledger is new, but Atlan has figures of another one, of {when}: the old one is lost, or `ledger_url` "
            "names the wrong place. Restore it or refill this one with `target-atlan-metadata rebuild`, or set "
            "`allow_ledger_change` for one run to count from zero."
        )
    return (
        f"Atlan has figures of another ledger, of {when}: another pipeline writes to the same custom metadata. Share "
        "one ledger by `ledger_url`, or give this pipeline a `custom_metadata_name` of its own; `allow_ledger_change` "
        "for one run makes this ledger the one that counts."
    )
