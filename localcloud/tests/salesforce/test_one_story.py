"""Whatever is done to an org, every surface tells the same story: the one that the truth log tells.

The checker reads the truth log and nothing else to know what must be seen.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import grpc
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.salesforce.pubsub.contract import CLASSES
from localcloud.salesforce.server import Running, serve_in_thread

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


# --- what is done -----------------------------------------------------------------------------------

TEXTS = st.sampled_from(["a", "b", "007", 'she said "yes"', "\U0001f600", None])
AMOUNTS = st.sampled_from([None, 5, "10000000", "0.5", "1234567890.12"])
STAGES = st.sampled_from(["Prospecting", "Qualification", "Closed Won", "Closed Lost"])
WHICH = st.integers(0, 30)
STEPS = st.sampled_from([0.4, 1, 61, 3_600, 86_400, 5 * 86_400, 16 * 86_400])


class Deeds(RuleBasedStateMachine):
    """Does things to an org, over HTTP and by actions as data; ids of deleted and removed records stay in use."""

    start: Callable[[ExitStack], tuple[Any, Org]]

    @initialize()
    def begin(self) -> None:
        self.stack = ExitStack()
        self.client, self.org = type(self).start(self.stack)
        self.ids: dict[str, list[str]] = {sobject: [] for sobject in COLUMNS}
        self.deleted: list[str] = []
        for number in range(2):  # so that there is something to do something to
            self.create_account("a", 5, number)
            self.create_contact("b", number)
            self.create_opportunity("Prospecting", 5, number)
            self.create_case("c", number, number)

    def teardown(self) -> None:
        with self.stack:
            path = self.org.path / "truth.jsonl"
            lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
            check(Story(lines), self.client, self.org)

    def some(self, sobject: str, which: int) -> str | None:
        known = self.ids[sobject]
        return known[which % len(known)] if known else None

    def any(self, which: Sequence[int]) -> list[str]:
        known = [key for ids in self.ids.values() for key in ids]
        return list(dict.fromkeys(known[one % len(known)] for one in which)) if known else []

    def call(self, method: str, path: str, body: object = None) -> Any:
        answer = self.client.http.request(
            method, f"{self.client.server.url}/services/data/v60.0/{path}", json=body, timeout=30
        )
        assert answer.status_code < 500, answer.text
        return answer

    def act(self, **action: object) -> None:
        answer = self.client.http.post(f"{self.client.server.url}/__localcloud__/act", json=action, timeout=30)
        assert answer.status_code in {200, 400}, answer.text

    def make(self, sobject: str, values: Mapping[str, object]) -> None:
        answer = self.call("POST", f"sobjects/{sobject}", values)
        if answer.status_code == 201:
            self.ids[sobject].append(answer.json()["id"])

    @rule(name=TEXTS, amount=AMOUNTS, parent=WHICH)
    def create_account(self, name: str | None, amount: object, parent: int) -> None:
        values = {"Name": name, "AnnualRevenue": amount, "ParentId": self.some("Account", parent)}
        self.make("Account", values)

    @rule(name=TEXTS, account=WHICH)
    def create_contact(self, name: str | None, account: int) -> None:
        values = {"LastName": name or "x", "Email": "x@mock.invalid", "AccountId": self.some("Account", account)}
        self.make("Contact", values)

    @rule(stage=STAGES, amount=AMOUNTS, account=WHICH)
    def create_opportunity(self, stage: str, amount: object, account: int) -> None:
        values = {"Name": "Deal", "StageName": stage, "Amount": amount, "CloseDate": "2024-06-01"}
        self.make("Opportunity", {**values, "AccountId": self.some("Account", account)})

    @rule(text=TEXTS, account=WHICH, contact=WHICH)
    def create_case(self, text: str | None, account: int, contact: int) -> None:
        values = {"AccountId": self.some("Account", account), "ContactId": self.some("Contact", contact)}
        self.make("Case", {**values, "Subject": text})

    @rule(count=st.integers(1, 4), all_or_none=st.booleans(), good=st.booleans())
    def create_collection(self, count: int, all_or_none: bool, good: bool) -> None:
        kinds = itertools.cycle(["Account", "Contact"])
        records: list[dict[str, Any]] = [
            {"attributes": {"type": kind}, ("Name" if kind == "Account" else "LastName"): str(n)}
            for n, kind in zip(range(count), kinds, strict=False)
        ]
        if not good:
            records[-1] = {"attributes": {"type": "Account"}}
        body = {"allOrNone": all_or_none, "records": records}
        for record, result in zip(records, self.call("POST", "composite/sobjects", body).json(), strict=True):
            if result["success"]:
                self.ids[record["attributes"]["type"]].append(result["id"])

    @rule(which=WHICH, name=TEXTS, amount=AMOUNTS, owner=st.integers(0, 2))
    def update_account(self, which: int, name: str | None, amount: object, owner: int) -> None:
        if key := self.some("Account", which):
            values = {"Name": name, "AnnualRevenue": amount, "OwnerId": self.org.new_id("User", owner)}
            self.call("PATCH", f"sobjects/Account/{key}", values)

    @rule(which=WHICH, stage=STAGES, amount=AMOUNTS, text=TEXTS)
    def update_opportunity(self, which: int, stage: str, amount: object, text: str | None) -> None:
        if key := self.some("Opportunity", which):
            values = {"StageName": stage, "Amount": amount, "NextStep": text, "Description": text}
            self.call("PATCH", f"sobjects/Opportunity/{key}", values)

    @rule(which=WHICH, account=WHICH)
    def move_contact(self, which: int, account: int) -> None:
        if key := self.some("Contact", which):
            self.call("PATCH", f"sobjects/Contact/{key}", {"AccountId": self.some("Account", account)})

    @rule(status=st.sampled_from(["New", "Working", "Closed"]), user=st.integers(0, 2), batches=st.booleans())
    def update_cases(self, status: str, user: int, batches: bool) -> None:
        self.act(
            action="update",
            object="Case",
            where=f"Status != '{status}'",
            values={"Status": status},
            user=self.org.new_id("User", user),
            transaction="batches" if batches else "one",
        )

    @rule(sobject=st.sampled_from(list(COLUMNS)), which=WHICH)
    def delete(self, sobject: str, which: int) -> None:
        if key := self.some(sobject, which):
            self.call("DELETE", f"sobjects/{sobject}/{key}")
            self.deleted.append(key)

    @rule(which=st.lists(WHICH, min_size=1, max_size=4), all_or_none=st.booleans())
    def delete_collection(self, which: list[int], all_or_none: bool) -> None:
        if ids := self.any(which):
            self.call("DELETE", f"composite/sobjects?ids={','.join(ids)}&allOrNone={str(all_or_none).lower()}")

    @rule(sobject=st.sampled_from(list(COLUMNS)), count=st.integers(1, 3))
    def delete_found(self, sobject: str, count: int) -> None:
        self.act(action="delete", object=sobject, where="CreatedDate != null", count=count)

    @rule(which=st.lists(WHICH, min_size=1, max_size=5), back=WHICH, user=st.integers(0, 2))
    def undelete(self, which: list[int], back: int, user: int) -> None:
        ids = self.any(which)
        if self.deleted:
            ids = list(dict.fromkeys([self.deleted[-1 - back % len(self.deleted)], *ids]))
        if ids:
            self.act(action="undelete", ids=ids, user=self.org.new_id("User", user), transaction="one")

    @rule(which=st.lists(WHICH, min_size=1, max_size=2), batches=st.booleans())
    def hard_delete(self, which: list[int], batches: bool) -> None:
        if ids := self.any(which):
            self.act(action="hard_delete", ids=ids, transaction="batches" if batches else "one")

    @rule(which=st.lists(WHICH, min_size=1, max_size=2), whole=st.sampled_from([False] * 4 + [True]))
    def empty_bin(self, which: list[int], whole: bool) -> None:
        self.act(action="empty_bin", ids=[] if whole else self.any(which))

    @rule()
    def purge(self) -> None:
        self.act(action="purge")

    @rule(sobject=st.sampled_from(["Account", "Contact"]), which=st.lists(WHICH, min_size=2, max_size=3), text=TEXTS)
    def merge(self, sobject: str, which: list[int], text: str | None) -> None:
        ids = list(dict.fromkeys(key for one in which if (key := self.some(sobject, one))))
        self.act(action="merge", object=sobject, ids=ids, values={"Phone": text})

    @rule(seconds=STEPS)
    def wait(self, seconds: float) -> None:
        self.org.clock.advance(timedelta(seconds=seconds))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an org with three users and no records, closed; to be copied."""
    path = tmp_path_factory.mktemp("empty") / "org"
    with Org.create(path, clock=OrgClock(NOW, real=lambda: 1_700_000_000.0)) as org:
        users = [{"Id": org.new_id("User", n), "LastName": f"User {n}", "Name": f"User {n}"} for n in range(3)]
        org.load("User", users)
    return path


def test_every_surface_tells_the_story_of_the_truth_log(
    empty: Path, client_of: Callable[[Running], Any], tmp_path: Path
) -> None:
    numbers = itertools.count()

    def start(stack: ExitStack) -> tuple[Any, Org]:
        path = shutil.copytree(empty, tmp_path / str(next(numbers)))
        stack.callback(shutil.rmtree, path)
        org = stack.enter_context(Org.open(path, clock=OrgClock(NOW, real=lambda: 1_700_000_000.0)))
        return stack.enter_context(client_of(stack.enter_context(serve_in_thread(org)))), org

    class Played(Deeds):
        pass

    Played.start = staticmethod(start)
    run_state_machine_as_test(
        Played,
        settings=settings(
            max_examples=24,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
