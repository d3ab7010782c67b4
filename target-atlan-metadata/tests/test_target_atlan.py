"""The target against the stand-in of Atlan: the right figures on the right assets, and nothing else touched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from event_making import USER, record, record_line, schema_line, state_line
from running_target import SET, Runs, carried, guid

from localcloud.atlan.running import Running, serve_in_thread
from microdecisions.errors import ConfigurationError
from target_atlan_metadata import gateway
from target_atlan_metadata.attributes import ATTRIBUTES
from target_atlan_metadata.errors import AtlanError, AtlanPermissionError, UnresolvedError
from target_atlan_metadata.report import Report
from target_atlan_metadata.target import TargetAtlanMetadata

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def lines(*numbers: int, **changes: Any) -> list[str]:
    return [schema_line(), *(record_line(number, at=NOW - number * HOUR, **changes) for number in numbers)]


def test_figures_are_on_the_object_and_on_the_field(runs: Runs, atlan: Running) -> None:
    report = runs([*lines(1, 2, 200), state_line({"bookmarks": {"a": 1.50}})])
    assert runs.out == '{"bookmarks": {"a": 1.5}}\n'
    assert carried(atlan, "Case") == {
        "Last change": int((NOW - HOUR).timestamp()) * 1000,
        "Last changed field": "Status",
        "Last changed by": USER,
        "Changes": 3,
        "Deletes": 0,
        "Changes in 7 days": 2,
        "Changes in 30 days": 3,
        "Quality score": 100,
    }
    status = carried(atlan, "Case", "Status")
    assert (status["Changes"], "Deletes" in status, "Last changed field" in status) == (3, False, False)
    assert (report.written, report.unresolved, report.failed) == (2, {}, [])


class Slow:
    """Input that comes in pieces; before each of them something happens."""

    def __init__(self, *pieces: str, before: Callable[[int], None]) -> None:
        self._pieces = [*pieces, ""]
        self._before = before
        self._given = 0

    def read(self, _size: int) -> str:
        self._before(self._given)
        self._given += 1
        return self._pieces[self._given - 1]


def test_each_minute_of_input_figures_are_written_and_the_state_is_given_back_as_it_came(
    runs: Runs, atlan: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    """A state is bytes: floats, great numbers, doubled keys, spaces and their order stay."""
    state = '{"b": 1.50,  "a": 123456789012345678901234567890, "b": 1e400, "\\u00e9": [0.10]}'
    seconds, seen = 0.0, list[tuple[int, str]]()

    def before(piece: int) -> None:
        nonlocal seconds
        seen.append((carried(atlan, "Case").get("Changes", 0) if piece else 0, capsys.readouterr().out))
        seconds += 31

    def piece(number: int) -> str:
        return f'{record_line(number, at=NOW - HOUR)}\n{{"type": "STATE", "value": {state}}}\n'

    target = TargetAtlanMetadata(config={**runs.config, "report_path": None}, monotonic=lambda: seconds)
    pieces = [f"{schema_line()}\n{piece(0)}", piece(1), piece(2), piece(3)]
    target.listen(Slow(*pieces, before=before))  # type: ignore[arg-type]
    assert seen == [(0, ""), (0, ""), (2, f"{state}\n"), (2, ""), (4, f"{state}\n")]
    assert carried(atlan, "Case")["Changes"] == 4


def test_a_replay_writes_nothing(runs: Runs) -> None:
    runs(lines(*range(30)))
    again = runs(lines(*range(30)))
    assert (again.writes, again.counted, again.unchanged) == (0, 0, 2)


def test_what_is_read_again_later_writes_nothing(runs: Runs) -> None:
    runs(lines(1, 2))
    again = runs(lines(1, 2, extracted_at="2027-01-01T00:00:00.000000Z"))
    assert (again.writes, again.counted) == (0, 0)


def test_history_names_a_look_up_without_its_id(runs: Runs, atlan: Running) -> None:
    runs(lines(1, field_name="Owner"))
    assert carried(atlan, "Case", "OwnerId")["Changes"] == 1
    both = [*lines(2, 3, field_name="Owner"), *lines(4, field_name="OwnerId")[1:]]
    runs(both)
    assert runs(both).writes == 0


def test_other_custom_metadata_and_other_assets_are_untouched(runs: Runs, atlan: Running) -> None:
    everything = ("SalesforceObject", "SalesforceField", "Table", "Connection", "SalesforceOrganization")
    others = {one.guid: one for kind in everything for one in atlan.assets(kind)}
    case, status, connection = guid(atlan, "Case"), guid(atlan, "Case", "Status"), atlan.assets("Connection")
    runs(lines(1))
    after = {one.guid: one for kind in everything for one in atlan.assets(kind)}
    assert after.keys() == others.keys()
    changed = {key for key, one in after.items() if one.custom_metadata != others[key].custom_metadata}
    assert changed <= {case, status, *(one.guid for one in connection)}
    assert all(one.attributes == others[key].attributes for key, one in after.items())
    stewardship = [one for one in after.values() if atlan.custom_metadata("Data Stewardship", one.guid)]
    assert all(
        atlan.custom_metadata("Data Stewardship", one.guid) == _set(others[one.guid], atlan) for one in stewardship
    )


def _set(asset: Any, atlan: Running) -> Any:
    return atlan.custom_metadata("Data Stewardship", asset.guid)


def test_the_set_has_at_most_twelve_attributes_and_is_made_once(runs: Runs, atlan: Running) -> None:
    assert len(ATTRIBUTES) <= 12
    runs(lines(1))
    runs(lines(2))
    made = [one for one in atlan.journal().requests if one.kind in {"typedefs_create", "typedefs_update"}]
    assert len(made) == 1


def test_without_leave_to_create_the_set_the_run_is_refused(runs: Runs) -> None:
    with pytest.raises(ConfigurationError, match="`create_custom_metadata`"):
        runs(lines(1), create_custom_metadata="never")


def test_a_token_that_may_not_create_is_told_so(runs: Runs, atlan: Running) -> None:
    atlan.control(privileges={"deny": ["create_custom_metadata"]})
    with pytest.raises(AtlanPermissionError, match="may not create the custom metadata"):
        runs(lines(1))


def test_a_wrong_token_is_refused_before_anything_is_read(runs: Runs) -> None:
    with pytest.raises(AtlanPermissionError, match="refuses the token"):
        runs(lines(1), api_key="wrong-token-of-tests")


def test_oauth_clients_log_in_too(runs: Runs, atlan: Running) -> None:
    config = {"oauth_client_id": atlan.oauth_client_id, "oauth_client_secret": atlan.oauth_client_secret}
    assert runs(lines(1), api_key=None, **config).written == 2


def test_an_oauth_client_with_a_wrong_secret_is_refused(runs: Runs, atlan: Running) -> None:
    config = {"oauth_client_id": atlan.oauth_client_id, "oauth_client_secret": "wrong-secret-of-tests"}
    with pytest.raises(AtlanPermissionError, match="refuses the token"):
        runs(lines(1), api_key=None, **config)


def test_an_object_that_is_not_there_waits_for_a_crawl(runs: Runs, atlan: Running) -> None:
    waiting = lines(1, record_type="Shipment__c", field_name="Amount__c")
    report = runs(waiting)
    assert report.unresolved == {"Shipment__c": 1}
    assert "Shipment__c" in runs.err or report.unresolved
    with pytest.raises(UnresolvedError, match="Shipment__c"):
        runs(waiting, on_unresolved="fail")
    atlan.control(crawl={"objects": {"Shipment__c": ["Amount__c"]}})
    runs([])
    assert carried(atlan, "Shipment__c")["Changes"] == 1
    assert carried(atlan, "Shipment__c", "Amount__c")["Changes"] == 1


def test_one_bad_asset_costs_only_itself(runs: Runs, atlan: Running) -> None:
    bad = guid(atlan, "Lead")
    atlan.control(refuse=[bad])
    events = [*lines(1), *lines(2, record_type="Lead")[1:], *lines(3, record_type="Contract")[1:]]
    with pytest.raises(AtlanError, match="refuses 1 of the assets"):
        runs(events)
    assert carried(atlan, "Case")["Changes"] == 1
    assert carried(atlan, "Contract")["Changes"] == 1
    assert carried(atlan, "Lead") == {}
    atlan.control(reset=True)
    runs([])
    assert carried(atlan, "Lead")["Changes"] == 1


def test_a_dropped_connection_after_the_commit_doubles_nothing(runs: Runs, atlan: Running, naps: list[float]) -> None:
    atlan.control(drop=[{"pattern": "POST /api/meta/entity/bulk", "times": 2, "mode": "drop", "after_bytes": 0}])
    runs(lines(1, 2))
    assert carried(atlan, "Case")["Changes"] == 2
    assert naps


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_answer_that_passes_is_waited_for(runs: Runs, atlan: Running, naps: list[float], status: int) -> None:
    atlan.control(fail=[{"pattern": "POST /api/meta/entity/bulk", "status": status, "times": 2}])
    runs(lines(1))
    assert carried(atlan, "Case")["Changes"] == 1
    assert len(naps) == 2
    assert status != 429 or min(naps) >= 60


@pytest.mark.parametrize("status", [429, 503])
def test_an_answer_that_stays_fails_loudly_and_the_next_run_makes_it_good(
    runs: Runs, atlan: Running, naps: list[float], status: int
) -> None:
    atlan.control(fail=[{"pattern": "POST /api/meta/entity/bulk", "status": status, "times": None}])
    with pytest.raises(AtlanError, match=f"answers {status} after 6 tries"):
        runs([*lines(1, 2), state_line({"a": 1})])
    assert runs.out == ""
    atlan.control(reset=True)
    runs([])
    assert carried(atlan, "Case")["Changes"] == 2


def test_a_retry_after_is_kept_to(runs: Runs, atlan: Running, naps: list[float]) -> None:
    fault = {"pattern": "POST /api/meta/search/indexsearch", "status": 429, "times": 1, "retry_after": 7}
    atlan.control(fail=[fault])
    runs(lines(1))
    assert 7 <= naps[0] < 9


def test_velocity_of_a_quiet_asset_is_refreshed(runs: Runs, atlan: Running) -> None:
    runs(lines(1, 2))
    atlan.control(clock={"advance_seconds": 8 * 86_400})
    runs([])
    case = carried(atlan, "Case")
    assert (case["Changes"], case["Changes in 7 days"], case["Changes in 30 days"]) == (2, 0, 2)


def test_assets_that_were_crawled_anew_get_their_figures(runs: Runs, atlan: Running) -> None:
    runs(lines(1))
    atlan.control(crawl={"objects": {}, "new_guids": True})
    runs(lines(2))
    assert carried(atlan, "Case")["Changes"] == 2


def test_a_lag_of_the_search_does_not_bring_old_figures_back(runs: Runs, atlan: Running) -> None:
    runs(lines(1))
    atlan.control(index_lag_seconds=3600)
    runs(lines(2))
    runs(lines(2))
    assert carried(atlan, "Case")["Changes"] == 2


def test_figures_go_back_although_the_search_never_showed_them(runs: Runs, atlan: Running) -> None:
    runs(lines(1))
    atlan.control(clock={"advance_seconds": 7200})  # the search shows this run, and no later one
    atlan.control(index_lag_seconds=3600)
    runs(lines(2))
    taken_back = lines(2, is_primary=False, extracted_at="2027-01-01T00:00:00.000000Z")
    runs(taken_back)
    assert carried(atlan, "Case")["Changes"] == 1


def test_an_asset_that_is_gone_is_not_made_again(runs: Runs, atlan: Running) -> None:
    gone = guid(atlan, "Case")
    atlan.control(clock={"advance_seconds": 7200})
    atlan.control(index_lag_seconds=3600)
    atlan.control(purge=[gone])
    before = len(atlan.assets("SalesforceObject"))
    with pytest.raises(AtlanError, match="refuses 1 of the assets"):
        runs(lines(1), asset_levels=["object"])
    assert len(atlan.assets("SalesforceObject")) == before
    assert gone not in {one.guid for one in atlan.assets("SalesforceObject")}


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(runs: Runs, atlan: Running) -> None:
    report = runs([*lines(1), state_line({"a": 1})], dry_run=True)
    assert report.writes == 0
    assert set(runs.printed()) == {"Case", "Case.Status"}
    assert runs.out == ""
    assert not [one for one in atlan.journal().requests if one.kind in {"bulk", "typedefs_create"}]
    runs(lines(1))
    assert runs(lines(1), dry_run=True).written == 0


def test_a_first_write_takes_few_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve_in_thread(tmp_path / "whole") as atlan:
        report = Runs(tmp_path, capsys, atlan)(_one_of_each_field(atlan))
    assert report.written > 400
    assert report.requests <= 30


def _one_of_each_field(atlan: Running) -> list[str]:
    events = [schema_line()]
    names = {one.attributes["qualifiedName"]: one.attributes["apiName"] for one in atlan.assets("SalesforceObject")}
    for number, one in enumerate(atlan.assets("SalesforceField")):
        parent = names[one.attributes["objectQualifiedName"]]
        events.append(record_line(number, at=NOW, record_type=parent, field_name=one.attributes["apiName"]))
    return events


def test_no_secret_is_in_any_output(
    runs: Runs, atlan: Running, naps: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)  # of everything, also of the libraries below
    atlan.control(fail=[{"pattern": "POST /api/meta/entity/bulk", "status": 503, "times": None}])
    with pytest.raises(AtlanError) as failed:
        runs(lines(1))
    oauth = {"oauth_client_id": atlan.oauth_client_id, "oauth_client_secret": atlan.oauth_client_secret}
    with pytest.raises(AtlanError):
        runs(lines(1), api_key=None, **oauth)
    everything = f"{failed.value}{runs.out}{runs.err}{caplog.text}"
    assert atlan.api_key not in everything
    assert atlan.oauth_client_secret not in everything
    assert "Bearer" not in everything


def test_an_environment_with_a_proxy_is_heeded_and_loopback_never_goes_by_it(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "inner.example.com, .near.example.com")
    assert gateway.proxy_for("https://acme.atlan.com") == "http://proxy.example.com:3128"
    assert gateway.proxy_for("https://inner.example.com") is None
    assert gateway.proxy_for("https://atlan.near.example.com") is None
    assert gateway.proxy_for("http://localhost:8183") is None
    assert runs(lines(1)).written == 2
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example.com")
    with pytest.raises(ConfigurationError, match="must be the address of an HTTP proxy"):
        gateway.proxy_for("https://acme.atlan.com")


def test_an_organization_that_is_not_there_is_refused(runs: Runs) -> None:
    with pytest.raises(ConfigurationError, match="names no organization of the Salesforce connection"):
        runs(lines(1), organization_qualified_name="default/salesforce/1/nowhere")


def test_a_failed_run_leaves_a_report_that_says_so(runs: Runs, atlan: Running, naps: list[float]) -> None:
    assert runs(lines(1)).complete
    atlan.control(fail=[{"pattern": "POST /api/meta/entity/bulk", "status": 503, "times": None}])
    with pytest.raises(AtlanError):
        runs(lines(2))
    report = msgspec.json.decode((runs.folder / "report.json").read_bytes(), type=Report)
    assert (report.complete, report.counted, report.writes) == (False, 1, 6)
    with pytest.raises(AtlanPermissionError):
        runs(lines(2), api_key="wrong-token-of-tests")
    assert (runs.folder / "report.json").read_bytes() == b""


def test_an_asset_that_appears_later_gets_figures_of_all_its_events(runs: Runs, atlan: Running) -> None:
    """Also where the ledger has forgotten ids and folded days, and no event comes with it."""
    waiting = {"record_type": "Shipment__c", "field_name": "Amount__c"}
    old = [record_line(number, at=NOW - timedelta(days=50 * number), **waiting) for number in range(1, 12)]
    runs([schema_line(), *old], keep_event_ids_days=30, keep_daily_days=31, quality_days=31)
    runs(lines(500, **waiting))
    atlan.control(crawl={"objects": {"Shipment__c": []}})
    runs([])
    assert carried(atlan, "Shipment__c")["Changes"] == 12
    atlan.control(crawl={"objects": {"Shipment__c": ["Amount__c"]}})
    runs([])
    amount = carried(atlan, "Shipment__c", "Amount__c")
    assert (amount["Changes"], amount["Changes in 30 days"]) == (12, 1)
    assert amount["Last change"] == int((NOW - 500 * HOUR).timestamp()) * 1000


def test_events_as_they_come_are_the_events_of_the_library() -> None:
    from target_atlan_metadata.decision import NEEDED  # noqa: PLC0415

    assert set(NEEDED) <= set(record(1))
    assert SET
