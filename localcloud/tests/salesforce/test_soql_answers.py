"""SOQL statements and what they answer on the known org."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.salesforce.ids import make_id

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[..., dict[str, Any]]

OPP = [make_id("006", n) for n in range(4)]
ACC = [make_id("001", n) for n in range(3)]
USER = [make_id("005", n) for n in range(3)]
ONE, TWO, THREE = "One", 'Two\'s "q"', "Three"
ACME, BETA = "Acme", "beta 100% _x\\y"


def values(answer: dict[str, Any]) -> list[Any]:
    """Each record's values without the attributes; single ones bare, parents as lists of theirs."""
    return [_values(record) for record in answer["records"]]


def _values(record: dict[str, Any]) -> Any:
    found = [_value(value) for name, value in record.items() if name != "attributes"]
    return found[0] if len(found) == 1 else found


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return values(value) if "records" in value else _values(value)
    return value


OPPORTUNITIES: list[tuple[str, list[Any]]] = [
    # operators on text: without regard to case, and with nulls on the side of "not"
    ("StageName = 'Prospecting'", [ONE]),
    ("StageName = 'PROSPECTING'", [ONE]),
    ("StageName != 'Prospecting'", [TWO, THREE]),
    ("StageName <> 'Prospecting'", [TWO, THREE]),
    ("StageName > 'Prospecting'", [THREE]),
    ("StageName >= 'prospecting'", [ONE, THREE]),
    ("StageName < 'Prospecting'", [TWO]),
    ("StageName <= 'Prospecting'", [ONE, TWO]),
    ("StageName IN ('Prospecting', 'closed won')", [ONE, TWO]),
    ("StageName NOT IN ('Prospecting')", [TWO, THREE]),
    ("NextStep NOT IN ('x')", [ONE, TWO, THREE]),
    ("NextStep != 'x'", [ONE, TWO, THREE]),
    ("NextStep = ''", [ONE, TWO, THREE]),
    ("NextStep IN ('x', null)", [ONE, TWO, THREE]),
    ("Name = 'Two\\'s \"q\"'", [TWO]),
    ("Name = 'Two\\'s \\\"q\\\"'", [TWO]),
    ("Name LIKE 'T%'", [TWO, THREE]),
    ("Name LIKE 't_ree'", [THREE]),
    ("NOT Name LIKE 'T%'", [ONE]),
    ("(NOT Name LIKE 'T%')", [ONE]),
    ("Name LIKE '%\\'%'", [TWO]),
    ("Name LIKE ''", []),
    # numbers, by value
    ("Amount = 5", [ONE]),
    ("Amount = 5.00", [ONE]),
    ("Amount = 1234567890.12", [TWO]),
    ("Amount > 5", [TWO]),
    ("Amount >= 5", [ONE, TWO]),
    ("Amount < 1000.0", [ONE]),
    ("Amount > -1", [ONE, TWO]),
    ("Amount != 5", [TWO, THREE]),
    ("Amount = null", [THREE]),
    ("Amount != NULL", [ONE, TWO]),
    ("Amount IN (5, null)", [ONE, THREE]),
    ("Amount NOT IN (5)", [TWO, THREE]),
    ("NOT Amount > 5", [ONE, THREE]),
    ("Amount > USD5", [TWO]),
    ("Amount > EUR5.5", [TWO]),
    # truth
    ("IsWon = true", [TWO]),
    ("IsWon = FALSE", [ONE, THREE]),
    ("IsWon != true", [ONE, THREE]),
    # ids, of 15 and 18 characters
    (f"Id = '{OPP[0]}'", [ONE]),
    (f"Id = '{OPP[0][:15]}'", [ONE]),
    (f"Id IN ('{OPP[0]}', '{OPP[2][:15]}')", [ONE, THREE]),
    (f"Id != '{OPP[0]}'", [TWO, THREE]),
    (f"Id > '{OPP[0]}'", [TWO, THREE]),
    (f"AccountId = '{ACC[1]}'", [THREE]),
    # dates and times
    ("CloseDate = 2024-03-15", [ONE]),
    ("CloseDate < 2024-03-01", [THREE]),
    ("CloseDate <= 2024-03-01", [TWO, THREE]),
    ("CloseDate IN (2024-03-01, 2024-03-15)", [ONE, TWO]),
    ("CreatedDate = 2024-03-15T08:00:00Z", [ONE]),
    ("CreatedDate = 2024-03-15T08:00:00.000Z", [ONE]),
    ("CreatedDate = 2024-03-15T09:30:00+01:30", [ONE]),
    ("CreatedDate = 2024-03-15T03:00:00.000-0500", [ONE]),
    ("CreatedDate >= 2024-03-01T00:00:00Z AND CreatedDate < 2024-03-15T08:00:00Z", [TWO]),
    ("CreatedDate > 2024-03-01T00:00:00Z", [ONE]),
    ("CreatedDate < 2024-01-01T00:00:00.000+00:00", [THREE]),
    ("CreatedDate > 2023-12-31T23:59:58.999Z AND CreatedDate <= 2023-12-31T23:59:59.000Z", [THREE]),
    ("CreatedDate = TODAY", [ONE]),
    ("CreatedDate != TODAY", [TWO, THREE]),
    ("CreatedDate < TODAY", [TWO, THREE]),
    ("CreatedDate <= TODAY", [ONE, TWO, THREE]),
    ("CreatedDate > YESTERDAY", [ONE]),
    ("CreatedDate >= TOMORROW", []),
    ("CreatedDate = THIS_WEEK", [ONE]),
    ("CreatedDate = LAST_WEEK", []),
    ("CreatedDate = NEXT_WEEK", []),
    ("CreatedDate = THIS_MONTH", [ONE, TWO]),
    ("CreatedDate = LAST_MONTH", []),
    ("CreatedDate = LAST_N_DAYS:14", [ONE, TWO]),
    ("CreatedDate = LAST_N_DAYS:13", [ONE]),
    ("CreatedDate = N_DAYS_AGO:14", [TWO]),
    ("CreatedDate = LAST_N_WEEKS:2", [TWO]),
    ("CreatedDate = N_WEEKS_AGO:2", [TWO]),
    ("CreatedDate = LAST_N_MONTHS:3", [THREE]),
    ("CreatedDate = N_MONTHS_AGO:3", [THREE]),
    ("CreatedDate = LAST_90_DAYS", [ONE, TWO, THREE]),
    ("CreatedDate = THIS_QUARTER", [ONE, TWO]),
    ("CreatedDate = LAST_QUARTER", [THREE]),
    ("CreatedDate = LAST_N_QUARTERS:1", [THREE]),
    ("CreatedDate = N_QUARTERS_AGO:1", [THREE]),
    ("CreatedDate = THIS_YEAR", [ONE, TWO]),
    ("CreatedDate = LAST_YEAR", [THREE]),
    ("CreatedDate = LAST_N_YEARS:2", [THREE]),
    ("CreatedDate = N_YEARS_AGO:1", [THREE]),
    ("CreatedDate = THIS_FISCAL_QUARTER", [ONE, TWO]),
    ("CreatedDate = LAST_FISCAL_YEAR", [THREE]),
    ("CreatedDate = NEXT_90_DAYS", []),
    ("CreatedDate = NEXT_N_DAYS:3", []),
    ("CloseDate = TODAY", [ONE]),
    ("CloseDate = LAST_N_DAYS:20", [ONE, TWO]),
    ("CloseDate = NEXT_N_MONTHS:1", []),
    ("CALENDAR_YEAR(CreatedDate) = 2024", [ONE, TWO]),
    ("DAY_ONLY(CreatedDate) = 2024-03-15", [ONE]),
    ("HOUR_IN_DAY(convertTimezone(CreatedDate)) = 8", [ONE]),
    ("DAY_IN_WEEK(CloseDate) = 6", [ONE, TWO]),
    # logic
    ("Amount = 5 OR Amount = null", [ONE, THREE]),
    ("(Amount = 5 OR Amount = null) AND IsWon = false", [ONE, THREE]),
    ("Amount = 5 AND (NOT IsWon = true)", [ONE]),
    ("NOT (Amount = 5 OR IsWon = true)", [THREE]),
    ("NOT (NOT (Amount = 5))", [ONE]),
    ("((((Amount = 5))))", [ONE]),
    # parents and subqueries
    ("Account.Name = 'acme'", [ONE, TWO]),
    ("Account.Parent.Name = 'Acme'", [THREE]),
    ("Account.Parent.Name != 'Acme'", [ONE, TWO]),
    ("Opportunity.Account.Industry = 'Energy'", [ONE, TWO]),
    ("Owner.Profile.Name = 'Admin'", [ONE, THREE]),
    ("Owner.Manager.Name = 'Ann Lee'", [TWO]),
    ("AccountId IN (SELECT Id FROM Account WHERE Industry = 'Energy')", [ONE, TWO]),
    ("AccountId NOT IN (SELECT Id FROM Account WHERE Industry = 'Energy')", [THREE]),
    ("Id IN (SELECT OpportunityId FROM OpportunityFieldHistory WHERE Field = 'Owner')", [ONE]),
    ("Id NOT IN (SELECT OpportunityId FROM OpportunityFieldHistory)", [TWO, THREE]),
    ("AccountId IN (SELECT AccountId FROM Contact) AND OwnerId IN (SELECT Id FROM User WHERE IsActive = true)", [ONE]),
]


@pytest.mark.parametrize(("condition", "names"), OPPORTUNITIES, ids=[condition for condition, _ in OPPORTUNITIES])
def test_a_condition_chooses_the_rows_it_means(ask: Ask, condition: str, names: list[str]) -> None:
    answer = ask(f"SELECT Name FROM Opportunity WHERE {condition} ORDER BY Id")
    assert values(answer) == names
    assert answer["totalSize"] == len(names)


STATEMENTS: list[tuple[str, list[Any]]] = [
    # order, limit, offset
    ("SELECT Name FROM Opportunity ORDER BY Amount", [THREE, ONE, TWO]),
    ("SELECT Name FROM Opportunity ORDER BY Amount DESC", [THREE, TWO, ONE]),
    ("SELECT Name FROM Opportunity ORDER BY Amount ASC NULLS LAST", [ONE, TWO, THREE]),
    ("SELECT Name FROM Opportunity ORDER BY Amount DESC NULLS LAST", [TWO, ONE, THREE]),
    ("SELECT Name FROM Opportunity ORDER BY Amount DESC NULLS FIRST", [THREE, TWO, ONE]),
    ("SELECT Name FROM Contact ORDER BY Name", ["Xi", "yan", "Zoe"]),
    ("SELECT Name FROM Opportunity ORDER BY Account.Name DESC, CreatedDate ASC", [THREE, TWO, ONE]),
    ("SELECT Name FROM Opportunity ORDER BY CreatedDate LIMIT 1", [THREE]),
    ("SELECT Name FROM Opportunity ORDER BY CreatedDate LIMIT 1 OFFSET 1", [TWO]),
    ("SELECT Name FROM Opportunity ORDER BY CreatedDate OFFSET 2", [ONE]),
    ("SELECT Name FROM Opportunity LIMIT 0", []),
    ("select name from opportunity order by id asc limit 1", [ONE]),
    ("SELECT Field FROM OpportunityFieldHistory ORDER BY NewValue NULLS LAST LIMIT 1", ["Owner"]),
    # what is selected
    ("SELECT Opportunity.Name FROM Opportunity WHERE Amount = 5", [ONE]),
    ("SELECT o.Name, o.Account.Name FROM Opportunity o WHERE o.Amount = 5", [[ONE, ACME]]),
    ("SELECT o.Name, a.Name FROM Opportunity o, o.Account a WHERE a.Name = 'Acme' AND o.Amount = 5", [[ONE, ACME]]),
    ("SELECT Amount, Probability FROM Opportunity WHERE IsWon = true", [[Decimal("1234567890.12"), Decimal("100.0")]]),
    ("SELECT NumberOfEmployees FROM Account ORDER BY Id", [10, 200]),
    ("SELECT Name, Parent.Name FROM Account ORDER BY Id", [[ACME, None], [BETA, ACME]]),
    ("SELECT Name FROM Account WHERE Name LIKE '%100\\%%'", [BETA]),
    ("SELECT Name FROM Account WHERE Name LIKE '%\\_x%'", [BETA]),
    ("SELECT Name FROM Account WHERE Name LIKE '%\\\\y'", [BETA]),
    ("SELECT Name FROM Account WHERE Name = 'beta 100% _x\\\\y'", [BETA]),
    ("SELECT Owner.Name, Owner.Type FROM Case ORDER BY CaseNumber", [["Ann Lee", "User"], ["Queue A", "Group"]]),
    ("SELECT CaseNumber FROM Case WHERE Owner.Type = 'Group'", ["0002"]),
    ("SELECT CaseNumber FROM Case WHERE Owner.Name = 'ann lee'", ["0001"]),
    ("SELECT Name FROM Group", ["Queue A"]),
    ("SELECT Owner.Profile.Name FROM Case ORDER BY CaseNumber", ["Admin", None]),
    ("SELECT Subject FROM Case WHERE Subject = 'Line 1\\r\\nLine 2'", ["Line 1\r\nLine 2"]),
    (
        "SELECT TYPEOF Owner WHEN User THEN Title, Profile.Name WHEN Group THEN Name END FROM Case ORDER BY CaseNumber",
        [["VP", "Admin"], "Queue A"],
    ),
    ("SELECT TYPEOF Owner WHEN User THEN Title ELSE Name END FROM Case ORDER BY Id", ["VP", "Queue A"]),
    (
        "SELECT Name, (SELECT LastName FROM Contacts ORDER BY LastName DESC) FROM Account ORDER BY Id",
        [[ACME, ["Zoe", "yan"]], [BETA, None]],
    ),
    (
        "SELECT Name, (SELECT Field FROM Histories WHERE Field LIKE 'Own%' LIMIT 1) FROM Opportunity WHERE Amount = 5",
        [[ONE, ["Owner"]]],
    ),
    ("SELECT Name, (SELECT Name, Account.Name FROM Opportunities WHERE IsWon = true) FROM Account WHERE Name = 'Acme'",
     [[ACME, [[TWO, ACME]]]]),
    ("SELECT toLabel(StageName) FROM Opportunity WHERE Amount = 5", ["Prospecting"]),
    ("SELECT FORMAT(CloseDate) d FROM Opportunity WHERE Amount = 5", ["3/15/2024"]),
    # counts and groups
    ("SELECT COUNT(Id) FROM Opportunity", [3]),
    ("SELECT COUNT(Amount) FROM Opportunity", [2]),
    ("SELECT COUNT_DISTINCT(AccountId) FROM Opportunity", [2]),
    ("SELECT MIN(CreatedDate), MAX(CreatedDate) FROM Opportunity",
     [["2023-12-31T23:59:59.000+0000", "2024-03-15T08:00:00.000+0000"]]),
    ("SELECT SUM(Amount), AVG(Amount), MIN(Amount), MAX(Amount) FROM Opportunity",
     [[Decimal("1234567895.12"), Decimal("617283947.56"), Decimal("5.0"), Decimal("1234567890.12")]]),
    ("SELECT SUM(NumberOfEmployees) n FROM Account", [210]),
    ("SELECT MAX(Amount) FROM Opportunity WHERE Amount = null", [None]),
    ("SELECT COUNT(Id) n, MIN(Name) FROM Opportunity WHERE CreatedDate > TOMORROW", [[0, None]]),
    ("SELECT Account.Name, COUNT(Id) FROM Opportunity GROUP BY Account.Name ORDER BY COUNT(Id) DESC",
     [[ACME, 2], [BETA, 1]]),
    ("SELECT IsWon won, COUNT(Id) n FROM Opportunity GROUP BY IsWon ORDER BY IsWon", [[False, 2], [True, 1]]),
    (("SELECT DAY_ONLY(CreatedDate) d, COUNT(Id) n FROM Opportunity GROUP BY DAY_ONLY(CreatedDate) "
     "ORDER BY DAY_ONLY(CreatedDate)"), [["2023-12-31", 1], ["2024-03-01", 1], ["2024-03-15", 1]]),
    (("SELECT CALENDAR_YEAR(CloseDate), CALENDAR_MONTH(CloseDate), COUNT(Id) FROM Opportunity "
     "GROUP BY CALENDAR_YEAR(CloseDate), CALENDAR_MONTH(CloseDate) ORDER BY CALENDAR_YEAR(CloseDate)"),
     [[2023, 12, 1], [2024, 3, 2]]),
    (("SELECT CALENDAR_QUARTER(CreatedDate) q FROM Opportunity GROUP BY CALENDAR_QUARTER(CreatedDate) "
     "ORDER BY CALENDAR_QUARTER(CreatedDate)"), [1, 4]),
    ("SELECT StageName FROM Opportunity GROUP BY StageName HAVING COUNT(Id) > 1", []),
    ("SELECT AccountId FROM Opportunity GROUP BY AccountId HAVING COUNT(Id) > 1 AND MAX(Amount) > 5", [ACC[0]]),
    ("SELECT Field, COUNT(Id) n FROM OpportunityFieldHistory GROUP BY Field ORDER BY COUNT(Id) DESC, Field LIMIT 2",
     [["Owner", 2], ["Amount", 1]]),
    # what is taken and changes nothing here
    ("SELECT Name FROM Opportunity USING SCOPE everything WHERE Amount = 5", [ONE]),
    ("SELECT Name FROM Opportunity WHERE Amount = 5 LIMIT 1 FOR VIEW", [ONE]),
    ("SELECT Name FROM Opportunity WHERE CreatedDate >= 2024-03-15T00:00:00Z  ORDER BY CreatedDate ASC", [ONE]),
    ("SELECT Name FROM Account WHERE Name = 'Gone' ALL ROWS", ["Gone"]),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "expected"), STATEMENTS, ids=[statement for statement, _ in STATEMENTS])
def test_a_statement_answers_what_it_says(ask: Ask, statement: str, expected: list[Any]) -> None:
    assert values(ask(statement)) == expected


@pytest.mark.parametrize(
    ("statement", "total"),
    [
        ("SELECT COUNT() FROM Opportunity", 3),
        ("SELECT COUNT() FROM Opportunity WHERE Account.Name = 'Acme'", 2),
        ("SELECT COUNT() FROM Opportunity LIMIT 2", 2),
    ],
)
def test_a_bare_count_gives_its_number_as_the_total(ask: Ask, statement: str, total: int) -> None:
    assert ask(statement) == {"totalSize": total, "done": True, "records": []}


def test_rows_of_deleted_parents_come_only_where_all_rows_are_asked(ask: Ask) -> None:
    statement = "SELECT Id FROM OpportunityFieldHistory WHERE Field = 'created'"
    assert ask(statement)["totalSize"] == 1
    assert ask(statement, all_rows=True)["totalSize"] == 2


def test_values_of_any_type_keep_their_json_kind(ask: Ask) -> None:
    pairs = values(ask("SELECT OldValue, NewValue FROM OpportunityFieldHistory ORDER BY Id"))
    assert pairs == [
        [None, None],
        [Decimal("1234567890.12"), Decimal("5.0")],
        ["007", "1e5"],
        ["Bo Ray", "Ann Lee"],
        [USER[2], USER[1]],
        [False, True],
        ['a "b" \\ \u2028 \U0001f600', "é\r\n\t"],
    ]
    assert str(pairs[1][1]) == "5.0"


def test_a_record_carries_its_type_and_url(ask: Ask) -> None:
    record = ask("SELECT Id, Account.Name FROM Opportunity WHERE Amount = 5", version=61.0)["records"][0]
    url = "/services/data/v61.0/sobjects"
    assert record["attributes"] == {"type": "Opportunity", "url": f"{url}/Opportunity/{OPP[0]}"}
    assert record["Account"]["attributes"] == {"type": "Account", "url": f"{url}/Account/{ACC[0]}"}


def test_unnamed_aggregates_are_numbered_in_order(ask: Ask) -> None:
    record = ask("SELECT MIN(Name), COUNT(Id) n, MAX(Name) FROM Opportunity")["records"][0]
    assert list(record) == ["attributes", "expr0", "n", "expr1"]
    assert record["attributes"] == {"type": "AggregateResult"}


def test_all_fields_are_those_of_describe(ask: Ask) -> None:
    every = set(ask("SELECT FIELDS(ALL) FROM Invoice__c LIMIT 200")["records"] or [])
    assert every == set()
    record = ask("SELECT FIELDS(STANDARD) FROM Opportunity LIMIT 1")["records"][0]
    assert {"Id", "Name", "StageName", "SystemModstamp"} <= set(record)


def test_a_field_is_not_there_before_the_version_that_brought_it(ask: Ask) -> None:
    statement = "SELECT PrevAmount FROM OpportunityHistory"
    assert ask(statement, version=50.0)["totalSize"] == 0
    with pytest.raises(Exception, match="No such column 'PrevAmount'"):
        ask(statement, version=49.0)
