"""The session against a server that misbehaves: retries, renewal, accounting, time, and what errors become."""

from __future__ import annotations

import gzip
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from microdecisions.errors import (
    ConfigurationError,
    InterruptedRunError,
    LocatorExpiredError,
    LoginError,
    MicroDecisionError,
    QueryTimeoutError,
    QuotaCeilingError,
    SalesforceError,
)
from microdecisions.retries import RetryPolicy


def test_logs_in_at_first_use_and_sends_the_token(org: Any, connect: Any) -> None:
    session = connect()
    assert not org.token_calls
    assert session.get_json("limits") == {"ok": True}
    (call,) = org.calls
    assert call.path == "/services/data/v66.0/limits"
    assert call.token == org.issued[0]
    assert call.headers["Sforce-Call-Options"].startswith("client=")
    assert (session.org_id, session.user_id) == ("00Dxx0000001gPLEAY", "005xx000001SwiUAAS")
    assert len(org.token_calls) == 1


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("queryAll", "/services/data/v66.0/queryAll"),
        ("/services/data/v66.0/query/01gX-2000", "/services/data/v66.0/query/01gX-2000"),
        ("{url}/services/data/", "/services/data/"),
    ],
)
def test_targets_are_taken_as_path_relative_path_or_address(org: Any, connect: Any, target: str, path: str) -> None:
    connect().get_bytes(target.format(url=org.url))
    assert org.calls[-1].path == path


def test_an_address_outside_the_org_never_gets_the_token(org: Any, connect: Any) -> None:
    session = connect()
    for target in ("http://127.0.0.1:9/services/data/", f"{org.url}.example.invalid/x", f"{org.url}@example.invalid/"):
        with pytest.raises(SalesforceError, match="outside the org"):
            session.get_bytes(target)
    assert not org.calls


def test_body_comes_as_bytes_also_when_compressed(org: Any, connect: Any) -> None:
    body = json.dumps({"text": "\u00e9\U0001f600" * 500}).encode()
    packed = gzip.compress(body)
    org.script(org.reply(200, packed, {"Content-Encoding": "gzip"}))
    session = connect()
    login_bytes = (session.login(), session.usage.bytes_received)[1]
    response = session.get_bytes("queryAll", params={"q": "SELECT Id FROM Case WHERE Subject = 'a b&c'"})
    assert response.body == body
    assert session.usage.bytes_received - login_bytes == len(packed)
    assert org.calls[0].query == {"q": ["SELECT Id FROM Case WHERE Subject = 'a b&c'"]}


def test_posts_json_and_decodes_into_a_type(org: Any, connect: Any) -> None:
    class Answer(msgspec.Struct):
        ok: bool

    assert connect().post_json("composite", {"a": [1]}, kind=Answer) == Answer(ok=True)
    assert org.calls[0].body == b'{"a":[1]}'
    assert org.calls[0].headers["Content-Type"].startswith("application/json")


def test_an_answer_that_is_not_json_is_an_error_of_one_sentence(org: Any, connect: Any) -> None:
    org.script(org.reply(200, b"<html>secret stuff</html>"))
    with pytest.raises(SalesforceError, match="not what the API promises") as caught:
        connect().get_json("limits")
    assert "secret stuff" not in str(caught.value)


# --- what passes is tried again ---


@pytest.mark.parametrize("status", [408, 420, 429, 500, 502, 503, 504])
def test_passing_errors_are_tried_again(org: Any, connect: Any, status: int) -> None:
    org.script(org.reply(status, b"<html>busy</html>"), org.reply(status, b""), org.reply.json({"ok": 1}))
    session = connect()
    assert session.get_json("limits") == {"ok": 1}
    assert (session.usage.calls, session.usage.retries) == (3, 2)


def test_error_codes_that_pass_are_tried_again_whatever_the_status(org: Any, connect: Any) -> None:
    org.script(
        org.reply.error(500, "UNKNOWN_EXCEPTION"),
        org.reply.error(400, "UNABLE_TO_LOCK_ROW"),
        org.reply.error(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
        org.reply.json({"ok": 1}),
    )
    assert connect().get_json("limits") == {"ok": 1}


def test_hanging_up_and_truncated_bodies_are_tried_again(org: Any, connect: Any) -> None:
    whole = org.reply.json({"rows": list(range(1000))})
    org.script(None, org.reply(200, whole.body, cut=100), org.reply(200, whole.body, cut=0), whole)
    assert len(connect().get_json("queryAll")["rows"]) == 1000


def test_a_file_that_takes_no_more_is_a_fault_of_the_disk_and_not_tried_again(org: Any, connect: Any) -> None:
    class Buffered(io.BytesIO):
        """What a file does whose buffer takes a little, and whose disk takes nothing."""

        def seek(self, place: int, whence: int = 0, /) -> int:
            if self.getvalue():
                raise OSError(28, "No space left on device")
            return super().seek(place, whence)

    org.script(org.reply.json({"ok": 1}))
    session = connect()
    with pytest.raises(MicroDecisionError, match="No space left on device"):
        session.download("sobjects/EventLogFile/x/LogFile", Buffered())
    assert session.usage.calls == 1


def test_damaged_compression_is_tried_again(org: Any, connect: Any) -> None:
    org.script(org.reply(200, b"no gzip at all", {"Content-Encoding": "gzip"}), org.reply.json({"ok": 1}))
    assert connect().get_json("limits") == {"ok": 1}


def test_tries_end_with_the_last_answer(org: Any, connect: Any, clock: Any) -> None:
    org.script(org.reply.error(503, "SERVER_UNAVAILABLE", "secret"))
    session = connect()
    with pytest.raises(SalesforceError, match="SERVER_UNAVAILABLE") as caught:
        session.get_json("limits")
    assert (caught.value.status, caught.value.code) == (503, "SERVER_UNAVAILABLE")
    assert len(org.calls) == 6
    assert clock.slept == pytest.approx(0.5 + 1 + 2 + 4 + 8)


def test_total_time_is_capped(org: Any, connect: Any, clock: Any) -> None:
    org.script(org.reply.error(503, "X", Retry_After="100"))
    with pytest.raises(SalesforceError):
        connect(policy=RetryPolicy(total_seconds=250)).get_json("limits")
    assert clock.slept == pytest.approx(200)


@pytest.mark.parametrize(
    ("header", "waited"),
    [("7", 7.0), ("Mon, 15 Jan 2024 10:30:09 GMT", 9.0), ("Mon, 15 Jan 2024 10:29:00 GMT", 0.5), ("soon", 0.5)],
)
def test_retry_after_is_honoured(org: Any, connect: Any, clock: Any, header: str, waited: float) -> None:
    org.script(org.reply.error(429, "", Retry_After=header), org.reply.json({}))
    connect().get_json("limits")
    assert clock.slept == pytest.approx(waited)


def test_a_retry_after_beyond_patience_ends_the_run_and_says_so(org: Any, connect: Any, clock: Any) -> None:
    org.script(org.reply.error(503, "SERVER_UNAVAILABLE", Retry_After="3600"))
    with pytest.raises(SalesforceError, match=r"asks to wait 3600 s.*run again later"):
        connect().get_json("limits")
    assert clock.slept == 0


def test_a_post_that_must_not_arrive_twice_is_not_repeated(org: Any, connect: Any) -> None:
    org.script(org.reply.error(500, "UNKNOWN_EXCEPTION"), org.reply.json({}))
    with pytest.raises(SalesforceError, match="UNKNOWN_EXCEPTION"):
        connect().post_json("jobs/query", {}, repeatable=False)
    assert len(org.calls) == 1


def test_the_stop_flag_ends_a_pause(org: Any, connect: Any, clock: Any) -> None:
    stop = threading.Event()
    org.script(org.reply.error(429, "", Retry_After="200"))

    def stop_after_a_while() -> None:
        if clock.slept > 5:
            stop.set()

    clock.on_sleep = stop_after_a_while
    with pytest.raises(InterruptedRunError):
        connect(stop=stop).get_json("limits")
    assert clock.slept < 6
    assert len(org.calls) == 1


# --- sessions that expire ---


def test_an_expired_session_is_renewed_once_and_the_call_repeated(org: Any, connect: Any) -> None:
    session = connect()
    session.get_json("limits")
    org.expired.add(org.issued[0])
    assert session.get_json("limits") == {"ok": True}
    assert len(org.token_calls) == 2
    assert org.calls[-1].token == org.issued[1]


def test_a_session_that_is_refused_right_after_login_is_a_login_error(org: Any, connect: Any) -> None:
    org.script(org.reply.error(401, "INVALID_SESSION_ID", "Session expired or invalid"))
    session = connect()
    for _ in range(2):
        with pytest.raises(LoginError, match="just opened"):
            session.get_json("limits")
    assert len(org.token_calls) == 2


def test_threads_with_an_expired_token_share_one_renewal(org: Any, connect: Any) -> None:
    session = connect()
    session.get_json("limits")
    org.expired.add(org.issued[0])
    together = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: (together.wait(), session.get_json("limits"))[1], range(4)))
    assert answers == [{"ok": True}] * 4
    assert len(org.token_calls) == 2


def test_threads_share_the_first_login(org: Any, connect: Any) -> None:
    session = connect()
    together = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: (together.wait(), session.get_json("limits")), range(4)))
    assert len(org.token_calls) == 1


def test_a_refused_login_is_not_tried_again(org: Any, connect: Any) -> None:
    org.token_answer = lambda _: org.reply.json({"error": "invalid_client_id"}, 400)
    session = connect()
    for _ in range(3):
        with pytest.raises(LoginError, match="invalid_client_id"):
            session.get_json("limits")
    assert len(org.token_calls) == 1


def test_a_login_service_that_is_busy_is_tried_again_with_a_fresh_assertion(org: Any, connect: Any, clock: Any) -> None:
    replies = [
        org.reply.error(503, "X", Retry_After="60"),
        org.reply.json({"error": "unknown_error", "error_description": "retry your request"}, 400),
    ]
    issue = org.token_answer
    org.token_answer = lambda call: replies.pop(0) if replies else issue(call)
    session = connect()
    assert session.get_json("limits") == {"ok": True}
    assert len({call.form["assertion"] for call in org.token_calls}) == 3
    assert (session.usage.calls, session.usage.logins, session.usage.retries) == (1, 1, 2)


def test_a_login_that_answers_another_org_ends_the_run(org: Any, connect: Any) -> None:
    session = connect()
    session.get_json("limits")
    org.expired.add(org.issued[0])
    other = "https://login.salesforce.com/id/00Dxx0000009999EAA/005xx000001SwiUAAS"
    org.token_answer = lambda _: org.token_reply("00Dxx0000009999!Token", id=other)
    with pytest.raises(LoginError, match="another org"):
        session.get_json("limits")


def test_a_ready_token_is_used_and_not_renewed(org: Any, connect: Any) -> None:
    token = "00Dxx0000001gPL!Ready.Token"
    org.answer = lambda call: (
        org.reply.json({"organization_id": "00Dxx0000001gPL", "user_id": "005xx000001SwiU"})
        if call.path.endswith("/userinfo")
        else org.reply.json({"ok": True})
    )
    session = connect(auth_flow="access_token", access_token=token, instance_url=org.url)
    assert session.get_json("limits") == {"ok": True}
    assert session.org_id == "00Dxx0000001gPLEAY"
    assert {call.token for call in org.calls} == {token}
    org.expired.add(token)
    with pytest.raises(LoginError, match="set a new `access_token`"):
        session.get_json("limits")
    assert not org.token_calls


# --- what does not pass ---


@pytest.mark.parametrize(
    ("status", "code", "message", "error", "words"),
    [
        (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", QuotaCeilingError, "24 hours"),
        (400, "QUERY_TIMEOUT", "Your query request was running for too long.", QueryTimeoutError, "too much"),
        (500, "QUERY_TIMEOUT", "", QueryTimeoutError, "too much"),
        (400, "INVALID_QUERY_LOCATOR", "invalid query locator", LocatorExpiredError, "expired"),
        (403, "INSUFFICIENT_ACCESS", "secret-value", SalesforceError, "permissions"),
        (400, "INVALID_TYPE", "sObject type 'Foo__c' is not supported.", SalesforceError, r"\(Foo__c\)"),
        (
            400,
            "INVALID_FIELD",
            "\nName = 'secret-value'\n^\nNo such column 'Bar__c' on entity 'Case'.",
            SalesforceError,
            "Bar__c of Case",
        ),
        (404, "NOT_FOUND", "", SalesforceError, "no such resource"),
        (410, "GONE", "", ConfigurationError, "api_version"),
        (400, "UNSUPPORTED_API_VERSION", "", ConfigurationError, "api_version"),
    ],
)
def test_final_answers_become_one_exception_each(
    org: Any, connect: Any, status: int, code: str, message: str, error: type[Exception], words: str
) -> None:
    org.script(org.reply.error(status, code, message))
    with pytest.raises(error, match=words) as caught:
        connect().get_bytes("queryAll", params={"q": "SELECT secret-value"})
    assert caught.type is error
    assert "secret-value" not in str(caught.value)
    assert len(org.calls) == 1
    if issubclass(error, SalesforceError):
        assert (getattr(caught.value, "status", 0), getattr(caught.value, "code", "")) == (status, code)


def test_redirects_are_not_followed(org: Any, connect: Any) -> None:
    org.script(org.reply(302, b"", {"Location": f"{org.url}/elsewhere"}))
    with pytest.raises(SalesforceError, match="not followed"):
        connect().get_json("limits")
    assert len(org.calls) == 1


# --- API calls, and Salesforce's clock ---


def test_usage_follows_the_limit_header(org: Any, connect: Any) -> None:
    org.script(
        org.reply.json({}, Sforce_Limit_Info="api-usage=18/5000; per-app-api-usage=17/250(appName=sample)"),
        org.reply.json({}),
    )
    session = connect()
    before = session.usage
    assert before.limits is None
    session.get_json("limits")
    session.get_json("limits")
    limits = session.usage.limits
    assert limits is not None
    assert (limits.used, limits.maximum) == (18, 5000)
    assert (limits.app_used, limits.app_maximum, limits.app_name) == (17, 250, "sample")
    assert session.usage.calls == 2


@pytest.mark.parametrize(
    ("setting", "percent", "info", "calls"),
    [
        ("quota_percent_total", 15, "api-usage=150/1000", 1),
        ("quota_percent_total", 15, "api-usage=1/1000; per-app-api-usage=20/100(appName=a)", 1),
        ("quota_percent_run", 30, "api-usage=900/10", 3),
    ],
)
def test_a_ceiling_stops_before_the_next_call(
    org: Any, connect: Any, setting: str, percent: int, info: str, calls: int
) -> None:
    org.script(org.reply.json({}, Sforce_Limit_Info=info))
    session = connect(**{setting: percent})
    for _ in range(calls):
        session.get_json("limits")
    with pytest.raises(QuotaCeilingError, match=f"`{setting}` allows {percent} %"):
        session.get_json("limits")
    assert len(org.calls) == calls


def test_server_time_is_the_date_of_the_last_answer_and_what_passed_since(org: Any, connect: Any, clock: Any) -> None:
    session = connect()
    noon = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
    assert session.server_time() == noon
    assert [call.path for call in org.calls] == ["/services/data/"]
    clock.seconds += 90
    assert session.server_time() == noon + timedelta(seconds=90)
    org.script(org.reply.json({}, Date="Mon, 15 Jan 2024 11:00:00 GMT"))
    session.get_json("limits")
    assert session.server_time() == datetime(2024, 1, 15, 11, 0, tzinfo=UTC)


def test_counters_are_exact_with_many_threads(org: Any, connect: Any) -> None:
    session = connect()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: session.get_json("limits"), range(200)))
    assert session.usage.calls == len(org.calls) == 200
