"""The org a run reads: one logged-in session, and what is learnt from it once."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions.describe import SalesforceMetadata
from microdecisions.errors import NOT_FOR_THIS_USER, SalesforceError
from microdecisions.ids import to_18
from microdecisions.session import open_session
from tap_salesforce_temporal import sources
from tap_salesforce_temporal.actors import Actors
from tap_salesforce_temporal.describing import describe_together
from tap_salesforce_temporal.reading.bulk import BulkReader
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
    "ProcessInstance": sources.process_instance_source,
    "ProcessInstanceStep": sources.approval_step_source,
    "ProcessInstanceWorkitem": sources.workitem_source,
    "ApprovalSubmission": sources.approval_submission_source,
    "ApprovalWorkItem": sources.approval_work_item_source,
    "ActivityFieldHistory": sources.activity_field_history_source,
    "Task": sources.task_source,
    "Event": sources.event_source,
    "SetupAuditTrail": sources.setup_audit_trail_source,
    "LoginHistory": sources.login_history_source,
    "EventLogFile": sources.event_log_file_source,
}
"""Sources that are told by their names, because describe does not associate them as history."""

_ARCHIVE: Final = "FieldHistoryArchive"


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
        self.bulk = BulkReader(self.session, settings.bulk_page_size, stop, time.sleep, log)
        self.actors = Actors(self.reader.rows, settings.integration_users, log)
        self.narrowing = sources.Narrowing(settings.history_objects, settings.history_fields)
        self._metadata = SalesforceMetadata(self.session)
        self._descriptions: dict[str, ObjectDescription] = {}
        self._field_types: dict[str, dict[str, str]] = {}
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

    @cached_property
    def histories(self) -> dict[str, str]:
        """API name of the field-history object by that of the object it is about."""
        return {
            summary.associate_parent_entity: name
            for name, summary in sorted(self._objects.items())
            if summary.associate_entity_type == "History" and summary.associate_parent_entity and name not in _SPECIAL
        }

    def field_types(self, sobject: str) -> dict[str, str]:
        """Describe's type of an object's fields, by their names and by what their history calls look-ups."""
        known = self._field_types.get(sobject)
        if known is None:
            description = self._described(sobject)
            known = {}
            for field in () if description is None else description.fields:
                names = (field.name, field.relationship_name, field.name.removesuffix("Id"))
                known.update({name: field.type for name in names if name})
            self._field_types[sobject] = known
        return known

    def log_file(self, file_id: str) -> bytes:
        """The content of an event log file. One API call."""
        path = f"sobjects/EventLogFile/{to_18(file_id)}/LogFile"
        return self.session.get_bytes(path, headers={"Accept": "*/*"}).body

    def sources(self, only: Collection[str] | None = None) -> Iterator[Source]:
        """Find what can be read, from describe.

        Args:
            only: Names of the streams that are asked for; all when None. 25 of them cost one API call.
        """
        streams = sources.stream_names(self._objects)
        asked = [
            summary
            for name, summary in sorted(self._objects.items())
            if summary.queryable and (only is None or streams[name] in only) and self._may_be_read(summary)
        ]
        self._descriptions.update(describe_together(self.session, [summary.name for summary in asked]))
        for summary in asked:
            source = self._source(summary)
            narrowed = None if source is None else self.narrowing.applied(source)
            if narrowed is not None:
                yield msgspec.structs.replace(narrowed, stream=streams[summary.name])

    def _may_be_read(self, summary: ObjectSummary) -> bool:
        """Whether an object looks like a source, by its line in the list of all objects."""
        if summary.associate_entity_type == "History":
            return self.narrowing.takes(summary.name, summary.associate_parent_entity)
        return summary.name in _SPECIAL or summary.name == _ARCHIVE

    def _source(self, summary: ObjectSummary) -> Source | None:
        description = self._described(summary.name)
        if description is None:
            return None
        if summary.name == _ARCHIVE:
            return sources.field_history_archive_source(description, self.histories) if self.histories else None
        special = _SPECIAL.get(summary.name)
        if special is not None:
            return special(description)
        source = sources.field_history_source(summary, description)
        if source is None:
            self._log.info("%s is associated as history but has not the columns of one: left out.", summary.name)
        return source

    def _described(self, sobject: str) -> ObjectDescription | None:
        if sobject in self._descriptions:
            return self._descriptions[sobject]
        try:
            return self._metadata.describe(sobject)
        except SalesforceError as error:
            if error.code not in NOT_FOR_THIS_USER:
                raise
            self._log.warning("%s is listed but cannot be described (%s): left out.", sobject, error.code)
            return None
