"""Logging in: the JWT bearer flow, its refusals, and what an access token opens."""

from __future__ import annotations

import time

import pytest

from contract.documentation import IDENTITY, REST, documented
from contract.orgs import JWT_BEARER, TIMEOUT_S, ContractOrg

FLOW = "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration"


@documented(IDENTITY, FLOW)
def test_a_signed_assertion_is_answered_with_a_token_and_where_to_go_on(org: ContractOrg) -> None:
    answer = org.login_answer
    assert answer["token_type"] == "Bearer"
    assert answer["instance_url"].startswith("http")
    assert answer["access_token"].startswith(org.org_id[:15] + "!")
    assert org.org_id.startswith("00D")
    assert len(org.org_id) == 18
    assert org.user_id.startswith("005")


@documented(IDENTITY, FLOW)
@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"exp": int(time.time()) - 600}, "invalid_grant"),
        ({"aud": "https://example.invalid"}, "invalid_grant"),
        ({"sub": "nobody@contract.invalid"}, "invalid_grant"),
        ({"iss": "no-such-app"}, "invalid_client_id"),
    ],
    ids=["expired", "audience", "user", "app"],
)
def test_a_wrong_assertion_is_refused_with_its_error(org: ContractOrg, claims: dict[str, object], error: str) -> None:
    answer = org.token(grant_type=JWT_BEARER, assertion=org.credentials.assertion(**claims))
    assert answer.status_code == 400
    assert answer.json()["error"] in {error, "invalid_client"}
    assert answer.json()["error_description"]


@documented(IDENTITY, "OAuth Error Codes")
@pytest.mark.parametrize(
    ("form", "error"), [({"grant_type": "no_such"}, "unsupported_grant_type"), ({}, "invalid_request")]
)
def test_an_unknown_grant_is_refused(org: ContractOrg, form: dict[str, str], error: str) -> None:
    answer = org.token(**form)
    assert answer.status_code == 400
    assert answer.json()["error"] == error


@documented(IDENTITY, "Query for User Information")
def test_userinfo_names_the_user_and_the_org(org: ContractOrg) -> None:
    answer = org.get("/services/oauth2/userinfo")
    assert answer.status_code == 200
    document = answer.json()
    assert document["organization_id"] == org.org_id
    assert document["user_id"] == org.user_id
    assert document["sub"].endswith(f"/id/{org.org_id}/{org.user_id}")


@documented(REST, "Status Codes and Error Responses")
@pytest.mark.parametrize("token", ["Bearer 00Dnosuchtoken!abc", "Bearer x"])
def test_an_invalid_token_gives_401_invalid_session_id(org: ContractOrg, token: str) -> None:
    answer = org.get("sobjects", headers={"Authorization": token})
    assert answer.status_code == 401
    assert answer.json()[0]["errorCode"] == "INVALID_SESSION_ID"


@documented(REST, "Step Two: Set Up Authorization")
def test_the_token_goes_into_a_bearer_header_and_nowhere_else(org: ContractOrg) -> None:
    url = f"{org.url}/services/data/v{org.version}/sobjects?access_token={org.access_token}"
    answer = org.http.get(url, headers={"Authorization": ""}, timeout=TIMEOUT_S)
    assert answer.status_code == 401
