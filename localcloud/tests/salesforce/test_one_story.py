"""Whatever is done to an org, every surface tells the same story: the one that the truth log tells."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from story_of_truth import COLUMNS, NOW, Story, check

from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running, serve_in_thread

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
