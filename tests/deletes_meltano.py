"""Real `meltano run` of tap-salesforce-deletes, with files of its own, and what a warehouse and a ledger then hold."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo import pipeline
from localcloud.atlan.running import Running as Catalog
from localcloud.salesforce.server import Running
from localcloud.snowflake.address import target_account
from microdecisions import timestamps
from microdecisions.deletions import Sighting
from tests.environments import EmbeddedSnowflake

ROOT = Path(__file__).parents[1]
INSTALLED = ROOT / ".meltano" / "extractors" / "tap-salesforce-deletes"
SCHEMA = "DELETES"
PATIENCE = 900
_COLUMNS = "RECORD_ID, EVENT_TYPE, TIMESTAMP_OCCURRED, CONTEXT, EVENT_ID, RECORD_TYPE, ACTOR_ID, ACTOR_TYPE, ACTOR_NAME"
_KEPT = "record_id, event_type, at, source, event_id, record_type, commit_number"


def into_snowflake(
    work: Path, server: Running, snowflake: EmbeddedSnowflake, **settings: object
) -> subprocess.CompletedProcess[str]:
    """Load the deletes of an org into the warehouse.

    Args:
        work: Meltano's own files.
        server: The org.
        snowflake: The warehouse.
        settings: Of the tap.
    """
    variables = {
        "TARGET_SNOWFLAKE_ACCOUNT": target_account(snowflake.port, "RAW", SCHEMA),
        "TARGET_SNOWFLAKE_SCHEMA": SCHEMA,
        "TARGET_SNOWFLAKE_DEFAULT_TARGET_SCHEMA": SCHEMA,
    }
    return _meltano(work, server, "target-snowflake", variables, settings)


def into_atlan(
    work: Path, server: Running, catalog: Catalog, ledger: Path, **settings: object
) -> subprocess.CompletedProcess[str]:
    """Count the deletes of an org in a ledger, and show them in the catalog; settings are the tap's."""
    variables = {
        "TARGET_ATLAN_METADATA_BASE_URL": catalog.url,
        "TARGET_ATLAN_METADATA_API_KEY": catalog.api_key,
        "TARGET_ATLAN_METADATA_LEDGER_URL": f"sqlite:///{ledger}",
    }
    return _meltano(work, server, "target-atlan-metadata", variables, settings)


def sightings_in(snowflake: EmbeddedSnowflake) -> list[Sighting]:
    """All rows of the warehouse's table, as sightings."""
    with snowflake.client() as client:
        return [_sighting(*row) for row in client.rows(f"SELECT {_COLUMNS} FROM RAW.{SCHEMA}.DELETE_EVENTS")]


def sightings_of(ledger: Path) -> list[Sighting]:
    """All sightings that a ledger keeps; who deleted is not among what it keeps."""
    connection = sqlite3.connect(ledger)
    try:
        return [_kept(*row) for row in connection.execute(f"SELECT {_KEPT} FROM atlan_ledger_sighting")]
    finally:
        connection.close()


def _meltano(
    work: Path, server: Running, target: str, variables: Mapping[str, str], settings: Mapping[str, object]
) -> subprocess.CompletedProcess[str]:
    """Run the pipeline in the environment `local`, with a system database and run files of its own."""
    own = {
        "MELTANO_SYS_DIR_ROOT": str(_system_folder(work)),
        "MELTANO_DATABASE_URI": f"sqlite:///{work / 'meltano.db'}",
        "TAP_SALESFORCE_DELETES_LOGIN_URL": server.url,
        "TAP_SALESFORCE_DELETES_PRIVATE_KEY_PATH": str(server.org_path / "jwt.key"),
        "TAP_SALESFORCE_DELETES_PUBSUB_ENDPOINT": server.pubsub,
    }
    own |= {
        f"TAP_SALESFORCE_DELETES_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }
    return subprocess.run(
        [*pipeline.MELTANO, "run", "--force", "tap-salesforce-deletes", target],
        cwd=ROOT, env=pipeline.environment({**own, **variables}), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def _system_folder(work: Path) -> Path:
    """What is installed, beside files of the run that no other Meltano of the project writes at the same time."""
    folder = work / "meltano"
    folder.mkdir(exist_ok=True)
    for kind in ("extractors", "loaders"):
        if not (folder / kind).exists():
            (folder / kind).symlink_to(ROOT / ".meltano" / kind)
    return folder


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


def _kept(record: str, kind: Any, at: str, source: str, event_id: str, sobject: str, number: int) -> Sighting:
    return Sighting(record, kind, at, source, event_id, sobject, commit_number=number)
