"""Event log files: read row by row, whatever their size and whatever happens to the connection."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from microdecisions.session import open_session
from microdecisions.settings import LoginSettings, load
from tests.conftest import NOW
from tests.harness import Json, TapRun, config_for, take, tap_command
from tests.in_process import catalog_of, run_here
from tests.test_never_lose import salesforce_text

Serve = Callable[..., Running]
MIB = 2**20
WIDE = "x" * 8_000
# The process tells itself: what its parent would be told counts the parent's own memory before the child's start.
MEASURING = """
import atexit, pathlib, sys
atexit.register(lambda: sys.stderr.write(pathlib.Path("/proc/self/status").read_text()))
from tap_salesforce_temporal.tap import main
main()
"""


def log_file(org: Org, number: int, lines: int) -> Json:
    """A file of about 8 kB a line, written two hours before `NOW`."""
    rows = [f'"URI","20260302050{n % 10}00.000","{WIDE}{n}"' for n in range(lines)]
    body = "\n".join(['"EVENT_TYPE","TIMESTAMP","URI"', *rows]) + "\n"
    return {
        "Id": org.new_id("EventLogFile", number),
        "EventType": "URI",
        "LogDate": salesforce_text(NOW - timedelta(hours=5)),
        "LogFile": body,
        "LogFileLength": Decimal(len(body)),
        "LogFileContentType": "text/csv",
        "ApiVersion": Decimal("66.0"),
        "Sequence": 0,
        "Interval": "Daily",
        "CreatedDate": salesforce_text(NOW - timedelta(hours=2)),
    }


def load_file(path: Path, lines: int) -> None:
    with Org.open(path) as org:
        org.load("EventLogFile", [log_file(org, 1, lines)])


def measured(work: Path, config: Json) -> tuple[TapRun, int]:
    """A run of the tap as a process, and the most memory it took, in bytes."""
    command = [sys.executable, "-c", MEASURING, *tap_command(work, config, catalog=catalog_of("event_log_file"))[1:]]
    output = work / "output"
    with output.open("wb") as out, (work / "log").open("wb") as log:
        code = subprocess.run(command, stdout=out, stderr=log, timeout=120, check=False).returncode
    run = TapRun(code, (work / "log").read_text())
    with output.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            take(run, line)
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB", run.log, re.MULTILINE)
    return run, int(peak) * 1024


def test_memory_does_not_grow_with_the_size_of_a_file(serve: Serve, empty_org: Path, tmp_path: Path) -> None:
    peaks = []
    for lines in (2_000, 12_000):  # 16 MB, 96 MB
        with Org.open(empty_org) as org, org.lock, org.db:
            org.db.execute("DELETE FROM EventLogFile")
        load_file(empty_org, lines)
        server = serve(empty_org)
        run, peak = measured(tmp_path, config_for(server.url, empty_org))
        assert run.code == 0, run.log
        assert [record["new_value"] for record in run.records["event_log_file"][-2:]] == [
            f"{WIDE}{lines - 2}",
            f"{WIDE}{lines - 1}",
        ]
        assert len(run.by_id("event_log_file")) == lines
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 24 * MIB


@pytest.mark.parametrize("mode", ["truncate", "drop"])
def test_a_file_whose_connection_breaks_off_is_read_again_and_no_line_is_twice(
    mode: str, serve: Serve, empty_org: Path
) -> None:
    load_file(empty_org, 300)
    server = serve(empty_org)
    server.control(drop=[{"pattern": "/LogFile", "mode": mode, "after_bytes": 1_000_000, "times": 2}])
    run = run_here(config_for(server.url, empty_org), "event_log_file")
    assert run.code == 0, run.log
    assert [record["new_value"] for record in run.records["event_log_file"]] == [f"{WIDE}{n}" for n in range(300)]


def test_a_disk_that_is_full_is_one_sentence_and_no_success(
    serve: Serve, empty_org: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data: object, /) -> int:
            del data
            raise OSError(28, "No space left on device")

    load_file(empty_org, 10)
    monkeypatch.setattr("microdecisions.temporary.tempfile.SpooledTemporaryFile", lambda _: Full())
    run = run_here(config_for(serve(empty_org).url, empty_org), "event_log_file")
    assert run.code == 1
    assert "No space left on device" in run.log
    assert "TMPDIR" in run.log
    assert not run.records["event_log_file"]


def test_an_answer_goes_into_a_file_from_its_beginning_on(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    server.control(drop=[{"pattern": "describe", "mode": "truncate", "times": 1}])
    with open_session(load(LoginSettings, config_for(server.url, empty_org))) as session:
        content = io.BytesIO(b"what was there before, and is longer than nothing")
        session.download("sobjects/Case/describe", content)
        assert content.read() == session.get_bytes("sobjects/Case/describe").body
