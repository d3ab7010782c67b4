"""Event log files that Salesforce drops before they are read: after a day in most orgs, later where it was bought."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from tests.conftest import DAY, HOUR, NOW
from tests.harness import config_for
from tests.in_process import run_here
from tests.test_log_files import log_file
from tests.test_never_lose import salesforce_text

Serve = Callable[..., Running]
STREAM = "event_log_file"


def holds(path: Path, *ages: timedelta) -> None:
    """Let the org hold files of so long after `NOW`, and no others."""
    with Org.open(path) as org:
        with org.lock, org.db:
            org.db.execute("DELETE FROM EventLogFile")
        files = [log_file(org, n, 1) for n in range(len(ages))]
        org.load(
            "EventLogFile",
            [
                row
                | {"Id": org.new_id("EventLogFile", int(age / HOUR) + 9_000), "CreatedDate": salesforce_text(NOW + age)}
                for row, age in zip(files, ages, strict=True)
            ],
        )


@pytest.mark.parametrize(
    ("days", "ages", "gap"),
    [
        (10, [10 * DAY - 3 * HOUR], True),
        (10, [-5 * HOUR, 5 * DAY, 10 * DAY - 3 * HOUR], False),
        (1, [DAY - 3 * HOUR], False),
        (1, [], False),
        (40, [n * DAY for n in range(11, 40)], True),
        (29, [n * DAY for n in range(29)], False),
    ],
    ids=["a day is kept", "all is kept", "a daily run", "no files", "a month is kept", "no more was needed"],
)
def test_files_that_may_have_been_dropped_are_a_gap_and_no_others(
    days: int, ages: list[timedelta], gap: bool, serve: Serve, empty_org: Path
) -> None:
    holds(empty_org, -3 * HOUR)
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    first = run_here(config, STREAM)
    assert len(first.records[STREAM]) == 1
    holds(empty_org, *ages)
    server.control(clock={"advance_seconds": days * 86_400})
    later = run_here(config, STREAM, state=first.state)
    assert later.code == (4 if gap else 0), later.log
    kinds = [record["event_type"] for record in later.records[STREAM]]
    assert kinds == ["gap"] * gap + ["activity"] * sum(age >= timedelta() for age in ages)
    assert run_here(config, STREAM, state=later.state).code == 0


def test_a_file_that_cannot_be_read_says_how_to_go_on_without_it(serve: Serve, empty_org: Path) -> None:
    with Org.open(empty_org) as org:
        rows = [log_file(org, n, 1) | {"CreatedDate": salesforce_text(NOW - n * HOUR)} for n in (5, 4, 3)]
        rows[1]["LogFile"] = '"EVENT_TYPE","URI"\n"URI","/x","one too many"\n'
        org.load("EventLogFile", rows)
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    run = run_here(config, STREAM)
    assert run.code == 1
    before, behind = re.findall(r"`(?:end|start)_date` (\S+Z)", run.log)
    first = run_here(config | {"end_date": before}, STREAM)
    second = run_here(config | {"start_date": behind}, STREAM, state=first.state)
    files = [record["context"]["source_record_id"] for one in (first, second) for record in one.records[STREAM]]
    assert (first.code, second.code, files) == (0, 0, [rows[0]["Id"], rows[2]["Id"]])
    server.control(clock={"advance_seconds": 7_200})
    assert run_here(config, STREAM, state=second.state).code == 0
