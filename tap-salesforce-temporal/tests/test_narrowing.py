"""Which histories and fields are read, and what each source may be asked: as data, before any call."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from microdecisions.describe import FieldDescription, ObjectDescription
from microdecisions.errors import ConfigurationError
from tap_salesforce_temporal.settings import TapSettings
from tap_salesforce_temporal.sources import (
    Narrowing,
    Source,
    activity_field_history_source,
    event_log_file_source,
    field_history_archive_source,
    login_history_source,
    process_instance_source,
    setup_audit_trail_source,
    task_source,
)
from tap_salesforce_temporal.windows import Window

DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
CUT = "CreatedDate >= 2026-01-01T00:00:00.000Z AND CreatedDate < 2026-01-02T00:00:00.000Z"


def _history(sobject: str, parent: str) -> Source:
    return Source(
        stream="x", sobject=sobject, kind="field_history", cursor="CreatedDate", fields=("Id",), parent=parent
    )


def _described(name: str, *fields: str) -> ObjectDescription:
    return ObjectDescription(name=name, fields=tuple(FieldDescription(name=field, type="string") for field in fields))


@pytest.mark.parametrize(
    ("patterns", "taken"),
    [
        ((), True),
        (("Case",), True),
        (("CaseHistory",), True),
        (("Lead", "C*"), True),
        (("*History",), True),
        (("case",), True),
        (("CASEH*",), True),
        (("Lead",), False),
    ],
)
def test_an_objects_history_is_known_by_its_name_or_the_objects(patterns: tuple[str, ...], taken: bool) -> None:
    found = Narrowing(patterns).applied(_history("CaseHistory", "Case"))
    assert (found is not None) == taken


@pytest.mark.parametrize(
    ("patterns", "condition"),
    [
        (("Case.Status",), " AND Field IN ('Status')"),
        (("Case.Status", "*.Owner", "Lead.Email"), " AND Field IN ('Owner','Status')"),
        (("Case.Status", "Case.*"), ""),
        (("case.Status",), " AND Field IN ('Status')"),
        (("Lead.Status",), ""),
    ],
)
def test_fields_are_asked_of_salesforce_and_unnamed_objects_are_whole(
    patterns: tuple[str, ...], condition: str
) -> None:
    source = Narrowing((), patterns).applied(_history("CaseHistory", "Case"))
    assert source is not None
    assert source.statement(DAY) == f"SELECT Id FROM CaseHistory WHERE {CUT}{condition}"


@pytest.mark.parametrize("pattern", ["Status", "Case.", "Case.St*", "Case.Status' OR Id != '", "Case Status.X"])
def test_what_is_no_pattern_of_fields_is_one_sentence(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="history_fields"):
        TapSettings(client_id="x", username="u", private_key="k", history_fields=(pattern,))


def test_the_archive_is_asked_once_for_each_object() -> None:
    description = _described("FieldHistoryArchive", "Id", "FieldHistoryType", "ParentId", "Field", "CreatedDate")
    whole = field_history_archive_source(description, ("Account", "Invoice__c"))
    source = Narrowing(("Invoice*",)).applied(whole)
    assert source is not None
    (statement,) = source.statements(DAY)
    assert statement.endswith(f"FROM FieldHistoryArchive WHERE FieldHistoryType = 'Invoice__c' AND {CUT}")
    assert len(whole.statements(DAY)) == 2
    assert set(whole.hidden) == {"OldValue", "NewValue"}
    assert Narrowing(("Case",)).applied(whole) is None
    assert not whole.selected
    assert not whole.countable


def test_the_history_of_activities_is_never_filtered_by_time() -> None:
    activity = FieldDescription(name="ActivityId", type="reference", reference_to=("Event", "Task"))
    source = activity_field_history_source(ObjectDescription(name="ActivityFieldHistory", fields=(activity,)))
    (statement,) = source.statements(DAY)
    assert "WHERE" not in statement
    assert source.parents == ("Event", "Task")
    assert Narrowing(("Task",)).applied(source) is not None
    assert Narrowing(("Case",)).applied(source) is None


def test_each_source_says_what_may_be_asked_of_it() -> None:
    setup = setup_audit_trail_source(_described("SetupAuditTrail", "Id"))
    assert (setup.rest_only, setup.keeps_days, setup.mutable, setup.selected) == (True, 180, False, True)
    logins = login_history_source(_described("LoginHistory", "Id"))
    assert (logins.rest_only, logins.keeps_days, logins.cursor, logins.selected) == (False, 180, "LoginTime", False)
    files = event_log_file_source(_described("EventLogFile", "Id"))
    assert (files.rest_only, files.keeps_days, files.may_keep_more, files.selected) == (True, 1, True, False)
    for source in (task_source(_described("Task", "Id")), process_instance_source(_described("ProcessInstance", "Id"))):
        assert (source.mutable, source.cursor, source.selected) == (True, "SystemModstamp", True)
    assert Narrowing(("Case",), ("Case.Status",)).applied(setup) is setup
