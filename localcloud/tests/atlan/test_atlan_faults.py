"""What goes wrong on purpose: limits, faults before and after the write, expired tokens, missing privileges."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from localcloud.atlan.login import TOKEN_LIFETIME_S
from localcloud.tls import certificates

USER = "/api/service/users/current"


def token(catalog: Any, secret: str | None = None) -> requests.Response:
    asked = {
        "clientId": catalog.server.oauth_client_id,
        "clientSecret": secret or catalog.server.oauth_client_secret,
    }
    answer: requests.Response = catalog.ask("POST", "/api/service/oauth-clients/token", asked)
    return answer


def test_too_many_requests_shut_everybody_out_for_a_minute(catalog: Any) -> None:
    """Atlan's documentation, API limits: "400 requests a minute"; a 429 "blocks for one minute"."""
    for _ in range(400):
        assert catalog.ask("GET", USER).status_code == 200
    refused = catalog.ask("GET", USER)
    assert refused.status_code == 429
    assert "Retry-After" not in refused.headers
    catalog.server.control(clock={"advance_seconds": 59})
    assert catalog.ask("GET", USER).status_code == 429
    catalog.server.control(clock={"advance_seconds": 1})
    assert catalog.ask("GET", USER).status_code == 200


def test_requests_of_a_minute_ago_count_no_more(catalog: Any) -> None:
    catalog.server.control(rate_limit={"per_minute": 2})
    for _ in range(4):
        assert catalog.ask("GET", USER).status_code == 200
        catalog.server.control(clock={"advance_seconds": 30})


def test_the_limit_can_say_when_it_is_over_and_be_lifted(catalog: Any) -> None:
    catalog.server.control(rate_limit={"per_minute": 1, "block_seconds": 20, "retry_after": True})
    catalog.ask("GET", USER)
    assert catalog.ask("GET", USER).headers["Retry-After"] == "20"
    catalog.server.control(clock={"advance_seconds": 5.5})
    assert catalog.ask("GET", USER).headers["Retry-After"] == "15"
    catalog.server.control(rate_limit={"per_minute": 0})
    assert {catalog.ask("GET", USER).status_code for _ in range(500)} == {200}


def test_answers_tell_the_time_of_the_catalog(catalog: Any) -> None:
    """RFC 9110, 6.6.1: "An origin server with a clock MUST generate a Date header field in all 2xx, 3xx, and 4xx"."""
    assert catalog.ask("GET", USER).headers["Date"] == "Mon, 02 Mar 2026 12:00:00 GMT"
    catalog.server.control(clock={"advance_seconds": 86_399})
    assert catalog.ask("GET", "entity/guid/nothing").headers["Date"] == "Tue, 03 Mar 2026 11:59:59 GMT"


def test_answers_may_come_without_a_date(catalog: Any) -> None:
    catalog.server.control(clock={"tell": False})
    assert "Date" not in catalog.ask("GET", USER).headers
    catalog.server.control(reset=True)
    assert "Date" not in catalog.ask("GET", "types/typedefs/").headers
    catalog.server.control(clock={"tell": True})
    assert "Date" in catalog.ask("GET", USER).headers


def test_a_failure_strikes_what_its_pattern_matches_so_many_times(catalog: Any) -> None:
    catalog.server.control(fail=[{"pattern": "GET .*users", "status": 503, "times": 2, "skip": 1, "retry_after": 3}])
    seen = [catalog.ask("GET", USER) for _ in range(4)]
    assert [one.status_code for one in seen] == [200, 503, 503, 200]
    assert seen[1].headers["Retry-After"] == "3"
    assert catalog.search(None, size=1)["approximateCount"] > 0


def test_a_gateway_answers_with_a_page(catalog: Any) -> None:
    """A 502 with HTML is the SDK's ATLAN-PYTHON-502-000."""
    catalog.server.control(fail=[{"status": 502}])
    answer = catalog.ask("GET", USER)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<h1>502" in answer.text


def deletion_of(catalog: Any) -> tuple[str, Callable[[], requests.Response]]:
    case = catalog.asset("SalesforceObject", "Case")
    return case.guid, lambda: catalog.ask("DELETE", "entity/bulk", guid=case.guid)


def test_a_failure_comes_before_the_write_or_after_it(catalog: Any) -> None:
    guid, delete = deletion_of(catalog)
    catalog.server.control(fail=[{"status": 500}])
    assert delete().status_code == 500
    assert catalog.server.asset(guid).active
    catalog.server.control(fail=[{"status": 504, "after_commit": True}])
    assert delete().status_code == 504
    assert not catalog.server.asset(guid).active


def test_a_connection_ends_before_the_write_or_after_it(catalog: Any) -> None:
    """The client cannot tell; what it repeats has to be harmless."""
    guid, delete = deletion_of(catalog)
    catalog.server.control(drop=[{"pattern": "DELETE"}])
    with pytest.raises(requests.ConnectionError):
        delete()
    assert catalog.server.asset(guid).active
    catalog.server.control(drop=[{"pattern": "DELETE", "after_bytes": 0}])
    with pytest.raises(requests.RequestException):
        delete()
    assert not catalog.server.asset(guid).active
    assert [one.fault for one in catalog.server.journal().requests] == ["drop", "drop"]


def test_a_body_can_end_too_early(catalog: Any) -> None:
    catalog.server.control(drop=[{"mode": "truncate"}])
    with pytest.raises(requests.RequestException):
        catalog.ask("GET", USER)


def test_requests_are_kept_waiting(serve: Callable[..., Any]) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    catalog = serve(sleep=sleep)
    catalog.server.control(latency_ms=80, delay=[{"pattern": "users", "seconds": 2}])
    catalog.ask("GET", USER)
    catalog.ask("GET", USER)
    assert waited == [2.08, 0.08]


def test_an_asset_can_be_refused(catalog: Any) -> None:
    case, lead = catalog.asset("SalesforceObject", "Case"), catalog.asset("SalesforceObject", "Lead")
    catalog.server.control(refuse=[case.guid])
    entities = [catalog.update_of(one) for one in (lead, case)]
    for entity in entities:
        entity["attributes"]["description"] = "x"
    assert catalog.refused(catalog.bulk(*entities)) == (400, "ATLAS-400-00-01A")
    assert catalog.bulk(entities[0]).status_code == 200
    catalog.server.control(refuse=[])
    assert catalog.bulk(*entities).status_code == 200


def test_nobody_is_answered_without_a_token(catalog: Any) -> None:
    for header in (None, "", "Bearer wrong", "Basic bG9jYWw=", f"Bearer {catalog.server.api_key}x"):
        answer = requests.get(catalog.server.url + USER, headers={"Authorization": header}, timeout=30)
        assert answer.status_code == 401


def test_an_oauth_client_gets_a_token_that_expires(catalog: Any) -> None:
    """pyatlan `OAuthTokenManager`: POST of `clientId` and `clientSecret`; `accessToken`, `expiresIn`."""
    answer = token(catalog).json()
    assert answer["tokenType"] == "Bearer"
    assert answer["expiresIn"] == TOKEN_LIFETIME_S
    catalog.http.headers["Authorization"] = f"Bearer {answer['accessToken']}"
    assert catalog.ask("GET", USER).json()["username"] == "service-account-oauth-client-localcloud"
    catalog.server.control(clock={"advance_seconds": TOKEN_LIFETIME_S})
    assert catalog.ask("GET", USER).status_code == 401


def test_a_wrong_secret_gets_no_token(catalog: Any) -> None:
    assert token(catalog, "guess").status_code == 401


def test_tokens_and_keys_can_be_taken_back(catalog: Any) -> None:
    access = token(catalog).json()["accessToken"]
    catalog.server.control(tokens={"revoke_keys": True})
    assert catalog.ask("GET", USER).status_code == 401
    catalog.http.headers["Authorization"] = f"Bearer {access}"
    assert catalog.ask("GET", USER).status_code == 200
    catalog.server.control(tokens={"expire": True, "restore": True})
    assert catalog.ask("GET", USER).status_code == 401
    catalog.http.headers["Authorization"] = f"Bearer {catalog.server.api_key}"
    assert catalog.ask("GET", USER).status_code == 200


def test_a_missing_privilege_refuses_what_needs_it_and_nothing_else(catalog: Any, body_of: Any) -> None:
    """UNAUTHORIZED_ACCESS, 403-00-001; `entity-update-business-metadata` guards custom metadata."""
    made = catalog.define(Count="int")
    count = made["attributeDefs"][0]["name"]
    case = catalog.asset("SalesforceObject", "Case")
    path = f"entity/guid/{case.guid}/businessmetadata/{made['name']}"
    described = catalog.update_of(case)
    described["attributes"]["description"] = "x"
    catalog.server.control(privileges={"deny": ["write_custom_metadata", "create_custom_metadata", "create_assets"]})
    forbidden = (403, "ATLAS-403-00-001")
    assert catalog.refused(catalog.ask("POST", path, {count: 1})) == forbidden
    entity = catalog.update_of(case, businessAttributes={made["name"]: {count: 1}})
    assert catalog.refused(catalog.merge(entity)) == forbidden
    assert catalog.refused(catalog.ask("POST", "types/typedefs/", body_of("New", a="int"))) == forbidden
    table = {"typeName": "Table", "attributes": {"qualifiedName": "q", "name": "n"}}
    assert catalog.refused(catalog.bulk(table)) == forbidden
    assert catalog.bulk(described).status_code == 200
    catalog.server.control(privileges={"deny": ["update_assets", "search"]})
    assert catalog.merge(entity).status_code == 200
    described["attributes"]["description"] = "y"
    assert catalog.refused(catalog.bulk(described)) == forbidden
    assert catalog.refused(catalog.ask("POST", "search/indexsearch", {"dsl": {"size": 1}})) == forbidden


def test_a_reset_turns_all_switches_off_and_keeps_the_assets(catalog: Any) -> None:
    case = catalog.asset("SalesforceObject", "Case")
    state = catalog.server.control(
        fail=[{"times": None}],
        drop=[{"times": None, "pattern": "x"}],
        rate_limit={"per_minute": 1},
        index_lag_seconds=5,
        tokens={"revoke_keys": True},
        refuse=[case.guid],
        privileges={"deny": ["search"]},
        latency_ms=5,
        archive=[case.guid],
    )
    assert (len(state.fail), state.index_lag_seconds, state.latency_ms) == (1, 5, 5)
    state = catalog.server.control(reset=True)
    assert (state.fail, state.drop, state.index_lag_seconds, state.latency_ms) == ([], [], 0, 0)
    assert [catalog.ask("GET", USER).status_code for _ in range(3)] == [200] * 3
    assert not catalog.server.asset(case.guid).active


@pytest.mark.parametrize(
    "switches",
    [
        {"fly": True},
        {"fail": [{"status": 200}]},
        {"fail": [{"pattern": "("}]},
        {"clock": {"set": "2026-03-02T12:00:00"}},
        {"add": [{"type_name": "Spaceship", "attributes": {}}]},
        {"purge": ["nothing"]},
        {"crawl": {"remove": ["Nothing"]}},
        {"privileges": {"deny": ["fly"]}},
    ],
    ids=lambda switches: next(iter(switches)),
)
def test_a_switch_that_is_not_right_is_refused(catalog: Any, switches: dict[str, Any]) -> None:
    answer = catalog.ask("POST", "/__localcloud__/control", switches)
    assert answer.status_code == 400
    assert answer.json()["error"]
    with pytest.raises(ValueError, match=r"."):
        catalog.server.control(**switches)


def test_only_this_machine_may_turn_switches(catalog: Any) -> None:
    for header in ({"Host": "attacker.example"}, {"Origin": "https://attacker.example"}):
        url = f"{catalog.server.url}/__localcloud__/control"
        assert requests.post(url, data="{}", headers=header, timeout=30).status_code == 403


def test_the_journal_says_what_was_asked(catalog: Any) -> None:
    catalog.search({"term": {"__typeName.keyword": "Table"}}, size=5)
    catalog.ask("GET", "entity/guid/nothing")
    catalog.ask("GET", "/api/meta/no/such/thing")
    page = catalog.ask("GET", "/__localcloud__/journal").json()
    kinds = [(one["kind"], one["status"], one["rows"]) for one in page["requests"]]
    assert kinds == [("search", 200, 5), ("entity", 404, 0), ("other", 404, 0)]
    assert page["by_kind"] == {"search": 1, "entity": 1, "other": 1}
    assert catalog.server.control(clear_journal=True)
    assert catalog.server.journal().total == 0


def test_a_body_that_is_not_json_is_refused(catalog: Any) -> None:
    url = f"{catalog.server.url}/api/meta/entity/bulk/"
    answer = catalog.http.post(url, data="{", timeout=30)
    assert catalog.refused(answer) == (400, "ATLAS-400-00-029")


def test_it_speaks_tls_by_the_authority_of_the_org(serve: Callable[..., Any], tmp_path: Path) -> None:
    files = certificates(tmp_path)
    catalog = serve(tmp_path / "catalog", tls_cert=files.certificate, tls_key=files.key)
    assert catalog.server.url.startswith("https://127.0.0.1:")
    catalog.http.verify = str(files.authority)
    assert catalog.ask("GET", USER).status_code == 200
    catalog.http.verify = True
    with pytest.raises((requests.exceptions.SSLError, ssl.SSLError)):
        catalog.ask("GET", USER)


def test_something_on_the_way_may_answer_in_its_place(catalog: Any) -> None:
    catalog.server.control(fail=[{"pattern": USER, "status": 200, "body": "[]"}])
    answer = catalog.ask("GET", USER)
    assert (answer.status_code, answer.json()) == (200, [])
    assert catalog.ask("GET", USER).json()["username"]
