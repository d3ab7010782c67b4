"""The set of custom metadata: whose it is, which connections it is for, and answers that got lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asking_atlan import define, definition, shown
from event_making import record_line, schema_line
from running_target import SET, Runs, carried

from localcloud.atlan.running import Running
from microdecisions.errors import ConfigurationError
from target_atlan_metadata.attributes import ATTRIBUTES
from target_atlan_metadata.errors import AtlanRefusedError

NOW = datetime.now(UTC).replace(microsecond=0)
LINES = [schema_line(), record_line(1, at=NOW - timedelta(hours=1))]
SECOND = "default/salesforce/1799999999"


def connections(atlan: Running) -> set[frozenset[str]]:
    """Which connections the attributes of the set are for."""
    texts = [one["options"]["applicableConnections"] for one in definition(atlan)["attributeDefs"]]
    return {frozenset(json.loads(text)) for text in texts}


def add_second(atlan: Running) -> str:
    """A second connection of Salesforce; the GUID of its one object."""
    of: dict[str, Any] = {"connectorName": "salesforce"}
    object_ = {"apiName": "Case", "qualifiedName": f"{SECOND}/x/Case", "connectionQualifiedName": SECOND}
    added = [
        {"type_name": "Connection", "attributes": {"name": "second", "qualifiedName": SECOND, **of}},
        {"type_name": "SalesforceObject", "attributes": {"name": "Case", **object_, **of}},
    ]
    return atlan.control(add=added).added[1]


def test_a_second_connection_gets_the_set_of_the_first(runs: Runs, atlan: Running) -> None:
    runs(LINES)
    ((first,),) = connections(atlan)
    case = add_second(atlan)
    second = {"connection_qualified_name": SECOND, "ledger_url": f"sqlite:///{runs.folder / 'second.db'}"}
    with pytest.raises(ConfigurationError, match="`create_custom_metadata`"):
        runs(LINES, **second, create_custom_metadata="never")
    assert runs(LINES, **second, dry_run=True).written == 1
    assert connections(atlan) == {frozenset({first})}
    runs(LINES, **second)
    assert connections(atlan) == {frozenset({first, SECOND})}
    assert SET in shown(atlan, case)
    updates = [one.kind for one in atlan.journal().requests].count("typedefs_update")
    runs(LINES, **second)
    runs(LINES, connection_qualified_name=first)
    assert [one.kind for one in atlan.journal().requests].count("typedefs_update") == updates == 1


def test_a_set_of_somebody_else_is_left_alone(runs: Runs, atlan: Running) -> None:
    theirs = definition(atlan, "Data Stewardship")
    with pytest.raises(ConfigurationError, match=r"not of this target.*`custom_metadata_name`"):
        runs(LINES, custom_metadata_name="Data Stewardship")
    assert definition(atlan, "Data Stewardship") == theirs


def without_one(atlan: Running) -> None:
    """The set as an earlier version made it: an attribute is missing."""
    old = definition(atlan)
    for one in old["attributeDefs"]:
        if one["displayName"] == "Deletes":
            one["displayName"] = "Deletes (old)"
    define(atlan, old)


def test_a_set_is_extended_although_the_answer_was_lost(runs: Runs, atlan: Running, naps: list[float]) -> None:
    runs(LINES)
    without_one(atlan)
    atlan.control(drop=[{"pattern": "PUT /api/meta/types/typedefs", "times": 1, "after_bytes": 0}])
    runs(LINES)
    assert naps
    assert carried(atlan, "Case")["Deletes"] == 0
    names = [one["displayName"] for one in definition(atlan)["attributeDefs"]]
    assert sorted(names) == sorted([*(one.name for one in ATTRIBUTES), "Deletes (old)"])


def test_a_set_that_may_not_be_extended_is_refused(runs: Runs, atlan: Running) -> None:
    runs(LINES)
    without_one(atlan)
    atlan.control(fail=[{"pattern": "PUT /api/meta/types/typedefs", "status": 400}])
    with pytest.raises(AtlanRefusedError, match="refuses to extend"):
        runs(LINES)
