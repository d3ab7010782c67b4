"""Deletes in one transaction with more changes than events, through real `meltano run` into both targets.

1,200 of them, of which the bus names 1,000; with `OVERFLOW=120000` (`make overflow`) as many as in Salesforce's own
example, and then into the warehouse too. Among the stories of `test_deletes_meltano` is a small overflow.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from localcloud.atlan.running import serve_in_thread
from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from microdecisions.deletions import WITNESSES, Deletion, Sighting, resolve
from tests.conftest import HOUR
from tests.deletes import ALL
from tests.deletes_meltano import INSTALLED, into_atlan, into_snowflake, sightings_in, sightings_of
from tests.deletes_org import act, deleted_ids, later, truth
from tests.environments import EmbeddedSnowflake

Serve = Callable[..., Running]

MANY = int(os.environ.get("OVERFLOW", "1200"))
NAMED = MANY * 5 // 6
"""So many changes of the transaction are events of their own: of 120,000 the 100,000 of Salesforce's documentation."""
SWEPT = 4
"""Every so manieth record leaves the recycle bin before the run."""
SETTINGS: dict[str, object] = {"topics": [ALL], "reconcile_objects": ["Contact"]}
"""The delete log of an object that a topic covers is asked once a day, or when a topic tells of an overflow."""
CHANGES, BIN, LOG = "change_event", "query_all", "get_deleted"
SET = "Salesforce Activity"

pytestmark = pytest.mark.skipif(not INSTALLED.exists(), reason="needs `make setup`: Meltano and its plugins")


def org_of(path: Path) -> None:
    """Fill an org with contacts."""
    stamp = "2026-03-01T08:00:00.000+0000"
    common = {"CreatedDate": stamp, "LastModifiedDate": stamp, "SystemModstamp": stamp, "IsDeleted": False}
    with Org.open(path) as org:
        contacts = []
        for n in range(1, MANY + 1):
            name = "Kept" if n % SWEPT else "Swept"
            contacts.append({"Id": org.new_id("Contact", n), "LastName": name, **common})
        org.load("Contact", contacts)


def overflow(server: Running) -> None:
    """Delete them in one transaction, and let a part of them go from the bin."""
    server.control(pubsub={"setup": {"overflow_ceiling": NAMED}})
    later(server, HOUR)
    act(server, "delete", object="Contact", where="LastName IN ('Kept', 'Swept')", transaction="one")
    act(server, "empty_bin", object="Contact", where="LastName = 'Swept'")
    later(server, 2 * HOUR)


def check(path: Path, sightings: Sequence[Sighting]) -> list[Deletion]:
    """The deletions are those of the truth log, each once, seen by as many sources as there were for it."""
    deletions = resolve(sightings)
    assert len(deletions) == MANY
    assert Counter(one.record_id for one in deletions) == Counter(deleted_ids(truth(path, "delete")))
    assert len({one.event_id for one in sightings}) == len(sightings)
    by_source = Counter(source for one in deletions for source in one.sources)
    assert by_source == {CHANGES: NAMED, LOG: MANY, BIN: MANY - MANY // SWEPT}
    assert Counter(one.source for one in sightings) == by_source
    assert {len(one.sources) for one in deletions} == {1, 2, 3}
    assert all(one.source == min(one.sources, key=WITNESSES.index) for one in deletions)
    return deletions


def test_each_delete_of_an_overflow_is_one_deletion_in_the_ledger_and_in_the_catalog(
    serve: Serve, empty_org: Path, tmp_path: Path
) -> None:
    org_of(empty_org)
    server = serve(empty_org)
    ledger = tmp_path / "ledger.db"
    with serve_in_thread(empty_org, objects=["Contact"]) as catalog:
        before = into_atlan(tmp_path, server, catalog, ledger, **SETTINGS)
        assert before.returncode == 0, before.stderr[-3000:]
        overflow(server)
        done = into_atlan(tmp_path, server, catalog, ledger, **SETTINGS)
        assert done.returncode == 0, done.stderr[-3000:]
        (contact,) = catalog.assets("SalesforceObject")
        shown = catalog.custom_metadata(SET, contact.guid)["Deletes"]
    check(empty_org, sightings_of(ledger))
    assert shown == MANY


@pytest.mark.skipif(not os.environ.get("OVERFLOW"), reason="takes minutes: `make overflow`")
def test_an_overflow_in_the_warehouse_has_the_values_of_the_best_witness(
    serve: Serve, empty_org: Path, tmp_path: Path
) -> None:
    org_of(empty_org)
    server = serve(empty_org)
    with EmbeddedSnowflake(tmp_path) as snowflake:
        before = into_snowflake(tmp_path, server, snowflake, **SETTINGS)
        assert before.returncode == 0, before.stderr[-3000:]
        overflow(server)
        done = into_snowflake(tmp_path, server, snowflake, **SETTINGS)
        assert done.returncode == 0, done.stderr[-3000:]
        deletions = check(empty_org, sightings_in(snowflake))
    happened = {line.record: line for line in truth(empty_org, "delete")}
    for one in deletions:
        line = happened[one.record_id]
        assert one.record_type == line.object
        assert one.actor_id == (None if one.sources == (LOG,) else line.actor)
        assert one.at[:19] == line.at[:19]
        assert one.undeleted_at is None
