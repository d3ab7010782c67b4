"""What administrators and logins leave behind: the setup audit trail, the login history, and gaps in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from microdecisions import timestamps, values
from microdecisions.event import EventContext
from microdecisions.ids import gap_id, row_event_id, to_18
from tap_salesforce_temporal.normalise.common import UNKNOWN, decided, facts, id_or_none

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from microdecisions.actors import Actor
    from microdecisions.event import MicroDecisionEvent
    from tap_salesforce_temporal.normalise import Extraction
    from tap_salesforce_temporal.sources import Source
    from tap_salesforce_temporal.windows import Window

__all__ = ["LoginRow", "SetupRow", "gap", "logins", "setup_changes"]


class SetupRow(msgspec.Struct):
    """One row of `SetupAuditTrail`."""

    id: str = msgspec.field(name="Id")
    created_date: str = msgspec.field(name="CreatedDate")
    action: str | None = msgspec.field(name="Action", default=None)
    section: str | None = msgspec.field(name="Section", default=None)
    display: str | None = msgspec.field(name="Display", default=None)
    delegate_user: str | None = msgspec.field(name="DelegateUser", default=None)
    created_by_context: str | None = msgspec.field(name="CreatedByContext", default=None)
    created_by_issuer: str | None = msgspec.field(name="CreatedByIssuer", default=None)
    namespace: str | None = msgspec.field(name="ResponsibleNamespacePrefix", default=None)
    created_by_id: str | None = msgspec.field(name="CreatedById", default=None)


class LoginRow(msgspec.Struct):
    """One row of `LoginHistory`."""

    id: str = msgspec.field(name="Id")
    login_time: str = msgspec.field(name="LoginTime")
    user_id: str | None = msgspec.field(name="UserId", default=None)
    status: str | None = msgspec.field(name="Status", default=None)
    login_type: str | None = msgspec.field(name="LoginType", default=None)
    login_sub_type: str | None = msgspec.field(name="LoginSubType", default=None)
    login_url: str | None = msgspec.field(name="LoginUrl", default=None)
    source_ip: str | None = msgspec.field(name="SourceIp", default=None)
    country: str | None = msgspec.field(name="CountryIso", default=None)
    application: str | None = msgspec.field(name="Application", default=None)
    browser: str | None = msgspec.field(name="Browser", default=None)
    platform: str | None = msgspec.field(name="Platform", default=None)
    client_version: str | None = msgspec.field(name="ClientVersion", default=None)
    api_type: str | None = msgspec.field(name="ApiType", default=None)
    api_version: str | None = msgspec.field(name="ApiVersion", default=None)
    tls_protocol: str | None = msgspec.field(name="TlsProtocol", default=None)
    auth_method: str | None = msgspec.field(name="AuthMethodReference", default=None)


def setup_changes(
    rows: Sequence[SetupRow],
    objects_by_prefix: Mapping[str, str],
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
) -> Iterator[MicroDecisionEvent]:
    """Turn rows of the setup audit trail into one event each: the action is the field, its words are the new value.

    Args:
        rows: The rows.
        objects_by_prefix: Not needed.
        actors: By user id; holds the CreatedById of each row.
        extraction: What the events share.
    """
    del objects_by_prefix
    for row in rows:
        actor, row_id, at = actors[row.created_by_id], to_18(row.id), timestamps.canonical(row.created_date)
        yield decided(
            extraction,
            actor,
            event_id=row_event_id(extraction.org_id, "SetupAuditTrail", row_id),
            event_type="setup_change",
            timestamp_occurred=at,
            timestamp_recorded=at,
            record_type="Setup",
            record_id=values.canonical(row.section, None),
            field_name=row.action,
            new_value=values.canonical(row.display, None),
            context=EventContext(
                source_object="SetupAuditTrail",
                source_record_id=row_id,
                source=extraction.source,
                metadata=facts(
                    delegate_user=row.delegate_user,
                    created_by_context=row.created_by_context,
                    created_by_issuer=row.created_by_issuer,
                    namespace=row.namespace,
                ),
            ),
        )


def logins(
    rows: Sequence[LoginRow],
    objects_by_prefix: Mapping[str, str],
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
) -> Iterator[MicroDecisionEvent]:
    """Turn rows of the login history into one event each.

    Args:
        rows: The rows.
        objects_by_prefix: Not needed.
        actors: By user id; holds the UserId of each row.
        extraction: What the events share.
    """
    del objects_by_prefix
    for row in rows:
        actor, row_id, at = actors[row.user_id], to_18(row.id), timestamps.canonical(row.login_time)
        user_id = id_or_none(row.user_id)
        yield decided(
            extraction,
            actor,
            event_id=row_event_id(extraction.org_id, "LoginHistory", row_id),
            event_type="login",
            timestamp_occurred=at,
            timestamp_recorded=at,
            record_type="User",
            record_id=user_id,
            field_name="Status",
            new_value=values.canonical(row.status, None),
            context=EventContext(
                source_object="LoginHistory",
                source_record_id=row_id,
                source=extraction.source,
                metadata=facts(
                    login_type=row.login_type,
                    login_sub_type=row.login_sub_type,
                    login_url=row.login_url,
                    source_ip=row.source_ip,
                    country=row.country,
                    application=row.application,
                    browser=row.browser,
                    platform=row.platform,
                    client_version=row.client_version,
                    api_type=row.api_type,
                    api_version=row.api_version,
                    tls_protocol=row.tls_protocol,
                    auth_method=row.auth_method,
                ),
            ),
        )


def gap(source: Source, window: Window, extraction: Extraction, why: str) -> MicroDecisionEvent:
    """The event that says that events of a stream may be missing between two instants.

    Args:
        source: Of the stream.
        window: What may be missing.
        extraction: The read.
        why: One sentence.
    """
    start, end = timestamps.to_text(window.start), timestamps.to_text(window.end)
    event_id = gap_id(extraction.org_id, source.sobject, source.stream, start, end)
    return decided(
        extraction,
        UNKNOWN,
        event_id=event_id,
        event_type="gap",
        timestamp_occurred=end,
        timestamp_recorded=end,
        record_type=source.sobject,
        record_id=None,
        field_name=None,
        new_value=None,
        context=EventContext(
            source_object=source.sobject,
            source_record_id=event_id.removeprefix(f"{extraction.org_id}:{source.sobject}:"),
            source=extraction.source,
            metadata={"gap_start": start, "gap_end": end, "why": why},
        ),
    )
