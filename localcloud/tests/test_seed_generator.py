"""A made-up org: the same for a seed, of the size that was asked for, with every awkward thing in it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org
from localcloud.seed import SeedError, SeedReport, advance, seed_org
from localcloud.seed.loader import seed_generated

if TYPE_CHECKING:
    from pathlib import Path

AWKWARD = [
    "007", "00123.40", "1e5", "NaN", "NA", "N/A", "null", "true", "-0", "Infinity", "first line\r\nsecond line",
    'she said "yes"', "  leading and trailing  ", "line\u2028separator\u2029end", "0123456789" * 25 + "abcde",
]  # fmt: skip
CLOSED = {"Closed Won", "Closed Lost"}


class Generated:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report: SeedReport = seed_org(folder, events=20_000, seed=7)
        self.lines = truth(folder)


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return Generated(tmp_path_factory.mktemp("generated") / "org")


def truth(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "truth.jsonl").read_bytes().splitlines()]


def dump(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "org.sqlite")) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [row for name in sorted(tables) if name != "settings" for row in db.execute(f'SELECT * FROM "{name}"')]


def test_the_same_seed_gives_the_same_truth_and_the_same_rows(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    for folder, seed in ((one, 3), (two, 3), (other, 4)):
        seed_org(folder, events=1_500, seed=seed)
    assert (one / "truth.jsonl").read_bytes() == (two / "truth.jsonl").read_bytes()
    assert (one / "truth.jsonl").read_bytes() != (other / "truth.jsonl").read_bytes()
    assert dump(one) == dump(two)


def test_decisions_told_by_another_process_make_the_same_org(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    reports = [
        seed_generated(folder, events=4_500, seed=5, aside=aside) for folder, aside in ((one, True), (two, False))
    ]
    assert reports[0] == reports[1]
    assert (one / "truth.jsonl").read_bytes() == (two / "truth.jsonl").read_bytes()
    assert (one / "meta.json").read_bytes() == (two / "meta.json").read_bytes()
    assert dump(one) == dump(two)
    assert indexes(one) == indexes(two)


def test_a_seeded_org_has_the_indexes_of_any_other(tmp_path: Path) -> None:
    seed_org(tmp_path / "seeded", events=300, seed=3)
    with Org.create(tmp_path / "empty", clock=OrgClock(datetime(2026, 1, 1, tzinfo=UTC))):
        pass
    assert indexes(tmp_path / "empty") <= indexes(tmp_path / "seeded")
    with closing(sqlite3.connect(tmp_path / "seeded" / "org.sqlite")) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def indexes(folder: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(folder / "org.sqlite")) as db:
        return set(db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"))


def test_the_size_is_met_within_two_percent(org: Generated) -> None:
    assert abs(org.report.events - 20_000) <= 400
    meta = json.loads((org.folder / "meta.json").read_text())
    assert sum(meta["events_expected"].values()) == org.report.events
    assert set(meta["events_expected"]) == {
        "account_history",
        "case_history",
        "contact_history",
        "contract_history",
        "invoice__history",
        "lead_history",
        "opportunity_field_history",
        "opportunity_history",
        "process_instance_step",
    }


def test_the_history_reaches_two_years_back_and_ends_an_hour_before_the_clock(org: Generated) -> None:
    with Org.open(org.folder) as opened:
        clock = opened.clock.now()
    first, last = (datetime.fromisoformat(org.lines[n]["at"]) for n in (0, -1))
    assert timedelta(days=729) < clock - first < timedelta(days=732)
    assert timedelta(minutes=59) < clock - last < timedelta(days=2)


def test_awkward_values_occur_in_the_truth(org: Generated) -> None:
    values = {c["new"] for line in org.lines if line["action"] == "update" for c in line["changes"]}
    assert values.issuperset(AWKWARD)
    assert any(value and "\U0001f600" in value for value in values)
    assert any(c["old"] and c["new"] is None for line in org.lines for c in line["changes"]), "an emptied field"
    amounts = {c["new"] for line in org.lines for c in line["changes"] if c["type"] == "currency"}
    assert amounts.issuperset({"1234567890.12", "5", "10000000", "1234567890123456.78"})
    kinds = {c["type"] for line in org.lines for c in line["changes"]}
    assert kinds == {
        "picklist", "text", "longtext", "currency", "double", "percent", "boolean", "date", "datetime", "lookup",
    }  # fmt: skip


def test_changes_whose_values_were_not_recorded_occur(org: Generated) -> None:
    changes = [c for line in org.lines for c in line["changes"] if c["type"] == "longtext"]
    assert changes
    assert all(c["old"] is None and c["new"] is None for c in changes)


def test_opportunities_are_opened_again(org: Generated) -> None:
    stages = [c for line in org.lines for c in line["changes"] if c["field"] == "StageName"]
    assert any(c["old"] in CLOSED and c["new"] not in CLOSED for c in stages)


def test_records_are_deleted_with_their_history(org: Generated) -> None:
    deleted = {line["object"] for line in org.lines if line["action"] == "delete"}
    assert {"Opportunity", "Case"} <= deleted
    with closing(sqlite3.connect(org.folder / "org.sqlite")) as db:
        statement = (
            "SELECT count(*), sum(h.IsDeleted) FROM OpportunityFieldHistory h"
            " JOIN Opportunity o ON o.Id = h.OpportunityId WHERE o.IsDeleted"
        )
        rows, marked = db.execute(statement).fetchone()
        visible = db.execute("SELECT count(*) FROM OpportunityFieldHistory WHERE NOT IsDeleted").fetchone()[0]
    assert rows == marked > 0
    assert visible > 0


def test_several_fields_change_in_one_save_and_several_saves_share_a_second(org: Generated) -> None:
    updates = [line for line in org.lines if line["action"] == "update"]
    assert any(len(line["changes"]) >= 4 for line in updates)
    seconds = [(line["record"], line["at"]) for line in updates if line["object"] == "Opportunity"]
    assert len(seconds) > len(set(seconds))


def test_people_integrations_and_automations_decide(org: Generated) -> None:
    with closing(sqlite3.connect(org.folder / "org.sqlite")) as db:
        users = {
            key: (kind, active, licence)
            for key, kind, active, licence in db.execute(
                "SELECT u.Id, u.UserType, u.IsActive, l.Name FROM User u"
                " LEFT JOIN Profile p ON p.Id = u.ProfileId LEFT JOIN UserLicense l ON l.Id = p.UserLicenseId"
            )
        }
    kinds = {users[line["actor"]] for line in org.lines if line["actor"] is not None}
    assert kinds == {
        ("Standard", 1, "Salesforce"),
        ("Standard", 0, "Salesforce"),
        ("Standard", 1, "Salesforce Integration"),
        ("AutomatedProcess", 1, None),
    }


def test_the_shares_of_moves_are_those_of_the_loan_log(org: Generated) -> None:
    moves = [
        c["new"]
        for line in org.lines
        for c in line["changes"]
        if c["field"] == "StageName" and c["old"] == "Qualification"
    ]
    share = moves.count("Closed Lost") / len(moves)
    assert share == pytest.approx(5720 / 13087, abs=0.05), "A_PARTLYSUBMITTED to A_DECLINED or A_CANCELLED"


def still(folder: Path) -> datetime:
    """Stop the org's clock and say what it shows."""
    with Org.open(folder, clock=OrgClock(datetime(2026, 3, 2, 9, 30, 0, 500_000, tzinfo=UTC))) as opened:
        return opened.clock.now()


def test_new_days_bring_new_decisions_all_after_what_the_clock_showed(tmp_path: Path) -> None:
    folder = tmp_path / "org"
    seed_org(folder, events=20_000)
    before, known = truth(folder), json.loads((folder / "meta.json").read_text())
    shown = still(folder)
    report = advance(folder, days=2)
    after = truth(folder)
    new = after[len(before) :]
    assert after[: len(before)] == before
    assert len(new) == report.decisions > 0
    with Org.open(folder) as opened:
        now = opened.clock.now()
    assert timedelta(days=2) <= now - shown < timedelta(days=2, minutes=5)
    times = [datetime.fromisoformat(line["at"]) for line in new]
    assert shown < times[0]
    assert times[-1] < now - timedelta(minutes=59)
    meta = json.loads((folder / "meta.json").read_text())
    assert sum(meta["events_expected"].values()) == sum(known["events_expected"].values()) + report.events


def test_each_day_is_another_day(tmp_path: Path) -> None:
    folder = tmp_path / "org"
    seed_org(folder, events=5_000)
    for _ in range(3):
        advance(folder)
    created = [line["record"] for line in truth(folder) if line["action"] == "create"]
    assert len(created) == len(set(created))


@pytest.mark.parametrize("stage", ["truth written", "rows loaded"])
def test_interrupted_days_are_finished_as_they_were_meant_before_others_pass(stage: str, tmp_path: Path) -> None:
    folder, other = tmp_path / "org", tmp_path / "other"
    for place in (folder, other):
        seed_org(place, events=2_000)
        still(place)

    def interrupt(done: int, total: int | None = None) -> None:
        if stage == "truth written" or done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        advance(folder, days=30, progress=interrupt)
    written = (folder / "truth.jsonl").read_bytes()
    report = advance(folder, days=1)

    whole = [advance(other, days=days) for days in (30, 1)]
    assert (folder / "truth.jsonl").read_bytes().startswith(written)
    decided = [[(line["action"], line["record"]) for line in truth(place)] for place in (folder, other)]
    assert decided[0] == decided[1]
    assert report.decisions == sum(each.decisions for each in whole) > 0
    assert len(dump(folder)) == len(dump(other))
    meta = [json.loads((place / "meta.json").read_text()) for place in (folder, other)]
    assert meta[0]["events_expected"] == meta[1]["events_expected"]
    with Org.open(folder) as opened:
        assert opened.clock.now() >= datetime(2026, 4, 2, 9, 30, tzinfo=UTC), "31 days after it stood still"


@pytest.mark.parametrize("part", ["truth.jsonl", "meta.json"])
def test_an_org_that_lacks_a_part_is_one_sentence(part: str, tmp_path: Path) -> None:
    seed_org(tmp_path / "org", events=50)
    (tmp_path / "org" / part).unlink()
    with pytest.raises(SeedError, match=part):
        advance(tmp_path / "org")


def test_an_org_of_another_generator_does_not_live_on(tmp_path: Path) -> None:
    seed_org(tmp_path / "org", events=50)
    meta = json.loads((tmp_path / "org" / "meta.json").read_text())
    del meta["generator"]
    (tmp_path / "org" / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(SeedError, match="another version of localcloud"):
        advance(tmp_path / "org")


def test_an_event_log_has_no_further_days(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("case,activity,timestamp,resource,amount\na,Lead,2024-01-01T10:00:00Z,Ann,1\n")
    seed_org(tmp_path / "org", event_log=log, as_="opportunity")
    report = advance(tmp_path / "org", days=5)
    assert (report.decisions, report.events) == (0, 0)
    with Org.open(tmp_path / "org") as opened:
        assert opened.clock.now() > datetime(2024, 1, 6, 11, tzinfo=UTC)


def test_only_a_seeded_org_can_be_advanced(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="holds no seeded org"):
        advance(tmp_path)


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    seed_org(tmp_path / "org", events=10_000, progress=lambda *step: told.append(step))
    assert {step for step, _, _ in told} == {"deciding", "loading"}
    assert told[-1][1] == told[-1][2] > 0
