"""A figure that is no more, or that the ledger knows nothing of, is taken away from its asset."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import count
from typing import Any

import pytest
from asking_atlan import definition, put_values
from event_making import USER, record_line, schema_line
from running_target import Runs, carried, guid

from localcloud.atlan.running import Running
from target_atlan_metadata.errors import AtlanError
from target_atlan_metadata.target import TargetAtlanMetadata

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


def by_hand(atlan: Running, name: str, field: str | None = None) -> None:
    """Write two of our figures on an asset as a person would."""
    put_values(atlan, guid(atlan, name, field), {"Changes": 999_999, "Last changed by": "somebody"})


@pytest.mark.parametrize("field", [None, "Status"])
def test_figures_by_hand_on_an_asset_without_events_are_gone_when_the_run_ends(
    runs: Runs, atlan: Running, field: str | None
) -> None:
    runs(change(1))
    by_hand(atlan, "Lead", field)
    others = definition(atlan, "Data Stewardship")["attributeDefs"][0]["displayName"]
    put_values(atlan, guid(atlan, "Lead", field), {others: "theirs"}, "Data Stewardship")
    report = runs([])
    assert carried(atlan, "Lead", field) == {}
    assert (report.written, report.cleared, "1 cleared" in report.line()) == (1, 1, True)
    assert atlan.custom_metadata("Data Stewardship", guid(atlan, "Lead", field)) == {others: "theirs"}
    again = runs(change(1))
    assert (again.writes, again.cleared) == (0, 0)
    assert carried(atlan, "Case")["Changes"] == 1


def test_only_the_end_of_a_run_takes_away(runs: Runs, atlan: Running) -> None:
    """What is told in each minute of input is about few assets, and says nothing of the others."""
    runs([*change(1), *change(2, record_type="Lead")])
    minutes = count(0, 61)
    target = TargetAtlanMetadata(config=runs.config, monotonic=lambda: next(minutes))
    target.listen(StringIO("".join(f"{line}\n" for line in [*change(3), *change(4)])))
    report = json.loads((runs.folder / "report.json").read_bytes())
    assert (report["counted"], report["cleared"]) == (2, 0)
    assert carried(atlan, "Lead")["Changes"] == 1


def test_what_another_ledger_counted_goes_when_this_one_counts_from_zero(runs: Runs, atlan: Running) -> None:
    runs([*change(1), *change(2, record_type="Lead")])
    report = runs(change(1), ledger_url=f"sqlite:///{runs.folder / 'new.db'}", allow_ledger_change=True)
    assert (carried(atlan, "Case")["Changes"], carried(atlan, "Lead"), carried(atlan, "Lead", "Status")) == (1, {}, {})
    assert report.cleared == 2


def test_a_ledger_without_events_takes_nothing_away(runs: Runs, atlan: Running) -> None:
    runs(change(1))
    before = carried(atlan, "Case")
    empty = {"ledger_url": f"sqlite:///{runs.folder / 'new.db'}", "allow_ledger_change": True}
    assert runs([], **empty).writes == 0
    assert carried(atlan, "Case") == before


def test_levels_that_are_not_wanted_are_left_as_they_are(runs: Runs, atlan: Running) -> None:
    runs(change(1))
    by_hand(atlan, "Lead")
    by_hand(atlan, "Lead", "Status")
    assert runs([], asset_levels=["object"]).cleared == 1
    assert carried(atlan, "Lead") == {}
    assert carried(atlan, "Lead", "Status")["Changes"] == 999_999
    assert carried(atlan, "Case", "Status")["Changes"] == 1


def test_a_dry_run_says_what_would_be_taken_away(runs: Runs, atlan: Running) -> None:
    runs(change(1))
    by_hand(atlan, "Lead", "Status")
    report = runs(change(2, record_type="Contract"), dry_run=True)
    assert runs.printed() == {
        "Lead.Status": {"cleared": True},
        "Contract": runs.printed()["Contract"],
        "Contract.Status": runs.printed()["Contract.Status"],
    }
    assert (report.written, report.cleared) == (3, 1)
    assert carried(atlan, "Lead", "Status")["Changes"] == 999_999


def lag(atlan: Running) -> None:
    """From now on the search shows nothing that is written, for an hour."""
    atlan.control(clock={"advance_seconds": 7200})
    atlan.control(index_lag_seconds=3600)


def test_figures_go_with_the_name_they_were_of_though_the_search_never_showed_them(runs: Runs, atlan: Running) -> None:
    """History's `Owner` was shown by OwnerId until the catalog had an asset of that name."""
    lag(atlan)
    runs(change(1, field_name="Owner"))
    assert carried(atlan, "Case", "OwnerId")["Changes"] == 1
    atlan.control(crawl={"objects": {"Case": ["Owner"]}})
    atlan.control(index_lag_seconds=0)
    atlan.control(index_lag_seconds=3600)
    runs([])
    shown = [carried(atlan, "Case", name).get("Changes") for name in ("Owner", "OwnerId")]
    assert shown in ([1, None], [None, 1])


def test_a_figure_whose_answer_was_lost_is_taken_back_though_the_search_never_showed_it(
    runs: Runs, atlan: Running, naps: list[float]
) -> None:
    runs(change(1))
    lag(atlan)
    atlan.control(
        fail=[{"pattern": "POST /api/meta/entity/bulk", "status": 503, "after_commit": True, "times": None, "skip": 1}]
    )
    with pytest.raises(AtlanError):
        runs(change(2))
    assert carried(atlan, "Case")["Changes"] == 2
    assert naps
    atlan.control(reset=True, index_lag_seconds=3600)
    runs(change(2, is_primary=False, extracted_at=LATER))
    assert carried(atlan, "Case")["Changes"] == 1
