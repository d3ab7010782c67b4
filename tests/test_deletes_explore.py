"""`tap-salesforce-deletes explore`: what can be read, what is in the way, what it costs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.process import command
from localcloud.salesforce.server import Running
from tests.deletes import ALL, MODULE, PLATFORM_EVENT, TAP, settings_for
from tests.warm import run_main

Serve = Callable[..., Running]


def explored(work: Path, config: dict[str, Any], *options: str) -> tuple[int, str, str]:
    words = command(TAP, work, config, "explore", *options)
    done = run_main(MODULE, words, os.environ)
    return done.returncode, done.stdout, done.stderr


def test_it_tells_of_topics_fields_objects_and_prices_in_80_columns(
    serve: Serve, empty_org: Path, tmp_path: Path
) -> None:
    server = serve(empty_org)
    config = settings_for(server, empty_org, topics=[ALL, PLATFORM_EVENT, "/data/LeadChangeEvent", "/event/Nothing__e"])
    code, table, log = explored(tmp_path, config, "--output", str(tmp_path / "found.json"))
    assert code == 0, log
    assert max(map(len, table.splitlines())) <= 120
    found = json.loads((tmp_path / "found.json").read_text())
    by_topic = {one["topic"]: one for one in found["topics"]}
    assert by_topic[ALL]["ready"] is True
    assert set(by_topic[ALL]["objects"]) == {"Account", "Case", "Contact", "Invoice__c", "Opportunity"}
    assert by_topic[PLATFORM_EVENT]["fields"]["record_id"] == "Record_Id__c"
    assert by_topic["/event/Nothing__e"]["ready"] is False
    assert "no topic" in by_topic["/event/Nothing__e"]["problem"]
    asked = {one["object"]: one["asked"] for one in found["objects"]}
    assert asked["Account"] == "daily"
    assert asked["Contract"] == "each run"
    assert found["deliveries_allowed"] == 50_000
    assert any("filter" in sentence for sentence in found["advice"])
    assert any("cascade" in sentence for sentence in found["advice"])
    assert not any("/Subscribe" in request.path for request in server.journal().requests), "no event is delivered"


def test_an_object_that_is_hidden_from_a_channel_is_named(serve: Serve, empty_org: Path, tmp_path: Path) -> None:
    server = serve(empty_org)
    server.control(forbid={"objects": ["Case"]})
    code, document, log = explored(tmp_path, settings_for(server, empty_org, topics=[ALL]), "--json")
    assert code == 0, log
    (topic,) = json.loads(document)["topics"]
    assert topic["hidden"] == ["Case"]
    assert "View All Records" in topic["problem"]


def test_without_topics_it_says_what_they_would_add(serve: Serve, empty_org: Path, tmp_path: Path) -> None:
    server = serve(empty_org)
    code, table, log = explored(tmp_path, settings_for(server, empty_org))
    assert code == 0, log
    assert "No topics are set" in table
    assert "50,000 left" in " ".join(table.split()) or "50,000 of 50,000" in table


def test_a_mapped_field_that_does_not_exist_is_answered_with_those_there_are(
    serve: Serve, empty_org: Path, tmp_path: Path
) -> None:
    server = serve(empty_org)
    topic = {"topic": PLATFORM_EVENT, "fields": {"record_id": "Wrong__c"}}
    code, document, log = explored(tmp_path, settings_for(server, empty_org, topics=[topic]), "--json")
    assert code == 0, log
    (found,) = json.loads(document)["topics"]
    assert found["ready"] is False
    assert "Record_Id__c" in found["problem"]
