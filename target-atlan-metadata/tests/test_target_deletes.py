"""Deletions through the target: each once, whatever is forgotten, flattened, spelled otherwise or read again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from event_making import ORG, record, record_line, schema_line, text
from running_target import Runs, carried

from localcloud.atlan.running import Running
from microdecisions import event
from target_atlan_metadata.errors import InputError

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def sighting(source: str, at: datetime, **changes: Any) -> dict[str, Any]:
    """What one witness says of the delete of one record."""
    given = {
        "event_id": f"{ORG}:Case:500000000000001AAA:{source}:record_delete:{text(at)}",
        "event_type": "record_delete",
        "field_name": None,
        "old_value": None,
        "new_value": None,
        "context": {"source": source},
    }
    return record(0, at=at, **{**given, **changes})


def lines(*records: dict[str, Any]) -> list[str]:
    rows = [json.dumps({"type": "RECORD", "stream": "case_history", "record": one}) for one in records]
    return [schema_line(), *rows]


def flat(records: list[dict[str, Any]], *, as_text: bool) -> list[str]:
    """Events of a warehouse that took the context apart when it loaded them, in capitals."""
    rows = []
    for one in records:
        row = dict(one)
        context = row.pop("context")
        row["context__source"] = context["source"]
        row["context__metadata"] = json.dumps(context.get("metadata")) if as_text else context.get("metadata")
        rows.append({name.upper(): value for name, value in row.items()})
    names = [name for name in event.json_schema()["properties"] if name != "context"]
    properties: dict[str, Any] = {name.upper(): {} for name in [*names, "context__source", "context__metadata"]}
    schema = {"type": "SCHEMA", "stream": "events", "schema": {"properties": properties}, "key_properties": []}
    return [json.dumps(schema), *(json.dumps({"type": "RECORD", "stream": "events", "record": row}) for row in rows)]


def test_a_late_witness_of_a_forgotten_delete_is_not_another_deletion(runs: Runs, atlan: Running) -> None:
    for seen in (sighting("change_event", NOW - 5 * DAY), sighting("query_all", NOW - 2 * DAY)):
        runs(lines(seen), keep_event_ids_days=3)
        assert carried(atlan, "Case")["Deletes"] == 1


def test_a_platform_events_own_date_decides_nothing_about_what_is_forgotten(runs: Runs, atlan: Running) -> None:
    ahead = sighting("platform_event", NOW - 5 * DAY, timestamp_occurred=text(NOW + 9 * DAY))
    for _ in range(2):
        runs(lines(ahead), keep_event_ids_days=3)
        assert carried(atlan, "Case")["Deletes"] == 1
    other = {"record_id": "500000000000002AAA", "event_id": f"{ORG}:Case:2"}
    behind = sighting("platform_event", NOW - HOUR, timestamp_occurred=text(NOW - 30 * DAY), **other)
    assert runs(lines(behind), keep_event_ids_days=3).too_old == 0
    assert carried(atlan, "Case")["Deletes"] == 2


def test_deletes_that_an_earlier_release_forgot_are_not_counted_again(runs: Runs, atlan: Running) -> None:
    old = sighting("change_event", NOW - 5 * DAY)
    runs(lines(old), keep_event_ids_days=3)
    with closing(sqlite3.connect(runs.folder / "ledger.db")) as ledger, ledger:  # as that release left it
        ledger.execute("DELETE FROM atlan_ledger_sighting")
        ledger.execute("DELETE FROM atlan_ledger_meta WHERE name = 'deletes_from'")
    for _ in range(2):
        assert runs(lines(old), keep_event_ids_days=2).too_old == 1
        assert carried(atlan, "Case")["Deletes"] == 1


def test_a_delete_that_is_read_again_later_is_not_reported_as_new(runs: Runs) -> None:
    first = sighting("query_all", NOW - DAY)
    assert runs(lines(first), dry_run=False).counted == 1
    again = {**first, "extracted_at": text(NOW + 2 * HOUR)}
    assert runs(lines(again)).counted == 0


@pytest.mark.parametrize("as_text", [True, False], ids=["metadata as text", "metadata as object"])
def test_a_flattened_context_tells_the_witness_as_a_whole_one_does(
    runs: Runs, atlan: Running, *, as_text: bool
) -> None:
    seen = [sighting("get_deleted", NOW - 9 * HOUR), sighting("get_deleted", NOW - 3 * HOUR)]
    runs(flat(seen, as_text=as_text))
    assert carried(atlan, "Case")["Deletes"] == 2


def test_a_delete_without_its_witness_is_refused(runs: Runs) -> None:
    with pytest.raises(InputError, match=r"`context\.source`") as refused:
        runs(lines(sighting("get_deleted", NOW, context=None)), dry_run=True)
    assert "500000000000001AAA" not in str(refused.value)


def test_spellings_of_one_object_or_field_are_one(runs: Runs, atlan: Running) -> None:
    change: dict[str, Any] = {"at": NOW - HOUR}
    changes = [record_line(1, **change), record_line(2, field_name="status", record_type="CASE", **change)]
    runs([schema_line(), *changes, record_line(3, field_name="STATUS", **change)])
    assert carried(atlan, "Case")["Changes"] == carried(atlan, "Case", "Status")["Changes"] == 3
    runs(lines(sighting("query_all", NOW - HOUR, record_type="case")))
    assert carried(atlan, "Case")["Deletes"] == 1
    assert runs([schema_line(), *changes]).writes == 0


def test_spellings_that_an_earlier_release_kept_apart_are_summed(runs: Runs, atlan: Running) -> None:
    change: dict[str, Any] = {"at": NOW - HOUR}
    runs([schema_line(), record_line(1, **change), record_line(2, field_name="Other__c", record_type="Lead", **change)])
    with closing(sqlite3.connect(runs.folder / "ledger.db")) as ledger, ledger:  # as that release left it
        ledger.execute("UPDATE atlan_ledger_cell SET object = 'case', field = 'status' WHERE field = 'Other__c'")
    runs([schema_line(), record_line(3, field_name="status", **change)])
    assert carried(atlan, "Case")["Changes"] == carried(atlan, "Case", "Status")["Changes"] == 3
    assert runs([]).writes == 0
