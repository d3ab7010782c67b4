"""What a transaction becomes on the bus, against bytes that were seen on the real wire."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.salesforce.changes import Change, Transaction
from localcloud.salesforce.fields import ident, instant, lookup, text
from localcloud.salesforce.pubsub import bitmaps, wire
from localcloud.salesforce.pubsub.avro import EventSchema, change_event_schema
from localcloud.salesforce.pubsub.changes import ChangeEvent, Definitions, Limits, compose
from localcloud.salesforce.pubsub.contract import CLASSES
from localcloud.salesforce.pubsub.differences import difference
from localcloud.salesforce.sobject import SObject

# A change event as a client received it: the dump in issue 27 of pozil/pub-sub-api-node-client.
SEEN = bytes.fromhex(
    "1c416374696f6e56656e74655f5f6302246132314155303030303030465343355941"
    "4f000268636f6d2f73616c6573666f7263652f6170692f736f61702f36302e303b63"
    "6c69656e743d53666463496e7465726e616c4150492f483030303031393833"
    "2d346664662d623263662d336630392d32326266643265333131373302b0e6c1a6bf"
    "638880d1f7a08ad5b82f24303035354a3030303030314438394d5141530000020c30"
    "78323038300000000000000002b0e6c1a6bf63000000000002106172737472617374" + "00" * 35
)
SEEN_REPLAY_ID = bytes([0, 0, 0, 0, 0, 7, 111, 91, 0, 0])
ACTION_VENTE = SObject(
    "ActionVente__c",
    "a21",
    (
        ident(),
        *(text(f"A{n}__c") for n in range(1, 7)),
        instant("LastModifiedDate"),
        *(text(f"B{n}__c") for n in range(8, 13)),
        text("Comment__c"),
        *(text(f"C{n}__c") for n in range(14, 49)),
    ),
)
ACCOUNT = SObject("Account", "001", (ident(), text("Name"), text("Description", 32_000), lookup("OwnerId", "User")))
AT = datetime(2024, 3, 1, 14, 25, 51, tzinfo=UTC)


def schema_of(entity: str) -> EventSchema:
    return change_event_schema({"Account": ACCOUNT, "ActionVente__c": ACTION_VENTE}[entity])


def composed(*changes: Change, commit: int = 7, **limits: int) -> list[ChangeEvent]:
    transaction = Transaction(
        "00001983-4fdf-b2cf-3f09-22bfd2e31173",
        AT,
        "0055J000001D89MQAS",
        "com/salesforce/api/soap/60.0;client=SfdcInternalAPI/",
        changes,
    )
    bounds = Limits(limits.get("ceiling", 100_000), limits.get("size", 1_000_000), limits.get("gaps", 0))
    definitions = Definitions(schema_of, lambda _: {}, lambda *_: {})
    return list(compose(transaction, frozenset({"Account", "ActionVente__c"}), commit, bounds, definitions))


def test_the_change_that_was_seen_gives_the_bytes_that_were_seen() -> None:
    change = Change("ActionVente__c", "a21AU000000FSC5YAO", "UPDATE", {"Comment__c": "arstrast"})
    [event] = composed(change, commit=1709303151782928388)
    assert event.payload == SEEN


def test_the_bytes_that_were_seen_decode_to_their_last() -> None:
    record = schema_of("ActionVente__c").decode(SEEN)
    header = record.pop("ChangeEventHeader")
    assert list(header) == [
        "entityName", "recordIds", "changeType", "changeOrigin", "transactionKey", "sequenceNumber",
        "commitTimestamp", "commitNumber", "commitUser", "nulledFields", "diffFields", "changedFields",
    ]  # fmt: skip
    assert (header["entityName"], header["changeType"]) == ("ActionVente__c", "UPDATE")
    assert header["commitNumber"] == 1709303151782928388 > 2**53
    assert header["commitTimestamp"] == 1709303151000
    named = [schema_of("ActionVente__c").names[place] for place in bitmaps.decode(header["changedFields"])[0]]
    assert named == ["LastModifiedDate", "Comment__c"]
    assert {name: value for name, value in record.items() if value is not None} == {
        "LastModifiedDate": 1709303151000,
        "Comment__c": "arstrast",
    }


def test_an_event_travels_as_the_contract_numbers_it() -> None:
    event_id, schema_id = "594594b7-fd12-4cd8-a77b-030e033bec19", "i6_JU3VTbNhRZYbMVlV-xQ"
    entry = wire.entry(event_id, schema_id, SEEN, SEEN_REPLAY_ID)
    size = 2 + 36 + 2 + 22 + 3 + len(SEEN)
    inner = b"\n" + varint(size) + b"\n\x24" + event_id.encode() + b"\x12\x16" + schema_id.encode()
    inner += b"\x1a" + varint(len(SEEN)) + SEEN + b"\x12\x0a" + SEEN_REPLAY_ID
    assert entry == b"\n" + varint(len(inner)) + inner
    response = entry + wire.tail(SEEN_REPLAY_ID, "rpc", 99)
    assert response.endswith(b"\x12\x0a" + SEEN_REPLAY_ID + b"\x1a\x03rpc\x20\x63")
    decoded = CLASSES["FetchResponse"].FromString(response + wire.padding(300))
    assert decoded.events[0].event.payload == SEEN  # type: ignore[attr-defined]
    assert decoded.pending_num_requested == 99  # type: ignore[attr-defined]


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


@pytest.mark.parametrize(
    ("element", "positions"),
    [
        ("0x2080", [7, 13]),
        ("0x650004E0", [5, 6, 7, 10, 24, 26, 29, 30]),
        ("0x0800000000000000100000", [20, 83]),  # the other event of that issue
    ],
)
def test_bitmaps_read_and_write_as_documented(element: str, positions: list[int]) -> None:
    assert bitmaps.from_bitmap(element) == positions
    assert bitmaps.to_bitmap(positions) == element


def test_bitmaps_of_compound_fields_name_their_parent() -> None:
    assert bitmaps.decode(["0x2080", "4-0x1101"]) == ([7, 13], {4: [0, 8, 12]})
    assert bitmaps.decode(["4-0x1101"]) == ([], {4: [0, 8, 12]})
    assert bitmaps.encode([7, 13], {4: [0, 8, 12]}) == ["0x2080", "4-0x1101"]
    assert bitmaps.encode([]) == []


@given(st.sets(st.integers(0, 300)), st.dictionaries(st.integers(0, 90), st.sets(st.integers(0, 40), min_size=1)))
def test_bitmaps_come_back_as_they_went(top: set[int], nested: dict[int, set[int]]) -> None:
    found, inner = bitmaps.decode(bitmaps.encode(top, nested))
    assert (found, inner) == (sorted(top), {parent: sorted(places) for parent, places in nested.items()})


def test_the_same_change_of_many_records_is_one_event() -> None:
    ids = [f"00100000000{n:04d}AAA" for n in range(300)]
    [event] = composed(*[Change("Account", one, "DELETE") for one in ids])
    header = schema_of("Account").decode(event.payload)["ChangeEventHeader"]
    assert header["recordIds"] == ids
    assert (header["changeType"], header["sequenceNumber"]) == ("DELETE", 1)


def test_different_changes_are_events_of_their_own_in_sequence() -> None:
    events = composed(
        Change("Account", "A", "UPDATE", {"Name": "x"}),
        Change("Account", "B", "UPDATE", {"Name": "y"}),
        Change("Account", "C", "UPDATE", {"Name": "x"}),
        Change("Account", "D", "DELETE"),
    )
    assert [(e.header.change_type, list(e.header.record_ids), e.header.sequence_number) for e in events] == [
        ("UPDATE", ["A", "C"], 1),
        ("UPDATE", ["B"], 2),
        ("DELETE", ["D"], 3),
    ]
    assert len({e.header.transaction_key for e in events}) == 1


def test_a_delete_has_no_values_and_an_undelete_has_all() -> None:
    deleted, undeleted = composed(
        Change("Account", "A", "DELETE", {"Name": "x"}),
        Change("Account", "B", "UNDELETE", {"Name": "x", "OwnerId": "005"}),
    )
    gone = schema_of("Account").decode(deleted.payload)
    back = schema_of("Account").decode(undeleted.payload)
    assert [value for name, value in gone.items() if name != "ChangeEventHeader"] == [None, None, None]
    assert (back["Name"], back["OwnerId"]) == ("x", "005")
    assert back["ChangeEventHeader"]["changedFields"] == []


def test_an_emptied_field_is_named_among_nulled_and_changed() -> None:
    [event] = composed(Change("Account", "A", "UPDATE", {"Name": None, "OwnerId": "005"}, {"Name": "x"}))
    header, names = event.header, schema_of("Account").names
    assert [names[n] for n in bitmaps.decode(header.nulled_fields)[0]] == ["Name"]
    assert [names[n] for n in bitmaps.decode(header.changed_fields)[0]] == ["Name", "OwnerId"]


def test_several_changes_of_one_record_are_one_event_with_the_last_values() -> None:
    [event] = composed(
        Change("Account", "A", "CREATE", {"Name": "x", "OwnerId": "005"}),
        Change("Account", "A", "UPDATE", {"Name": "y"}),
    )
    assert event.header.change_type == "CREATE"
    assert schema_of("Account").decode(event.payload)["Name"] == "y"


def test_a_delete_is_never_lost_behind_an_update_of_the_same_record() -> None:
    kinds = [
        event.header.change_type
        for event in composed(Change("Account", "A", "UPDATE", {"Name": "y"}), Change("Account", "A", "DELETE"))
    ]
    assert kinds == ["UPDATE", "DELETE"]
    back = composed(Change("Account", "A", "DELETE"), Change("Account", "A", "UNDELETE", {"Name": "x"}))
    assert [event.header.change_type for event in back] == ["DELETE", "UNDELETE"]
    later = composed(Change("Account", "A", "DELETE"), Change("Account", "A", "UPDATE", {"Name": "x"}))
    assert [event.header.change_type for event in later] == ["DELETE", "UPDATE"]


def test_too_many_ids_for_one_event_are_spread_over_several() -> None:
    events = composed(*[Change("Account", f"{n:018d}", "DELETE") for n in range(3_000)], size=20_000)
    assert all(len(event.payload) <= 20_000 for event in events)
    assert [one for event in events for one in event.header.record_ids] == [f"{n:018d}" for n in range(3_000)]
    assert [event.header.sequence_number for event in events] == list(range(1, len(events) + 1))


def test_a_change_that_does_not_fit_becomes_a_gap_event() -> None:
    [event] = composed(Change("Account", "A", "UPDATE", {"Description": "x" * 30_000}), size=20_000)
    record = schema_of("Account").decode(event.payload)
    assert (event.header.change_type, list(event.header.record_ids)) == ("GAP_UPDATE", ["A"])
    assert record["Description"] is None


def test_changes_above_the_ceiling_become_one_overflow_event_per_entity() -> None:
    changes = [Change("Account", f"A{n}", "DELETE") for n in range(4)]
    changes += [Change("ActionVente__c", f"V{n}", "DELETE") for n in range(3)]
    kinds = [
        (e.header.entity_name, e.header.change_type, list(e.header.record_ids)) for e in composed(*changes, ceiling=2)
    ]
    assert kinds == [
        ("Account", "DELETE", ["A0", "A1"]),
        ("Account", "GAP_OVERFLOW", ["000000000000000AAA"]),
        ("ActionVente__c", "GAP_OVERFLOW", ["000000000000000AAA"]),
    ]


def test_objects_that_are_not_selected_have_no_events() -> None:
    assert composed(Change("Lead", "L", "DELETE")) == []


def test_large_text_travels_as_a_difference_with_the_hash_of_the_whole() -> None:
    lines = [f"line {n} of a long description that goes on for a while" for n in range(40)]
    old = "\n".join(lines)
    new = "\n".join([*lines[:7], "another line", *lines[8:]])
    text_ = difference(old, new)
    assert text_ is not None
    assert text_.split("\n") == [
        "--- ",
        f"+++ {hashlib.sha256(new.encode()).hexdigest()}",
        "@@ -8,1 +8,1 @@",
        f"-{lines[7]}",
        "+another line",
    ]
    [event] = composed(Change("Account", "A", "UPDATE", {"Description": new}, {"Description": old}))
    assert schema_of("Account").decode(event.payload)["Description"] == text_
    assert [schema_of("Account").names[n] for n in bitmaps.decode(event.header.diff_fields)[0]] == ["Description"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x" * 999, "y" * 999),
        ("a\n" * 400, "a\n" * 1200),
        ("\n".join(["x" * 99] * 60 + ["a"] * 40), "\n".join(["x" * 99] * 60 + ["b"] * 40)),
        ("x" * 1500, "y" * 1500),
    ],
    ids=["short", "length", "lines", "longer-than-value"],
)
def test_large_text_travels_whole_where_a_difference_would_not_help(old: str, new: str) -> None:
    assert difference(old, new) is None


def test_schema_ids_change_with_the_definition_and_only_then() -> None:
    before = change_event_schema(ACCOUNT)
    after = change_event_schema(ACCOUNT, [text("New__c")])
    assert before.id == change_event_schema(ACCOUNT).id != after.id
    assert len(before.id) == 22
    assert before.names == ("ChangeEventHeader", "Name", "Description", "OwnerId")
    assert after.names[-1] == "New__c"


def test_a_payload_with_bytes_left_over_is_refused() -> None:
    with pytest.raises(ValueError, match="left over"):
        schema_of("ActionVente__c").decode(SEEN + b"\0")
    with pytest.raises(ValueError, match="not a ActionVente__c"):
        schema_of("ActionVente__c").decode(SEEN[:40])
