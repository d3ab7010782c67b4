"""Describe and limits by simple-salesforce over our session, and how its troubles look."""

from __future__ import annotations

from typing import Any

import pytest

from microdecisions.describe import FieldDescription, Limit, ObjectSummary, SalesforceMetadata
from microdecisions.errors import SalesforceError

HISTORY = {
    "name": "Case__History",
    "keyPrefix": None,
    "label": "Case History",
    "queryable": True,
    "replicateable": True,
    "associateEntityType": "History",
    "associateParentEntity": "Case",
    "urls": {"sobject": "/services/data/v66.0/sobjects/Case__History"},
}
FIELD = {
    "name": "OldValue",
    "type": "anyType",
    "filterable": False,
    "sortable": True,
    "nillable": True,
    "referenceTo": [],
    "relationshipName": None,
    "custom": False,
    "length": 255,
}


def test_describe_global_gives_typed_objects(org: Any, connect: Any) -> None:
    org.script(org.reply.json({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [HISTORY]}))
    (found,) = SalesforceMetadata(connect()).describe_global()
    assert found == ObjectSummary(
        name="Case__History",
        label="Case History",
        queryable=True,
        replicateable=True,
        associate_entity_type="History",
        associate_parent_entity="Case",
    )
    assert org.calls[0].path == "/services/data/v66.0/sobjects"
    assert org.calls[0].token == org.issued[0]


def test_describe_gives_fields(org: Any, connect: Any) -> None:
    org.script(org.reply.json({**HISTORY, "fields": [FIELD]}))
    described = SalesforceMetadata(connect()).describe("Case__History")
    assert described.name == "Case__History"
    assert described.fields == (FieldDescription(name="OldValue", type="anyType", sortable=True, nillable=True),)
    assert org.calls[0].path == "/services/data/v66.0/sobjects/Case__History/describe"


def test_a_name_cannot_leave_its_place_in_the_path(org: Any, connect: Any) -> None:
    org.script(org.reply.json({**HISTORY}))
    SalesforceMetadata(connect()).describe("../limits?x=")
    assert org.calls[0].path == "/services/data/v66.0/sobjects/..%2Flimits%3Fx%3D/describe"


def test_limits_tell_what_is_left(org: Any, connect: Any) -> None:
    org.script(
        org.reply.json(
            {
                "DailyApiRequests": {"Max": 15000, "Remaining": 14998, "Some App": {"Max": 0, "Remaining": 0}},
                "DailyBulkV2QueryFileStorageMB": {"Max": 976562, "Remaining": 976562},
            }
        )
    )
    limits = SalesforceMetadata(connect()).limits()
    assert limits.daily_api_requests == Limit(max=15000, remaining=14998)
    assert limits.daily_bulk_v2_query_file_storage_mb == Limit(max=976562, remaining=976562)
    assert limits.daily_bulk_v2_query_jobs is None


def test_an_expired_session_is_renewed_under_simple_salesforce(org: Any, connect: Any) -> None:
    metadata = SalesforceMetadata(connect())
    org.script(org.reply.json({"sobjects": []}))
    metadata.describe_global()
    org.expired.add(org.issued[0])
    assert metadata.describe_global() == []
    assert len(org.token_calls) == 2


def test_errors_are_those_of_the_session(org: Any, connect: Any) -> None:
    org.script(org.reply.error(404, "NOT_FOUND", "The requested resource does not exist"))
    with pytest.raises(SalesforceError) as caught:
        SalesforceMetadata(connect()).describe("Nothing__c")
    assert (caught.value.status, caught.value.code) == (404, "NOT_FOUND")
    assert "sobjects/Nothing__c/describe" in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>secret</html>", b"[]", b'{"sobjects": [{"label": "secret"}]}', b"{}"])
def test_an_answer_of_another_shape_is_one_sentence(org: Any, connect: Any, body: bytes) -> None:
    org.script(org.reply(200, body))
    with pytest.raises(SalesforceError, match="the list of objects in a form that cannot be read") as caught:
        SalesforceMetadata(connect()).describe_global()
    assert "secret" not in str(caught.value)
