"""Login flows, driven by hand: what they send, what they make of answers; nothing here opens a socket."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microdecisions.errors import LoginError
from microdecisions.login import LoginAnswer, LoginFlow, LoginRequest, Token, access_token_flow, jwt_bearer_flow
from microdecisions.settings import LoginSettings
from microdecisions.tokens import run_flow

NOW = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
GOOD = {
    "access_token": "00Dxx0000001gPL!A.token",
    "instance_url": "https://acme.my.salesforce.com",
    "id": "https://login.salesforce.com/id/00Dxx0000001gPL/005xx000001SwiU",
    "issued_at": "1705314600000",
    "scope": "api id",
}


def settings(**changes: Any) -> LoginSettings:
    return LoginSettings(**{"client_id": "consumer", "username": "u@example.invalid", "private_key": "x", **changes})


def answer_with(payload: object, status: int = 200) -> Callable[[LoginRequest], LoginAnswer]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return lambda _: LoginAnswer(status, body)


def jwt_flow(key: Any, **changes: Any) -> LoginFlow:
    return jwt_bearer_flow(settings(**changes), key, lambda: NOW)


def test_jwt_bearer_sends_a_signed_assertion_and_returns_the_token(key: Any) -> None:
    asked: list[LoginRequest] = []

    def app(request: LoginRequest) -> LoginAnswer:
        asked.append(request)
        return LoginAnswer(200, json.dumps(GOOD).encode())

    token = run_flow(jwt_flow(key), app)
    assert token == Token(
        access_token="00Dxx0000001gPL!A.token",
        instance_url="https://acme.my.salesforce.com",
        org_id="00Dxx0000001gPLEAY",
        user_id="005xx000001SwiUAAS",
        issued_at=datetime(2024, 1, 15, 10, 30, tzinfo=UTC),
    )
    (request,) = asked
    assert (request.method, request.url) == ("POST", "https://login.salesforce.com/services/oauth2/token")
    assert request.form is not None
    assert request.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assertion = request.form["assertion"]
    assert jwt.get_unverified_header(assertion)["alg"] == "RS256"
    claims = jwt.decode(
        assertion,
        key.public_key(),
        algorithms=["RS256"],
        audience="https://login.salesforce.com",
        options={"verify_exp": False},
    )
    assert (claims["iss"], claims["sub"]) == ("consumer", "u@example.invalid")
    assert isinstance(claims["exp"], int)
    assert 60 < claims["exp"] - NOW.timestamp() <= 180


def test_what_a_flow_holds_does_not_show_secrets(key: Any) -> None:
    request = next(jwt_flow(key))
    token = run_flow(jwt_flow(key), answer_with(GOOD))
    shown = repr(request) + repr(token) + repr(LoginAnswer(200, b"A.token")) + str(token)
    assert "A.token" not in shown
    assert request.form is not None
    assert request.form["assertion"] not in shown


@pytest.mark.parametrize(
    ("error", "description", "words"),
    [
        ("invalid_grant", "user hasn't approved this consumer", "pre-authorise"),
        ("invalid_grant", "audience is invalid", "jwt_audience"),
        ("invalid_grant", "expired authorization code", "clock"),
        ("invalid_grant", "assertion expires too far in the future", "clock"),
        ("invalid_grant", "invalid assertion", "private key must belong to the certificate"),
        ("invalid_grant", "ip restricted", "IP restrictions"),
        ("invalid_grant", "inactive user", "not active"),
        ("inactive_user", "", "not active"),
        ("invalid_client_id", "client identifier invalid", "client_id"),
        ("invalid_client", "invalid client credentials", "client_id"),
        ("invalid_app_access", "user is not admin approved to access this app", "permission set"),
        ("unsupported_grant_type", "grant type not supported", "enable it in the app"),
        ("something_new", "a sentence of Salesforce", "something_new: a sentence of Salesforce"),
    ],
)
def test_a_refusal_keeps_the_code_and_says_what_to_do(key: Any, error: str, description: str, words: str) -> None:
    refusal = {"error": error, "error_description": description}
    with pytest.raises(LoginError, match=words) as caught:
        run_flow(jwt_flow(key), answer_with(refusal, 400))
    assert error in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("changes", "name"), [({}, "domain"), ({"login_url": "https://acme.invalid"}, "login_url")])
@pytest.mark.parametrize(
    ("status", "body"), [(404, b"<html>Not found</html>"), (302, b""), (200, b"<html>Welcome</html>"), (405, b"{}")]
)
def test_a_host_that_is_not_salesforce_points_to_the_address_setting(
    key: Any, changes: dict[str, str], name: str, status: int, body: bytes
) -> None:
    with pytest.raises(LoginError, match=rf"\(HTTP {status}\): check `{name}`"):
        run_flow(jwt_flow(key, **changes), answer_with(body, status))


@pytest.mark.parametrize(
    ("login_url", "instance_url", "taken"),
    [
        (None, "https://acme.my.salesforce.com/", "https://acme.my.salesforce.com"),
        (None, "http://acme.my.salesforce.com", None),
        (None, "http://127.0.0.1:8080", None),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080", "http://[::1]:8080"),
        (None, "https://user:password@acme.my.salesforce.com", None),
        (None, "ftp://acme", None),
        (None, "", None),
    ],
)
def test_the_answered_instance_must_be_https_or_loopback_after_loopback(
    key: Any, login_url: str | None, instance_url: str, taken: str | None
) -> None:
    flow = jwt_flow(key, login_url=login_url)
    answer = answer_with({**GOOD, "instance_url": instance_url})
    if taken is None:
        with pytest.raises(LoginError, match="not https"):
            run_flow(flow, answer)
    else:
        assert run_flow(flow, answer).instance_url == taken


@pytest.mark.parametrize("identity", ["", "https://login.salesforce.com/id/", "https://x/id/00D/005", "nonsense"])
def test_a_token_without_an_identity_is_refused(key: Any, identity: str) -> None:
    with pytest.raises(LoginError, match="scope `id`"):
        run_flow(jwt_flow(key), answer_with({**GOOD, "id": identity}))


@given(body=st.binary(max_size=80), status=st.integers(200, 599))
def test_no_answer_at_all_makes_a_flow_fail_otherwise_than_by_login_error(body: bytes, status: int) -> None:
    ready = LoginSettings(auth_flow="access_token", access_token="abc", instance_url="https://acme.invalid")
    with contextlib.suppress(LoginError):
        run_flow(access_token_flow(ready, lambda: NOW), answer_with(body, status))


# --- a ready token ---


def ready_flow(token: str) -> LoginFlow:
    given_token = LoginSettings(
        auth_flow="access_token", access_token=token, instance_url="https://acme.my.salesforce.com/"
    )
    return access_token_flow(given_token, lambda: NOW)


def test_a_ready_token_learns_the_ids_from_userinfo() -> None:
    flow = ready_flow("token.value")
    request = next(flow)
    assert (request.method, request.url) == ("GET", "https://acme.my.salesforce.com/services/oauth2/userinfo")
    assert request.headers["Authorization"] == "Bearer token.value"
    info = {"user_id": "005xx000001SwiUAAS", "organization_id": "00Dxx0000001gPLEAY", "name": "someone"}
    token = run_flow(ready_flow("token.value"), answer_with(info))
    assert token == Token(
        access_token="token.value",
        instance_url="https://acme.my.salesforce.com",
        org_id="00Dxx0000001gPLEAY",
        user_id="005xx000001SwiUAAS",
        issued_at=NOW,
    )


def test_a_session_id_without_scope_for_userinfo_tells_the_org_itself() -> None:
    token = run_flow(ready_flow("00Dxx0000001gPL!A.b"), answer_with(b"Insufficient scope", 403))
    assert (token.org_id, token.user_id) == ("00Dxx0000001gPLEAY", "")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"", "expired"),
        (403, b"Bad_OAuth_Token", "expired"),
        (403, b'[{"errorCode": "INVALID_SESSION_ID"}]', "expired"),
        (404, b"<html>", "instance_url"),
        (200, b"<html>", "instance_url"),
        (200, b'{"organization_id": "short"}', "instance_url"),
    ],
)
def test_a_ready_token_that_does_not_work_is_a_login_error(status: int, body: bytes, words: str) -> None:
    with pytest.raises(LoginError, match=words):
        run_flow(ready_flow("token.value"), answer_with(body, status))
