"""The org a run reads: one logged-in session, and what is learnt from it once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from microdecisions.describe import SalesforceMetadata
from microdecisions.session import open_session
from tap_salesforce_temporal import sources
from tap_salesforce_temporal.actors import Actors
from tap_salesforce_temporal.reading.rest import RestReader

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterator

    from microdecisions.describe import ObjectSummary
    from microdecisions.pages import StopFlag
    from tap_salesforce_temporal.settings import TapSettings
    from tap_salesforce_temporal.sources import Source

__all__ = ["Org"]


class _Organization(msgspec.Struct):
    name: str | None = msgspec.field(name="Name", default=None)


class Org:
    """A Salesforce org behind one session.

    Args:
        settings: Login and running.
        stop: Ends waits early.
        log: For an operator.

    Raises:
        MicroDecisionError: the login fails.
    """

    def __init__(self, settings: TapSettings, stop: StopFlag, log: logging.Logger) -> None:
        self.session = open_session(settings, stop=stop)
        token = self.session.login()
        self.reader = RestReader(self.session, settings.api_version)
        self.actors = Actors(self.reader.rows, settings.integration_users, log)
        self._metadata = SalesforceMetadata(self.session)
        self._log = log
        self.org_id = token.org_id
        names = [row.name for row in self.reader.rows("SELECT Name FROM Organization", _Organization)]
        log.info(
            "Connected to the org %s (%s) at %s.", *names[:1] or ["without a name"], self.org_id, token.instance_url
        )

    @cached_property
    def _objects(self) -> dict[str, ObjectSummary]:
        return {summary.name: summary for summary in self._metadata.describe_global()}

    @cached_property
    def objects_by_prefix(self) -> dict[str, str]:
        """API name of each sObject by the first three characters of its records' ids."""
        return {summary.key_prefix: name for name, summary in self._objects.items() if summary.key_prefix}

    def sources(self, only: Collection[str] | None = None) -> Iterator[Source]:
        """Find what can be read, from describe.

        Args:
            only: Names of the streams that are asked for; all when None. Each costs one describe call.
        """
        streams = sources.stream_names(self._objects)
        for name, summary in sorted(self._objects.items()):
            if not summary.queryable or (only is not None and streams[name] not in only):
                continue
            if name == "OpportunityHistory":
                yield sources.opportunity_history_source(self._metadata.describe(name))
            elif name == "ProcessInstanceStep":
                yield sources.approval_step_source(self._metadata.describe(name))
            elif summary.associate_entity_type == "History":
                source = sources.field_history_source(summary, self._metadata.describe(name))
                if source is None:
                    self._log.info("%s is associated as history but has not the columns of one: left out.", name)
                else:
                    yield msgspec.structs.replace(source, stream=streams[name])
