"""Events and the catalog: whose organization it is, which asset a name means, and what has none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from asking_atlan import put_values, set_attributes
from event_making import ORG, record_line, schema_line, state_line
from pyatlan.client.asset import IndexSearchResults
from running_target import SET, Runs, carried, guid

from localcloud.atlan.running import Running
from microdecisions.errors import ConfigurationError
from target_atlan_metadata.errors import AtlanError, LedgerLostError
from target_atlan_metadata.gateway import Gateway

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
OTHER = "00D000000000002AAA"


def changes(field: str, *numbers: int, sobject: str = "Case") -> list[str]:
    return [
        record_line(number, at=NOW - number * HOUR, field_name=field, record_type=sobject, actor_id=f"005{number}")
        for number in numbers
    ]


def test_all_names_of_an_asset_are_summed_up_on_it(runs: Runs, atlan: Running) -> None:
    """History names a look-up `Owner`, other sources `OwnerId`; names of Salesforce have no case."""
    events = [schema_line(), *changes("Owner", 2, 3, 4, 5), *changes("OwnerId", 1), *changes("Status", 6)]
    runs([*events, *changes("status", 7, 8), *changes("Status", 9, sobject="case")])
    owner, status = carried(atlan, "Case", "OwnerId"), carried(atlan, "Case", "Status")
    assert (owner["Changes"], owner["Changes in 7 days"], owner["Last changed by"]) == (5, 5, "0051")
    assert (status["Changes"], status["Last changed by"]) == (4, "0056")
    assert carried(atlan, "Case")["Changes"] == 9
    assert runs(events).writes == 0


def test_events_of_another_org_than_the_catalogs_are_refused_before_anything_is_counted(
    runs: Runs, atlan: Running
) -> None:
    (organization,) = atlan.assets("SalesforceOrganization")
    set_attributes(atlan, organization.guid, sourceId=OTHER)
    with pytest.raises(ConfigurationError, match=rf"{ORG}.*{OTHER}.*`connection_qualified_name`"):
        runs([schema_line(), *changes("Status", 1)])
    assert not [one for one in atlan.journal().requests if one.kind == "bulk"]
    assert runs([]).written == 0
    set_attributes(atlan, organization.guid, sourceId=ORG[:15])
    assert runs([schema_line(), *changes("Status", 1)]).written == 2
    set_attributes(atlan, organization.guid, sourceId=OTHER)
    with pytest.raises(ConfigurationError, match=OTHER):
        runs([])


@pytest.mark.parametrize("unsaid", ["", "acme.my.salesforce.com"])
def test_a_catalog_that_does_not_say_its_org_takes_any(runs: Runs, atlan: Running, unsaid: str) -> None:
    (organization,) = atlan.assets("SalesforceOrganization")
    set_attributes(atlan, organization.guid, sourceId=unsaid)
    assert runs([schema_line(), *changes("Status", 1)]).written == 2


def test_fields_without_an_asset_are_reported_and_fail_no_run(runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    events = [schema_line(), *changes("Nothing__c", 1, 2), *changes("Amount__c", 3, sobject="Shipment__c")]
    caplog.set_level("INFO")
    report = runs(events)
    assert report.unresolved_fields == {"Case.Nothing__c": 2}
    assert report.unresolved == {"Shipment__c": 1}
    assert "1 fields not in the catalog" in caplog.text
    assert runs([], asset_levels=["object"]).unresolved_fields == {}
    alone = {"ledger_url": f"sqlite:///{runs.folder / 'alone.db'}", "allow_ledger_change": True}
    runs([schema_line(), *changes("Nothing__c", 1)], on_unresolved="fail", **alone)


MANY = [f"Field{number}__c" for number in range(300)]  # so that a search has two pages


def of_many() -> list[str]:
    return [
        schema_line(),
        *(record_line(number, at=NOW - HOUR, field_name=field) for number, field in enumerate(MANY)),
    ]


def searches(atlan: Running, after: int = 0) -> int:
    return sum(one.kind == "search" for one in atlan.journal(after).requests)


@pytest.mark.parametrize("counted", [True, False])
def test_a_search_that_leaves_out_a_part_is_asked_again(runs: Runs, atlan: Running, counted: bool) -> None:
    atlan.control(crawl={"objects": {"Case": MANY}})
    lost = [guid(atlan, "Case"), *(one.guid for one in atlan.assets("SalesforceField")[::7])]
    atlan.control(lose=[{"guids": lost, "counted": counted}])
    report = runs(of_many())
    assert (report.written, report.unresolved_fields, report.unresolved) == (301, {}, {})


def test_a_whole_answer_of_a_search_is_asked_for_once(runs: Runs, atlan: Running) -> None:
    runs([schema_line(), *changes("Status", 1)])
    assert searches(atlan) == 3  # connections, organizations, and objects with their fields
    atlan.control(crawl={"objects": {"Case": MANY}})
    seen = atlan.journal().total
    runs(of_many())
    assert searches(atlan, seen) == 4


def test_what_a_search_counts_and_never_shows_is_unresolved_and_keeps_nothing_else_back(
    runs: Runs, atlan: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """The index may have documents of assets that are no more (`EntityDiscoveryService.prepareSearchResult`)."""
    atlan.control(crawl={"objects": {"Case": MANY}})
    atlan.control(lose=[{"guids": [guid(atlan, "Case", MANY[0])], "times": None}])
    report = runs([*of_many(), state_line({"seen": 1})])
    assert (report.written, report.unresolved_fields) == (300, {f"Case.{MANY[0]}": 1})
    assert "counts 1 assets that it does not show" in caplog.text
    assert "seen" in runs.out
    atlan.control(reset=True)
    assert runs([]).written == 1


def test_a_page_without_a_live_asset_does_not_end_a_search(
    runs: Runs, atlan: Running, caplog: pytest.LogCaptureFixture
) -> None:
    atlan.control(crawl={"objects": {"Case": [f"Gone{number}__c" for number in range(900)]}})
    live = {guid(atlan, "Case"), guid(atlan, "Case", "Status")}
    everything = {one.guid for kind in ("SalesforceObject", "SalesforceField") for one in atlan.assets(kind)}
    assert len(everything) > 3 * 250 + 2  # before, between or behind the two there is a whole page
    atlan.control(lose=[{"guids": sorted(everything - live), "times": None}])
    assert runs([schema_line(), *changes("Status", 1)]).written == 2
    assert f"counts {len(everything) - 2} assets that it does not show" in caplog.text


def test_a_crawl_that_adds_an_asset_each_time_ends_no_run_though_one_is_never_shown(
    runs: Runs, atlan: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    atlan.control(lose=[{"guids": [guid(atlan, "Lead", "Status")], "times": None}])
    real, number = Gateway.read, count()

    def read(gateway: Gateway, what: str, operation: Any) -> Any:
        if what == "search the catalog":
            atlan.control(crawl={"objects": {"Contract": [f"New{next(number)}__c"]}})
        return real(gateway, what, operation)

    monkeypatch.setattr(Gateway, "read", read)
    assert runs([schema_line(), *changes("Status", 1)]).written == 2


def test_a_search_that_shows_something_else_each_time_ends_the_run_before_anything_is_written(
    runs: Runs, atlan: Running
) -> None:
    runs([schema_line(), *changes("Status", 1)])
    seen = atlan.journal().total
    lost = sorted(one.guid for kind in ("SalesforceObject", "SalesforceField") for one in atlan.assets(kind))[:3]
    atlan.control(lose=[{"guids": lost[number:]} for number in range(3)])
    with pytest.raises(AtlanError, match=r"leaves \d+ of \d+ assets out, each time others.*run again later"):
        runs([schema_line(), *changes("Status", 2), state_line({"seen": 2})])
    assert "seen" not in runs.out
    assert not [one for one in atlan.journal(seen).requests if one.kind == "bulk"]
    runs([schema_line(), *changes("Status", 2), state_line({"seen": 2})])
    assert carried(atlan, "Case")["Changes"] == 2


def test_assets_that_go_while_they_are_searched_end_no_run(
    runs: Runs, atlan: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    atlan.control(crawl={"objects": {"Case": MANY}})
    going = max(one.guid for one in atlan.assets("SalesforceField"))
    real = Gateway.read

    def read(gateway: Gateway, what: str, operation: Any) -> Any:
        found = real(gateway, what, operation)
        if searches(atlan) == 3 and (one := atlan.asset(going)) is not None and one.active:
            atlan.control(archive=[going])
        return found

    monkeypatch.setattr(Gateway, "read", read)
    assert runs([schema_line(), *changes("Status", 1)]).written == 2
    one = atlan.asset(going)
    assert one is not None
    assert not one.active


def test_a_catalog_too_large_for_the_order_of_the_client_is_loaded_whole(
    runs: Runs, atlan: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above 100,000 assets pyatlan itself asks once more, sorted by time: the next page by GUID would miss some."""
    monkeypatch.setattr(IndexSearchResults, "_MASS_EXTRACT_THRESHOLD", 100)
    for start in range(0, len(MANY), 100):
        atlan.control(crawl={"objects": {"Case": MANY[start : start + 100]}}, clock={"advance_seconds": 60})
    assert runs(of_many()).unresolved_fields == {}
    assert searches(atlan) == 4


def other_org(atlan: Running, org: str = OTHER, **objects: list[str]) -> None:
    """A second organization of the connection, with objects; its id only where one is given."""
    atlan.control(crawl={"organization": "Other Org", "objects": objects})
    (other,) = (one for one in atlan.assets("SalesforceOrganization") if one.name == "Other Org")
    if org:
        set_attributes(atlan, other.guid, sourceId=org)


def of_objects(atlan: Running, name: str) -> dict[str, Any]:
    """Changes that each asset of an object shows, by the organization."""
    organizations = {one.qualified_name: one.name for one in atlan.assets("SalesforceOrganization")}
    return {
        organizations[str(one.attributes["organizationQualifiedName"])]: atlan.custom_metadata(SET, one.guid).get(
            "Changes"
        )
        for one in atlan.assets("SalesforceObject")
        if one.attributes.get("apiName") == name
    }


def test_of_several_organizations_the_one_with_the_id_of_the_events_is_taken(runs: Runs, atlan: Running) -> None:
    other_org(atlan, Case=["Status"], Shipment__c=["Amount__c"])
    assert runs([]).written == 0  # nothing tells the org yet
    events = [schema_line(), *changes("Status", 1), *changes("Amount__c", 2, sobject="Shipment__c")]
    report = runs(events)
    assert (report.written, report.unresolved) == (2, {"Shipment__c": 1})
    assert of_objects(atlan, "Case") == {"Mock Org": 1, "Other Org": None}
    assert of_objects(atlan, "Shipment__c") == {"Other Org": None}
    assert runs([schema_line(), *changes("Status", 3)]).written == 2
    assert of_objects(atlan, "Case") == {"Mock Org": 2, "Other Org": None}


def test_organizations_without_ids_have_to_be_named(runs: Runs, atlan: Running) -> None:
    other_org(atlan, org="", Shipment__c=["Amount__c"])
    (mock,) = (one for one in atlan.assets("SalesforceOrganization") if one.name == "Mock Org")
    set_attributes(atlan, mock.guid, sourceId="")
    with pytest.raises(ConfigurationError, match=r"2 organizations.*`organization_qualified_name`"):
        runs([schema_line(), *changes("Status", 1)])
    assert not [one for one in atlan.journal().requests if one.kind == "bulk"]
    report = runs([schema_line(), *changes("Status", 1)], organization_qualified_name=mock.qualified_name)
    assert report.written == 2
    set_attributes(atlan, mock.guid, sourceId=OTHER)
    with pytest.raises(ConfigurationError, match=r"2 organizations.*`organization_qualified_name`"):
        runs([])


def test_figures_of_another_ledger_are_seen_also_where_the_events_tell_the_organization(
    runs: Runs, atlan: Running
) -> None:
    other_org(atlan)
    runs([])
    put_values(atlan, guid(atlan, "Case"), {"Changes": 7})
    with pytest.raises(LedgerLostError):
        runs([schema_line(), *changes("Status", 1)])
    assert carried(atlan, "Case")["Changes"] == 7


def add_asset(atlan: Running, like: str, **changed: str | None) -> str:
    """A second asset beside one that is there; its GUID."""
    asset = atlan.asset(like)
    assert asset is not None
    kept = {name: value for name, value in {**asset.attributes, **changed}.items() if value is not None}
    attributes = {**kept, "qualifiedName": f"{asset.qualified_name}/{len(atlan.assets())}"}
    (made,) = atlan.control(add=[{"type_name": asset.type_name, "attributes": attributes}]).added
    return made


def test_all_assets_of_one_field_show_its_figures(runs: Runs, atlan: Running) -> None:
    status = guid(atlan, "Case", "Status")
    twins = [status, add_asset(atlan, status), add_asset(atlan, status, apiName="STATUS")]
    assert runs([schema_line(), *changes("Status", 1)]).written == 4
    atlan.control(refuse=[twins[1]])
    with pytest.raises(AtlanError, match="refuses 1 of the assets"):
        runs([schema_line(), *changes("Status", 2)])
    atlan.control(refuse=[])
    assert runs([]).written == 1
    assert [atlan.custom_metadata(SET, twin)["Changes"] for twin in twins] == [2, 2, 2]


def test_a_label_is_no_api_name_where_others_have_one(runs: Runs, atlan: Running) -> None:
    case = guid(atlan, "Case")
    labelled = [add_asset(atlan, case, name=name, apiName=None) for name in ("Shipment__c", "Case")]
    report = runs([schema_line(), *changes("Status", 1), *changes("Amount__c", 2, sobject="Shipment__c")])
    assert (report.written, report.unresolved) == (2, {"Shipment__c": 1})
    assert [atlan.custom_metadata(SET, one) for one in labelled] == [{}, {}]


def test_names_stand_for_api_names_where_no_object_has_one(runs: Runs, atlan: Running) -> None:
    case = guid(atlan, "Case")
    for one in atlan.assets("SalesforceObject"):
        set_attributes(atlan, one.guid, apiName="")
    runs([schema_line(), *changes("Status", 1)])
    assert atlan.custom_metadata(SET, case)["Changes"] == 1


def test_events_whose_ids_tell_no_org_need_the_organization_to_be_named(runs: Runs, atlan: Running) -> None:
    other_org(atlan, Case=["Status"])
    lines = [schema_line(), record_line(1, at=NOW - HOUR, event_id="another-tap:1"), state_line({"seen": 1})]
    with pytest.raises(
        ConfigurationError, match=r"2 organizations, and their ids do not tell.*`organization_qualified"
    ):
        runs(lines)
    assert "seen" not in runs.out
