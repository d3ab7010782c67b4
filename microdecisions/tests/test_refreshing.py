"""Refresh tokens that are good for one use: none is lost, none is sent twice, whatever ends a run in the middle."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from microdecisions.errors import (
    ConfigurationError,
    InterruptedRunError,
    LoginError,
    MicroDecisionError,
    SalesforceError,
    UnreachableError,
)
from microdecisions.token_file import KeptToken, TokenFile, choose, rotated

FIRST = "5Aep861First.Token"


class Rotating:
    """A token service whose refresh tokens are good for one use, and which ends them all when one comes back."""

    def __init__(self, org: Any) -> None:
        self.org = org
        self.valid: str | None = FIRST
        self.made = 0
        self.spent: set[str] = set()
        self.reused = 0
        self.before: list[Callable[[], Any]] = []
        org.token_answer = self.answer

    def answer(self, call: Any) -> Any:
        sent = call.form["refresh_token"]
        if sent != self.valid:
            self.reused += sent in self.spent
            self.valid = None if sent in self.spent else self.valid
            return self.org.reply.json(
                {"error": "invalid_grant", "error_description": "expired access/refresh token"}, 400
            )
        odd = self.before.pop(0)() if self.before else None
        if odd is not None and odd != "lost":
            return odd
        self.spent.add(sent)
        self.made += 1
        self.valid = f"5Aep861Successor.{self.made}"
        if odd == "lost":
            return None
        self.org.issued.append(f"00Dxx0000001gPL!Issued.{self.made}")
        return self.org.token_reply(self.org.issued[-1], refresh_token=self.valid)

    def busy(self) -> Any:
        text = "token request is already being processed"
        return self.org.reply.json({"error": "invalid_grant", "error_description": text}, 400)


@pytest.fixture
def service(org: Any) -> Rotating:
    return Rotating(org)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def refresher(connect: Any, org: Any, service: Rotating, path: Path) -> Callable[..., Any]:
    """Open a session that logs in by refresh token, with the file unless told otherwise."""

    def open_one(**changes: Any) -> Any:
        config = {"refresh_token": FIRST, "refresh_token_path": str(path), **changes}
        return connect(auth_flow="refresh_token", private_key=None, username=None, **config)

    return open_one


def kept(path: Path) -> str:
    token: str = json.loads(path.read_text())["refresh_token"]
    return token


# --- without a file ---


def test_the_newest_token_is_remembered_in_a_run_and_its_loss_is_said_once(
    org: Any, service: Rotating, refresher: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = refresher(refresh_token_path=None)
    for _ in range(3):
        session.get_json("limits")
        org.expired.add(org.issued[-1])
    session.get_json("limits")
    assert [call.form["refresh_token"] for call in org.token_calls] == [
        FIRST,
        "5Aep861Successor.1",
        "5Aep861Successor.2",
        "5Aep861Successor.3",
    ]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "the next run will be refused" in warnings[0]
    assert "`refresh_token_path`" in warnings[0]
    assert "5Aep861" not in caplog.text


def test_a_token_that_does_not_rotate_needs_no_file_and_no_warning(
    org: Any, refresher: Any, caplog: pytest.LogCaptureFixture
) -> None:
    org.token_answer = org._issue
    session = refresher(refresh_token_path=None)
    session.get_json("limits")
    org.expired.add(org.issued[-1])
    session.get_json("limits")
    assert {call.form["refresh_token"] for call in org.token_calls} == {FIRST}
    assert "WARNING" not in caplog.text


# --- with a file ---


def test_runs_hand_the_token_on_by_the_file(org: Any, service: Rotating, refresher: Any, path: Path) -> None:
    for run in range(1, 4):
        refresher().get_json("limits")
        assert kept(path) == service.valid == f"5Aep861Successor.{run}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not service.reused
    assert {file.name for file in path.parent.iterdir()} == {"kept", "kept.lock"}
    assert (path.parent / "kept.lock").read_bytes() == b""


def test_the_token_is_in_the_file_before_the_session_is_used(
    org: Any, service: Rotating, refresher: Any, path: Path
) -> None:
    seen: list[str] = []

    def answer(_: Any) -> Any:
        seen.append(kept(path))
        return org.reply.json({})

    org.answer = answer
    refresher().get_json("limits")
    assert seen == ["5Aep861Successor.1"]


def test_a_file_that_a_person_wrote_is_enough(service: Rotating, refresher: Any, path: Path) -> None:
    path.touch(mode=0o600)
    path.write_text(FIRST + "\n")
    refresher(refresh_token=None).get_json("limits")
    assert kept(path) == service.valid
    refresher(refresh_token=None).get_json("limits")
    assert not service.reused


def test_a_symbolic_link_stays_one(service: Rotating, refresher: Any, path: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir()
    path.symlink_to(real / "token")
    refresher().get_json("limits")
    assert path.is_symlink()
    assert kept(real / "token") == service.valid


def test_a_newly_authorised_token_is_taken_and_the_old_setting_never_again(
    service: Rotating, refresher: Any, path: Path
) -> None:
    refresher().get_json("limits")
    service.valid = "5Aep861New.Authorisation"
    refresher(refresh_token="5Aep861New.Authorisation").get_json("limits")
    assert kept(path) == service.valid
    for setting in ("5Aep861New.Authorisation", FIRST, "5Aep861Successor.1", None):
        refresher(refresh_token=setting).get_json("limits")
    assert not service.reused


def test_a_mistyped_token_does_not_cost_the_good_one(service: Rotating, refresher: Any, path: Path) -> None:
    refresher().get_json("limits")
    with pytest.raises(LoginError, match="authorise the app again"):
        refresher(refresh_token="5Aep861Mistyped").get_json("limits")
    assert kept(path) == service.valid
    refresher().get_json("limits")


def test_a_refused_first_token_leaves_no_file(service: Rotating, refresher: Any, path: Path) -> None:
    with pytest.raises(LoginError):
        refresher(refresh_token="5Aep861Mistyped").get_json("limits")
    assert not path.exists()


def test_a_host_that_cannot_be_reached_leaves_everything_as_it_was(
    service: Rotating, refresher: Any, path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UnreachableError):
            refresher(login_url=nowhere).login()
        assert not path.exists()
        refresher().login()
        before = path.read_bytes()
        with pytest.raises(UnreachableError):
            refresher(login_url=nowhere, refresh_token="5Aep861Mistyped").login()
    assert path.read_bytes() == before


def test_a_renewal_in_mid_run_takes_what_another_run_has_left(
    org: Any, service: Rotating, refresher: Any, path: Path
) -> None:
    long = refresher()
    long.get_json("limits")
    refresher().get_json("limits")
    org.expired.add(org.issued[0])
    long.get_json("limits")
    assert service.made == 3
    assert not service.reused


def test_a_file_that_is_removed_in_mid_run_costs_nothing(
    org: Any, service: Rotating, refresher: Any, path: Path
) -> None:
    session = refresher()
    session.get_json("limits")
    path.unlink()
    org.expired.add(org.issued[-1])
    session.get_json("limits")
    assert kept(path) == service.valid
    assert not service.reused


def until_it_is_free(path: Path) -> None:
    """Wait for the run that holds the lock of the file, as a pause in real time would."""
    with path.with_name(f"{path.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def test_many_runs_at_once_take_turns(service: Rotating, refresher: Any, path: Path, clock: Any) -> None:
    clock.on_sleep = lambda: until_it_is_free(path)
    sessions = [refresher() for _ in range(8)]
    start = threading.Barrier(8)

    def run(session: Any) -> Any:
        start.wait()
        return session.get_json("limits")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, sessions)) == [{"ok": True}] * 8
    assert service.made == 8
    assert not service.reused
    assert kept(path) == service.valid


def test_threads_of_one_run_share_one_renewal(org: Any, service: Rotating, refresher: Any) -> None:
    session = refresher()
    session.get_json("limits")
    org.expired.add(org.issued[-1])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: session.get_json("limits"), range(8)))
    assert service.made == 2


# --- what goes wrong ---


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


# --- the rules, without files ---


def test_the_setting_is_remembered_however_often_the_token_rotates() -> None:
    token = choose(None, FIRST, "app")
    assert token is not None
    for number in range(1_200):
        token = rotated(token, f"successor {number}", FIRST)
    assert len(token.replaced) == 500
    again = choose(token, FIRST, "app")
    assert again is not None
    assert again.refresh_token == "successor 1199"
    unknown = choose(token, "another", "app")
    assert unknown is not None
    assert unknown.refresh_token == "another"
    assert "successor" not in repr(token)


def test_without_a_file_and_a_setting_there_is_nothing_to_choose() -> None:
    assert choose(None, None, "app") is None
