"""The files of an older collector become events: nothing lost, nothing doubled, and each bad row named."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from microdecisions.deletions import resolve, sighting_of
from microdecisions.errors import ConfigurationError, MicroDecisionError
from microdecisions.event import MicroDecisionEvent
from tap_salesforce_deletes.importing import Output, import_files
from tap_salesforce_deletes.normalise import Normaliser
from tap_salesforce_deletes.topics import parse_topics
from tests.deletes_made import CHANGES, HEAD, change, delivered, platform_event, schema_of

ORG = "00D5g000004AbcDEAS"
RECORD = "0015g00000XyZaBAAV"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
UUID = "19bd382e-8964-43de-ac01-d5d82dd0bf78"
COLUMNS = (
    "event_id", "topic", "object_name", "record_id", "deleted_by", "deleted_date", "owner_id", "payload", "ingested_at",
)  # fmt: skip
ROW: dict[str, Any] = {
    "event_id": UUID,
    "topic": "/event/Record_Deleted__e",
    "object_name": "Account",
    "record_id": RECORD,
    "deleted_by": "0055g000007UserAAC",
    "deleted_date": "2026-01-03T10:00:01.000Z",
    "owner_id": "0055g000007OwneAAC",
    "payload": '{"Record_Id__c":"0015g00000XyZaBAAV","CreatedDate":1767434401250}',
    "ingested_at": "2026-01-03 10:00:05",
}


def old_file(
    path: Path, rows: Iterable[dict[str, Any]], table: str = "events", columns: Iterable[str] = COLUMNS
) -> Path:
    names = list(columns)
    with closing(sqlite3.connect(path)) as database, database:
        quoted = '"' + table.replace('"', '""') + '"'
        database.execute(f"CREATE TABLE {quoted} (id INTEGER PRIMARY KEY, {', '.join(names)})")
        marks = ", ".join("?" * len(names))
        values = [[row.get(name) for name in names] for row in rows]
        database.executemany(f"INSERT INTO {quoted} ({', '.join(names)}) VALUES ({marks})", values)
    return path


class Read:
    """What an import wrote."""

    def __init__(self, out: bytes) -> None:
        self.lines = [json.loads(line) for line in out.decode().splitlines()]
        self.records = [msgspec.convert(line["record"], MicroDecisionEvent) for line in self.lines if "record" in line]
        self.states = [line["value"] for line in self.lines if line["type"] == "STATE"]


def imported(*files: Path, org_id: str = ORG, state: dict[str, Any] | None = None) -> Read:
    out = io.BytesIO()
    import_files(files, Output(out), org_id=org_id, now=NOW, state=state)
    return Read(out.getvalue())


def one(tmp_path: Path, **cells: Any) -> MicroDecisionEvent:
    columns = [*COLUMNS, *(name for name in cells if name not in COLUMNS)]
    (event,) = imported(old_file(tmp_path / "events_1.db", [{**ROW, **cells}], columns=columns)).records
    return event


def test_every_column_of_delete_tracker_can_be_filled_from_the_event(tmp_path: Path) -> None:
    event = one(tmp_path)
    facts = event.context.metadata
    assert {
        "event_id": facts["old_event_id"],
        "topic": facts["topic"],
        "object_name": event.record_type,
        "record_id": event.record_id,
        "deleted_by": event.actor_id,
        "deleted_date": facts["deleted_date"],
        "owner_id": facts["owner_id"],
        "payload": facts["payload"],
        "ingested_at": event.extracted_at,
    } == {**ROW, "deleted_date": "2026-01-03T10:00:01.000000Z", "ingested_at": "2026-01-03T10:00:05.000000Z"}
    assert (event.event_type, event.context.source) == ("record_delete", "platform_event")
    assert event.timestamp_recorded == "2026-01-03T10:00:01.250000Z"
    assert event.event_id == f"{ORG}:Record_Deleted__e:{RECORD}:pe:{UUID}"


def test_messages_are_singers(tmp_path: Path) -> None:
    read = imported(old_file(tmp_path / "events_1.db", [ROW]), state={"bookmarks": {"delete_events": {"version": 1}}})
    assert [line["type"] for line in read.lines] == ["SCHEMA", "RECORD", "STATE"]
    assert read.lines[0]["key_properties"] == ["event_id"]
    assert {line["stream"] for line in read.lines[:2]} == {"delete_events"}
    assert read.states[-1]["bookmarks"]["delete_events"] == {"version": 1}


def test_what_both_collectors_saw_of_a_platform_event_is_one_event(tmp_path: Path) -> None:
    avro = platform_event(Object_Name__c="string", Record_Id__c="string")
    values = {"CreatedDate": 1767434401250, "CreatedById": "0055g000007UserAAC", "Object_Name__c": "Account"}
    event = delivered(avro, {**values, "Record_Id__c": RECORD}, uuid=UUID)
    (topic,) = parse_topics(["/event/Record_Deleted__e"])
    (live,) = Normaliser(topic, ORG, "v").decisions(event, schema_of(avro), "2026-01-31T12:00:00.000000Z").events
    assert one(tmp_path).event_id == live.event_id


@pytest.mark.parametrize("collected_as", ["Account", "account", "AccountChangeEvent", None])
def test_what_both_collectors_saw_of_a_change_event_is_one_event(tmp_path: Path, collected_as: str | None) -> None:
    (topic,) = parse_topics(["/data/ChangeEvents"])
    (live,) = Normaliser(topic, ORG, "v").decisions(change(), schema_of(CHANGES), "2026-01-31T12:00:00.000000Z").events
    payload = json.dumps({"ChangeEventHeader": HEAD})
    old = one(tmp_path, topic="/data/ChangeEvents", object_name=collected_as, payload=payload, event_id="17")
    assert (old.event_id, old.context.source) == (live.event_id, "change_event")
    seen = sighting_of(live)
    assert seen is not None
    assert sighting_of(old) == msgspec.structs.replace(seen, owner_id="0055g000007OwneAAC")
    assert len(resolve(found for event in (old, live) if (found := sighting_of(event)) is not None)) == 1


def test_a_day_without_a_time_is_no_instant_where_there_is_a_better_one(tmp_path: Path) -> None:
    event = one(tmp_path, deleted_date="2026-01-03")
    assert event.timestamp_occurred == event.timestamp_recorded == "2026-01-03T10:00:01.250000Z"
    assert event.context.metadata["deleted_date"] == "2026-01-03T00:00:00.000000Z"


@pytest.mark.parametrize("change_type", ["CREATE", "UPDATE", "GAP_UPDATE", "GAP_OVERFLOW", None, 7])
def test_a_change_that_deletes_nothing_is_a_row_that_is_named(
    tmp_path: Path, change_type: object, caplog: pytest.LogCaptureFixture
) -> None:
    payload = json.dumps({"ChangeEventHeader": {**HEAD, "changeType": change_type}})
    with pytest.raises(MicroDecisionError, match="1 of 1 rows were not imported"):
        one(tmp_path, topic="/data/ChangeEvents", payload=payload)
    assert "row 1 is a change that is neither a delete nor an undelete" in caplog.text


def test_an_undelete_in_the_payload_is_an_undelete(tmp_path: Path) -> None:
    header = {**HEAD, "changeType": "UNDELETE"}
    event = one(tmp_path, topic="/data/ChangeEvents", payload=json.dumps({"ChangeEventHeader": header}))
    assert event.event_type == "record_undelete"


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("2026-01-03T10:00:01Z", "2026-01-03T10:00:01.000000Z"),
        ("2026-01-03T10:00:01.000+0000", "2026-01-03T10:00:01.000000Z"),
        ("2026-01-03 12:00:01+02:00", "2026-01-03T10:00:01.000000Z"),
        ("2026-01-03 10:00:01", "2026-01-03T10:00:01.000000Z"),
        ("2026-01-03", "2026-01-03T00:00:00.000000Z"),
        (1767434401, "2026-01-03T10:00:01.000000Z"),
        (1767434401000, "2026-01-03T10:00:01.000000Z"),
        (1767434401.5, "2026-01-03T10:00:01.500000Z"),
        ("1767434401000", "2026-01-03T10:00:01.000000Z"),
        (b"2026-01-03T10:00:01Z", "2026-01-03T10:00:01.000000Z"),
    ],
)
def test_dates_of_many_forms_are_read(tmp_path: Path, said: object, at: str) -> None:
    assert one(tmp_path, deleted_date=said, payload=None).timestamp_occurred == at


def test_a_date_that_cannot_be_read_is_kept_as_it_is(tmp_path: Path) -> None:
    event = one(tmp_path, deleted_date="last Tuesday", payload="not JSON")
    assert event.context.metadata["deleted_date"] == "last Tuesday"
    assert event.context.metadata["payload"] == "not JSON"
    assert event.timestamp_recorded == "2026-01-03T10:00:05.000000Z"


@pytest.mark.parametrize("odd", ["Sales User", "user@example.invalid", "0"])
def test_what_is_no_id_is_kept_as_it_is(tmp_path: Path, odd: str) -> None:
    event = one(tmp_path, deleted_by=odd, owner_id=odd, record_id=odd)
    assert (event.actor_id, event.record_id) == (None, None)
    assert {event.context.metadata[name] for name in ("deleted_by", "owner_id", "record_id")} == {odd}


def test_columns_are_read_from_the_file_in_any_order_and_spelling(tmp_path: Path) -> None:
    names = {"Event_ID": "event_id", "recordId": "record_id", "DeletedDate": "deleted_date", "Region": "emea"}
    row = {name: ROW.get(column, column) for name, column in names.items()}
    (event,) = imported(old_file(tmp_path / "events_1.db", [row], columns=names)).records
    assert (event.record_id, event.record_type) == (RECORD, None)
    assert event.context.metadata["Region"] == "emea"


def test_files_that_overlap_give_each_event_once(tmp_path: Path) -> None:
    rows = [{**ROW, "event_id": str(number)} for number in range(20)]
    files = [
        old_file(tmp_path / "events_1.db", rows[:15]),
        old_file(tmp_path / "events_2.db", rows[10:] + rows[10:12], table="delete_tracker"),
    ]
    read = imported(*files, files[0])
    assert sorted(event.context.metadata["old_event_id"] for event in read.records) == sorted(map(str, range(20)))
    assert [event.event_id for event in imported(*files).records] == [event.event_id for event in read.records]


def test_records_of_one_merged_event_are_apart(tmp_path: Path) -> None:
    rows = [{**ROW, "record_id": record} for record in (RECORD, "0015g00000XyZaCAAV")]
    assert len(imported(old_file(tmp_path / "events_1.db", rows)).records) == 2


def test_rows_without_an_id_are_told_apart_by_their_content(tmp_path: Path) -> None:
    rows = [{**ROW, "event_id": None, "deleted_by": who} for who in ("a", "b")]
    first = imported(old_file(tmp_path / "events_1.db", rows)).records
    again = imported(old_file(tmp_path / "events_2.db", rows)).records
    assert len({event.event_id for event in first}) == 2
    assert [event.event_id for event in first] == [event.event_id for event in again]


def test_a_bad_row_is_named_and_all_others_are_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = {**ROW, "event_id": "secret-17", "deleted_date": "?", "ingested_at": None, "payload": None}
    file = old_file(tmp_path / "events_1.db", [ROW, bad, {**ROW, "event_id": "3"}])
    out = io.BytesIO()
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(MicroDecisionError, match="1 of 3 rows were not imported") as refused,
    ):
        import_files([file], Output(out), org_id=ORG, now=NOW)
    assert refused.value.exit_code == 1
    assert len(Read(out.getvalue()).records) == 2
    (said,) = [record.getMessage() for record in caplog.records if "row 2" in record.getMessage()]
    assert said == (
        f"{file}, table events, row 2 has no date that can be read in deleted_date, ingested_at or payload."
    )
    assert "secret-17" not in caplog.text


def test_bytes_that_are_no_text_cost_a_character_and_not_the_row(tmp_path: Path) -> None:
    file = old_file(tmp_path / "events_1.db", [ROW])
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE events SET payload = CAST(x'7B22FF227D' AS TEXT)")
    (event,) = imported(file).records
    assert event.context.metadata["payload"] == '{"\ufffd"}'


def test_a_file_is_left_as_it_was(tmp_path: Path) -> None:
    file = old_file(tmp_path / "events_1.db", [ROW] * 3)
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    imported(file)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events_1.db"]


def test_rows_that_are_still_in_the_journal_are_read(tmp_path: Path) -> None:
    file = tmp_path / "events_1.db"
    with closing(sqlite3.connect(file)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute(f"CREATE TABLE events ({', '.join(COLUMNS)})")
        writer.execute(f"INSERT INTO events VALUES ({', '.join('?' * len(COLUMNS))})", [ROW[name] for name in COLUMNS])
        writer.commit()
        assert len(imported(file).records) == 1


def test_a_name_with_signs_of_an_address_is_a_name(tmp_path: Path) -> None:
    assert len(imported(old_file(tmp_path / "events_#1?mode=rw&x%20.db", [ROW], table='od"d')).records) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"no database at all, but long enough to be taken for one" * 30, "not a sound SQLite file"),
        (b"", "has no tables"),
    ],
)
def test_a_file_that_is_none_is_told_before_anything_is_written(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    file, good = tmp_path / "events_1.db", old_file(tmp_path / "events_0.db", [ROW])
    if content is not None:
        file.write_bytes(content)
    out = io.BytesIO()
    with pytest.raises(ConfigurationError, match=said):
        import_files([good, file], Output(out), org_id=ORG, now=NOW)
    assert out.getvalue() == b""


def test_a_file_without_deletes_is_told_with_what_it_has(tmp_path: Path) -> None:
    file = old_file(tmp_path / "events_1.db", [], table="users", columns=["name", "mail"])
    with pytest.raises(ConfigurationError, match=r"it has users \(id, name, mail\)\."):
        imported(file)


def test_a_damaged_file_ends_in_a_sentence(tmp_path: Path) -> None:
    file = old_file(tmp_path / "events_1.db", [{**ROW, "event_id": str(n)} for n in range(2_000)])
    content = bytearray(file.read_bytes())
    for place in range(40_960, len(content), 512):
        content[place : place + 256] = b"\xff" * 256
    file.write_bytes(bytes(content))
    with pytest.raises(MicroDecisionError, match=r"SQLite file|cannot be read|were not imported"):
        imported(file)


@pytest.mark.parametrize("org_id", ["", "00D", "0015g00000XyZaBAAV", "00D5g000004AbcDEA!"])
def test_what_is_no_org_is_refused(tmp_path: Path, org_id: str) -> None:
    with pytest.raises(ConfigurationError, match="--org-id"):
        imported(old_file(tmp_path / "events_1.db", [ROW]), org_id=org_id)


def test_a_state_comes_behind_every_ten_thousand_records(tmp_path: Path) -> None:
    read = imported(old_file(tmp_path / "events_1.db", ({**ROW, "event_id": str(n)} for n in range(12_000))))
    kinds = [line["type"] for line in read.lines]
    assert [number for number, kind in enumerate(kinds) if kind == "STATE"] == [10_001, 12_002]
    assert len(read.records) == 12_000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_import_that_is_interrupted_ends_with_a_whole_line_and_says_that_it_starts_over(
    tmp_path: Path, number: signal.Signals
) -> None:
    file = old_file(tmp_path / "events_1.db", ({**ROW, "event_id": str(n)} for n in range(5_000)))
    words = [sys.executable, "-m", "tap_salesforce_deletes", "import", str(file), "--org-id", ORG]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        head = process.stdout.read(10_000)  # the next write waits, as the pipe is full
        process.send_signal(number)
        rest, said = process.communicate(timeout=60)
    *lines, last = (head + rest).split(b"\n")
    assert last == b""
    assert 10 < len(lines) < 5_000
    assert all(json.loads(line) for line in lines)
    assert process.returncode == 1
    assert said.decode().rstrip().endswith("It starts over with the first row, and nothing is doubled by that.")
