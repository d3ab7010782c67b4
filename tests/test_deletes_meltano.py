"""Deletes through real `meltano run` into the embedded Snowflake: the warehouse tells the deletes of the truth log."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from demo import pipeline
from localcloud.salesforce.server import Running
from localcloud.snowflake.address import target_account
from microdecisions import timestamps
from microdecisions.deletions import Deletion, Sighting, resolve
from tests.deletes import MINUTE, act, deleted_ids, later, truth
from tests.environments import EmbeddedSnowflake
from tests.test_deletes_sources import ids, tell_stories

ROOT = Path(__file__).parents[1]
INSTALLED = ROOT / ".meltano" / "extractors" / "tap-salesforce-deletes"
COLUMNS = "RECORD_ID, EVENT_TYPE, TIMESTAMP_OCCURRED, CONTEXT, EVENT_ID, RECORD_TYPE, ACTOR_ID, ACTOR_TYPE, ACTOR_NAME"
Serve = Callable[..., Running]

pytestmark = pytest.mark.skipif(not INSTALLED.exists(), reason="needs `make setup`: Meltano and its plugins")


def meltano(work: Path, server: Running, snowflake: EmbeddedSnowflake) -> subprocess.CompletedProcess[str]:
    """Run the pipeline in the environment `local`, with a system database and run files of its own."""
    schema = "DELETES"
    variables = {
        "MELTANO_SYS_DIR_ROOT": str(_system_folder(work)),
        "MELTANO_DATABASE_URI": f"sqlite:///{work / 'meltano.db'}",
        "TAP_SALESFORCE_DELETES_LOGIN_URL": server.url,
        "TAP_SALESFORCE_DELETES_PRIVATE_KEY_PATH": str(server.org_path / "jwt.key"),
        "TAP_SALESFORCE_DELETES_PUBSUB_ENDPOINT": server.pubsub,
        "TARGET_SNOWFLAKE_ACCOUNT": target_account(snowflake.port, "RAW", schema),
        "TARGET_SNOWFLAKE_SCHEMA": schema,
        "TARGET_SNOWFLAKE_DEFAULT_TARGET_SCHEMA": schema,
    }
    command = [*pipeline.MELTANO, "run", "--force", "tap-salesforce-deletes", "target-snowflake"]
    return subprocess.run(
        command, cwd=ROOT, env=pipeline.environment(variables), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=240, check=False,
    )  # fmt: skip


def _system_folder(work: Path) -> Path:
    """What is installed, beside files of the run that no other Meltano of the project writes at the same time."""
    folder = work / "meltano"
    folder.mkdir(exist_ok=True)
    for kind in ("extractors", "loaders"):
        if not (folder / kind).exists():
            (folder / kind).symlink_to(ROOT / ".meltano" / kind)
    return folder


def deletions(snowflake: EmbeddedSnowflake) -> tuple[int, list[Deletion]]:
    """How many rows the table has, and the deletions that they tell of."""
    with snowflake.client() as client:
        rows = client.rows(f"SELECT {COLUMNS} FROM RAW.DELETES.DELETE_EVENTS")
    return len(rows), resolve(_sighting(*row) for row in rows)


def _sighting(
    record: str,
    kind: Any,
    at: Any,
    context: str,
    event_id: str,
    sobject: str,
    actor: str | None,
    kind_of: Any,
    name: Any,
) -> Sighting:
    told: dict[str, Any] = json.loads(context)
    number = int(told.get("metadata", {}).get("commit_number", 0))
    text = timestamps.canonical(f"{at}Z" if isinstance(at, str) else f"{at:%FT%T.%f}Z")
    return Sighting(record, kind, text, told["source"], event_id, sobject, actor, kind_of, name, commit_number=number)


def test_the_deletes_in_the_warehouse_are_those_of_the_truth_log(serve: Serve, empty_org: Path, tmp_path: Path) -> None:
    server = serve(empty_org)
    tell_stories(server)
    with EmbeddedSnowflake(tmp_path) as snowflake:
        first = meltano(tmp_path, server, snowflake)
        assert first.returncode == 0, first.stderr[-3000:]
        rows, found = deletions(snowflake)
        assert Counter(one.record_id for one in found) == Counter(deleted_ids(truth(empty_org, "delete", "merge")))
        act(server, "create", object="Account", values={"Name": "Bulk {n}"}, count=10_000)
        act(server, "create", object="Account", values={"Name": "Phoenix"})
        act(server, "create", object="Account", values={"Name": "Gone"})
        later(server, 5 * MINUTE)
        act(server, "delete", object="Account", where="Name LIKE 'Bulk%'", transaction="one")
        phoenix, gone = ids(server, "Name = 'Phoenix'"), ids(server, "Name = 'Gone'")
        for action in ("delete", "undelete", "delete"):
            act(server, action, object="Account", ids=phoenix)
            later(server, 5 * MINUTE)
        act(server, "delete", object="Account", ids=gone)
        later(server, 5 * MINUTE)
        act(server, "empty_bin", ids=gone)
        later(server, timedelta(hours=25))
        second = meltano(tmp_path, server, snowflake)
        assert second.returncode == 0, second.stderr[-3000:]
        more, found = deletions(snowflake)
        assert Counter(one.record_id for one in found) == Counter(deleted_ids(truth(empty_org, "delete", "merge")))
        assert more > rows + 10_000
        assert [one.undeleted_at is not None for one in found if one.record_id in phoenix] == [True, False]
        assert all(one.source == "change_event" and one.actor_id is not None for one in found)
        third = meltano(tmp_path, server, snowflake)
        assert third.returncode == 0, third.stderr[-3000:]
        assert deletions(snowflake)[0] == more
