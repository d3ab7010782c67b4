"""`explore` and `--test` as a person and a program use them, against a served org."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running, serve_in_thread
from microdecisions.errors import ConfigurationError
from tap_salesforce_temporal.explore.exploring import explore
from tap_salesforce_temporal.explore.findings import Exploration, HistoryObject, Permission
from tap_salesforce_temporal.tap import TapSalesforceTemporal
from tests.harness import MODULE, TAP, Json, config_for, tap_command
from tests.output import OUTPUT
from tests.warm import run_main

Serve = Callable[..., Running]


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    log: str

    @property
    def sentence(self) -> str:
        """The last line of the log, without its prefix."""
        return self.log.rstrip().rsplit("\n", 1)[-1].split(" | ")[-1].strip()


def run_explore(work: Path, config: Json, *options: str, **env: str) -> Done:
    config_option = tap_command(work, config)[1:]
    command = [TAP, "explore", *config_option, *options]
    done = run_main(MODULE, command, {"LOGLEVEL": "DEBUG", **os.environ, **env})
    OUTPUT.logs_in_with(config)
    return Done(done.returncode, done.stdout, done.stderr)


def explored(config: Json, **options: Any) -> Exploration:
    tap = TapSalesforceTemporal(config=config, setup_mapper=False)
    found = explore(tap, **options)
    tap.run.org.session.close()
    return found


def permission(found: Exploration, name: str) -> Permission:
    return next(one for one in found.permissions if one.name == name)


def stream(found: Exploration, name: str) -> HistoryObject:
    return next(one for one in found.objects if one.stream == name)


@pytest.fixture(scope="module")
def found(small_org: Path) -> Exploration:
    """One exploration of the small org."""
    with serve_in_thread(small_org) as running:
        before = running.control().quota_used
        made = explored(config_for(running.url, small_org))
        assert running.control().quota_used - before == made.calls_used
    return made


def test_what_the_dates_leave_out_is_not_counted(found: Exploration, serve: Serve, small_org: Path) -> None:
    whole = stream(found, "case_history")
    assert whole.rows
    assert whole.last is not None
    config = config_for(serve(small_org).url, small_org)
    newest = stream(explored(config | {"start_date": whole.last}), "case_history")
    assert newest.rows is not None
    assert 1 <= newest.rows < whole.rows
    assert newest.first == whole.last
    older = stream(explored(config | {"end_date": whole.last}), "case_history")
    assert older.rows == whole.rows - newest.rows


def selected(found: Exploration) -> int:
    return sum(one.selected for one in found.objects)


def test_a_person_sees_the_org_in_80_columns(serve: Serve, small_org: Path, tmp_path: Path) -> None:
    done = run_explore(tmp_path, config_for(serve(small_org).url, small_org))
    assert done.code == 0, done.log
    assert max(len(line) for line in done.out.splitlines()) <= 80
    for words in ("yes    View All Data", "opportunity_history", "Case: ", "API calls, about", "values only with"):
        assert words in done.out


def test_a_program_gets_json_into_a_file_and_on_standard_output(serve: Serve, small_org: Path, tmp_path: Path) -> None:
    running = serve(small_org)
    output = tmp_path / "found.json"
    done = run_explore(tmp_path, config_for(running.url, small_org), "--json", "--output", str(output))
    assert done.code == 0, done.log
    assert done.out.encode() == output.read_bytes()
    found = msgspec.json.decode(output.read_bytes(), type=Exploration)
    assert found.instance_url == running.url
    assert found.calls_allowed is not None
    assert found.calls_left == found.calls_allowed - found.calls_used


def test_counts_dates_and_fields_are_those_of_the_org(found: Exploration, small_org: Path) -> None:
    org = Org.open(small_org)
    counted, first, last = org.db.execute(
        'SELECT COUNT(*), MIN("CreatedDate"), MAX("CreatedDate") FROM CaseHistory'
    ).fetchone()
    org.close()
    cases = stream(found, "case_history")
    assert (cases.rows, cases.parent, cases.problem) == (counted, "Case", None)
    assert ((cases.first or "")[:19], (cases.last or "")[:19]) == (first[:19], last[:19])
    assert {"OwnerId", "Status"} <= set(cases.tracked_fields)
    assert cases.tracked_from == "definition"
    assert [one.stream for one in found.objects] == sorted(one.stream for one in found.objects)


def test_values_are_shown_only_when_they_are_asked_for(found: Exploration, serve: Serve, small_org: Path) -> None:
    assert found.samples
    assert {(one.old_value, one.new_value) for one in found.samples} == {(None, None)}
    asked = explored(config_for(serve(small_org).url, small_org), values=True)
    assert any(one.new_value is not None for one in asked.samples)
    keys = [(one.stream, one.event_type, one.at, one.field) for one in found.samples]
    assert keys == [(one.stream, one.event_type, one.at, one.field) for one in asked.samples]


def test_an_exploration_costs_few_calls(found: Exploration) -> None:
    streams = len(found.objects)
    assert found.calls_used <= 2 * -(-streams // 5) + 25
    assert found.calls_per_run <= -(-streams // 5) + 5
    assert found.calls_to_backfill == found.calls_per_run - -(-selected(found) // 5) + sum(
        one.calls_to_backfill or 0 for one in found.objects if one.selected
    )


def test_what_is_off_by_default_is_marked(found: Exploration) -> None:
    off = {one.stream for one in found.objects if not one.selected}
    assert "login_history" in off
    assert "case_history" not in off
    assert not off & {one.stream for one in found.samples}


REQUESTS = {
    "View Setup and Configuration": ("SetupAuditTrail", "setup_audit_trail"),
    "Manage Users": ("LoginHistory", "login_history"),
    "View Event Log Files": ("EventLogFile", "event_log_file"),
    "Read access to User": ("User", "actor_name"),
}


def test_a_missing_permission_is_found_by_its_request(serve: Serve, small_org: Path) -> None:
    running = serve(small_org)
    running.control(forbid={"objects": [sobject for sobject, _ in REQUESTS.values()]})
    found = explored(config_for(running.url, small_org))
    for name, (_, needed_for) in REQUESTS.items():
        missing = permission(found, name)
        assert (missing.state, needed_for in missing.needed_for) == ("missing", True)
        assert missing.where.startswith("Setup > ")
        assert "INVALID_TYPE" in missing.evidence


def test_everything_is_granted_to_the_demo_user(found: Exploration) -> None:
    asked = [one for one in found.permissions if one.name != "Field history tracking"]
    assert {one.name: one.state for one in asked} == {one.name: "granted" for one in asked}
    assert len(asked) == 6


def test_without_field_definitions_the_history_itself_tells_its_fields(serve: Serve, small_org: Path) -> None:
    running = serve(small_org)
    running.control(fail=[{"pattern": "FieldDefinition", "status": 400, "code": "INVALID_TYPE", "times": 99}])
    cases = stream(explored(config_for(running.url, small_org)), "case_history")
    assert cases.tracked_from == "history"
    assert "Status" in cases.tracked_fields
    assert "created" not in cases.tracked_fields


def test_a_hidden_column_is_a_finding_of_its_stream(serve: Serve, small_org: Path) -> None:
    running = serve(small_org)
    running.control(forbid={"fields": ["OpportunityHistory.Amount"]})
    history = stream(explored(config_for(running.url, small_org)), "opportunity_history")
    assert "Amount" in (history.problem or "")
    assert history.rows is None


def test_an_empty_org_is_explored_too(serve: Serve, empty_org: Path, tmp_path: Path) -> None:
    done = run_explore(tmp_path, config_for(serve(empty_org).url, empty_org))
    assert done.code == 0, done.log
    assert re.search(r"case_history +0 ", done.out)
    assert "Newest events" not in done.out


def test_a_user_without_the_api_is_told_the_page_of_setup(serve: Serve, small_org: Path) -> None:
    running = serve(small_org)
    running.control(fail=[{"pattern": "/services/data/v", "status": 403, "code": "API_CURRENTLY_DISABLED", "times": 9}])
    with pytest.raises(ConfigurationError, match=r"System Permissions > API Enabled"):
        explored(config_for(running.url, small_org))


@pytest.mark.parametrize(
    ("more", "options", "code", "words"),
    [
        ({"lag_seconds": -1}, (), 2, "lag_seconds"),
        ({}, ("--nope",), 2, "--nope"),
        ({}, ("--output", "no/such/folder/x.json"), 1, "--output"),
        ({"quota_percent_total": 1}, (), 3, "quota_percent_total"),
    ],
)
def test_whatever_is_wrong_is_one_sentence(
    serve: Serve, small_org: Path, tmp_path: Path, more: Json, options: tuple[str, ...], code: int, words: str
) -> None:
    running = serve(small_org)
    running.control(quota={"max": 200, "used": 0})
    done = run_explore(tmp_path, config_for(running.url, small_org) | more, *options)
    assert (done.code, done.out) == (code, ""), done.log
    assert words in done.sentence
    assert "Traceback" not in done.log


def test_meltano_gives_the_settings_by_environment(serve: Serve, small_org: Path, tmp_path: Path) -> None:
    config = config_for(serve(small_org).url, small_org)
    given = {f"TAP_SALESFORCE_TEMPORAL_{name.upper()}": str(value) for name, value in config.items()}
    command = [TAP, "explore", "--config=ENV", "--json"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, env={**os.environ, **given})
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout, type=Exploration).objects


def run_test(work: Path, config: Json, *options: str) -> Done:
    done = run_main(MODULE, [*tap_command(work, config), *options], os.environ)
    return Done(done.returncode, done.stdout, done.stderr)


def test_test_reads_every_stream_and_writes_nothing(serve: Serve, small_org: Path, tmp_path: Path) -> None:
    running = serve(small_org)
    done = run_test(tmp_path, config_for(running.url, small_org), "--test")
    assert (done.code, done.out) == (0, ""), done.log
    told = re.search(r"Test: (\d+) of (\d+) streams can be read; (\d+) API calls\.", done.log)
    assert told is not None
    assert told[1] == told[2]
    assert int(told[3]) == running.control().quota_used <= 15


def test_test_names_the_streams_that_cannot_be_read(serve: Serve, small_org: Path, tmp_path: Path) -> None:
    running = serve(small_org)
    running.control(forbid={"fields": ["OpportunityHistory.Amount"]})
    done = run_test(tmp_path, config_for(running.url, small_org), "--test")
    assert (done.code, done.out) == (2, ""), done.log
    assert "`opportunity_history` (Amount hidden)" in done.sentence


def test_test_of_the_schema_writes_schemas_only(serve: Serve, small_org: Path, tmp_path: Path) -> None:
    done = run_test(tmp_path, config_for(serve(small_org).url, small_org), "--test=schema")
    kinds = {msgspec.json.decode(line)["type"] for line in done.out.splitlines()}
    assert (done.code, kinds) == (0, {"SCHEMA"}), done.log


def test_test_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    done = run_test(tmp_path, {}, "--test=everything")
    assert (done.code, done.out) == (2, "")
    assert "everything" in done.sentence
