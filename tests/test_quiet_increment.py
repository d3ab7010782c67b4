"""What an increment costs where next to nothing has changed, in an org with many history objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org
from localcloud.salesforce.schema import OBJECTS
from localcloud.salesforce.schema.custom import tracked_objects
from localcloud.salesforce.server import Running
from localcloud.salesforce.sobject import SObject
from tests.conftest import HOUR, NOW
from tests.harness import Json, TapRun, config_for
from tests.in_process import catalog_of, run_here
from tests.test_never_lose import salesforce_text

Serve = Callable[..., Running]
STREAMS = (
    *("account", "case", "contact", "contract", "lead", "opportunity_field", "opportunity"),
    *("declaration_", "invoice_"),
    *(f"item{number}_" for number in range(1, 112)),
)
HISTORIES = tuple(f"{name}_history" for name in STREAMS)
MOST_CALLS = 30


def wide_org(path: Path, *more: SObject, custom: int = 111) -> Path:
    Org.create(path, clock=OrgClock(NOW), objects=[*OBJECTS, *tracked_objects(custom), *more]).close()
    return path


def change(path: Path, history: str, parent_field: str = "ParentId", *, number: int = 1, user: int = 1) -> None:
    """One field that a user changed an hour after `NOW`."""
    with Org.open(path) as org:
        row = {
            "Id": org.new_id(history, number),
            parent_field: org.new_id(f"{history.removesuffix('__History')}__c", 1),
            "Field": "Status__c",
            "DataType": "DynamicEnum",
            "OldValue": "Open",
            "NewValue": "Closed",
            "CreatedById": org.new_id("User", user),
            "CreatedDate": salesforce_text(NOW + HOUR),
        }
        org.load(history, [row])


def increment(server: Running, config: Json, first: TapRun, *, hours: int = 2) -> tuple[TapRun, int]:
    """A run some hours after `NOW`, and its API calls."""
    server.control(clock={"set": f"{NOW + hours * HOUR:%FT%TZ}"})
    spent = server.journal().api_calls
    run = run_here(config, catalog=catalog_of(*first.schemas), state=first.state)
    assert run.code == 0, run.log
    return run, server.journal().api_calls - spent


def test_an_increment_over_120_history_objects_takes_at_most_30_calls(serve: Serve, tmp_path: Path) -> None:
    path = wide_org(tmp_path / "org")
    server = serve(path)
    config = config_for(server.url, path)
    first = run_here(config, *HISTORIES)
    assert len(first.schemas) == 120
    for user, number in enumerate((7, 60, 111), start=1):
        change(path, f"Item{number}__History", user=user)
    again, calls = increment(server, config, first)
    assert {stream for stream, records in again.records.items() if records} == {
        "item7__history",
        "item60__history",
        "item111__history",
    }
    assert calls <= MOST_CALLS
    # Once a day one count for each stream is asked along.
    verified, calls = increment(server, config, again, hours=26)
    assert MOST_CALLS < calls <= 2 * MOST_CALLS
    _, calls = increment(server, config, verified, hours=27)
    assert calls <= MOST_CALLS - 3  # no user is new


def test_a_history_with_columns_of_its_own_is_described_and_read(serve: Serve, tmp_path: Path) -> None:
    other, history = tracked_objects(1)
    fields = tuple(
        msgspec.structs.replace(field, name="ItemRef") if field.name == "ParentId" else field
        for field in history.fields
        if field.name != "DataType"
    )
    odd = msgspec.structs.replace(history, name="Odd__History", fields=fields, associate_parent="Odd__c")
    odd_fields = tuple(
        msgspec.structs.replace(field, reference_to=("Odd__c",)) if field.name == "ItemRef" else field
        for field in odd.fields
    )
    parent = msgspec.structs.replace(other, name="Odd__c", key_prefix="aZ9")
    path = wide_org(tmp_path / "org", parent, msgspec.structs.replace(odd, fields=odd_fields), custom=30)
    server = serve(path)
    config = config_for(server.url, path)
    streams = [*(f"item{number}__history" for number in range(1, 31)), "odd__history"]
    first = run_here(config, *streams)
    change(path, "Item30__History")
    with Org.open(path) as org:
        row = {
            "Id": org.new_id("Odd__History", 1),
            "ItemRef": org.new_id("Odd__c", 5),
            "Field": "Status__c",
            "OldValue": "Open",
            "NewValue": "Closed",
            "CreatedById": org.new_id("User", 1),
            "CreatedDate": salesforce_text(NOW + HOUR),
        }
        org.load("Odd__History", [row])
    again, calls = increment(server, config, first)
    assert [record["record_id"] for record in again.records["odd__history"]] == [row["ItemRef"]]
    assert len(again.records["item30__history"]) == 1
    assert calls <= 2 + 31 // 5 + 4  # one description, one query of its own, two users


@pytest.mark.parametrize("hidden", ["Item3__History.OldValue", "Item3__History"])
def test_what_is_hidden_between_two_runs_is_noticed_without_describing_all(
    hidden: str, serve: Serve, tmp_path: Path
) -> None:
    path = wide_org(tmp_path / "org", custom=10)
    server = serve(path)
    config = config_for(server.url, path)
    streams = [f"item{number}__history" for number in range(1, 11)]
    first = run_here(config, *streams)
    change(path, "Item10__History")
    server.control(forbid={"fields": [hidden]} if "." in hidden else {"objects": [hidden]})
    server.control(clock={"set": f"{NOW + 2 * HOUR:%FT%TZ}"})
    by_name = run_here(config, *streams, state=first.state)
    assert by_name.code == 2
    assert "`item3__history`" in by_name.log
    assert len(by_name.records["item10__history"]) == 1
    assert by_name.state["bookmarks"]["item3__history"] == first.state["bookmarks"]["item3__history"]
