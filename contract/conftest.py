"""The org under contract: localcloud, or with CONTRACT_ORG=alias a real one (read-only unless CONTRACT_WRITE=1)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.orgs import ContractOrg, Credentials
from localcloud.salesforce.org import CLIENT_ID, USERNAME
from localcloud.salesforce.server import serve_in_thread
from localcloud.seed import seed_org

ALIAS = os.environ.get("CONTRACT_ORG", "")
MAY_WRITE = not ALIAS or os.environ.get("CONTRACT_WRITE") == "1"
ROWS = 1_500


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that change the org are left out of a real one unless it was said that they may."""
    for item in items:
        if item.get_closest_marker("writes") and not MAY_WRITE:
            item.add_marker(pytest.mark.skip(reason="changes the org: set WRITE=1 to allow it"))


@pytest.fixture(scope="session")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContractOrg]:
    """The org, logged in to."""
    if ALIAS:
        with ContractOrg(Credentials.of_environment(ALIAS)) as real:
            yield real
        return
    path = tmp_path_factory.mktemp("contract") / "org"
    seed_org(path, events=ROWS, seed=23)
    with serve_in_thread(path) as server:
        key = (path / "jwt.key").read_text(encoding="utf-8")
        credentials = Credentials(
            server.url, CLIENT_ID, USERNAME, key, pubsub=getattr(server, "pubsub", None), pubsub_plaintext=True
        )
        with ContractOrg(credentials, stand_in=True) as stand_in:
            yield stand_in


@pytest.fixture(autouse=True)
def _documented(request: pytest.FixtureRequest) -> None:
    """A contract test without the page it stands for is a mistake."""
    assert request.node.get_closest_marker("documented"), "name the page: @documented(BOOK, TITLE)"


_outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what each test ended with."""
    if report.nodeid.startswith("contract/") and (report.when == "call" or report.skipped):
        _outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the outcomes where CONTRACT_REPORT says."""
    if hasattr(session.config, "workerinput"):  # one of several processes: their parent knows all outcomes
        return
    if target := os.environ.get("CONTRACT_REPORT"):
        Path(target).write_text(json.dumps({"org": ALIAS or "localcloud", "outcomes": _outcomes}, indent=1) + "\n")
