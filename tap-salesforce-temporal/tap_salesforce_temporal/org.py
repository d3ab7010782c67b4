"""The org a run reads: one logged-in session, and what is learnt from it once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions.describe import SalesforceMetadata
from microdecisions.errors import NOT_FOR_THIS_USER, SalesforceError
from microdecisions.session import open_session
from tap_salesforce_temporal import sources
from tap_salesforce_temporal.actors import Actors
from tap_salesforce_temporal.reading.rest import RestReader

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Iterator, Mapping

    from microdecisions.describe import ObjectDescription, ObjectSummary
    from microdecisions.pages import StopFlag
    from tap_salesforce_temporal.settings import TapSettings
    from tap_salesforce_temporal.sources import Source

__all__ = ["Org"]


_SPECIAL: Final[Mapping[str, Callable[[ObjectDescription], Source]]] = {
    "OpportunityHistory": sources.opportunity_history_source,
    "ProcessInstanceStep": sources.approval_step_source,
}
"""Sources that are told by their names, because describe does not associate them as history."""


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
        log.info("Connected to the org %s (%s) at %s.", self._name(), self.org_id, token.instance_url)

    def _name(self) -> str:
        try:
            names = [row.name for row in self.reader.rows("SELECT Name FROM Organization", _Organization)]
        except SalesforceError as error:
            if error.code not in NOT_FOR_THIS_USER:
                raise
            names = []
        return next((name for name in names if name), "without a name")

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
            if name not in _SPECIAL and summary.associate_entity_type != "History":
                continue
            source = self._source(summary)
            if source is not None:
                yield msgspec.structs.replace(source, stream=streams[name])

    def _source(self, summary: ObjectSummary) -> Source | None:
        try:
            description = self._metadata.describe(summary.name)
        except SalesforceError as error:
            if error.code not in NOT_FOR_THIS_USER:
                raise
            self._log.warning("%s is listed but cannot be described (%s): left out.", summary.name, error.code)
            return None
        special = _SPECIAL.get(summary.name)
        if special is not None:
            return special(description)
        source = sources.field_history_source(summary, description)
        if source is None:
            self._log.info("%s is associated as history but has not the columns of one: left out.", summary.name)
        return source
