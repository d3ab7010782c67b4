"""What one run of the tap stands on: the org, its clock, its objects, and what could not be read."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import timestamps
from microdecisions.actors import Actors
from microdecisions.describe import SalesforceMetadata
from microdecisions.errors import NOT_FOR_THIS_USER, MicroDecisionError, SalesforceError
from microdecisions.retries import Clocks
from microdecisions.running import Deadline, Outcome
from microdecisions.session import open_session
from tap_salesforce_deletes.allowance import Allowance
from tap_salesforce_deletes.position import Positions
from tap_salesforce_deletes.pubsub.client import PubSubClient
from tap_salesforce_deletes.reconcile.deciding import CLOCK_SKEW
from tap_salesforce_deletes.reconcile.reconciler import Reconciler
from tap_salesforce_deletes.waiting import IdleRule

if TYPE_CHECKING:
    import logging
    from datetime import datetime

    from microdecisions.describe import Limit, ObjectSummary
    from microdecisions.login import Token
    from microdecisions.pages import StopFlag
    from microdecisions.session import SalesforceSession
    from tap_salesforce_deletes.settings import TapSettings

__all__ = ["EXTRACTOR_VERSION", "Run"]

EXTRACTOR_VERSION: Final = f"tap-salesforce-deletes {version('tap-salesforce-deletes')}"


class _Organization(msgspec.Struct):
    name: str | None = msgspec.field(name="Name", default=None)
    instance: str | None = msgspec.field(name="InstanceName", default=None)


class Run(Outcome):
    """One run of the tap.

    Args:
        settings: Checked settings.
        stop: Set by SIGINT and SIGTERM.
        log: For an operator.
        rule: How long to wait for what may not come; by the settings when None.
        clocks: The machine's clocks.
    """

    def __init__(
        self,
        settings: TapSettings,
        stop: StopFlag,
        log: logging.Logger,
        *,
        rule: IdleRule | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        self.clocks = clocks or Clocks()
        super().__init__(settings.on_gap, "sources", log, self.clocks.monotonic)
        self.settings = settings
        self.stop = stop
        self.log = log
        self.topics = settings.parsed_topics
        self.rule = rule or IdleRule(idle_seconds=settings.idle_timeout_seconds)
        self.deadline = Deadline(stop, settings.max_run_seconds, self.clocks.monotonic)
        self.allowance = Allowance(
            settings.max_events_per_run, settings.delivery_percent_total, self._deliveries, self.clocks.monotonic
        )
        self.ceiling: MicroDecisionError | None = None
        self.stored = Positions()
        self._time_asked_at: float | None = None

    @cached_property
    def session(self) -> SalesforceSession:
        """The session with the org, logged in at first use."""
        session = open_session(self.settings, stop=self.stop, clocks=self.clocks)
        session.login()
        return session

    @property
    def org_id(self) -> str:
        """18-character id of the org."""
        return self.session.org_id

    @cached_property
    def started(self) -> datetime:
        """Salesforce's time at the start of the run, the second rounded up: change events are stamped no finer."""
        return timestamps.floor_second(self.session.server_time()) + timedelta(seconds=1)

    @property
    def instance(self) -> str:
        """Name of the instance that holds the org, such as `USA502`; empty where the user may not see it.

        An org that moves to another instance has another event bus there: its replay ids mean nothing any more.
        """
        return self._organization.instance or ""

    @cached_property
    def objects(self) -> dict[str, ObjectSummary]:
        """All objects that the login user sees, by API name. One API call."""
        return {summary.name: summary for summary in self.metadata.describe_global()}

    @cached_property
    def metadata(self) -> SalesforceMetadata:
        """Describe calls and limits."""
        return SalesforceMetadata(self.session)

    @cached_property
    def actors(self) -> Actors:
        """Who decided, by user id."""
        return Actors(self.reconciler.rows, self.settings.integration_users, self.log)

    @cached_property
    def reconciler(self) -> Reconciler:
        """The delete log and the recycle bin."""
        return Reconciler(
            self.session,
            EXTRACTOR_VERSION,
            enrich=self.settings.enrich == "auto",
            now=self.extracted_at,
            log=self.log,
        )

    @cached_property
    def client(self) -> PubSubClient:
        """The Pub/Sub API."""
        settings = self.settings
        return PubSubClient(
            settings.pubsub_endpoint,
            plaintext=settings.pubsub_plaintext,
            ca_bundle=settings.ca_bundle,
            tokens=self._token,
        )

    def extracted_at(self) -> str:
        """The time by this machine's clock, in canonical text."""
        return timestamps.to_text(self.clocks.now())

    def is_ahead(self, stamp: datetime) -> bool:
        """Whether an event's stamp is still to come by Salesforce's time, so that a publisher's clock is ahead.

        Where it seems so, that time is asked anew, at most once a minute: this machine may have slept meanwhile.
        """
        if stamp <= self.session.server_time() + CLOCK_SKEW:
            return False
        now = self.clocks.monotonic()
        if self._time_asked_at is None or now - self._time_asked_at >= CLOCK_SKEW.total_seconds():
            self._time_asked_at = now
            with suppress(MicroDecisionError):
                self.session.get_bytes("/services/data/")
        return stamp > self.session.server_time() + CLOCK_SKEW

    def connect(self) -> None:
        """Log in, and say where to."""
        name = self._organization.name or "without a name"
        self.log.info("Connected to the org %s (%s) at %s.", name, self.org_id, self.session.instance_url)

    def close(self) -> None:
        """Close the connections that were made."""
        for name in ("client", "session"):
            if name in self.__dict__:
                getattr(self, name).close()

    def finish(self) -> None:
        """End the run after its stream.

        Raises:
            MicroDecisionError: A topic or an object could not be read, or a ceiling is reached.
            GapError: A `gap` event was written, and `on_gap` is `fail`.
        """
        self.end(self.session.usage, self.ceiling)

    @cached_property
    def _organization(self) -> _Organization:
        try:
            rows = list(self.reconciler.rows("SELECT Name, InstanceName FROM Organization", _Organization))
        except SalesforceError as error:
            if error.code not in NOT_FOR_THIS_USER:
                raise
            rows = []
        return rows[0] if rows else _Organization()

    def _deliveries(self) -> Limit | None:
        return self.metadata.limits().daily_delivered_platform_events

    def _token(self, stale: Token | None) -> Token:
        return self.session.login() if stale is None else self.session.renewed(stale)
