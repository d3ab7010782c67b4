"""How the target logs in: by its settings, whatever else the environment has."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import certifi
import pytest
from event_making import record_line, schema_line
from running_target import Runs

from localcloud.atlan.running import Running

LINES = [schema_line(), record_line(1, at=datetime.now(UTC))]


def test_a_login_of_the_environment_takes_no_place_of_the_settings(
    runs: Runs, atlan: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLAN_API_KEY", "key-of-somebody-else")
    oauth = {"oauth_client_id": atlan.oauth_client_id, "oauth_client_secret": atlan.oauth_client_secret}
    assert runs(LINES, api_key=None, **oauth).written == 2
    assert "oauth_token" in {one.kind for one in atlan.journal().requests}
    monkeypatch.delenv("ATLAN_API_KEY")
    monkeypatch.setenv("ATLAN_OAUTH_CLIENT_ID", "client-of-somebody-else")
    monkeypatch.setenv("ATLAN_OAUTH_CLIENT_SECRET", "secret-of-somebody-else")
    seen = atlan.journal().total
    assert runs(LINES).complete
    assert "oauth_token" not in {one.kind for one in atlan.journal(seen).requests}


def test_a_ca_bundle_below_home_is_found(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_bytes(Path(certifi.where()).read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert runs(LINES, ca_bundle="~/ca.pem").written == 2
