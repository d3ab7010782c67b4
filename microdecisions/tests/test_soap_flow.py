"""SOAP login(): everything is escaped on the way out, nothing is believed on the way in."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microdecisions.errors import LoginError
from microdecisions.login import LoginAnswer, LoginFlow, passing_problem, soap_login_flow
from microdecisions.redaction import redact
from microdecisions.settings import LoginSettings
from microdecisions.tokens import run_flow

NOW = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
SESSION = "00Dxx0000001gPL!A.session"
PARTNER = "{urn:partner.soap.sforce.com}"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"


def flow(**changes: Any) -> LoginFlow:
    config = {"auth_flow": "username_password", "login_api": "soap", "username": "u@acme.invalid", "password": "secret"}
    return soap_login_flow(LoginSettings(**{**config, **changes}), "the client", lambda: NOW)


def result(**changes: str) -> bytes:
    values = {
        "metadataServerUrl": "https://acme.my.salesforce.com/services/Soap/m/64.0/00Dxx0000001gPL",
        "passwordExpired": "false",
        "sandbox": "false",
        "serverUrl": "https://acme.my.salesforce.com/services/Soap/u/64.0/00Dxx0000001gPL",
        "sessionId": SESSION,
        "userId": "005xx000001SwiUAAS",
        **changes,
    }
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in values.items())
    info = (
        "<userInfo><organizationId>00Dxx0000001gPLEAY</organizationId><userFullName>A &amp; B</userFullName></userInfo>"
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{ENVELOPE}" '
        f'xmlns="urn:partner.soap.sforce.com"><soapenv:Body><loginResponse><result>{inner}{info}</result>'
        "</loginResponse></soapenv:Body></soapenv:Envelope>"
    ).encode()


def fault(code: str, message: str = "Something that quotes secret.") -> bytes:
    return (
        f'<soapenv:Envelope xmlns:soapenv="{ENVELOPE}" xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body>'
        f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {message}</faultstring><detail>"
        f"<sf:LoginFault><sf:exceptionCode>{code}</sf:exceptionCode><sf:exceptionMessage>{message}"
        "</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    ).encode()


def test_login_is_sent_at_the_last_version_that_has_it_whatever_the_api_version_is() -> None:
    request = next(flow(api_version="68.0", domain="test", security_token="T"))
    assert (request.method, request.url) == ("POST", "https://test.salesforce.com/services/Soap/u/64.0")
    assert request.form is None
    assert request.headers["SOAPAction"] == "login"
    assert request.headers["Content-Type"] == "text/xml; charset=UTF-8"
    assert "secret" not in repr(request)


_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=30
)


@given(username=_TEXT, password=_TEXT, token=_TEXT)
def test_whatever_a_password_holds_arrives_as_it_is(username: str, password: str, token: str) -> None:
    request = next(flow(username=username, password=password, security_token=token))
    assert request.xml is not None
    sent = {part.tag: part.text for part in ET.fromstring(request.xml).iter()}  # noqa: S314 - our own
    assert sent[f"{PARTNER}username"] == username
    assert sent[f"{PARTNER}password"] == password + token
    assert sent[f"{PARTNER}client"] == "the client"


def test_the_answer_gives_session_address_and_ids() -> None:
    token = run_flow(flow(), lambda _: LoginAnswer(200, result()))
    assert (token.access_token, token.instance_url) == (SESSION, "https://acme.my.salesforce.com")
    assert (token.org_id, token.user_id, token.issued_at) == ("00Dxx0000001gPLEAY", "005xx000001SwiUAAS", NOW)


BOMB = b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "00Dxx0000001gPL!x">]>' + result().partition(b"?>")[2].replace(
    SESSION.encode(), b"&a;"
)
FILE = BOMB.replace(b'ENTITY a "00Dxx0000001gPL!x"', b'ENTITY a SYSTEM "file:///etc/passwd"')


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (result(passwordExpired="true"), "password of the user has expired"),
        (result(sessionId=""), "no session"),
        (result(sessionId="two words"), "no session"),
        (result(userId="short"), "not whose it is"),
        (result(serverUrl="http://acme.my.salesforce.com/services/Soap/u/64.0"), "not https"),
        (result(serverUrl="http://127.0.0.1:8080/services/Soap/u/64.0"), "not https"),
        (result(serverUrl="https://["), "not https"),
        (b"<html><body>Welcome</body></html>", "did not answer the login like Salesforce"),
        (b"", "did not answer"),
        (BOMB, "did not answer"),
        (FILE, "did not answer"),
        (b"<a>" * 100_000, "did not answer"),
        (result().replace(b"UTF-8", b"no-such-encoding"), "did not answer"),
        (result()[:-40], "did not answer"),
    ],
)
def test_an_answer_that_is_no_session_is_a_login_error(body: bytes, words: str) -> None:
    with pytest.raises(LoginError, match=words) as caught:
        run_flow(flow(), lambda _: LoginAnswer(200, body))
    assert SESSION not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("INVALID_LOGIN", "the user name, the password or the security token is wrong"),
        ("LOGIN_MUST_USE_SECURITY_TOKEN", "set `security_token`"),
        ("INVALID_OPERATION", "switched off in this org"),
        ("INSUFFICIENT_ACCESS", "Use Any API Auth"),
        ("UNSUPPORTED_API_VERSION", "no login\\(\\) any more"),
        ("PASSWORD_LOCKOUT", "locked out"),
        ("API_CURRENTLY_DISABLED", "API Enabled"),
        ("A_NEW_CODE", "Login History"),
    ],
)
def test_a_fault_keeps_the_code_says_what_to_do_and_that_the_end_is_near(code: str, words: str) -> None:
    with pytest.raises(LoginError, match=words) as caught:
        run_flow(flow(), lambda _: LoginAnswer(500, fault(code)))
    sentence = str(caught.value)
    assert code in sentence
    assert sentence.endswith("SOAP login() retires in Summer '27.")
    assert "secret" not in sentence


@pytest.mark.parametrize(
    ("status", "body", "passes"),
    [
        (500, fault("INVALID_LOGIN"), False),
        (500, fault("UNSUPPORTED_API_VERSION"), False),
        (500, fault("SERVER_UNAVAILABLE"), True),
        (500, fault("UNKNOWN_EXCEPTION"), True),
        (503, b"<html>busy</html>", True),
        (500, b"", True),
        (404, b"", False),
        (200, result(), False),
    ],
)
def test_a_fault_is_final_unless_its_code_may_pass(status: int, body: bytes, passes: bool) -> None:
    assert (passing_problem(next(flow()), LoginAnswer(status, body)) is not None) is passes


@given(body=st.binary(max_size=120), status=st.sampled_from([200, 400, 500]))
def test_no_answer_at_all_fails_otherwise_than_by_login_error(body: bytes, status: int) -> None:
    with contextlib.suppress(LoginError):
        run_flow(flow(), lambda _: LoginAnswer(status, body))


def test_a_password_that_xml_cannot_carry_is_named() -> None:
    with pytest.raises(LoginError, match=r"`password`.* holds a character that SOAP cannot carry"):
        next(flow(password="pass\uffffword"))


def test_a_session_id_in_xml_is_blanked() -> None:
    assert "A.session" not in redact(result().decode())
