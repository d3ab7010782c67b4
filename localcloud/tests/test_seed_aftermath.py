"""What seeding and passing days leave beside the rows: delete log, change events, and peace with actions."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from localcloud.clock import OrgClock
from localcloud.salesforce.actions import Action, Actions
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.salesforce.replication import DeletedRecord, Replication
from localcloud.seed import SeedError, advance, loader, seed_generated

OBJECTS = ("Account", "Contact", "Opportunity", "Case", "Invoice__c")
KINDS = {"create": "CREATE", "update": "UPDATE", "delete": "DELETE"}


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up org that no test changes."""
    path = tmp_path_factory.mktemp("aftermath") / "org"
    seed_generated(path, events=3_000, seed=11)
    return path


@pytest.fixture
def folder(seeded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(seeded, tmp_path / "org")


@pytest.fixture
def org(folder: Path) -> Iterator[Org]:
    with opened(folder) as found:
        yield found


def opened(folder: Path) -> Org:
    """The org with its kept clock, which stands still."""
    clock = OrgClock(real=lambda: 0.0)
    with Org.open(folder) as org:
        clock.set(org.clock.now().replace(microsecond=0))
    return Org.open(folder, clock=clock)


def truth(folder: Path, start: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "truth.jsonl").read_bytes()[start:].splitlines()]


def told(org: Org) -> Counter[tuple[str, str, str, str]]:
    """Object, kind, record and second of every change event."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    for sobject in OBJECTS:
        for event in Bus(org).last_events(f"/data/{sobject}ChangeEvent", 100_000):
            found.update((sobject, str(event.change_type), key, event.at[:19]) for key in event.record_ids)
    return found


def test_the_delete_log_knows_every_seeded_delete_by_its_own_time(org: Org) -> None:
    lines = [line for line in truth(org.path) if line["action"] == "delete"]
    assert len(lines) > 3
    found = org.db.execute("SELECT object, id, deleted FROM delete_log").fetchall()
    assert {(name, key, f"{deleted[:19]}Z") for name, key, deleted in found} == {
        (line["object"], line["record"], line["at"]) for line in lines
    }


def test_recent_seeded_deletes_are_told_and_can_be_undone(org: Org) -> None:
    last = max(
        (line for line in truth(org.path) if line["action"] == "delete" and line["object"] == "Case"),
        key=lambda line: line["at"],
    )
    org.clock.set(datetime.fromisoformat(last["at"]) + timedelta(days=2))
    start, end = org.clock.now() - timedelta(days=3), org.clock.now()
    case = org.schema.get("Case")
    assert case is not None
    deleted = DeletedRecord(f"{last['at'][:19]}.000+0000", last["record"])
    assert deleted in Replication(org).deleted(case, start.isoformat(), end.isoformat()).deleted_records
    outcome = Actions(org).act(Action("undelete", ids=(last["record"],)))
    assert (outcome.succeeded, outcome.failed) == (1, 0)
    flags = f"SELECT IsDeleted FROM CaseHistory WHERE CaseId = '{last['record']}'"
    assert {flag for (flag,) in org.db.execute(flags)} == {0}
    assert deleted not in Replication(org).deleted(case, start.isoformat(), end.isoformat()).deleted_records


def test_days_that_pass_tell_the_decisions_of_the_last_72_hours(folder: Path) -> None:
    size = (folder / "truth.jsonl").stat().st_size
    advance(folder, days=5)
    with opened(folder) as org:
        oldest = (org.clock.now() - timedelta(hours=72)).isoformat()[:19]
        expected = Counter(
            (line["object"], KINDS[line["action"]], line["record"], line["at"][:19])
            for line in truth(folder, size)
            if line["object"] in OBJECTS and line["action"] in KINDS and line["at"][:19] >= oldest
        )
        assert len(expected) > 3
        assert told(org) == expected
        deletes = [line["record"] for line in truth(folder, size) if line["action"] == "delete"]
        logged = {key for (key,) in org.db.execute("SELECT id FROM delete_log")}
        assert set(deletes) <= logged


def test_days_that_were_interrupted_tell_nothing_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def killed(*_: object) -> None:
        raise SeedError("killed")

    monkeypatch.setattr(loader, "end_truth", killed)
    with pytest.raises(SeedError, match="killed"):
        advance(folder, days=4)
    monkeypatch.undo()
    advance(folder, days=1)
    decided = {
        (line["object"], KINDS[line["action"]], line["record"], line["at"][:19])
        for line in truth(folder)
        if line["action"] in KINDS
    }
    with opened(folder) as org:
        seen = told(org)
        assert set(seen.values()) == {1}
        assert seen.keys() <= decided


def test_days_that_pass_leave_alone_what_actions_did(folder: Path) -> None:
    with opened(folder) as org:
        actions = Actions(org, truth=folder / "truth.jsonl")
        removed = actions.act(Action("delete", object="Account", where="Name LIKE 'Account 00000%'", count=3))
        changed = actions.act(Action("update", object="Case", where="IsClosed = false", values={"Subject": "!"}))
        assert removed.succeeded == 3
        assert changed.succeeded >= 3
        made = actions.act(Action("create", object="Account", values={"Name": "By hand"}))
    before = (folder / "truth.jsonl").read_bytes()
    report = advance(folder, days=30)
    assert report.decisions > 20
    after = (folder / "truth.jsonl").read_bytes()
    assert after.startswith(before)
    touched = {*removed.ids, *changed.ids, *made.ids}
    for line in before.splitlines():
        touched |= {key for _, key in json.loads(line).get("cascade", ())}
    new = [json.loads(line) for line in after[len(before) :].splitlines()]
    assert not touched & {line["record"] for line in new}
    assert not set(removed.ids) & {change["new"] for line in new for change in line["changes"]}
    with opened(folder) as org:
        names = "SELECT count(*) FROM Account WHERE Name = 'By hand' AND IsDeleted = 0"
        assert org.db.execute(names).fetchone() == (1,)
        steps = 'SELECT DISTINCT Subject FROM "Case" WHERE Id IN (SELECT value FROM json_each(?))'
        assert org.db.execute(steps, (json.dumps(changed.ids),)).fetchall() == [("!",)]
        flags = "SELECT DISTINCT IsDeleted FROM Account WHERE Id IN (SELECT value FROM json_each(?))"
        assert org.db.execute(flags, (json.dumps(removed.ids),)).fetchall() == [(1,)]
        orphans = 'SELECT count(*) FROM "Case" c JOIN Account a ON a.Id = c.AccountId WHERE c.IsDeleted < a.IsDeleted'
        assert org.db.execute(orphans).fetchone() == (0,)
    advance(folder, days=1)


def test_lines_of_actions_survive_days_that_were_interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def killed(*_: object) -> None:
        raise SeedError("killed")

    monkeypatch.setattr(loader, "end_truth", killed)
    with pytest.raises(SeedError, match="killed"):
        advance(folder, days=3)
    monkeypatch.undo()
    with opened(folder) as org:
        actions = Actions(org, truth=folder / "truth.jsonl")
        actions.act(Action("create", object="Account", values={"Name": "Meanwhile"}))
    advance(folder, days=1)
    lines = truth(folder)
    assert [line["changes"][0]["new"] for line in lines if "transaction" in line] == ["Meanwhile"]
    decided = [json.dumps(line) for line in lines if "transaction" not in line]
    assert len(decided) == len(set(decided))
    with opened(folder) as org:
        Actions(org, truth=folder / "truth.jsonl").act(Action("create", object="Account", values={"Name": "Later"}))
    assert len(truth(folder)) == len(lines) + 1
