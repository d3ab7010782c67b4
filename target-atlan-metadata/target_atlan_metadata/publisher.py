"""Brings figures to Atlan: only what differs, only onto assets that are there, in an order that survives a crash."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.announcements import announce
from target_atlan_metadata.attributes import FIGURES, digest_of, values_of
from target_atlan_metadata.catalog import Catalog, find_connection, has_connection, load_catalog, organizations
from target_atlan_metadata.custom_metadata import ensure_set
from target_atlan_metadata.dry_run import FiguresPrinter
from target_atlan_metadata.errors import AtlanError, UnresolvedError
from target_atlan_metadata.gateway import Gateway
from target_atlan_metadata.heartbeat import Heartbeat
from target_atlan_metadata.lineage import link
from target_atlan_metadata.writer import Write, Writer

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from target_atlan_metadata.attributes import Value
    from target_atlan_metadata.catalog import CatalogAsset
    from target_atlan_metadata.figures import AssetKey, Figures
    from target_atlan_metadata.ledger import CellActivity, Ledger
    from target_atlan_metadata.report import Report
    from target_atlan_metadata.run import Told
    from target_atlan_metadata.settings import TargetSettings

__all__ = ["AtlanPublisher"]


class AtlanPublisher:
    """Writes figures on the assets of one Salesforce connection.

    Args:
        settings: Checked settings.
        log: For an operator.
        gateway: Makes the way to Atlan.
        clock: Tells the instant.
    """

    def __init__(
        self,
        settings: TargetSettings,
        log: logging.Logger,
        gateway: Callable[[TargetSettings], Gateway] = Gateway,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock
        self._gateway = gateway(settings)
        self._deletes_before: dict[str, int] = {}

    def start(self, ledger: Ledger) -> None:
        """Log in, find the connection, the set and the assets, and check whose figures are there.

        Raises:
            MicroDecisionError: figures cannot be written.
        """
        settings, gateway = self._settings, self._gateway
        gateway.read("tell who the token is", gateway.client.user.get_current)
        self._ledger = ledger
        self._connection = find_connection(gateway, settings.connection_qualified_name)
        may_create = settings.create_custom_metadata == "auto" and not settings.dry_run
        self._metadata = ensure_set(
            gateway,
            settings.custom_metadata_name,
            [self._connection.qualified_name],
            may_create=may_create,
        )
        if self._metadata is None and not settings.dry_run:
            raise ConfigurationError(
                f"The custom metadata `{settings.custom_metadata_name}` is not in Atlan, or lacks attributes: let an "
                "admin's token create it with `create_custom_metadata` `auto`, or make it by docs/atlan.md."
            )
        self._check_names()
        self._load()
        self._told = ledger.told()
        if self._metadata is not None:
            self._writer = Writer(
                gateway,
                self._metadata,
                batch_size=settings.batch_size,
                workers=settings.max_concurrent_requests,
            )
            self._heartbeat = Heartbeat(gateway, self._metadata, self._connection, ledger)
            self._heartbeat.check(may_change=settings.allow_ledger_change or settings.dry_run)
        if settings.delete_burst is not None:
            self._deletes_before = ledger.deletes()

    def publish(self, told: Iterable[Told], report: Report) -> Iterable[CellActivity]:
        """Write the figures that differ.

        Returns:
            The cells whose assets all carry their figures now.

        Raises:
            MicroDecisionError: Atlan does not take them.
        """
        everything = list(told)
        if self._settings.dry_run:
            different = {asset.guid: key for key, asset, _ in self._differing(everything, report)}
            printed = [one for one in everything if one[0] in set(different.values())]
            FiguresPrinter(self._settings.asset_levels).publish(printed, report)
            return ()
        writes = {asset.guid: Write(asset, values) for _, asset, values in self._differing(everything, report)}
        refused = self._write(list(writes.values()), report)
        if refused:
            # Perhaps crawled anew in between, with other GUIDs: the catalog is read once more.
            self._load()
            again = {asset.guid: Write(asset, values) for _, asset, values in self._differing(everything, report)}
            refused = self._write(list(again.values()), report)
        names = {write.asset.qualified_name for write in refused}
        report.failed = sorted(names)
        return [cell for key, _, cells in everything if not self._is_among(key, names) for cell in cells]

    def finish(self, told: Sequence[Told], report: Report, as_of: datetime) -> None:
        """Links, announcements, heartbeat, and what is missing in the catalog.

        Raises:
            UnresolvedError: objects are not in the catalog, and `on_unresolved` is `fail`.
            AtlanError: assets were refused.
        """
        settings = self._settings
        self._note_unresolved(told, report)
        if not settings.dry_run:
            if settings.lineage == "auto":
                report.processes = link(
                    self._gateway, settings, self._connection, self._catalog, self._ledger.links(), self._log
                )
            if settings.delete_burst is not None:
                self._announce(told, settings.delete_burst, as_of)
            if self._ledger.is_empty is False and not self._heartbeat.is_claimed and self._heartbeat.is_due(as_of):
                self._heartbeat.claim(self._writer, as_of)
            self._heartbeat.confirm()
        if report.failed:
            raise AtlanError(
                f"Atlan refuses {len(report.failed)} of the assets, the others are written. First: {report.failed[0]}"
            )
        if report.unresolved and settings.on_unresolved == "fail":
            raise UnresolvedError(
                f"{len(report.unresolved)} objects of the events are not in the catalog, such as "
                f"{next(iter(report.unresolved))}: crawl Salesforce in Atlan again, or set `on_unresolved` to `warn`. "
                "Everything else is written."
            )

    def count(self, report: Report) -> None:
        """Tell how many requests were made."""
        report.requests, report.writes = self._gateway.requests, self._gateway.writes

    def close(self) -> None:
        """Close the connections to Atlan."""
        self._gateway.close()

    def _check_names(self) -> None:
        """See that what the settings name is there: a wrong name would leave everything unresolved, or make a ghost.

        Raises:
            ConfigurationError: it is not.
        """
        organization = self._settings.organization_qualified_name
        if organization is not None and organization not in organizations(self._gateway, self._connection):
            raise ConfigurationError(
                "Setting `organization_qualified_name` names no organization of the Salesforce connection: "
                "`target-atlan-metadata explore` lists them."
            )
        owner = self._settings.lineage_connection_qualified_name
        if owner is not None and self._settings.lineage == "auto" and not has_connection(self._gateway, owner):
            raise ConfigurationError(
                "Setting `lineage_connection_qualified_name` names no connection that the token can see: copy its "
                "qualified name from Atlan, or leave the setting out."
            )

    def _load(self) -> None:
        self._catalog: Catalog = load_catalog(
            self._gateway,
            self._connection.qualified_name,
            self._metadata,
            self._settings.organization_qualified_name,
        )

    def _differing(
        self, told: Sequence[Told], report: Report
    ) -> list[tuple[AssetKey, CatalogAsset, Mapping[str, Value]]]:
        """Assets whose values are not what Atlan was last told, or not what the catalog shows."""
        differing: list[tuple[AssetKey, CatalogAsset, Mapping[str, Value]]] = []
        report.unchanged = 0
        named = {asset.guid for key, _, _ in told if (asset := self._catalog.find(key)) and asset.is_named(key.field)}
        for key, figures, _ in told:
            if ("field" if key.field else "object") not in self._settings.asset_levels:
                continue
            asset = self._catalog.find(key)
            if asset is None or (asset.guid in named and not asset.is_named(key.field)):
                continue
            values = values_of(figures)
            carried = {name: value for name, value in asset.values.items() if name in values}
            if not carried and not _says_something(figures):
                continue
            wanted = {name: value for name, value in values.items() if value is not None}
            last = self._told.get(asset.guid)
            if carried == wanted and last in {None, digest_of(values)}:
                report.unchanged += 1
                continue
            differing.append((key, asset, values))  # None too: the index may not show yet what has to go
        return differing

    def _write(self, writes: Sequence[Write], report: Report) -> Sequence[Write]:
        if not writes:
            return ()
        self._heartbeat.claim(self._writer, self._clock())
        outcome = self._writer.write(writes)
        report.written += len(outcome.written)
        told = {write.asset.guid: digest_of(_complete(write)) for write in outcome.written}
        self._ledger.tell(told)
        self._told.update(told)
        self._catalog.carry({write.asset.guid: write.values for write in outcome.written})
        return outcome.refused

    def _is_among(self, key: AssetKey, names: set[str]) -> bool:
        asset = self._catalog.find(key)
        return asset is not None and asset.qualified_name in names

    def _note_unresolved(self, told: Sequence[Told], report: Report) -> None:
        for key, figures, _ in told:
            if key.field is None and _says_something(figures) and self._catalog.find(key) is None:
                decisions = figures.change_count + (figures.delete_count or 0) + (figures.approval_count or 0)
                report.unresolved[key.object] = decisions
        if report.unresolved and self._settings.on_unresolved == "warn":
            names = ", ".join(list(report.unresolved)[:5])
            self._log.warning(
                "%d objects of the events are not in the catalog (%s): their figures wait in the ledger until a crawl "
                "brings them.",
                len(report.unresolved),
                names,
            )

    def _announce(self, told: Sequence[Told], burst: int, as_of: datetime) -> None:
        for key, figures, _ in told:
            new = (figures.delete_count or 0) - self._deletes_before.get(key.object, 0)
            asset = self._catalog.find(key)
            if key.field is None and new >= burst and asset is not None:
                announce(self._gateway, asset, new, as_of)


def _complete(write: Write) -> dict[str, Value]:
    """The values of a write as those of figures: with None for each attribute that it leaves out."""
    return {**dict.fromkeys(FIGURES), **write.values}


def _says_something(figures: Figures) -> bool:
    return bool(figures.change_count or figures.delete_count or figures.approval_count)
