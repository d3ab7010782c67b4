"""Statements that cannot be run: the documented code and the place."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcloud.salesforce.errors import SoqlError

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[..., dict[str, Any]]

REFUSED = [
    # what is no statement
    ("", "MALFORMED_QUERY"),
    ("   ", "MALFORMED_QUERY"),
    ("SELECT", "MALFORMED_QUERY"),
    ("SELECT FROM Account", "MALFORMED_QUERY"),
    ("SELECT * FROM Account", "MALFORMED_QUERY"),
    ("SELECT Id Account", "MALFORMED_QUERY"),
    ("SELECT Id FROM", "MALFORMED_QUERY"),
    ("SELECT Id, FROM Account", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name = ", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name = 'x", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name = 'x' garbage here", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name = '\\q'", "MALFORMED_QUERY"),
    ('SELECT Id FROM Account WHERE Name = "x"', "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name = :name", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name == 'x'", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name IN ()", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE (Name = 'x'", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name = 'a' OR Name = 'b' AND Name = 'c'", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account; DROP TABLE Account", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account LIMIT -1", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account LIMIT x", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account OFFSET 1 LIMIT 1", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account ORDER Name", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account ORDER BY Name NULLS", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WITH DATA CATEGORY x", "MALFORMED_QUERY"),
    ("UPDATE Account SET Name = 'x'", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE CreatedDate = LAST_N_DAYS", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE CreatedDate = LAST_N_DAYS:999999999", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE CreatedDate > 2024-13-01T00:00:00Z", "MALFORMED_QUERY"),
    ("SELECT Id FROM Opportunity WHERE CloseDate > 2024-02-30", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE CreatedDate > 0001-01-01T00:00:00+14:00", "MALFORMED_QUERY"),
    ("SELECT o.Name FROM Opportunity o, o.o o", "INVALID_FIELD"),
    ("SELECT Id FROM Account WHERE " + "(" * 200 + "Name = 'x'" + ")" * 200, "MALFORMED_QUERY"),
    ("SELECT Id\0 FROM Account", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name = '\ud800'", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name = '" + "x" * 100_001 + "'", "MALFORMED_QUERY"),
    # names
    ("SELECT Id FROM Acount", "INVALID_TYPE"),
    ("SELECT Id FROM Account.Contacts", "INVALID_TYPE"),
    ("SELECT Nam FROM Account", "INVALID_FIELD"),
    ("SELECT Account FROM Opportunity", "INVALID_FIELD"),
    ("SELECT Acount.Name FROM Opportunity", "INVALID_FIELD"),
    ("SELECT Account.Nam FROM Opportunity", "INVALID_FIELD"),
    ("SELECT Id FROM Account WHERE Nam = 'x'", "INVALID_FIELD"),
    ("SELECT Id FROM Account ORDER BY Nam", "INVALID_FIELD"),
    ("SELECT Id, id FROM Account", "INVALID_FIELD"),
    ("SELECT Parent.Parent.Parent.Parent.Parent.Parent.Name FROM Account", "INVALID_FIELD"),
    ("SELECT Id, (SELECT Id FROM Contact) FROM Account", "INVALID_TYPE"),
    ("SELECT _visible_at FROM Account", "MALFORMED_QUERY"),
    ("SELECT rowid FROM Account", "INVALID_FIELD"),
    ("SELECT name FROM sqlite_master", "INVALID_TYPE"),
    ("SELECT value FROM settings", "INVALID_TYPE"),
    ("SELECT IsDeleted FROM User", "INVALID_FIELD"),
    # fields that cannot do it
    ("SELECT Id FROM OpportunityFieldHistory WHERE NewValue = '5'", "INVALID_FIELD"),
    ("SELECT Id FROM OpportunityFieldHistory WHERE OldValue != null", "INVALID_FIELD"),
    ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD"),
    ("SELECT Id FROM Account WHERE Description LIKE '%x%'", "INVALID_FIELD"),
    ("SELECT Id FROM Account ORDER BY Description", "MALFORMED_QUERY"),
    ("SELECT COUNT(Id) FROM Account GROUP BY Description", "MALFORMED_QUERY"),
    ("SELECT COUNT(Id) FROM Account GROUP BY CreatedDate", "MALFORMED_QUERY"),
    ("SELECT NewValue, COUNT(Id) FROM OpportunityFieldHistory GROUP BY NewValue", "MALFORMED_QUERY"),
    ("SELECT MAX(NewValue) FROM OpportunityFieldHistory", "MALFORMED_QUERY"),
    ("SELECT SUM(Name) FROM Account", "MALFORMED_QUERY"),
    ("SELECT SUM(CreatedDate) FROM Account", "MALFORMED_QUERY"),
    ("SELECT MAX(IsDeleted) FROM Account", "MALFORMED_QUERY"),
    # values that do not fit
    ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD"),
    ("SELECT Id FROM Account WHERE Name = true", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE Amount = '5'", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE IsWon = 'true'", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE IsWon = 1", "INVALID_FIELD"),
    ("SELECT Id FROM Account WHERE CreatedDate > '2024-01-01T00:00:00Z'", "INVALID_FIELD"),
    ("SELECT Id FROM Account WHERE CreatedDate > 2024-01-01", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE CloseDate > 2024-01-01T00:00:00Z", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE Amount > TODAY", "INVALID_FIELD"),
    ("SELECT Id FROM Opportunity WHERE Amount IN (5, '6')", "INVALID_FIELD"),
    ("SELECT Id FROM Account WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR"),
    ("SELECT Id FROM Account WHERE Id LIKE '001%'", "INVALID_QUERY_FILTER_OPERATOR"),
    ("SELECT Id FROM Opportunity WHERE Amount LIKE '5'", "INVALID_QUERY_FILTER_OPERATOR"),
    ("SELECT Id FROM Opportunity WHERE IsWon > true", "INVALID_QUERY_FILTER_OPERATOR"),
    ("SELECT Id FROM Account WHERE Industry INCLUDES ('Energy')", "INVALID_QUERY_FILTER_OPERATOR"),
    # shapes
    ("SELECT Id, COUNT(Id) FROM Account", "MALFORMED_QUERY"),
    ("SELECT COUNT(), Id FROM Account", "MALFORMED_QUERY"),
    ("SELECT COUNT() FROM Account GROUP BY Name", "MALFORMED_QUERY"),
    ("SELECT Name, COUNT(Id) FROM Account GROUP BY Industry", "MALFORMED_QUERY"),
    ("SELECT COUNT(Id) FROM Account LIMIT 5", "MALFORMED_QUERY"),
    ("SELECT Industry, COUNT(Id) Industry FROM Account GROUP BY Industry", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account HAVING COUNT(Id) > 1", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE COUNT(Id) > 1", "MALFORMED_QUERY"),
    ("SELECT Industry FROM Account GROUP BY Industry ORDER BY Name", "MALFORMED_QUERY"),
    ("SELECT Name n FROM Account", "MALFORMED_QUERY"),
    ("SELECT CALENDAR_YEAR(CreatedDate) FROM Account", "MALFORMED_QUERY"),
    ("SELECT CALENDAR_YEAR(Name), COUNT(Id) FROM Account GROUP BY CALENDAR_YEAR(Name)", "MALFORMED_QUERY"),
    ("SELECT NOSUCH(Name) FROM Account", "MALFORMED_QUERY"),
    ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY"),
    ("SELECT FIELDS(ALL) FROM Account LIMIT 201", "MALFORMED_QUERY"),
    ("SELECT FIELDS(SOME) FROM Account LIMIT 1", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Name IN (SELECT Id FROM Account)", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Id IN (SELECT Name FROM Account)", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Id IN (SELECT Id, ParentId FROM Account)", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE Id IN (SELECT Id FROM Account LIMIT 1)", "MALFORMED_QUERY"),
    ("SELECT TYPEOF Account WHEN Account THEN Name END FROM Opportunity", "INVALID_FIELD"),
    ("SELECT TYPEOF Owner WHEN Account THEN Name END FROM Case", "INVALID_TYPE"),
    ("SELECT Id FROM Account LIMIT 1 OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
    ("SELECT Id FROM Account ORDER BY " + ",".join(["Name"] * 5_000), "QUERY_TOO_COMPLICATED"),
]


@pytest.mark.parametrize(("statement", "code"), REFUSED, ids=[statement[:80] for statement, _ in REFUSED])
def test_a_statement_is_refused_with_its_code(ask: Ask, statement: str, code: str) -> None:
    with pytest.raises(SoqlError) as caught:
        ask(statement)
    assert (caught.value.code, caught.value.status) == (code, 400)


def test_a_message_points_at_the_place(ask: Ask) -> None:
    with pytest.raises(SoqlError) as caught:
        ask("SELECT Id\nFROM Account WHERE Nam = 'x'")
    assert "\nERROR at Row:2:Column:20\nNo such column 'Nam' on entity 'Account'." in caught.value.message


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT Id, FIELDS(ALL) FROM User LIMIT 200", "duplicate field selected: Id"),
        (
            "SELECT FIELDS(CUSTOM) FROM User LIMIT 200",
            "'FIELDS(...)' expansion function must result in at least one field being selected.",
        ),
        ("SELECT FIELDS(ALL) FROM User", "The SOQL FIELDS function must have a LIMIT of at most 200"),
        ("SELECT Id FROM User OFFSET 2001", "Maximum SOQL offset allowed is 2000"),
    ],
)
def test_some_messages_point_nowhere(ask: Ask, statement: str, message: str) -> None:
    with pytest.raises(SoqlError) as caught:
        ask(statement)
    assert caught.value.message == message


VALID = [
    (
        "SELECT Id, Name, Account.Parent.Name, Owner.Profile.Name FROM Opportunity o WHERE o.CreatedDate >= "
        "2024-01-01T00:00:00Z AND (Name LIKE '%a_\\'%' OR Amount IN (1, null)) ORDER BY Amount DESC NULLS LAST LIMIT 9"
    ),
    (
        "SELECT DAY_ONLY(CreatedDate) d, COUNT(Id) n, MAX(Amount) FROM Opportunity WHERE IsWon = false "
        "GROUP BY DAY_ONLY(CreatedDate) HAVING COUNT(Id) > 1 ORDER BY COUNT(Id) LIMIT 10"
    ),
    (
        "SELECT Id, (SELECT Field, OldValue FROM Histories WHERE CreatedDate = LAST_N_DAYS:30) FROM Opportunity "
        "WHERE AccountId IN (SELECT Id FROM Account WHERE Industry != 'Energy') AND CloseDate < TODAY"
    ),
    "SELECT TYPEOF Owner WHEN User THEN Title WHEN Group THEN Name ELSE Name END FROM Case WHERE NOT Owner.Type = 'x'",
    "SELECT FIELDS(ALL) FROM Account LIMIT 200 OFFSET 3",
]
WORDS = sorted({word for statement in VALID for word in statement.replace("(", " ( ").replace(")", " ) ").split()})
PIECES = [
    *WORDS,
    "'",
    "\\",
    "%",
    "\0",
    "\ud800",
    "%s",
    '"',
    "--",
    "/*",
    "?",
    ":x",
    "9" * 40,
    "1e999",
    "'\\uZZZZ'",
    "0x1",
]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_statement_answers_or_is_refused_but_never_breaks(ask: Ask, data: st.DataObject) -> None:
    statement = data.draw(st.sampled_from(VALID))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(statement)))
        end = min(len(statement), start + data.draw(st.integers(0, 12)))
        statement = statement[:start] + data.draw(st.sampled_from(["", *PIECES])) + statement[end:]
    with contextlib.suppress(SoqlError):
        assert "records" in ask(statement)
