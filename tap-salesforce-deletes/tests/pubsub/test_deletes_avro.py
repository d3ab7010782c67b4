"""Payloads: the header alone where that is all, everything where it is not, and a refusal where they are wrong."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_salesforce_deletes.pubsub.avro import EventSchema
from tap_salesforce_deletes.pubsub.errors import PayloadError
from tests.deletes_fuzzing import (
    BODY,
    CHANGE_EVENT,
    NAME,
    PLATFORM_EVENT,
    Campaign,
    a_change,
    a_header,
    a_platform_event,
    encoded,
)
from tests.deletes_made import HEADER


def schema_of(raw: object) -> EventSchema:
    return EventSchema.parse("id", json.dumps(raw))


CHANGES = schema_of(CHANGE_EVENT)
PLATFORM = schema_of(PLATFORM_EVENT)
CHANCE = random.Random(7)


def test_a_schema_says_what_it_is() -> None:
    assert (CHANGES.schema_id, CHANGES.name) == ("id", "OpportunityChangeEvent")
    assert CHANGES.fields == ("ChangeEventHeader", "Name", "Amount", "IsClosed", "Count__c", "CloseDate", "Other")
    assert (CHANGES.is_change_event, CHANGES.header_first) == (True, True)
    assert (PLATFORM.is_change_event, PLATFORM.header_first) == (False, False)


@pytest.mark.parametrize("records", [1, 2, 3, 5_000])
def test_a_delete_is_its_header_and_provably_nothing_else(records: int) -> None:
    ids = [f"006{n:015d}" for n in range(records)]
    record = a_change(CHANCE, empty=True, recordIds=ids)
    decoded = CHANGES.read(encoded(CHANGE_EVENT, record))
    assert decoded.fields is None
    header = decoded.header
    assert header is not None
    assert header.record_ids == tuple(ids)
    assert header.change_type == "DELETE"


def test_the_short_way_gives_what_the_long_way_gives() -> None:
    warm, chance = schema_of(CHANGE_EVENT), random.Random(3)
    for _ in range(300):
        payload = encoded(CHANGE_EVENT, a_change(chance, empty=True))
        assert warm.read(payload) == schema_of(CHANGE_EVENT).read(payload)
        assert warm.header(payload) == warm.read(payload).header


@pytest.mark.parametrize("field", [field["name"] for field in BODY])
def test_a_field_that_is_filled_is_never_overlooked(field: str) -> None:
    values: dict[str, Any] = {"Name": "x", "Amount": 0.0, "IsClosed": False, "Count__c": 0, "CloseDate": 0, "Other": {}}
    values["Other"] = {"FirstName": None, "LastName": None}
    warm = schema_of(CHANGE_EVENT)
    record = a_change(CHANCE, empty=True)
    warm.read(encoded(CHANGE_EVENT, record))
    record[field] = values[field]
    decoded = warm.read(encoded(CHANGE_EVENT, record))
    assert decoded.fields is not None
    assert decoded.fields[field] == values[field]
    assert "ChangeEventHeader" not in decoded.fields


def test_a_value_that_looks_like_nothing_is_not_taken_for_it() -> None:
    raw = {**CHANGE_EVENT, "fields": [*CHANGE_EVENT["fields"][:1], {"name": "Blank", "type": ["null", "string"]}]}
    record: dict[str, Any] = {"ChangeEventHeader": a_header(CHANCE), "Blank": ""}
    assert schema_of(raw).read(encoded(raw, record)).fields == {"Blank": ""}
    backwards = {**raw, "fields": [raw["fields"][0], {"name": "Blank", "type": ["string", "null"]}]}
    assert schema_of(backwards).read(encoded(backwards, record)).fields == {"Blank": ""}
    record["Blank"] = None
    assert schema_of(backwards).read(encoded(backwards, record)).fields is None


def test_a_body_that_cannot_be_null_is_always_read() -> None:
    raw = {**CHANGE_EVENT, "fields": [*CHANGE_EVENT["fields"], {"name": "Sure", "type": "long"}]}
    record = a_change(CHANCE, empty=True) | {"Sure": 0}
    decoded = schema_of(raw).read(encoded(raw, record))
    assert decoded.fields is not None
    assert decoded.fields["Sure"] == 0


def test_a_header_that_is_not_the_first_field_is_found() -> None:
    raw = {**CHANGE_EVENT, "fields": [*BODY[:1], {"name": "ChangeEventHeader", "type": HEADER}]}
    record = {"ChangeEventHeader": a_header(CHANCE, changeType="UNDELETE"), "Name": None}
    made = schema_of(raw)
    assert (made.is_change_event, made.header_first) == (True, False)
    decoded = made.read(encoded(raw, record))
    assert decoded.header is not None
    assert decoded.header.change_type == "UNDELETE"
    assert decoded.fields == {"Name": None}


def test_a_header_with_more_and_with_other_symbols_is_read() -> None:
    header = {
        **HEADER,
        "fields": [
            *HEADER["fields"][:2],
            {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": ["NEW_KIND", "DELETE"]}},
            *HEADER["fields"][3:],
            {"name": "novelty", "type": ["null", "string"]},
        ],
    }
    raw = {**CHANGE_EVENT, "fields": [{"name": "ChangeEventHeader", "type": header}, *BODY[:2]]}
    raw["fields"][1] = {"name": "Name", "type": ["null", NAME]}
    record = {"ChangeEventHeader": a_header(CHANCE, changeType="NEW_KIND", novelty="x")}
    found = schema_of(raw).read(encoded(raw, record)).header
    assert found is not None
    assert found.change_type == "NEW_KIND"


def test_a_number_too_large_for_its_type_is_refused_also_in_an_event_like_the_one_before() -> None:
    payload = encoded(CHANGE_EVENT, a_change(CHANCE, empty=True, sequenceNumber=2**31 - 1))
    largest = b"\xfe\xff\xff\xff\x0f"
    assert payload.count(largest) == 1
    warm = schema_of(CHANGE_EVENT)
    assert [warm.header(payload).sequence_number for _ in range(2)] == [2**31 - 1] * 2
    with pytest.raises(PayloadError):
        warm.header(payload.replace(largest, b"\xfe\xff\xff\xff\x1f"))


def test_a_commit_number_keeps_all_its_digits() -> None:
    for number in (1_709_303_151_782_928_388, 2**63 - 1, -(2**63), 0):
        payload = encoded(CHANGE_EVENT, a_change(CHANCE, empty=True, commitNumber=number))
        assert [CHANGES.header(payload).commit_number for _ in range(2)] == [number, number]


def test_a_platform_event_has_fields_and_no_header() -> None:
    record = a_platform_event(CHANCE)
    payload = encoded(PLATFORM_EVENT, record)
    decoded = PLATFORM.read(payload)
    assert (decoded.header, decoded.fields) == (None, record)
    with pytest.raises(PayloadError, match="Record_Deleted__e have no ChangeEventHeader: it is no change event"):
        PLATFORM.header(payload)


def test_dates_stay_the_numbers_that_were_sent() -> None:
    record = a_change(CHANCE, empty=True) | {"CloseDate": 2**62}
    assert CHANGES.decode(encoded(CHANGE_EVENT, {**record, "CloseDate": None}))["CloseDate"] is None
    raw = json.loads(json.dumps(CHANGE_EVENT).replace(', "logicalType": "timestamp-millis"', ""))
    assert CHANGES.decode(encoded(raw, record))["CloseDate"] == 2**62


def test_bitmaps_name_fields_and_parts() -> None:
    assert CHANGES.named(["0x06", "1-0x2", "6-0x1"]) == ("Name", "Amount", "Name.LastName", "Other.FirstName")
    for words in (["0x80"], ["2-0x1"], ["99-0x1"], ["1-0x4"], ["junk"]):
        with pytest.raises(PayloadError):
            CHANGES.named(words)


@pytest.mark.parametrize("at", range(len(encoded(CHANGE_EVENT, a_change(random.Random(1), empty=False)))))
def test_a_payload_that_is_cut_off_is_refused(at: int) -> None:
    payload = encoded(CHANGE_EVENT, a_change(random.Random(1), empty=False))
    with pytest.raises(PayloadError, match="An event of the type OpportunityChangeEvent cannot be read: it "):
        CHANGES.read(payload[:at])


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a text that does not fit"),  # 2**63 - 1 bytes
        (b"\x01", "a text that does not fit"),  # -1 bytes
        (b"\xff" * 10, "a number that is too long"),
        (b"\xff" * 5_000, "a number that is too long"),
    ],
)
def test_a_length_that_is_not_there_allocates_nothing(claim: bytes, says: str) -> None:
    with pytest.raises(PayloadError, match=says):
        CHANGES.read(claim + b"x" * 100)


def test_a_list_that_claims_more_than_there_is_is_refused_at_once() -> None:
    entity = b"\x02A"
    claims = (b"\xfe" + b"\xff" * 8 + b"\x01", b"\x80\x80\x80\x80\x40", b"\xff" * 9 + b"\x01\x02")
    for count in claims:
        with pytest.raises(PayloadError, match="a list that does not fit"):
            CHANGES.read(entity + count + b"\x00" * 50)


def test_a_list_in_blocks_with_sizes_is_read() -> None:
    plain = encoded(CHANGE_EVENT, a_change(CHANCE, empty=True, recordIds=["006000000000000AAA"]))
    ids = plain.index(b"\x02\x24006")
    blocks = plain[:ids] + b"\x01\x26" + plain[ids + 1 :]  # -1 items of 19 bytes
    assert CHANGES.header(blocks) == CHANGES.header(plain)
    with pytest.raises(PayloadError):
        CHANGES.header(plain[:ids] + b"\x01\x28" + plain[ids + 1 :])


def test_a_payload_that_was_seen_on_the_wire_is_read_to_its_last_byte() -> None:
    """The dump in issue 27 of pozil/pub-sub-api-node-client; its schema has 49 fields, of which one is filled."""
    seen = bytes.fromhex(
        "1c416374696f6e56656e74655f5f6302246132314155303030303030465343355941"
        "4f000268636f6d2f73616c6573666f7263652f6170692f736f61702f36302e303b63"
        "6c69656e743d53666463496e7465726e616c4150492f483030303031393833"
        "2d346664662d623263662d336630392d32326266643265333131373302b0e6c1a6bf"
        "638880d1f7a08ad5b82f24303035354a3030303030314438394d5141530000020c30"
        "78323038300000000000000002b0e6c1a6bf63000000000002106172737472617374" + "00" * 35
    )
    names = [*(f"A{n}__c" for n in range(1, 7)), "LastModifiedDate", *(f"B{n}__c" for n in range(8, 13)), "Comment__c"]
    fields = [{"name": name, "type": ["null", "long" if "Date" in name else "string"]} for name in names]
    fields += [{"name": f"C{n}__c", "type": ["null", "string"]} for n in range(14, 49)]
    made = schema_of({**CHANGE_EVENT, "fields": [{"name": "ChangeEventHeader", "type": HEADER}, *fields]})
    decoded = made.read(seen)
    assert decoded.header is not None
    assert decoded.header.record_ids == ("a21AU000000FSC5YAO",)
    assert (decoded.header.change_type, decoded.header.commit_number) == ("UPDATE", 1709303151782928388)
    assert made.named(decoded.header.changed_fields) == ("LastModifiedDate", "Comment__c")
    assert decoded.fields is not None
    filled = {name: value for name, value in decoded.fields.items() if value is not None}
    assert filled == {"LastModifiedDate": 1709303151000, "Comment__c": "arstrast"}


def test_a_payload_that_goes_on_is_refused() -> None:
    payload = encoded(CHANGE_EVENT, a_change(CHANCE, empty=True))
    for _ in range(2):
        with pytest.raises(PayloadError, match="goes on behind its last field"):
            CHANGES.read(payload + b"\x00")
        CHANGES.read(payload)


def test_a_text_that_is_no_utf_8_is_refused_without_being_shown() -> None:
    payload = encoded(CHANGE_EVENT, a_change(CHANCE, empty=True, commitUser="005SECRET"))
    for _ in range(2):
        with pytest.raises(PayloadError, match="not UTF-8") as raised:
            CHANGES.read(payload.replace(b"005SECRET", b"005SECRE\xff"))
        assert "SECRE" not in f"{raised.value}{raised.value.__context__!r}{raised.value.__cause__!r}"
        CHANGES.read(payload)


def test_a_payload_of_more_than_eight_megabytes_is_refused() -> None:
    with pytest.raises(PayloadError, match="larger than any"):
        CHANGES.read(bytes(9 * 2**20))


def nested(depth: int) -> object:
    made: object = "string"
    for n in range(depth):
        made = {"type": "record", "name": f"N{n}", "fields": [{"name": "x", "type": made}]}
    return made


def chained(count: int) -> list[dict[str, Any]]:
    """Each record has the one before in it, twice."""
    fields: list[dict[str, Any]] = []
    for n in range(count):
        inner: object = f"C{n - 1}" if n else "string"
        both = [{"name": name, "type": inner} for name in ("a", "b")]
        fields.append({"name": f"f{n}", "type": {"type": "record", "name": f"C{n}", "fields": both}})
    return fields


def a_record(*types: object) -> dict[str, Any]:
    fields = [{"name": f"f{n}", "type": one} for n, one in enumerate(types)]
    return {"type": "record", "name": "Top", "fields": fields}


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        "string",
        {"type": "enum", "name": "E", "symbols": ["A"]},
        {"type": "record", "name": "Top", "fields": []},
        {"type": "record", "fields": [{"name": "x", "type": "string"}]},
        a_record("null"),
        a_record(["null", "null"]),
        a_record([]),
        a_record([["null"]]),
        a_record("Top"),
        a_record(["null", "Top"]),
        a_record({"type": "array", "items": "Top"}),
        a_record({"type": "array", "items": "null"}),
        a_record({"type": "array", "items": {"type": "map", "values": "string"}}),
        a_record({"type": "array", "items": {"type": "fixed", "name": "Z", "size": 0}}),
        a_record({"type": "record", "name": "Nothing", "fields": []}),
        a_record({"type": "enum", "name": "E", "symbols": []}),
        a_record("never declared"),
        a_record({"type": {"type": "never declared"}}),
        a_record(nested(40)),
        {"type": "record", "name": "Top", "fields": chained(40)},
        {"type": "record", "name": "Top", "fields": [{"name": f"f{n}", "type": "long"} for n in range(20_001)]},
        {"type": "record", "name": "Top", "fields": [{"name": "x", "type": "long"}] * 2},
    ],
)
def test_a_schema_without_an_end_or_a_meaning_is_refused(raw: object) -> None:
    with pytest.raises(PayloadError, match=r"^The schema of an event [^:]*\.$"):
        schema_of(raw)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", '{"type": "record"', "nan", '"\ud800"'])
def test_a_text_that_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(PayloadError, match=r"^The schema of an event "):
        EventSchema.parse("id", text)


def test_types_are_reused_declared_twice_and_kept_apart_by_namespace() -> None:
    other = {**NAME, "namespace": "other", "fields": [{"name": "z", "type": "long"}]}
    raw = a_record(NAME, other, "Switchable_PersonName", "other.Switchable_PersonName", {**NAME})
    person = {"FirstName": "a", "LastName": None}
    payload = b"".join(
        encoded(NAME if n in (0, 2, 4) else other, person if n in (0, 2, 4) else {"z": 3}) for n in range(5)
    )
    assert list(schema_of(raw).decode(payload).values()) == [person, {"z": 3}, person, {"z": 3}, person]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for schema, raw in ((CHANGES, CHANGE_EVENT), (PLATFORM, PLATFORM_EVENT)):
        try:
            record = schema.decode(data)
        except PayloadError:
            continue
        assert len(encoded(raw, record)) <= len(data)


def test_mutated_payloads_and_schemas_are_read_rightly_or_refused() -> None:
    campaign = Campaign(seed=20261122)
    campaign.run(3_000)
    assert campaign.counts["mutated refused"] > 800
    assert campaign.counts["schema refused"] > 200


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("boolean", b"\x02"),
        ("int", b"\x80\x80\x80\x80\x10"),  # 2**31
        ("long", b"\xff" * 9 + b"\x02"),  # 65 bits
        (["null", "string"], b"\x01"),  # branch -1
        (["null", "string"], b"\x04"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, b"\x01"),  # symbol -1
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, b"\x04"),
        ({"type": "map", "values": "long"}, b"\x02\x01"),
        ("double", bytes(7)),
    ],
)
def test_a_value_that_its_type_does_not_have_is_refused(kind: object, data: bytes) -> None:
    with pytest.raises(PayloadError, match="An event of the type Top cannot be read: it "):
        schema_of(a_record(kind)).decode(data)
