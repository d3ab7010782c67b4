"""Refresh tokens that are good for one use: none is lost, none is sent twice, whatever ends a run in the middle."""

from __future__ import annotations

import fcntl
import logging
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rotating import FIRST, Rotating, kept

from microdecisions.errors import (
    LoginError,
    UnreachableError,
)
from microdecisions.token_file import choose, rotated

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
