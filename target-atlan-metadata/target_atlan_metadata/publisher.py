"""Brings figures to Atlan: only what differs, only onto assets that are there, in an order that survives a crash."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.announcements import announcement_of
from target_atlan_metadata.attributes import FIGURES, digest_of, values_of
from target_atlan_metadata.catalog import Catalog, find_connection, has_connection, load_catalog, organizations
from target_atlan_metadata.custom_metadata import ensure_set
from target_atlan_metadata.dry_run import FiguresPrinter
from target_atlan_metadata.errors import AtlanError, UnresolvedError
from target_atlan_metadata.figures import AssetKey
from target_atlan_metadata.gateway import Gateway
from target_atlan_metadata.heartbeat import Heartbeat
from target_atlan_metadata.lineage import link
from target_atlan_metadata.resolving import Resolved, resolve, unnamed
from target_atlan_metadata.writer import Write, Writer

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from target_atlan_metadata.attributes import Value
    from target_atlan_metadata.catalog import CatalogAsset, Organization
    from target_atlan_metadata.clock import Clock
    from target_atlan_metadata.figures import Figures
    from target_atlan_metadata.ledger import CellActivity, Ledger
    from target_atlan_metadata.report import Report
    from target_atlan_metadata.run import Told
    from target_atlan_metadata.settings import TargetSettings

__all__ = ["AtlanPublisher"]

_WRONG: Final = timedelta(minutes=1)  # a clock that is so far off is worth a word


class AtlanPublisher:
    """Writes figures on the assets of one Salesforce connection.

    Args:
        settings: Checked settings.
        log: For an operator.
        gateway: Makes the way to Atlan.
    """

    def __init__(
        self,
        settings: TargetSettings,
        log: logging.Logger,
        gateway: Callable[[TargetSettings], Gateway] = Gateway,
    ) -> None:
        self._settings = settings
        self._log = log
        self._gateway = gateway(settings)
        self._deletes_before: dict[str, Value] = {}  # by the object's name; what it carried when the run began
        self._organizations: list[Organization] = []

    @property
    def clock(self) -> Clock:
        """The instant as Atlan tells it."""
        return self._gateway.clock

    def start(self, ledger: Ledger) -> None:
        """Log in, find the connection, the set and the assets, and check whose figures are there.

        Raises:
            MicroDecisionError: figures cannot be written.
        """
        settings, gateway = self._settings, self._gateway
        gateway.read("tell who the token is", gateway.client.user.get_current)
        self._tell_clock()
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
                f"The custom metadata `{settings.custom_metadata_name}` is not in Atlan, lacks attributes, or is not "
                "for the assets of the Salesforce connection: let an admin's token see to it with "
                "`create_custom_metadata` `auto`, or do it by docs/atlan.md."
            )
        self._check_names()
        self.check_org(ledger.org)
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
            self._deletes_before = {name: one.values.get("Deletes") for name, one in self._catalog.objects.items()}

    def check_org(self, org: str) -> None:
        """See that events are of the org that the catalog describes, as far as it says which one that is.

        Args:
            org: Its id; empty while no event has come.

        Raises:
            ConfigurationError: it describes another one.
        """
        known = self._organizations
        if org and known and not any(one.is_org(org) for one in known):
            raise ConfigurationError(
                f"The events are of org {org}, but the organization of the Salesforce connection in Atlan is "
                f"{known[0].org}: name the right one in `connection_qualified_name`, or in "
                "`organization_qualified_name`; `target-atlan-metadata explore` lists them."
            )

    def publish(
        self, told: Iterable[Told], report: Report, as_of: datetime, *, is_all: bool = False
    ) -> Iterable[CellActivity]:
        """Write the figures that differ.

        Args:
            told: Figures.
            report: Of the run.
            as_of: The instant of the figures.
            is_all: They are all that the ledger knows: assets that show others lose them.

        Returns:
            The cells whose assets all carry their figures now.

        Raises:
            MicroDecisionError: Atlan does not take them.
        """
        everything = list(told)
        if self._settings.dry_run:
            self._print(everything, report, as_of, is_all=is_all)
            return ()
        refused = self._write(self._writes(everything, report, as_of, is_all=is_all), report, as_of)
        if refused:
            # Perhaps crawled anew in between, with other GUIDs: the catalog is read once more.
            self._load()
            refused = self._write(self._writes(everything, report, as_of, is_all=is_all), report, as_of)
        names = {write.asset.qualified_name for write in refused}
        report.failed = sorted(names)
        return [cell for key, _, cells in everything if not self._is_among(key, names) for cell in cells]

    def finish(self, told: Sequence[Told], report: Report, as_of: datetime) -> None:
        """Links, heartbeat, and what is missing in the catalog.

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

    def _tell_clock(self) -> None:
        ahead = self.clock.ahead()
        if ahead is None:
            self._log.info("Atlan's answers have no `Date`: figures are as of the time of this machine.")
        elif abs(ahead) >= _WRONG:
            self._log.warning(
                "The clock of this machine is %s %s that of Atlan: figures are as of Atlan's time.",
                timedelta(seconds=round(abs(ahead).total_seconds())),
                "behind" if ahead > timedelta() else "ahead of",
            )

    def _check_names(self) -> None:
        """See that what the settings name is there: a wrong name would leave everything unresolved, or make a ghost.

        Raises:
            ConfigurationError: it is not.
        """
        organization = self._settings.organization_qualified_name
        known = organizations(self._gateway, self._connection)
        self._organizations = [one for one in known if organization in {None, one.qualified_name}]
        if organization is not None and not self._organizations:
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

    def _writes(self, told: Sequence[Told], report: Report, as_of: datetime, *, is_all: bool) -> list[Write]:
        resolved = resolve(told, self._catalog, self._settings, as_of)
        writes = [write for _, write in self._differing(resolved, report, as_of)]
        if is_all:
            writes += [Write(asset, dict.fromkeys(FIGURES)) for _, asset in self._not_ours(resolved)]
        return writes

    def _print(self, told: Sequence[Told], report: Report, as_of: datetime, *, is_all: bool) -> None:
        resolved = resolve(told, self._catalog, self._settings, as_of)
        differing = self._differing(resolved, report, as_of)
        printer = FiguresPrinter(self._settings.asset_levels)
        printer.publish([(one.key, one.figures, one.cells) for one, _ in differing], report, as_of)
        if is_all:
            printer.clear([key for key, _ in self._not_ours(resolved)], report)

    def _not_ours(self, resolved: Sequence[Resolved]) -> list[tuple[AssetKey, CatalogAsset]]:
        """Assets that show figures though the ledger knows nothing of them: those of another ledger, or a person's.

        A ledger that knows nothing at all cannot tell.
        """
        if self._ledger.is_empty:
            return []
        found = unnamed(resolved, self._catalog, self._settings)
        return [(key, asset) for key, asset in found if not asset.values.keys().isdisjoint(FIGURES)]

    def _differing(self, resolved: Sequence[Resolved], report: Report, as_of: datetime) -> list[tuple[Resolved, Write]]:
        """Assets whose values are not what Atlan was last told, or not what the catalog shows."""
        differing: list[tuple[Resolved, Write]] = []
        report.unchanged = 0
        for one in resolved:
            values = values_of(one.figures)
            carried = {name: value for name, value in one.asset.values.items() if name in values}
            last = self._told.get(one.asset.guid)
            if not carried and last is None and not _says_something(one.figures):
                continue
            wanted = {name: value for name, value in values.items() if value is not None}
            told_last = last == digest_of(values)
            if carried == wanted and (last is None or told_last):
                report.unchanged += 1
                continue
            announced = None if told_last else self._announced(one, as_of)
            # Of None too: the index may not show yet what has to go.
            differing.append((one, Write(one.asset, values, announced)))
        return differing

    def _announced(self, one: Resolved, as_of: datetime) -> str | None:
        """What is to be announced with figures; nothing on an object that carried none when the run began."""
        burst, now = self._settings.delete_burst, one.figures.delete_count
        before = self._deletes_before.get(one.asset.api_name.casefold())
        if burst is None or now is None or not isinstance(before, int):
            return None
        return announcement_of(one.asset, now - before, burst, as_of)

    def _write(self, writes: Sequence[Write], report: Report, as_of: datetime) -> Sequence[Write]:
        if not writes:
            return ()
        self._heartbeat.claim(self._writer, as_of)
        outcome = self._writer.write(writes)
        report.written += len(outcome.written)
        report.cleared += sum(set(write.values.values()) == {None} for write in outcome.written)
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
            if not _says_something(figures) or self._catalog.find(key) is not None:
                continue
            if key.field is None:
                decisions = figures.change_count + (figures.delete_count or 0) + (figures.approval_count or 0)
                report.unresolved[key.object] = decisions
            elif "field" in self._settings.asset_levels and self._catalog.find(AssetKey(key.object)) is not None:
                report.unresolved_fields[key.name] = figures.change_count
        if report.unresolved and self._settings.on_unresolved == "warn":
            names = ", ".join(list(report.unresolved)[:5])
            self._log.warning(
                "%d objects of the events are not in the catalog (%s): their figures wait in the ledger until a crawl "
                "brings them.",
                len(report.unresolved),
                names,
            )


def _complete(write: Write) -> dict[str, Value]:
    """The values of a write as those of figures: with None for each attribute that it leaves out."""
    return {**dict.fromkeys(FIGURES), **write.values}


def _says_something(figures: Figures) -> bool:
    return bool(figures.change_count or figures.delete_count or figures.approval_count)
