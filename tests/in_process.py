"""The tap in the test's own process, and a target that upserts: many runs in a second, faults timed by output."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from chaos.loader import Loader
from chaos.singer import catalog_of
from chaos.singer import run_here as tap_here
from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from tap_salesforce_temporal.tap import TapSalesforceTemporal
from tests.conftest import NOW, SECOND
from tests.harness import Json, TapRun
from tests.output import OUTPUT
from tests.test_never_lose import case_change

__all__ = [
    "Loader", "account_change", "catalog_of", "check_states", "clean", "logins", "many_cases", "run_here",
    "statements",
]  # fmt: skip


def run_here(
    config: Json,
    *streams: str,
    state: Json | None = None,
    catalog: Json | None = None,
    on_first_record: Callable[[], object] = lambda: None,
) -> TapRun:
    """Run the tap in this process; as fast as it gets, and faults can be timed by what it writes."""
    chosen = catalog_of(*streams) if streams else catalog
    OUTPUT.logs_in_with(config)
    run = tap_here(
        lambda: TapSalesforceTemporal(config=config, state=state, catalog=chosen), on_first_record=on_first_record
    )
    OUTPUT.keep(run.log)
    if run.error is not None:
        raise run.error
    check_states(run)
    return run


def check_states(run: TapRun) -> None:
    """Each STATE is one that a next run takes."""
    for state in run.states:
        assert set(state) == {"bookmarks"}
        for entry in state["bookmarks"].values():
            if "version" in entry:  # one that this run wrote
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["replication_key_value"])


def clean(config: Json, *streams: str) -> dict[str, dict[str, Json]]:
    """What a single full read without any fault gives."""
    loader = Loader()
    assert loader.load(run_here(config, *streams)).code == 0
    return loader.content()


def statements(server: Running, text: str, after: int = 0) -> list[str]:
    return [request.query for request in server.journal(after).requests if request.query and text in request.query]


def logins(server: Running) -> int:
    return sum(request.path.endswith("/oauth2/token") for request in server.journal().requests)


def many_cases(path: Path, count: int, *, first: int = 1, start: datetime = NOW - timedelta(days=2)) -> None:
    """History rows a second apart."""
    with Org.open(path) as org:
        rows = [case_change(org, first + n, start + SECOND * n, f"v{n}", f"v{n + 1}") for n in range(count)]
        org.load("CaseHistory", rows)


def account_change(org: Org, number: int, at: datetime) -> Json:
    row = case_change(org, number, at)
    return {name: value for name, value in row.items() if name != "CaseId"} | {
        "Id": org.new_id("AccountHistory", number),
        "AccountId": org.new_id("Account", 1),
        "Field": "Name",
        "DataType": "Text",
    }
