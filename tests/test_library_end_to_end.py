"""The library against a served org: the same events as a run, few at a time, and the examples of its page."""

from __future__ import annotations

import gc
import re
import signal
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from microdecisions import timestamps
from microdecisions.errors import ConfigurationError, LoginError, MicroDecisionError, ObjectPermissionError
from tap_salesforce_temporal import analysis, library
from tap_salesforce_temporal.reading.side_by_side import THREAD_NAME
from tests.harness import Json, config_for
from tests.in_process import run_here

Serve = Callable[..., Running]
PAGE = Path(__file__).parent.parent / "docs" / "library.md"
STREAMS = ("case_history", "opportunity_history", "process_instance_step")


def content(record: Json) -> Json:
    """What belongs to the decision, without when it was read."""
    return {name: value for name, value in record.items() if not name.startswith("extracted_at")}


@pytest.mark.parametrize("stream", STREAMS)
def test_the_library_gives_what_a_run_writes(serve: Serve, small_org: Path, stream: str) -> None:
    config = config_for(serve(small_org).url, small_org)
    written = run_here(config, stream).by_id(stream)
    read = {event.event_id: event for event in library.events(config, stream)}
    assert len(read) > 20
    assert {key: content(event.to_dict()) for key, event in read.items()} == {
        key: content(record) for key, record in written.items()
    }


@pytest.mark.parametrize("instant", [5, 2024.5, ["2024-01-31"], b"2024-01-31"])
def test_a_start_that_is_no_time_is_one_sentence(instant: Any, small_org: Path) -> None:
    with pytest.raises(ConfigurationError, match="`start` given is no datetime"):
        library.events(config_for("http://127.0.0.1:1", small_org), "case_history", start=instant)


def test_start_and_end_cut_a_stream_in_parts_that_make_the_whole(serve: Serve, small_org: Path) -> None:
    config = config_for(serve(small_org).url, small_org)
    whole = {event.event_id for event in library.events(config, "case_history")}
    middle = datetime(2025, 6, 1, tzinfo=UTC)
    before = [event.event_id for event in library.events(config, "case_history", end=middle)]
    after = [event.event_id for event in library.events(config, "case_history", start=middle.date())]
    assert before
    assert after
    assert sorted(before + after) == sorted(whole)


def test_streams_are_named(serve: Serve, small_org: Path) -> None:
    running = serve(small_org)
    assert set(STREAMS) < set(library.streams(config_for(running.url, small_org)))


def test_only_the_stream_asked_for_is_described(serve: Serve, small_org: Path) -> None:
    running = serve(small_org)
    before = running.control().quota_used
    next(library.events(config_for(running.url, small_org), "case_history"))
    assert running.control().quota_used - before <= 8


def test_leaving_early_ends_every_thread(serve: Serve, small_org: Path) -> None:
    config = config_for(serve(small_org).url, small_org)
    with closing(library.events(config, "case_history")) as read:
        assert len(list(islice(read, 3))) == 3
    for lane in [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]:
        lane.join(5)
        assert not lane.is_alive()


def test_a_notebook_keeps_its_own_signals(serve: Serve, small_org: Path) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    next(library.events(config_for(serve(small_org).url, small_org), "case_history"))
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_nothing_is_written_to_standard_output(
    serve: Serve, small_org: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    list(library.events(config_for(serve(small_org).url, small_org), "process_instance_step"))
    assert capfdbinary.readouterr().out == b""


def kept_by_the_tap() -> int:
    """Bytes that code of the tap and its library has allocated and holds; the mock org runs in this process too."""
    gc.collect()
    ours = [tracemalloc.Filter(True, f"*/{name}/*") for name in ("tap_salesforce_temporal", "microdecisions")]
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(ours).traces)


def test_memory_does_not_grow_with_the_events_that_were_given(serve: Serve, small_org: Path) -> None:
    config = config_for(serve(small_org).url, small_org)
    tracemalloc.start()
    try:
        count = sum(1 for _ in library.events(config, "opportunity_field_history"))
        after_one = kept_by_the_tap()
        for _ in range(4):
            count += sum(1 for _ in library.events(config, "opportunity_field_history"))
        grown = kept_by_the_tap() - after_one
    finally:
        tracemalloc.stop()
    assert count > 2_000
    assert grown < 300 * count, "an event that is kept takes about 800 bytes"


@pytest.mark.parametrize(
    ("more", "start", "words"),
    [
        ({"lag_seconds": -1}, None, "lag_seconds"),
        ({}, "yesterday", "start_date"),
        ({}, datetime(2026, 1, 1), "time zone"),  # noqa: DTZ001  # the point of it
        ({"end_date": "2025-01-01"}, date(2025, 1, 1), "end_date"),
    ],
)
def test_wrong_settings_are_an_error_at_the_call(
    tmp_path: Path, more: Json, start: library.Instant | None, words: str
) -> None:
    config = {"auth_flow": "access_token", "access_token": "x", "instance_url": "http://127.0.0.1:1", **more}
    with pytest.raises(ConfigurationError, match=words):
        library.events(config, "case_history", start=start)


def test_an_unknown_stream_and_a_refused_login_are_errors_at_the_first_event(serve: Serve, small_org: Path) -> None:
    config = config_for(serve(small_org).url, small_org)
    with pytest.raises(ConfigurationError, match="`nothing_history`"):
        next(library.events(config, "nothing_history"))
    with pytest.raises(LoginError):
        next(library.events(config | {"username": "nobody@example.com"}, "case_history"))


def test_a_stream_that_cannot_be_read_is_an_error_not_an_end(serve: Serve, small_org: Path) -> None:
    running = serve(small_org)
    config = config_for(running.url, small_org)
    running.control(forbid={"fields": ["OpportunityHistory.Amount"]})
    with pytest.raises(ObjectPermissionError, match="Amount"):
        list(library.events(config, "opportunity_history"))
    running.control(
        forbid={}, fail=[{"pattern": "FROM%20CaseHistory|FROM CaseHistory", "status": 400, "code": "X", "times": None}]
    )
    with pytest.raises(MicroDecisionError):
        list(library.events(config, "case_history"))


def test_a_row_of_a_table_has_always_the_same_columns(serve: Serve, small_org: Path) -> None:
    config = config_for(serve(small_org).url, small_org)
    rows = [library.flat(event) for stream in STREAMS for event in library.events(config, stream)]
    assert len({tuple(row) for row in rows}) == 1
    assert all(isinstance(value, str | float | int | None) for row in rows for value in row.values())
    (maps,) = {type(msgspec.json.decode(str(row["context_related_records"]))) for row in rows}
    assert maps is dict


def rows_of(org: Path, sobject: str) -> int:
    with closing(Org.open(org)) as opened:
        count: int = opened.db.execute(f'SELECT COUNT(*) FROM "{sobject}"').fetchone()[0]
    return count


def test_the_functions_answer_for_the_history_of_an_org(serve: Serve, small_org: Path) -> None:
    config = config_for(serve(small_org).url, small_org)
    read = partial(library.events, config)
    stages = analysis.stage_durations(analysis.stage_visits(read("opportunity_history")))
    assert sum(one.open for one in stages) == rows_of(small_org, "Opportunity")
    approvals = analysis.approval_metrics(read("process_instance_step"))
    assert sum(one.approved for one in approvals) > 5
    assert sum(one.activities for one in analysis.activity_summary(read("task"))) == rows_of(small_org, "Task")
    changes = list(read("setup_audit_trail"))
    assert sum(one.changes for one in analysis.setup_summary(changes)) == len(changes) > 50
    last = timestamps.parse(max(change.timestamp_occurred for change in changes))
    critical = analysis.critical_setup_changes(changes, days=30, now=last)
    assert 0 < len(critical) < len(changes)
    assert {one.section for one in critical} >= {"Manage Users"}


def examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_examples_of_the_page_run(
    serve: Serve,
    small_org: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_for(serve(small_org).url, small_org)
    names: dict[str, object] = {"OURS": config}
    ran = 0
    for code in examples():
        if "parquet" in code and find_spec("pyarrow") is None:
            continue
        with_ours = re.sub(r"^config = \{.*?^\}", "config = OURS", code, flags=re.DOTALL | re.MULTILINE)
        exec(compile(with_ours, str(PAGE), "exec"), names)  # noqa: S102
        ran += 1
    assert ran >= 3
    shown = capsys.readouterr().out
    assert "case_history" in shown
    assert "visits, median" in shown
