"""Payloads and schemas, mutated: each is read as its bytes say, or refused in one sentence, and soon.

    python -m tests.deletes_fuzzing --count 200000 --seed 1

Ends with one line, `RESULT {json}`.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import random
import re
import sys
import time
from collections import Counter
from typing import Any

import fastavro

from tap_salesforce_deletes.pubsub.avro import EventSchema
from tap_salesforce_deletes.pubsub.errors import PayloadError
from tests.deletes_made import HEADER

NAME = {
    "type": "record",
    "name": "Switchable_PersonName",
    "fields": [{"name": part, "type": ["null", "string"], "default": None} for part in ("FirstName", "LastName")],
}
BODY: list[dict[str, Any]] = [
    {"name": "Name", "type": ["null", "string", NAME], "default": None},
    {"name": "Amount", "type": ["null", "double"], "default": None},
    {"name": "IsClosed", "type": ["null", "boolean"], "default": None},
    {"name": "Count__c", "type": ["null", "int"], "default": None},
    {"name": "CloseDate", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}], "default": None},
    {"name": "Other", "type": ["null", "Switchable_PersonName"], "default": None},
]
CHANGE_EVENT: dict[str, Any] = {
    "type": "record",
    "name": "OpportunityChangeEvent",
    "namespace": "com.sforce.eventbus",
    "fields": [{"name": "ChangeEventHeader", "type": HEADER}, *BODY],
}
PLATFORM_EVENT: dict[str, Any] = {
    "type": "record",
    "name": "Record_Deleted__e",
    "namespace": "com.sforce.eventbus",
    "fields": [
        {"name": "CreatedDate", "type": "long"},
        {"name": "CreatedById", "type": "string"},
        {"name": "Record_Id__c", "type": ["null", "string"], "default": None},
        {"name": "Payload__c", "type": [{"type": "map", "values": "string"}, "null"]},
        {"name": "Many__c", "type": ["null", {"type": "array", "items": NAME}]},
        {"name": "Hash__c", "type": {"type": "fixed", "name": "Hash", "size": 4}},
    ],
}


def a_header(chance: random.Random, **changes: object) -> dict[str, Any]:
    """A header that Salesforce could send."""
    key = "".join(chance.choices("0123456789abcdef-", k=36))
    return {
        "entityName": "Opportunity",
        "recordIds": [f"006{n:015d}" for n in range(chance.choice((1, 1, 1, 1, 3)))],
        "changeType": "DELETE",
        "changeOrigin": chance.choice(("", "com/salesforce/api/rest/60.0", "com/salesforce/api/soap/60.0;client=ü")),
        "transactionKey": key,
        "sequenceNumber": chance.choice((1, 2, 63, 64, 5000, 2**31 - 1)),
        "commitTimestamp": chance.choice((1_709_303_151_000, chance.randrange(2**42))),
        "commitNumber": chance.choice((1_709_303_151_782_928_388, chance.randrange(2**63), 0)),
        "commitUser": "005000000000001AAA",
        "nulledFields": [],
        "diffFields": [],
        "changedFields": [],
    } | changes


def a_change(chance: random.Random, *, empty: bool, **changes: object) -> dict[str, Any]:
    """A change event that Salesforce could send."""
    body: dict[str, Any] = {field["name"]: None for field in BODY}
    if not empty:
        body |= {
            "Name": {"FirstName": "A", "LastName": None},
            "Amount": chance.choice((None, 1.5)),
            "IsClosed": chance.choice((None, True, False)),
            "Count__c": chance.choice((None, 7)),
        }
    return {"ChangeEventHeader": a_header(chance, **changes), **body}


def a_platform_event(chance: random.Random) -> dict[str, Any]:
    """A platform event with all kinds of fields."""
    return {
        "CreatedDate": 1_709_303_151_000,
        "CreatedById": "005000000000001AAA",
        "Record_Id__c": chance.choice((None, "006000000000001AAA")),
        "Payload__c": chance.choice((None, {"a": "b"})),
        "Many__c": chance.choice((None, [], [{"FirstName": "x", "LastName": None}] * 3)),
        "Hash__c": b"\x00\xff12",
    }


def encoded(schema: object, record: object) -> bytes:
    """A payload, written by the independent library."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(json.loads(json.dumps(schema))), record)
    return buffer.getvalue()


def plainly(schema: object, payload: bytes) -> tuple[Any, int]:
    """What the independent library makes of a payload, and how much of it it took."""
    text = json.dumps(schema).replace('"logicalType"', '"was"')
    buffer = io.BytesIO(payload)
    record = fastavro.schemaless_reader(buffer, fastavro.parse_schema(json.loads(text)), None)
    return record, buffer.tell()


EXTREMES = (
    b"\xff" * 9 + b"\x01",
    b"\xfe" + b"\xff" * 8 + b"\x01",
    b"\x80" * 9 + b"\x01",
    b"\xff" * 20,
    b"\x01",
    b"\xfe\xff\xff\xff\x0f",
)


def mutated(chance: random.Random, payload: bytes) -> bytes:
    """A payload with one to three things wrong."""
    data = bytearray(payload)
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = chance.randrange(256)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + chance.randrange(1, 5)]
        elif kind == 4:
            data[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif kind == 5:
            data[at : at + 1] = chance.choice(EXTREMES)
        else:
            data += chance.randbytes(chance.randrange(1, 9))
    return bytes(data)


def mutated_schema(chance: random.Random, schema: object) -> str:
    """The text of a schema with one or two things wrong."""
    root = json.loads(json.dumps(schema))
    for _ in range(chance.choice((1, 1, 2))):
        places: list[tuple[Any, Any]] = []
        waiting = [root]
        while waiting:
            one = waiting.pop()
            for key in list(one) if isinstance(one, dict) else range(len(one)):
                places.append((one, key))
                if isinstance(one[key], dict | list):
                    waiting.append(one[key])
        if not places:
            break
        holder, key = chance.choice(places)
        kind = chance.randrange(4)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            other, its = chance.choice(places)
            holder[key] = json.loads(json.dumps(other[its]))
        elif kind == 2:
            holder[key] = copy.deepcopy(chance.choice(REPLACEMENTS))
        else:
            holder[key] = [holder[key], copy.deepcopy(chance.choice(REPLACEMENTS))]
    text = json.dumps(root)
    if chance.randrange(8) == 0:
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice(("", "}", '"', "\x00", "[" * 2000)) + text[at + 1 :]
    return text


REPLACEMENTS: tuple[Any, ...] = (
    None, True, 0, -1, 2**70, 1.5, "", "null", "string", "long", "bytes", "no such type", "OpportunityChangeEvent",
    "com.sforce.eventbus.ChangeEventHeader", [], ["null"], ["null", "null"], {}, {"type": "array", "items": "null"},
    {"type": "array", "items": {"type": "array", "items": "long"}}, {"type": "map", "values": ["null", "long"]},
    {"type": "fixed", "name": "Z", "size": 0}, {"type": "fixed", "name": "Y", "size": 2**40},
    {"type": "record", "name": "R", "fields": []}, {"type": "enum", "name": "E", "symbols": []},
    {"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]},
    {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
)  # fmt: skip


class Campaign:
    """A row of mutations, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.slowest = 0.0
        self.warm = {
            "change": EventSchema.parse("change", json.dumps(CHANGE_EVENT)),
            "platform": EventSchema.parse("platform", json.dumps(PLATFORM_EVENT)),
        }

    def run(self, count: int) -> None:
        """Make so many.

        Raises:
            AssertionError: One of them was read wrongly, took too long, or ended in another way.
        """
        for _ in range(count):
            began = time.perf_counter()
            if self.chance.randrange(4):
                self.payload()
            else:
                self.schema()
            took = time.perf_counter() - began
            self.slowest = max(self.slowest, took)
            assert took < 10.0, f"{took:.1f} s"

    def payload(self) -> None:
        """A mutated payload, under the schema that it was written with."""
        chance = self.chance
        if chance.randrange(3):
            name, schema, record = "change", CHANGE_EVENT, a_change(chance, empty=chance.randrange(3) > 0)
        else:
            name, schema, record = "platform", PLATFORM_EVENT, a_platform_event(chance)
        whole = encoded(schema, record)
        self.check(self.warm[name], schema, whole, "whole")
        assert self.warm[name].decode(whole) == record
        self.check(self.warm[name], schema, mutated(chance, whole), "mutated")

    def schema(self) -> None:
        """A mutated schema, with a payload of the true one."""
        chance = self.chance
        schema, record = chance.choice(
            ((CHANGE_EVENT, a_change(chance, empty=True)), (PLATFORM_EVENT, a_platform_event(chance)))
        )
        text = mutated_schema(chance, schema)
        try:
            made = EventSchema.parse("id", text)
        except PayloadError as error:
            self.said(error)
            self.counts["schema refused"] += 1
            return
        self.check(made, json.loads(text), encoded(schema, record), "under another schema", strict=False)

    def check(self, made: EventSchema, schema: object, payload: bytes, kind: str, *, strict: bool = True) -> None:
        """One payload: read alike in all ways, or refused in all ways."""
        try:
            record = made.decode(payload)
        except PayloadError as error:
            self.said(error)
            self.counts[f"{kind} refused"] += 1
            try:
                made.read(payload)
            except PayloadError:
                return
            raise AssertionError("the short way takes what the long way refuses") from None
        self.counts[f"{kind} read"] += 1
        if strict:
            assert plainly(schema, payload) == (record, len(payload))
        try:
            decoded = made.read(payload)
        except PayloadError as error:
            if "header" not in str(error):  # the schema's own header is not one
                raise
            return
        if decoded.header is not None:
            header = record.pop("ChangeEventHeader")
            assert decoded.header.commit_number == header.get("commitNumber", 0)
            assert (list(decoded.header.record_ids), decoded.header.change_type, decoded.header.commit_timestamp) == (
                header["recordIds"], header["changeType"], header["commitTimestamp"],
            )  # fmt: skip
            said = (decoded.header.entity_name, decoded.header.transaction_key, decoded.header.sequence_number)
            assert said == (header["entityName"], header["transactionKey"], header.get("sequenceNumber", 0))
        assert record == decoded.fields if decoded.fields is not None else not any(record.values())

    def said(self, error: PayloadError) -> None:
        """The sentence of a refusal has no value in it."""
        text = str(error)
        assert re.fullmatch(r"(The schema of an event|An event of the type [A-Za-z_ ]+) .{10,200}\.", text), text
        assert "0060000" not in text


def main() -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    campaign = Campaign(asked.seed)
    began = time.perf_counter()
    campaign.run(asked.count)
    result = {"seed": asked.seed, "mutations": asked.count, "seconds": round(time.perf_counter() - began, 1)}
    figures = {"slowest_ms": round(campaign.slowest * 1000, 1), **dict(sorted(campaign.counts.items()))}
    sys.stdout.write(f"RESULT {json.dumps({**result, **figures})}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
