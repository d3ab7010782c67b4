"""Who is timed: our tap by REST and by Bulk, the floors, and the peers, each in its own environment, unmodified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measured import Contender
from conformance.place import ENVIRONMENTS, Place
from microdecisions.session import open_session
from tap_salesforce_temporal.settings import TapSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

HERE = Path(__file__).parent
OBJECT, STREAM = "OpportunityFieldHistory", "opportunity_field_history"
RECORD = b'{"type":"RECORD"'
PLUGIN = HERE.parent / ".meltano" / "extractors" / "tap-salesforce-temporal" / "venv" / "bin" / "python"
_OF_THIS_SHELL = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"})
START = "2020-01-01T00:00:00Z"


def ours(place: Place, *, end_date: datetime | None = None) -> Iterator[Contender]:
    """The floors and our tap, one after the other for each API; the tap in its own environment, as Meltano installs it.

    Args:
        place: The org.
        end_date: Up to where the tap reads; None for now.
    """
    config: dict[str, Any] = {
        "login_url": place.url,
        "client_id": place.client_id,
        "username": place.username,
        "private_key_path": str(place.folder / "jwt.key"),
        "ca_bundle": str(place.folder / "tls" / "ca.pem"),
    }
    if end_date is not None:
        config["end_date"] = end_date.strftime("%Y-%m-%dT%H:%M:%SZ")
    python = PLUGIN if PLUGIN.exists() else Path(sys.executable)
    tap, environment = python.with_name("tap-salesforce-temporal"), _as_users_have_it(os.environ)
    (place.work / "config.json").write_text(json.dumps(config))
    command: list[str | Path] = [tap, "--config", place.work / "config.json", "--discover"]
    found = json.loads(subprocess.check_output(command, text=True, env=environment, stderr=subprocess.DEVNULL))
    for stream in found["streams"]:
        root = next(entry for entry in stream["metadata"] if entry["breadcrumb"] == [])
        root["metadata"]["selected"] = stream["tap_stream_id"] == STREAM
    catalog = place.work / "catalog.json"
    catalog.write_text(json.dumps(found))
    for name, api in (("rest", "rest"), ("bulk2", "bulk2")):
        floor = [python, HERE / "floor.py", name]
        yield Contender(f"floor_{name}", floor, RECORD, environment, given=_session(config))
        settings = place.work / f"config-{name}.json"
        settings.write_text(json.dumps(config | {"api_type": api}))
        yield Contender(f"ours_{name}", [tap, "--config", settings, "--catalog", catalog], RECORD, environment)


def _as_users_have_it(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what this shell tells Python: every contender may keep its bytecode and buffer its output."""
    return {name: value for name, value in environment.items() if name not in _OF_THIS_SHELL}


def _session(config: dict[str, Any]) -> str:
    session = open_session(TapSettings(**config))
    token = session.login()
    asked = {"url": token.instance_url, "token": token.access_token, "api_version": session.api_version}
    return json.dumps(asked | {"ca_bundle": config["ca_bundle"]})


def peers(place: Place) -> Iterator[Contender]:
    """The peers whose environments `make conformance` has set up."""
    if (ENVIRONMENTS / "tap-salesforce").exists():
        yield _singer(place)
    if (ENVIRONMENTS / "airbyte-source-salesforce").exists():
        yield _airbyte(place, "airbyte_full", "full_refresh")
        yield _airbyte(place, "airbyte_incremental", "incremental")


def _app(place: Place) -> dict[str, object]:
    secrets = place.credentials
    return {
        "client_id": place.client_id,
        "client_secret": secrets.client_secret,
        "refresh_token": secrets.refresh_token,
    }


def _singer(place: Place) -> Contender:
    name = "tap-salesforce"
    tap = ENVIRONMENTS / name / "bin" / "tap-salesforce"
    config, file = place.work / "singer.json", place.work / "singer-catalog.json"
    config.write_text(
        json.dumps(_app(place) | {"start_date": START, "api_type": "REST", "select_fields_by_default": "true"})
    )
    catalog = json.loads(_said(place, name, [tap, "--config", config, "--discover"]))
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] == OBJECT
    file.write_text(json.dumps(catalog))
    command: list[object] = [tap, "--config", config, "--properties", file]
    return _peer(place, name, "singer_io_rest", command, b'{"type": "RECORD"')


def _airbyte(place: Place, key: str, mode: str) -> Contender:
    name = "airbyte-source-salesforce"
    source = ENVIRONMENTS / name / "bin" / "source-salesforce"
    config, catalog, state = (place.work / f"{key}-{what}.json" for what in ("config", "catalog", "state"))
    criteria = [{"criteria": "exacts", "value": OBJECT}]
    options: dict[str, object] = {"start_date": START, "is_sandbox": False, "auth_type": "Client"}
    config.write_text(json.dumps(_app(place) | options | {"streams_criteria": criteria}))
    said = _said(place, name, [source, "discover", "--config", config])
    messages: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    found = next(message["catalog"]["streams"] for message in messages if message.get("type") == "CATALOG")
    chosen = {"sync_mode": mode, "destination_sync_mode": "append", "cursor_field": ["CreatedDate"]}
    streams = [{"stream": stream, **chosen, "primary_key": [["Id"]]} for stream in found if stream["name"] == OBJECT]
    catalog.write_text(json.dumps({"streams": streams}))
    state.write_text("[]")
    command: list[object] = [source, "read", "--config", config, "--catalog", catalog, "--state", state]
    return _peer(place, name, key, command, b'"type":"RECORD"')


def _peer(place: Place, name: str, key: str, command: list[object], mark: bytes) -> Contender:
    environment = _as_users_have_it(place.environment(name))
    return Contender(key, command, mark, environment, folder=_home(place, name), is_peer=True)


def _home(place: Place, name: str) -> Path:
    return place.work / "home" / name


def _said(place: Place, name: str, command: list[object]) -> str:
    environment = _as_users_have_it(place.environment(name))
    done = subprocess.run(
        [str(part) for part in command],
        env=environment,
        cwd=_home(place, name),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{name} does not start (exit code {done.returncode})")
    return done.stdout


def without_proxies() -> None:
    """Our own clients go to the org without a proxy, whatever this shell's variables say."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        os.environ.pop(name, None)
