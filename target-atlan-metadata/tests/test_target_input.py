"""What comes in: events of any tap, states of any form, and input that is refused in one sentence."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from event_making import NOW, record, record_line, schema_line, state_line
from running_target import Runs

from microdecisions import event
from target_atlan_metadata import rebuild
from target_atlan_metadata.errors import InputError
from target_atlan_metadata.target import TargetAtlanMetadata


def delete_line(commit_number: str) -> str:
    metadata = {"source": "change_event", "metadata": {"commit_number": commit_number}}
    return record_line(5, event_type="record_delete", field_name=None, context=metadata)


@pytest.fixture
def runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runs:
    return Runs(tmp_path, capsys)


def test_a_dry_run_prints_figures_and_changes_nothing(runs: Runs) -> None:
    lines = [schema_line(), record_line(1), record_line(2), state_line({"a": 1})]
    for _ in range(2):
        report = runs(lines)
        assert (report.counted, report.dry_run) == (2, True)
        assert runs.printed()["Case"]["change_count"] == 2
        assert runs.printed()["Case.Status"]["change_count"] == 2
        assert runs.out == ""


def test_no_value_and_no_name_is_printed(runs: Runs) -> None:
    runs([schema_line(), record_line(1, old_value="Secret Before", new_value="Secret After")])
    assert "Secret" not in runs.err + runs.out
    assert "Robin" not in runs.err + runs.out


def test_streams_may_be_mixed_and_blocks_may_end_anywhere(runs: Runs) -> None:
    records = [record_line(one, stream="ab"[one % 3 == 0], new_value="é" * (one % 900)) for one in range(3000)]
    assert runs([schema_line("a"), schema_line("b"), *records]).counted == 3000


def test_a_stream_from_a_warehouse_is_read_with_capitals_and_context_as_text(runs: Runs) -> None:
    properties = {name.upper(): {"type": ["string", "null"]} for name in event.json_schema()["properties"]}
    schema = {"type": "SCHEMA", "stream": "db-events", "schema": {"properties": properties}, "key_properties": []}
    row = {name.upper(): value for name, value in record(1).items()}
    row["CONTEXT"] = json.dumps(row["CONTEXT"])
    row["TIMESTAMP_OCCURRED"] = "2026-03-01T11:00:00+00:00"
    assert runs([json.dumps(schema), json.dumps({"type": "RECORD", "stream": "db-events", "record": row})]).counted == 1
    assert runs.printed()["Case"]["change_count"] == 1


def test_stream_maps_make_events_of_another_stream(runs: Runs) -> None:
    properties = {**event.json_schema()["properties"]}
    properties["id"] = properties.pop("event_id")
    schema = {"type": "SCHEMA", "stream": "mine", "schema": {"properties": properties}, "key_properties": ["id"]}
    row = record(1)
    row["id"] = row.pop("event_id")
    lines = [json.dumps(schema), json.dumps({"type": "RECORD", "stream": "mine", "record": row})]
    with pytest.raises(InputError, match="has no `event_id`"):
        runs(lines)
    maps = {"mine": {"event_id": "id", "__key_properties__": ["event_id"]}}
    assert runs(lines, stream_maps=maps).counted == 1


def test_other_streams_are_refused_by_name_or_ignored(runs: Runs) -> None:
    schema = json.dumps(
        {
            "type": "SCHEMA",
            "stream": "users",
            "schema": {"properties": {"id": {"type": "string"}}},
            "key_properties": [],
        }
    )
    lines = [
        schema,
        json.dumps({"type": "RECORD", "stream": "users", "record": {"id": "x"}}),
        schema_line(),
        record_line(1),
    ]
    with pytest.raises(InputError) as refused:
        runs(lines)
    assert "Stream `users` is not of events: its schema has no `event_id`" in str(refused.value)
    assert "`other_streams`" in str(refused.value)
    assert runs(lines, other_streams="ignore").counted == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not json", "Line 3 of the input is not JSON"),
        ('{"type": "RECORD", "stream": "case_history"', "Line 3 of the input is not JSON"),
        ("[1, 2]", "Line 3 of the input is no Singer message"),
        ('{"stream": "x"}', "Line 3 of the input is no Singer message"),
        ('{"type": "NOPE"}', "a type that the Singer specification does not have"),
        ('{"type": "RECORD", "record": {}}', "a RECORD message without"),
        ('{"type": "STATE"}', "a STATE message without"),
        ('{"type": "SCHEMA", "stream": "x", "key_properties": []}', "a SCHEMA message without"),
        ('{"type": "RECORD", "stream": "never_seen", "record": {}}', "come before its SCHEMA message"),
        ('{"type": "BATCH", "stream": "case_history", "encoding": {}, "manifest": []}', "`batch_config`"),
        ('{"type": "SCHEMA", "stream": "x", "schema": {}, "key_properties": []}', "has no properties"),
        (record_line(5, record_type=17), "no event (field `record_type`)"),
        (record_line(5, event_id=""), "no event (field `event_id`)"),
        (record_line(5, is_primary="perhaps"), "no event (field `is_primary`)"),
        (record_line(5, event_type="merger"), "no event (field `event_type`)"),
        (record_line(5, context="{"), "no event"),
        (record_line(5, context={"metadata": {"a": 1}}), "no event (field `context`)"),
        (record_line(5, timestamp_occurred="soon"), "no date-time with an offset"),
        (record_line(5, extracted_at="2026-02-30T00:00:00Z"), "no date-time with an offset"),
        (record_line(5, record_type="x" * 300), "longer than 255"),
        (record_line(5, timestamp_occurred="2026-03-01T29:00:00.000000Z"), "no date-time with an offset"),
        (record_line(5, timestamp_occurred="0001-01-01T00:00:00+14:00"), "no date-time with an offset"),
        (record_line(5, record_type="a\0b"), "is empty or longer than 255"),
        (delete_line("9" * 19), "`context.metadata.commit_number` that is larger than 63 bits"),
        (delete_line("9" * 5_000), "`context.metadata.commit_number` that is larger than 63 bits"),
        ('{"type": "RECORD", "stream": "case_history", "record": [1]}', "is no JSON object"),
        ('{"type": "RECORD", "stream": "case_history", "record": null}', "is no JSON object"),
        ('{"type": "STATE", "value": ' + "[" * 200_000 + "]" * 200_000 + "}", "is nested too deeply"),
        (
            '{"type": "SCHEMA", "stream": "x", "schema": {"properties": {"id": 5}}, "key_properties": []}',
            "holds no valid JSON schema",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence_without_a_value(runs: Runs, line: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        runs([schema_line(), record_line(1), line])
    assert says in str(refused.value)
    assert "Working" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


def test_surrogates_and_bytes_that_are_no_text_are_refused(runs: Runs, tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.write_bytes(schema_line().encode() + b"\n\xff\xfe\n")
    target = TargetAtlanMetadata(config=runs.config)
    with source.open() as opened, pytest.raises(InputError, match="Line 2 of the input is not JSON"):
        target.listen(opened)
    target.close()


def test_versions_of_tables_and_contexts_of_nothing_change_nothing(runs: Runs) -> None:
    version = [json.dumps({"type": "ACTIVATE_VERSION", "stream": name, "version": 7}) for name in ("case_history", "x")]
    events = [record_line(1, context={"metadata": None}), record_line(2, context=None)]
    assert runs([schema_line(), *version, *events, *version]).counted == 2


def test_a_long_name_of_an_actor_is_cut(runs: Runs) -> None:
    runs([schema_line(), record_line(1, actor_id="a\0" + "x" * 40_000)])
    assert runs.printed()["Case"]["last_changed_by"] == "a" + "x" * 254


def test_empty_input_and_empty_lines_are_no_error(runs: Runs) -> None:
    assert runs([]).events == 0
    assert runs(["", schema_line(), "", record_line(1), ""]).events == 1


def test_events_late_by_years_count_on_their_own_day(runs: Runs) -> None:
    runs([schema_line(), record_line(1, at=NOW - timedelta(days=4000)), record_line(2)])
    assert runs.printed()["Case"]["change_count"] == 2


def _config(**changes: Any) -> dict[str, Any]:
    return {"base_url": "https://acme.atlan.com", "api_key": "key", "ledger_url": "sqlite:////tmp/x.db", **changes}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "`base_url` is missing"),
        ({"base_url": "acme.atlan.com", "api_key": "k"}, "`base_url` must be an address"),
        (_config(base_url="http://acme.atlan.com"), "must begin with `https://`"),
        (_config(base_url="https://acme.atlan.com/api"), "remove the path"),
        (_config(base_url="https://user:pw@acme.atlan.com"), "must not hold credentials"),
        (_config(api_key=None), "`api_key` is missing"),
        (_config(oauth_client_id="x"), "`api_key` and `oauth_client_id` are both set"),
        (_config(api_key=None, oauth_client_id="x"), "`oauth_client_secret` is missing"),
        (_config(api_key=None, oauth_client_secret="x"), "`oauth_client_id` is missing"),
        (_config(api_key="a b"), "`api_key` holds a character"),
        (_config(connection_qualified_name="salesforce"), "must be a connection's qualified name"),
        (_config(lineage_connection_qualified_name="x"), "`lineage_connection_qualified_name` must be"),
        (_config(custom_metadata_name="a\nb"), "must be a name of at most 100"),
        (_config(create_custom_metadata="yes"), "must be one of `auto`, `never`"),
        (_config(asset_levels=[]), "must name `object`, `field` or both"),
        (_config(asset_levels=["report"]), "`asset_levels` must be a JSON list of `field`, `object`"),
        (_config(closed_values={"Case.Status": "x"}), "`closed_values` must be a JSON object whose values are lists"),
        (_config(custom_metadata_name=" "), "`custom_metadata_name` must be a name"),
        (_config(batch_size=0), "at least 1"),
        (_config(batch_size="many"), "a whole number"),
        (_config(max_requests_per_minute=0), "at least 1"),
        (_config(max_concurrent_requests=50), "at most 4"),
        (_config(read_timeout_seconds=0), "at least 1"),
        (_config(keep_event_ids_days=0), "`keep_event_ids_days` must be"),
        (_config(keep_daily_days=7), "at least 31"),
        (_config(keep_daily_days=31), "`keep_daily_days` must be at least `quality_days` (90)"),
        (_config(flattening_enabled=True), "`flattening_enabled` belongs to loaders of tables"),
        (_config(on_unresolved="maybe"), "must be one of"),
        (_config(other_streams="drop"), "must be one of"),
        (_config(quality_weights={"freshness": -1}), "from 0 to 1000"),
        (_config(quality_weights={"speed": 1}), "`quality_weights` must be a JSON object of `freshness`"),
        (_config(closed_values={"Case": ["Closed"]}), "names such as `Case.Status`"),
        (_config(delete_burst=0), "`delete_burst` must be"),
        (_config(dry_run="perhaps"), "true or false"),
        (_config(ca_bundle="/nowhere/ca.pem"), "`ca_bundle`"),
        (_config(load_method="upsert"), "belongs to loaders of tables"),
        (_config(base_ur="https://x"), "did you mean `base_url`?"),
    ],
)
def test_a_bad_setting_is_said_in_one_sentence(config: dict[str, Any], says: str) -> None:
    from microdecisions.errors import ConfigurationError  # noqa: PLC0415

    with pytest.raises(ConfigurationError) as refused:
        TargetAtlanMetadata(config={name: value for name, value in config.items() if value is not None})
    assert says in str(refused.value)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def test_the_ledger_has_a_default_in_a_meltano_project_and_none_elsewhere(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microdecisions.errors import ConfigurationError  # noqa: PLC0415

    monkeypatch.delenv("MELTANO_PROJECT_ROOT", raising=False)
    with pytest.raises(ConfigurationError, match="outside a Meltano project"):
        runs([], ledger_url=None)
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(tmp_path))
    monkeypatch.setenv("MELTANO_ENVIRONMENT", "dev/../x")
    config, events = tmp_path / "config.json", tmp_path / "events.jsonl"
    config.write_text(json.dumps({"base_url": "https://acme.atlan.com", "api_key": "key"}))
    events.write_text(json.dumps(record(1)))
    CliRunner().invoke(rebuild.command(), ["--config", str(config), str(events)], catch_exceptions=False)
    assert [path.name for path in (tmp_path / ".meltano" / "target-atlan-metadata").iterdir()] == ["dev____x"]
