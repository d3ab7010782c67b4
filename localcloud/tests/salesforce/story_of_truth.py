"""The story that an org's truth log tells, and the check of every surface against it.

The checker reads the truth log and nothing else to know what must be seen.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any, NamedTuple

import fastavro
import grpc

from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.salesforce.pubsub.contract import CLASSES

NOW = datetime(2024, 3, 15, 12, 0, tzinfo=UTC)
TRACKED = {
    "Account": {"Name", "Owner", "Phone", "Website", "Industry", "AnnualRevenue"},
    "Contact": {"Account", "Owner", "Title", "Email", "Phone"},
    "Opportunity": {"Name", "StageName", "Amount", "Probability", "CloseDate", "Owner", "NextStep", "Description"},
    "Case": {"Subject", "Status", "Priority", "Owner", "Description"},
}
HISTORY = {
    "Account": ("AccountHistory", "AccountId"),
    "Contact": ("ContactHistory", "ContactId"),
    "Opportunity": ("OpportunityFieldHistory", "OpportunityId"),
    "Case": ("CaseHistory", "CaseId"),
}
COLUMNS = {
    "Account": {"Name": "Name", "Phone": "Phone", "AnnualRevenue": "AnnualRevenue", "ParentId": "Parent"},
    "Contact": {"LastName": "LastName", "Email": "Email", "AccountId": "Account"},
    "Opportunity": {
        "Name": "Name",
        "StageName": "StageName",
        "Amount": "Amount",
        "Probability": "Probability",
        "CloseDate": "CloseDate",
        "ForecastCategory": "ForecastCategory",
        "IsClosed": "IsClosed",
        "AccountId": "Account",
    },
    "Case": {"Subject": "Subject", "Status": "Status", "AccountId": "Account", "ContactId": "Contact"},
}
"""Columns that are compared, and what the truth log calls them."""
PLAIN = {
    "Account": ("Name", "Phone", "AnnualRevenue", "ParentId"),
    "Contact": ("Email", "AccountId"),
    "Opportunity": ("Name", "StageName", "Amount", "AccountId"),
    "Case": ("Subject", "Status", "AccountId", "ContactId"),
}
"""Columns whose value in a change event is compared: text and numbers."""
SNAPSHOT = ("StageName", "Amount", "Probability", "CloseDate", "ForecastCategory")


# --- what the truth log says ------------------------------------------------------------------------


class Record:
    """A record as the truth log leaves it."""

    def __init__(self, sobject: str) -> None:
        self.sobject = sobject
        self.fields: dict[str, str | None] = {}
        self.deleted = False
        self.history: list[tuple[str | None, ...]] = []
        self.stages: list[tuple[str | None, ...]] = []


class Event(NamedTuple):
    """One record in one change event."""

    transaction: str
    sobject: str
    kind: str
    record: str
    actor: str


class Story:
    """What must be seen, by the truth log alone."""

    def __init__(self, lines: Sequence[dict[str, Any]]) -> None:
        self.records: dict[str, Record] = {}
        self.log: dict[str, tuple[str, str]] = {}
        self.forgotten: dict[str, str] = {}
        self.events: dict[Event, tuple[str, dict[str, str | None]]] = {}
        self._lost: dict[tuple[str, str], list[str | None]] = defaultdict(list)
        for line in lines:
            getattr(self, f"_{line['action']}")(line)

    def _create(self, line: dict[str, Any]) -> None:
        self.records[line["record"]] = Record(line["object"])
        self._change(line)
        record = self.records[line["record"]]
        record.history.append(("created", None, None, line["at"], line["actor"]))
        self._stage(record, line)
        self._event(line, "CREATE", line["object"], line["record"])

    def _update(self, line: dict[str, Any]) -> None:
        record = self.records[line["record"]]
        for change in line["changes"]:
            name, tail = change["field"], (line["at"], line["actor"])
            if name not in TRACKED[line["object"]]:
                continue
            if change["type"] == "lookup":
                record.history.append((name, change.get("old_name"), change.get("new_name"), *tail))
            record.history.append((name, change["old"], change["new"], *tail))
        self._change(line)
        if any(change["field"] in SNAPSHOT for change in line["changes"]):
            self._stage(record, line)
        self._event(line, "UPDATE", line["object"], line["record"])

    def _delete(self, line: dict[str, Any]) -> None:
        for sobject, key in self._all(line):
            self.records[key].deleted = True
            self.log[key] = (sobject, line["at"])
            self._event(line, "DELETE", sobject, key)
        self._clear(line)

    def _undelete(self, line: dict[str, Any]) -> None:
        back = {key for _, key in self._all(line)}
        for _, field, key in line.get("restored", ()):
            name = field.removesuffix("Id")
            self.records[key].fields[name] = next(old for old in self._lost[key, name] if old in back)
        for sobject, key in self._all(line):
            self.records[key].deleted = False
            self.log.pop(key, None)
            self._event(line, "UNDELETE", sobject, key)

    def _merge(self, line: dict[str, Any]) -> None:
        for key in line["losers"]:
            self.records[key].deleted = True
            self.log[key] = (line["object"], line["at"])
            self._event(line, "DELETE", line["object"], key)
        for _, field, key in line.get("reparented", ()):
            self.records[key].fields[field.removesuffix("Id")] = line["record"]

    def _hard_delete(self, line: dict[str, Any]) -> None:
        for sobject, key in self._all(line):
            if not self.records[key].deleted:
                self.log[key] = (sobject, line["at"])
                self._event(line, "DELETE", sobject, key)
            del self.records[key]
        self._clear(line)

    def _purge(self, line: dict[str, Any]) -> None:
        for sobject, key in self._all(line):
            _, deleted = self.log.pop(key)
            self.forgotten[sobject] = max(deleted, self.forgotten.get(sobject, ""))
            del self.records[key]
        self._clear(line)

    def _all(self, line: dict[str, Any]) -> Iterator[tuple[str, str]]:
        yield line["object"], line["record"]
        yield from line.get("cascade", ())

    def _clear(self, line: dict[str, Any]) -> None:
        for _, field, key in line.get("cleared", ()):
            name = field.removesuffix("Id")
            self._lost[key, name].append(self.records[key].fields[name])
            self.records[key].fields[name] = None

    def _change(self, line: dict[str, Any]) -> None:
        for change in line["changes"]:
            self.records[line["record"]].fields[change["field"]] = change["new"]

    def _stage(self, record: Record, line: dict[str, Any]) -> None:
        if record.sobject == "Opportunity":
            record.stages.append((*(record.fields.get(name) for name in SNAPSHOT), line["at"], line["actor"]))

    def _event(self, line: dict[str, Any], kind: str, sobject: str, record: str) -> None:
        changed = {change["field"]: change["new"] for change in line["changes"] if record == line["record"]}
        self.events[Event(line["transaction"], sobject, kind, record, line["actor"])] = (line["at"], changed)

    def earliest(self, sobject: str, now: datetime) -> datetime:
        """Since when the delete log must answer for an object."""
        horizon = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=15)
        if sobject not in self.forgotten:
            return horizon
        newest = datetime.fromisoformat(self.forgotten[sobject]).replace(second=0)
        return max(horizon, newest + timedelta(minutes=1))


# --- what the org says ------------------------------------------------------------------------------


def canonical(value: object) -> str | None:
    """A value of an answer in the canonical text of the truth log."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"{Decimal(str(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def instant(text: str) -> str:
    """An instant of an answer as the truth log writes it."""
    return f"{text[:19]}Z"


def check(story: Story, client: Any, org: Org) -> None:
    """Compare every surface of an org with the story."""
    for sobject in COLUMNS:
        _check_rows(story, client, sobject)
        _check_history(story, client, sobject)
        _check_log(story, client, sobject, org.clock.now())
    _check_stages(story, client)
    cutoff = (org.clock.now() - timedelta(hours=72) + timedelta(seconds=1)).isoformat()[:19]
    required = {event for event, (at, _) in story.events.items() if at[:19] >= cutoff}
    for told in (_shown(Bus(org)), _streamed(client, org.org_id)):
        seen = Counter(event for event, _ in told)
        assert set(seen) <= set(story.events), "an event that nobody caused"
        assert required <= set(seen), "an event is missing"
        assert set(seen.values()) <= {1}, "an event came twice"
        for event, payload in told:
            _check_values(event, payload, story.events[event][1])


def _check_rows(story: Story, client: Any, sobject: str) -> None:
    columns = COLUMNS[sobject]
    found = {
        row["Id"]: (row["IsDeleted"], {name: canonical(row[column]) for column, name in columns.items()})
        for row in client.records(f"SELECT Id, IsDeleted, {', '.join(columns)} FROM {sobject}", "queryAll")
    }
    assert found == {
        key: (record.deleted, {name: record.fields.get(name, default(name)) for name in columns.values()})
        for key, record in story.records.items()
        if record.sobject == sobject
    }


def default(name: str) -> str | None:
    """What a field holds of which the truth log says nothing: a flag is false."""
    return "false" if name.startswith("Is") else None


def _check_history(story: Story, client: Any, sobject: str) -> None:
    history, parent = HISTORY[sobject]
    rows = client.records(
        f"SELECT {parent}, Field, OldValue, NewValue, CreatedDate, CreatedById, IsDeleted FROM {history}", "queryAll"
    )
    found = Counter(
        (
            row[parent],
            row["IsDeleted"],
            row["Field"],
            canonical(row["OldValue"]),
            canonical(row["NewValue"]),
            instant(row["CreatedDate"]),
            row["CreatedById"],
        )
        for row in rows
    )
    assert found == Counter(
        (key, record.deleted, *entry)
        for key, record in story.records.items()
        if record.sobject == sobject
        for entry in record.history
    )


def _check_stages(story: Story, client: Any) -> None:
    columns = ", ".join(SNAPSHOT)
    rows = client.records(
        f"SELECT OpportunityId, {columns}, CreatedDate, CreatedById, IsDeleted FROM OpportunityHistory", "queryAll"
    )
    found = Counter(
        (
            row["OpportunityId"],
            row["IsDeleted"],
            *(canonical(row[name]) for name in SNAPSHOT),
            instant(row["CreatedDate"]),
            row["CreatedById"],
        )
        for row in rows
    )
    assert found == Counter(
        (key, record.deleted, *entry) for key, record in story.records.items() for entry in record.stages
    )


def _check_log(story: Story, client: Any, sobject: str, now: datetime) -> None:
    earliest = story.earliest(sobject, now)
    end = max(now, earliest) + timedelta(minutes=2)
    path = f"sobjects/{sobject}/deleted/"
    span = {"start": earliest.isoformat(), "end": end.isoformat()}
    answer = client.get(path, params=span).json()
    assert instant(answer["earliestDateAvailable"]) == f"{earliest.isoformat()[:19]}Z"
    since = earliest.isoformat()[:19]
    assert {(row["id"], instant(row["deletedDate"])) for row in answer["deletedRecords"]} == {
        (key, at) for key, (name, at) in story.log.items() if name == sobject and at[:19] >= since
    }
    assert len(answer["deletedRecords"]) == len({row["id"] for row in answer["deletedRecords"]})
    early = {**span, "start": (earliest - timedelta(minutes=1)).isoformat()}
    assert client.get(path, params=early).json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"


def _check_values(event: Event, payload: dict[str, Any], changed: dict[str, str | None]) -> None:
    for column in PLAIN[event.sobject]:
        expected = changed.get(COLUMNS[event.sobject][column])
        if expected is not None:
            assert canonical(payload[column]) == expected, (event, column)


def _fanned(payload: dict[str, Any]) -> Iterator[tuple[Event, dict[str, Any]]]:
    header = payload["ChangeEventHeader"]
    for key in header["recordIds"]:
        about = (header["transactionKey"], header["entityName"], header["changeType"], key, header["commitUser"])
        yield Event(*about), payload


def _shown(bus: Bus) -> list[tuple[Event, dict[str, Any]]]:
    """The change events as the bus shows them to people."""
    shown = [bus.last_events(f"/data/{sobject}ChangeEvent", 10_000) for sobject in COLUMNS]
    return [told for event in itertools.chain(*shown) for told in _fanned(event.payload)]


def _streamed(client: Any, org_id: str) -> list[tuple[Event, dict[str, Any]]]:
    """The change events as a subscriber of all of them receives them."""
    token = client.http.headers["Authorization"].removeprefix("Bearer ")
    headers = (("accesstoken", token), ("instanceurl", client.server.url), ("tenantid", org_id))
    schemas: dict[str, Any] = {}
    found: list[tuple[Event, dict[str, Any]]] = []
    with grpc.insecure_channel(client.server.pubsub) as channel:
        subscribe: Any = channel.stream_stream(
            "/eventbus.v1.PubSub/Subscribe",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=CLASSES["FetchResponse"].FromString,
        )
        schema_of: Any = channel.unary_unary(
            "/eventbus.v1.PubSub/GetSchema",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=CLASSES["SchemaInfo"].FromString,
        )
        replay: dict[str, Any] = {"replay_preset": 1}
        while True:
            request = CLASSES["FetchRequest"](topic_name="/data/ChangeEvents", num_requested=100, **replay)
            events: list[Any] = []
            for response in subscribe(iter([request]), metadata=headers, timeout=20):
                events += response.events
            for one in events:
                schema_id = one.event.schema_id
                if schema_id not in schemas:
                    asked = CLASSES["SchemaRequest"](schema_id=schema_id)
                    answer = schema_of(asked, metadata=headers, timeout=20)
                    schemas[schema_id] = fastavro.parse_schema(json.loads(answer.schema_json))
                payload: Any = fastavro.schemaless_reader(BytesIO(one.event.payload), schemas[schema_id], None)
                found += _fanned(payload)
            if not events:
                return found
            replay = {"replay_preset": 2, "replay_id": events[-1].replay_id}
