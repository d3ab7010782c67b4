"""`explore`: what the token may do, and what the org and the catalog do not have in common."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asking_atlan import set_attributes
from click.testing import CliRunner
from event_making import ORG, record_line, schema_line
from running_target import Runs

from localcloud.atlan.running import Running
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


def test_explore_holds_the_org_against_the_catalog_both_ways(runs: Runs, atlan: Running) -> None:
    runs([*LINES, record_line(2, at=NOW, record_type="Shipment__c")])
    found = json.loads(explored(runs, "--json"))
    assert (found["matched"], found["missing_objects"]) == (["Case"], ["Shipment__c"])
    assert found["silent_objects"] == ["Contract", "Lead"]
    assert found["connections"][0]["organizations"][0]["org"][:15] == ORG[:15]
    (organization,) = atlan.assets("SalesforceOrganization")
    set_attributes(atlan, organization.guid, sourceId="00D000000000002AAA")
    shown = explored(runs)
    assert "Contract, Lead" in shown
    assert f"org {ORG}" in shown
    assert "00D000000000002AAA" in shown
