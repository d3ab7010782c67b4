"""What may end a rotation of refresh tokens in the middle, and what then is kept, said and tried again."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rotating import FIRST, Rotating, kept

from microdecisions.errors import (
    ConfigurationError,
    InterruptedRunError,
    LoginError,
    MicroDecisionError,
    SalesforceError,
)
from microdecisions.token_file import KeptToken, TokenFile, rotated


def test_a_token_at_work_is_tried_again_for_a_while(org: Any, service: Rotating, refresher: Any, clock: Any) -> None:
    service.before = [service.busy, service.busy]
    refresher().get_json("limits")
    assert clock.slept == pytest.approx(0.5 + 1)
    service.before = [service.busy] * 9
    with pytest.raises(SalesforceError, match="share one `refresh_token_path`") as caught:
        refresher().get_json("limits")
    assert caught.value.exit_code == 1
    assert len(org.token_calls) == 3 + 6
    service.before = []
    refresher().get_json("limits")
    assert not service.reused


def test_an_answer_that_is_lost_is_told_for_what_it_is(service: Rotating, refresher: Any, path: Path) -> None:
    service.before = [lambda: "lost"]
    for _ in range(2):  # the next run knows it too
        with pytest.raises(LoginError, match=r"An earlier renewal was broken off .* may be lost"):
            refresher().get_json("limits")
    service.valid = "5Aep861New.Authorisation"
    refresher(refresh_token="5Aep861New.Authorisation").get_json("limits")
    assert kept(path) == service.valid


def test_an_unavailable_service_costs_no_token(org: Any, service: Rotating, refresher: Any) -> None:
    service.before = [lambda: org.reply(503, b"busy"), lambda: org.reply(500, b"")]
    refresher().get_json("limits")
    refresher().get_json("limits")
    assert not service.reused


def test_a_file_that_cannot_be_written_is_found_before_the_token_is_sent(org: Any, refresher: Any, path: Path) -> None:
    (path.parent / "kept.part").mkdir()
    with pytest.raises(ConfigurationError, match="`refresh_token_path` names cannot be written"):
        refresher().get_json("limits")
    assert not org.token_calls


def test_a_token_that_cannot_be_kept_ends_the_run_before_it_reads(
    org: Any, service: Rotating, refresher: Any, path: Path
) -> None:
    service.before = [(path.parent / "kept.part").mkdir]
    with pytest.raises(
        ConfigurationError, match=r"cannot be written .* had already replaced .* authorise the app again"
    ):
        refresher().get_json("limits")
    assert not org.calls


def test_a_lock_that_is_never_let_go_ends_the_run(refresher: Any, path: Path, clock: Any, org: Any) -> None:
    with (path.parent / "kept.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(MicroDecisionError, match="Another run has been renewing its session") as caught:
            refresher().get_json("limits")
        assert caught.value.exit_code == 1
        assert 290 < clock.slept < 310
        stop = threading.Event()
        clock.on_sleep = stop.set
        with pytest.raises(InterruptedRunError):
            refresher(stop=stop).get_json("limits")
    assert not org.token_calls
    refresher().get_json("limits")


def test_waiting_ends_when_the_other_run_lets_go(service: Rotating, refresher: Any, path: Path, clock: Any) -> None:
    other = os.open(path.parent / "kept.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(other, fcntl.LOCK_EX)
    held = [other]
    clock.on_sleep = lambda: os.close(held.pop()) if held and clock.slept > 3 else None
    refresher().get_json("limits")
    assert 3 < clock.slept < 4


def test_a_lock_that_cannot_be_made_is_named(refresher: Any, path: Path, org: Any) -> None:
    (path.parent / "kept.lock").mkdir()
    with pytest.raises(ConfigurationError, match="lock beside the file that `refresh_token_path` names"):
        refresher().get_json("limits")
    assert not org.token_calls


@pytest.fixture
def interrupting() -> Iterator[Callable[[], None]]:
    """Signal the main thread, whose handler raises as a plugin's does."""

    def interrupt(*_: object) -> None:
        raise InterruptedRunError(" by SIGUSR1")

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield lambda: os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_in_the_middle_of_a_rotation_loses_nothing(
    service: Rotating, refresher: Any, path: Path, interrupting: Callable[[], None]
) -> None:
    service.before = [interrupting]
    with pytest.raises(InterruptedRunError):
        refresher().get_json("limits")
    assert kept(path) == service.valid == "5Aep861Successor.1"
    refresher().get_json("limits")
    assert not service.reused


def test_what_a_killed_run_had_written_but_not_put_in_place_is_used(
    service: Rotating, refresher: Any, path: Path
) -> None:
    refresher().get_json("limits")
    now = KeptToken(**{**json.loads(path.read_text()), "replaced": tuple(json.loads(path.read_text())["replaced"])})
    service.valid = "5Aep861Half.Way"
    part = path.parent / "kept.part"
    TokenFile(str(part), "a-consumer-key").write(rotated(now, "5Aep861Half.Way", FIRST))
    refresher().get_json("limits")
    assert kept(path) == service.valid == "5Aep861Successor.2"
    assert not part.exists()
    assert not service.reused


@pytest.mark.parametrize("content", ['{"refresh_token": "5Aep861Ha', "", '{"refresh_token": "5Aep861Unrelated"}'])
def test_what_a_killed_run_had_begun_to_write_is_thrown_away(
    content: str, service: Rotating, refresher: Any, path: Path
) -> None:
    refresher().get_json("limits")
    part = path.parent / "kept.part"
    part.touch(mode=0o600)
    part.write_text(content)
    refresher().get_json("limits")
    assert not part.exists()
    assert not service.reused
