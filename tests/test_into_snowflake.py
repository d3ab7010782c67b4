"""Through the real target-snowflake into the embedded Snowflake: nothing missing, nothing twice, no value damaged."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from localcloud.seed import seed_org
from localcloud.seed.awkward import TEXTS
from localcloud.snowflake.address import TARGET_ENVIRONMENT
from tests.conftest import NOW
from tests.environments import EmbeddedSnowflake, run_target, target_snowflake
from tests.harness import Json, TapRun, config_for, discover, run_tap, select, tap_command

Serve = Callable[..., Running]


@pytest.fixture(scope="module")
def snowflake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSnowflake]:
    """One server for all; each test loads into a schema of its own."""
    with EmbeddedSnowflake(tmp_path_factory.mktemp("snowflake")) as server:
        yield server


def load(snowflake: EmbeddedSnowflake, schema: str, work: Path, *runs: TapRun) -> None:
    """Load what some runs of the tap wrote."""
    messages = work / "messages.jsonl"
    with messages.open("w", encoding="utf-8") as out:
        for run in runs:
            assert run.code == 0, run.log
            out.writelines(json.dumps(message, ensure_ascii=False) + "\n" for message in run.messages)
    done = run_target(work, snowflake.target_config(schema), messages)
    assert done.code == 0, done.log


def interrupted_run(
    config: Json, state: Json | None, snowflake: EmbeddedSnowflake, work: Path, *, after: int, torn: bool = False
) -> list[Json]:
    """Pipe tap into target, kill the tap after so many bytes; return what the target acknowledged.

    A torn line ends the target with an error and without a word; whole lines let it load and acknowledge what it has.
    """
    (work / "target.json").write_text(json.dumps(snowflake.target_config("KILLED", batch_size_rows=2_000)))
    with (work / "log").open("wb") as log:
        target = subprocess.Popen(
            [str(target_snowflake()), "--config", str(work / "target.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **TARGET_ENVIRONMENT},
        )
        tap = subprocess.Popen(tap_command(work, config, state=state), stdout=subprocess.PIPE, stderr=log)
        assert tap.stdout is not None
        assert target.stdin is not None
        passed, rest = 0, b""
        while chunk := os.read(tap.stdout.fileno(), 1 << 16):
            passed += len(chunk)
            lines, newline, rest = (rest + chunk).rpartition(b"\n")
            try:
                target.stdin.write(lines + newline)
                target.stdin.flush()
            except BrokenPipeError:
                break
            if passed >= after:
                tap.kill()
        if torn:
            with contextlib.suppress(BrokenPipeError):
                target.stdin.write(rest)
        tap.stdout.close()
        tap.wait(30)
        out, _ = target.communicate(timeout=120)
    assert passed < after or tap.returncode == -9 or passed < after + (2 << 16)  # the rest was in the pipe by then
    return [json.loads(line) for line in out.decode().splitlines()]


def test_after_twenty_kills_no_event_is_missing_and_none_is_there_twice(
    serve: Serve, snowflake: EmbeddedSnowflake, tmp_path: Path
) -> None:
    org = tmp_path / "org"
    report = seed_org(org, events=20_000, seed=20)
    config = config_for(serve(org).url, org)
    chance = random.Random(20)
    state: Json | None = None
    moved = 0
    for kill in range(20):
        # Some twenty thousand events are about 15 MB; most kills fall early so that twenty of them fit in.
        after = int(chance.expovariate(1 / 1_500_000))
        acknowledged = interrupted_run(config, state, snowflake, tmp_path, after=after, torn=kill % 4 == 3)
        moved += bool(acknowledged) and acknowledged[-1] != state
        state = acknowledged[-1] if acknowledged else state
    assert moved >= 4, "the kills fell where no state could move: they prove nothing"
    final = interrupted_run(config, state, snowflake, tmp_path, after=1 << 40)
    assert final, (tmp_path / "log").read_text()[-2_000:]
    with snowflake.client() as client:
        for stream, expected in report.streams.items():
            ((rows, distinct),) = client.rows(f"SELECT COUNT(*), COUNT(DISTINCT EVENT_ID) FROM KILLED.{stream.upper()}")
            assert (stream, rows, distinct) == (stream, expected, expected)


def test_values_arrive_in_snowflake_in_canonical_form(
    serve: Serve, snowflake: EmbeddedSnowflake, empty_org: Path, tmp_path: Path
) -> None:
    changes: list[tuple[str, object, str | None]] = [("Text", text, text) for text in (*TEXTS, "💶 Grüße 漢字")]
    changes += [
        ("Currency", Decimal("1234567890.12"), "1234567890.12"),
        ("Currency", Decimal("5.0"), "5"),
        ("Double", Decimal("1.0E7"), "10000000"),
        ("Double", Decimal("-0.50"), "-0.5"),
        ("Percent", 0, "0"),
        ("Boolean", True, "true"),
        ("Boolean", False, "false"),
        ("DateOnly", "2026-01-31", "2026-01-31"),
        ("DateTime", "2026-01-31T10:20:30.000+0000", "2026-01-31T10:20:30.000000Z"),
        ("Text", "", None),
    ]
    expected = {}
    with Org.open(empty_org) as org:
        rows = []
        for number, (data_type, value, canonical) in enumerate(changes, start=1):
            row_id = org.new_id("CaseHistory", number)
            expected[row_id] = canonical
            rows.append(
                {
                    "Id": row_id,
                    "CaseId": org.new_id("Case", 1),
                    "Field": "Custom__c",
                    "DataType": data_type,
                    "OldValue": "before",
                    "NewValue": value,
                    "CreatedById": org.new_id("User", 1),
                    "CreatedDate": (NOW - timedelta(days=1, seconds=-number)).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
                    "IsDeleted": False,
                }
            )
        org.load("CaseHistory", rows)
    load(snowflake, "AWKWARD", tmp_path, run_tap(tmp_path, config_for(serve(empty_org).url, empty_org)))
    with snowflake.client() as client:
        found = client.rows("SELECT CONTEXT:source_record_id::VARCHAR, NEW_VALUE, OLD_VALUE FROM AWKWARD.CASE_HISTORY")
    assert {row_id: new for row_id, new, _ in found} == expected
    assert {old for _, _, old in found} == {"before"}


def stage_changes_by_the_truth(org: Path) -> list[tuple[str, str, str | None, str | None, float | None]]:
    """Record, second, stage before, stage after, days in the stage before: from the log of decisions alone."""
    stages: dict[str, tuple[str | None, datetime]] = {}
    expected = []
    for line in (org / "truth.jsonl").read_text().split("\n")[:-1]:
        decision: dict[str, Any] = json.loads(line)
        if decision["object"] != "Opportunity" or decision["action"] not in {"create", "update"}:
            continue
        for change in decision["changes"]:
            if change["field"] != "StageName":
                continue
            at = datetime.fromisoformat(decision["at"])
            before, since = stages.get(decision["record"], (None, at))
            days = None if decision["action"] == "create" else round((at - since) / timedelta(days=1), 6)
            expected.append((decision["record"], decision["at"][:19], before, change["new"], days))
            stages[decision["record"]] = (change["new"], at)
    return expected


def test_previous_stage_and_duration_equal_the_truth(
    serve: Serve, snowflake: EmbeddedSnowflake, small_org: Path, tmp_path: Path
) -> None:
    load(snowflake, "STAGES", tmp_path, run_tap(tmp_path, config_for(serve(small_org).url, small_org)))
    with snowflake.client() as client:
        rows = client.rows(
            "SELECT RECORD_ID, TO_VARCHAR(TIMESTAMP_OCCURRED, 'YYYY-MM-DD\"T\"HH24:MI:SS'), OLD_VALUE, NEW_VALUE, "
            "CONTEXT:previous_stage::VARCHAR, CONTEXT:stage_duration_days::DOUBLE, "
            "CONTEXT:metadata:order_within_second::VARCHAR "
            "FROM STAGES.OPPORTUNITY_HISTORY WHERE EVENT_TYPE = 'stage_change'"
        )
    assert all(row[2] == row[4] for row in rows)
    found = [(row[0], row[1].replace(" ", "T"), *row[2:4], None if row[5] is None else float(row[5])) for row in rows]
    assert sorted(found, key=str) == sorted(stage_changes_by_the_truth(small_org), key=str)


def test_a_late_row_corrects_its_successor_in_snowflake(
    serve: Serve, snowflake: EmbeddedSnowflake, empty_org: Path, tmp_path: Path
) -> None:
    def snapshot(org: Org, number: int, minutes: int, stage: str, amount: int) -> Json:
        at = (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        return {
            "Id": org.new_id("OpportunityHistory", number),
            "OpportunityId": org.new_id("Opportunity", 1),
            "StageName": stage,
            "Amount": amount,
            "CreatedById": org.new_id("User", 1),
            "CreatedDate": at,
            "SystemModstamp": at,
            "IsDeleted": False,
        }

    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    catalog = select(discover(tmp_path, config), "opportunity_history")
    with Org.open(empty_org) as org:
        org.load("OpportunityHistory", [snapshot(org, 1, 600, "Open", 5), snapshot(org, 3, 2, "Won", 9)])
    first = run_tap(tmp_path, config, catalog=catalog)
    with Org.open(empty_org) as org:
        org.load("OpportunityHistory", [snapshot(org, 2, 5, "Talks", 9)])
    second = run_tap(tmp_path, config, catalog=catalog, state=first.state)
    load(snowflake, "LATE", tmp_path, first, second)
    before, after = first.by_id("opportunity_history"), second.by_id("opportunity_history")
    won = next(key for key, record in before.items() if record["new_value"] == "Won")
    assert before[won]["old_value"] == "Open"
    assert after[won]["old_value"] == "Talks"
    amount = next(key for key in before if key.endswith(":Amount"))
    assert (after[amount]["old_value"], after[amount]["is_primary"]) == ("9", False)
    assert after[amount]["context"]["metadata"] == {"superseded": "true"}
    with snowflake.client() as client:
        found = client.rows("SELECT EVENT_ID, NEW_VALUE, OLD_VALUE, IS_PRIMARY FROM LATE.OPPORTUNITY_HISTORY")
    records = {**before, **after}.values()
    expected = [[record[name] for name in ("event_id", "new_value", "old_value", "is_primary")] for record in records]
    assert sorted(found) == sorted(expected), "each event stands there once, as it was told last"
