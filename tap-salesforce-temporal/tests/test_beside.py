"""Rows of approvals, activities, administration and big histories become events: a golden file for each kind."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from golden_run import ACTORS, APPROVER, EXTRACTION
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions import values
from microdecisions.event import MicroDecisionEvent
from tap_salesforce_temporal.normalise import (
    activity,
    administration,
    approval,
    big_history,
    flow_approval,
    log_file,
)
from tap_salesforce_temporal.reading.cells import rows_of
from tap_salesforce_temporal.reading.rest import QueryPage
from tap_salesforce_temporal.sources import Source
from tap_salesforce_temporal.windows import Window

GOLDEN = Path(__file__).parent / "golden"
LAW = settings(deadline=None, derandomize=True)
PREFIXES = {"006": "Opportunity", "001": "Account", "003": "Contact", "00T": "Task", "00U": "Event"}


class Golden(msgspec.Struct, forbid_unknown_fields=True):
    what: str
    sobject: str
    row: msgspec.Raw
    events: list[dict[str, Any]]
    histories: dict[str, str] = {}
    field_types: dict[str, dict[str, str]] = {}
    body: str = ""


def _read(path: Path) -> Golden | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Golden)
    except msgspec.ValidationError:
        return None  # of the field histories, which have a test of their own


GOLDENS = {path.stem: golden for path in sorted(GOLDEN.glob("*.json")) if (golden := _read(path)) is not None}
ToEvents = Callable[[list[Any], Golden], Iterable[MicroDecisionEvent]]


def _archived(rows: list[Any], golden: Golden) -> Iterable[MicroDecisionEvent]:
    def types(sobject: str) -> dict[str, str]:
        return golden.field_types.get(sobject, {})

    return big_history.archived_changes(rows, golden.histories, types, ACTORS, EXTRACTION)


def _logged(rows: list[Any], golden: Golden) -> Iterable[MicroDecisionEvent]:
    for number, line in enumerate(log_file.lines_of(io.BytesIO(golden.body.encode()))):
        yield log_file.logged(rows[0], number, line, ACTORS, EXTRACTION)


def _plainly(function: Callable[..., Iterable[MicroDecisionEvent]], **more: Any) -> ToEvents:
    return lambda rows, _: function(rows, PREFIXES, ACTORS, EXTRACTION, **more)


KINDS: dict[str, tuple[type[msgspec.Struct], ToEvents]] = {
    "ProcessInstance": (approval.ProcessInstanceRow, _plainly(approval.approvals_reached)),
    "ProcessInstanceWorkitem": (approval.WorkitemRow, _plainly(approval.approval_requests)),
    "ApprovalSubmission": (flow_approval.SubmissionRow, _plainly(flow_approval.flow_approvals_reached)),
    "ApprovalWorkItem": (flow_approval.WorkItemRow, _plainly(flow_approval.flow_requests)),
    "Task": (activity.ActivityRow, _plainly(activity.activities, sobject="Task")),
    "Event": (activity.ActivityRow, _plainly(activity.activities, sobject="Event")),
    "SetupAuditTrail": (administration.SetupRow, _plainly(administration.setup_changes)),
    "LoginHistory": (administration.LoginRow, _plainly(administration.logins)),
    "ActivityFieldHistory": (big_history.ActivityHistoryRow, _plainly(big_history.activity_changes)),
    "FieldHistoryArchive": (big_history.ArchiveRow, _archived),
    "EventLogFile": (log_file.LogFileRow, _logged),
}


def _events(sobject: str, rows: list[Any], golden: Golden) -> list[MicroDecisionEvent]:
    return list(KINDS[sobject][1](rows, golden))


def _by_rest(sobject: str, row: bytes) -> list[Any]:
    page_type: Any = QueryPage[KINDS[sobject][0]]  # type: ignore[misc]
    rows: list[Any] = values.page_decoder(page_type).decode(b'{"totalSize":1,"done":true,"records":[%s]}' % row).rows
    return rows


def test_every_kind_has_a_golden_file() -> None:
    assert {golden.sobject for golden in GOLDENS.values()} == set(KINDS)


@pytest.mark.parametrize("name", GOLDENS)
def test_golden_row_becomes_its_golden_events(name: str) -> None:
    golden = GOLDENS[name]
    found = _events(golden.sobject, _by_rest(golden.sobject, bytes(golden.row)), golden)
    assert [msgspec.json.decode(event.to_json()) for event in found] == golden.events
    assert [event.to_json() for event in found] == [msgspec.json.encode(event) for event in golden.events]


def _cells(row: dict[str, Any], before: str = "") -> dict[str, str]:
    cells: dict[str, str] = {}
    for name, value in row.items():
        if name == "attributes":
            continue
        if isinstance(value, dict):
            cells.update(_cells(value, f"{before}{name}."))
        else:
            text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            cells[before + name] = text.replace("+0000", "Z") if text.endswith(".000+0000") else text
    return cells


@pytest.mark.parametrize("name", [name for name, golden in GOLDENS.items() if golden.sobject != "EventLogFile"])
def test_the_row_gives_the_same_events_by_bulk(name: str) -> None:
    golden = GOLDENS[name]
    cells = _cells(msgspec.json.decode(golden.row))
    body = ",".join(f'"{cell}"' for cell in cells) + "\n" + ",".join(f'"{cell}"' for cell in cells.values()) + "\n"
    rows = list(rows_of(io.BytesIO(body.encode()), KINDS[golden.sobject][0]))
    assert [event.digest() for event in _events(golden.sobject, rows, golden)] == [
        event.digest() for event in _events(golden.sobject, _by_rest(golden.sobject, bytes(golden.row)), golden)
    ]


@pytest.mark.parametrize(
    ("sobject", "least"),
    [
        ("ProcessInstance", {"Id": "04g5g00000PrIn1", "CreatedDate": "", "SystemModstamp": ""}),
        ("ProcessInstanceWorkitem", {"Id": "04i5g00000Work1", "ProcessInstanceId": "04g5g00000PrIn1"}),
        ("ApprovalSubmission", {"Id": "1lg5g00000Subm1"}),
        ("ApprovalWorkItem", {"Id": "1lj5g00000Work2", "ApprovalSubmissionId": "1lg5g00000Subm1"}),
        ("Task", {"Id": "00T5g00000Task1", "LastModifiedDate": ""}),
        ("Event", {"Id": "00U5g00000Even1", "LastModifiedDate": ""}),
        ("SetupAuditTrail", {"Id": "0Ym5g00000Audi1"}),
        ("LoginHistory", {"Id": "0Ya5g00000Logi1", "LoginTime": ""}),
        ("ActivityFieldHistory", {"Id": "9Af5g00000Hist1", "ActivityId": "00T5g00000Task1", "FieldName": "Status"}),
        ("FieldHistoryArchive", {"Id": "9Fh5g00000Arch1", "Field": "Rating"}),
    ],
)
def test_a_row_with_nothing_but_itself_is_an_event_still(sobject: str, least: dict[str, str]) -> None:
    instants = dict.fromkeys(("CreatedDate", "SystemModstamp", "ChangedDate"), "")
    row = {name: value or "2026-01-03T10:00:01.000+0000" for name, value in {**instants, **least}.items()}
    golden = Golden(what="", sobject=sobject, row=msgspec.Raw(b""), events=[])
    (event,) = _events(sobject, _by_rest(sobject, msgspec.json.encode(row)), golden)
    assert event.event_id.startswith(f"00D5g000004AbcDEAS:{sobject}:")
    assert event.timestamp_recorded == "2026-01-03T10:00:01.000000Z"


def test_a_gap_is_an_event_with_one_name() -> None:
    golden = msgspec.json.decode((GOLDEN / "gap.json").read_bytes())
    source = Source(
        stream="setup_audit_trail",
        sobject="SetupAuditTrail",
        kind="setup_audit_trail",
        cursor="CreatedDate",
        fields=("Id",),
    )
    window = Window(*(datetime.fromisoformat(golden[side]) for side in ("start", "end")))
    assert administration.gap(source, window, EXTRACTION, "Events may be missing.").to_dict() == golden["event"]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@LAW
@given(st.lists(st.lists(texts, min_size=3, max_size=3), max_size=10))
def test_every_line_of_a_log_file_comes_out_as_it_went_in(lines: list[list[str]]) -> None:
    def quoted(cells: Iterable[str]) -> str:
        return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)

    body = "\n".join(map(quoted, [["A", "B", "C"], *lines])) + "\n"
    found = list(log_file.lines_of(io.BytesIO(body.encode())))
    assert found == [{name: cell for name, cell in zip("ABC", line, strict=True) if cell} for line in lines]


@pytest.mark.parametrize(("body", "says"), [(b'"A"\n"x","y"\n', "2 cells for 1"), (b'"A"\n"x', "not CSV")])
def test_what_is_no_log_file_is_told_without_its_values(body: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        list(log_file.lines_of(io.BytesIO(body)))


@pytest.mark.parametrize(
    ("value", "data_type"),
    [(APPROVER, "EntityId"), ("Approver", "Text"), ("ABCDEFGHIJKLMNO", "Text"), ("0055g00000ApproAAA", "Text")],
)
def test_the_archive_tells_names_from_ids_by_their_shape(value: str, data_type: str) -> None:
    row = {"Id": "9Fh5g00000Arch1", "Field": "Owner", "NewValue": value, "FieldHistoryType": "Account"}
    row["CreatedDate"] = "2026-01-03T10:00:01.000+0000"
    golden = Golden("", "FieldHistoryArchive", msgspec.Raw(b""), [], field_types={"Account": {"Owner": "reference"}})
    (event,) = _events("FieldHistoryArchive", _by_rest("FieldHistoryArchive", msgspec.json.encode(row)), golden)
    assert (event.context.data_type, event.is_primary) == (data_type, data_type == "Text")


@pytest.mark.parametrize(
    ("columns", "old", "new"),
    [
        ({"DataType": "Text", "OldValueText": "007", "NewValueText": "1e5"}, "007", "1e5"),
        ({"DataType": "Double", "OldValueNumber": 5, "NewValueNumber": None}, "5", None),
        ({"DataType": "DateTime", "NewValueDateTime": "2026-01-05T09:30:00.000Z"}, None, "2026-01-05T09:30:00.000000Z"),
        ({"DataType": "DateOnly", "OldValueDateTime": "2026-01-05T00:00:00.000Z"}, "2026-01-05", None),
    ],
)  # fmt: skip
def test_an_activitys_history_has_its_values_in_one_of_three_columns(
    columns: dict[str, Any], old: str | None, new: str | None
) -> None:
    row = {"Id": "000000000000000AAA", "ActivityId": "00T5g00000Task1EAB", "FieldName": "X", **columns}
    row["ChangedDate"] = "2026-01-03T10:00:01.000+0000"
    golden = Golden("", "ActivityFieldHistory", msgspec.Raw(b""), [])
    (event,) = _events("ActivityFieldHistory", _by_rest("ActivityFieldHistory", msgspec.json.encode(row)), golden)
    assert (event.old_value, event.new_value) == (old, new)
    assert event.event_id.endswith(":00T5g00000Task1EAB.2026-01-03T10:00:01.000000Z.X")  # rows may have no id
