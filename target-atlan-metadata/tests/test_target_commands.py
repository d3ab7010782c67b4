"""The command line: rebuild, explore, what must not wait for pyatlan, and processes that are killed or stopped."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from event_making import record, record_line, schema_line, state_line
from running_target import Runs, carried

from localcloud.atlan.running import Running
from microdecisions.errors import ConfigurationError, InterruptedRunError
from target_atlan_metadata import explore, rebuild
from target_atlan_metadata.errors import InputError, LedgerLostError
from target_atlan_metadata.states import StateOutput
from target_atlan_metadata.target import TargetAtlanMetadata

NOW = datetime.now(UTC).replace(microsecond=0)
LEFT_OUT: list[dict[str, Any]] = [{"is_primary": False}, {"event_type": "gap"}, {"record_type": None}]


def config_file(runs: Runs) -> str:
    path = runs.folder / "config.json"
    path.write_text(json.dumps(runs.config))
    return str(path)


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [record(number, at=NOW - timedelta(hours=number)) for number in numbers]


def lines(*numbers: int) -> list[str]:
    return [schema_line(), *(record_line(number, at=NOW - timedelta(hours=number)) for number in numbers)]


def run_process(arguments: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "target_atlan_metadata", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=120)


def test_a_lost_ledger_is_refilled_from_files_and_takes_over_once(runs: Runs, atlan: Running, tmp_path: Path) -> None:
    runs(lines(1, 2, 3))
    (tmp_path / "ledger.db").unlink()
    plain = tmp_path / "case_history.jsonl"
    plain.write_text("".join(f"{json.dumps(row)}\n" for row in rows(1, 2)))
    warehouse = tmp_path / "events.jsonl.gz"
    capitals = [{name.upper(): value for name, value in row.items()} for row in rows(2, 3)]
    warehouse.write_bytes(gzip.compress("".join(f"{json.dumps(row)}\n" for row in capitals).encode()))
    singer = tmp_path / "tap.singer"
    singer.write_text("\n".join([*lines(3, 4), state_line({"a": 1})]))
    arguments = ["--config", config_file(runs), str(plain), str(warehouse), str(singer)]
    done = CliRunner().invoke(rebuild.command(), arguments, catch_exceptions=False)
    assert "6 events read, 4 of them new" in done.output
    runs([])
    assert carried(atlan, "Case")["Changes"] == 4


def test_a_file_that_holds_no_events_is_refused(runs: Runs, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"id": 1}\n')
    with pytest.raises(InputError, match="no event"):
        CliRunner().invoke(rebuild.command(), ["--config", config_file(runs), str(wrong)], catch_exceptions=False)
    broken = tmp_path / "broken.jsonl.gz"
    whole = gzip.compress(b'{"id": 1}\n' * 1000)
    broken.write_bytes(whole[:20] + bytes(20) + whole[40:])
    with pytest.raises(ConfigurationError, match="not a whole gzip file"):
        CliRunner().invoke(rebuild.command(), ["--config", config_file(runs), str(broken)], catch_exceptions=False)
    wrong.write_text("nonsense\n")
    with pytest.raises(InputError, match="Line 1"):
        CliRunner().invoke(rebuild.command(), ["--config", config_file(runs), str(wrong)], catch_exceptions=False)


def fill(runs: Runs, path: Path, content: str, **config: Any) -> str:
    """Run the sub-command `rebuild` on one file; what it says."""
    runs.config |= config
    path.write_text(content)
    arguments = ["--config", config_file(runs), str(path)]
    return CliRunner().invoke(rebuild.command(), arguments, catch_exceptions=False).output


def test_a_lost_ledger_is_not_made_good_by_files_without_events(runs: Runs, atlan: Running, tmp_path: Path) -> None:
    runs(lines(1, 2, 3))
    (tmp_path / "ledger.db").unlink()
    for content in ("", *(json.dumps(record(1, **left_out)) for left_out in LEFT_OUT)):
        with pytest.raises(ConfigurationError, match="The files hold no event that counts"):
            fill(runs, tmp_path / "case_history.jsonl", content)
        with pytest.raises(LedgerLostError):
            runs(lines(4))
    assert carried(atlan, "Case")["Changes"] == 3


def test_files_of_a_tap_may_hold_other_streams_where_they_are_ignored(runs: Runs, tmp_path: Path) -> None:
    users = {"type": "SCHEMA", "stream": "users", "schema": {"properties": {"id": {}}}, "key_properties": []}
    other = [json.dumps(users), '{"type": "RECORD", "stream": "users", "record": {"id": "x"}}']
    notes = ['{"type": "RECORD", "stream": "notes", "record": {"id": "x"}}']  # its SCHEMA message is in another file
    content = "\n".join([*other, *lines(1, 2), *notes])
    with pytest.raises(InputError, match="stream `users` is no event"):
        fill(runs, tmp_path / "tap.singer", content)
    assert "2 events read, 2 of them new" in fill(runs, tmp_path / "tap.singer", content, other_streams="ignore")
    broken = json.loads(lines(3)[1])
    del broken["record"]["old_value"]
    with pytest.raises(InputError, match="stream `case_history` is no event"):
        fill(runs, tmp_path / "tap.singer", "\n".join([schema_line(), json.dumps(broken)]))


def test_a_dry_run_of_rebuild_keeps_nothing(runs: Runs, tmp_path: Path) -> None:
    said = fill(runs, tmp_path / "case_history.jsonl", json.dumps(record(1)), dry_run=True)
    assert "1 events read, 1 of them new to the ledger. It stays as it is" in said
    assert not (tmp_path / "ledger.db").exists()


def test_explore_shows_what_is_there_and_what_has_no_asset(runs: Runs, atlan: Running) -> None:
    events = [
        *lines(1),
        record_line(2, at=NOW, record_type="Shipment__c"),
        record_line(3, at=NOW, field_name="Nothing__c"),
    ]
    runs(events)
    before = [one.kind for one in atlan.journal().requests].count("bulk")
    done = CliRunner().invoke(explore.command(), ["--config", config_file(runs), "--json"], catch_exceptions=False)
    found = json.loads(done.output)
    assert found["connections"][0]["assets"]["SalesforceObject"] == len(atlan.assets("SalesforceObject"))
    assert found["ledger"]["matched"] == ["Case"]
    assert found["ledger"]["missing_objects"] == ["Shipment__c"]
    assert found["ledger"]["missing_fields"] == ["Case.Nothing__c"]
    assert found["set_lacks"] == []
    assert [one.kind for one in atlan.journal().requests].count("bulk") == before
    shown = CliRunner().invoke(explore.command(), ["--config", config_file(runs)], catch_exceptions=False).output
    assert "Case.Nothing__c" in shown
    assert atlan.api_key not in shown + done.output


def test_what_needs_no_atlan_and_no_ledger_does_not_load_what_they_need() -> None:
    program = (
        "import sys\nfrom target_atlan_metadata.target import TargetAtlanMetadata\n"
        "for option in ('--version', '--help', '--about'):\n"
        "    try:\n        TargetAtlanMetadata.cli([option])\n"
        "    except SystemExit as left:\n"
        "        print(f'left {option} {left.code}', {'pyatlan', 'sqlalchemy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    left = [line for line in done.stdout.splitlines() if line.startswith("left ")]
    assert left == [f"left {option} 0 set()" for option in ("--version", "--help", "--about")], done.stderr


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ('{"base_url": "https://acme.atlan.com"}', "Setting `api_key` is missing"),
        ('{"base_url": "https://acme.atlan.com",}', "is not JSON (line 1, column 3"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_two(tmp_path: Path, config: str, sentence: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(config)
    done = run_process(["--config", str(path)])
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_run_leaves_figures_that_the_next_one_makes_right(runs: Runs, atlan: Running) -> None:
    """The process is killed while Atlan answers a write: counted, perhaps written, but no STATE was given out."""
    atlan.control(delay=[{"pattern": "POST /api/meta/entity/bulk", "seconds": 5, "times": None}])
    command = [sys.executable, "-m", "target_atlan_metadata", "--config", config_file(runs)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write("\n".join([*lines(1, 2), state_line({"a": 1})]) + "\n")
    process.stdin.close()
    while not any(one.kind == "bulk" for one in atlan.journal().requests):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    out, _ = process.stdout.read() if process.stdout else "", process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    assert out == ""
    atlan.control(reset=True)
    runs(lines(2, 3))
    assert carried(atlan, "Case")["Changes"] == 3


def test_a_stopped_run_says_so_and_gives_no_state(runs: Runs, atlan: Running, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "target_atlan_metadata", "--config", config_file(runs)]
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [*command, "--input", str(fifo)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with fifo.open("w") as source:
        source.write("\n".join([*lines(1), state_line({"a": 1})]) + "\n")
        source.flush()
        while not any(one.kind == "search" for one in atlan.journal().requests):
            assert process.poll() is None
            time.sleep(0.02)  # between two looks: what is waited for is the request
        with ThreadPoolExecutor(1) as reader:
            outcome = reader.submit(process.communicate, timeout=60)
            while not wait([outcome], 0.001).done:  # to the very end of the interpreter
                process.send_signal(signal.SIGTERM)
            out, err = outcome.result()
    assert process.returncode == 1, err
    assert out == ""
    assert err.count("Interrupted by SIGTERM") == 1
    assert "Traceback" not in err


def test_a_signal_that_a_library_keeps_to_itself_ends_the_run_at_the_next_lines(runs: Runs) -> None:
    target = TargetAtlanMetadata(config=runs.config)
    with suppress(InterruptedRunError):  # as a library may
        signal.raise_signal(signal.SIGTERM)
    try:
        with pytest.raises(InterruptedRunError, match="Interrupted by SIGTERM"):
            target.listen(io.BytesIO(f"{schema_line()}\n{record_line(1)}\n".encode()))  # type: ignore[arg-type]
    finally:
        target.close()


def test_a_state_is_whole_where_a_write_takes_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under PYTHONUNBUFFERED standard output is a raw file, whose write may end early."""
    taken = bytearray()

    class Raw(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, line: Any) -> int:
            taken.extend(line[:5])
            return min(len(line), 5)

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Raw(), write_through=True))  # type: ignore[type-var]
    StateOutput().write(b'{"bookmarks": {}}')
    monkeypatch.undo()
    assert taken == b'{"bookmarks": {}}\n'


def test_a_closed_pipe_is_said_in_one_line(runs: Runs) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "target_atlan_metadata", "--config", config_file(runs)]
    given = "\n".join([*lines(1), state_line({"a": 1})])
    done = subprocess.run(
        command, input=given, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=120
    )
    os.close(writer)
    assert done.returncode == 1
    assert "Nobody reads the state" in done.stderr
    assert "Exception" not in done.stderr
