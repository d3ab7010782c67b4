"""Writing custom metadata: a few requests for many assets, and every refusal traced to the asset that caused it.

One bulk request is one transaction (`atlas-metastore`): one bad asset refuses all, so a refused batch is halved until
the bad one is alone. Each asset goes with its real GUID: by qualified name alone a bulk request would create an asset
that is not there.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pyatlan.model.assets import Asset, Connection, SalesforceField, SalesforceObject

from target_atlan_metadata.announcements import put_announcement
from target_atlan_metadata.halving import halve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_atlan_metadata.attributes import Value
    from target_atlan_metadata.catalog import CatalogAsset
    from target_atlan_metadata.custom_metadata import MetadataSet
    from target_atlan_metadata.gateway import Gateway

__all__ = ["Outcome", "Write", "Writer"]

_SLOW: Final = 5.0  # seconds: above that Atlan asks for smaller batches (docs.atlan.com, API limits)
_KINDS: Final = {"SalesforceObject": SalesforceObject, "SalesforceField": SalesforceField, "Connection": Connection}


class Write(msgspec.Struct, frozen=True):
    """What one asset is to carry; None takes a value away, and an announcement comes along where there is one."""

    asset: CatalogAsset
    values: Mapping[str, Value]
    announcement: str | None = None


class Outcome(msgspec.Struct):
    """What became of writes."""

    written: list[Write] = []
    refused: list[Write] = []


class Writer:
    """Writes values of one set of custom metadata, and nothing else of an asset but an announcement.

    Args:
        gateway: To Atlan.
        metadata: The set.
        batch_size: Assets of one request, at most.
        workers: Requests at once, at most.
        monotonic: Seconds that only go up.
    """

    def __init__(
        self,
        gateway: Gateway,
        metadata: MetadataSet,
        *,
        batch_size: int,
        workers: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._metadata = metadata
        self._batch_size = batch_size
        self._workers = workers
        self._monotonic = monotonic

    def write(self, writes: Sequence[Write]) -> Outcome:
        """Write all of them, in batches.

        Raises:
            AtlanPermissionError: the token may not.
            AtlanError: Atlan does not answer; what is written until then stays written.
        """
        outcome = Outcome()
        waiting = list(writes)
        with ThreadPoolExecutor(self._workers) as pool:
            while waiting:
                size, batches = self._batch_size, list[list[Write]]()
                while waiting and len(batches) < self._workers:
                    batches.append(waiting[:size])
                    del waiting[:size]
                try:
                    for done in pool.map(self._batch, batches):
                        outcome.written += done.written
                        outcome.refused += done.refused
                except BaseException:
                    self._gateway.stop()  # the pool waits for its threads, which may wait for a minute
                    raise
        return outcome

    def _batch(self, batch: Sequence[Write]) -> Outcome:
        refused = halve(batch, self._send)
        names = {write.asset.guid for write in refused}
        return Outcome([write for write in batch if write.asset.guid not in names], refused)

    def _send(self, batch: Sequence[Write]) -> None:
        entities = [_entity(write, self._metadata) for write in batch]
        also = " and announcements" if any(write.announcement for write in batch) else ""
        began = self._monotonic()
        self._gateway.write(
            f"write custom metadata{also}", lambda: self._gateway.client.asset.save_merging_cm(entities)
        )
        if self._monotonic() - began > _SLOW and self._batch_size > 1:
            self._batch_size = max(1, min(self._batch_size, len(batch)) // 2)


def _entity(write: Write, metadata: MetadataSet) -> Asset:
    kind: Any = _KINDS[write.asset.kind]
    entity: Asset = kind.updater(qualified_name=write.asset.qualified_name, name=write.asset.name)
    entity.guid = write.asset.guid
    entity.business_attributes = {
        metadata.set_id: {metadata.attribute_ids[name]: value for name, value in write.values.items()}
    }
    if write.announcement is not None:
        put_announcement(entity, write.announcement)
    return entity
