"""Rows that come late, in any order and in the same second; runs that begin and end anywhere: one content."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from tests.conftest import NOW, SECOND
from tests.harness import Json, config_for
from tests.in_process import Loader, clean, many_cases, run_here, statements
from tests.test_never_lose import case_change, salesforce_text

Serve = Callable[..., Running]
PAGE = 2_000  # rows of a query's answer


# Rows that arrive while, and after, a window is read.


def test_rows_inserted_while_a_window_is_read_come_once(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 4 * PAGE, start=NOW - timedelta(hours=3))
    server = serve(empty_org)
    config = config_for(server.url, empty_org)

    def insert() -> None:
        with Org.open(empty_org) as org:
            late = [case_change(org, 50_000 + n, NOW - timedelta(seconds=70 + 50 * n)) for n in range(16)]
            fresh = [case_change(org, 60_000 + n, NOW + SECOND * n) for n in range(30)]
        server.control(insert=[{"object": "CaseHistory", "rows": late + fresh}])

    loader = Loader()
    assert loader.load(run_here(config, "case_history", on_first_record=insert)).code == 0
    server.control(clock={"advance_seconds": 300})
    assert loader.load(run_here(config, "case_history", state=loader.state)).code == 0
    assert len(loader.tables["case_history"]) == 4 * PAGE + 46
    assert loader.arrivals.most_common(1)[0][1] == 1


STAGES = ("Prospecting", "Qualification", "Proposal/Price Quote", "Closed Won", "Closed Lost")


class Opportunities:
    """Saves of opportunities as `OpportunityHistory` rows that know the row before them, as Salesforce writes them."""

    def __init__(self, org: Org, chance: random.Random) -> None:
        self._org = org
        self._chance = chance
        self._last: dict[int, Json] = {}
        self._number = 0

    def save(self, opportunity: int, at: datetime, **changes: object) -> Json:
        """One save; without changes one is thrown."""
        self._number += 1
        last = self._last.get(opportunity)
        if last is None:
            last = {
                "StageName": STAGES[0],
                "Amount": 1_000,
                "CloseDate": "2026-06-30",
                "Probability": 10,
                "ForecastCategory": "Pipeline",
            }
            previous: Json = {"PrevAmount": None, "PrevCloseDate": None}
        else:
            previous = {"PrevAmount": last["Amount"], "PrevCloseDate": last["CloseDate"]}
            if not changes:
                changes = self._chance.choice(
                    [
                        {"StageName": self._chance.choice(STAGES)},
                        {"Amount": self._chance.randrange(1_000, 9_999)},
                        {"CloseDate": f"2026-07-{self._chance.randrange(1, 29):02}", "StageName": STAGES[2]},
                    ]
                )
        state = {**last, **changes}
        self._last[opportunity] = state
        return {
            "Id": self._org.new_id("OpportunityHistory", self._number),
            "OpportunityId": self._org.new_id("Opportunity", opportunity),
            **state,
            **previous,
            "CreatedById": self._org.new_id("User", 1),
            "CreatedDate": salesforce_text(at),
            "SystemModstamp": salesforce_text(at),
            "IsDeleted": False,
        }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("opportunity_count", [9, 2], ids=["seconds apart", "in the same seconds"])
def test_late_rows_in_any_order_over_many_runs_equal_one_clean_read(
    opportunity_count: int, seed: int, serve: Serve, empty_org: Path
) -> None:
    """Rows become visible up to the overlap late and in any order; runs are cut short by faults of all kinds."""
    chance = random.Random(seed)
    server = serve(empty_org)
    config = config_for(server.url, empty_org, overlap_seconds=600, lag_seconds=30)
    streams = ("case_history", "opportunity_history")
    loader, codes = Loader(), []
    with Org.open(empty_org) as org:
        opportunities = Opportunities(org, chance)
        now, number = NOW, 0
        for _ in range(7):
            rows: dict[str, list[tuple[Json, datetime]]] = {"CaseHistory": [], "OpportunityHistory": []}
            length = chance.choice([30, 200, 900])
            grain = 1 if opportunity_count > 2 else 10
            for at in sorted(
                now + SECOND * (chance.randrange(length) // grain * grain) for _ in range(chance.randrange(5, 60))
            ):
                number += 1
                late = at + SECOND * chance.choice([0, 0, 1, 3, 100, 500])
                rows["CaseHistory"].append((case_change(org, number, at, number, number + 1), late))
                rows["OpportunityHistory"].append((opportunities.save(chance.randrange(opportunity_count), at), late))
            for sobject, timed in rows.items():
                chance.shuffle(timed)
                for row, visible in timed:
                    org.load(sobject, [row], visible_at=visible)
            now += timedelta(seconds=length)
            server.control(clock={"set": f"{now:%FT%TZ}"})
            server.control(reset=True, quota={"max": chance.choice([100_000, 100_000, server_calls(server) + 9])})
            if chance.random() < 0.4:
                server.control(query_timeout=[{"pattern": "History WHERE", "times": chance.randrange(1, 6)}])
            if chance.random() < 0.3:
                server.control(expire_sessions_after=chance.randrange(2, 9))
            codes.append(loader.load(run_here(config, *streams, state=loader.state)).code)
    server.control(reset=True, clock={"advance_seconds": 600})
    assert loader.load(run_here(config, *streams, state=loader.state)).code == 0
    server.control(clock={"advance_seconds": 600})
    assert loader.load(run_here(config, *streams, state=loader.state)).code == 0
    assert set(codes) <= {0, 1, 3}
    assert loader.content() == clean(config, *streams)


def server_calls(server: Running) -> int:
    """API calls that the org has counted."""
    return server.control().quota_used


# Opportunity history: the row before is fetched, whatever has happened to the opportunity.


def test_increments_fetch_the_rows_before_by_more_than_one_list(serve: Serve, empty_org: Path) -> None:
    """Also of re-opened opportunities, of those deleted since, and through several saves in one second."""
    begin = NOW - timedelta(days=30)
    with Org.open(empty_org) as org:
        saves = Opportunities(org, random.Random(1))
        org.load("OpportunityHistory", [saves.save(n, begin + SECOND * n) for n in range(500)])
        closed = [saves.save(n, begin + timedelta(days=1, seconds=n), StageName="Closed Lost") for n in range(500)]
        org.load("OpportunityHistory", closed)
        server = serve(empty_org)
        config = config_for(server.url, empty_org)
        loader = Loader()
        assert loader.load(run_here(config, "opportunity_history")).code == 0

        reopened = [saves.save(n, NOW + SECOND * (n % 60), StageName="Qualification") for n in range(500)]
        again = [
            saves.save(n, NOW + SECOND * (n % 60), Amount=Decimal(2 * n + 1) / 2, CloseDate="2026-08-01")
            for n in range(500)
        ]
        moved = [saves.save(n, NOW + SECOND * (n % 60), StageName="Closed Won", Amount=7) for n in range(500)]
        deleted = [
            row | {"IsDeleted": row["OpportunityId"] == reopened[7]["OpportunityId"]}
            for row in (*reopened, *moved, *again)
        ]
        org.load("OpportunityHistory", deleted)
    server.control(clock={"advance_seconds": 300})
    seen = server.journal().total
    run = loader.load(run_here(config, "opportunity_history", state=loader.state))
    assert run.code == 0, run.log
    lists = statements(server, "OpportunityId IN", seen)
    assert len(lists) > 1
    assert all(len(statement) < 16_000 for statement in lists)
    stages = [record for record in run.records["opportunity_history"] if record["field_name"] == "StageName"]
    assert Counter((record["old_value"], record["new_value"]) for record in stages) == {
        ("Closed Lost", "Qualification"): 500,
        ("Qualification", "Closed Won"): 500,
    }
    assert {record["context"]["stage_duration_days"] for record in stages} >= {0.0}
    assert loader.content() == clean(config, "opportunity_history")


# Where a run begins and ends.


def test_runs_between_dates_together_read_what_one_run_reads(serve: Serve, copy_of_small_org: Path) -> None:
    config = config_for(serve(copy_of_small_org).url, copy_of_small_org)
    streams = ("case_history", "opportunity_history", "process_instance_step")
    loader = Loader()
    for end in ("2024-06-01", "2025-01-15T10:30:00.500Z", "2025-07-01T02:00:00+02:00", "2026-02-01"):
        assert loader.load(run_here(config | {"end_date": end}, *streams, state=loader.state)).code == 0
    assert loader.load(run_here(config, *streams, state=loader.state)).code == 0
    assert loader.content() == clean(config, *streams)

    later = Loader()
    assert later.load(run_here(config | {"start_date": "2025-03-01"}, *streams)).code == 0
    for stream, table in later.content().items():
        whole = loader.content()[stream]
        assert table == {key: row for key, row in whole.items() if row["timestamp_recorded"] >= "2025-03-01"}


def test_a_longer_lag_than_before_moves_no_bookmark_back(serve: Serve, copy_of_small_org: Path) -> None:
    config = config_for(serve(copy_of_small_org).url, copy_of_small_org)
    loader = Loader()
    first = loader.load(run_here(config | {"lag_seconds": 0}))
    for lag in (600, 86_400):
        run = loader.load(run_here(config | {"lag_seconds": lag}, state=loader.state))
        assert run.code == 0, run.log
        for stream, entry in first.state["bookmarks"].items():
            assert run.state["bookmarks"][stream]["replication_key_value"] == entry["replication_key_value"]
    assert loader.arrivals.most_common(1)[0][1] == 1
    assert loader.content() == clean(config)


def test_an_empty_state_reads_everything_again_with_the_same_ids(serve: Serve, copy_of_small_org: Path) -> None:
    config = config_for(serve(copy_of_small_org).url, copy_of_small_org)
    loader = Loader()
    assert loader.load(run_here(config)).code == 0
    before = loader.content()
    states: list[Json] = [{}, {"bookmarks": {}}, {"bookmarks": {"case_history": {}}}]
    for empty in states:
        assert loader.load(run_here(config, state=empty)).code == 0
    assert loader.content() == before
