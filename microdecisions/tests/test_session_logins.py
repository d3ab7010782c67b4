"""Every login over a real socket: it renews, it is tried again where that helps, and it tells nobody its secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from microdecisions.errors import LoginError
from microdecisions.redaction import redact
from microdecisions.retries import RetryPolicy

CLIENT = {"auth_flow": "client_credentials", "client_id": "consumer", "client_secret": "Hush-Hush-1"}
REFRESH = {"auth_flow": "refresh_token", "client_id": "consumer", "refresh_token": "Hush-Hush-2"}
PASSWORD = {"auth_flow": "username_password", "username": "u@acme.invalid", "password": "Hush-Hush-3"}
OAUTH = {**PASSWORD, "client_id": "consumer", "security_token": "Hush-Hush-4"}
SOAP = {**PASSWORD, "login_api": "soap", "security_token": "Hush-Hush-4"}
NOT = {"private_key": None, "username": None, "client_id": None}
SESSION = "00Dxx0000001gPL!Soap.Session"


def soap_result(org: Any) -> Any:
    result = (
        f"<sessionId>{SESSION}{len(org.issued)}</sessionId><serverUrl>{org.url}/services/Soap/u/64.0/x</serverUrl>"
        "<userId>005xx000001SwiUAAS</userId><userInfo><organizationId>00Dxx0000001gPLEAY</organizationId></userInfo>"
    )
    org.issued.append(f"{SESSION}{len(org.issued)}")
    return xml(org, f"<loginResponse><result>{result}</result></loginResponse>")


def soap_fault(org: Any, code: str, message: str = "") -> Any:
    inner = f"<exceptionCode>{code}</exceptionCode><exceptionMessage>{message}</exceptionMessage>"
    return xml(org, f"<Fault><detail><LoginFault>{inner}</LoginFault></detail></Fault>", 500)


def xml(org: Any, inner: str, status: int = 200) -> Any:
    return org.reply(status, f"<Envelope><Body>{inner}</Body></Envelope>".encode(), {"Content-Type": "text/xml"})


@pytest.fixture
def answering(org: Any) -> Callable[..., list[Any]]:
    """Let SOAP logins be answered by a script, the last one for ever; returns the calls."""

    def set_up(*replies: Callable[[], Any]) -> list[Any]:
        calls: list[Any] = []
        left = list(replies)

        def answer(call: Any) -> Any:
            if call.path != "/services/Soap/u/64.0":
                return org.reply.json({"ok": True})
            calls.append(call)
            return (left.pop(0) if len(left) > 1 else left[0])()

        org.answer = answer
        return calls

    return set_up


@pytest.mark.parametrize("config", [CLIENT, REFRESH, OAUTH, SOAP], ids=",".join)
def test_each_flow_logs_in_again_when_its_session_ends(
    config: dict[str, str], org: Any, connect: Any, answering: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answering(lambda: soap_result(org))
    session = connect(**{**NOT, **config})
    for _ in range(3):
        assert session.get_json("limits") == {"ok": True}
        assert org.calls[-1].token == org.issued[-1]
        org.expired.add(org.issued[-1])
    assert len(org.issued) == 3
    assert session.usage.logins == 3
    assert "Hush-Hush" not in caplog.text  # as it was logged, before any filter
    assert "!" not in caplog.text


def test_soap_faults_that_may_pass_are_tried_again_and_others_are_not(org: Any, connect: Any, answering: Any) -> None:
    calls = answering(
        lambda: soap_fault(org, "SERVER_UNAVAILABLE"), lambda: org.reply(503, b"<html>"), lambda: soap_result(org)
    )
    assert connect(**{**NOT, **SOAP}).login().org_id == "00Dxx0000001gPLEAY"
    assert len(calls) == 3
    calls = answering(lambda: soap_fault(org, "INVALID_LOGIN"))
    session = connect(**{**NOT, **SOAP})
    for _ in range(3):
        with pytest.raises(LoginError, match="INVALID_LOGIN"):
            session.login()
    assert len(calls) == 1
    assert calls[0].headers["SOAPAction"] == "login"
    assert b"Hush-Hush-3Hush-Hush-4" in calls[0].body


@pytest.mark.parametrize(
    ("config", "words"), [(OAUTH, "retire in early 2027"), (SOAP, "65.0 on and retires in Summer '27")]
)
def test_a_login_on_its_way_out_is_warned_of_in_each_run(
    config: dict[str, str], words: str, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    connect(**{**NOT, **config})
    assert words in caplog.text
    assert "`client_credentials` or `jwt_bearer`" in caplog.text
    caplog.clear()
    connect(**{**NOT, **CLIENT})
    connect(**{**NOT, **REFRESH})
    connect()
    assert not caplog.text


_SECRET = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc"]), min_size=8)


@given(secret=_SECRET, name=st.sampled_from(["client_secret", "refresh_token", "password", "security_token"]))
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_service_that_quotes_a_secret_does_not_get_it_printed(secret: str, name: str, org: Any, connect: Any) -> None:
    config = {"client_secret": CLIENT, "refresh_token": REFRESH}.get(name, OAUTH)
    said = {"error": "odd", "error_description": f"we do not like {secret} at all"}
    org.token_answer = lambda _: org.reply(400, json.dumps(said, ensure_ascii=False).encode())
    session = connect(policy=RetryPolicy(tries=1), **{**NOT, **config, name: secret})
    with pytest.raises(LoginError) as caught:
        session.login()
    assert secret not in str(caught.value).replace("[redacted]", "")
    assert secret not in repr(caught.value.__context__)
    assert secret not in redact(f"also not {json.dumps(secret)} as JSON").replace("[redacted]", "")
