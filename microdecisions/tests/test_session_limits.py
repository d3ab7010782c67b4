"""The pure parts under the session: delays, Retry-After, limit headers, ceilings, error bodies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microdecisions.answers import Problem, Verdict, judge, read_problem, where
from microdecisions.errors import QuotaCeilingError
from microdecisions.limits import LimitInfo, Usage, calls_left, check_ceilings, parse_limit_info
from microdecisions.retries import RetryPolicy, parse_http_date, parse_retry_after

NOW = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)


@given(tries=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_delays_stay_within_the_doubling_limit(tries: int, chance: float) -> None:
    delay = RetryPolicy().delay(tries, lambda: chance)
    assert 0 <= delay <= min(30.0, 0.5 * 2.0 ** min(tries - 1, 10))


@given(tries=st.integers(1, 50), chance=st.floats(0, 1, exclude_max=True), asked=st.floats(0, 1e6))
def test_a_delay_is_never_shorter_than_what_the_server_asks(tries: int, chance: float, asked: float) -> None:
    assert RetryPolicy().delay(tries, lambda: chance, asked) >= asked


@given(seconds=st.integers(0, 10**8))
def test_retry_after_is_read_as_seconds_and_as_date(seconds: int) -> None:
    assert parse_retry_after(f" {seconds} ", NOW) == seconds
    assert parse_retry_after(format_datetime(NOW + timedelta(seconds=seconds), usegmt=True), NOW) == seconds
    assert parse_retry_after(format_datetime(NOW - timedelta(seconds=seconds), usegmt=True), NOW) == 0


@given(text=st.text(max_size=40))
def test_any_retry_after_is_usable_or_ignored(text: str) -> None:
    parsed = parse_retry_after(text, NOW)
    assert parsed is None or 0 <= parsed < float("inf")


@given(moment=st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_http_dates_are_aware_utc(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert parse_http_date(format_datetime(moment, usegmt=True)) == moment


@pytest.mark.parametrize(
    ("header", "info"),
    [
        ("api-usage=18/5000", LimitInfo(used=18, maximum=5000)),
        (
            "api-usage=25/5000; per-app-api-usage=17/250(appName=sample-connected-app)",
            LimitInfo(used=25, maximum=5000, app_used=17, app_maximum=250, app_name="sample-connected-app"),
        ),
        ("per-app-api-usage=17/250(appName=a)", None),
        ("api-usage=x/y", None),
        ("", None),
        (None, None),
    ],
)
def test_limit_headers(header: str | None, info: LimitInfo | None) -> None:
    assert parse_limit_info(header) == info


@given(used=st.integers(0, 10**6), maximum=st.integers(0, 10**6), percent=st.integers(1, 100))
def test_the_ceiling_is_reached_exactly_at_its_share(used: int, maximum: int, percent: int) -> None:
    usage = Usage(limits=LimitInfo(used=used, maximum=maximum))
    if maximum and used / maximum * 100 >= percent:
        with pytest.raises(QuotaCeilingError) as caught:
            check_ceilings(usage, percent, None)
        assert caught.value.exit_code == 3
    else:
        check_ceilings(usage, percent, None)


def test_no_ceiling_without_a_setting_or_before_the_first_header() -> None:
    check_ceilings(Usage(calls=9), 1, 1)
    check_ceilings(Usage(calls=9, limits=LimitInfo(used=9, maximum=9)), None, None)


@given(
    used=st.integers(0, 300),
    spent=st.integers(0, 300),
    maximum=st.integers(1, 200),
    total=st.none() | st.integers(1, 100),
    run=st.none() | st.integers(1, 100),
)
def test_so_many_calls_may_be_made_as_are_left_and_about_one_more(
    used: int, spent: int, maximum: int, total: int | None, run: int | None
) -> None:
    def after(calls: int) -> Usage:
        return Usage(calls=spent + calls, limits=LimitInfo(used=used + calls, maximum=maximum))

    left = calls_left(after(0), total, run)
    assert left is not None
    if left:
        check_ceilings(after(left - 1), total, run)
    if total is not None or run is not None:
        with pytest.raises(QuotaCeilingError):
            check_ceilings(after(max(left + 1, maximum)), total, run)


def test_how_many_calls_are_left_is_unknown_without_a_limit() -> None:
    assert calls_left(Usage(calls=9), 50, 50) is None
    assert calls_left(Usage(limits=LimitInfo(used=4, maximum=9)), None, None) == 5
    assert calls_left(Usage(limits=LimitInfo(used=4, maximum=9, app_used=2, app_maximum=3)), None, None) == 1


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'[{"message": "m", "errorCode": "INVALID_FIELD", "fields": ["x"]}]', Problem("INVALID_FIELD", "m")),
        (b'{"errorCode": "NOT_FOUND", "message": "m"}', Problem("NOT_FOUND", "m")),
        (b'{"exceptionCode": "InvalidSessionId", "exceptionMessage": "m"}', Problem("InvalidSessionId", "m")),
        (b'{"error": "invalid_grant", "error_description": "m"}', Problem("invalid_grant", "m")),
        (b'[{"errorCode": "<script>", "message": "m"}]', Problem("", "m")),
        (b"[]", Problem()),
        (b"<html>", Problem()),
        (b"\xff", Problem()),
    ],
)
def test_error_bodies_of_all_services_are_read(body: bytes, problem: Problem) -> None:
    assert read_problem(body) == problem


@given(status=st.integers(100, 599), body=st.binary(max_size=60))
def test_any_answer_gets_a_verdict(status: int, body: bytes) -> None:
    verdict = judge(status, read_problem(body))
    assert (verdict is Verdict.OK) == (status < 300)


def test_the_bulk_api_says_expired_session_with_status_400() -> None:
    assert judge(400, Problem("InvalidSessionId")) is Verdict.LOG_IN_AGAIN


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.invalid/services/data/v66.0/queryAll?q=SELECT+x", "GET /services/data/v66.0/queryAll"),
        ("/services/data/v66.0/query/01gxx-2000", "GET /services/data/v66.0/query/..."),
        ("/services/data/v66.0/queryAll/01gxx-2000", "GET /services/data/v66.0/queryAll/..."),
    ],
)
def test_messages_name_a_request_without_query_and_locator(url: str, shown: str) -> None:
    assert where("GET", url) == shown
