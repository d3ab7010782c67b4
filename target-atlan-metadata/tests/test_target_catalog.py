"""Events and the catalog: whose organization it is, which asset a name means, and what has none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from asking_atlan import set_attributes
from event_making import ORG, record_line, schema_line
from running_target import Runs, carried

from localcloud.atlan.running import Running
from microdecisions.errors import ConfigurationError

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
