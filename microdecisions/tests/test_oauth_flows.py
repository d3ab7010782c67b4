"""The OAuth flows beside JWT, driven by hand: what they send, what they make of answers and refusals."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microdecisions.errors import LoginError, SalesforceError
from microdecisions.login import (
    LoginAnswer,
    LoginFlow,
    LoginRequest,
    client_credentials_flow,
    passing_problem,
    refresh_token_flow,
    username_password_flow,
)
from microdecisions.settings import LoginSettings
from microdecisions.tokens import run_flow

NOW = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
GOOD = {
    "access_token": "00Dxx0000001gPL!A.token",
    "instance_url": "https://acme.my.salesforce.com",
    "id": "https://login.salesforce.com/id/00Dxx0000001gPLEAY/005xx000001SwiUAAS",
    "issued_at": "1705314600000",
}
CLIENT = {"auth_flow": "client_credentials", "client_id": "consumer", "client_secret": "hush", "domain": "acme"}
REFRESH = {"auth_flow": "refresh_token", "client_id": "consumer", "refresh_token": "first"}
PASSWORD = {"auth_flow": "username_password", "client_id": "consumer", "username": "u@acme.invalid", "password": "p&ss"}


def settings(config: dict[str, str], **changes: Any) -> LoginSettings:
    return LoginSettings(**{**config, **changes})


def client_flow(**changes: Any) -> LoginFlow:
    return client_credentials_flow(settings(CLIENT, **changes), lambda: NOW)


def password_flow(**changes: Any) -> LoginFlow:
    return username_password_flow(settings(PASSWORD, **changes), lambda: NOW)


def refresh_flow(kept: list[str] | None = None, **changes: Any) -> LoginFlow:
    keep = ([] if kept is None else kept).append
    return refresh_token_flow(settings(REFRESH, **changes), "newest", keep, lambda: NOW)


def answer_with(payload: object, status: int = 200) -> Callable[[LoginRequest], LoginAnswer]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return lambda _: LoginAnswer(status, body)


@pytest.mark.parametrize(
    ("flow", "host", "form"),
    [
        (
            client_flow(),
            "acme.my.salesforce.com",
            {"grant_type": "client_credentials", "client_id": "consumer", "client_secret": "hush"},
        ),
        (
            refresh_flow(),
            "login.salesforce.com",
            {"grant_type": "refresh_token", "client_id": "consumer", "refresh_token": "newest"},
        ),
        (
            refresh_flow(client_secret="hush", domain="test"),
            "test.salesforce.com",
            {
                "grant_type": "refresh_token",
                "client_id": "consumer",
                "client_secret": "hush",
                "refresh_token": "newest",
            },
        ),
        (
            password_flow(domain="acme--uat.sandbox"),
            "acme--uat.sandbox.my.salesforce.com",
            {"grant_type": "password", "client_id": "consumer", "username": "u@acme.invalid", "password": "p&ss"},
        ),
        (
            password_flow(client_secret="hush", security_token="T0ken"),
            "login.salesforce.com",
            {
                "grant_type": "password",
                "client_id": "consumer",
                "client_secret": "hush",
                "username": "u@acme.invalid",
                "password": "p&ssT0ken",
            },
        ),
    ],
    ids=["client credentials", "refresh", "refresh with secret", "password", "password with token"],
)
def test_a_flow_sends_its_form_to_the_token_service_and_returns_the_token(
    flow: LoginFlow, host: str, form: dict[str, str]
) -> None:
    asked: list[LoginRequest] = []

    def service(request: LoginRequest) -> LoginAnswer:
        asked.append(request)
        return LoginAnswer(200, json.dumps(GOOD).encode())

    token = run_flow(flow, service)
    (request,) = asked
    assert (request.method, request.url) == ("POST", f"https://{host}/services/oauth2/token")
    assert request.form == form
    assert request.headers == {"Accept": "application/json"}
    assert request.xml is None
    assert (token.org_id, token.user_id) == ("00Dxx0000001gPLEAY", "005xx000001SwiUAAS")
    assert not any(secret in repr(request) + repr(token) for secret in ("hush", "newest", "p&ss", "A.token"))


REFUSALS = [
    (client_flow, "invalid_grant", "request not supported on this domain", "My Domain"),
    (client_flow, "invalid_grant", "no client credentials user enabled", "Run As user"),
    (client_flow, "invalid_grant", "Client credentials flow not enabled", "does not allow the client credentials flow"),
    (client_flow, "invalid_client", "invalid client credentials", "`client_secret` is missing or not the one"),
    (client_flow, "invalid_client_id", "client identifier invalid", "`client_id` is not a consumer key"),
    (client_flow, "unsupported_grant_type", "grant type not supported", "does not allow the client credentials flow"),
    (refresh_flow, "invalid_grant", "expired access/refresh token", "authorise the app again .* `refresh_token`"),
    (refresh_flow, "invalid_grant", "token has been revoked", "was revoked"),
    (refresh_flow, "invalid_client", "invalid client credentials", "`client_secret` is missing"),
    (refresh_flow, "invalid_grant", "ip restricted", "IP restrictions"),
    (refresh_flow, "unsupported_grant_type", "", "scope `refresh_token`"),
    (password_flow, "invalid_grant", "authentication failure", "blocked, as it is by default in orgs since Summer '23"),
    (password_flow, "invalid_grant", "authentication failure", "`client_credentials` or `jwt_bearer`"),
    (password_flow, "invalid_grant", "inactive user", "not active"),
    (password_flow, "unsupported_grant_type", "grant type not supported", "External Client Apps never do"),
    (password_flow, "invalid_client", "", "`client_secret`"),
    (client_flow, "something_new", "a sentence of Salesforce", "something_new: a sentence of Salesforce"),
]


@pytest.mark.parametrize(("flow", "error", "description", "words"), REFUSALS)
def test_a_refusal_of_a_flow_says_what_to_do_in_that_flow(
    flow: Callable[[], LoginFlow], error: str, description: str, words: str
) -> None:
    with pytest.raises(LoginError, match=words) as caught:
        run_flow(flow(), answer_with({"error": error, "error_description": description}, 400))
    assert error in str(caught.value)
    assert caught.value.exit_code == 2
    assert not any(secret in str(caught.value) for secret in ("hush", "newest", "p&ss"))


# --- rotation ---


def test_a_rotated_token_is_kept_before_anything_else_is_made_of_the_answer() -> None:
    for rest in (GOOD, {}, {**GOOD, "instance_url": "http://elsewhere.invalid"}, {**GOOD, "id": "nonsense"}):
        kept: list[str] = []
        with contextlib.suppress(LoginError):
            run_flow(refresh_flow(kept), answer_with({**rest, "refresh_token": "successor"}))
        assert kept == ["successor"]


@pytest.mark.parametrize("answered", [{}, {"refresh_token": ""}, {"refresh_token": "newest"}])
def test_an_answer_without_a_new_token_keeps_nothing(answered: dict[str, str]) -> None:
    kept: list[str] = []
    run_flow(refresh_flow(kept), answer_with({**GOOD, **answered}))
    assert not kept


def test_a_refusal_rotates_nothing() -> None:
    kept: list[str] = []
    with pytest.raises(LoginError):
        run_flow(refresh_flow(kept), answer_with({"error": "invalid_grant", "refresh_token": "odd"}, 400))
    assert not kept


# --- what may be asked again ---


@pytest.mark.parametrize(
    ("status", "error", "description", "passes"),
    [
        (400, "invalid_grant", "token request is already being processed", True),
        (400, "invalid_grant", "Token request is already being processed.", True),
        (400, "unknown_error", "retry your request", True),
        (503, "", "", True),
        (429, "", "", True),
        (400, "invalid_grant", "expired access/refresh token", False),
        (400, "invalid_grant", "authentication failure", False),
        (401, "invalid_client", "", False),
        (200, "", "", False),
    ],
)
def test_only_what_may_pass_is_asked_again(status: int, error: str, description: str, passes: bool) -> None:
    asked = next(refresh_flow())
    body = json.dumps({"error": error, "error_description": description} if error else {}).encode()
    problem = passing_problem(asked, LoginAnswer(status, body))
    assert (problem is not None) is passes
    if "processed" in description:
        assert isinstance(problem, SalesforceError)
        assert "share one `refresh_token_path`" in str(problem)


@given(
    body=st.one_of(
        st.binary(max_size=80),
        st.dictionaries(
            st.sampled_from(["access_token", "instance_url", "id", "issued_at", "refresh_token", "error"]),
            st.one_of(st.text(max_size=30), st.sampled_from([*GOOD.values(), "http://["]), st.none()),
        ).map(lambda said: json.dumps(said).encode()),
    ),
    status=st.sampled_from([200, 302, 400, 401, 500]),
    flow=st.sampled_from([client_flow, refresh_flow, password_flow]),
)
def test_no_answer_at_all_makes_a_flow_fail_otherwise(body: bytes, status: int, flow: Callable[[], LoginFlow]) -> None:
    with contextlib.suppress(LoginError):
        run_flow(flow(), lambda _: LoginAnswer(status, body))
