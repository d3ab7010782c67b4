"""Field-level security and object permissions reach what is remembered of a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localcloud.salesforce.org import Org

HISTORY = "SELECT Field FROM OpportunityFieldHistory"


def test_history_of_a_hidden_field_is_not_seen(own_org: Org, serve: Callable[..., Any], jobs_of: Any) -> None:
    client = serve(own_org)
    before = [row["Field"] for row in client.records(HISTORY)]
    assert {"Amount", "Owner"} < set(before)
    client.server.control(forbid={"fields": ["Opportunity.Amount", "opportunity.ownerid"]})
    left = [field for field in before if field not in {"Amount", "Owner"}]
    assert [row["Field"] for row in client.records(HISTORY)] == left
    assert [row["Field"] for row in jobs_of(client).rows(HISTORY)] == left
    (one, *_) = client.records("SELECT (SELECT Field FROM Histories) FROM Opportunity WHERE Name = 'One'")
    assert [row["Field"] for row in one["Histories"]["records"]] == left


def test_the_stage_history_hides_what_the_opportunity_hides(own_org: Org, serve: Callable[..., Any]) -> None:
    client = serve(own_org)
    client.server.control(forbid={"fields": ["Opportunity.Amount"]})
    shown = {one["name"] for one in client.get("sobjects/OpportunityHistory/describe").json()["fields"]}
    assert "StageName" in shown
    assert shown.isdisjoint({"Amount", "PrevAmount"})


def test_history_goes_with_its_object(own_org: Org, serve: Callable[..., Any]) -> None:
    client = serve(own_org)
    client.server.control(forbid={"objects": ["Opportunity"]})
    for name in ("OpportunityFieldHistory", "OpportunityHistory"):
        answer = client.query(f"SELECT Id FROM {name}", "queryAll")
        assert answer.json()[0]["errorCode"] == "INVALID_TYPE"
    listed = {one["name"] for one in client.get("sobjects").json()["sobjects"]}
    assert "AccountHistory" in listed
    assert listed.isdisjoint({"OpportunityFieldHistory", "OpportunityHistory"})


def test_hiding_what_is_not_there_is_refused(own_org: Org, serve: Callable[..., Any]) -> None:
    server = serve(own_org).server
    for asked in ({"objects": ["Acount"]}, {"fields": ["Account.Fone"]}, {"fields": ["Account"]}):
        with pytest.raises(ValueError, match="no such"):
            server.control(forbid=asked)
    server.control(forbid={"objects": ["account", "Record_Deleted__e"], "fields": ["Case.STATUS"]})
