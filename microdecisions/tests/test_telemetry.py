"""What operators and machines are told of a stream."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microdecisions import telemetry
from microdecisions.limits import LimitInfo, Usage
from microdecisions.telemetry import Spending

START, END = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)


def test_a_stream_ends_with_one_line_of_everything_an_operator_asks() -> None:
    spent = Spending(
        calls=1_051, retries=2, received=3_456_789, seconds=12.34, limits=LimitInfo(used=1_200, maximum=100_000)
    )
    assert telemetry.stream_line("case_history", 12_345, (START, END), spent, complete=True) == (
        "Stream `case_history`: 12,345 events from 2026-01-02T03:04:05Z to 2026-03-02T00:00:00Z; 1051 API calls, "
        "3.5 MB, 12.3 s, 2 retries, 98,800 of 100,000 calls left."
    )


def test_little_is_told_in_the_singular_and_silence_of_the_org_is_told() -> None:
    spent = Spending(calls=1, retries=1, received=1)
    line = telemetry.stream_line("case_history", 1, (START, END), spent, complete=True)
    assert "1 event from" in line
    assert line.endswith("1 API call, 1 byte, 0.0 s, 1 retry, quota left not told.")


@pytest.mark.parametrize(
    ("window", "complete", "said"),
    [
        ((None, END), True, ": nothing before 2026-03-02T00:00:00Z; "),
        ((START, END), False, ": not complete, 3 events from 2026-01-02T03:04:05Z to "),
        (None, False, ": not complete, 3 events; "),
    ],
)
def test_what_was_not_there_or_not_read_is_said(
    window: tuple[datetime | None, datetime] | None, complete: bool, said: str
) -> None:
    assert said in telemetry.stream_line("case_history", 3, window, Spending(), complete=complete)


def test_a_run_says_what_it_cost_and_never_less_than_nothing_left() -> None:
    line = telemetry.run_line(Spending(calls=1_234, limits=LimitInfo(used=120, maximum=100)))
    assert line == "Run: 1234 API calls, 0 bytes, 0.0 s, no retries, 0 of 100 calls left."


@pytest.mark.parametrize(
    ("received", "shown"),
    [(999, "999 bytes"), (1_000, "1.0 kB"), (999_999, "1,000.0 kB"), (10**6, "1.0 MB"), (10**13, "10,000.0 GB")],
)
def test_bytes_are_told_in_the_unit_that_fits(received: int, shown: str) -> None:
    assert shown in telemetry.run_line(Spending(received=received))


def test_a_meter_tells_what_was_spent_since_it_was_made() -> None:
    usages = iter([Usage(calls=10, bytes_received=500), Usage(calls=12, bytes_received=1_500, retries=1)])
    clock = iter([100.0, 107.5])
    meter = telemetry.Meter("case_history", lambda: next(usages), lambda: next(clock))
    meter.reads(START, END)
    meter.wrote(2)
    meter.wrote(3)
    line = meter.line(complete=True)
    assert ": 5 events from" in line
    assert "; 2 API calls, 1.0 kB, 7.5 s, 1 retry, " in line


COUNTS = st.integers(min_value=0, max_value=10**9)
USAGES = st.builds(Usage, calls=COUNTS, retries=COUNTS, logins=COUNTS, bytes_received=COUNTS)


@given(USAGES, USAGES, USAGES)
def test_what_two_streams_spend_is_what_is_spent_from_the_first_to_the_last(a: Usage, b: Usage, c: Usage) -> None:
    first, second, both = telemetry.spending(a, b, 1.0), telemetry.spending(b, c, 2.0), telemetry.spending(a, c, 3.0)
    for name in ("calls", "retries", "logins", "received", "seconds"):
        assert getattr(first, name) + getattr(second, name) == getattr(both, name)


def test_machines_get_the_metrics_of_requests_in_the_sdks_own_form() -> None:
    shown = [point.to_dict() for point in telemetry.points("case_history", Spending(calls=5, seconds=1.23456))]
    tags = {"stream": "case_history", "endpoint": "salesforce"}
    assert shown == [
        {"type": "counter", "metric": "http_request_count", "value": 5, "tags": tags},
        {"type": "timer", "metric": "http_request_duration", "value": 1.235, "tags": tags},
    ]


@pytest.mark.parametrize(("failed", "status"), [(True, "failed"), (False, "succeeded")])
def test_machines_get_the_time_of_the_whole_run(failed: bool, status: str) -> None:
    shown = telemetry.job_point(Spending(seconds=2.5), failed=failed).to_dict()
    tags = {"job_type": "sync", "status": status}
    assert shown == {"type": "timer", "metric": "job_duration", "value": 2.5, "tags": tags}
