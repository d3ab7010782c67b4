"""How the target logs in: by its settings, whatever else the environment has."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import certifi
import pytest
from event_making import record_line, schema_line
from running_target import Runs, carried

from localcloud.atlan.running import Running
from microdecisions.errors import ConfigurationError
from target_atlan_metadata.errors import AtlanError

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


@pytest.mark.parametrize("status", [408, 429, 501, 529])
def test_a_status_of_trouble_on_the_way_is_tried_again(
    runs: Runs, atlan: Running, naps: list[float], status: int
) -> None:
    atlan.control(
        fail=[
            {"pattern": "POST /api/meta/search/indexsearch", "status": status},
            {"pattern": "POST /api/meta/entity/bulk", "status": status, "after_commit": True},
        ]
    )
    assert runs(LINES).complete
    assert len(naps) == 2
    assert carried(atlan, "Case")["Changes"] == 1


@pytest.mark.parametrize("what", ["search/indexsearch", "entity/guid"])
def test_an_answer_that_is_none_is_said_in_one_sentence(runs: Runs, atlan: Running, what: str) -> None:
    for body in ("[]", '"x"', "{}", '{"entity": 5}', '{"entities": [5]}', '{"entities": {}}', "null", ""):
        atlan.control(reset=True, fail=[{"pattern": f"/api/meta/{what}", "status": 200, "body": body, "times": None}])
        with pytest.raises((AtlanError, ConfigurationError)) as refused:
            runs(LINES)
        assert "\n" not in str(refused.value)
