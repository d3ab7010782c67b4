"""The login service: which assertions are granted, and how long a session lasts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.login import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.org import Org

    Serve = Callable[..., Any]


def test_a_signed_assertion_is_granted_a_token(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    answer = client.token(client.sign())
    granted = answer.json()
    assert answer.status_code == 200
    assert granted["instance_url"] == client.server.url
    assert granted["token_type"] == "Bearer"
    assert granted["id"] == f"{client.server.url}/id/{own_org.org_id}/{own_org.user_id}"
    assert granted["access_token"].startswith(own_org.org_id[:15] + "!")


@pytest.mark.parametrize("audience", ["https://login.salesforce.com", "https://test.salesforce.com", "own", "list"])
def test_documented_audiences_and_its_own_address_are_taken(own_org: Org, serve: Serve, audience: str) -> None:
    client = serve(own_org)
    claim: object = {"own": client.server.url, "list": ["https://test.salesforce.com"]}.get(audience, audience)
    assert client.token(client.sign(aud=claim)).status_code == 200


def test_an_expiry_may_be_text(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    assert client.token(client.sign(exp=str(int(time.time()) + 60))).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"iss": "someone.else"}, "invalid_client_id", "client identifier invalid"),
        ({"iss": None}, "invalid_client_id", "client identifier invalid"),
        ({"sub": "nobody@mock.invalid"}, "invalid_grant", "user hasn't approved this consumer"),
        ({"sub": None}, "invalid_grant", "user hasn't approved this consumer"),
        ({"aud": "https://elsewhere.invalid"}, "invalid_grant", "audience is invalid"),
        ({"aud": None}, "invalid_grant", "audience is invalid"),
        ({"aud": 7}, "invalid_grant", "audience is invalid"),
        ({"exp": 1}, "invalid_grant", "assertion is expired"),
        ({"exp": None}, "invalid_grant", "assertion is expired"),
        ({"exp": "soon"}, "invalid_grant", "assertion is expired"),
        ({"exp": 2**33}, "invalid_grant", "assertion expires too far in the future"),
    ],
    ids=str,
)
def test_an_assertion_with_a_wrong_claim_is_refused(
    own_org: Org, serve: Serve, changes: dict[str, object], error: str, description: str
) -> None:
    client = serve(own_org)
    answer = client.token(client.sign(**changes))
    assert answer.status_code == 400
    assert answer.json() == {"error": error, "error_description": description}


def test_an_assertion_signed_otherwise_is_refused(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    claims = jwt.decode(client.sign(), options={"verify_signature": False})
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = [
        jwt.encode(claims, stranger, algorithm="RS256"),
        jwt.encode(claims, stranger, algorithm="RS512"),
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims, "a shared secret of thirty-two bytes and more", algorithm="HS256"),
        client.sign() + "x",
        client.sign().rsplit(".", 1)[0] + ".",
        "no.jwt",
    ]
    for signed in forged:
        answer = client.token(signed)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_request_that_is_none_is_refused(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    assert client.token("x", grant="").json()["error"] == "invalid_request"
    assert client.token("x", grant="magic").json()["error"] == "unsupported_grant_type"
    assert client.token("").json()["error"] == "invalid_request"
    answer = client.get("/services/oauth2/token")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_expiry_is_judged_by_the_real_clock_and_not_by_the_orgs(own_org: Org, serve: Serve) -> None:
    seconds = time.time()
    client = serve(own_org, real=lambda: seconds)
    seconds = 1_000_000_000.0
    assert client.token(client.sign(exp=1_000_000_100)).status_code == 200
    assert client.token(client.sign(exp=999_999_999)).status_code == 400
    assert client.token(client.sign(exp=1_000_000_400)).status_code == 400


def test_userinfo_tells_org_and_user(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    told = client.get("/services/oauth2/userinfo").json()
    assert (told["organization_id"], told["user_id"]) == (own_org.org_id, own_org.user_id)
    assert told["preferred_username"] == "integration@mock.localcloud.invalid"
    client.http.headers["Authorization"] = "Bearer nonsense"
    assert client.get("/services/oauth2/userinfo").status_code == 403


@pytest.mark.parametrize(
    ("header", "code"),
    [(None, "INVALID_SESSION_ID"), ("Bearer nonsense", "INVALID_SESSION_ID"), ("Basic x", "INVALID_AUTH_HEADER")],
)
def test_data_needs_a_valid_session(own_org: Org, serve: Serve, header: str | None, code: str) -> None:
    client = serve(own_org)
    client.http.headers["Authorization"] = header
    answer = client.get("limits")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (401, code)


def test_a_session_ends_two_hours_after_its_last_use() -> None:
    times = iter([0.0, 7_000.0, 14_000.0, 21_201.0])
    sessions = Sessions("00D000000000001EAA", monotonic=lambda: next(times))
    header = f"Bearer {sessions.issue()}"
    sessions.check(header)
    sessions.check(header)
    with pytest.raises(ApiError, match="Session expired or invalid"):
        sessions.check(header)


def test_sessions_can_be_ended_now_or_after_some_requests(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(expire_sessions=True)
    assert client.get("limits").status_code == 401
    client.login()
    client.server.control(expire_sessions_after=2)
    assert [client.get("limits").status_code for _ in range(4)] == [200, 200, 401, 401]
    client.login()
    assert client.get("limits").status_code == 200
