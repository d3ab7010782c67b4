"""The org in its folder: ids, rows in, what cannot be a row."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.clock import OrgClock
from localcloud.salesforce.ids import make_id, to_18
from localcloud.salesforce.org import Org
from localcloud.salesforce.queries import Queries
from localcloud.salesforce.schema import OBJECTS

if TYPE_CHECKING:
    from pathlib import Path


def test_an_id_has_the_documented_checksum() -> None:
    assert to_18("0016000000CtFaA") == "0016000000CtFaAAAS"[:15] + to_18("0016000000CtFaA")[15:]  # type: ignore[index]
    assert to_18("001A0000006Vm9r") == "001A0000006Vm9rIAC"
    assert to_18("001A0000006Vm9rIAC") == "001A0000006Vm9rIAC"
    assert to_18("001A0000006Vm9") is None
    assert to_18("001A0000006Vm9é") is None


@given(st.integers(0, 62**12 - 2))
def test_ids_ascend_with_their_number(n: int) -> None:
    one, other = make_id("006", n), make_id("006", n + 1)
    assert len(one) == 18
    assert one < other
    assert to_18(one[:15]) == one


def test_an_id_that_does_not_exist_is_refused() -> None:
    for prefix, n in (("00", 1), ("006", -1), ("006", 62**12)):
        with pytest.raises(ValueError, match="no id"):
            make_id(prefix, n)


def test_ids_of_histories_differ_though_they_share_a_prefix(known_org: Org) -> None:
    ids = {known_org.new_id(sobject.name, 1) for sobject in OBJECTS}
    assert len(ids) == len(OBJECTS)
    assert {one[:3] for one in ids if one.startswith("017")} == {"017"}


def test_an_org_is_kept_in_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "org"
    with Org.create(path, clock=OrgClock(datetime(2024, 1, 1, tzinfo=UTC), real=lambda: 0.0), name="Kept") as org:
        org.load("Account", [{"Name": "A"}])
        org_id = org.org_id
    with Org.open(path, clock=OrgClock()) as org:
        assert (org.settings.name, org.org_id) == ("Kept", org_id)
        assert Queries(org).run("SELECT Name FROM Account", org.schema, 60.0, all_rows=False).rows == 1
    assert (path / "jwt.key").stat().st_mode & 0o077 == 0


def test_an_org_is_neither_made_twice_nor_opened_where_none_is(tmp_path: Path) -> None:
    Org.create(tmp_path / "org", clock=OrgClock()).close()
    with pytest.raises(FileExistsError):
        Org.create(tmp_path / "org", clock=OrgClock())
    with pytest.raises(FileNotFoundError):
        Org.open(tmp_path / "none")


def test_an_org_may_have_objects_of_its_own(tmp_path: Path) -> None:
    invoice = next(one for one in OBJECTS if one.name == "Invoice__c")
    renamed = msgspec.structs.replace(invoice, name="Bill__c", key_prefix="a09")
    with Org.create(tmp_path / "org", clock=OrgClock(), objects=[*OBJECTS, renamed]) as org:
        org.load("Bill__c", [{"Name": "B-1"}])
    with Org.open(tmp_path / "org") as org:
        page = Queries(org).run("SELECT Id, Name FROM Bill__c", org.schema, 60.0, all_rows=False)
        assert b'"Id":"a09' in page.body


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"Nothing": 1}, "has no field Nothing"),
        ({"Name": 5}, "text expected"),
        ({"Amount": 5.5}, "Decimal expected"),
        ({"Amount": Decimal("NaN")}, "Decimal expected"),
        ({"Amount": True}, "Decimal expected"),
        ({"IsWon": 1}, "true or false expected"),
        ({"CloseDate": "2024-02-30"}, "day is out of range"),
        ({"CloseDate": datetime(2024, 1, 1, tzinfo=UTC)}, "a date expected"),
        ({"CreatedDate": "2024-01-01T00:00:00"}, "time zone"),
        ({"OwnerId": "nobody"}, "not a record id"),
    ],
)
def test_a_row_that_cannot_be_is_refused_and_none_of_its_batch_stays(
    own_org: Org, row: dict[str, object], message: str
) -> None:
    good = {"Name": "Good", "StageName": "Prospecting", "CloseDate": "2024-01-01"}
    with pytest.raises(ValueError, match=message):
        own_org.load("Opportunity", [good, good | row])
    answer = Queries(own_org).run("SELECT COUNT() FROM Opportunity", own_org.schema, 60.0, all_rows=False)
    assert b'"totalSize":3,' in answer.body


def test_dates_and_times_are_taken_in_several_forms(own_org: Org) -> None:
    forms: list[object] = [
        "2024-01-02T03:04:05.000+0000",
        "2024-01-02T03:04:05Z",
        "2024-01-02T04:04:05+01:00",
        datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
    ]
    own_org.load(
        "Invoice__c", [{"Name": str(n), "Sent__c": form, "Due__c": date(2024, 1, 2)} for n, form in enumerate(forms)]
    )
    statement = "SELECT COUNT() FROM Invoice__c WHERE Sent__c = 2024-01-02T03:04:05Z AND Due__c = 2024-01-02"
    answer = Queries(own_org).run(statement, own_org.schema, 60.0, all_rows=False)
    assert b'"totalSize":4,' in answer.body


def test_the_clock_ticks_from_where_it_was_set() -> None:
    seconds = 1_000.0
    clock = OrgClock(datetime(2030, 1, 1, tzinfo=UTC), real=lambda: seconds)
    seconds += 60
    assert clock.now() == datetime(2030, 1, 1, 0, 1, tzinfo=UTC)
    clock.advance(timedelta(days=1))
    assert clock.now() == datetime(2030, 1, 2, 0, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="time zone"):
        clock.set(datetime(2030, 1, 1))  # noqa: DTZ001
