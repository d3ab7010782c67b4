"""Events become decisions: golden files, fan-out, gaps, what is dirty, and what cannot be understood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions.deletions import sighting_of
from microdecisions.errors import ConfigurationError
from microdecisions.event import SCHEMA_VERSION, MicroDecisionEvent
from microdecisions.ids import to_18
from microdecisions.timestamps import from_epoch_ms
from tap_salesforce_deletes.normalise import Normalised, Normaliser, gap_event
from tap_salesforce_deletes.pubsub.errors import PayloadError
from tap_salesforce_deletes.topics import parse_topics
from tests.deletes_made import CHANGES, HEAD, change, delivered, platform_event, schema_of

ORG = "00D5g000004AbcDEAS"
RECORD = "0015g00000XyZaBAAV"
READ_AT = "2026-01-31T12:00:00.000000Z"
VERSION = "tap-salesforce-deletes 0.1.0"
DELETED = platform_event(
    Object_Name__c="string",
    Record_Id__c="string",
    Deleted_By__c="string",
    Deleted_Date__c="long",
    Owner_Id__c="string",
)
SAID = {
    "CreatedDate": 1767434401250,
    "CreatedById": "0055g000007AutoAAC",
    "Object_Name__c": "Account",
    "Record_Id__c": RECORD[:15],
    "Deleted_By__c": "0055g000007UserAAC",
    "Deleted_Date__c": 1767434401000,
    "Owner_Id__c": "0055g000007OwneAAC",
}
UUID = "19bd382e-8964-43de-ac01-d5d82dd0bf78"
GOLDEN = Path(__file__).parent / "golden"


def normaliser(topic: object = "/data/ChangeEvents", prefixes: dict[str, str] | None = None) -> Normaliser:
    (parsed,) = parse_topics([topic])
    return Normaliser(parsed, ORG, VERSION, prefixes)


def changed(body: dict[str, Any] | None = None, **header: Any) -> Normalised:
    return normaliser().decisions(change(body, **header), schema_of(CHANGES), READ_AT)


def told(
    values: dict[str, Any] | None = None,
    *,
    topic: object = "/event/Record_Deleted__e",
    avro: dict[str, Any] | None = None,
    uuid: str = UUID,
    prefixes: dict[str, str] | None = None,
) -> Normalised:
    avro = avro or DELETED
    event = delivered(avro, SAID if values is None else values, uuid=uuid)
    return normaliser(topic, prefixes).decisions(event, schema_of(avro), READ_AT)


def gap() -> MicroDecisionEvent:
    start, end = datetime(2026, 1, 3, 10, tzinfo=UTC), datetime(2026, 1, 4, 10, 0, 0, 500000, tzinfo=UTC)
    return gap_event(
        ORG,
        "/data/ChangeEvents",
        start,
        end,
        why="Events may have gone from the bus.",
        source="change_event",
        extracted_at=READ_AT,
        extractor_version=VERSION,
    )


MADE: dict[str, Callable[[], Sequence[MicroDecisionEvent]]] = {
    "change_event_delete": lambda: changed().events,
    "change_event_delete_enriched": lambda: changed({"Name": "Brief", "OwnerId": "0055g000007OwneAAC"}).events,
    "change_event_undelete": lambda: (
        changed({"Name": "Brief", "AnnualRevenue": 0.1}, changeType="UNDELETE", sequenceNumber=2).events
    ),
    "change_event_gap_delete": lambda: changed(changeType="GAP_DELETE").events,
    "change_event_merged": lambda: changed(recordIds=[RECORD, "0015g00000XyZaCAAV"]).events,
    "platform_event": lambda: told().events,
    "gap": lambda: [gap()],
}


def test_golden_files_are_of_this_schema_version() -> None:
    assert int((GOLDEN / "SCHEMA_VERSION").read_text()) == SCHEMA_VERSION
    assert {path.stem for path in GOLDEN.glob("*.json")} >= set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_an_event_becomes_its_golden_decision(name: str) -> None:
    golden = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes())
    assert [event.to_dict() for event in MADE[name]()] == golden
    assert msgspec.convert(golden, list[MicroDecisionEvent], strict=True) == list(MADE[name]())


@pytest.mark.parametrize("name", sorted(set(MADE) - {"gap"}))
def test_what_delete_tracker_holds_is_in_the_event(name: str) -> None:
    for event in MADE[name]():
        facts = event.context.metadata
        assert facts["topic"] in {"/data/ChangeEvents", "/event/Record_Deleted__e"}
        assert facts["replay_id"] == "0000000000076f5b0000"
        payload = msgspec.json.decode(facts["payload"])
        assert event.record_id is not None
        assert event.record_id[:15] in facts["payload"]
        assert payload["CreatedDate"] if "pe" in event.event_id.split(":") else payload["ChangeEventHeader"]
        assert (event.record_type, event.actor_id, event.extracted_at) == ("Account", "0055g000007UserAAC", READ_AT)


def test_numbers_of_commits_keep_all_their_digits() -> None:
    (event,) = changed().events
    assert event.context.metadata["commit_number"] == "1709303151782928388"
    assert msgspec.json.decode(event.context.metadata["payload"])["ChangeEventHeader"]["commitNumber"] == (
        "1709303151782928388"
    )
    sighting = sighting_of(event)
    assert sighting is not None
    assert sighting.commit_number == 1709303151782928388


def test_a_merged_event_is_fanned_out_and_each_payload_names_its_own_record() -> None:
    ids = [to_18(f"0015g00000{number:05d}") for number in range(10_000)]
    found = changed(recordIds=[*ids, ids[7]]).events
    assert [event.record_id for event in found] == ids
    assert len({event.event_id for event in found}) == 10_000
    assert all(len(event.context.metadata["payload"]) < 700 for event in found)
    for event in (found[0], found[-1]):
        head = msgspec.json.decode(event.context.metadata["payload"])["ChangeEventHeader"]
        assert head["recordIds"] == [event.record_id]
        assert event.context.metadata["merged_records"] == "10000"


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"transactionKey": 'a "quoted" \\ key'},
        {"changeOrigin": "\u00fc\n", "commitUser": ""},
        {"commitNumber": -1, "sequenceNumber": 2**31 - 1, "commitTimestamp": 1767434401999},
        {"nulledFields": ["0x2"], "diffFields": ["0x4"], "changedFields": ["0x6", "3-0x1"]},
        {"recordIds": [RECORD[:15]]},
    ],
)
def test_an_event_is_the_same_read_by_its_header_or_as_a_whole(header: dict[str, Any]) -> None:
    other = {**CHANGES, "fields": [*CHANGES["fields"][1:], CHANGES["fields"][0]]}
    event = delivered(other, {"ChangeEventHeader": {**HEAD, **header}})
    assert normaliser().decisions(event, schema_of(other), READ_AT) == changed(**header)
    (found,) = changed(**header).events
    head = msgspec.json.decode(found.context.metadata["payload"])["ChangeEventHeader"]
    expected = {**HEAD, **header, "recordIds": [RECORD]}
    assert head == {**expected, "commitNumber": str(expected["commitNumber"])}


def test_one_change_on_two_channels_is_one_event() -> None:
    ids = {
        normaliser(topic).decisions(change(), schema_of(CHANGES), READ_AT).events[0].event_id
        for topic in ("/data/ChangeEvents", "/data/AccountChangeEvent", "/data/Deletes__chn")
    }
    assert len(ids) == 1


@pytest.mark.parametrize("change_type", ["CREATE", "UPDATE", "GAP_CREATE", "GAP_UPDATE"])
def test_other_changes_are_no_decisions(change_type: str) -> None:
    found = changed(changeType=change_type, recordIds=["001*"])
    assert not found.events
    assert not found.dirty
    assert from_epoch_ms(found.at) == datetime(2026, 1, 3, 10, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change_type", "record_id", "why"),
    [
        ("GAP_OVERFLOW", "000000000000000AAA", "GAP_OVERFLOW"),
        ("ARCHIVE", RECORD, "does not know"),
        ("DELETE", "001*", "wildcard"),
        ("DELETE", "000000000000000AAA", "wildcard"),
        ("GAP_UNDELETE", "*", "wildcard"),
    ],
)
def test_what_names_no_record_makes_its_object_dirty(change_type: str, record_id: str, why: str) -> None:
    if record_id == "*":
        record_id = "001*"
    found = changed(changeType=change_type, recordIds=[record_id])
    assert not found.events
    ((sobject, at, said),) = [(dirty.sobject, dirty.at, dirty.why) for dirty in found.dirty]
    assert (sobject, at) == ("Account", datetime(2026, 1, 3, 10, 0, 1, tzinfo=UTC))
    assert why in said


def test_ids_beside_a_wildcard_are_told_and_the_object_is_dirty() -> None:
    found = changed(recordIds=[RECORD, "001*"])
    assert [event.record_id for event in found.events] == [RECORD]
    assert len(found.dirty) == 1


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ({"recordIds": []}, "no recordIds"),
        ({"recordIds": ["nonsense!"]}, "not an id"),
        ({"recordIds": [RECORD, ""]}, "not an id"),
        ({"entityName": "Acc' OR Id"}, "not an API name"),
        ({"entityName": ""}, "not an API name"),
        ({"commitTimestamp": 10**17}, "outside the calendar"),
        ({"commitTimestamp": -(10**17)}, "outside the calendar"),
    ],
)
def test_a_change_event_that_cannot_be_understood_stops_its_topic(header: dict[str, Any], what: str) -> None:
    with pytest.raises(PayloadError, match=what) as stopped:
        changed(**header)
    assert "nonsense" not in str(stopped.value)
    assert "0000000000076f5b0000" in str(stopped.value)


@pytest.mark.parametrize("user", ["", "nobody", "0055g"])
def test_a_commit_user_that_is_no_id_is_nobody(user: str) -> None:
    assert changed(commitUser=user).events[0].actor_id is None


# -- platform events


def test_names_of_fields_of_ones_own_are_mapped() -> None:
    avro = platform_event("Gone__e", What__c="string", Which__c="string", Who__c="string", Time__c="string")
    topic = {
        "topic": "/event/Gone__e",
        "fields": {
            "object_name": "What__c",
            "record_id": "Which__c",
            "deleted_by": "Who__c",
            "deleted_date": "Time__c",
        },
    }
    values = {
        "CreatedDate": 1767434401250,
        "CreatedById": "0055g000007AutoAAC",
        "What__c": "Case",
        "Which__c": RECORD,
        "Who__c": "0055g000007UserA",
        "Time__c": "2026-01-03T10:00:00.000+0000",
    }
    (event,) = told(values, topic=topic, avro=avro).events
    assert (event.record_type, event.record_id) == ("Case", RECORD)
    assert event.timestamp_occurred == "2026-01-03T10:00:00.000000Z"
    assert event.timestamp_recorded == "2026-01-03T10:00:01.250000Z"
    assert event.actor_id is None
    assert event.context.metadata["deleted_by"] == "0055g000007UserA"  # 16 characters: no id, and not thrown away


def test_without_a_deleter_field_it_is_who_published() -> None:
    avro = platform_event(RecordId__c="string", ObjectName__c="string")
    values = {"CreatedDate": 1, "CreatedById": "0055g000007AutoAAC", "RecordId__c": RECORD, "ObjectName__c": "Account"}
    (event,) = told(values, avro=avro).events
    assert event.actor_id == "0055g000007AutoAAC"
    assert event.timestamp_occurred == event.timestamp_recorded == "1970-01-01T00:00:01.000000Z"


def test_the_object_comes_from_the_setting_or_the_id_where_no_field_names_it() -> None:
    avro = platform_event("Account_Deleted__e", RecordId__c="string")
    values = {"CreatedDate": 1767434401250, "CreatedById": "0055g000007AutoAAC", "RecordId__c": RECORD}
    (by_setting,) = told(values, avro=avro, topic={"topic": "/event/Account_Deleted__e", "object": "Account"}).events
    (by_prefix,) = told(values, avro=avro, prefixes={"001": "Account"}).events
    (unknown,) = told(values, avro=avro).events
    assert [event.record_type for event in (by_setting, by_prefix, unknown)] == ["Account", "Account", None]
    assert len({event.event_id for event in (by_setting, by_prefix, unknown)}) == 1


def test_another_mapping_of_the_object_makes_no_other_event() -> None:
    mapped = {"topic": "/event/Record_Deleted__e", "fields": {"object_name": "Record_Id__c"}}
    (one,), (other,) = told().events, told(topic=mapped).events
    assert one.event_id == other.event_id
    assert one.record_type != other.record_type


@pytest.mark.parametrize("record_id", [None, "", "  ", "Brief GmbH"])
def test_an_event_without_a_record_is_written_and_its_object_asked(record_id: str | None) -> None:
    found = told({**SAID, "Record_Id__c": record_id})
    (event,) = found.events
    assert event.record_id is None
    assert event.event_id == f"{ORG}:Record_Deleted__e::pe:{UUID}"
    assert event.context.metadata.get("record_id") == ((record_id or "").strip() or None)
    assert [dirty.sobject for dirty in found.dirty] == ["Account"]
    assert sighting_of(event) is None


@pytest.mark.parametrize(
    ("said", "occurred", "kept"),
    [
        (1767434400000, "2026-01-03T10:00:00.000000Z", "2026-01-03T10:00:00.000000Z"),
        (1767434402000, "2026-01-03T10:00:01.250000Z", "2026-01-03T10:00:02.000000Z"),  # after the event itself
        (1767398400000, "2026-01-03T10:00:01.250000Z", "2026-01-03T00:00:00.000000Z"),  # a day without a time
        (10**17, "2026-01-03T10:00:01.250000Z", str(10**17)),
        (None, "2026-01-03T10:00:01.250000Z", None),
    ],
)
def test_the_date_of_the_event_is_used_where_it_can_be(said: int | None, occurred: str, kept: str | None) -> None:
    (event,) = told({**SAID, "Deleted_Date__c": said}).events
    assert event.timestamp_occurred == occurred
    assert event.timestamp_recorded == "2026-01-03T10:00:01.250000Z"
    assert event.context.metadata.get("deleted_date") == kept


def test_a_repeated_delivery_has_the_same_id_and_another_event_another() -> None:
    assert told().events[0].event_id == told().events[0].event_id
    assert told(uuid="another").events[0].event_id != told().events[0].event_id


def test_an_event_without_uuid_stops_its_topic() -> None:
    with pytest.raises(PayloadError, match="EventUuid"):
        told(uuid="")


def test_a_mapped_field_that_does_not_exist_is_told_with_those_that_do() -> None:
    topic = {"topic": "/event/Record_Deleted__e", "fields": {"owner_id": "Nobody__c"}}
    with pytest.raises(ConfigurationError, match=r"Nobody__c.*Owner_Id__c"):
        told(topic=topic)


def test_a_new_schema_is_bound_anew() -> None:
    other = platform_event(Id_Before__c="string", RecordId__c="string")
    one = normaliser("/event/Record_Deleted__e")
    first = one.decisions(delivered(DELETED, SAID, uuid="1"), schema_of(DELETED, "s1"), READ_AT)
    values = {"CreatedDate": 1767434401250, "CreatedById": "0055g000007AutoAAC", "RecordId__c": RECORD}
    second = one.decisions(delivered(other, values, uuid="2"), schema_of(other, "s2"), READ_AT)
    assert first.events[0].record_id == second.events[0].record_id == RECORD


TEXTS = st.none() | st.text(max_size=20) | st.sampled_from([RECORD, RECORD[:15], "Account", "x" * 200, "\ud7ff", '"}'])


@given(
    st.fixed_dictionaries(
        {
            "CreatedDate": st.integers(-(2**60), 2**60),
            "CreatedById": st.text(max_size=20),
            "Object_Name__c": TEXTS,
            "Record_Id__c": TEXTS,
            "Deleted_By__c": TEXTS,
            "Deleted_Date__c": st.none() | st.integers(-(2**60), 2**60),
            "Owner_Id__c": TEXTS,
        }
    )
)
@settings(max_examples=300, deadline=None)
def test_whatever_an_event_says_it_is_written_whole_or_stops(values: dict[str, Any]) -> None:
    try:
        found = told(values)
    except PayloadError:
        return
    (event,) = found.events
    line = msgspec.json.decode(event.to_json(), type=MicroDecisionEvent)
    assert line == event
    written = msgspec.json.decode(event.context.metadata["payload"])
    assert written == {name: value for name, value in values.items() if value is not None}


@given(
    st.fixed_dictionaries(
        {
            "recordIds": st.lists(
                st.sampled_from([RECORD, "001*", "000000000000000AAA", "x", RECORD[:15]]), max_size=4
            ),
            "changeType": st.sampled_from(["DELETE", "UNDELETE", "GAP_DELETE", "GAP_OVERFLOW", "ARCHIVE"]),
            "transactionKey": st.text(max_size=20),
            "commitTimestamp": st.integers(-(2**62), 2**62),
            "commitNumber": st.integers(-(2**62), 2**62),
            "commitUser": TEXTS.filter(lambda text: text is not None),
        }
    )
)
@settings(max_examples=300, deadline=None)
def test_whatever_a_change_says_it_is_told_asked_for_or_stops(header: dict[str, Any]) -> None:
    try:
        found = changed(**header)
    except PayloadError:
        return
    assert found.events or found.dirty
    for event in found.events:
        assert msgspec.json.decode(event.to_json(), type=MicroDecisionEvent) == event
        msgspec.json.decode(event.context.metadata["payload"])
