"""What the end-to-end tests share: running the tap as a process and reading what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TAP = str(Path(sys.executable).with_name("tap-salesforce-temporal"))
CLIENT_ID = "localcloud.demo.app"
USERNAME = "integration@mock.localcloud.invalid"

Json = dict[str, Any]


@dataclass
class TapRun:
    """One run of the tap: exit code, Singer messages by kind, and the log."""

    code: int
    log: str
    records: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    schemas: dict[str, Json] = field(default_factory=dict)
    states: list[Json] = field(default_factory=list)

    @property
    def state(self) -> Json:
        """The last STATE."""
        return self.states[-1]

    @property
    def sentence(self) -> str:
        """The last line of the log, without its prefix."""
        return self.log.rstrip().rsplit("\n", 1)[-1].split(" | ")[-1].strip()

    def by_id(self, stream: str) -> dict[str, Json]:
        """Records of a stream by event id, the last of each id."""
        return {record["event_id"]: record for record in self.records[stream]}


def config_for(url: str, org: Path, **more: object) -> Json:
    """Settings that log in to a mock org."""
    return {
        "login_url": url,
        "client_id": CLIENT_ID,
        "username": USERNAME,
        "private_key_path": str(org / "jwt.key"),
        **more,
    }


def run_tap(
    work: Path, config: Json, *arguments: str, catalog: Json | None = None, state: Json | None = None, **env: str
) -> TapRun:
    """Run the tap to its end."""
    command = tap_command(work, config, *arguments, catalog=catalog, state=state)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **env})
    run = TapRun(done.returncode, done.stderr)
    for line in done.stdout.split("\n")[:-1]:  # U+2028 is no line end
        take(run, line)
    return run


def tap_command(
    work: Path, config: Json, *arguments: str, catalog: Json | None = None, state: Json | None = None
) -> list[str]:
    """The command line of a run, with its files written into `work`."""
    command = [TAP, *arguments]
    for name, content in (("config", config), ("catalog", catalog), ("state", state)):
        if content is not None:
            path = work / f"{name}.json"
            path.write_text(json.dumps(content))
            command += [f"--{name}", str(path)]
    return command


def take(run: TapRun, line: str) -> None:
    """Add one line of Singer output."""
    message = json.loads(line)
    if message["type"] == "RECORD":
        run.records[message["stream"]].append(message["record"])
    elif message["type"] == "SCHEMA":
        run.schemas[message["stream"]] = message
    elif message["type"] == "STATE":
        run.states.append(message["value"])


def discover(work: Path, config: Json) -> Json:
    """Run discovery and return the catalog."""
    command = tap_command(work, config, "--discover")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    catalog: Json = json.loads(done.stdout)
    return catalog


def select(catalog: Json, *streams: str, without: tuple[str, ...] = ()) -> Json:
    """Select exactly these streams of a catalog, leaving out some properties."""
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in streams
            elif entry["breadcrumb"][-1] in without:
                entry["metadata"]["selected"] = False
    return catalog
