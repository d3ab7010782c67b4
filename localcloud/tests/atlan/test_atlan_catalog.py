"""The catalog that is there from the start: it matches the org and its warehouse, and no name can be built."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from localcloud import lifecycle
from localcloud.atlan.seeding import crawled, table_names
from localcloud.atlan.types import TYPES
from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org
from localcloud.salesforce.running import serve_in_thread as serve_org
from localcloud.salesforce.schema import OBJECTS

NOW = datetime(2025, 1, 2, 3, 4, tzinfo=UTC)
REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "atlan" / "typedefs.json"


def api_names(catalog: Any, type_name: str) -> list[str]:
    return sorted(str(one.attributes["apiName"]) for one in catalog.server.assets(type_name))


def test_it_lists_the_objects_and_fields_of_the_org(catalog: Any) -> None:
    objects = crawled(OBJECTS)
    assert api_names(catalog, "SalesforceObject") == sorted(one.name for one in objects)
    fields = {(one.name, field.name) for one in objects for field in one.fields}
    found = catalog.server.assets("SalesforceField")
    parents = {one.qualified_name: one for one in catalog.server.assets("SalesforceObject")}
    assert len(found) == len(fields)
    assert {
        (str(parents[str(one.attributes["objectQualifiedName"])].attributes["apiName"]), str(one.attributes["apiName"]))
        for one in found
    } == fields


def test_histories_are_not_catalogued_but_their_tables_are(catalog: Any) -> None:
    assert "AccountHistory" not in api_names(catalog, "SalesforceObject")
    tables = [one for one in catalog.server.assets("Table") if one.attributes["schemaName"] == "SALESFORCE"]
    assert sorted(one.name for one in tables) == sorted(table_names(OBJECTS))
    assert {"ACCOUNT_HISTORY", "INVOICE__HISTORY", "OPPORTUNITY_FIELD_HISTORY", "TASK", "DELETE_EVENTS"} <= {
        one.name for one in tables
    }
    assert {one.attributes["databaseName"] for one in tables} == {"RAW"}


def test_it_follows_the_schema_of_an_org(serve: Callable[..., Any], tmp_path: Path) -> None:
    org = next(one for one in OBJECTS if one.name == "Account")
    with Org.create(tmp_path / "org", clock=OrgClock(NOW)) as made:
        name, key = made.settings.name, made.org_id
    catalog = serve(tmp_path / "org", clock=None)
    (organization,) = catalog.server.assets("SalesforceOrganization")
    assert (organization.name, organization.attributes["sourceId"]) == (name, key)
    account = catalog.asset("SalesforceObject", "Account")
    assert account.attributes["fieldCount"] == len(org.fields)
    with Org.open(tmp_path / "org") as opened:
        assert abs(opened.clock.now_ms() - account.created_at) < 600_000, "the org's own clock"


def test_qualified_names_come_in_several_forms(catalog: Any) -> None:
    """The form of a real tenant is not published (developer.atlan.com names only the connection's prefix)."""
    (organization,) = catalog.server.assets("SalesforceOrganization")
    objects = catalog.server.assets("SalesforceObject")
    above = organization.qualified_name
    built = [one for one in objects if one.qualified_name == f"{above}/{one.attributes['apiName']}"]
    assert 0 < len(built) < len(objects) / 2
    shown = [one for one in objects if one.name != one.attributes["apiName"]]
    assert shown, "names are labels too"


def test_the_seed_decides_names_and_ids(serve: Callable[..., Any], tmp_path: Path) -> None:
    def names(folder: str, seed: int) -> dict[str, str]:
        catalog = serve(tmp_path / folder, seed=seed)
        return {one.guid: one.qualified_name for one in catalog.server.assets()}

    first = names("one", 1)
    assert names("two", 1) == first
    assert not first.keys() & names("three", 2).keys()


def test_an_object_was_there_under_another_name_before(catalog: Any) -> None:
    opportunities = [
        one
        for one in catalog.server.assets("SalesforceObject", archived=True)
        if one.attributes["apiName"] == "Opportunity"
    ]
    assert sorted(one.status for one in opportunities) == ["ACTIVE", "DELETED"]


def test_somebody_else_has_custom_metadata_there(catalog: Any) -> None:
    holders = [one for one in catalog.server.assets("SalesforceObject") if one.custom_metadata]
    assert 0 < len(holders) < len(catalog.server.assets("SalesforceObject"))
    found = catalog.server.custom_metadata("Data Stewardship", holders[0].guid)
    assert found.keys() == {"Steward", "Reviewed on", "Retention (years)"}


def test_a_crawl_adds_archives_and_keeps_custom_metadata(catalog: Any) -> None:
    """A new crawl writes its own attributes; custom metadata is expected to outlive it (unverified)."""
    holder = next(one for one in catalog.server.assets("SalesforceObject") if one.custom_metadata)
    name = str(holder.attributes["apiName"])
    catalog.server.control(clock={"advance_seconds": 60})
    crawl = {"objects": {"Shipment__c": ["Id", "Carrier__c"], name: ["New__c"]}, "remove": ["Lead", "Case.Priority"]}
    assert catalog.server.control(crawl=crawl).crawled == 4
    assert catalog.server.asset(holder.guid).custom_metadata == holder.custom_metadata
    assert catalog.server.asset(holder.guid).updated_at == holder.updated_at + 60_000
    names = api_names(catalog, "SalesforceObject")
    assert "Shipment__c" in names
    assert "Lead" not in names
    assert {"New__c", "Carrier__c"} <= set(api_names(catalog, "SalesforceField"))
    assert "LeadSource" not in {
        one.attributes["apiName"]
        for one in catalog.server.assets("SalesforceField")
        if "ead" in str(one.attributes["objectQualifiedName"])
    }


def test_a_crawl_can_make_everything_anew(catalog: Any) -> None:
    before = {one.guid for one in catalog.server.assets("SalesforceObject")}
    catalog.server.control(crawl={"new_guids": True})
    objects = catalog.server.assets("SalesforceObject")
    assert not before & {one.guid for one in objects}
    assert not any(one.custom_metadata for one in objects)
    guids = {one.guid for one in objects}
    assert all(set(one.references["object"]) <= guids for one in catalog.server.assets("SalesforceField"))


def test_a_connection_can_hold_two_organizations(catalog: Any) -> None:
    catalog.server.control(crawl={"organization": "Sandbox", "objects": {"Account": ["Id"]}})
    assert len(catalog.server.assets("SalesforceOrganization")) == 2
    accounts = [one for one in catalog.server.assets("SalesforceObject") if one.attributes["apiName"] == "Account"]
    assert len({one.attributes["organizationQualifiedName"] for one in accounts}) == 2


@pytest.mark.skipif(not REAL.exists(), reason="the definitions of a real tenant are not here")
def test_types_and_attributes_are_those_of_a_real_tenant() -> None:
    """`typedefs.json` of atlanhq/atlan-python, tests/unit/data: read, not copied; it is of 2022."""
    real = {one["name"]: one for one in json.loads(REAL.read_text(encoding="utf-8"))["entityDefs"]}
    for kind in TYPES.values():
        known = {one["name"]: one["typeName"] for one in real[kind.name]["attributeDefs"]}
        assert {one.name: one.type for one in kind.attributes if known.get(one.name) != one.type} == {}
        if kind.parent is not None:
            assert kind.parent in real[kind.name]["superTypes"]
        relations = {one["name"] for one in real[kind.name].get("relationshipAttributeDefs", [])}
        assert {one.name for one in kind.relations} <= relations | known.keys()


def test_it_is_a_program_of_its_own(tmp_path: Path) -> None:
    org = tmp_path / "org"
    Org.create(org, clock=OrgClock(NOW)).close()
    server = lifecycle.start(lifecycle.atlan(org, tls=True), org)
    try:
        assert (server.name, server.scheme) == ("atlan", "https")
        assert lifecycle.find("atlan", org) is not None
        assert (org / "atlan.sqlite").exists()
        again = lifecycle.start(lifecycle.atlan(org), org)
        assert (again.pid, again.started_here) == (server.pid, False)
        with serve_org(org) as salesforce:
            assert f'href="{server.url}/"' in requests.get(salesforce.url, timeout=30).text, "the org's page leads here"
    finally:
        assert lifecycle.stop("atlan", org)


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server((lifecycle.HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(lifecycle.LifecycleError, match=f"port {port} on 127.0.0.1 is taken"):
            lifecycle.start(lifecycle.atlan(tmp_path), tmp_path, port=port)


def test_a_catalog_can_be_copied_while_it_rests(serve: Callable[..., Any], tmp_path: Path) -> None:
    first = serve(tmp_path / "one")
    guids = {one.guid for one in first.server.assets()}
    first.server.stop()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert {one.guid for one in serve(tmp_path / "two").server.assets()} == guids
