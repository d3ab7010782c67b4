"""Nothing enters a statement but checked names, quoted text, literals, and lists that fit a URL."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions import soql

LAW = settings(deadline=None, derandomize=True)
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ids = st.text(LETTERS, min_size=15, max_size=15) | st.text(LETTERS, min_size=18, max_size=18)
UNESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", '"': '"', "\\": "\\"}


@LAW
@given(st.text() | st.text("\\'\"\n\r\t\b\fnrtbfx"))
def test_a_quoted_text_reads_back_as_the_text_and_ends_where_it_should(text: str) -> None:
    literal = soql.quote(text)
    inner = re.fullmatch(r"'((?:[^'\\\n\r]|\\[nrtbf'\"\\])*)'", literal)
    assert inner is not None, "an unescaped quote, or an escape that SOQL does not know"
    assert re.sub(r"\\(.)", lambda found: UNESCAPED[found[1]], inner[1]) == text


@LAW
@given(
    st.lists(ids, max_size=300), st.integers(150, 3_000), st.sampled_from(["Id", "OpportunityId", "A" * 80 + ".Name"])
)
def test_lists_hold_every_id_once_and_fit_the_room(record_ids: list[str], room: int, field: str) -> None:
    conditions = list(soql.id_lists(field, record_ids, room=room))
    assert all(condition.startswith(f"{field} IN (") and condition.endswith(")") for condition in conditions)
    assert [found for condition in conditions for found in re.findall(r"'(\w*)'", condition)] == record_ids
    assert all(len(quote_plus(condition)) <= room for condition in conditions)
    assert all(len(quote(condition, safe="")) <= room for condition in conditions)


@pytest.mark.parametrize("field", ["Id", "OpportunityId", "A" * 80 + ".Name"])
def test_full_lists_fit_any_room(field: str) -> None:
    record_ids = [f"0065g00000{number:05}AAA" for number in range(30)]
    for room in range(200, 500):
        assert max(len(quote(condition, safe="")) for condition in soql.id_lists(field, record_ids, room=room)) <= room


def test_lists_are_as_few_as_they_can_be() -> None:
    record_ids = [f"0065g00000{number:05}AAA" for number in range(1_000)]
    assert len(list(soql.id_lists("OpportunityId", record_ids))) == -(-1_000 * 27 // 6_000)
    assert len(list(soql.id_lists("Id", record_ids, room=10))) == 1_000


@pytest.mark.parametrize("record_id", ["", "x", "0065g00000Opp1Q') OR (Id != '"])
def test_lists_refuse_what_is_no_id(record_id: str) -> None:
    with pytest.raises(ValueError, match="15 or 18"):
        list(soql.id_lists("Id", [record_id]))


@pytest.mark.parametrize("name", ["Id", "Invoice__c", "ns__Invoice__History", "x", "a" * 80])
def test_api_names_are_taken(name: str) -> None:
    assert soql.identifier(name) == soql.field_path(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "1a", "_a", "a b", "a-b", "a;b", "a'b", "Id, Name", "Id\n", "COUNT()", "Ünal", "a" * 81, "a/b", "a%20b"],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="API name"):
        soql.identifier(name)
    with pytest.raises(ValueError, match="API name"):
        soql.field_path(f"Owner.{name}")
    with pytest.raises(ValueError, match="API name"):
        soql.select(["Id"], name)


def test_paths_go_over_five_relationships_and_no_more() -> None:
    assert soql.field_path("A.B.C.D.E.Name") == "A.B.C.D.E.Name"
    with pytest.raises(ValueError, match="five"):
        soql.field_path("A.B.C.D.E.F.Name")
    with pytest.raises(ValueError, match="API name"):
        soql.field_path("Owner..Name")


@LAW
@given(st.datetimes(min_value=datetime(1700, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_date_time_literal_is_utc_with_milliseconds(at: datetime) -> None:
    literal = soql.datetime_literal(at)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", literal)
    assert datetime.fromisoformat(literal) == at.replace(microsecond=at.microsecond // 1000 * 1000)


def test_a_date_time_literal_of_another_zone_is_written_in_utc() -> None:
    at = datetime(2024, 1, 15, 12, 30, tzinfo=timezone(timedelta(hours=2)))
    assert soql.datetime_literal(at) == "2024-01-15T10:30:00.000Z"


def test_statements() -> None:
    assert soql.select(["Id", "Owner.Name"], "Account") == "SELECT Id, Owner.Name FROM Account"
    assert (
        soql.select(["Id"], "Account", "Name = 'a'", "Id != null", tail="ORDER BY Id LIMIT 1")
        == "SELECT Id FROM Account WHERE Name = 'a' AND Id != null ORDER BY Id LIMIT 1"
    )
