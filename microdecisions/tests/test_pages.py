"""Whole pages and the SDK's own path give equal records; state stays behind them; an interruption tears no line."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from microdecisions.errors import InterruptedRunError, MicroDecisionError
from microdecisions.pages import PageWriter, StopFlag

TAP = Path(__file__).parent / "paged_tap.py"
OTHERS = {"other": {"replication_key_value": "2020-01-01T00:00:00.000000Z", "emitted": {"a": "b"}}}
OPTIONS: dict[str, dict[str, Any]] = {
    "no option": {},
    "deselected property": {"deselected": [("properties", "actor_name"), ("properties", "old_value")]},
    "deselected inner property": {"deselected": [("properties", "context", "properties", "metadata")]},
    "alias": {"stream_maps": {"decisions": {"__alias__": "verdicts"}}},
    "selection by map": {"stream_maps": {"decisions": {"__else__": "__NULL__", "event_id": "event_id"}}},
    "md5": {"stream_maps": {"decisions": {"actor_id": "md5(actor_id)"}}, "stream_map_config": {}},
    "sha256": {"stream_maps": {"decisions": {"record_id": "sha256(record_id)", "field_name": "__NULL__"}}},
    "filter": {"stream_maps": {"decisions": {"__filter__": "is_primary"}}},
    "flattening": {"flattening_enabled": True, "flattening_max_depth": 2},
}
WHOLE_PAGES = {"no option"}


def _module() -> ModuleType:
    spec = util.spec_from_file_location("paged_tap", TAP)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


paged = _module()


class Output(io.TextIOWrapper):
    """A standard output that keeps its bytes."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8", write_through=True)

    def messages(self) -> list[dict[str, Any]]:
        return _messages(self.bytes.getvalue())


def _messages(output: bytes) -> list[dict[str, Any]]:
    """Parse lines, as strictly as a target does: whole lines, one JSON object each."""
    assert output.endswith(b"\n")
    return [json.loads(line) for line in output.split(b"\n")[:-1]]


def _records(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in message.items() if key != "time_extracted"}
        for message in messages
        if message["type"] == "RECORD"
    ]


def _without_time(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in message.items() if key != "time_extracted"} for message in messages]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Run the tap in this process; return its messages."""

    def call(*, state: dict[str, Any] | None = None, **config: Any) -> list[dict[str, Any]]:
        output = Output()
        deselected = config.pop("deselected", [])
        tap = paged.PagedTap(config=config, state=state)
        if deselected:
            catalog = tap.catalog_dict
            for entry in catalog["streams"]:
                for breadcrumb in deselected:
                    entry["metadata"] = [
                        *(item for item in entry["metadata"] if tuple(item["breadcrumb"]) != breadcrumb),
                        {"breadcrumb": list(breadcrumb), "metadata": {"selected": False}},
                    ]
            tap = paged.PagedTap(config=config, state=state, catalog=catalog)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", output)
            tap.sync_all()
        return output.messages()

    return call


@pytest.mark.parametrize("option", OPTIONS)
def test_both_paths_give_the_records_that_the_sdk_alone_gives(
    option: str, run: Callable[..., list[dict[str, Any]]]
) -> None:
    config = OPTIONS[option]
    ours, forced, plain = run(**config), run(sdk_path=True, **config), run(plain=True, **config)
    assert _records(ours)
    assert _records(ours) == _records(forced) == _records(plain)
    schemas = [[message for message in messages if message["type"] == "SCHEMA"] for messages in (ours, forced)]
    assert schemas[0] == schemas[1]
    assert _without_time(ours) == _without_time(forced)  # SCHEMA, RECORD and STATE in the same order, equal


@pytest.mark.parametrize("option", OPTIONS)
def test_whole_pages_are_written_only_where_no_feature_needs_dicts(
    option: str, run: Callable[..., list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = []
    written = PageWriter.write_page

    def write_page(self: PageWriter, stream: str, *rest: Any) -> None:
        pages.append(stream)
        written(self, stream, *rest)

    monkeypatch.setattr(PageWriter, "write_page", write_page)
    run(**OPTIONS[option])
    if option in WHOLE_PAGES:
        assert pages == ["decisions"] * 3
    elif option != "alias":  # an alias may take either path
        assert pages == []


def test_options_do_what_they_say(run: Callable[..., list[dict[str, Any]]]) -> None:
    first = {option: _records(run(pages=1, rows=1, **config)) for option, config in OPTIONS.items()}
    assert "actor_name" not in first["deselected property"][0]["record"]
    assert "metadata" not in first["deselected inner property"][0]["record"]["context"]
    assert first["alias"][0]["stream"] == "verdicts"
    assert len(first["md5"][0]["record"]["actor_id"]) == 32
    assert len(first["sha256"][0]["record"]["record_id"]) == 64
    assert first["filter"] == []
    assert first["flattening"][0]["record"]["context__source"] == "rest"


@pytest.mark.parametrize("sdk_path", [False, True])
def test_a_page_holds_every_row_as_it_was(sdk_path: bool, run: Callable[..., list[dict[str, Any]]]) -> None:
    expected = [event.to_dict() for page in range(3) for event in paged.events(page, 20)]
    assert [message["record"] for message in _records(run(sdk_path=sdk_path))] == expected


@pytest.mark.parametrize("option", ["no option", "md5"])
@pytest.mark.parametrize("sdk_path", [False, True])
def test_state_stands_behind_the_records_it_vouches_for(
    sdk_path: bool, option: str, run: Callable[..., list[dict[str, Any]]]
) -> None:
    messages = run(sdk_path=sdk_path, pages=4, rows=3, **OPTIONS[option])
    records = 0
    states = []
    for message in messages:
        if message["type"] == "RECORD":
            records += 1
        if message["type"] == "STATE":
            states.append((records, message["value"]["bookmarks"]["decisions"]))
    assert states == [(3 * (page + 1), paged.bookmark(page)) for page in range(4)]


@pytest.mark.parametrize("sdk_path", [False, True])
def test_every_state_carries_all_bookmarks_received(sdk_path: bool, run: Callable[..., list[dict[str, Any]]]) -> None:
    given = {"bookmarks": {**OTHERS, "second": {"replication_key_value": "2021-01-01T00:00:00.000000Z"}}}
    messages = run(state=given, sdk_path=sdk_path, streams=["decisions", "second"], pages=2, rows=2)
    states = [message["value"]["bookmarks"] for message in messages if message["type"] == "STATE"]
    assert len(states) == 1 + 2 + 2
    assert all(state["other"] == OTHERS["other"] for state in states)
    assert states[2]["second"] == given["bookmarks"]["second"]  # not yet reached
    assert states[-1]["decisions"] == states[-1]["second"] == paged.bookmark(1)


def test_an_empty_run_writes_no_record(run: Callable[..., list[dict[str, Any]]]) -> None:
    messages = run(pages=2, rows=0)
    assert [message["type"] for message in messages] == ["SCHEMA", "STATE", "STATE"]


class Started:
    """The tap as a process whose output is read as slowly as the test likes."""

    def __init__(self, tmp_path: Path, *, unbuffered: bool, **config: Any) -> None:
        file = tmp_path / "config.json"
        file.write_text(json.dumps(config))
        state = tmp_path / "state.json"
        state.write_text(json.dumps({"bookmarks": OTHERS}))
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
        if unbuffered:
            environment["PYTHONUNBUFFERED"] = "1"
        self._stderr = tmp_path / "stderr"
        with self._stderr.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(TAP), "--config", str(file), "--state", str(state)],
                stdout=subprocess.PIPE,
                stderr=said,
                env=environment,
                bufsize=0,
            )
        assert self.process.stdout is not None
        self.output = self.process.stdout

    def read(self, size: int) -> bytes:
        """Read so many bytes, in small pieces."""
        data = b""
        while len(data) < size:
            piece = self.output.read(min(4_096, size - len(data)))
            if not piece:
                break
            data += piece
        return data

    def rest(self) -> bytes:
        """Read to the end."""
        data = b""
        while piece := self.output.read(1 << 16):
            data += piece
        return data

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return exit code and standard error."""
        self.output.close()
        return self.process.wait(30), self._stderr.read_text()


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Started]:
    def call(**arguments: Any) -> Started:
        started = Started(tmp_path, **arguments)

        def end() -> None:
            started.process.kill()
            started.process.wait()
            started.output.close()

        request.addfinalizer(end)
        return started

    return call


def _check_interrupted(output: bytes, code: int, said: str, rows: int) -> None:
    messages = _messages(output)
    last = max(place for place, message in enumerate(messages) if message["type"] == "STATE")
    state = messages[last]["value"]["bookmarks"]
    assert state["other"] == OTHERS["other"]
    records = sum(message["type"] == "RECORD" for message in messages[:last])
    pages = records // rows
    assert state.get("decisions") == (paged.bookmark(pages - 1) if pages else None)
    assert code == 1
    assert said.count("Interrupted") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("sdk_path", "unbuffered"),
    [(False, False), (False, True), (True, True)],
    ids=["pages, buffered", "pages, unbuffered", "sdk path, unbuffered"],
)
def test_sigterm_while_the_reader_is_slow_tears_no_line(
    unbuffered: bool, sdk_path: bool, start: Callable[..., Started]
) -> None:
    rows = 2_000  # a page is far larger than the pipe: the tap is stopped in the middle of one
    tap = start(unbuffered=unbuffered, sdk_path=sdk_path, pages=50, rows=rows)
    begun = tap.read(2_500_000)
    tap.process.send_signal(signal.SIGTERM)
    output = begun + tap.rest()
    _check_interrupted(output, *tap.ended(), rows)
    assert len(_messages(output)) < 50 * rows


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_between_pages_ends_the_run_at_once(name: str, start: Callable[..., Started]) -> None:
    tap = start(unbuffered=False, pages=3, rows=5, wait_before_page=1)
    output = b""
    while b'"STATE"' not in output or b"10:00:59" not in output:
        output += tap.read(1)
    tap.process.send_signal(getattr(signal, name))
    output += tap.rest()
    _check_interrupted(output, *tap.ended(), 5)


@pytest.mark.parametrize(
    ("sdk_path", "unbuffered"), [(False, True), (True, False)], ids=["pages, unbuffered", "sdk path, buffered"]
)
def test_a_closed_pipe_is_one_sentence(unbuffered: bool, sdk_path: bool, start: Callable[..., Started]) -> None:
    tap = start(unbuffered=unbuffered, sdk_path=sdk_path, pages=50, rows=2_000)
    assert tap.read(10_000)
    code, said = tap.ended()
    assert code == 1
    assert said.count("closed the pipe") == 1
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert "Errno" not in said


class _Full(io.RawIOBase):
    """A disk that is full."""

    def writable(self) -> bool:
        return True

    def write(self, _: object) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = PageWriter()
    output = io.TextIOWrapper(io.BufferedWriter(_Full()))
    monkeypatch.setattr(sys, "stdout", output)
    with pytest.raises(MicroDecisionError, match="Standard output cannot be written: No space left on device"):
        writer.write_page("decisions", paged.events(0, 1), "2026-01-31T12:00:00+00:00")
    assert not writer.busy


class _Short(io.RawIOBase):
    """A raw file that takes a few bytes at a time, as an unbuffered pipe may."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data[:1_000])
        self.data += piece
        return len(piece)


def test_a_page_is_written_whole_to_a_file_that_writes_short(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = _Short()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, write_through=True))  # type: ignore[type-var]
    writer = PageWriter()
    writer.write_page("decisions", paged.events(0, 2_000), "2026-01-31T12:00:00+00:00")
    monkeypatch.undo()
    assert [message["record"] for message in _messages(bytes(raw.data))] == [
        event.to_dict() for event in paged.events(0, 2_000)
    ]


def test_text_in_the_place_of_standard_output_works_too(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    PageWriter().write_page("decisions", paged.events(0, 9), "2026-01-31T12:00:00+00:00")
    monkeypatch.undo()
    assert len(_messages(output.getvalue().encode())) == 9


def test_the_stop_flag() -> None:
    stop = StopFlag()
    stop.check()
    assert not stop.is_set()
    stop.set()
    assert stop.is_set()
    with pytest.raises(InterruptedRunError, match="run again"):
        stop.check()
