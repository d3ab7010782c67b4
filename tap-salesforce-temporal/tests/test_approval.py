"""Steps of approvals become events: the golden file, and rows with as little as Salesforce may send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from golden_run import ACTORS, EXTRACTION

from microdecisions import values
from microdecisions.event import MicroDecisionEvent
from tap_salesforce_temporal.normalise.approval import ApprovalStepRow, approval_decisions
from tap_salesforce_temporal.reading.rest import QueryPage

GOLDEN = Path(__file__).parent / "golden" / "process_instance_step.json"
LEAST = {
    "Id": "04h5g00000Step1",
    "ProcessInstanceId": "04g5g00000PrIn1",
    "StepStatus": "Removed",
    "ActorId": None,
    "CreatedDate": "2026-01-03T10:00:01.000+0000",
    "SystemModstamp": "2026-01-03T10:00:01.000+0000",
}


class Golden(msgspec.Struct, forbid_unknown_fields=True):
    what: str
    objects_by_prefix: dict[str, str]
    row: msgspec.Raw
    event: dict[str, Any]


def _event(row: bytes, objects_by_prefix: dict[str, str]) -> MicroDecisionEvent:
    page = values.page_decoder(QueryPage[ApprovalStepRow]).decode(b'{"totalSize":1,"done":true,"records":[%s]}' % row)
    (event,) = approval_decisions(page.rows, objects_by_prefix, ACTORS, EXTRACTION)
    return event


def test_golden_row_becomes_its_golden_event() -> None:
    golden = msgspec.json.decode(GOLDEN.read_bytes(), type=Golden)
    event = _event(bytes(golden.row), golden.objects_by_prefix)
    assert event.to_json() == msgspec.json.encode(golden.event)


def test_a_row_with_nothing_but_itself_is_an_event_still() -> None:
    event = _event(msgspec.json.encode(LEAST), {})
    assert (event.record_type, event.record_id, event.actor_type, event.new_value) == (None, None, "system", "Removed")
    assert event.event_id == "00D5g000004AbcDEAS:ProcessInstanceStep:04h5g00000Step1AAB"
    assert "approval_process_name" not in event.to_dict()["context"]


def test_relationships_that_are_null_are_left_out() -> None:
    row = {**LEAST, "ProcessInstance": None, "StepNode": None, "OriginalActorId": None, "Comments": ""}
    assert _event(msgspec.json.encode(row), {}) == _event(msgspec.json.encode(LEAST), {})


def test_a_target_of_an_unknown_kind_keeps_its_id() -> None:
    row = {**LEAST, "ProcessInstance": {"TargetObjectId": "a015g00000Inv01"}}
    event = _event(msgspec.json.encode(row), {"006": "Opportunity"})
    assert (event.record_type, event.record_id) == (None, "a015g00000Inv01AAB")


@pytest.mark.parametrize(("token", "minutes"), [("90", 90), ("90.0", 90), ("0", 0), ("null", None), ("0.5", None)])
def test_elapsed_minutes_are_whole(token: str, minutes: int | None) -> None:
    row = msgspec.json.encode(LEAST)[:-1] + f',"ElapsedTimeInMinutes":{token}}}'.encode()
    assert _event(row, {}).context.approval_elapsed_minutes == minutes


def test_comments_stay_verbatim() -> None:
    comments = "007\r\n\"no\" 😀 'x' 1e5 "
    assert _event(msgspec.json.encode({**LEAST, "Comments": comments}), {}).context.approval_comments == comments


@pytest.mark.parametrize(("cursor", "second"), [("SystemModstamp", "09"), ("CreatedDate", "01")])
def test_the_time_of_recording_is_the_cursor(cursor: str, second: str) -> None:
    row = {**LEAST, "SystemModstamp": "2026-01-03T10:00:09.000+0000"}
    page = values.page_decoder(QueryPage[ApprovalStepRow]).decode(
        b'{"totalSize":1,"done":true,"records":[%s]}' % msgspec.json.encode(row)
    )
    (event,) = approval_decisions(page.rows, {}, ACTORS, EXTRACTION, cursor=cursor)
    assert event.timestamp_recorded == f"2026-01-03T10:00:{second}.000000Z"
