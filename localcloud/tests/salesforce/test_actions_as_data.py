"""Actions as data: whom they find, how they are tried, and what they refuse in one sentence."""

from __future__ import annotations

from decimal import Decimal

import pytest
from acting import Notes, Records, codes, truth

from localcloud.salesforce.actions import Action, ActionError, Actions, decode_actions
from localcloud.salesforce.derived import FORECAST_NAMES
from localcloud.salesforce.org import Org
from localcloud.salesforce.schema import OBJECTS
from localcloud.salesforce.tracking import TRACKED, data_type, history_name, is_tracked, truth_type
from localcloud.seed.model import ACTIVITIES, MODELS


def test_an_action_as_data_finds_its_records_and_works_in_batches(
    actions: Actions, own_org: Org, bus: Notes, records: Records
) -> None:
    made = actions.act(Action("create", object="Account", values={"Name": "Bulk {n}"}, count=450))
    assert (made.succeeded, made.transactions, len(bus.transactions), len(made.ids)) == (450, 3, 3, 450)
    bus.transactions.clear()
    some = actions.act(Action("delete", object="Account", where="Name LIKE 'Bulk %'", count=250))
    assert (some.succeeded, some.failed, some.transactions) == (250, 0, 2)
    assert [len(transaction.changes) for transaction in bus.transactions] == [200, 50]
    rest = actions.act(Action("delete", object="Account", where="Name LIKE 'Bulk %'", transaction="one"))
    assert (rest.succeeded, rest.transactions) == (200, 1)
    back = actions.act(Action("undelete", object="Account", where="Name = 'Bulk 1' OR Name = 'Bulk 450'"))
    assert {
        row["Name"] for row in records("SELECT Name FROM Account WHERE IsDeleted = false AND Name LIKE 'Bulk%'")
    } == {
        "Bulk 1",
        "Bulk 450",
    }
    assert back.succeeded == 2


def test_an_action_names_its_user_in_any_of_three_ways(actions: Actions, own_org: Org, bus: Notes) -> None:
    ann = own_org.new_id("User", 1)
    for user in (ann, ann[:15], "ann@mock.invalid", "Ann Lee"):
        actions.act(Action("update", object="Account", ids=(own_org.new_id("Account", 0),), values={}, user=user))
    assert [transaction.actor for transaction in bus.transactions] == [ann] * 4


def test_an_action_as_data_counts_what_was_refused(actions: Actions, own_org: Org) -> None:
    outcome = actions.act(Action("delete", ids=(own_org.new_id("Account", 0), "nothing")))
    assert (outcome.succeeded, outcome.failed, outcome.along) == (1, 1, 4)
    assert codes(outcome.errors) == ["MALFORMED_ID"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (Action("create"), "needs an object"),
        (Action("create", object="Nothing"), "There is no object 'Nothing'"),
        (Action("create", object="AccountHistory"), "cannot be inserted"),
        (Action("delete", object="Account"), "needs either ids or a where"),
        (Action("delete", ids=("x",), where="Name = 'x'"), "needs either ids or a where"),
        (Action("delete", where="Name = 'x'"), "needs an object"),
        (Action("delete", object="Account", where="Nix = 1"), "No such column 'Nix'"),
        (Action("delete", object="Account", where="Name = 'x' GROUP BY Name"), "cannot be used|does not find"),
        (Action("merge", object="Account"), "needs a master"),
        (Action("purge", user="Nobody"), "There is no user 'Nobody'"),
    ],
    ids=lambda value: None if isinstance(value, str) else value.action,
)
def test_an_action_that_cannot_be_tried_says_why_in_one_sentence(
    actions: Actions, own_org: Org, action: Action, message: str
) -> None:
    with pytest.raises(ActionError, match=message) as raised:
        actions.act(action)
    assert "\n" not in str(raised.value)
    assert truth(own_org) == []


def test_numbers_of_an_action_in_json_keep_their_digits() -> None:
    body = b'{"action": "create", "object": "Opportunity", "values": {"Amount": 1234567890123456.78}}'
    (action,) = decode_actions(body)
    assert action.values["Amount"] == Decimal("1234567890123456.78")
    assert decode_actions(b"[]") == []
    with pytest.raises(ActionError, match="cannot be read"):
        decode_actions(b'{"action": "create", "objekt": "x"}')


def test_the_seeder_and_the_actions_track_the_same_fields_alike() -> None:
    objects = {sobject.name: sobject for sobject in OBJECTS}
    for name, model in (MODELS | ACTIVITIES).items():
        assert frozenset(model.tracked) == TRACKED[name]
        columns = {field.column: field for field in model.fields.values()}
        for field in objects[name].fields:
            seeded = columns.get(field.name)
            if seeded is None:
                continue
            assert (history_name(field), is_tracked(objects[name], field)) == (seeded.name, seeded.tracked)
            assert truth_type(field) == seeded.type, (name, field.name)
            if seeded.tracked:
                assert data_type(field) == seeded.data_type, (name, field.name)


def test_the_forecast_has_the_name_that_the_schema_knows() -> None:
    opportunity = next(sobject for sobject in OBJECTS if sobject.name == "Opportunity")
    categories = opportunity.by_name["forecastcategory"].values
    names = opportunity.by_name["forecastcategoryname"].values
    assert [FORECAST_NAMES.get(category, category) for category in categories] == list(names)
