"""The last sentence of a run: it names a gap also where something else went wrong, and never the value of a field."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from tests.conftest import NOW
from tests.harness import Json, config_for, run_tap
from tests.in_process import catalog_of, many_cases, run_here
from tests.test_bad_input import assert_one_sentence
from tests.test_every_source import setup_row
from tests.test_never_lose import case_change, load

Serve = Callable[..., Running]
STREAMS = ("case_history", "setup_audit_trail")


@pytest.fixture
def gone(serve: Serve, empty_org: Path) -> tuple[Running, Json, Json]:
    """An org 200 days after a run: Salesforce has dropped changes in Setup. Its server, settings, state."""
    server = serve(empty_org)
    with Org.open(empty_org) as org:
        load(empty_org, "SetupAuditTrail", [setup_row(org, 1, NOW - timedelta(days=1))])
    many_cases(empty_org, 10)
    config = config_for(server.url, empty_org)
    state = run_here(config, *STREAMS).state
    server.control(clock={"advance_seconds": 200 * 86_400})
    return server, config, state


def test_a_failed_stream_does_not_hide_a_gap(gone: tuple[Running, Json, Json]) -> None:
    server, config, state = gone
    server.control(forbid={"objects": ["CaseHistory"]})
    run = run_here(config, *STREAMS, state=state)
    assert run.code == 2
    for words in ("1 of the selected streams", "`case_history`", "`setup_audit_trail`", "`gap` event"):
        assert words in run.log
    again = run_here(config, *STREAMS, state=run.state)
    assert again.code == 2
    assert "gap" not in again.log
    warned = run_here(config | {"on_gap": "warn"}, *STREAMS, state=state)
    assert warned.code == 2
    assert "gap" not in warned.log


def test_a_ceiling_does_not_hide_a_gap(gone: tuple[Running, Json, Json], tmp_path: Path) -> None:
    server, config, state = gone
    behind = {"replication_key_value": f"{NOW - timedelta(days=1):%FT%T}.000000Z"}  # so it is read first
    state["bookmarks"]["setup_audit_trail"].update(behind)
    server.control(latency_ms=350)
    run = run_tap(tmp_path, config | {"max_run_seconds": 1}, catalog=catalog_of(*STREAMS), state=state)
    assert run.code == 3
    for words in ("`max_run_seconds`", "`setup_audit_trail`", "`gap` event"):
        assert words in run.sentence


SECRET = "Metastatic illness"


@pytest.mark.parametrize("expression", ["int(new_value)", "[][len(new_value)]"])
def test_an_expression_that_fails_on_a_record_is_the_users_and_tells_no_value(
    expression: str, serve: Serve, empty_org: Path, tmp_path: Path
) -> None:
    with Org.open(empty_org) as org:
        load(empty_org, "CaseHistory", [case_change(org, 1, NOW - timedelta(hours=1), new=SECRET)])
    maps = {"case_history": {"n": expression, "__filter__": "new_value"}}
    config = config_for(serve(empty_org).url, empty_org, stream_maps=maps)
    run = run_tap(tmp_path, config, catalog=catalog_of("case_history"), LOGLEVEL="DEBUG")
    assert_one_sentence(run, 2, "`case_history`", "`stream_maps`", expression)
    assert SECRET not in run.log
