"""Every way a record can go, seen by one, two or three witnesses: each deletion of the truth log is told once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from microdecisions.deletions import Deletion
from tests.conftest import HOUR, MINUTE
from tests.deletes import ALL, PLATFORM_EVENT, Store, run_deletes, settings_for
from tests.deletes_org import act, delete_accounts, deleted_ids, expected, later, truth

Serve = Callable[..., Running]

WITNESSES = {"changes": ALL, "trigger": PLATFORM_EVENT, "log": None}
COMBINATIONS = [
    names for size in (1, 2, 3) for names in itertools.combinations(WITNESSES, size) if names != ("trigger",)
]
BEST = ("change_event", "platform_event", "query_all", "get_deleted")


def seen_by(witnesses: tuple[str, ...]) -> dict[str, object]:
    """Settings with which exactly these witnesses are asked."""
    topics = [topic for name in witnesses if (topic := WITNESSES[name]) is not None]
    return {"topics": topics, "reconcile": "always" if "log" in witnesses else "never"}


def tell_stories(server: Running) -> None:
    """All that a record can meet; between them time passes, so that each is an event of its own."""
    act(server, "create", object="Account", values={"Name": "Plain {n}"}, count=12)
    act(server, "create", object="Account", values={"Name": "Merged {n}"}, count=3)
    act(server, "create", object="Account", values={"Name": "Parent"})
    later(server, 5 * MINUTE)
    delete_accounts(server, "Plain 1%")
    later(server, 5 * MINUTE)
    act(server, "merge", object="Account", ids=ids(server, "Name LIKE 'Merged%'"))
    later(server, 5 * MINUTE)
    parent = ids(server, "Name = 'Parent'")[0]
    act(server, "create", object="Contact", values={"LastName": "Child {n}", "AccountId": parent}, count=7)
    act(server, "create", object="Opportunity", count=4, values={
        "Name": "Deal {n}", "AccountId": parent, "StageName": "Prospecting", "CloseDate": "2026-06-01"})  # fmt: skip
    later(server, 5 * MINUTE)
    act(server, "delete", object="Account", ids=[parent])
    later(server, 5 * MINUTE)


def ids(server: Running, where: str, sobject: str = "Account") -> list[str]:
    """Ids of live records."""
    with Org.open(server.org_path) as org:
        clause = where.replace("Name", '"Name"')
        rows = org.db.execute(f'SELECT "Id" FROM "{sobject}" WHERE {clause} ORDER BY "Id"')
        return [str(row[0]) for row in rows]


def best_of(deletion: Deletion) -> str:
    return min(deletion.sources, key=BEST.index)


@pytest.mark.parametrize("witnesses", COMBINATIONS, ids="+".join)
def test_each_deletion_is_told_once_with_the_values_of_the_best_witness(
    serve: Serve, empty_org: Path, witnesses: tuple[str, ...]
) -> None:
    server = serve(empty_org)
    tell_stories(server)
    config = settings_for(server, empty_org, **seen_by(witnesses))
    store = Store()
    assert store.run(config).code == 0
    expected = Counter(deleted_ids(truth(empty_org, "delete", "merge")))
    assert max(expected.values()) == 1
    deletions = store.deletions()
    assert Counter(one.record_id for one in deletions) == expected
    for one in deletions:
        assert one.source == best_of(one)
        if "changes" in witnesses:
            assert one.source == "change_event"
        if one.source != "get_deleted":
            assert one.actor_id is not None
    again = store.run(config)
    assert (again.code, again.records["delete_events"]) == (0, [])


def test_a_trigger_alone_misses_what_goes_by_cascade_and_the_delete_log_tells_of_it(
    serve: Serve, empty_org: Path
) -> None:
    server = serve(empty_org)
    tell_stories(server)
    alone = Store()
    assert alone.load(run_deletes(settings_for(server, empty_org, **seen_by(("trigger",))))).code == 0
    expected = set(deleted_ids(truth(empty_org, "delete", "merge")))
    missed = expected - alone.told()
    assert missed == {record for line in truth(empty_org, "delete") for _, record in line.cascade}
    default = Store()
    assert default.load(run_deletes(settings_for(server, empty_org, topics=[PLATFORM_EVENT]))).code == 0
    assert default.told() == expected


def test_a_record_that_is_deleted_undeleted_and_deleted_again_has_two_deletions(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    act(server, "create", object="Account", values={"Name": "Phoenix"})
    later(server, 5 * MINUTE)
    phoenix = ids(server, "Name = 'Phoenix'")
    store = Store()
    config = settings_for(server, empty_org, topics=[ALL], reconcile="always")
    for _ in range(2):
        act(server, "delete", object="Account", ids=phoenix)
        later(server, 2 * HOUR)
        assert store.run(config).code == 0
        act(server, "undelete", object="Account", ids=phoenix)
        later(server, 2 * HOUR)
    assert store.run(config).code == 0
    deletions = store.deletions()
    assert [one.record_id for one in deletions] == phoenix * 2
    assert all(one.undeleted_at is not None and not one.after_missed_undelete for one in deletions)
    assert len(truth(empty_org, "delete")) == 2


def test_a_hard_delete_adds_nothing_to_the_deletion_before_it(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    act(server, "create", object="Account", values={"Name": "Gone"})
    later(server, 5 * MINUTE)
    gone = ids(server, "Name = 'Gone'")
    act(server, "delete", object="Account", ids=gone)
    later(server, 5 * MINUTE)
    act(server, "empty_bin", ids=gone)
    later(server, 5 * MINUTE)
    store = Store()
    assert store.load(run_deletes(settings_for(server, empty_org, topics=[ALL], reconcile="always"))).code == 0
    assert [one.record_id for one in store.deletions()] == gone


def test_ten_thousand_deletes_that_come_as_few_events_are_ten_thousand_deletions(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    act(server, "create", object="Account", values={"Name": "Many {n}"}, count=10_000)
    later(server, 5 * MINUTE)
    config = settings_for(server, empty_org, topics=[ALL], reconcile="never")
    store = Store()
    assert store.run(config).code == 0
    delete_accounts(server, "Many%", transaction="one")
    assert sum(one.change_type == "DELETE" for one in server.events(ALL, 100)) < 20
    later(server, 5 * MINUTE)
    assert store.run(config).code == 0
    deletions = store.deletions()
    assert len(deletions) == 10_000
    assert {one.record_id for one in deletions} == expected(empty_org)
