"""The event: its golden files, its JSON Schema, its two encodings and its digest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from singer_sdk.sinks.core import JSONSchemaValidator

from microdecisions import ids
from microdecisions.event import (
    SCHEMA_VERSION,
    ActorType,
    EventContext,
    EventType,
    MicroDecisionEvent,
    Source,
    json_schema,
)

LAW = settings(deadline=None, derandomize=True)
GOLDEN = Path(__file__).parent / "golden"
FORMS: dict[str, Callable[..., str]] = {
    "row": ids.row_event_id,
    "version": ids.version_event_id,
    "change_event": ids.change_event_id,
    "platform_event": ids.platform_event_id,
    "delete_log": ids.delete_log_id,
    "gap": ids.gap_id,
}


class Golden(msgspec.Struct, forbid_unknown_fields=True):
    what: str
    parts: dict[str, Any]
    event: dict[str, Any]


GOLDENS = {
    path.stem: msgspec.json.decode(path.read_bytes(), type=Golden)
    for path in sorted(GOLDEN.glob("*.json"))
    if path.stem != "json_schema"
}
SOURCES_OF_THE_TABLE = {
    "field_history_archive",
    "process_instance",
    "process_instance_workitem",
    "approval_work_item",
    "task",
    "event",
    "setup_audit_trail",
    "login_history",
    "change_event_delete",
    "change_event_undelete",
    "platform_event",
    "get_deleted",
    "gap",
}

text = st.text(max_size=30)
contexts = st.builds(
    EventContext,
    source_object=text,
    source_record_id=text,
    source=st.sampled_from(get_args(Source)),
    related_records=st.dictionaries(text, text, max_size=3),
    data_type=st.none() | text,
    previous_stage=st.none() | text,
    stage_duration_days=st.none() | st.floats(0, 10_000).map(lambda days: round(days, 6)),
    approval_comments=st.none() | text,
    approval_elapsed_minutes=st.none() | st.integers(0, 10**9),
    metadata=st.dictionaries(text, text, max_size=3),
)
events = st.builds(
    MicroDecisionEvent,
    event_id=text,
    event_type=st.sampled_from(get_args(EventType)),
    timestamp_occurred=st.just("2026-01-03T10:00:01.000000Z"),
    timestamp_recorded=st.just("2026-01-03T10:00:02.000000Z"),
    actor_id=st.none() | text,
    actor_type=st.none() | st.sampled_from(get_args(ActorType)),
    actor_name=st.none() | text,
    record_type=st.none() | text,
    record_id=st.none() | text,
    field_name=st.none() | text,
    old_value=st.none() | text,
    new_value=st.none() | text,
    is_primary=st.booleans(),
    context=contexts,
    extracted_at=st.just("2026-01-31T12:00:00.000000Z"),
    extractor_version=text,
)


def test_golden_files_are_of_this_schema_version() -> None:
    written = int((GOLDEN / "SCHEMA_VERSION").read_text())
    assert written == SCHEMA_VERSION, "the schema version moves together with every golden file"


def test_every_source_of_the_event_table_has_its_golden_file() -> None:
    assert set(GOLDENS) >= SOURCES_OF_THE_TABLE
    kinds = {golden.event["event_type"] for golden in GOLDENS.values()}
    assert kinds == set(get_args(EventType)) - {"stage_change"}  # its golden files stand with its normaliser


@pytest.mark.parametrize("golden", GOLDENS.values(), ids=GOLDENS.keys())
def test_golden_event_decodes_strictly_and_encodes_to_the_same_bytes(golden: Golden) -> None:
    encoded = msgspec.json.encode(golden.event)
    event = msgspec.json.decode(encoded, type=MicroDecisionEvent)
    assert event.to_json() == encoded  # keys, order and values; an unknown or a missing key would show here
    assert event.to_dict() == golden.event
    assert len(event.timestamp_occurred) == len(event.timestamp_recorded) == 27


@pytest.mark.parametrize("golden", GOLDENS.values(), ids=GOLDENS.keys())
def test_golden_event_has_the_id_that_its_parts_make(golden: Golden) -> None:
    parts = dict(golden.parts)
    assert FORMS[parts.pop("form")](**parts) == golden.event["event_id"]


@pytest.mark.parametrize("golden", GOLDENS.values(), ids=GOLDENS.keys())
def test_golden_event_is_valid_by_the_schema(golden: Golden) -> None:
    jsonschema.Draft7Validator(json_schema(), format_checker=jsonschema.FormatChecker()).validate(golden.event)


def test_golden_ids_are_18_characters_with_their_checksum() -> None:
    for golden in GOLDENS.values():
        for key in ("org_id", "row_id", "record_id"):
            record_id = golden.parts.get(key)
            assert record_id is None or ids.to_18(record_id[:15]) == record_id


def _shape(node: Any) -> Any:
    """The schema without words for people."""
    if not isinstance(node, dict):
        return node
    return {
        key: {name: _shape(child) for name, child in value.items()} if key == "properties" else _shape(value)
        for key, value in node.items()
        if key not in {"description", "$comment"}
    }


def test_the_schema_changes_only_with_its_version() -> None:
    assert _shape(json_schema()) == json.loads((GOLDEN / "json_schema.json").read_text())
    assert str(SCHEMA_VERSION) in json_schema()["$comment"]


def _nodes(node: Any) -> Any:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from _nodes(child)
    elif isinstance(node, list):
        for child in node:
            yield from _nodes(child)


def test_the_schema_is_plain_enough_for_any_target() -> None:
    schema = json_schema()
    for node in _nodes(schema):
        assert not {"$ref", "$defs", "definitions", "anyOf", "oneOf", "allOf", "enum", "default"} & node.keys()
        for name, child in node.get("properties", {}).items():
            kinds = child["type"] if isinstance(child["type"], list) else [child["type"]]
            assert set(kinds) <= {"string", "boolean", "integer", "number", "object", "null"}, name
    jsonschema.Draft7Validator.check_schema(schema)
    assert {"event_id", "timestamp_recorded"} <= set(schema["required"])
    assert schema["properties"]["timestamp_recorded"]["format"] == "date-time"
    assert schema["properties"]["old_value"]["type"] == ["string", "null"]
    assert list(schema["properties"]) == [field.name for field in msgspec.structs.fields(MicroDecisionEvent)]


def test_the_schema_is_made_anew_so_that_a_caller_may_change_it() -> None:
    json_schema()["properties"].clear()
    assert json_schema()["properties"]


@LAW
@given(events)
def test_both_encodings_hold_the_same(event: MicroDecisionEvent) -> None:
    plain = event.to_dict()
    assert json.loads(event.to_json()) == plain
    assert list(json.loads(event.to_json())) == list(plain)
    assert msgspec.json.decode(event.to_json(), type=MicroDecisionEvent) == event


@settings(LAW, max_examples=30)
@given(events)
def test_every_event_passes_the_validation_of_a_target(event: MicroDecisionEvent) -> None:
    JSONSchemaValidator(json_schema(), validate_formats=True).validate(event.to_dict())


def test_the_schema_refuses_what_is_no_event() -> None:
    event = dict(GOLDENS["task"].event)
    for damage in ({"event_id": None}, {"is_primary": "yes"}, {"context": "x"}, {"timestamp_occurred": 5}):
        assert not jsonschema.Draft7Validator(json_schema()).is_valid({**event, **damage})


@LAW
@given(events, text, st.sampled_from(get_args(Source)))
def test_when_by_what_and_by_which_api_it_was_read_is_no_content(
    event: MicroDecisionEvent, version: str, source: str
) -> None:
    again = msgspec.structs.replace(
        event,
        extracted_at="2026-02-01T00:00:00.000000Z",
        extractor_version=version,
        context=msgspec.structs.replace(event.context, source=source),
    )
    assert again.digest() == event.digest()
    assert len(event.digest()) == 16


CONTENT = [
    field.name
    for field in msgspec.structs.fields(MicroDecisionEvent)
    if field.name not in {"extracted_at", "extractor_version", "context"}
]


@pytest.mark.parametrize("name", CONTENT)
def test_every_other_field_is_content(name: str) -> None:
    event = msgspec.convert(GOLDENS["task"].event, MicroDecisionEvent)
    value = getattr(event, name)
    other = (not value) if isinstance(value, bool) else "another"
    assert msgspec.structs.replace(event, **{name: other}).digest() != event.digest()


@pytest.mark.parametrize(
    "name", [field.name for field in msgspec.structs.fields(EventContext) if field.name != "source"]
)
def test_what_belongs_to_the_type_of_the_event_is_content(name: str) -> None:
    event = msgspec.convert(GOLDENS["task"].event, MicroDecisionEvent)
    changed: Any = {"a": "b"} if isinstance(getattr(event.context, name), dict) else "another"
    if name in {"stage_duration_days", "approval_elapsed_minutes"}:
        changed = 7
    context = msgspec.structs.replace(event.context, **{name: changed})
    assert msgspec.structs.replace(event, context=context).digest() != event.digest()


def test_digest_is_a_constant_of_the_schema_version() -> None:
    """A digest is kept in the state of users: another way to compute it would write their overlap again."""
    event = msgspec.convert(GOLDENS["task"].event, MicroDecisionEvent)
    first = event.digest()
    assert first == "7183c4c6edb8c718"
    event.context.metadata = {"b": "2", "a": "1"}
    shuffled = msgspec.structs.replace(
        event, context=msgspec.structs.replace(event.context, metadata={"a": "1", "b": "2"})
    )
    assert event.digest() == shuffled.digest() != first
