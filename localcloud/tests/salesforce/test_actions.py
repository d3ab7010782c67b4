"""Actions: what each makes of rows, history, recycle bin, events and truth, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from acting import Notes, Records, codes, deal, done, truth

from localcloud.salesforce.actions import Actions
from localcloud.salesforce.org import Org


def test_a_new_record_begins_its_history_and_is_announced_with_all_values(
    actions: Actions, own_org: Org, bus: Notes, records: Records
) -> None:
    user = own_org.new_id("User", 1)
    (key,) = done(
        actions.create(
            "Opportunity",
            [{"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2024-06-01", "Amount": 10}],
            actor=user,
            origin="com/example",
        )
    )
    columns = "Field, DataType, OldValue, NewValue, CreatedById"
    history = f"SELECT {columns} FROM OpportunityFieldHistory WHERE OpportunityId = '{key}'"
    assert records(history) == [
        {"Field": "created", "DataType": "Text", "OldValue": None, "NewValue": None, "CreatedById": user}
    ]
    stages = f"SELECT StageName, Amount, Probability, PrevAmount FROM OpportunityHistory WHERE OpportunityId = '{key}'"
    assert records(stages) == [{"StageName": "Prospecting", "Amount": 10, "Probability": 10, "PrevAmount": None}]
    (transaction,) = bus.transactions
    (change,) = transaction.changes
    assert (transaction.actor, transaction.origin, transaction.at) == (user, "com/example", own_org.clock.now())
    assert (change.kind, change.sobject, change.record_id) == ("CREATE", "Opportunity", key)
    assert {name: change.values[name] for name in ("Amount", "IsClosed", "OwnerId", "NextStep", "CreatedDate")} == {
        "Amount": Decimal(10),
        "IsClosed": False,
        "OwnerId": user,
        "NextStep": None,
        "CreatedDate": "2024-03-15T12:00:00.000+0000",
    }
    (line,) = truth(own_org)
    assert (line["action"], line["record"], line["actor"]) == ("create", key, user)
    assert (line["at"], line["transaction"]) == ("2024-03-15T12:00:00Z", transaction.key)
    assert {"field": "Amount", "type": "currency", "old": None, "new": "10"} in line["changes"]


def test_every_tracked_field_of_a_save_makes_a_history_row_and_a_lookup_two(
    actions: Actions, own_org: Org, bus: Notes, records: Records
) -> None:
    ann, bo = own_org.new_id("User", 1), own_org.new_id("User", 2)
    key = deal(actions, OwnerId=ann, Amount="5", Description="a" * 300)
    own_org.clock.advance(timedelta(seconds=90.5))
    new = {
        "OwnerId": bo,
        "Amount": "10000000",
        "StageName": "Closed Won",
        "Description": "b" * 300,
        "LeadSource": "Web",
        "Name": "Deal",
    }
    done(actions.update("Opportunity", [(key, new)], actor=bo))
    history = (
        "SELECT Field, DataType, OldValue, NewValue, CreatedDate FROM OpportunityFieldHistory "
        f"WHERE OpportunityId = '{key}' AND Field != 'created'"
    )
    found = {(row["Field"], row["DataType"]): (row["OldValue"], row["NewValue"]) for row in records(history)}
    assert found == {
        ("Owner", "Text"): ("Ann Lee", "Bo Ray"),
        ("Owner", "EntityId"): (ann, bo),
        ("Amount", "Currency"): (5, 10_000_000),
        ("StageName", "DynamicEnum"): ("Prospecting", "Closed Won"),
        ("Probability", "Percent"): (10, 100),
        ("Description", "Text"): (None, None),
    }
    assert {row["CreatedDate"] for row in records(history)} == {"2024-03-15T12:01:30.000+0000"}
    (record,) = records(
        f"SELECT LastModifiedDate, LastModifiedById, SystemModstamp FROM Opportunity WHERE Id = '{key}'"
    )
    assert list(record.values()) == ["2024-03-15T12:01:30.000+0000", bo, "2024-03-15T12:01:30.500+0000"]
    stage = records(
        f"SELECT StageName, PrevAmount, ForecastCategory FROM OpportunityHistory WHERE OpportunityId = '{key}' "
        "ORDER BY CreatedDate DESC LIMIT 1"
    )
    assert stage == [{"StageName": "Closed Won", "PrevAmount": 5, "ForecastCategory": "Closed"}]
    change = bus.changes[-1]
    assert (change.kind, change.values["Amount"], change.before["Amount"]) == ("UPDATE", 10_000_000, 5)
    assert "Name" not in change.values
    assert (change.values["IsWon"], change.values["LastModifiedDate"]) == (True, "2024-03-15T12:01:30.000+0000")
    told = {change["field"]: change for change in truth(own_org)[-1]["changes"]}
    assert told["Owner"] == {
        "field": "Owner",
        "type": "lookup",
        "old": ann,
        "new": bo,
        "old_name": "Ann Lee",
        "new_name": "Bo Ray",
    }
    assert told["Amount"]["new"] == "10000000"
    assert (told["Description"]["type"], told["Description"]["new"]) == ("longtext", None)


def test_a_converted_lead_says_so_in_its_history(actions: Actions, records: Records) -> None:
    (lead,) = actions.create("Lead", [{"LastName": "Lee", "Company": "Acme"}])
    for converted in (False, True, True):
        actions.update("Lead", [(str(lead.id), {"IsConverted": converted})])
    fields = [row["Field"] for row in records(f"SELECT Field FROM LeadHistory WHERE LeadId = '{lead.id}' ORDER BY Id")]
    assert fields == ["created", "leadConverted"]


def test_a_changed_task_has_its_history_in_the_big_object(actions: Actions, own_org: Org, records: Records) -> None:
    ann, account = own_org.new_id("User", 1), own_org.new_id("Account", 1)
    (key,) = done(actions.create("Task", [{"Subject": "Call", "WhatId": account, "ActivityDate": "2024-03-16"}]))
    new = {"Status": "Completed", "OwnerId": ann, "ActivityDate": "2024-03-17", "Subject": "Called"}
    done(actions.update("Task", [(key, new)], actor=ann))
    assert records(f"SELECT IsClosed FROM Task WHERE Id = '{key}'") == [{"IsClosed": True}]
    columns = "FieldName, OldValueText, NewValueText, NewValueDateTime, ChangedById"
    rows = records(f"SELECT {columns} FROM ActivityFieldHistory WHERE ActivityId = '{key}'")
    assert {tuple(row.values()) for row in rows} == {
        ("Status", "Not Started", "Completed", None, ann),
        ("Owner", own_org.user_id, ann, None, ann),
        ("ActivityDate", None, None, "2024-03-17T00:00:00.000+0000", ann),
    }
    done(actions.delete("Account", [account]))
    assert records(f"SELECT IsDeleted FROM Task WHERE Id = '{key}'") == [{"IsDeleted": True}]


def test_an_equal_value_is_no_change(actions: Actions, bus: Notes, records: Records, own_org: Org) -> None:
    key = deal(actions, Amount="5.00")
    done(actions.update("Opportunity", [(key, {"Amount": 5, "Name": "Deal"})]))
    assert len(records(f"SELECT Id FROM OpportunityFieldHistory WHERE OpportunityId = '{key}'")) == 1
    assert len(records(f"SELECT Id FROM OpportunityHistory WHERE OpportunityId = '{key}'")) == 1
    assert truth(own_org)[-1]["changes"] == []
    assert set(bus.changes[-1].values) <= {"LastModifiedDate", "LastModifiedById", "SystemModstamp"}


def test_a_deleted_account_takes_its_children_along_and_brings_them_back(
    actions: Actions, own_org: Org, bus: Notes, records: Records
) -> None:
    account, child = own_org.new_id("Account", 0), own_org.new_id("Account", 1)
    contacts = [row["Id"] for row in records(f"SELECT Id FROM Contact WHERE AccountId = '{account}'")]
    deals = [own_org.new_id("Opportunity", n) for n in range(2)]
    along = [("Contact", key) for key in sorted(contacts)] + [("Opportunity", key) for key in deals]
    assert done(actions.delete("Account", [account])) == [account]
    assert bus.told() == [("DELETE", "Account", account), *(("DELETE", *one) for one in along)]
    line = truth(own_org)[-1]
    assert [tuple(one) for one in line["cascade"]] == along
    assert line["cleared"] == [["Account", "ParentId", child]]
    assert records(f"SELECT IsDeleted, ParentId FROM Account WHERE Id = '{child}'") == [
        {"IsDeleted": False, "ParentId": None}
    ]
    history = f"SELECT IsDeleted FROM OpportunityFieldHistory WHERE OpportunityId = '{deals[0]}'"
    assert {row["IsDeleted"] for row in records(history)} == {True}
    assert codes(actions.undelete(contacts[:1])) == ["UNDELETE_FAILED"]
    bus.transactions.clear()
    done(actions.undelete([account]))
    assert bus.told() == [("UNDELETE", "Account", account), *(("UNDELETE", *one) for one in along)]
    assert bus.changes[1].values["AccountId"] == account
    assert {row["IsDeleted"] for row in records(history)} == {False}
    assert records(f"SELECT ParentId FROM Account WHERE Id = '{child}'") == [{"ParentId": account}]
    assert truth(own_org)[-1]["restored"] == [["Account", "ParentId", child]]


def test_a_lookup_that_was_replaced_meanwhile_is_not_restored(actions: Actions, own_org: Org, records: Records) -> None:
    account, child = own_org.new_id("Account", 0), own_org.new_id("Account", 1)
    (other,) = done(actions.create("Account", [{"Name": "Other"}]))
    done(actions.delete("Account", [account]))
    done(actions.update("Account", [(child, {"ParentId": other})]))
    done(actions.undelete([account]))
    assert records(f"SELECT ParentId FROM Account WHERE Id = '{child}'") == [{"ParentId": other}]
    assert "restored" not in truth(own_org)[-1]


def test_a_child_comes_back_only_to_a_parent_that_is_there(actions: Actions, own_org: Org, records: Records) -> None:
    account, first = own_org.new_id("Account", 0), own_org.new_id("Opportunity", 0)
    done(actions.delete("Opportunity", [first]))
    done(actions.delete("Account", [account]))
    assert codes(actions.undelete([first])) == ["UNDELETE_FAILED"]
    done(actions.undelete([account]))
    assert records(f"SELECT IsDeleted FROM Opportunity WHERE Id = '{first}'") == [{"IsDeleted": True}]
    assert done(actions.undelete([first])) == [first]


def test_records_that_cannot_be_deleted_are_refused_one_by_one(actions: Actions, own_org: Org, bus: Notes) -> None:
    live, gone = own_org.new_id("Account", 1), own_org.new_id("Account", 2)
    history = own_org.new_id("OpportunityFieldHistory", 0)
    ids = [live[:15], gone, "001000000000077AAA", "nothing", live, history, own_org.new_id("Contact", 9)]
    assert codes(actions.delete("Account", ids)) == [
        "",
        "ENTITY_IS_DELETED",
        "INVALID_CROSS_REFERENCE_KEY",
        "MALFORMED_ID",
        "DUPLICATE_VALUE",
        "INVALID_CROSS_REFERENCE_KEY",
        "INVALID_CROSS_REFERENCE_KEY",
    ]
    assert bus.told() == [("DELETE", "Account", live), ("DELETE", "Opportunity", own_org.new_id("Opportunity", 2))]
    assert [line["record"] for line in truth(own_org)] == [live]


def test_all_or_none_takes_everything_back(actions: Actions, own_org: Org, bus: Notes, records: Records) -> None:
    live = own_org.new_id("Account", 1)
    assert codes(actions.delete("Account", [live, "nothing"], all_or_none=True)) == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "MALFORMED_ID",
    ]
    assert records(f"SELECT IsDeleted FROM Account WHERE Id = '{live}'") == [{"IsDeleted": False}]
    assert (bus.transactions, truth(own_org)) == ([], [])


def test_an_account_with_cases_can_be_set_to_stay(serve: Callable[..., Any], own_org: Org) -> None:
    client = serve(own_org)
    account = own_org.new_id("Account", 1)
    client.post("sobjects/Case", {"Subject": "x", "AccountId": account})
    (number,) = [row["CaseNumber"] for row in client.records("SELECT CaseNumber FROM Case WHERE AccountId != null")]
    client.server.control(actions={"cases_block_delete": True})
    url = f"{client.server.url}/services/data/v60.0/sobjects/Account/{account}"
    answer = client.http.delete(url, timeout=30)
    assert answer.status_code == 400
    assert answer.json() == [
        {
            "errorCode": "DELETE_FAILED",
            "fields": [],
            "message": "Your attempt to delete beta 100% _x\\y could not be completed because it is associated with "
            f"the following cases.: {number}\n",
        }
    ]
    client.server.control(reset=True)
    assert client.http.delete(url, timeout=30).status_code == 204
    assert client.query("SELECT COUNT() FROM Case WHERE AccountId != null").json()["totalSize"] == 0


def test_a_merge_deletes_the_losers_and_turns_their_children_to_the_winner(
    actions: Actions, own_org: Org, bus: Notes, records: Records
) -> None:
    winner, loser = own_org.new_id("Account", 1), own_org.new_id("Account", 0)
    outcome = actions.merge("Account", winner, [loser], {"Phone": "7"})
    assert outcome.success
    assert bus.told() == [("UPDATE", "Account", winner), ("DELETE", "Account", loser)]
    assert {row["AccountId"] for row in records("SELECT AccountId FROM Opportunity WHERE AccountId != null")} == {
        winner
    }
    (row,) = records(f"SELECT IsDeleted, MasterRecordId FROM Account WHERE Id = '{loser}'")
    assert row == {"IsDeleted": True, "MasterRecordId": winner}
    update, merged = truth(own_org)
    assert (update["action"], update["changes"][0]["field"]) == ("update", "Phone")
    assert (merged["action"], merged["record"], merged["losers"]) == ("merge", winner, [loser])
    assert len(merged["reparented"]) == 4
    history = records(f"SELECT Field, NewValue FROM AccountHistory WHERE AccountId = '{winner}'")
    assert history == [{"Field": "Phone", "NewValue": "7"}]
    done(actions.undelete([loser]))
    (row,) = records(f"SELECT IsDeleted, MasterRecordId FROM Account WHERE Id = '{loser}'")
    assert row == {"IsDeleted": False, "MasterRecordId": None}
    assert records(f"SELECT Id FROM Contact WHERE AccountId = '{loser}'") == []


@pytest.mark.parametrize(
    ("sobject", "master", "losers", "code"),
    [
        ("Opportunity", "006000000000000AAA", ["006000000000001AAA"], "INVALID_TYPE"),
        ("Account", "001000000000000AAA", [], "NUMBER_OUTSIDE_VALID_RANGE"),
        ("Account", "001000000000000AAA", ["001000000000001AAA"] * 3, "NUMBER_OUTSIDE_VALID_RANGE"),
        ("Account", "001000000000000AAA", ["001000000000000AAA"], "DUPLICATE_VALUE"),
        ("Account", "001000000000000AAA", ["001000000000002AAA"], "ENTITY_IS_DELETED"),
        ("Account", "001000000000077AAA", ["001000000000001AAA"], "INVALID_CROSS_REFERENCE_KEY"),
        ("Account", "001000000000000AAA", ["no id"], "MALFORMED_ID"),
    ],
)
def test_a_merge_that_cannot_be_done_changes_nothing(
    actions: Actions, own_org: Org, bus: Notes, sobject: str, master: str, losers: list[str], code: str
) -> None:
    assert codes([actions.merge(sobject, master, losers)]) == [code]
    assert (bus.transactions, truth(own_org)) == ([], [])


def test_hard_deleted_records_leave_no_row_and_only_live_ones_are_announced(
    actions: Actions, own_org: Org, bus: Notes, records: Records
) -> None:
    account, deleted = own_org.new_id("Account", 0), own_org.new_id("Opportunity", 2)
    done(actions.delete("Opportunity", [deleted]))
    bus.transactions.clear()
    done(actions.hard_delete([deleted]))
    assert bus.transactions == []
    done(actions.hard_delete([account]))
    assert [kind for kind, *_ in bus.told()] == ["DELETE"] * 5
    assert records("SELECT Id FROM Contact WHERE AccountId != null") == []
    assert records(f"SELECT Id FROM Opportunity WHERE Id = '{deleted}'") == []
    assert records("SELECT Id FROM OpportunityFieldHistory WHERE Field != 'created'") == []
    assert codes(actions.undelete([account, deleted])) == ["UNDELETE_FAILED"] * 2


def test_the_bin_is_emptied_by_id_or_as_a_whole(actions: Actions, own_org: Org, bus: Notes, records: Records) -> None:
    first, second, live = (own_org.new_id("Opportunity", n) for n in range(3))
    done(actions.delete(None, [first, second]))
    bus.transactions.clear()
    assert codes(actions.empty_bin([first, live])) == ["", "UNDELETE_FAILED"]
    assert [row["Id"] for row in records("SELECT Id FROM Opportunity WHERE Name != 'Four'")] == [second, live]
    assert done(actions.empty_bin()) == [second]
    assert bus.transactions == []
    assert [line["action"] for line in truth(own_org)] == ["delete", "delete", "hard_delete", "purge"]


def test_records_are_purged_after_15_days_in_the_bin(
    actions: Actions, own_org: Org, bus: Notes, records: Records
) -> None:
    early, late = own_org.new_id("Opportunity", 0), own_org.new_id("Opportunity", 1)
    done(actions.delete(None, [early]))
    own_org.clock.advance(timedelta(days=1))
    done(actions.delete(None, [late]))
    own_org.clock.advance(timedelta(days=14) - timedelta(seconds=1))
    assert actions.purge() == []
    own_org.clock.advance(timedelta(seconds=1))
    assert done(actions.purge()) == [early]
    assert [row["Id"] for row in records(f"SELECT Id FROM Opportunity WHERE Id IN ('{early}', '{late}')")] == [late]
    assert truth(own_org)[-1]["action"] == "purge"
    assert done(actions.undelete([late])) == [late]


def test_an_id_is_never_given_twice(actions: Actions) -> None:
    (first,) = done(actions.create("Account", [{"Name": "x"}]))
    done(actions.hard_delete([first]))
    (second,) = done(actions.create("Account", [{"Name": "x"}]))
    assert second > first


def test_truth_and_rows_are_taken_back_together(actions: Actions, own_org: Org, bus: Notes, records: Records) -> None:
    done(actions.create("Account", [{"Name": "Kept"}]))
    before = (own_org.path / "truth.jsonl").read_bytes()
    bus.fails = True
    with pytest.raises(RuntimeError, match="broken"):
        actions.create("Account", [{"Name": "Lost"}])
    assert (own_org.path / "truth.jsonl").read_bytes() == before
    assert records("SELECT Name FROM Account WHERE Name = 'Lost'") == []
    assert bus.woken == 1
    bus.fails = False
    done(actions.create("Account", [{"Name": "Again"}]))
    assert [line["changes"][0]["new"] for line in truth(own_org)] == ["Kept", "Again"]


@pytest.mark.parametrize("acted", [False, True], ids=["before any action", "after one"])
def test_lines_of_a_killed_process_are_taken_back_by_the_next_action(
    actions: Actions, own_org: Org, acted: bool
) -> None:
    path = own_org.path / "truth.jsonl"
    seeded = '{"at":"2024-01-01T00:00:00Z","actor":"x","action":"delete","object":"Case","record":"y","changes":[]}\n'
    path.write_text(seeded)
    if acted:
        done(actions.create("Account", [{"Name": "Kept"}]))
    whole = path.read_text()
    path.write_text(whole + seeded.replace('"changes":[]', '"changes":[],"transaction":"lost"'))
    done(actions.create("Account", [{"Name": "Next"}]))
    assert path.read_text().startswith(whole)
    assert "lost" not in path.read_text()
    assert len(path.read_text().splitlines()) == len(whole.splitlines()) + 1
