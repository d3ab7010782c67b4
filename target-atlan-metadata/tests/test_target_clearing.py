"""A figure that is no more is taken away from its asset, also where the search never showed it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from event_making import USER, record_line, schema_line
from running_target import Runs, carried

from localcloud.atlan.running import Running

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
LATER = "2027-01-01T00:00:00.000000Z"


def change(number: int, **changes: Any) -> list[str]:
    return [schema_line(), record_line(number, at=NOW - number * HOUR, **changes)]


@pytest.fixture(params=["at once", "later"])
def shown(request: pytest.FixtureRequest, atlan: Running) -> str:
    """When the search shows what was written: at once, or after the test."""
    if request.param == "later":
        atlan.control(clock={"advance_seconds": 7200})
        atlan.control(index_lag_seconds=3600)
    return str(request.param)


@pytest.mark.usefixtures("shown")
def test_who_changed_it_is_taken_away_when_the_last_change_is_nobodys(runs: Runs, atlan: Running) -> None:
    runs(change(2))
    assert carried(atlan, "Case")["Last changed by"] == carried(atlan, "Case", "Status")["Last changed by"] == USER
    runs(change(1, actor_id=None, actor_name=None, actor_type="system"))
    for field in (None, "Status"):
        values = carried(atlan, "Case", field)
        assert (values["Changes"], "Last changed by" in values) == (2, False)


@pytest.mark.usefixtures("shown")
def test_all_is_taken_away_when_nothing_ever_changed_after_all(runs: Runs, atlan: Running) -> None:
    runs(change(1, event_type="stage_change"))
    assert carried(atlan, "Case")["Stage changes"] == 1
    runs(change(1, event_type="stage_change", is_primary=False, extracted_at=LATER))
    nothing = {"Changes": 0, "Changes in 7 days": 0, "Changes in 30 days": 0}
    assert carried(atlan, "Case") == {**nothing, "Deletes": 0}
    assert carried(atlan, "Case", "Status") == nothing


@pytest.mark.usefixtures("shown")
def test_what_was_taken_away_is_not_taken_away_again(runs: Runs, shown: str) -> None:
    runs(change(1))
    away = change(1, is_primary=False, extracted_at=LATER)
    assert runs(away).written == 2
    assert runs(away).written == (0 if shown == "at once" else 2)  # the search has not said yet that it is away
