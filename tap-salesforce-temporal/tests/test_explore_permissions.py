"""How permissions are judged by what an org says, on answers that a stand-in for a session gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote

import msgspec
import pytest

from microdecisions.errors import SalesforceError
from microdecisions.session import SalesforceSession
from tap_salesforce_temporal.explore.findings import Permission
from tap_salesforce_temporal.explore.permissions import check_permissions

USER = "005000000000001AAA"
ALL = {
    "PermissionsViewAllData": True,
    "PermissionsViewSetup": True,
    "PermissionsManageUsers": True,
    "PermissionsViewEventLogFiles": True,
}
Rows = list[dict[str, Any]]


class Answers:
    """Answers each statement by the object that it reads; without rows for it, INVALID_TYPE."""

    api_version = "66.0"

    def __init__(self, **rows: Rows) -> None:
        self._rows: dict[str, Rows] = {"SetupAuditTrail": [], "LoginHistory": [], "EventLogFile": [], "User": []} | rows

    def answer(self, statement: str) -> tuple[int, object]:
        rows = self._rows.get(statement.partition(" FROM ")[2].split()[0])
        if rows is None:
            return 400, [{"errorCode": "INVALID_TYPE", "message": "no"}]
        return 200, {"totalSize": len(rows), "done": True, "records": rows}

    def get_bytes(self, resource: str, params: dict[str, str]) -> SimpleNamespace:
        status, body = self.answer(params["q"])
        if status != 200:
            raise SalesforceError(resource, status=status, code="INVALID_TYPE")
        return SimpleNamespace(body=msgspec.json.encode(body))

    def request(self, method: str, target: str, *, json: Any, purpose: str) -> SimpleNamespace:
        assert (method, target, purpose) == ("POST", "composite", "query")
        parts = [(part, *self.answer(unquote(part["url"].partition("q=")[2]))) for part in json["compositeRequest"]]
        answers = [
            {"referenceId": part["referenceId"], "httpStatusCode": status, "body": body} for part, status, body in parts
        ]
        return SimpleNamespace(body=msgspec.json.encode({"compositeResponse": answers}))


def checked(name: str, **rows: Rows) -> Permission:
    session = cast("SalesforceSession", Answers(**rows))
    found = check_permissions(session, USER, ["Account", "Case"])
    return next(permission for permission in found if permission.name == name)


def test_a_request_that_is_answered_is_no_proof_where_the_org_says_no() -> None:
    found = checked("Manage Users", UserPermissionAccess=[ALL | {"PermissionsManageUsers": False}])
    assert (found.state, "UserPermissionAccess says no" in found.evidence) == ("missing", True)


@pytest.mark.parametrize("source", ["UserPermissionAccess", "PermissionSet"])
def test_the_org_is_asked_for_the_users_permissions_in_two_ways(source: str) -> None:
    found = checked("View All Data", **{source: [ALL]})
    assert (found.state, found.evidence) == ("granted", f"{source} says so")


def test_a_permission_of_any_set_counts() -> None:
    assert checked("View All Data", PermissionSet=[ALL | {"PermissionsViewAllData": False}, ALL]).state == "granted"


@pytest.mark.parametrize(
    ("objects", "state", "named"),
    [(["Account", "Case"], "granted", ""), (["Account"], "partly", "Case"), ([], "missing", "no object")],
)
def test_without_view_all_data_the_objects_themselves_are_asked(objects: list[str], state: str, named: str) -> None:
    none: Rows = [dict.fromkeys(ALL, False)]
    found = checked(
        "View All Data", UserPermissionAccess=none, ObjectPermissions=[{"SobjectType": name} for name in objects]
    )
    assert (found.state, named in found.evidence) == (state, True)


def test_what_the_org_does_not_tell_is_unknown_and_not_guessed() -> None:
    assert checked("View All Data").state == "unknown"
    assert checked("Manage Users").state == "granted"  # its request was answered
