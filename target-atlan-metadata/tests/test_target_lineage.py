"""Lineage from objects to the tables of their events and on to dbt models, against the stand-in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from event_making import record_line, schema_line, state_line
from running_target import Runs, carried, guid

from localcloud.atlan.running import Running
from microdecisions.errors import ConfigurationError
from target_atlan_metadata.dbt import relations_in

NOW = datetime.now(UTC).replace(microsecond=0)
LINES = [schema_line(), record_line(1, at=NOW)]


def schemas(atlan: Running) -> list[str]:
    return sorted(str(one.attributes["qualifiedName"]) for one in atlan.assets("Schema"))


def table(atlan: Running, schema: str) -> Any:
    tables = [one for one in atlan.assets("Table") if one.attributes["schemaQualifiedName"] == schema]
    return next(one for one in tables if one.attributes["name"] == "CASE_HISTORY")


def add_model(atlan: Running, name: str, sql: str) -> str:
    attributes = {"name": name, "qualifiedName": f"default/dbt/1700000000/job/model.demo.{name}", "dbtCompiledSQL": sql}
    return atlan.control(add=[{"type_name": "DbtModel", "attributes": attributes}]).added[0]


def ends(atlan: Running) -> set[tuple[str, str]]:
    return {(one.references["inputs"][0], one.references["outputs"][0]) for one in atlan.assets("Process")}


def test_lineage_leads_from_the_object_to_the_table_of_its_events(runs: Runs, atlan: Running) -> None:
    chosen, *others = schemas(atlan)
    assert others
    assert runs(LINES, lineage="auto").processes == 0  # two schemas have the table, and none is named
    config = {"lineage": "auto", "warehouse_schema_qualified_name": chosen}
    assert runs([], **config).processes == 1
    again = runs([], **config)
    assert (again.processes, again.writes) == (0, 0)
    assert ends(atlan) == {(guid(atlan, "Case"), table(atlan, chosen).guid)}


def test_lineage_goes_on_to_the_dbt_models_that_read_the_table(runs: Runs, atlan: Running) -> None:
    chosen, other = schemas(atlan)
    place = table(atlan, chosen).attributes
    database, schema = place["databaseName"], place["schemaName"]
    reads = add_model(atlan, "stg_cases", f'select * from "{database}"."{schema}"."CASE_HISTORY" where 1 = 1')
    short = add_model(atlan, "cases", f"select * from {str(schema).lower()}.case_history")
    elsewhere = str(table(atlan, other).attributes["schemaName"])
    add_model(atlan, "dev_cases", f"select * from {database}.{elsewhere}.case_history")
    add_model(atlan, "longer", f"select * from {schema}.case_history_2")
    add_model(atlan, "nothing", "")
    before = {one.guid for kind in ("Table", "DbtModel", "SalesforceObject") for one in atlan.assets(kind)}
    config = {"lineage": "auto", "warehouse_schema_qualified_name": chosen}
    assert runs(LINES, **config).processes == 3
    here = table(atlan, chosen).guid
    assert ends(atlan) == {(guid(atlan, "Case"), here), (here, reads), (here, short)}
    again = runs([], **config)
    assert (again.processes, again.writes) == (0, 0)
    assert {one.guid for kind in ("Table", "DbtModel", "SalesforceObject") for one in atlan.assets(kind)} == before
    late = add_model(atlan, "late", f"select * from {schema}.case_history")
    assert runs([], **config).processes == 1
    assert (here, late) in ends(atlan)


def test_a_model_that_a_crawler_links_is_not_linked_again(runs: Runs, atlan: Running) -> None:
    chosen, _ = schemas(atlan)
    here = table(atlan, chosen)
    model = add_model(atlan, "stg_cases", f"select * from {here.attributes['schemaName']}.case_history")
    process = {
        "name": "of the crawler",
        "qualifiedName": "default/dbt/1700000000/process",
        "inputs": [{"guid": here.guid, "typeName": "Table"}],
        "outputs": [{"guid": model, "typeName": "DbtModel"}],
    }
    atlan.control(add=[{"type_name": "Process", "attributes": process}])
    assert runs(LINES, lineage="auto", warehouse_schema_qualified_name=chosen).processes == 1
    assert len(atlan.assets("Process")) == 2


def test_a_connection_of_lineage_that_is_not_there_is_refused(runs: Runs, atlan: Running) -> None:
    with pytest.raises(ConfigurationError, match="`lineage_connection_qualified_name` names no connection"):
        runs(LINES, lineage="auto", lineage_connection_qualified_name="default/snowflake/1")
    assert atlan.assets("Process") == []


def add_table(atlan: Running, stream: str) -> str:
    """Another table beside the one of CaseHistory, in the schema that the tests choose."""
    place = table(atlan, schemas(atlan)[0]).attributes
    same = {name: place[name] for name in ("schemaQualifiedName", "schemaName", "databaseName", "connectorName")}
    named = {"name": stream.upper(), "qualifiedName": f"{same['schemaQualifiedName']}/{stream.upper()}"}
    return atlan.control(add=[{"type_name": "Table", "attributes": {**same, **named}}]).added[0]


@pytest.mark.parametrize(
    "trouble",
    [
        {"privileges": {"deny": ["create_assets"]}},
        {"fail": [{"pattern": "POST /api/meta/lineage/list", "status": 404, "times": None}]},
        {"fail": [{"pattern": "POST /api/meta/lineage/list", "status": 520, "times": None}]},
    ],
    ids=["no right to create", "no lineage to be read", "lineage that fails"],
)
def test_lineage_that_cannot_be_written_holds_nothing_else_back(
    runs: Runs, atlan: Running, naps: list[float], caplog: pytest.LogCaptureFixture, trouble: dict[str, Any]
) -> None:
    chosen = schemas(atlan)[0]
    add_model(atlan, "cases", f"select * from {table(atlan, chosen).attributes['schemaName']}.case_history")
    atlan.control(**trouble)
    config = {"lineage": "auto", "warehouse_schema_qualified_name": chosen}
    report = runs([*LINES, state_line({"at": 1})], **config)
    assert (report.complete, report.failed) == (True, [])
    assert json.loads(runs.out) == {"at": 1}
    assert "`lineage` to `never`" in caplog.text
    assert carried(atlan, "Case")["Changes"] == 1
    assert len(naps) <= 5
    atlan.control(reset=True)
    runs([], **config)
    assert len(atlan.assets("Process")) == 2


def test_what_is_refused_in_lineage_is_left_out_alone(
    runs: Runs, atlan: Running, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = schemas(atlan)[0]
    streams = [f"stream_{number}" for number in range(9)]
    tables = [add_table(atlan, stream) for stream in streams]
    atlan.control(clock={"advance_seconds": 7200}, index_lag_seconds=3600, purge=[tables[4]])
    connection = next(one for one in atlan.assets("Connection") if one.attributes["connectorName"] == "salesforce")
    name = f"{connection.attributes['qualifiedName']}/target-atlan-metadata/Case/{streams[7]}"
    atlan.control(refuse=[name])
    lines = [line for stream in streams for line in (schema_line(stream), record_line(1, stream=stream, at=NOW))]
    report = runs(lines, lineage="auto", warehouse_schema_qualified_name=chosen)
    assert (report.complete, report.processes) == (True, 7)
    case = guid(atlan, "Case")
    assert ends(atlan) == {(case, one) for number, one in enumerate(tables) if number not in {4, 7}}
    assert "2 of the processes of lineage are left out" in caplog.text


def test_a_token_that_may_write_no_lineage_costs_few_requests(
    runs: Runs, atlan: Running, caplog: pytest.LogCaptureFixture
) -> None:
    streams = [f"stream_{number}" for number in range(40)]
    for stream in streams:
        add_table(atlan, stream)
    atlan.control(privileges={"deny": ["create_assets"]})
    lines = [line for stream in streams for line in (schema_line(stream), record_line(1, stream=stream, at=NOW))]
    runs(lines)
    config = {"lineage": "auto", "warehouse_schema_qualified_name": schemas(atlan)[0]}
    assert runs([], **config).writes <= 8
    assert "Lineage is not whole" in caplog.text
    atlan.control(reset=True)
    assert runs([], **config).processes == len(streams)


def test_a_process_that_was_archived_stays_so_and_is_not_written_again(
    runs: Runs, atlan: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "target-atlan-metadata")
    config = {"lineage": "auto", "warehouse_schema_qualified_name": schemas(atlan)[0]}
    assert runs(LINES, **config).processes == 1
    atlan.control(archive=[one.guid for one in atlan.assets("Process")])
    for _ in range(2):
        again = runs([], **config)
        assert (again.processes, again.writes) == (0, 0)
    assert atlan.assets("Process") == []
    assert "1 of the processes of lineage are archived" in caplog.text


def test_a_table_of_another_kind_of_warehouse_is_taken_only_where_its_schema_is_named(
    runs: Runs, atlan: Running
) -> None:
    schema = "default/postgres/1700000000/airflow/public"
    place = {"schemaQualifiedName": schema, "schemaName": "public", "databaseName": "airflow"}
    attributes = {"name": "task", "qualifiedName": f"{schema}/task", "connectorName": "postgres", **place}
    (task,) = atlan.control(add=[{"type_name": "Table", "attributes": attributes}]).added
    assert runs([schema_line("task"), record_line(1, stream="task", at=NOW)], lineage="auto").processes == 0
    assert runs([], lineage="auto", warehouse_schema_qualified_name=schema).processes == 1
    assert ends(atlan) == {(guid(atlan, "Case"), task)}


def test_names_in_sql_are_told_apart() -> None:
    sql = 'select a.b from "Raw"."S"."T" a join `x` . y on 1.5 = 2 -- z.w'
    assert {("raw", "s", "t"), ("x", "y"), ("a", "b")} <= relations_in(sql)
    assert ("s", "t") not in relations_in(sql)
