"""Redaction: every shape of a secret, in text and in log records, and nothing else."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.logging import StructuredFormatter

from microdecisions.redaction import BLANK, RedactingFilter, Secrets, install, redact

SESSION = "00Dxx0000001gPL!AQEAQ.abcDEF_123.xyz"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhYmMifQ.c2lnbmF0dXJl-_x"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Bearer {SESSION}", SESSION),
        (f"{{'Authorization': 'Bearer {SESSION}'}}", SESSION),
        ("Authorization: Basic Y2xpZW50OnNlY3JldA==", "Y2xpZW50OnNlY3JldA"),
        ("header bearer abcdefgh12345678", "abcdefgh12345678"),
        (f"session {SESSION} opened", "AQEAQ"),
        (f"sid is {quote(SESSION)}", "AQEAQ"),
        (f"assertion {JWT}", "eyJpc3MiOiJhYmMifQ"),
        (PEM, "hkiG9w0BAQEFAASC"),
        (PEM.replace("\n", "\\n"), "hkiG9w0BAQEFAASC"),
        (PEM[:60], "MIIEvQIBADANBgkq"),
        ("https://x.invalid/cb?access_token=abc123&state=1", "abc123"),
        ("grant_type=refresh_token&refresh_token=5Aep861&client_secret=hush", "5Aep861"),
        ("grant_type=refresh_token&refresh_token=5Aep861&client_secret=hush", "hush"),
        ('{"access_token": "a b\\"c d", "x": 1}', "c d"),
        ("{'password': 'it''s', 'user': 'me'}", "it"),
        ('{\\"password\\": \\"hidden one\\"}', "hidden"),
        ("password=correct-horse", "correct-horse"),
        ("TAP_SALESFORCE_TEMPORAL_PASSWORD=correct-horse", "correct-horse"),
        ("<sessionId>abcdef</sessionId>", "abcdef"),
        ("<urn:password>abcdef</urn:password>", "abcdef"),
        ("private_key: abcdef", "abcdef"),
    ],
)
def test_shapes_of_secrets_are_blanked(text: str, secret: str) -> None:
    clean = redact(text)
    assert secret not in clean
    assert BLANK in clean
    assert redact(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "GET /services/data/v66.0/queryAll?q=SELECT+Id+FROM+Case HTTP/1.1",
        "Setting `private_key` is missing: the login flow `jwt_bearer` needs it.",
        "The JWT bearer flow is the default; basic authentication is not supported.",
        "Logged in to org 00Dxx0000001gPLEAY at https://acme.my.salesforce.com.",
        "a password is needed, and access tokens expire",
        "stream case_history: 2000 rows up to 2024-01-15T10:30:00.000000Z",
    ],
)
def test_ordinary_sentences_stay(text: str) -> None:
    assert redact(text) == text


_TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._", min_size=12, max_size=60)
_WORDS = st.text("abc XYZ\n\t{}[]:,\"'&=?/", max_size=40)


@given(before=_WORDS, token=_TOKEN, after=_WORDS, name=st.sampled_from(["access_token", "client_secret", "password"]))
def test_a_token_is_blanked_wherever_it_stands(before: str, token: str, after: str, name: str) -> None:
    for text in (f"00Dxx0000001gPL!{token}", urlencode({name: token}), json.dumps({name: token})):
        assert token not in redact(f"{before} {text} {after}")


@given(text=st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(text, Secrets())
    assert redact(once, Secrets()) == once


@given(secret=st.text(min_size=6, max_size=40), before=st.text(max_size=20))
def test_a_registered_value_is_blanked_in_each_spelling(secret: str, before: str) -> None:
    secrets = Secrets()
    secrets.add(secret, None, "", "short")
    for spelled in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert spelled not in secrets.blank(before + spelled).replace(BLANK, "") or spelled in before
    assert secrets.blank("short words stay") == "short words stay" or secret in "short words stay"


def test_lines_of_a_registered_key_are_blanked_one_by_one() -> None:
    secrets = Secrets()
    secrets.add("-----BEGIN X-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END X-----")
    assert secrets.blank("line: MIIEvQIBADANBgkqhkiG9w0B.") == f"line: {BLANK}."


# --- log records ---


def logged(formatter: logging.Formatter, *args: Any, **kwargs: Any) -> str:
    record = logging.getLogger("x").makeRecord("x", 40, "file.py", 1, args[0], args[1:], **kwargs)
    assert RedactingFilter().filter(record)
    return formatter.format(record)


PLAIN = logging.Formatter("%(message)s")


def test_message_and_arguments_are_blanked() -> None:
    assert SESSION not in logged(PLAIN, "token %s", SESSION, exc_info=None)
    assert SESSION not in logged(PLAIN, "all %(a)s", {"a": {"nested": [SESSION]}}, exc_info=None)
    assert logged(PLAIN, "%d rows of %s", 5, "Case", exc_info=None) == "5 rows of Case"


def test_an_object_that_shows_a_secret_is_blanked() -> None:
    class Shows:
        def __repr__(self) -> str:
            return SESSION

    assert SESSION not in logged(PLAIN, Shows(), exc_info=None)
    assert SESSION not in logged(PLAIN, "%r", Shows(), exc_info=None)


def test_a_wrong_format_does_not_leak_or_fail() -> None:
    assert SESSION not in logged(PLAIN, "%d %d", SESSION, exc_info=None)


class CustomError(Exception):
    pass


def fails() -> None:
    try:
        logging.getLogger().manager.loggerDict[f"inner {SESSION}"]
    except KeyError as inner:
        raise CustomError(f"outer access_token={SESSION}") from inner


@pytest.mark.parametrize("formatter", [PLAIN, StructuredFormatter()], ids=["plain", "structured"])
def test_exceptions_and_their_chain_are_blanked_and_keep_their_names(formatter: logging.Formatter) -> None:
    with pytest.raises(CustomError) as caught:
        fails()
    text = logged(formatter, "failed", exc_info=(caught.type, caught.value, caught.tb))
    assert "AQEAQ" not in text
    assert "CustomError" in text
    assert "KeyError" in text
    assert "outer" in text


def test_an_exception_without_secrets_stays_as_it_is() -> None:
    error = ValueError("plain")
    record = logging.makeLogRecord({"msg": "m", "exc_info": (ValueError, error, None)})
    RedactingFilter().filter(record)
    assert record.exc_info == (ValueError, error, None)


def test_extras_are_blanked() -> None:
    record = logging.makeLogRecord({"msg": "m", "context": {"password": "abc", "list": [SESSION]}, "url": SESSION})
    RedactingFilter().filter(record)
    assert record.__dict__["context"] == {"password": BLANK, "list": [BLANK]}
    assert record.__dict__["url"] == BLANK


def test_install_reaches_all_loggers_below_and_only_once() -> None:
    records: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(self.format(record))

    parent = logging.getLogger("test-redaction-parent")
    handler = Keep()
    parent.addHandler(handler)
    try:
        install(parent)
        install(parent)
        logging.getLogger("test-redaction-parent.child").error("see %s", SESSION)
    finally:
        parent.removeHandler(handler)
    assert records == [f"see {BLANK}"]
    assert len(handler.filters) == 1
