"""The ledger: every event once, whatever is repeated, in whatever order; a crash or a second writer changes nothing."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from event_making import NOW, ORG, USER, decision, delete, text

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.counting import day_number
from target_atlan_metadata.errors import InputError, LedgerError
from target_atlan_metadata.ledger import CellActivity, Ledger

TODAY = day_number(text(NOW))


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def cells(ledger: Ledger) -> dict[tuple[str, str | None], CellActivity]:
    return {(cell.object, cell.field): cell for cell in ledger.activities(TODAY, 90)}


def test_an_event_counts_once_however_often_it_comes(tmp_path: Path) -> None:
    events = [decision(number) for number in range(50)]
    with Ledger(url(tmp_path)) as ledger:
        ledger.add(events)
        ledger.add(events[:20])
        ledger.commit()
        ledger.add(events)
        ledger.commit()
        assert cells(ledger)["Case", "Status"].total.changes == 50
        assert ledger.received.events == 120
        assert ledger.received.known == 70
    with Ledger(url(tmp_path)) as again:
        again.add(events)
        again.commit()
        assert cells(again)["Case", "Status"].total.changes == 50


def test_a_second_witness_is_not_counted(tmp_path: Path) -> None:
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(1), decision(2, is_primary=False)])
        ledger.commit()
        assert cells(ledger)["Case", "Status"].total.changes == 1
        assert ledger.received.secondary == 1


def test_an_event_that_turns_out_to_be_no_change_is_taken_back(tmp_path: Path) -> None:
    later = text(NOW + timedelta(hours=1))
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(1, at=NOW - timedelta(days=2)), decision(2)])
        ledger.commit()
        ledger.add([decision(2, is_primary=False, old_value="Working", extracted_at=later)])
        ledger.commit()
        ledger.add([decision(2)])  # the first version again, from an older file
        ledger.commit()
        status = cells(ledger)["Case", "Status"]
        assert status.total.changes == 1
        assert status.last is not None
        assert status.last.at == text(NOW - timedelta(days=2))


def test_a_later_version_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    later = text(NOW + timedelta(hours=1))
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(1, actor_type="automation", extracted_at=later)])
        ledger.commit()
        ledger.add([decision(1)])
        ledger.commit()
        total = cells(ledger)["Case", "Status"].total
        assert (total.changes, total.automated) == (1, 1)


def test_what_is_not_committed_is_as_if_it_never_came(tmp_path: Path) -> None:
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(1)])
        ledger.commit()
        ledger.add([decision(2)])
        ledger.flush()
    with Ledger(url(tmp_path)) as again:
        assert cells(again)["Case", "Status"].total.changes == 1


def test_a_killed_process_leaves_the_last_commit_and_no_lock(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from event_making import decision\n"
        "from target_atlan_metadata.ledger import Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "ledger.add([decision(1)]); ledger.commit()\n"
        "ledger.add([decision(2)]); ledger.flush()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", program, url(tmp_path)], env=environment, check=False)
    assert done.returncode == -9
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(1), decision(2)])
        ledger.commit()
        assert cells(ledger)["Case", "Status"].total.changes == 2


def test_the_largest_commit_number_is_kept(tmp_path: Path) -> None:
    seen = {"source": "change_event", "metadata": {"commit_number": str(2**63 - 1).zfill(5_000)}}
    deleted = decision(1, event_type="record_delete", field_name=None, context=seen)
    for _ in range(2):
        with Ledger(url(tmp_path)) as ledger:
            ledger.add([deleted])
            ledger.commit()
            assert cells(ledger)["Case", None].total.deletes == 1


def test_a_delete_that_turns_out_to_be_of_another_record_is_counted_there_alone(tmp_path: Path) -> None:
    later = text(NOW + timedelta(hours=1))
    first = delete("500000000000001AAA", "change_event", NOW)
    with Ledger(url(tmp_path)) as ledger:
        for version in (
            first,
            msgspec.structs.replace(first, record_id="500000000000002AAA", extracted_at=later),
            first,
        ):
            ledger.add([version])
            ledger.commit()
            assert cells(ledger)["Case", None].total.deletes == 1
        ledger.add([delete("500000000000001AAA", "query_all", NOW - timedelta(days=3))])
        ledger.commit()
        assert cells(ledger)["Case", None].total.deletes == 2


def test_a_field_without_a_name_is_no_field(tmp_path: Path) -> None:
    """A warehouse that knows no null in a text has written it so."""
    events = [decision(1, field_name=""), decision(2, field_name=None), decision(3)]
    for order in (events, events[::-1]):
        folder = tmp_path / order[0].event_id[-1]
        folder.mkdir()
        for event in order:
            with Ledger(url(folder)) as ledger:
                ledger.add([event, decision(4, event_type="activity", field_name="Subject")])
                ledger.commit()
        with Ledger(url(folder)) as ledger:
            found = {place: cell.total.changes for place, cell in cells(ledger).items()}
        assert found == {("Case", None): 2, ("Case", "Status"): 1}


def test_a_second_writer_is_told_both_ways_out(tmp_path: Path) -> None:
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(1)])
        ledger.commit()
        with pytest.raises(LedgerError) as refused:
            Ledger(url(tmp_path), wait_seconds=0)
    assert "wait until it has ended" in str(refused.value)
    assert "custom_metadata_name" in str(refused.value)


def test_the_last_change_is_the_latest_one_and_not_the_last_that_came(tmp_path: Path) -> None:
    events = [decision(number, at=NOW - timedelta(minutes=number), actor_id=f"005{number}") for number in range(30)]
    random.Random(5).shuffle(events)
    with Ledger(url(tmp_path)) as ledger:
        for event in events:
            ledger.add([event])
            ledger.commit()
        last = cells(ledger)["Case", "Status"].last
        assert last is not None
        assert (last.at, last.actor_id, last.actor_name) == (text(NOW), "0050", None)


def test_names_are_kept_only_if_asked_for(tmp_path: Path) -> None:
    with Ledger(url(tmp_path), keep_names=True) as ledger:
        ledger.add([decision(1)])
        ledger.commit()
        last = cells(ledger)["Case", "Status"].last
        assert last is not None
        assert last.actor_name == "Robin Example"


def test_no_value_of_a_record_is_in_the_file(tmp_path: Path) -> None:
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(1, old_value="Secret Before", new_value="Secret After")])
        ledger.commit()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Secret" not in content
    assert b"Robin" not in content
    assert USER.encode() in content


def test_kinds_are_told_apart(tmp_path: Path) -> None:
    approval = {"event_type": "approval_decision", "field_name": "StepStatus", "old_value": None}
    with Ledger(url(tmp_path)) as ledger:
        ledger.add(
            [
                decision(1, event_type="stage_change", field_name="StageName", new_value="Proposal"),
                decision(2, new_value=None),
                decision(3, actor_type="integration"),
                decision(4, old_value="Closed", new_value="Working"),
                decision(5, old_value=None, new_value=None),  # values not recorded: not emptied
                decision(6, new_value="Approved", **approval),
                decision(7, new_value="Rejected", **approval),
                decision(8, event_type="activity", field_name="Status"),
                decision(9, event_type="gap", record_type=None),
                decision(10, record_type=None),
            ]
        )
        ledger.commit()
        found = cells(ledger)
        status, itself = found["Case", "Status"].total, found["Case", None].total
        assert found["Case", "StageName"].total.stage_changes == 1
        assert (status.changes, status.emptied, status.automated, status.reopened) == (4, 1, 1, 1)
        assert (itself.approvals, itself.rejections, itself.others, itself.changes) == (2, 1, 1, 0)
        assert (ledger.received.gaps, ledger.received.unplaced) == (1, 1)
        assert ("Case", "StepStatus") not in found


def test_witnesses_of_one_delete_are_one_deletion(tmp_path: Path) -> None:
    at = NOW - timedelta(days=1)
    seen = [
        delete("500000000000001AAA", "get_deleted", at),
        delete("500000000000001AAA", "change_event", at),
        delete("500000000000002AAA", "change_event", at),
        delete("500000000000001AAA", "change_event", at + timedelta(hours=3), undelete=True),
        delete("500000000000001AAA", "change_event", at + timedelta(hours=5)),
    ]
    for order in range(4):
        shuffled = seen[:]
        random.Random(order).shuffle(shuffled)
        folder = tmp_path / str(order)
        folder.mkdir()
        with Ledger(url(folder)) as ledger:
            for sighting in shuffled:
                ledger.add([sighting, sighting])
                ledger.commit()
            assert cells(ledger)["Case", None].total.deletes == 3


def test_windows_end_today_and_events_to_come_wait(tmp_path: Path) -> None:
    days = (-1, 0, 6, 7, 29, 30, 400)
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(number, at=NOW - timedelta(days=ago)) for number, ago in enumerate(days)])
        ledger.commit()
        status = cells(ledger)["Case", "Status"]
        assert (status.week, status.month, status.total.changes) == (2, 4, 7)
        tomorrow = {cell.field: cell for cell in ledger.activities(TODAY + 1, 90)}
        assert (tomorrow["Status"].week, tomorrow["Status"].month) == (2, 4)


def test_an_offset_may_move_an_event_to_another_day(tmp_path: Path) -> None:
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(1), decision(2, timestamp_occurred="2026-02-22T23:30:00.000-05:00")])
        ledger.commit()
        assert cells(ledger)["Case", "Status"].week == 2


@pytest.mark.parametrize(
    "moment", ["yesterday", "2026-02-22", "2026-13-40T10:00:00.000000Z", "", "2026-02-22T10:00:00"]
)
def test_an_event_that_cannot_be_placed_in_time_is_refused_without_its_content(tmp_path: Path, moment: str) -> None:
    with Ledger(url(tmp_path)) as ledger, pytest.raises(InputError) as refused:
        ledger.add([decision(1, timestamp_occurred=moment)])
    assert "2024-01-15T10:30:00.000000Z" in str(refused.value)
    assert "Working" not in str(refused.value)


def test_events_of_another_org_are_refused(tmp_path: Path) -> None:
    other = "00D000000000002AAA:CaseHistory:1"
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(1)])
        ledger.commit()
    with Ledger(url(tmp_path)) as again, pytest.raises(InputError, match="00D000000000002AAA") as refused:
        again.add([decision(2, event_id=other)])
    assert ORG in str(refused.value)


def test_forgotten_ids_change_no_count_and_their_events_are_not_counted_again(tmp_path: Path) -> None:
    old, new = NOW - timedelta(days=60), NOW - timedelta(days=2)
    events = [decision(1, at=old), decision(2, at=new)]
    with Ledger(url(tmp_path)) as ledger:
        deletes = [
            delete("500000000000001AAA", "change_event", old),
            delete("500000000000002AAA", "change_event", NOW - timedelta(days=20)),
        ]
        ledger.add([*events, *deletes])
        ledger.commit()
        before = cells(ledger)
        ledger.retain(TODAY, event_ids_days=45, daily_days=30)
        ledger.add([*events, *deletes])
        ledger.commit()
        after = cells(ledger)
        assert after["Case", "Status"].total == before["Case", "Status"].total
        assert after["Case", None].total == before["Case", None].total
        assert ledger.received.too_old == 1  # a delete is never forgotten
    with Ledger(url(tmp_path)) as again:
        again.add([decision(1, at=old)])
        again.commit()
        assert cells(again)["Case", "Status"].total.changes == 2


def test_cells_are_dirty_until_atlan_was_told_of_their_last_state(tmp_path: Path) -> None:
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(1), decision(2, record_type="Lead")])
        ledger.commit()
        told = ledger.activities(TODAY, 90)
        ledger.add([decision(3)])
        ledger.commit()
        ledger.clean(told)
        assert [cell.object for cell in ledger.activities(TODAY, 90, dirty_objects=True)] == ["Case"]
        ledger.clean(ledger.activities(TODAY, 90, dirty_objects=True))
        ledger.add([decision(1), decision(3)])
        ledger.commit()
        assert ledger.activities(TODAY, 90, dirty_objects=True) == []


def test_an_object_that_an_earlier_release_kept_in_two_spellings_is_dirty_as_a_whole(tmp_path: Path) -> None:
    with Ledger(url(tmp_path)) as ledger:
        ledger.add([decision(1), decision(2, record_type="Lead")])
        ledger.commit()
        ledger.clean(ledger.activities(TODAY, 90))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        connection.execute("UPDATE atlan_ledger_cell SET object = 'CASE' WHERE object = 'Lead'")
    with Ledger(url(tmp_path)) as again:
        again.add([decision(3)])
        again.commit()
        dirty = [cell.object for cell in again.activities(TODAY, 90, dirty_objects=True)]
    assert dirty == ["CASE", "Case"]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("ledger.db", "no SQLAlchemy URL"),
        ("sqlite://", "a file that lasts"),
        ("sqlite:///:memory:", "a file that lasts"),
        ("mysql+pymysql://host/x", "of a kind that can hold no ledger"),
        ("postgresql+nosuch://host/x", "driver that is not installed"),
        ("postgresql+psycopg://someone:very-secret@host:port/x", "no SQLAlchemy URL"),
        ("postgresql+psycopg_async://someone:very-secret@127.0.0.1:1/x", "asynchronous programs"),
        ("postgresql+psycopg://someone:very-secret@/x?host=a&host=b:x", "an option behind its `?`"),
        ("sqlite:///x\0.db", "no SQLAlchemy URL"),
        ("sqlite:///x.db?timeout=abc", "an option behind its `?`"),
        ("sqlite:///x.db?detect_types=zz", "an option behind its `?`"),
    ],
)
def test_a_url_that_cannot_be_used_is_said_in_one_sentence(setting: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Ledger(setting)
    assert says in str(refused.value)
    assert "very-secret" not in str(refused.value)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("not a database, but long enough to be one" * 100)
    with pytest.raises(LedgerError, match="is not a database"):
        Ledger(url(tmp_path))


@pytest.mark.parametrize("folder", ["file", "nowhere", "nowhere/else"])
def test_a_folder_that_is_not_there_is_refused_and_not_made(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=f"make the folder .*/{folder}, or correct the path"):
        Ledger(url(tmp_path / folder))
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    Ledger(url(tmp_path)).close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE atlan_ledger_meta SET value = '99' WHERE name = 'version'")
    connection.close()
    with pytest.raises(ConfigurationError, match="another version"):
        Ledger(url(tmp_path))


def test_an_event_takes_at_most_forty_bytes(tmp_path: Path) -> None:
    number = 30_000
    with Ledger(url(tmp_path)) as ledger:
        for start in range(0, number, 5_000):
            ledger.add(
                [
                    decision(
                        one,
                        at=NOW - timedelta(minutes=one),
                        record_type=f"Object{one % 10}__c",
                        field_name=f"Field{one % 20}__c",
                    )
                    for one in range(start, start + 5_000)
                ]
            )
        ledger.commit()
        ledger.add([decision(number + 1)])
        ledger.commit()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) / number < 40
