"""Input that is odd and yet whole, or that breaks a decoder: read as it is, or refused in one sentence."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from event_making import decision, record, record_line, schema_line, state_line
from running_target import Runs, carried, guid

from localcloud.atlan.running import Running
from microdecisions.errors import ConfigurationError
from target_atlan_metadata import rebuild
from target_atlan_metadata.errors import InputError
from target_atlan_metadata.ledger import Ledger
from target_atlan_metadata.target import TargetAtlanMetadata

NO_TEXT = b"\xff"


@pytest.fixture
def dry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runs:
    return Runs(tmp_path, capsys)


def listen(runs: Runs, given: bytes, **config: Any) -> None:
    """Run the target on bytes, as a tap's pipe has them."""
    target = TargetAtlanMetadata(config={**runs.config, **config})
    try:
        target.listen(io.BytesIO(given))  # type: ignore[arg-type]  # the reader asks for bytes
    finally:
        target.close()


def users(*records: bytes) -> bytes:
    properties = {"id": {"type": "string"}, "number": {"type": "integer"}}
    schema = {"type": "SCHEMA", "stream": "users", "schema": {"properties": properties}, "key_properties": ["id"]}
    rows = (b'{"type": "RECORD", "stream": "users", "record": %s}\n' % one for one in records)
    return json.dumps(schema).encode() + b"\n" + b"".join(rows)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"New"', b'"%s"' % NO_TEXT),
        (b'"context": {', b'"context": "%s", "more": {' % (b"[" * 20_000)),
        (b'"context": {', b'"context": "%s", "more": {' % NO_TEXT),
    ],
    ids=["bytes in a value", "a context nested too deeply", "bytes in a context"],
)
def test_a_record_that_breaks_the_decoder_is_refused(dry: Runs, before: bytes, after: bytes) -> None:
    line = record_line(1).encode()
    assert before in line
    with pytest.raises(InputError, match="A record of stream `case_history` is no event"):
        listen(dry, schema_line().encode() + b"\n" + line.replace(before, after) + b"\n")


def test_a_state_that_is_no_text_is_refused_before_anything_is_counted(dry: Runs) -> None:
    state = state_line({"a": "X"}).encode().replace(b"X", NO_TEXT)
    with pytest.raises(InputError, match="STATE message"):
        listen(dry, schema_line().encode() + b"\n" + state + b"\n")


@pytest.mark.parametrize("moment", ["2026-02-31T10:00:00.000000Z", "2026-11-39T10:00:00.000000Z"])
def test_a_delete_on_a_day_that_no_month_has_is_refused(dry: Runs, moment: str) -> None:
    with pytest.raises(InputError, match=r"^Stream `case_history`: An event's time is no date-time with an offset"):
        dry([schema_line(), record_line(1, event_type="record_delete", timestamp_recorded=moment)])


def test_what_is_ignored_is_not_looked_into(dry: Runs) -> None:
    odd = [b'{"id": 5}', b'{"id": null}', b'{"id": "%s"}' % NO_TEXT, b'{"id": "x", "number": 1.5}']
    given = users(*odd, b'{"id": "x", "number": %s}' % (b"9" * 5_000), b"[1]")
    listen(dry, given + f"{schema_line()}\n{record_line(1)}\n".encode(), other_streams="ignore")
    report = json.loads((dry.folder / "report.json").read_bytes())
    assert (report["events"], report["counted"]) == (1, 1)


def test_a_line_that_comes_in_many_pieces_takes_time_as_it_is_long(dry: Runs) -> None:
    """Sixteen megabytes in pieces of two kilobytes: put together piece by piece they are copied 4,096 times."""
    given = io.BytesIO(schema_line().encode() + b"\n" + record_line(1, new_value="x" * (16 << 20)).encode() + b"\n")

    class Pieces:
        def read(self, size: int) -> bytes:
            del size
            return given.read(2048)

    target = TargetAtlanMetadata(config=dry.config)
    began = time.process_time()
    try:
        target.listen(Pieces())  # type: ignore[arg-type]  # as far as it is read
    finally:
        target.close()
    assert time.process_time() - began < 2
    assert json.loads((dry.folder / "report.json").read_bytes())["counted"] == 1


def rebuilt(folder: Path, rows: list[dict[str, Any]], **options: Any) -> dict[str, int]:
    """Changes and deletes that a new ledger counts of rows in a file, by object."""
    (folder / "events.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "rows.db").unlink(missing_ok=True)
    with Ledger(f"sqlite:///{folder / 'rows.db'}") as ledger:
        rebuild.fill(ledger, [folder / "events.jsonl"], **options)
        counted: dict[str, int] = {}
        for cell in ledger.activities(10_000, 90):
            counted[cell.object] = counted.get(cell.object, 0) + cell.total.changes + cell.total.deletes
    return counted


def capitals(row: dict[str, Any]) -> dict[str, Any]:
    return {name.upper(): value for name, value in row.items()}


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("form", [capitals, dict])
def test_what_the_first_row_of_a_file_lacks_is_read_of_the_others(tmp_path: Path, form: Any, first: int) -> None:
    """A later version of an event is told by `extracted_at`, a delete by who saw it: either may be missing at first."""
    seen = {"event_type": "record_delete", "field_name": None, "event_id": "00D000000000001AAA:Case:x"}
    flat = {**record(4, **seen), "context__source": "query_all", "context__metadata": None}
    sparse = [record(1, record_type="Lead"), record(5, record_type="Lead"), record(6, record_type="Lead")]
    for row, name in zip(sparse, ("extracted_at", "actor_name", "context"), strict=True):
        del row[name]
    later = record(2, is_primary=False, extracted_at="2027-01-01T00:00:00.000000Z")
    rows = [sparse[first], later, record(2), *sparse, {name: flat[name] for name in flat if name != "context"}]
    if first != 2:
        rows = [row for row in rows if "context__source" not in row]
    expected = {"Lead": 3, "Case": 1 if first == 2 else 0}
    assert rebuilt(tmp_path, [form(row) for row in rows]) == expected
    assert rebuilt(tmp_path, [form(row) for row in rows], ignore_others=True) == expected


def test_rows_of_both_spellings_may_be_mixed(tmp_path: Path) -> None:
    for rows in ([record(1), capitals(record(2))], [capitals(record(1)), record(2)]):
        assert rebuilt(tmp_path, rows) == {"Case": 2}


def test_events_whose_first_row_lacks_a_column_are_not_taken_for_another_stream(tmp_path: Path) -> None:
    row = record(1)
    del row["old_value"]
    with pytest.raises(InputError, match="no event"):
        rebuilt(tmp_path, [row, record(2)], ignore_others=True)


def test_a_stream_map_that_fails_on_a_value_is_named_and_the_value_is_not(
    dry: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    maps = {"case_history": {"event_id": "int(old_value)"}}
    with pytest.raises(InputError, match="stream map of stream `case_history` fails") as refused:
        dry([schema_line(), record_line(1, old_value="Secret Before")], stream_maps=maps)
    assert "Secret" not in f"{refused.value}{refused.value.__cause__}{dry.err}{caplog.text}"
    assert refused.value.__suppress_context__


def test_a_dry_run_makes_no_ledger(dry: Runs) -> None:
    given = [schema_line(), record_line(1)]
    folder = dry.folder / "away"
    assert dry(given, ledger_url=f"sqlite:///{folder / 'ledger.db'}").counted == 1
    assert dry.printed()["Case"]["change_count"] == 1
    assert not folder.exists()


def test_the_report_of_the_run_before_does_not_outlast_a_ledger_that_cannot_be_opened(dry: Runs) -> None:
    assert dry([schema_line(), record_line(1)]).complete
    (dry.folder / "ledger.db").write_text("not a database, but long enough to be one" * 100)
    with pytest.raises(Exception, match="is not a database"):
        dry([])
    assert (dry.folder / "report.json").read_bytes() == b""


def test_a_report_on_the_file_of_the_ledger_is_refused_and_changes_nothing(
    dry: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, given = dry.folder, [schema_line(), record_line(1)]
    with Ledger(dry.config["ledger_url"]) as ledger:
        ledger.add([decision(2)])
        ledger.commit()
    (folder / "ledger.db-wal").write_bytes(b"what a killed run left")
    (folder / "link.json").symlink_to(folder / "ledger.db")
    (folder / "hard.json").hardlink_to(folder / "ledger.db")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.chdir(folder)
    for name in ("ledger.db", "ledger.db-wal", "link.json", "hard.json", "new.db"):
        url = "sqlite:///new.db" if name == "new.db" else dry.config["ledger_url"]
        for path in (name, str(folder / name)):
            with pytest.raises(ConfigurationError, match="`report_path` names the file of the ledger"):
                TargetAtlanMetadata(config={**dry.config, "ledger_url": url, "report_path": path}).run  # noqa: B018
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "ledger.db-wal").unlink()
    assert dry(given).counted == 1


@pytest.mark.parametrize("path", ["~nobody-of-that-name/x.json", "a\0b", "/nowhere/x.json"])
def test_a_report_that_cannot_be_written_is_said_before_anything_is_counted(dry: Runs, path: str) -> None:
    with pytest.raises(ConfigurationError, match="The file that `report_path` names cannot be written"):
        dry([schema_line(), record_line(1)], report_path=path)


def test_a_later_version_read_in_the_same_quarter_of_an_hour_holds(runs: Runs, atlan: Running) -> None:
    for actor in ("005000000000001AAA", "005000000000009AAA", "005" + "x" * 1000):
        runs([schema_line(), record_line(1, actor_id=actor)])
        assert carried(atlan, "Case")["Last changed by"] == actor[:255]
        assert carried(atlan, "Case")["Changes"] == 1
    assert runs([schema_line(), record_line(1, actor_id=actor)]).writes == 0


def test_an_event_of_all_fields_is_still_read(dry: Runs) -> None:
    given = json.dumps({"type": "RECORD", "stream": "case_history", "record": record(1)}).encode()
    listen(dry, schema_line().encode() + b"\n" + given)
    assert json.loads((dry.folder / "report.json").read_bytes())["counted"] == 1


def test_no_state_is_given_while_atlan_refuses_an_asset(
    runs: Runs, atlan: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    """The minutes of input: refused, still refused, taken at last."""
    pieces = [f"{record_line(number)}\n{state_line(number)}\n" for number in range(3)]
    minutes, seen = 0, list[str]()

    class Pieces:
        def read(self, size: int) -> str:
            nonlocal minutes
            del size
            if minutes:
                seen.append(capsys.readouterr().out)
            atlan.control(refuse=[guid(atlan, "Case", "Status")] if minutes < 2 else [])
            minutes += 1
            return "" if minutes > 3 else (f"{schema_line()}\n" if minutes == 1 else "") + pieces[minutes - 1]

    target = TargetAtlanMetadata(config=runs.config, monotonic=lambda: 61.0 * minutes)
    try:
        target.listen(Pieces())  # type: ignore[arg-type]  # as far as it is read
    finally:
        target.close()
    assert seen == ["", "", "2\n"]
    assert carried(atlan, "Case", "Status")["Changes"] == 3
