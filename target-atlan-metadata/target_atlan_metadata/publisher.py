"""Brings figures to Atlan: only what differs, only onto assets that are there, in an order that survives a crash."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.announcements import Bursts
from target_atlan_metadata.attributes import digest_of
from target_atlan_metadata.catalog import (
    Catalog,
    choose_organization,
    find_connection,
    has_connection,
    load_assets,
    organizations,
)
from target_atlan_metadata.custom_metadata import ensure_set
from target_atlan_metadata.differing import (
    NOTHING,
    UNSURE,
    Differing,
    differing,
    has_untold_figures,
    to_clear,
)
from target_atlan_metadata.dry_run import FiguresPrinter
from target_atlan_metadata.errors import AtlanError, LedgerLostError, UnresolvedError
from target_atlan_metadata.figures import AssetKey, figures_of_assets
from target_atlan_metadata.gateway import Gateway
from target_atlan_metadata.heartbeat import Heartbeat
from target_atlan_metadata.lineage import link
from target_atlan_metadata.resolving import Resolved, resolve
from target_atlan_metadata.writer import Write, Writer

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from target_atlan_metadata.catalog import CatalogAsset, Organization
    from target_atlan_metadata.clock import Clock
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
        self._bursts: Bursts | None = None
        self._organizations: list[Organization] = []
        self._organization: str | None = None
        self._is_waiting = False  # for the first event, which tells the org, and so the organization

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
        self._told = ledger.told()
        if self._metadata is not None:
            self._writer = Writer(
                gateway,
                self._metadata,
                batch_size=settings.batch_size,
                workers=settings.max_concurrent_requests,
            )
            self._heartbeat = Heartbeat(gateway, self._metadata, self._connection, ledger)
        self.check_org(ledger.org)
        self._look()

    def check_org(self, org: str) -> None:
        """See that events are of the org that the catalog describes, as far as it says which one that is.

        Of several organizations that nobody named the one is taken whose id it is.

        Args:
            org: Its id; empty while no event has come.

        Raises:
            ConfigurationError: it describes another one, or several and does not tell which is which.
            LedgerLostError: the organization that now is known has figures of another ledger.
        """
        known = self._organizations
        if org and known and not any(one.is_org(org) for one in known):
            raise ConfigurationError(
                f"The events are of org {org}, but that of the Salesforce connection in Atlan is "
                f"{' and '.join(one.org for one in known)}: name the right one in `connection_qualified_name`, or in "
                "`organization_qualified_name`; `target-atlan-metadata explore` lists them."
            )
        was_waiting = self._is_waiting
        self._is_waiting = not org and len(known) > 1 and any(one.org for one in known)
        if not self._is_waiting:
            self._organization = choose_organization(known, self._settings.organization_qualified_name, org)
            if was_waiting:
                self._look()

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
        if self._is_waiting and not self._ledger.is_empty:  # events came, and their ids told no org
            self._organization = choose_organization(self._organizations, None, self._ledger.org)
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
            if not self._ledger.is_empty and self._heartbeat.is_due(as_of):
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

    def _check_ledger(self) -> None:
        """See that the figures in Atlan are this ledger's; a dry run only says that they are not.

        Raises:
            LedgerLostError: they are not.
        """
        try:
            self._heartbeat.check(
                may_change=self._settings.allow_ledger_change,
                has_untold=has_untold_figures(self._catalog, self._told),
            )
        except LedgerLostError as error:
            if not self._settings.dry_run:
                raise
            self._log.warning("A run would end here: %s", error)

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

    def _look(self) -> None:
        """Load the catalog, and see whose figures it has, and how many deletions they tell of."""
        self._load()
        if self._metadata is not None:
            self._check_ledger()
        if self._settings.delete_burst is not None:
            cells = self._ledger.activities(0, 0)
            known = figures_of_assets(cells, self.clock.now(), self._settings.quality_weights)
            self._bursts = Bursts(self._settings.delete_burst, self._catalog, known, self._told)

    def _load(self) -> None:
        if self._is_waiting:
            self._catalog = Catalog((), None)
            return
        assets = load_assets(self._gateway, self._connection.qualified_name, self._metadata, self._log)
        self._catalog = Catalog(assets, self._organization)

    def _writes(self, told: Sequence[Told], report: Report, as_of: datetime, *, is_all: bool) -> list[Write]:
        resolved = resolve(told, self._catalog, self._settings, as_of)
        found, report.unchanged = differing(resolved, self._told)
        writes = [Write(each.one.asset, each.values, self._announced(each, as_of)) for each in found]
        return [*writes, *(Write(asset, NOTHING) for _, asset in self._to_clear(resolved, is_all=is_all))]

    def _print(self, told: Sequence[Told], report: Report, as_of: datetime, *, is_all: bool) -> None:
        resolved = resolve(told, self._catalog, self._settings, as_of)
        found, report.unchanged = differing(resolved, self._told)
        printer = FiguresPrinter(self._settings.asset_levels)
        printer.publish([(each.one.key, each.one.figures, each.one.cells) for each in found], report, as_of)
        printer.clear([key for key, _ in self._to_clear(resolved, is_all=is_all)], report)

    def _to_clear(self, resolved: Sequence[Resolved], *, is_all: bool) -> list[tuple[AssetKey, CatalogAsset]]:
        """The assets that lose their figures; a ledger that knows nothing at all cannot tell which."""
        if not is_all or self._ledger.is_empty:
            return []
        return to_clear(resolved, self._catalog, self._settings, self._told)

    def _announced(self, each: Differing, as_of: datetime) -> str | None:
        if self._bursts is None or each.one.key.field is not None or not each.is_news:
            return None
        return self._bursts.announced(each.one, as_of)

    def _write(self, writes: Sequence[Write], report: Report, as_of: datetime) -> Sequence[Write]:
        if writes or (self._ledger.is_ahead and not self._ledger.is_empty):
            self._heartbeat.claim(self._writer, as_of)
        if not writes:
            return ()
        self._tell(dict.fromkeys((write.asset.guid for write in writes), UNSURE))
        outcome = self._writer.write(writes)
        report.written += len(outcome.written)
        self._tell({write.asset.guid: digest_of(write.values) for write in outcome.written})
        self._catalog.carry({write.asset.guid: write.values for write in outcome.written})
        self._note_cleared([write for write in outcome.written if write.values == NOTHING], report)
        return outcome.refused

    def _tell(self, digests: Mapping[str, bytes]) -> None:
        self._ledger.tell(digests)
        self._told.update(digests)

    def _note_cleared(self, cleared: Sequence[Write], report: Report) -> None:
        report.cleared += len(cleared)
        if cleared:
            self._log.warning(
                "The figures of %d assets were taken away, because the ledger knows no event of them (%s).",
                len(cleared),
                ", ".join(write.asset.qualified_name for write in cleared[:5]),
            )

    def _is_among(self, key: AssetKey, names: set[str]) -> bool:
        return any(asset.qualified_name in names for asset in self._catalog.find_all(key))

    def _note_unresolved(self, told: Sequence[Told], report: Report) -> None:
        for key, figures, _ in told:
            if not figures.says_something or self._catalog.find(key) is not None:
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
