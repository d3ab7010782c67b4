"""The org a run reads: one logged-in session, and what is learnt from it once."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import cached_property
from typing import IO, TYPE_CHECKING, Final

import msgspec

from microdecisions.actors import Actors
from microdecisions.describe import SalesforceMetadata
from microdecisions.errors import NOT_FOR_THIS_USER, ConfigurationError, SalesforceError
from microdecisions.ids import to_18
from microdecisions.session import open_session
from microdecisions.temporary import temporary_file
from tap_salesforce_temporal import sources
from tap_salesforce_temporal.composite import MOST_PARTS
from tap_salesforce_temporal.describing import describe_together
from tap_salesforce_temporal.reading.bulk import BulkReader
from tap_salesforce_temporal.reading.rest import RestReader

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

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
        self.session = open_session(settings, stop=stop, most_at_once=settings.max_concurrent_requests)
        token = self.session.login()
        self.reader = RestReader(self.session, settings.api_version)
        self.bulk = BulkReader(self.session, settings.bulk_page_size, stop, time.sleep, log)
        self.actors = Actors(self.reader.rows, settings.integration_users, log)
        self.narrowing = sources.Narrowing(settings.history_objects, settings.history_fields)
        self._metadata = SalesforceMetadata(self.session)
        self._descriptions: dict[str, ObjectDescription] = {}
        self._field_types: dict[str, dict[str, str]] = {}
        self._assumed: list[str] = []
        self._settings = settings
        self._log = log
        self.org_id = token.org_id
        log.info("Connected to the org %s at %s.", self.org_id, token.instance_url)

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

    @cached_property
    def misnamed(self) -> sources.Misnamed:
        """Patterns of `history_objects` and `history_fields` that fit nothing here; each is a warning in the log.

        Fields are looked up in the descriptions of the objects whose fields are narrowed, 25 of them in one API call.
        """
        settings = self._settings
        if not (settings.history_objects or settings.history_fields):
            return sources.Misnamed()
        shown = {name for name in ("OpportunityHistory", "ActivityFieldHistory", _ARCHIVE) if name in self._objects}
        about: list[tuple[str, str | None]] = [
            (summary.name, summary.associate_parent_entity)
            for summary in self._objects.values()
            if summary.associate_entity_type == "History" or summary.name in shown
        ]
        if "OpportunityHistory" in shown:
            about.append(("OpportunityHistory", "Opportunity"))
        if "ActivityFieldHistory" in shown:
            about += [(name, name) for name in ("Event", "Task") if name in self._objects]
        found = sources.misnamed(settings.history_objects, settings.history_fields, about, self._field_names)
        for sentence in (*found.wrong, *found.doubtful):
            self._log.warning("%s", sentence)
        return found

    def check_names(self) -> None:
        """Refuse names in `history_objects` and `history_fields` that the org does not know.

        Raises:
            ConfigurationError: there is one.
        """
        for sentence in self.misnamed.wrong:
            raise ConfigurationError(sentence)

    def _field_names(self, sobjects: Collection[str]) -> dict[str, Collection[str]]:
        self._describe([name for name in sobjects if name not in self._descriptions])
        return {name: known for name in sobjects if (known := self.field_types(name))}

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

    @contextmanager
    def log_file(self, file_id: str) -> Iterator[IO[bytes]]:
        """The content of an event log file, whole, in a file of its own that is gone afterwards. One API call.

        A file of a day may hold gigabytes: it waits on disk. A connection that breaks off costs a repeat and no row.
        """
        with temporary_file() as content:
            self.session.download(f"sobjects/EventLogFile/{to_18(file_id)}/LogFile", content, {"Accept": "*/*"})
            yield content

    def sources(self, only: Collection[str] | None = None, known: Collection[str] = frozenset()) -> Iterator[Source]:
        """Find what can be read, from describe.

        Args:
            only: Names of the streams that are asked for; all when None. 25 of them cost one API call.
            known: Names of streams that were read before. Of these a field history is not described again but assumed
                to be as all of them are: its first page proves that, or `described` tells what it is.
        """
        self.misnamed  # noqa: B018  # what it warns of explains what is not found
        streams = self._streams
        asked = [
            summary
            for name, summary in sorted(self._objects.items())
            if summary.queryable and (only is None or streams[name] in only) and self._may_be_read(summary)
        ]
        assumed = {
            summary.name: source
            for summary in asked
            if streams[summary.name] in known
            and summary.name not in _SPECIAL
            and (source := sources.assumed_field_history_source(summary)) is not None
        }
        self._assumed += assumed
        self._describe([summary.name for summary in asked if summary.name not in assumed])
        for summary in asked:
            source = self._narrowed(summary, assumed.get(summary.name) or self._source(summary))
            if source is not None:
                yield source

    def leaves_out(self, stream: str) -> bool:
        """Whether the org shows the object of a stream and `history_objects` leaves it out."""
        shown = next((summary for name, summary in self._objects.items() if self._streams[name] == stream), None)
        if shown is None:
            return False
        if shown.associate_entity_type == "History":
            return not self._may_be_read(shown)
        source = self._source(shown) if self._may_be_read(shown) else None
        return source is not None and self._narrowed(shown, source) is None

    def described(self, assumed: Source) -> Source | None:
        """What an assumed source is by describe; None when it cannot be read as field history.

        The next 24 that were assumed are described along, at the price of one: where one is not as assumed, more may be
        so.
        """
        name = assumed.sobject
        if name not in self._descriptions:
            place = self._assumed.index(name)
            self._describe(self._assumed[place : place + MOST_PARTS])
        summary = self._objects[name]
        return self._narrowed(summary, self._source(summary))

    @cached_property
    def _streams(self) -> dict[str, str]:
        return sources.stream_names(self._objects)

    def _describe(self, names: Sequence[str]) -> None:
        self._descriptions.update(describe_together(self.session, names))

    def _narrowed(self, summary: ObjectSummary, source: Source | None) -> Source | None:
        narrowed = None if source is None else self.narrowing.applied(source, self.histories)
        return None if narrowed is None else msgspec.structs.replace(narrowed, stream=self._streams[summary.name])

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
