"""Events that reach the target of the catalog by way of the warehouse make the figures of those from the tap."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from localcloud.salesforce.server import Running
from localcloud.seed import seed_org
from localcloud.snowflake.address import TARGET_ENVIRONMENT
from tests.environments import EmbeddedSnowflake, run_target, tap_snowflake
from tests.harness import Json, config_for, tap_command

TARGET = Path(sys.executable).with_name("target-atlan-metadata")
PATIENCE = 120
MAPS = {"crm-*": {"__alias__": "__stream_name__.split('-')[-1]"}}


def figures(work: Path, messages: Path, ledger: str) -> list[str]:
    """What the target would write of some messages."""
    config = work / "target-atlan.json"
    config.write_text(json.dumps({"dry_run": True, "ledger_url": f"sqlite:///{work / ledger}"}))
    with messages.open() as lines:
        done = subprocess.run(
            [str(TARGET), "--config", str(config)], stdin=lines, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return sorted(line for line in done.stderr.splitlines() if line.startswith("{"))


def read_warehouse(work: Path, snowflake: EmbeddedSnowflake) -> Path:
    """All tables of events, as tap-snowflake reads them."""
    whole = {**snowflake.target_config(), "stream_maps": MAPS}
    settings = {key: whole[key] for key in ("account", "user", "password", "database", "schema", "stream_maps")}
    config, catalog, messages = work / "tap.json", work / "catalog.json", work / "from-the-warehouse.jsonl"
    config.write_text(json.dumps(settings))
    command = [str(tap_snowflake()), "--config", str(config)]
    environment = {**os.environ, **TARGET_ENVIRONMENT}
    found = subprocess.run(
        [*command, "--discover"], env=environment, capture_output=True, timeout=PATIENCE, check=True
    ).stdout
    streams: list[Json] = [one for one in json.loads(found)["streams"] if one["tap_stream_id"].startswith("crm-")]
    for stream in streams:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = True
    catalog.write_text(json.dumps({"streams": streams}))
    with messages.open("wb") as out:
        subprocess.run(
            [*command, "--catalog", str(catalog)], env=environment, stdout=out, stderr=subprocess.DEVNULL,
            timeout=PATIENCE, check=True,
        )  # fmt: skip
    return messages


def test_events_from_the_warehouse_make_the_figures_of_events_from_salesforce(
    serve: Callable[..., Running], tmp_path: Path
) -> None:
    org, messages = tmp_path / "org", tmp_path / "messages.jsonl"
    seed_org(org, events=300, seed=5)
    with messages.open("wb") as out:
        command = tap_command(tmp_path, config_for(serve(org).url, org))
        subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True, timeout=PATIENCE)
    work = tmp_path / "snowflake"
    work.mkdir()
    with EmbeddedSnowflake(work) as snowflake:
        loaded = run_target(tmp_path, snowflake.target_config(), messages)
        assert loaded.code == 0, loaded.log
        again = read_warehouse(tmp_path, snowflake)
    direct = figures(tmp_path, messages, "direct.db")
    assert len(direct) > 10
    assert figures(tmp_path, again, "again.db") == direct
