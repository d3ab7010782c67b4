"""`explore`: what the token may do, and what the org and the catalog do not have in common."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asking_atlan import set_attributes
from click.testing import CliRunner
from event_making import ORG, record_line, schema_line
from running_target import Runs

from localcloud.atlan.running import Running
from microdecisions.errors import ConfigurationError
from target_atlan_metadata import explore

NOW = datetime.now(UTC).replace(microsecond=0)
LINES = [schema_line(), record_line(1, at=NOW - timedelta(hours=1))]


def explored(runs: Runs, *options: str, **config: Any) -> str:
    path = runs.folder / "config.json"
    path.write_text(json.dumps({**runs.config, **config}))
    done = CliRunner().invoke(explore.command(), ["--config", str(path), *options], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def may(runs: Runs, **config: Any) -> dict[str, bool | None]:
    """What the token may do, in short."""
    found = json.loads(explored(runs, "--json", **config))["may"]
    return {one["what"].partition(":")[0]: one["allowed"] for one in found}


def test_explore_tells_what_the_token_may_do_and_does_nothing(runs: Runs, atlan: Running) -> None:
    wanted = {"lineage": "auto", "delete_burst": 9}
    runs(LINES)
    seen = atlan.journal().total
    everything = {
        "note the ledger on the connection",
        "write figures on objects",
        "write figures on fields",
        "put announcements on objects",
        "make processes of lineage",
    }
    assert may(runs, **wanted) == {**dict.fromkeys(everything, True), "make or extend the set": None}
    kinds = {one.kind for one in atlan.journal(seen).requests}
    assert "evaluate" in kinds
    assert not kinds & {"bulk", "typedefs_create", "typedefs_update"}
    atlan.control(privileges={"deny": ["write_custom_metadata", "create_assets", "create_custom_metadata"]})
    assert {name for name, allowed in may(runs, **wanted).items() if allowed} == {"put announcements on objects"}
    shown = explored(runs, **wanted)
    assert "no        write figures on objects" in shown
    assert "update" in shown.split("write figures on objects")[1].splitlines()[0]  # what to grant
    assert set(may(runs)) == {*everything, "make or extend the set"} - {
        "put announcements on objects",
        "make processes of lineage",
    }


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_tenant_that_does_not_tell_what_one_may_is_explored_all_the_same(
    runs: Runs, atlan: Running, status: int
) -> None:
    atlan.control(fail=[{"pattern": "POST /api/meta/entity/evaluator", "status": status, "times": None}])
    assert set(may(runs).values()) == {None}
    assert "not known" in explored(runs)


def test_explore_holds_the_ledger_against_the_catalog_both_ways(runs: Runs, atlan: Running) -> None:
    setup = record_line(3, at=NOW, record_type="Setup", field_name=None, event_type="setup_change")
    runs([*LINES, record_line(2, at=NOW, record_type="Shipment__c"), setup])  # of Setup there are no figures
    found = json.loads(explored(runs, "--json"))
    assert (found["ledger"]["matched"], found["ledger"]["missing_objects"]) == (["Case"], ["Shipment__c"])
    assert found["ledger"]["other_objects"] == ["Contract", "Lead"]
    assert found["org"] is None
    assert found["connections"][0]["organizations"][0]["org"][:15] == ORG[:15]
    (organization,) = atlan.assets("SalesforceOrganization")
    set_attributes(atlan, organization.guid, sourceId="00D000000000002AAA")
    shown = explored(runs)
    assert "Contract, Lead" in shown
    assert f"org {ORG}" in shown
    assert "00D000000000002AAA" in shown


def of_tap(runs: Runs, **changes: Any) -> Path:
    """What the tap's `explore --output` writes, with what is of no matter here."""
    objects = [
        {"stream": "case_history", "object": "CaseHistory", "parent": "Case", "tracked_fields": ["Owner", "Color__c"]},
        {
            "stream": "shipment__c_history",
            "object": "Shipment__History",
            "parent": "Shipment__c",
            "tracked_fields": ["A"],
        },
        {"stream": "login_history", "object": "LoginHistory", "parent": None, "tracked_fields": []},
        {"stream": "contract", "object": "Contract", "parent": None, "tracked_fields": []},
    ]
    told = {"org_id": ORG, "calls_used": 9, "objects": objects, "untracked_objects": ["Lead", "Invoice__c"], **changes}
    path = runs.folder / "org.json"
    path.write_text(json.dumps(told))
    return path


def test_explore_holds_the_org_against_the_catalog_before_anything_was_loaded(runs: Runs, atlan: Running) -> None:
    shown = explored(runs, "--org", str(of_tap(runs)))
    assert "Not compared: There is no ledger" in shown
    for line in (
        "3  objects with an asset",  # Contract too: a stream of it has its own rows
        "2  objects without: Invoice__c, Shipment__c",
        "1  fields without: Case.Color__c",  # `Owner` is history's name of OwnerId
        "0  other objects in the catalog: none",
    ):
        assert line in shown
    (organization,) = atlan.assets("SalesforceOrganization")
    set_attributes(atlan, organization.guid, sourceId=ORG)
    other = "00D000000000002AAA"
    assert other not in explored(runs, "--org", str(of_tap(runs)))
    assert f"The file is of org {other}" in explored(runs, "--org", str(of_tap(runs, org_id=other)))


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"org_id": 1, "objects": []}', b"\xff", b"[" * 100_000])
def test_a_file_that_is_not_of_the_tap_is_one_sentence(runs: Runs, atlan: Running, content: bytes | None) -> None:
    path = runs.folder / "other.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"--org .*`tap-salesforce-temporal explore --output FILE`\.$"):
        explored(runs, "--org", str(path))
    assert not atlan.journal().total


def test_explore_compares_with_the_organization_that_a_run_would_take(runs: Runs, atlan: Running) -> None:
    runs(LINES)
    atlan.control(crawl={"organization": "Other Org", "objects": {"Case": ["Status"], "Shipment__c": ["Amount__c"]}})
    found = json.loads(explored(runs, "--json", "--org", str(of_tap(runs))))
    assert (found["ledger"]["matched"], found["ledger"]["other_objects"]) == (["Case"], ["Contract", "Lead"])
    assert found["org"]["missing_objects"] == ["Invoice__c", "Shipment__c"]
    for organization in atlan.assets("SalesforceOrganization"):
        set_attributes(atlan, organization.guid, sourceId="")
    assert "Not compared: The Salesforce connection in Atlan has 2 organizations" in explored(runs)
    named = next(one.qualified_name for one in atlan.assets("SalesforceOrganization") if one.name == "Other Org")
    found = json.loads(explored(runs, "--json", organization_qualified_name=named))
    assert (found["ledger"]["matched"], found["ledger"]["other_objects"]) == (["Case"], ["Shipment__c"])
