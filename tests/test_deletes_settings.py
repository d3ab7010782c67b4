"""Bad settings of tap-salesforce-deletes: one sentence each, exit code 2, nothing on standard output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from microdecisions.errors import ConfigurationError
from tap_salesforce_deletes.tap import TapSalesforceDeletes
from tests.deletes import run_process

GOOD: dict[str, Any] = {
    "auth_flow": "client_credentials",
    "login_url": "http://127.0.0.1:9",
    "client_id": "some.app",
    "client_secret": "hidden-value-of-a-secret",
    "topics": ["/data/ChangeEvents"],
}

BAD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a topic without a bus": ({"topics": ["AccountChangeEvent"]}, ("`topics`", "/data/AccountChangeEvent")),
    "an object for a topic": ({"topics": ["/data/Account"]}, ("`topics`", "/data/AccountChangeEvent")),
    "a custom object for a topic": ({"topics": ["/data/Invoice__c"]}, ("`topics`", "/data/Invoice__ChangeEvent")),
    "a topic in another case": ({"topics": ["/data/changeevents"]}, ("`topics`", "/data/ChangeEvents")),
    "a platform event on the wrong bus": ({"topics": ["/data/Gone__e"]}, ("`topics`", "/event/Gone__e")),
    "a topic twice": ({"topics": ["/data/ChangeEvents"] * 2}, ("`topics`", "twice")),
    "topics as text": ({"topics": "not json"}, ("`topics`", "JSON list")),
    "topics as an object": ({"topics": {"topic": "/data/ChangeEvents"}}, ("`topics`", "list")),
    "a topic as a number": ({"topics": [5]}, ("`topics`", "Entry 1")),
    "an entry without a topic": ({"topics": [{"fields": {}}]}, ("`topics`", "Entry 1", "topic")),
    "an unknown key of an entry": ({"topics": [{"topic": "/event/A__e", "field": {}}]}, ("`topics`", "Entry 1")),
    "an unknown role of a field": (
        {"topics": [{"topic": "/event/A__e", "fields": {"who": "X__c"}}]},
        ("`topics`", "Entry 1"),
    ),
    "a field that is no name": (
        {"topics": [{"topic": "/event/A__e", "fields": {"record_id": "x y"}}]},
        ("`topics`", "fields.record_id"),
    ),
    "fields of change events": (
        {"topics": [{"topic": "/data/AccountChangeEvent", "fields": {"record_id": "Id"}}]},
        ("`topics`", "change events"),
    ),
    "too many topics": ({"topics": [f"/event/A{n}__e" for n in range(51)]}, ("`topics`", "50")),
    "an injection for a topic": ({"topics": ["/data/A' OR 'x"]}, ("`topics`",)),
    "an endpoint with a scheme": (
        {"pubsub_endpoint": "https://api.pubsub.salesforce.com:7443"},
        ("`pubsub_endpoint`",),
    ),
    "an endpoint without a port": ({"pubsub_endpoint": "api.pubsub.salesforce.com"}, ("`pubsub_endpoint`", "port")),
    "an endpoint with a port too high": ({"pubsub_endpoint": "a.example:70000"}, ("`pubsub_endpoint`",)),
    "plaintext to another machine": ({"pubsub_plaintext": True}, ("`pubsub_plaintext`", "this machine")),
    "plaintext that is no truth": ({"pubsub_plaintext": "perhaps"}, ("`pubsub_plaintext`", "true or false")),
    "a start from anywhere": ({"start_from": "yesterday"}, ("`start_from`", "`earliest`", "`latest`")),
    "no patience": ({"idle_timeout_seconds": 0}, ("`idle_timeout_seconds`", "at least 1")),
    "too much patience": ({"idle_timeout_seconds": 301}, ("`idle_timeout_seconds`", "at most 300")),
    "patience in words": ({"idle_timeout_seconds": "long"}, ("`idle_timeout_seconds`", "whole number")),
    "no events": ({"max_events_per_run": 0}, ("`max_events_per_run`", "at least 1")),
    "events in words": ({"max_events_per_run": "all"}, ("`max_events_per_run`",)),
    "deliveries above all": ({"delivery_percent_total": 101}, ("`delivery_percent_total`", "at most 100")),
    "no deliveries": ({"delivery_percent_total": 0}, ("`delivery_percent_total`", "at least 1")),
    "an unknown way to reconcile": ({"reconcile": "sometimes"}, ("`reconcile`", "`never`")),
    "nothing to read": ({"topics": [], "reconcile": "never"}, ("`topics`", "`reconcile`")),
    "objects that are not asked": (
        {"reconcile": "never", "reconcile_objects": ["Account"]},
        ("`reconcile_objects`", "`never`"),
    ),
    "an object that is no name": ({"reconcile_objects": ["Account; DROP"]}, ("`reconcile_objects`",)),
    "objects as text": ({"reconcile_objects": "Account"}, ("`reconcile_objects`", "JSON list")),
    "an unknown way to enrich": ({"enrich": "always"}, ("`enrich`", "`auto`")),
    "an unknown answer to gaps": ({"on_gap": "ignore"}, ("`on_gap`", "`warn`")),
    "no time": ({"max_run_seconds": 0}, ("`max_run_seconds`", "at least 1")),
    "an unknown setting": ({"topic": ["/data/ChangeEvents"]}, ("`topic`", "`topics`")),
    "a setting of the other tap": ({"start_date": "2026-01-01"}, ("`start_date`",)),
    "a login without its secret": ({"client_secret": None}, ("`client_secret`",)),
    "a login by another flow's credential": ({"private_key": "x"}, ("`private_key`",)),
    "an old api version": ({"api_version": "sixty"}, ("`api_version`",)),
    "a certificate that is not there": ({"ca_bundle": "/nowhere/ca.pem"}, ("`ca_bundle`",)),
    "users as text": ({"integration_users": "someone"}, ("`integration_users`", "JSON list")),
    "a login host without https": ({"login_url": "http://login.example"}, ("`login_url`", "https")),
}


@pytest.mark.parametrize(("changed", "words"), BAD.values(), ids=BAD)
def test_a_bad_setting_is_one_sentence_that_says_which_and_what_to_do(
    changed: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        TapSalesforceDeletes(config=GOOD | changed)
    sentence = str(refused.value)
    assert all(word in sentence for word in words), sentence
    assert "\n" not in sentence
    assert GOOD["client_secret"] not in sentence


def test_topics_may_come_from_the_environment_as_json() -> None:
    topics = json.dumps(["/data/ChangeEvents", {"topic": "/event/Gone__e", "fields": {"record_id": "Id__c"}}])
    tap = TapSalesforceDeletes(config=GOOD | {"topics": topics})
    assert [topic.name for topic in tap.settings.parsed_topics] == ["/data/ChangeEvents", "/event/Gone__e"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ([], ("meltano state",)),
        ({"type": "STATE", "value": {"bookmarks": {}}}, ("meltano state",)),
        ({"bookmarks": {"delete_events": {"version": 99}}}, ("newer version",)),
        ({"bookmarks": {"delete_events": {"topics": {"/data/A": {"replay_id": "no hex"}}}}}, ("damaged",)),
        ({"bookmarks": {"delete_events": {"objects": {"Account": "soon"}}}}, ("damaged",)),
        ({"bookmarks": {"delete_events": {"pending": ["Account"]}}}, ("damaged",)),
    ],
    ids=["a list", "a whole message", "of a newer version", "a replay id", "an instant", "what is pending"],
)
def test_a_state_that_cannot_be_used_is_one_sentence(state: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        TapSalesforceDeletes(config=GOOD, state=state)
    assert all(word in str(refused.value) for word in words)


def test_a_process_ends_with_code_2_the_sentence_and_nothing_else(tmp_path: Path) -> None:
    run = run_process(tmp_path, GOOD | {"topics": ["/data/Account"]})
    assert run.code == 2
    assert run.sentence.endswith("did you mean /data/AccountChangeEvent?")
    assert not run.schemas
    assert "Traceback" not in run.log


def test_about_names_every_setting_of_the_design(capsys: pytest.CaptureFixture[str]) -> None:
    TapSalesforceDeletes.print_about("json")
    about = json.loads(capsys.readouterr().out)
    assert {
        "topics", "pubsub_endpoint", "pubsub_plaintext", "start_from", "idle_timeout_seconds", "max_events_per_run",
        "delivery_percent_total", "reconcile", "reconcile_objects", "enrich", "max_run_seconds", "on_gap",
        "quota_percent_total", "quota_percent_run", "auth_flow", "allow_org_change",
    } <= about["settings"]["properties"].keys()  # fmt: skip
    assert about["settings"]["properties"]["client_secret"]["secret"] is True
