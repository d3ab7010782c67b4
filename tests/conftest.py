"""Mock orgs for the end-to-end tests: a small generated one that is seeded once, and empty ones to fill by hand."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running, serve_in_thread
from localcloud.seed import seed_org
from localcloud.tls import Certificates, certificates
from tests.output import OUTPUT

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_said_that_nobody_should_know() -> Iterator[None]:
    """After the last test, what was heard is looked through for secrets and fields' values."""
    yield
    assert not OUTPUT.leaks()


@pytest.fixture(autouse=True)
def _all_is_heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything is logged at debug level during these tests, and only then; what processes log is heard as well.

    Tests of other packages, which may run in the same process between them, log tokens that they made up.
    """
    communicate = subprocess.Popen.communicate

    def overheard(process: subprocess.Popen[Any], *arguments: Any, **options: Any) -> tuple[Any, Any]:
        output, errors = communicate(process, *arguments, **options)
        OUTPUT.keep(errors.decode("utf-8", "replace") if isinstance(errors, bytes) else errors or "")
        return output, errors

    monkeypatch.setattr(subprocess.Popen, "communicate", overheard)
    root = logging.getLogger()
    before = root.level
    root.addHandler(OUTPUT)
    root.setLevel(logging.DEBUG)
    yield
    assert OUTPUT in root.handlers, "something has taken the handler away, so that not all was seen"
    root.removeHandler(OUTPUT)
    root.setLevel(before)


@pytest.fixture(scope="session")
def small_org(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated org of about 1,500 events; not to be changed."""
    path = tmp_path_factory.mktemp("small") / "org"
    seed_org(path, events=1_500, seed=11)
    return path


@pytest.fixture(scope="session")
def private_ca(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate authority of an org's own, and a certificate of it for 127.0.0.1."""
    return certificates(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def copy_of_small_org(small_org: Path, tmp_path: Path) -> Path:
    """A copy of the small org that a test may change, whose clock stands at `NOW` when it is made."""
    return copy_at_now(small_org, tmp_path / "org")


@pytest.fixture(scope="session")
def blank_org(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An org without rows but the login user's; to be copied."""
    path = tmp_path_factory.mktemp("blank") / "org"
    Org.create(path, clock=OrgClock(NOW)).close()
    return path


def copy_at_now(org: Path, path: Path) -> Path:
    """Copy an org; the clock of the copy stands at `NOW` when it is made."""
    shutil.copytree(org, path)
    Org.open(path, clock=OrgClock(NOW)).close()
    return path


@pytest.fixture
def empty_org(blank_org: Path, tmp_path: Path) -> Path:
    """An org without rows but the login user's, whose clock stands at `NOW` when it is made."""
    return copy_at_now(blank_org, tmp_path / "org")


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    """Serves orgs until the test ends."""
    with ExitStack() as stack:

        def start(org: Path, **options: Any) -> Running:
            stack.callback(OUTPUT.reads_from, org)
            return stack.enter_context(serve_in_thread(org, **options))

        yield start
