"""What SOQL bounds: relationships, levels, groups, and the children that come with a record."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.soql.features import features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from localcloud.salesforce.org import Org

    Client = Any
    Ask = Callable[..., dict[str, Any]]

MANY = 4_100


def parents(count: int) -> str:
    """A statement that goes up that many relationships."""
    ways = [".".join(way) for way in product(("Manager", "CreatedBy", "LastModifiedBy"), repeat=3)]
    ways += [".".join(way) for way in product(("Manager", "CreatedBy", "LastModifiedBy"), repeat=2)]
    ways += ["Manager", "CreatedBy", "LastModifiedBy", "Profile"]
    found: list[str] = []
    for way in sorted(ways, key=len):
        found += [f"{way}.Name"]
    more = [f"{way}.Profile.Name" for way in sorted(ways, key=len) if not way.endswith("Profile")]
    return f"SELECT {', '.join((found + more)[:count])} FROM User"


def test_fifty_five_parents_can_be_asked_and_no_more(ask: Ask) -> None:
    assert ask(parents(55))["totalSize"] == 3
    with pytest.raises(SoqlError, match="at most 55 child-to-parent relationships"):
        ask(parents(56))


def children(count: int) -> str:
    """A statement with that many subqueries, on four levels."""
    names = iter(range(count))

    def level(depth: int) -> str:
        inner = []
        for name in ("Contacts", "Opportunities", "Cases", "Histories", "ChildAccounts"):
            if next(names, None) is None:
                break
            below = level(depth + 1) if name == "ChildAccounts" and depth < 4 else ""
            inner.append(f"(SELECT Id{below} FROM {name})")
        return "".join(f", {one}" for one in inner)

    return f"SELECT Id{level(1)} FROM Account"


def test_twenty_subqueries_can_be_asked_and_no_more(ask: Ask) -> None:
    assert ask(children(20))["totalSize"] == 2
    twenty_one = children(20).replace("FROM Account", ", (SELECT Id FROM Invoices__r) FROM Account")
    with pytest.raises(SoqlError, match="at most 20 parent-to-child relationships"):
        ask(twenty_one)


@pytest.fixture
def crowded(own_org: Org) -> Org:
    """The known org with many contacts of one account, and one more contact of another."""
    account = own_org.new_id("Account", 1)
    own_org.load("Contact", [{"LastName": f"c{n:04}", "Name": f"c{n:04}", "AccountId": account} for n in range(MANY)])
    return own_org


def pages(client: Client, first: dict[str, Any]) -> Iterator[dict[str, Any]]:
    page = first
    yield page
    while not page["done"]:
        page = client.get(page["nextRecordsUrl"]).json()
        yield page


def test_children_beyond_a_batch_come_by_their_own_url(crowded: Org, serve: Callable[..., Client]) -> None:
    client = serve(crowded)
    statement = (
        "SELECT Name, (SELECT Name FROM Contacts WHERE Name LIKE 'c%' ORDER BY Name DESC) FROM Account ORDER BY Id"
    )
    acme, beta = client.query(statement).json()["records"]
    assert acme["Contacts"] is None
    found = list(pages(client, beta["Contacts"]))
    assert [len(page["records"]) for page in found] == [2_000, 2_000, 100]
    assert {page["totalSize"] for page in found} == {MANY}
    names = [record["Name"] for page in found for record in page["records"]]
    assert names == [f"c{n:04}" for n in reversed(range(MANY))]
    second = client.get(beta["Contacts"]["nextRecordsUrl"]).json()
    assert second == found[1]  # a page can be read again


def test_a_batch_of_children_needs_no_url(crowded: Org, serve: Callable[..., Client]) -> None:
    client = serve(crowded)
    statement = "SELECT (SELECT Name FROM Contacts ORDER BY Name LIMIT 2000) FROM Account WHERE Name LIKE 'beta%'"
    contacts = client.query(statement).json()["records"][0]["Contacts"]
    assert (contacts["done"], contacts["totalSize"], len(contacts["records"])) == (True, 2_000, 2_000)
    assert "nextRecordsUrl" not in contacts


def test_more_than_two_thousand_groups_are_refused(crowded: Org, serve: Callable[..., Client]) -> None:
    client = serve(crowded)
    answer = client.query("SELECT Name, COUNT(Id) FROM Contact GROUP BY Name")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "EXCEEDED_ID_LIMIT")
    assert client.query("SELECT Name, COUNT(Id) FROM Contact GROUP BY Name LIMIT 2000").json()["totalSize"] == 2_000


def test_with_an_offset_only_the_first_batch_is_answered(crowded: Org, serve: Callable[..., Client]) -> None:
    page = serve(crowded).query("SELECT Id FROM Contact ORDER BY Name OFFSET 5").json()
    assert (page["done"], page["totalSize"], len(page["records"])) == (True, 2_000, 2_000)


def test_a_damaged_statement_is_a_bad_request_over_http(crowded: Org, serve: Callable[..., Client]) -> None:
    client = serve(crowded)
    for statement in (
        "SELECT Id FROM Account WHERE Name = '\0'",
        "SELECT Id FROM Account WHERE Name = '\u2028\U0001f600",
    ):
        answer = client.query(statement)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "MALFORMED_QUERY")


def test_features_tell_what_a_statement_uses(known_org: Org) -> None:
    used = features(
        "SELECT Id, BillingAddress, FORMAT(CreatedDate), FIELDS(STANDARD), (SELECT Id FROM Contacts) FROM account a "
        "WHERE Id IN (SELECT AccountId FROM Contact) ORDER BY Name LIMIT 5 OFFSET 2 ALL ROWS",
        known_org.schema,
    )
    assert (used.sobject, used.compound, used.base64) == ("Account", ("BillingAddress",), ())
    assert (used.subqueries, used.semi_joins, used.order_by, used.all_rows) == (True, True, True, True)
    assert (used.limit, used.offset, used.fields_functions) == (5, 2, frozenset({"STANDARD"}))
    assert (used.aggregates, used.group_by, used.having, used.typeof, used.count_only) == (False,) * 5


def test_features_tell_groups_and_aggregates(known_org: Org) -> None:
    used = features(
        "SELECT Type, MAX(Name) FROM Account GROUP BY ROLLUP(Type) HAVING MAX(Name) > 'a'", known_org.schema
    )
    assert (used.aggregates, used.group_by, used.having, used.subqueries) == (True, True, True, False)
    assert features("SELECT COUNT() FROM Account", known_org.schema).count_only
    assert features("SELECT TYPEOF Owner WHEN User THEN Id END FROM Case", known_org.schema).typeof
