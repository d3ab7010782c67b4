"""A burst of deletes is announced once, with the figures that tell of it, and over nobody else's announcement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from asking_atlan import set_attributes
from event_making import ORG, record_line, schema_line
from running_target import Runs, carried, guid

from localcloud.atlan.running import Running
from microdecisions.errors import ConfigurationError
from target_atlan_metadata.errors import AtlanError, AtlanPermissionError

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def change() -> list[str]:
    return [schema_line(), record_line(1, at=NOW - HOUR)]


def deletes(*numbers: int) -> list[str]:
    return [
        schema_line(),
        *(
            record_line(
                0,
                at=NOW - HOUR,
                event_id=f"{ORG}:Case:50000000000{number:04d}AAA:cdc:t:{number}",
                event_type="record_delete",
                record_id=f"50000000000{number:04d}AAA",
                field_name=None,
                context={"source": "change_event"},
            )
            for number in numbers
        ),
    ]


def announced(atlan: Running) -> tuple[object, object]:
    case = atlan.asset(guid(atlan, "Case"))
    assert case is not None
    return case.attributes.get("announcementTitle"), case.attributes.get("announcementMessage")


def test_a_burst_of_deletes_is_announced_once(runs: Runs, atlan: Running) -> None:
    runs(change())
    runs(deletes(*range(12)), delete_burst=10)
    assert "12 deletions of Case" in str(announced(atlan)[1])
    assert carried(atlan, "Case")["Deletes"] == 12
    again = runs(deletes(*range(14)), delete_burst=10)
    assert (again.counted, again.written) == (2, 1)
    assert "12 deletions of Case" in str(announced(atlan)[1])


def test_a_burst_that_a_failed_run_counted_is_announced_by_the_next(runs: Runs, atlan: Running) -> None:
    runs(change())
    atlan.control(refuse=[guid(atlan, "Case")])
    with pytest.raises(AtlanError):
        runs(deletes(1, 2, 3), delete_burst=2)
    assert announced(atlan) == (None, None)
    atlan.control(reset=True)
    runs([], delete_burst=2)
    assert "3 deletions of Case" in str(announced(atlan)[1])


def test_what_was_deleted_before_the_first_figures_is_no_burst(runs: Runs, atlan: Running) -> None:
    runs(deletes(1, 2, 3), delete_burst=2)
    assert carried(atlan, "Case")["Deletes"] == 3
    assert announced(atlan) == (None, None)


def test_an_announcement_of_somebody_else_stays(runs: Runs, atlan: Running) -> None:
    runs(change())
    set_attributes(atlan, guid(atlan, "Case"), announcementTitle="Do not use", announcementMessage="By the owner.")
    runs(deletes(1, 2, 3), delete_burst=2)
    assert carried(atlan, "Case")["Deletes"] == 3
    assert announced(atlan) == ("Do not use", "By the owner.")


def test_a_burst_that_the_search_does_not_show_yet_is_not_announced_again(runs: Runs, atlan: Running) -> None:
    runs(change())
    atlan.control(clock={"advance_seconds": 7200})
    atlan.control(index_lag_seconds=3600)
    runs(deletes(1, 2, 3), delete_burst=2)
    assert "3 deletions" in str(announced(atlan)[1])
    set_attributes(atlan, guid(atlan, "Case"), announcementMessage="seen")
    runs(deletes(1, 2, 3), delete_burst=2)
    assert announced(atlan)[1] == "seen"


def test_a_token_that_may_not_announce_is_told_what_was_refused(runs: Runs, atlan: Running) -> None:
    runs(change())
    atlan.control(privileges={"deny": ["update_assets"]})
    with pytest.raises(AtlanPermissionError, match="write custom metadata and announcements"):
        runs(deletes(1, 2, 3), delete_burst=2)


def test_a_burst_without_figures_on_objects_is_refused(runs: Runs) -> None:
    with pytest.raises(ConfigurationError, match=r"`delete_burst`.*`asset_levels`"):
        runs([], delete_burst=2, asset_levels=["field"])


def test_what_was_announced_is_not_announced_again_though_the_search_does_not_show_it_yet(
    runs: Runs, atlan: Running
) -> None:
    runs(deletes(1))
    atlan.control(clock={"advance_seconds": 7200})
    atlan.control(index_lag_seconds=3600)
    runs(deletes(*range(2, 14)), delete_burst=10)
    assert "12 deletions" in str(announced(atlan)[1])
    runs(deletes(*range(14, 16)), delete_burst=10)
    assert carried(atlan, "Case")["Deletes"] == 15
    assert "12 deletions" in str(announced(atlan)[1])
