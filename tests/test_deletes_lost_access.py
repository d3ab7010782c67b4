"""Objects that the login user loses sight of, with and without topics, and what is told when they are back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.salesforce.server import Running
from microdecisions import timestamps
from tap_salesforce_deletes.position import STREAM
from tests.conftest import DAY, HOUR, MINUTE
from tests.deletes import ACCOUNTS, ALL, Store, run_deletes, settings_for
from tests.deletes_org import accounts, act, contacts, delete_accounts, expected, later, truth
from tests.harness import Json

Serve = Callable[..., Running]


def served(serve: Serve, org: Path) -> Running:
    """An org with accounts and contacts, some minutes old."""
    server = serve(org)
    accounts(server, 2)
    contacts(server, 3)
    later(server, 5 * MINUTE)
    return server


def first_run_without_contacts(server: Running) -> tuple[Json, Store]:
    """The settings and the outcome of a first run that may not see contacts."""
    server.control(forbid={"objects": ["Contact"]}, pubsub={"keepalive_seconds": 0.05})
    config = settings_for(server, server.org_path, topics=[ALL], enrich="never")
    store = Store()
    assert store.run(config).code == 0
    return config, store


def delete_contact(server: Running, number: int) -> None:
    act(server, "delete", object="Contact", where=f"LastName = 'Contact {number}'")


@pytest.mark.parametrize("patterns", [[], ["Acc*", "Con*act"]], ids=["default", "patterns"])
def test_an_object_that_cannot_be_seen_any_more_is_a_gap_once_and_is_looked_up_when_it_is_back(
    serve: Serve, empty_org: Path, caplog: pytest.LogCaptureFixture, patterns: list[str]
) -> None:
    server = served(serve, empty_org)
    config = settings_for(server, empty_org, enrich="never", reconcile_objects=patterns)
    store = Store()
    assert store.run(config).code == 0
    assert store.state is not None
    before = store.state["bookmarks"][STREAM]["objects"]["Contact"]
    server.control(forbid={"objects": ["Contact"]})
    delete_contact(server, 1)
    later(server, HOUR)
    assert store.run(config).code == 4
    later(server, 2 * HOUR)
    caplog.clear()
    assert store.run(config).code == 0
    assert sum("Contact" in one.message for one in caplog.records if one.levelname == "WARNING") == 1
    (gap,) = store.gaps()
    assert (gap.record_type, gap.context.metadata["gap_start"]) == ("Contact", before)
    assert gap.timestamp_occurred.endswith(":00:00.000000Z"), "a run that is killed behind it gives it the same name"
    server.control(forbid={"objects": []})
    assert store.run(config).code == 0
    assert store.told() == expected(empty_org) != set()
    assert len(store.gaps()) == 1


def test_an_object_that_is_named_and_cannot_be_seen_any_more_fails_and_all_else_is_read(
    serve: Serve, empty_org: Path
) -> None:
    server = served(serve, empty_org)
    config = settings_for(
        server, empty_org, enrich="never", topics=[ACCOUNTS], reconcile_objects=["Account", "Contact", "Case"]
    )
    store = Store()
    assert store.run(config).code == 0
    server.control(forbid={"objects": ["Contact"]})
    delete_contact(server, 1)
    delete_accounts(server, "Account 1")
    later(server, HOUR)
    for _ in range(2):
        run = store.run(config)
        assert run.code == 2
        assert "Contact" in run.log
        assert "`reconcile_objects`" in run.log
    assert [one.record_type for one in store.events.values()] == ["Account"]
    server.control(forbid={"objects": []})
    assert store.run(config).code == 0
    assert store.told() == expected(empty_org)


def test_what_was_deleted_of_an_object_hidden_from_the_first_run_on_is_a_gap_as_far_as_the_log_does_not_reach(
    serve: Serve, empty_org: Path
) -> None:
    server = served(serve, empty_org)
    config, store = first_run_without_contacts(server)
    later(server, MINUTE)
    delete_contact(server, 1)
    for _ in range(9):  # often enough that the bus keeps what comes between two runs
        later(server, 2 * DAY)
        assert store.run(config).code == 0
    delete_contact(server, 2)
    server.control(forbid={"objects": []})
    later(server, HOUR)
    assert store.run(config).code == 4
    (gap,) = store.gaps()
    assert gap.record_type == "Contact"
    first, second = truth(empty_org, "delete")
    start, end = (timestamps.parse(gap.context.metadata[key]) for key in ("gap_start", "gap_end"))
    assert start <= timestamps.parse(first.at) < end
    assert store.told() >= {second.record}
    later(server, HOUR)
    assert store.run(config).code == 0
    assert len(store.gaps()) == 1


def test_an_object_hidden_for_days_from_the_first_run_on_is_complete_when_it_is_back(
    serve: Serve, empty_org: Path
) -> None:
    server = served(serve, empty_org)
    delete_contact(server, 1)
    later(server, 4 * DAY)
    config, store = first_run_without_contacts(server)
    delete_contact(server, 2)
    later(server, 2 * DAY)
    server.control(forbid={"objects": []})
    assert store.run(config).code == 0
    assert store.told() == expected(empty_org), "the log goes back further than to the first run"


def test_what_left_the_delete_log_before_a_hidden_object_was_asked_for_the_first_time_is_a_gap(
    serve: Serve, empty_org: Path
) -> None:
    server = served(serve, empty_org)
    config, store = first_run_without_contacts(server)
    delete_contact(server, 1)
    later(server, 2 * DAY)
    delete_contact(server, 2)
    server.control(replication={"trim_log_to": 1})
    later(server, 3 * HOUR)
    server.control(forbid={"objects": []})
    assert store.run(config).code == 4
    (gap,) = store.gaps()
    start, end = (timestamps.parse(gap.context.metadata[key]) for key in ("gap_start", "gap_end"))
    assert gap.record_type == "Contact"
    assert start <= timestamps.parse(truth(empty_org, "delete")[0].at) < end
    assert store.run(config).code == 0


def test_the_gap_of_a_hidden_object_has_one_name_when_it_is_told_again(serve: Serve, empty_org: Path) -> None:
    server = served(serve, empty_org)
    config = settings_for(server, empty_org, topics=[ALL], reconcile="never", enrich="never")
    state = run_deletes(config).state
    later(server, HOUR)
    server.control(forbid={"objects": ["Contact"]})
    later(server, HOUR)
    names = []
    for _ in range(2):  # as if the first were killed behind the gap
        run = run_deletes(config, state=state)
        assert run.code == 4
        names.append([record["event_id"] for record in run.records[STREAM]])
        later(server, 3 * MINUTE)
    assert names[0] == names[1]
