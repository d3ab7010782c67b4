"""The demo as a person runs it: real `meltano run`, twice, and once killed in the middle."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo import pipeline
from localcloud import lifecycle
from localcloud.seed import seed_org
from tests.output import OUTPUT

ROOT = Path(__file__).parents[1]
EVENTS = "1200"
NAME = f"demo-{EVENTS}"
SERVERS = ("salesforce", "snowflake", "atlan")

pytestmark = pytest.mark.skipif(
    not (ROOT / ".meltano" / ".stamp").exists(), reason="needs `make setup`: Meltano and its plugins"
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for name in SERVERS:
        lifecycle.stop(name, tmp_path / NAME)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "demo" / "run.py"), "load", "--folder", str(folder), *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def demo(folder: Path) -> tuple[int, str, list[dict[str, Any]]]:
    """Run it to its end: exit code, what the screen said, the figures of its check."""
    with start(folder, "--events", EVENTS) as process:
        said, _ = process.communicate(timeout=400)
    OUTPUT.reads_from(folder / NAME)
    OUTPUT.keep(said)
    for log in (folder / NAME).rglob("*.log"):
        OUTPUT.keep(log.read_text(encoding="utf-8", errors="replace"))
    report = folder / NAME / "check.json"
    return process.returncode, said, json.loads(report.read_text(encoding="utf-8")) if report.exists() else []


def deletions_told(said: str) -> int:
    """How many deletions the screen says were told, and nothing else about deletions."""
    found = re.search(r"^(\d+) deletions, \1 told by \d+ events of delete_events  equal$", said, flags=re.MULTILINE)
    assert found, said
    return int(found[1])


def figures_in_atlan(folder: Path) -> dict[str, Any]:
    """What the check of the catalog has found."""
    found: dict[str, Any] = json.loads((folder / NAME / "figures.json").read_text(encoding="utf-8"))
    return found


def decided(folder: Path) -> int:
    """Events of history that the org was made to hold."""
    return sum(expected(folder).values())


def expected(folder: Path) -> dict[str, int]:
    counts: dict[str, int] = json.loads((folder / NAME / "meta.json").read_text(encoding="utf-8"))["events_expected"]
    return counts


def of_history(figures: list[dict[str, Any]], what: str, folder: Path) -> int:
    """One figure, summed over the streams whose events the org's making counts."""
    return sum(stream[what] for stream in figures if stream["stream"] in expected(folder))


def test_a_killed_run_is_completed_by_the_next_and_a_third_loads_only_what_is_new(folder: Path) -> None:
    with start(folder, "--events", EVENTS) as first:
        assert first.stdout
        for line in first.stdout:
            if line.startswith("3."):
                break
        wait_for(folder / NAME / "logs" / "target-snowflake.log", "Creating empty table", first)
        os.killpg(first.pid, signal.SIGKILL)

    code, said, streams = demo(folder)
    assert code == 0, said
    assert said.startswith("Mock org on 127.0.0.1")
    assert all(stream["equal"] for stream in streams)
    assert of_history(streams, "decided", folder) == decided(folder)
    told = deletions_told(said)
    shown = figures_in_atlan(folder)
    assert shown["equal"]
    assert min(shown["objects"], shown["fields"], shown["processes"], shown["velocities"]) > 5
    before = decided(folder)

    code, said, streams = demo(folder)
    assert code == 0, said
    assert all(stream["equal"] for stream in streams)
    assert of_history(streams, "new", folder) == decided(folder) - before
    assert of_history(streams, "distinct", folder) == decided(folder)
    assert deletions_told(said) > told, "more was deleted before the third run"
    assert figures_in_atlan(folder)["equal"]
    for name in SERVERS:
        assert lifecycle.find(name, folder / NAME) is None, "also the servers that the killed run left behind"


def wait_for(log: Path, words: str, process: subprocess.Popen[str]) -> None:
    """Read the growing log until the words are in it."""
    while process.poll() is None:
        if log.exists() and words in log.read_text(encoding="utf-8", errors="replace"):
            return
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
    pytest.fail(f"the demo ended before its log said {words!r}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--as", "case"), "go together"),
        (("--event-log", "no-such-file.xes", "--as", "case"), "no-such-file.xes"),
        (("--event-log", "x.xes", "--as", "case", "--events", "5"), "an event log has its own"),
        (("--event-log", "x.xes", "--as", "lead"), "AS=lead is none of opportunity, case, approval"),
        (("--events", "0"), "EVENTS=0 is not a positive whole number"),
        (("--events", "many"), "EVENTS=many is not a positive whole number"),
    ],
    ids=["half an event log", "no such file", "a log and a size", "no such kind", "no events", "not a number"],
)
def test_a_demo_that_makes_no_sense_says_so_in_a_sentence(arguments: tuple[str, ...], words: str, folder: Path) -> None:
    with start(folder, *arguments) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert words in said
    assert "Traceback" not in said


def test_an_interrupted_demo_says_so_and_leaves_nothing_running(folder: Path) -> None:
    with start(folder, "--events", EVENTS) as process:
        assert process.stdout
        while not process.stdout.readline().startswith("3."):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)  # it may wait 10 s for Meltano and 20 s for each server
    assert process.returncode == 130
    assert said.strip().endswith("Interrupted. Nothing is lost: the next `make demo` goes on from here.")
    assert [name for name in SERVERS if lifecycle.find(name, folder / NAME)] == []
    with pipeline.only_one():
        pass


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_run_that_is_interrupted_while_it_starts_is_ended_too(
    before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            if before:
                self.interrupt()
            super().__init__(*arguments, **options)
            started.append(self)
            if not before:
                self.interrupt()

        def interrupt(self) -> None:
            for number in pipeline.SIGNALS:
                signal.raise_signal(number)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    monkeypatch.setattr(pipeline, "MELTANO", [sys.executable, "-c", "import time; time.sleep(60)"])
    handlers = {number: signal.getsignal(number) for number in pipeline.SIGNALS}
    try:
        with pytest.raises(KeyboardInterrupt), (tmp_path / "lock").open("w") as lock:
            pipeline.run("any", pipeline.WAREHOUSE, {}, tmp_path / "log", lock.fileno())
        assert [process.poll() for process in started] == [-signal.SIGINT]
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for process in started:
            process.kill()
            process.wait()


def test_what_does_not_end_when_interrupted_is_killed() -> None:
    stubborn = "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", stubborn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        pipeline.end(process, patience_s=0.05)
    assert process.returncode == -signal.SIGKILL


def test_a_second_demo_is_held_off_while_the_first_runs() -> None:
    with pipeline.only_one(), pytest.raises(pipeline.DemoError, match="another demo is running"), pipeline.only_one():
        pass


def test_an_org_that_lost_a_part_is_one_sentence(folder: Path) -> None:
    seed_org(folder / NAME, events=50)
    (folder / NAME / "truth.jsonl").unlink()
    with start(folder, "--events", EVENTS) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "lacks truth.jsonl: remove the folder to begin anew" in said
    assert "Traceback" not in said


def test_an_org_of_another_version_says_how_to_begin_anew(folder: Path) -> None:
    seed_org(folder / NAME, events=50)
    meta = folder / NAME / "meta.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "generator": 1}))
    with start(folder, "--events", EVENTS) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "made by another version of localcloud" in said
    assert "`make clean` removes every demo" in said
    assert "Traceback" not in said
