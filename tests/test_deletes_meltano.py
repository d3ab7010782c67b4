"""Deletes through real `meltano run` into the embedded Snowflake: the warehouse tells the deletes of the truth log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.salesforce.server import Running
from microdecisions.deletions import Deletion, resolve
from tests.conftest import MINUTE
from tests.deletes_meltano import INSTALLED, into_snowflake, sightings_in
from tests.deletes_org import act, delete_accounts, deleted_ids, later, truth
from tests.environments import EmbeddedSnowflake
from tests.test_deletes_sources import ids, tell_stories

Serve = Callable[..., Running]
NAMED = 1_000
"""So many changes of a transaction are events of their own on this bus."""
MANY = 10_000
"""Deletes of one transaction, which come as few events."""

pytestmark = pytest.mark.skipif(not INSTALLED.exists(), reason="needs `make setup`: Meltano and its plugins")


def deletions(snowflake: EmbeddedSnowflake) -> tuple[int, list[Deletion]]:
    """How many rows the table has, and the deletions that they tell of."""
    found = sightings_in(snowflake)
    return len(found), resolve(found)


def test_the_deletes_in_the_warehouse_are_those_of_the_truth_log(serve: Serve, empty_org: Path, tmp_path: Path) -> None:
    server = serve(empty_org)
    tell_stories(server)
    with EmbeddedSnowflake(tmp_path) as snowflake:
        first = into_snowflake(tmp_path, server, snowflake)
        assert first.returncode == 0, first.stderr[-3000:]
        rows, found = deletions(snowflake)
        assert Counter(one.record_id for one in found) == Counter(deleted_ids(truth(empty_org, "delete", "merge")))
        act(server, "create", object="Account", values={"Name": "Bulk {n}"}, count=MANY)
        act(server, "create", object="Account", values={"Name": "Phoenix"})
        act(server, "create", object="Account", values={"Name": "Gone"})
        act(server, "create", object="Contact", values={"LastName": "Over {n}"}, count=1_200)
        later(server, 5 * MINUTE)
        delete_accounts(server, "Bulk%", transaction="one")
        phoenix, gone = ids(server, "Name = 'Phoenix'"), ids(server, "Name = 'Gone'")
        for action in ("delete", "undelete", "delete"):
            act(server, action, object="Account", ids=phoenix)
            later(server, 5 * MINUTE)
        act(server, "delete", object="Account", ids=gone)
        later(server, 5 * MINUTE)
        act(server, "empty_bin", ids=gone)
        server.control(pubsub={"setup": {"overflow_ceiling": NAMED}})
        act(server, "delete", object="Contact", where="LastName LIKE 'Over%'", transaction="one")
        later(server, timedelta(hours=25))
        second = into_snowflake(tmp_path, server, snowflake)
        assert second.returncode == 0, second.stderr[-3000:]
        more, found = deletions(snowflake)
        assert Counter(one.record_id for one in found) == Counter(deleted_ids(truth(empty_org, "delete", "merge")))
        assert more > rows + MANY
        assert [one.undeleted_at is not None for one in found if one.record_id in phoenix] == [True, False]
        assert all(one.actor_id is not None for one in found)
        unnamed = [one for one in found if one.source != "change_event"]
        assert len(unnamed) == 1_200 - NAMED
        assert {one.sources for one in unnamed} == {("platform_event", "query_all", "get_deleted")}
        third = into_snowflake(tmp_path, server, snowflake)
        assert third.returncode == 0, third.stderr[-3000:]
        assert deletions(snowflake)[0] == more
