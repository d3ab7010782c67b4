"""Field-history rows become events: the golden files of the event table, and what holds for every row."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from golden_run import ACTORS, EXTRACTION, USER
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions import values
from microdecisions.event import SCHEMA_VERSION
from tap_salesforce_temporal.normalise.field_change import (
    OPPORTUNITY_HISTORY_FIELDS,
    FieldHistoryRow,
    field_changes,
    row_type,
)
from tap_salesforce_temporal.reading.rest import QueryPage
from tap_salesforce_temporal.sources import Source

LAW = settings(deadline=None, derandomize=True)
GOLDEN = Path(__file__).parent / "golden"


class Golden(msgspec.Struct, forbid_unknown_fields=True):
    what: str
    sobject: str
    parent: str
    parent_field: str
    row: msgspec.Raw
    event: dict[str, Any]


GOLDENS = {
    path.stem: msgspec.json.decode(path.read_bytes(), type=Golden)
    for path in sorted(GOLDEN.glob("field_history_*.json"))
}


def _source(sobject: str, parent: str, parent_field: str) -> Source:
    return Source(
        stream="x",
        sobject=sobject,
        kind="field_history",
        cursor="CreatedDate",
        fields=("Id",),
        parent=parent,
        parent_field=parent_field,
    )


def _answer(rows: list[bytes], parent_field: str) -> list[FieldHistoryRow]:
    """Rows as they come out of an answer to a query."""
    body = b'{"totalSize":%d,"done":true,"records":[%s]}' % (len(rows), b",".join(rows))
    page_type: Any = QueryPage[row_type(parent_field)]  # type: ignore[misc]
    rows_read: list[FieldHistoryRow] = values.page_decoder(page_type).decode(body).rows
    return rows_read


def test_golden_files_are_of_this_schema_version() -> None:
    assert int((GOLDEN / "SCHEMA_VERSION").read_text()) == SCHEMA_VERSION


def test_every_kind_of_row_has_its_golden_file() -> None:
    kinds = {"standard", "custom", "opportunity", "lookup_name", "lookup_id", "values_not_recorded", "pseudo_field"}
    assert {f"field_history_{kind}" for kind in kinds} <= GOLDENS.keys()


@pytest.mark.parametrize("golden", GOLDENS.values(), ids=GOLDENS.keys())
def test_golden_row_becomes_its_golden_event(golden: Golden) -> None:
    source = _source(golden.sobject, golden.parent, golden.parent_field)
    second_witness = OPPORTUNITY_HISTORY_FIELDS if golden.sobject == "OpportunityFieldHistory" else frozenset()
    rows = _answer([bytes(golden.row)], golden.parent_field)
    (event,) = field_changes(rows, source, ACTORS, EXTRACTION, second_witness=second_witness)
    assert event.to_json() == msgspec.json.encode(golden.event)


any_value = (
    st.none()
    | st.booleans()
    | st.text(max_size=255)
    | st.integers(-(10**18), 10**18)
    | st.sampled_from(["007", "NaN", "1e5", "true", "NA", ""])
)
rows_as_json = st.fixed_dictionaries(
    {
        "Field": st.sampled_from(["Name", "Status__c", "created", "locked", "ns__Field__c", "status__c", "Owner"]),
        "OldValue": any_value,
        "NewValue": any_value,
        "CreatedById": st.sampled_from([USER, None]),
        "CreatedDate": st.just("2026-01-03T10:00:01.000+0000"),
        "AccountId": st.sampled_from(["0015g00000XyZaB", "0015g00000XyZaBAAV", None]),
    },
    optional={"DataType": st.sampled_from(["Text", "EntityId", "DynamicEnum", None])},
)


@LAW
@given(st.lists(rows_as_json, max_size=20))
def test_each_row_is_one_event_and_text_is_verbatim(given_rows: list[dict[str, Any]]) -> None:
    numbered = [{"Id": f"0175g00000{number:05}", **row} for number, row in enumerate(given_rows)]
    rows = _answer([msgspec.json.encode(row) for row in numbered], "AccountId")
    events = field_changes(rows, _source("AccountHistory", "Account", "AccountId"), ACTORS, EXTRACTION)
    assert len(events) == len({event.event_id for event in events}) == len(numbered)
    for row, event in zip(numbered, events, strict=True):
        assert event.event_id.startswith(f"00D5g000004AbcDEAS:AccountHistory:{row['Id']}")
        assert event.event_id.endswith(event.context.source_record_id)
        assert (event.record_id is None) == (row["AccountId"] is None)
        assert event.record_id in {None, "0015g00000XyZaBAAV"}
        assert event.is_primary == (row.get("DataType") != "EntityId")
        assert event.actor_type == ("user" if row["CreatedById"] else "system")
        for value, text in ((row["OldValue"], event.old_value), (row["NewValue"], event.new_value)):
            if isinstance(value, str):
                assert text == (value or None)
            elif value is None:
                assert text is None
        nothing = event.old_value is None and event.new_value is None
        pseudo = row["Field"] in {"created", "locked"}
        assert ("values_not_recorded" in event.context.metadata) == (nothing and not pseudo)


def test_an_old_and_a_new_value_may_each_be_empty_without_a_flag() -> None:
    base = {
        "Id": "0175g00000Hist1",
        "Field": "Name",
        "CreatedById": None,
        "CreatedDate": "2026-01-03T10:00:01.000+0000",
    }
    rows = [msgspec.json.encode({**base, "OldValue": old, "NewValue": new}) for old, new in ((None, "a"), ("a", ""))]
    events = field_changes(_answer(rows, "AccountId"), _source("A", "B", "AccountId"), ACTORS, EXTRACTION)
    assert [(event.old_value, event.new_value, event.context.metadata) for event in events] == [
        (None, "a", {}),
        ("a", None, {}),
    ]


def test_opportunity_fields_are_second_witnesses_only_where_told() -> None:
    counted = defaultdict(set)
    for field in sorted(OPPORTUNITY_HISTORY_FIELDS | {"NextStep", "created"}):
        row = msgspec.json.encode(
            {"Id": "0175g00000Hist1", "Field": field, "CreatedDate": "2026-01-03T10:00:01.000+0000", "NewValue": "x"}
        )
        rows = _answer([row], "OpportunityId")
        source = _source("OpportunityFieldHistory", "Opportunity", "OpportunityId")
        for told in (frozenset(), OPPORTUNITY_HISTORY_FIELDS):
            (event,) = field_changes(rows, source, ACTORS, EXTRACTION, second_witness=told)
            counted[bool(told), event.is_primary].add(field)
    assert counted[False, False] == set()
    assert counted[True, True] == {"NextStep", "created"}


def test_the_row_type_reads_its_own_parent_field_alone() -> None:
    row = b'{"Id":"0175g00000Hist1","Field":"Name","CreatedDate":"x","ParentId":"a","AccountId":"b","parent_id":"c"}'
    assert _answer([row], "ParentId")[0].parent_id == "a"
    assert _answer([row], "AccountId")[0].parent_id == "b"
