"""The tap in the test's own process, and a target that upserts: many runs in a second, faults timed by output."""

from __future__ import annotations

import io
import re
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from microdecisions.errors import MicroDecisionError
from tap_salesforce_temporal.tap import TapSalesforceTemporal
from tests.conftest import NOW
from tests.harness import Json, TapRun, take
from tests.test_never_lose import case_change

SECOND = timedelta(seconds=1)


class Watched(io.BytesIO):
    """Standard output that calls back when the first record of a run is written."""

    def __init__(self, on_first_record: Callable[[], object]) -> None:
        super().__init__()
        self._waiting: list[Callable[[], object]] = [on_first_record]

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        if self._waiting and b'"type":"RECORD"' in bytes(data):
            self._waiting.pop()()
        return super().write(data)


def run_here(
    config: Json,
    *streams: str,
    state: Json | None = None,
    catalog: Json | None = None,
    on_first_record: Callable[[], object] = lambda: None,
) -> TapRun:
    """Run the tap in this process; as fast as it gets, and faults can be timed by what it writes."""
    output = Watched(on_first_record)
    run = TapRun(0, "")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with redirect_stdout(io.TextIOWrapper(output, write_through=True)):
        try:
            chosen = catalog_of(*streams) if streams else catalog
            tap = TapSalesforceTemporal(config=config, state=state, catalog=chosen)
            tap.sync_all()
            tap.finish()
        except MicroDecisionError as error:
            run.code, run.log = error.exit_code, str(error)
        finally:
            # What the SDK's buffer holds back is not judged: a STATE is always behind its records.
            lines = output.getvalue().decode().split("\n")
            for number, handler in handlers.items():  # the SDK sets its own when a tap is made
                signal.signal(number, handler)
    assert lines[-1] == "", "a line is torn"
    for line in lines[:-1]:
        take(run, line)
    check_states(run)
    return run


def catalog_of(*streams: str) -> Json:
    """A catalog as a person would write it by hand."""
    return {
        "streams": [
            {
                "tap_stream_id": stream,
                "stream": stream,
                "schema": {"type": "object", "properties": {}},
                "key_properties": ["event_id"],
                "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
            }
            for stream in streams
        ]
    }


def check_states(run: TapRun) -> None:
    """Each STATE is one that a next run takes."""
    for state in run.states:
        assert set(state) == {"bookmarks"}
        for entry in state["bookmarks"].values():
            if "version" in entry:  # one that this run wrote
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["replication_key_value"])


@dataclass
class Loader:
    """A target that upserts by event id, and keeps the last STATE behind the records it got."""

    state: Json | None = None
    tables: dict[str, dict[str, Json]] = field(default_factory=dict)
    arrivals: Counter[str] = field(default_factory=Counter)

    def load(self, run: TapRun) -> TapRun:
        """Take what a run wrote."""
        for stream, records in run.records.items():
            for record in records:
                self.tables.setdefault(stream, {})[record["event_id"]] = record
                self.arrivals[record["event_id"]] += 1
        self.state = run.states[-1] if run.states else self.state
        return run

    def content(self) -> dict[str, dict[str, Json]]:
        """What counts: without corrected events, and without when and by which version they were read."""
        return {
            stream: {
                event_id: {name: value for name, value in record.items() if name != "extracted_at"}
                for event_id, record in table.items()
                if record["context"].get("metadata", {}).get("superseded") != "true"
            }
            for stream, table in self.tables.items()
        }


def clean(config: Json, *streams: str) -> dict[str, dict[str, Json]]:
    """What a single full read without any fault gives."""
    loader = Loader()
    assert loader.load(run_here(config, *streams)).code == 0
    return loader.content()


def statements(server: Running, text: str, after: int = 0) -> list[str]:
    return [request.query for request in server.journal(after).requests if request.query and text in request.query]


def logins(server: Running) -> int:
    return sum(request.path.endswith("/oauth2/token") for request in server.journal().requests)


def many_cases(path: Path, count: int, *, first: int = 1, start: datetime = NOW - timedelta(days=2)) -> None:
    """History rows a second apart."""
    with Org.open(path) as org:
        rows = [case_change(org, first + n, start + SECOND * n, f"v{n}", f"v{n + 1}") for n in range(count)]
        org.load("CaseHistory", rows)


def account_change(org: Org, number: int, at: datetime) -> Json:
    row = case_change(org, number, at)
    return {name: value for name, value in row.items() if name != "CaseId"} | {
        "Id": org.new_id("AccountHistory", number),
        "AccountId": org.new_id("Account", 1),
        "Field": "Name",
        "DataType": "Text",
    }
